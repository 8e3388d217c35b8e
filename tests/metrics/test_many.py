"""Scores by the number of events named: by hand, its direction, what is left out, and what the signature says."""

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get
from a2ibench.metrics.base import UndefinedError, several
from a2ibench.metrics.frequency import read_buckets
from a2ibench.metrics.many import by_events, many_metric


def events(*counts: int) -> list[np.ndarray]:
    return [np.ones((count, 2)) for count in counts]


def test_by_hand() -> None:
    values = np.array([90.0, 70, 60, 50, 20, 40, 5, np.nan])
    found = by_events(values, events(1, 1, 2, 2, 3, 7, 0, 1))
    assert [(bucket.name, bucket.value, bucket.n) for bucket in found.buckets] == [
        ("1", 80, 2),
        ("2", 55, 2),
        ("3+", 30, 2),
    ]
    assert found.drop is not None
    assert (found.drop.head, found.drop.tail, found.drop.value) == ("1", "3+", 50)
    assert found.drop.low <= 50 <= found.drop.high
    worse = by_events(values, events(1, 1, 2, 2, 3, 7, 0, 1), higher_is_better=False)
    assert worse.drop is not None
    assert worse.drop.value == -50
    assert by_events(values[:2], events(1, 1)).drop is None
    assert found.unseen is None


def test_the_count_of_a_call_is_no_number_of_events() -> None:
    rows = [np.array([[3.0, 4.0]]), np.array([[3.0, 1.0], [5.0, 1.0]])]
    found = by_events(np.array([1.0, 2.0]), rows)
    assert [bucket.name for bucket in found.buckets] == ["1", "2"]


def test_the_metric() -> None:
    rng = np.random.default_rng(3)
    captions = rng.standard_normal((40, 8))
    noise = np.where(np.arange(40) % 2, 0.3, 2.0)[:, None]
    given = Features(
        {
            "generated/clap-audio": captions + noise * rng.standard_normal((40, 8)),
            "condition/clap-text": captions,
            "events/events": several(events(*(1 if i % 2 else 3 for i in range(40)))),
        },
        clip_ids=tuple(f"{i:03}" for i in range(40)),
    )
    values = get("CLAP").per_clip(given)
    found = get("CLAP.many").statistic(given)
    assert found.value == pytest.approx(values[1::2].mean() - values[::2].mean(), rel=1e-12)
    assert found.stderr > 0
    one, two, many = read_buckets(found.extra, (1, 2, 3))
    assert (one.n, two.n, many.n) == (20, 0, 20)
    assert one.value == pytest.approx(values[1::2].mean())
    assert found.extra["drop low"] < found.value < found.extra["drop high"]
    assert dict(get("CLAP.many").options)["edges"] == "1,2,3"
    assert many_metric(get("CLAP"), (1, 4)).options["edges"] == "1,4"
    alike = Features({**given.arrays, "events/events": several(events(*[2] * 40))}, clip_ids=given.clip_ids)
    with pytest.raises(UndefinedError, match="about as many events"):
        get("CLAP.many").statistic(alike)
    with pytest.raises(A2IBenchError, match="must rise"):
        many_metric(get("CLAP"), (2, 2))
