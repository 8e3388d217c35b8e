"""Run every row of the paper's Table 1 on one suite, and write the table and its picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2ibench.baselines import get as get_method
from a2ibench.clips import ClipSet
from a2ibench.errors import unknown
from a2ibench.files import check_writable, write_text
from a2ibench.media.image import save_image
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


def table1(
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
    """Generate what is missing, score every row, and write ``table1.{md,csv,tex,json,png}`` into `out`.

    Each method has its run folder ``out/METHOD``, as `a2ibench eval` makes it: what is there is not made again.

    Parameters
    ----------
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
    check_writable(out)
    published = load_published()
    wanted = chosen_metrics(None, suite.task)
    suite.check_encoders(encoders_of(wanted))
    runs, absent = _prepared(suite, published.methods, seed, weights or {})
    check_clips(clips, stage)
    costs = {method: _cost(suite, method) for method in runs}
    total = stage("Table 1", sum(len(clips) * (cost + 1) for cost in costs.values()))
    there = executor or (out / UNITS / "features").is_dir()  # shards may have left some
    features = UnitFeatures(suite, out, device, executor) if there else None
    scorer = Scorer(suite, clips, own_data=own_data, device=device_here(device), features=features)
    rows = sanity(scorer, wanted, out / UNITS / "afresh" if executor else None)
    ceilings = {score.metric: score.value for score in rows[0].scores}
    results, pictures = [], []
    for row in published.rows:
        run = runs.get(row.method)
        if run is None:
            continue
        advance = _both(stage(f"  {row.method}", len(clips)), total, costs[row.method])
        result, made = generate_and_score(
            run,
            scorer,
            wanted,
            out / row.method,
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


def table1_shard(
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
    """Make a shard of every method's images, and the features of its clips; `table1` then merges all shards.

    Parameters
    ----------
    suite, clips, out, seed, device, batch_size, weights, executor, stage
        As `table1` takes them; the same for every shard.
    shard
        Which part this is.

    Returns
    -------
    The shard's clips.

    """
    check_writable(out)
    published = load_published()
    wanted = chosen_metrics(None, suite.task)
    suite.check_encoders(encoders_of(wanted))
    runs, _ = _prepared(suite, published.methods, seed, weights or {})
    for method, run in runs.items():
        check_folder(run, out / method)
    mine = ClipSet([], clips.name, clips.task)
    for method, run in runs.items():
        mine = run_shard(
            run, suite, clips, wanted, out / method, shard, features=out, device=device, batch_size=batch_size,
            executor=executor, stage=stage,
        )  # fmt: skip
    return mine


def _prepared(
    suite: Suite, methods: tuple[str, ...], seed: int, weights: Mapping[str, Mapping[str, Path]]
) -> tuple[dict[str, Run], dict[str, str]]:
    """Resolve every method's parts; a method for which nobody published weights is left out, with the reason."""
    for method in weights:
        if method not in methods:
            raise unknown("method of the table", method, methods)
    runs, absent = {}, {}
    for method in methods:
        own = weights.get(method, {})
        reason = suite.unpublished(method, [part for part in get_method(method).parts if part not in own])
        if reason:
            absent[method] = reason
        else:
            runs[method] = prepare(suite, method, seed=seed, weights=own)
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
    write_text(out / "table1.json", table.model_dump_json(indent=1) + "\n")
    write_text(out / "table1.md", to_markdown(table))
    write_text(out / "table1.csv", to_csv(table))
    write_text(out / "table1.tex", to_tex(table))
    sheet = comparison_sheet(
        clips,
        pictures,
        title=table.published.title,
        subtitle=f"on {table.suite} · {clips.name} · {len(clips)} clips, the first of each label",
    )
    save_image(out / "table1.png", sheet)
