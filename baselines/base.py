"""What every method is: a declaration, and a function from clips and seeds to images."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image

from a2ibench.clips import Clip

Draw = Callable[[Sequence[Clip], Sequence[int]], list[Image.Image]]
"""Draws one image per clip: ``draw(clips, seeds)``. An image depends on its own clip and seed alone."""


@dataclass(frozen=True)
class Method:
    """The declaration of a method.

    Attributes
    ----------
    name
        What the user types.
    summary
        One line for ``a2ibench list``.
    reads
        What it knows of a clip: its ``"audio"``, its ``"label"``, or the reference ``"image"``.
    load
        Makes the drawing function from the suite's parts, the options and the device. Heavy imports belong
        inside.
    parts
        The names of the suite's parts (weights) that it needs.
    options
        Its options with their defaults; a suite may bring others.

    """

    name: str
    summary: str
    reads: Literal["audio", "label", "image"]
    load: Callable[[Mapping[str, Any], Mapping[str, Any], str], Draw]
    parts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def image_seed(seed: int, clip_id: str, index: int = 0) -> int:
    """Derive the seed of one image: from the run's seed, the clip and the image's number, nothing else."""
    digest = hashlib.blake2b(f"{seed}/{clip_id}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
