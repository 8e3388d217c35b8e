"""KID: a case by hand, torch-fidelity's estimator, no bias, and the jackknife."""

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Coverage, Features, get
from a2ibench.metrics.base import UndefinedError
from a2ibench.metrics.kid import polynomial_mmd, subset_mmd

RNG = np.random.default_rng(0)


def test_one_dimension_by_eye() -> None:
    # k(x, y) = (xy + 1)³. Within x = (0, 0, 1): pairs 1, 1, 1, mean 1. Within y = (1, 1): 8.
    # Across: 1, 1 and 8, mean 10/3. So 1 + 8 - 20/3.
    x, y = np.array([[0.0], [0.0], [1.0]]), np.array([[1.0], [1.0]])
    assert polynomial_mmd(x, y).value == pytest.approx(9 - 20 / 3, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(200, 64), (20, 64)])
def test_agrees_with_torch_fidelity(n: int, d: int) -> None:
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = RNG.standard_normal((n, d)), RNG.standard_normal((n, d)) + 0.1
    kernel = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    theirs = kid.mmd2(*(kid.kernel_poly(a, b, **kernel) for a, b in ((x, x), (x, y), (y, y))))
    assert polynomial_mmd(x, y).value == pytest.approx(float(theirs), rel=1e-9)


def test_blocks_change_nothing() -> None:
    x, y = RNG.standard_normal((57, 9)), RNG.standard_normal((41, 9))
    whole = polynomial_mmd(x, y)
    for cells in (1, 100, 570):
        assert polynomial_mmd(x, y, block_cells=cells) == pytest.approx(whole, rel=1e-10)


def test_zero_on_average_for_one_distribution() -> None:
    values = [polynomial_mmd(*RNG.standard_normal((2, 30, 5))).value for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert min(values) < 0  # Unbiased, and therefore not clipped.


def test_standard_error_is_the_jackknife() -> None:
    x, y = RNG.standard_normal((40, 6)) + 0.2, RNG.standard_normal((50, 6))
    without = np.array([polynomial_mmd(np.delete(x, i, axis=0), y).value for i in range(40)])
    assert polynomial_mmd(x, y).stderr == pytest.approx(np.sqrt(39 * without.var()), rel=1e-9)


def test_subsets_of_everything_are_everything_and_agree_with_torch_fidelity() -> None:
    x, y = RNG.standard_normal((60, 8)) + 0.3, RNG.standard_normal((60, 8))
    whole = subset_mmd(x, y, subsets=3, size=60, names=("x", "y"))
    assert whole.value == pytest.approx(polynomial_mmd(x, y).value, rel=1e-12)
    some = subset_mmd(x, y, subsets=400, size=20, names=("x", "y"))
    assert abs(some.value - whole.value) < 4 * some.stderr  # unbiased
    assert some == subset_mmd(x, y, subsets=400, size=20, names=("x", "y"))
    assert some != subset_mmd(x, y, subsets=400, size=20, seed=1, names=("x", "y"))


def test_few_images_have_no_subsets() -> None:
    x = RNG.standard_normal((40, 6))
    statistic = get("KID.subsets").statistic
    assert statistic
    with pytest.raises(UndefinedError, match="2,000 images"):
        statistic(Features({"generated/inception": x, "reference/inception": x}))
    assert "subsets:100x1000|seed:0" in str(
        get("KID.subsets").signature(n=9, encoders={"inception": "x"}, suite="s", coverage=Coverage(1, 9, 9))
    )


def test_the_metric_is_scaled() -> None:
    x, y = (
        RNG.standard_normal((40, 6)).astype(np.float32) + 1,
        RNG.standard_normal((50, 6)).astype(np.float32),
    )
    statistic = get("KID").statistic
    assert statistic
    result = statistic(Features({"generated/inception": x, "reference/inception": y}, labels=("a",) * 40))
    raw = polynomial_mmd(x, y)
    assert (result.value, result.stderr) == (1000 * raw.value, 1000 * raw.stderr)
    assert result.extra == {"n": 40, "m": 50, "d": 6}


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.ones((2, 4)), np.ones((9, 4)), r"'x' must hold 3 or more rows.*\(2, 4\)"),
        (np.ones((3, 4)), np.ones((1, 4)), r"'y' must hold 2 or more rows.*\(1, 4\)"),
        (np.ones((3, 4)), np.ones((3, 5)), "'x' has 4 features and 'y' 5"),
        (np.ones((3, 4)), np.full((3, 4), np.nan), "Row 0 of 'y' is not finite"),
    ],
)
def test_bad_input_gets_its_sentence(x: np.ndarray, y: np.ndarray, sentence: str) -> None:
    with pytest.raises(A2IBenchError, match=sentence):
        polynomial_mmd(x, y)
