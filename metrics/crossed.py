"""The mean of ratings by several raters of several items, where both are samples of others (crossed random effects).

Ratings by one rater resemble each other, and so do ratings of one item. An interval that counts them as if they
were independent is far too narrow; one that resamples only the items, or only the raters, speaks for the very
raters, or items, of this study. Here both vary: value = mean + rater + item + rest.

The three variances are moment estimates that hold for any pattern of missing values (Gao and Owen 2017,
"Efficient moment calculations for variance components in large unbalanced crossed random effects models"); where
nothing is missing they are those of the two-way analysis of variance, and the test is Clark's quasi-F (1973). The
degrees of freedom are Satterthwaite's (1946). The coverage is simulated in benchmarks/ratings.py.
"""

from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray


class CrossedMean(NamedTuple):
    """A mean over raters and items with its uncertainty; see `crossed_mean`."""

    mean: float
    low: float | None
    high: float | None
    stderr: float | None
    df: float | None


def _moments(values: FloatArray) -> tuple[float, float] | None:
    """Squared standard error of the mean of [raters, items] and its degrees of freedom; None where there is none."""
    there = ~np.isnan(values)
    values, there = values[there.any(axis=1)], there[there.any(axis=1)]
    values, there = values[:, there.any(axis=0)], there[:, there.any(axis=0)]
    rows, columns = (there.sum(axis=axis).astype(np.float64) for axis in (1, 0))
    n, raters, items = float(there.sum()), len(rows), len(columns)
    # What is left of each variance in the total sum of squares about the mean.
    rater_share, item_share = n - (rows**2).sum() / n, n - (columns**2).sum() / n
    left = rater_share + item_share - n + 1
    if min(raters, items) < 2 or n <= max(raters, items) or left <= 1e-9 * n:
        return None
    within_rater = np.nansum((values - np.nanmean(values, axis=1, keepdims=True)) ** 2) / (n - raters)
    within_item = np.nansum((values - np.nanmean(values, axis=0, keepdims=True)) ** 2) / (n - items)
    total = np.nansum((values - np.nanmean(values)) ** 2)
    rest = max((rater_share * within_item + item_share * within_rater - total) / left, 0.0)
    # Each of the mean's three terms, as (mean squares / n) in a complete table.
    by_rater = max((within_item - rest) * (rows**2).sum() / n**2 + rest / n, 0.0)
    by_item = max((within_rater - rest) * (columns**2).sum() / n**2 + rest / n, 0.0)
    by_cell = rest / n
    # A sum that comes out below one of its own parts does so by chance.
    variance = max(by_rater + by_item - by_cell, by_rater, by_item, by_cell)
    if variance <= 1e-18 * max(1.0, float(np.nanmax(np.abs(values))) ** 2):
        return None
    df = variance**2 / (
        by_rater**2 / (n**2 / (rows**2).sum() - 1)
        + by_item**2 / (n**2 / (columns**2).sum() - 1)
        + by_cell**2 / max(n - raters - items + 1, 1.0)
    )
    return float(variance), float(max(df, 1.0))


def _check(values: AnyArray, level: float) -> FloatArray:
    if values.ndim != 2 or np.isinf(values).any() or np.isnan(values).all():
        raise A2IBenchError(
            f"Ratings must be finite, [raters, items], with NaN where one is missing, and not all missing; found the "
            f"shape {values.shape}."
        )
    if not 0 < level < 1:
        raise A2IBenchError(f"level={level} must lie between 0 and 1.")
    return values.astype(np.float64)


def crossed_mean(values: AnyArray, *, bounds: tuple[float, float] | None = None, level: float = 0.95) -> CrossedMean:
    """Average ratings, with an interval for other raters and other items than these.

    Parameters
    ----------
    values
        Ratings, [raters, items]; NaN where there is none.
    bounds
        The ends of the scale, as ``(1, 5)``. The interval is then made on the logit scale, so that it stays
        inside and is longer towards the middle; on a mean near an end that is what keeps its coverage.
    level
        Coverage.

    Returns
    -------
    Mean, interval, standard error and degrees of freedom. All but the mean are None where they can't be
    estimated: fewer than two raters or items, no rater with two items, or values that are all equal.

    Raises
    ------
    A2IBenchError
        If `values` is not [raters, items], is empty or infinite, leaves `bounds`, or `level` is out of range.

    """
    values = _check(values, level)
    mean = float(np.nanmean(values))
    if bounds is not None and not (bounds[0] <= np.nanmin(values) and np.nanmax(values) <= bounds[1]):
        raise A2IBenchError(f"Ratings must lie between {bounds[0]} and {bounds[1]}; found others.")
    found = _moments(values)
    if found is None:
        return CrossedMean(mean, None, None, None, None)
    variance, df = found
    from scipy.special import stdtrit

    half = float(stdtrit(df, (1 + level) / 2)) * sqrt(variance)
    if bounds is None:
        return CrossedMean(mean, mean - half, mean + half, sqrt(variance), df)
    start, end = bounds
    centre, half = log((mean - start) / (end - mean)), half * (end - start) / ((mean - start) * (end - mean))
    low, high = (start + (end - start) * _logistic(logit) for logit in (centre - half, centre + half))
    return CrossedMean(mean, low, high, sqrt(variance), df)


def _logistic(logit: float) -> float:
    return 1 / (1 + exp(-max(logit, -700.0)))


def crossed_p_value(values: AnyArray) -> float:
    """Two-sided p-value of "the mean is zero" for paired differences, [raters, items]; NaN where there is none.

    A t test with the standard error of :func:`crossed_mean` (Clark's quasi-F). It is never below
    ``2^(1 - m)``, m being the smaller number of raters and items: more than a coin toss for each of them
    the study can't show, however many answers there are.

    Returns
    -------
    Between 0 and 1; 1 where all differences are zero, or there are fewer than two raters or items.

    Raises
    ------
    A2IBenchError
        As :func:`crossed_mean`.

    """
    values = _check(values, 0.95)
    mean, units = float(np.nanmean(values)), min(int((~np.isnan(values)).any(axis=axis).sum()) for axis in (0, 1))
    if mean == 0 or units < 2:
        return 1.0
    least = 2.0 ** (1 - units)
    found = _moments(values)
    if found is None:  # Without any spread only the signs speak; else the pattern of missing values hides it.
        return least if np.nanmin(values) == np.nanmax(values) else 1.0
    from scipy.special import stdtr

    variance, df = found
    return min(1.0, max(least, 2 * float(stdtr(df, -abs(mean) / sqrt(variance)))))
