"""Intervals of scores and tests between methods, for any metric with per-clip values.

Clips are resampled, because they are what would change in another test set. Values are sorted before anything
is drawn, so the order of the clips changes nothing; NaN (a clip that has nothing to be compared with) is left
out. Where a clip has several images, give `clusters`: images of one clip are not independent.
"""

from collections.abc import Callable, Hashable, Sequence
from math import ceil, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray

SEED = 12345
NORMAL = NormalDist()
# Draws held at once: 8 MB as float64, which stays near the caches.
BLOCK_CELLS = 1_000_000

Clusters = Sequence[Hashable] | None


class Interval(NamedTuple):
    """A confidence interval, on the scale of the values."""

    low: float
    high: float


class Difference(NamedTuple):
    """The mean of ``a - b`` over the same clips, its interval, p-value, and the clips `a` won or lost."""

    difference: float
    low: float
    high: float
    p_value: float
    wins: int
    losses: int
    ties: int
    n: int


def _sums_and_counts(values: AnyArray, clusters: Clusters) -> tuple[FloatArray, FloatArray]:
    """Sum and number of values in each cluster (by default, each value is its own), in a canonical order."""
    if values.ndim != 1 or np.isinf(values).any():
        raise A2IBenchError(f"Per-clip values must be finite and one-dimensional; found the shape {values.shape}.")
    if clusters is not None and len(clusters) != len(values):
        raise A2IBenchError(f"There are {len(clusters)} cluster names for {len(values)} values: give one per value.")
    kept = ~np.isnan(values)
    if not kept.any():
        raise A2IBenchError(f"None of the {len(values)} per-clip values is a number: there is nothing to average.")
    sums = values[kept].astype(np.float64)
    if clusters is None:
        return np.sort(sums), np.ones(len(sums))
    place = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    member = np.array([place[name] for name in clusters])[kept]
    ordered = np.lexsort((sums, member))  # Equal clusters add up in an equal order, to equal bits.
    totals = np.bincount(member[ordered], weights=sums[ordered])
    counts = np.bincount(member).astype(np.float64)
    order = np.lexsort((counts, totals))
    order = order[counts[order] > 0]
    return totals[order].astype(np.float64), counts[order]


def check_level(level: float, resamples: int) -> None:
    """Raise A2IBenchError if `level` is not between 0 and 1, or there is nothing to draw."""
    if not 0 < level < 1 or resamples < 1:
        raise A2IBenchError(f"level={level} must lie between 0 and 1, and resamples={resamples} be positive.")


def resampled(draw: Callable[[int], FloatArray], resamples: int, width: int) -> FloatArray:
    """Draw `resamples` times, each over `width` cells, in blocks that fit the caches."""
    step = max(1, BLOCK_CELLS // width)
    return np.concatenate([draw(min(step, resamples - start)) for start in range(0, resamples, step)])


def bootstrap_interval(
    values: AnyArray,
    *,
    clusters: Clusters = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = SEED,
) -> Interval:
    """Bootstrap interval of the mean over clips: BCa (Efron 1987), or percentile over clusters.

    With few clips both are widened to the tails of t (Hesterberg 2015), since resampled means spread too little.

    Parameters
    ----------
    values
        Per-clip values, [N].
    clusters
        The clip of each value, [N], where clips have several values; whole clusters are then drawn.
    level
        Coverage.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    The interval. Values that are all equal give that value twice: they hold no information about spread (for
    a share of 0 or 100 % see :func:`wilson_interval`).

    Raises
    ------
    A2IBenchError
        If there is no value, one is infinite, or an argument is out of range.

    """
    check_level(level, resamples)
    sums, counts = _sums_and_counts(values, clusters)
    means = sums / counts
    if means[0] == means[-1] and (means == means[0]).all():
        return Interval(float(means[0]), float(means[0]))
    n, rng = len(sums), np.random.default_rng(seed)

    def draw(size: int) -> FloatArray:
        chosen = rng.integers(0, n, size=(size, n), dtype=np.int32)
        total: FloatArray = sums.take(chosen).sum(axis=1)
        return total / (n if clusters is None else counts.take(chosen).sum(axis=1))

    drawn = resampled(draw, resamples, n)
    if clusters is None:
        return bca_interval(drawn, sums, level)
    wide = reach(level, n)
    low, high = np.quantile(drawn, [NORMAL.cdf(-wide), NORMAL.cdf(wide)])
    return Interval(float(low), float(high))


def reach(level: float, n: int) -> float:
    """How many standard errors an interval reaches to each side, from `n` draws.

    Resampled means spread too little, by the factor sqrt((n - 1) / n), and as if the spread were known; with few
    clips the interval then holds less than it says. Hesterberg (2015, "What teachers should know about the
    bootstrap", The American Statistician 69(4)) widens the tails to those of t: by 3 % at 60 clips.
    """
    from scipy.special import stdtrit

    return sqrt(n / (n - 1)) * float(stdtrit(n - 1, (1 + level) / 2))


def bca_interval(drawn: FloatArray, values: FloatArray, level: float = 0.95) -> Interval:
    """BCa interval (Efron 1987) of the mean of `values`, [N], not all equal, from its resampled means, [R].

    Its tails are widened where N is small: see `bootstrap_interval`.
    """
    # Bias (z0) and acceleration shift the percentiles; for a mean both have a closed form.
    mean, resamples = values.mean(), len(drawn)
    # A draw that is the mean but for rounding counts one half, whichever way it was rounded.
    slack = 1e-12 * (values.max() - values.min())
    below = (np.count_nonzero(drawn < mean - slack) + np.count_nonzero(drawn <= mean + slack)) / (2 * resamples)
    z0 = NORMAL.inv_cdf(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples))
    apart = values - mean
    squares = apart * apart
    acceleration = (squares * apart).sum() / (6 * squares.sum() ** 1.5)
    wide = reach(level, len(values))
    z = (z0 - wide, z0 + wide)
    low, high = np.quantile(drawn, [NORMAL.cdf(z0 + part / (1 - acceleration * part)) for part in z])
    return Interval(float(low), float(high))


