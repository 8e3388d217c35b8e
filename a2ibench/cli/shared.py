"""What the commands share: the application, the options, progress and printing."""

import codecs
import io
import json
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from a2ibench.errors import A2IBenchError

_EVERY = 30.0  # seconds between two lines of progress in a log file


_PLAIN = {
    "±": "+-", "–": "-", "−": "-", "—": "-", "·": ".", "…": "...", "α": "alpha", "ρ": "rho", "×": "x", "≥": ">=",
    "↑": "^", "↓": "v", "→": ">", "≤": "<=", "“": '"', "”": '"', "’": "'",
}  # fmt: skip


class _InOrder(TyperGroup):
    """Lists the commands in the order in which one needs them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


ORDER = (
    "eval", "reproduce", "compare", "report", "submit", "verify", "leaderboard", "rate", "generate", "train", "list",
    "data", "index", "doctor", "schema",
)  # fmt: skip

app = typer.Typer(
    name="a2ibench",
    cls=_InOrder,
    help="The benchmark for images from sound, and sounds from video or text: which method is better, and is it luck?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

SuiteOption = Annotated[
    str | None,
    typer.Option("--suite", help="A built-in suite, or a suite's TOML file; by default the embedded one of the task."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Your own clips: a folder with clips.csv, see docs/data.md."),
]
TrainingOption = Annotated[
    Path | None,
    typer.Option("--training", help="The clips that it was trained on, as for --data: copies of them are counted."),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=3, help="Only so many clips, spread over the labels.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The seed of the images.")]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
]
BatchOption = Annotated[int, typer.Option("--batch-size", min=1, help="Clips per batch.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="The run folder; by default runs/SUITE/METHOD.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Make everything in the run folder again.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of tables.")]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option("--weights", metavar="PART=FILE", help="Your own weights for a part, as embedder=FILE."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", help="Compute in so many processes, one per GPU or core; see docs/clusters.md."),
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts; in a SLURM array by itself, unless none."),
]
RayOption = Annotated[
    str | None, typer.Option("--ray", metavar="ADDRESS", help="Compute on a Ray cluster: auto or HOST:PORT.")
]
AllowMissingOption = Annotated[
    bool, typer.Option("--allow-missing", help="Clips may lack images: they lose all their comparisons.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A method's option, as steps=50 or guidance=5."),
]


def suite_of(outputs: Path) -> str:
    """Name the built-in suite that a run is of; where its folder says nothing of that kind, the usual one."""
    from a2ibench.board.verify import suite_name
    from a2ibench.suites import default_suite, suites

    named = suite_name(outputs) if (outputs / "result.json").is_file() else ""
    return named if named in suites() else default_suite()


def pairs(values: list[str] | None) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is read as JSON where it is some, else as text."""
    found: dict[str, Any] = {}
    for pair in values or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise A2IBenchError(f"{pair!r} is not NAME=VALUE; write for example steps=50.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def paths(values: list[str] | None) -> dict[str, Path]:
    """Read PART=FILE pairs."""
    pairs = (pair.partition("=") for pair in values or [])
    found = {}
    for name, equals, value in pairs:
        if not equals or not name or not value:
            raise A2IBenchError(f"{name + equals + value!r} is not PART=FILE; write embedder=my.safetensors.")
        found[name] = Path(value)
    return found


@contextmanager
def progress() -> Iterator[Any]:
    """Show progress on stderr, as bars on a terminal and as lines in a log: yields what opens one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield _lines
        return
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=False) as progress:

        def stage(name: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)

            def advance(count: int, note: str = "") -> None:
                progress.update(task, advance=count, description=f"{name} {note}".rstrip())

            return advance

        yield stage


def _lines(name: str, total: int) -> Callable[..., None]:
    """Show a stage in a log file: a line at its beginning, one every half minute, one at its end."""
    began = last = time.monotonic()
    done = 0
    note(f"{name.strip()}: 0/{total}")

    def advance(count: int, remark: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        ended = count > 0 and done >= total and now - began > 1
        if ended or now - last > _EVERY:
            last = now
            note(f"{name.strip()}: {done}/{total} after {now - began:.0f} s {remark}".rstrip())

    return advance


def console() -> Any:
    """Open stdout for tables, with plain characters where its encoding lacks others."""
    from rich.console import Console

    codecs.register_error("a2ibench", _plain_characters)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="a2ibench")
    return Console()


def _plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Write ``+-`` for ``±`` and the like where a terminal or a pipe can't show it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_plain_character(sign) for sign in error.object[error.start : error.end]), error.end


def _plain_character(sign: str) -> str:
    """One character for one, or a table loses its columns: é is written e."""
    base = unicodedata.normalize("NFKD", sign)[:1]
    return _PLAIN.get(sign) or (base if base.isascii() else "?")


def chosen_shard(text: str | None, fresh: bool, workers: int | None, ray: str | None) -> Any:
    """Read --shard, and say so where it comes from SLURM; None for the whole. Refuses what can't go with it."""
    from a2ibench.runs.pools import check_workers
    from a2ibench.runs.units import shard_of

    shard = shard_of(text)
    if shard and fresh:
        raise A2IBenchError(
            "--fresh would delete what other shards make; delete the run folder first, and leave it out."
        )
    check_workers(workers, ray, shard)
    if shard and text is None:
        note(f"Shard {shard} of the SLURM array (--shard none makes the whole).")
    return shard


def say_shard(part: Any, folder: Path, clips: Any, as_json: bool) -> None:
    """Say what a shard has made, and that the scores come later."""
    if as_json:
        print_json({"folder": str(folder), "shard": str(part), "clips": list(clips.ids)})
        return
    console().print(f"{folder}{os.sep}  shard {part}, {len(clips)} clips", highlight=False)
    note("When all shards have ended, the same command without --shard (in an array: --shard none) merges them.")


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def note(text: str) -> None:
    """Say something on stderr."""
    sys.stderr.write(text + "\n")
