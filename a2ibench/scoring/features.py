"""Features, computed once: cached by the content of the input and the identity of the encoder."""

import hashlib
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from a2ibench.clips import read_audio, read_image
from a2ibench.encoders.base import Encoder, Float32, Modality
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, is_regular, sha256_file
from a2ibench.metrics.base import several
from a2ibench.progress import Advance


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
) -> dict[str, list[Float32]]:
    """Encode files with several encoders of one medium: by the encoder's name an array per file.

    Encoders that read a file alike (images; sounds at one rate) share one decoding of it. `cache` gives what is kept of
    an encoder, by its id.
    """
    keys = [sha256_file(path) for path in paths]
    alike: dict[Any, list[Encoder]] = {}
    for encoder in encoders:
        alike.setdefault((encoder.modality, encoder.rate), []).append(encoder)
    found: dict[str, list[Float32]] = {}
    for place, ((modality, rate), group) in enumerate(alike.items()):
        moved = advance if place == 0 else (lambda n: None)
        found |= _encode(group, keys, partial(_read, paths, modality, rate), batch_size, moved, cache)
    return found


def _read(paths: Sequence[Path], modality: Modality, rate: int, index: int) -> Any:
    """Read a file as encoders take it: an RGB image, or a mono waveform at a rate; a video's path."""
    if modality == "video":
        return paths[index]
    return read_image(paths[index]) if modality == "image" else read_audio(paths[index], rate)


def encode_texts(encoder: Encoder, texts: Sequence[str], cache: Callable[[str], Rows] = FeatureCache) -> NDArray[Any]:
    """Encode texts, each distinct one once: as `stacked` has them."""
    distinct = sorted(set(texts))
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in distinct]
    rows = _encode([encoder], keys, lambda i: distinct[i], 64, lambda n: None, cache)[encoder.name]
    by_text = dict(zip(distinct, rows, strict=True))
    return stacked([by_text[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def stacked(rows: Sequence[Float32]) -> NDArray[Any]:
    """Give a row per item, [n, d]; of an encoder that gives several per item, [k, d] each, an array of arrays."""
    return np.stack(rows) if rows[0].ndim == 1 else several(rows)


def _encode(
    encoders: Sequence[Encoder],
    keys: Sequence[str],
    read: Callable[[int], Any],
    batch_size: int,
    advance: Advance,
    cache: Callable[[str], Rows] = FeatureCache,
) -> dict[str, list[Float32]]:
    caches = {encoder.name: cache(encoder.id) for encoder in encoders}
    known = {name: rows.get(list(dict.fromkeys(keys))) for name, rows in caches.items()}
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    wanted = [(key, index) for key, index in first.items() if any(key not in rows for rows in known.values())]
    advance(len(keys) - len(wanted))
    for batch in _batches(sorted(wanted, key=lambda pair: pair[1]), batch_size):
        items = {key: read(index) for key, index in batch}
        for encoder in encoders:
            missing = [key for key in items if key not in known[encoder.name]]
            if missing:
                rows = encoder.encode([items[key] for key in missing])
                fresh = dict(zip(missing, rows, strict=True))
                caches[encoder.name].put(fresh)
                known[encoder.name].update(fresh)
        advance(len(batch))
    return {name: [rows[key] for key in keys] for name, rows in known.items()}


def _batches(pairs: Sequence[tuple[str, int]], size: int) -> Iterator[Sequence[tuple[str, int]]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
