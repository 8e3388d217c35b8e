"""Every declared metric, the discovery of new ones, and the signatures that keep columns apart."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import a2ibench.metrics as package
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Coverage, Features, Metric, SetStatistic, Signature, get, mean_score, metrics
from a2ibench.metrics.base import several

WHOLE = Coverage(per_clip=1, given=240, clips=240)
ENCODERS = {
    "wav2clip": "wav2clip",
    "clip-image": "clip",
    "clip-text": "clip",
    "classifier": "resnet50",
    "inception": "inception",
    **{name: name for name in ("vggish", "passt", "clap-text", "clap-audio", "imagebind-audio", "imagebind-video")},
    **{name: name for name in ("onsets", "numbers", "motion", "detector", "events")},
}
SOUNDS = (
    *("generated/passt", "reference/passt"),
    *("generated/imagebind-audio", "condition/imagebind-video"),
    *("generated/clap-audio", "condition/clap-text"),
)
NEW_METRIC = '''
"""A metric that a newcomer drops into the folder."""
from a2ibench.metrics.base import Metric

METRICS = (Metric(
    name="WIDTH", version=1, needs=(), summary="Number of columns.", higher_is_better=True,
    bounds=(0.0, 1e9), unit="", per_clip=lambda rows: 0.0 * rows["x"].sum(axis=1) + rows["x"].shape[1],
),)
'''


def rows(n: int = 24, seed: int = 0) -> Features:
    """Features of every kind; image, sound, photo and label of a clip share a direction, more or less."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 16))
    arrays = {
        key: (common + rng.standard_normal((n, 16))).astype(np.float32)
        for key in ("generated/clip-image", "reference/clip-image", "audio/wav2clip", *SOUNDS)
    }
    kinds = rng.standard_normal((4, 16))
    arrays["label/clip-text"] = np.repeat(kinds, n // 4, axis=0)
    arrays["category/clip-text"] = kinds[::-1].copy()
    arrays["labels/clip-text"] = np.concatenate([rng.standard_normal((3, 16)), kinds])
    arrays["generated/classifier"] = np.eye(4)[np.arange(n) % 4]
    for key in ("generated/onsets", "onsets/numbers", "condition/motion"):
        arrays[key] = several([np.sort(rng.uniform(0.1, 3, (1 + i % 3, 2)), axis=0) for i in range(n)])
    frames = np.linspace(0, 3, 60)[:, None]
    arrays["generated/detector"] = several(
        [np.hstack([frames, rng.random((60, 4)) * rng.uniform(0.2, 1, 4)]) for _ in range(n)]
    )
    often = (5, 700, 0, 60)
    events = [np.array([[k % 4, 1 + k % 2, often[k % 4]] for k in (i, i + 1)], np.float32) for i in range(n)]
    arrays["events/events"] = several([rows[: 1 + i % 2] for i, rows in enumerate(events)])
    for role in ("generated", "reference"):
        arrays[f"{role}/vggish"] = several([rng.standard_normal((1 + i % 3, 8)) for i in range(n)])
    arrays["generated/inception"] = rng.standard_normal((n, 8)).astype(np.float32)
    arrays["reference/inception"] = rng.standard_normal((n + 6, 8)).astype(np.float32)
    return Features(
        labels=tuple(np.repeat(["bell", "rain", "frog", "drum"], n // 4).tolist()),
        arrays=arrays,
        categories=("drum", "frog", "rain", "bell"),
        clip_ids=tuple(f"clip-{i:03}" for i in range(n)),
    )


def shuffled(given: Features, order: np.ndarray) -> Features:
    loose = ("category/clip-text", "labels/clip-text", "reference/inception")
    return Features(
        labels=tuple(given.labels[i] for i in order),
        arrays={key: array if key in loose else array[order] for key, array in given.arrays.items()},
        categories=given.categories,
        clip_ids=tuple(given.clip_ids[i] for i in order),
    )


def test_the_promised_metrics_are_declared() -> None:
    variants = ("", ".same-class", ".other-class", ".one", ".sonic", ".cosine", ".z")
    expected = {name + variant for name in ("AIS", "IIS") for variant in variants}
    expected |= {"AIC", "AIC.exact", "AIC.clipscore", "AIC.zero-shot", "AIC.zero-shot-all", "FID", "KID"}
    expected |= {"FAD", "KL", "KL.reverse", "KL.exact", "KL.sigmoid", "KL.sigmoid-exact", "IS", "IS.whole"}
    expected |= {name + variant for name in ("IB", "CLAP") for variant in ("", ".win", ".win-same-class")}
    assert set(metrics()) >= expected


def test_no_two_metrics_share_a_column() -> None:
    signatures = [
        str(m.signature(n=240, encoders=ENCODERS, suite="mini@1", coverage=WHOLE)) for m in metrics().values()
    ]
    assert len(set(signatures)) == len(signatures)
    without_names = [text.split("|", 1)[1] for text in signatures if text.startswith("AIS")]
    assert len(set(without_names)) == len(without_names)


def test_signature_reads_as_designed() -> None:
    signature = get("AIS").signature(n=240, encoders=ENCODERS, suite="mini@1", coverage=WHOLE)
    assert str(signature) == "AIS|v:1|enc:wav2clip+clip|neg:all|ties:half|n:240|per-clip:1|clips:240/240|suite:mini@1"
    one_network = get("AIC.clipscore").signature(n=240, encoders=ENCODERS, suite="mini@1", coverage=WHOLE)
    assert "|enc:clip|" in str(one_network)  # Image and text tower of one CLIP.
    assert signature == get("AIS").signature(n=240, encoders=ENCODERS, suite="mini@1", coverage=WHOLE)
    assert signature != get("AIS").signature(n=239, encoders=ENCODERS, suite="mini@1", coverage=WHOLE)


NAMES = sorted(set(metrics()) - {"KID.subsets"})  # it needs 2,000 images: tests/metrics/test_kid.py


@pytest.mark.parametrize("name", NAMES)
def test_each_metric_gives_what_it_declares(name: str) -> None:
    metric, given = get(name), rows()
    low, high = metric.bounds
    if metric.per_clip:
        values = metric.per_clip(given)
        assert values.shape == (24,)
        assert values.dtype == np.float64
        assert low <= np.nanmin(values)
        assert np.nanmax(values) <= high
        assert low <= mean_score(values) <= high
    else:
        assert metric.statistic
        result = metric.statistic(given)
        assert low <= result.value <= high
        assert result.stderr > 0
        assert all(np.isfinite(value) for value in result.extra.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_clips_changes_nothing(name: str) -> None:
    metric, given = get(name), rows()
    order = np.random.default_rng(1).permutation(len(given))
    if metric.per_clip:
        before, after = metric.per_clip(given), metric.per_clip(shuffled(given, order))
        if name.endswith((".z", ".cosine")) or name in ("IB", "CLAP") or name.startswith("KL"):
            np.testing.assert_allclose(after, before[order], rtol=1e-12)
        else:
            np.testing.assert_array_equal(after, before[order])
            assert mean_score(after) == mean_score(before)
    else:
        assert metric.statistic
        one, two = metric.statistic(given), metric.statistic(shuffled(given, order))
        assert two.value == pytest.approx(one.value, rel=1e-12)
        assert two.stderr == pytest.approx(one.stderr, rel=1e-9)


def test_a_new_metric_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "width.py").write_text(NEW_METRIC)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    metrics.cache_clear()
    try:
        per_clip = get("WIDTH").per_clip
        assert per_clip
        given = Features({"x": np.ones((2, 5))}, labels=("a", "b"))
        np.testing.assert_array_equal(per_clip(given), [5.0, 5.0])
        (tmp_path / "again.py").write_text(NEW_METRIC)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path) + "/."])
        metrics.cache_clear()
        with pytest.raises(A2IBenchError, match="Two declarations are called 'WIDTH'"):
            metrics()
    finally:
        for name in ("width", "again"):
            sys.modules.pop(f"a2ibench.metrics.{name}", None)
    monkeypatch.undo()
    metrics.cache_clear()
    assert "WIDTH" not in metrics()


