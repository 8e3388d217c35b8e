"""What a group of raters found: the methods, their comparisons, and how far the raters agree."""

from itertools import combinations
from typing import Literal

import numpy as np

from a2ibench.metrics.base import FloatArray
from a2ibench.metrics.crossed import crossed_mean, crossed_p_value
from a2ibench.metrics.preferences import bradley_terry
from a2ibench.metrics.reliability import alpha_interval, krippendorff_alpha
from a2ibench.metrics.stats import SEED, holm, wilson_interval
from a2ibench.rating.findings import Alpha, Findings, MethodComparison, MethodRating
from a2ibench.rating.matrix import Matrix

RESAMPLES = 2000
_BLOCK_CELLS = 4_000_000


def findings(matrix: Matrix) -> Findings:
    """Work out what the raters of `matrix` found."""
    main = [index for index, _ in matrix.main]
    rows = [row for method in matrix.methods if (row := _row(matrix, method)) is not None]
    if not matrix.likert:
        rows = _with_strengths(matrix, rows)
    rows.sort(key=lambda row: (-row.mean, row.method))
    control = _row(matrix, matrix.real, kind="control")
    pairs = [pair for a, b in combinations([row.method for row in rows], 2) if (pair := _compare(matrix, a, b))]
    adjusted = holm([pair.p_value for pair in pairs])
    return Findings(
        raters=len(matrix.raters),
        raters_per_image=int((~np.isnan(matrix.values[:, main])).sum(axis=0).min()),
        methods=rows if control is None else [*rows, control],
        comparisons=[pair.model_copy(update={"p_value": p}) for pair, p in zip(pairs, adjusted, strict=True)],
        alpha=_alpha(matrix),
        wins={} if matrix.likert else _wins(matrix),
    )


def _row(matrix: Matrix, method: str, kind: str = "main") -> MethodRating | None:
    cells = matrix.cells(method, kind=kind)
    there = ~np.isnan(cells)
    if not there.any():
        return None
    places = [i for i, item in enumerate(matrix.items) if item.kind == kind and method in item.methods]
    n = int((~np.isnan(matrix.values[:, places])).sum())
    given = cells[there]
    if matrix.likert:
        mean, low, high, *_ = crossed_mean(cells, bounds=matrix.scale.bounds)
        histogram = matrix.scale.histogram(given)
    else:
        mean, low, high = _share(cells)
        histogram = _outcome_counts(matrix, places, method)
    return MethodRating(
        method=method,
        control=kind == "control",
        n=n,
        raters=int(there.any(axis=1).sum()),
        clips=int(there.any(axis=0).sum()),
        mean=mean,
        low=low,
        high=high,
        sd=float(given.std(ddof=1)) if matrix.likert and len(given) > 1 else None,
        median=float(np.median(given)) if matrix.likert else None,
        histogram=histogram,
    )


def _share(cells: FloatArray) -> tuple[float, float | None, float | None]:
    """A share in per cent with its interval; where nothing varies, Wilson's of the fewer of raters and clips."""
    mean, low, high, *_ = crossed_mean(cells, bounds=(0, 1))
    units = min(int((~np.isnan(cells)).any(axis=axis).sum()) for axis in (0, 1))
    if low is not None and high is not None:
        return 100 * mean, 100 * low, 100 * high
    if units < 2 or np.nanmin(cells) < np.nanmax(cells):
        return 100 * mean, None, None
    return 100 * mean, *wilson_interval(round(mean * units), units)


def _compare(matrix: Matrix, a: str, b: str) -> MethodComparison | None:
    if not matrix.likert:
        cells = matrix.cells(a, against=b)
        if np.isnan(cells).all():
            return None
        value, low, high = _share(cells)
        p = crossed_p_value(cells - 0.5)
    else:
        cells = matrix.cells(a) - matrix.cells(b)
        if np.isnan(cells).all():
            return None
        value, low, high, *_ = crossed_mean(cells)
        p = crossed_p_value(cells)
    n = int((~np.isnan(cells)).sum())
    return MethodComparison(a=a, b=b, value=value, low=low, high=high, p_value=p, n=n)


