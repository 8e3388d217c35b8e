"""Many methods at once: the same answers as pair by pair, exact where few clips differ, and ranks that hold."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import ranks
from a2ibench.metrics.ranks import letters, paired_differences, rank_intervals, who_is_better
from a2ibench.metrics.stats import holm, paired_difference
from a2ibench.results.pairs import set_difference


def board(clips, levels, noise=6.0, seed=0):
    """Values of methods at these levels on clips that are hard or easy for all, [clips, methods]."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 20, clips)[:, None] + np.asarray(levels) + rng.normal(0, noise, (clips, len(levels)))


def better_by_tests(values):
    found = paired_differences(values, resamples=200)
    adjusted = holm([pair.p_value for pair in found.values()])
    apart = {pair: d.difference for (pair, d), p in zip(found.items(), adjusted, strict=True) if p < 0.05}
    return who_is_better(apart, values.shape[1])


@pytest.fixture
def small_group(monkeypatch):
    """1,024 sign vectors instead of 65,536: for simulations."""
    monkeypatch.setattr(ranks, "SIDE", 32)


# ------------------------------------------------------------------------------------------------ all pairs


def test_every_pair_agrees_with_the_pair_alone():
    values = board(200, [50, 50.8, 52, 52.1])
    found = paired_differences(values)
    assert list(found) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for (i, j), pair in found.items():
        alone = paired_difference(values[:, i], values[:, j])
        assert pair.difference == pytest.approx(alone.difference, rel=1e-12)
        assert pair[4:] == (*alone[4:7], 200)
        assert pair.p_value == pytest.approx(alone.p_value, abs=4 * np.sqrt(alone.p_value / 10_000) + 1e-4)
        width = alone.high - alone.low
        assert (pair.low, pair.high) == pytest.approx((alone.low, alone.high), abs=0.03 * width)


@pytest.mark.parametrize("clips", [3, 9, 13, 15])
def test_few_clips_get_the_exact_test(clips):
    values = np.round(board(clips, [50, 53, 56], seed=clips), 1)
    for (i, j), pair in paired_differences(values, resamples=50).items():
        # All 2^n signings, whichever way they are counted.
        exact = paired_difference(values[:, i], values[:, j], resamples=2**15)
        assert pair.p_value == pytest.approx(exact.p_value, abs=1e-12)


def test_few_clips_that_differ_among_many_get_the_exact_test():
    values = np.repeat(board(500, [0])[:, :1], 2, axis=1)
    values[:11, 1] += np.linspace(-1, 5, 11)
    pair = paired_differences(values, resamples=50)[0, 1]
    assert pair.p_value == paired_difference(values[:, 0], values[:, 1]).p_value
    assert (pair.wins, pair.losses, pair.ties) == (2, 9, 489)


def test_the_turned_pair_is_the_mirror_image():
    values = board(300, [50, 51])
    pair, turned = paired_differences(values)[0, 1], paired_differences(values[:, ::-1])[0, 1]
    assert turned.p_value == pair.p_value
    assert turned.difference == -pair.difference
    assert (turned.low, turned.high) == pytest.approx((-pair.high, -pair.low), rel=1e-9)
    assert (turned.wins, turned.losses) == (pair.losses, pair.wins)


def test_other_methods_change_nothing_of_a_pair():
    values = board(300, [50, 51, 40, 90])
    alone, among = paired_differences(values[:, :2])[0, 1], paired_differences(values)[0, 1]
    assert among == pytest.approx(alone, rel=1e-12)


def test_equal_methods_do_not_differ():
    pair = paired_differences(np.repeat(board(50, [50]), 2, axis=1))[0, 1]
    assert pair == (0, 0, 0, 1, 0, 0, 50, 50)


def test_a_clip_without_a_value_is_left_out_for_all():
    values = board(40, [50, 55, 60])
    values[3, 2] = np.nan
    assert paired_differences(values, resamples=100) == paired_differences(np.delete(values, 3, axis=0), resamples=100)


def test_clear_differences_get_p_values_that_outlast_holm():
    values = board(15_000, [50, 52], noise=3)
    pair = paired_differences(values, resamples=100)[0, 1]
    assert 0 < pair.p_value < 1e-30, "not 1 in 65,536, which Holm over a large board would spoil"
    # A difference of about 4.6 standard errors: between the resolution of the flips and the bound.
    apart = np.random.default_rng(1).normal(0, 1, 2_000)
    apart += 4.9 / np.sqrt(2_000) - apart.mean()
    p_value = paired_differences(np.stack([apart, np.zeros(2_000)], axis=1), resamples=100)[0, 1].p_value
    z = abs(apart.sum()) / np.sqrt((apart**2).sum())
    normal = 2 * scipy_stats.norm.sf(z)
    assert normal < p_value <= 3.1787 * normal * 1.001


