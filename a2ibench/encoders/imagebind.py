"""ImageBind's audio tower: sounds into the space of OpenCLIP ViT-H/14's image embeddings.

Girdhar et al., "ImageBind: One Embedding Space To Bind Them All" (arXiv 2305.05665). **The published weights
are licensed CC-BY-NC-SA 4.0: not for commercial use.** So is the authors' code (facebookresearch/ImageBind);
nothing of it is here: the network is written from its description (sizes, key names, constants) and compared
with theirs as a black box (``tests/fixtures/imagebind.md``).

A sound is heard in three clips of two seconds, spread evenly from its beginning to its end; each gives a
vector of length 20, and their mean is the embedding. Its length is below 20, and how far below says how much
the three agree; unCLIP takes it as it is.

The preprocessing does what theirs does to a waveform at 16 kHz, oddities included, as the weights and the
published numbers came to be with them:

- The mean is taken off clip after clip in the waveform itself. Where clips overlap (sounds under 6 s), a later
  clip so begins with samples that were shifted before. The filter bank takes the mean off each frame again, so
  all that is left of this is a small step in the one or two frames at the border.
- The waveform stays in [−1, 1], while Kaldi's filter bank is meant for 16-bit numbers: quiet bands lie at the
  floor of the logarithm.
- Two seconds give 198 frames, and the network takes 204: the last six, and all that a shorter sound lacks,
  are filled with 0 *before* the normalisation. In these units 0 is loud, not silent.
- A clip's start is cut to whole samples from a duration in floating point, so it may be one sample early.

Two things differ, as `a2ibench.clips.read_audio` reads for all methods alike: stereo is mixed to mono (theirs
hears the first channel alone), and soxr resamples (theirs: torchaudio's windowed sinc).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders._frozen import Device, TorchEncoder, Weights, freeze, load_strict
from a2ibench.encoders.base import EncoderKind
from a2ibench.encoders.filterbank import RATE, log_mel
from a2ibench.errors import A2IBenchError
from a2ibench.weights.read import read_state_dict

SHORTEST = 400  # samples: one frame of the filter bank


@dataclass(frozen=True)
class ImageBindConfig:
    """The sizes of an ImageBind audio tower; the defaults are those of ``imagebind_huge``.

    Attributes
    ----------
    width, blocks, heads, mlp_width
        Width, number of blocks, heads per block and hidden width of the transformer.
    patch, stride
        Side of a square patch and the step between patches, in mel bands and in frames.
    mel_bands, frames
        Size of the log-mel picture of a clip; a frame every 10 ms.
    out_dim
        Width of an embedding.
    scale
        The length that a clip's embedding gets; trained weights bring their own.
    clips, clip_seconds
        How many clips of a sound are heard, and how long each is.
    mean, std
        Mean and standard deviation of the log-mel energies, by which they are normalised.

    """

    width: int = 768
    blocks: int = 12
    heads: int = 12
    mlp_width: int = 3072
    patch: int = 16
    stride: int = 10
    mel_bands: int = 128
    frames: int = 204
    out_dim: int = 1024
    scale: float = 20.0
    clips: int = 3
    clip_seconds: float = 2.0
    mean: float = -4.268
    std: float = 9.138

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise A2IBenchError(f"ImageBind needs a width that heads divides; found {self.width} and {self.heads}.")
        if min(self.mel_bands, self.frames) < self.patch:
            raise A2IBenchError(
                f"ImageBind needs a picture no smaller than a patch of {self.patch}; found {self.mel_bands} mel "
                f"bands x {self.frames} frames."
            )
        if self.clips < 1 or self.clip_seconds * RATE < SHORTEST:
            raise A2IBenchError(
                f"ImageBind needs one clip or more of at least {SHORTEST / RATE} s; found {self.clips} of "
                f"{self.clip_seconds} s."
            )

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "ImageBindConfig":
        """Read the sizes that a suite gives; empty for the published network."""
        known = {field.name for field in fields(cls)}
        if extra := sorted(set(table) - known):
            raise A2IBenchError(f"ImageBind's configuration has no {extra[0]!r}; known: {', '.join(sorted(known))}.")
        return cls(**table)

    @property
    def patches(self) -> tuple[int, int]:
        """How many patches there are along the mel bands and along the frames: published 12 × 19."""
        bands, frames = ((size - self.patch) // self.stride + 1 for size in (self.mel_bands, self.frames))
        return bands, frames


# -------------------------------------------------------------------------------------------- preprocessing


def clip_starts(samples: int, config: ImageBindConfig | None = None) -> tuple[int, ...]:
    """Say at which samples the clips of a sound begin: 10 s give 0, 4 and 8 s; 2 s or less give 0, 0, 0.

    These are the positions of pytorchvideo since 2022 (its commit 9368f30), as ImageBind pins it. The release on
    PyPI, 0.1.5, divides by the number of clips instead of the number of gaps.
    """
    config = config or ImageBindConfig()
    # Exact but for the quotient, which upstream takes in floating point.
    room = max(Fraction(samples / RATE) - Fraction(config.clip_seconds), Fraction(0))
    return tuple(int(room * number / max(config.clips - 1, 1) * RATE) for number in range(config.clips))


def preprocess(waveforms: Tensor, config: ImageBindConfig | None = None) -> Tensor:
    """Compute what the network takes: normalised log-mel pictures of a sound's clips.

    Parameters
    ----------
    waveforms
        Float mono waveforms at 16 kHz in [−1, 1], ``[batch, samples]``, of one length, 400 samples or more.
    config
        Published sizes by default.

    Returns
    -------
    Tensor
        ``(log_mel − mean) / std``, float32, ``[batch, clips, mel_bands, frames]``.

    """
    config = config or ImageBindConfig()
    if waveforms.ndim != 2 or waveforms.shape[1] < SHORTEST:
        raise A2IBenchError(
            f"ImageBind takes waveforms [batch, samples] of at least {SHORTEST} samples at {RATE} Hz; "
            f"found the shape {list(waveforms.shape)}."
        )
    waveforms = waveforms.clone()
    length = round(config.clip_seconds * RATE)
    clips = []
    for start in clip_starts(waveforms.shape[1], config):
        clip = waveforms[:, start : start + length]
        clip -= clip.mean(dim=1, keepdim=True)  # a view: the next clip may overlap it, and sees this
        clips.append(clip.clone())
    energies = log_mel(torch.cat(clips), window="hann", scale=1.0, bands=config.mel_bands)
    energies = energies[:, : config.frames]
    energies = F.pad(energies, (0, 0, 0, config.frames - energies.shape[1]))  # with 0, and before normalisation
    pictures = ((energies - config.mean) / config.std).transpose(1, 2)
    return pictures.reshape(config.clips, -1, config.mel_bands, config.frames).transpose(0, 1).contiguous()


# -------------------------------------------------------------------------------------------------- network


class _Stem(nn.Module):
    """Overlapping patches, embedded and normalised."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, config.width, config.patch, stride=config.stride, bias=False)
        self.norm_layer = nn.LayerNorm(config.width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map ``[batch, mel_bands, frames]`` to ``[batch, patches, width]``, in order of bands, then of time."""
        tokens: Tensor = self.norm_layer(self.proj(pictures[:, None]).flatten(2).transpose(1, 2))
        return tokens


class _Positions(nn.Module):
    """One learned vector for each place; a module only because the checkpoint names it so."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(config.patches), config.width))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)


class _Preprocessor(nn.Module):
    """From pictures to tokens, with a class token in front."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.rgbt_stem = _Stem(config)
        self.pos_embedding_helper = _Positions(config)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map ``[batch, mel_bands, frames]`` to ``[batch, 1 + patches, width]``."""
        tokens: Tensor = self.rgbt_stem(pictures)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return tokens + self.pos_embedding_helper.pos_embed


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., width]`` to the same shape."""
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class _Block(nn.Module):
    """One pre-norm transformer block; its attention has a learned key and value beside the tokens'."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(config.width, config.heads, add_bias_kv=True, batch_first=True)
        self.norm_1 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = _Mlp(config.width, config.mlp_width)
        self.norm_2 = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, tokens, width]`` to the same shape."""
        y = self.norm_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm_2(x))  # type: ignore[no-any-return]


class _Trunk(nn.Module):
    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Block(config) for _ in range(config.blocks)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``[batch, tokens, width]`` to the same shape."""
        states: Tensor = self.blocks(tokens)
        return states


