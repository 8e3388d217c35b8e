"""A paper's tables beside ours: which of its orderings hold, and which numbers leave their bands."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import ClassVar, Literal

from a2ibench.paper.published import Band as Band
from a2ibench.paper.published import Plain, Published
from a2ibench.paper.published import load_published as load_published
from a2ibench.results import Result, Score
from a2ibench.results.pairs import Pair, Pairs, alike, of_results

Verdict = Literal["agrees", "agrees, not significantly", "tie", "differs, not significantly", "differs"]


class Ordering(Plain):
    """A pair of rows whose order is expected, and what ours say."""

    metric: str
    better: str
    """The row that is better in the paper."""
    worse: str
    paper: tuple[float | str | None, float | str | None]
    """The paper's numbers, the better first; a text where not every digit is known, None where there is none."""
    ours: tuple[float, float]
    """Ours, in the same order."""
    low: float
    """Of the 95 % interval of ours' difference, first minus second."""
    high: float
    p_value: float
    """Two-sided, Holm-corrected over all pairs of the metric that we have."""
    verdict: Verdict


class Finding(Plain):
    """Which of some rows leads in a metric: no order was expected."""

    title: str
    metric: str
    leader: str
    second: str
    ours: tuple[float, float]
    """Their numbers."""
    p_value: float
    """Two-sided, Holm-corrected over all pairs of the metric that we have."""
    told_apart: bool


class Check(Plain):
    """A number of ours against the one that it is held to."""

    method: str
    metric: str
    ours: float
    expected: float
    within: float
    holds: bool
    reasons: tuple[str, ...]


class Table1(Plain):
    """The whole reproduction, as ``table1.json`` (or by another paper's name) keeps it."""

    LATER: ClassVar[tuple[str, ...]] = ("findings",)

    schema_version: Literal[1] = 1
    suite: str
    """The suite with its version."""
    comparable: bool
    """Whether the suite's setting is the paper's, so that numbers may stand side by side."""
    published: Published
    results: list[Result]
    """One per row that was run, in the paper's order."""
    sanity: list[Result]
    """Real and shuffled images, and what the suite's world can draw."""
    absent: dict[str, str]
    """The rows that can't be run, with the reason."""
    orderings: list[Ordering]
    checks: list[Check]
    findings: tuple[Finding, ...] = ()

    def result(self, method: str) -> Result | None:
        """Give a row by its key: the method's name, with the options that the row sets."""
        return next((result for result in self.results if result.method == method), None)


def build(
    published: Published,
    suite: str,
    suite_id: str,
    results: Sequence[Result],
    sanity: Sequence[Result],
    absent: Mapping[str, str],
    whole: bool = True,
) -> Table1:
    """Put results beside the published tables.

    Parameters
    ----------
    published
        The paper's numbers.
    suite, suite_id
        The suite's name, and with its version.
    results, sanity
        All on the same clips.
    absent
        Rows that can't be run, with the reason.
    whole
        Whether all of the suite's clips took part: else no number is held to a band.

    """
    by_method = {result.method: result for result in results}
    order = [by_method[key] for key in published.keys if key in by_method]
    beside = [result for result in sanity if any(result.method in claim.worse for claim in published.claims)]
    return Table1(
        suite=suite_id,
        comparable=suite == published.suite,
        published=published,
        results=order,
        sanity=list(sanity),
        absent=dict(absent),
        orderings=orderings(published, [*order, *beside]),
        checks=checks(published, suite, order) if whole else [],
        findings=tuple(findings(published, [*order, *beside])),
    )


# ----------------------------------------------------------------------------------------------- comparing


