"""The four visual encoders of FoleyGen's paper (Table 2): CLIP, ViT, ImageBind and VideoMAE, frozen.

All give one row of features for each moment. CLIP and ViT see one frame there; ImageBind sees a video of two frames, as
it does an image; VideoMAE sees sixteen frames in the moment's time (one second), and its patches' rows are averaged: it
has no feature of a second of its own, and the paper does not say what it took.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from a2ibench.baselines.foleygen.frames import Pixels
from a2ibench.errors import A2IBenchError, unknown

Float32 = NDArray[np.float32]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_BATCH = 32


class Eyes(Protocol):
    """A frozen visual encoder: frames to one row of features for each moment."""

    name: str
    """``clip``, ``vit``, ``imagebind`` or ``videomae``."""
    dim: int
    """Width of a row."""
    each: int
    """Frames that it sees for each row."""

    def encode(self, windows: Pixels) -> Float32:
        """Encode frames uint8 ``[moments, each, height, width, 3]``: ``[moments, dim]``."""
        ...


def pixels_of(windows: Pixels, size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Prepare frames: shorter side to `size` (bilinear, antialias), centre crop, normalised.

    Returns
    -------
    Tensor
        float32 ``[moments, each, 3, size, size]``.

    """
    x = torch.from_numpy(np.ascontiguousarray(windows)).flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    height, width = x.shape[2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        new = (max(size, round(height * scale)), max(size, round(width * scale)))
        x = F.interpolate(x, new, mode="bilinear", antialias=True)
        top, left = (new[0] - size) // 2, (new[1] - size) // 2
        x = x[:, :, top : top + size, left : left + size]
    x = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    return x.view(*windows.shape[:2], 3, size, size)


class ClipEyes:
    """CLIP's image rows (published: ViT-B/32, 512 wide), by the encoder that the metrics have."""

    name, each = "clip", 1

    def __init__(self, config: Mapping[str, Any], file: Path, sha256: str, device: str = "cpu"):
        from a2ibench.encoders.clip import load_image

        self._encoder = load_image(config, file, sha256, device)
        self.dim = self._encoder.dim

    def encode(self, windows: Pixels) -> Float32:
        """Encode frames ``[moments, 1, height, width, 3]``."""
        rows: Float32 = self._encoder.encode([Image.fromarray(window[0]) for window in windows])
        return rows


@dataclass(frozen=True)
class _Kind:
    """How one of transformers' encoders is built and read."""

    build: Callable[[Mapping[str, Any]], Any]
    forward: Callable[[Any, Tensor], Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _vit(config: Mapping[str, Any]) -> Any:
    from transformers import ViTConfig, ViTModel

    return ViTModel(_known(ViTConfig, config, "ViT"), add_pooling_layer=False)


def _videomae(config: Mapping[str, Any]) -> Any:
    from transformers import VideoMAEConfig, VideoMAEModel

    return VideoMAEModel(_known(VideoMAEConfig, config, "VideoMAE"))


def _known(kind: Any, config: Mapping[str, Any], what: str) -> Any:
    known = kind().to_dict()
    for key in config:
        if key not in known:
            raise unknown(f"key of {what}'s configuration", key, known)
    return kind(**config)


_KINDS = {
    "vit": _Kind(_vit, lambda net, x: net(pixel_values=x[:, 0]).last_hidden_state[:, 0], *HALF),
    "videomae": _Kind(_videomae, lambda net, x: net(pixel_values=x).last_hidden_state.mean(1), *IMAGENET),
}


class HubEyes:
    """ViT (the class token, 768 wide) or VideoMAE (the mean over patches, 768 wide), by transformers.

    Parameters
    ----------
    name
        ``vit`` or ``videomae``.
    config
        Keys that differ from the published ViT-B/16 and VideoMAE-B.
    state
        Weights by transformers' names, those of heads left out; random ones without.
    device
        Where it runs.

    """

    def __init__(
        self, name: str, config: Mapping[str, Any], state: Mapping[str, Tensor] | None = None, device: str = "cpu"
    ):
        from a2ibench.encoders._frozen import freeze, load_strict

        self.name, self._kind, self.device = name, _KINDS[name], device
        with torch.random.fork_rng(devices=[]):
            network = self._kind.build(config)
        if state is not None:
            load_strict(network, without_heads(network, state, name), f"the visual encoder {name}")
        self.network: nn.Module = freeze(network, device)
        settings: Any = network.config
        self.dim = int(settings.hidden_size)
        self.size = int(settings.image_size)
        self.each = int(settings.num_frames) if name == "videomae" else 1

    @torch.inference_mode()
    def encode(self, windows: Pixels) -> Float32:
        """Encode frames ``[moments, each, height, width, 3]``."""
        from a2ibench.encoders._frozen import true_float32

        rows = []
        with true_float32():
            for start in range(0, len(windows), _BATCH):
                part = windows[start : start + _BATCH]
                x = pixels_of(part, self.size, self._kind.mean, self._kind.std)
                rows.append(self._kind.forward(self.network, x.to(self.device)).float().cpu())
        found: Float32 = torch.cat(rows).numpy()
        return found


def without_heads(network: nn.Module, state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the encoder out of a checkpoint: without the name in front, a decoder, a classifier or a pooler."""
    own = network.state_dict()
    bare = {key.removeprefix(f"{prefix}."): value for key, value in state.items()}
    heads = ("classifier.", "pooler.", "decoder.", "encoder_to_decoder.", "mask_token", "fc_norm.")
    return {key: value for key, value in bare.items() if key in own or not key.startswith(heads)}


class ImageBindEyes:
    """ImageBind's rows of one frame shown twice, as it reads an image (1,024 wide), by the metrics' vision tower."""

    name, each = "imagebind", 1

    def __init__(self, config: Mapping[str, Any], file: Path | Mapping[str, Tensor], sha256: str, device: str = "cpu"):
        from a2ibench.encoders import encoders

        if "imagebind-video" not in encoders():
            raise A2IBenchError("ImageBind's vision tower is not installed; choose another visual encoder, as clip.")
        encoder: Any = encoders()["imagebind-video"].load(config, file, sha256, device)
        self.network, self.device = encoder.network, device
        self.dim, self.size = int(encoder.dim), int(self.network.config.size)

    @torch.inference_mode()
    def encode(self, windows: Pixels) -> Float32:
        """Encode frames ``[moments, 1, height, width, 3]``."""
        x = pixels_of(windows, self.size, *CLIP)
        rows = [self.network(each[None, :, :, None].expand(-1, -1, -1, 2, -1, -1).to(self.device)) for each in x]
        found: Float32 = torch.cat(rows).float().cpu().numpy()
        return found


NAMES = ("clip", "vit", "imagebind", "videomae")


def load_eyes(name: str, part: Mapping[str, Any], device: str = "cpu") -> Eyes:
    """Load one of the four from a suite's part: its ``file``, and its configuration.

    Raises
    ------
    A2IBenchError
        If there is no such encoder, or the weights do not fit it.

    """
    from a2ibench.weights.read import read_state_dict

    if name not in NAMES:
        raise unknown("visual encoder", name, NAMES)
    config = {key: value for key, value in part.items() if key not in ("file", "sha256")}
    file, sha256 = Path(part["file"]), str(part.get("sha256", ""))
    if name == "clip":
        return ClipEyes(config, file, sha256, device)
    if name == "imagebind":
        return ImageBindEyes(config.get("config", config), file, sha256, device)
    return HubEyes(name, config.get("config", config), read_state_dict(file), device)
