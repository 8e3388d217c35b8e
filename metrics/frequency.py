"""Scores by how often a kind of sound occurs in training: the long tail. For any metric.

A kind's score is the mean over the clips in which it is heard (a clip of two kinds counts for both); a bucket's score
is the mean over its kinds, however many clips each has (Re-AudioLDM, arXiv 2309.08051, Figure 4). Buckets hold their
left edge: with the edges 0, 1, 10, 30, 50, 100, 500 a kind of 10 examples is in "10-29", one that training never had in
"0". The paper's own convention at the edges is not known.

Intervals are over clips, which are drawn 2,000 times with all their kinds; a kind that a draw misses is left out of
that draw. The drop is how much worse the rarest bucket that training has is than the most frequent one, and has an
interval of its own: the difference is taken in each draw. ``CLAP.tail``, ``KL.tail`` … are that drop, with the buckets
beside it. Set metrics depend on how many clips there are: :func:`set_by_frequency` gives them where a bucket has
enough, and no drop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, nan
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import clap, events, kl
from a2ibench.metrics.base import AnyArray, Features, FloatArray, IntArray, Metric, SetStatistic, UndefinedError
from a2ibench.metrics.stats import NORMAL, SEED, check_level, reach, resampled

EDGES = (0, 1, 10, 30, 50, 100, 500)
RESAMPLES = 2_000
FEWEST = 100
"""Clips that a bucket needs for a metric of sets."""
_LARGEST = 1e9  # no score reaches it


class Bucket(NamedTuple):
    """The score of kinds that are about equally frequent; `value` is NaN where there is none, and `why` says it."""

    low: int
    high: float
    """Frequencies from `low` to below `high`."""
    kinds: int
    n: int
    """Clips that hold one of its kinds."""
    value: float
    interval: tuple[float, float]
    """NaN twice where the bucket has one clip, or for a metric of sets."""
    why: str = ""

    @property
    def name(self) -> str:
        """The frequencies in words: "0", "10-29", "500+"."""
        if self.high == inf:
            return f"{self.low}+"
        return str(self.low) if self.high == self.low + 1 else f"{self.low}-{int(self.high) - 1}"


@dataclass(frozen=True)
class Drop:
    """How much worse the tail is than the head, in the metric's unit; above 0: worse."""

    head: str
    tail: str
    value: float
    low: float
    high: float
    stderr: float


@dataclass(frozen=True)
class ByFrequency:
    """The buckets from rare to frequent, those without a kind left out, and the drops: None without two buckets."""

    buckets: tuple[Bucket, ...]
    drop: Drop | None
    unseen: Drop | None
    """The drop to the kinds that training never had."""


def bucket_of(frequency: float, edges: Sequence[int] = EDGES) -> int:
    """Give the place of the bucket that a frequency is in; -1 below the first edge."""
    return int(np.searchsorted(np.asarray(edges), frequency, side="right")) - 1


def check_edges(edges: Sequence[int]) -> None:
    """Refuse edges that do not rise.

    Raises
    ------
    A2IBenchError
        If there is none, or one is not above the one before it.

    """
    if not edges or any(b <= a for a, b in pairwise(edges)):
        raise A2IBenchError(f"The edges of frequency buckets must rise; found {list(edges)}.")


