"""How a scene sounds: its calls at their onsets, the ambience of its place, noise and gain."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from a2ibench.suites.mini.world.kinds import KINDS, PLACES
from a2ibench.suites.mini.world.scenes import SECONDS, Scene

SAMPLE_RATE = 16_000
SAMPLES = int(SAMPLE_RATE * SECONDS)

Wave = NDArray[np.float64]
_RING = frozenset({"bell", "drum", "guitar", "thunder"})
"""Kinds that ring on over the next call; the others stop before it."""


def _time(seconds: float) -> Wave:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _tones(t: Wave, partials: Sequence[tuple[float, float, float]]) -> Wave:
    """Sum partials of (frequency in Hz, amplitude, decay per second); those above 7.5 kHz are left out."""
    waves = (a * np.exp(-d * t) * np.sin(2 * math.pi * f * t) for f, a, d in partials if f < 7500)
    return sum(waves, np.zeros(len(t)))


def _sweep(frequency: Wave) -> Wave:
    """A sine whose frequency in Hz is given per sample."""
    wave: Wave = np.sin(2 * math.pi * np.cumsum(frequency) / SAMPLE_RATE)
    return wave


def _fade(wave: Wave, rise: float = 0.012, fall: float = 0.03) -> Wave:
    """Let a wave begin and end softly, so that nothing clicks."""
    up, down = (min(len(wave) // 2, int(seconds * SAMPLE_RATE)) for seconds in (rise, fall))
    shape = np.ones(len(wave))
    shape[:up] = np.linspace(0, 1, up)
    shape[len(wave) - down :] = np.linspace(1, 0, down)
    return wave * shape


def _band_noise(n: int, centre: float, width: float, rng: np.random.Generator) -> Wave:
    """Noise of unit deviation with a Gaussian spectrum round ``centre`` Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hertz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    wave = np.fft.irfft(spectrum * np.exp(-0.5 * ((hertz - centre) / width) ** 2), n)
    return wave / (np.std(wave) + 1e-9)


# ------------------------------------------------------------------------------------------------- calls
# One call of each kind, its pitch scaled by ``f``: one onset, about unit amplitude, at most 0.85 s.


def _bell(f: float, rng: np.random.Generator) -> Wave:
    partials = ((0.5, 0.5, 2.5), (1, 1, 3.5), (1.19, 0.7, 4), (1.5, 0.4, 4.5), (2, 0.6, 5.5), (2.74, 0.4, 8))
    return _fade(_tones(_time(0.85), [(620 * f * r, a, d) for r, a, d in partials]), 0.004, 0.15)


def _frog(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.42)
    throat = _tones(t, [(430 * f * k, 1 / k, 0) for k in (1, 2, 3, 4)])
    pulses = 0.5 + 0.5 * np.cos(2 * math.pi * 27 * t)
    return _fade(throat * pulses**3 * np.exp(-2.5 * t), 0.012, 0.08)


def _bird(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.3)
    return _fade(_sweep(f * (2300 + 1100 * np.sin(2 * math.pi * 9 * t))) * np.exp(-2 * t), 0.012, 0.06)


def _owl(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.42)
    turns = np.cumsum(340 * f * (1 + 0.12 * np.exp(-14 * t))) / SAMPLE_RATE
    hoot = np.sin(2 * math.pi * turns) + 0.15 * np.sin(4 * math.pi * turns)
    return _fade(hoot + 0.03 * _band_noise(len(t), 700 * f, 300 * f, rng), 0.03, 0.16)


def _drum(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.45)
    skin = _sweep(f * (95 + 130 * np.exp(-18 * t))) * np.exp(-8 * t)
    return _fade(skin + 0.25 * _band_noise(len(t), 900 * f, 500 * f, rng) * np.exp(-30 * t), 0.002, 0.1)


def _guitar(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.8)
    notes = [
        np.pad(_tones(t, [(196 * f * r * k, 1 / k, 2 + 1.4 * k) for k in range(1, 7)])[: len(t) - s], (s, 0))
        for r, s in ((1, 0), (1.26, 300), (1.498, 600))
    ]
    return _fade(sum(notes, np.zeros(len(t))) / 2, 0.004, 0.15)


def _violin(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.6)
    vibrato = 1 + 0.012 * np.sin(2 * math.pi * 6 * t + rng.uniform(0, 6)) * np.clip(t * 5, 0, 1)
    turns = np.cumsum(392 * f * vibrato) / SAMPLE_RATE
    partials = [(k, a) for k, a in enumerate((1, 0.7, 0.75, 0.4, 0.45, 0.25, 0.2), 1) if 400 * f * k < 7500]
    bow = sum((np.sin(2 * math.pi * k * turns) * a for k, a in partials), np.zeros(len(t)))
    return _fade(bow * 0.6 + 0.03 * _band_noise(len(t), 3000, 1500, rng), 0.035, 0.09)


def _train(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.6)
    whistle = sum((_tones(t, [(h * f, 0.4, 0), (2 * h * f, 0.2, 0)]) for h in (370, 440, 554)), np.zeros(len(t)))
    return _fade(whistle + 0.03 * _band_noise(len(t), 3500, 1500, rng), 0.03, 0.1)


