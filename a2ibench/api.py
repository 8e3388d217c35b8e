"""The Python face: what the commands do, as functions. The commands only read arguments and print."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2ibench.baselines import methods
from a2ibench.board.outputs import read_outputs
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, check_writable
from a2ibench.metrics import Metric
from a2ibench.progress import Stage, silent
from a2ibench.results import Result
from a2ibench.runs.executors import Executor
from a2ibench.runs.features import UnitFeatures
from a2ibench.runs.folder import check_folder, write_outputs
from a2ibench.runs.pools import check_workers, open_workers
from a2ibench.runs.prepare import Run, check_run, device_here, device_of, prepare
from a2ibench.runs.run import generate_and_score, run_shard, write_run
from a2ibench.runs.units import UNITS, Shard
from a2ibench.scoring.sanity import sanity
from a2ibench.scoring.scorer import Scorer, check_clips, chosen_metrics, encoders_of, result_of
from a2ibench.show.compare import Comparison, compare_results
from a2ibench.suites import Suite, default_suite, load_suite

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Comparisons", "Evaluation", "compare", "evaluate", "evaluate_shard", "evaluation", "load_result"]

Given = str | Path | Mapping[str, Any]
"""What is evaluated: a method's name, a folder or archive of outputs, or outputs by clip id."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gives: the result, the sanity entries beside it, and where both were written."""

    result: Result
    sanity: list[Result]
    folder: Path
    run: Run | None = field(repr=False, default=None)


def evaluate(what: Given, suite: str | Path | Suite | None = None, **settings: Any) -> Result:
    """Generate what is missing, score it, and write the run: what ``a2ibench eval`` does.

    Parameters
    ----------
    what
        The name of a method; a folder, ``.zip`` or ``.tar.gz`` of outputs ``<clip_id>.png``; or outputs by clip id:
        ``PIL`` images, arrays ``uint8 [h, w, 3]``, or paths.
    suite
        A suite, its name, or the path of its file; by default the embedded one of the method's task.
    settings
        As `evaluation` takes them: ``name``, ``data``, ``training``, ``limit``, ``metrics``, ``seed``, ``options``,
        ``weights``, ``device``, ``batch_size``, ``out``, ``allow_missing``, ``fresh``, ``workers``, ``ray``.

    Returns
    -------
    The result: ``result["AIS"].value``, ``result.frame()``.

    Raises
    ------
    A2IBenchError
        For whatever the user can fix: one sentence, and before any work where it can be known.

    Examples
    --------
    >>> result = evaluate("reference", "mini", limit=3, metrics=["IIS"], out=tmp / "reference")
    >>> result["IIS"].value
    100.0

    """
    return evaluation(what, suite, **settings).result


def evaluation(
    what: Given,
    suite: str | Path | Suite | None = None,
    *,
    name: str | None = None,
    data: Path | None = None,
    training: Path | None = None,
    limit: int | None = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    weights: Mapping[str, Path] | None = None,
    device: str = "auto",
    batch_size: int = 24,
    out: Path | None = None,
    allow_missing: bool = False,
    fresh: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    stage: Stage = silent,
) -> Evaluation:
    """Do what `evaluate` does, and give the sanity entries and the folder too.

    Parameters
    ----------
    what, suite
        See `evaluate`.
    name
        What to call outputs that are not of a method of ours; by default as their folder.
    data
        Clips of one's own: a folder with ``clips.csv``.
    training
        The clips that the method was trained on, as `data`: outputs that copy one of them are counted.
    limit
        Only so many clips, spread over the labels.
    metrics
        Names of metrics; by default those of the task.
    seed, options, weights
        Of a method: the run's seed, options that differ from the suite's, own weight files by part.
    device, batch_size
        How to compute; ``"auto"`` takes a GPU if there is one.
    out
        The run folder; by default ``runs/SUITE/NAME``.
    allow_missing
        Whether clips may lack outputs: they lose all their comparisons.
    fresh
        Whether to make everything in the run folder again.
    workers, ray
        How many processes compute, and the address of a Ray cluster that they run on; by default all is computed here.
    stage
        Shows progress.

    """
    check_workers(workers, ray)
    with ExitStack() as stack:
        plan = _plan(what, suite, name, data, limit, metrics, seed, options, weights, out, fresh, stack)
        executor = stack.enter_context(_workers(plan, workers, ray, device))
        where = executor.device(device) if executor else device_of(device)
        given = None
        if plan.source:
            given = stack.enter_context(
                read_outputs(plan.source, plan.clips, plan.everything, allow_missing=allow_missing, stage=stage)
            )
            given.check()
        check_clips(plan.clips, stage)
        start = time.perf_counter()
        scorer = _scorer(plan, data is not None, training, where, stage, executor)
        entries = sanity(scorer, plan.wanted, plan.folder / UNITS / "afresh" if executor else None)
        ceilings = {score.metric: score.value for score in entries[0].scores}
        seconds = {"references": time.perf_counter() - start}
        if plan.run:
            advance = stage("generate", len(plan.clips))
            result, _ = generate_and_score(
                plan.run, scorer, plan.wanted, plan.folder, ceilings=ceilings, device=where, batch_size=batch_size,
                advance=advance, fresh=fresh, seconds=seconds, executor=executor,
            )  # fmt: skip
        elif given:
            result = result_of(
                scorer, given.images, plan.wanted, method=plan.title, ceilings=ceilings, device=where, seconds=seconds
            )
            write_run(plan.folder, result, plan.clips, given.images)
    return Evaluation(result, entries, plan.folder, plan.run)


