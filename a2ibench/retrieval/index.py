"""An index: unit vectors of a corpus in a folder, with what each is of, and which network made them.

``index.json`` names the network by its digest, and the hashes of the two other files: ``rows.npy``, float32 ``[n, d]``,
mapped into memory, and ``items.json``, in the same order, by id.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, sha256_file
from a2ibench.retrieval.search import Float32, Found, nearest
from a2ibench.text import some

SCHEMA = 1
STORED = 50
_AGAIN = "build it again with `a2ibench index`"
_META_BYTES = 2**20
_ITEMS_BYTES = 2**31
_YOUTUBE = re.compile(r"([A-Za-z0-9_-]{11})_\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Item:
    """What a row is of.

    Attributes
    ----------
    item_id, source
        Its id, and the video that it was cut from (its id where that is not known).
    label, caption
        The event, and what is told of it.
    audio
        Its sound, relative to the corpus.
    sha256
        The hash of that file.

    """

    item_id: str
    source: str
    label: str
    caption: str
    audio: str
    sha256: str


def source_of(clip: Clip) -> str:
    """Name the video that a clip was cut from: its column ``source``, else the YouTube id in its own, else itself.

    >>> source_of(Clip("-0xYz4pGQsM_000030", "a bell", {}))
    '-0xYz4pGQsM'
    """
    told = clip.values.get("source")
    found = _YOUTUBE.fullmatch(clip.clip_id)
    return str(told) if told else found[1] if found else clip.clip_id


@dataclass(frozen=True)
class Index:
    """An index that was read; see `load_index`.

    Attributes
    ----------
    rows
        Unit vectors ``[n, d]``, float32, in the order of `items`.
    items
        What they are of, in the order of their ids.
    encoder
        The digest of the network that made the rows.
    key
        What the rows are of: ``"audio"`` or ``"text"`` (the captions).
    corpus
        The folder in which the sounds lie.

    """

    rows: Float32
    items: tuple[Item, ...]
    encoder: str
    key: str
    corpus: Path

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def _of_source(self) -> dict[str, NDArray[np.int64]]:
        places: dict[str, list[int]] = {}
        for row, item in enumerate(self.items):
            places.setdefault(item.source, []).append(row)
        return {source: np.array(rows, np.int64) for source, rows in places.items()}

    @cached_property
    def _hashes(self) -> dict[str, int]:
        return {item.sha256: row for row, item in reversed(list(enumerate(self.items)))}

    @cached_property
    def _source_of(self) -> dict[str, str]:
        return {item.item_id: item.source for item in self.items}

    def rows_of(self, sources: Collection[str]) -> NDArray[np.int64]:
        """Give the rows of these source videos, rising."""
        found = [self._of_source[source] for source in sorted(set(sources)) if source in self._of_source]
        return np.sort(np.concatenate([np.empty(0, np.int64), *found]))

    def search(
        self, queries: Float32, k: int = STORED, without: Sequence[Collection[str]] | None = None
    ) -> list[Found]:
        """Find the nearest items to unit vectors ``[m, d]``, without these source videos for each.

        Raises
        ------
        A2IBenchError
            If the vectors are of another width than the index.

        """
        if queries.ndim != 2 or queries.shape[1] != self.rows.shape[1]:
            raise A2IBenchError(
                f"The queries have the shape {list(queries.shape)}, and the index holds vectors of "
                f"{self.rows.shape[1]}; use the network that built the index."
            )
        out = [self.rows_of(sources) for sources in without] if without is not None else None
        found = nearest(queries, self.rows, k, out)
        for hits, sources in zip(found, without or [()] * len(found), strict=True):
            own = [self.items[row].item_id for row in hits.rows if self.items[row].source in sources]
            if own:  # never: what is asserted, not hoped
                raise AssertionError(f"{own[0]} is of a source that was to be left out")
        return found

    def search_clips(self, queries: Float32, clips: Sequence[Clip], k: int = STORED) -> list[Found]:
        """Find the nearest items to clips' vectors; a clip itself, copies of its sound, and its video are left out."""
        return self.search(queries, k, [self.own_sources(clip) for clip in clips])

    def own_sources(self, clip: Clip) -> set[str]:
        """Name the sources in the index that are a clip's own: of its id, its video, or the very same sound."""
        sources = {source_of(clip), clip.clip_id, self._source_of.get(clip.clip_id, clip.clip_id)}
        own = clip.values.get("audio")
        if isinstance(own, Path) and own.is_file() and (row := self._hashes.get(sha256_file(own))) is not None:
            sources.add(self.items[row].source)
        return sources

    def check_encoder(self, digest: str, where: str = "The index") -> None:
        """Refuse the index where another network made its rows: the cosines would mean nothing."""
        if digest != self.encoder:
            raise A2IBenchError(
                f"{where} was built with another network ({self.encoder[:12]}) than the one that is used "
                f"({digest[:12]}); {_AGAIN}."
            )

    def holds(self, clips: Sequence[Clip]) -> list[str]:
        """Name the clips that lie in the index: their very sound, or another cut of their video."""
        once = {clip.clip_id: clip for clip in clips}
        return [clip_id for clip_id, clip in once.items() if len(self.rows_of(self.own_sources(clip)))]


