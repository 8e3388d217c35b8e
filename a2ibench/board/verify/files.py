"""Checks of a row's files against each other and against the clips; no image is read."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from a2ibench.board.card import MethodCard, RunRecord
from a2ibench.board.rows import RESULT_BYTES, TABLE_BYTES, Hashed, load_result, read_hashes
from a2ibench.board.submit import licences_of
from a2ibench.board.verify.findings import Check, Finding, Problem, holds, some
from a2ibench.board.verify.row import Row
from a2ibench.board.verify.same import differs, same
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited
from a2ibench.results import Result
from a2ibench.suites import Suite

_MOST = 5  # clips that are named one by one


def check_files(folder: Path, suite: Suite, clips: ClipSet | None) -> Check[Row | None]:
    """Check the files of a row against each other and the clips; gives the row where they agree."""
    good = yield from holds(some(_items_problems(folder), "values in items.csv differ"))
    try:
        row = Row(
            folder=folder,
            result=load_result(folder / "result.json"),
            card=MethodCard.load(folder / "method.toml"),
            hashes=read_hashes(folder / "hashes.csv"),
            run=RunRecord.load(folder / "run.json") if os.path.lexists(folder / "run.json") else None,
        )
        licences = licences_of(row.run, suite)
    except A2IBenchError as error:
        yield Problem(str(error))
        return None
    agree = yield from holds(_row_problems(row, suite, clips, licences))
    return row if good and agree else None


def _row_problems(row: Row, suite: Suite, clips: ClipSet | None, licences: list[str]) -> Iterator[Finding]:
    result = row.result
    if clips is not None:
        yield from _clips_problems(result, suite, clips)
    yield from some(_hashes_problems(result, row.hashes), "rows of hashes.csv are wrong")
    yield from _interval_problems(result)
    yield from _run_problems(result, row.run)
    if result.licences != licences:
        yield Problem(f"'licences' in result.json are {result.licences!r}, and should be {licences!r}.")
    if result.method != row.card.name:
        yield Problem(f"result.json is of {result.method!r}, and method.toml of {row.card.name!r}.")


def _run_problems(result: Result, run: RunRecord | None) -> Iterator[Problem]:
    if run is None:
        for name in ("seed", "options"):
            if getattr(result, name) not in (None, {}):
                yield Problem(f"'{name}' in result.json is given, and there is no run.json.")
        return
    told = {"seed": result.seed, "options": result.options, "suite": result.suite}
    differing = [key for key, value in told.items() if getattr(run, key) != value]
    differing += [f"weights of {part}" for part, name in run.weights.items() if result.weights.get(part) != name]
    for each in differing:
        yield Problem(f"result.json and run.json tell of different {each}.")


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


def _interval_problems(result: Result) -> Iterator[Problem]:
    """Compute the intervals of the per-clip metrics again from the values of the clips."""
    import numpy as np

    from a2ibench.scoring.scorer import interval_of

    for score in result.scores:
        values = [item[score.metric] for item in result.items.values() if score.metric in item]
        there = np.array([value for value in values if value is not None], dtype=float)
        if not values:
            continue
        again = interval_of(there, score.unit)
        for name, value in (("low", again.low), ("high", again.high), ("n", len(there))):
            if not same(getattr(score, name), value):
                yield Problem(differs(f"{score.metric}'s {name}", getattr(score, name), value, "result.json"))


def _clips_problems(result: Result, suite: Suite, clips: ClipSet) -> Iterator[Problem]:
    if result.suite != suite.id:
        yield Problem(f"The result is of the suite {result.suite}, and here is {suite.id}.")
        return
    if result.clips.digest == clips.digest and result.labels == dict(zip(clips.ids, clips.labels, strict=True)):
        return
    labels = dict(zip(clips.ids, clips.labels, strict=True))
    apart = [f"{clip_id!r} is in the result alone" for clip_id in sorted(result.labels.keys() - labels.keys())]
    apart += [f"{clip_id!r} is not in the result" for clip_id in sorted(labels.keys() - result.labels.keys())]
    apart += [
        f"{clip_id!r} is labelled {result.labels[clip_id]!r} in the result and {label!r} here"
        for clip_id, label in labels.items()
        if result.labels.get(clip_id, label) != label
    ]
    what = "; ".join(apart[:_MOST]) + (f"; and {len(apart) - _MOST} more" if len(apart) > _MOST else "")
    yield Problem(
        f"The result is of another clip list ({result.clips.name}, n={result.clips.n}, digest "
        f"{result.clips.digest[:8]}) than this ({clips.name}, n={len(clips)}, digest {clips.digest[:8]}): "
        f"{what or 'names and labels agree, sounds or references do not'}."
    )
