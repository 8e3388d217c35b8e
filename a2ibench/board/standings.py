"""Who stands where in a column of a board: ranks as intervals, and who is told apart from whom."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isclose

import numpy as np

from a2ibench.board.load import Board, Entry
from a2ibench.errors import unknown
from a2ibench.results import Score
from a2ibench.results.pairs import NO_ERROR, Pair, by_clip, by_error


@dataclass(frozen=True)
class Standing:
    """Where a method stands in one column."""

    entry: Entry
    score: Score
    low: int | None = None
    """The best rank that the tests leave open; None where nothing is tested."""
    high: int | None = None
    """The worst."""
    letters: str = ""
    """Its tie groups: two methods share a letter if, and only if, they are not told apart."""
    best: bool = False
    """Whether it is the best and told apart from every other."""
    gap: Pair | None = None
    """How far it is from the first; None for the first itself."""

    @property
    def rank(self) -> str:
        """The rank as an interval: ``2–4``, ``1`` or ``–``."""
        if self.low is None or self.high is None:
            return "–"
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"


def standings(board: Board, metric: str) -> list[Standing]:
    """Rank the rows of one column, the best first.

    Metrics with per-clip values are compared in pairs, clip by clip; statistics of whole sets (FID, KID) by
    their standard errors, conservatively. Both with Holm's correction over all pairs of the column. A rank is
    an interval: 1 + the number of methods that are better to M - the number of those that are worse. Scores
    that come with neither (ratings by people), or with a standard error of 0 that are not those of the real
    images, are shown without a rank, below those that have one.

    Raises
    ------
    A2IBenchError
        If the board has no such column.

    """
    if metric not in board.columns:
        raise unknown("column", metric, board.columns)
    head = board.columns[metric]
    found = [Standing(entry, score) for entry in board.entries if (score := board.score(entry.result, metric))]
    sign = -1 if head.higher_is_better else 1
    found.sort(key=lambda each: (sign * each.score.value, each.entry.name.casefold(), each.entry.slug))
    paired = [each for each in found if metric in each.entry.values]
    real = head.value if board.sanity else None
    tested = paired or [each for each in found if _has_error(each.score, real)]
    ranked = dict(zip(map(id, tested), _ranked(metric, tested, -sign, bool(paired)), strict=True))
    return [*ranked.values(), *(each for each in found if id(each) not in ranked)]


def _has_error(score: Score, real: float | None) -> bool:
    """Whether a standard error says something: of a set with none, only that it is the real images themselves."""
    if score.stderr is None or score.low is not None:
        return False
    return score.stderr > NO_ERROR or (real is not None and isclose(score.value, real, rel_tol=1e-9, abs_tol=1e-6))


def _ranked(metric: str, tested: Sequence[Standing], sign: int, paired: bool) -> list[Standing]:
    """Give the standings of one column their ranks; `sign` is 1 where more is better."""
    if not tested:
        return []
    from a2ibench.metrics.ranks import letters, rank_intervals, who_is_better

    if paired:
        pairs = by_clip(np.stack([each.entry.values[metric] for each in tested], axis=1))
    else:
        pairs = by_error([each.score.value for each in tested], [each.score.stderr or 0.0 for each in tested])
    better = who_is_better(
        {place: sign * pair.difference for place, pair in pairs.items() if pair.told_apart}, len(tested)
    )
    ranks, groups = rank_intervals(better), letters(better | better.T)
    found = []
    for place, each in enumerate(tested):
        gap = pairs[0, place].turned if place else None
        best = place == 0 and len(tested) > 1 and bool(better[0, 1:].all())
        low, high = ranks[place]
        found.append(replace(each, low=low, high=high, letters=groups[place], best=best, gap=gap))
    return found