def _ship(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.6)
    horn = sum((_tones(t, [(h * f, 0.5, 0), (2 * h * f, 0.3, 0)]) for h in (370, 494)), np.zeros(len(t)))
    throb = 1 - 0.25 * (0.5 + 0.5 * np.sin(2 * math.pi * 11 * t))
    return _fade(horn * throb + 0.03 * _band_noise(len(t), 500, 300, rng), 0.03, 0.1)


def _siren(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.7)
    return _fade(_sweep(f * (700 + 450 * np.sin(2 * math.pi * 2.6 * t))), 0.02, 0.06)


def _bee(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.55)
    turns = np.cumsum(215 * f * (1 + 0.05 * np.sin(2 * math.pi * 7 * t + rng.uniform(0, 6)))) / SAMPLE_RATE
    saw = sum((np.sin(2 * math.pi * k * turns) / k for k in range(1, 13)), np.zeros(len(t)))
    return _fade(saw * 0.6, 0.03, 0.08)


def _thunder(f: float, rng: np.random.Generator) -> Wave:
    t = _time(0.85)
    rumble = 0.6 * _band_noise(len(t), 50 * f, 70 * f, rng) * np.exp(-3.5 * t)
    crack = 0.5 * _band_noise(len(t), 1200 * f, 900 * f, rng) * np.exp(-22 * t)
    return _fade(rumble + crack, 0.004, 0.2)


_CALLS: dict[str, Callable[[float, np.random.Generator], Wave]] = {
    "bell": _bell, "frog": _frog, "bird": _bird, "owl": _owl, "drum": _drum, "guitar": _guitar, "violin": _violin,
    "train": _train, "ship": _ship, "siren": _siren, "bee": _bee, "thunder": _thunder,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ places


def _ambience(place: str, rng: np.random.Generator) -> Wave:
    """What is heard of a place, its loudest part about 1."""
    t = _time(SECONDS)
    if place == "meadow":  # crickets: short high pulses in bursts
        pitch = rng.uniform(4300, 5200)
        pulses = np.clip(np.sin(2 * math.pi * rng.uniform(26, 32) * t), 0, 1)
        bursts = np.clip(4 * np.sin(2 * math.pi * rng.uniform(1.0, 1.5) * t + rng.uniform(0, 6)) + 1, 0, 1)
        crickets: Wave = np.sin(2 * math.pi * pitch * t) * pulses * bursts
        return crickets
    if place == "sea":  # waves: low noise that swells
        swell = 0.55 + 0.45 * np.sin(2 * math.pi * rng.uniform(0.3, 0.5) * t + rng.uniform(0, 6))
        return 0.5 * _band_noise(SAMPLES, 250, 450, rng) * swell
    if place == "rain":  # patter: bright noise, and drops
        drops, steps = np.zeros(SAMPLES), np.arange(160)
        for start in rng.integers(0, SAMPLES - 200, size=60):
            drop = np.sin(steps * rng.uniform(0.8, 1.6)) * np.exp(-steps / 40)
            drops[start : start + 160] += rng.uniform(0.2, 1.2) * drop
        return 0.35 * _band_noise(SAMPLES, 5500, 1800, rng) + drops
    hum = rng.uniform(95, 105)
    return 0.5 * np.sin(2 * math.pi * hum * t) + 0.3 * np.sin(4 * math.pi * hum * t)


def sound(scene: Scene) -> NDArray[np.float32]:
    """Synthesise a scene: ``[48000]`` float32 at 16 kHz, in [-1, 1].

    The pitch falls by 1.8 octaves from the smallest to the largest.
    """
    rng = np.random.default_rng([scene.seed, 2])
    factor = 2.0 ** (0.9 - 1.8 * scene.size)
    wave = np.zeros(SAMPLES)
    ends = [*scene.onsets[1:], SECONDS]
    for kind, onset, end in zip(scene.calls, scene.onsets, ends, strict=True):
        name = KINDS[kind].name
        call = _CALLS[name](factor * float(rng.uniform(0.98, 1.02)), rng)
        if name not in _RING and len(call) > (end - onset - 0.04) * SAMPLE_RATE:
            call = _fade(call[: int((end - onset - 0.04) * SAMPLE_RATE)], 0)
        start = round(onset * SAMPLE_RATE)
        call = call[: SAMPLES - start]
        wave[start : start + len(call)] += call * rng.uniform(0.75, 1.0)
    place = PLACES[scene.place]
    wet, tail = (rng.uniform(0.45, 0.65), 0.12) if place == "hall" else (rng.uniform(0.0, 0.15), 0.04)
    wave = _reverb(wave, float(wet), tail, rng)
    wave /= np.abs(wave).max() + 1e-9
    wave[-320:] *= np.linspace(1, 0, 320)  # what rings on beyond the end stops without a click
    wave += _ambience(place, rng) * rng.uniform(0.04, 0.08)
    wave += rng.standard_normal(SAMPLES) * 10 ** rng.uniform(-3.5, -2.5)
    wave *= rng.uniform(0.3, 0.8) / np.abs(wave).max()
    return wave.astype(np.float32)


def _reverb(wave: Wave, wet: float, seconds: float, rng: np.random.Generator) -> Wave:
    steps = np.arange(int(5 * seconds * SAMPLE_RATE))
    tail = rng.standard_normal(len(steps)) * np.exp(-steps / (seconds * SAMPLE_RATE))
    size = 1 << (len(wave) + len(tail)).bit_length()
    echo = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail / np.linalg.norm(tail), size), size)
    return wave + wet * echo[: len(wave)]
