"""The cache of features and latents of training clips: arrays with a row and a checksum per clip, in shards."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock
from numpy.typing import DTypeLike, NDArray

from a2ibench.errors import A2IBenchError
from a2ibench.files import is_regular, open_regular, read_limited, reserve, sweep, write_bytes

SHARD = 1024
FIX = "free some space, set A2IBENCH_CACHE to another folder, or give --cache latents, which takes least"
Kinds = Mapping[str, tuple[DTypeLike, tuple[int, ...]]]


class Rows:
    """Arrays of one length in ``NAME.npy``, mapped into memory, with a checksum per row in ``rows.crc32``.

    A row whose checksum is not its content's counts as absent: it was never computed, or a kill or the disk broke
    it. All the space is taken at the beginning, since a full disk could only be told by a signal later.

    Parameters
    ----------
    folder
        Where the files lie; who fills them holds a lock on it.
    length
        The number of rows.
    kinds
        The dtype and shape of a row, by the array's name.

    Raises
    ------
    A2IBenchError
        If there is no space for them.

    """

    def __init__(self, folder: Path, length: int, kinds: Kinds):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        self._file, self._size = folder / "rows.crc32", (length, len(kinds))
        shapes = {name: (np.dtype(kind), (length, *shape)) for name, (kind, shape) in kinds.items()}
        try:
            self.arrays = [_mapped(folder / f"{name}.npy", *shape) for name, shape in shapes.items()]
        except OSError as error:
            needed = sum(kind.itemsize * np.prod(shape) for kind, shape in shapes.values())
            raise A2IBenchError(
                f"The cache {folder} can't hold the {needed / 1e6:,.0f} MB that {length} clips take "
                f"({error.strerror or error}); {FIX}."
            ) from None
        self._sums = self._read()
        self._changed = 0

    def _read(self) -> NDArray[np.uint32]:
        if not is_regular(self._file):
            self._file.unlink(missing_ok=True)  # a pipe would be waited for, and never written over
        with suppress(FileNotFoundError, A2IBenchError):
            found = np.frombuffer(read_limited(self._file, 4 * self._size[0] * self._size[1]), np.uint8)
            if found.size == 4 * self._size[0] * self._size[1]:
                return found.view("<u4").reshape(self._size).copy()
        return np.zeros(self._size, np.uint32)

    def has(self, index: int) -> bool:
        """Whether a row is there and whole."""
        return bool((self._sums[index] == [_sum(array[index]) for array in self.arrays]).all())

    def put(self, index: int, values: Iterable[NDArray[Any]]) -> None:
        """Set a row; it is kept for later runs by `flush`, after every hundredth by itself."""
        self._changed += 1
        for place, (array, value) in enumerate(zip(self.arrays, values, strict=True)):
            array[index] = value
            self._sums[index, place] = _sum(array[index])
        if self._changed == 100:
            self.flush()

    def flush_if_changed(self) -> None:
        """Keep what was put since the last time."""
        if self._changed:
            self.flush()

    def flush(self) -> None:
        """Have all rows on the disk, then their checksums."""
        for array in self.arrays:
            array.flush()
        write_bytes(self._file, self._sums.astype("<u4").tobytes())
        self._changed = 0


class Shards:
    """`Rows` for any number of clips, `SHARD` to a folder, so that several processes fill them at once.

    A copy of it in another process opens the files there and takes none of their content along.

    Parameters
    ----------
    folder
        Where the shards lie.
    length, kinds
        As of `Rows`.

    """

    def __init__(self, folder: Path, length: int, kinds: Kinds):
        self.folder, self.length, self.kinds = folder, length, dict(kinds)
        self._open: dict[tuple[str, int], NDArray[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def mine(self, rank: int, processes: int) -> list[range]:
        """Give the rows of each shard that one of several processes fills."""
        starts = range(0, self.length, SHARD)[rank::processes]
        return [range(start, min(start + SHARD, self.length)) for start in starts]

    @property
    def missing_bytes(self) -> int:
        """How much room the shards take that is not taken yet."""
        row = sum(np.dtype(kind).itemsize * int(np.prod(shape)) + 4 for kind, shape in self.kinds.values())
        return max(0, row * self.length - sum(file.lstat().st_size for file in self.folder.glob("*/*.npy")))

    @contextmanager
    def filling(self, rows: range) -> Iterator[Rows]:
        """Open a shard to fill it; who wants the same one waits."""
        folder = self._place(rows.start // SHARD)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            found = Rows(folder, len(rows), self.kinds)
            try:
                yield found
            finally:
                found.flush_if_changed()

    def take(self, name: str, rows: NDArray[np.int64], inner: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Read rows of an array, or of each row the entry `inner`: ``[n, …]``."""
        found = []
        for place, row in enumerate(rows):
            array = self._array(name, int(row) // SHARD)[int(row) % SHARD]
            found.append(array if inner is None else array[inner[place]])
        return np.stack(found)

    def _array(self, name: str, shard: int) -> NDArray[Any]:
        if (name, shard) not in self._open:
            self._open[name, shard] = np.load(self._place(shard) / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return self._open[name, shard]

    def _place(self, shard: int) -> Path:
        return self.folder / f"{shard:05d}"


def _sum(row: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(row).data)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    """Map an array's file; what stands there and is no such file is made again."""
    start = BytesIO()
    np.lib.format.write_array_header_1_0(
        start, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    header = start.getvalue()
    size = len(header) + dtype.itemsize * int(np.prod(shape))
    with suppress(FileNotFoundError, A2IBenchError), open_regular(path, write=True) as file:
        if file.read(len(header)) == header and path.stat().st_size == size:
            reserve(file, size)  # an older one may have holes
            return _map(file, dtype, len(header), shape)
    path.unlink(missing_ok=True)
    try:
        with path.open("x+b") as file:
            file.write(header)
            file.flush()
            reserve(file, size)
            return _map(file, dtype, len(header), shape)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _map(file: IO[bytes], dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> "np.memmap[Any, Any]":
    return np.memmap(file, dtype, "r+", offset, shape)  # type: ignore[call-overload, no-any-return, unused-ignore]
