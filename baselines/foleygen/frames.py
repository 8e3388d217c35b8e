"""Frames of a video at given moments, small, one decoding front to back whatever its rate and size."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.media.base import refusal
from a2ibench.media.video import Frame
from a2ibench.media.video import frames as frames_of

Pixels = NDArray[np.uint8]
_EARLY = 1e-3  # seconds: containers round times


def count_of(seconds: float, rate: float) -> int:
    """Count the features of a video: one at 0, 1 / rate, 2 / rate … below `seconds`; at least one."""
    return max(1, math.ceil(round(seconds * rate, 6)))


def sample(path: Path, seconds: float, rate: float, each: int = 1, side: int = 256) -> Pixels:
    """Take the frames that are shown at evenly spaced moments.

    Parameters
    ----------
    path
        The video, with any frame rate, constant or not.
    seconds
        How much of it; one that ends before has its last frame held.
    rate
        Features a second.
    each
        Frames for each feature, evenly over its share of the time.
    side
        Frames larger than this are scaled down until the shorter side has it: 4K would not fit the memory.

    Returns
    -------
    Pixels
        uint8 ``[features, each, height, width, 3]``.

    Raises
    ------
    A2IBenchError
        If the video can't be read or has no frame.

    """
    moments = [index / (rate * each) for index in range(count_of(seconds, rate) * each)]
    chosen: list[Pixels] = []
    last: Pixels | None = None
    for frame in _until(frames_of(path), moments[-1]):
        while len(chosen) < len(moments) and last is not None and moments[len(chosen)] + _EARLY < frame.time:
            chosen.append(last)
        last = frame.pixels if min(frame.pixels.shape[:2]) <= side else _small(frame.pixels, side)
    if last is None:
        raise refusal(f"The video {path} has no frame; make it again.")
    chosen += [last] * (len(moments) - len(chosen))
    height, width = chosen[0].shape[:2]
    same = [pixels if pixels.shape[:2] == (height, width) else _fit(pixels, width, height) for pixels in chosen]
    return np.stack(same).reshape(-1, each, height, width, 3)


def _until(frames: Iterator[Frame], moment: float) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        if frame.time > moment + _EARLY:
            return


def _small(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    return _fit(pixels, round(width * scale), round(height * scale))


def _fit(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
