"""The four media: ``image``, ``audio``, ``video`` and ``text``, one module each."""

from a2ibench.errors import unknown
from a2ibench.media.audio import AUDIO
from a2ibench.media.base import Medium
from a2ibench.media.image import IMAGE
from a2ibench.media.text import TEXT
from a2ibench.media.video import VIDEO

MEDIA: dict[str, Medium] = {medium.name: medium for medium in (IMAGE, AUDIO, VIDEO, TEXT)}
"""All media by name."""

__all__ = ["MEDIA", "Medium", "get"]


def get(name: str) -> Medium:
    """Give a medium by its name; A2IBenchError, with the nearest right one, where there is none."""
    if name not in MEDIA:
        raise unknown("medium", name, MEDIA)
    return MEDIA[name]
