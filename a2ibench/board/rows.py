"""The files of a row and of its board, which may be a stranger's: plain files, of bounded size, read in one place."""

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, write_text
from a2ibench.results import Result
from a2ibench.results.result import upgraded

HASHES = ("clip_id", "index", "file", "sha256")
PICTURES = ("contact.png", "gallery.webp", "gallery.json", "previews.json")
RESULT_BYTES = 256 * 2**20
TABLE_BYTES = 64 * 2**20


@dataclass(frozen=True, order=True)
class Hashed:
    """An image of a submission, and its hash: a row of ``hashes.csv``."""

    clip_id: str
    index: int
    file: str
    sha256: str


def load_result(path: Path, absent: str = "", *, wrap: bool = True) -> Result:
    """Read the result of a row, which may be a stranger's: a plain file, and no larger than a result can be.

    Parameters
    ----------
    path
        The file.
    absent
        What to say where it is missing.
    wrap
        Whether an error that no reader foresaw becomes an A2IBenchError too.

    Raises
    ------
    A2IBenchError
        If it is missing, or no result.

    """
    try:
        return Result.parse(read_limited(path, RESULT_BYTES), path)
    except FileNotFoundError:
        raise A2IBenchError(absent or f"There is no {path}; 'a2ibench submit' writes it.") from None
    except (OverflowError, RecursionError, ValueError) as error:
        if not wrap:
            raise
        raise A2IBenchError(f"{path} is not a result file ({error}).") from None


def told_by(folder: Path) -> dict[str, Any]:
    """Read what a ``result.json`` says that need not be whole; nothing where it says nothing.

    Raises
    ------
    A2IBenchError
        If the folder has none.

    """
    try:
        # A run may be linked; that a row is not is checked when its files are.
        found = json.loads(read_limited(Path(os.path.realpath(folder / "result.json")), RESULT_BYTES))
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        raise A2IBenchError(f"{folder} is not a row of a board (it has no result.json); give BOARD/METHOD.") from None
    except (ValueError, RecursionError):
        return {}


def load_sanity(board: Path, broken: Literal["nothing", "raise"] = "nothing") -> list[Result]:
    """Read the board's ``sanity.json``; nothing where there is none.

    Parameters
    ----------
    board
        The board's folder.
    broken
        What a broken one is: nothing, since it can be made again, or an A2IBenchError.

    """
    path = board / "sanity.json"
    try:
        return [Result.model_validate(upgraded(each)) for each in json.loads(read_limited(path, RESULT_BYTES))]
    except FileNotFoundError:
        return []
    except (A2IBenchError, OSError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        if broken == "nothing":
            return []
        if isinstance(error, A2IBenchError):
            raise
        raise A2IBenchError(f"{path} holds no sanity rows; delete it, and 'a2ibench submit' makes it again.") from None


def write_sanity(board: Path, rows: Sequence[Result]) -> None:
    """Keep the board's sanity rows as they are as long as they say the same: times and dates would differ."""

    def says(row: Result) -> object:
        return row.method, row.clips, row.scores, row.notes

    there = load_sanity(board)
    if [*map(says, there)] != [*map(says, rows)]:
        text = json.dumps([row.model_dump() for row in rows], indent=1, ensure_ascii=False)
        write_text(board / "sanity.json", text + "\n")


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
        raise A2IBenchError(f"{path} is not a table of hashes ({error}).") from None
