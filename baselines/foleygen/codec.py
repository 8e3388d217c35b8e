"""What a sound codec is here: sounds to codes and back; and EnCodec in AudioGen's configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.weights.read import read_checkpoint


class Codec(Protocol):
    """Sounds to codes and back; frozen. A row depends on its own sound alone."""

    rate: int
    """Samples per second."""
    code_rate: float
    """Codec frames per second."""
    books: int
    """Codebooks."""
    codes: int
    """Codes in a codebook."""

    def encode(self, waves: Tensor) -> Tensor:
        """Turn sounds ``[n, samples]`` from -1 to 1 into codes, int64 ``[n, books, frames]``."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Turn codes into sounds ``[n, samples]``."""
        ...


AUDIOGEN: Mapping[str, Any] = {
    "sampling_rate": 16_000,
    "audio_channels": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "num_filters": 64,
    "codebook_size": 2048,
    "target_bandwidths": [2.2],  # 50 frames · 4 books · 11 bits: the number of codebooks follows from it
    "use_causal_conv": False,
    "use_conv_shortcut": False,
    "normalize": False,
    "norm_type": "weight_norm",
    "pad_mode": "constant",  # transformers' default, reflect, is not audiocraft's
}
"""The 16 kHz codec of AudioGen v2: 50 Hz, 4 books of 2048; what FoleyGen's paper describes."""
_NAMES = (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.conv\.conv\.", ".conv."),
    (r"\.convtr\.convtr\.", ".conv."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
    (r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook."),
)


def from_audiocraft(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of an audiocraft codec to transformers'."""
    renamed = {}
    for key, value in state.items():
        for pattern, name in _NAMES:
            key = re.sub(pattern, name, key)
        renamed[key] = value
    return renamed


class EncodecCodec:
    """EnCodec by transformers, frozen; by default in AudioGen's configuration.

    Parameters
    ----------
    config
        Keys of `transformers.EncodecConfig` that differ from `AUDIOGEN`.
    state
        Weights by transformers' names; random ones without.
    device
        Where it runs.

    """

    def __init__(
        self, config: Mapping[str, Any] | None = None, state: Mapping[str, Tensor] | None = None, device: str = "cpu"
    ):
        from transformers import EncodecConfig, EncodecModel

        from a2ibench.encoders._frozen import freeze, load_strict

        known = EncodecConfig().to_dict()
        for key in config or {}:
            if key not in known:
                raise unknown("key of EnCodec's configuration", key, known)
        settings = EncodecConfig(**{**AUDIOGEN, **(config or {})})
        if settings.audio_channels != 1 or settings.normalize:
            raise A2IBenchError("FoleyGen's codec is mono and keeps levels; set audio_channels = 1, normalize = false.")
        with torch.random.fork_rng(devices=[]):
            network = EncodecModel(settings)
        if state is not None:
            load_strict(network, state, "EnCodec")
        freeze(network, device)
        self.network: Any = network
        self.device = device
        self.rate = int(settings.sampling_rate)
        self.code_rate = float(settings.frame_rate)
        self.books, self.codes = int(settings.num_quantizers), int(settings.codebook_size)

    @torch.inference_mode()
    def encode(self, waves: Tensor) -> Tensor:
        """Turn sounds ``[n, samples]`` into codes, int64 ``[n, books, frames]``."""
        found = self.network.encode(waves[:, None].to(self.device), bandwidth=self.network.config.target_bandwidths[-1])
        codes: Tensor = found.audio_codes[0]
        return codes.cpu()

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Turn codes into sounds ``[n, samples]``."""
        waves: Tensor = self.network.decode(codes[None].to(self.device), [None])[0]
        return waves[:, 0].float().cpu()


def load_encodec(config: Mapping[str, Any], file: Path, device: str = "cpu") -> EncodecCodec:
    """Load EnCodec: audiocraft's ``compression_state_dict.bin`` as it is published, or weights by transformers' names.

    Audiocraft's file brings its settings as text; how edges are padded is read there, since it can't be seen in the
    weights.

    Raises
    ------
    A2IBenchError
        If the file is broken, or of another network.

    """
    content = read_checkpoint(file)
    settings = dict(config)
    if isinstance(state := content.get("best_state"), Mapping):
        state = state.get("model", state)
        padding = re.search(r"^\s*pad_mode:\s*['\"]?(\w+)", str(content.get("xp.cfg", "")), re.MULTILINE)
        if padding and "pad_mode" not in settings:
            settings["pad_mode"] = padding[1]
        content = from_audiocraft(state)
    return EncodecCodec(settings, content, device)
