"""The examples of clips: what the index finds, its sounds, and their tokens."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.re_audioldm.parts import AudioTokens, Clap, TextTokens
from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.files import sha256_file, write_bytes
from a2ibench.media.audio import read_audio
from a2ibench.progress import Advance
from a2ibench.retrieval import Found, Index, Item, check_apart, load_index

MOST = 10
"""How many examples a sound is made with at most."""
_SPACE = re.compile(r"\s+")


def caption_of(clip: Clip, clap: Clap | None = None) -> str:
    """Give a clip's caption on one line, without signs that can't be printed; any language is read, as bytes.

    A warning says where it is longer than CLAP reads.

    Raises
    ------
    A2IBenchError
        If nothing is left.

    """
    told = "".join(sign if sign.isprintable() else " " for sign in clip.text("caption"))
    told = _SPACE.sub(" ", told).strip()
    if not told:
        raise A2IBenchError(f"The caption of the clip {clip.clip_id!r} is empty; tell what is to be heard.")
    if clap and len(told) > clap.most and (count := clap.tokens(told)) > clap.most:
        warnings.warn(
            f"The caption of the clip {clip.clip_id!r} has {count} tokens, and {clap.most} are read; shorten it.",
            A2IBenchWarning,
            stacklevel=2,
        )
    return told


class Examples:
    """An index with the CLAP that it was built with.

    Parameters
    ----------
    part
        The part ``index``: its folder.
    clap
        The network that captions are looked up by.
    with_test
        Use an index that holds clips of the test all the same.

    """

    def __init__(self, part: Mapping[str, Any], clap: Clap, *, with_test: bool = False):
        self.folder = Path(part["file"])
        self.index: Index = load_index(self.folder)
        self.index.check_encoder(clap.digest, f"The index {part['file']}")
        self.clap, self.with_test = clap, with_test

    def check(self, clips: Sequence[Clip]) -> None:
        """Refuse an index that holds clips of the test, or warn where that is allowed."""
        if marked := check_apart(self.index, clips, allow=self.with_test):
            warnings.warn(marked, A2IBenchWarning, stacklevel=2)

    def find(self, clips: Sequence[Clip], k: int, captions: Sequence[str] | None = None) -> list[Found]:
        """Look up the nearest sounds to captions; never a clip's own, nor of its video."""
        self.check(clips)
        texts = captions or [caption_of(clip, self.clap) for clip in clips]
        # One at a time, so that the bits of a row are its own.
        queries = np.concatenate([self.clap.texts([text]) for text in texts])
        return self.index.search_clips(queries, clips, k)

    def sound(self, row: int, rate: int) -> NDArray[np.float32]:
        """Read the sound of a row."""
        return read_audio(sound_file(self.index, self.index.items[row]), rate)


def sound_file(index: Index, item: Item) -> Path:
    """Find the sound of an item in the index's corpus, and check that it is the one that was indexed.

    Raises
    ------
    A2IBenchError
        If it is elsewhere, missing, or another.

    """
    place = PurePosixPath(item.audio)
    if place.is_absolute() or ".." in place.parts:
        raise A2IBenchError(f"The index names the sound {item.audio!r}, outside its corpus; build it again.")
    file = index.corpus / place
    if not file.is_file() or sha256_file(file) != item.sha256:
        raise A2IBenchError(
            f"The sound {file} of the index is missing or another than was indexed; put the corpus back, or build the "
            "index again."
        )
    return file


SHIPPED = "tokens.safetensors"


def ship_tokens(examples: Examples, audio: AudioTokens, advance: Advance = lambda n: None) -> Path:
    """Write the tokens of all sounds of an index into its folder, so that its sounds are not needed any more."""
    from safetensors.torch import save

    tokens = Tokens(examples, audio, None)
    found = torch.empty(len(examples.index), audio.length, audio.width, dtype=torch.float16)
    for row in range(len(found)):
        found[row] = torch.from_numpy(tokens.of_audio(row))
        advance(1)
    file = examples.folder / SHIPPED
    write_bytes(file, save({"audio": found}, metadata=_made_of(examples, audio)))
    return file