def check_apart(index: Index, clips: Sequence[Clip], *, allow: bool = False) -> str | None:
    """Refuse an index that holds clips of the test; where that is allowed, give the sentence that marks the result.

    A clip is never its own example, but it may be that of another test clip: scores then tell of memory.

    Raises
    ------
    A2IBenchError
        If it holds some, unless `allow`.

    """
    held = index.holds(clips)
    if not held:
        return None
    if not allow:
        raise A2IBenchError(
            f"The index holds {len(held)} of the clips that are tested ({some(held)}); build one without them, or set "
            "index_with_test=true to use it all the same and have the result marked."
        )
    return f"The retrieval index holds clips of the test: {some(held, 5)}."


def load_index(folder: Path) -> Index:
    """Read an index and check it against its hashes; the rows are mapped, not read.

    Raises
    ------
    A2IBenchError
        If it is missing, unfinished, damaged, or of a later schema.

    """
    meta = _json(folder / "index.json", _META_BYTES)
    try:
        schema, encoder, key = int(meta["schema"]), str(meta["encoder"]), str(meta["key"])
        corpus, hashes = Path(meta["corpus"]), {name: str(meta[f"{name}_sha256"]) for name in ("rows", "items")}
    except (KeyError, TypeError, ValueError):
        raise A2IBenchError(f"{folder / 'index.json'} is no description of an index; {_AGAIN}.") from None
    if schema != SCHEMA:
        raise A2IBenchError(f"The index {folder} is of schema {schema}, and this version reads {SCHEMA}; {_AGAIN}.")
    for name, file in (("rows", folder / "rows.npy"), ("items", folder / "items.json")):
        if not file.is_file() or sha256_file(file) != hashes[name]:
            raise A2IBenchError(f"{file} is missing or is not what was built; {_AGAIN}.")
    try:
        rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
        items = tuple(Item(**item) for item in _json(folder / "items.json", _ITEMS_BYTES))
    except (ValueError, TypeError):
        raise A2IBenchError(f"The index {folder} is broken; {_AGAIN}.") from None
    if rows.ndim != 2 or rows.dtype != np.float32 or len(rows) != len(items):
        raise A2IBenchError(f"The index {folder} is broken: {len(items)} items and {rows.shape} rows; {_AGAIN}.")
    return Index(rows, items, encoder, key, corpus if corpus.is_absolute() else folder / corpus)


def _json(file: Path, most: int) -> Any:
    try:
        return json.loads(read_limited(file, most))
    except FileNotFoundError:
        raise A2IBenchError(f"There is no {file}: an index is built with `a2ibench index`.") from None
    except ValueError:
        raise A2IBenchError(f"{file} is broken; {_AGAIN}.") from None
