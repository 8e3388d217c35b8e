"""Bradley–Terry against hand-solved cases and against choix."""

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.preferences import bradley_terry

FOUR = np.array([[0, 7, 2, 9], [3, 0, 5, 5], [6, 4, 0, 1], [1, 2, 8, 0]])


def test_two_methods_are_apart_by_their_log_odds() -> None:
    a, b = bradley_terry(np.array([[0, 7], [3, 0]]), prior=0)
    assert a - b == pytest.approx(np.log(7 / 3), abs=1e-9)
    assert a + b == pytest.approx(0, abs=1e-12)
    a, b = bradley_terry(np.array([[0, 7], [3, 0]]))
    assert a - b == pytest.approx(np.log(7.5 / 3.5), abs=1e-9)


def test_a_cycle_is_a_draw_and_a_chain_is_solved_by_hand() -> None:
    cycle = np.array([[0, 5, 0], [0, 0, 5], [5, 0, 0]])
    assert bradley_terry(cycle, prior=0) == pytest.approx([0, 0, 0], abs=1e-9)
    # A and C never met: each link gives its own log odds.
    chain = np.array([[0, 8, 0], [2, 0, 6], [0, 3, 0]])
    a, b, c = bradley_terry(chain, prior=0)
    assert (a - b, b - c) == pytest.approx((np.log(4), np.log(2)), abs=1e-8)


def test_wins_are_explained() -> None:
    # At the most likely strengths each method is expected to win as often as it did.
    s = bradley_terry(FOUR, prior=0)
    games = FOUR + FOUR.T
    expected = (games / (1 + np.exp(s[None] - s[:, None]))).sum(axis=1)
    assert expected == pytest.approx(FOUR.sum(axis=1), abs=1e-7)


def test_choix_agrees() -> None:
    choix = pytest.importorskip("choix")
    rng = np.random.default_rng(0)
    for wins in (FOUR, rng.poisson(20, (6, 6))):
        pairs = [(i, j) for i in range(len(wins)) for j in range(len(wins)) if i != j for _ in range(wins[i, j])]
        assert bradley_terry(wins, prior=0) == pytest.approx(choix.ilsr_pairwise(len(wins), pairs), abs=1e-6)


def test_resamples_are_fitted_together_as_one_by_one() -> None:
    many = np.random.default_rng(1).poisson(3, (2, 50, 4, 4))
    together = bradley_terry(many)
    assert together.shape == (2, 50, 4)
    alone = np.array([[bradley_terry(wins) for wins in row] for row in many])
    assert together == pytest.approx(alone, abs=1e-7)


def test_a_method_that_never_lost_is_finite_by_the_prior_and_refused_without() -> None:
    swept = np.array([[0, 1000, 5000], [0, 0, 100_000], [0, 0, 0]])
    s = bradley_terry(swept)
    assert np.isfinite(s).all()
    assert s[0] > s[1] > s[2]
    for wins in (swept, np.array([[0, 3, 0], [3, 0, 0], [0, 0, 0]])):
        with pytest.raises(A2IBenchError, match="No finite strengths fit these wins"):
            bradley_terry(wins, prior=0)
    assert bradley_terry(np.zeros((3, 3))) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(
    ("wins", "prior", "sentence"),
    [
        (np.zeros((2, 3)), 0.5, r"found the shape \(2, 3\)"),
        (np.array([[0, -1], [2, 0]]), 0.5, "not negative"),
        (np.array([[0, np.nan], [2, 0]]), 0.5, "finite"),
        (np.zeros((2, 2)), -1, "prior must be 0 or more"),
    ],
)
def test_bad_input_gets_its_sentence(wins, prior, sentence) -> None:
    with pytest.raises(A2IBenchError, match=sentence):
        bradley_terry(wins, prior=prior)
