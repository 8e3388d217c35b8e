"""Put a method's images onto a board: an entry appears whole or not at all, and nobody's row is overwritten.

A board is a folder, ``leaderboards/<suite>[-<clips>]``; a row of it is a folder in that, named by the method.
"""

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Literal

from PIL import Image

from a2ibench.board.card import MethodCard, RunRecord, slug_of
from a2ibench.board.lock import board_lock, tidy
from a2ibench.board.outputs import Outputs
from a2ibench.board.rows import TABLE_BYTES, Hashed, load_result, load_sanity, read_hashes, write_hashes, write_sanity
from a2ibench.board.withdraw import withdrawal_of
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_writable, read_limited, write_text
from a2ibench.media.image import save_image
from a2ibench.results import Result
from a2ibench.scoring.sanity import sanity
from a2ibench.scoring.scorer import Scorer, chosen_metrics, result_of
from a2ibench.suites import Suite

_TEXTS = ("items.csv", "hashes.csv")


@dataclass(frozen=True)
class Submitted:
    """What became of a submission."""

    folder: Path
    result: Result
    sanity: list[Result]
    what: Literal["new", "replaced", "unchanged"]


def board_folder(boards: Path, suite: Suite, own: ClipSet | None) -> Path:
    """Name the folder of a board: ``boards/SUITE``, or ``boards/SUITE-CLIPS`` for clips of the user's own."""
    return boards / (suite.name if own is None else f"{suite.name}-{own.name}")


def submission_problems(
    outputs: Outputs, card: MethodCard | None, suite: Suite, clips: ClipSet, board: Path, *, replace: bool = False
) -> list[str]:
    """Say everything that keeps a submission from its board, a sentence each; nothing is computed or written.

    Without a card, as far as can be said without a name.
    """
    problems = [*outputs.problems, *_place_problems(board)]
    if outputs.run is not None:
        problems += _run_problems(outputs.run, suite, outputs.source)
    problems += _clips_problems(board, suite, clips)
    try:
        problems += _row_problems(board / slug_of(card.name), outputs, card, replace) if card is not None else []
    except A2IBenchError as error:
        problems.append(str(error))
    return problems


def submit(
    outputs: Outputs,
    card: MethodCard,
    scorer: Scorer,
    board: Path,
    *,
    replace: bool = False,
    device: str = "cpu",
) -> Submitted:
    """Score a submission and write its row; the board's tables are rendered by `leaderboard.write_board`.

    Parameters
    ----------
    outputs
        Without problems: see `submission_problems`.
    card
        What the method says of itself; its name names the row.
    scorer
        Of the board's suite and clips.
    board
        The board's folder; made where it is missing.
    replace
        Whether a row of that name with other images or authors gives way.
    device
        As torch calls it: for the provenance.

    Raises
    ------
    A2IBenchError
        If the row is somebody else's, the board is of other clips, or it can't be written.

    """
    check_writable(board)
    clips, folder = scorer.clips, board / slug_of(card.name)
    wanted = chosen_metrics(None, scorer.suite.task)
    rows = sanity(scorer, wanted)
    run = outputs.run
    result = result_of(
        scorer,
        outputs.images,
        wanted,
        method=card.name,
        ceilings={score.metric: score.value for score in rows[0].scores},
        device=device,
        seed=run.seed if run else None,
        options=run.options if run else {},
        weights=run.weights if run else {},
        licences=licences_of(run, scorer.suite),
    )
    _check_unchanged(outputs)
    with board_lock(board):
        tidy(board)
        # Looked at again: somebody may have been quicker.
        problems = [*_clips_problems(board, scorer.suite, clips), *_row_problems(folder, outputs, card, replace)]
        if problems:
            raise A2IBenchError(problems[0])
        there = folder.exists()
        part = board / f".{folder.name}.{token_hex(4)}.part"
        _write_entry(part, outputs, card, result, clips)
        if _is_same(folder, part, result):
            shutil.rmtree(part)
            return Submitted(folder, load_result(folder / "result.json"), rows, "unchanged")
        write_sanity(board, rows)
        _publish(part, folder)
    return Submitted(folder, result, rows, "replaced" if there else "new")


# ------------------------------------------------------------------------------------------------- may it?


def _place_problems(board: Path) -> list[str]:
    """Whether a board can't be written to, as far as one can tell without writing."""
    places = [board, *board.absolute().parents]
    there = next(place for place in places if os.path.lexists(place))
    what = ""
    if not there.is_dir():
        what = f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        what = f"there is no permission to write into {there}"
    for place in places[: places.index(there)]:
        try:
            os.lstat(there / place.name)
        except FileNotFoundError:
            pass
        except OSError as error:  # a name that is too long
            what = what or f"{place.name[:20]}…: {error.strerror or error}"
    return [f"{board} can't be written: {what}; choose another place with --board."] if what else []


def _run_problems(run: RunRecord, suite: Suite, source: Path) -> list[str]:
    from a2ibench.baselines import methods

    if run.suite != suite.id:
        return [f"The run in {source} was made with the suite {run.suite!r}, not {suite.id!r}; give its --suite."]
    if run.method not in methods():
        return [f"The run.json in {source} names no method of ours ({run.method!r}); take it out."]
    return []


def _clips_problems(board: Path, suite: Suite, clips: ClipSet) -> list[str]:
    """Whether the board is of other clips: their names may be equal all the same."""
    for row in load_sanity(board):
        name, _, version = row.suite.partition("@")
        number = version.partition(".")[0]
        if name == suite.name and number.isdecimal() and int(number) > suite.file.version:
            return [f"The board {board} is of {row.suite}, which is newer than {suite.id} here; update a2ibench."]
        if row.suite == suite.id and row.clips.digest != clips.digest:
            return [
                f"The board {board} is of other clips ({row.clips.name}, n={row.clips.n}, digest "
                f"{row.clips.digest[:8]}) than these ({clips.name}, n={len(clips)}, digest {clips.digest[:8]}); "
                "give another --board."
            ]
    return []


