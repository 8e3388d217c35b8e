"""What stands beside the generators on a board: retrieval alone, the label alone, autoencoder and vocoder alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2ibench.baselines.re_audioldm.examples import Examples
from a2ibench.baselines.re_audioldm.mel import fit_length
from a2ibench.baselines.re_audioldm.model import Sounds, heard
from a2ibench.baselines.re_audioldm.parts import Clap, Codec, Vocoder
from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError
from a2ibench.media.audio import read_audio

RATE = 16_000


class Nearest:
    """The nearest sound of the index to each caption."""

    def __init__(self, parts: Mapping[str, Any], options: Mapping[str, Any], device: str):
        self.examples = Examples(parts["index"], Clap(parts["clap"], device), with_test=options["index_with_test"])

    def draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Sounds:
        """Give a sound per clip."""
        found = self.examples.find(clips, 1)
        return [self._sound(clip, hits.rows.tolist()) for clip, hits in zip(clips, found, strict=True)]

    def _sound(self, clip: Clip, rows: Sequence[int]) -> tuple[Any, int]:
        if not rows:
            raise A2IBenchError(
                f"The index holds no sound for the clip {clip.clip_id!r} besides its own; index a larger corpus."
            )
        return self.examples.sound(rows[0], RATE), RATE


class SameLabel(Nearest):
    """A sound of the index with the clip's very label, by its seed; where there is none, the nearest to the label."""

    def draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Sounds:
        """Give a sound per clip."""
        found = self.examples.find(clips, 1, [clip.label for clip in clips])
        index, sounds = self.examples.index, []
        for clip, seed, hits in zip(clips, seeds, found, strict=True):
            own = index.own_sources(clip)
            same = [row for row, each in enumerate(index.items) if each.label == clip.label and each.source not in own]
            chosen = [same[np.random.default_rng(seed).integers(len(same))]] if same else hits.rows.tolist()
            sounds.append(self._sound(clip, chosen))
        return list(sounds)


class Through:
    """The real sound of each clip through autoencoder and vocoder."""

    def __init__(self, parts: Mapping[str, Any], options: Mapping[str, Any], device: str):
        self.codec, self.vocoder = Codec(parts["codec"], device), Vocoder(parts["vocoder"], device)

    def draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Sounds:
        """Give a sound per clip."""
        mel = self.codec.mel
        waves = [fit_length(read_audio(clip.file("audio"), mel.rate), mel) for clip in clips]
        return [heard(self.codec.encode(wave[None]), self.codec, self.vocoder)[0] for wave in waves]
