"""A method's run from beginning to end: its images, their scores, and the folder that holds both."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from a2ibench.clips import ClipSet
from a2ibench.media.image import save_image
from a2ibench.metrics import Metric
from a2ibench.pictures.buckets import plots, subtitle
from a2ibench.pictures.lines import write_plots
from a2ibench.pictures.sheets import contact_sheet
from a2ibench.progress import Advance, Stage, silent
from a2ibench.results import Result
from a2ibench.runs.executors import Executor
from a2ibench.runs.features import UnitFeatures
from a2ibench.runs.generate import Generated, check_units, generate
from a2ibench.runs.prepare import Run, device_here
from a2ibench.runs.units import Shard
from a2ibench.scoring.scorer import Outputs, Scorer, check_clips, result_of
from a2ibench.suites import Suite


def generate_and_score(
    run: Run,
    scorer: Scorer,
    wanted: Sequence[Metric],
    folder: Path,
    *,
    ceilings: Mapping[str, float],
    device: str = "cpu",
    batch_size: int = 24,
    advance: Advance = lambda n: None,
    fresh: bool = False,
    seconds: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    name: str | None = None,
) -> tuple[Result, Generated]:
    """Make the images that a run folder lacks, score them, and write the result beside them.

    Parameters
    ----------
    run, folder, device, batch_size, advance, fresh, executor
        As `a2ibench.runs.generate.generate` takes them.
    scorer, wanted, ceilings, seconds
        As `a2ibench.scoring.scorer.result_of` takes them.
    name
        What the result calls the method, where several runs are of one method; by default its own name.

    """
    began = time.perf_counter()
    made = generate(
        run, scorer.clips, folder, device=device, batch_size=batch_size, advance=advance, fresh=fresh, executor=executor
    )
    spent = time.perf_counter() - began
    result = result_of(
        scorer,
        made.images(),
        wanted,
        method=name or run.method.name,
        ceilings=ceilings,
        device=device,
        seed=run.seed,
        options=run.options,
        weights=run.weights,
        licences=run.licences,
        notes=made.notes(),
        seconds={**(seconds or {}), "generate": spent},
    )
    write_run(folder, result, scorer.clips, made.images())
    return result, made


def run_shard(
    run: Run | None,
    suite: Suite,
    clips: ClipSet,
    wanted: Sequence[Metric],
    folder: Path,
    shard: Shard,
    *,
    outputs: Outputs | None = None,
    features: Path | None = None,
    device: str = "cpu",
    batch_size: int = 24,
    stage: Stage = silent,
    executor: Executor | None = None,
) -> ClipSet:
    """Make a shard's images and all features of its clips, and write no result: that is for the command without it.

    Parameters
    ----------
    run, outputs
        A method's run; or None, and outputs that are there.
    suite, clips, wanted, folder
        On what, and the run's folder. All shards are given the same clips.
    shard
        Which part of them.
    features
        The folder whose ``units/features`` keep the features; by default `folder`.
    device, batch_size, stage, executor
        As `a2ibench.runs.generate.generate` takes them.

    Returns
    -------
    The shard's clips.

    """
    if run is not None:
        check_units(folder, run.task, device, batch_size, clips)
    mine = ClipSet(shard.of(clips, batch_size), clips.name, clips.task)
    check_clips(mine, stage)
    if run is not None:
        advance = stage(f"generate {run.method.name}", len(mine))
        outputs = generate(
            run, clips, folder, device=device, batch_size=batch_size, advance=advance, executor=executor, shard=shard
        ).images()
    source = UnitFeatures(suite, features or folder, device, executor)
    scorer = Scorer(suite, mine, device=device_here(device), stage=stage, features=source)
    there = {clip.clip_id: (outputs or {})[clip.clip_id] for clip in mine if clip.clip_id in (outputs or {})}
    if len(mine):
        scorer.encode(there, wanted)
        # The ceiling is measured of the real ones as if they were outputs.
        real = {clip.clip_id: [clip.file(clips.task.reference)] for clip in mine}
        scorer.encode(real, wanted, clips.task.real)
    return mine


def write_run(folder: Path, result: Result, clips: ClipSet, images: Outputs) -> None:
    """Write what a run folder holds beside the images: ``result.json``, ``items.csv``, ``contact.png``, plots."""
    result.save(folder / "result.json")
    result.write_items(folder / "items.csv")
    sheet = contact_sheet(
        clips,
        {clip_id: files[0] for clip_id, files in images.items() if files},
        title=result.method,
        subtitle=f"{result.suite} · {clips.name} · {len(clips)} clips"
        + (f" · seed {result.seed}" if result.seed is not None else ""),
        method=result.method,
    )
    save_image(folder / "contact.png", sheet)
    write_plots(folder, plots([(result.method, result)]), subtitle(result.suite, result.clips), replace=True)
