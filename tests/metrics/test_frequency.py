"""Scores by frequency of the kind: by hand, edges, clips of two kinds, intervals, drops, and sets that are small."""

from math import inf

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.base import UndefinedError, several
from a2ibench.metrics.frequency import (
    bucket_of,
    by_frequency,
    set_by_frequency,
    tail_metric,
    values_per_clip,
)

FREQUENCY = {0: 700.0, 1: 500.0, 2: 60.0, 3: 5.0, 4: 1.0, 5: 0.0}


def test_buckets_hold_their_left_edge() -> None:
    found = [bucket_of(frequency) for frequency in (0, 0.5, 1, 9, 10, 29, 30, 50, 99, 100, 499, 500, 1e6)]
    assert found == [0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6]
    assert bucket_of(3, (5, 9)) == -1


def test_by_hand() -> None:
    values = np.array([90.0, 80, 70, 60, 20, 40, 10])
    kinds = [[0], [0], [1], [2, 3], [3], [4], [5]]
    found = by_frequency(values, kinds, FREQUENCY)
    assert [bucket.name for bucket in found.buckets] == ["0", "1-9", "50-99", "500+"]
    assert [bucket.value for bucket in found.buckets] == [10, 40, 60, 77.5]  # kinds count alike: ((60+20)/2 + 40)/2
    assert [bucket.n for bucket in found.buckets] == [1, 3, 1, 3]
    assert [bucket.kinds for bucket in found.buckets] == [1, 2, 1, 2]
    assert np.isnan(found.buckets[0].interval).all()  # one clip tells nothing of the spread
    assert found.drop is not None
    assert (found.drop.head, found.drop.tail, found.drop.value) == ("500+", "1-9", 37.5)
    assert found.unseen is not None
    assert (found.unseen.tail, found.unseen.value) == ("0", 67.5)
    worse = by_frequency(values, kinds, FREQUENCY, higher_is_better=False)
    assert worse.drop is not None
    assert worse.drop.value == -37.5


def clips(n: int, seed: int, sizes: tuple[int, ...] = (30, 30, 20, 12, 8, 10)) -> tuple[np.ndarray, list[list[int]]]:
    rng = np.random.default_rng(seed)
    kinds = [[kind] for kind, size in enumerate(sizes) for _ in range(size * n)]
    means = np.array([80, 70, 60, 50, 40, 30])
    return means[[kind[0] for kind in kinds]] + 15 * rng.standard_normal(len(kinds)), kinds


def test_the_order_of_clips_changes_nothing_and_nan_is_left_out() -> None:
    values, kinds = clips(1, 0)
    order = np.random.default_rng(1).permutation(len(values))
    assert by_frequency(values[order], [kinds[i] for i in order], FREQUENCY) == by_frequency(values, kinds, FREQUENCY)
    more = by_frequency(np.append(values, np.nan), [*kinds, [3]], FREQUENCY)
    assert more == by_frequency(values, kinds, FREQUENCY)
    assert by_frequency(np.array([]), [], FREQUENCY).buckets == ()


def test_intervals_hold_what_they_say() -> None:
    drops, means = [], []
    for seed in range(120):
        found = by_frequency(*clips(1, seed), FREQUENCY, resamples=300)
        assert found.drop is not None
        drops.append(found.drop.low <= 75 - 45 <= found.drop.high)
        low, high = found.buckets[1].interval
        means.append(low <= 45 <= high)
    assert np.mean(drops) > 0.9
    assert np.mean(means) > 0.9


def test_one_bucket_has_no_drop_and_wrong_input_is_named() -> None:
    assert by_frequency(np.ones(2), [[0], [1]], FREQUENCY).drop is None
    with pytest.raises(UndefinedError, match="how often the kind 9 occurs"):
        by_frequency(np.ones(1), [[9]], FREQUENCY)
    with pytest.raises(A2IBenchError, match=r"must rise; found \[0, 5, 5\]"):
        by_frequency(np.ones(1), [[1]], FREQUENCY, edges=(0, 5, 5))
    with pytest.raises(A2IBenchError, match="one per clip"):
        by_frequency(np.ones(2), [[1]], FREQUENCY)


def test_sets_that_are_small_say_so() -> None:
    rng = np.random.default_rng(0)
    sounds = several([rng.standard_normal((3, 4)) for _ in range(160)])
    given = Features({"generated/vggish": sounds, "reference/vggish": sounds[::-1].copy()})
    kinds = [[0]] * 120 + [[3]] * 40
    rare, frequent = set_by_frequency(get("FAD"), given, kinds, FREQUENCY)
    assert (rare.name, rare.n, rare.why) == ("1-9", 40, "too few clips: 40 of 100")
    assert np.isnan(rare.value)
    part = Features({key: rows[:120] for key, rows in given.arrays.items()})
    assert (frequent.value, frequent.high, frequent.why) == (get("FAD")(part).value, inf, "")
    with pytest.raises(A2IBenchError, match="CLAP has values per clip"):
        set_by_frequency(get("CLAP"), given, kinds, FREQUENCY)


def tail_features(n: int = 40) -> Features:
    rng = np.random.default_rng(3)
    captions = rng.standard_normal((n, 8))
    noise = np.where(np.arange(n) % 2, 0.3, 2.0)[:, None]
    events = [np.array([[3 if i % 2 == 0 else 0, 1, FREQUENCY[3 if i % 2 == 0 else 0]]]) for i in range(n)]
    return Features(
        {
            "generated/clap-audio": captions + noise * rng.standard_normal((n, 8)),
            "condition/clap-text": captions,
            "events/events": several(events),
        },
        clip_ids=tuple(f"{i:03}" for i in range(n)),
    )


def test_metric_of_the_tail() -> None:
    given = tail_features()
    found = get("CLAP.tail").statistic(given)
    values = get("CLAP").per_clip(given)
    assert found.value == pytest.approx(values[1::2].mean() - values[::2].mean(), rel=1e-12)
    assert found.extra["drop low"] < found.value < found.extra["drop high"]
    assert found.extra["1-9 n"] == found.extra["500+ n"] == 20
    assert found.extra["500+"] == pytest.approx(values[1::2].mean())
    assert found.stderr > 0
    assert get("CLAP.tail").options["edges"] == "0,1,10,30,50,100,500"
    assert tail_metric(get("CLAP"), (0, 5)).options["edges"] == "0,5"
    with pytest.raises(UndefinedError, match="all in one bucket"):
        tail_metric(get("CLAP"), (0, 5)).statistic(given)
    two = Features({**given.arrays, "events/events": several([rows[:, :2] for rows in given["events/events"]])})
    with pytest.raises(UndefinedError, match="does not say how often"):
        get("CLAP.tail").statistic(two)


def test_absent_clips_count_as_worst_and_several_outputs_as_their_mean() -> None:
    given = tail_features(6)
    sounds = given["generated/clap-audio"]
    there = np.array([True, True, False, True, True, True])
    twice = np.repeat(sounds[there], 2, axis=0)
    part = Features({**given.arrays, "generated/clap-audio": twice}, clip_ids=given.clip_ids, given=there)
    expected = get("CLAP").per_clip(given).copy()
    expected[2] = -100
    np.testing.assert_allclose(values_per_clip(get("CLAP"), part), expected)
