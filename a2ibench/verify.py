"""Verify a row of a board: the files against each other, the images against the hashes, the scores, the images anew.

Each check that holds lifts the row's state: self-reported, hash-checked, re-scored, re-generated. What does not
hold is named.
"""

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from math import isclose
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench import __version__
from a2ibench.checkpoints import sha256_file
from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import write_text
from a2ibench.results import Result, Score
from a2ibench.submission import Hashed, MethodCard, Outputs, RunRecord, Stage, read_outputs
from a2ibench.submit import load_sanity, read_hashes
from a2ibench.suites import Suite
from a2ibench.unpack import shown

State = Literal["self-reported", "hash-checked", "re-scored", "re-generated"]
STATES: tuple[State, ...] = get_args(State)
TOLERANCE = 1e-6  # relative: what another order of summing may change
_MOST = 5  # of one kind that are named one by one
_BOUND = ("result.json", "items.csv", "method.toml", "hashes.csv", "run.json")


class Verification(BaseModel):
    """``verified.json``: what a verification found, and of which files."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    state: State
    """The state that the row reached."""
    when: str
    """When, in UTC."""
    a2ibench: str
    """By which version."""
    files: dict[str, str]
    """The sha256 of each file that was looked at: of other files this says nothing."""
    figures: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """For each metric the score in the result, and the score found again."""
    problems: list[str] = Field(default_factory=list)
    """What does not hold."""
    notes: list[str] = Field(default_factory=list)
    """What could not be checked, and why."""


def suite_name(folder: Path) -> str:
    """Say which suite a row is of, as far as its result can be read; ``mini`` where it can't."""
    return str(_told(folder).get("suite", "mini")).partition("@")[0]


def is_of_own_data(folder: Path) -> bool:
    """Whether a row is of clips of the user's and not of the suite's: its signatures name them."""
    scores = _told(folder).get("scores")
    return isinstance(scores, list) and any("+" in str(each).rpartition("suite:")[2] for each in scores)


def _told(folder: Path) -> dict[str, Any]:
    """Read a result that need not be whole."""
    try:
        found = json.loads((folder / "result.json").read_bytes())
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        raise A2IBenchError(f"{folder} is no row of a board (it has no result.json); give BOARD/METHOD.") from None
    except (OSError, ValueError, RecursionError):
        return {}


def state_of(folder: Path) -> State:
    """Say which state a row has reached: that of ``verified.json``, if it is of these very files."""
    found = _known(folder)
    return found.state if found else "self-reported"


def _known(folder: Path) -> Verification | None:
    try:
        found = Verification.model_validate_json((folder / "verified.json").read_bytes())
        return found if found.files == _files(folder) else None
    except (OSError, ValidationError):
        return None


def _files(folder: Path) -> dict[str, str]:
    return {name: sha256_file(folder / name) for name in _BOUND if (folder / name).is_file()}


@dataclass
class _Report:
    state: State = "self-reported"
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def some(self, found: Sequence[str], more: str) -> None:
        """Take the first few of many problems of one kind, and count the others."""
        self.problems += found[:_MOST]
        if len(found) > _MOST:
            self.problems.append(f"And {len(found) - _MOST} more {more}.")


@dataclass(frozen=True)
class _Row:
    """The files of a row that agree with each other."""

    folder: Path
    result: Result
    hashes: list[Hashed]
    run: RunRecord | None

    @property
    def clips(self) -> ClipSet:
        """The clips that the result names; their files are not known here."""
        labels = self.result.labels.items()
        return ClipSet([Clip(clip_id, Path(), Path(), label) for clip_id, label in labels], self.result.clips.name)


def verify(
    folder: Path,
    suite: Suite,
    clips: ClipSet | None,
    *,
    outputs: Path | None = None,
    own_data: bool = False,
    weights: Mapping[str, Path] | None = None,
    regenerate: bool = True,
    device: str = "cpu",
    batch_size: int = 24,
    stage: Stage,
) -> Verification:
    """Check a row as far as can be, and write ``verified.json`` into it.

    What holds never lowers a row's state; what does not hold puts it to what was reached before that.

    Parameters
    ----------
    folder
        The row's folder on a board.
    suite, clips, own_data
        What it was scored on; without clips only files and hashes are checked.
    outputs
        The images: a folder, .zip or .tar.gz. Without them those of a method of ours are made again.
    weights
        Weights of the user's that the method was run with, by part.
    regenerate
        Whether to make the images of a method of ours again.
    device, batch_size
        How to compute.
    stage
        Shows progress.

    Raises
    ------
    A2IBenchError
        If that folder is no row of a board, or the outputs can't be read at all.

    """
    _told(folder)
    before, files = _known(folder), _files(folder)
    report = _Report()
    row = _check_files(folder, suite, clips, report)
    if row is not None:
        tools = _Tools(suite, clips, own_data, weights or {}, regenerate, device, batch_size, stage)
        _check_images(row, outputs, tools, report)
    state = report.state
    if before is not None and not report.problems:
        state = max(state, before.state, key=STATES.index)
    found = Verification(
        state=state,
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        a2ibench=__version__,
        files=files,
        figures=report.figures or (before.figures if before is not None and state == before.state else {}),
        problems=report.problems,
        notes=report.notes,
    )
    write_text(folder / "verified.json", json.dumps(found.model_dump(), indent=1, ensure_ascii=False) + "\n")
    return found


