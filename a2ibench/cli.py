"""The command line. Data goes to stdout, progress and errors to stderr; exit 0 done, 1 check failed, 2 wrong use."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from a2ibench import __version__
from a2ibench.errors import A2IBenchError

if TYPE_CHECKING:
    from a2ibench.clips import ClipSet
    from a2ibench.suites import Suite

app = typer.Typer(
    name="a2ibench",
    help="The benchmark for making images from sound: how good is a method, and is it really better?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

SuiteOption = Annotated[str, typer.Option("--suite", help="A built-in suite, or the path of a suite's TOML file.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Your own clips: a folder with clips.csv (clip_id,audio,image,label)."),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=3, help="Only so many clips, spread over the labels.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The seed of the images.")]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
]
BatchOption = Annotated[int, typer.Option("--batch-size", min=1, help="Clips per batch.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="The run folder; by default runs/SUITE/METHOD.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Make everything in the run folder anew.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of tables.")]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option("--weights", metavar="PART=FILE", help="Your own weights for a part, as embedder=my.safetensors."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A method's option, as steps=50 or guidance=5."),
]


@app.command(
    epilog="Examples: [bold]a2ibench eval --method audiotoken[/bold] · [bold]a2ibench eval --outputs my-images/[/bold]"
)
def eval(
    method: Annotated[str | None, typer.Option("--method", help="A method to run; see `a2ibench list`.")] = None,
    outputs: Annotated[
        Path | None, typer.Option("--outputs", help="A folder of images <clip_id>.png to score instead.")
    ] = None,
    suite: SuiteOption = "mini",
    data: DataOption = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="A metric instead of the default ones; repeatable.")
    ] = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 24,
    out: OutOption = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call the scored folder.")] = None,
    weights: WeightsOption = None,
    options: SetOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Generate what is missing and score it: a method of ours, or a folder of images."""
    if (method is None) == (outputs is None):
        raise A2IBenchError("Give either --method NAME or --outputs DIR; `a2ibench list` names the methods.")
    from a2ibench.evaluate import Scorer, check_clips, chosen_metrics, outputs_in, result_of, sanity
    from a2ibench.files import check_writable, save_image
    from a2ibench.generate import generate as make_images
    from a2ibench.generate import prepare
    from a2ibench.suites import load_suite

    began = time.perf_counter()
    wanted = chosen_metrics(metric)
    loaded = load_suite(suite)
    loaded.check_encoders()
    run = prepare(loaded, method, seed=seed, options=_pairs(options), weights=_paths(weights)) if method else None
    clips, everything = _clips(loaded, data, limit)
    title = method or name or (outputs.resolve().name if outputs else "")
    folder = out or _run_folder(loaded, clips, title, data, limit)
    check_writable(folder)
    if outputs and (folder / "run.json").exists():
        raise A2IBenchError(f"{folder} holds a method's run; give another --name or --out for the scores of {outputs}.")
    images = outputs_in(outputs, clips, everything) if outputs else {}
    where = _device(device)
    with _progress() as stage:
        check_clips(clips, stage)
        if outputs:
            _check_images(images, stage)
        seconds = {}
        if run is not None:
            start = time.perf_counter()
            images = make_images(
                run,
                clips,
                folder,
                device=where,
                batch_size=batch_size,
                advance=stage("draw", len(clips)),
                fresh=fresh,
            )
            seconds["generate"] = time.perf_counter() - start
        start = time.perf_counter()
        scorer = Scorer(loaded, clips, own_data=data is not None, device=where, stage=stage)
        rows = sanity(scorer, wanted)
        seconds["references"] = time.perf_counter() - start
        result = result_of(
            scorer,
            images,
            wanted,
            method=title,
            ceilings={score.metric: score.value for score in rows[0].scores},
            device=where,
            seed=seed if run else None,
            options=run.options if run else {},
            weights=run.weights if run else {},
            seconds=seconds,
        )
    from a2ibench.report import contact_sheet, score_report

    result.save(folder / "result.json")
    result.write_items(folder / "items.csv")
    sheet = contact_sheet(
        clips,
        images,
        title=title,
        subtitle=f"{loaded.id} · {clips.name} · {len(clips)} clips" + (f" · seed {seed}" if run else ""),
        method=title,
    )
    save_image(folder / "contact.png", sheet)
    if as_json:
        _print_json(result.model_dump())
        return
    _console().print(score_report([result], rows))
    _console().print(
        f"{folder}{os.sep}  images/ items.csv result.json contact.png" if run else f"{folder}{os.sep}",
        highlight=False,
    )
    _note(f"Done in {time.perf_counter() - began:.0f} s.")


