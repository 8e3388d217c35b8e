"""The generators put together: AudioLDM, and Re-AudioLDM with examples from an index."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.re_audioldm.examples import MOST, Examples, Tokens, caption_of
from a2ibench.baselines.re_audioldm.mel import MelConfig
from a2ibench.baselines.re_audioldm.parts import AudioTokens, Clap, Codec, TextTokens, Vocoder
from a2ibench.baselines.re_audioldm.unet import RETRIEVALS, Conditioning, Told, load_unet, predict
from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError, unknown

Sounds = list[tuple[NDArray[np.float32], int] | None]
"""Sounds and their rates; None where a network gave numbers that are none."""
SCHEDULE = {
    "num_train_timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear",
    "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "epsilon",
}  # fmt: skip
"""AudioLDM's schedule of the noise."""


class Generator:
    """A UNet with the networks round it; see `a2ibench.baselines.re_audioldm.METHODS` for the options."""

    def __init__(self, parts: Mapping[str, Any], options: Mapping[str, Any], device: str):
        self.options, self.device = options, device
        self.clap, self.codec = Clap(parts["clap"], device), Codec(parts["codec"], device)
        self.vocoder = Vocoder(parts["vocoder"], device)
        self.unet, self.how = load_unet(parts["unet"], device)
        self.tokens: Tokens | None = None
        self.k = int(options.get("k", 0))
        wanted = str(options.get("retrieval", "none"))
        _check(self.how, wanted, options.get("streams"), self.k)
        self.shows_text = wanted == "audio-text"
        networks = {"clap": self.clap.digest, "codec": self.codec.digest}
        if self.how.parts:
            examples = Examples(parts["index"], self.clap, with_test=bool(options.get("index_with_test")))
            audio = AudioTokens(parts["audiomae"], device)
            text = TextTokens(parts["t5"], device) if "t5" in self.how.parts else None
            self.tokens = Tokens(examples, audio, text)
            networks |= {"audiomae": audio.digest, **({"t5": text.digest} if text else {})}
        for name, digest in networks.items():
            if self.how.networks.get(name, digest) != digest:
                raise A2IBenchError(
                    f"The UNet was trained with another {name!r} ({self.how.networks[name][:12]}) than the one here "
                    f"({digest[:12]}); use the networks that it was trained with."
                )

    def told(self, clips: Sequence[Clip], captions: Sequence[str]) -> Told:
        """Encode captions and their examples."""
        film = torch.from_numpy(np.concatenate([self.clap.texts([text]) for text in captions]))
        if self.tokens is None:
            return self._moved(Told(film))
        found = self.tokens.examples.find(clips, self.k, captions) if self.k else []
        rows = [hits.rows.tolist() for hits in found] or [[] for _ in clips]
        return self._moved(Told(film, *self.tokens.batch(rows, self.k, text=self.shows_text)))

    def nothing(self, count: int) -> Told:
        """What guidance leads away from: no caption and no examples."""
        film = torch.from_numpy(self.clap.texts([""])).expand(count, -1)
        if self.tokens is None:
            return self._moved(Told(film))
        return self._moved(Told(film, *self.tokens.batch([[]] * count, max(1, self.k))))

    def _moved(self, told: Told) -> Told:
        return Told(
            told.film.to(self.device),
            tuple(each.to(self.device) for each in told.streams),
            tuple(each.to(self.device) for each in told.masks),
        )

    @torch.inference_mode()
    def latents(self, told: Told, seeds: Sequence[int]) -> Tensor:
        """Sample latents by DDIM, each from its own seed: ``[n, c, t, f]``."""
        from diffusers import DDIMScheduler

        schedule = DDIMScheduler(**SCHEDULE)
        schedule.set_timesteps(self.options["steps"])
        noise = [torch.randn(self.codec.shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        found = torch.stack(noise).to(self.device)
        guidance = float(self.options["guidance"])
        both = told if guidance == 1 else _joined(self.nothing(len(seeds)), told)
        for time in schedule.timesteps:
            noisy = found if guidance == 1 else torch.cat([found, found])
            predicted = predict(self.unet, noisy, time.expand(len(noisy)).to(self.device), both, self.how)
            if guidance != 1:
                base, full = predicted.chunk(2)
                predicted = base + guidance * (full - base)
            found = schedule.step(predicted, time, found).prev_sample
        return found

    def draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Sounds:
        """Make a sound per clip; on a processor one at a time, so that its neighbours don't change a bit of it."""
        if self.tokens and self.k:
            self.tokens.examples.check(clips)
        if not self.device.startswith("cpu"):
            return self._draw(clips, seeds)
        made: dict[tuple[str, int], Any] = {}  # a batch may be filled up with its last clip
        for clip, seed in zip(clips, seeds, strict=True):
            if (clip.clip_id, seed) not in made:
                made[clip.clip_id, seed] = self._draw([clip], [seed])[0]
        return [made[clip.clip_id, seed] for clip, seed in zip(clips, seeds, strict=True)]

    def _draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Sounds:
        captions = [caption_of(clip, self.clap) for clip in clips]
        return heard(self.latents(self.told(clips, captions), seeds), self.codec, self.vocoder)


def _joined(one: Told, other: Told) -> Told:
    """Two batches as one."""
    return Told(
        torch.cat([one.film, other.film]),
        tuple(torch.cat(pair) for pair in zip(one.streams, other.streams, strict=True)),
        tuple(torch.cat(pair) for pair in zip(one.masks, other.masks, strict=True)),
    )


def _check(how: Conditioning, wanted: str, streams: Any, k: int) -> None:
    """Refuse options that the UNet was not trained for."""
    if wanted not in RETRIEVALS:
        raise unknown("kind of retrieval", wanted, RETRIEVALS)
    if RETRIEVALS.index(wanted) > RETRIEVALS.index(how.retrieval) or (wanted == "none" and how.retrieval != "none"):
        raise A2IBenchError(
            f"The UNet was trained with retrieval={how.retrieval}, and retrieval={wanted} is asked for; give "
            "--weights unet=… of one that was trained so, or --set retrieval=…"
        )
    if how.retrieval == "audio-text" and streams not in (None, how.streams):
        raise A2IBenchError(f"The UNet attends to its streams {how.streams}, not {streams}; give that with --set.")
    if not 0 <= k <= MOST:
        raise A2IBenchError(f"A sound is made with 0 to {MOST} examples; found k={k}.")


def heard(latents: Tensor, codec: Codec, vocoder: Vocoder) -> Sounds:
    """Turn latents into sounds; one at a time, so that its neighbours don't change a bit."""
    mel: MelConfig = codec.mel
    found: Sounds = []
    for latent in latents:
        if not torch.isfinite(latent).all():
            found.append(None)
            continue
        wave = vocoder(codec.decode(latent[None]), mel)[0]
        found.append((wave, mel.rate) if np.isfinite(wave).all() else None)
    return found
