"""AIS and IIS: cases to check by eye, the convention, ties, and invariances."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get, mean_score
from a2ibench.metrics.winrate import cosine, one_negative, unit_rows, win_rate, win_rate_one, z_score

RNG = np.random.default_rng(0)


def turned(degrees: list[float]) -> np.ndarray:
    """Unit vectors in the plane: their cosines are those of the angles between them."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def by_hand(x: np.ndarray, y: np.ndarray, labels: list[str], negatives: str) -> np.ndarray:
    s = (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T
    rates = []
    for i in range(len(x)):
        allowed = {
            "all": lambda j: True,
            "same-class": lambda j: labels[j] == labels[i],  # noqa: B023
            "other-class": lambda j: labels[j] != labels[i],  # noqa: B023
        }[negatives]
        others = [s[i, j] for j in range(len(x)) if j != i and allowed(j)]
        won = [1.0 if other < s[i, i] - 1e-12 else 0.5 if other <= s[i, i] + 1e-12 else 0.0 for other in others]
        rates.append(100 * np.mean(won) if won else np.nan)
    return np.array(rates)


def test_three_clips_by_eye() -> None:
    images = turned([0, 50, 90])
    sounds = turned([10, 90, 60])
    # Image 0 (0°): own sound at 10°, others at 90° and 60°: both farther.         100
    # Image 1 (50°): own 40° away, others 40° and 10° away: a tie and a loss.       25
    # Image 2 (90°): own 30° away, others 80° and 0° away: a win and a loss.        50
    np.testing.assert_array_equal(win_rate(images, sounds), [100, 25, 50])


def test_the_image_stays_and_the_sound_varies() -> None:
    images, sounds = turned([0, 50, 90]), turned([10, 90, 60])
    # Read the other way round (sound 0 at 10°, images 10°, 40° and 80° away ...) other numbers come out.
    np.testing.assert_array_equal(win_rate(sounds, images), [100, 50, 50])
    rows = Features({"generated/clip-image": images, "audio/wav2clip": sounds}, labels=("a",) * 3)
    per_clip = get("AIS").per_clip
    assert per_clip
    np.testing.assert_array_equal(per_clip(rows), [100, 25, 50])


def test_each_metric_reads_its_own_rows() -> None:
    images, own = turned([0, 50, 90]), turned([1, 51, 91])
    labels = ("a", "a", "b")
    ais, iis = get("AIS").per_clip, get("IIS").per_clip
    assert ais
    assert iis
    arrays_ = {"generated/clip-image": images, "audio/wav2clip": own[::-1], "reference/clip-image": own}
    rows = Features(arrays_, labels)
    assert mean_score(iis(rows)) == 100
    np.testing.assert_array_equal(ais(rows), [0, 100, 0])


def test_perfect_worst_and_chance() -> None:
    x = RNG.standard_normal((400, 32))
    assert mean_score(win_rate(x, x)) == 100
    opposite = x + 0
    assert mean_score(win_rate(opposite, -x)) == 0
    unrelated = win_rate(x, RNG.standard_normal((400, 32)))
    assert mean_score(unrelated) == pytest.approx(50, abs=4 * 29 / 20)  # sd 29 a clip, 20 = sqrt(400)


def test_same_class_and_other_class() -> None:
    images, sounds = turned([0, 50, 90]), turned([10, 90, 60])
    same = win_rate(images, sounds, negatives="same-class", labels=["a", "a", "b"])
    np.testing.assert_array_equal(same, [100, 50, np.nan])  # Clip 2 is alone in its class.
    other = win_rate(images, sounds, negatives="other-class", labels=["a", "a", "b"])
    np.testing.assert_array_equal(other, [100, 0, 50])
    assert mean_score(same) == 75
    assert np.isnan(win_rate(images, sounds, negatives="other-class", labels=["a"] * 3)).all()
    assert np.isnan(win_rate(images[:1], sounds[:1])).all()


@pytest.mark.parametrize("n", [7, 64, 301])
def test_equal_sounds_tie_wherever_they_stand(n: int) -> None:
    # BLAS may round equal columns differently; the tie must hold all the same.
    x = RNG.standard_normal((n, 512)).astype(np.float32)
    sound = RNG.standard_normal((1, 512)).astype(np.float32)
    for cells in (1, 5 * n, 4_000_000):
        assert (win_rate(x, np.repeat(sound, n, axis=0), block_cells=cells) == 50).all()
    # And at any scale, since only the direction counts.
    y = sound * RNG.uniform(0.1, 9, (n, 1))
    assert (win_rate(x, y) == 50).all()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_agrees_with_the_definition(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    # Small whole numbers make many ties.
    cells = arrays(np.float64, (n, d), elements=st.integers(-2, 2).map(float))
    solid = cells.filter(lambda rows: (np.abs(rows).sum(axis=1) > 0).all())
    x, y = data.draw(solid), data.draw(solid)
    labels = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    for negatives in ("all", "same-class", "other-class"):
        got = win_rate(x, y, negatives=negatives, labels=labels)
        np.testing.assert_allclose(got, by_hand(x, y, labels, negatives), rtol=1e-12, atol=1e-12)
    scaled = win_rate(x * 1e3, y * 1e-3)
    np.testing.assert_array_equal(scaled, win_rate(x, y))


@pytest.mark.parametrize("negatives", ["all", "same-class", "other-class"])
def test_order_and_block_size_change_no_bit(negatives: str) -> None:
    n = 257
    x, y = RNG.standard_normal((2, n, 64)).astype(np.float32)
    labels = [str(i % 7) for i in range(n)]
    reference = win_rate(x, y, negatives=negatives, labels=labels)
    for cells in (1, n, 10 * n + 3):
        got = win_rate(x, y, negatives=negatives, labels=labels, block_cells=cells)
        np.testing.assert_array_equal(got, reference)
    order = RNG.permutation(n)
    got = win_rate(x[order], y[order], negatives=negatives, labels=[labels[i] for i in order])
    np.testing.assert_array_equal(got, reference[order])
    assert mean_score(got) == mean_score(reference)


def test_one_negative_by_eye_and_by_expectation() -> None:
    x, y = RNG.standard_normal((2, 300, 8))
    y += 0.3 * x
    ids = [f"clip{i}" for i in range(300)]
    values = win_rate_one(x, y, ids)
    chosen = one_negative(ids)
    assert all(i != j for i, j in enumerate(chosen))
    s = unit_rows(x, "x") @ unit_rows(y, "y").T
    expected = [100.0 * (s[i, i] > s[i, j]) for i, j in enumerate(chosen)]
    np.testing.assert_array_equal(values, expected)
    many = np.mean([win_rate_one(x, y, ids, seed=seed).mean() for seed in range(40)])
    assert many == pytest.approx(win_rate(x, y).mean(), abs=1.5)
    assert set(win_rate_one(x, np.ones((300, 8)), ids)) == {50.0}


def test_one_negative_does_not_depend_on_the_order() -> None:
    ids = [f"clip{i}" for i in range(50)]
    order = RNG.permutation(50)
    moved = [ids[i] for i in order]
    before = dict(zip(ids, (ids[j] for j in one_negative(ids)), strict=True))
    after = dict(zip(moved, (moved[j] for j in one_negative(moved)), strict=True))
    assert before == after
    assert one_negative(ids, seed=1) != one_negative(ids, seed=2)


def test_cosine_by_eye() -> None:
    np.testing.assert_allclose(cosine(turned([0, 0, 0]), turned([0, 60, 180])), [100, 50, -100], atol=1e-12)


def test_z_score_varies_the_images() -> None:
    x, y = RNG.standard_normal((2, 60, 6))
    s = unit_rows(x, "x") @ unit_rows(y, "y").T
    expected = []
    for i in range(60):
        others = np.delete(s[:, i], i)
        expected.append((s[i, i] - others.mean()) / others.std())
    for cells in (1, 700, 10_000):
        np.testing.assert_allclose(z_score(x, y, block_cells=cells), expected, rtol=1e-11)
    np.testing.assert_array_equal(z_score(np.ones((4, 6)), y[:4]), 0)  # A method that draws one image.


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: win_rate(np.eye(3), np.eye(4)), r"'images' \(3, 3\) and 'conditions' \(4, 4\)"),
        (lambda: win_rate(np.ones(3), np.ones(3)), r"'images' must hold one row per item"),
        (lambda: win_rate(np.eye(3), np.diag([1.0, 0, 1])), "Row 1 of 'conditions' is all zeros"),
        (lambda: win_rate(np.diag([1, 1, np.nan]), np.eye(3)), "Row 2 of 'images' is not finite"),
        (lambda: win_rate(np.eye(3), np.eye(3), negatives="same-class"), "0 labels for 3 clips"),
        (lambda: win_rate(np.eye(2), np.eye(2), negatives="some", labels="ab"), "'some' is none of"),
        (lambda: win_rate_one(np.eye(3), np.eye(3), ()), "0 clip ids for 3 clips"),
        (lambda: one_negative(["a", "a"]), "ids of their own"),
        (lambda: z_score(np.eye(2), np.eye(2)), "three or more clips; found 2"),
        (lambda: z_score(turned([0, 90, 90]), turned([0, 10, 20])), "row 0 is not defined"),
    ],
)
def test_bad_input_gets_its_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(A2IBenchError, match=sentence):
        call()


def test_an_error_names_the_rows() -> None:
    rows = Features({"generated/clip-image": np.eye(2), "audio/wav2clip": np.diag([1.0, 0.0])}, labels=("a", "b"))
    per_clip = get("AIS").per_clip
    assert per_clip
    with pytest.raises(A2IBenchError, match="Row 1 of 'audio/wav2clip' is all zeros"):
        per_clip(rows)


def test_extreme_scales_keep_their_direction() -> None:
    x = RNG.standard_normal((5, 4))
    np.testing.assert_allclose(unit_rows(x * 1e-200, "x"), unit_rows(x, "x"), rtol=1e-12)
    np.testing.assert_allclose(unit_rows(x * 1e200, "x"), unit_rows(x, "x"), rtol=1e-12)


def test_memory_stays_bounded() -> None:
    import tracemalloc

    x, y = RNG.standard_normal((2, 3000, 8)).astype(np.float32)
    tracemalloc.start()
    began = time.perf_counter()
    win_rate(x, y, block_cells=100_000)
    assert time.perf_counter() - began < 10
    assert tracemalloc.get_traced_memory()[1] < 8e6  # The whole matrix would take 72 MB.
    tracemalloc.stop()
