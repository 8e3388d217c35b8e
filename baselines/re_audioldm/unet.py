"""The UNet: diffusers' `AudioLDM2UNet2DConditionModel` in the sizes of the paper, with no, one or two streams.

CLAP's embedding of the caption joins the time step (FiLM); the examples' tokens are attended to in every block. In each
entry of ``cross_attention_dim`` the leading None is self-attention: the class gives streams to layers by their place.

The paper's L has 196 channels, which GroupNorm with 32 groups can't have; 192 is the lab's own width. It also leaves
open whether the streams are attended to one after the other (``sequential``) or as one (``joined``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from a2ibench.baselines.re_audioldm.parts import pretrained, read_config
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import building, write_text

SIZES: Mapping[str, Mapping[str, Any]] = {
    "S": {"block_out_channels": (128, 256, 384, 640), "attention_head_dim": (4, 8, 12, 20), "layers_per_block": 2},
    "L": {"block_out_channels": (192, 384, 576, 960), "attention_head_dim": (6, 12, 18, 30), "layers_per_block": 2},
    "mini": {
        "block_out_channels": (48, 96, 128), "attention_head_dim": (2, 4, 4), "layers_per_block": 1,
        "norm_num_groups": 16,
    },
    "tiny": {
        "block_out_channels": (8, 16), "attention_head_dim": (1, 2), "layers_per_block": 1, "norm_num_groups": 4,
    },
}  # fmt: skip
"""The paper's S and L; ``mini`` for the embedded world, ``tiny`` for tests."""
RETRIEVALS = ("none", "audio", "audio-text")
STREAMS = ("sequential", "joined")
FILE = "re_audioldm.json"


@dataclass(frozen=True)
class Conditioning:
    """What a UNet is told of, and with which frozen networks it was trained.

    Attributes
    ----------
    retrieval
        One of `RETRIEVALS`: what it sees of the examples.
    streams
        One of `STREAMS`: how, where it sees both.
    networks
        The digests of the frozen networks, by part.

    """

    retrieval: str = "audio-text"
    streams: str = "sequential"
    networks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.retrieval not in RETRIEVALS:
            raise unknown("kind of retrieval", str(self.retrieval), RETRIEVALS)
        if self.streams not in STREAMS:
            raise unknown("way to attend to two streams", str(self.streams), STREAMS)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts whose tokens it sees."""
        return {"none": (), "audio": ("audiomae",), "audio-text": ("audiomae", "t5")}[self.retrieval]


def unet_config(size: str, told: Conditioning, *, channels: int, clap: int, widths: Sequence[int]) -> dict[str, Any]:
    """Give the settings of a UNet.

    Parameters
    ----------
    size
        One of `SIZES`.
    told
        What it is told of.
    channels, clap
        The channels of a latent, and the width of CLAP.
    widths
        The widths of the tokens of its streams.

    """
    if size not in SIZES:
        raise unknown("size of the UNet", size, SIZES)
    if told.streams == "joined" and len(set(widths)) > 1:
        raise A2IBenchError(
            f"Streams of the widths {', '.join(map(str, widths))} can't be joined; give streams=sequential."
        )
    seen = list(widths[:1] if told.streams == "joined" else widths)
    levels = len(SIZES[size]["block_out_channels"])
    return {
        **SIZES[size],
        "in_channels": channels,
        "out_channels": channels,
        "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
        "up_block_types": (*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
        "cross_attention_dim": [[None, *seen]] * levels,
        "class_embed_type": "simple_projection",
        "projection_class_embeddings_input_dim": clap,
        "class_embeddings_concat": True,
    }


def build_unet(config: Mapping[str, Any]) -> Any:
    """Build a UNet of random weights."""
    from diffusers import AudioLDM2UNet2DConditionModel

    return AudioLDM2UNet2DConditionModel(**config)


def save_unet(unet: Any, told: Conditioning, folder: Path) -> None:
    """Save a UNet and what it is told of, whole or not at all."""
    with building(folder) as part:
        unet.save_pretrained(part)
        write_text(part / FILE, json.dumps(asdict(told), indent=1, sort_keys=True))


def load_unet(part: Mapping[str, Any], device: str) -> tuple[Any, Conditioning]:
    """Read a UNet, frozen, and what it is told of.

    Raises
    ------
    A2IBenchError
        If the folder holds none.

    """
    from diffusers import AudioLDM2UNet2DConditionModel

    folder = Path(part["file"])
    own = read_config(folder / FILE)
    if not own:
        raise A2IBenchError(f"{folder} lacks {FILE}, which says what the UNet is told of; train it with a2ibench.")
    try:
        told = Conditioning(**{**own, "networks": {str(k): str(v) for k, v in own.get("networks", {}).items()}})
    except (TypeError, AttributeError):
        raise A2IBenchError(f"{folder / FILE} is broken; train the UNet again.") from None
    return pretrained(AudioLDM2UNet2DConditionModel, folder, "UNet of AudioLDM").to(device), told


@dataclass(frozen=True)
class Told:
    """What a batch of sounds is told: captions in CLAP, and tokens of examples with which of them count.

    ``film [n, d]``; ``streams`` of ``[n, tokens, width]`` and ``masks [n, tokens]`` in the order of the parts.
    """

    film: Tensor
    streams: tuple[Tensor, ...] = ()
    masks: tuple[Tensor, ...] = ()


def predict(unet: Any, noisy: Tensor, times: Tensor, told: Told, how: Conditioning) -> Tensor:
    """Predict the noise in latents ``[n, c, t, f]``."""
    import torch

    streams, masks = told.streams, told.masks
    if how.streams == "joined" and len(streams) == 2:
        streams, masks = (torch.cat(streams, 1),), (torch.cat(masks, 1),)
    names = ("", "_1")
    given: dict[str, Any] = {"encoder_hidden_states": None}
    for name, stream, mask in zip(names, streams, masks, strict=False):
        given[f"encoder_hidden_states{name}"] = stream.to(noisy.dtype)
        given[f"encoder_attention_mask{name}"] = mask
    found: Tensor = unet(noisy, times, class_labels=told.film.to(noisy.dtype), **given).sample
    return found