def test_import_stays_light() -> None:
    code = "import sys, a2ibench.metrics as m; m.metrics(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "torch", "pandas"} & set(loaded)


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(A2IBenchError, match=r"There is no metric 'AIS\.sameclass'; did you mean 'AIS\.same-class'"):
        get("AIS.sameclass")


def test_mean_score_is_exact_and_leaves_nan_out() -> None:
    values = np.array([0.1] * 10 + [np.nan])
    assert mean_score(values) == 0.1
    assert mean_score(np.array([1e16, 1.0, -1e16])) == 1 / 3
    with pytest.raises(A2IBenchError, match="None of the 2 clips has anything"):
        mean_score(np.array([np.nan, np.nan]))


@pytest.mark.parametrize(
    ("name", "pairs", "sentence"),
    [
        ("A|S", (), "can't hold 'A|S'"),
        ("AIS", (("suite", "mini|2"),), "can't hold 'mini|2'"),
        ("AIS", (("suite", ""),), "can't hold ''"),
        ("AIS", (("a:b", "c"),), "a colon"),
        ("AIS", (("a", "b"), ("a", "c")), "repeated key"),
    ],
)
def test_signature_refuses_what_would_blur_it(name: str, pairs: tuple[tuple[str, str], ...], sentence: str) -> None:
    with pytest.raises(A2IBenchError) as error:
        Signature(name, pairs)
    assert sentence in str(error.value)


def test_signature_needs_every_encoder() -> None:
    with pytest.raises(A2IBenchError, match="AIS needs the id of the encoder 'clip-image'"):
        get("AIS").signature(n=3, encoders={"wav2clip": "w"}, suite="mini@1", coverage=WHOLE)
    with pytest.raises(A2IBenchError, match=r"can't hold '\+'"):
        get("FID").signature(n=3, encoders={"inception": "a+b"}, suite="mini@1", coverage=WHOLE)


def test_rows_name_what_is_missing_or_misfits() -> None:
    given = Features({"audio/wav2clip": np.ones((3, 4))}, labels=("a", "b"))
    with pytest.raises(A2IBenchError, match=r"'generated/clip-image' are missing \(given: audio/wav2clip\)"):
        given["generated/clip-image"]
    with pytest.raises(A2IBenchError, match="'audio/wav2clip' has 3 rows for 2 clips"):
        given.per_clip("audio/wav2clip")
    with pytest.raises(A2IBenchError, match="1 clip ids for 2 labels"):
        Features({}, labels=("a", "b"), clip_ids=("x",))


def test_a_metric_has_one_function() -> None:
    with pytest.raises(A2IBenchError, match="either per_clip or statistic"):
        Metric("X", 1, (), "", True, (0, 1))
    with pytest.raises(A2IBenchError, match="either per_clip or statistic"):
        Metric(
            "X",
            1,
            (),
            "",
            True,
            (0, 1),
            per_clip=lambda given: np.zeros(len(given)),
            statistic=lambda given: SetStatistic(0, 0, {}),
        )
