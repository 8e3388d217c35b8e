"""How far do raters agree? Krippendorff's alpha, for any number of raters and with missing ratings.

Written from the formulas in Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011) and Content Analysis,
chapter 11. Alpha is 1 where all agree, 0 where agreement is what chance gives, negative where it is less.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray
from a2ibench.metrics.stats import SEED, Interval

Level = Literal["nominal", "ordinal", "interval"]


def _coincidences(ratings: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Coincidence matrix of each unit, [units, V, V], and the V values that occur, in order."""
    if ratings.ndim != 2 or np.isinf(ratings).any():
        raise A2IBenchError(
            f"Ratings must be finite, [raters, units], with NaN where one is missing; found the shape {ratings.shape}."
        )
    there = ~np.isnan(ratings)
    # A unit with one rating can't be paired, and counts neither as agreement nor as chance.
    pairable = there & (there.sum(axis=0) > 1)
    if not pairable.any():
        raise A2IBenchError("No unit was rated twice: agreement needs two or more raters of the same unit.")
    values = np.unique(ratings[pairable])
    counts = ((ratings[:, :, None] == values) & pairable[:, :, None]).sum(axis=0).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    return pairs / np.maximum(counts.sum(axis=1) - 1, 1)[:, None, None], values.astype(np.float64)


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
    coincidences, values = _coincidences(ratings)
    names = list(range(ratings.shape[1])) if clusters is None else list(clusters)
    if len(names) != ratings.shape[1]:
        raise A2IBenchError(f"There are {len(names)} cluster names for {ratings.shape[1]} units: give one per unit.")
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    size = len(values)
    summed = np.zeros((len(place), size * size))
    np.add.at(summed, [place[name] for name in names], coincidences.reshape(-1, size * size))
    summed = summed[summed.any(axis=1)]
    if len(summed) < 2 or size < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(len(summed), np.full(len(summed), 1 / len(summed)), resamples)
    alphas = _alpha((drawn @ summed).reshape(-1, size, size), values, level)
    tails = np.nanquantile(alphas, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Interval(float(tails[0]), float(tails[1]))
