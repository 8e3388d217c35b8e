"""Which automatic metric deserves trust? How each goes with people: by rank over outputs, by order over methods."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import FloatArray
from a2ibench.metrics.stats import SEED, wilson_interval
from a2ibench.rating.findings import Correlation, Findings, Order
from a2ibench.results import HUMAN, Result

RESAMPLES = 2000


def orders(human: Findings, results: Mapping[str, Result]) -> list[Order]:
    """Compare how each metric orders the methods with how people do.

    The interval is Wilson's for half as many independent pairs as there are methods. Pairs share methods, so they
    are not independent; a mean over all pairs of k methods varies at most as one over k / 2 independent pairs does
    (Hoeffding 1948, "A class of statistics with asymptotically normal distribution", theorem 5.2).

    Parameters
    ----------
    human
        What people found.
    results
        The result of a method; its score is the whole run's, as on a board.

    Returns
    -------
    One for each metric that all results have with one signature, the highest first; none with fewer than two methods.

    """
    means = {row.method: row.mean for row in human.methods if not row.control and row.method in results}
    if len(means) < 2:
        return []
    told = {frozenset((pair.a, pair.b)) for pair in human.comparisons if pair.p_value < 0.05}
    found = []
    for metric, signature in _shared({method: results[method] for method in means}):
        scores = {
            method: score.value if score.higher_is_better else -score.value
            for method in means
            for score in results[method].scores
            if score.metric == metric
        }
        pairs = list(combinations(sorted(means), 2))
        right = {
            frozenset((a, b)): (1 + np.sign(means[a] - means[b]) * np.sign(scores[a] - scores[b])) / 2 for a, b in pairs
        }
        share = float(np.mean(list(right.values())))
        low, high = wilson_interval(share * len(means) / 2, len(means) / 2)
        found.append(
            Order(
                metric=metric,
                alike=100 * share,
                low=low,
                high=high,
                pairs=len(pairs),
                told=len(told & right.keys()),
                told_alike=float(sum(value for pair, value in right.items() if pair in told)),
                methods=len(means),
                signature=signature,
            )
        )
    return sorted(found, key=lambda one: (-one.alike, one.metric))


def _shared(results: Mapping[str, Result]) -> list[tuple[str, str]]:
    """The metrics, with their signatures, that all results have alike; not the ratings themselves."""
    signatures = [{score.metric: score.signature for score in result.scores} for result in results.values()]
    shared = set.intersection(*(set(one.items()) for one in signatures))
    return sorted(one for one in shared if one[0] != HUMAN)


def correlate(human: Mapping[str, Mapping[str, float]], results: Mapping[str, Result], clips: str) -> list[Correlation]:
    """Correlate each metric that has a value per clip with the human ratings.

    Parameters
    ----------
    human
        The mean rating of each output: by method, by clip id.
    results
        The result of a method.
    clips
        The digest of the clips that were rated.

    Returns
    -------
    One for each metric that all results have with one signature, the highest first; without those that do not
    vary.

    Raises
    ------
    A2IBenchError
        If a result is of other clips.

    """
    for method, result in results.items():
        if result.clips.digest != clips:
            raise A2IBenchError(
                f"The result of {method} is of other clips ({result.clips.name}, n={result.clips.n}) than the study; "
                "give the run whose outputs were rated, scored on all its clips."
            )
    if not results:
        return []
    found = []
    for metric, signature in _shared(results):
        table = {
            method: {clip: result.items.get(clip, {}).get(metric) for clip in human.get(method, {})}
            for method, result in results.items()
        }
        better = next(s for s in next(iter(results.values())).scores if s.metric == metric).higher_is_better
        one = _one(metric, signature, human, table, 1.0 if better else -1.0)
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda one: (-one.rho, one.metric))


def _one(
    metric: str,
    signature: str,
    human: Mapping[str, Mapping[str, float]],
    table: Mapping[str, Mapping[str, float | None]],
    sign: float,
) -> Correlation | None:
    clips = sorted({clip for row in table.values() for clip in row})
    given = np.array([[human[method].get(clip, np.nan) for clip in clips] for method in table])
    scored = np.array([[_or_nan(row.get(clip)) for clip in clips] for row in table.values()]) * sign
    there = ~np.isnan(given) & ~np.isnan(scored)
    given, scored = np.where(there, given, np.nan), np.where(there, scored, np.nan)
    rho = _spearman(given.ravel()[None], scored.ravel()[None])[0]
    if np.isnan(rho):
        return None
    low, high = None, None
    if there.any(axis=0).sum() >= 3:
        drawn = np.random.default_rng(SEED).integers(0, len(clips), (RESAMPLES, len(clips)))
        many = [array[:, drawn].transpose(1, 0, 2).reshape(RESAMPLES, -1) for array in (given, scored)]
        low, high = (float(end) for end in np.nanquantile(_spearman(*many), [0.025, 0.975]))
    within = _spearman(given, scored)
    return Correlation(
        metric=metric,
        rho=float(rho),
        low=low,
        high=high,
        within=None if np.isnan(within).all() else float(np.nanmean(within)),
        images=int(there.sum()),
        signature=signature,
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Spearman's correlation of each row, [rows]; NaN (missing in both) is left out; NaN where nothing varies."""
    from scipy.stats import rankdata

    ranks = [rankdata(array, axis=1, nan_policy="omit") for array in (x, y)]
    count = np.maximum((~np.isnan(x)).sum(axis=1, keepdims=True), 1)
    a, b = (rank - np.nansum(rank, axis=1, keepdims=True) / count for rank in ranks)
    spread = np.sqrt(np.nansum(a**2, axis=1) * np.nansum(b**2, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(spread > 0, np.nansum(a * b, axis=1) / spread, np.nan), dtype=np.float64)
