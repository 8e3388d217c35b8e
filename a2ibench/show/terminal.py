"""What the terminal shows: scores with intervals, side by side, and the signatures behind them."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from a2ibench.errors import A2IBenchError
from a2ibench.results import Result, Score
from a2ibench.show.fitting import Fitting
from a2ibench.show.numbers import arrow, format_bound, format_score, format_value, unit
from a2ibench.tasks import tasks

# ------------------------------------------------------------------------------------------------- numbers


# -------------------------------------------------------------------------------------------------- tables

_WIDE = 78  # characters of a line of signatures
_MOST_COLUMNS = 8  # metrics side by side at 80 columns


def score_table(results: Sequence[Result], sanity: Sequence[Result] = ()) -> Table:
    """Lay out scores for the terminal.

    Parameters
    ----------
    results
        What was measured. One alone gives a row per metric, with interval, chance and ceiling; several give
        a row per method and a column per metric, the best of each column bold.
    sanity
        Rows to hold it against (real images, shuffled images, drawn afresh), set apart by a line.

    Returns
    -------
    A table that is legible at 80 columns and without colours. `signatures` gives what belongs below it.

    """
    if not results:
        raise A2IBenchError("There is no result to show; run 'a2ibench eval' first.")
    return _metric_rows(results[0]) if len(results) == 1 and not sanity else _method_rows(results, sanity)


def score_report(results: Sequence[Result], sanity: Sequence[Result] = ()) -> Group:
    """All there is to say: each result metric by metric, all rows side by side, the signatures, the notes."""
    cautions = dict.fromkeys(result.caution for result in results if result.caution)
    parts: list[RenderableType] = [Text(f"NOT MEANINGFUL: {each}", style="bold red") for each in cautions]
    parts += [Fitting(_metric_rows(result)) for result in results]
    if len(results) + len(sanity) > 1:
        parts.append(Fitting(score_table(results, sanity)))
    parts.append(_Signatures([*results, *sanity]))
    notes = list(dict.fromkeys(note for result in results for note in result.notes))
    licences = list(dict.fromkeys(licence for result in results for licence in result.licences))
    parts.extend(Text(f"Licence: {licence}") for licence in licences)
    parts.extend(Text(f"Note: {note}") for note in notes)
    return Group(*(part for each in parts for part in (each, Text())))


class _Signatures:
    """Every signature once, as wide as the terminal is."""

    def __init__(self, results: Sequence[Result]):
        self.results = results

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay them out for the width that there is."""
        yield signatures(self.results, min(options.max_width, _WIDE))


def signatures(results: Sequence[Result], width: int = _WIDE) -> Text:
    """Every signature once, in the order of the columns: what makes the numbers comparable."""
    text = Text("Signatures", style="dim")
    for name, signature in _columns(results):
        metric = _by_signature(results, signature).metric
        line = "  " + name.removeprefix(metric).strip().ljust(4 if name != metric else 0)
        for part in signature.replace("|", "|\0").split("\0"):
            # Broken at the bars only: half a hash can't be searched for.
            if len(line) + len(part) > width:
                text.append(f"\n{line}")
                line = "      "
            line += part
        text.append(f"\n{line}")
    return text


def _real(result: Result) -> str:
    """What the real outputs of a result's task are called; it may be one of a package that is not installed."""
    task = tasks().get(result.task)
    return task.real if task else "real"


def _metric_rows(result: Result) -> Table:
    title = Text.assemble((result.method, "bold"), f"  {result.suite}, {result.clips.n} clips")
    if result.caution:
        title.append(" (not meaningful)", style="bold red")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, title_style="")
    table.add_column("metric", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column(Text("95 % interval"), no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("chance", justify="right", style="dim", no_wrap=True)
    table.add_column(_real(result), justify="right", style="dim", no_wrap=True)
    for score in result.scores:
        spread = format_score(score).removeprefix(format_value(score)).strip()
        table.add_row(
            Text.assemble(score.metric, (f" {arrow(score)}{unit(score)}", "dim")),
            Text(format_value(score), style="bold"),
            Text(spread or "–"),
            Text(str(score.n)),
            Text(format_bound(score.chance, score)),
            Text(format_bound(score.ceiling, score)),
        )
    return table


def _method_rows(results: Sequence[Result], sanity: Sequence[Result]) -> Table:
    every = [*results, *sanity]
    columns = _columns(every)
    best = {key: _best(results, key) for _, key in columns} if len(results) > 1 else {}

    def cell(result: Result, key: str) -> Text:
        score = next((score for score in result.scores if score.signature == key), None)
        if score is None:
            return Text("–")
        wins = any(result is each for each in results) and score.value == best.get(key)
        return Text(format_value(score), style="bold" if wins else "")

    heads = [_head(name, _by_signature(every, key)) for name, key in columns]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    if len(columns) > _MOST_COLUMNS:  # then 80 columns hold the methods rather than the metrics
        table.add_column("metric", no_wrap=True)
        for index, result in enumerate(every):
            style = "" if index < len(results) else "dim"
            table.add_column(Text(result.method), justify="right", vertical="bottom", style=style, overflow="fold")
        for head, (_, key) in zip(heads, columns, strict=True):
            table.add_row(Text(head), *(cell(result, key) for result in every))
        return table
    table.add_column("method", overflow="fold", min_width=12)
    for head in heads:
        # A dot is where a variant's name may be broken.
        table.add_column(Text(head.replace(".", ".\n")), justify="right", vertical="bottom", no_wrap=True)
    for index, result in enumerate(every):
        table.add_row(
            Text(result.method),
            *(cell(result, key) for _, key in columns),
            style="" if index < len(results) else "dim",
            end_section=index == len(results) - 1,
        )
    return table


def _best(results: Sequence[Result], signature: str) -> float | None:
    held = [score for result in results for score in result.scores if score.signature == signature]
    if not held:
        return None
    return (max if held[0].higher_is_better else min)(score.value for score in held)


def _columns(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Column names with signatures: two signatures never share a column, so a name may need a mark."""
    pairs = list(dict.fromkeys((score.metric, score.signature) for each in results for score in each.scores))
    names = [metric for metric, _ in pairs]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    pairs.sort(key=lambda pair: order[pair[0]])
    seen: dict[str, int] = {}
    columns = []
    for metric, signature in pairs:
        seen[metric] = seen.get(metric, 0) + 1
        columns.append((f"{metric} ({seen[metric]})" if names.count(metric) > 1 else metric, signature))
    return columns


def _by_signature(results: Sequence[Result], signature: str) -> Score:
    return next(score for each in results for score in each.scores if score.signature == signature)


def _head(name: str, score: Score) -> str:
    return f"{name} {arrow(score)}"
