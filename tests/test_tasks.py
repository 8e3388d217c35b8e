"""A throw-away task, texts to sounds with a method that beeps, goes through the commands without an edit elsewhere."""

import json
import re
import zipfile
from contextlib import closing

import numpy as np
import pytest
import soundfile

from a2ibench.baselines import methods
from a2ibench.baselines.base import Method
from a2ibench.encoders import encoders
from a2ibench.encoders.base import Encoder, EncoderKind
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Metric, metrics
from a2ibench.rating.serve import application
from a2ibench.rating.store import Store
from a2ibench.rating.study import Study
from a2ibench.results import Result
from a2ibench.runs.prepare import prepare
from a2ibench.suites import load_suite
from a2ibench.tasks import tasks
from a2ibench.tasks.base import Task

RATE = 16_000
NOTES = {"low": 220.0, "middle": 440.0, "high": 880.0}
BEEPS = Task(
    name="text-to-beep",
    summary="a beep for each text",
    columns={"caption": "text", "audio": "audio"},
    condition="caption",
    reference="audio",
    output="audio",
    metrics=("PITCH",),
)


def beep(hertz, seconds=0.5):
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


class Pitch(Encoder):
    """The loudest frequency."""

    name, modality, weights, preprocessing, rate = "pitch", "audio", "", "1", RATE
    configuration = {"window": "whole"}  # noqa: RUF012

    def encode(self, items):
        peaks = [np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave) for wave in items]
        return np.log2(np.array(peaks, np.float32))[:, None]


def _off(features):
    return np.abs(features["generated/pitch"] - features["reference/pitch"])[:, 0].astype(np.float64)


