"""The real images themselves: the ceiling of every measure."""

from collections.abc import Mapping
from typing import Any

from a2ibench.baselines.base import Draw, Method
from a2ibench.clips import read_image


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    return lambda clips, seeds: [read_image(clip.file("image")) for clip in clips]


METHODS = (Method("reference", "The real image of each clip: the ceiling.", "image", _load),)
