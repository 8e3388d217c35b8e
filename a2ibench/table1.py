"""The paper's Table 1 beside ours: which of its orderings hold, and which numbers leave their bands."""

import csv
import io
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from a2ibench.metrics.stats import NORMAL, holm, paired_difference
from a2ibench.report import escape_markdown, format_score
from a2ibench.results import Result, Score

if TYPE_CHECKING:
    from rich.console import Group

COLUMNS = ("AIC", "FID", "AIS", "IIS")
WITHIN_CLASS = ("AIS.same-class", "IIS.same-class")
"""Shown beside the paper's four: they tell what a sound says beyond its label."""
PUBLISHED = Path(__file__).parent / "published" / "audiotoken-table1.toml"
SIGNIFICANT = 0.05


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
_PLURAL: dict[Verdict, str] = {
    "agrees": "agree",
    "agrees, not significantly": "agree but not significantly",
    "tie": "tie",
    "differs, not significantly": "differ but not significantly",
    "differs": "differ",
}


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
    """Two-sided, Holm-corrected over all pairs and metrics of the table."""
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
        checks=checks(published, suite, order),
    )


# ----------------------------------------------------------------------------------------------- comparing


def orderings(published: Published, results: Sequence[Result]) -> list[Ordering]:
    """Test every pair of rows that the paper orders, metric by metric; ties of the paper are left out."""
    by_method = {result.method: result for result in results}
    found: list[dict[str, Any]] = []
    gains = []
    for metric, direction in published.better.items():
        sign = 1 if direction == "higher" else -1
        rows = [row for row in published.rows if metric in row.scores and row.method in by_method]
        for one, other in combinations(rows, 2):
            if one.scores[metric] == other.scores[metric]:
                continue
            first, second = sorted((one, other), key=lambda row: -sign * row.scores[metric])
            difference = _difference(by_method[first.method], by_method[second.method], metric)
            if difference is None:
                continue
            value, low, high, p_value = difference
            found.append(
                {
                    "metric": metric,
                    "better": first.method,
                    "worse": second.method,
                    "paper": (first.scores[metric], second.scores[metric]),
                    "ours": tuple(_score(by_method[row.method], metric).value for row in (first, second)),
                    "low": low,
                    "high": high,
                    "p_value": p_value,
                }
            )
            gains.append(sign * value)
    corrected = holm([entry["p_value"] for entry in found]) if found else []
    return [
        Ordering(**{**entry, "p_value": p, "verdict": _verdict(gain, p)})
        for entry, gain, p in zip(found, gains, corrected, strict=True)
    ]


def _verdict(gain: float, p_value: float) -> Verdict:
    if gain == 0:
        return "tie"
    if gain > 0:
        return "agrees" if p_value < SIGNIFICANT else "agrees, not significantly"
    return "differs" if p_value < SIGNIFICANT else "differs, not significantly"


def _score(result: Result, metric: str) -> Score:
    return next(score for score in result.scores if score.metric == metric)


def _difference(a: Result, b: Result, metric: str) -> tuple[float, float, float, float] | None:
    """Difference of two scores, with its interval and p-value; None where one has no such score.

    Metrics with values per clip are compared in pairs. Of a set statistic (FID) the two standard errors are
    taken as independent, though both use the same references: that errs on the side of "not significant".
    """
    there = [[score for score in result.scores if score.metric == metric] for result in (a, b)]
    if not all(there):
        return None
    (first,), (second,) = there
    columns = [[result.items.get(clip, {}).get(metric) for clip in sorted(a.items)] for result in (a, b)]
    left, right = (np.array([np.nan if v is None else v for v in column], dtype=np.float64) for column in columns)
    kept = ~(np.isnan(left) | np.isnan(right))
    if kept.any():
        pair = paired_difference(left[kept], right[kept])
        return pair.difference, pair.low, pair.high, pair.p_value
    if first.stderr is None or second.stderr is None:
        return None
    difference, error = first.value - second.value, sqrt(first.stderr**2 + second.stderr**2)
    if error == 0:
        return difference, difference, difference, 1.0 if difference == 0 else 0.0
    half = NORMAL.inv_cdf(0.975) * error
    return difference, difference - half, difference + half, 2 * NORMAL.cdf(-abs(difference) / error)


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


# ------------------------------------------------------------------------------------------------- writing


def columns(table: Table1) -> list[tuple[str, Score]]:
    """Give the columns that are shown: the paper's, then those within the class, each with a score of its kind."""
    every = [score for result in table.results for score in result.scores]
    first = {name: next((s for s in every if s.metric == name), None) for name in (*COLUMNS, *WITHIN_CLASS)}
    return [(name, score) for name, score in first.items() if score is not None]


