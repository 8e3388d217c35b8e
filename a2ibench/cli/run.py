"""The commands that make and score images: eval, generate, train."""

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from a2ibench.cli.shared import (
    AllowMissingOption,
    BatchOption,
    DataOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    LimitOption,
    OutOption,
    RayOption,
    SeedOption,
    SetOption,
    ShardOption,
    SuiteOption,
    TrainingOption,
    WeightsOption,
    WorkersOption,
    app,
    chosen_shard,
    console,
    note,
    pairs,
    paths,
    print_json,
    progress,
    say_shard,
)
from a2ibench.errors import A2IBenchError


@app.command(
    epilog="Examples: [bold]a2ibench eval --method audiotoken[/bold] · [bold]a2ibench eval --outputs my-images/[/bold]"
)
def eval(
    method: Annotated[str | None, typer.Option("--method", help="A method to run; see `a2ibench list`.")] = None,
    outputs: Annotated[
        Path | None, typer.Option("--outputs", help="A folder (or .zip, .tar.gz) of images <clip_id>.png to score.")
    ] = None,
    suite: SuiteOption = None,
    data: DataOption = None,
    training: TrainingOption = None,
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
    allow_missing: AllowMissingOption = False,
    fresh: FreshOption = False,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate what is missing and score it: a method of ours, or a folder of images."""
    if (method is None) == (outputs is None):
        raise A2IBenchError("Give either --method NAME or --outputs DIR; `a2ibench list` names the methods.")
    from a2ibench.api import evaluate_shard, evaluation
    from a2ibench.baselines import get as get_method
    from a2ibench.pictures.buckets import plots
    from a2ibench.show.terminal import score_report
    from a2ibench.tasks import get as get_task

    began = time.perf_counter()
    part = chosen_shard(shard, fresh, workers, ray)
    what = get_method(method).name if method else outputs or Path()
    asked: dict[str, Any] = {
        "name": name, "data": data, "limit": limit, "metrics": metric, "seed": seed, "options": pairs(options),
        "weights": paths(weights), "device": device, "batch_size": batch_size, "out": out,
        "allow_missing": allow_missing, "workers": workers,
    }  # fmt: skip
    with progress() as stage:
        if part is not None:
            say_shard(part, *evaluate_shard(what, suite, part, **asked, stage=stage), as_json)
            return
        done = evaluation(what, suite, **asked, training=training, fresh=fresh, ray=ray, stage=stage)
    if as_json:
        print_json(done.result.model_dump())
        return
    console().print(score_report([done.result], done.sanity))
    drawn = " ".join(["contact.png", *(plot.file for plot in plots([(done.result.method, done.result)]))])
    held = f"  {get_task(done.result.task).folder}/ items.csv result.json {drawn}" if done.run else ""
    console().print(f"{done.folder}{os.sep}{held}", highlight=False)
    note(f"Done in {time.perf_counter() - began:.0f} s.")
    if done.result.caution and data is not None and outputs is not None:
        _say_how_to_score_it(outputs, data)


def _say_how_to_score_it(outputs: Path, data: Path) -> None:
    """Name the command that scores real photographs and sounds, where the published networks can be had."""
    import shlex

    from a2ibench.scoring.scorer import chosen_metrics, encoders_of
    from a2ibench.suites import load_suite
    from a2ibench.weights.fetch import is_offline

    published = load_suite("vggsound")
    try:
        if is_offline():
            published.check_encoders(encoders_of(chosen_metrics(None, published.task)))
    except A2IBenchError:
        return
    command = f"a2ibench eval --outputs {shlex.quote(str(outputs))} --data {shlex.quote(str(data))} --suite vggsound"
    note(f"With the published networks (about 850 MB, fetched once): {command}")


@app.command(epilog="Example: [bold]a2ibench generate --method sd-text --out my-run[/bold]")
def generate(
    method: Annotated[str, typer.Option("--method", help="The method; see `a2ibench list`.")],
    suite: SuiteOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 24,
    out: OutOption = None,
    weights: WeightsOption = None,
    options: SetOption = None,
    fresh: FreshOption = False,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a method's images without scoring them; goes on where an earlier run was stopped."""
    from a2ibench.api import chosen_clips, run_folder
    from a2ibench.baselines import get as get_method
    from a2ibench.clips import ClipSet
    from a2ibench.files import check_writable
    from a2ibench.runs.folder import check_folder
    from a2ibench.runs.generate import check_units
    from a2ibench.runs.generate import generate as make_images
    from a2ibench.runs.pools import open_workers
    from a2ibench.runs.prepare import check_run, device_of, prepare
    from a2ibench.scoring.scorer import check_clips
    from a2ibench.suites import default_suite, load_suite

    part = chosen_shard(shard, fresh, workers, ray)
    loaded = load_suite(suite or default_suite(get_method(method).task))
    clips, _ = chosen_clips(loaded, data, limit)
    run = prepare(loaded, method, seed=seed, options=pairs(options), weights=paths(weights))
    check_run(run)
    folder = out or run_folder(loaded, clips, method, data, limit)
    check_writable(folder)
    check_folder(run, folder, fresh=fresh)
    with open_workers(workers, ray, device, part) or nullcontext() as executor, progress() as stage:
        where = executor.device(device) if executor else device_of(device)
        check_units(folder, run.task, where, batch_size, clips if part else None)
        mine = ClipSet(part.of(clips, batch_size), clips.name, clips.task) if part else clips
        check_clips(mine, stage)
        generated = make_images(
            run,
            clips,
            folder,
            device=where,
            batch_size=batch_size,
            advance=stage("generate", len(mine)),
            fresh=fresh,
            executor=executor,
            shard=part,
        )
    if as_json:
        print_json({"folder": str(folder), "images": {k: str(v) for k, v in generated.files.items()}})
    else:
        console().print(f"{folder / 'images'}{os.sep}", highlight=False)
    for sentence in generated.notes():
        note(sentence)


@app.command(epilog="Example: [bold]a2ibench train audiotoken --steps 500 --out my-training[/bold]")
def train(
    method: Annotated[str, typer.Argument(help="A method with a trainer, as audiotoken.")],
    suite: SuiteOption = None,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="By default under runs/.")] = None,
    classification_loss: Annotated[bool, typer.Option("--cl", help="Add the classification loss.")] = False,
    steps: Annotated[int | None, typer.Option("--steps", min=1)] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Clips of a batch, of all processes together.")
    ] = None,
    accumulate: Annotated[int | None, typer.Option("--accumulate", min=1, help="Batches per step.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate.")] = None,
    mixed_precision: Annotated[str | None, typer.Option("--mixed-precision", help="no, fp16 or bf16.")] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the UNet: faster on GPUs, a slow start.")] = False,
    cache: Annotated[
        str | None, typer.Option("--cache", help="What is computed once: features, latents, or auto (by size).")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    checkpoint_every: Annotated[int, typer.Option("--save-every", min=1, help="Steps.")] = 200,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from the last checkpoint, or begin again.")
    ] = True,
    weights: WeightsOption = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, as validate_every=500 or recipe=authors."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a method, as AudioToken's embedder; the same command goes on after a kill (GPUs: accelerate launch)."""
    from a2ibench.baselines import methods
    from a2ibench.runs.prepare import device_of
    from a2ibench.runs.train import train_method

    if classification_loss and f"{method}-cl" in methods():
        method = f"{method}-cl"

    where = device_of(device)
    if where == "cuda" and "LOCAL_RANK" in os.environ:  # one of several processes of `accelerate launch`
        where = f"cuda:{os.environ['LOCAL_RANK']}"
    chosen = {"steps": steps, "batch_size": batch_size, "accumulate": accumulate, "lr": lr, "cache": cache}
    chosen |= {"mixed_precision": mixed_precision, "compile": compile or None}
    with progress() as stage:
        file = train_method(
            method,
            suite,
            data,
            out,
            settings={"seed": seed, **pairs(options), **{k: v for k, v in chosen.items() if v is not None}},
            weights=paths(weights),
            device=where,
            checkpoint_every=checkpoint_every,
            fresh=not resume,
            stage=stage,
        )
    if as_json:
        print_json({methods()[method].trains: str(file)})
    else:
        console().print(str(file), highlight=False)
        part = methods()[method].trains
        own = "".join(f" --weights {name}={path}" for name, path in paths(weights).items())
        note(f"Use it: a2ibench eval --method {method}{own} --weights {part}={file} --out {file.parent / 'eval'}")
