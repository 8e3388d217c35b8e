"""The human study: rate make, page, invite, serve, aggregate."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from a2ibench.cli.shared import DataOption, JsonOption, SuiteOption, app, console, note, print_json, suite_of
from a2ibench.errors import A2IBenchError, unknown

if TYPE_CHECKING:
    from a2ibench.rating.findings import Human

rate = typer.Typer(
    name="rate",
    help="A human study: make it from runs, collect ratings, aggregate them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog="Example: [bold]a2ibench rate make --runs runs/mini/audiotoken runs/mini/sd-text --out study[/bold]",
)
app.add_typer(rate)

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="A folder that `a2ibench rate make` made.")]


@rate.command(
    epilog="Example: [bold]a2ibench rate make --runs runs/mini/audiotoken runs/mini/sd-text --out study[/bold]"
)
def make(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Further runs: --runs A B C names three.")
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--runs",
            metavar="RUN",
            help="Run folders, or folders of outputs as <clip_id>.png; NAME=FOLDER names the method.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The study folder; it must be new.")] = Path("study"),
    design: Annotated[
        str,
        typer.Option(
            "--design", help="likert: each output, 1 to 5. pairwise: which of two fits better what was given."
        ),
    ] = "likert",
    question: Annotated[
        str | None,
        typer.Option(
            "--question",
            help="What is asked about, where the task has several: rel (it fits), ovr (overall), ali (in time).",
        ),
    ] = None,
    clips: Annotated[int, typer.Option("--clips", min=1, help="How many clips, the same for every method.")] = 15,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=0, help="How many items are shown twice; by default 5.")
    ] = None,
    controls: Annotated[
        int | None, typer.Option("--controls", min=0, help="How many hidden real outputs; by default 5.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the clips that are drawn; the rest is random in each study.")
    ] = 0,
    suite: SuiteOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a blind study from runs: the same clips for every method, hidden controls, balanced orders."""
    given = [*(runs or []), *(more or [])]
    if not given:
        raise A2IBenchError("Give the runs to be rated: --runs RUN_A RUN_B.")
    if design not in ("likert", "pairwise"):
        raise unknown("design", design, ("likert", "pairwise"))
    from a2ibench.rating.make import make_study, read_runs
    from a2ibench.suites import load_suite

    loaded = load_suite(suite or suite_of(Path(given[0] if Path(given[0]).is_dir() else given[0].partition("=")[2])))
    few = min(5, clips)
    study = make_study(
        read_runs(given, loaded.id, loaded.task),
        loaded.clips(data),
        out,
        suite=loaded.id,
        design="likert" if design == "likert" else "pairwise",
        question=question,
        count=clips,
        repeats=few if repeats is None else repeats,
        controls=few if controls is None else controls,
        seed=seed,
    )
    if as_json:
        print_json({"folder": str(out), "study": study.digest, "methods": study.methods, "items": len(study.items)})
        return
    console().print(
        f"{out}: {len(study.items)} items of {', '.join(study.methods)} ({design}, {clips} clips, with "
        f"controls and repeats), study {study.digest}.",
        highlight=False,
        soft_wrap=True,
    )
    note(f"Edit {out / 'study.toml'} and run `a2ibench rate page {out}`; then send {out / 'page' / 'index.html'} to")
    note(f"raters, or invite them (`a2ibench rate invite {out} --raters 17`) and run `a2ibench rate serve {out}`.")
    note(f"Or make a page for each rater alone: `a2ibench rate page {out} --rater R01`.")
    note(f"Keep {out / 'items.json'} to yourself: it says which {loaded.task.noun} is whose.")


