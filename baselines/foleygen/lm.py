"""FoleyGen's language model (arXiv 2309.10537): a decoder over codec tokens with the video's features as a prefix.

The published sizes are MusicGen's small decoder: 24 layers of width 1024 with 16 heads, pre-norm, without biases, fixed
sinusoidal positions. Of a video that is not given (guidance, dropped conditions) each frame's features are one learned
vector. The mini suite's is the same class, small.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.baselines.foleygen.frames import count_of
from a2ibench.baselines.foleygen.pattern import ATTENTIONS, Attention, frame_at, mask, steps_of
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.weights.read import read_state_dict

WINDOW = (-1, 0, 1, 2)
"""``aligned``: which frames round that of a step's moment are added to it, with what changed since the frame before.

A linear layer sees no motion in features: an onset moves them, and anywhere. The size of their change says it.
"""


@dataclass(frozen=True)
class LmConfig:
    """The sizes of the language model and of what it reads; the defaults are the published ones.

    Attributes
    ----------
    layers, width, heads
        Of the decoder.
    books, codes, code_rate
        Codebooks of the codec, codes in each, and codec frames a second.
    features, frame_rate
        Width of the features of a video frame, and frames a second.
    seconds
        How long a sound is.
    attention
        See `a2ibench.baselines.foleygen.pattern`.
    encoder
        What made the features: ``clip``, ``vit``, ``imagebind`` or ``videomae``.

    """

    layers: int = 24
    width: int = 1024
    heads: int = 16
    books: int = 4
    codes: int = 2048
    code_rate: float = 50.0
    features: int = 512
    frame_rate: float = 1.0
    seconds: float = 10.0
    attention: Attention = "all-frame"
    encoder: str = "clip"

    def __post_init__(self) -> None:
        if self.attention not in ATTENTIONS:
            raise unknown("visual attention", self.attention, ATTENTIONS)
        if self.width % (2 * self.heads):
            raise A2IBenchError(
                f"FoleyGen's width must be an even multiple of its heads; found {self.width} and {self.heads}."
            )

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "LmConfig":
        """Read a configuration; a key that is not known raises."""
        known = [field.name for field in fields(cls)]
        for key in table:
            if key not in known:
                raise unknown("size of FoleyGen", key, known)
        return cls(**table)

    @property
    def video_frames(self) -> int:
        """Frames in the prefix: published 10."""
        return count_of(self.seconds, self.frame_rate)

    @property
    def code_frames(self) -> int:
        """Codec frames of a sound: published 500."""
        return round(self.seconds * self.code_rate)

    @property
    def steps(self) -> int:
        """Audio steps: published 503."""
        return steps_of(self.code_frames, self.books)


class Cache:
    """Keys and values of all layers, ``[layers, 2, batch, heads, length, width / heads]``, filled from the front."""

    def __init__(self, config: LmConfig, batch: int, like: Tensor):
        length = config.video_frames + config.steps
        shape = (config.layers, 2, batch, config.heads, length, config.width // config.heads)
        self.data, self.used = like.new_zeros(shape), 0


class Layer(nn.Module):
    """A pre-norm decoder layer without biases."""

    def __init__(self, config: LmConfig):
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, keep: Tensor, cached: Tensor | None = None, start: int = 0) -> Tensor:
        """Map ``[batch, length, width]``; `keep` is bool ``[length, start + length]``, `cached` this layer's keys."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm_1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if cached is not None:
            cached[0, :, :, start : start + length] = k
            cached[1, :, :, start : start + length] = v
            k, v = cached[:, :, :, : start + length]
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))  # type: ignore[no-any-return]


