"""FAD: one row per item is FID, windows of one sound count together, other people's formulas, the standard error."""

import json
from pathlib import Path

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.base import rows_and_counts, several
from a2ibench.metrics.fid import frechet_distance

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "audio_metrics.json").read_text())


def sounds(n: int, d: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """Sounds of one to four windows that resemble one another."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(9).standard_normal((d, d))
    each = [rng.standard_normal(d) + 0.4 * rng.standard_normal((rng.integers(1, 5), d)) for _ in range(n)]
    return several([(rows @ mix + shift).astype(np.float32) for rows in each])


def fad(x: np.ndarray, y: np.ndarray):
    return get("FAD").statistic(Features({"generated/vggish": x, "reference/vggish": y}))


def test_the_distance_is_that_of_all_windows() -> None:
    x, y = sounds(60, seed=1), sounds(50, seed=2, shift=0.3)
    got = fad(x, y)
    assert got.value == frechet_distance(np.concatenate(list(x)), np.concatenate(list(y)))
    assert got.extra == {"n": sum(map(len, x)), "m": sum(map(len, y)), "d": 6}


def test_one_window_per_sound_is_fid() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((30, 5)) + 0.5
    fid = get("FID").statistic(Features({"generated/inception": x, "reference/inception": y}))
    plain, packed = fad(x, y), fad(several([row[None] for row in x]), several([row[None] for row in y]))
    assert plain == fid
    assert packed.value == fid.value
    assert packed.stderr == pytest.approx(fid.stderr, rel=1e-12)


def test_bounds_and_order() -> None:
    x, y = sounds(60, seed=1), sounds(50, seed=2, shift=0.3)
    assert fad(x, x).value == pytest.approx(0, abs=1e-9)
    assert fad(x, sounds(50, seed=2, shift=2.0)).value > fad(x, y).value > 0
    order = np.random.default_rng(0).permutation(60)
    assert fad(x[order], y).value == pytest.approx(fad(x, y).value, rel=1e-12)
    assert fad(x[order], y).stderr == pytest.approx(fad(x, y).stderr, rel=1e-9)


def test_copies_of_windows_are_no_news() -> None:
    # Each window four times: the distance changes by the N - 1 alone, and the error must not halve.
    x, y = sounds(200, seed=1), sounds(150, seed=2, shift=0.3)
    again = several([np.tile(rows, (4, 1)) for rows in x])
    assert fad(again, y).stderr == pytest.approx(fad(x, y).stderr, rel=0.02)


def test_standard_error_is_that_of_drawing_sounds() -> None:
    y = sounds(400, seed=99, shift=0.5)
    many = [fad(sounds(120, seed=seed), y) for seed in range(200)]
    spread = np.std([each.value for each in many])
    assert np.mean([each.stderr for each in many]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("theirs", ["frechet_audio_distance", "av_bench"])
def test_agrees_with_others_on_the_same_embeddings(theirs: str) -> None:
    rng = np.random.default_rng(GOLDEN["seed"])
    x, y = rng.standard_normal((300, 16)), 1.2 * rng.standard_normal((200, 16)) + 0.3
    assert fad(x, y).value == pytest.approx(GOLDEN["fad"][theirs], rel=1e-9)


def test_what_is_no_set_of_sounds() -> None:
    with pytest.raises(A2IBenchError, match="rows of one item alone"):
        fad(several([np.random.default_rng(0).standard_normal((5, 3))]), np.zeros((4, 3)))
    with pytest.raises(A2IBenchError, match=r"several rows per item, \[k, d\] with one d"):
        rows_and_counts(several([np.zeros((2, 3)), np.zeros((2, 4))]), "generated/vggish")
    with pytest.raises(A2IBenchError, match="Row 1 of 'generated/vggish' is not finite"):
        fad(several([np.array([[1.0], [np.nan]]), np.ones((2, 1))]), np.ones((4, 1)))
