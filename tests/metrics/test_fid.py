"""FID: closed forms, other people's implementations, singular covariances, and the standard error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.fid import frechet_distance, frechet_distance_from_statistics, frechet_influence

RNG = np.random.default_rng(0)
# N, M and d: regular covariances; then too few generated images, too few references, both, and the border.
SHAPES = [(300, 400, 64), (30, 400, 64), (400, 30, 64), (30, 40, 64), (64, 65, 64), (65, 64, 64), (2, 2, 5)]


def features(n: int, d: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Like Inception's: not negative, correlated, of very unequal variances, float32."""
    mix = np.random.default_rng(d).standard_normal((d, d)) / np.arange(1, d + 1)
    return np.maximum(RNG.standard_normal((n, d)) * scale @ mix + shift, 0).astype(np.float32)


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wide = x.astype(np.float64)
    return wide.mean(axis=0), np.cov(wide, rowvar=False)


def standard_error(x: np.ndarray, y: np.ndarray) -> float:
    influence = frechet_influence(x, y)
    return float(np.sqrt((influence**2).sum() / (len(x) * (len(x) - 1))))


def test_one_dimension_by_eye() -> None:
    # Means 1 and 4, variances 2 and 8: (4 - 1)² + (√8 - √2)² = 9 + 2.
    x, y = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert frechet_distance(x, y) == pytest.approx(11, rel=1e-12)


def test_shifted_and_scaled_gaussians() -> None:
    x = RNG.standard_normal((5000, 6))
    mean, covariance = statistics(x)
    shift = np.arange(6.0)
    assert frechet_distance(x, x + shift) == pytest.approx(shift @ shift, rel=1e-9)
    assert frechet_distance(x, 3 * (x - mean) + mean) == pytest.approx(4 * np.trace(covariance), rel=1e-9)
    # Commuting covariances: the sum of squared differences of the standard deviations.
    got = frechet_distance_from_statistics(np.zeros(3), np.diag([1.0, 4, 9]), shift[:3], np.diag([4.0, 4, 1]))
    assert got == pytest.approx(1 + 0 + 4 + shift[:3] @ shift[:3], rel=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_agrees_with_pytorch_fid(n: int, m: int, d: int) -> None:
    score = pytest.importorskip("pytorch_fid.fid_score")
    x, y = features(n, d), features(m, d, 0.1, 1.2)
    try:
        theirs = score.calculate_frechet_distance(*statistics(x), *statistics(y))
    except TypeError:
        pytest.skip("this SciPy no longer has the argument that pytorch-fid calls sqrtm with")
    regular = min(n, m) > d + 1
    # Where a covariance is singular, it is sqrtm that loses half the digits.
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-9 if regular else 1e-5)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_agrees_with_torch_fidelity(n: int, m: int, d: int) -> None:
    module = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = features(n, d), features(m, d, 0.1, 1.2)
    stats = [dict(zip(("mu", "sigma"), statistics(part), strict=True)) for part in (x, y)]
    theirs = module.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-9 if min(n, m) > d + 1 else 1e-5)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_statistics_give_the_same_as_features(n: int, m: int, d: int) -> None:
    x, y = features(n, d), features(m, d, 0.1, 1.2)
    got = frechet_distance_from_statistics(*statistics(x), *statistics(y))
    assert got == pytest.approx(frechet_distance(x, y), rel=1e-7)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_singular_matches_the_nuclear_norm(n: int, m: int, d: int) -> None:
    # The definition of the trace term that never squares anything.
    x, y = features(n, d).astype(np.float64), features(m, d, 0.1, 1.2).astype(np.float64)
    a, b = ((part - part.mean(axis=0)) / np.sqrt(len(part) - 1) for part in (x, y))
    shift = x.mean(axis=0) - y.mean(axis=0)
    term = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    expected = shift @ shift + (a * a).sum() + (b * b).sum() - 2 * term
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(300, 64), (30, 64), (64, 64)])
def test_a_set_is_at_no_distance_from_itself(n: int, d: int) -> None:
    x = features(n, d)
    scale = np.trace(statistics(x)[1])
    assert 0 <= frechet_distance(x, x) < 1e-9 * scale
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-9 * scale


def test_dead_features_and_repeated_images() -> None:
    x, y = features(200, 16), features(200, 16, 0.2)
    x[:, 3] = y[:, 3] = 0  # Never active: Cholesky must fail, and the answer must not change.
    kept = np.arange(16) != 3
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(x[:, kept], y[:, kept]), rel=1e-10)
    assert standard_error(x, y) == pytest.approx(standard_error(x[:, kept], y[:, kept]), rel=1e-6)
    same = np.ones((50, 16))  # A method that always draws the same image: no variance at all.
    mean, covariance = statistics(y)
    expected = ((mean - 1) ** 2).sum() + np.trace(covariance)
    assert frechet_distance(same, y) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(same[:3], same) == 0
    assert np.isfinite(frechet_influence(same, y)).all()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 12), m=st.integers(2, 12), d=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_symmetric_not_negative_and_blind_to_motion(n: int, m: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), 2 * rng.standard_normal((m, d)) + 1
    value = frechet_distance(x, y)
    assert value >= 0
    assert frechet_distance(y, x) == pytest.approx(value, rel=1e-6, abs=1e-6)
    turn, _ = np.linalg.qr(rng.standard_normal((d, d)))
    assert frechet_distance(x @ turn + 5, y @ turn + 5) == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * value, rel=1e-6, abs=1e-6)


