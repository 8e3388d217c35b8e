"""Checks of a row's images: hashes, scores, small pictures, and whether the method makes the same images again."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TypeGuard

from a2ibench.board.outputs import Outputs, read_outputs
from a2ibench.board.rows import PICTURES, TABLE_BYTES, Hashed
from a2ibench.board.states import read_if_there
from a2ibench.board.submit import write_pictures
from a2ibench.board.unpack import shown
from a2ibench.board.verify.findings import Check, Drawn, Finding, Problem, Reached, Remark, holds, some
from a2ibench.board.verify.row import Row
from a2ibench.board.verify.scores import check_scores
from a2ibench.board.verify.tools import Tools, same_machine
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import write_bytes
from a2ibench.runs.prepare import Run

_LARGEST_OPTION = 20  # times the suite's own: a stranger's run.json must not keep a machine busy for a year


def check_images(row: Row, outputs: Path | None, tools: Tools) -> Iterator[Finding]:
    """Check the hashes, then the scores, then make the images again, as far as each can be."""
    with ExitStack() as stack:
        made = (yield from _made_again(row, tools, stack)) if outputs is None else None
        source = outputs or made
        if source is None:
            if row.run is None:
                yield Remark("The images are not at hand: give --outputs to have hashes and scores checked.")
            return
        given = stack.enter_context(read_outputs(source, row.clips, allow_missing=True, stage=tools.stage))
        if not given.images:
            given.check()  # these are no images of this row at all: wrong use, and nothing against the row
        apart = _apart(row, given, "as made again" if made else f"in {source}")
        if made and apart and not same_machine(row.result, tools.device):
            yield _differing(len(apart), row)
            return
        yield from map(Problem, given.problems)
        yield from some(apart, "images differ")
        if given.problems or apart:
            return
        yield Reached("hash-checked")
        if tools.clips is None:
            yield Remark("The clips are not at hand: give --data to have the scores checked.")
            return
        scored = yield from holds(check_scores(row, given, tools.clips, tools))
        drawn = yield from holds(_check_pictures(row, given, tools.clips, tools))
        if not (scored and drawn):
            return
        yield Reached("re-scored")
        if made is None:
            made = yield from _made_again(row, tools, stack)
            if made is None:
                return
            with read_outputs(made, row.clips, allow_missing=True, stage=tools.stage) as again:
                apart = _apart(row, again, "as made again")
            if apart:
                yield _differing(len(apart), row)
                return
        yield Reached("re-generated")


def _apart(row: Row, given: Outputs, where: str) -> list[str]:
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


def _made_again(row: Row, tools: Tools, stack: ExitStack) -> Check[Path | None]:
    """Make the images of a method of ours again, in a folder that goes away; None where that can't be."""
    from a2ibench.runs.generate import generate
    from a2ibench.runs.prepare import prepare

    if row.run is None or tools.clips is None or not tools.regenerate:
        return None
    why = "The images were not made again:"
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
        yield Remark(f"{why} {error}")
        return None
    keeps = _why_not(row, own, run)
    if keeps:
        yield Remark(f"{why} {keeps}")
        return None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2ibench-")))
    try:
        generate(
            run,
            tools.clips,
            folder,
            device=tools.device,
            batch_size=tools.batch_size,
            advance=tools.stage("generate again", len(tools.clips)),
        )
    except (A2IBenchError, RuntimeError, ValueError) as error:  # options that the networks do not take
        yield Remark(f"{why} {type(error).__name__}, {error}")
        return None
    return folder


def _why_not(row: Row, own: Run, run: Run) -> str:
    """Say what keeps a run from being made again: options beyond measure, or other weights; empty where nothing."""
    assert row.run is not None  # noqa: S101  for the type checker
    for name, value in row.run.options.items():
        usual = own.options[name]
        if _is_number(value) and _is_number(usual) and value > _LARGEST_OPTION * max(usual, 1):
            return f"their {name} is {value!r}, more than {_LARGEST_OPTION} times the suite's {usual!r}."
    other = [part for part, digest in run.weights.items() if row.run.weights.get(part) != digest]
    if other:
        return f"they were made with other weights of {', '.join(other)}; give them with --weights PART=FILE."
    return ""


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differing(count: int, row: Row) -> Remark:
    made = row.result.provenance
    return Remark(
        f"{count} of {len(row.hashes)} images differ from those made again here; they were made on "
        f"{made.device}, torch {made.packages.get('torch', '?')}, and bits depend on the machine and its libraries."
    )


def _check_pictures(row: Row, given: Outputs, clips: ClipSet, tools: Tools) -> Iterator[Finding]:
    """Draw the row's small pictures again: a page must not show others than those that were scored.

    What differs is put right. Another version of the libraries may draw other bytes; on the same machine it is a
    problem.
    """
    with tempfile.TemporaryDirectory(prefix="a2ibench-") as folder:
        write_pictures(Path(folder), given, row.card, row.result.suite, clips)
        for name in PICTURES:
            drawn, there = (
                read_if_there(Path(folder) / name, TABLE_BYTES),
                read_if_there(row.folder / name, TABLE_BYTES),
            )
            if drawn == there:
                continue
            if drawn is None:
                (row.folder / name).unlink()
                yield Problem(f"{name} is of no image of this row, and was deleted.")
                continue
            write_bytes(row.folder / name, drawn)
            yield Drawn(name, sha256(drawn).hexdigest())
            if there is None:
                yield Remark(f"{name} was missing and was made again.")
            elif same_machine(row.result, tools.device):
                yield Problem(f"{name} is not what these images give; it was made again.")
            else:
                yield Remark(f"{name} is not to the bit what these images give here; it was made again.")
