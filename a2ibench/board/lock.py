"""The lock of a board, so that one process changes it at a time; what killed ones left is deleted."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from a2ibench.errors import A2IBenchError
from a2ibench.files import check_writable

_LOCK_SECONDS = 300
# What `submit` and the files' writer leave when they are killed: .NAME.01234567.part, and .ROW.01234567.old
_LITTER = re.compile(r"\.([A-Za-z0-9][A-Za-z0-9.-]{0,80})\.[0-9a-f]{8}\.(part|old)")


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
            raise A2IBenchError(f"{place} is not a plain file; delete it: a2ibench locks the board with a file there.")
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
