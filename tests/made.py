"""Clips made up for a test, and what two videos of equal input must have in common."""

from pathlib import Path

import numpy as np

from a2ibench.clips import Clip, read_audio
from a2ibench.media.video import frames


def clip_of(clip_id, audio, image, label):
    """Make a clip of the task audio-to-image."""
    return Clip(clip_id, label, {"audio": audio, "image": image})


def renamed(clip, clip_id, label):
    """Give a clip's files another id and label."""
    return Clip(clip_id, label, clip.values)


def assert_same_video(one: Path, two: Path, rate: int = 16_000):
    """Two videos of equal input: equal pixels, and sounds within AAC's loss.

    Not equal bytes: a last bit of difference in one sample changes what the AAC encoder chooses, in every packet from
    there on, and by as much as a larger one would (up to 0.019 for a tone, whether the noise is 1e-8 or 1e-5).
    """
    for first, second in zip(frames(one), frames(two), strict=True):
        assert first.time == second.time
        assert np.array_equal(first.pixels, second.pixels)
    first, second = read_audio(one, rate), read_audio(two, rate)
    assert len(first) == len(second)
    assert np.abs(first - second).max() < 0.05
    assert np.corrcoef(first, second)[0, 1] > 0.999