def _made_of(examples: Examples, audio: AudioTokens) -> dict[str, str]:
    return {"audiomae": audio.digest, "items": sha256_file(examples.folder / "items.json")}


def _shipped(examples: Examples, audio: AudioTokens) -> NDArray[np.float16] | None:
    """Read the tokens in an index's folder; None where there are none of this network and these items."""
    from safetensors import SafetensorError, safe_open

    file = examples.folder / SHIPPED
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as content:
            if content.metadata() != _made_of(examples, audio):
                return None
            found: NDArray[np.float16] = content.get_tensor("audio").numpy()
    except (SafetensorError, ValueError, KeyError):
        raise A2IBenchError(f"{file} is broken; delete it, and the tokens are computed from the sounds.") from None
    return found


class Tokens:
    """The tokens of an index's items, each computed alone and kept in half precision; and those of no example.

    Parameters
    ----------
    examples
        Where the items are.
    audio, text
        The networks; None where the UNet has no such stream.

    """

    def __init__(self, examples: Examples, audio: AudioTokens | None, text: TextTokens | None):
        self.examples, self.audio, self.text = examples, audio, text
        self._audio: dict[int, NDArray[np.float16]] = {}
        self._text: dict[int, tuple[NDArray[np.float16], NDArray[np.bool_]]] = {}
        self.empty = text([""]) if text else None
        self._shipped = _shipped(examples, audio) if audio else None

    def of_audio(self, row: int) -> NDArray[np.float16]:
        """Tokens of a row's sound ``[length, width]``."""
        assert self.audio is not None  # noqa: S101  for the type checker
        if self._shipped is not None:
            shipped: NDArray[np.float16] = self._shipped[row]
            return shipped
        if row not in self._audio:
            tokens = self.audio([self.examples.sound(row, self.audio.rate)])
            self._keep(self._audio, row, tokens[0].half().cpu().numpy())
        return self._audio[row]

    def of_text(self, row: int) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """Tokens of a row's caption ``[length, width]``, and which are words."""
        assert self.text is not None  # noqa: S101  for the type checker
        if row not in self._text:
            tokens, mask = self.text([self.examples.index.items[row].caption])
            self._keep(self._text, row, (tokens[0].half().cpu().numpy(), mask[0].cpu().numpy()))
        return self._text[row]

    @staticmethod
    def _keep(kept: dict[int, Any], row: int, value: Any) -> None:
        if len(kept) >= 8192:  # half a gigabyte of the published networks' tokens
            kept.clear()
        kept[row] = value

    def batch(
        self, rows: Sequence[Sequence[int]], k: int, *, text: bool = True
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Stack the tokens of each clip's first `k` examples, and mask what there is none of.

        A clip without examples is told nothing: zeros in the place of a sound, T5's tokens of an empty text.

        Returns
        -------
        The streams ``[n, k · length, width]`` and masks ``[n, k · length]``, of sounds first; `text` off tells nothing
        by captions.

        """
        places = max(1, k)
        streams, masks = [], []
        if self.audio:
            sounds = torch.zeros(len(rows), places, self.audio.length, self.audio.width)
            there = torch.zeros(sounds.shape[:3], dtype=torch.bool)
            for n, some in enumerate(rows):
                there[n, : max(1, len(some[:k]))] = True
                for place, row in enumerate(some[:k]):
                    sounds[n, place] = torch.from_numpy(self.of_audio(row).astype(np.float32))
            streams.append(sounds.flatten(1, 2))
            masks.append(there.flatten(1))
        if self.text and self.empty:
            nothing, words = self.empty
            told = torch.zeros(len(rows), places, self.text.length, self.text.width)
            heard = torch.zeros(told.shape[:3], dtype=torch.bool)
            for n, some in enumerate(rows):
                shown = some[:k] if text else []
                if not shown:
                    told[n, 0], heard[n, 0] = nothing[0].cpu().half().float(), words[0].cpu()
                for place, row in enumerate(shown):
                    tokens, mask = self.of_text(row)
                    told[n, place] = torch.from_numpy(tokens.astype(np.float32))
                    heard[n, place] = torch.from_numpy(mask)
            streams.append(told.flatten(1, 2))
            masks.append(heard.flatten(1))
        return tuple(streams), tuple(masks)
