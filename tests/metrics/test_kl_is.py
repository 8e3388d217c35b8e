"""KL and the inception score: by hand, bounds, what others' code gives on the same logits, invariances, errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.inception_score import inception_score
from a2ibench.metrics.kl import EPSILON, kl_divergence, log_sigmoid, log_softmax

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "audio_metrics.json").read_text())


def golden_logits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(GOLDEN["seed"] + 1)
    generated = 3 * rng.standard_normal((50, 30))
    return generated, generated + 2 * rng.standard_normal((50, 30))


def features(generated: np.ndarray, reference: np.ndarray, ids: tuple[str, ...] = ()) -> Features:
    return Features({"generated/passt": generated, "reference/passt": reference}, clip_ids=ids)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("KL", "audiocraft kld_pq"),
        ("KL", "audioldm_eval softmax"),
        ("KL.reverse", "audiocraft kld_qp"),
        ("KL.exact", "av_bench softmax"),
        ("KL.sigmoid", "audioldm_eval sigmoid"),
        ("KL.sigmoid-exact", "av_bench sigmoid"),
    ],
)
def test_kl_agrees_with_others(name: str, theirs: str) -> None:
    assert get(name)(features(*golden_logits())).value == pytest.approx(GOLDEN["kl"][theirs], rel=1e-12)


def test_kl_by_hand() -> None:
    # p = (1/2, 1/2) of the reference, q = (1/4, 3/4): ½ log 2 + ½ log ⅔ = ½ log 4/3; the other way round it differs.
    reference, generated = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    given = features(generated, reference)
    assert get("KL.exact")(given).value == pytest.approx(0.5 * np.log(4 / 3), rel=1e-12)
    assert get("KL")(given).value == pytest.approx(0.5 * np.log(4 / 3), abs=1e-5)
    assert get("KL.reverse")(given).value == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5), abs=1e-5)


def test_kl_bounds() -> None:
    sure = 1000 * np.eye(4)
    same, opposite = features(sure, sure), features(sure, sure[[1, 2, 3, 0]])
    assert get("KL")(same).value == pytest.approx(-np.log1p(EPSILON), abs=1e-12)
    assert get("KL.exact")(same).value == 0
    assert get("KL")(opposite).value == pytest.approx(get("KL").bounds[1], rel=1e-12)
    assert get("KL").worst == get("KL").bounds[1] == pytest.approx(13.8155, abs=1e-4)
    assert get("KL.exact")(opposite).value == 1000
    assert get("KL.exact").worst is None
    # Adding a number to all logits of a sound changes nothing.
    generated, reference = golden_logits()
    moved = get("KL")(features(generated + 50, reference - 7)).value
    assert moved == pytest.approx(get("KL")(features(generated, reference)).value, rel=1e-12)


def test_logarithms_stay_finite() -> None:
    extreme = np.array([[1e4, -1e4, 0.0]])
    np.testing.assert_allclose(np.exp(log_softmax(extreme)), [[1, 0, 0]])
    np.testing.assert_array_equal(log_sigmoid(extreme), [[0.0, -1e4, np.log(0.5)]])


def test_inception_score_agrees_with_others() -> None:
    generated, reference = golden_logits()
    ids = tuple(f"{i:03}" for i in range(50))
    got = get("IS").statistic(features(generated, reference, ids))
    for theirs in ("audioldm_eval", "av_bench"):
        assert got.value == pytest.approx(GOLDEN["is"][theirs]["inception_score_mean"], rel=1e-12)
        assert got.extra["sd"] == pytest.approx(GOLDEN["is"][theirs]["inception_score_std"], rel=1e-12)
    whole = get("IS.whole")(features(generated, reference)).value
    assert whole == pytest.approx(GOLDEN["is"]["av_bench one split"], rel=1e-12)


def test_inception_score_bounds() -> None:
    sure = np.tile(1000.0 * np.eye(4), (10, 1))
    assert inception_score(sure).value == pytest.approx(4)  # each class as often, and sure of each
    assert inception_score(sure).stderr == pytest.approx(0, abs=1e-9)
    assert inception_score(np.zeros((10, 4))).value == pytest.approx(1)  # sure of nothing
    assert inception_score(np.tile(sure[0], (10, 1))).value == pytest.approx(1)  # always the same
    # By hand: (0.8, 0.2) and (0.2, 0.8), mean (½, ½): exp(log 2 - H(0.8)).
    entropy = -0.8 * np.log(0.8) - 0.2 * np.log(0.2)
    two = np.log([[0.8, 0.2], [0.2, 0.8]])
    assert inception_score(two).value == pytest.approx(np.exp(np.log(2) - entropy), rel=1e-12)


@pytest.mark.parametrize("name", ["IS", "IS.whole"])
def test_the_order_of_sounds_changes_nothing(name: str) -> None:
    generated, reference = golden_logits()
    ids = np.array([f"clip-{i:03}" for i in range(50)])
    order = np.random.default_rng(2).permutation(50)
    one = get(name).statistic(features(generated, reference, tuple(ids)))
    two = get(name).statistic(features(generated[order], reference[order], tuple(ids[order])))
    assert two.value == pytest.approx(one.value, rel=1e-12)
    assert two.stderr == pytest.approx(one.stderr, rel=1e-9)


def test_several_outputs_of_a_clip_stand_together_and_absent_clips_are_skipped() -> None:
    generated, _ = golden_logits()
    ids = tuple(f"{i:03}" for i in range(26))
    there = np.arange(26) != 3
    given = Features({"generated/passt": generated}, clip_ids=ids, given=there)  # two of each of 25 clips
    plain = Features({"generated/passt": generated})
    assert get("IS").statistic(given) == get("IS").statistic(plain)


def test_standard_error_is_that_of_drawing_sounds() -> None:
    rng = np.random.default_rng(5)
    many = [inception_score(2 * rng.standard_normal((400, 8))) for _ in range(300)]
    assert np.mean([each.stderr for each in many]) == pytest.approx(np.std([each.value for each in many]), rel=0.15)
    split = [inception_score(2 * rng.standard_normal((400, 8)), 10) for _ in range(300)]
    assert np.mean([each.stderr for each in split]) == pytest.approx(np.std([each.value for each in split]), rel=0.15)


def test_what_is_no_classifier() -> None:
    generated, reference = golden_logits()
    with pytest.raises(A2IBenchError, match=r"must have the same shape: one row per clip, from one classifier"):
        get("KL")(features(generated, reference[:, :5]))
    with pytest.raises(A2IBenchError, match="Row 0 of 'generated/passt' is not finite"):
        get("KL")(features(generated * np.nan, reference))
    with pytest.raises(A2IBenchError, match="a logit for each of two or more classes"):
        get("IS.whole").statistic(features(generated[:, :1], reference))
    with pytest.raises(A2IBenchError, match="needs 20 or more sounds; got 12"):
        inception_score(generated[:12], 10)
    with pytest.raises(A2IBenchError, match="must have the same shape"):
        kl_divergence(np.zeros((2, 3)), np.zeros((3, 3)))