def evaluate_shard(
    what: Given,
    suite: str | Path | Suite | None,
    shard: Shard,
    *,
    name: str | None = None,
    data: Path | None = None,
    limit: int | None = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    weights: Mapping[str, Path] | None = None,
    device: str = "auto",
    batch_size: int = 24,
    out: Path | None = None,
    allow_missing: bool = False,
    workers: int | None = None,
    stage: Stage = silent,
) -> tuple[Path, ClipSet]:
    """Make one shard of an evaluation: its outputs and features; `evaluation` of the same settings then merges them.

    Gives the run's folder, and the shard's clips.

    Parameters
    ----------
    what, suite, **settings
        As `evaluation` takes them; the same for every shard.
    shard: which part this is.

    """
    check_workers(workers, None, shard)
    with ExitStack() as stack:
        plan = _plan(what, suite, name, data, limit, metrics, seed, options, weights, out, False, stack)
        executor = stack.enter_context(_workers(plan, workers, None, device, shard))
        where = executor.device(device) if executor else device_of(device)
        outputs = None
        if plan.source:
            given = stack.enter_context(
                read_outputs(plan.source, plan.clips, plan.everything, allow_missing=allow_missing, stage=stage)
            )
            given.check()
            outputs = given.images
        mine = run_shard(
            plan.run, plan.suite, plan.clips, plan.wanted, plan.folder, shard, outputs=outputs, device=where,
            batch_size=batch_size, stage=stage, executor=executor,
        )  # fmt: skip
    return plan.folder, mine


@dataclass(frozen=True)
class _Plan:
    """An evaluation whose words are all understood."""

    suite: Suite
    wanted: Sequence[Metric]
    clips: ClipSet
    everything: ClipSet
    run: Run | None
    source: Path | None
    title: str
    folder: Path


def _plan(
    what: Given,
    suite: str | Path | Suite | None,
    name: str | None,
    data: Path | None,
    limit: int | None,
    metrics: Sequence[str] | None,
    seed: int,
    options: Mapping[str, Any] | None,
    weights: Mapping[str, Path] | None,
    out: Path | None,
    fresh: bool,
    stack: ExitStack,
) -> _Plan:
    """Understand what is asked for, and refuse what can't be done, before any work."""
    method = what if isinstance(what, str) and what in methods() else None
    named = suite or default_suite(methods()[method].task if method else None)
    loaded = named if isinstance(named, Suite) else load_suite(str(named))
    wanted = chosen_metrics(metrics, loaded.task)
    clips, everything = chosen_clips(loaded, data, limit)  # before anything that may have to be fetched
    source = None if method else _source(what, name, everything, stack)
    loaded.check_encoders(encoders_of(wanted))
    run = prepare(loaded, method, seed=seed, options=options, weights=weights) if method else None
    title = method or name or (source.resolve().name if source else "")
    folder = out or run_folder(loaded, clips, title, data, limit)
    check_writable(folder)
    check_writable(cache_dir())
    if run:
        check_run(run)
        check_folder(run, folder, fresh=fresh)
    if source and (folder / "run.json").exists():
        raise A2IBenchError(f"{folder} holds a method's run; give another name or folder for these scores.")
    return _Plan(loaded, wanted, clips, everything, run, source, title, folder)


