"""KID, kernel Inception distance (arXiv 1801.01401): the unbiased companion of FID for few images.

The squared maximum mean discrepancy with the kernel ``k(x, y) = (x·y/d + 1)³``, over all images at once (the
usual hundred random subsets only add noise), unbiased, so that it may fall below zero, and **times 1000**.

``KID.subsets`` is the usual estimate, the mean over a hundred random subsets of a thousand: for corpora so large that
all pairs, whose number grows with the square, take hours. Which images are drawn hangs on the order of the clips' ids.
"""

from typing import NamedTuple

import numpy as np

from a2ibench.metrics.base import (
    AnyArray,
    Features,
    FloatArray,
    Metric,
    SetStatistic,
    UndefinedError,
    check_pair,
    feature_pair,
)
from a2ibench.metrics.winrate import BLOCK_CELLS

SCALE = 1000.0
SUBSETS, SUBSET, SEED = 100, 1000, 0


class KernelDistance(NamedTuple):
    """The squared discrepancy, and its standard error over the sampling of `x`."""

    value: float
    stderr: float


def _kernel(x: FloatArray, y: FloatArray) -> FloatArray:
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    result: FloatArray = base * base
    result *= base
    return result


def _blocks(rows: int, columns: int, block_cells: int) -> list[slice]:
    step = max(1, block_cells // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _within(x: FloatArray, block_cells: int) -> FloatArray:
    """Sum of the kernel of each row with all others, [N]; each pair is computed once."""
    sums = np.zeros(len(x))
    for block in _blocks(len(x), len(x), block_cells):
        k = _kernel(x[block], x[block.start :])
        size = len(k)
        np.fill_diagonal(k[:, :size], 0.0)
        sums[block] += k.sum(axis=1)
        sums[block.stop :] += k[:, size:].sum(axis=0)
    return sums


def polynomial_mmd(
    x: AnyArray, y: AnyArray, *, names: tuple[str, str] = ("x", "y"), block_cells: int = BLOCK_CELLS
) -> KernelDistance:
    """Unbiased squared MMD of two sets of features under the cubic kernel, not yet scaled.

    Parameters
    ----------
    x, y
        [N, d] with N ≥ 3 and [M, d] with M ≥ 2.
    names
        What they are called in an error.
    block_cells
        How many kernel values are held in memory at once.

    Returns
    -------
    The distance, 0 in expectation for equal distributions, and its delete-one jackknife standard error over
    `x`.

    Raises
    ------
    A2IBenchError
        If a set is too small or holds a number that is not finite, or if the numbers of features differ.

    """
    x, y = feature_pair(x, y, names, least=(3, 2))
    n, m = len(x), len(y)
    own = _within(x, block_cells)
    across = np.concatenate([_kernel(x[block], y).sum(axis=1) for block in _blocks(n, m, block_cells)])
    reference = _within(y, block_cells).sum() / (m * (m - 1))
    value = own.sum() / (n * (n - 1)) + reference - 2.0 * across.sum() / (n * m)
    # Row i takes its kernel values with it when it leaves: 2 own_i of the first sum and across_i of the last.
    without = (own.sum() - 2.0 * own) / ((n - 1) * (n - 2)) - 2.0 * (across.sum() - across) / ((n - 1) * m)
    stderr = np.sqrt((n - 1) * without.var())
    return KernelDistance(float(value), float(stderr))


def _kid(rows: Features) -> SetStatistic:
    names = ("generated/inception", "reference/inception")
    x, y = rows[names[0]], rows[names[1]]
    distance = polynomial_mmd(x, y, names=names)
    extra = {"n": float(len(x)), "m": float(len(y)), "d": float(x.shape[1])}
    return SetStatistic(SCALE * distance.value, SCALE * distance.stderr, extra)


def subset_mmd(
    x: AnyArray, y: AnyArray, *, subsets: int = SUBSETS, size: int = SUBSET, seed: int = SEED, names: tuple[str, str]
) -> KernelDistance:
    """Average the squared MMD over random subsets of both sets, drawn without replacement; not yet scaled.

    Parameters
    ----------
    x, y
        [N, d] with N ≥ 3 and [M, d] with M ≥ 2; of smaller sets than `size` each subset is all of them.
    subsets, size, seed
        How many are drawn, how large, and from which seed.
    names
        What they are called in an error.

    Returns
    -------
    The mean, and its standard error: the subsets' standard deviation over the root of how many of them N rows give
    that do not overlap (more of them know nothing more).

    """
    check_pair(x, y, names, least=(3, 2))
    rng = np.random.default_rng(seed)
    values = np.empty(subsets)
    for place in range(subsets):
        some = (np.sort(rng.choice(len(rows), min(size, len(rows)), replace=False)) for rows in (x, y))
        values[place] = polynomial_mmd(
            *(rows[kept] for rows, kept in zip((x, y), some, strict=True)), names=names
        ).value
    apart = min(subsets, max(1, len(x) // size))
    return KernelDistance(float(values.mean()), float(values.std(ddof=1) / np.sqrt(apart)))


def _kid_of_subsets(rows: Features) -> SetStatistic:
    names = ("generated/inception", "reference/inception")
    x, y = rows[names[0]], rows[names[1]]
    if len(x) < 2 * SUBSET or len(y) < 2 * SUBSET:
        raise UndefinedError(f"it needs {2 * SUBSET:,} images or more on both sides; KID takes all pairs of fewer.")
    distance = subset_mmd(x, y, names=names)
    extra = {"n": float(len(x)), "m": float(len(y)), "d": float(x.shape[1])}
    return SetStatistic(SCALE * distance.value, SCALE * distance.stderr, extra)


METRICS = (
    Metric(
        name="KID",
        version=1,
        needs=("generated/inception", "reference/inception"),
        least=3,
        summary="Unbiased kernel distance between the sets of generated and reference images.",
        higher_is_better=False,
        chance=None,
        bounds=(-float("inf"), float("inf")),
        unit="×10³",
        options={"kernel": "poly3", "scale": "1e3"},
        statistic=_kid,
    ),
    Metric(
        name="KID.subsets",
        version=1,
        needs=("generated/inception", "reference/inception"),
        least=3,
        summary="The mean KID of 100 random subsets of 1,000 images: for very many images.",
        higher_is_better=False,
        chance=None,
        bounds=(-float("inf"), float("inf")),
        unit="×10³",
        options={"kernel": "poly3", "scale": "1e3", "subsets": f"{SUBSETS}x{SUBSET}", "seed": str(SEED)},
        statistic=_kid_of_subsets,
    ),
)