def by_frequency(
    values: AnyArray,
    kinds: Sequence[Sequence[int]],
    frequency: Mapping[int, float],
    *,
    edges: Sequence[int] = EDGES,
    higher_is_better: bool = True,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> ByFrequency:
    """Average per-clip values over kinds in buckets of their frequency.

    Parameters
    ----------
    values
        Per-clip values, [N]; NaN is left out.
    kinds
        The kinds heard in each clip, [N].
    frequency
        How often each kind occurs in training; kinds below the first edge are left out.
    edges
        Of the buckets, rising; the last one has no upper end.
    higher_is_better
        Which way is worse, for the drops.
    level, resamples, seed
        Of the intervals.

    Raises
    ------
    A2IBenchError
        If the lengths differ, a kind has no frequency, or the edges do not rise.

    """
    check_level(level, resamples)
    check_edges(edges)
    member, place = _membership(values, kinds, frequency, edges)
    order = np.lexsort((*member.T[::-1], values))  # The order of the clips changes nothing.
    values, member = np.asarray(values, np.float64)[order], member[order]
    kept = ~np.isnan(values)
    values, member = values[kept], member[kept]
    there = sorted(set(place[member.any(axis=0)].tolist()))
    point = _macro(np.ones((1, len(values))), values, member, place, there)[0]
    rng = np.random.default_rng(seed)

    def draw(size: int) -> FloatArray:
        weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=size)
        return _macro(weights.astype(np.float64), values, member, place, there)

    drawn = resampled(draw, resamples, len(values)) if there else np.empty((0, 0))
    sizes = [int(member[:, place == each].any(axis=1).sum()) for each in there]
    ends = (*edges[1:], inf)
    buckets = tuple(
        Bucket(
            edges[each],
            ends[each],
            int(member[:, place == each].any(axis=0).sum()),
            n,
            float(point[column]),
            _interval(drawn[:, column], n, level),
        )
        for column, (each, n) in enumerate(zip(there, sizes, strict=True))
    )
    sign = 1.0 if higher_is_better else -1.0
    return ByFrequency(buckets, *_drops(buckets, point, drawn, sign, level))


def _drops(
    buckets: Sequence[Bucket], point: FloatArray, drawn: FloatArray, sign: float, level: float
) -> tuple[Drop | None, Drop | None]:
    """Give the drop from the most frequent bucket to the rarest that training has, and to the one that it never had."""

    def drop(head: int, tail: int) -> Drop:
        apart = sign * (drawn[:, head] - drawn[:, tail])
        low, high = _interval(apart, min(buckets[head].n, buckets[tail].n), level)
        value = sign * float(point[head] - point[tail])
        return Drop(buckets[head].name, buckets[tail].name, value, low, high, float(np.nanstd(apart, ddof=1)))

    seen = [column for column, bucket in enumerate(buckets) if bucket.low > 0 or bucket.high > 1]
    return (
        drop(seen[-1], seen[0]) if len(seen) > 1 else None,
        drop(seen[-1], 0) if seen and 0 not in seen else None,
    )


def _membership(
    values: AnyArray, kinds: Sequence[Sequence[int]], frequency: Mapping[int, float], edges: Sequence[int]
) -> tuple[AnyArray, IntArray]:
    """Give which clip holds which kind, bool [N, K], and the bucket of each kind, [K]; kinds outside are left out."""
    if len(values) != len(kinds):
        raise A2IBenchError(f"There are {len(values)} values for the kinds of {len(kinds)} clips: give one per clip.")
    every = sorted({kind for some in kinds for kind in some})
    for kind in every:
        if kind not in frequency or np.isnan(frequency[kind]):
            raise UndefinedError(f"it is not said how often the kind {kind} occurs in training")
    inside = [kind for kind in every if bucket_of(frequency[kind], edges) >= 0]
    member = np.array([[kind in some for kind in inside] for some in kinds], dtype=bool).reshape(
        len(kinds), len(inside)
    )
    return member, np.array([bucket_of(frequency[kind], edges) for kind in inside], dtype=np.int64)


def _macro(
    weights: FloatArray, values: FloatArray, member: AnyArray, place: IntArray, there: Sequence[int]
) -> FloatArray:
    """Average over clips, then over the kinds of each bucket, for each row of weights, [R, N]: [R, buckets]."""
    counts = weights @ member
    with np.errstate(invalid="ignore"):
        means = (weights @ (values[:, None] * member)) / counts  # NaN: no clip of that kind was drawn
    result = np.full((len(weights), len(there)), nan)
    for column, each in enumerate(there):
        of_bucket = means[:, place == each]
        found = ~np.isnan(of_bucket)
        some = found.any(axis=1)
        result[some, column] = np.where(found, of_bucket, 0.0)[some].sum(axis=1) / found[some].sum(axis=1)
    return result


def _interval(drawn: FloatArray, n: int, level: float) -> tuple[float, float]:
    drawn = drawn[~np.isnan(drawn)]
    if n < 2 or not len(drawn):
        return nan, nan
    wide = reach(level, n)
    low, high = np.quantile(drawn, [NORMAL.cdf(-wide), NORMAL.cdf(wide)])
    return float(low), float(high)