@rate.command(epilog="Example: [bold]a2ibench rate page study --rater R07[/bold]")
def page(
    study: StudyArgument,
    rater: Annotated[
        list[str] | None,
        typer.Option("--rater", help="A page for this rater alone, with no other rater's order; repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the page for raters again, after study.toml was edited."""
    from a2ibench.rating.render import write_page
    from a2ibench.rating.study import Study

    loaded = Study.load(study)
    names: list[str | None] = [*(rater or [])] or [None]
    pages = [write_page(loaded, study, name) for name in names]
    if as_json:
        print_json({"study": loaded.digest, "pages": [str(path) for path in pages]})
        return
    for path in pages:
        console().print(str(path), highlight=False, soft_wrap=True, markup=False)


@rate.command(epilog="Example: [bold]a2ibench rate invite study --raters 17 --url http://192.168.1.5:8000[/bold]")
def invite(
    study: StudyArgument,
    raters: Annotated[int | None, typer.Option("--raters", min=1, max=10_000, help="How many new raters.")] = None,
    rater: Annotated[
        list[str] | None,
        typer.Option("--rater", help="A rater by name; one who has a link gets a new one, and the old one ends."),
    ] = None,
    url: Annotated[str, typer.Option("--url", help="Where raters reach the server.")] = "http://127.0.0.1:8000",
    as_json: JsonOption = False,
) -> None:
    """Make a secret link for each rater. Only hashes are kept: a link is shown once."""
    from contextlib import closing

    from a2ibench.rating.store import Store
    from a2ibench.rating.study import Study

    if (raters is None) == (not rater):
        raise A2IBenchError("Give either --raters NUMBER or --rater NAME.")
    if not url.startswith(("http://", "https://")):
        raise A2IBenchError(f"{url!r} is not an address; write for example http://192.168.1.5:8000.")
    with closing(Store(study, Study.load(study))) as store:
        secrets = store.invite(rater or store.next_raters(raters or 0))
    links = {name: f"{url.rstrip('/')}/r/{secret}/" for name, secret in secrets.items()}
    if as_json:
        print_json(links)
        return
    for name, link in links.items():
        typer.echo(f"{name}\t{link}")


@rate.command(epilog="Example: [bold]a2ibench rate serve study --host 192.168.1.5[/bold]")
def serve(
    study: StudyArgument,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; 127.0.0.1 is this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8000,
    as_json: JsonOption = False,
) -> None:
    """Serve the study to invited raters, and the progress to you, until Ctrl-C."""
    from a2ibench.rating.serve import serve as run_server

    def announce(address: str, researcher: str) -> None:
        if as_json:
            typer.echo(json.dumps({"address": address, "progress": researcher}))  # one line, at once
            return
        typer.echo(f"Serving on {address}; raters come with links of `a2ibench rate invite {study} --url {address}`.")
        typer.echo(f"Progress, for you alone: {researcher}")
        if host not in ("127.0.0.1", "localhost", "::1"):
            note("Answers and links travel unencrypted: a trusted network only, or a proxy with HTTPS before it.")

    run_server(study, host=host, port=port, announce=announce)


@rate.command(
    epilog="Examples: [bold]a2ibench rate aggregate answers/*.json --study study[/bold]; of ratings collected "
    "elsewhere: [bold]a2ibench rate aggregate ratings.csv --scale 1-7 --column rater=WorkerId[/bold]"
)
def aggregate(
    ratings: Annotated[
        list[Path],
        typer.Argument(
            metavar="RATINGS...",
            help="The raters' CSV or JSON files, a folder of them, the server's ratings.sqlite, or the study folder. "
            "Or a table of ratings collected elsewhere: rater, method, clip, rating.",
        ),
    ],
    study: Annotated[
        Path | None, typer.Option("--study", help="The study folder; not needed for answers that lie in it.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="PART=NAME",
            help="Elsewhere collected: which column is what, as rater=WorkerId; repeatable. The parts: rater, method, "
            "clip, rating; in pairs first, second, choice; ignore.",
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option("--scale", metavar="LOW-HIGH", help="Elsewhere collected: the scale, as 0-100; by default 1-5."),
    ] = None,
    results: Annotated[
        list[str] | None,
        typer.Option(
            "--results",
            metavar="RUN",
            help="The run that was rated, or METHOD=RUN; repeatable. By default those the study was made from.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the tables go; by default STUDY/results, or TABLE-results beside a table."),
    ] = None,
    write_results: Annotated[
        bool, typer.Option("--write-results", help="Put the human score into the result.json of each run, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """From answers to trusted ratings: means with intervals, agreement, exclusions, tables and a picture."""
    from a2ibench.files import check_writable
    from a2ibench.rating import column
    from a2ibench.rating.collected import is_collected
    from a2ibench.rating.tables import human_report, write_tables

    own = columns is not None or scale is not None
    if own and study is not None:
        raise A2IBenchError("--column and --scale are for ratings collected elsewhere; leave them out with --study.")
    if study is None and (own or is_collected(ratings)):
        human, names, runs, usual = _of_tables(ratings, columns or [], scale, results or [])
    else:
        human, names, runs, usual = _of_study(ratings, study, results or [])
    tables = out or usual
    check_writable(tables)  # before a result is changed
    written = column.write_results(human, runs) if write_results else []
    files = write_tables(human, names, tables)
    if as_json:
        print_json(human.model_dump())
    else:
        console().print(human_report(human))
    for warning in human.warnings:
        note(f"Warning: {warning}")
    for file in [*files, *written]:
        note(f"wrote {file}")


_Found: TypeAlias = "tuple[Human, list[str], dict[str, Path], Path]"
"""What was found, the raters' names, the run of each method, and where the tables usually go."""


def _of_study(ratings: list[Path], study: Path | None, results: list[str]) -> _Found:
    """Aggregate the answers of a study."""
    from a2ibench.rating.aggregate import aggregate as work_out
    from a2ibench.rating.column import rated_runs
    from a2ibench.rating.readers import read_ratings, study_of
    from a2ibench.rating.study import Study
    from a2ibench.results import Result

    folder = study or study_of(ratings)
    loaded = Study.load(folder)
    answers = read_ratings(ratings, loaded)
    runs = rated_runs(loaded, folder, results)
    human = work_out(answers, loaded, {method: Result.load(run / "result.json") for method, run in runs.items()})
    return human, sorted({answer.rater for answer in answers.answers}), runs, folder / "results"


def _of_tables(ratings: list[Path], columns: list[str], scale: str | None, results: list[str]) -> _Found:
    """Aggregate ratings collected elsewhere."""
    from a2ibench.rating.aggregate import aggregate_collected
    from a2ibench.rating.collected import read_collected
    from a2ibench.rating.column import named_runs
    from a2ibench.rating.names import parse_columns
    from a2ibench.rating.scale import Scale
    from a2ibench.results import Result

    collected = read_collected(
        ratings, columns=parse_columns(columns), scale=None if scale is None else Scale.parse(scale)
    )
    for line in collected.said:
        note(f"Read {line}")
    runs = named_runs(results, collected.matrix.methods, "the ratings")
    human = aggregate_collected(collected, {method: Result.load(run / "result.json") for method, run in runs.items()})
    first = ratings[0].absolute()
    return human, collected.matrix.raters, runs, first.parent / f"{first.stem}-results"
