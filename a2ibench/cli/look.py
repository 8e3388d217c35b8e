"""The commands that only read: compare, list, doctor, schema."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from a2ibench.cli.shared import JsonOption, app, console, note, print_json
from a2ibench.errors import A2IBenchError

if TYPE_CHECKING:
    from a2ibench.results import Result


@app.command(epilog="Example: [bold]a2ibench compare runs/mini/audiotoken runs/mini/sd-text[/bold]")
def compare(
    first: Annotated[Path, typer.Argument(help="A run folder, a board's row or a result.json.")],
    second: Annotated[Path, typer.Argument(help="Another one, on the same clips.")],
    more: Annotated[list[Path] | None, typer.Argument(help="And more: every pair is compared.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Only this metric; repeatable.")] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="A folder for plots of scores by bucket, as of CLAP.tail.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Is A better than B? Paired differences on the same clips, with intervals and p-values (Holm over all of them)."""
    from a2ibench.results import Result
    from a2ibench.show.compare import compare_results, comparison_report, comparison_titles

    paths = (first, second, *(more or ()))
    results = [Result.load(path / "result.json" if path.is_dir() else path) for path in paths]
    comparisons = compare_results(results, metric)
    if pictures is not None:
        _draw(results, comparison_titles(results, paths), metric, pictures)
    if as_json:
        methods = [{"method": result.method, "path": str(path)} for result, path in zip(results, paths, strict=True)]
        print_json({"methods": methods, "comparisons": [each.model_dump() for each in comparisons]})
    else:
        console().print(comparison_report(comparison_titles(results, paths), comparisons))


def _draw(results: "list[Result]", titles: list[str], metrics: list[str] | None, folder: Path) -> None:
    """Draw the results' scores by bucket into a folder, and name the files."""
    from a2ibench.files import check_writable
    from a2ibench.pictures.buckets import plots, subtitle
    from a2ibench.pictures.lines import write_plots

    found = plots(list(zip(titles, results, strict=True)))
    found = [plot for plot in found if not metrics or plot.metric in metrics]
    if not found:
        raise A2IBenchError("No plot can be drawn: these results have no score by bucket (CLAP.tail, CLAP.many).")
    check_writable(folder)
    write_plots(folder, found, subtitle(results[0].suite, results[0].clips))
    for plot in found:
        note(str(folder / plot.file))


@app.command("list", epilog="Example: [bold]a2ibench list metrics[/bold]")
def list_(
    what: Annotated[str | None, typer.Argument(help="methods, metrics or suites; all without.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the methods, the metrics and the suites."""
    from a2ibench.baselines import methods
    from a2ibench.errors import unknown
    from a2ibench.metrics import metrics

    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "methods": lambda: {name: f"{m.summary} ({m.task or 'any task'})" for name, m in methods().items()},
        "metrics": lambda: {name: m.summary for name, m in metrics().items()},
        "suites": _suite_summaries,
    }
    if what is not None and what not in kinds:
        raise unknown("list", what, kinds)
    tables = {kind: kinds[kind]() for kind in ([what] if what else kinds)}
    if as_json:
        print_json(tables)
        return
    from rich.table import Table

    for kind, entries in tables.items():
        table = Table(title=kind, title_justify="left", box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for entry, summary in entries.items():
            table.add_row(entry, summary)
        console().print(table)


@app.command(epilog="Example: [bold]a2ibench doctor[/bold]")
def doctor(
    speed: Annotated[
        bool, typer.Option("--speed", help="Measure for five seconds how fast this machine scores.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what can run here, what is missing for the rest, of which size and licence, and what is wrong."""
    from a2ibench.doctor import examine, report

    findings = examine(speed)
    if as_json:
        print_json(findings)
    else:
        console().print(report(findings))
    if findings["problems"]:
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]a2ibench schema > result.schema.json[/bold]")
def schema() -> None:
    """Print the JSON Schema of a result."""
    from a2ibench.results import json_schema

    print_json(json_schema())


def _suite_summaries() -> dict[str, str]:
    from a2ibench.suites import load_suite, suites

    return {name: load_suite(name).file.summary for name in suites()}