def _row_problems(folder: Path, outputs: Outputs, card: MethodCard, replace: bool) -> list[str]:
    if not os.path.lexists(folder):
        return []
    if folder.is_symlink() or not (folder / "result.json").is_file() or not (folder / "hashes.csv").is_file():
        return [f"{folder} exists and is not a row of a board; give another --name."]
    gone = withdrawal_of(folder)
    if gone is not None:  # not even by --replace: what was withdrawn does not come back by accident
        return [
            f"The row {folder.name!r} was withdrawn on {gone.when} ({gone.why}); give another --name, or delete its "
            "withdrawn.json to undo that."
        ]
    if replace:
        return []
    try:
        theirs = MethodCard.load(folder / "method.toml")
        hashes = read_hashes(folder / "hashes.csv")
    except A2IBenchError:
        return [f"The board has a row {folder.name!r} already, and it is broken; give --replace to put yours there."]
    if theirs.authors != card.authors:
        owner = f"by {theirs.authors!r}" if theirs.authors else "whose authors are not named"
        return [
            f"The board has a row {folder.name!r} already, {owner}; give another --name, or --replace if it is yours."
        ]
    if _digests(hashes) != _digests(outputs.hashes):
        return [
            f"The board has a row {folder.name!r} already, of other images; give another --name, or --replace to "
            "put these in their place."
        ]
    return []


def _digests(hashes: Sequence[Hashed]) -> list[tuple[str, int, str]]:
    return sorted((row.clip_id, row.index, row.sha256) for row in hashes)


def _is_same(folder: Path, part: Path, result: Result) -> bool:
    """Whether the very same stands there already, and whole: then it keeps its state, and nothing is written."""
    try:
        there = load_result(folder / "result.json")
        texts = [read_limited(part / name, TABLE_BYTES) == read_limited(folder / name, TABLE_BYTES) for name in _TEXTS]
        known = MethodCard.load(folder / "method.toml") == MethodCard.load(part / "method.toml")
        recorded = _run_text(folder) == _run_text(part)
    except (A2IBenchError, OSError, ValueError):
        return False
    told = ("suite", "clips", "seed", "options", "weights", "scores", "items", "missing", "details", "outputs")
    same = there.method == result.method and all(getattr(there, each) == getattr(result, each) for each in told)
    return same and all(texts) and known and recorded


def _run_text(folder: Path) -> bytes | None:
    file = folder / "run.json"
    return read_limited(file, TABLE_BYTES) if os.path.lexists(file) else None


def _check_unchanged(outputs: Outputs) -> None:
    """Refuse images that changed between the check and the scores: then the hashes would be of others."""
    from a2ibench.files import sha256_file

    for row in outputs.hashes:
        if sha256_file(outputs.images[row.clip_id][row.index]) != row.sha256:
            raise A2IBenchError(f"{row.file} was changed while it was scored; submit again when nothing writes there.")


def licences_of(run: RunRecord | None, suite: Suite) -> list[str]:
    """Say which licences the weights of a method of ours have; of other methods nothing is known."""
    from a2ibench.baselines import get

    if run is None:
        return []
    return suite.method_licences(run.method, get(run.method).parts)


# ------------------------------------------------------------------------------------------------- the entry


def _write_entry(part: Path, outputs: Outputs, card: MethodCard, result: Result, clips: ClipSet) -> None:
    """Write all files of a row into a hidden folder beside its place."""
    try:
        result.save(part / "result.json")
        result.write_items(part / "items.csv")
        write_text(part / "method.toml", card.toml())
        write_hashes(part / "hashes.csv", outputs.hashes)
        if outputs.run is not None:
            write_text(part / "run.json", json.dumps(outputs.run.model_dump(), indent=1, sort_keys=True) + "\n")
        write_pictures(part, outputs, card, result.suite, clips)
        _sync(part)
    except BaseException:  # Ctrl-C leaves no litter either; what a kill leaves, `tidy` takes away
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_pictures(folder: Path, outputs: Outputs, card: MethodCard, suite: str, clips: ClipSet) -> None:
    """Draw a row's contact sheet and its tiles for the gallery: equal images make equal files."""
    from a2ibench.pictures.gallery import write_gallery
    from a2ibench.pictures.sheets import contact_sheet

    sheet = contact_sheet(
        clips,
        {clip_id: files[0] for clip_id, files in outputs.images.items()},
        title=card.name,
        subtitle=f"{suite} · {clips.name} · {len(clips)} clips",
        method=card.name,
        per_class=1,
    )
    sheet.thumbnail((1400, 1400 * sheet.height))
    # In 256 colours: a third of the bytes, and a board keeps one for each row.
    save_image(folder / "contact.png", sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG))
    write_gallery(folder, clips, outputs.images)


# --------------------------------------------------------------------------------------------- whole or not


def _publish(part: Path, folder: Path) -> None:
    """Put a finished row into its place: at any moment the old one or the new one stands there."""
    old = part.with_suffix(".old")
    try:
        if not folder.exists():
            os.rename(part, folder)
        elif not _exchange(part, folder):
            os.rename(folder, old)
            os.rename(part, folder)
        _sync(folder.parent)
    except OSError as error:
        raise A2IBenchError(f"{folder} can't be written: {error.strerror or error}.") from None
    finally:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        for litter in (part, old):
            shutil.rmtree(litter, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, where the system can (Linux)."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _sync(folder: Path) -> None:
    """Have a folder's list of files on the disk, as its files are."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
