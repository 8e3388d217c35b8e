"""Log-mel spectrograms as AudioLDM's autoencoder and vocoder know them, and back by Griffin and Lim's way.

Magnitudes of an STFT with a Hann window over the reflected sound, Slaney's mel bands, natural logarithm of at least
1e-5: the recipe of HiFi-GAN, that AudioLDM took over (16 kHz, window 1024, hop 160, 64 bands from 0 to 8 kHz).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FLOOR = 1e-5
LOUDEST = 6.0


@dataclass(frozen=True)
class MelConfig:
    """What a spectrogram is made with; the defaults are AudioLDM's.

    Attributes
    ----------
    rate
        Samples per second.
    window, hop
        Of the STFT, in samples.
    bands
        Mel bands, from 0 Hz to half the rate.
    frames
        Frames of a spectrogram: a multiple of what the autoencoder shrinks by.
    seconds
        How long a sound is; its spectrogram is filled up to `frames` with silence.

    """

    rate: int = 16_000
    window: int = 1024
    hop: int = 160
    bands: int = 64
    frames: int = 1024
    seconds: float = 10.0

    @property
    def samples(self) -> int:
        """How many samples a sound has."""
        return round(self.rate * self.seconds)


@cache
def _filters(config: MelConfig) -> Tensor:
    """The mel filters ``[bands, window // 2 + 1]``."""
    from transformers.audio_utils import mel_filter_bank

    bank: NDArray[np.float64] = mel_filter_bank(
        config.window // 2 + 1, config.bands, 0.0, config.rate / 2, config.rate, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T.astype(np.float32).copy())


@cache
def _inverse(config: MelConfig) -> Tensor:
    """From mel magnitudes to magnitudes of the STFT, in the sense of least squares: ``[window // 2 + 1, bands]``."""
    found: Tensor = torch.linalg.pinv(_filters(config).double()).float()
    return found


def fit_length(wave: NDArray[np.float32], config: MelConfig) -> NDArray[np.float32]:
    """Give a sound its length: cut at the end, or followed by silence."""
    wave = wave[: config.samples]
    return np.pad(wave, (0, config.samples - len(wave)))


@torch.inference_mode()
def log_mel(waves: NDArray[np.float32], config: MelConfig) -> Tensor:
    """Take spectrograms of sounds ``[n, samples]``: ``[n, frames, bands]``."""
    batch = torch.from_numpy(np.ascontiguousarray(waves, dtype=np.float32))
    total = config.frames * config.hop
    batch = torch.nn.functional.pad(batch, (0, max(0, total - batch.shape[1])))[:, :total]
    side = (config.window - config.hop) // 2
    batch = torch.nn.functional.pad(batch[:, None], (side, config.window - config.hop - side), mode="reflect")[:, 0]
    spectrum = _stft(batch, config, center=False).abs()
    found: Tensor = (_filters(config) @ spectrum).clamp(min=FLOOR).log().transpose(1, 2)
    return found


def _stft(batch: Tensor, config: MelConfig, *, center: bool) -> Tensor:
    hann = torch.hann_window(config.window)
    return torch.stft(batch, config.window, config.hop, window=hann, center=center, return_complex=True)


@torch.inference_mode()
def griffin_lim(mel: Tensor, config: MelConfig, iterations: int = 32) -> NDArray[np.float32]:
    """Find sounds with these spectrograms ``[n, frames, bands]``: ``[n, samples]``; every run gives the same.

    Fast Griffin-Lim (momentum 0.99), from a phase drawn once for all.
    """
    # What is louder than any sound, from a network that is hardly trained, would overflow.
    size = (_inverse(config) @ mel.float().clamp(max=LOUDEST).exp().transpose(1, 2)).clamp(min=0)
    generator = torch.Generator().manual_seed(0)
    turn = torch.exp(2j * torch.pi * torch.rand(size.shape[1:], generator=generator))
    before: Any = 0.0
    length, hann = config.frames * config.hop, torch.hann_window(config.window)
    for _ in range(iterations):
        wave = torch.istft(_ended(size * turn), config.window, config.hop, window=hann, length=length)
        after = _stft(wave, config, center=True)[..., : config.frames]
        turn = after + 0.99 * (after - before)
        turn = turn / turn.abs().clamp(min=1e-9)
        before = after
    wave = torch.istft(_ended(size * turn), config.window, config.hop, window=hann, length=length)
    # Frames of `log_mel` stand half a hop later than those of a centred STFT.
    wave = torch.nn.functional.pad(wave, (config.hop // 2, 0))[:, : config.samples]
    found: NDArray[np.float32] = wave.numpy()
    return found


def _ended(spectrum: Tensor) -> Tensor:
    """A centred STFT has a frame more at its end."""
    return torch.cat([spectrum, torch.zeros_like(spectrum[..., :1])], -1)
