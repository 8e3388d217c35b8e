"""Results: nothing that does not add up gets in, and equal results make equal files."""

import csv
import json
import os
import shutil
import subprocess
import sys
from math import inf, nan

import numpy as np
import pytest
from pydantic import ValidationError

from a2ibench.errors import A2IBenchError
from a2ibench.results import Clips, Result, Score, json_schema, provenance
from a2ibench.results.provenance import _checkout as checkout


def score(metric="AIS", value=75.0, **more):
    given = {"n": 2, "higher_is_better": True, "unit": "%", "signature": f"{metric}|v:1", **more}
    return Score(metric=metric, value=value, **given)


@pytest.fixture(scope="module")
def made():
    return provenance("cpu", {"encode": 1.23456, "generate": 2})


@pytest.fixture
def fields(made):
    return {
        "method": "audiotoken",
        "suite": "mini@1",
        "clips": Clips(name="mini", n=3, digest="d"),
        "seed": 0,
        "options": {"steps": 50, "guidance": 7.5, "cl": False, "text": "a photo", "none": None},
        "weights": {"clip": "abc"},
        "scores": [score(low=60.0, high=90.0, chance=50.0), score("FID", 52.85, stderr=1.2, unit="")],
        "items": {"b": {"AIS": 100.0}, "a": {"AIS": 50.0, "AIS.z": 0.1}, "c": {"AIS": None}},
        "labels": {"c": "frog croaking", "b": "bird chirping, tweeting", "a": "dog"},
        "notes": ["these encoders know only the mini world"],
        "provenance": made,
    }


def test_saves_and_loads_to_the_last_bit(tmp_path, fields):
    fields["items"]["a"]["AIS.z"] = 0.1 + 0.2
    result = Result(**fields)
    result.save(tmp_path / "a.json")
    again = Result.load(tmp_path / "a.json")
    assert again == result
    assert type(again.options["cl"]) is bool
    assert type(again.options["steps"]) is int
    assert type(again.options["guidance"]) is float


def test_equal_results_make_equal_files(tmp_path, fields):
    Result(**fields).save(tmp_path / "a.json")
    for name in ("items", "labels", "options"):
        fields[name] = dict(reversed(fields[name].items()))
    Result(**fields).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n "schema_version": 2,\n "task": "audio-to-image",\n "method": "audiotoken"')
    assert list(json.loads(text)["items"]) == ["a", "b", "c"]


def test_is_frozen(fields):
    with pytest.raises(ValidationError, match="frozen"):
        Result(**fields).method = "other"


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_refuses_what_is_no_number(fields, bad):
    with pytest.raises(ValidationError, match="finite"):
        score(value=bad)
    with pytest.raises(ValidationError, match="finite"):
        score(extra={"trace": bad})
    with pytest.raises(ValidationError, match="finite"):
        Result(**{**fields, "options": {"guidance": bad}})
    fields["items"]["a"]["AIS.z"] = bad
    with pytest.raises(ValidationError, match="finite"):
        Result(**fields)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra_field": 1}, "Extra inputs"),
        ({"scores": [score(value=75.0001)]}, "the mean of its clips is 75.0"),
        ({"scores": [score(), score()]}, "twice"),
        ({"labels": {"a": "dog", "b": "cat"}}, "clip c has values but no label"),
        ({"clips": Clips(name="mini", n=2, digest="d")}, "only 2 clips"),
        ({"items": {"a": {"AIS": None}}}, "no clip with a value"),
        ({"options": {"list": [1]}}, "options"),
        ({"method": None}, "method"),
    ],
)
def test_refuses_what_does_not_add_up(fields, change, says):
    with pytest.raises(ValidationError, match=says):
        Result(**{**fields, **change})


def test_means_may_differ_by_rounding_only(fields):
    Result(**{**fields, "scores": [score(value=75 * (1 + 9e-10))]})
    with pytest.raises(ValidationError, match="mean"):
        Result(**{**fields, "scores": [score(value=75 * (1 + 2e-9))]})
    assert Result(**{**fields, "items": {}}).columns == ()


def test_intervals_have_two_ends_in_order():
    with pytest.raises(ValidationError, match="both ends"):
        score(low=1.0)
    with pytest.raises(ValidationError, match="above"):
        score(low=2.0, high=1.0)
    with pytest.raises(ValidationError, match="stderr"):
        score(stderr=-1.0)


