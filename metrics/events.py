"""EVENTS: whether the events that a caption names are heard, as often and in the order that it says. Ours.

For worlds whose events are known (a column ``events`` of the clips, as ``3x2 5x1``: kinds in their order, each with how
often it calls) and a detector of another seed than any network in training. What the detector hears is in
:mod:`a2ibench.metrics.detections`. Per clip, from 0 to 100:

- ``EVENTS``: the share of the named kinds that are heard at least once;
- ``EVENTS.count``: 100 where each named kind is heard exactly as often as it is named;
- ``EVENTS.order``: 100 where the first calls of the named events come in their order, all of them heard; a clip with
  one event has no order, and is left out;
- ``EVENTS.alone``: 100 where nothing else is heard (without it, all kinds at once would be the best sound);
- ``EVENTS.exact``: 100 where the kinds of the calls, in the order of time, are exactly those that are named.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, Features, FloatArray, Metric
from a2ibench.metrics.detections import THRESHOLD, Heard, detections

_DETECTED, _NAMED = "generated/detector", "events/events"
Named = Sequence[tuple[int, int]]
"""The events of a caption in their order: kind, and how often it is heard."""


def heard_share(heard: Sequence[Heard], named: Named) -> float:
    """Give the share of the named kinds that are heard, 0 to 1; NaN where nothing is named."""
    kinds = {kind for kind, _ in named}
    return len(kinds & {each.kind for each in heard}) / len(kinds) if kinds else float("nan")


def count_right(heard: Sequence[Heard], named: Named) -> float:
    """Give 1 where each named kind is heard exactly as often as it is named in all, else 0; NaN for nothing named."""
    wanted: Counter[int] = Counter()
    for kind, count in named:
        wanted[kind] += count
    found = Counter(each.kind for each in heard)
    return float(all(found[kind] == count for kind, count in wanted.items())) if named else float("nan")


def order_right(heard: Sequence[Heard], named: Named) -> float:
    """Give 1 where the first calls of the named kinds come one after the other as named, else 0; NaN below two."""
    kinds = list(dict.fromkeys(kind for kind, _ in named))
    if len(kinds) < 2:
        return float("nan")
    first: dict[int, float] = {}
    for each in sorted(heard):
        first.setdefault(each.kind, each.time)
    times = [first.get(kind) for kind in kinds]
    rising = pairwise(times)
    return float(all(a is not None and b is not None and a < b for a, b in rising))


def alone(heard: Sequence[Heard], named: Named) -> float:
    """Give 1 where no kind is heard that is not named, else 0; NaN where nothing is named."""
    return float({each.kind for each in heard} <= {kind for kind, _ in named}) if named else float("nan")


def exact(heard: Sequence[Heard], named: Named) -> float:
    """Give 1 where the kinds heard, in the order of time, are those named, each as often; NaN for nothing named."""
    calls = [kind for kind, count in named for _ in range(count)]
    return float([each.kind for each in sorted(heard)] == calls) if named else float("nan")


def named_events(rows: AnyArray, key: str = _NAMED) -> list[tuple[int, int]]:
    """Read rows [k, 2 or more], kind and count first, as the events that are named.

    Raises
    ------
    A2IBenchError
        If they are none.

    """
    if rows.ndim != 2 or rows.shape[1] < 2 or not np.isfinite(rows[:, :2]).all():
        raise A2IBenchError(f"{key!r} must hold rows of kind and count per clip, [k, 2]; found {rows.shape}.")
    return [(int(kind), int(count)) for kind, count in rows[:, :2]]


def _judged(rule: Callable[[Sequence[Heard], Named], float]) -> Callable[[Features], FloatArray]:
    def per_clip(rows: Features) -> FloatArray:
        both = zip(rows.per_clip(_DETECTED), rows.per_clip(_NAMED), strict=True)
        return np.array([100.0 * rule(detections(frames), named_events(named)) for frames, named in both], np.float64)

    return per_clip


def _told(rows: Features) -> list[str]:
    """Name what is heard in each sound: "0.52 frog, 1.31 bell"."""
    names = rows.categories
    return [
        ", ".join(f"{e.time:.2f} {names[e.kind] if e.kind < len(names) else e.kind}" for e in detections(frames))
        or "nothing"
        for frames in rows.per_clip(_DETECTED)
    ]


def _declare(variant: str, rule: Callable[[Sequence[Heard], Named], float], what: str) -> Metric:
    return Metric(
        name=f"EVENTS.{variant}" if variant else "EVENTS",
        version=1,
        needs=(_DETECTED, _NAMED),
        summary=f"Named events in the sound: {what}.",
        higher_is_better=True,
        bounds=(0.0, 100.0),
        worst=0.0,
        options={"threshold": str(THRESHOLD), "rule": variant or "heard"},
        detail=("events heard (s)", _told),
        per_clip=_judged(rule),
    )


METRICS = (
    _declare("", heard_share, "share of the named kinds that are heard"),
    _declare("count", count_right, "each is heard as often as named"),
    _declare("order", order_right, "they come in the order named"),
    _declare("alone", alone, "nothing else is heard"),
    _declare("exact", exact, "the calls are exactly those named, in order"),
)
