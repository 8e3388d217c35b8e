"""Features, computed once: cached by the content of the input and the identity of the encoder."""

import hashlib
import os
import sqlite3
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from a2ibench.clips import read_audio, read_image
from a2ibench.encoders.base import Encoder, Float32, Modality
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, is_regular, sha256_file
from a2ibench.metrics.base import several
from a2ibench.progress import Advance

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")
_FEW_FILES = 32  # fewer are read faster than threads start
_MOST_READERS = 64


class Rows(Protocol):
    """The features of one encoder, wherever they are kept: content digest → float32 array."""

    def get(self, keys: Sequence[str]) -> dict[str, Float32]:
        """Read the features that are there."""
        ...

    def put(self, rows: dict[str, Float32]) -> None:
        """Keep features."""
        ...


class FeatureCache:
    """The features of one encoder on disk: content digest → float32 array of any shape, with a checksum.

    SQLite, because several processes may score at once and a kill must not lose or break what is stored. A disk can
    break it all the same: what does not match its checksum counts as absent, and is computed again.
    """

    def __init__(self, encoder_id: str, folder: Path | None = None):
        folder = (folder or cache_dir()) / "features"
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in encoder_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = folder / f"{name}.sqlite"
            if os.path.lexists(self._file) and not is_regular(self._file):
                raise OSError(f"{self._file.name} is no plain file")
            with closing(self._open()) as database, database:
                database.execute("CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row BLOB) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
            raise A2IBenchError(
                f"The cache {folder} can't be used ({error}); set A2IBENCH_CACHE to another folder, or delete it."
            ) from None

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=60)

    def get(self, keys: Sequence[str]) -> dict[str, Float32]:
        """Read the features that are there."""
        found: dict[str, Float32] = {}
        try:
            with closing(self._open()) as database:
                for start in range(0, len(keys), 500):
                    some = keys[start : start + 500]
                    marks = ",".join("?" * len(some))
                    query = f"SELECT key, row FROM rows WHERE key IN ({marks})"  # noqa: S608  only question marks
                    stored = ((key, _unpacked(blob)) for key, blob in database.execute(query, some))
                    found.update((key, row) for key, row in stored if row is not None)
        except sqlite3.Error as error:
            raise A2IBenchError(f"The cache {self._file} can't be read ({error}); delete that file.") from None
        return found

    def put(self, rows: dict[str, Float32]) -> None:
        """Store features, all or none."""
        values = [(key, _packed(row)) for key, row in rows.items()]
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", values)
        except sqlite3.Error as error:
            raise A2IBenchError(
                f"The cache {self._file} can't be written ({error}); free space, or set A2IBENCH_CACHE."
            ) from None


def _packed(row: Float32) -> bytes:
    """Lay an array out: checksum, number of axes, their lengths, data."""
    row = np.ascontiguousarray(row, np.float32)
    content = struct.pack(f"<B{row.ndim}I", row.ndim, *row.shape) + row.tobytes()
    return struct.pack("<I", zlib.crc32(content)) + content


def _unpacked(blob: Any) -> Float32 | None:
    """Read an array back; None where it is not what was stored."""
    if not isinstance(blob, bytes) or len(blob) < 5 or struct.unpack_from("<I", blob)[0] != zlib.crc32(blob[4:]):
        return None
    axes = blob[4]
    return np.frombuffer(blob, np.float32, offset=5 + 4 * axes).reshape(struct.unpack_from(f"<{axes}I", blob, 5))


def encode_files(
    encoders: Sequence[Encoder],
    paths: Sequence[Path],
    batch_size: int,
    advance: Advance = lambda n: None,
    cache: Callable[[str], Rows] = FeatureCache,
    *,
    readers: int | None = None,
) -> dict[str, list[Float32]]:
    """Encode files with several encoders of one medium: by the encoder's name an array per file.

    Encoders that read a file alike (images; sounds at one rate) share one decoding of it. The bits of a row depend on
    the file's content and the encoder alone.

    Parameters
    ----------
    encoders, paths
        What encodes what.
    batch_size
        How many files may be read ahead of the networks: a bound on memory, and nothing else.
    advance
        Told how many files are done.
    cache
        Gives what is kept of an encoder, by what its rows are `stored_as`.
    readers
        How many threads read, decode and prepare files beside the networks; 0 for none. By default
        ``A2IBENCH_READERS``, or what the cores and the device suggest.

    Raises
    ------
    A2IBenchError
        For a file that can't be read or encoded, a cache that can't be used, or a number of readers that is none.

    """
    readers = readers_for(len(paths), encoders) if readers is None else readers
    ahead = max(batch_size, 2 * readers)
    with closing(in_order(sha256_file, paths, readers, ahead)) as hashes:
        keys = list(hashes)
    alike: dict[Any, list[Encoder]] = {}
    for encoder in encoders:
        alike.setdefault((encoder.modality, encoder.rate), []).append(encoder)
    found: dict[str, list[Float32]] = {}
    for place, ((modality, rate), group) in enumerate(alike.items()):
        moved = advance if place == 0 else (lambda n: None)
        found |= _encode(group, keys, partial(_prepared, paths, modality, rate), cache, moved, readers, ahead)
    return found