# ------------------------------------------------------------------------------------- the files among themselves


def _check_files(folder: Path, suite: Suite, clips: ClipSet | None, report: _Report) -> _Row | None:
    """Check the files of a row against each other and the clips; None where they do not agree."""
    report.some(_items_problems(folder), "values in items.csv differ")
    try:
        result = Result.load(folder / "result.json")
        MethodCard.load(folder / "method.toml")
        hashes = read_hashes(folder / "hashes.csv")
        run = RunRecord.load(folder / "run.json") if (folder / "run.json").exists() else None
    except A2IBenchError as error:
        report.problems.append(str(error))
        return None
    report.problems += _clips_problems(result, suite, clips) if clips is not None else []
    report.some(_hashes_problems(result, hashes), "rows of hashes.csv are wrong")
    report.problems += _interval_problems(result)
    if run is not None:
        told = {"seed": result.seed, "options": result.options, "suite": result.suite}
        differing = [key for key, value in told.items() if getattr(run, key) != value]
        differing += [f"weights of {part}" for part, name in run.weights.items() if result.weights.get(part) != name]
        report.problems += [f"result.json and run.json tell of different {each}." for each in differing]
    return None if report.problems else _Row(folder, result, hashes, run)


def _items_problems(folder: Path) -> list[str]:
    """Compare items.csv with the values in result.json, cell by cell, even where the result does not add up."""
    try:
        with (folder / "items.csv").open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = {row.pop("clip_id"): row for row in reader}
            columns = [name for name in reader.fieldnames or [] if name not in ("clip_id", "label")]
        told = json.loads((folder / "result.json").read_bytes())
        items, labels = told["items"], told["labels"]
        found = [f"The clip {clip_id!r} is in {name} alone." for clip_id, name in _alone(items, rows)]
        for clip_id in sorted(items.keys() & rows.keys()):
            row, item = rows[clip_id], items[clip_id]
            if row["label"] != labels[clip_id]:
                found.append(f"The label of {clip_id!r} is {labels[clip_id]!r} in result.json and {row['label']!r} "
                             "in items.csv.")  # fmt: skip
            for metric in dict.fromkeys((*columns, *item)):
                value, cell = item.get(metric), row.get(metric, "")
                if ("" if value is None else repr(float(value))) != cell:
                    found.append(f"{metric} of the clip {clip_id!r} is {value!r} in result.json and {cell!r} "
                                 "in items.csv.")  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        return [f"{folder / 'items.csv'} can't be compared with result.json ({type(error).__name__}: {error})."]
    return found


def _alone(items: Mapping[str, Any], rows: Mapping[str, Any]) -> list[tuple[str, str]]:
    alone = [(clip_id, "result.json") for clip_id in items.keys() - rows.keys()]
    return sorted(alone + [(clip_id, "items.csv") for clip_id in rows.keys() - items.keys()])


def _hashes_problems(result: Result, hashes: Sequence[Hashed]) -> list[str]:
    """Whether hashes.csv covers exactly the images that the result is of."""
    wanted = {
        (clip_id, index)
        for clip_id in result.labels.keys() - set(result.missing)
        for index in range(result.images_per_clip)
    }
    rows = [(row.clip_id, row.index) for row in hashes]
    found = [f"hashes.csv lacks image {index} of the clip {clip_id!r}." for clip_id, index in sorted(wanted - {*rows})]
    found += [f"hashes.csv has an image {i} of {c!r}, which the result is not of." for c, i in sorted({*rows} - wanted)]
    found += [f"hashes.csv has image {a[1]} of {a[0]!r} twice." for a, b in pairwise(sorted(rows)) if a == b]
    if len(result.labels) != result.clips.n:
        found.append(f"result.json is of {result.clips.n} clips and has labels of {len(result.labels)}.")
    return found


