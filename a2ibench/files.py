"""Read and write files safely: atomic writes, checksums, locks, bounded sizes, free space."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedRandom, BufferedReader
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

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
_LITTER = re.compile(r"\.(.+)\.[0-9a-f]{8}\.(part|folder-part)")
_STATE_BYTES = 256 * 2**20


def write_bytes(path: Path, data: bytes, *, tries: int = 3) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Whoever reads `path` meanwhile, or after a crash, finds the old file or the new one, never a part. Where a disk that
    machines share has no locks, one may sweep away what another is writing: that is written again, so many `tries`.

    Raises
    ------
    A2IBenchError
        If the disk is full, or there is no permission, or something else than a file stands there.

    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent.absolute())
        # Renaming over /dev/stdout or a pipe would take it away from everybody.
        if path.exists() and not path.is_file():
            raise A2IBenchError(f"{path} can't be written: it is not a file; choose another name.")
        part = _part(path)
        try:
            # Not tempfile: its files are private (0600) and would stay so after the renaming.
            with part.open("xb") as file:
                if not _held(file.fileno()):
                    return write_bytes(path, data, tries=tries)
                file.write(data)
                file.flush()
                # Without this, a power cut just after the renaming could leave an empty file under the name.
                os.fsync(file.fileno())
            try:
                os.replace(part, path)
            except FileNotFoundError:
                if tries <= 1:
                    raise
                return write_bytes(path, data, tries=tries - 1)
        except BaseException:  # Ctrl-C leaves no litter either.
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, with the line ends that it has, whole or not at all: see `write_bytes`."""
    write_bytes(path, text.encode())


