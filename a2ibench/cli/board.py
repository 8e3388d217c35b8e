"""The commands of the board: submit, verify, leaderboard, report."""

import dataclasses
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from a2ibench.cli.shared import (
    AllowMissingOption,
    BatchOption,
    DataOption,
    DeviceOption,
    JsonOption,
    SuiteOption,
    TrainingOption,
    WeightsOption,
    app,
    console,
    note,
    paths,
    print_json,
    progress,
    suite_of,
)
from a2ibench.errors import A2IBenchError

if TYPE_CHECKING:
    from a2ibench.board.card import MethodCard
    from a2ibench.board.outputs import Outputs
    from a2ibench.clips import ClipSet
    from a2ibench.suites import Suite

BoardOption = Annotated[Path, typer.Option("--board", help="The folder of the boards.")]


@app.command(epilog="Example: [bold]a2ibench submit my-images.zip --name my-method[/bold]")
def submit(
    outputs: Annotated[
        Path, typer.Argument(help="A folder, .zip or .tar.gz of images <clip_id>.png (or _0, _1, …), or a run folder.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="What the row is called.")] = None,
    suite: SuiteOption = None,
    data: DataOption = None,
    training: TrainingOption = None,
    board: BoardOption = Path("leaderboards"),
    card: Annotated[Path | None, typer.Option("--card", help="A method.toml; else the one among the outputs.")] = None,
    allow_missing: AllowMissingOption = False,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a row of that name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say all that is wrong; write nothing.")] = False,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 24,
    as_json: JsonOption = False,
) -> None:
    """Put a method's images onto the board: check, score, write its row, render the tables."""
    from a2ibench.board.outputs import read_outputs
    from a2ibench.board.submit import board_folder, submission_problems
    from a2ibench.board.submit import submit as put
    from a2ibench.files import check_writable
    from a2ibench.runs.prepare import device_of
    from a2ibench.scoring.scorer import Scorer, check_clips, chosen_metrics, encoders_of
    from a2ibench.show.board import write_board
    from a2ibench.show.terminal import score_report
    from a2ibench.suites import load_suite

    began = time.perf_counter()
    loaded = load_suite(suite or suite_of(outputs))
    clips = loaded.clips(data)
    folder = board_folder(board, loaded, clips if data is not None else None)
    if dry_run:
        images, missing, problems = _examined(outputs, clips, loaded, folder, card, name, allow_missing, replace)
        if as_json:
            print_json({"images": images, "missing": missing, "problems": problems})
        else:
            without = f", {len(missing)} clips without an image" if missing else ""
            for problem in problems:
                _say(problem)
            count = f"{len(problems) or 'no'} problem{'s' * (len(problems) != 1)}"
            _say(f"{outputs}: {images} good images{without}, {count}; nothing was written.")
        raise typer.Exit(1 if problems else 0)
    with ExitStack() as unpacked:
        with progress() as stage:
            given = unpacked.enter_context(read_outputs(outputs, clips, allow_missing=allow_missing, stage=stage))
        given.check()
        about = _card_of(given, card, name, ask=_at_terminal() and not as_json)
        problems = submission_problems(given, about, loaded, clips, folder, replace=replace)
        dataclasses.replace(given, problems=tuple(problems)).check()
        check_writable(folder)
        loaded.check_encoders(encoders_of(chosen_metrics(None, loaded.task)))
        where = device_of(device)
        with progress() as stage:
            check_clips(clips, stage)
            scorer = Scorer(
                loaded, clips, own_data=data is not None, training=training, device=where, batch_size=batch_size,
                stage=stage,
            )  # fmt: skip
            done = put(given, about, scorer, folder, replace=replace, device=where)
    write_board(folder, clips=clips)
    if as_json:
        print_json({"folder": str(done.folder), "what": done.what, "result": done.result.model_dump()})
        return
    console().print(score_report([done.result], done.sanity))
    _say(f"{done.folder} ({done.what}); the board: {folder / 'README.md'}, {folder / 'index.html'}")
    given_data = f" --data {data}" if data is not None else ""
    note(f"Done in {time.perf_counter() - began:.0f} s; to verify the row:")
    note(f"a2ibench verify {done.folder} --outputs {outputs}{given_data}")


@app.command(epilog="Example: [bold]a2ibench verify leaderboards/mini/my-method --outputs my-images.zip[/bold]")
def verify(
    row: Annotated[Path, typer.Argument(help="The folder of a row, as leaderboards/mini/my-method.")],
    outputs: Annotated[
        Path | None, typer.Option("--outputs", help="Its images; without them those of our methods are made again.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="By default the one that the row names.")] = None,
    data: DataOption = None,
    training: TrainingOption = None,
    weights: WeightsOption = None,
    regenerate: Annotated[
        bool, typer.Option("--regenerate/--no-regenerate", help="Whether to make the images of our methods again.")
    ] = True,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 24,
    as_json: JsonOption = False,
) -> None:
    """Check a row: its files, the images' hashes, the scores, and for our methods the images; exit 1 if one differs."""
    from a2ibench.board.verify import find_row, is_of_own_data, state_of
    from a2ibench.board.verify import verify as check
    from a2ibench.runs.prepare import device_of
    from a2ibench.scoring.scorer import chosen_metrics, encoders_of

    place = find_row(row)
    loaded = _suite_of(row, suite)
    own = data is not None or is_of_own_data(place, loaded)
    clips = loaded.clips(data) if data is not None or not own else None
    loaded.check_encoders(encoders_of(chosen_metrics(None, loaded.task)))
    where = device_of(device)
    with progress() as stage:
        found = check(
            place,
            loaded,
            clips,
            outputs=outputs,
            own_data=own,
            training=training,
            weights=paths(weights),
            regenerate=regenerate,
            device=where,
            batch_size=batch_size,
            stage=stage,
        )
    unrendered = _render(place, clips)
    if as_json:
        print_json(found.model_dump())
    else:
        for problem in found.problems:
            _say(problem)
        for remark in found.notes:
            _say(remark)
        held = "Something differs" if found.problems else "Everything that was checked holds"
        now = "" if found.state == state_of(place) else " by what was checked now"
        _say(f"{held}; the row {row} is {found.state}{now}.")
        if unrendered:
            note(unrendered)
    if found.problems:
        raise typer.Exit(1)


boards = typer.Typer(
    name="leaderboard",
    help="Render a board's tables and its page from the results that lie in it; or withdraw a row.",
    invoke_without_command=True,
    rich_markup_mode="rich",
    epilog="Example: [bold]a2ibench leaderboard --metric IIS[/bold]",
)
app.add_typer(boards)


@boards.callback()
def leaderboard(
    context: typer.Context,
    suite: SuiteOption = None,
    data: DataOption = None,
    board: BoardOption = Path("leaderboards"),
    metric: Annotated[str | None, typer.Option("--metric", help="Sort by it; by default AIS.")] = None,
) -> None:
    """Render a board's tables and its page from the results that lie in it; or withdraw a row."""
    from a2ibench.board.lock import board_lock, tidy

    if context.invoked_subcommand is not None:
        return
    folder, clips = _board_of(suite, data, board)
    with board_lock(folder):
        tidy(folder)
    _rendered(folder, clips, metric)


@boards.command(epilog='Example: [bold]a2ibench leaderboard withdraw my-method --why "trained on test clips"[/bold]')
def withdraw(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The method's name, or that of its row's folder.")],
    why: Annotated[str, typer.Option("--why", help="The reason: it stays on the board, with the date.")],
    suite: Annotated[str | None, typer.Option("--suite", help="The board's suite; by default mini.")] = None,
    data: DataOption = None,
    board: Annotated[Path | None, typer.Option("--board", help="The folder of the boards.")] = None,
) -> None:
    """Take a row out of the ranks for good; a line with the date and the reason stays."""
    from a2ibench.board.withdraw import withdraw as take_out

    before = context.parent.params if context.parent else {}  # options may stand before the command, too
    folder, clips = _board_of(suite or before["suite"], data or before["data"], board or before["board"])
    row = take_out(folder, name, why)
    _rendered(folder, clips, before["metric"])
    note(f"{row} is out of the ranks; its files stay. To undo it, delete {row / 'withdrawn.json'}.")


def _board_of(suite: str | None, data: Path | None, boards: Path) -> "tuple[Path, ClipSet | None]":
    """Give a board's folder, and its clips where they are at hand."""
    from a2ibench.board.submit import board_folder
    from a2ibench.suites import default_suite, load_suite

    loaded = load_suite(suite or default_suite())
    # Without clips (the paper's suite brings none) the page does without sounds.
    clips = loaded.clips(data) if data is not None or loaded.brings_clips else None
    folder = board_folder(boards, loaded, clips if data is not None else None)
    if not folder.is_dir():
        here = sorted(each.name for each in boards.glob("*") if each.is_dir() and not each.name.startswith("."))
        raise A2IBenchError(
            f"There is no board {folder}; 'a2ibench submit' makes one (in {boards}: {', '.join(here) or 'none'})."
        )
    return folder, clips


def _rendered(folder: Path, clips: "ClipSet | None", metric: str | None) -> None:
    from a2ibench.show.board import write_board

    write_board(folder, metric=metric, clips=clips)
    plots = sorted(file.name for file in folder.glob("*.png"))
    for name in ("README.md", "leaderboard.csv", "leaderboard.tex", "index.html", *plots):
        _say(str(folder / name))


@app.command(epilog="Example: [bold]a2ibench report runs/mini/audiotoken[/bold]")
def report(
    run: Annotated[Path, typer.Argument(help="A folder with a result.json: a run, or a row of a board.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page; by default RUN/report.html.")] = None,
    outputs: Annotated[
        Path | None, typer.Option("--outputs", help="The images, where they are not in the run's folder.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="By default the one that the run names.")] = None,
    data: DataOption = None,
) -> None:
    """Write a page about one run: scores by class, what the classifier saw, the worst and the best clips to hear."""
    from a2ibench.board.outputs import read_outputs
    from a2ibench.board.verify import is_of_own_data
    from a2ibench.clips import ClipSet
    from a2ibench.files import write_text
    from a2ibench.results import Result
    from a2ibench.runs.folder import output_file
    from a2ibench.show.pages.run import matches, run_page

    result = Result.load(run / "result.json")
    loaded, clips, everything = _suite_of(run, suite), None, None
    if data is not None or not is_of_own_data(run, loaded):
        everything = loaded.clips(data)
        clips = ClipSet([c for c in everything if c.clip_id in result.labels], everything.name, everything.task)
        if clips.digest != result.clips.digest:
            raise A2IBenchError(
                f"{run} is of other clips ({result.clips.name}, n={result.clips.n}, digest {result.clips.digest[:8]}) "
                f"than {data or loaded.id}; give its own with --data."
            )
    else:
        note("The run is of clips of your own: give them with --data to see and hear them.")
    try:
        table = matches(loaded, sorted(set(result.labels.values())))
    except A2IBenchError as error:
        table = None
        note(f"The page does without the table of categories and labels: {error}")
    page = out or run / "report.html"
    with ExitStack() as unpacked:
        images = {clip_id: [output_file(run, clip_id, loaded.task)] for clip_id in result.labels}
        images = {clip_id: files for clip_id, files in images.items() if files[0].is_file()}
        if outputs is not None and clips is not None:
            with progress() as stage:
                given = unpacked.enter_context(
                    read_outputs(outputs, clips, everything, allow_missing=True, stage=stage)
                )
            given.check()
            images = given.images
        write_text(page, run_page(result, clips, images, folder=page.parent, table=table))
    _say(str(page))


# ------------------------------------------------------------------------------------------------- what is said


def _suite_of(folder: Path, given: str | None) -> "Suite":
    """Load the suite that was given, or that a result names."""
    from a2ibench.board.unpack import shown
    from a2ibench.board.verify import suite_name
    from a2ibench.suites import load_suite, suites

    name = given or suite_name(folder)
    if given is None and name not in suites():
        raise A2IBenchError(
            f"{folder} is of the suite {shown(name)}, which is not built in; give its file with --suite."
        )
    return load_suite(name)


def _render(row: Path, clips: "ClipSet | None") -> str:
    """Render the board of a row, where the clips that its page plays are at hand; else say how to."""
    from a2ibench.board.rows import load_sanity
    from a2ibench.board.verify import board_of
    from a2ibench.show.board import write_board

    board = board_of(row)
    if board is None:
        return ""
    if clips is None or any(each.clips.digest != clips.digest for each in load_sanity(board)):
        return f"The board was not rendered: 'a2ibench leaderboard --data DIR' does, with the clips of {board}."
    write_board(board, clips=clips)
    return ""


def _say(text: str) -> None:
    """Print a line as it is: strangers' names are no markup, and what stdout can't print is written as an escape."""
    coding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(coding, "backslashreplace").decode(coding)
    console().print(text, highlight=False, markup=False, soft_wrap=True)


def _examined(
    outputs: Path,
    clips: "ClipSet",
    suite: "Suite",
    board: Path,
    card: Path | None,
    name: str | None,
    allow_missing: bool,
    replace: bool,
) -> tuple[int, list[str], list[str]]:
    """Say how many good images there are, which clips have none, and all that is wrong; writes nothing."""
    from a2ibench.board.outputs import read_outputs
    from a2ibench.board.submit import submission_problems

    try:
        with progress() as stage, read_outputs(outputs, clips, allow_missing=allow_missing, stage=stage) as given:
            about, wrong = None, []
            try:
                about = _card_of(given, card, name, ask=False)
            except A2IBenchError as error:
                wrong = [str(error)]
            problems = submission_problems(given, about, suite, clips, board, replace=replace)
            return len(given.hashes), list(given.missing), problems + wrong
    except A2IBenchError as error:
        if not outputs.exists():
            raise
        return 0, [], [str(error)]  # an archive that can't be unpacked


def _card_of(given: "Outputs", card: Path | None, name: str | None, ask: bool) -> "MethodCard":
    """Put the card together: from a file, from the outputs, from --name, and from who sits at the terminal."""
    from a2ibench.board.card import MethodCard

    if card is not None and card.is_symlink():  # one's own may be linked; a stranger's is not read through a link
        card = Path(os.path.realpath(card))
    about = MethodCard.load(card) if card is not None else given.card or MethodCard()
    name = name or about.name or (given.run.method if given.run else None)
    if name is not None:
        about = MethodCard.of({**about.model_dump(), "name": name})
    if ask:
        note("What the card does not say yet; Enter leaves it empty.")
        for field, info in MethodCard.model_fields.items():
            if getattr(about, field) in ("", None):
                about = _asked(about, field, info.description or field)
    if not about.name:
        raise A2IBenchError('The method has no name; give --name NAME, or a method.toml with name = "…".')
    return about


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(card: "MethodCard", field: str, question: str) -> "MethodCard":
    """Ask for one field until the answer can be taken."""
    words: dict[str, Any] = {"yes": True, "y": True, "no": False, "n": False, "": None}
    while True:
        answer = typer.prompt(f"{field} ({question})", default="", show_default=False, err=True)
        try:
            if field in ("text_labels", "test_clips"):
                if answer.lower() not in words:
                    raise A2IBenchError(f"{answer!r} is neither yes nor no.")
                answer = words[answer.lower()]
            return card.of({**card.model_dump(), field: answer})
        except A2IBenchError as error:
            note(str(error))