def orderings(published: Published, results: Sequence[Result]) -> list[Ordering]:
    """Test every pair of rows that the paper claims an order of, or else whose numbers it orders, metric by metric.

    Left out are ties of the paper, and rows whose score has another signature than most (as where clips failed).
    """
    found = []
    for metric in published.better:
        ours, pairs = _compared(metric, results)
        for better, worse in expected_pairs(published, metric):
            if better not in ours or worse not in ours or not pairs:
                continue
            first, second = ours[better], ours[worse]
            pair = _between(pairs, [*ours], better, worse)
            found.append(
                Ordering(
                    metric=metric,
                    better=better,
                    worse=worse,
                    paper=(published.printed(better, metric), published.printed(worse, metric)),
                    ours=(first.value, second.value),
                    low=pair.low,
                    high=pair.high,
                    p_value=pair.p_value,
                    verdict=_verdict(1 if first.higher_is_better else -1, pair),
                )
            )
    return found


def findings(published: Published, results: Sequence[Result]) -> list[Finding]:
    """Say which rows lead where the paper's question has no expected answer.

    Left out is a question of which fewer than two rows are there, or the same ones as of one before.
    """
    found: list[Finding] = []
    told: set[tuple[str, ...]] = set()
    for asked in published.findings:
        for metric in asked.metrics:
            ours, pairs = _compared(metric, results)
            rows = [key for key in asked.rows if key in ours]
            if len(rows) < 2 or not pairs or (metric, *rows) in told:
                continue
            told.add((metric, *rows))
            sign = 1 if ours[rows[0]].higher_is_better else -1
            leader, second = sorted(rows, key=lambda key: -sign * ours[key].value)[:2]
            pair = _between(pairs, [*ours], leader, second)
            found.append(
                Finding(
                    title=asked.title,
                    metric=metric,
                    leader=leader,
                    second=second,
                    ours=(ours[leader].value, ours[second].value),
                    p_value=pair.p_value,
                    told_apart=pair.told_apart,
                )
            )
    return found


def _compared(metric: str, results: Sequence[Result]) -> tuple[dict[str, Score], Pairs]:
    """Give the scores that may be compared, by row, and every pair of them by their places."""
    ours = alike(metric, results)
    return {each.method: _score(each, metric) for each in ours}, of_results(metric, ours) if len(ours) > 1 else {}


def _between(pairs: Pairs, keys: Sequence[str], first: str, second: str) -> Pair:
    i, j = keys.index(first), keys.index(second)
    return pairs[i, j] if i < j else pairs[j, i].turned


def expected_pairs(published: Published, metric: str) -> list[tuple[str, str]]:
    """Give the pairs of rows whose order is expected, the better first."""
    if published.claims:
        mine = [claim for claim in published.claims if metric in claim.metrics]
        return [(claim.better, worse) for claim in mine for worse in claim.worse]
    sign = 1 if published.better[metric] == "higher" else -1
    pairs = []
    for one, other in combinations([row for row in published.rows if row.method and metric in row.scores], 2):
        if one.scores[metric] != other.scores[metric]:
            first, second = sorted((one, other), key=lambda row: -sign * row.scores[metric])
            pairs.append((first.key, second.key))
    return pairs


def _verdict(sign: int, pair: Pair) -> Verdict:
    gain = sign * pair.difference
    if gain == 0:
        return "tie"
    if gain > 0:
        return "agrees" if pair.told_apart else "agrees, not significantly"
    return "differs" if pair.told_apart else "differs, not significantly"


def _score(result: Result, metric: str) -> Score:
    return next(score for score in result.scores if score.metric == metric)


def checks(published: Published, suite: str, results: Sequence[Result]) -> list[Check]:
    """Hold each number to its band: the paper's in its suite, our recorded ones in another."""
    bands, expected = published.bands.get(suite, {}), published.expected(suite)
    return [
        Check(
            method=result.method,
            metric=score.metric,
            ours=score.value,
            expected=wanted,
            within=band.within,
            holds=abs(score.value - wanted) <= band.within,
            reasons=band.reasons,
        )
        for result in results
        for score in result.scores
        if (band := bands.get(score.metric)) is not None
        and (wanted := expected.get(result.method, {}).get(score.metric)) is not None
    ]
