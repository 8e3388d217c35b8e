"""Verify a row of a board: the files against each other, the images against the hashes, the scores, the images anew.

Each check that holds lifts the row's state: self-reported, hash-checked, re-scored, re-generated. What does not
hold is named, and then the row is self-reported. A row is a stranger's: its files are read as such.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from math import isclose
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench import __version__
from a2ibench.board.outputs import Hashed, MethodCard, Outputs, RunRecord, read_outputs
from a2ibench.board.submit import (
    PICTURES,
    RESULT_BYTES,
    TABLE_BYTES,
    licences_of,
    load_result,
    load_sanity,
    read_hashes,
    write_pictures,
)
from a2ibench.board.unpack import shown
from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, write_bytes, write_text
from a2ibench.progress import Stage
from a2ibench.results import HUMAN, Result, Score
from a2ibench.suites import Suite

State = Literal["self-reported", "hash-checked", "re-scored", "re-generated"]
STATES: tuple[State, ...] = get_args(State)
TOLERANCE = 1e-6  # relative: what another order of summing may change
_MOST = 5  # of one kind that are named one by one
_LONGEST = 500  # characters of a sentence: what a row holds is quoted in it
_LARGEST_OPTION = 20  # times the suite's own: a stranger's run.json must not keep a machine busy for a year
_VERIFIED_BYTES = 2**20
_NEEDED = ("result.json", "hashes.csv", "method.toml")
# The files that a verification is of, and how large they may be.
_BOUND = {
    "result.json": RESULT_BYTES,
    **dict.fromkeys(("items.csv", "hashes.csv", "method.toml", "run.json", *PICTURES), TABLE_BYTES),
}


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


def is_of_own_data(folder: Path, suite: Suite) -> bool:
    """Whether a row, or a run, is of clips of the user's and not of the suite's: its signatures name them."""
    told = _told(folder)
    scores, labels = told.get("scores"), told.get("labels")
    signed = [each.get("signature") for each in scores if isinstance(each, dict)] if isinstance(scores, list) else []
    named = {str(signature).rpartition("|suite:")[2].partition("+")[2] for signature in signed} - {""}
    if not named or not suite.brings_clips:
        return bool(named)
    clips, of = suite.clips(), told.get("clips")
    if isinstance(of, dict) and of.get("name") != clips.name:
        return True
    chosen = ClipSet([clip for clip in clips if isinstance(labels, dict) and clip.clip_id in labels], clips.name)
    return not named & {clips.digest[:12], chosen.digest[:12]}


def _told(folder: Path) -> dict[str, Any]:
    """Read a result that need not be whole."""
    try:
        # A run may be linked; that a row is not is checked when its files are.
        found = json.loads(read_limited(Path(os.path.realpath(folder / "result.json")), RESULT_BYTES))
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        raise A2IBenchError(f"{folder} is no row of a board (it has no result.json); give BOARD/METHOD.") from None
    except (ValueError, RecursionError):
        return {}


def find_row(folder: Path) -> Path:
    """Give a row's folder itself, without links on its way.

    Raises
    ------
    A2IBenchError
        If it is no row of a board: then nothing may be written there.

    """
    place = Path(os.path.realpath(folder))
    lacking = [name for name in _NEEDED if not os.path.lexists(place / name)]
    if not lacking:
        return place
    if lacking != [*_NEEDED] and (place / "images").is_dir():
        raise A2IBenchError(f"{folder} is a run and no row of a board; put it onto one with 'a2ibench submit' first.")
    raise A2IBenchError(f"{folder} is no row of a board (it has no {lacking[0]}); give BOARD/METHOD.")


def board_of(row: Path) -> Path | None:
    """Give the board that a row lies in; None where its folder's parent is none."""
    board = Path(os.path.realpath(row)).parent
    if load_sanity(board):
        return board
    try:
        head = read_limited(board / "leaderboard.csv", TABLE_BYTES)[:40]
    except (OSError, A2IBenchError):
        return None
    return board if head.startswith(b"kind,slug,method,state,suite,clips,") else None


def state_of(folder: Path) -> State:
    """Say which state a row has reached: that of ``verified.json``, if it is of these very files.

    Nobody has signed that file: whoever keeps a board takes away one that came with a row, and verifies.
    """
    found = _known(folder)
    if found is None or found.problems:
        return "self-reported"
    # Images of others' methods can't have been made again.
    most: State = "re-generated" if (folder / "run.json").is_file() else "re-scored"
    return min(found.state, most, key=STATES.index)


def _known(folder: Path) -> Verification | None:
    try:
        found = Verification.model_validate_json(read_limited(folder / "verified.json", _VERIFIED_BYTES))
        return found if found.files == _files(folder) else None
    except (OSError, A2IBenchError, ValidationError, RecursionError):
        return None


