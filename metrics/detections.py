"""From an event detector's posteriors to events: times and kinds. Shared by the metrics of onsets and of events.

A detector gives for each sound frames, [T, 1 + C]: the time of each frame's middle in seconds, rising, then the
probability that each of C kinds is heard in it. An event is a run of frames whose probability is at least 0.5; its time
is that of the most probable frame in the run, the first of equals.
"""

from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray

THRESHOLD = 0.5


class Heard(NamedTuple):
    """One event that a detector hears: when, in seconds, and of which kind."""

    time: float
    kind: int


def _runs(times: AnyArray, probability: AnyArray, threshold: float) -> list[float]:
    """Give the time of each run of frames at or above the threshold."""
    above = np.concatenate([[False], probability >= threshold, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    return [float(times[a + int(probability[a:b].argmax())]) for a, b in edges.reshape(-1, 2)]


def _checked(frames: AnyArray) -> AnyArray:
    if frames.ndim != 2 or frames.shape[1] < 2 or not np.isfinite(frames).all():
        raise A2IBenchError(
            f"A detector gives finite frames [T, 1 + C], a time and a probability for each kind; found {frames.shape}."
        )
    return frames


def detections(frames: AnyArray, threshold: float = THRESHOLD) -> list[Heard]:
    """Give the events that a detector hears in frames, [T, 1 + C], in the order of time.

    Raises
    ------
    A2IBenchError
        If the frames are none.

    """
    frames = _checked(frames)
    kinds = range(frames.shape[1] - 1)
    found = (Heard(time, kind) for kind in kinds for time in _runs(frames[:, 0], frames[:, 1 + kind], threshold))
    return sorted(found)


def onset_times(frames: AnyArray, threshold: float = THRESHOLD) -> FloatArray:
    """Give when anything begins, whatever it is: the runs of the most probable kind of each frame, [k] seconds."""
    frames = _checked(frames)
    return np.array(_runs(frames[:, 0], frames[:, 1:].max(axis=1), threshold), dtype=np.float64)
