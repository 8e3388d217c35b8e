"""Intervals and tests against independent implementations, and their coverage by simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from a2ibench.metrics.ranks import paired_differences
from a2ibench.metrics.stats import bootstrap_interval, holm, paired_difference, wilson_interval

RNG = np.random.default_rng(11)
HARDNESS = RNG.gamma(2, 15, 150)
A, B = HARDNESS + RNG.normal(1, 8, 150), HARDNESS + RNG.gamma(1, 4, 150)


def paired(a, b):
    """Both of our ways: the pair alone, and among others."""
    return paired_difference(a, b), paired_differences(np.stack([a, b, b], axis=1))[0, 1]


# -------------------------------------------------------------------------------------------------- oracles


def test_paired_intervals_agree_with_scipy():
    theirs = scipy_stats.bootstrap(
        (A, B), lambda a, b, axis: np.mean(a - b, axis=axis), paired=True, vectorized=True, n_resamples=20_000,
        method="BCa", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    for ours in paired(A, B):
        assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.03 * (theirs.high - theirs.low))


@pytest.mark.parametrize(("n", "shift", "within"), [(8, 4.0, 1e-12), (13, -3.0, 1e-12), (150, 0.5, 0.012)])
def test_paired_p_values_agree_with_scipy(n, shift, within):
    a, b = A[:n] + shift, B[:n]
    theirs = scipy_stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=20_000, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    for ours in paired(a, b):
        assert ours.p_value == pytest.approx(theirs, abs=within)


@pytest.mark.parametrize("count", [1, 2, 15, 200])
def test_holm_agrees_with_statsmodels(count):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.random.default_rng(count).beta(0.3, 2, count)
    p_values[: count // 5] = p_values[-1]  # ties
    assert holm(p_values.tolist()) == pytest.approx(multitest.multipletests(p_values, method="holm")[1], rel=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 12), (5, 12), (12, 12), (231, 240), (14_999, 15_000)])
def test_wilson_agrees_with_statsmodels(hits, n):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.proportion_confint(hits, n, method="wilson")
    assert wilson_interval(hits, n) == pytest.approx([100 * end for end in theirs], abs=1e-9)


# ------------------------------------------------------------------------------------------------- coverage

# Per-clip values as they come: win rates pile up at 100; raw distances have a tail; a share is 0 or 100.
SHAPES = {
    "normal": (lambda rng, size: rng.normal(50, 10, size), 50.0),
    "beta(4, 1)": (lambda rng, size: 100 * rng.beta(4, 1, size), 80.0),
    "gamma(2)": (lambda rng, size: rng.gamma(2, 10, size), 20.0),
}


def covered(intervals, truth):
    """The share of intervals that hold the truth; 1,600 of them know it to 0.55 %."""
    return np.mean([low <= truth <= high for low, high in intervals])


# Few resamples make the ends noisy, which costs coverage where clips are few: by default there are 10,000.
@pytest.mark.parametrize(
    ("shape", "n", "resamples"),
    [*((shape, n, r) for shape in SHAPES for n, r in ((60, 4000), (240, 1000))), ("beta(4, 1)", 1000, 500)],
)
def test_coverage_of_the_mean(shape, n, resamples):
    draw, truth = SHAPES[shape]
    samples = draw(np.random.default_rng(n), (1600 if n < 1000 else 800, n))
    assert 0.93 <= covered((bootstrap_interval(values, resamples=resamples) for values in samples), truth) <= 0.97


def test_coverage_of_a_mean_over_clips_with_several_images():
    # Three images of each of 200 clips; half of the variance lies between the clips. The values are skewed.
    rng, intervals = np.random.default_rng(3), []
    clips = np.repeat(np.arange(200), 3).tolist()
    for _ in range(1000):
        values = rng.gamma(2, 5, 200)[:, None] + rng.gamma(2, 5, (200, 3))
        by_cluster = bootstrap_interval(values.ravel(), clusters=clips, resamples=500)
        by_mean = bootstrap_interval(values.mean(axis=1), resamples=500)
        intervals.append((by_cluster, by_mean))
    for found in zip(*intervals, strict=True):
        assert 0.93 <= covered(found, 20.0) <= 0.97


@pytest.mark.parametrize("share", [0.08, 0.5, 0.97])
@pytest.mark.parametrize("n", [240, 1000])
def test_coverage_of_a_share(share, n):
    # Exact, not simulated: the sum over all outcomes. With 240 clips no interval can hit 95 % for every share.
    hits = np.arange(n + 1)
    inside = [low <= 100 * share <= high for low, high in (wilson_interval(int(k), n) for k in hits)]
    assert 0.93 <= scipy_stats.binom.pmf(hits, n, share)[inside].sum() <= 0.97


def test_coverage_of_paired_differences():
    # Four methods at known distances, on clips whose hardness is shared and skewed: all six intervals.
    rng, levels = np.random.default_rng(4), np.array([0.0, 0.0, 2.0, 5.0])
    held = []
    for _ in range(500):
        values = rng.gamma(1, 20, 120)[:, None] + levels + rng.gamma(2, 5, (120, 4))
        for (i, j), pair in paired_differences(values, resamples=400).items():
            held.append(pair.low <= levels[i] - levels[j] <= pair.high)
    assert 0.93 <= np.mean(held) <= 0.97