def body(table: Table1) -> list[tuple[str, str, list[str]]]:
    """Give the rows: name, the method's own name, and a cell per column; last what is no method (shuffled images)."""
    names = [name for name, _ in columns(table)]
    rows = []
    for paper in table.published.rows:
        result = table.result(paper.method)
        if result is None:
            rows.append((paper.name, paper.method, ["–"] * len(names)))
            continue
        rows.append((_marked(paper.name, result), paper.method, [_cell(table, result, name) for name in names]))
    for result in table.sanity:
        if result.method != "real images" or table.result("reference") is None:
            rows.append((result.method, "", [_cell(table, result, name) for name in names]))
    return rows


def _marked(name: str, result: Result) -> str:
    marks = "†" * bool(result.licences) + "‡" * bool(result.missing)
    return f"{name}{marks}"


def _cell(table: Table1, result: Result, metric: str) -> str:
    score = next((score for score in result.scores if score.metric == metric), None)
    if score is None:
        return "–"
    paper = table.published.expected(table.published.suite).get(result.method, {}).get(metric)
    ours = format_score(score) if score.stderr is None else f"{score.value:.2f} ± {score.stderr:.2f}"
    return ours + (f" (paper: {paper:.2f})" if table.comparable and paper is not None else "")


def footnotes(table: Table1) -> list[str]:
    """Say what a reader must know: licences, missing images, absent rows, the suite's notes."""
    found = [f"† {licence}." for licence in dict.fromkeys(x for r in table.results for x in r.licences)]
    for result in table.results:
        for note in result.notes:
            sentence = f"{'‡ ' if result.missing else ''}{result.method}: {note}"
            if note not in table.sanity[0].notes:
                found.append(sentence)
    found += [f"{method} was not run: {reason}" for method, reason in table.absent.items()]
    return [*found, *table.sanity[0].notes]


def summary(table: Table1) -> str:
    """Count the orderings in a sentence."""
    if not table.orderings:
        return "No pair of rows was compared."
    counts = Counter(ordering.verdict for ordering in table.orderings)
    told = ", ".join(f"{counts[verdict]} {words}" for verdict, words in _PLURAL.items() if counts[verdict])
    return f"Of {len(table.orderings)} pairs of rows that the paper orders, {told}."


def to_markdown(table: Table1) -> str:
    """Write the table, the orderings and what belongs to them as GitHub Markdown."""
    n = table.results[0].clips.n if table.results else 0
    heads = [f"{name} {'↑' if score.higher_is_better else '↓'}" for name, score in columns(table)]
    lines = [f"# {table.published.title}, on {table.suite} ({n} clips)", ""]
    lines += ["| method | " + " | ".join(heads) + " |", "| :-- |" + " --: |" * len(heads)]
    lines += ["| " + " | ".join([escape_markdown(name), *cells]) + " |" for name, _, cells in body(table)]
    lines += ["", "Score [95 % interval over clips], FID ± standard error.", ""]
    lines += [f"- {escape_markdown(note)}" for note in footnotes(table)]
    if not table.comparable:
        names = list(table.published.better)
        lines += ["", f"## The paper's numbers: **not comparable** with {table.suite}", ""]
        lines += ["| method | " + " | ".join(names) + " | human |", "| :-- |" + " --: |" * (len(names) + 1)]
        for row in table.published.rows:
            cells = [f"{row.scores[name]:.2f}" if name in row.scores else "–" for name in names]
            human = "–" if row.human is None else f"{row.human[0]:.2f} ± {row.human[1]:.2f}"
            lines.append("| " + " | ".join([row.name, *cells, human]) + " |")
        lines += ["", f"{table.published.source}. <{table.published.url}>"]
    lines += ["", "## Do the paper's orderings hold?", "", summary(table), ""]
    lines += [
        "| metric | the paper: better | worse | paper | ours | p (Holm) | ours |",
        "| :-- | :-- | :-- | --: | --: | --: | :-- |",
    ]
    for o in table.orderings:
        paper, ours = (f"{a:.2f} / {b:.2f}" for a, b in (o.paper, o.ours))
        lines.append(f"| {o.metric} | {o.better} | {o.worse} | {paper} | {ours} | {_p(o.p_value)} | {o.verdict} |")
    failed = [check for check in table.checks if not check.holds]
    lines += ["", "## Bands", "", _checked(table)]
    for check in failed:
        lines.append(f"- {_outside(table, check)}")
    lines += ["", "## Signatures", ""]
    signatures = dict.fromkeys(s.signature for r in table.results for s in r.scores if s.metric in dict(columns(table)))
    return "\n".join([*lines, *(f"- `{signature}`" for signature in signatures)]) + "\n"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _checked(table: Table1) -> str:
    if not table.checks:
        return "No number of this suite is held to a band."
    held = sum(check.holds for check in table.checks)
    return f"{held} of {len(table.checks)} numbers lie in their bands (leaderboards/published/)."


