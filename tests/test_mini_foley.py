"""The mini FoleyGen's build: onsets of the world's own sounds are found, and what a kill left is gone on with."""

import numpy as np
import pytest
import torch

from a2ibench.metrics.onsets import pairs
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.foley import FoleyBuild, energy_onsets, onset_f1


def test_matches_by_hand():
    assert pairs(np.array([0.5, 1.0, 2.0]), np.array([0.55, 1.2, 2.09])) == 2
    assert pairs(np.array([1.0, 1.05]), np.array([1.02])) == 1
    assert pairs(np.array([]), np.array([1.0])) == 0


def test_onsets_of_clicks():
    wave = np.zeros(48_000, np.float32)
    for start in (0.5, 1.2, 2.0):
        at = int(start * 16_000)
        wave[at : at + 3200] = 0.5 * np.sin(np.arange(3200) * 0.3)
    assert np.abs(energy_onsets(wave) - [0.5, 1.2, 2.0]).max() < 0.04


def test_real_sounds_lead_and_shuffled_ones_trail():
    waves = torch.from_numpy(np.stack([world.sound(world.draw_scene("validation", index)) for index in range(24)]))
    assert onset_f1(waves) > 0.8
    assert onset_f1(waves, shift=1) < 0.35


def test_rows_go_on_after_a_kill(tmp_path):
    build = FoleyBuild(tmp_path, tmp_path)
    made = []

    def make(index):
        if index == 120 and len(made) < 121:
            made.append(index)
            raise KeyboardInterrupt
        made.append(index)
        return np.full(3, index)

    with pytest.raises(KeyboardInterrupt):
        build._rows("x", 130, (3,), np.int16, make)
    made.extend([0] * 100)
    before = len(made)
    rows = build._rows("x", 130, (3,), np.int16, make)
    assert rows[:, 0].tolist() == list(range(130))
    assert made[before] == 100  # the last that was kept
    assert not list(tmp_path.glob("*.part*"))
    assert not list(tmp_path.glob("*.count"))
