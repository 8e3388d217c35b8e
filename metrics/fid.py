"""FID, Fréchet Inception distance: how far the generated images are, as a set, from the real ones.

arXiv 1706.08500. ``|mu1 - mu2|² + tr S1 + tr S2 - 2 tr (S1 S2)^½`` of the features' means and covariances, in
float64, exact, and with nothing added to the diagonals (pytorch-fid's 1e-6 moves the result in the third
decimal).

The trace term needs no matrix square root: with roots ``F'F = S`` of both covariances it is the nuclear norm
of ``F1 F2'``. A root is the Cholesky factor; below as many images as features it is the centred features
themselves, which is exact where the covariance is singular and `sqrtm` goes astray, and as small as the set
of images.

FID falls with the number of images: compare only at equal N and print N.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import (
    AnyArray,
    Features,
    FloatArray,
    Metric,
    SetStatistic,
    check_pair,
    rows_and_counts,
)

_BLOCK = 32_768
"""Rows that are held in float64 at once: those of 200,000 images would take gigabytes, several times over."""


class _Gaussian(NamedTuple):
    """Mean [d] and a root [r, d] of the covariance; `full` tells whether the root is a Cholesky factor."""

    mean: FloatArray
    root: FloatArray
    full: bool

    def trace(self) -> float:
        return float((self.root * self.root).sum())


def _from_statistics(mean: FloatArray, covariance: FloatArray) -> _Gaussian:
    from scipy import linalg

    try:
        return _Gaussian(mean, linalg.cholesky(covariance, check_finite=False), full=True)
    except linalg.LinAlgError:
        # Singular, as with a feature that is never active: keep what has a positive variance.
        variances, axes = linalg.eigh(covariance, check_finite=False)
        kept = variances > max(variances[-1], 0.0) * len(variances) * np.finfo(float).eps
        return _Gaussian(mean, (axes[:, kept] * np.sqrt(variances[kept])).T, full=False)


def _wide(features: AnyArray) -> Iterator[FloatArray]:
    """Give the rows in float64, block by block."""
    for start in range(0, len(features), _BLOCK):
        yield features[start : start + _BLOCK].astype(np.float64)


def _from_features(features: AnyArray) -> _Gaussian:
    n, d = features.shape
    mean = features.astype(np.float64).mean(axis=0) if n <= _BLOCK else sum(x.sum(axis=0) for x in _wide(features)) / n
    roots = ((rows - mean) / np.sqrt(n - 1) for rows in _wide(features))
    if n <= d:
        return _Gaussian(mean, np.concatenate(list(roots)), full=False)
    covariance: FloatArray = sum(root.T @ root for root in roots)
    return _from_statistics(mean, covariance)


def _trace_term(one: _Gaussian, two: _Gaussian) -> float:
    from scipy import linalg

    product = one.root @ two.root.T
    if one.full and two.full:
        # Squares the condition number, which two regular covariances can bear, and is five times faster.
        squares = linalg.eigvalsh(product @ product.T, check_finite=False)
        return float(np.sqrt(np.maximum(squares, 0.0)).sum())
    return float(linalg.svdvals(product, check_finite=False).sum())


def _distance(one: _Gaussian, two: _Gaussian) -> float:
    shift = one.mean - two.mean
    value = float(shift @ shift) + one.trace() + two.trace() - 2.0 * _trace_term(one, two)
    return max(value, 0.0)  # Only rounding can bring it below: equal sets end within about 1e-12 of the traces.


def frechet_distance(x: AnyArray, y: AnyArray, *, names: tuple[str, str] = ("x", "y")) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features, [N, d] and [M, d]; 0 and up.

    Raises
    ------
    A2IBenchError
        If a set has fewer than two rows or one that is not finite, or if the numbers of features differ.

    """
    check_pair(x, y, names)
    return _distance(_from_features(x), _from_features(y))