def _files(folder: Path) -> dict[str, str]:
    """Hash the files of a row; A2IBenchError if one is none."""
    found = {name: _read(folder / name, most) for name, most in _BOUND.items()}
    return {name: sha256(data).hexdigest() for name, data in found.items() if data is not None}


def _read(path: Path, most: int) -> bytes | None:
    try:
        return read_limited(path, most)
    except FileNotFoundError:
        return None


@dataclass
class _Report:
    state: State = "self-reported"
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)  # the sha256 of those that were drawn anew

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
    card: MethodCard
    hashes: list[Hashed]
    run: RunRecord | None

    @property
    def clips(self) -> ClipSet:
        """The clips that the result names; their files are not known here."""
        labels = self.result.labels.items()
        return ClipSet([Clip(clip_id, label, {}) for clip_id, label in labels], self.result.clips.name)


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

    The state is what this verification itself has reached, and self-reported where something does not hold. Where
    it had no images to look at and finds nothing wrong, a ``verified.json`` of these files stays as it is.

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
    folder = find_row(folder)
    before, files = _known(folder), {}
    report = _Report()
    try:
        files = _files(folder)
        row = _check_files(folder, suite, clips, report)
    except A2IBenchError as error:  # one is a link, a FIFO, or far too large
        report.problems.append(str(error))
        row = None
    if row is not None:
        tools = _Tools(suite, clips, own_data, weights or {}, regenerate, device, batch_size, stage)
        _check_images(row, outputs, tools, report)
    keep = False
    if before is not None and before.state != report.state == "self-reported" and not report.problems:
        keep = True
        report.notes.append(
            f"Its verified.json tells of a verification of {before.when} ({before.state}); that was not done again, "
            "and the file stays as it is."
        )
    found = Verification(
        state="self-reported" if report.problems else report.state,
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        a2ibench=__version__,
        files=files | report.pictures,
        figures=report.figures,
        problems=[_plain(problem) for problem in report.problems],
        notes=[_plain(remark) for remark in report.notes],
    )
    if not keep:
        write_text(folder / "verified.json", json.dumps(found.model_dump(), indent=1, ensure_ascii=False) + "\n")
    return found


def _plain(text: str) -> str:
    """A sentence with a stranger's words in it: short, and nothing that a terminal would act upon."""
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


# ------------------------------------------------------------------------------------- the files among themselves


def _check_files(folder: Path, suite: Suite, clips: ClipSet | None, report: _Report) -> _Row | None:
    """Check the files of a row against each other and the clips; None where they do not agree."""
    report.some(_items_problems(folder), "values in items.csv differ")
    try:
        result = load_result(folder / "result.json")
        card = MethodCard.load(folder / "method.toml")
        hashes = read_hashes(folder / "hashes.csv")
        run = RunRecord.load(folder / "run.json") if os.path.lexists(folder / "run.json") else None
        licences = licences_of(run, suite)
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
    else:
        given = [name for name in ("seed", "options") if getattr(result, name) not in (None, {})]
        report.problems += [f"'{name}' in result.json is given, and there is no run.json." for name in given]
    if result.licences != licences:
        report.problems.append(f"'licences' in result.json are {result.licences!r}, and should be {licences!r}.")
    if result.method != card.name:
        report.problems.append(f"result.json is of {result.method!r}, and method.toml of {card.name!r}.")
    return None if report.problems else _Row(folder, result, card, hashes, run)


def _items_problems(folder: Path) -> list[str]:
    """Compare items.csv with the values in result.json, cell by cell, even where the result does not add up."""
    try:
        text = read_limited(folder / "items.csv", TABLE_BYTES).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = {row.pop("clip_id"): row for row in reader}
        columns = [name for name in reader.fieldnames or [] if name not in ("clip_id", "label")]
        told = json.loads(read_limited(folder / "result.json", RESULT_BYTES))
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
    except (
        A2IBenchError, OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError,
        OverflowError,
    ) as error:  # fmt: skip
        return [f"{folder / 'items.csv'} can't be compared with result.json ({type(error).__name__}: {error})."]
    return found


def _alone(items: Mapping[str, Any], rows: Mapping[str, Any]) -> list[tuple[str, str]]:
    alone = [(clip_id, "result.json") for clip_id in items.keys() - rows.keys()]
    return sorted(alone + [(clip_id, "items.csv") for clip_id in rows.keys() - items.keys()])


