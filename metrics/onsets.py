"""ONSET, onset alignment: whether a sound begins when something is seen to happen. Ours.

Events of the video and onsets of the sound are times in seconds. One of each make a pair where they lie within 100 ms
of one another, each in one pair at most, and as many pairs as there can be: a burst of onsets gains nothing. Recall is
the share of the events that are paired, precision the share of the onsets, ``ONSET`` the F1 of both, from 0 to 100. A
clip in which nothing happens says nothing, and is left out; a sound without an onset has 0.

What happens is known (``onsets``, a column of the clips) or seen: ``ONSET.video`` takes the peaks of optical flow, as
AV-Align does. ``ONSET.av-align`` is AV-Align itself (arXiv 2309.16429, TempoTokens' ``av_align.py``): intersection over
union, pairs nearer than one frame, the first free event for each onset. Its onsets come from librosa, ours from the
suite's detector, so numbers are near and not equal. There is no fixed chance level: look at the shuffled sounds.
"""

from collections.abc import Callable, Sequence

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, Features, FloatArray, Metric
from a2ibench.metrics.detections import onset_times

TOLERANCE = 0.1  # seconds
_ROUNDING = 1e-6  # Times pass through float32: 0.1 s apart must count as 0.1 s.


def pairs(one: AnyArray, two: AnyArray, tolerance: float = TOLERANCE) -> int:
    """Count the most pairs of times, one of each, [k] and [m], that are at most `tolerance` seconds apart.

    Each time is in one pair at most. On a line, taking the earliest pair that can be made is best.
    """
    a, b = (np.sort(np.asarray(times, dtype=np.float64)) for times in (one, two))
    i = j = found = 0
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance + _ROUNDING:
            i, j, found = i + 1, j + 1, found + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return found


def recall(onsets: AnyArray, events: AnyArray, tolerance: float = TOLERANCE) -> float:
    """Give the share of events, [m], that have an onset, [k], of their own; NaN without events."""
    return pairs(onsets, events, tolerance) / len(events) if len(events) else float("nan")


def precision(onsets: AnyArray, events: AnyArray, tolerance: float = TOLERANCE) -> float:
    """Give the share of onsets, [k], that have an event, [m], of their own; 0 without onsets, NaN without events."""
    if not len(events):
        return float("nan")
    return pairs(onsets, events, tolerance) / len(onsets) if len(onsets) else 0.0


def f1(onsets: AnyArray, events: AnyArray, tolerance: float = TOLERANCE) -> float:
    """Give the harmonic mean of recall and precision, ``2 pairs / (onsets + events)``; NaN without events."""
    if not len(events):
        return float("nan")
    return 2 * pairs(onsets, events, tolerance) / (len(onsets) + len(events))


def av_align(onsets: AnyArray, events: AnyArray, frame: float) -> float:
    """Give AV-Align's intersection over union of onsets, [k], and events, [m]; NaN where there is neither.

    Each onset takes the first free event that is less than `frame` seconds away: its order, which need not give the
    most pairs.
    """
    free = [float(event) for event in np.asarray(events, dtype=np.float64)]
    total = len(onsets) + len(free)
    for onset in np.asarray(onsets, dtype=np.float64):
        near = next((event for event in free if event - frame < onset < event + frame), None)
        if near is not None:
            free.remove(near)
    both = len(events) - len(free)
    return both / (total - both) if total else float("nan")


def _times(items: AnyArray, key: str) -> list[FloatArray]:
    """Give the times, [k], of each item: the first column of its rows."""
    if items.dtype != object or any(rows.ndim != 2 or not rows.shape[1] for rows in items):
        raise A2IBenchError(f"{key!r} must hold rows of times per clip, [k, 1]: it comes from an encoder of onsets.")
    return [rows[:, 0].astype(np.float64) for rows in items]


_HEARD, _KNOWN, _SEEN, _DETECTED = "generated/onsets", "onsets/numbers", "condition/motion", "generated/detector"
_Share = Callable[[AnyArray, AnyArray], float]


def _heard(rows: Features, key: str) -> list[FloatArray]:
    if key == _DETECTED:
        return [onset_times(frames) for frames in rows.per_clip(key)]
    return _times(rows.per_clip(key), key)


def _aligned(share: _Share, heard: str, happens: str) -> Callable[[Features], FloatArray]:
    def per_clip(rows: Features) -> FloatArray:
        events = _times(rows.per_clip(happens), happens)
        pairs_of_times = zip(_heard(rows, heard), events, strict=True)
        return np.array([100.0 * share(onsets, seen) for onsets, seen in pairs_of_times], dtype=np.float64)

    return per_clip


def _as_av_align(rows: Features) -> FloatArray:
    """AV-Align by the frame rate of each video, which stands beside the times of its peaks."""
    seen = rows.per_clip(_SEEN)
    frames = [float(peaks[0, 1]) if len(peaks) else 0.0 for peaks in seen]
    triples = zip(_heard(rows, _HEARD), _times(seen, _SEEN), frames, strict=True)
    return np.array([100.0 * av_align(*triple) for triple in triples], dtype=np.float64)


def _told(heard: str) -> tuple[str, Callable[[Features], Sequence[str]]]:
    def texts(rows: Features) -> list[str]:
        return [" ".join(f"{time:.2f}" for time in times) or "none" for times in _heard(rows, heard)]

    return "onsets heard (s)", texts


def _declare(variant: str, per_clip: Callable[[Features], FloatArray], what: str, heard: str, happens: str) -> Metric:
    iou = variant == "av-align"
    return Metric(
        name=f"ONSET.{variant}" if variant else "ONSET",
        version=1,
        needs=(happens, heard),
        summary=f"Onsets of the sound against {what}.",
        higher_is_better=True,
        bounds=(0.0, 100.0),
        worst=0.0,
        options={"tol": "frame", "match": "first"} if iou else {"tol": "100ms", "match": "one-to-one"},
        detail=None if iou else _told(heard),
        per_clip=per_clip,
    )


METRICS = (
    _declare("", _aligned(f1, _HEARD, _KNOWN), "the known events, F1 within 100 ms", _HEARD, _KNOWN),
    _declare(
        "recall",
        _aligned(recall, _HEARD, _KNOWN),
        "the known events: share of events with an onset",
        _HEARD,
        _KNOWN,
    ),
    _declare(
        "precision",
        _aligned(precision, _HEARD, _KNOWN),
        "the known events: share of onsets with an event",
        _HEARD,
        _KNOWN,
    ),
    _declare(
        "detector",
        _aligned(f1, _DETECTED, _KNOWN),
        "the known events, F1 within 100 ms, by the learned detector",
        _DETECTED,
        _KNOWN,
    ),
    _declare("video", _aligned(f1, _HEARD, _SEEN), "peaks of motion in the video, F1 within 100 ms", _HEARD, _SEEN),
    _declare("av-align", _as_av_align, "peaks of motion in the video, as AV-Align counts", _HEARD, _SEEN),
)