def readers_for(files: int, encoders: Sequence[Encoder]) -> int:
    """Say how many threads should read: none for a few files, few beside a CPU's networks, nearly all beside a GPU.

    Beside a CPU's networks decoding is a twentieth of the work; a GPU waits for it.

    Raises
    ------
    A2IBenchError
        If ``A2IBENCH_READERS`` is no number.

    """
    chosen = os.environ.get("A2IBENCH_READERS", "")
    if chosen:
        if not chosen.isascii() or not chosen.isdigit() or int(chosen) > _MOST_READERS:
            raise A2IBenchError(
                f"A2IBENCH_READERS is {chosen[:20]!r}; it says how many threads read files: a number from 0 to "
                f"{_MOST_READERS}."
            )
        return int(chosen)
    if files < _FEW_FILES:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_gpu = any(str(encoder.device).partition(":")[0] != "cpu" for encoder in encoders)
    return min(max(1, cores - 2 if on_gpu else cores // 8), _MOST_READERS)


def in_order(work: Callable[[_Job], _Done], jobs: Iterable[_Job], readers: int, ahead: int) -> Generator[_Done]:
    """Do jobs in threads, at most `ahead` before they are asked for, and give what comes of them in their order.

    The first error ends it. Close the iterator where it may not be read to its end.
    """
    if not readers:
        yield from map(work, jobs)
        return
    from a2ibench.encoders._threads import lone_threads

    waiting: deque[Future[_Done]] = deque()
    with lone_threads(readers) as pool:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _prepared(
    paths: Sequence[Path], modality: Modality, rate: int, index: int, encoders: Sequence[Encoder]
) -> dict[str, Any]:
    """Read a file (an RGB image, a mono waveform at a rate; of a video the path) and prepare it for each encoder."""
    path = paths[index]
    item: Any = path
    if modality != "video":
        item = read_image(path) if modality == "image" else read_audio(path, rate)
    try:
        return {encoder.name: encoder.prepare(item) for encoder in encoders}
    except A2IBenchError as error:
        raise A2IBenchError(f"{path}: {error}") from None


def encode_texts(encoder: Encoder, texts: Sequence[str], cache: Callable[[str], Rows] = FeatureCache) -> NDArray[Any]:
    """Encode texts, each distinct one once: as `stacked` has them."""
    distinct = sorted(set(texts))
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in distinct]
    rows = _encode([encoder], keys, lambda i, _: {encoder.name: encoder.prepare(distinct[i])}, cache)[encoder.name]
    by_text = dict(zip(distinct, rows, strict=True))
    return stacked([by_text[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def stacked(rows: Sequence[Float32]) -> NDArray[Any]:
    """Give a row per item, [n, d]; of an encoder that gives several per item, [k, d] each, an array of arrays."""
    return np.stack(rows) if rows[0].ndim == 1 else several(rows)


def _encode(
    encoders: Sequence[Encoder],
    keys: Sequence[str],
    prepare: Callable[[int, Sequence[Encoder]], dict[str, Any]],
    cache: Callable[[str], Rows],
    advance: Advance = lambda n: None,
    readers: int = 0,
    ahead: int = 1,
) -> dict[str, list[Float32]]:
    """Compute the rows that the caches lack; each network gets as many items at a time as keep it busy."""
    caches = {encoder.name: cache(encoder.stored_as) for encoder in encoders}
    known = {name: rows.get(list(dict.fromkeys(keys))) for name, rows in caches.items()}
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    lacking = {key: [e for e in encoders if key not in known[e.name]] for key in sorted(first, key=first.__getitem__)}
    jobs = {key: lack for key, lack in lacking.items() if lack}
    left = {key: len(lack) for key, lack in jobs.items()}
    waiting: dict[str, dict[str, Any]] = {encoder.name: {} for encoder in encoders}
    advance(len(keys) - len(jobs))

    def compute(encoder: Encoder) -> None:
        items, waiting[encoder.name] = waiting[encoder.name], {}
        fresh = dict(zip(items, encoder.compute(list(items.values())), strict=True))
        caches[encoder.name].put(fresh)
        known[encoder.name].update(fresh)
        left.update((key, left[key] - 1) for key in fresh)
        advance(sum(not left[key] for key in fresh))

    with closing(in_order(lambda key: (key, prepare(first[key], jobs[key])), jobs, readers, ahead)) as stream:
        for key, prepared in stream:
            for encoder in jobs[key]:
                waiting[encoder.name][key] = prepared[encoder.name]
                if len(waiting[encoder.name]) >= encoder.at_once:
                    compute(encoder)
    for encoder in encoders:
        if waiting[encoder.name]:
            compute(encoder)
    return {name: [rows[key] for key in keys] for name, rows in known.items()}


class FeatureSource:
    """Where features come from: computed in this process, and cached."""

    def files(
        self, encoders: Sequence[Encoder], paths: Sequence[Path], batch_size: int, advance: Advance
    ) -> dict[str, list[Float32]]:
        """Encode files with encoders of one medium: by the encoder's name an array per file."""
        return encode_files(encoders, paths, batch_size, advance)

    def texts(self, encoder: Encoder, texts: Sequence[str]) -> NDArray[Any]:
        """Encode texts: ``[n, d]``."""
        return encode_texts(encoder, texts)
