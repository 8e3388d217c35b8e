"""Onset alignment and named events: by hand, against exhaustive matching, bounds, and AV-Align's own function."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.base import several
from a2ibench.metrics.detections import Heard, detections, onset_times
from a2ibench.metrics.events import alone, count_right, exact, heard_share, order_right
from a2ibench.metrics.onsets import av_align, f1, pairs, precision, recall

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "audio_metrics.json").read_text())
TIMES = st.lists(st.integers(0, 30).map(lambda tick: tick / 20), max_size=5)


def most_pairs(a: list[float], b: list[float], tolerance: float) -> int:
    few, many = sorted((a, b), key=len)
    ways = permutations(many, len(few))
    return max(sum(abs(x - y) <= tolerance + 1e-6 for x, y in zip(few, way, strict=True)) for way in ways)


@settings(max_examples=150, deadline=None)
@given(TIMES, TIMES)
def test_pairs_are_as_many_as_there_can_be(a: list[float], b: list[float]) -> None:
    assert pairs(np.array(a), np.array(b), 0.1) == most_pairs(a, b, 0.1) == pairs(np.array(b[::-1]), np.array(a), 0.1)


def test_by_hand() -> None:
    events = np.array([0.5, 1.0, 2.0])
    onsets = np.array([0.6, 1.05, 1.08, 2.5])  # 0.5 and 1.0 are met; one of the two at 1.0 is too many; 2.5 is wrong
    assert recall(onsets, events) == pytest.approx(2 / 3)
    assert precision(onsets, events) == 2 / 4
    assert f1(onsets, events) == pytest.approx(2 * 2 / 7)
    assert pairs(np.float32([0.6]), np.float32([0.5])) == 1  # exactly 100 ms apart, in float32
    assert pairs(np.array([0.601]), np.array([0.5])) == 0


def test_bounds() -> None:
    events, none = np.array([0.3, 0.9]), np.array([])
    assert f1(events, events) == recall(events, events) == precision(events, events) == 1
    assert f1(none, events) == recall(none, events) == precision(none, events) == 0
    assert np.isnan([f1(events, none), recall(none, none), precision(events, none)]).all()
    burst = np.arange(0, 3, 0.05)
    assert recall(burst, events) == 1
    assert f1(burst, events) < 0.07


def test_av_align() -> None:
    assert av_align(np.array([0.5, 1.0]), np.array([0.5, 2.0]), 0.1) == 1 / 3
    assert np.isnan(av_align(np.array([]), np.array([]), 0.1))
    assert av_align(np.array([0.5]), np.array([]), 0.1) == 0


def test_av_align_agrees_with_its_authors() -> None:
    rng = np.random.default_rng(GOLDEN["seed"] + 2)
    drawn = [(np.sort(rng.uniform(0, 3, 7)), np.sort(rng.uniform(0, 3, 5))) for _ in GOLDEN["av_align"]]
    assert [av_align(onsets, events, 1 / 8) for onsets, events in drawn] == GOLDEN["av_align"]


def test_metrics_of_onsets() -> None:
    times = several([np.array([[0.5], [1.0]]), np.zeros((0, 1)), np.array([[0.7]])])
    seen = several([np.array([[0.55, 0.125], [1.5, 0.125]]), np.zeros((0, 2)), np.array([[0.7, 0.125]])])
    frames = np.stack([np.arange(0, 2, 0.01) + 0.005, np.zeros(200), np.zeros(200)], axis=1)
    frames[50, 1] = frames[100:104, 2] = 0.9
    given = Features(
        {
            "generated/onsets": times,
            "onsets/numbers": several([np.array([[0.5], [1.05], [1.9]]), np.ones((1, 1)), np.zeros((0, 1))]),
            "condition/motion": seen,
            "generated/detector": several([frames] * 3),
        }
    )
    np.testing.assert_allclose(get("ONSET").per_clip(given), [80, 0, np.nan])
    np.testing.assert_allclose(get("ONSET.recall").per_clip(given), [200 / 3, 0, np.nan])
    np.testing.assert_allclose(get("ONSET.precision").per_clip(given), [100, 0, np.nan])
    np.testing.assert_allclose(get("ONSET.detector").per_clip(given), [80, 200 / 3, np.nan])
    np.testing.assert_allclose(get("ONSET.video").per_clip(given), [50, np.nan, 100])
    np.testing.assert_allclose(get("ONSET.av-align").per_clip(given), [100 / 3, np.nan, 100])
    assert get("ONSET").detail[1](given) == ["0.50 1.00", "none", "0.70"]
    with pytest.raises(A2IBenchError, match="'onsets/numbers' must hold rows of times per clip"):
        get("ONSET").per_clip(Features({"generated/onsets": times, "onsets/numbers": np.ones((3, 1))}))


def test_detections() -> None:
    times = np.arange(6) / 10
    frames = np.stack([times, [0, 0.5, 0.9, 0.2, 0.6, 0.6], [0.8, 0, 0, 0, 0, 0]], axis=1)
    assert detections(frames) == [Heard(0.0, 1), Heard(0.2, 0), Heard(0.4, 0)]
    np.testing.assert_allclose(onset_times(frames), [0.2, 0.4])  # frames 0 to 2 are one run, whatever is heard
    assert detections(frames, 0.95) == []
    with pytest.raises(A2IBenchError, match=r"finite frames \[T, 1 \+ C\]"):
        detections(frames[:, :1])


@pytest.mark.parametrize(
    ("heard", "named", "expected"),
    [  # heard share, count, order, alone, exact
        ("aab", [(0, 2), (1, 1)], (1, 1, 1, 1, 1)),
        ("aba", [(0, 2), (1, 1)], (1, 1, 1, 1, 0)),
        ("baa", [(0, 2), (1, 1)], (1, 1, 0, 1, 0)),
        ("ab", [(0, 2), (1, 1)], (1, 0, 1, 1, 0)),
        ("a", [(0, 1), (1, 1)], (0.5, 0, 0, 1, 0)),
        ("abc", [(0, 1), (1, 1)], (1, 1, 1, 0, 0)),
        ("", [(0, 1)], (0, 0, np.nan, 1, 0)),
        ("aa", [(0, 2)], (1, 1, np.nan, 1, 1)),
        ("aba", [(0, 1), (1, 1), (0, 1)], (1, 1, 1, 1, 1)),
        ("a", [], (np.nan,) * 5),
    ],
)
def test_rules_by_hand(heard: str, named: list[tuple[int, int]], expected: tuple[float, ...]) -> None:
    events = [Heard(place / 2, "abc".index(kind)) for place, kind in enumerate(heard)]
    found = [rule(events[::-1], named) for rule in (heard_share, count_right, order_right, alone, exact)]
    np.testing.assert_array_equal(found, expected)


def test_metrics_of_events() -> None:
    frames = np.stack([np.arange(20) / 10, np.zeros(20), np.zeros(20)], axis=1)
    frames[3, 1] = frames[[9, 14], 2] = 1.0
    silent = np.zeros((20, 3))
    named = several([np.array([[0.0, 1, 200], [1, 2, 5]])] * 2)
    given = Features(
        {"generated/detector": several([frames, silent]), "events/events": named}, categories=("owl", "bee")
    )
    for name in ("EVENTS", "EVENTS.count", "EVENTS.order", "EVENTS.exact"):
        np.testing.assert_array_equal(get(name).per_clip(given), [100, 0])
    np.testing.assert_array_equal(get("EVENTS.alone").per_clip(given), [100, 100])
    assert get("EVENTS").detail[1](given) == ["0.30 owl, 0.90 bee, 1.40 bee", "nothing"]
