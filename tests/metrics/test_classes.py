import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.classes import class_means


def _clips(counts, effects, seed=0, noise=10.0):
    rng = np.random.default_rng(seed)
    labels = [f"class {k}" for k, count in enumerate(counts) for _ in range(count)]
    values = np.concatenate([50 + e + noise * rng.standard_normal(c) for c, e in zip(counts, effects, strict=True)])
    return values, labels


def test_against_a_mixed_model_of_statsmodels():
    # With equally many clips in each class the estimate from the analysis of variance is the REML one.
    statsmodels = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    values, labels = _clips([6] * 8, [12, -9, 4, 0, -3, 15, -14, 2])
    fit = statsmodels.MixedLM(values, np.ones((len(values), 1)), groups=np.array(labels)).fit(reml=True)
    found = class_means(values, labels)
    for each in found:
        expected = fit.fe_params[0] + float(np.asarray(fit.random_effects[each.label])[0])
        assert each.shrunk == pytest.approx(expected, abs=0.01)
    assert [each.mean for each in found] == pytest.approx(values.reshape(8, 6).mean(axis=1))


def test_few_clips_are_trusted_less():
    values, labels = _clips([40, 40, 40, 2], [20, -20, 10, 20])
    rows, overall = {each.label: each for each in class_means(values, labels)}, values.mean()
    trust = {name: (row.shrunk - overall) / (row.mean - overall) for name, row in rows.items()}
    assert 0 < trust["class 3"] < trust["class 0"] < 1
    assert [row.n for row in rows.values()] == [40, 40, 40, 2]


def test_the_shrunk_mean_predicts_other_clips_better():
    gain = []
    for seed in range(60):
        effects = np.random.default_rng(1000 + seed).normal(0, 5, 30)
        seen, labels = _clips([3] * 30, effects, seed)
        rows = class_means(seen, labels)
        truth = dict(zip([f"class {k}" for k in range(30)], 50 + effects, strict=True))
        plain = np.mean([(row.mean - truth[row.label]) ** 2 for row in rows])
        shrunk = np.mean([(row.shrunk - truth[row.label]) ** 2 for row in rows])
        gain.append(plain - shrunk)
    # By Stein's argument the plain mean's error, 10²/3, falls by about half here.
    assert np.mean(gain) > 10


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        ([1.0, 1.0, 5.0, 5.0], "aabb", [1.0, 5.0]),  # no spread within: nothing to shrink
        ([0.0, 10.0, 0.0, 10.0], "aabb", [5.0, 5.0]),  # no spread between: all of it is luck
        ([3.0, 5.0], "aa", [4.0]),  # one class is all there is
        ([7.0, 7.0, 7.0], "aab", [7.0, 7.0]),
        ([1.0, 2.0], "ab", [np.nan, np.nan]),  # one clip each: can't be told
        ([np.nan, 2.0, 4.0], "abb", [3.0]),  # a class without a value is left out
        ([np.nan], "a", []),
        ([], "", []),
    ],
)
def test_corner_cases(values, labels, expected):
    found = class_means(np.array(values), list(labels))
    assert [each.shrunk for each in found] == pytest.approx(expected, nan_ok=True)


def test_order_of_clips_changes_nothing_that_shows():
    values, labels = _clips([5, 3, 9], [1, 8, -6])
    turned = class_means(values[::-1], labels[::-1])
    assert [row.label for row in turned] == ["class 0", "class 1", "class 2"]
    assert [row.shrunk for row in turned] == pytest.approx([row.shrunk for row in class_means(values, labels)])


@pytest.mark.parametrize("values", [np.array([1.0]), np.array([1.0, np.inf]), np.ones((2, 1))])
def test_wrong_input(values):
    with pytest.raises(A2IBenchError, match="one finite value per label"):
        class_means(values, ["a", "b"])
