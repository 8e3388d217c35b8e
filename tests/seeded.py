"""Weights that any implementation can draw: by their names, without order or global state."""

import zlib

import numpy as np
import torch


def seeded(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """float32 normals n of the parameter's shape: 1 + n/10 for weights of one axis, n/10 for biases, else n/√fan-in."""
    n = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) < 2:
        return torch.from_numpy(np.asarray(n / 10 + (1 if name.endswith("weight") else 0), np.float32))
    return torch.from_numpy(n * np.float32(np.sqrt(2 / np.prod(shape[1:]))))


def seeded_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Draw every floating-point tensor of a network's state; counters stay."""
    state = network.state_dict()
    return {key: seeded(key, tuple(t.shape)) if t.is_floating_point() else t for key, t in state.items()}


def sound(samples: int, rate: int = 16_000, seed: int = 1) -> np.ndarray:
    """Noise, a tone and a sweep, with a pause: float32 in [-1, 1]."""
    t = np.arange(samples) / rate
    noise = 0.05 * np.random.default_rng([seed, samples]).standard_normal(samples)
    wave = noise + 0.3 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * (200 * t + 300 * t**2))
    wave[samples // 3 : samples // 2] *= 0.01
    return np.clip(wave, -1, 1).astype(np.float32)
