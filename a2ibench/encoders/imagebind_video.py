"""ImageBind's vision tower on videos: into the space of its audio tower (`a2ibench.encoders.imagebind`).

Girdhar et al. (arXiv 2305.05665). **The published weights are licensed CC-BY-NC-SA 4.0: not for commercial use.** As
for the audio tower, nothing of the authors' code is here: the network is written from its description (sizes, key
names, constants) and compared with theirs as a black box (``tests/fixtures/imagebind_video.md``).

A video is seen in five clips of two seconds, spread evenly from its beginning to its end; of each the first and the
last frame, scaled to 224 pixels on the shorter side (bilinear, without antialiasing) and cut into three squares along
the longer one. Each of the fifteen pairs gives a vector of length one, and their mean is the embedding. A clip without
a frame of its own (in a video shorter than it says) takes the last frame that there is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders._frozen import Device, Weights, freeze, load_strict
from a2ibench.encoders._mel import WholeEncoder
from a2ibench.encoders.base import EncoderKind, Float32, check_keys
from a2ibench.encoders.imagebind import _ClassToken, _Mlp
from a2ibench.errors import A2IBenchError
from a2ibench.media.video import frames, video_info
from a2ibench.weights.read import read_state_dict

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
FRAMES = 2


@dataclass(frozen=True)
class ImageBindVideoConfig:
    """The sizes of an ImageBind vision tower; the defaults are those of ``imagebind_huge``.

    Attributes
    ----------
    width, blocks, heads, mlp_width
        Width, number of blocks, heads per block and hidden width of the transformer.
    patch, size
        Side of a square patch, and of the picture, in pixels; a patch spans both frames of a clip.
    out_dim
        Width of an embedding.
    clips, clip_seconds, crops
        How many clips of a video are seen, how long each is, and how many squares of each: 1 or 3.

    """

    width: int = 1280
    blocks: int = 32
    heads: int = 16
    mlp_width: int = 5120
    patch: int = 14
    size: int = 224
    out_dim: int = 1024
    clips: int = 5
    clip_seconds: float = 2.0
    crops: int = 3

    def __post_init__(self) -> None:
        if self.width % self.heads or self.size % self.patch:
            raise A2IBenchError(
                f"ImageBind's vision tower needs heads that divide the width and patches that divide the size; found "
                f"{self.heads} and {self.width}, {self.patch} and {self.size}."
            )
        if self.clips < 1 or self.clip_seconds <= 0 or self.crops not in (1, 3):
            raise A2IBenchError(
                f"ImageBind's vision tower needs clips of some length, and 1 or 3 squares of each; found {self.clips} "
                f"of {self.clip_seconds} s and {self.crops}."
            )


def clip_times(duration: float, config: ImageBindVideoConfig | None = None) -> tuple[tuple[float, float], ...]:
    """Say from when to when the clips of a video last, in seconds: 10 s give 0-2, 2-4, 4-6, 6-8, 8-10."""
    config = config or ImageBindVideoConfig()
    room = max(duration - config.clip_seconds, 0.0)
    starts = (room * number / max(config.clips - 1, 1) for number in range(config.clips))
    return tuple((start, start + config.clip_seconds) for start in starts)


def clip_frames(path: Path, config: ImageBindVideoConfig | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give the first and last frame of each clip of a video, uint8 ``[height, width, 3]``; it is decoded once.

    Raises
    ------
    A2IBenchError
        If the video can't be read.

    """
    config = config or ImageBindVideoConfig()
    spans = clip_times(video_info(path).duration or max(frame.time for frame in frames(path)), config)
    first: list[np.ndarray | None] = [None] * len(spans)
    last: list[np.ndarray | None] = [None] * len(spans)
    final: np.ndarray | None = None
    for frame in frames(path):
        final = frame.pixels
        for number, (start, end) in enumerate(spans):
            if start - 1e-6 <= frame.time < end - 1e-6:
                first[number] = frame.pixels if first[number] is None else first[number]
                last[number] = frame.pixels
    if final is None:
        raise A2IBenchError(f"The video {path} has no frame; make it again.")
    return [(final if a is None else a, final if b is None else b) for a, b in zip(first, last, strict=True)]


def pictures(pair: Sequence[np.ndarray], config: ImageBindVideoConfig | None = None) -> Tensor:
    """Prepare two frames, uint8 ``[height, width, 3]``: float32 ``[crops, 3, 2, size, size]``, normalised."""
    config = config or ImageBindVideoConfig()
    # Channels first, and the frames as a batch: scaled each for itself.
    clip = torch.from_numpy(np.stack(pair)).permute(3, 0, 1, 2).float() / 255.0
    height, width = clip.shape[2:]
    size = config.size
    scaled = (math.floor(height / width * size), size) if width < height else (size, math.floor(width / height * size))
    clip = F.interpolate(clip, size=scaled, mode="bilinear", align_corners=False)
    clip = (clip - torch.tensor(MEAN)[:, None, None, None]) / torch.tensor(STD)[:, None, None, None]
    tall = scaled[0] > scaled[1]
    room = max(scaled) - size
    places = (0, math.ceil(room / 2), room) if config.crops == 3 else (math.ceil(room / 2),)
    return torch.stack([clip.narrow(2 if tall else 3, place, size) for place in places])


