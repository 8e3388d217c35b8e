"""Columns that clips may have: read where they are there, texts of numbers and events, several rows of one item."""

import numpy as np
import pytest
import soundfile

from a2ibench.clips import load_clips
from a2ibench.encoders import encoders, get
from a2ibench.encoders.base import Encoder, EncoderKind
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import get as get_metric
from a2ibench.scoring.scorer import Scorer
from a2ibench.suites import load_suite
from a2ibench.tasks import tasks
from a2ibench.tasks.base import Task

RATE = 16_000
CLICKS = Task(
    name="text-to-click",
    summary="clicks for each text",
    columns={"caption": "text", "audio": "audio"},
    optional={"onsets": "text", "events": "text"},
    condition="caption",
    reference="audio",
    output="audio",
    metrics=("ONSET",),
)
ONSETS = {"a": (0.2, 0.9), "b": (0.5,), "c": ()}


def clicks(times):
    wave = np.zeros(RATE, np.float32)
    wave[[int(time * RATE) for time in times]] = 0.9
    return wave


class Clicks(Encoder):
    """When a sound is loud: as many rows as there are clicks."""

    name, modality, weights, preprocessing, rate = "onsets", "audio", "", "1", RATE
    configuration = {}  # noqa: RUF012

    def encode(self, items):
        return [(np.flatnonzero(wave > 0.5) / RATE).astype(np.float32)[:, None] for wave in items]


def folder_of(folder, columns=("onsets",), texts=None):
    folder.mkdir()
    lines = [",".join(("clip_id", "caption", "audio", "label", *columns))]
    for name, times in ONSETS.items():
        soundfile.write(folder / f"{name}.wav", clicks(times), RATE)
        told = {"onsets": " ".join(map(str, times)), "events": f"0x{len(times)}" if times else ""} | (texts or {})
        lines.append(",".join((name, f"clicks of {name}", f"{name}.wav", "click", *(told[c] for c in columns))))
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(autouse=True)
def _plugged_in(monkeypatch):
    monkeypatch.setitem(tasks(), CLICKS.name, CLICKS)
    monkeypatch.setitem(encoders(), "onsets", EncoderKind("onsets", "audio", lambda *_: Clicks(), has_weights=False))
    monkeypatch.setattr("a2ibench.suites.get_encoder", lambda name: encoders()[name])


def scorer_of(tmp_path, data):
    (tmp_path / "suite.toml").write_text(f'name = "clicks"\nversion = 1\ntask = "{CLICKS.name}"\n')
    return Scorer(load_suite(str(tmp_path / "suite.toml")), load_clips(data, task=CLICKS))


def test_known_onsets_are_scored_from_their_column(tmp_path, fresh_cache):
    data = folder_of(tmp_path / "data")
    scorer = scorer_of(tmp_path, data)
    outputs = {"a": [data / "a.wav", data / "b.wav"], "b": [data / "b.wav", data / "b.wav"]}
    for _ in range(2):  # the second time from the cache
        scored = scorer.score(outputs, [get_metric("ONSET"), get_metric("ONSET.recall")])
        values = {clip: found["ONSET"] for clip, found in scored.items.items()}
        assert values == {"a": 50.0, "b": 100.0, "c": None}
        assert scored.missing == ("c",)
        assert scored.details["onsets heard (s)"] == {"a": ["0.20 0.90", "0.50"], "b": ["0.50", "0.50"]}


def test_a_metric_without_its_column_is_left_out_with_the_reason(tmp_path, fresh_cache):
    data = folder_of(tmp_path / "data", columns=("events",))
    scorer = scorer_of(tmp_path, data)
    with pytest.raises(A2IBenchError, match=r"Nothing can be scored \(ONSET: the clips have no column 'onsets'\)"):
        scorer.score({"a": [data / "a.wav"]}, [get_metric("ONSET")])


def test_an_optional_column_is_part_of_what_makes_clips_the_same(tmp_path):
    digests = {
        load_clips(folder_of(tmp_path / name, columns, texts), task=CLICKS).digest
        for name, columns, texts in [
            ("with", ("onsets",), None),
            ("without", (), None),
            ("other", ("onsets",), {"onsets": "0.1"}),
        ]
    }
    assert len(digests) == 3
    clips = load_clips(tmp_path / "with", task=CLICKS)
    assert [clip.text("onsets") for clip in clips] == ["0.2 0.9", "0.5", ""]
    assert "onsets" not in load_clips(tmp_path / "without", task=CLICKS)[0].values


def test_numbers():
    encoder = get("numbers").load({}, None, "")
    found = encoder.encode(["0.15 1.2;3,4e-1", "", "  7 "])
    assert [rows.ravel().tolist() for rows in found] == [pytest.approx([0.15, 1.2, 3, 0.4]), [], [7]]
    assert {rows.shape[1] for rows in found} == {1}
    for text in ("0.1 nan", "0,1 one", "inf"):
        with pytest.raises(A2IBenchError, match="is no finite number"):
            encoder.encode([text])
    with pytest.raises(A2IBenchError, match="more than 10000"):
        encoder.encode(["1 " * 10_001])
    with pytest.raises(A2IBenchError, match="no setting"):
        get("numbers").load({"scale": 2}, None, "")


def test_events():
    plain = get("events").load({}, None, "")
    assert [rows.tolist() for rows in plain.encode(["3x2 5x1", "7", ""])] == [[[3, 2], [5, 1]], [[7, 1]], []]
    named = get("events").load({"kinds": ["dog barking", "rain", "fox x2"], "training": [700, 5, 0]}, None, "")
    found = named.encode(["dog barking x2; rain", "rain", "fox x2", "1x3 0"])
    assert [rows.tolist() for rows in found] == [
        [[0, 2, 700], [1, 1, 5]],
        [[1, 1, 5]],
        [[2, 1, 0]],
        [[1, 3, 5], [0, 1, 700]],
    ]
    assert named.encode([""])[0].shape == (0, 3)
    assert named.digest != plain.digest
    with pytest.raises(A2IBenchError, match="no kind of event 'rein'; did you mean 'rain'"):
        named.encode(["rein"])
    with pytest.raises(A2IBenchError, match="'rain' is no number of a kind below 100000"):
        plain.encode(["rain"])
    with pytest.raises(A2IBenchError, match="1 kinds and 2 frequencies"):
        get("events").load({"kinds": ["a"], "training": [1, 2]}, None, "")