class _ClassToken(nn.Module):
    """Takes the first token; it has no weights, and stands there to count in the names of the head."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``[batch, tokens, width]`` to ``[batch, width]``."""
        return tokens[:, 0]


class _UnitLength(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        """Scale each row to length 1."""
        return F.normalize(rows, dim=-1)


class _Scale(nn.Module):
    """A fixed factor, kept as its logarithm in a buffer: the checkpoint carries it."""

    log_logit_scale: Tensor

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("log_logit_scale", torch.tensor(math.log(scale)))

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply by the factor."""
        return rows * self.log_logit_scale.exp()


class ImageBindAudio(nn.Module):
    """The audio tower: log-mel pictures in, one embedding per sound out.

    Its state dict is the part of ``imagebind_huge.pth`` whose keys begin ``modality_*.audio.``, key for key:
    86,235,648 parameters. The original's drop path is the identity in a frozen network, and left out.
    """

    def __init__(self, config: ImageBindConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ImageBindConfig()
        self.modality_preprocessors = nn.ModuleDict({"audio": _Preprocessor(config)})
        self.modality_trunks = nn.ModuleDict({"audio": _Trunk(config)})
        head = (
            nn.LayerNorm(config.width, eps=1e-6),
            _ClassToken(),
            nn.Linear(config.width, config.out_dim, bias=False),
        )
        self.modality_heads = nn.ModuleDict({"audio": nn.Sequential(*head)})
        self.modality_postprocessors = nn.ModuleDict({"audio": nn.Sequential(_UnitLength(), _Scale(config.scale))})

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed sounds.

        Parameters
        ----------
        pictures
            The result of `preprocess`, ``[batch, clips, mel_bands, frames]``, with any number of clips.

        Returns
        -------
        Tensor
            ``[batch, out_dim]``: the mean over the clips of vectors of length ``scale`` (20). A row depends on
            nothing but its own sound.

        """
        size = (self.config.mel_bands, self.config.frames)
        if pictures.ndim != 4 or tuple(pictures.shape[2:]) != size:
            raise A2IBenchError(
                f"ImageBind takes pictures [batch, clips, {size[0]}, {size[1]}]; found the shape "
                f"{list(pictures.shape)}."
            )
        x = pictures.flatten(0, 1)
        for stage in (self.modality_preprocessors, self.modality_trunks, self.modality_heads):
            x = stage["audio"](x)
        rows: Tensor = self.modality_postprocessors["audio"](x)
        return rows.view(*pictures.shape[:2], -1).mean(dim=1)


class ImageBindEncoder(TorchEncoder):
    """Waveforms of any lengths to embeddings; see the module for what they are."""

    name = "imagebind-audio"
    modality = "audio"
    preprocessing = "1-upstream"
    rate = RATE

    def __init__(self, network: ImageBindAudio, sha256: str, device: Device):
        self.network, self.weights = network, sha256
        self.dim, self.device = network.config.out_dim, torch.device(device)
        self.configuration = asdict(network.config)

    def prepare(self, item: Any) -> Tensor:
        """Give the pictures of a float32 mono waveform at 16 kHz, ``[clips, mel_bands, frames]``.

        Raises
        ------
        A2IBenchError
            For a sound that is not ``[samples]``, is shorter than 400 samples, or is not finite.

        """
        waveform = np.asarray(item, np.float32)
        if waveform.ndim != 1 or len(waveform) < SHORTEST:
            raise A2IBenchError(
                f"ImageBind takes mono waveforms of at least {SHORTEST} samples at {RATE} Hz; found one of the shape "
                f"{list(waveform.shape)}; leave it out or give more."
            )
        if not np.isfinite(waveform).all():
            raise A2IBenchError("ImageBind was given a sound whose samples are not all finite; decode it again.")
        return preprocess(torch.from_numpy(waveform)[None], self.network.config)[0]

    def _forward(self, batch: Tensor) -> Tensor:
        rows: Tensor = self.network(batch)
        return rows


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> ImageBindEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        Sizes by the names of `ImageBindConfig`; empty for the published network.
    weights, sha256
        The file or state dict, and the hash that names it. Of the published ``imagebind_huge.pth``, which
        holds six towers in 4.8 GB, only the audio keys are taken; a file in torch's zip format is mapped, not
        read.
    device
        Where it runs.

    Raises
    ------
    A2IBenchError
        If the weights are not those of such a network.

    """
    where = f" in {weights}" if isinstance(weights, Path) else ""
    state = read_state_dict(weights) if isinstance(weights, Path) else weights
    audio = {key: value for key, value in state.items() if ".audio." in key}
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        network = ImageBindAudio(ImageBindConfig.from_dict(config))
    load_strict(network, audio, f"ImageBind's audio tower{where}")
    freeze(network, device)
    return ImageBindEncoder(network, sha256, device)


ENCODERS = (EncoderKind("imagebind-audio", "audio", load, entry="imagebind"),)
