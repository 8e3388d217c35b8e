"""Table 1 as Markdown, CSV, LaTeX, and for the terminal."""

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING

from a2ibench.paper.table1 import Check, Table1, Verdict
from a2ibench.results import Result, Score
from a2ibench.results.pairs import alike
from a2ibench.show.fitting import Fitting
from a2ibench.show.numbers import format_p, format_score
from a2ibench.text import latex_text, markdown_text

if TYPE_CHECKING:
    from rich.console import Group

COLUMNS = ("AIC", "FID", "AIS", "IIS")
WITHIN_CLASS = ("AIS.same-class", "IIS.same-class")
"""Shown beside the paper's four: they tell what a sound says beyond its label."""
_PLURAL: dict[Verdict, str] = {
    "agrees": "agree",
    "agrees, not significantly": "agree but not significantly",
    "tie": "tie",
    "differs, not significantly": "differ but not significantly",
    "differs": "differ",
}


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
    for metric in table.published.better:
        apart = {id(result) for result in table.results} - {id(result) for result in alike(metric, table.results)}
        names = [r.method for r in table.results if id(r) in apart and any(s.metric == metric for s in r.scores)]
        if names:
            found.append(
                f"{', '.join(names)}: {metric} has another signature than most rows', and is compared with none."
            )
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
    lines += ["| " + " | ".join([markdown_text(name), *cells]) + " |" for name, _, cells in body(table)]
    lines += ["", "Score [95 % interval over clips], FID ± standard error.", ""]
    lines += [f"- {markdown_text(note)}" for note in footnotes(table)]
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
        lines.append(
            f"| {o.metric} | {o.better} | {o.worse} | {paper} | {ours} | {format_p(o.p_value)} | {o.verdict} |"
        )
    failed = [check for check in table.checks if not check.holds]
    lines += ["", "## Bands", "", _checked(table)]
    for check in failed:
        lines.append(f"- {_outside(table, check)}")
    lines += ["", "## Signatures", ""]
    signatures = dict.fromkeys(s.signature for r in table.results for s in r.scores if s.metric in dict(columns(table)))
    return "\n".join([*lines, *(f"- `{signature}`" for signature in signatures)]) + "\n"


def _checked(table: Table1) -> str:
    if not table.checks:
        return "No number is held to a band: this suite has none, or not all of its clips took part."
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
    marks = {"±": r"$\pm$", "†": r"$^\dagger$", "‡": r"$^\ddagger$"}
    return "".join(marks.get(sign, sign) for sign in latex_text(text))


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
        ours.add_column(head, justify="right", vertical="top", min_width=7, no_wrap=True)
    for index, (name, method, cells) in enumerate(body(table)):
        last = index == len(table.published.rows) - 1
        stacked = [cell.replace(" [", "\n[").replace(", ", ",\n").replace(" (", "\n(") for cell in cells]
        ours.add_row(Text(name), *(Text(cell) for cell in stacked), end_section=last, style="" if method else "dim")
    parts: list[Fitting | Text] = [Fitting(ours)]
    if not table.comparable:
        theirs = Table(box=box.SIMPLE_HEAD, title=f"The paper's numbers: NOT comparable with {table.suite}")
        theirs.title_justify = "left"
        theirs.add_column("method")
        for name in table.published.better:
            theirs.add_column(name, justify="right")
        for row in table.published.rows:
            cells = [f"{row.scores[name]:.2f}" if name in row.scores else "–" for name in table.published.better]
            theirs.add_row(row.name, *cells)
        parts.append(Fitting(theirs))
    differing = [ordering for ordering in table.orderings if ordering.verdict.startswith("differs")]
    parts.append(Text(summary(table)))
    for o in differing:
        parts.append(
            Text(
                f"  {o.metric}: the paper has {o.better} above {o.worse} ({o.paper[0]:.2f} / {o.paper[1]:.2f}); "
                f"ours {o.ours[0]:.2f} / {o.ours[1]:.2f}, p {format_p(o.p_value)}: {o.verdict}."
            )
        )
    parts.append(Text(_checked(table)))
    parts += [Text(note, style="dim") for note in footnotes(table)]
    return Group(*parts)
