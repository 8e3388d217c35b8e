"""The onset detector: clicks and notes where they are, the mini world's own onsets, silence, and levels."""

import numpy as np
import pytest

from a2ibench.encoders.onsets import RATE, load, onsets
from a2ibench.errors import A2IBenchError
from a2ibench.metrics.onsets import pairs
from a2ibench.suites.mini import world

TIMES = (0.4, 0.95, 1.5, 2.3)


def notes(times=TIMES, seconds=3.0, level=0.5):
    wave = 0.002 * np.random.default_rng(0).standard_normal(int(seconds * RATE))
    for place, time in enumerate(times):
        t = np.arange(int(0.4 * RATE)) / RATE
        start = int(time * RATE)
        note = np.sin(2 * np.pi * (330 + 110 * place) * t) * np.exp(-8 * t)
        wave[start : start + len(note)] += note[: len(wave) - start]
    return (level * wave).astype(np.float32)


def test_notes_are_found_where_they_are():
    found = onsets(notes())
    assert len(found) == 4
    np.testing.assert_allclose(found, TIMES, atol=0.04)


def test_levels_change_nothing_and_silence_has_none():
    np.testing.assert_array_equal(onsets(notes(level=0.5)), onsets(notes(level=0.05)))
    for quiet in (np.zeros(RATE, np.float32), np.full(RATE, 1e-4, np.float32), np.zeros(3, np.float32)):
        assert onsets(quiet).shape == (0,)
    assert len(onsets(np.ones(3, np.float32))) <= 1


def test_a_shifted_sound_has_shifted_onsets():
    later = np.concatenate([np.zeros(RATE // 2, np.float32), notes(seconds=3.0)])
    np.testing.assert_allclose(onsets(later)[-4:] - 0.5, onsets(notes()), atol=0.011)


def test_onsets_of_the_mini_world():
    hits = found = true = 0
    for index in range(60):
        scene = world.draw_scene("test", index)
        times = onsets(world.sound(scene))
        hits, found, true = hits + pairs(times, np.array(scene.onsets)), found + len(times), true + len(scene.onsets)
    assert 2 * hits / (found + true) > 0.88


def test_encoder():
    encoder = load({}, None, "")
    rows = encoder.encode([notes(), np.zeros(RATE, np.float32)])
    assert [each.shape for each in rows] == [(4, 1), (0, 1)]
    assert encoder.encode([]) == []
    assert load({"delta": 0.9}, None, "").digest != encoder.digest
    assert len(load({"gap": 1.0}, None, "").encode([notes()])[0]) == 2
    with pytest.raises(A2IBenchError, match="gap is 0; give a number above zero"):
        load({"gap": 0}, None, "")
    with pytest.raises(A2IBenchError, match="no setting"):
        load({"hop": 100}, None, "")
    with pytest.raises(A2IBenchError, match="The onset detector takes mono waveforms"):
        encoder.encode([np.zeros((2, 9))])
