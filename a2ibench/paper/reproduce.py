"""Run every row of a paper's tables on one suite, and write the table and its picture."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from a2ibench.baselines import get as get_method
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import check_writable, write_text
from a2ibench.media.image import save_image
from a2ibench.metrics import Metric
from a2ibench.paper.published import PaperRow, Published
from a2ibench.paper.table1 import Table1, build, load_published
from a2ibench.paper.tables import to_csv, to_markdown, to_tex
from a2ibench.pictures.sheets import comparison_sheet
from a2ibench.progress import Advance, Stage, silent
from a2ibench.runs.executors import Executor
from a2ibench.runs.features import UnitFeatures
from a2ibench.runs.folder import check_folder
from a2ibench.runs.prepare import Run, device_here, prepare
from a2ibench.runs.run import generate_and_score, run_shard
from a2ibench.runs.units import UNITS, Shard
from a2ibench.scoring.sanity import sanity
from a2ibench.scoring.scorer import Scorer, check_clips, chosen_metrics, encoders_of
from a2ibench.suites import Suite


def table1(suite: Suite, clips: ClipSet, out: Path, **asked: Any) -> Table1:
    """Run AudioToken's Table 1, as `reproduce` does with its published numbers."""
    return reproduce(load_published(), suite, clips, out, **asked)


def table1_shard(suite: Suite, clips: ClipSet, out: Path, shard: Shard, **asked: Any) -> ClipSet:
    """Make a shard of AudioToken's Table 1, as `reproduce_shard` does."""
    return reproduce_shard(load_published(), suite, clips, out, shard, **asked)


def reproduce(
    published: Published,
    suite: Suite,
    clips: ClipSet,
    out: Path,
    *,
    own_data: bool = False,
    seed: int = 0,
    device: str = "cpu",
    batch_size: int = 24,
    weights: Mapping[str, Mapping[str, Path]] | None = None,
    fresh: bool = False,
    executor: Executor | None = None,
    stage: Stage = silent,
) -> Table1:
    """Generate what is missing, score every row, and write ``NAME.{md,csv,tex,json,png}`` into `out`.

    Each row has its run folder ``out/METHOD``, as `a2ibench eval` makes it (``out/METHOD-option=value`` where the row
    sets options): what is there is not made again.

    Parameters
    ----------
    published
        The paper's rows and numbers.
    suite, clips, own_data
        On what; `own_data` says that the clips are the user's.
    out
        The folder of the runs.
    seed, device, batch_size, fresh, executor
        As `a2ibench.runs.generate.generate` takes them.
    weights
        The user's own weight files, by method and part.
    stage
        Shows progress: a bar for the whole, and one for each method.

    Raises
    ------
    A2IBenchError
        Before any work, for the first weight that is missing: which file, from where, how large, which licence.

    """
    wanted, runs, absent = _ready(published, suite, out, seed, weights or {})
    check_clips(clips, stage)
    costs = {key: _cost(suite, run.method.name) for key, run in runs.items()}
    total = stage(published.title.rpartition(", ")[2], sum(len(clips) * (cost + 1) for cost in costs.values()))
    there = executor or (out / UNITS / "features").is_dir()  # shards may have left some
    features = UnitFeatures(suite, out, device, executor) if there else None
    scorer = Scorer(suite, clips, own_data=own_data, device=device_here(device), features=features)
    rows = sanity(scorer, wanted, out / UNITS / "afresh" if executor else None)
    ceilings = {score.metric: score.value for score in rows[0].scores}
    results, pictures = [], []
    for row in published.runnable:
        run = runs.get(row.key)
        if run is None:
            continue
        advance = _both(stage(f"  {row.key}", len(clips)), total, costs[row.key])
        result, made = generate_and_score(
            run,
            scorer,
            wanted,
            out / row.folder,
            name=row.key,
            ceilings=ceilings,
            device=device,
            batch_size=batch_size,
            advance=advance,
            fresh=fresh,
            executor=executor,
        )
        total(len(clips))
        results.append(result)
        pictures.append((row.name, made.files))
    whole = suite.file.clips_digest in (None, clips.digest)
    table = build(published, suite.name, suite.id, results, rows, absent, whole)
    _write(table, clips, pictures, out)
    return table


