"""The findings of a study as tables: Markdown, CSV, LaTeX and the terminal."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from a2ibench.files import write_text
from a2ibench.media.image import save_image
from a2ibench.rating.findings import Alpha, Findings, Human, MethodComparison, MethodRating, Order
from a2ibench.show.numbers import format_p
from a2ibench.text import csv_text, latex_text, markdown_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult

_CONTROL = " (hidden control)"
_LEGIBLE = 80
"""A terminal so wide shows each table legibly, if with broken lines; a narrower one would break the numbers."""
_RULES = {
    "least_answered": "share of the items answered",
    "least_consistency": "share of repeats answered alike",
    "least_median_seconds": "median seconds per item",
    "least_control": "the hidden controls",
}


def write_tables(human: Human, names: Sequence[str], folder: Path) -> list[Path]:
    """Write ``human.md``, ``.csv``, ``.tex``, ``.png``, ``.json``, and ``raters.csv``, which alone holds the names.

    Parameters
    ----------
    human
        The findings.
    names
        The raters' names, in the order of `Human.raters`.
    folder
        Where to.

    Returns
    -------
    The files.

    """
    from a2ibench.rating.picture import human_picture

    write_text(folder / "human.md", markdown(human))
    write_text(folder / "human.csv", comma_separated(human))
    write_text(folder / "human.tex", latex(human))
    write_text(folder / "raters.csv", raters_csv(human, names))
    save_image(folder / "human.png", human_picture(human))
    human.save(folder / "human.json")
    return [folder / f"human.{suffix}" for suffix in ("md", "csv", "tex", "png", "json")] + [folder / "raters.csv"]


# ------------------------------------------------------------------------------------------------- numbers


def _mean(row: MethodRating) -> str:
    return f"{row.mean:.1f}" if row.sd is None else f"{row.mean:.2f} ± {row.sd:.2f}"


def _span(low: float | None, high: float | None, digits: int) -> str:
    return "–" if low is None or high is None else f"[{low:.{digits}f}, {high:.{digits}f}]"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _alpha(alpha: Alpha) -> str:
    if alpha.value is None:
        return "–"
    return f"{alpha.value:.3f} {_span(alpha.low, alpha.high, 3)}"


def _versus(pair: MethodComparison, likert: bool) -> str:
    value = f"{pair.value:+.2f}" if likert else f"{pair.value:.1f} %"
    return f"{value} {_span(pair.low, pair.high, 2 if likert else 1)}"


def _method_cells(row: MethodRating, likert: bool) -> list[str]:
    cells = [_mean(row), _span(row.low, row.high, 2 if likert else 1)]
    if likert:
        cells += [_or_dash(row.median, "g"), " · ".join(map(str, row.histogram))]
    else:
        strength = "–" if row.strength is None else f"{row.strength:+.2f} "
        span = "" if row.strength is None else _span(row.strength_low, row.strength_high, 2)
        cells += [strength + span, " · ".join(map(str, row.histogram))]
    return [*cells, str(row.n)]


def _heads(human: Human) -> list[str]:
    if human.design == "likert":
        return ["method", "mean ± sd", "95 % interval", "median", f"ratings {' · '.join(human.steps)}", "n"]
    return ["method", "mean share won, %", "95 % interval", "strength", " · ".join(_outcomes(human)), "n"]


def _outcomes(human: Human) -> list[str]:
    """What the counts of a pairwise histogram are of."""
    tied = any(len(row.histogram) == 3 for row in human.everyone.methods)
    return ["lost", "tied", "won"] if tied else ["lost", "won"]


def _name(row: MethodRating) -> str:
    return row.method + _CONTROL * row.control


def _about(human: Human) -> str:
    kept = human.kept
    what = human.noun if human.design == "likert" else "pair"
    return f"{kept.raters} raters, {human.clip_count} clips; each {what} has {kept.raters_per_image} raters or more."


def _source(human: Human) -> str:
    suite = f", {markdown_text(human.suite)}" if human.suite else ""
    what = "Study" if human.source == "study" else f"Ratings collected elsewhere{_on_scale(human)}, table"
    return f"{what} `{human.study}`{suite}."


def _on_scale(human: Human) -> str:
    return f" on a scale of {human.scale[0]:g} to {human.scale[1]:g}" if human.design == "likert" else ""


def _excluded(human: Human) -> str:
    rule = ", ".join(f"{_RULES[name]} ≥ {value:g}" for name, value in human.rule.items()) or "none"
    if human.source == "table":
        return "Nobody was left out: for ratings collected elsewhere no rule is known that was fixed beforehand."
    return f"Excluded by the pre-registered rule: {human.excluded} of {len(human.raters)} raters. Rule: {rule}."


# ------------------------------------------------------------------------------------------------ Markdown


def markdown(human: Human) -> str:
    """Write all there is to say, as GitHub Markdown."""
    likert = human.design == "likert"
    kept = human.kept
    lines = [
        f"# {markdown_text(human.title)}",
        "",
        f"{_source(human)} {_about(human)}",
        "",
    ]
    lines += [f"> {markdown_text(warning)}" for warning in human.warnings]
    lines += [""] * bool(human.warnings)
    lines += _method_table(human, kept)
    lines += [
        "",
        "The intervals hold for other raters and other clips than these (crossed random effects). "
        + ("sd is over all ratings." if likert else "Strength: Bradley–Terry, log odds, mean 0."),
    ]
    if kept.comparisons:
        head = ["A", "B", "A − B" if likert else "A preferred to B", "p (Holm)", "pairs"]
        rows = [
            [markdown_text(c.a), markdown_text(c.b), _versus(c, likert), format_p(c.p_value), str(c.n)]
            for c in kept.comparisons
        ]
        lines += ["", "## Between the methods", "", *_grid(head, rows)]
    if kept.wins:
        methods = list(kept.wins)
        rows = [[markdown_text(a), *(str(kept.wins[a].get(b, "")) for b in methods)] for a in methods]
        lines += ["", "## Wins of the row over the column", "", *_grid(["", *map(markdown_text, methods)], rows)]
    lines += ["", "## The raters", "", f"Krippendorff's α ({kept.alpha.level}): {_alpha(kept.alpha)}.", ""]
    lines += [_excluded(human), "", *_rater_table(human)]
    if human.excluded:
        lines += ["", "## With nobody left out", "", *_method_table(human, human.everyone)]
        lines += ["", f"Krippendorff's α ({human.everyone.alpha.level}): {_alpha(human.everyone.alpha)}."]
    if human.correlations:
        head = ["metric", "ρ", "95 % interval", "within methods", f"{human.noun}s"]
        rows = [
            [
                markdown_text(c.metric),
                f"{c.rho:+.2f}",
                _span(c.low, c.high, 2),
                _or_dash(c.within, "+.2f"),
                str(c.images),
            ]
            for c in human.correlations
        ]
        lines += ["", "## Which metric agrees with people", "", *_grid(head, rows)]
        lines += [
            "",
            f"Spearman's ρ with the mean rating of each {human.noun}; the interval by a bootstrap over clips.",
        ]
    lines += _orders(human)
    return "\n".join(lines) + "\n"


def _orders(human: Human) -> list[str]:
    """Say how far each metric orders the methods as people do."""
    if not human.orders:
        return []
    head = ["metric", "pairs alike", "95 % interval", "of those that people tell apart"]
    rows = [
        [markdown_text(o.metric), f"{o.alike:.1f} % of {o.pairs}", _span(o.low, o.high, 1), _told(o)]
        for o in human.orders
    ]
    count = human.orders[0].methods
    return [
        "",
        "## Which metric orders the methods as people do",
        "",
        *_grid(head, rows),
        "",
        f"The share of pairs of the {count} methods that the run's score orders as people do; a tie is half. "
        "The interval speaks for other methods than these, and is wide with few of them.",
    ]


def _told(order: Order) -> str:
    return f"{order.told_alike:g} of {order.told}" if order.told else "–"


def _method_table(human: Human, found: Findings) -> list[str]:
    likert = human.design == "likert"
    rows = [[markdown_text(row.method) + _CONTROL * row.control, *_method_cells(row, likert)] for row in found.methods]
    return _grid(_heads(human), rows)


def _rater_table(human: Human) -> list[str]:
    control = f"real {human.noun}s" if human.design == "likert" else "controls"
    head = ["rater", "answers", "agreement", "repeats alike", "s per item", control, "left out because"]
    return _grid(head, [[r.rater, *_rater_cells(human, i), "; ".join(r.excluded)] for i, r in enumerate(human.raters)])


def _rater_cells(human: Human, index: int) -> list[str]:
    r = human.raters[index]
    likert = human.design == "likert"
    return [
        str(r.answers),
        _or_dash(r.agreement, ".2f" if likert else ".0%"),
        _or_dash(r.consistency, ".0%"),
        _or_dash(r.median_seconds, ".1f"),
        _or_dash(r.control, ".2f" if likert else ".0%"),
    ]


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| :-- |" + " --: |" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


# ------------------------------------------------------------------------------------------ CSV and LaTeX


def comma_separated(human: Human) -> str:
    """One row per method, all digits; an absent number is empty."""
    likert = human.design == "likert"
    own = (
        ["median", "sd", *(f"ratings_{step.replace(' ', '_')}" for step in human.steps)] if likert else _outcomes(human)
    )
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    tail = [] if likert else ["strength", "strength_low", "strength_high"]
    writer.writerow(["method", "control", "n", "raters", "clips", "mean", "low", "high", *own, *tail])
    for row in human.kept.methods:
        numbers = [row.mean, row.low, row.high, *([row.median, row.sd] if likert else []), *row.histogram]
        numbers += [] if likert else [row.strength, row.strength_low, row.strength_high]
        head = [csv_text(row.method), int(row.control), row.n, row.raters, row.clips]
        writer.writerow([*head, *("" if number is None else repr(number) for number in numbers)])
    return lines.getvalue()


def raters_csv(human: Human, names: Sequence[str]) -> str:
    """One row per rater, with the name: for the researcher, not for publication."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    fields = ["answers", "answered", "agreement", "consistency", "identical", "median_seconds", "control"]
    writer.writerow(["rater", "name", *fields, "excluded"])
    for rater, name in zip(human.raters, names, strict=True):
        numbers = [getattr(rater, field) for field in fields]
        shown = ["" if number is None else repr(number) for number in numbers]
        writer.writerow([rater.rater, csv_text(name), *shown, "; ".join(rater.excluded)])
    return lines.getvalue()


