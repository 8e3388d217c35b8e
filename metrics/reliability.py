"""Agreement of raters: Krippendorff's alpha, for any number of raters and with missing ratings.

Written from the formulas in Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011) and Content Analysis,
chapter 11. Alpha is 1 where all agree, 0 where agreement is what chance gives, negative where it is less.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray
from a2ibench.metrics.stats import SEED, Interval, resampled

Level = Literal["nominal", "ordinal", "interval"]


def _check(ratings: AnyArray) -> None:
    if ratings.ndim != 2 or np.isinf(ratings).any():
        raise A2IBenchError(
            f"Ratings must be finite, [raters, units], with NaN where one is missing; found the shape {ratings.shape}."
        )
    if not ((~np.isnan(ratings)).sum(axis=0) > 1).any():
        raise A2IBenchError("No unit was rated twice: agreement needs two or more raters of the same unit.")


def _coincidences(ratings: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Coincidence matrix of each unit, [units, V, V], and the V values that occur, in order."""
    there = ~np.isnan(ratings)
    # A unit with one rating can't be paired, and counts neither as agreement nor as chance.
    pairable = there & (there.sum(axis=0) > 1)
    values = np.unique(ratings[pairable])
    counts = ((ratings[:, :, None] == values) & pairable[:, :, None]).sum(axis=0).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    return pairs / np.maximum(counts.sum(axis=1) - 1, 1)[:, None, None], values.astype(np.float64)


def _sums(ratings: AnyArray) -> FloatArray:
    """What alpha of the level ``interval`` needs of each unit, [units, 4]: it never pairs values, of which a scale
    without steps has too many.

    The sum of squared distances within the unit, as coincidences count them; how many ratings; their sum and sum of
    squares about one origin. Units with a single rating are all zero.
    """
    there = ~np.isnan(ratings)
    there = there & (there.sum(axis=0) > 1)
    # About one of the values: equal ratings then have exactly no distance.
    values = np.where(there, ratings - ratings[there][0], 0.0)
    count, total, squares = there.sum(axis=0), values.sum(axis=0), (values**2).sum(axis=0)
    # About the unit's mean, since a difference of large squares would lose digits.
    apart = np.where(there, values - total / np.maximum(count, 1), 0.0)
    within = 2 * count * (apart**2).sum(axis=0) / np.maximum(count - 1, 1)
    within[np.ptp(np.where(there, values, total / np.maximum(count, 1)), axis=0) == 0] = 0.0
    return np.stack([within, count, total, squares], axis=1).astype(np.float64)


def _interval_alpha(sums: FloatArray) -> FloatArray:
    """Alpha of the level ``interval`` from added-up `_sums`, [..., 4]; NaN where only one value occurs."""
    within, n, total, squares = np.moveaxis(sums, -1, 0)
    expected = 2 * (n * squares - total**2) / (n * (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        vary = expected > 1e-12 * squares / n
        return np.asarray(np.where(vary, 1 - within / n / expected, np.nan), dtype=np.float64)


def _alpha(coincidences: FloatArray, values: FloatArray, level: Level) -> FloatArray:
    """Alpha of each coincidence matrix in [..., V, V]; NaN where only one value occurs."""
    totals = coincidences.sum(axis=-1)  # [..., V]
    n = totals.sum(axis=-1)
    if level == "nominal":
        distance: FloatArray = 1.0 - np.eye(len(values))
    elif level == "interval":
        distance = (values[:, None] - values) ** 2
    else:
        # How many ratings lie from one value to the other, both ends counted by half.
        middle = np.cumsum(totals, axis=-1) - totals / 2
        distance = (middle[..., :, None] - middle[..., None, :]) ** 2
    observed = (coincidences * distance).sum(axis=(-2, -1)) / n
    expected = (totals[..., :, None] * totals[..., None, :] * distance).sum(axis=(-2, -1)) / (n * (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan), dtype=np.float64)


def krippendorff_alpha(ratings: AnyArray, *, level: Level = "ordinal") -> float:
    """Krippendorff's alpha.

    Parameters
    ----------
    ratings
        [raters, units]; NaN where a rating is missing. Units with a single rating are left out.
    level
        What a difference weighs: ``nominal`` all alike, ``interval`` its square, ``ordinal`` the square of how
        many ratings lie between.

    Returns
    -------
    At most 1. NaN where all ratings are equal: without variation agreement says nothing.

    Raises
    ------
    A2IBenchError
        If `ratings` is not [raters, units], is infinite, or no unit has two ratings.

    """
    _check(ratings)
    if level == "interval":
        return float(_interval_alpha(_sums(ratings).sum(axis=0)))
    coincidences, values = _coincidences(ratings)
    return float(_alpha(coincidences.sum(axis=0), values, level))


def alpha_interval(
    ratings: AnyArray,
    *,
    level: Level = "ordinal",
    clusters: Sequence[Hashable] | None = None,
    coverage: float = 0.95,
    resamples: int = 2000,
    seed: int = SEED,
) -> Interval | None:
    """Percentile bootstrap interval of alpha over units, for these raters.

    Raters are not drawn: one who is drawn twice agrees with himself, which would raise alpha.

    Parameters
    ----------
    ratings, level
        As in :func:`krippendorff_alpha`.
    clusters
        What each unit belongs to, [units] (several images of one clip, say); whole clusters are then drawn.
    coverage, resamples, seed
        Of the bootstrap.

    Returns
    -------
    The interval, or None where there are fewer than two clusters or all ratings are equal.

    Raises
    ------
    A2IBenchError
        As :func:`krippendorff_alpha`, or if `clusters` has another length.

    """
    _check(ratings)
    names = list(range(ratings.shape[1])) if clusters is None else list(clusters)
    if len(names) != ratings.shape[1]:
        raise A2IBenchError(f"There are {len(names)} cluster names for {ratings.shape[1]} units: give one per unit.")
    if level == "interval":
        units = _sums(ratings)
        find = _interval_alpha
    else:
        coincidences, values = _coincidences(ratings)
        size = len(values)
        units = coincidences.reshape(-1, size * size)

        def find(sums: FloatArray) -> FloatArray:
            return _alpha(sums.reshape(-1, size, size), values, level)

    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    summed = np.zeros((len(place), units.shape[1]))
    np.add.at(summed, [place[name] for name in names], units)
    summed = summed[summed.any(axis=1)]
    if len(summed) < 2 or np.isnan(find(summed.sum(axis=0)[None])[0]):
        return None
    rng, chances = np.random.default_rng(seed), np.full(len(summed), 1 / len(summed))

    def draw(count: int) -> FloatArray:
        return find(rng.multinomial(len(summed), chances, count) @ summed)

    alphas = resampled(draw, resamples, len(summed))
    tails = np.nanquantile(alphas, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Interval(float(tails[0]), float(tails[1]))