def wilson_interval(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Wilson's interval (1927) of a share, **in per cent** like the scores; sound at 0 and 100 % too.

    Where observations are not independent, `n` is how many independent ones they are worth: not always a whole number.

    Raises
    ------
    A2IBenchError
        Unless ``0 <= successes <= n`` and ``n > 0``.

    """
    check_level(level, 1)
    if not 0 <= successes <= n or n == 0:
        raise A2IBenchError(f"{successes} successes among {n} is no share: they must lie between 0 and n > 0.")
    z = NORMAL.inv_cdf((1 + level) / 2)
    centre = (successes + z * z / 2) / (n + z * z)
    half = z * sqrt(successes * (n - successes) / n + z * z / 4) / (n + z * z)
    return Interval(100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0))


def sign_flip_p(sums: FloatArray, resamples: int, seed: int) -> float:
    """Two-sided p-value of "the sign of each difference is a coin toss"; exact where that is no dearer."""
    # Only the sizes matter under the coin; with the signs left out, (a, b) and (b, a) get one p-value.
    sizes = np.sort(np.abs(sums[sums != 0]))
    n, observed = len(sizes), abs(float(sums.sum()))
    if not n:
        return 1.0
    exact = n < 63 and 2**n <= resamples
    if exact:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        flipped = 2.0 * (bits @ sizes) - sizes.sum()
    else:
        rng = np.random.default_rng(seed)

        def draw(size: int) -> FloatArray:
            packed = rng.integers(0, 256, size=(size, -(-n // 8)), dtype=np.uint8)
            signed: FloatArray = np.unpackbits(packed, axis=1, count=n).astype(np.float64) @ sizes
            return signed

        flipped = 2.0 * resampled(draw, resamples, n) - sizes.sum()
    slack = 1e-12 * sizes.sum()  # The same sum, added up in another order, counts as equal.
    extreme = np.count_nonzero(np.abs(flipped) >= observed - slack)
    if exact:
        return float(extreme / 2**n)
    # The observed signs are one of the possible draws: without the + 1 a p-value could be 0, which is never
    # true.
    return (float(extreme) + 1) / (resamples + 1)


def paired_difference(
    a: AnyArray,
    b: AnyArray,
    *,
    clusters: Clusters = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = SEED,
) -> Difference:
    """Compare two methods on the same clips.

    Parameters
    ----------
    a, b
        Per-clip values of both, [N], in the same order of clips. A clip that is NaN in either is left out.
    clusters, level, resamples, seed
        As in :func:`bootstrap_interval`, which makes the interval of ``mean(a - b)``.

    Returns
    -------
    The difference with its interval, a two-sided p-value by sign flips (exact up to 13 differing clips, else
    ``(extreme + 1) / (resamples + 1)``), and how many values were won, lost and tied. Several comparisons
    need :func:`holm`.

    Raises
    ------
    A2IBenchError
        If the lengths differ or nothing is left to compare.

    """
    apart = _paired(a, b)
    sums, counts = _sums_and_counts(apart, clusters)
    low, high = bootstrap_interval(apart, clusters=clusters, level=level, resamples=resamples, seed=seed)
    wins, losses, ties = (int(np.count_nonzero(mask)) for mask in (apart > 0, apart < 0, apart == 0))
    p_value = sign_flip_p(sums, resamples, seed)
    return Difference(float(sums.sum() / counts.sum()), low, high, p_value, wins, losses, ties, wins + losses + ties)


def _paired(a: AnyArray, b: AnyArray) -> FloatArray:
    if a.shape != b.shape or a.ndim != 1:
        raise A2IBenchError(f"Values of shapes {a.shape} and {b.shape} can't be paired: give one of each per clip.")
    return a.astype(np.float64) - b.astype(np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being several (Holm 1979): each below `alpha` holds with all the others at once.

    Raises
    ------
    A2IBenchError
        If one is not between 0 and 1.

    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise A2IBenchError(f"p-values must lie between 0 and 1: {list(p_values)}.")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def clips_needed(a: AnyArray, b: AnyArray, *, power: float = 0.8, level: float = 0.95) -> int | None:
    """How many clips tell two methods apart, if they differ as these per-clip values, [N] each, do.

    The usual normal approximation for paired values: ``((z_level + z_power) sd / mean)²`` of ``a - b``.

    Returns
    -------
    At least 2, or None where the means are equal, which no number of clips tells apart.

    Raises
    ------
    A2IBenchError
        If there are fewer than two pairs, or `power` or `level` is not between 0 and 1.

    """
    check_level(level, 1)
    check_level(power, 1)
    apart, _ = _sums_and_counts(_paired(a, b), None)
    if len(apart) < 2:
        raise A2IBenchError("The spread of a difference needs two or more clips; found one.")
    mean = float(apart.mean())
    if mean == 0:
        return None
    z = NORMAL.inv_cdf((1 + level) / 2) + NORMAL.inv_cdf(power)
    return max(2, ceil((z * float(apart.std(ddof=1)) / mean) ** 2))
