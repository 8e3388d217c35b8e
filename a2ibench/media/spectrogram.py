"""The picture of a sound: its log-mel spectrogram."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 208, 144
_BANDS = 72
# Dark violet to pale yellow, even in lightness: matplotlib's "magma" at eleven points.
_MAGMA = (
    (0, 0, 4), (20, 14, 54), (59, 15, 112), (100, 26, 128), (140, 41, 129), (183, 55, 121), (222, 73, 104),
    (247, 112, 92), (254, 159, 109), (254, 207, 146), (252, 253, 191),
)  # fmt: skip


@cache
def _colours() -> NDArray[np.uint8]:
    anchors = np.array(_MAGMA, dtype=np.float64)
    places = np.linspace(0, len(anchors) - 1, 256)
    table = np.stack([np.interp(places, np.arange(len(anchors)), anchors[:, i]) for i in range(3)], axis=1)
    return np.round(table).astype(np.uint8)


@cache
def _mel_bank(bins: int, rate: int) -> NDArray[np.float32]:
    """Triangular mel filters from 40 Hz to half the rate, [bands, bins]."""
    hertz = np.linspace(0, rate / 2, bins)
    low, high = (2595 * np.log10(1 + f / 700) for f in (40.0, rate / 2))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    # The lowest bands are narrower than a bin: without a least width they would be black lines.
    least = hertz[1]
    rise = (hertz - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], least)[:, None]
    fall = (edges[2:, None] - hertz) / np.maximum(edges[2:] - edges[1:-1], least)[:, None]
    bank: NDArray[np.float32] = np.clip(np.minimum(rise, fall), 0, None).astype(np.float32)
    return bank


def draw(wave: NDArray[np.float32], rate: int) -> Image.Image:
    """Draw the log-mel spectrogram of a sound ``[samples]``, low tones below: RGB, 208 x 144."""
    size = 1024
    starts = np.linspace(0, len(wave), WIDTH).astype(np.int64)
    padded = np.pad(wave, size // 2)
    padded = np.pad(padded, (0, max(0, size + len(wave) - len(padded))))
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float32) ** 2
    decibels = 10 * np.log10(_mel_bank(power.shape[1], rate) @ power.T + 1e-10)
    # The loudest point is white; 65 dB below is black, but never less than the quietest tenth.
    top = float(decibels.max())
    floor = max(top - 65, float(np.quantile(decibels, 0.1)))
    shade = np.clip((decibels - floor) / max(top - floor, 1e-6), 0, 1)
    pixels = _colours()[np.round(shade[::-1] * 255).astype(np.uint8)]
    return Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