def open_regular(path: Path, *, follow: bool = False, write: bool = False) -> BufferedReader | BufferedRandom:
    """Open a file that is there to read its bytes, and to `write` them: a plain file, and no link unless `follow`.

    A FIFO would keep one waiting for ever, a link to ``/dev/zero`` would fill the memory: neither is opened.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    A2IBenchError
        If it is no plain file, or can't be read.

    """
    links = 0 if follow else getattr(os, "O_NOFOLLOW", 0)
    try:
        # Not by asking first and opening then: between the two it could be exchanged.
        how = os.O_RDWR if write else os.O_RDONLY
        descriptor = os.open(path, how | links | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is a link" if error.errno == errno.ELOOP else f"can't be read ({error.strerror or error})"
        raise A2IBenchError(f"{path} {what}; put a plain file there.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise A2IBenchError(f"{path} is not a plain file; put the file itself there.")
    return os.fdopen(descriptor, "r+b") if write else os.fdopen(descriptor, "rb")


def is_regular(path: Path) -> bool:
    """Whether a plain file stands there: no link, folder, FIFO or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


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
    with open_regular(path) as file:
        try:
            # In blocks: read at once, a small file would be given room for `most` bytes.
            blocks, left = [], most + 1
            while left and (block := file.read(min(left, 1 << 20))):
                blocks.append(block)
                left -= len(block)
            data = b"".join(blocks)
        except OSError as error:
            raise A2IBenchError(f"{path} can't be read ({error.strerror or error}); put a plain file there.") from None
    if len(data) > most:
        raise A2IBenchError(f"{path} is larger than {most} bytes; it is not what it should be.")
    return data


def read_json(path: Path, fix: str) -> Any:
    """Read a JSON file that an earlier run has left; None where there is none.

    Raises
    ------
    A2IBenchError
        If it is no plain file, or broken; `fix` says what to do then.

    """
    try:
        data = read_limited(path, _STATE_BYTES)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if found is None:
        raise A2IBenchError(f"{path} is broken; {fix}.")
    return found


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write what a later run goes on from, with a checksum, so that a damaged one is never believed."""
    write_text(path, json.dumps({**state, "sha256": _state_sum(state)}, indent=1) + "\n")


def read_state(path: Path, fix: str) -> dict[str, Any] | None:
    """Read what `write_state` wrote; None where there is nothing.

    Raises
    ------
    A2IBenchError
        If it is no plain file, or not what was written; `fix` says what to do then.

    """
    found = read_json(path, fix)
    if found is None:
        return None
    if not isinstance(found, dict) or found.pop("sha256", "") != _state_sum(found):
        raise A2IBenchError(f"{path} is broken; {fix}.")
    return found


def _state_sum(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def check_writable(folder: Path) -> None:
    """Prove that one can write into a folder, or make it, before hours of work that would end there.

    The folder itself is not made: a command that is refused afterwards leaves nothing behind.

    Raises
    ------
    A2IBenchError
        If one can't.

    """
    with _explained(folder):
        there = _nearest(folder)
        if not there.is_dir():
            raise NotADirectoryError(errno.EEXIST, "")
        sweep(there, None if there == folder else "check")
        part = _part(there / "check")
        try:
            # One block: a full disk still lets one make an empty file.
            part.write_bytes(bytes(4096))
        finally:
            part.unlink(missing_ok=True)


def check_space(folder: Path, needed: int, what: str, fix: str = "free some, or choose another place") -> None:
    """Refuse work whose outcome the disk can't hold, before it is done.

    Raises
    ------
    A2IBenchError
        If there is less space than `needed` bytes at `folder`, which need not exist yet.

    """
    try:
        free = shutil.disk_usage(_nearest(folder)).free
    except OSError:
        return  # it will be found when it is written
    if free < needed:
        raise A2IBenchError(
            f"{folder} has {free / 1e6:,.0f} MB of space left, and {what} needs {needed / 1e6:,.0f} MB; {fix}."
        )


def reserve(file: IO[bytes], size: int) -> None:
    """Make a file `size` bytes long, with all its space taken on the disk: a map of a file with holes ends the process
    by a signal where the disk turns out to be full. OSError where there is no space.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    file.seek(0, os.SEEK_END)
    while (missing := size - file.tell()) > 0:
        file.write(bytes(min(missing, 1 << 20)))
    file.flush()


def sweep(folder: Path, name: str | None = None) -> None:
    """Take away what killed runs left half-written in a folder: of the file `name`, or of any.

    What another process is writing now is left alone: it holds a lock on it.
    """
    try:
        found = [
            entry
            for entry in os.scandir(folder)
            if (match := _LITTER.fullmatch(entry.name)) and (name is None or match[1] == name)
        ]
    except OSError:
        return
    for entry in found:
        # A folder .part is a board's, which clears up itself; a link is nobody's.
        if entry.is_symlink() or entry.is_dir() != entry.name.endswith(".folder-part"):
            continue
        with suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                if _lock(descriptor):
                    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
            finally:
                os.close(descriptor)


@cache
def _sweep_once(folder: Path) -> None:
    """Sweep a folder before this process writes there first."""
    sweep(folder)


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Make a folder whole or not at all: gives another one to write into, which takes its place at the end.

    The folder must not exist, or be empty.
    """
    folder = Path(os.path.realpath(folder))  # a renaming would not follow a link
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent, folder.name)
        part = folder.with_name(f".{folder.name}.{token_hex(4)}.folder-part")
        part.mkdir()
    descriptor = -1
    try:
        with suppress(OSError):  # where a folder can't be opened: then nobody sweeps it either
            descriptor = os.open(part, os.O_RDONLY)
            _lock(descriptor)
        yield part
        with _explained(folder):
            if os.name == "nt" and folder.exists():
                folder.rmdir()
            os.rename(part, folder)
    except A2IBenchError as error:
        raise A2IBenchError(str(error).replace(str(part), str(folder))) from None  # nobody knows the other name
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        shutil.rmtree(part, ignore_errors=True)


def _nearest(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that exists."""
    return next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file, or folder, against others of us; False where somebody has it, or there are no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def _held(descriptor: int) -> bool:
    """Lock a file that was just made; False where a `sweep` took it away in that very moment."""
    _lock(descriptor, wait=True)
    return os.name != "posix" or os.fstat(descriptor).st_nlink > 0


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{token_hex(4)}.part")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in one sentence what kept `path` from being written."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; choose another place")
        if path.absolute().is_relative_to(cache_dir().absolute()):  # nobody chose that place
            reason = reason.replace("choose another place", "set A2IBENCH_CACHE to a folder elsewhere")
        raise A2IBenchError(f"{path} can't be written: {reason}.") from None


def cache_dir() -> Path:
    """Give the one cache folder: ``A2IBENCH_CACHE``, else the platform's user cache; it may not exist yet."""
    if own := os.environ.get("A2IBENCH_CACHE"):
        return Path(own)
    from platformdirs import user_cache_path

    return user_cache_path("a2ibench", appauthor=False)


def sha256_file(path: Path) -> str:
    """Hash the content of a plain file, or of one that a link leads to: 64 hex digits."""
    with open_regular(path, follow=True) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
