"""Kaldi's log-mel filter bank, which BEATs and ImageBind hear by: frames of 25 ms, 10 ms apart."""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from a2ibench.errors import A2IBenchError

RATE = 16_000
MEL_BANDS = 128
Window = Literal["povey", "hann"]

_FRAME, _HOP, _FFT = 400, 160, 512  # 25 ms, 10 ms, the next power of two
_LOWEST_HZ, _HIGHEST_HZ = 20.0, RATE / 2
_PREEMPHASIS = 0.97
_FLOOR = torch.finfo(torch.float32).eps  # Kaldi's floor under the logarithm


@lru_cache(maxsize=8)
def _mel_filters(bands: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Build Kaldi's mel filters, ``[257, bands]``: triangles in mel (not in Hz), without area normalisation."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    bins = mel(torch.linspace(0, RATE / 2, _FFT // 2 + 1, dtype=torch.float64))[:, None]
    low, high = mel(torch.tensor([_LOWEST_HZ, _HIGHEST_HZ], dtype=torch.float64))
    edges = low + (high - low) / (bands + 1) * torch.arange(bands + 2, dtype=torch.float64)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).to(device=device, dtype=dtype)


@lru_cache(maxsize=8)
def _window(kind: Window, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Build a window, ``[400]``: Hann's, or Kaldi's default, which is Hann's to the power 0.85."""
    window = torch.hann_window(_FRAME, periodic=False, dtype=torch.float64)
    return (window.pow(0.85) if kind == "povey" else window).to(device=device, dtype=dtype)


@torch.no_grad()
def log_mel(waveforms: Tensor, *, window: Window = "povey", scale: float = 2.0**15, bands: int = MEL_BANDS) -> Tensor:
    """Compute Kaldi's log-mel filter bank, without dither.

    Parameters
    ----------
    waveforms
        Float mono waveforms at 16 kHz in [−1, 1], ``[batch, samples]``.
    window
        ``"povey"``, Kaldi's default, or ``"hann"``.
    scale
        By what the waveforms are multiplied: by default to Kaldi's 16-bit range. It moves the energies
        against the floor under the logarithm.
    bands
        Number of mel bands.

    Returns
    -------
    Tensor
        Natural logarithms of mel energies, float32, ``[batch, frames, bands]`` with
        ``frames = 1 + (samples − 400) // 160``: a last frame that is not full is left out.

    Raises
    ------
    A2IBenchError
        If the waveforms are not a batch, or are shorter than one frame.

    """
    if waveforms.ndim != 2 or waveforms.shape[1] < _FRAME:
        raise A2IBenchError(
            f"A filter bank takes waveforms [batch, samples] of at least {_FRAME} samples at 16 kHz; "
            f"found the shape {list(waveforms.shape)}."
        )
    # In float64 (Apple's GPUs have none), because a quiet band beside a loud one drowns in the rounding of a
    # float32 transform: there the reference, in float32, is up to 0.8 off (a pure tone over digital silence).
    dtype = torch.float32 if waveforms.device.type == "mps" else torch.float64
    frames = (waveforms.to(dtype) * scale).unfold(1, _FRAME, _HOP)
    frames = frames - frames.mean(dim=2, keepdim=True)
    # Kaldi lets the sample before a frame's first one be that first one.
    frames = frames - _PREEMPHASIS * torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
    frames = frames * _window(window, waveforms.device, dtype)
    spectrum = torch.view_as_real(torch.fft.rfft(frames, n=_FFT))
    energies: Tensor = spectrum.square().sum(dim=3) @ _mel_filters(bands, waveforms.device, dtype)
    return energies.clamp(min=_FLOOR).log().float()