def _workers(plan: _Plan, workers: int | None, ray: str | None, device: str, shard: Shard | None = None) -> Any:
    """Open the workers; outputs that only this process can see can't be sent to a cluster."""
    if ray is not None and plan.source is not None and not plan.source.is_dir():
        raise A2IBenchError(f"A Ray cluster can't look into {plan.source}; unpack it, and give the folder.")
    return open_workers(workers, ray, device, shard) or nullcontext()


def _scorer(
    plan: _Plan, own_data: bool, training: Path | None, device: str, stage: Stage, executor: Executor | None
) -> Scorer:
    """Make the scorer; features of units are read where workers, or shards, have left or will leave some."""
    features = None
    if executor or (plan.folder / UNITS / "features").is_dir():
        features = UnitFeatures(plan.suite, plan.folder, device, executor)
    # The workers have networks of their own: here they only say who they are.
    where = device_here(device)
    return Scorer(
        plan.suite, plan.clips, own_data=own_data, training=training, device=where, stage=stage, features=features
    )


@dataclass(frozen=True)
class Comparisons:
    """Every pair of some results, metric by metric."""

    results: tuple[Result, ...]
    pairs: tuple[Comparison, ...]

    def frame(self) -> "DataFrame":
        """Give a row per metric and pair: names, scores, difference, its 95 % interval, corrected p-value, wins."""
        import pandas as pd

        names = [result.method for result in self.results]
        rows = [{**pair.model_dump(), "first": names[pair.first], "second": names[pair.second]} for pair in self.pairs]
        return pd.DataFrame(rows)


def compare(*results: Result | str | Path, metrics: Sequence[str] | None = None) -> Comparisons:
    """Compare results on the same clips, clip by clip, and tell what is more than luck.

    Parameters
    ----------
    results
        Two or more: results, or the folders of runs.
    metrics
        Only these metrics.

    Returns
    -------
    The pairs; the difference is the first minus the second, p-values are Holm-corrected over all of them.

    Raises
    ------
    A2IBenchError
        If the results are of different clips, or share no metric with the same signature.

    Examples
    --------
    >>> board = Path("leaderboards/mini")
    >>> pairs = compare(board / "audiotoken", board / "sd-text", metrics=["AIS"])
    >>> pairs.frame()[["first", "second", "metric", "difference"]].round(1)
            first   second metric  difference
    0  audiotoken  sd-text    AIS        11.6

    """
    loaded = tuple(each if isinstance(each, Result) else load_result(each) for each in results)
    return Comparisons(loaded, tuple(compare_results(loaded, metrics)))


def load_result(path: str | Path) -> Result:
    """Read a result: a ``result.json``, or the folder of a run or of a board's entry that holds one.

    Examples
    --------
    >>> result = load_result("leaderboards/mini/audiotoken")
    >>> result.method
    'audiotoken'

    Raises
    ------
    A2IBenchError
        If there is none, or it is not whole.

    """
    place = Path(path)
    return Result.load(place / "result.json" if place.is_dir() else place)


def chosen_clips(suite: Suite, data: Path | None, limit: int | None) -> tuple[ClipSet, ClipSet]:
    """Give the chosen clips, and all clips of the set."""
    everything = suite.clips(data)
    if limit is not None and limit > len(everything):
        raise A2IBenchError(f"The limit {limit} is more than the {len(everything)} clips that there are; leave it out.")
    return (everything if limit is None else everything.spread(limit)), everything


def run_folder(suite: Suite, clips: ClipSet, title: str, data: Path | None, limit: int | None) -> Path:
    """Name the folder of a run: ``runs/SUITE[-CLIPS]/TITLE``."""
    # A run on some of the clips has a folder of its own, so that its result never replaces that of the whole.
    part = "" if limit is None else f"-limit{limit}"
    return Path("runs") / (suite.name if data is None else f"{suite.name}-{clips.name}") / f"{title}{part}"


def _source(what: Given, name: str | None, everything: ClipSet, stack: ExitStack) -> Path:
    """Give the folder or archive of outputs; outputs in memory are written into a temporary folder."""
    if not isinstance(what, Mapping):
        path = Path(what)
        if not path.exists():
            known = (
                f", and no method is called that (there are {', '.join(methods())})" if isinstance(what, str) else ""
            )
            raise A2IBenchError(f"There is no folder or archive {path}{known}; give one of outputs <clip_id>.png.")
        return path
    if not name:
        raise A2IBenchError("These outputs have no name; give one, as name='mine'.")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2ibench-")))
    write_outputs(folder, what, everything)
    return folder