# ------------------------------------------------------------------------------------------- metrics of sets


def set_by_frequency(
    metric: Metric,
    features: Features,
    kinds: Sequence[Sequence[int]],
    frequency: Mapping[int, float],
    *,
    edges: Sequence[int] = EDGES,
    fewest: int = FEWEST,
) -> tuple[Bucket, ...]:
    """Give a metric of sets (FAD, IS) on the clips of each bucket alone, where they are enough.

    Such a metric moves with the number of clips: buckets of different `n` say little of one another.

    Parameters
    ----------
    metric
        With a statistic.
    features
        One row, or one array of rows, per clip under every key that the metric needs.
    kinds, frequency, edges
        As in :func:`by_frequency`.
    fewest
        Clips that a bucket needs; with fewer it has no value, and says so.

    """
    check_edges(edges)
    if metric.statistic is None:
        raise A2IBenchError(f"{metric.name} has values per clip: use by_frequency.")
    member, place = _membership(np.zeros(len(kinds)), kinds, frequency, edges)
    found = []
    for each, (low, high) in enumerate(zip(edges, (*edges[1:], inf), strict=True)):
        clips = np.flatnonzero(member[:, place == each].any(axis=1))
        of_kinds = int((place == each).sum())
        if not of_kinds:
            continue
        value, why = nan, ""
        if len(clips) < max(fewest, metric.least):
            why = f"too few clips: {len(clips)} of {max(fewest, metric.least)}"
        else:
            part = replace(
                features,
                arrays={key: features.per_clip(key)[clips] for key in metric.needs},
                labels=tuple(features.labels[i] for i in clips) if features.labels else (),
                clip_ids=tuple(features.clip_ids[i] for i in clips) if features.clip_ids else (),
                given=None,
            )
            value = metric.statistic(part).value
        found.append(Bucket(low, high, of_kinds, len(clips), value, (nan, nan), why))
    return tuple(found)


# --------------------------------------------------------------------------------------------- declarations

EVENTS = "events/events"


def known_kinds(rows: Features) -> tuple[list[list[int]], dict[int, float]]:
    """Read the kinds of each clip and how often each occurs in training from rows [k, 3]: kind, count, frequency.

    Raises
    ------
    UndefinedError
        If the rows do not say how often.

    """
    kinds: list[list[int]] = []
    frequency: dict[int, float] = {}
    for heard in rows.per_clip(EVENTS):
        if heard.ndim != 2 or heard.shape[1] < 3:
            raise UndefinedError("the suite does not say how often each kind occurs in training")
        kinds.append(sorted({int(kind) for kind in heard[:, 0]}))
        frequency |= {int(kind): float(often) for kind, _, often in heard[:, :3]}
    return kinds, frequency


def values_per_clip(metric: Metric, rows: Features) -> FloatArray:
    """Give a metric's values, [N], where a set of outputs may lack clips or hold several of each, as sets do.

    A clip's value is the mean over its outputs; one without an output has the metric's worst.
    """
    assert metric.per_clip is not None  # noqa: S101  for the type checker
    given = np.ones(len(rows), dtype=bool) if rows.given is None else rows.given
    outputs = [key for key in metric.needs if key.startswith("generated/")]
    depth = len(rows[outputs[0]]) // max(1, int(given.sum()))
    first = depth * np.maximum(np.cumsum(given) - 1, 0)
    views = [
        replace(rows, arrays={**rows.arrays, **{key: rows[key][first + index] for key in outputs}})
        for index in range(depth)
    ]
    values: FloatArray = np.mean([metric.per_clip(view) for view in views], axis=0)
    if not given.all():
        if metric.worst is None:
            raise UndefinedError("it has no worst value for a clip without an output")
        values[~given & ~np.isnan(values)] = metric.worst
    return values