def reweighted(x: np.ndarray, y: np.ndarray, i: int, extra: float) -> float:
    """The distance when row i of x has some extra weight, straight from the definition."""
    n = len(x)
    weights = np.full(n, (1 - extra) / n)
    weights[i] += extra
    mean = weights @ x
    a = (x - mean) * np.sqrt(weights * n / (n - 1))[:, None]
    b = (y - y.mean(axis=0)) / np.sqrt(len(y) - 1)
    shift = mean - y.mean(axis=0)
    term = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(shift @ shift + (a * a).sum() + (b * b).sum() - 2 * term)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 80, 6), (12, 80, 20), (80, 12, 20), (12, 14, 20)])
def test_influence_is_the_derivative(n: int, m: int, d: int) -> None:
    x, y = RNG.standard_normal((n, d)) + 0.3, 1.3 * RNG.standard_normal((m, d))
    influence = frechet_influence(x, y)
    assert influence.sum() == pytest.approx(0, abs=1e-9 * np.abs(influence).sum())
    step = 1e-4
    for i in range(5):
        slope = (reweighted(x, y, i, step) - reweighted(x, y, i, -step)) / (2 * step)
        assert influence[i] == pytest.approx(slope, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("n", "m", "d", "within"), [(200, 300, 8, 0.1), (200, 10, 30, 0.1), (30, 300, 40, 0.3)])
def test_standard_error_agrees_with_the_jackknife(n: int, m: int, d: int, within: float) -> None:
    x, y = RNG.standard_normal((n, d)) + 0.3, 1.3 * RNG.standard_normal((m, d))
    without = np.array([frechet_distance(np.delete(x, i, axis=0), y) for i in range(n)])
    assert standard_error(x, y) == pytest.approx(np.sqrt((n - 1) * without.var()), rel=within)


def test_standard_error_is_the_spread_over_fresh_samples() -> None:
    y = 1.3 * RNG.standard_normal((400, 8))
    samples = RNG.standard_normal((300, 200, 8)) + 0.3
    spread = np.std([frechet_distance(x, y) for x in samples])
    assert np.mean([standard_error(x, y) for x in samples[:20]]) == pytest.approx(spread, rel=0.15)


def test_the_metric_reports_its_numbers() -> None:
    x, y = features(90, 16), features(70, 16, 0.2)
    statistic = get("FID").statistic
    assert statistic
    result = statistic(Features({"generated/inception": x, "reference/inception": y}, labels=("a",) * 90))
    assert result.value == frechet_distance(x, y)
    assert result.stderr == pytest.approx(standard_error(x, y), rel=1e-12)
    assert result.extra == {"n": 90, "m": 70, "d": 16}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: frechet_distance(np.ones((1, 4)), np.ones((9, 4))),
            r"'x' must hold 2 or more rows.*\(1, 4\)",
        ),
        (lambda: frechet_distance(np.ones((9, 4)), np.ones(9)), r"'y' must hold 2 or more rows.*\(9,\)"),
        (lambda: frechet_distance(np.ones((9, 4)), np.ones((9, 5))), "'x' has 4 features and 'y' 5"),
        (lambda: frechet_distance(np.diag([1, np.inf]), np.eye(2)), "Row 1 of 'x' is not finite"),
        (
            lambda: frechet_distance_from_statistics(np.ones(3), np.eye(3), np.ones(2), np.eye(2)),
            r"found \(3,\), \(3, 3\), \(2,\), \(2, 2\)",
        ),
        (
            lambda: frechet_distance_from_statistics(np.ones(2), np.eye(2) * np.nan, np.ones(2), np.eye(2)),
            "not finite",
        ),
    ],
)
def test_bad_input_gets_its_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(A2IBenchError, match=sentence):
        call()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = RNG.standard_normal((300, 7)).astype(np.float32), RNG.standard_normal((200, 7)).astype(np.float32) + 0.2
    value, influence = frechet_distance(x, y), frechet_influence(x, y)
    for block in (1, 64, 299):
        monkeypatch.setattr("a2ibench.metrics.fid._BLOCK", block)
        assert frechet_distance(x, y) == pytest.approx(value, rel=1e-10)
        np.testing.assert_allclose(frechet_influence(x, y), influence, atol=1e-10)