def _alpha(matrix: Matrix) -> Alpha:
    level: Literal["ordinal", "nominal", "interval"] = "nominal"
    if matrix.likert:
        level = "ordinal" if matrix.scale.step is not None else "interval"
    main = matrix.main
    values = matrix.values[:, [index for index, _ in main]]
    if (~np.isnan(values)).sum(axis=0).max() < 2:
        return Alpha(level=level, value=None)
    value = krippendorff_alpha(values, level=level)
    if np.isnan(value):
        return Alpha(level=level, value=None)
    interval = alpha_interval(values, level=level, clusters=[item.clip_id for _, item in main])
    low, high = interval or (None, None)
    return Alpha(level=level, value=value, low=low, high=high)


# -------------------------------------------------------------------------------------------------- pairwise


def _outcome_counts(matrix: Matrix, places: list[int], method: str) -> list[int]:
    """How many comparisons a method lost and won; lost, tied and won where anybody chose neither."""
    given = matrix.values[:, places]
    first = np.array([matrix.items[place].methods[0] == method for place in places], dtype=bool)
    own = np.where(first, given, 1 - given)
    outcomes = (0.0, 0.5, 1.0) if (matrix.values == 0.5).any() else (0.0, 1.0)
    return [int((own == outcome).sum()) for outcome in outcomes]


def _wins(matrix: Matrix) -> dict[str, dict[str, int]]:
    """How often each method was preferred to each other one; ties are nobody's win."""
    size = len(matrix.methods)
    total = np.zeros((size, size), dtype=np.int64)
    place = {method: index for index, method in enumerate(matrix.methods)}
    for index, item in matrix.main:
        first, second = (place[method] for method in item.methods)
        total[first, second] += int((matrix.values[:, index] == 1).sum())
        total[second, first] += int((matrix.values[:, index] == 0).sum())
    return {
        a: {b: int(count) for b, count in zip(matrix.methods, row, strict=True) if b != a}
        for a, row in zip(matrix.methods, total.tolist(), strict=True)
    }


def _with_strengths(matrix: Matrix, rows: list[MethodRating]) -> list[MethodRating]:
    """Add Bradley and Terry's strengths, with intervals by a bootstrap over raters and clips at once (Owen 2007).

    A tie is half a win for either side.
    """
    size = len(rows)
    place = {row.method: index for index, row in enumerate(rows)}
    main = [index for index, _ in matrix.main]
    who, which = np.nonzero(~np.isnan(matrix.values[:, main]))
    sides = np.array([[place.get(method, 0) for method in item.methods] for _, item in matrix.main])[which]
    clip = matrix.clip_places(main)[which]
    share = matrix.values[:, main][who, which]

    def wins(weights: FloatArray) -> FloatArray:
        """The wins, [resamples, methods, methods], where each answer counts so often, [resamples, answers]."""
        total = np.zeros((len(weights), size, size))
        for first, second in np.unique(sides, axis=0):
            met = (sides == (first, second)).all(axis=1)
            total[:, first, second] += weights[:, met] @ share[met]
            total[:, second, first] += weights[:, met] @ (1 - share[met])
        return total

    if not rows:
        return rows
    (won,) = wins(np.ones((1, len(share))))
    if not _all_met(won):
        return rows
    found = [{"strength": float(value)} for value in bradley_terry(won)]
    raters, clips = len(matrix.raters), len(matrix.clips)
    if min(raters, clips) > 1:
        rng = np.random.default_rng(SEED)
        drawn = [rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) for count in (raters, clips)]
        step = max(1, _BLOCK_CELLS // len(share))
        many = [
            wins((drawn[0][start : start + step, who] * drawn[1][start : start + step, clip]).astype(np.float64))
            for start in range(0, RESAMPLES, step)
        ]
        strengths = bradley_terry(np.concatenate(many))
        for one, low, high in zip(found, *np.quantile(strengths, [0.025, 0.975], axis=0).tolist(), strict=True):
            one |= {"strength_low": low, "strength_high": high}
    return [row.model_copy(update=update) for row, update in zip(rows, found, strict=True)]


def _all_met(wins: FloatArray) -> bool:
    """Whether all methods met, directly or through others; else strengths have no common scale."""
    met = (wins + wins.T > 0) | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins).bit_length()):
        met = met @ met
    return bool(met.all())