def reproduce_shard(
    published: Published,
    suite: Suite,
    clips: ClipSet,
    out: Path,
    shard: Shard,
    *,
    seed: int = 0,
    device: str = "cpu",
    batch_size: int = 24,
    weights: Mapping[str, Mapping[str, Path]] | None = None,
    executor: Executor | None = None,
    stage: Stage = silent,
) -> ClipSet:
    """Make a shard of every row's outputs, and the features of its clips; `reproduce` then merges all shards.

    Parameters
    ----------
    published, suite, clips, out, seed, device, batch_size, weights, executor, stage
        As `reproduce` takes them; the same for every shard.
    shard
        Which part this is.

    Returns
    -------
    The shard's clips.

    """
    wanted, runs, _ = _ready(published, suite, out, seed, weights or {})
    folders = {row.key: out / row.folder for row in published.runnable}
    for key, run in runs.items():
        check_folder(run, folders[key])
    mine = ClipSet([], clips.name, clips.task)
    for key, run in runs.items():
        mine = run_shard(
            run, suite, clips, wanted, folders[key], shard, features=out, device=device, batch_size=batch_size,
            executor=executor, stage=stage,
        )  # fmt: skip
    return mine


def _ready(
    published: Published, suite: Suite, out: Path, seed: int, weights: Mapping[str, Mapping[str, Path]]
) -> tuple[list[Metric], dict[str, Run], dict[str, str]]:
    """Find all that is needed before any work: the metrics, the runs by row, and which rows can't be run and why."""
    if suite.task.name != published.task:
        raise A2IBenchError(
            f"{published.title} is of the task {published.task}, and the suite {suite.name!r} of {suite.task.name}; "
            "choose another --suite."
        )
    check_writable(out)
    wanted = chosen_metrics(None, suite.task)
    suite.check_encoders(encoders_of(wanted))
    return wanted, *_prepared(suite, published.runnable, seed, weights)


def _prepared(
    suite: Suite, rows: Iterable[PaperRow], seed: int, weights: Mapping[str, Mapping[str, Path]]
) -> tuple[dict[str, Run], dict[str, str]]:
    """Resolve every row's parts; a row for which nobody published weights is left out, with the reason."""
    rows = list(rows)
    methods = dict.fromkeys(row.method for row in rows)
    for name in weights:
        if name not in methods:
            raise unknown("method of the table", name, methods)
    runs, absent = {}, {}
    for row in rows:
        method, own = get_method(row.method), weights.get(row.method, {})
        reason = suite.unpublished(row.method, [part for part in method.parts if part not in own])
        if reason is None:
            run = prepare(suite, row.method, seed=seed, options=row.options, weights=own)
            reason = run.lacks
        if reason is None:
            runs[row.key] = run
        else:
            absent[row.key] = reason
    return runs, absent


def _cost(suite: Suite, method: str) -> int:
    """How long an image takes, against one of Stable Diffusion: only for the time that is left."""
    entry = suite.file.methods.get(method)
    if entry is None or entry.cost is None:
        return 0 if method == "reference" else 4
    return entry.cost


def _both(advance: Advance, whole: Advance, cost: int) -> Advance:
    def moved(count: int, note: str = "") -> None:
        advance(count, note)
        whole(count * cost)

    return moved


def _write(table: Table1, clips: ClipSet, pictures: list[tuple[str, Any]], out: Path) -> None:
    name = table.published.name
    write_text(out / f"{name}.json", table.model_dump_json(indent=1) + "\n")
    write_text(out / f"{name}.md", to_markdown(table))
    write_text(out / f"{name}.csv", to_csv(table))
    write_text(out / f"{name}.tex", to_tex(table))
    task = clips.task
    if all(row.method != "reference" for row in table.published.rows):  # then no row shows what is real
        pictures = [(task.real, {clip.clip_id: clip.file(task.reference) for clip in clips}), *pictures]
    sheet = comparison_sheet(
        clips,
        pictures,
        title=table.published.title,
        subtitle=f"on {table.suite} · {clips.name} · {len(clips)} clips, the first of each label",
    )
    save_image(out / f"{name}.png", sheet)