def test_takes_numpy_numbers(fields, tmp_path):
    fields["items"]["a"]["AIS"] = np.float64(50)
    fields["scores"][0] = score(value=np.float64(75), n=int(np.int64(2)))
    result = Result(**fields)
    result.save(tmp_path / "a.json")
    result.write_items(tmp_path / "a.csv")
    assert "np." not in (tmp_path / "a.csv").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\ud800", "not JSON"),
        ("[]", "no schema_version"),
        ("{}", "no schema_version"),
        ('{"schema_version": 0}', "schema version 0, and this a2ibench reads 2"),
        ('{"schema_version": "3"}', "schema version '3'"),
        ('{"schema_version": 1}', "not a whole result: method"),
    ],
)
def test_load_says_in_one_sentence_what_is_wrong(tmp_path, text, says):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(A2IBenchError, match=says) as caught:
        Result.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_checks_values(tmp_path, fields):
    path = tmp_path / "a.json"
    Result(**fields).save(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    found["scores"][0]["value"] = 99.0
    path.write_text(json.dumps(found))
    with pytest.raises(A2IBenchError, match=r"AIS is 99\.0, but the mean of its clips is 75\.0"):
        Result.load(path)
    found["scores"][0]["value"] = nan
    path.write_text(json.dumps(found))
    with pytest.raises(A2IBenchError, match=r"scores\.0\.value: Input should be a finite number"):
        Result.load(path)
    with pytest.raises(A2IBenchError, match="There is no"):
        Result.load(tmp_path / "none.json")
    with pytest.raises(A2IBenchError, match="can't be read"):
        Result.load(tmp_path)


def test_frame(fields):
    table = Result(**fields).frame()
    assert list(table.columns) == ["clip_id", "label", "AIS", "AIS.z"]
    assert list(table["clip_id"]) == ["a", "b", "c"]
    assert list(table["label"]) == ["dog", "bird chirping, tweeting", "frog croaking"]
    assert table["AIS"].tolist()[:2] == [50.0, 100.0]
    assert table[["AIS", "AIS.z"]].isna().to_numpy().tolist() == [[False, False], [False, True], [True, True]]
    empty = Result(**{**fields, "items": {}}).frame()
    assert list(empty.columns) == ["clip_id", "label"]


def test_write_items_reads_back_to_the_last_bit(tmp_path, fields):
    fields["items"]["a"]["AIS.z"] = 0.1 + 0.2
    result = Result(**fields)
    result.write_items(tmp_path / "a.csv")
    result.write_items(tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["AIS.z"]) == 0.1 + 0.2
    assert rows[1]["label"] == "bird chirping, tweeting"
    assert rows[2]["AIS"] == ""


def test_json_schema_describes_every_field():
    schema = json_schema()
    assert schema["properties"]["schema_version"]["const"] == 2
    for model in (schema, *schema["$defs"].values()):
        assert model["additionalProperties"] is False
        assert all("description" in field for field in model["properties"].values())


def test_provenance(made):
    assert made.packages["numpy"] == np.__version__
    assert made.seconds == {"encode": 1.235, "generate": 2.0}
    assert made.device != "cpu"  # a name, not a kind
    assert made.threads >= 1
    assert made.kernels == {}, "results of before have none"
    assert list(provenance("cpu", {}, {"b": "cpu-onednn-b8", "a": ""}).kernels) == ["a", "b"]
    assert (made.git_commit is None) == (made.git_dirty is None)
    assert provenance("NVIDIA H200", {}).device == "NVIDIA H200"


def test_provenance_without_git_or_in_somebody_elses_repository(tmp_path, monkeypatch):
    assert checkout(tmp_path) == (None, None)
    package = tmp_path / "a2ibench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git = shutil.which("git")
    if git:

        def run(*words):
            named = ["-c", "user.name=x", "-c", "user.email=x@x"]
            subprocess.run([git, "-C", str(tmp_path), *named, *words], check=True, capture_output=True)

        run("init")
        assert checkout(tmp_path) == (None, None)  # there, but not known to git
        run("add", "a2ibench")
        run("commit", "-m", "x")
        commit, dirty = checkout(tmp_path)
        assert len(commit) == 40
        assert dirty is False
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
        assert checkout(tmp_path) == (commit, False)
        (package / "new.py").write_text("")
        assert checkout(tmp_path) == (commit, True)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert checkout(tmp_path) == (None, None)


def test_imports_nothing_heavy():
    code = (
        "import sys, a2ibench.results as r; r.provenance('cpu', {}); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'transformers', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"items": {"a": {"AIS": 1.7e308}, "b": {"AIS": 1.7e308}, "c": {}}}, "too large to be added up"),
        ({"items": {"a": {"AIS": 10**400}}}, "valid number"),
        ({"seed": 10**400}, "less than or equal"),
        ({"outputs_per_clip": 10**6}, "less than or equal to 10000"),
        ({"method": "x" * 301}, "at most 300"),
        ({"notes": ["x" * 2001]}, "at most 2000"),
        ({"licences": ["x"] * 1001}, "at most 1000"),
        ({"scores": [score(f"m{number}") for number in range(201)]}, "at most 200"),
    ],
)
def test_what_no_honest_result_holds_is_refused_in_a_sentence(fields, tmp_path, change, says):
    with pytest.raises(ValidationError, match=says):
        Result(**{**fields, **change})
    whole = json.loads(json.dumps({**Result(**fields).model_dump(), **change}, default=lambda each: each.model_dump()))
    (tmp_path / "result.json").write_text(json.dumps(whole))
    with pytest.raises(A2IBenchError, match=says):
        Result.load(tmp_path / "result.json")


def test_load_follows_a_link_to_a_run_but_opens_no_pipe_and_no_device(tmp_path, fields):
    Result(**fields).save(tmp_path / "a.json")
    (tmp_path / "linked.json").symlink_to(tmp_path / "a.json")
    assert Result.load(tmp_path / "linked.json") == Result(**fields)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.json"):
        with pytest.raises(A2IBenchError, match="it is no file"):
            Result.load(tmp_path / name)


def test_results_of_the_first_schema_still_load(fields, tmp_path):
    made = Result(**fields)
    old = made.model_dump()
    for key in ("task", "outputs_per_clip", "details", "outputs", "caution"):
        old.pop(key, None)
    old |= {"schema_version": 1, "images_per_clip": 2, "categories": {next(iter(old["labels"])): ["bell", "frog"]}}
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = Result.load(tmp_path / "old.json")
    assert (found.schema_version, found.task, found.outputs_per_clip) == (2, "audio-to-image", 2)
    assert found.details["category"] == old["categories"]
    assert found.scores == made.scores
