"""AudioToken put together: BEATs features, embedder, Stable Diffusion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.base import Drawn
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import Clip, read_audio
from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError
from a2ibench.weights.read import read_checkpoint, read_state_dict


def fit_seconds(wave: NDArray[np.float32], seconds: float, rate: int = beats.RATE) -> NDArray[np.float32]:
    """Give a sound exactly this length: a shorter one is repeated (as the authors do), a longer one cut."""
    samples = round(seconds * rate)
    return np.resize(wave, samples) if len(wave) < samples else wave[:samples]


class Listener:
    """The frozen BEATs with the blocks whose outputs AudioToken reads.

    Parameters
    ----------
    part
        ``file``, and for other sizes than the published ``config`` (of `beats.BeatsConfig`) and ``layers``.
    device
        Where it runs.

    """

    def __init__(self, part: Mapping[str, Any], device: str):
        file = Path(part["file"])
        config = part.get("config")
        if config is None:
            config = read_checkpoint(file).get("cfg", {})
        self.layers = tuple(part.get("layers", beats.AUDIOTOKEN_LAYERS))
        self.network = beats.load(beats.BeatsConfig.from_dict(config), read_state_dict(file)).to(device)
        self.device = device

    @property
    def width(self) -> int:
        """Width of a feature."""
        return len(self.layers) * self.network.config.encoder_embed_dim

    @torch.inference_mode()
    def features(self, waves: NDArray[np.float32] | Tensor) -> Tensor:
        """Hear sounds of one length, ``[n, samples]`` at 16 kHz: ``[n, tokens, width]``."""
        batch = waves if isinstance(waves, Tensor) else torch.from_numpy(np.ascontiguousarray(waves))
        batch = batch.to(self.device, non_blocking=True)
        tokens: Tensor = self.network(beats.fbank(batch, self.network.config), self.layers)
        return tokens


def load_embedder(file: Path, in_dim: int, out_dim: int, attention_dropout: bool = False) -> Embedder:
    """Load an embedder's weights; the sizes come from BEATs and from the text encoder."""
    embedder = Embedder(in_dim, out_dim, attention_dropout=attention_dropout)
    try:
        embedder.load_state_dict(read_state_dict(file))
    except RuntimeError:
        raise A2IBenchError(
            f"The embedder {file} does not fit: {in_dim} audio features to a token of {out_dim} are wanted; "
            "was it trained in another suite?"
        ) from None
    return embedder.eval()


class AudioToken:
    """The method; see `a2ibench.baselines.audiotoken.METHODS` for its options."""

    def __init__(self, parts: Mapping[str, Any], options: Mapping[str, Any], device: str):
        self.options = options
        self.diffusion = StableDiffusion(parts["stable_diffusion"]["file"], device, options["scheduler"])
        self.listener = Listener(parts["beats"], device)
        self.embedder = load_embedder(
            Path(parts["embedder"]["file"]),
            self.listener.width,
            self.diffusion.token_width,
            options["attention_dropout"],
        ).to(device)

    @torch.inference_mode()
    def tokens(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Tensor:
        """Hear clips: ``[n, token_width]``."""
        waves = [fit_seconds(read_audio(clip.file("audio"), beats.RATE), self.options["seconds"]) for clip in clips]
        features = self.listener.features(np.stack(waves)).float()
        if not self.options["attention_dropout"]:
            return self.embedder(features)  # type: ignore[no-any-return]
        # With the authors' dropout a token is random: each from its own image's seed.
        return torch.cat(
            [
                self.embedder(row[None], torch.Generator(row.device).manual_seed(seed))
                for row, seed in zip(features, seeds, strict=True)
            ]
        )

    def draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Drawn:
        """Draw an image per clip."""
        embeddings = self.diffusion.embed_prompts([self.options["prompt"]] * len(clips), self.tokens(clips, seeds))
        return self.diffusion.draw(
            embeddings.detach(), seeds, steps=self.options["steps"], guidance=self.options["guidance"]
        )
