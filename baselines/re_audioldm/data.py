"""What a training step reads: latents, captions in CLAP, and the examples' tokens; each computed once."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.audiotoken.cache import Rows
from a2ibench.baselines.re_audioldm.examples import Examples, Tokens, caption_of
from a2ibench.baselines.re_audioldm.mel import fit_length
from a2ibench.baselines.re_audioldm.parts import AudioTokens, Clap, Codec, TextTokens
from a2ibench.baselines.re_audioldm.unet import Conditioning, Told
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.media.audio import read_audio
from a2ibench.retrieval.index import STORED

Kinds = dict[str, tuple[Any, tuple[int, ...]]]


class Frozen:
    """The frozen networks of a training, those that its streams need."""

    def __init__(self, parts: Mapping[str, Any], told: Conditioning, device: str):
        self.clap, self.codec = Clap(parts["clap"], device), Codec(parts["codec"], device)
        self.examples = Examples(parts["index"], self.clap) if told.parts else None
        self.audio = AudioTokens(parts["audiomae"], device) if "audiomae" in told.parts else None
        self.text = TextTokens(parts["t5"], device) if "t5" in told.parts else None

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each, by part."""
        found = {"clap": self.clap, "codec": self.codec, "audiomae": self.audio, "t5": self.text}
        return {name: network.digest for name, network in found.items() if network is not None}  # type: ignore[attr-defined]

    @property
    def widths(self) -> list[int]:
        """The widths of the streams."""
        return [network.width for network in (self.audio, self.text) if network is not None]


class Data:
    """The clips of a training as rows on disk, computed once and used again by a later training.

    Parameters
    ----------
    clips, frozen
        The clips and the networks.
    cache
        Where the rows lie.
    k
        How many examples a clip is trained with.
    gigabytes
        How much they may take.
    progress
        Called with the rows done.

    Raises
    ------
    A2IBenchError
        If they would take more.

    """

    def __init__(
        self,
        clips: ClipSet,
        frozen: Frozen,
        cache: Path,
        *,
        k: int,
        gigabytes: float,
        progress: Callable[[int], None] = lambda done: None,
    ):
        self.clips, self.frozen, self.k = clips, frozen, k
        self.empty = torch.from_numpy(frozen.clap.texts([""]))[0]
        stored = min(STORED, max(k, 1))
        own: Kinds = {"latents": (np.float16, frozen.codec.shape), "film": (np.float32, (frozen.clap.width,))}
        if frozen.examples:
            own["found"] = (np.int32, (stored,))
        shown: Kinds = {}
        if frozen.audio:
            shown["audio"] = (np.float16, (frozen.audio.length, frozen.audio.width))
        if frozen.text:
            shown["text"] = (np.float16, (frozen.text.length, frozen.text.width))
            shown["words"] = (np.bool_, (frozen.text.length,))
        count = len(frozen.examples.index) if frozen.examples else 0
        needed = (len(clips) * _bytes(own) + count * _bytes(shown)) / 1e9
        if needed > gigabytes:
            raise A2IBenchError(
                f"What is computed once takes {needed:.2f} GB for {len(clips)} clips and {count} examples, and "
                f"{gigabytes:g} may be taken; give --set cache_gb=… or fewer clips."
            )
        self._own = self._rows(cache, [clips.digest, stored], own, len(clips), self._clip, progress)
        self._shown: list[NDArray[Any]] = []
        if shown and frozen.examples:
            tokens = Tokens(frozen.examples, frozen.audio, frozen.text)
            self.nothing = tokens.batch([[]], max(1, k))
            self._shown = self._rows(cache, ["tokens"], shown, count, lambda row: _tokens(tokens, row), progress)

    def _rows(
        self,
        cache: Path,
        what: list[Any],
        kinds: Kinds,
        count: int,
        compute: Callable[[int], Sequence[NDArray[Any]]],
        progress: Callable[[int], None],
    ) -> list[NDArray[Any]]:
        index = self.frozen.examples.index if self.frozen.examples else None
        of_index = hashlib.sha256(repr(index.items).encode()).hexdigest() if index else ""
        key = json.dumps([what, list(kinds), self.frozen.digests, of_index, 1], sort_keys=True)
        folder = cache / hashlib.sha256(key.encode()).hexdigest()[:24]
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            rows = Rows(folder, count, kinds)
            changed = 0
            try:
                for row in range(count):
                    if not rows.has(row):
                        rows.put(row, compute(row))
                        changed += 1
                        if changed % 100 == 0:
                            rows.flush()
                    progress(1)
            finally:
                if changed:
                    rows.flush()
        return list(rows.arrays)

    def _clip(self, row: int) -> list[NDArray[Any]]:
        clip, codec = self.clips[row], self.frozen.codec
        wave = fit_length(read_audio(clip.file("audio"), codec.mel.rate), codec.mel)
        text = caption_of(clip, self.frozen.clap)
        found: list[NDArray[Any]] = [codec.encode(wave[None])[0].cpu().numpy(), self.frozen.clap.texts([text])[0]]
        if self.frozen.examples:
            stored = min(STORED, max(self.k, 1))
            index = self.frozen.examples.index  # its own clips may lie in there: each is left out for itself
            hits = index.search_clips(self.frozen.clap.texts([text]), [clip], stored)[0].rows
            found.append(np.pad(hits, (0, stored - len(hits)), constant_values=-1).astype(np.int32))
        return found

    def batch(self, rows: NDArray[np.int64], dropped: NDArray[np.bool_]) -> tuple[Tensor, Told]:
        """Read clips: their latents, and what they are told; nothing at all where it is `dropped`."""
        latents = torch.from_numpy(self._own[0][rows].astype(np.float32))
        film = torch.from_numpy(self._own[1][rows].copy())
        film[torch.from_numpy(dropped)] = self.empty
        if not self._shown:
            return latents, Told(film)
        streams = [each.repeat(len(rows), 1, 1) for each in self.nothing[0]]
        masks = [each.repeat(len(rows), 1) for each in self.nothing[1]]
        for n, row in enumerate(rows):
            hits = [hit for hit in self._own[2][row][: self.k] if hit >= 0]
            if dropped[n] or not hits:
                continue
            places = [_filled(self._shown[0][hits].astype(np.float32), self.k)]
            words = [np.arange(self.k) < len(hits)]
            if len(self._shown) == 3:
                places.append(_filled(self._shown[1][hits].astype(np.float32), self.k))
                words.append(_filled(self._shown[2][hits], self.k))
            for stream, (tokens, there) in enumerate(zip(places, words, strict=True)):
                streams[stream][n] = torch.from_numpy(tokens).flatten(0, 1)
                mask = torch.from_numpy(there)
                masks[stream][n] = (mask[:, None].expand(-1, tokens.shape[1]) if mask.ndim == 1 else mask).flatten()
        return latents, Told(film, tuple(streams), tuple(masks))


def _bytes(kinds: Kinds) -> int:
    return sum(np.dtype(kind).itemsize * int(np.prod(shape)) + 4 for kind, shape in kinds.values())


def _filled(some: NDArray[Any], k: int) -> NDArray[Any]:
    return np.concatenate([some, np.zeros((k - len(some), *some.shape[1:]), some.dtype)])


def _tokens(tokens: Tokens, row: int) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = [tokens.of_audio(row)] if tokens.audio else []
    return [*found, *(tokens.of_text(row) if tokens.text else ())]
