"""Files that are whole or not there at all: written beside their place, then renamed into it."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from a2ibench.errors import A2IBenchError

_NO_SPACE = "no space is left there; free some space, or choose another place"
_NO_PERMISSION = "there is no permission to write there; choose another place"
_REASONS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: "that disk can only be read; choose another place",
    errno.ENOTDIR: "a part of that path is a file, not a folder; choose another place",
    errno.EEXIST: "a file stands where a folder should; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Whoever reads `path` meanwhile, or after a crash, finds the old file or the new one, never a part.

    Raises
    ------
    A2IBenchError
        If the disk is full, or there is no permission, or something else than a file stands there.

    """
    with _mendable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renaming over /dev/stdout or a pipe would take it away from everybody.
        if path.exists() and not path.is_file():
            raise A2IBenchError(f"{path} can't be written: it is not a file; choose another name.")
        part = _part(path)
        try:
            # Not tempfile: its files are private (0600) and would stay so after the renaming.
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                # Without this, a power cut just after the renaming could leave an empty file under the name.
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:  # Ctrl-C leaves no litter either.
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, with the line ends that it has, whole or not at all: see `write_bytes`."""
    write_bytes(path, text.encode())


def read_limited(path: Path, most: int) -> bytes:
    """Read a file that a stranger may have put there: a plain file, no link, and of `most` bytes at most.

    A FIFO would keep one waiting for ever, a link to ``/dev/zero`` would fill the memory: neither is opened.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    A2IBenchError
        If it is no plain file, too large, or can't be read.

    """
    try:
        # Not by asking first and opening then: between the two it could be exchanged.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise A2IBenchError(f"{path} is no plain file; put the file itself there.")
            data = file.read(most + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is a link" if error.errno == errno.ELOOP else f"can't be read ({error.strerror or error})"
        raise A2IBenchError(f"{path} {what}; put a plain file there.") from None
    if len(data) > most:
        raise A2IBenchError(f"{path} is larger than {most} bytes; it is not what it should be.")
    return data


def check_writable(folder: Path) -> None:
    """Prove that one can write into a folder, or make it, before hours of work that would end there.

    The folder itself is not made: a command that is refused afterwards leaves nothing behind.

    Raises
    ------
    A2IBenchError
        If one can't.

    """
    with _mendable(folder):
        there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
        if not there.is_dir():
            raise NotADirectoryError(errno.EEXIST, "")
        part = _part(there / "check")
        try:
            # One block: a full disk still lets one make an empty file.
            part.write_bytes(bytes(4096))
        finally:
            part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{token_hex(4)}.part")


@contextmanager
def _mendable(path: Path) -> Iterator[None]:
    """Say in one sentence what kept `path` from being written."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; choose another place")
        raise A2IBenchError(f"{path} can't be written: {reason}.") from None


def cache_dir() -> Path:
    """Give the one cache folder: ``A2IBENCH_CACHE``, else the platform's user cache; it may not exist yet."""
    if own := os.environ.get("A2IBENCH_CACHE"):
        return Path(own)
    from platformdirs import user_cache_path

    return user_cache_path("a2ibench", appauthor=False)


def sha256_file(path: Path) -> str:
    """Hash a file's content: 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
