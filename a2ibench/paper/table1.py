"""The paper's Table 1 beside ours: which of its orderings hold, and which numbers leave their bands."""

import tomllib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from a2ibench.results import Result, Score
from a2ibench.results.pairs import Pair, alike, of_results

PUBLISHED = Path(__file__).parents[1] / "published" / "audiotoken-table1.toml"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Band(_Model):
    """How far a number may lie from the one it is held to."""

    within: float
    """The largest difference, in the metric's unit."""
    reasons: tuple[str, ...] = ()
    """Codes of what may explain a larger one."""


class PaperRow(_Model):
    """One row of the published table."""

    method: str
    """Our name of the method."""
    name: str
    """The paper's name."""
    scores: dict[str, float]
    """The numbers that the paper gives, by metric."""
    human: tuple[float, float] | None = None
    """Mean and standard deviation of the human ratings, 1 to 5."""


class Published(_Model):
    """A published table, with the bands that ours are held to."""

    title: str
    source: str
    url: str
    suite: str
    """The suite in whose setting it was made."""
    better: dict[str, Literal["higher", "lower"]]
    rows: tuple[PaperRow, ...]
    reasons: dict[str, str]
    bands: dict[str, dict[str, Band]]
    recorded: dict[str, dict[str, dict[str, float]]] = {}
    """Our own numbers in other suites, by suite, method and metric: what a later version is held to."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Our names of the rows, in the paper's order."""
        return tuple(row.method for row in self.rows)

    def expected(self, suite: str) -> Mapping[str, Mapping[str, float]]:
        """Give the numbers that ours are held to in a suite, by method and metric."""
        if suite == self.suite:
            return {row.method: row.scores for row in self.rows}
        return self.recorded.get(suite, {})


def load_published(file: Path = PUBLISHED) -> Published:
    """Read a published table from its TOML file."""
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    rows = []
    for row in table.pop("rows"):
        fixed = {key: row.pop(key) for key in ("method", "name", "human") if key in row}
        rows.append({**fixed, "scores": row})
    return Published.model_validate({**table, "rows": rows})


Verdict = Literal["agrees", "agrees, not significantly", "tie", "differs, not significantly", "differs"]


class Ordering(_Model):
    """A pair of rows that the paper orders, and what ours say."""

    metric: str
    better: str
    """The method that is better in the paper."""
    worse: str
    paper: tuple[float, float]
    """The paper's numbers, the better first."""
    ours: tuple[float, float]
    """Ours, in the same order."""
    low: float
    """Of the 95 % interval of ours' difference, first minus second."""
    high: float
    p_value: float
    """Two-sided, Holm-corrected over all pairs of the metric that we have."""
    verdict: Verdict


class Check(_Model):
    """A number of ours against the one that it is held to."""

    method: str
    metric: str
    ours: float
    expected: float
    within: float
    holds: bool
    reasons: tuple[str, ...]


class Table1(_Model):
    """The whole reproduction, as ``table1.json`` keeps it."""

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

    def result(self, method: str) -> Result | None:
        """Give a row by the method's name."""
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
    """Put results beside the published table.

    Parameters
    ----------
    published
        The paper's numbers.
    suite, suite_id
        The suite's name, and with its version.
    results, sanity
        All on the same clips.
    absent
        Methods that can't be run, with the reason.
    whole
        Whether all of the suite's clips took part: else no number is held to a band.

    """
    by_method = {result.method: result for result in results}
    order = [by_method[method] for method in published.methods if method in by_method]
    return Table1(
        suite=suite_id,
        comparable=suite == published.suite,
        published=published,
        results=order,
        sanity=list(sanity),
        absent=dict(absent),
        orderings=orderings(published, order),
        checks=checks(published, suite, order) if whole else [],
    )


# ----------------------------------------------------------------------------------------------- comparing


def orderings(published: Published, results: Sequence[Result]) -> list[Ordering]:
    """Test every pair of rows that the paper orders, metric by metric.

    Left out are ties of the paper, and rows whose score has another signature than most (as where clips failed).
    """
    found = []
    for metric, direction in published.better.items():
        sign = 1 if direction == "higher" else -1
        ours = alike(metric, results)
        place = {result.method: index for index, result in enumerate(ours)}
        pairs = of_results(metric, ours) if len(ours) > 1 else {}
        rows = [row for row in published.rows if metric in row.scores and row.method in place]
        for one, other in combinations(rows, 2):
            if one.scores[metric] == other.scores[metric] or not pairs:
                continue
            first, second = sorted((one, other), key=lambda row: -sign * row.scores[metric])
            i, j = place[first.method], place[second.method]
            pair = pairs[i, j] if i < j else pairs[j, i].turned
            found.append(
                Ordering(
                    metric=metric,
                    better=first.method,
                    worse=second.method,
                    paper=(first.scores[metric], second.scores[metric]),
                    ours=(_score(ours[i], metric).value, _score(ours[j], metric).value),
                    low=pair.low,
                    high=pair.high,
                    p_value=pair.p_value,
                    verdict=_verdict(sign, pair),
                )
            )
    return found


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
