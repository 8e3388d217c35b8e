"""Compare every pair of many methods on the same clips; ranks as intervals, and tie groups.

The tests are those of :func:`~a2ibench.metrics.stats.paired_difference`, made fast enough for boards: the sign
flips come from one subgroup of all sign vectors, whose sums over all clips are a Walsh-Hadamard transform.
"""

from collections.abc import Mapping
from itertools import combinations
from math import erfc, sqrt
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, FloatArray
from a2ibench.metrics.stats import (
    BLOCK_CELLS,
    SEED,
    Difference,
    Interval,
    bca_interval,
    check_level,
    resampled,
    sign_flip_p,
)

# The subgroup has SIDE² = 65,536 sign vectors: p-values down to 1.5e-5, before the bound below takes over.
SIDE = 256
# Bentkus and Dzindzalieta (2015): P(S >= x) <= c P(normal >= x) for every weighted sum of random signs.
RADEMACHER = 1 / (2 * erfc(1))
# With so few clips that differ, all sign vectors are counted (2¹³ of them).
FEW = 13


def paired_differences(
    values: AnyArray, *, level: float = 0.95, resamples: int = 10_000, seed: int = SEED
) -> dict[tuple[int, int], Difference]:
    """Compare every pair of methods on the same clips.

    Parameters
    ----------
    values
        Per-clip values, [N clips, M methods]. A clip that is NaN for any of them is left out for all. Sort the
        clips by something fixed, as their ids: which clip meets which draw depends on the order.
    level, resamples, seed
        Of the bootstrap; its draws, and the sign flips, are the same ones for all pairs.

    Returns
    -------
    For each pair of columns i < j what :func:`~a2ibench.metrics.stats.paired_difference` gives of i against j:
    the difference i - j, its BCa interval, a two-sided p-value by sign flips. The p-value is exact up to 13
    clips that differ. Else the flips are 65,536 that form a group, so that the test is still exact in level
    (Koning and Hemerik 2024, Biometrika 111(2): any subgroup serves) and as precise as so many random ones. Where no
    flip but the identity reaches the observed sum, a bound of the true p-value is given, if it is lower
    (Bentkus and Dzindzalieta 2015, Bernoulli 21(2)). Several comparisons need
    :func:`~a2ibench.metrics.stats.holm`.

    Raises
    ------
    A2IBenchError
        If the values are not two-dimensional or not finite, or no clip has a value for all.

    """
    check_level(level, resamples)
    if values.ndim != 2 or np.isinf(values).any():
        raise A2IBenchError(f"Values must be finite and [clips, methods]; found the shape {values.shape}.")
    kept = values[~np.isnan(values).any(axis=1)].astype(np.float64)
    if not len(kept):
        raise A2IBenchError(f"None of the {len(values)} clips has a value for all methods: nothing can be compared.")
    columns = np.ascontiguousarray(kept.T)
    flipped, drawn = _flipped_sums(columns, seed), _drawn_means(kept, resamples, seed)
    sizes = np.abs(columns).sum(axis=1)
    found = {}
    for i, j in combinations(range(len(columns)), 2):
        apart = columns[i] - columns[j]
        wins, losses = int(np.count_nonzero(apart > 0)), int(np.count_nonzero(apart < 0))
        if wins + losses <= FEW:
            p_value = sign_flip_p(apart, 2**FEW, seed)
        else:
            slack = 1e-12 * float(sizes[i] + sizes[j])  # The same sum, added up in another order, counts as equal.
            p_value = _subgroup_p(apart, flipped[i] - flipped[j], slack)
        mean = float(apart.mean())
        interval = Interval(mean, mean)
        if apart.min() < apart.max():
            interval = bca_interval(drawn[:, i] - drawn[:, j], apart, level)
        found[i, j] = Difference(mean, *interval, p_value, wins, losses, len(apart) - wins - losses, len(apart))
    return found


