"""Copies: a planted one is found with its source, however loud or late, and fresh sounds of the kind are none."""

import numpy as np
import pytest

from a2ibench.baselines.re_audioldm.copies import copies, fingerprints, likeness, share_of_copies, threshold
from a2ibench.errors import A2IBenchError
from a2ibench.suites.mini import world


@pytest.fixture(scope="module")
def sounds():
    return [world.sound(world.draw_scene("afresh", index)) for index in range(24)]


@pytest.fixture(scope="module")
def prints(sounds):
    return fingerprints(sounds, 3.0)


def test_likeness_is_a_correlation(prints):
    alike = likeness(prints, prints)
    np.testing.assert_allclose(alike, alike.T)
    np.testing.assert_allclose(alike.diagonal(), 1)
    flat = [each.ravel().astype(float) for each in prints[:2]]
    assert likeness(prints[:1], prints[1:2], shift=0)[0, 0] == pytest.approx(np.corrcoef(*flat)[0, 1])
    assert likeness(np.ones((1, 48, 24), np.float32), prints)[0].max() == 0


def test_a_planted_copy_is_found_with_its_source(sounds, prints):
    real = fingerprints([world.sound(world.draw_scene("validation", index)) for index in range(40)], 3.0)
    least = threshold(real, prints)
    assert len(copies([str(n) for n in range(40)], real, [str(n) for n in range(24)], prints, least)) == 0
    assert len(
        copies([str(n) for n in range(40)], real, [str(n) for n in range(24)], prints, threshold(real, prints, 0.5))
    ) in (18, 19, 20)
    rng = np.random.default_rng(0)
    planted = [
        0.2 * sounds[3],  # quieter
        np.roll(sounds[7], 1200) + 0.001 * rng.standard_normal(world.SAMPLES).astype(np.float32),  # later, and noisier
        *[world.sound(world.draw_scene("test", index)) for index in range(10)],
    ]
    ids, sources = [f"c{n}" for n in range(12)], [f"s{n}" for n in range(24)]
    found = copies(ids, fingerprints(planted, 3.0), sources, prints, least)
    assert [(copy.clip_id, copy.source) for copy in found[:2]] == [("c0", "s3"), ("c1", "s7")]
    assert all(copy.likeness > 0.95 for copy in found[:2])
    assert len(found) <= 3
    assert share_of_copies(found, 12) == pytest.approx(100 * len(found) / 12)
    shown = {"c0": ["s1", "s3"], "c1": ["s2"]}
    assert [
        copy.source for copy in copies(ids, fingerprints(planted, 3.0), sources, prints, 0.95, retrieved=shown)
    ] == ["s3"]


def test_chance_and_all(prints):
    ids = [f"c{n}" for n in range(24)]
    assert len(copies(ids, prints, ids, prints, 0.999)) == 24
    assert copies(ids, prints, ids, prints, 1.0) == []
    assert share_of_copies([], 0) == 0


def test_silence_has_no_fingerprint():
    for wave in (np.zeros(100, np.float32), np.full(100, np.nan, np.float32)):
        with pytest.raises(A2IBenchError, match="number 0 is silent or not finite"):
            fingerprints([wave], 3.0)
    with pytest.raises(A2IBenchError, match="Without real sounds"):
        threshold(np.zeros((0, 48, 24), np.float32), np.zeros((1, 48, 24), np.float32))
