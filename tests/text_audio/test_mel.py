"""Spectrograms: by hand, and there and back."""

import numpy as np
import torch

from a2ibench.baselines.re_audioldm.mel import FLOOR, MelConfig, fit_length, griffin_lim, log_mel
from a2ibench.baselines.re_audioldm.parts import Patches


def test_a_frame_by_hand():
    from transformers.audio_utils import mel_filter_bank

    config = MelConfig(frames=20, seconds=0.2)
    wave = np.random.default_rng(0).standard_normal(3200).astype(np.float32) * 0.1
    mel = log_mel(wave[None], config)
    assert mel.shape == (1, 20, 64)
    frame = 10  # in the middle: no reflection
    start = frame * 160 - (1024 - 160) // 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    size = np.abs(np.fft.rfft(wave[start : start + 1024] * window))
    filters = mel_filter_bank(513, 64, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel[0, frame], np.log(np.maximum(size @ filters, FLOOR)), rtol=1e-3, atol=1e-4)


def test_silence_is_the_floor_and_the_end_is_filled_up():
    config = MelConfig(frames=40, seconds=0.2)
    mel = log_mel(np.zeros((1, config.samples), np.float32), config)
    np.testing.assert_allclose(mel, np.log(FLOOR), atol=1e-5)
    assert fit_length(np.ones(10, np.float32), config).sum() == 10
    assert fit_length(np.ones(9999, np.float32), config).shape == (3200,)


def test_griffin_lim_sounds_like_its_spectrogram_and_at_the_same_time():
    config = MelConfig(hop=320, frames=48, seconds=0.9)
    t = np.arange(config.samples) / config.rate
    wave = (0.5 * np.sin(2 * np.pi * 440 * t) * (t > 0.45)).astype(np.float32)
    mel = log_mel(wave[None], config)
    again = griffin_lim(mel, config)
    assert again.shape == (1, config.samples)
    np.testing.assert_array_equal(again, griffin_lim(mel, config))
    before, after = (np.square(again[0, part]).mean() for part in (slice(0, 6000), slice(8000, 14000)))
    assert after > 100 * before
    assert (log_mel(again, config) - mel).clamp(min=-1, max=1)[0, 24:44].abs().mean() < 0.35


def test_all_components_give_the_spectrogram_back():
    torch.manual_seed(0)
    patches = Patches(4, 8, 32)
    patches.basis = torch.linalg.qr(torch.randn(32, 32))[0]
    patches.mean, patches.deviation = torch.randn(32), torch.rand(32) + 0.5
    mel = torch.randn(3, 16, 24)
    latents = patches.encode(mel)
    assert latents.shape == (3, 32, 4, 3)
    torch.testing.assert_close(patches.decode(latents), mel, atol=1e-4, rtol=1e-4)
