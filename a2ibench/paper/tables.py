"""A reproduction as Markdown, CSV, LaTeX, and for the terminal."""

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING

from a2ibench.paper.published import PaperRow
from a2ibench.paper.table1 import Check, Finding, Table1, Verdict, expected_pairs
from a2ibench.results import Result, Score
from a2ibench.results.pairs import alike
from a2ibench.show.fitting import Fitting
from a2ibench.show.numbers import format_p, format_score
from a2ibench.tasks import get as get_task
from a2ibench.text import latex_text, markdown_text

if TYPE_CHECKING:
    from rich.console import Group

UNSURE = "A ? is a digit of the paper that is not known here: such numbers are shown, and nothing is held to them."
_PLURAL: dict[Verdict, str] = {
    "agrees": "agree",
    "agrees, not significantly": "agree but not significantly",
    "tie": "tie",
    "differs, not significantly": "differ but not significantly",
    "differs": "differ",
}


def columns(table: Table1) -> list[tuple[str, Score]]:
    """Give the columns that are shown: the paper's, then those beside them, each with a score of its kind."""
    every = [score for result in table.results for score in result.scores]
    shown = (*table.published.better, *table.published.beside)
    first = {name: next((s for s in every if s.metric == name), None) for name in shown}
    return [(name, score) for name, score in first.items() if score is not None]


def body(table: Table1) -> list[tuple[str, str, list[str]]]:
    """Give the rows: name, the row's key, and a cell per column; last what is no method (shuffled images)."""
    names = [name for name, _ in columns(table)]
    rows = []
    for paper in table.published.runnable:
        result = table.result(paper.key)
        if result is None:
            rows.append((_absent(paper), paper.key, ["–"] * len(names)))
            continue
        rows.append((_marked(paper.name, result), paper.key, [_cell(table, result, name) for name in names]))
    for result in table.sanity:
        if result.method != get_task(result.task).real or table.result("reference") is None:
            rows.append((result.method, "", [_cell(table, result, name) for name in names]))
    return rows


def _absent(row: PaperRow) -> str:
    return f"{row.name} (not in this suite)" if row.optional else row.name


def _marked(name: str, result: Result) -> str:
    marks = "†" * bool(result.licences) + "‡" * bool(result.missing)
    return f"{name}{marks}"


def _cell(table: Table1, result: Result, metric: str) -> str:
    score = next((score for score in result.scores if score.metric == metric), None)
    if score is None:
        return "–"
    paper = table.published.printed(result.method, metric)
    ours = format_score(score) if score.stderr is None else f"{score.value:.2f} ± {score.stderr:.2f}"
    return ours + (f" (paper: {_number(paper)})" if table.comparable and paper is not None else "")


def _number(number: float | str | None) -> str:
    """Write a number of the paper; one of which not every digit is known is a text."""
    return "–" if number is None else number if isinstance(number, str) else f"{number:.2f}"


def printed(table: Table1) -> tuple[list[str], list[list[str]]]:
    """Give the paper's own tables, as far as their digits are known: the columns, and the rows with their names."""
    published = table.published
    rows = []
    for row in published.rows:
        numbers = [row.printed(name) for name in published.printed_columns]
        if any(number is not None for number in numbers):
            name = f"{row.table}: {row.name}" if row.table else row.name
            rows.append([name, *map(_number, numbers)])
    return list(published.printed_columns), rows


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
    if not table.published.claims:
        return f"Of {len(table.orderings)} pairs of rows that the paper orders, {told}."
    expected = sum(len(expected_pairs(table.published, metric)) for metric in table.published.better)
    lost = expected - len(table.orderings)
    more = f" {lost} more can't be tested here: a row or its score is absent." if lost else ""
    return f"Of {len(table.orderings)} pairs of rows whose order is expected, {told}.{more}"


def found(finding: Finding) -> str:
    """Say in a sentence which row leads."""
    first, second = finding.ours
    sure = "told apart" if finding.told_apart else "not told apart"
    return (
        f"{finding.title}, {finding.metric}: {finding.leader} with {first:.2f}, before {finding.second} with "
        f"{second:.2f} (p {format_p(finding.p_value)}, {sure})."
    )


