"""What every method is: a declaration, and a function from clips and seeds to images."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.clips import Clip

Drawn = list[Image.Image | None]
"""Images; None where the network gave numbers that are none (NaN, infinite)."""
Draw = Callable[[Sequence[Clip], Sequence[int]], Drawn]
"""Generates one image per clip: ``draw(clips, seeds)``. An image depends on its own clip and seed alone."""


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
        Makes the generating function from the suite's parts, the options and the device. Heavy imports belong
        inside.
    parts
        The names of the suite's parts (weights) that it needs.
    options
        Its options with their defaults; a suite may bring others.
    task
        The task that it is a method for.

    """

    name: str
    summary: str
    reads: Literal["audio", "label", "image"]
    load: Callable[[Mapping[str, Any], Mapping[str, Any], str], Draw]
    parts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    task: str = "audio-to-image"


def images_of(pixels: NDArray[np.float32]) -> Drawn:
    """Turn pixels ``[n, h, w, 3]`` in [0, 1] into images; None where one holds a number that is not finite."""
    finite = [bool(np.isfinite(each).all()) for each in pixels]
    return [
        Image.fromarray((each * 255).round().astype(np.uint8)) if whole else None
        for each, whole in zip(pixels, finite, strict=True)
    ]


def image_seed(seed: int, clip_id: str, index: int = 0, attempt: int = 0) -> int:
    """Derive the seed of one image: from the run's seed, the clip, the image's number and the attempt at it."""
    text = f"{seed}/{clip_id}/{index}" + (f"/{attempt}" if attempt else "")
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
