"""Archives from strangers: unpacked in a stream, with limits, and nothing outside the folder.

Every entry is checked before a byte of it is written, and what is written is counted while it is written: an
archive's own words about its size are never trusted.
"""

import gzip
import io
import os
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from a2ibench.errors import A2IBenchError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST_FILES = 200_000
MOST_BYTES_EACH = 64 * 2**20
MOST_BYTES = 64 * 2**30
MOST_RATIO = 50  # images hardly shrink in an archive, flat drawings some ten times
FREE_BYTES = 32 * 2**20  # below this the ratio says nothing
MOST_DEPTH = 4  # folders in one another
LONGEST_NAME = 200

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_KEPT = ("method.toml", "run.json")
_CHUNK = 1 << 20


class _Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip or a gzip file does; its name does not count."""
    with path.open("rb") as file:
        head = file.read(4)
    return head in (b"PK\3\4", b"PK\5\6") or head[:2] == b"\x1f\x8b"


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Unpack a .zip or .tar.gz into a folder of its own, which is taken away at the end.

    Only images, ``method.toml`` and ``run.json`` are written; other entries are checked and left out.

    Raises
    ------
    A2IBenchError
        If the archive is broken, or holds anything but plain files and folders with harmless names, a name
        twice, an archive, or more than the limits allow.

    """
    with tempfile.TemporaryDirectory(prefix="a2ibench-") as folder:
        _unpack(archive, Path(folder))
        yield Path(folder)


def _unpack(archive: Path, folder: Path) -> None:
    target = _Target(archive, folder)
    try:
        with archive.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                _unpack_tar(file, target)
            else:
                _unpack_zip(file, target)
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RecursionError, NotImplementedError, RuntimeError,
        ValueError, OverflowError, struct.error,
    ) as error:  # fmt: skip
        raise A2IBenchError(f"{archive} is broken or cut off ({_plain(error)}); pack it again.") from None
    except OSError as error:
        raise A2IBenchError(f"{archive} can't be unpacked: {error.strerror or _plain(error)}.") from None


@dataclass
class _Target:
    """Where an archive is unpacked to, and what has been written so far."""

    archive: Path
    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    written: int = 0

    def admit(self, name: str, size: int, is_folder: bool) -> Path | None:
        """Check an entry; give where it is to be written, or None where it is not needed."""
        if len(self.names) >= MOST_FILES:
            raise A2IBenchError(f"{self.archive} holds more than {MOST_FILES} entries; take out what is no image.")
        problem = unsafe_name(name)
        if problem:
            raise A2IBenchError(f"{self.archive} holds an entry {shown(name)} {problem}; pack it again without it.")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        key = "/".join(parts)
        first = self.names.get(folded(key))
        self.names[folded(key)] = key
        if first is not None and not (first == key and is_folder):  # a folder may be listed again
            other = "twice" if first == key else f"and {shown(first)}, which differ in case or accents only"
            raise A2IBenchError(f"{self.archive} holds the entry {shown(key)} {other}; keep one.")
        if is_folder or not parts or ignored(parts):
            return None
        if size > MOST_BYTES_EACH:
            raise A2IBenchError(
                f"{self.archive} holds {shown(key)} of {size} bytes; at most {MOST_BYTES_EACH} are read: make it "
                "smaller."
            )
        suffix = Path(key).suffix.lower()
        if suffix in _ARCHIVES:
            raise A2IBenchError(f"{self.archive} holds another archive, {shown(key)}; pack the images themselves.")
        wanted = suffix in IMAGE_SUFFIXES or parts[-1] in _KEPT
        return self.folder.joinpath(*parts) if wanted else None

    def write(self, source: _Reader, path: Path) -> None:
        """Write an entry, counting."""
        path.parent.mkdir(parents=True, exist_ok=True)
        most = min(MOST_BYTES, max(FREE_BYTES, MOST_RATIO * self.archive.stat().st_size))
        size = 0
        with path.open("xb") as file:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                self.written += len(chunk)
                if size > MOST_BYTES_EACH or self.written > most:
                    raise A2IBenchError(
                        f"{self.archive} unpacks to far more than it holds (stopped at {self.written} bytes): it "
                        "looks like a bomb; pack the images alone."
                    )
                file.write(chunk)


