"""From a corpus to sounds by the commands: an index, and the methods in a suite of tiny networks."""

import json
import shutil

import pytest
from tiny import write_sums

from a2ibench.retrieval import read_found

ABSENT = 'absent = "Build an index with `a2ibench index`, and give --weights index=FOLDER."'


@pytest.fixture
def suite(with_both, clips, corpus, tmp_path, fresh_cache):
    folder = tmp_path / "suite"
    lines = ['name = "tiny-sounds"', "version = 1", 'task = "text-to-audio"', 'clips = "test"']
    for name in ("clap", "t5", "audiomae", "codec", "vocoder", "unet"):
        shutil.copytree(with_both[name]["file"], folder / "weights" / name)
        lines += [f"[parts.{name}]", f'file = "weights/{name}"']
        if "config" in with_both[name]:
            lines.append(f"config = {{ length = {with_both[name]['config']['length']} }}")
    lines += ["[parts.index]", ABSENT, "[methods.re-audioldm]", "options = { steps = 2 }"]
    write_sums(folder / "weights")
    shutil.copytree(clips[0].file("audio").parent, folder / "test")
    shutil.copytree(corpus[0].file("audio").parent, tmp_path / "corpus")
    (folder / "suite.toml").write_text("\n".join(lines) + "\n")
    return folder / "suite.toml"


def test_index_and_generate(run_cli, suite, tmp_path):
    asked = run_cli("generate", "--method", "nearest-sound", "--suite", suite)
    assert asked.code == 2
    assert "a2ibench index" in asked.sentence
    made = run_cli(
        "index", "--suite", suite, "--data", "corpus", "--out", "index", "--captions", suite.parent / "test", "--json"
    )
    assert made.code == 0, made.err
    stored = read_found(tmp_path / "index/retrieved/test.csv")
    assert [len(each) for each in stored.values()] == [12] * 5
    assert json.loads(made.out)["count"] == 12
    common = ("generate", "--suite", suite, "--weights", "index=index")
    for out, size in (("one", 24), ("two", 2)):
        ran = run_cli(*common, "--method", "re-audioldm", "--out", out, "--batch-size", size)
        assert ran.code == 0, ran.err
    names = sorted(file.name for file in (tmp_path / "one/sounds").iterdir())
    assert len(names) == 5
    for name in names:
        assert (tmp_path / "one/sounds" / name).read_bytes() == (tmp_path / "two/sounds" / name).read_bytes()
    none = run_cli(*common, "--method", "re-audioldm", "--out", "none", "--set", "k=0")
    assert none.code == 0, none.err
    assert (tmp_path / "none/sounds" / names[0]).read_bytes() != (tmp_path / "one/sounds" / names[0]).read_bytes()
    for method in ("nearest-sound", "label-sound"):
        ran = run_cli(*common, "--method", method, "--out", method)
        assert ran.code == 0, ran.err
    wrong = run_cli(*common, "--method", "re-audioldm", "--out", "x", "--set", "k=11")
    assert wrong.code == 2
    assert "0 to 10 examples" in wrong.sentence


def test_an_index_that_holds_the_test(run_cli, suite, tmp_path):
    made = run_cli("index", "--suite", suite, "--data", suite.parent / "test", "--out", "index", "--key", "text")
    assert made.code == 0, made.err
    common = ("generate", "--method", "nearest-sound", "--suite", suite, "--weights", "index=index")
    refused = run_cli(*common)
    assert refused.code == 2
    assert "index_with_test=true" in refused.sentence
    marked = run_cli(*common, "--set", "index_with_test=true", "--out", "marked")
    assert marked.code == 0, marked.err
    assert json.loads((tmp_path / "marked/run.json").read_text())["options"] == {"index_with_test": True}


def test_train_with_an_index_of_ones_own(run_cli, suite, tmp_path, networks):
    common = ("train", "re-audioldm", "--suite", suite, "--data", "corpus", "--steps", 1, "--batch-size", 2)
    common = (*common, "--set", "size=tiny", "--out", "training")
    absent = run_cli(*common)
    assert absent.code == 2
    assert "a2ibench index" in absent.sentence
    for wrong, words in (("index=nowhere", "do not exist"), ("indx=x", "did you mean 'index'"), ("unet=x", "unet")):
        refused = run_cli(*common, "--weights", wrong)
        assert refused.code == 2
        assert words in refused.sentence
    trained = run_cli(*common, "--weights", f"index={networks['index']['file']}")
    assert trained.code == 0, trained.err
    assert list((tmp_path / "training").rglob("diffusion_pytorch_model.safetensors"))
    assert f"--weights index={networks['index']['file']} --weights unet=" in trained.err


def test_an_index_is_for_text_to_audio(run_cli, tmp_path):
    refused = run_cli("index", "--suite", "mini", "--data", ".", "--out", "index")
    assert refused.code == 2
    assert "audio-to-image" in refused.sentence
