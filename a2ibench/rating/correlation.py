"""Which automatic metric deserves trust? The rank correlation of each with the human ratings of the same images."""

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import FloatArray
from a2ibench.metrics.stats import SEED
from a2ibench.results import Result

RESAMPLES = 2000


class Correlation(BaseModel):
    """How one metric goes with the mean human rating of each image; positive where it agrees with people."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    metric: str
    """The metric."""
    rho: float
    """Spearman's rank correlation over all images."""
    low: float | None
    """The lower end of its 95 % interval, by a bootstrap over clips; none with fewer than three clips."""
    high: float | None
    """The upper end."""
    within: float | None
    """The mean over the methods of the correlation among the images of one method: what is left of `rho` when the
    metric can't profit from telling methods apart."""
    images: int
    """How many images."""
    signature: str
    """The metric's signature."""


def correlate(human: Mapping[str, Mapping[str, float]], results: Mapping[str, Result], clips: str) -> list[Correlation]:
    """Correlate each metric that has a value per clip with the human ratings.

    Parameters
    ----------
    human
        The mean rating of each image: by method, by clip id.
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
                "give the run whose images were rated, scored on all its clips."
            )
    if not results:
        return []
    signatures = [{score.metric: score.signature for score in result.scores} for result in results.values()]
    shared = set.intersection(*(set(one.items()) for one in signatures))
    found = []
    for metric, signature in sorted(shared):
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
