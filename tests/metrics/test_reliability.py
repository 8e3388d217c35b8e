"""Krippendorff's alpha against published worked examples, hand-solved cases, and its definition by pairs."""

from itertools import permutations

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.reliability import alpha_interval, krippendorff_alpha


def table(*rows: str) -> np.ndarray:
    """One digit per unit, a dot where a rating is missing."""
    return np.array([[np.nan if sign == "." else float(sign) for sign in row.replace(" ", "")] for row in rows])


# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units. Unit 12
# has one rating, which can't be paired.
PUBLISHED = table(
    "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."
)
# The same paper, section A: two observers, binary data: alpha = 0.095.
BINARY = table("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")
# Section B: two observers, five nominal categories: alpha = 0.692. Letters a to e are 1 to 5.
NOMINAL = table("1 1 2 2 4 3 3 3 5 4 4 1", "2 1 2 2 2 3 3 3 5 4 4 4")


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (PUBLISHED, "nominal", 0.743),
        (PUBLISHED, "ordinal", 0.815),
        (PUBLISHED, "interval", 0.849),
        (BINARY, "nominal", 0.095),
        (NOMINAL, "nominal", 0.692),
    ],
)
def test_published_examples(ratings, level, published) -> None:
    assert krippendorff_alpha(ratings, level=level) == pytest.approx(published, abs=0.0005)


def by_pairs(ratings: np.ndarray, level: str) -> float:
    """The definition, pair by pair: 1 - mean distance within units / mean distance among all pairable ratings."""
    units = [column[~np.isnan(column)] for column in ratings.T]
    units = [unit for unit in units if len(unit) > 1]
    pool = np.concatenate(units)

    def distance(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        between = sum((low <= pool) & (pool <= high))
        return float((between - (sum(pool == low) + sum(pool == high)) / 2) ** 2)

    observed = sum(sum(distance(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(
        pool
    )
    expected = sum(distance(a, b) for a, b in permutations(pool, 2)) / (len(pool) * (len(pool) - 1))
    return float(1 - observed / expected)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_the_definition_by_pairs(level) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        ratings = rng.integers(1, 6, size=(4, 9)).astype(float)
        ratings[rng.random(ratings.shape) < 0.3] = np.nan
        assert krippendorff_alpha(ratings, level=level) == pytest.approx(by_pairs(ratings, level), abs=1e-12)


def test_its_ends() -> None:
    agreed = np.tile([1.0, 2, 5, 4], (3, 1))
    assert krippendorff_alpha(agreed) == 1
    # Two raters who always differ, over 1 and 2: 8 pairable ratings, 4 of each; D_o = 1, D_e = 4·4·2 / (8·7).
    assert krippendorff_alpha(table("1212", "2121"), level="nominal") == pytest.approx(1 - 56 / 32)
    assert np.isnan(krippendorff_alpha(np.full((3, 4), 5.0)))
    assert alpha_interval(np.full((3, 4), 5.0)) is None
    noise = np.random.default_rng(0).integers(1, 6, (17, 400)).astype(float)
    assert krippendorff_alpha(noise) == pytest.approx(0, abs=0.02)


def test_order_of_raters_and_units_and_a_lone_rating_change_nothing() -> None:
    rng = np.random.default_rng(1)
    moved = PUBLISHED[rng.permutation(4)][:, rng.permutation(12)]
    assert krippendorff_alpha(moved) == pytest.approx(krippendorff_alpha(PUBLISHED), abs=1e-12)
    lone = PUBLISHED.copy()
    lone[1, 11] = 1
    assert krippendorff_alpha(lone) == krippendorff_alpha(PUBLISHED)


def test_interval_holds_the_true_alpha() -> None:
    # The alpha of a huge study is the truth; units are what is drawn.
    rng = np.random.default_rng(2)

    def study(units: int) -> np.ndarray:
        return np.clip(np.rint(3 + rng.normal(0, 1, units) + rng.normal(0, 0.8, (8, units))), 1, 5)

    truth = krippendorff_alpha(study(20_000))
    hits = []
    for _ in range(300):
        low, high = alpha_interval(study(60), resamples=300)
        hits.append(low <= truth <= high)
    assert 0.90 <= np.mean(hits) <= 0.98


def test_clusters_are_drawn_whole() -> None:
    once = np.clip(np.rint(3 + np.random.default_rng(4).normal(0, 1, (5, 30))), 1, 5)
    thrice = np.repeat(once, 3, axis=1)
    clips = np.repeat(np.arange(30), 3).tolist()
    low, high = alpha_interval(thrice, clusters=clips)
    narrow = alpha_interval(thrice)
    assert high - low > 1.4 * (narrow.high - narrow.low)
    assert alpha_interval(thrice, clusters=clips) == (low, high)
    assert alpha_interval(thrice, clusters=[0] * 90) is None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: krippendorff_alpha(np.array([1.0, 2])), r"\[raters, units\].*found the shape \(2,\)"),
        (lambda: krippendorff_alpha(np.array([[1, np.inf], [1, 2]])), "must be finite"),
        (lambda: krippendorff_alpha(table("12.", "..3")), "No unit was rated twice"),
        (lambda: alpha_interval(PUBLISHED, clusters=[1]), "1 cluster names for 12 units"),
    ],
)
def test_bad_input_gets_its_sentence(call, sentence) -> None:
    with pytest.raises(A2IBenchError, match=sentence):
        call()