def test_the_bound_is_never_below_the_exact_p_value():
    rng = np.random.default_rng(2)
    for n in (6, 10, 14):
        for apart in (rng.exponential(size=n), rng.normal(1, 0.3, n), np.ones(n)):
            exact = paired_difference(apart, np.zeros(n), resamples=2**n).p_value
            z = abs(apart.sum()) / np.sqrt((apart**2).sum())
            assert ranks.RADEMACHER * 2 * scipy_stats.norm.sf(z) >= exact


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.ones(3), r"found the shape \(3,\)"),
        (np.array([[1.0, np.inf]]), "must be finite"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "None of the 2 clips"),
    ],
)
def test_bad_input_gets_its_sentence(values, sentence):
    with pytest.raises(A2IBenchError, match=sentence):
        paired_differences(values)


# ------------------------------------------------------------------------------------------- set statistics


def test_set_statistics_differ_where_their_intervals_do_not_overlap():
    # 1.96 · (1 + 2) = 5.88.
    for apart, below in ((5.8, False), (5.95, True)):
        difference, low, high, p_value, *_ = set_difference(10 + apart, 1.0, 10.0, 2.0)
        assert difference == pytest.approx(apart)
        assert (p_value < 0.05) == below == (low > 0)
        assert high - low == pytest.approx(2 * 1.959964 * 3)
    assert set_difference(1.0, 0.0, 2.0, 0.0).p_value == 1.0


@pytest.mark.parametrize("together", [-1.0, -0.5, 0.0, 0.9, 1.0])
def test_set_statistics_hold_their_level_whatever_the_dependence(together):
    rng = np.random.default_rng(3)
    errors = rng.multivariate_normal([0, 0], [[1, 2 * together], [2 * together, 4]], size=3_000)
    rejected = np.mean([set_difference(a, 1.0, b, 2.0)[3] < 0.05 for a, b in errors])
    assert rejected <= 0.06


# ------------------------------------------------------------------------------------- ranks and tie groups


def test_ranks_where_all_are_equal():
    better = better_by_tests(np.repeat(board(60, [50]), 5, axis=1))
    assert rank_intervals(better) == [(1, 5)] * 5
    assert letters(better | better.T) == ["a"] * 5


def test_ranks_of_a_ladder():
    better = better_by_tests(board(200, [90, 80, 70, 60, 50]))
    assert rank_intervals(better) == [(place, place) for place in range(1, 6)]
    assert letters(better | better.T) == list("abcde")


def test_ranks_of_two_tiers_and_a_bridge():
    # Two at the top, two below, and one between that is not told apart from either.
    better = who_is_better({(0, 3): 1.0, (0, 4): 1.0, (1, 3): 2.0, (1, 4): 1.0}, 5)
    assert rank_intervals(better) == [(1, 3), (1, 3), (1, 5), (3, 5), (3, 5)]
    assert letters(better | better.T) == ["a", "a", "ab", "b", "b"]


def test_a_negative_sign_turns_who_is_better():
    assert who_is_better({(0, 1): -3.0}, 2).tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize("seed", range(20))
def test_two_share_a_letter_if_and_only_if_they_are_not_told_apart(seed):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((9, 9)) < rng.uniform(0.1, 0.9), 1)
    differ = upper | upper.T
    found = [set(each) for each in letters(differ)]
    for i in range(9):
        assert found[i], "each has one"
        for j in range(i):
            assert bool(found[i] & found[j]) != differ[i, j]


def test_more_groups_than_letters():
    differ = ~np.eye(30, dtype=bool)
    assert letters(differ)[24:28] == ["y", "z", "a1", "b1"]


# ----------------------------------------------------------------------------------------------- simulations


def test_family_wise_error_where_nothing_differs(small_group):
    # Eight methods, 28 pairs: with Holm, 5 % of such boards may tell any pair apart. The clips' hardness is shared.
    rng = np.random.default_rng(4)
    boards = (rng.gamma(1, 10, 60)[:, None] + rng.gamma(2, 5, (60, 8)) for _ in range(300))
    wrong = np.mean([better_by_tests(values).any() for values in boards])
    assert wrong <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_p_values_are_uniform_where_nothing_differs(small_group):
    rng = np.random.default_rng(5)
    found = [paired_differences(rng.normal(size=(40, 2)), resamples=10)[0, 1].p_value for _ in range(500)]
    assert scipy_stats.kstest(found, "uniform").pvalue > 0.01


def test_rank_intervals_hold_the_true_ranks(small_group):
    # All ranks of a board are to lie in their intervals at once, in 95 of 100 boards; three of five tie.
    levels, rng = [54.0, 52.0, 50.0, 50.0, 50.0], np.random.default_rng(6)
    truth = [(1, 1), (2, 2), (3, 5), (3, 5), (3, 5)]
    held = []
    for _ in range(150):
        values = rng.gamma(1, 10, 80)[:, None] + np.array(levels) + rng.gamma(2, 4, (80, 5))
        intervals = rank_intervals(better_by_tests(values))
        held.append(all(low <= a and b <= high for (low, high), (a, b) in zip(intervals, truth, strict=True)))
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 150)