def _interval_problems(result: Result) -> list[str]:
    """Compute the intervals of the per-clip metrics again from the values of the clips."""
    import numpy as np

    from a2ibench.evaluate import interval_of

    found = []
    for score in result.scores:
        values = [item[score.metric] for item in result.items.values() if score.metric in item]
        there = np.array([value for value in values if value is not None], dtype=float)
        if not values:
            continue
        again = interval_of(there)
        for name, value in (("low", again.low), ("high", again.high), ("n", len(there))):
            if not _same(getattr(score, name), value):
                found.append(_differs(f"{score.metric}'s {name}", getattr(score, name), value, "result.json"))
    return found


def _clips_problems(result: Result, suite: Suite, clips: ClipSet) -> list[str]:
    if result.suite != suite.id:
        return [f"The result is of the suite {result.suite}, and here is {suite.id}."]
    if result.clips.digest == clips.digest and result.labels == dict(zip(clips.ids, clips.labels, strict=True)):
        return []
    labels = dict(zip(clips.ids, clips.labels, strict=True))
    apart = [f"{clip_id!r} is in the result alone" for clip_id in sorted(result.labels.keys() - labels.keys())]
    apart += [f"{clip_id!r} is not in the result" for clip_id in sorted(labels.keys() - result.labels.keys())]
    apart += [
        f"{clip_id!r} is labelled {result.labels[clip_id]!r} in the result and {label!r} here"
        for clip_id, label in labels.items()
        if result.labels.get(clip_id, label) != label
    ]
    what = "; ".join(apart[:_MOST]) + (f"; and {len(apart) - _MOST} more" if len(apart) > _MOST else "")
    return [
        f"The result is of another clip list ({result.clips.name}, n={result.clips.n}, digest "
        f"{result.clips.digest[:8]}) than this ({clips.name}, n={len(clips)}, digest {clips.digest[:8]}): "
        f"{what or 'names and labels agree, sounds or references do not'}."
    ]


# ---------------------------------------------------------------------------------------------------- the images


@dataclass(frozen=True)
class _Tools:
    suite: Suite
    clips: ClipSet | None
    own_data: bool
    weights: Mapping[str, Path]
    regenerate: bool
    device: str
    batch_size: int
    stage: Stage


def _check_images(row: _Row, outputs: Path | None, tools: _Tools, report: _Report) -> None:
    """Check the hashes, then the scores, then make the images again, as far as each can be."""
    with ExitStack() as stack:
        made = _made_again(row, tools, stack, report) if outputs is None else None
        source = outputs or made
        if source is None:
            if row.run is None:
                report.notes.append("The images are not at hand: give --outputs to have hashes and scores checked.")
            return
        given = stack.enter_context(read_outputs(source, row.clips, allow_missing=True, stage=tools.stage))
        if not given.images:
            given.check()  # these are no images of this row at all: wrong use, and nothing against the row
        apart = _apart(row, given, "as made again" if made else f"in {source}")
        if made and apart and not _same_machine(row.result, tools.device):
            report.notes.append(_differing(len(apart), row))
            return
        report.problems += given.problems
        report.some(apart, "images differ")
        if report.problems:
            return
        report.state = "hash-checked"
        if tools.clips is None:
            report.notes.append("The clips are not at hand: give --data to have the scores checked.")
            return
        _check_scores(row, given, tools.clips, tools, report)
        if report.problems:
            return
        report.state = "re-scored"
        if made is None:
            made = _made_again(row, tools, stack, report)
            if made is None:
                return
            with read_outputs(made, row.clips, allow_missing=True, stage=tools.stage) as again:
                apart = _apart(row, again, "as made again")
            if apart:
                report.notes.append(_differing(len(apart), row))
                return
        report.state = "re-generated"


def _apart(row: _Row, given: Outputs, where: str) -> list[str]:
    """Name the images whose hash is not the one in hashes.csv."""
    found = {(image.clip_id, image.index): image for image in given.hashes}
    lines = []
    for image in sorted(row.hashes):
        other = found.pop((image.clip_id, image.index), None)
        if other is None:
            lines.append(f"{_named(image)} is not {where}, or is broken.")
        elif other.sha256 != image.sha256:
            hashes = f"sha256 {image.sha256[:12]!r}… in hashes.csv, {other.sha256[:12]!r}… {where}"
            lines.append(f"{_named(image)} is another image: {hashes}.")
    return lines + [f"{_named(image)} is {where} and not in hashes.csv." for image in found.values()]


def _named(image: Hashed) -> str:
    return f"{shown(image.file)} (image {image.index} of the clip {image.clip_id!r})"