def _hashes_problems(result: Result, hashes: Sequence[Hashed]) -> list[str]:
    """Whether hashes.csv covers exactly the images that the result is of."""
    count = result.outputs_per_clip * len(result.labels.keys() - set(result.missing))
    if count > 2 * len(hashes) + 1000:  # an own word about itself, of any size
        return [f"hashes.csv has {len(hashes)} images, and the result is of {count}."]
    wanted = {
        (clip_id, index)
        for clip_id in result.labels.keys() - set(result.missing)
        for index in range(result.outputs_per_clip)
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

    from a2ibench.scoring.scorer import interval_of

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
        _check_pictures(row, given, tools.clips, tools, report)
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
    from a2ibench.runs.generate import generate
    from a2ibench.runs.prepare import prepare

    if row.run is None or tools.clips is None or not tools.regenerate:
        return None
    try:
        own = prepare(tools.suite, row.run.method)
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
    for name, value in row.run.options.items():
        usual = own.options[name]
        if _is_number(value) and _is_number(usual) and value > _LARGEST_OPTION * max(usual, 1):
            report.notes.append(
                f"The images were not made again: their {name} is {value!r}, more than {_LARGEST_OPTION} times the "
                f"suite's {usual!r}."
            )
            return None
    other = [part for part, digest in run.weights.items() if row.run.weights.get(part) != digest]
    if other:
        report.notes.append(
            f"The images were not made again: they were made with other weights of {', '.join(other)}; give them "
            "with --weights PART=FILE."
        )
        return None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2ibench-")))
    try:
        generate(
            run,
            tools.clips,
            folder,
            device=tools.device,
            batch_size=tools.batch_size,
            advance=tools.stage("draw again", len(tools.clips)),
        )
    except (A2IBenchError, RuntimeError, ValueError) as error:  # options that the networks do not take
        report.notes.append(f"The images were not made again: {type(error).__name__}, {error}")
        return None
    return folder


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


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


def _check_pictures(row: _Row, given: Outputs, clips: ClipSet, tools: _Tools, report: _Report) -> None:
    """Draw the row's small pictures again: a page must not show others than those that were scored.

    What differs is put right. Another version of the libraries may draw other bytes; on the same machine it is a
    problem.
    """
    with tempfile.TemporaryDirectory(prefix="a2ibench-") as folder:
        write_pictures(Path(folder), given, row.card, row.result.suite, clips)
        for name in PICTURES:
            drawn, there = _read(Path(folder) / name, TABLE_BYTES), _read(row.folder / name, TABLE_BYTES)
            if drawn == there:
                continue
            if drawn is None:
                (row.folder / name).unlink()
                report.problems.append(f"{name} is of no image of this row, and was taken away.")
                continue
            write_bytes(row.folder / name, drawn)
            report.pictures[name] = sha256(drawn).hexdigest()
            if there is None:
                report.notes.append(f"{name} was missing and was drawn anew.")
            elif _same_machine(row.result, tools.device):
                report.problems.append(f"{name} is not what these images give; it was drawn anew.")
            else:
                report.notes.append(f"{name} is not to the bit what these images give here; it was drawn anew.")


# ---------------------------------------------------------------------------------------------------- the scores


def _check_scores(row: _Row, given: Outputs, clips: ClipSet, tools: _Tools, report: _Report) -> None:
    """Score the images and the sanity rows again, and name what differs."""
    from a2ibench.scoring.sanity import sanity
    from a2ibench.scoring.scorer import Scorer, chosen_metrics, result_of

    # What people said is no function of the images: it is left out here, and a note says so.
    told = row.result.model_copy(update={"scores": [each for each in row.result.scores if each.metric != HUMAN]})
    if len(told.scores) < len(row.result.scores):
        report.notes.append("The human ratings can't be recomputed from the images; their study has them.")
    scorer = Scorer(tools.suite, clips, own_data=tools.own_data, device=tools.device, stage=tools.stage)
    try:
        # As `submit` does, and whatever else stands there: what is left out is in the notes.
        names = tools.suite.task.metrics
        wanted = chosen_metrics([*names, *(s.metric for s in told.scores if s.metric not in names)], tools.suite.task)
    except A2IBenchError as error:
        report.problems.append(f"result.json can't be checked: {error}")
        return
    rows = sanity(scorer, wanted)
    found = result_of(
        scorer,
        given.images,
        wanted,
        method=told.method,
        ceilings={score.metric: score.value for score in rows[0].scores},
        device=tools.device,
        weights=row.run.weights if row.run else {},
    )
    report.some(_score_problems(told, found, "result.json"), "scores differ")
    items = [
        _differs(f"{metric} of the clip {clip_id!r}", told.items.get(clip_id, {}).get(metric), value, "result.json")
        for clip_id, item in found.items.items()
        for metric, value in item.items()
        if not _same(told.items.get(clip_id, {}).get(metric), value)
    ]
    report.some(items, "values differ")
    for name in ("missing", "details", "outputs_per_clip", "notes", "caution", "weights"):
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
        try:
            return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        except OverflowError:  # a whole number of hundreds of digits
            return False
    return bool(one == other)


def _differs(what: str, told: Any, found: Any, where: str) -> str:
    return f"{what} is {told!r} in {where}, and {found!r} when computed again."