def to_markdown(table: Table1) -> str:
    """Write the table, the orderings and what belongs to them as GitHub Markdown."""
    n = table.results[0].clips.n if table.results else 0
    heads = [f"{name} {'↑' if score.higher_is_better else '↓'}" for name, score in columns(table)]
    lines = [f"# {table.published.title}, on {table.suite} ({n} clips)", ""]
    lines += ["| method | " + " | ".join(heads) + " |", "| :-- |" + " --: |" * len(heads)]
    lines += ["| " + " | ".join([markdown_text(name), *cells]) + " |" for name, _, cells in body(table)]
    of_sets = [name for name in table.published.better if (score := dict(columns(table)).get(name)) and score.stderr]
    lines += ["", f"Score [95 % interval over clips], {', '.join(of_sets) or 'FID'} ± standard error.", ""]
    lines += [f"- {markdown_text(note)}" for note in footnotes(table)]
    if not table.comparable or table.published.people:
        lines += _of_the_paper(table)
    whose, who = ("expected", "expected") if table.published.claims else ("paper's", "the paper")
    lines += ["", f"## Do the {whose} orderings hold?", "", summary(table), ""]
    lines += [
        f"| metric | {who}: better | worse | paper | ours | p (Holm) | ours |",
        "| :-- | :-- | :-- | --: | --: | --: | :-- |",
    ]
    for o in table.orderings:
        paper, ours = " / ".join(map(_number, o.paper)), f"{o.ours[0]:.2f} / {o.ours[1]:.2f}"
        lines.append(
            f"| {o.metric} | {o.better} | {o.worse} | {paper} | {ours} | {format_p(o.p_value)} | {o.verdict} |"
        )
    if table.findings:
        lines += ["", "## What was open", "", *(f"- {markdown_text(found(each))}" for each in table.findings)]
    failed = [check for check in table.checks if not check.holds]
    lines += ["", "## Bands", "", _checked(table)]
    for check in failed:
        lines.append(f"- {_outside(table, check)}")
    lines += ["", "## Signatures", ""]
    signatures = dict.fromkeys(s.signature for r in table.results for s in r.scores if s.metric in dict(columns(table)))
    return "\n".join([*lines, *(f"- `{signature}`" for signature in signatures)]) + "\n"


def _of_the_paper(table: Table1) -> list[str]:
    names, rows = printed(table)
    people = {row.name: row.human for row in table.published.rows if row.human is not None}
    heads = [*names, *(["human"] if people else [])]
    told = "" if table.comparable else f": **not comparable** with {table.suite}"
    lines = ["", f"## The paper's numbers{told}", ""]
    lines += ["| method | " + " | ".join(heads) + " |", "| :-- |" + " --: |" * len(heads)]
    for cells in rows:
        human = people.get(cells[0])
        if people:
            cells = [*cells, "–" if human is None else f"{human[0]:.2f} ± {human[1]:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    if any(row.unsure for row in table.published.rows):
        lines += ["", f"{UNSURE}"]
    return [*lines, "", f"{table.published.source}. <{table.published.url}>"]


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
    for result in (*table.results, *table.sanity):
        for s in result.scores:
            numbers = [s.value, s.low, s.high, s.stderr]
            shown = ["" if number is None else repr(number) for number in numbers]
            paper = table.published.printed(result.method, s.metric)
            theirs = "" if paper is None else paper
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
        if index == len(table.published.runnable):
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
        last = index == len(table.published.runnable) - 1
        stacked = [cell.replace(" [", "\n[").replace(", ", ",\n").replace(" (", "\n(") for cell in cells]
        ours.add_row(Text(name), *(Text(cell) for cell in stacked), end_section=last, style="" if method else "dim")
    parts: list[Fitting | Text] = [Fitting(ours)]
    if not table.comparable or table.published.people:
        told = "" if table.comparable else f": NOT comparable with {table.suite}"
        theirs = Table(box=box.SIMPLE_HEAD, title=f"The paper's numbers{told}")
        theirs.title_justify = "left"
        theirs.add_column("method")
        names, rows = printed(table)
        for name in names:
            theirs.add_column(name, justify="right")
        for cells in rows:
            theirs.add_row(*map(Text, cells))
        parts.append(Fitting(theirs))
        if any(row.unsure for row in table.published.rows):
            parts.append(Text(UNSURE, style="dim"))
    differing = [ordering for ordering in table.orderings if ordering.verdict.startswith("differs")]
    parts.append(Text(summary(table)))
    who = "expected is" if table.published.claims else "the paper has"
    for o in differing:
        parts.append(
            Text(
                f"  {o.metric}: {who} {o.better} above {o.worse} ({' / '.join(map(_number, o.paper))}); "
                f"ours {o.ours[0]:.2f} / {o.ours[1]:.2f}, p {format_p(o.p_value)}: {o.verdict}."
            )
        )
    parts += [Text(found(finding)) for finding in table.findings]
    parts.append(Text(_checked(table)))
    parts += [Text(note, style="dim") for note in footnotes(table)]
    return Group(*parts)