def latex(human: Human) -> str:
    """Give the table for a paper; it needs the package booktabs."""
    likert = human.design == "likert"
    lines = [
        f"% {human.source} {human.study}: {_about(human)}",
        f"% {_excluded(human)}",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        " & ".join(["Method", r"Mean $\pm$ sd" if likert else r"Won (\%)", r"95\,\% interval", "$n$"]) + r" \\",
        r"\midrule",
    ]
    control = False
    for row in human.kept.methods:
        if row.control and not control:
            lines.append(r"\midrule")
            control = True
        mean = _mean(row).replace(" ± ", r" \pm ")
        span = _span(row.low, row.high, 2 if likert else 1)
        span = "--" if span == "–" else f"${span}$"
        lines.append(f"{latex_text(_name(row))} & ${mean}$ & {span} & {row.n} " + r"\\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------ terminal


class _Grid:
    """A table on the terminal; too wide for a narrow one, the lines ``column: value`` under each row's name."""

    def __init__(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.title, self.head, self.rows = title, head, rows

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Choose between the two."""
        from rich import box
        from rich.measure import Measurement
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, title=Text(self.title, style="bold"), title_justify="left", pad_edge=False)
        for index, name in enumerate(self.head):
            table.add_column(Text(name), justify="right" if index else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*map(Text, row))
        wide = Measurement.get(console, options.update(max_width=10_000), table).maximum
        if wide <= options.max_width or options.max_width >= _LEGIBLE:
            yield table
            return
        yield Text(self.title, style="bold")
        for row in self.rows:
            yield Text(f"  {row[0]}", overflow="fold")
            for name, value in zip(self.head[1:], row[1:], strict=True):
                yield Text(f"    {name}: {value}", overflow="fold")


def _without_counts(cells: Sequence[str]) -> list[str]:
    return [*cells[:-2], cells[-1]]


def human_report(human: Human) -> "Group":
    """Lay the findings out for the terminal, legible at 80 columns and without colours."""
    from rich.console import Group
    from rich.text import Text

    likert = human.design == "likert"
    kept = human.kept
    parts: list[RenderableType] = [Text(f"{human.title}\n{_about(human)}")]
    rows = [[_name(row), *_method_cells(row, likert)] for row in kept.methods]
    # The counts of each rating are in human.md: here they would not fit.
    parts.append(_Grid("Methods", _without_counts(_heads(human)), [_without_counts(row) for row in rows]))
    if kept.comparisons:
        head = ["A", "B", "A − B" if likert else "A preferred", "p (Holm)"]
        rows = [[c.a, c.b, _versus(c, likert), format_p(c.p_value)] for c in kept.comparisons]
        parts.append(_Grid("Between the methods", head, rows))
    if human.correlations:
        rows = [
            [c.metric, f"{c.rho:+.2f}", _span(c.low, c.high, 2), _or_dash(c.within, "+.2f")] for c in human.correlations
        ]
        title = "Which metric agrees with people (Spearman)"
        parts.append(_Grid(title, ["metric", "rho", "95 % interval", "within methods"], rows))
    if human.orders:
        rows = [[o.metric, f"{o.alike:.0f} % of {o.pairs}", _span(o.low, o.high, 0), _told(o)] for o in human.orders]
        title = "Which metric orders the methods as people do"
        parts.append(_Grid(title, ["metric", "pairs alike", "95 % interval", "told apart"], rows))
    parts.append(Text(f"Krippendorff's alpha ({kept.alpha.level}): {_alpha(kept.alpha)}"))
    parts.append(Text(_excluded(human)))
    parts += [Text(f"{r.rater}: {'; '.join(r.excluded)}") for r in human.raters if r.excluded]
    return Group(*parts)
