"""The crossed mean against the analysis of variance by hand, and by simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.crossed import crossed_mean, crossed_p_value

RATERS, CLIPS = 17, 15


def anova(ratings: np.ndarray) -> tuple[float, float]:
    """Squared standard error and degrees of freedom by the mean squares of a complete table."""
    raters, clips = ratings.shape
    mean, by_rater, by_clip = ratings.mean(), ratings.mean(axis=1), ratings.mean(axis=0)
    a = clips * by_rater.var(ddof=1)
    b = raters * by_clip.var(ddof=1)
    rest = ratings - by_rater[:, None] - by_clip + mean
    c = (rest**2).sum() / ((raters - 1) * (clips - 1))
    total = max(a + b - c, a, b, c)
    df = total**2 / (a**2 / (raters - 1) + b**2 / (clips - 1) + c**2 / ((raters - 1) * (clips - 1)))
    return total / ratings.size, df


def simulated(mean, rater, clip, rest, count, seed):
    rng = np.random.default_rng(seed)
    drawn = mean + rater * rng.standard_normal((count, RATERS, 1)) + clip * rng.standard_normal((count, 1, CLIPS))
    return np.clip(np.rint(drawn + rest * rng.standard_normal((count, RATERS, CLIPS))), 1, 5)


def test_a_complete_table_is_the_analysis_of_variance() -> None:
    for ratings in simulated(3.5, 0.5, 0.6, 0.8, 5, 0):
        found = crossed_mean(ratings)
        variance, df = anova(ratings)
        assert found.mean == pytest.approx(ratings.mean())
        assert (found.stderr, found.df) == pytest.approx((variance**0.5, df), rel=1e-9)
        half = stats.t.ppf(0.975, df) * variance**0.5
        assert (found.low, found.high) == pytest.approx((ratings.mean() - half, ratings.mean() + half), rel=1e-9)
        t = ratings.mean() / variance**0.5
        assert crossed_p_value(ratings - 3.4) == pytest.approx(
            2 * stats.t.sf(abs(t - 3.4 / variance**0.5), df), rel=1e-6
        )


def test_by_hand() -> None:
    # Rater means 2 and 4, clip means 2, 3, 4, no rest: mean squares 3·2, 2·1 and 0.
    ratings = np.array([[1.0, 2, 3], [3, 4, 5]])
    found = crossed_mean(ratings)
    assert found.mean == 3
    assert found.stderr == pytest.approx(np.sqrt((6 + 2) / 6))
    assert found.df == pytest.approx(8**2 / (6**2 / 1 + 2**2 / 2))


@pytest.mark.parametrize(
    ("setting", "missing"),
    [
        ((3.0, 0.4, 0.6, 0.8), 0.0),
        ((3.0, 0.4, 0.6, 0.8), 0.3),
        ((5.2, 0.3, 0.5, 0.6), 0.0),
        ((1.4, 0.4, 0.5, 0.6), 0.2),
        ((3.5, 0.8, 0.3, 0.6), 0.0),
    ],
)
def test_coverage_at_the_size_of_the_papers_study(setting, missing) -> None:
    mean, *spreads = setting
    spread = np.sqrt(np.square(spreads).sum())
    truth = 1 + sum(stats.norm.sf((edge - mean) / spread) for edge in (1.5, 2.5, 3.5, 4.5))
    rng, hits = np.random.default_rng(1), []
    for ratings in simulated(*setting, 1500, 2):
        ratings[rng.random(ratings.shape) < missing] = np.nan
        found = crossed_mean(ratings, bounds=(1, 5))
        hits.append(found.low <= truth <= found.high)
    assert 0.93 <= np.mean(hits) <= 0.97


def test_coverage_where_a_third_of_the_raters_stops_halfway() -> None:
    hits = []
    for ratings in simulated(3.0, 0.5, 0.5, 0.8, 1500, 3):
        ratings[:6, 7:] = np.nan
        found = crossed_mean(ratings, bounds=(1, 5))
        hits.append(found.low <= 3 <= found.high)
    assert 0.93 <= np.mean(hits) <= 0.97


def test_p_values_of_equal_methods() -> None:
    rng = np.random.default_rng(4)
    shape, p = (RATERS, CLIPS), []
    for _ in range(1500):
        apart = 0.3 * rng.standard_normal((RATERS, 1)) + 0.4 * rng.standard_normal((1, CLIPS))
        p.append(crossed_p_value(apart + 0.9 * rng.standard_normal(shape)))
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.07


def test_order_and_empty_rows_change_nothing() -> None:
    ratings = simulated(3.5, 0.5, 0.6, 0.8, 1, 5)[0]
    ratings[np.random.default_rng(6).random(ratings.shape) < 0.2] = np.nan
    plain = crossed_mean(ratings, bounds=(1, 5))
    rng = np.random.default_rng(7)
    moved = ratings[rng.permutation(RATERS)][:, rng.permutation(CLIPS)]
    assert crossed_mean(moved, bounds=(1, 5)) == pytest.approx(plain, rel=1e-9)
    padded = np.pad(ratings, 1, constant_values=np.nan)
    assert crossed_mean(padded, bounds=(1, 5)) == pytest.approx(plain, rel=1e-9)
    assert crossed_mean(6 - ratings, bounds=(1, 5)).low == pytest.approx(6 - plain.high, rel=1e-9)


@pytest.mark.parametrize(
    "ratings",
    [np.full((4, 5), 5.0), np.array([[1.0, 2, 3]]), np.array([[1.0], [2], [3]]), np.where(np.eye(3) > 0, 3.0, np.nan)],
    ids=["all equal", "one rater", "one clip", "a clip of its own for each rater"],
)
def test_no_interval_where_there_is_nothing_to_judge_it_by(ratings) -> None:
    found = crossed_mean(ratings, bounds=(1, 5))
    assert found.mean == pytest.approx(np.nanmean(ratings))
    assert found[1:] == (None, None, None, None)


def test_a_p_value_has_a_floor_and_a_ceiling() -> None:
    # Ten raters, eight clips, always the same difference: at most eight coins fell on one side.
    assert crossed_p_value(np.ones((10, 8))) == 2**-7
    assert crossed_p_value(np.ones((10, 8)) + 1e-6 * np.random.default_rng(0).random((10, 8))) == 2**-7
    assert crossed_p_value(np.zeros((10, 8))) == 1
    assert crossed_p_value(np.ones((1, 8))) == 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: crossed_mean(np.ones(3)), r"found the shape \(3,\)"),
        (lambda: crossed_mean(np.full((2, 2), np.nan)), "not all missing"),
        (lambda: crossed_mean(np.array([[1, np.inf]])), "finite"),
        (lambda: crossed_mean(np.ones((2, 2)) * 6, bounds=(1, 5)), "between 1 and 5"),
        (lambda: crossed_mean(np.ones((2, 2)), level=95), "level=95"),
    ],
)
def test_bad_input_gets_its_sentence(call, sentence) -> None:
    with pytest.raises(A2IBenchError, match=sentence):
        call()
