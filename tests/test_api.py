"""The Python face: what the commands do, as functions; every exported name has an example that runs."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import a2ibench as a2i
from a2ibench.errors import A2IBenchError

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", [name for name in a2i.__all__ if name not in ("A2IBenchError", "__version__")])
def test_every_exported_name_has_an_example(name, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    exported = getattr(a2i, name)
    module = importlib.import_module(exported.__module__)
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(exported, name, module=module, globs={**vars(module), "tmp": tmp_path})
    assert example.examples, f"{name} has no example"
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=report.append)
    assert not failed, "".join(report)


def test_the_import_is_light():
    heavy = ("torch", "numpy", "pandas", "pydantic", "PIL", "rich")
    code = f"import sys, a2ibench; print(sorted(set({heavy!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        a2i.evaluat  # noqa: B018
    assert dir(a2i) == sorted(a2i.__all__)


@pytest.fixture(scope="module")
def suite(tiny_suite):
    return a2i.load_suite(str(tiny_suite))


def _pictures(suite):
    rng = np.random.default_rng(0)
    return {clip.clip_id: rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for clip in suite.clips()}


def test_outputs_in_memory_are_scored_as_those_in_a_folder(suite, tmp_path):
    made = _pictures(suite)
    folder = tmp_path / "mine"
    folder.mkdir()
    for clip_id, pixels in made.items():
        Image.fromarray(pixels).save(folder / f"{clip_id}.png")
    from_folder = a2i.evaluate(folder, suite, out=tmp_path / "a")
    for name, given in {
        "arrays": made,
        "images": {clip_id: Image.fromarray(pixels) for clip_id, pixels in made.items()},
        "paths": {clip_id: folder / f"{clip_id}.png" for clip_id in made},
    }.items():
        result = a2i.evaluate(given, suite, name="mine", out=tmp_path / name)
        assert result.scores == from_folder.scores
        assert result.items == from_folder.items
    assert from_folder.method == "mine"
    assert list(from_folder.frame()["clip_id"]) == list(suite.clips().ids)
    assert from_folder["AIS"].low <= from_folder["AIS"].value <= from_folder["AIS"].high


def test_several_outputs_per_clip(suite, tmp_path):
    made = {clip_id: [pixels, pixels[::-1].copy()] for clip_id, pixels in _pictures(suite).items()}
    assert a2i.evaluate(made, suite, name="two", out=tmp_path / "two").outputs_per_clip == 2


def test_the_command_gives_the_same(suite, tiny_suite, run_cli, tmp_path):
    result = a2i.evaluate("reference", suite, out=tmp_path / "python")
    outcome = run_cli("eval", "--method", "reference", "--suite", tiny_suite, "--out", tmp_path / "command")
    assert outcome.code == 0, outcome.err
    assert a2i.load_result(tmp_path / "command").scores == result.scores


def test_compare_gives_a_frame(suite, tmp_path):
    ours = a2i.evaluate("reference", suite, out=tmp_path / "ours")
    mine = a2i.evaluate(_pictures(suite), suite, name="mine", out=tmp_path / "mine")
    frame = a2i.compare(ours, mine, metrics=["IIS"]).frame()
    assert frame["first"].tolist() == ["reference"]
    assert frame["difference"][0] == pytest.approx(ours["IIS"].value - mine["IIS"].value)


@pytest.mark.parametrize(
    ("what", "settings", "words"),
    [
        ("absent", {}, "no method is called that"),
        ({}, {"name": "x"}, "lacks the images of 8 of 8 clips"),
        ({"bell-0": 3}, {"name": "x"}, "The output of 'bell-0' is a int"),
        ({"bell-0": np.zeros((4, 4))}, {"name": "x"}, "give a PIL image"),
        ({"../x": np.zeros((4, 4, 3), np.uint8)}, {"name": "x"}, "no clip '../x'"),
        ("reference", {"metrics": ["AISS"]}, "did you mean 'AIS'"),
        ("reference", {"limit": 9}, "more than the 8 clips"),
        ("reference", {"device": "tpu"}, "not available"),
    ],
)
def test_wrong_use_is_one_sentence(suite, what, settings, words, tmp_path):
    with pytest.raises(A2IBenchError) as caught:
        a2i.evaluate(what, suite, out=tmp_path / "out", **settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_outputs_in_memory_need_a_name(suite):
    with pytest.raises(A2IBenchError, match="have no name"):
        a2i.evaluate(_pictures(suite), suite)
