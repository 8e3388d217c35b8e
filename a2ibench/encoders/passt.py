"""PaSST, the classifier behind KL and IS of sounds: logits of AudioSet's 527 classes.

Koutini et al., "Efficient Training of Audio Transformers with Patchout" (arXiv 2110.05069); the checkpoint that
audiocraft and av-benchmark take, ``passt_s_swa_p16_128_ap476`` (kkoutini/PaSST, Apache-2.0), key for key: 86,153,758
parameters. Written from the description, because the package needs torchaudio, which current torch releases break;
compared with it on shared random weights (``tests/fixtures/vggish.md``). Patchout is for training, and left out;
``head_dist`` stands in the checkpoint, and nothing reads it.

A sound at 32 kHz is differentiated (x[t] − 0.97 x[t−1], which costs its first sample), windowed (800 of 1024 samples,
Hann, every 320, reflected at the ends), and becomes 128 mel bands from 0 to 15,000 Hz, ``(log(mel + 1e-5) + 4.5) / 5``.
**Only the first 10.000 s are heard** (audiocraft cuts longer sounds into several items); what is shorter is heard at
its own length: places are counted from the beginning. Under 0.16 s silence is put behind it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders._frozen import Device, Weights, freeze, load_strict
from a2ibench.encoders._mel import WholeEncoder, at_least, by_length, mel_filters, waveform
from a2ibench.encoders.base import EncoderKind, Float32, check_keys
from a2ibench.errors import A2IBenchError

RATE = 32_000
BANDS = 128
_WINDOW, _HOP, _FFT = 800, 320, 1024
_HIGHEST_HZ = 15_000.0
_PATCH = 16


def log_mel(waves: Tensor) -> Tensor:
    """Compute what PaSST takes of waveforms at 32 kHz, ``[n, samples]``: float32 ``[n, 128, frames]``.

    ``frames = 1 + (samples - 1) // 320``. In float64: the original's float32 differs by rounding alone.
    """
    waves = waves.to(torch.float64)
    waves = waves[:, 1:] - 0.97 * waves[:, :-1]
    window = torch.hann_window(_WINDOW, periodic=False, dtype=torch.float64)
    spectrum = torch.stft(waves, _FFT, _HOP, _WINDOW, window, center=True, pad_mode="reflect", return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(dim=3)
    energies = mel_filters(BANDS, 0.0, _HIGHEST_HZ, RATE, _FFT).T @ power
    return (((energies + 1e-5).log() + 4.5) / 5).float()


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[n, tokens, width]`` to the same shape."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y


class _Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., width]`` to the same shape."""
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class _Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[n, tokens, width]`` to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class _Patches(nn.Module):
    """A convolution under the checkpoint's name."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        self.proj = nn.Conv2d(1, width, _PATCH, stride=stride)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map ``[n, 128, frames]`` to ``[n, width, bands, steps]``."""
        x: Tensor = self.proj(pictures[:, None])
        return x


class Passt(nn.Module):
    """The network: log-mel pictures ``[n, 128, frames]`` → logits ``[n, classes]``.

    Parameters
    ----------
    width, blocks, heads, classes
        Of the transformer and its classifier. Published: 768, 12, 12, 527.
    stride
        Between patches of 16 × 16. Published: 10.
    seconds
        The longest sound, whose frames have places. Published: 10.

    """

    def __init__(
        self,
        width: int = 768,
        blocks: int = 12,
        heads: int = 12,
        classes: int = 527,
        stride: int = 10,
        seconds: float = 10.0,
    ):
        super().__init__()
        if width % heads or stride < 1:
            raise A2IBenchError(f"PaSST needs a width that heads divides and a stride; got {width}, {heads}, {stride}.")
        self.classes, self.seconds = classes, seconds
        sizes = {"width": width, "blocks": blocks, "heads": heads, "classes": classes}
        self.configuration = {**sizes, "stride": stride, "seconds": seconds}
        bands = (BANDS - _PATCH) // stride + 1
        steps = max(1, (round(seconds * 100) - _PATCH) // stride + 1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, bands, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, steps))
        self.patch_embed = _Patches(width, stride)
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))
        self.head_dist = nn.Linear(width, classes)
        for parameter in (self.cls_token, self.dist_token, self.new_pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        for parameter in (self.freq_new_pos_embed, self.time_new_pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, pictures: Tensor) -> Tensor:
        """Classify pictures of one length, of at least 16 frames; a row depends on its own picture alone."""
        x = self.patch_embed(pictures)
        x = x + self.time_new_pos_embed[..., : x.shape[3]] + self.freq_new_pos_embed
        front = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = torch.cat([front.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        x = self.norm(self.blocks(x))
        logits: Tensor = self.head((x[:, 0] + x[:, 1]) / 2)
        return logits


class PasstEncoder(WholeEncoder):
    """Waveforms of any lengths to logits."""

    name = "passt"
    modality = "audio"
    preprocessing = "1-first"
    rate = RATE

    def __init__(self, network: Passt, sha256: str, device: Device):
        self._network, self.weights = network, sha256
        self.dim, self.device = network.classes, torch.device(device)
        self.configuration = network.configuration

    def encode(self, items: Sequence[Any]) -> Float32:
        """Encode float32 mono waveforms at 32 kHz: ``[n, classes]``; sounds of one length share a forward pass.

        Raises
        ------
        A2IBenchError
            For a sound that is not ``[samples]``, or is not finite.

        """
        longest = round(self._network.seconds * RATE)
        waves = [
            at_least(waveform(item, index, "PaSST", RATE)[:longest], _PATCH * _HOP) for index, item in enumerate(items)
        ]
        rows = np.empty((len(waves), self.dim), np.float32)
        for indices, batch in by_length(waves):
            rows[indices] = self._rows(self._network, log_mel(batch))
        return rows


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> PasstEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        Sizes by the names of `Passt`; empty for the published network.
    weights, sha256
        The file or state dict, and the hash that names it.
    device
        Where it runs.

    """
    check_keys(config, ("width", "blocks", "heads", "classes", "stride", "seconds"), "PaSST")
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        network = Passt(**config)
    load_strict(network, weights, "PaSST")
    freeze(network, device)
    return PasstEncoder(network, sha256, device)


ENCODERS = (EncoderKind("passt", "audio", load),)
