"""Rows of encoders, computed once: cached by the content of the input and the identity of the encoder."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2ibench.clips import read_audio, read_image
from a2ibench.encoders.base import Encoder, Float32
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, sha256_file
from a2ibench.progress import Advance


class RowCache:
    """The rows of one encoder on disk: content digest → float32 row.

    SQLite, because several processes may score at once and a kill must not lose or break what is stored.
    """

    def __init__(self, encoder_id: str, folder: Path | None = None):
        folder = (folder or cache_dir()) / "rows"
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in encoder_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = folder / f"{name}.sqlite"
            with closing(self._open()) as database, database:
                database.execute("CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row BLOB) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
            raise A2IBenchError(
                f"The cache {folder} can't be used ({error}); set A2IBENCH_CACHE to another folder, or delete it."
            ) from None

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=60)

    def get(self, keys: Sequence[str]) -> dict[str, Float32]:
        """Read the rows that are there."""
        found: dict[str, Float32] = {}
        try:
            with closing(self._open()) as database:
                for start in range(0, len(keys), 500):
                    some = keys[start : start + 500]
                    marks = ",".join("?" * len(some))
                    query = f"SELECT key, row FROM rows WHERE key IN ({marks})"  # noqa: S608  only question marks
                    found.update((k, np.frombuffer(row, np.float32)) for k, row in database.execute(query, some))
        except sqlite3.Error as error:
            raise A2IBenchError(f"The cache {self._file} can't be read ({error}); delete that file.") from None
        return found

    def put(self, rows: dict[str, Float32]) -> None:
        """Store rows, all or none."""
        values = [(key, np.ascontiguousarray(row, np.float32).tobytes()) for key, row in rows.items()]
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", values)
        except sqlite3.Error as error:
            raise A2IBenchError(
                f"The cache {self._file} can't be written ({error}); free space, or set A2IBENCH_CACHE."
            ) from None


def image_rows(
    encoders: Sequence[Encoder], paths: Sequence[Path], batch_size: int, advance: Advance = lambda n: None
) -> dict[str, NDArray[Any]]:
    """Encode images with several encoders; each image is decoded once: name → ``[n, d]``."""
    return _rows(encoders, [sha256_file(path) for path in paths], lambda i: read_image(paths[i]), batch_size, advance)


def audio_rows(
    encoder: Encoder, paths: Sequence[Path], batch_size: int, advance: Advance = lambda n: None
) -> NDArray[Any]:
    """Encode sounds, each read at the encoder's rate: ``[n, d]``."""
    keys = [sha256_file(path) for path in paths]
    return _rows([encoder], keys, lambda i: read_audio(paths[i], encoder.rate), batch_size, advance)[encoder.name]


def text_rows(encoder: Encoder, texts: Sequence[str]) -> NDArray[Any]:
    """Encode texts: ``[n, d]``."""
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return _rows([encoder], keys, lambda i: texts[i], 64, lambda n: None)[encoder.name]


def _rows(
    encoders: Sequence[Encoder],
    keys: Sequence[str],
    read: Callable[[int], Any],
    batch_size: int,
    advance: Advance,
) -> dict[str, NDArray[Any]]:
    caches = {encoder.name: RowCache(encoder.id) for encoder in encoders}
    known = {name: cache.get(list(dict.fromkeys(keys))) for name, cache in caches.items()}
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
    return {name: np.stack([rows[key] for key in keys]) for name, rows in known.items()}


def _batches(pairs: Sequence[tuple[str, int]], size: int) -> Iterator[Sequence[tuple[str, int]]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