def frechet_distance_from_statistics(mu1: AnyArray, s1: AnyArray, mu2: AnyArray, s2: AnyArray) -> float:
    """Fréchet distance from means, [d], and covariances, [d, d], as published reference statistics hold them.

    Raises
    ------
    A2IBenchError
        If the shapes disagree or a number is not finite.

    """
    arrays = [np.asarray(part, dtype=np.float64) for part in (mu1, s1, mu2, s2)]
    d = arrays[0].size
    if [part.shape for part in arrays] != [(d,), (d, d)] * 2:
        shapes = ", ".join(str(part.shape) for part in arrays)
        raise A2IBenchError(f"Means must be [d] and covariances [d, d] with one d; found {shapes}.")
    if not all(np.isfinite(part).all() for part in arrays):
        raise A2IBenchError("A mean or covariance holds a number that is not finite: compute the statistics again.")
    return _distance(_from_statistics(*arrays[:2]), _from_statistics(*arrays[2:]))


def frechet_influence(x: AnyArray, y: AnyArray, *, names: tuple[str, str] = ("x", "y")) -> FloatArray:
    """How much each row of `x` pulls the Fréchet distance up or down: the empirical influence function, [N].

    The derivative of the distance when the weight of one row grows, so the values sum to zero, and
    ``sqrt(sum(I²) / (N (N - 1)))`` is the infinitesimal-jackknife standard error over the sampling of `x`. (A
    percentile bootstrap would be wrong: repeated rows push FID upwards.)
    """
    check_pair(x, y, names)
    return _influence(x, _from_features(x), _from_features(y))


def _influence(x: AnyArray, one: _Gaussian, two: _Gaussian) -> FloatArray:
    from scipy import linalg

    product = one.root @ two.root.T
    if one.full and two.full:
        squares, axes = linalg.eigh(product.T @ product, check_finite=False)
        values = np.sqrt(np.maximum(squares, 0.0))
        cutoff = float(values[-1]) * np.sqrt(len(values) * np.finfo(float).eps)
    else:
        _, values, rows = linalg.svd(product, full_matrices=False, check_finite=False)
        axes, cutoff = rows.T, float(values.max(initial=0.0)) * max(product.shape) * np.finfo(float).eps
    # The optimal map from the one Gaussian to the other is T = P P': its pseudo-inverse root stays in the
    # range of the data, where reweighting the rows stays too.
    kept = values > cutoff
    p = two.root.T @ (axes[:, kept] / np.sqrt(values[kept]))
    spreads, shifts = [], []
    for rows in _wide(x):
        centred = rows - one.mean
        mapped = centred @ p
        spreads.append((centred * centred).sum(axis=1) - (mapped * mapped).sum(axis=1))
        shifts.append(2.0 * centred @ (one.mean - two.mean))
    spread = np.concatenate(spreads)
    spread = (spread - spread.mean()) * len(x) / (len(x) - 1)  # As the covariance divides by N - 1.
    influence: FloatArray = np.concatenate(shifts) + spread
    return influence


def frechet_statistic(rows: Features, names: tuple[str, str]) -> SetStatistic:
    """Measure the Fréchet distance between the features of two names, with its standard error.

    Several rows of one item (the windows of a sound) are not independent: their influences are summed before they
    are squared, and the items are what varies.

    Raises
    ------
    A2IBenchError
        As `frechet_distance`; or if fewer than two items have rows.

    """
    (x, counts), (y, _) = (rows_and_counts(rows[name], name) for name in names)
    check_pair(x, y, names)
    one, two = _from_features(x), _from_features(y)
    counts = counts[counts > 0]
    if len(counts) < 2:
        raise A2IBenchError(f"{names[0]!r} has rows of one item alone: a distance between sets needs two or more.")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    influence = np.add.reduceat(_influence(x, one, two), starts) * (len(counts) / len(x))
    return SetStatistic(
        value=_distance(one, two),
        stderr=float(np.sqrt((influence * influence).sum() / (len(counts) * (len(counts) - 1)))),
        extra={"n": float(len(x)), "m": float(len(y)), "d": float(x.shape[1])},
    )


METRICS = (
    Metric(
        name="FID",
        version=1,
        needs=("generated/inception", "reference/inception"),
        least=2,
        summary="Fréchet distance between the sets of generated and reference images.",
        higher_is_better=False,
        bounds=(0.0, float("inf")),
        unit="",
        digits=2,  # always: in a column 0.0462 would stand beside 1.84
        statistic=lambda rows: frechet_statistic(rows, ("generated/inception", "reference/inception")),
    ),
)