class FoleyLm(nn.Module):
    """The decoder; see the module for what it is."""

    mean: Tensor
    std: Tensor
    positions: Tensor
    keep: Tensor
    at: Tensor

    def __init__(self, config: LmConfig):
        super().__init__()
        self.config = config
        width, length = config.width, config.video_frames + config.steps
        self.embed = nn.ModuleList(nn.Embedding(config.codes + 1, width) for _ in range(config.books))
        self.visual = nn.Linear(config.features, width)
        self.null = nn.Parameter(torch.zeros(config.features))
        self.register_buffer("mean", torch.zeros(config.features))
        self.register_buffer("std", torch.ones(()))
        if config.attention == "aligned":
            self.beside = nn.Sequential(
                nn.Linear(2 * len(WINDOW) * config.features, width), nn.GELU(), nn.Linear(width, width)
            )
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, config.codes, bias=False) for _ in range(config.books))
        rates = (config.code_rate, config.frame_rate)
        keep = mask(config.attention, config.video_frames, config.steps, *rates)
        self.register_buffer("keep", keep, persistent=False)
        self.register_buffer("at", frame_at(config.steps, config.video_frames, *rates), persistent=False)
        self.register_buffer("positions", sinusoids(length, width), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def read(self, features: Tensor, dropped: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Give the prefix and what is added to the audio steps.

        Parameters
        ----------
        features
            Of the frames, as the visual encoder gives them: float ``[batch, frames, features]``.
        dropped
            Bool ``[batch]``: which samples do without their video.

        Returns
        -------
        ``[batch, frames, width]`` and ``[batch, steps, width]`` (zeros but for ``aligned``).

        """
        config = self.config
        features = (features - self.mean) / self.std
        if dropped is not None:
            features = torch.where(dropped[:, None, None], self.null, features)
        prefix = self.visual(features)
        if config.attention != "aligned":
            return prefix, prefix.new_zeros(len(features), config.steps, config.width)
        frames = torch.arange(config.video_frames, device=features.device)
        near = torch.stack([(frames + shift).clamp(0, config.video_frames - 1) for shift in WINDOW], dim=1)
        changed = F.pad((features[:, 1:] - features[:, :-1]).abs(), (0, 0, 1, 0))
        # Once for each frame, not for each step: several steps share a frame.
        added: Tensor = self.beside(torch.cat([features, changed], dim=2)[:, near].flatten(2))
        return prefix, added[:, self.at]

    def told(self, codes: Tensor) -> Tensor:
        """Embed what audio steps are told: int64 ``[batch, books, steps]`` to ``[batch, steps, width]``."""
        return torch.stack([embed(codes[:, book]) for book, embed in enumerate(self.embed)]).sum(0)

    def states(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """Run the decoder over the next ``[batch, length, width]`` of the sequence."""
        start, length = (cache.used if cache else 0), x.shape[1]
        keep = self.keep[start : start + length, : start + length]
        x = x + self.positions[start : start + length]
        for number, layer in enumerate(self.layers):
            x = layer(x, keep, None if cache is None else cache.data[number], start)
        if cache:
            cache.used += length
        states: Tensor = self.norm(x)
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Score the codes: ``[batch, length, width]`` to ``[batch, books, length, codes]``."""
        return torch.stack([head(states) for head in self.heads], dim=1)

    def forward(self, features: Tensor, codes: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Score every step at once.

        Parameters
        ----------
        features, dropped
            See `read`.
        codes
            What each step is told, ``[batch, books, steps]``: `inputs_of` the delayed codes.

        Returns
        -------
        Tensor
            ``[batch, books, steps, codes]``.

        """
        prefix, added = self.read(features, dropped)
        x = torch.cat([prefix, self.told(codes) + added], dim=1)
        return self.logits(self.states(x)[:, prefix.shape[1] :])


def sinusoids(length: int, width: int) -> Tensor:
    """Give fixed positions ``[length, width]``: cosines, then sines, wavelengths from 2π to 20,000π."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half) / max(1, half - 1))
    turns = torch.arange(length)[:, None] * rates
    return torch.cat([turns.cos(), turns.sin()], dim=1)


def lm_bytes(network: FoleyLm, half: bool = False) -> bytes:
    """Write a network with its configuration as a safetensors file, its weights in half precision if asked."""
    from safetensors.torch import save

    state = {name: (each.half() if half else each).detach().cpu().contiguous() for name, each in
             network.state_dict().items()}  # fmt: skip
    data: bytes = save(state, {"config": json.dumps(asdict(network.config), sort_keys=True)})
    return data


def read_lm(path: Path, device: str = "cpu") -> FoleyLm:
    """Read a network that `lm_bytes` wrote, frozen and in float32.

    Raises
    ------
    A2IBenchError
        If it is missing, broken, or another network's.

    """
    from safetensors import SafetensorError, safe_open

    from a2ibench.encoders._frozen import freeze, load_strict

    state = read_state_dict(path)
    try:
        with safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {})["config"])
    except (SafetensorError, KeyError, ValueError):
        raise A2IBenchError(
            f"{path} is no language model of FoleyGen: it does not tell its sizes; give one that `a2ibench train "
            "foleygen` made."
        ) from None
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        network = FoleyLm(LmConfig.from_dict(told))
    load_strict(network, state, "FoleyGen's language model")
    freeze(network, device)
    return network