def _load(parts, options, device):
    def make(clips, seeds):
        said = (next(word for word in NOTES if word in clip.text("caption")) for clip in clips)
        rng = [np.random.default_rng(seed) for seed in seeds]
        return [
            (beep(NOTES[word] * options["tuning"]) + 0.001 * each.standard_normal(RATE // 2), RATE)
            for word, each in zip(said, rng, strict=True)
        ]

    return make


@pytest.fixture(autouse=True)
def _plugged_in(monkeypatch):
    monkeypatch.setitem(tasks(), BEEPS.name, BEEPS)
    monkeypatch.setitem(encoders(), "pitch", EncoderKind("pitch", "audio", lambda *_: Pitch(), has_weights=False))
    pitch = Metric(
        name="PITCH", version=1, needs=("generated/pitch", "reference/pitch"), summary="Octaves off.",
        higher_is_better=False, bounds=(0.0, 20.0), worst=20.0, unit="octaves", digits=2, per_clip=_off,
    )  # fmt: skip
    monkeypatch.setitem(metrics(), "PITCH", pitch)
    beeper = Method("beeper", "Beeps.", "label", _load, options={"tuning": 1.0}, task=BEEPS.name)
    monkeypatch.setitem(methods(), "beeper", beeper)


@pytest.fixture
def suite(tmp_path, fresh_cache):
    folder = tmp_path / "beeps"
    (folder / "test").mkdir(parents=True)
    rows = ["clip_id,caption,audio,label"]
    for number, (word, hertz) in enumerate([*NOTES.items()] * 2):
        soundfile.write(folder / f"test/c{number}.wav", beep(hertz * 1.01, 0.4 + 0.05 * number), RATE)
        rows.append(f'c{number},"a {word} beep, number {number}",c{number}.wav,{word}')
    (folder / "test/clips.csv").write_text("\n".join(rows) + "\n")
    (folder / "suite.toml").write_text(f'name = "beeps"\nversion = 1\ntask = "{BEEPS.name}"\nclips = "test"\n')
    return folder / "suite.toml"


def test_sounds_in_memory_are_scored_as_their_files(suite, tmp_path):
    import a2ibench as a2i

    made = {f"c{number}": (beep(hertz), RATE) for number, hertz in enumerate([*NOTES.values()] * 2)}
    (tmp_path / "files").mkdir()
    for clip_id, (wave, rate) in made.items():
        soundfile.write(tmp_path / f"files/{clip_id}.wav", wave, rate)
    results = [
        a2i.evaluate(given, str(suite), name="mine", out=tmp_path / str(place))
        for place, given in enumerate((made, tmp_path / "files"))
    ]
    assert results[0]["PITCH"].value == results[1]["PITCH"].value
    with pytest.raises(A2IBenchError, match=r"is a ndarray; give \(samples, rate\) or a path"):
        a2i.evaluate({"c0": made["c0"][0]}, str(suite), name="bare", allow_missing=True)


def test_eval_submit_verify_board_report_compare(run_cli, suite, tmp_path):
    ran = run_cli("eval", "--method", "beeper", "--suite", suite, "--out", "run")
    assert ran.code == 0, ran.err
    assert "PITCH" in ran.out
    assert "real sounds" in ran.out
    result = Result.load(tmp_path / "run/result.json")
    assert (result.task, result["PITCH"].ceiling) == (BEEPS.name, 0)
    assert 0 < result["PITCH"].value < 0.05
    assert sorted(path.name for path in (tmp_path / "run/sounds").iterdir()) == [f"c{n}.wav" for n in range(6)]
    assert (tmp_path / "run/contact.png").is_file()

    again = run_cli("eval", "--method", "beeper", "--suite", suite, "--out", "again")
    assert again.code == 0
    for n in range(6):
        assert (tmp_path / f"run/sounds/c{n}.wav").read_bytes() == (tmp_path / f"again/sounds/c{n}.wav").read_bytes()
    off = run_cli("eval", "--method", "beeper", "--suite", suite, "--out", "off", "--set", "tuning=1.5")
    assert off.code == 0
    assert run_cli("compare", "run", "off").code == 0

    with zipfile.ZipFile(tmp_path / "off.zip", "w") as archive:
        for path in (tmp_path / "off/sounds").iterdir():
            archive.write(path, path.name)
    for source, name in (("run", "in tune"), ("off.zip", "off key")):
        sent = run_cli("submit", source, "--name", name, "--suite", suite)
        assert sent.code == 0, sent.err
    for row, source in (("in-tune", "run"), ("off-key", "off.zip")):
        checked = run_cli("verify", f"leaderboards/beeps/{row}", "--suite", suite, "--outputs", source)
        assert checked.code == 0, checked.out + checked.err
    board = tmp_path / "leaderboards/beeps"
    page = (board / "index.html").read_text()
    island = json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page, re.S)[1])
    assert island["task"]["output"] == "audio"
    assert all(clip["text"].endswith(str(clip["index"])) for clip in island["clips"])
    assert all(clip["real"].startswith("data:audio/wav;base64,") for clip in island["clips"])
    for method in island["methods"]:
        assert all(source.startswith("data:audio/mpeg;base64,") for source in method["outputs"])
    for word in ("real sounds", "shuffled sounds", "in tune", "off key"):
        assert word in page
    assert "image" not in re.sub(r"<(style|script).*?</\1>|img-src|image/webp|<[^>]*>", "", page, flags=re.S)
    assert "in tune" in (board / "README.md").read_text()

    told = run_cli("report", "run", "--suite", suite)
    assert told.code == 0, told.err
    text = (tmp_path / "run/report.html").read_text()
    assert text.count("<audio controls") >= 6
    assert "number 0" in text


