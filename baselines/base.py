"""What every method is: a declaration, and a function from clips and seeds to outputs."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.clips import Clip, ClipSet
from a2ibench.progress import Stage

Drawn = list[Image.Image | None]
"""Images; None where the network gave numbers that are none (NaN, infinite)."""
Draw = Callable[[Sequence[Clip], Sequence[int]], Sequence[Any]]
"""Generates one output per clip: ``draw(clips, seeds)``, an image, or a sound's samples and rate; None where the
network gave numbers that are none. An output depends on its own clip and seed alone."""


@dataclass(frozen=True)
class Training:
    """What the trainer of a method is given, all of it resolved.

    Attributes
    ----------
    parts, hashes
        The frozen parts with their files and settings, and the hash of each.
    clips
        The training clips.
    folder
        Where checkpoints and weights go.
    settings
        Those of the suite, and over them the user's; the trainer checks their names.
    device, checkpoint_every, fresh
        How to run: on what, how often to keep the state, and whether to begin again.
    stage
        Shows progress.

    """

    parts: Mapping[str, Any]
    hashes: Mapping[str, str]
    clips: ClipSet
    folder: Path
    settings: Mapping[str, Any]
    device: str
    checkpoint_every: int
    fresh: bool
    stage: Stage


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
        What it knows of a clip: its ``"audio"``, ``"video"``, ``"caption"`` or ``"label"``, or the reference
        ``"image"``.
    load
        Makes the generating function from the suite's parts, the options and the device. Heavy imports belong
        inside.
    parts
        The names of the suite's parts (weights) that it needs.
    options
        Its options with their defaults; a suite may bring others.
    may_be_zero
        Those that count something, and may be 0.
    task
        The task that it is a method for; empty for one that is of every task.
    trains
        The part whose weights its trainer makes; the others are frozen.
    train
        Trains it and gives the file of the weights; None where it can't be trained.
    check
        Refuses bad settings of its trainer before anything is read or computed.
    lacks
        Says why it can't run with these parts and options, though the parts are there; None where it can.

    """

    name: str
    summary: str
    reads: Literal["audio", "caption", "label", "image", "video"]
    load: Callable[[Mapping[str, Any], Mapping[str, Any], str], Draw]
    parts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    may_be_zero: tuple[str, ...] = ()
    task: str = "audio-to-image"
    trains: str = ""
    train: Callable[[Training], Path] | None = None
    check: Callable[[Mapping[str, Any]], object] | None = None
    lacks: Callable[[Mapping[str, Any], Mapping[str, Any]], str | None] | None = None


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