@app.command(epilog="Example: [bold]a2ibench generate --method sd-text --out my-run[/bold]")
def generate(
    method: Annotated[str, typer.Option("--method", help="The method; see `a2ibench list`.")],
    suite: SuiteOption = "mini",
    data: DataOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 24,
    out: OutOption = None,
    weights: WeightsOption = None,
    options: SetOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a method's images without scoring them; goes on where an earlier run was stopped."""
    from a2ibench.evaluate import check_clips
    from a2ibench.files import check_writable
    from a2ibench.generate import generate as make_images
    from a2ibench.generate import prepare
    from a2ibench.suites import load_suite

    loaded = load_suite(suite)
    run = prepare(loaded, method, seed=seed, options=_pairs(options), weights=_paths(weights))
    clips, _ = _clips(loaded, data, limit)
    folder = out or _run_folder(loaded, clips, method, data, limit)
    check_writable(folder)
    where = _device(device)
    with _progress() as stage:
        check_clips(clips, stage)
        images = make_images(
            run,
            clips,
            folder,
            device=where,
            batch_size=batch_size,
            advance=stage("draw", len(clips)),
            fresh=fresh,
        )
    if as_json:
        _print_json({"folder": str(folder), "images": {k: str(v) for k, v in images.items()}})
    else:
        _console().print(f"{folder / 'images'}{os.sep}", highlight=False)


@app.command(epilog="Example: [bold]a2ibench train audiotoken --steps 500 --out my-training[/bold]")
def train(
    method: Annotated[str, typer.Argument(help="What to train: audiotoken.")],
    suite: SuiteOption = "mini",
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="By default runs/SUITE/train-audiotoken[-cl].")] = None,
    classification_loss: Annotated[bool, typer.Option("--cl", help="Add the classification loss.")] = False,
    steps: Annotated[int | None, typer.Option("--steps", min=1)] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Per process.")] = None,
    accumulate: Annotated[int, typer.Option("--accumulate", min=1, help="Batches per step.")] = 1,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate.")] = None,
    mixed_precision: Annotated[str, typer.Option("--mixed-precision", help="no, fp16 or bf16.")] = "no",
    precompute: Annotated[
        bool,
        typer.Option(help="Compute audio features and latents once per clip and keep them in the cache."),
    ] = True,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    checkpoint_every: Annotated[int, typer.Option("--checkpoint-every", min=1, help="Steps.")] = 200,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from the last checkpoint, or begin anew.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Train AudioToken's embedder; the same command goes on after a kill (several GPUs: accelerate launch)."""
    from a2ibench.errors import unknown

    if method not in ("audiotoken", "audiotoken-cl"):
        raise unknown("trainable method", method, ("audiotoken", "audiotoken-cl"))
    if mixed_precision not in ("no", "fp16", "bf16"):
        raise unknown("mixed precision", mixed_precision, ("no", "fp16", "bf16"))
    classification_loss = classification_loss or method == "audiotoken-cl"
    from a2ibench.training import train_audiotoken

    where = _device(device)
    if where == "cuda" and "LOCAL_RANK" in os.environ:  # one of several processes of `accelerate launch`
        where = f"cuda:{os.environ['LOCAL_RANK']}"
    chosen = {"steps": steps, "batch_size": batch_size, "lr": lr}
    with _progress() as stage:
        file = train_audiotoken(
            suite,
            data,
            out,
            settings={
                **{k: v for k, v in chosen.items() if v is not None},
                "accumulate": accumulate,
                "mixed_precision": mixed_precision,
                "precompute": precompute,
                "seed": seed,
                "lambda_cl": 0.01 if classification_loss else 0.0,
            },
            device=where,
            checkpoint_every=checkpoint_every,
            fresh=not resume,
            stage=stage,
        )
    if as_json:
        _print_json({"embedder": str(file)})
    else:
        _console().print(str(file), highlight=False)
        _note(f"Use it: a2ibench eval --method audiotoken --weights embedder={file} --out {file.parent / 'eval'}")


