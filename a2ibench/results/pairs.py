"""Is A better than B? The one answer, for `compare`, boards and the paper's table. Pure: arrays in, pairs out.

What is decided here, once:

- **Metrics with values per clip** are tested in pairs by sign flips, and get a BCa interval
  (:func:`~a2ibench.metrics.ranks.paired_differences`). A clip without a value for any of the methods is left out.
- **Statistics of whole sets** (FID, KID) are tested by their standard errors, *added*: :func:`set_difference`.
- **No spread, no verdict.** Where neither error is above 1e-9, or no clip differs, nothing is known of the spread:
  p = 1, and the interval is the difference alone. p = 0 would call two numbers different because nobody measured
  how sure they are.
- **2,000 draws** for the interval of a difference. The verdict hangs on p and not on it; its ends are then known to
  2 % of its width (measured: 1.8 %; 0.9 % with 10,000), and a board of 50 methods on 15,000 clips stays fast.
- **Holm's correction over all pairs of one metric** among the methods that stand side by side. So an answer in one
  metric is the same whichever others are shown, and `compare`, a board and the table say the same of the same methods.
  Who picks among many metrics must correct for that himself.
- **Told apart** is p < 0.05 after the correction.
- **Only like with like.** Results are compared whose clips and whose signature of the metric are equal, and no others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import FloatArray
from a2ibench.metrics.ranks import paired_differences
from a2ibench.metrics.stats import NORMAL, Difference, holm
from a2ibench.results.result import Result

ALPHA = 0.05
"""The level at which two methods are told apart, after Holm's correction."""
RESAMPLES = 2_000
"""Draws for the interval of a difference."""
NO_ERROR = 1e-9
"""A standard error up to it is none: of two equal sets comes 1e-13."""


class Pair(NamedTuple):
    """Two methods in one metric; the difference is first minus second."""

    difference: float
    low: float
    """The lower end of the difference's 95 % interval."""
    high: float
    p_value: float
    """Two-sided, Holm-corrected over all pairs of the metric."""
    wins: int = 0
    """Clips on which the first is higher; 0 for a statistic of whole sets."""
    losses: int = 0
    ties: int = 0
    n: int = 0
    """Clips compared; 0 for a statistic of whole sets."""

    @property
    def told_apart(self) -> bool:
        """Whether the difference is significant."""
        return self.p_value < ALPHA

    @property
    def turned(self) -> "Pair":
        """The second against the first."""
        return Pair(-self.difference, -self.high, -self.low, self.p_value, self.losses, self.wins, self.ties, self.n)


Pairs = dict[tuple[int, int], Pair]
"""By the places i < j of two methods."""


def by_clip(values: FloatArray) -> Pairs:
    """Compare every pair of methods by their values per clip, [N clips, M methods], sorted by the clips' ids.

    Raises
    ------
    A2IBenchError
        If no clip has a value for all methods.

    """
    return _corrected(paired_differences(values, resamples=RESAMPLES))


def by_error(values: Sequence[float], errors: Sequence[float]) -> Pairs:
    """Compare every pair of statistics of whole sets, [M], by their standard errors, [M]."""
    return _corrected(
        {
            (i, j): set_difference(values[i], errors[i], values[j], errors[j])
            for i, j in combinations(range(len(values)), 2)
        }
    )


def set_difference(first: float, first_error: float, second: float, second_error: float) -> Pair:
    """Compare two statistics of whole sets (as FID) by their standard errors alone.

    How far the two errors go together is not known: both sets of images are of the same clips. The standard
    error of a difference is never above the sum of both (Cauchy and Schwarz), whatever that dependence, and
    the sum is taken here; the root of the sum of squares would hold for independent errors only, and for others say
    too much. So two 95 % intervals that do not overlap give p < 0.05. The test is conservative; it takes the
    statistics for normal and their errors for right.

    Returns
    -------
    The difference first - second, its 95 % interval and a p-value that is not corrected: 1 where there is no error at
    all, since then nothing is known of the spread.

    """
    difference, spread = first - second, first_error + second_error
    if max(first_error, second_error) <= NO_ERROR:
        return Pair(difference, difference, difference, 1.0)
    reach = NORMAL.inv_cdf(0.975) * spread
    return Pair(difference, difference - reach, difference + reach, erfc(abs(difference) / spread / sqrt(2)))


def _corrected(found: Mapping[tuple[int, int], Pair | Difference]) -> Pairs:
    adjusted = holm([pair.p_value for pair in found.values()])
    return {place: Pair(*pair)._replace(p_value=p) for (place, pair), p in zip(found.items(), adjusted, strict=True)}


def of_results(metric: str, results: Sequence[Result]) -> Pairs:
    """Compare every pair of results in one metric: by clip where all have values per clip, else by their errors.

    Returns
    -------
    Nothing where a result lacks the score, or both values per clip and a standard error.

    Raises
    ------
    A2IBenchError
        If their signatures or clips differ, or all have values per clip, and no clip has one in all of them.

    """
    protocols = {_protocol(metric, result) for result in results}
    if any(not signature for signature, _ in protocols):
        return {}
    if len(protocols) > 1:
        raise A2IBenchError(
            f"{_named(results)} have different signatures or clips in {metric}, so their difference means nothing; "
            "score all on the same clips with one version."
        )
    if all(has_values(metric, result) for result in results):
        return by_clip(clip_values(metric, results))
    scores = [next((score for score in result.scores if score.metric == metric), None) for result in results]
    known = [(score.value, score.stderr) for score in scores if score is not None and score.stderr is not None]
    if len(known) < len(results):
        return {}
    return by_error([value for value, _ in known], [error for _, error in known])


def alike(metric: str, results: Sequence[Result]) -> list[Result]:
    """Give those results that may be compared in a metric: of the protocol that most have, or of the first of several.

    What is left out has no such score, or one of another signature or of other clips.
    """
    known = [(_protocol(metric, result), result) for result in results]
    count = Counter(protocol for protocol, _ in known if protocol[0])
    most = next((protocol for protocol, _ in count.most_common(1)), None)
    return [result for protocol, result in known if protocol == most]


def _protocol(metric: str, result: Result) -> tuple[str, str]:
    """What must be equal in two results: the signature of a metric (empty where there is no score), and the clips."""
    return next((score.signature for score in result.scores if score.metric == metric), ""), result.clips.digest


def _named(results: Sequence[Result]) -> str:
    *others, last = [result.method for result in results]
    return f"{', '.join(others)} and {last}" if others else last


def has_values(metric: str, result: Result) -> bool:
    """Whether a result has values per clip of a metric."""
    return any(metric in item for item in result.items.values())


def clip_values(metric: str, results: Sequence[Result]) -> FloatArray:
    """Give the values of the clips that have one in every result, [clips, results], in the order of the clips' ids.

    Raises
    ------
    A2IBenchError
        If there is no such clip.

    """
    clips = sorted(set.intersection(*(set(result.items) for result in results)))
    rows = [[result.items[clip].get(metric) for result in results] for clip in clips]
    values = np.array(rows, dtype=np.float64).reshape(len(clips), len(results))
    kept: FloatArray = values[~np.isnan(values).any(axis=1)]
    if not len(kept):
        raise A2IBenchError(f"No clip has a {metric} in all of {_named(results)}; score them on the same clips.")
    return kept