def _flipped_sums(columns: FloatArray, seed: int) -> FloatArray:
    """Each method's sum over the clips under each sign vector of a subgroup: [M, N] to [M, SIDE²].

    Each clip gets a number c; under the vector g its sign is (-1)^(common bits of g and c). So clips are added
    up by number, and a two-sided Walsh-Hadamard transform gives all sums. The signs of two vectors are as
    independent as two random draws; the first clips get one bit each, so that few clips get all sign vectors.
    """
    methods, n = columns.shape
    number = np.asarray(np.random.default_rng(seed).integers(0, SIDE**2, size=n))
    bits = min(n, 2 * (SIDE.bit_length() - 1))
    number[:bits] = 2 ** np.arange(bits)
    walsh = np.ones((1, 1))
    while len(walsh) < SIDE:
        walsh = np.block([[walsh, walsh], [walsh, -walsh]])
    totals = np.stack([np.bincount(number, weights=column, minlength=SIDE**2) for column in columns])
    flipped: FloatArray = walsh @ totals.reshape(methods, SIDE, SIDE) @ walsh
    return flipped.reshape(methods, SIDE**2)


def _subgroup_p(apart: FloatArray, flipped: FloatArray, slack: float) -> float:
    observed = abs(float(apart.sum()))
    extreme = max(1, int(np.count_nonzero(np.abs(flipped) >= observed - slack)))  # The identity is one of them.
    p_value = extreme / len(flipped)
    if extreme > 1:
        return p_value
    # Only then: a p-value that took the lower of two everywhere would hold no level.
    bound = RADEMACHER * erfc(observed / sqrt(2 * float(apart @ apart)))
    return max(min(p_value, bound), float(np.finfo(np.float64).tiny))


def _drawn_means(values: FloatArray, resamples: int, seed: int) -> FloatArray:
    """Means over clips drawn with replacement, [R, M]; every method gets the same draws."""
    n, rng = len(values), np.random.default_rng(seed)

    def draw(size: int) -> FloatArray:
        chosen = rng.integers(0, n, size=(size, n), dtype=np.int64) + n * np.arange(size)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=size * n).reshape(size, n)
        means: FloatArray = counts.astype(np.float64) @ values / n
        return means

    return resampled(draw, resamples, min(n, BLOCK_CELLS))


def who_is_better(apart: Mapping[tuple[int, int], float], methods: int) -> NDArray[np.bool_]:
    """Make the table [M, M] of who is better than whom.

    Parameters
    ----------
    apart
        For each pair i, j that is told apart a number that is above 0 where i is the better one.
    methods
        M.

    """
    better = np.zeros((methods, methods), dtype=bool)
    for (i, j), sign in apart.items():
        better[i, j], better[j, i] = sign > 0, sign < 0
    return better


def rank_intervals(better: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Give the best and the worst rank of each method that the tests leave open.

    Parameters
    ----------
    better
        Whether method i is significantly better than method j, [M, M].

    Returns
    -------
    For each one more than the number of methods that are better, and M less those that are worse.

    """
    above, below = better.sum(axis=0), better.sum(axis=1)
    return [(1 + int(a), len(better) - int(b)) for a, b in zip(above, below, strict=True)]


def letters(differ: NDArray[np.bool_]) -> list[str]:
    """Tie groups as letters: two methods share one if, and only if, they are not told apart.

    Parameters
    ----------
    differ
        Whether methods i and j differ significantly, [M, M], symmetric, in the order of the table.

    Returns
    -------
    For each method its letters, as ``"ab"``: a to z, then a1, b1 and so on. Each group is a largest possible
    one; groups are chosen until every pair that is not told apart is in one (the display of Piepho 2004, by
    a greedy cover, which keeps the number of letters small without a promise that it is the smallest).

    """
    alike = ~differ
    methods = len(differ)
    groups: list[list[int]] = []
    shared = np.zeros_like(alike)
    for i in range(methods):
        for j in range(i, methods):
            if shared[i, j] or not alike[i, j]:
                continue
            group, open_ = sorted({i, j}), alike[i] & alike[j]
            for k in range(methods):
                if k not in group and open_[k]:
                    group.append(k)
                    open_ &= alike[k]
            shared[np.ix_(group, group)] = True
            groups.append(sorted(group))
    names = [_letter(place) for place in range(len(groups))]
    return ["".join(n for n, group in zip(names, sorted(groups), strict=True) if i in group) for i in range(methods)]


def _letter(place: int) -> str:
    turn, letter = divmod(place, len(ascii_lowercase))
    return ascii_lowercase[letter] + (str(turn) if turn else "")
