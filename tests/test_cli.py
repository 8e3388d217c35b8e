"""The command line: one sentence and exit code 2 for what the user can fix; data on stdout, the rest on stderr."""

import errno
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from a2ibench import __version__
from a2ibench.results import Result, json_schema

COMMANDS = (
    "eval", "reproduce", "compare", "report", "submit", "verify", "leaderboard", "generate", "train", "list", "doctor",
    "schema", "index",
)  # fmt: skip


@pytest.fixture
def evaluate(run_cli, tiny_suite):
    """Run eval in the tiny suite."""
    return lambda *arguments: run_cli("eval", "--suite", tiny_suite, "--out", "out", *arguments)


# ------------------------------------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "audiotokn"), ("no method 'audiotokn'", "did you mean 'audiotoken'")),
        (("--method", "sd-text", "--metric", "AIs"), ("no metric 'AIs'", "did you mean 'AIS'")),
        (("--method", "sd-text", "--device", "gpu"), ("device 'gpu'", "cpu")),
        (("--method", "sd-text", "--device", "cuda:99"), ("device 'cuda:99'",)),
        (("--method", "sd-text", "--set", "stps=3"), ("'stps'", "did you mean 'steps'")),
        (("--method", "sd-text", "--set", "steps=many"), ("'steps'", "'many'")),
        (("--method", "sd-text", "--set", "steps=0"), ("'steps'", "a whole number")),
        (("--method", "sd-text", "--set", "steps"), ("'steps' is not NAME=VALUE",)),
        (("--method", "sd-text", "--weights", "x.safetensors"), ("not PART=FILE",)),
        (("--method", "audiotoken", "--weights", "embeder=x"), ("'embeder'", "did you mean 'embedder'")),
        (("--method", "audiotoken", "--weights", "embedder=absent.bin"), ("absent.bin", "not exist")),
        ((), ("either --method NAME or --outputs DIR",)),
        (("--method", "sd-text", "--outputs", "x"), ("either --method NAME or --outputs DIR",)),
        (("--outputs", "absent"), ("no folder or archive absent",)),
        (("--method", "reference", "--data", "absent"), ("no absent/clips.csv", "clip_id,audio,image,label")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_use_is_one_sentence(evaluate, tmp_path, arguments, words):
    sentence = evaluate(*arguments).sentence
    for word in words:
        assert word in sentence
    assert not list(Path(tmp_path, "out").glob("*")), "nothing was begun"


def test_no_such_suite(run_cli, tmp_path):
    sentence = run_cli("eval", "--method", "reference", "--suite", "minni").sentence
    assert "did you mean 'mini'" in sentence
    assert "does not exist" in run_cli("eval", "--method", "reference", "--suite", "absent.toml").sentence
    (tmp_path / "broken.toml").write_text("name = ")
    assert "not TOML" in run_cli("eval", "--method", "reference", "--suite", "broken.toml").sentence
    (tmp_path / "empty.toml").write_text("")
    assert "lacks 'name'" in run_cli("eval", "--method", "reference", "--suite", "empty.toml").sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("eval", "--metod", "audiotoken"), ("--metod", "--method")),
        (("evl",), ("evl", "eval")),
        (("eval", "--method", "sd-text", "--limit", "two"), ("--limit", "integer")),
        (("eval", "--method", "sd-text", "--limit", "1"), ("--limit", "3")),
        (("generate",), ("--method",)),
        (("compare", "only-one"), ("second",)),
    ],
)
def test_words_that_the_parser_refuses(run_cli, arguments, words):
    outcome = run_cli(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "audiotokn"), "did you mean 'audiotoken'"),
        (("train", "audiotoken", "--mixed-precision", "fp18"), "did you mean 'fp16'"),
        (("generate", "--method", "sdtext"), "did you mean 'sd-text'"),
        (("list", "metrcs"), "did you mean 'metrics'"),
        (("compare", "absent", "absent"), "no absent"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_words_elsewhere(run_cli, arguments, words):
    assert words in run_cli(*arguments).sentence


# ------------------------------------------------------------------------------------------- bad input


def _edit(folder, old, new):
    file = folder / "clips.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def _silent(folder):
    import soundfile

    soundfile.write(folder / "audio/dog-1.wav", np.zeros(16_000), 16_000)


SPOIL = {
    "no column": (lambda f: _edit(f, "label", "lable"), "column label"),
    "unsafe id": (lambda f: _edit(f, "dog-1,", "../dog-1,"), "'../dog-1'"),
    "duplicate": (lambda f: _edit(f, "dog-1,", "dog-0,"), "'dog-0'"),
    "no sound": (lambda f: (f / "audio/dog-1.wav").unlink(), "dog-1.wav does not exist"),
    "empty sound": (lambda f: (f / "audio/dog-1.wav").write_bytes(b""), "dog-1.wav is empty"),
    "no audio": (lambda f: (f / "audio/dog-1.wav").write_bytes(b"hello" * 99), "dog-1.wav can't be read"),
    "silent": (_silent, "dog-1.wav is silent"),
    "truncated": (
        lambda f: (f / "audio/dog-1.wav").write_bytes((f / "audio/dog-1.wav").read_bytes()[:9000]),
        "dog-1.wav is truncated",
    ),
    "broken image": (
        lambda f: (f / "image/dog-1.png").write_bytes((f / "image/dog-1.png").read_bytes()[:60]),
        "dog-1.png",
    ),
}


@pytest.mark.parametrize("how", SPOIL)
def test_bad_clips_are_named_before_any_work(evaluate, own_clips, how, tmp_path):
    spoil, words = SPOIL[how]
    spoil(own_clips)
    assert words in evaluate("--method", "sd-text", "--data", own_clips).sentence
    assert not (tmp_path / "out/run.json").exists()


def test_a_broken_output_is_named(evaluate, clip_folder, tmp_path):
    outputs = shutil.copytree(clip_folder / "image", tmp_path / "outputs")
    (outputs / "rain-2.png").unlink()
    (outputs / "dog-1.png").write_bytes(b"no image")
    assert "dog-1.png is not an image" in evaluate("--outputs", outputs).sentence


def test_no_permission_to_write(evaluate, monkeypatch, tmp_path):
    write = Path.write_bytes

    def refuse(path, data):
        if path.name.endswith(".part"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        assert "no permission" in evaluate("--method", "sd-text").sentence
    (tmp_path / "file").write_text("")
    assert "file/x can't be written" in evaluate("--method", "sd-text", "--out", "file/x").sentence


def test_a_full_disk_leaves_nothing_half_written(evaluate, monkeypatch, tmp_path):
    import os

    replace, written = os.replace, []

    def full(source, target):
        if Path(target).suffix == ".png":
            written.append(target)
            if len(written) == 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert "no space" in evaluate("--method", "reference").sentence
    assert len(list((tmp_path / "out/images").iterdir())) == 2
    assert evaluate("--method", "reference").code == 0
    assert len(list((tmp_path / "out/images").iterdir())) == 8


# ------------------------------------------------------------------------------------------- weights


def test_own_weights_that_are_garbage_or_of_another_shape(evaluate, tmp_path):
    import torch
    from safetensors.torch import save_file

    from a2ibench.baselines.audiotoken.embedder import Embedder

    given = ("--method", "audiotoken", "--weights", "embedder=e.safetensors")
    (tmp_path / "e.safetensors").write_bytes(b"garbage" * 50)
    assert "e.safetensors" in evaluate(*given).sentence
    save_file(Embedder(32, 16).state_dict(), tmp_path / "e.safetensors")
    assert "does not fit" in evaluate(*given, "--fresh").sentence
    save_file({"x": torch.zeros(3)}, tmp_path / "e.safetensors")
    assert "does not fit" in evaluate(*given, "--fresh").sentence
    (tmp_path / "folder").mkdir()
    assert "folder" in evaluate("--method", "audiotoken", "--weights", "embedder=folder").sentence


@pytest.mark.parametrize("name", ["clip.safetensors", "beats.safetensors", "stable-diffusion/unet/config.json"])
def test_shipped_weights_that_are_not_whole(run_cli, own_suite, name, tmp_path):
    file = own_suite.parent / "weights" / name
    command = ("eval", "--method", "audiotoken", "--suite", own_suite, "--out", "out")
    file.write_bytes(file.read_bytes()[:-1])
    sentence = run_cli(*command).sentence
    assert file.name in sentence
    assert "sha256 differs" in sentence
    assert "a2ibench doctor" in sentence
    file.unlink()
    assert "is missing" in run_cli(*command).sentence
    assert not (tmp_path / "out").exists(), "nothing was begun"


@pytest.mark.parametrize("method", ["audiotoken", "sd-text", "reference"])
def test_the_papers_suite_without_its_weights(run_cli, clip_folder, fresh_cache, tmp_path, monkeypatch, method):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    command = ("eval", "--method", method, "--suite", "vggsound")
    sentence = run_cli(*command, "--data", clip_folder, "--out", "out").sentence
    for words in ("MB", "licence", "https://", "put it at", "`a2ibench doctor`", "HF_HUB_OFFLINE"):
        assert words in sentence
    assert not (tmp_path / "out").exists(), "nothing was begun"


# ------------------------------------------------------------------------------------------- what is printed


def test_json_and_nothing_else_on_stdout(run_cli, tiny_suite, tmp_path):
    run = ("--suite", tiny_suite, "--limit", 4, "--json")
    for method in ("reference", "sd-text"):
        outcome = run_cli("eval", "--method", method, *run, "--out", method)
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["method"] == method
        Result.model_validate_json(outcome.out)
    outcome = run_cli("generate", "--method", "reference", *run, "--out", "reference")
    made = json.loads(outcome.out)
    assert len(made["images"]) == 4
    assert all((tmp_path / file).is_file() for file in made["images"].values())
    outcome = run_cli("compare", "reference", "sd-text/result.json", "--json")
    compared = json.loads(outcome.out)
    assert [each["method"] for each in compared["methods"]] == ["reference", "sd-text"]
    assert {"AIS", "IIS"} <= {each["metric"] for each in compared["comparisons"]}
    table = run_cli("compare", "reference", "sd-text")
    assert table.code == 0
    assert "reference (A) against sd-text (B)" in table.out
    assert "did you mean 'AIS'" in run_cli("compare", "reference", "sd-text", "--metric", "AIs").sentence


def test_list(run_cli):
    found = json.loads(run_cli("list", "--json").out)
    assert {"audiotoken", "audiotoken-cl", "sd-text", "reference"} <= found["methods"].keys()
    assert {"AIS", "IIS", "AIC", "FID", "KID", "AIS.same-class"} <= found["metrics"].keys()
    assert {"mini", "vggsound"} <= found["suites"].keys()
    assert all(summary for kind in found.values() for summary in kind.values())
    plain = run_cli("list", "metrics")
    assert plain.code == 0
    assert "AIS.same-class" in plain.out
    assert "audiotoken" not in plain.out.split()


def test_doctor(run_cli):
    outcome = run_cli("doctor", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == (1 if found["problems"] else 0)
    assert {"weights", "cache", "suites", "environment", "offline"} <= found.keys()
    assert found["offline"] is True
    assert all(entry["licence"] and entry["state"] in ("present", "absent", "wrong") for entry in found["weights"])
    plain = run_cli("doctor")
    assert plain.code == outcome.code
    assert "licence" in plain.out
    assert all(problem.split(";")[0][:40] in plain.out for problem in found["problems"])


def test_doctor_finds_broken_weights(run_cli, own_suite, monkeypatch):
    monkeypatch.setattr("a2ibench.doctor.suites", lambda: {str(own_suite): own_suite})
    assert run_cli("doctor").code == 0
    (own_suite.parent / "weights/clip.safetensors").write_bytes(b"x")
    outcome = run_cli("doctor", "--json")
    assert outcome.code == 1
    assert any("clip.safetensors" in problem for problem in json.loads(outcome.out)["problems"])


def test_schema_and_version(run_cli):
    assert json.loads(run_cli("schema").out) == json_schema()
    outcome = run_cli("--version")
    assert (outcome.code, outcome.out) == (0, f"a2ibench {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(run_cli, command):
    outcome = run_cli(command, "--help")
    assert outcome.code == 0
    assert "Example" in outcome.out
    assert f"a2ibench {command}" in outcome.out


def test_every_command_is_in_the_help(run_cli):
    outcome = run_cli("--help")
    assert outcome.code == 0
    assert all(command in outcome.out for command in COMMANDS)
    from a2ibench.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    groups = {group.typer_instance.info.name for group in app.registered_groups}
    assert groups == {"data", "leaderboard", "rate"}
    assert names | {"leaderboard"} == set(COMMANDS), "a new command belongs into these tests"


def test_progress_goes_to_stderr(evaluate):
    outcome = evaluate("--method", "reference", "--limit", 3)
    assert outcome.code == 0
    assert "encode" in outcome.err or "check clips" in outcome.err
    assert "check clips" not in outcome.out
    assert "result.json" in outcome.out


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda folder: (folder / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 40), "unet"),
        (lambda folder: (folder / "vae/config.json").unlink(), "vae"),
        (lambda folder: (folder / "model_index.json").unlink(), "model_index.json"),
        (lambda folder: shutil.rmtree(folder / "text_encoder"), "text_encoder"),
    ],
    ids=["truncated", "no config", "no index", "no folder"],
)
def test_an_own_pipeline_that_is_half_there(evaluate, tiny_suite, tmp_path, how, words):
    folder = shutil.copytree(tiny_suite.parent / "weights/stable-diffusion", tmp_path / "half")
    how(folder)
    sentence = evaluate("--method", "sd-text", "--weights", f"stable_diffusion={folder}").sentence
    assert "holds no whole StableDiffusionPipeline" in sentence
    assert "half" in sentence
    assert words in sentence or "safetensors" in sentence.lower()


def _verbs():
    """Every command with its sub-commands."""
    from typer.main import get_command

    from a2ibench.cli import app

    group = get_command(app)
    found = [()]
    for name, command in sorted(group.commands.items()):
        found += [(name,), *((name, sub) for sub in sorted(getattr(command, "commands", {})))]
    return found


@pytest.mark.parametrize("verb", _verbs(), ids=" ".join)
def test_help_is_whole_at_80_columns(run_cli, verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = run_cli(*verb, "--help")
    assert shown.code == 0
    cut = [line for line in shown.out.splitlines() if "…" in line and "_1, …" not in line]
    assert not cut, cut
    if verb and verb != ("rate",):
        assert "Example" in shown.out


def test_progress_in_a_log_file(capsys, monkeypatch):
    """No terminal: a line at the beginning, one every half minute, one at the end; not a bar."""
    from a2ibench.cli import shared

    clock = iter([0.0, 10.0, 31.0, 40.0, 62.0])
    monkeypatch.setattr(shared.time, "monotonic", lambda: next(clock))
    with shared.progress() as stage:
        advance = stage("  draw", 4)
        for _ in range(4):
            advance(1, "loss 0.1")
    assert capsys.readouterr().err.splitlines() == [
        "draw: 0/4",
        "draw: 2/4 after 31 s loss 0.1",
        "draw: 4/4 after 62 s loss 0.1",
    ]


@pytest.mark.parametrize(
    "wrong", [("--outputs", "absent"), ("--outputs", "few"), ("--method", "reference", "--limit", 9)]
)
def test_refused_commands_leave_nothing_behind(run_cli, tiny_suite, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").mkdir()
    assert run_cli("eval", "--suite", tiny_suite, *wrong).sentence
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["few"]


# ------------------------------------------------------------------------------------------------- Ctrl-C

STOPPED = "Stopped; the same command goes on from what is whole.\n"


@pytest.mark.parametrize("place", ["a2ibench.cli.root.app", "a2ibench.suites.suites"])
def test_ctrl_c_is_one_line(run_cli, monkeypatch, place):
    def stop(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(place, stop)
    outcome = run_cli("list")
    assert (outcome.code, outcome.err) == (130, STOPPED)


def test_ctrl_c_while_an_object_is_tidied_up_is_not_lost(run_cli, monkeypatch):
    class Tidied:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def work():
        Tidied()
        time.sleep(20)

    monkeypatch.setattr("a2ibench.cli.root.app", work)
    began = time.monotonic()
    outcome = run_cli("list")
    assert (outcome.code, outcome.err) == (130, STOPPED)
    assert time.monotonic() - began < 10


def test_ctrl_c_while_libraries_are_imported(start_cli):
    """And while Python ends: the process is deaf by then."""
    stop = "class Stop:\n def find_spec(self, name, *rest):\n  if name == 'typer': raise KeyboardInterrupt\n"
    late = "import atexit, signal; atexit.register(lambda: signal.raise_signal(signal.SIGINT))\n"
    process = start_cli("list", before=f"{stop}import sys; sys.meta_path.insert(0, Stop())\n{late}")
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said.decode()) == (130, STOPPED)