def _unpack_zip(file: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(_Careful(file)) as archive:  # type: ignore[type-var, arg-type, unused-ignore]
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            name = info.orig_filename
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(target.archive, name)
            if info.flag_bits & 1:
                raise A2IBenchError(f"{target.archive} is encrypted; pack it without a password.")
            path = target.admit(name, info.file_size, info.is_dir())
            if path is None:
                continue
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise A2IBenchError(f"{target.archive} is packed in an unusual way; pack it as a plain .zip (deflate).")
            with archive.open(info) as source:
                target.write(source, path)


def _unpack_tar(file: IO[bytes], target: _Target) -> None:
    most = max(FREE_BYTES, MOST_RATIO * target.archive.stat().st_size) + MOST_FILES * 1024
    stream = _Forward(gzip.GzipFile(fileobj=file), target.archive, min(most, MOST_BYTES))
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload, unused-ignore]
        # Not `for member in archive`: that keeps every header of every entry.
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined, unused-ignore]
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _special(target.archive, member.name)
            path = target.admit(member.name, member.size, member.isdir())
            source = archive.extractfile(member) if path is not None else None
            stream.headers = None
            if path is not None and source is not None:
                target.write(source, path)
            stream.headers = 0
        # The end of the archive is checked too: a cut one has lost it.
        while stream.take(_CHUNK):
            pass


def _special(archive: Path, name: str) -> A2IBenchError:
    return A2IBenchError(
        f"{archive} holds {shown(name)}, which is a link, a device or another special file; pack plain files alone."
    )


class _Careful(io.BufferedReader):
    """A file of which nobody reads much at once: a zip's list of entries may claim any length."""

    def __init__(self, file: IO[bytes]):
        super().__init__(file)  # type: ignore[arg-type]

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_BYTES_EACH:
            raise zipfile.BadZipFile("its list of entries is too long")
        return super().read(size)


class _Forward:
    """A stream for tarfile that only goes forward, counts, and gives no large piece at once.

    tarfile reads long names and headers in one piece, of any length that the archive claims, and as many of them
    before an entry as there are.
    """

    def __init__(self, stream: _Reader, archive: Path, most: int):
        self._stream, self._archive, self._most, self._place = stream, archive, most, 0
        self.headers: int | None = 0
        """How much was read since the last entry; None inside an entry's own bytes."""

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        if place < self._place:
            raise tarfile.ReadError("it points backwards")
        while self._place < place and self.take(min(_CHUNK, place - self._place)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        if self.headers is not None:
            self.headers += size
        if not 0 <= size <= _CHUNK or (self.headers or 0) > _CHUNK:
            raise tarfile.ReadError("a header in it is too long")
        return self.take(size)

    def take(self, size: int) -> bytes:
        """Read what is no header."""
        found = self._stream.read(size)
        self._place += len(found)
        if self._place > self._most:
            raise A2IBenchError(
                f"{self._archive} unpacks to far more than it holds (stopped at {self._place} bytes): it looks like "
                "a bomb; pack the images alone."
            )
        return found


# ---------------------------------------------------------------------------------------------------- names


def unsafe_name(name: str) -> str | None:
    """Say what is wrong with a path inside a submission; None where nothing is."""
    parts = name.split("/")
    if not name or not name.isprintable():
        return "whose name is empty or holds characters that can't be printed"
    if "\\" in name or ":" in name or name.startswith("/") or ".." in parts:
        return "that would leave the folder"
    if len(name) > LONGEST_NAME:
        return f"whose name is longer than {LONGEST_NAME} characters"
    if len([part for part in parts if part]) > MOST_DEPTH:
        return f"more than {MOST_DEPTH} folders deep"
    return None


def folded(name: str) -> str:
    """What two names share that are one file on some disks: case and accents do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def ignored(parts: list[str]) -> bool:
    """Whether an entry is what systems leave behind: hidden files, macOS' own folder."""
    return parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts)


def shown(name: str) -> str:
    """Quote a stranger's name for a sentence: short, and nothing that a terminal would act upon."""
    return ascii(name) if len(name) <= 60 else ascii(name[:57]) + "…"


def _plain(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return "".join(letter for letter in text if letter.isprintable())[:120]


def only_folder(folder: Path) -> Path:
    """Go into a folder that is all that there is: archives are often packed with one on top."""
    for _ in range(MOST_DEPTH):
        inside = [entry for entry in os.scandir(folder) if not ignored([entry.name])]
        if len(inside) != 1 or not inside[0].is_dir(follow_symlinks=False):
            break
        folder = Path(inside[0].path)
    return folder
