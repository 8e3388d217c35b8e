"""VGGish, the network of FAD: 128 numbers for each 0.96 s of sound.

Hershey et al., "CNN Architectures for Large-Scale Audio Classification" (arXiv 1609.09430); weights as
harritaylor/torchvggish ported them from TensorFlow's release (Apache-2.0), key for key: 72,141,184 parameters.
**Without PCA, and without the ReLU after the last layer**, the defaults of frechet-audio-distance. Written from the
description, because the package needs resampy and torch.hub; compared with it on shared random weights
(``tests/fixtures/vggish.md``).

A sound at 16 kHz becomes log-mel frames (25 ms, every 10 ms; 64 bands from 125 to 7,500 Hz; ``log(mel + 0.01)``), cut
into windows of 96 frames side by side; frames that do not fill a window are left out, so 10 s give 10 windows. A sound
too short for one (under 0.975 s; the original fails) has silence put behind it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from a2ibench.encoders._frozen import Device, Weights, freeze, load_strict
from a2ibench.encoders._mel import WholeEncoder, at_least, mel_filters, waveform
from a2ibench.encoders.base import EncoderKind, Float32, check_keys

RATE = 16_000
FRAMES, BANDS = 96, 64
_FRAME, _HOP, _FFT = 400, 160, 512
_SHORTEST = (FRAMES - 1) * _HOP + _FRAME


def examples(wave: Tensor) -> Tensor:
    """Cut a waveform at 16 kHz, float ``[samples]`` in [-1, 1], into log-mel windows, float32 ``[k, 96, 64]``.

    In float64, as the original computes: quiet bands beside loud ones need it.
    """
    frames = wave.to(torch.float64).unfold(0, _FRAME, _HOP) * torch.hann_window(_FRAME, dtype=torch.float64)
    magnitudes = torch.fft.rfft(frames, n=_FFT).abs()
    log_mel = torch.log(magnitudes @ mel_filters(BANDS, 125.0, 7500.0, RATE, _FFT) + 0.01)
    count = len(log_mel) // FRAMES
    return log_mel[: count * FRAMES].reshape(count, FRAMES, BANDS).float()


class VGGish(nn.Module):
    """The network: log-mel windows ``[k, 96, 64]`` → ``[k, dim]``.

    Parameters
    ----------
    width
        Channels of the first stage; the others have 2, 4 and 8 times as many. Published: 64.
    hidden, dim
        Width of the two hidden layers, and of a row. Published: 4096 and 128.

    """

    def __init__(self, width: int = 64, hidden: int = 4096, dim: int = 128):
        super().__init__()
        self.dim = dim
        self.configuration = {"width": width, "hidden": hidden, "dim": dim}
        layers: list[nn.Module] = []
        inputs = 1
        for stage, convolutions in enumerate((1, 1, 2, 2)):
            for _ in range(convolutions):
                outputs = width * 2**stage
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        last = inputs * (FRAMES // 16) * (BANDS // 16)
        self.embeddings = nn.Sequential(
            nn.Linear(last, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, dim)
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Embed windows; each row depends on its own window alone."""
        x = self.features(windows[:, None])
        # TensorFlow's order: time, band, channel.
        rows: Tensor = self.embeddings(x.permute(0, 2, 3, 1).flatten(1))
        return rows


class VGGishEncoder(WholeEncoder):
    """Waveforms of any lengths to a row for each window of 0.96 s: ``[k, dim]`` each."""

    name = "vggish"
    modality = "audio"
    preprocessing = "1-nopca-noactivation"
    rate = RATE

    def __init__(self, network: VGGish, sha256: str, device: Device):
        self._network, self.weights = network, sha256
        self.dim, self.device = network.dim, torch.device(device)
        self.configuration = network.configuration

    def encode(self, items: Sequence[Any]) -> list[Float32]:
        """Encode float32 mono waveforms at 16 kHz: a list of ``[k, dim]`` with k of at least 1.

        Raises
        ------
        A2IBenchError
            For a sound that is not ``[samples]``, or is not finite.

        """
        waves = [at_least(waveform(item, i, "VGGish", RATE), _SHORTEST) for i, item in enumerate(items)]
        windows = [examples(torch.from_numpy(wave)) for wave in waves]
        if not windows:
            return []
        rows = self._rows(self._network, torch.cat(windows))
        return np.split(rows, np.cumsum([len(each) for each in windows])[:-1])


def load(config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu") -> VGGishEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        ``width``, ``hidden`` and ``dim`` of `VGGish`; empty for the published network.
    weights, sha256
        The file or state dict, and the hash that names it.
    device
        Where it runs.

    """
    check_keys(config, ("width", "hidden", "dim"), "VGGish")
    with torch.random.fork_rng(devices=[]):  # loading weights must not move anyone's seed
        network = VGGish(**config)
    load_strict(network, weights, "VGGish")
    freeze(network, device, channels_last=True)
    return VGGishEncoder(network, sha256, device)


ENCODERS = (EncoderKind("vggish", "audio", load),)
