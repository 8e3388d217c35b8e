"""IB and CLAP scores: the cosine first, win rates as variants; perfect, chance, and equal captions."""

import numpy as np
import pytest

from a2ibench.metrics import Features, get
from a2ibench.metrics.winrate import cosine, win_rate

KEYS = {
    "IB": ("generated/imagebind-audio", "condition/imagebind-video"),
    "CLAP": ("generated/clap-audio", "condition/clap-text"),
}


@pytest.mark.parametrize("name", ["IB", "CLAP"])
def test_variants_are_the_tested_formulas_the_other_way_round(name: str) -> None:
    rng = np.random.default_rng(0)
    sounds, conditions = rng.standard_normal((2, 30, 8))
    labels = tuple(f"kind {i % 3}" for i in range(30))
    given = Features(dict(zip(KEYS[name], (sounds, conditions), strict=True)), labels=labels)
    np.testing.assert_array_equal(get(name).per_clip(given), cosine(sounds, conditions))
    np.testing.assert_array_equal(get(f"{name}.win").per_clip(given), win_rate(sounds, conditions))
    for negatives in ("same-class", "other-class"):
        expected = win_rate(sounds, conditions, negatives=negatives, labels=labels)
        np.testing.assert_array_equal(get(f"{name}.win-{negatives}").per_clip(given), expected)
    assert set(get(name).needs) == set(KEYS[name])
    assert (get(name).chance, get(f"{name}.win").chance) == (None, 50.0)
    assert (get(name).bounds, get(name).unit, get(f"{name}.win").unit) == ((-100.0, 100.0), "cos×100", "%")


@pytest.mark.parametrize("name", ["IB", "CLAP"])
def test_perfect_and_chance(name: str) -> None:
    rng = np.random.default_rng(1)
    same = rng.standard_normal((400, 16))
    perfect = Features(dict(zip(KEYS[name], (3 * same, same), strict=True)))
    assert get(name)(perfect).value == pytest.approx(100)
    assert get(f"{name}.win")(perfect).value == 100
    chance = Features(dict(zip(KEYS[name], (rng.standard_normal((400, 16)), same), strict=True)))
    assert get(f"{name}.win")(chance).value == pytest.approx(50, abs=4)


def test_equal_captions_tie() -> None:
    captions = np.repeat(np.eye(3), 2, axis=0)
    given = Features({"generated/clap-audio": captions, "condition/clap-text": captions})
    assert get("CLAP.win")(given).value == pytest.approx(100 * 4.5 / 5)  # four wins and a tie among five others
