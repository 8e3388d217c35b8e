"""Wav2CLIP: sounds into the space of CLIP ViT-B/32's images.

Wu et al., "Wav2CLIP: Learning Robust Audio Representations From CLIP" (arXiv 2110.11499); code and checkpoint
descriptinc/lyrebird-wav2clip (MIT). The network is reimplemented because the package needs torchaudio, whose
last release breaks beside current torch, and because the package normalises over the whole batch, so that a
clip's row depends on its neighbours. One clip at a time both give the same bits
(``tests/fixtures/wav2clip.md``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from a2ibench.encoders._fast import speed_up
from a2ibench.encoders._frozen import Device, TorchEncoder, Weights, freeze, load_strict
from a2ibench.encoders.base import EncoderKind, check_keys
from a2ibench.errors import A2IBenchError

RATE = 16000
N_FFT = 512
HOP = 353


class Spectrogram(nn.Module):
    """Power spectrogram, Hann window of 512 samples, hop 353: ``[n, samples]`` → ``[n, 1, 257, frames]``.

    ``frames = 1 + samples // 353``; centred frames, reflect padding, so at least 257 samples.
    """

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Transform float32 waveforms in [-1, 1]."""
        spectrum = torch.stft(
            waveforms, N_FFT, HOP, N_FFT, self.window, center=True, pad_mode="reflect", return_complex=True
        )
        return spectrum.abs().pow(2.0).unsqueeze(1)


class AudioResNet(nn.Module):
    """A ResNet of BasicBlocks over one spectrogram channel: ``[n, samples]`` → ``[n, 8 * width]``.

    Parameters
    ----------
    width
        Channels of the first stage; the four stages have 1, 2, 4 and 8 times as many. Published: 64.
    blocks
        Residual blocks of each stage. Published: (2, 2, 2, 2), a ResNet-18 of 11,170,240 parameters.

    """

    def __init__(self, width: int, blocks: Sequence[int]):
        super().__init__()
        self.spectrogram = Spectrogram()
        self.conv1 = nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(4 * width, 8 * width, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, waveforms: Tensor) -> Tensor:
        """Encode waveforms of one length; each is normalised by its own statistics."""
        x = torch.log(self.spectrogram(waveforms) + 1e-7)
        each = (1, 2, 3)
        x = (x - x.mean(each, keepdim=True)) / (x.std(each, keepdim=True) + 1e-9)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return torch.flatten(self.avgpool(x), 1)


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """Build one stage; its first block changes the size where that is needed, as in torchvision."""
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    first = BasicBlock(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs) for _ in range(blocks - 1)))


class Head(nn.Module):
    """The two-layer MLP after the ResNet; the index names ``0`` and ``3`` are the checkpoint's."""

    def __init__(self, inputs: int, dim: int):
        super().__init__()
        self.sequential = nn.Sequential(nn.Linear(inputs, dim), nn.ReLU(), nn.Dropout(0.1), nn.Linear(dim, dim))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[n, inputs]`` to ``[n, dim]``."""
        rows: Tensor = self.sequential(features)
        return rows


class Wav2Clip(nn.Module):
    """The whole network, 16 kHz mono: ``[n, samples]`` → ``[n, dim]``, not normalised to unit length.

    Its state dict is the official checkpoint's, key for key: ``audio_encoder.*``, ``audio_transform.*``.

    Parameters
    ----------
    width, blocks
        Of the ResNet; see `AudioResNet`.
    dim
        Width of a row: that of the CLIP space. Published: 512, so that the head is 512-512-512.

    """

    def __init__(self, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2), dim: int = 512):
        super().__init__()
        self.dim = dim
        self.configuration = {"width": width, "blocks": list(blocks), "dim": dim}
        self.audio_encoder = AudioResNet(width, blocks)
        self.audio_transform = Head(8 * width, dim)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Encode float32 waveforms of one length in [-1, 1]."""
        rows: Tensor = self.audio_transform(self.audio_encoder(waveforms))
        return rows


class Wav2ClipEncoder(TorchEncoder):
    """Waveforms of any lengths to rows; see the module for what sets it apart from the package."""

    name = "wav2clip"
    modality = "audio"
    preprocessing = "1-clipnorm"
    rate = RATE
    # One clip at a time. Clips of different lengths can't share a batch, since padding would enter the statistics by
    # which a clip is normalised; and a batch filled up with copies costs as many times more. A spectrogram of ten
    # seconds is work enough for a thread.
    sizes = (1, 1)

    def __init__(self, network: Wav2Clip, sha256: str, device: Device):
        self._network, self.weights = network, sha256
        self.dim, self.device = network.dim, torch.device(device)
        self.configuration = network.configuration

    def prepare(self, item: Any) -> Tensor:
        """Check a float32 mono waveform at 16 kHz, ``[samples]``.

        Raises
        ------
        A2IBenchError
            For a clip that is not ``[samples]``, has 256 samples or fewer, or is not finite.

        """
        waveform = np.asarray(item, np.float32)
        if waveform.ndim != 1 or len(waveform) <= N_FFT // 2:
            raise A2IBenchError(
                f"Wav2CLIP takes mono waveforms of more than {N_FFT // 2} samples at {RATE} Hz; "
                f"found one of the shape {list(waveform.shape)}; leave it out or give more."
            )
        if not np.isfinite(waveform).all():
            raise A2IBenchError("Wav2CLIP was given a sound whose samples are not all finite; decode it again.")
        return torch.from_numpy(waveform)

    def _forward(self, batch: Tensor) -> Tensor:
        rows: Tensor = self._network(batch)
        return rows


def load(
    config: Mapping[str, Any], weights: Weights, sha256: str, device: Device = "cpu", fast: bool = True
) -> Wav2ClipEncoder:
    """Load the encoder.

    Parameters
    ----------
    config
        ``width``, ``blocks`` and ``dim`` of `Wav2Clip`; empty for the published network.
    weights, sha256
        The file or state dict, and the hash that names it.
    device
        Where it runs.
    fast
        Whether it may compute as fast as it can; a method keeps to the kernels that its images were made with.

    """
    check_keys(config, ("width", "blocks", "dim"), "Wav2CLIP")
    network = Wav2Clip(**config)
    load_strict(network, weights, "Wav2CLIP")
    freeze(network, device, channels_last=True)
    encoder = Wav2ClipEncoder(network, sha256, device)
    if fast:
        encoder.kernels = speed_up(network, device)
    return encoder


ENCODERS = (EncoderKind("wav2clip", "audio", load),)
