"""SonicDiffusion's formulas: what its own evaluation gives on shared features (tests/fixtures/sonicdiffusion.md)."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Features, get

FIXTURE = Path(__file__).parents[1] / "fixtures/sonicdiffusion.json"
N, K, D = 12, 9, 16


def features() -> Features:
    """Twelve clips of five of nine labels; the sounds of the last two are equal, and their images too."""
    rng = np.random.default_rng(0)
    every = rng.standard_normal((K, D))
    place = np.array([0, 0, 2, 2, 2, 4, 5, 5, 8, 8, 8, 8])
    near = {key: every[place] + 1.3 * rng.standard_normal((N, D)) for key in ("image", "sound", "photo")}
    for rows in near.values():
        rows[-1] = rows[-2]
    return Features(
        arrays={
            "generated/clip-image": near["image"].astype(np.float32),
            "audio/wav2clip": near["sound"].astype(np.float32),
            "reference/clip-image": near["photo"].astype(np.float32),
            "label/clip-text": every[place].astype(np.float32),
            "labels/clip-text": every.astype(np.float32),
        },
        labels=tuple(f"label {index}" for index in place),
        clip_ids=tuple(f"clip-{index:02d}" for index in range(N)),
    )


@pytest.mark.parametrize("name", ["AIS.sonic", "IIS.sonic", "AIC.zero-shot-all"])
def test_each_clip_gets_what_the_original_gives(name):
    theirs = json.loads(FIXTURE.read_text())[name]
    measured = get(name)(features())
    assert measured.values == pytest.approx(100 * np.array(theirs["per_clip"]), abs=1e-9)
    assert measured.value == pytest.approx(100 * theirs["score"], abs=1e-9)


@pytest.mark.parametrize("family", ["AIS", "IIS"])
def test_without_ties_it_is_our_win_rate_times_n_less_one_over_n(family):
    rows = features()
    rows = Features(
        arrays={key: array[:-1] for key, array in rows.arrays.items() if not key.startswith("labels/")},
        labels=rows.labels[:-1],
    )
    ours, sonic = get(family)(rows), get(f"{family}.sonic")(rows)
    assert sonic.values == pytest.approx(ours.values * (N - 2) / (N - 1), abs=1e-12)


def test_a_perfect_method_stays_below_100_and_a_tie_is_a_loss():
    same = np.eye(4)
    perfect = Features({"generated/clip-image": same, "audio/wav2clip": same}, labels=("a",) * 4)
    assert get("AIS.sonic")(perfect).values.tolist() == [75.0] * 4
    tied = replace(perfect, arrays={"generated/clip-image": same, "audio/wav2clip": np.ones((4, 4))})
    assert get("AIS.sonic")(tied).value == 0.0
    assert get("AIS")(tied).value == 50.0


def test_the_choice_among_all_labels_is_harder():
    """An image nearest to a label that no clip has: right among those present, wrong among all."""
    text = np.eye(3)
    rows = Features(
        {
            "generated/clip-image": np.array([[0.6, 0.1, 0.9], [0.1, 0.9, 0.2]]),
            "label/clip-text": text[:2],
            "labels/clip-text": text,
        },
        labels=("frog", "rain"),
    )
    assert get("AIC.zero-shot")(rows).values.tolist() == [100.0, 100.0]
    assert get("AIC.zero-shot-all")(rows).values.tolist() == [0.0, 100.0]
    turned = replace(rows, arrays={**rows.arrays, "labels/clip-text": text[::-1].copy()})
    assert get("AIC.zero-shot-all")(turned).values.tolist() == [0.0, 100.0]
    strange = replace(rows, arrays={**rows.arrays, "labels/clip-text": text[1:]})
    with pytest.raises(A2IBenchError, match="'frog' is none of the 2 labels"):
        get("AIC.zero-shot-all")(strange)