@pytest.mark.parametrize("design", ["likert", "pairwise"])
def test_a_human_study_from_make_to_aggregate(run_cli, suite, tmp_path, design):
    for name, tuning in (("run", 1.0), ("off", 1.5)):
        assert run_cli(
            "eval", "--method", "beeper", "--suite", suite, "--out", name, "--set", f"tuning={tuning}"
        ).code == 0  # fmt: skip
    runs = ("in tune=run", "off key=off/sounds")
    options = ("--suite", suite, "--design", design, "--clips", 4, "--controls", 2, "--repeats", 1)
    made = run_cli("rate", "make", "--runs", *runs, *options, "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["methods"] == ["in tune", "off key"]
    text = tmp_path / "study/study.toml"
    text.write_text(text.read_text().replace("Which sound", "Which beep").replace("How well do", "How well, then, do"))
    assert run_cli("rate", "page", "study").code == 0
    page = (tmp_path / "study/page/index.html").read_text()
    assert ("Which beep" if design == "pairwise" else "How well, then, do") in page
    assert "image" not in re.search(r'id="study">(.*?)</script>', page)[1]

    pytest.importorskip("httpx", reason="Starlette's test client needs httpx")
    from starlette.testclient import TestClient

    study = Study.load(tmp_path / "study")
    with closing(Store(tmp_path / "study", study)) as store:
        secrets = store.invite(["R01", "R02", "R03"])
        client = TestClient(application(study, tmp_path / "study", store, "w"), base_url="http://127.0.0.1:8000")
        for secret in secrets.values():
            sent = json.loads(re.search(r'id="study">(.*?)</script>', client.get(f"/r/{secret}/").text)[1])
            for item in sent["items"]:
                assert re.fullmatch(r"a (low|middle|high) beep, number \d", item["given"])
                sound = client.get(f"/r/{secret}/{item['shown'][0]}")
                assert (sound.status_code, sound.headers["content-type"]) == (200, "audio/mpeg")
                methods = study.by_id[item["item"]].methods
                value = 5 if methods[0] in ("in tune", "real sounds") else 1
                if design == "pairwise":
                    value = "first" if value == 5 else "second"
                body = {"item": item["item"], "value": value, "seconds": 3.0}
                assert client.post(f"/r/{secret}/answers", json=body).status_code == 200

    told = run_cli("rate", "aggregate", "study", "--write-results", "--json", "--results", "in tune=run")
    assert told.code == 0, told.err
    human = json.loads(told.out)
    assert human["noun"] == "sound"
    best = human["kept"]["methods"][0]
    assert (best["method"], best["mean"]) == ("in tune", 5 if design == "likert" else 100)
    report = (tmp_path / "study/results/human.md").read_text()
    assert "image" not in report
    if design == "likert":
        assert "real sounds (hidden control)" in report
    else:
        assert best["strength"] > 0
        assert "Bradley–Terry" in report
    assert Result.load(tmp_path / "run/result.json")["human"].value == best["mean"]


def test_a_changed_sound_is_found(run_cli, suite, tmp_path):
    run_cli("eval", "--method", "beeper", "--suite", suite, "--out", "run")
    run_cli("submit", "run", "--name", "x", "--suite", suite)
    soundfile.write(tmp_path / "run/sounds/c0.wav", beep(300), RATE)
    found = run_cli("verify", "leaderboards/beeps/x", "--suite", suite, "--outputs", "run")
    assert found.code == 1
    assert "c0.wav" in found.out


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder: soundfile.write(folder / "c0.wav", np.zeros(RATE), RATE), "silent"),
        (lambda folder: (folder / "c0.wav").write_bytes(b"RIFF"), "c0.wav"),
        (lambda folder: (folder / "c0.wav").unlink(), "lacks the sounds of 1 of 6 clips"),
        (lambda folder: soundfile.write(folder / "c9.wav", beep(300), RATE), "1 sounds that belong to no clip"),
    ],
)
def test_wrong_outputs_are_one_sentence(run_cli, suite, tmp_path, spoil, word):
    made = tmp_path / "made"
    made.mkdir()
    for n in range(6):
        soundfile.write(made / f"c{n}.wav", beep(300 + n), RATE)
    spoil(made)
    outcome = run_cli("eval", "--outputs", "made", "--suite", suite)
    assert outcome.code == 2
    assert word in outcome.sentence


def test_a_method_of_another_task_is_refused(suite):
    with pytest.raises(A2IBenchError, match="'audiotoken' is for the task audio-to-image"):
        prepare(load_suite(str(suite)), "audiotoken")


@pytest.mark.parametrize(
    ("needs", "word"), [("generated/clip-image", "takes image"), ("video/pitch", "has no 'video'")]
)
def test_a_key_of_another_medium_is_refused(run_cli, suite, monkeypatch, needs, word, tiny_suite):
    suite.write_text(suite.read_text() + "\n[encoders.clip]\nfile = 'x'\n")
    from dataclasses import replace

    monkeypatch.setitem(metrics(), "PITCH", replace(metrics()["PITCH"], needs=(needs,)))
    if needs.startswith("generated"):
        monkeypatch.setitem(
            encoders(), "pitch", EncoderKind("pitch", "image", lambda *_: _image_encoder(), has_weights=False)
        )
        monkeypatch.setitem(metrics(), "PITCH", replace(metrics()["PITCH"], needs=("generated/pitch",)))
    outcome = run_cli("eval", "--method", "beeper", "--suite", suite)
    assert outcome.code == 2
    assert word in outcome.sentence


def _image_encoder():
    made = Pitch()
    made.modality = "image"
    return made