# -------------------------------------------------------------------------------------------------- network


class _Attention(nn.MultiheadAttention):
    """Self-attention under the checkpoint's names."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map ``[n, tokens, width]`` to the same shape."""
        y: Tensor = super().forward(x, x, x, need_weights=False)[0]
        return y


class _Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, config: ImageBindVideoConfig) -> None:
        super().__init__()
        self.attn = _Attention(config.width, config.heads, batch_first=True)
        self.norm_1 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = _Mlp(config.width, config.mlp_width)
        self.norm_2 = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[n, tokens, width]`` to the same shape."""
        x = x + self.attn(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))  # type: ignore[no-any-return]


class _Stem(nn.Module):
    """Patches that span both frames; the first place is the original's repetition of single images."""

    def __init__(self, config: ImageBindVideoConfig) -> None:
        super().__init__()
        kernel = (FRAMES, config.patch, config.patch)
        self.proj = nn.Sequential(nn.Identity(), nn.Conv3d(3, config.width, kernel, stride=kernel, bias=False))


class _Positions(nn.Module):
    def __init__(self, config: ImageBindVideoConfig) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (config.size // config.patch) ** 2, config.width))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)


class _Preprocessor(nn.Module):
    """From clips to tokens, with a class token in front."""

    def __init__(self, config: ImageBindVideoConfig) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.rgbt_stem = _Stem(config)
        self.pos_embedding_helper = _Positions(config)

    def forward(self, clips: Tensor) -> Tensor:
        """Map ``[n, 3, 2, size, size]`` to ``[n, 1 + patches, width]``."""
        tokens: Tensor = self.rgbt_stem.proj(clips).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return tokens + self.pos_embedding_helper.pos_embed


class _Trunk(nn.Module):
    def __init__(self, config: ImageBindVideoConfig) -> None:
        super().__init__()
        self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(config.width, eps=1e-6))
        self.blocks = nn.Sequential(*(_Block(config) for _ in range(config.blocks)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``[n, tokens, width]`` to the same shape."""
        states: Tensor = self.blocks(self.pre_transformer_layer(tokens))
        return states


class ImageBindVideo(nn.Module):
    """The vision tower: clips in, one embedding per video out.

    Its state dict is the part of ``imagebind_huge.pth`` whose keys begin ``modality_*.vision.``, key for key:
    632,829,440 parameters.
    """

    def __init__(self, config: ImageBindVideoConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ImageBindVideoConfig()
        self.modality_preprocessors = nn.ModuleDict({"vision": _Preprocessor(config)})
        self.modality_trunks = nn.ModuleDict({"vision": _Trunk(config)})
        head = (
            nn.LayerNorm(config.width, eps=1e-6),
            _ClassToken(),
            nn.Linear(config.width, config.out_dim, bias=False),
        )
        self.modality_heads = nn.ModuleDict({"vision": nn.Sequential(*head)})

    def forward(self, clips: Tensor) -> Tensor:
        """Embed videos, ``[n, views, 3, 2, size, size]`` with any number of views: ``[n, out_dim]``.

        The mean over the views of vectors of length one. A row depends on nothing but its own video.
        """
        x = clips.flatten(0, 1)
        for stage in (self.modality_preprocessors, self.modality_trunks, self.modality_heads):
            x = stage["vision"](x)
        return F.normalize(x, dim=-1).view(*clips.shape[:2], -1).mean(dim=1)


class ImageBindVideoEncoder(WholeEncoder):
    """Videos to embeddings of length one at most; see the module for what they are."""

    name = "imagebind-video"
    modality = "video"
    preprocessing = "1-upstream"

    def __init__(self, network: ImageBindVideo, sha256: str, device: Device):
        self.network, self.weights = network, sha256
        self.dim, self.device = network.config.out_dim, torch.device(device)
        self.configuration = asdict(network.config)

    def encode(self, items: Sequence[Path]) -> Float32:
        """Encode the files of videos, one after the other: ``[n, out_dim]``.

        Raises
        ------
        A2IBenchError
            For a video that can't be read.

        """
        rows = [self._row(item) for item in items]
        return np.concatenate(rows) if rows else self.none()

    def _row(self, path: Path) -> Float32:
        config = self.network.config
        views = torch.cat([pictures(pair, config) for pair in clip_frames(path, config)])
        return self._rows(self.network, views[None])


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> ImageBindVideoEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        Sizes by the names of `ImageBindVideoConfig`; empty for the published network.
    weights, sha256
        The file or state dict, and the hash that names it; of ``imagebind_huge.pth`` only the vision keys are taken.
    device
        Where it runs.

    """
    check_keys(config, tuple(field.name for field in fields(ImageBindVideoConfig)), "ImageBind's vision tower")
    where = f" in {weights}" if isinstance(weights, Path) else ""
    state = read_state_dict(weights) if isinstance(weights, Path) else weights
    vision = {key: value for key, value in state.items() if ".vision." in key}
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        network = ImageBindVideo(ImageBindVideoConfig(**config))
    load_strict(network, vision, f"ImageBind's vision tower{where}")
    freeze(network, device)
    return ImageBindVideoEncoder(network, sha256, device)


ENCODERS = (EncoderKind("imagebind-video", "video", load),)
