"""Building an index over a corpus: block by block, each kept, so that a killed build goes on."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_space, check_writable, sha256_file, write_bytes, write_text
from a2ibench.media.audio import read_audio
from a2ibench.progress import Advance
from a2ibench.retrieval.index import SCHEMA, Index, Item, load_index, source_of

BLOCK = 256
BATCH = 16


class TextAudio(Protocol):
    """A network that puts texts and sounds into one space."""

    @property
    def digest(self) -> str:
        """The hash of its weights and of how it reads."""
        ...

    @property
    def rate(self) -> int:
        """Samples per second that it wants."""
        ...

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``[n, d]``."""
        ...

    def sounds(self, waves: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Encode sounds ``[samples]``: ``[n, d]``."""
        ...


def build_index(
    clips: ClipSet,
    network: TextAudio,
    out: Path,
    *,
    corpus: Path,
    key: str = "audio",
    block: int = BLOCK,
    advance: Advance = lambda n: None,
) -> Index:
    """Build an index over the clips of a corpus; what an earlier run left whole is taken over.

    Memory is bounded by a block of rows and a batch of sounds, whatever the size of the corpus.

    Parameters
    ----------
    clips
        The corpus, with ``caption`` and ``audio``.
    network
        What encodes; its digest stands in the index.
    out
        The folder of the index.
    corpus
        The folder of the clips, where the sounds are found later.
    key
        What is searched: ``"audio"``, or the captions (``"text"``).
    block
        Clips in a part that is kept.
    advance
        Shows progress.

    Raises
    ------
    A2IBenchError
        For a key that there is not, a sound that can't be read, or a vector that is zero or not finite.

    """
    if key not in ("audio", "text"):
        raise A2IBenchError(f"An index is searched by 'audio' or 'text'; found {key!r}.")
    check_writable(out)
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    items: list[Item] = []
    for start in range(0, len(clips), block):
        some = list(clips)[start : start + block]
        found = [_item(clip, corpus) for clip in some]
        name = json.dumps([network.digest, key, [asdict(item) for item in found]])
        file = parts / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npy"
        if _whole(file, len(some)) is None:
            _save(file, _encoded(some, network, key))
        advance(len(some))
        files.append(file)
        items += found
    _join(files, len(items), out / "rows.npy")
    _describe(out, items, network.digest, key, corpus)
    shutil.rmtree(parts)
    return load_index(out)


def _describe(out: Path, items: Sequence[Item], encoder: str, key: str, corpus: Path) -> None:
    """Write what the rows are of, and last of all ``index.json``, that makes a folder an index."""
    write_text(out / "items.json", json.dumps([asdict(item) for item in items], ensure_ascii=False, indent=0))
    try:
        place = corpus.resolve().relative_to(out.resolve())
    except ValueError:
        place = corpus.resolve()
    meta = {"schema": SCHEMA, "encoder": encoder, "key": key, "corpus": str(place), "count": len(items)}
    meta |= {"rows_sha256": sha256_file(out / "rows.npy"), "items_sha256": sha256_file(out / "items.json")}
    write_text(out / "index.json", json.dumps(meta, indent=1))


def _item(clip: Clip, corpus: Path) -> Item:
    sound = clip.file("audio")
    if not sound.is_file():
        raise A2IBenchError(f"The audio file {sound} does not exist; fix its path in clips.csv.")
    place = sound.relative_to(corpus).as_posix()
    return Item(clip.clip_id, source_of(clip), clip.label, clip.text("caption"), place, sha256_file(sound))


def _encoded(clips: Sequence[Clip], network: TextAudio, key: str) -> NDArray[np.float32]:
    """Encode clips, and give unit vectors; batches are filled up, so that a clip's bits are its own."""
    found = []
    for start in range(0, len(clips), BATCH):
        some = clips[start : start + BATCH]
        full = [*some, *[some[-1]] * (BATCH - len(some))]
        if key == "text":
            rows = network.texts([clip.text("caption") for clip in full])
        else:
            heard = [read_audio(clip.file("audio"), network.rate) for clip in some]
            rows = network.sounds([*heard, *[heard[-1]] * (BATCH - len(some))])
        found.append(rows[: len(some)])
    rows = np.concatenate(found).astype(np.float64)  # so that a sum of squares is exact enough
    norms = np.sqrt((rows**2).sum(axis=1))
    for clip, norm in zip(clips, norms, strict=True):
        if not np.isfinite(norm) or norm == 0:
            raise A2IBenchError(f"The {key} of the clip {clip.clip_id!r} has no direction (norm {norm}); leave it out.")
    unit: NDArray[np.float32] = (rows / norms[:, None]).astype(np.float32)
    return unit


def _save(file: Path, rows: NDArray[np.float32]) -> None:
    buffer = BytesIO()
    np.save(buffer, rows)
    data = buffer.getvalue()
    write_bytes(file, data + hashlib.sha256(data).digest())


def _whole(file: Path, count: int) -> NDArray[np.float32] | None:
    """Give the rows of a part; None where it is missing or damaged."""
    if not file.is_file():
        return None
    data = file.read_bytes()
    data, digest = data[:-32], data[-32:]
    if hashlib.sha256(data).digest() != digest:
        return None
    rows: Any = np.load(BytesIO(data), allow_pickle=False)
    return rows if len(rows) == count else None


def _join(files: Sequence[Path], count: int, out: Path) -> None:
    """Write the parts as one array, a part in memory at a time."""
    first = np.load(BytesIO(files[0].read_bytes()), allow_pickle=False)
    check_space(out.parent, 4 * count * first.shape[1], f"an index of {count} clips")
    part = out.with_name(".rows.part")
    rows = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(count, first.shape[1]))
    start = 0
    for file in files:
        some = np.load(BytesIO(file.read_bytes()), allow_pickle=False)
        rows[start : start + len(some)] = some
        start += len(some)
    rows.flush()
    del rows
    part.replace(out)
