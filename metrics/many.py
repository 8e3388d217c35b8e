"""Scores by how many events a caption names: one, two, three or more. For any per-clip metric.

Of a column ``events`` of the clips (as ``3x2 5x1``: two events, one of them twice). A bucket's score is the mean over
its clips; a clip that names nothing is left out. ``CLAP.many`` and so on are how much worse captions of many events are
than those of one: the difference is taken in each of 2,000 draws of clips, as for `a2ibench.metrics.frequency`, and the
buckets stand beside it.
"""

from collections.abc import Sequence

from a2ibench.metrics.base import AnyArray, Features, FloatArray, Metric
from a2ibench.metrics.frequency import DROPPING, EVENTS, ByFrequency, Drop, by_frequency, check_edges, drop_metric

EDGES = (1, 2, 3)


def by_events(
    values: AnyArray,
    named: Sequence[AnyArray] | AnyArray,
    *,
    edges: Sequence[int] = EDGES,
    higher_is_better: bool = True,
) -> ByFrequency:
    """Average per-clip values over the clips of each bucket of the number of named events.

    Parameters
    ----------
    values
        Per-clip values, [N]; NaN is left out.
    named
        The events of each clip, [N] of [k, 2 or more]; only k counts.
    edges
        Of the buckets, rising; the last one has no upper end.
    higher_is_better
        Which way is worse, for the drop.

    Returns
    -------
    The buckets; `drop` is how much worse the last one is than the first, with their names in `tail` and `head`.

    Raises
    ------
    A2IBenchError
        If the lengths differ, or the edges do not rise.

    """
    check_edges(edges)
    # One kind for each bucket: so a mean over kinds is one over clips. What is many is frequent there: turned round.
    places = [[max((edge for edge in edges if edge <= len(each)), default=-1)] for each in named]
    worse = by_frequency(
        values, places, {edge: edge for edge in (-1, *edges)}, edges=edges, higher_is_better=not higher_is_better
    )
    buckets = tuple(bucket._replace(kinds=0) for bucket in worse.buckets)
    drop = worse.drop
    turned = drop and Drop(drop.tail, drop.head, drop.value, drop.low, drop.high, drop.stderr)
    return ByFrequency(buckets, turned, None)


def many_metric(metric: Metric, edges: Sequence[int] = EDGES) -> Metric:
    """Declare how much worse a per-clip metric is for captions of many events, with the buckets beside it."""

    def buckets(rows: Features, values: FloatArray) -> ByFrequency:
        return by_events(values, rows.per_clip(EVENTS), edges=edges, higher_is_better=metric.higher_is_better)

    return drop_metric(
        metric, "many", edges, buckets, over="clips", drop="few-many",
        summary=f"How much worse {metric.name} is for captions of many events than for those of one.",
        undefined="all captions name about as many events",
    )  # fmt: skip


METRICS = tuple(map(many_metric, DROPPING))