def _made_again(row: _Row, tools: _Tools, stack: ExitStack, report: _Report) -> Path | None:
    """Make the images of a method of ours again, in a folder that goes away; None where that can't be."""
    from a2ibench.generate import generate, prepare

    if row.run is None or tools.clips is None or not tools.regenerate:
        return None
    try:
        run = prepare(
            tools.suite,
            row.run.method,
            seed=row.run.seed,
            options=row.run.options,
            weights=tools.weights,
        )
    except A2IBenchError as error:
        report.notes.append(f"The images were not made again: {error}")
        return None
    other = [part for part, digest in run.weights.items() if row.run.weights.get(part) != digest]
    if other:
        report.notes.append(
            f"The images were not made again: they were made with other weights of {', '.join(other)}; give them "
            "with --weights PART=FILE."
        )
        return None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2ibench-")))
    generate(
        run,
        tools.clips,
        folder,
        device=tools.device,
        batch_size=tools.batch_size,
        advance=tools.stage("draw again", len(tools.clips)),
    )
    return folder


def _differing(count: int, row: _Row) -> str:
    made = row.result.provenance
    return (
        f"{count} of {len(row.hashes)} images differ from those made again here; they were made on "
        f"{made.device}, torch {made.packages.get('torch', '?')}, and bits depend on the machine and its libraries."
    )


def _same_machine(result: Result, device: str) -> bool:
    from a2ibench.results import provenance

    here, there = provenance(device, {}), result.provenance
    told = ("a2ibench", "python", "platform", "packages", "device", "threads")
    return all(getattr(here, each) == getattr(there, each) for each in told)


# ---------------------------------------------------------------------------------------------------- the scores


def _check_scores(row: _Row, given: Outputs, clips: ClipSet, tools: _Tools, report: _Report) -> None:
    """Score the images and the sanity rows again, and name what differs."""
    from a2ibench.evaluate import Scorer, chosen_metrics, result_of, sanity

    told = row.result
    scorer = Scorer(tools.suite, clips, own_data=tools.own_data, device=tools.device, stage=tools.stage)
    wanted = chosen_metrics([score.metric for score in told.scores])
    rows = sanity(scorer, wanted)
    ceilings = {score.metric: score.value for score in rows[0].scores}
    found = result_of(scorer, given.images, wanted, method=told.method, ceilings=ceilings, device=tools.device)
    report.some(_score_problems(told, found, "result.json"), "scores differ")
    items = [
        _differs(f"{metric} of the clip {clip_id!r}", told.items.get(clip_id, {}).get(metric), value, "result.json")
        for clip_id, item in found.items.items()
        for metric, value in item.items()
        if not _same(told.items.get(clip_id, {}).get(metric), value)
    ]
    report.some(items, "values differ")
    for name in ("missing", "categories", "images_per_clip"):
        if getattr(told, name) != getattr(found, name):
            report.problems.append(f"'{name}' in result.json is not what the images give.")
    report.figures = {
        score.metric: (score.value, again.value)
        for score in told.scores
        for again in found.scores
        if score.metric == again.metric
    }
    stored = {each.method: each for each in load_sanity(row.folder.parent) if each.suite == told.suite}
    for each in rows:
        if each.method in stored:
            report.some(_score_problems(stored[each.method], each, f"the board's sanity.json, {each.method}"), "differ")
    if report.problems and not _same_machine(told, tools.device):
        made = told.provenance
        report.notes.append(
            f"The result was made by a2ibench {made.a2ibench} with torch {made.packages.get('torch', '?')} on "
            f"{made.device}; here it is a2ibench {__version__}."
        )


def _score_problems(told: Result, found: Result, where: str) -> list[str]:
    again = {score.metric: score for score in found.scores}
    problems = []
    for score in told.scores:
        if score.metric in again:
            problems += _score_differences(score, again[score.metric], where)
        elif where == "result.json":
            problems.append(f"{score.metric} is in {where}, and the images give none.")
    return problems


def _score_differences(told: Score, found: Score, where: str) -> list[str]:
    if told.signature != found.signature:
        return [
            f"{told.metric} has the signature {told.signature!r} in {where}, and {found.signature!r} from the images: "
            "its encoders, clips or version are others."
        ]
    values = {
        name: (getattr(told, name), getattr(found, name))
        for name in ("value", "low", "high", "stderr", "n", "chance", "ceiling", "higher_is_better", "unit")
    }
    values |= {f"extra.{key}": (told.extra.get(key), found.extra.get(key)) for key in {*told.extra, *found.extra}}
    return [
        _differs(told.metric if name == "value" else f"{told.metric}'s {name}", *pair, where)
        for name, pair in values.items()
        if not _same(*pair)
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def _differs(what: str, told: Any, found: Any, where: str) -> str:
    return f"{what} is {told!r} in {where}, and {found!r} when computed again."
