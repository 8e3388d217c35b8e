"""What the encoders of sounds share: mel filters, and waveforms that are checked."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from a2ibench.encoders._frozen import TorchEncoder
from a2ibench.encoders.base import Float32
from a2ibench.errors import A2IBenchError


@lru_cache(maxsize=16)
def mel_filters(bands: int, low: float, high: float, rate: int, fft: int) -> Tensor:
    """Build mel filters, float64 ``[fft // 2 + 1, bands]``: triangles in mel (not in Hz), of height one.

    The mel scale of HTK and Kaldi, ``1127 log(1 + f / 700)``; VGGish and PaSST are built on it.
    """

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    bins = mel(torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64))[:, None]
    first, last = mel(torch.tensor([low, high], dtype=torch.float64))
    edges = first + (last - first) / (bands + 1) * torch.arange(bands + 2, dtype=torch.float64)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


def waveform(item: Any, index: int, what: str, rate: int) -> Float32:
    """Give a mono waveform, ``[samples]`` and not empty; `what` names the encoder in the error.

    Raises
    ------
    A2IBenchError
        If it is something else, or not finite.

    """
    wave = np.asarray(item, np.float32)
    if wave.ndim != 1 or not len(wave):
        raise A2IBenchError(
            f"{what} takes mono waveforms [samples] at {rate} Hz; item {index} of the batch has the shape "
            f"{list(wave.shape)}; leave it out or decode it again."
        )
    if not np.isfinite(wave).all():
        raise A2IBenchError(f"Item {index} of the batch has samples that are not finite; decode it again.")
    return wave


def at_least(wave: Float32, samples: int) -> Float32:
    """Put silence behind a sound that is shorter than `samples`."""
    return wave if len(wave) >= samples else np.pad(wave, (0, samples - len(wave)))


def by_length(waves: Sequence[Float32]) -> Iterator[tuple[list[int], Tensor]]:
    """Group waveforms of one length: their places, and a batch ``[n, samples]``. Nothing is padded."""
    places: dict[int, list[int]] = {}
    for index, wave in enumerate(waves):
        places.setdefault(len(wave), []).append(index)
    for indices in places.values():
        yield indices, torch.from_numpy(np.stack([waves[index] for index in indices]))


class WholeEncoder(TorchEncoder):
    """An encoder whose `encode` takes files as they were read, and prepares them itself: lengths differ."""

    sizes = (1, 1)

    def compute(self, prepared: Sequence[Any]) -> Any:
        """Encode items as they were read."""
        return self.encode(prepared)

    def none(self) -> Float32:
        """Give the rows of no items."""
        return np.empty((0, self.dim), np.float32)