def _outside(table: Table1, check: Check) -> str:
    reasons = "; ".join(f"{code}: {table.published.reasons[code]}" for code in check.reasons)
    return f"{check.method}, {check.metric}: {check.ours:.2f}, expected {check.expected:.2f} ± {check.within:g}." + (
        f" What may explain it: {reasons}" if reasons else ""
    )


def complaints(table: Table1) -> list[str]:
    """Name every number outside its band, in a sentence each."""
    return [_outside(table, check) for check in table.checks if not check.holds]


def to_csv(table: Table1) -> str:
    """Write every score as a line, at full precision, with the paper's number beside it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "metric", "value", "low", "high", "stderr", "n", "signature", "paper"])
    paper = {row.method: row.scores for row in table.published.rows}
    for result in (*table.results, *table.sanity):
        for s in result.scores:
            numbers = [s.value, s.low, s.high, s.stderr]
            shown = ["" if number is None else repr(number) for number in numbers]
            theirs = paper.get(result.method, {}).get(s.metric, "")
            writer.writerow([result.method, s.metric, *shown, s.n, s.signature, theirs])
    return text.getvalue()


def to_tex(table: Table1) -> str:
    """Write the table for LaTeX (booktabs)."""
    shown = columns(table)
    arrows = {True: r"$\uparrow$", False: r"$\downarrow$"}
    heads = [f"{name} {arrows[score.higher_is_better]}" for name, score in shown]
    lines = [
        f"% {table.published.title}, on {table.suite}, by a2ibench. Needs \\usepackage{{booktabs}}.",
        r"\begin{tabular}{l" + "r" * len(heads) + "}",
        r"\toprule",
        " & ".join(["Method", *heads]) + r" \\",
        r"\midrule",
    ]
    for index, (name, _, cells) in enumerate(body(table)):
        if index == len(table.published.rows):
            lines.append(r"\midrule")
        lines.append(" & ".join(_tex(cell) for cell in [name, *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [f"% {note}" for note in footnotes(table)]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    for sign, written in (("%", r"\%"), ("_", r"\_"), ("&", r"\&"), ("#", r"\#"), ("±", r"$\pm$"), ("–", "--"),
                          ("†", r"$^\dagger$"), ("‡", r"$^\ddagger$")):  # fmt: skip
        text = text.replace(sign, written)
    return text


def to_terminal(table: Table1) -> "Group":
    """Lay the table out for the terminal: ours, the paper's, the orderings in a sentence, the footnotes."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    n = table.results[0].clips.n if table.results else 0
    ours = Table(
        box=box.SIMPLE_HEAD,
        title=f"{table.published.title}, on {table.suite}, {n} clips",
        pad_edge=False,
        collapse_padding=True,
    )
    ours.title_justify = "left"
    ours.add_column("method", overflow="fold", min_width=12)
    for name, score in columns(table):
        head = f"{name} {'↑' if score.higher_is_better else '↓'}".replace(".", "\n").replace("-", "-\n")
        ours.add_column(head, justify="right", vertical="top", min_width=7)
    for index, (name, method, cells) in enumerate(body(table)):
        last = index == len(table.published.rows) - 1
        stacked = [cell.replace(" [", "\n[").replace(", ", ",\n").replace(" (", "\n(") for cell in cells]
        ours.add_row(Text(name), *(Text(cell) for cell in stacked), end_section=last, style="" if method else "dim")
    parts: list[Table | Text] = [ours]
    if not table.comparable:
        theirs = Table(box=box.SIMPLE_HEAD, title=f"The paper's numbers: NOT comparable with {table.suite}")
        theirs.title_justify = "left"
        theirs.add_column("method")
        for name in table.published.better:
            theirs.add_column(name, justify="right")
        for row in table.published.rows:
            cells = [f"{row.scores[name]:.2f}" if name in row.scores else "–" for name in table.published.better]
            theirs.add_row(row.name, *cells)
        parts.append(theirs)
    differing = [ordering for ordering in table.orderings if ordering.verdict.startswith("differs")]
    parts.append(Text(summary(table)))
    for o in differing:
        parts.append(
            Text(
                f"  {o.metric}: the paper has {o.better} above {o.worse} ({o.paper[0]:.2f} / {o.paper[1]:.2f}); "
                f"ours {o.ours[0]:.2f} / {o.ours[1]:.2f}, p {_p(o.p_value)}: {o.verdict}."
            )
        )
    parts.append(Text(_checked(table)))
    parts += [Text(note, style="dim") for note in footnotes(table)]
    return Group(*parts)