@app.command(epilog="Example: [bold]a2ibench compare runs/mini/audiotoken runs/mini/sd-text[/bold]")
def compare(
    first: Annotated[Path, typer.Argument(help="A run folder or its result.json.")],
    second: Annotated[Path, typer.Argument(help="Another one, on the same clips.")],
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Only this metric; repeatable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Is A better than B? Paired differences on the same clips, with intervals and p-values (Holm over metrics)."""
    from a2ibench.compare import compare_results, comparison_table
    from a2ibench.results import Result

    a, b = (Result.load(path / "result.json" if path.is_dir() else path) for path in (first, second))
    comparisons = compare_results(a, b, metric)
    if as_json:
        _print_json({"a": a.method, "b": b.method, "metrics": [c.model_dump() for c in comparisons]})
    else:
        _console().print(comparison_table(a.method, b.method, comparisons))


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
        "methods": lambda: {name: m.summary for name, m in methods().items()},
        "metrics": lambda: {name: m.summary for name, m in metrics().items()},
        "suites": _suite_summaries,
    }
    if what is not None and what not in kinds:
        raise unknown("list", what, kinds)
    tables = {kind: kinds[kind]() for kind in ([what] if what else kinds)}
    if as_json:
        _print_json(tables)
        return
    from rich.table import Table

    for kind, entries in tables.items():
        table = Table(title=kind, title_justify="left", box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for entry, summary in entries.items():
            table.add_row(entry, summary)
        _console().print(table)


@app.command(epilog="Example: [bold]a2ibench doctor[/bold]")
def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed, which weights are there, under which licence, and what is wrong."""
    from a2ibench.doctor import examine, report

    findings = examine()
    if as_json:
        _print_json(findings)
    else:
        _console().print(report(findings))
    if findings["problems"]:
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]a2ibench schema > result.schema.json[/bold]")
def schema() -> None:
    """Print the JSON Schema of a result."""
    from a2ibench.results import json_schema

    _print_json(json_schema())


def _version(value: bool) -> None:
    if value:
        typer.echo(f"a2ibench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The benchmark for making images from sound."""


def main() -> None:
    """Run the command line: one sentence and exit code 2 for what the user can mend."""
    try:
        app()
    except A2IBenchError as error:
        _note(f"a2ibench: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        _note("Stopped; the same command goes on from what is whole.")
        sys.exit(130)


# -------------------------------------------------------------------------------------------------- helpers


def _clips(suite: "Suite", data: Path | None, limit: int | None) -> "tuple[ClipSet, ClipSet]":
    everything = suite.clips(data)
    return (everything if limit is None else everything.spread(limit)), everything


def _run_folder(suite: "Suite", clips: "ClipSet", title: str, data: Path | None, limit: int | None) -> Path:
    # A run on some of the clips has a folder of its own, so that its result never replaces that of the whole.
    part = "" if limit is None else f"-limit{limit}"
    return Path("runs") / (suite.name if data is None else f"{suite.name}-{clips.name}") / f"{title}{part}"


def _check_images(images: dict[str, Path], stage: Any) -> None:
    from a2ibench.clips import read_image

    advance = stage("check images", len(images))
    for path in images.values():
        read_image(path)
        advance(1)


def _suite_summaries() -> dict[str, str]:
    from a2ibench.suites import load_suite, suites

    return {name: load_suite(name).summary for name in suites()}


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(kind, False):
        here = ", ".join(name for name, there in available.items() if there)
        raise A2IBenchError(f"The device {name!r} is not available; here: {here}.")
    return name


def _pairs(values: list[str] | None) -> dict[str, Any]:
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


def _paths(values: list[str] | None) -> dict[str, Path]:
    pairs = (pair.partition("=") for pair in values or [])
    found = {}
    for name, equals, value in pairs:
        if not equals or not name or not value:
            raise A2IBenchError(f"{name + equals + value!r} is not PART=FILE; write embedder=my.safetensors.")
        found[name] = Path(value)
    return found


@contextmanager
def _progress() -> Iterator[Any]:
    """Show progress bars on stderr: yields what opens one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:

        def stage(name: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)

            def advance(count: int, note: str = "") -> None:
                progress.update(task, advance=count, description=f"{name} {note}".rstrip())

            return advance

        yield stage


def _console() -> Any:
    from rich.console import Console

    return Console()


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _note(text: str) -> None:
    sys.stderr.write(text + "\n")
