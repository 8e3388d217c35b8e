"""Intervals, differences and adjustments against SciPy, hand-solved cases, and simulated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.stats import (
    bootstrap_interval,
    clips_needed,
    holm,
    paired_difference,
    wilson_interval,
)

RNG = np.random.default_rng(0)
SKEWED = RNG.gamma(1.0, 20.0, size=80)


def test_bootstrap_agrees_with_scipy() -> None:
    theirs = scipy_stats.bootstrap(
        (SKEWED,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = bootstrap_interval(SKEWED, resamples=20_000)
    assert ours == pytest.approx(tuple(theirs), abs=0.02 * (theirs.high - theirs.low))


def test_bootstrap_is_seeded_and_blind_to_order() -> None:
    ours = bootstrap_interval(SKEWED)
    assert bootstrap_interval(RNG.permutation(SKEWED)) == ours
    assert bootstrap_interval(np.append(SKEWED, np.nan)) == ours
    assert bootstrap_interval(SKEWED, seed=1) != ours
    assert bootstrap_interval(SKEWED, level=0.8).low > ours.low
    assert ours.low < SKEWED.mean() < ours.high


def test_equal_values_give_a_point() -> None:
    assert bootstrap_interval(np.full(20, 0.1)) == (0.1, 0.1)
    assert bootstrap_interval(np.array([7.0])) == (7.0, 7.0)
    assert bootstrap_interval(np.full(6, 3.0), clusters=list("aabbcc")) == (3.0, 3.0)


def test_bootstrap_coverage() -> None:
    # Win rates of a decent method, skewed as beta(4, 1), true mean 80, at the size of the mini suite.
    samples = 100 * np.random.default_rng(5).beta(4, 1, size=(1500, 240))
    hits = [low <= 80 <= high for low, high in (bootstrap_interval(v, resamples=800) for v in samples)]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_clusters_widen_the_interval_as_they_should() -> None:
    # Four images of each of 60 clips; all the variance lies between the clips.
    rng = np.random.default_rng(6)
    hits = []
    for _ in range(400):
        clip = rng.normal(50, 10, 60)
        values = (clip[:, None] + rng.normal(0, 1, (60, 4))).ravel()
        low, high = bootstrap_interval(values, clusters=np.repeat(np.arange(60), 4).tolist(), resamples=800)
        hits.append(low <= 50 <= high)
    assert 0.915 <= np.mean(hits) <= 0.975
    narrow = bootstrap_interval(values)
    assert high - low > 1.7 * (narrow.high - narrow.low)


def test_clusters_of_unequal_size_are_blind_to_order() -> None:
    values, clusters = RNG.normal(size=30), [f"clip{i % 7 // 2}" for i in range(30)]
    order = RNG.permutation(30)
    moved = bootstrap_interval(values[order], clusters=[clusters[i] for i in order])
    assert moved == bootstrap_interval(values, clusters=clusters)


def test_wilson_agrees_with_scipy_and_ends_inside() -> None:
    for successes, n in ((0, 10), (1, 10), (115, 240), (240, 240)):
        theirs = scipy_stats.binomtest(successes, n).proportion_ci(method="wilson")
        expected = (100 * theirs.low, 100 * theirs.high)
        assert wilson_interval(successes, n) == pytest.approx(expected, abs=1e-9)


def test_paired_difference_by_eye() -> None:
    # Differences 1, 2, 3, 0: of the 8 signings of 1, 2, 3 only +++ and --- reach 6, so p = 2/8.
    result = paired_difference(np.array([1.0, 4, 3, 5]), np.array([0.0, 2, 0, 5]))
    assert result.difference == 1.5
    assert result.p_value == 0.25
    assert (result.wins, result.losses, result.ties, result.n) == (3, 0, 1, 4)
    assert result.low < 1.5 < result.high


def test_equal_methods_do_not_differ() -> None:
    result = paired_difference(SKEWED, SKEWED)
    assert result == (0, 0, 0, 1, 0, 0, 80, 80)


@pytest.mark.parametrize(("n", "within"), [(10, 1e-12), (200, 0.1)])
def test_p_value_agrees_with_scipy(n: int, within: float) -> None:
    a = RNG.normal(50, 10, n)
    b = a - RNG.normal(0.9, 6, n)
    theirs = scipy_stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).pvalue
    ours = paired_difference(a, b)
    assert ours.p_value == pytest.approx(theirs, rel=within, abs=within / 10)
    mirrored = paired_difference(b, a)
    assert mirrored.p_value == ours.p_value
    assert mirrored.difference == pytest.approx(-ours.difference, rel=1e-12)


def test_p_value_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(7)
    p = [paired_difference(*rng.normal(size=(2, 40)), resamples=400).p_value for _ in range(500)]
    assert scipy_stats.kstest(p, "uniform").pvalue > 0.01


def test_p_value_is_never_zero_and_clusters_count_once() -> None:
    a, b = np.full(100, 1.0) + RNG.random(100), np.zeros(100)
    assert paired_difference(a, b).p_value == 1 / 10_001
    # Five clips with twenty images each can't do better than 2/2⁵.
    clustered = paired_difference(a, b, clusters=np.repeat(np.arange(5), 20).tolist())
    assert clustered.p_value == 2 / 32
    assert clustered.n == 100


def test_pairs_with_nan_are_left_out() -> None:
    a, b = np.array([1.0, np.nan, 3, 4]), np.array([0.0, 1, np.nan, 1])
    result = paired_difference(a, b)
    assert (result.difference, result.n) == (2.0, 2)


def test_holm_by_hand() -> None:
    # 0.01·4, 0.03·3, 0.04·2 (raised to 0.09), 0.5·1.
    assert holm([0.03, 0.5, 0.01, 0.04]) == pytest.approx([0.09, 0.5, 0.04, 0.09])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_never_lowers(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, adjusted, strict=True))
    order = sorted(range(len(p)), key=p.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_clips_needed_reaches_its_power() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(3, 10, 4000), np.zeros(4000)
    n = clips_needed(a, b)
    assert n == pytest.approx((2.8016 * 10 / 3) ** 2, rel=0.15)
    assert n is not None
    trials = rng.normal(a.mean(), a.std(), size=(2000, n))
    power = np.mean(scipy_stats.ttest_1samp(trials, 0, axis=1).pvalue < 0.05)
    assert power == pytest.approx(0.8, abs=0.03)
    assert clips_needed(a, a) is None
    assert clips_needed(np.ones(5), np.zeros(5)) == 2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bootstrap_interval(np.array([])), "None of the 0 per-clip values is a number"),
        (lambda: bootstrap_interval(np.array([1, np.inf])), "must be finite"),
        (lambda: bootstrap_interval(np.ones((2, 2))), r"one-dimensional; found the shape \(2, 2\)"),
        (lambda: bootstrap_interval(np.ones(2), level=95), "level=95 must lie between 0 and 1"),
        (lambda: bootstrap_interval(np.ones(2), resamples=0), "resamples=0 be positive"),
        (lambda: bootstrap_interval(np.ones(2), clusters=["a"]), "1 cluster names for 2 values"),
        (lambda: wilson_interval(3, 2), "3 successes among 2"),
        (lambda: wilson_interval(0, 0), "0 successes among 0"),
        (lambda: paired_difference(np.ones(2), np.ones(3)), r"\(2,\) and \(3,\) can't be paired"),
        (lambda: holm([0.1, 1.1]), "must lie between 0 and 1"),
        (lambda: clips_needed(np.ones(1), np.zeros(1)), "two or more clips"),
    ],
)
def test_bad_input_gets_its_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(A2IBenchError, match=sentence):
        call()