def told(found: ByFrequency) -> dict[str, float]:
    """Write the buckets and the drops down as the numbers behind a score; `read_buckets` reads them."""
    extra: dict[str, float] = {}
    for bucket in found.buckets:
        low, high = bucket.interval
        parts = {"": bucket.value, " low": low, " high": high, " n": bucket.n, " kinds": bucket.kinds or nan}
        extra |= {f"{bucket.name}{part}": float(number) for part, number in parts.items() if number == number}
    for title, drop in (("drop", found.drop), ("unseen drop", found.unseen)):
        if drop is not None and drop.low == drop.low:
            extra |= {title: drop.value, f"{title} low": drop.low, f"{title} high": drop.high}
    return extra


def read_buckets(extra: Mapping[str, float], edges: Sequence[int]) -> tuple[Bucket, ...]:
    """Read the buckets that `told` wrote down: all of these edges, NaN and no clips where a bucket is not told of.

    Numbers that are none, or absurdly large, count as not told: a result may be a stranger's.

    Raises
    ------
    A2IBenchError
        If the edges do not rise.

    """
    check_edges(edges)

    def number(key: str) -> float:
        value = extra.get(key, nan)
        return value if abs(value) <= _LARGEST else nan

    def bucket(low: int, high: float) -> Bucket:
        name = Bucket(low, high, 0, 0, nan, (nan, nan)).name
        kinds, n = (max(0, int(x)) if (x := number(f"{name} {what}")) == x else 0 for what in ("kinds", "n"))
        ends = (number(f"{name} low"), number(f"{name} high"))
        return Bucket(low, high, kinds, n, number(name), ends if ends[0] <= ends[1] else (nan, nan))

    return tuple(bucket(low, high) for low, high in zip(edges, (*edges[1:], inf), strict=True))


def drop_metric(
    metric: Metric,
    suffix: str,
    edges: Sequence[int],
    buckets: Callable[[Features, FloatArray], ByFrequency],
    *,
    summary: str,
    over: str,
    drop: str,
    undefined: str,
) -> Metric:
    """Declare the drop of a per-clip metric from one end of some buckets to the other, with the buckets beside it.

    Parameters
    ----------
    metric
        The metric; the new one is called ``METRIC.suffix``.
    suffix, edges
        What it is called, and where its buckets begin.
    buckets
        Gives the buckets of the features and the metric's values, [N].
    summary, over, drop
        Its summary; what a bucket's score is a mean over, and from where to where it drops, for the signature.
    undefined
        Why there is no drop, where `buckets` finds none.

    """
    check_edges(edges)

    def statistic(rows: Features) -> SetStatistic:
        found = buckets(rows, values_per_clip(metric, rows))
        if found.drop is None:
            raise UndefinedError(undefined)
        return SetStatistic(found.drop.value, found.drop.stderr, told(found))

    return Metric(
        name=f"{metric.name}{'-' if '.' in metric.name else '.'}{suffix}",
        version=metric.version,
        needs=(*metric.needs, EVENTS),
        least=max(2, metric.least),
        summary=summary,
        higher_is_better=False,
        bounds=(-inf, inf),
        unit=metric.unit,
        digits=metric.digits,
        options={**metric.options, "edges": ",".join(map(str, edges)), "over": over, "drop": drop},
        statistic=statistic,
    )


def tail_metric(metric: Metric, edges: Sequence[int] = EDGES) -> Metric:
    """Declare the drop of a per-clip metric from its most frequent to its rarest kinds, with the buckets beside it."""

    def buckets(rows: Features, values: FloatArray) -> ByFrequency:
        kinds, frequency = known_kinds(rows)
        return by_frequency(values, kinds, frequency, edges=edges, higher_is_better=metric.higher_is_better)

    return drop_metric(
        metric, "tail", edges, buckets, over="kinds", drop="head-tail",
        summary=f"How much worse {metric.name} is for the rarest kinds than for the most frequent ones.",
        undefined="the clips' kinds are all in one bucket of frequency",
    )  # fmt: skip


DROPPING = tuple(
    metric
    for metric in (*clap.METRICS, *events.METRICS, *kl.METRICS)
    if metric.name in ("CLAP", "CLAP.win", "EVENTS", "KL")
)
"""The metrics whose drops are declared."""
METRICS = tuple(map(tail_metric, DROPPING))
