"""Put a method's images onto a board: an entry appears whole or not at all, and nobody's row is overwritten.

A board is a folder, ``leaderboards/<suite>[-<clips>]``; a row of it is a folder in that, named by the method.
"""

import csv
import ctypes
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Literal

from filelock import FileLock, Timeout

from a2ibench.board.outputs import Hashed, MethodCard, Outputs, RunRecord, slug_of
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_writable, read_limited, write_text
from a2ibench.media.image import save_image
from a2ibench.results import Result
from a2ibench.scoring.sanity import sanity
from a2ibench.scoring.scorer import Scorer, chosen_metrics, result_of
from a2ibench.suites import Suite

_LOCK_SECONDS = 300
HASHES = ("clip_id", "index", "file", "sha256")
PICTURES = ("contact.png", "gallery.webp", "gallery.json")
RESULT_BYTES = 256 * 2**20
TABLE_BYTES = 64 * 2**20
# What `submit` and the files' writer leave when they are killed: .NAME.01234567.part, and .ROW.01234567.old
_LITTER = re.compile(r"\.([A-Za-z0-9][A-Za-z0-9.-]{0,80})\.[0-9a-f]{8}\.(part|old)")


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
        if _is_same(folder, outputs, card, result):
            return Submitted(folder, load_result(folder / "result.json"), rows, "unchanged")
        _write_sanity(board, rows)
        there = folder.exists()
        part = board / f".{folder.name}.{token_hex(4)}.part"
        _write_entry(part, outputs, card, result, clips)
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
        return [f"{folder} stands there and is no row of a board; give another --name."]
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


def _is_same(folder: Path, outputs: Outputs, card: MethodCard, result: Result) -> bool:
    """Whether the very same stands there already: then it keeps its state, and nothing is written."""
    try:
        there = load_result(folder / "result.json")
        same = _digests(read_hashes(folder / "hashes.csv")) == _digests(outputs.hashes)
        known = MethodCard.load(folder / "method.toml") == card
    except A2IBenchError:
        return False
    told = ("method", "suite", "clips", "seed", "options", "weights", "scores", "items", "missing", "details")
    recorded = (folder / "run.json").exists() == (outputs.run is not None)
    return same and known and recorded and all(getattr(there, each) == getattr(result, each) for each in told)


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
    save_image(folder / "contact.png", sheet)
    write_gallery(folder, clips, outputs.images)


def load_result(path: Path) -> Result:
    """Read the result of a row, which may be a stranger's: a plain file, and no larger than a result can be."""
    try:
        return Result.parse(read_limited(path, RESULT_BYTES), path)
    except FileNotFoundError:
        raise A2IBenchError(f"There is no {path}; 'a2ibench submit' writes it.") from None
    except (OverflowError, RecursionError, ValueError) as error:
        raise A2IBenchError(f"{path} is not a result file ({error}).") from None


def write_hashes(path: Path, hashes: Sequence[Hashed]) -> None:
    """Write ``hashes.csv``: a row per image."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows([HASHES, *map(astuple, sorted(hashes))])
    write_text(path, lines.getvalue())


def read_hashes(path: Path) -> list[Hashed]:
    """Read ``hashes.csv``; A2IBenchError if it is missing or no such table."""
    try:
        text = read_limited(path, TABLE_BYTES).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if tuple(header) != HASHES:
            raise ValueError("its columns are not " + ",".join(HASHES))
        return [Hashed(clip_id, int(index), name, digest) for clip_id, index, name, digest in rows]
    except OSError as error:
        raise A2IBenchError(f"{path} can't be read: {error.strerror or error}.") from None
    except (ValueError, csv.Error) as error:
        raise A2IBenchError(f"{path} is no table of hashes ({error}).") from None


def load_sanity(board: Path) -> list[Result]:
    """Read the board's ``sanity.json``; nothing where it is missing or broken, since it can be made again."""
    try:
        found = json.loads(read_limited(board / "sanity.json", RESULT_BYTES))
        return [Result.model_validate(row) for row in found]
    except (A2IBenchError, OSError, ValueError, TypeError, RecursionError, OverflowError):
        return []


def _write_sanity(board: Path, rows: Sequence[Result]) -> None:
    """Keep the board's sanity rows as they are as long as they say the same: times and dates would differ."""
    there = load_sanity(board)
    if [(row.method, row.clips, row.scores) for row in there] != [(row.method, row.clips, row.scores) for row in rows]:
        text = json.dumps([row.model_dump() for row in rows], indent=1, ensure_ascii=False)
        write_text(board / "sanity.json", text + "\n")


# --------------------------------------------------------------------------------------------- whole or not


@contextmanager
def board_lock(board: Path) -> Iterator[None]:
    """Keep others from changing a board; a thread may take the lock again, and a killed process holds none.

    Raises
    ------
    A2IBenchError
        If somebody else holds it for five minutes, or the folder can't be written to.

    """
    check_writable(board)
    try:
        board.mkdir(parents=True, exist_ok=True)
        place = board.resolve() / ".lock"
        if place.is_symlink() or (place.exists() and not place.is_file()):
            raise A2IBenchError(f"{place} is no plain file; take it away: a2ibench locks the board with a file there.")
        # All who may write into the folder may lock it.
        lock = FileLock(place, timeout=_LOCK_SECONDS, is_singleton=True, mode=0o664)
        lock.acquire()
    except Timeout:
        raise A2IBenchError(
            f"Another a2ibench has been changing {board} for {_LOCK_SECONDS // 60} minutes; try again when it is done."
        ) from None
    except (OSError, RuntimeError, NotImplementedError) as error:  # RuntimeError: a loop of links
        raise A2IBenchError(
            f"The board {board} can't be locked: {getattr(error, 'strerror', None) or error}; choose another --board."
        ) from None
    try:
        yield
    finally:
        lock.release()


def tidy(board: Path) -> None:
    """Clear up after killed submissions, whose litter is known by its names; only for who holds the lock."""
    for litter in sorted(board.iterdir()):
        name = _LITTER.fullmatch(litter.name)
        if name is None or litter.is_symlink():
            continue
        if not litter.is_dir():
            litter.unlink(missing_ok=True)
        elif name[2] == "old" and not (board / name[1]).exists():
            os.rename(litter, board / name[1])  # killed between the two renames of `_publish`
        else:
            shutil.rmtree(litter, ignore_errors=True)


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
