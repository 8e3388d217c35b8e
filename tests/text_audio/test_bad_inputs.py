"""What users hand in by mistake, by the commands: captions, indexes and sounds that are not as they should be."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
from tiny import write_sums

from a2ibench.baselines import get as get_method
from a2ibench.baselines.re_audioldm.parts import Clap
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.retrieval.build import build_index
from a2ibench.tasks import get as get_task

RATE = 16_000


@pytest.fixture
def suite(networks, clips, tmp_path, fresh_cache):
    """A suite with CLAP, codec and vocoder, whose clips may be spoilt."""
    folder = tmp_path / "suite"
    lines = ['name = "tiny-bad"', "version = 1", 'task = "text-to-audio"', 'clips = "test"']
    for name in ("clap", "codec", "vocoder"):
        shutil.copytree(networks[name]["file"], folder / "weights" / name)
        lines += [f"[parts.{name}]", f'file = "weights/{name}"']
        if "config" in networks[name]:
            lines.append(f"config = {{ length = {networks[name]['config']['length']} }}")
    lines += ["[parts.index]", 'absent = "Build one."']
    write_sums(folder / "weights")
    shutil.copytree(clips[0].file("audio").parent, folder / "test")
    (folder / "suite.toml").write_text("\n".join(lines) + "\n")
    return folder / "suite.toml"


def spoil(folder, **changes):
    """Change columns of the first clip."""
    with (folder / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0].update(changes)
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def sound(file, wave):
    soundfile.write(file, np.asarray(wave, np.float32), RATE, subtype="FLOAT")


def generate(run_cli, suite, networks, method="nearest-sound", *more):
    index = ("--weights", f"index={networks['index']['file']}") if method == "nearest-sound" else ()
    return run_cli("generate", "--method", method, "--suite", suite, *index, "--out", "out", *more)


@pytest.mark.parametrize("caption", ["", "   ", "\x07\x1b"])
def test_an_empty_caption_is_one_sentence_that_names_the_clip(run_cli, suite, networks, caption):
    spoil(suite.parent / "test", caption=caption)
    refused = generate(run_cli, suite, networks)
    assert refused.code == 2
    assert "test-00" in refused.sentence or "line 2" in refused.sentence
    assert "caption" in refused.sentence


def test_a_caption_of_two_thousand_words_is_refused_and_a_long_one_cut_and_warned_of(
    run_cli, suite, networks, tmp_path
):
    spoil(suite.parent / "test", caption="a bell rings " * 667)
    refused = generate(run_cli, suite, networks)
    assert refused.code == 2
    assert "too long; give 1 to 2000" in refused.sentence
    spoil(suite.parent / "test", caption="a bell rings " * 150)
    done = generate(run_cli, suite, networks)
    assert done.code == 0, done.err
    assert "tokens, and 30 are read" in done.err
    assert len(list((tmp_path / "out/sounds").iterdir())) == 5


def test_equal_captions_of_two_clips_are_two_sounds_of_the_same_examples(with_both, clips):
    from dataclasses import replace

    one = clips[0]
    other = replace(clips[1], values={**clips[1].values, "caption": one.text("caption")})
    method = get_method("nearest-sound")
    near = method.load(with_both, dict(method.options), "cpu")([one, other], [1, 2])
    np.testing.assert_array_equal(near[0][0], near[1][0])
    method = get_method("re-audioldm")
    made = method.load(with_both, {**method.options, "steps": 2}, "cpu")([one, other], [1, 2])
    assert not np.array_equal(made[0][0], made[1][0])


def test_more_examples_than_the_index_has(with_both, corpus, clips, tmp_path):
    from a2ibench.clips import ClipSet

    two = ClipSet(list(corpus)[:2], "two", corpus.task)
    folder = corpus[0].file("audio").parent
    build_index(two, Clap(with_both["clap"], "cpu"), tmp_path / "index", corpus=folder)
    parts, method = {**with_both, "index": {"file": tmp_path / "index"}}, get_method("re-audioldm")
    waves = {
        k: method.load(parts, {**method.options, "steps": 2, "k": k}, "cpu")([clips[0]], [1])[0][0] for k in (1, 2, 10)
    }
    np.testing.assert_allclose(waves[10], waves[2], atol=1e-4)  # what is not there is masked
    assert not np.allclose(waves[1], waves[2], atol=1e-4)


@pytest.mark.parametrize(("wave", "word"), [(np.zeros(4800), "silent"), (np.full(4800, np.nan), "not numbers")])
@pytest.mark.parametrize("what", ["test", "corpus"])
def test_silent_or_broken_sounds_are_named(run_cli, suite, networks, tmp_path, wave, word, what):
    shutil.copytree(networks["index"]["file"].parent / "corpus", tmp_path / "corpus")
    if what == "test":
        sound(suite.parent / "test/test-00.wav", wave)
        refused = generate(run_cli, suite, networks, "codec-sound")
        assert "test-00" in refused.sentence
    else:
        sound(tmp_path / "corpus/train-03.wav", wave)
        refused = run_cli("index", "--suite", suite, "--data", "corpus", "--out", "index")
        assert "train-03" in refused.sentence
    assert refused.code == 2
    assert word in refused.sentence


def test_a_generated_sound_that_is_silent_counts_as_none(run_cli, suite, networks, tmp_path, monkeypatch):
    from a2ibench.baselines.re_audioldm import simple

    real, seen = simple.heard, []

    def quiet(*args):
        seen.append(1)
        found = real(*args)
        return [(np.zeros_like(wave), rate) for wave, rate in found] if len(seen) == 1 else found

    monkeypatch.setattr(simple, "heard", quiet)
    done = generate(run_cli, suite, networks, "codec-sound", "--batch-size", 1)
    assert done.code == 0, done.err
    assert "Made again with another seed" in done.err
    assert "silent" in done.err
    assert len(list((tmp_path / "out/sounds").iterdir())) == 5


def test_an_index_of_another_network_is_refused_by_its_digest(run_cli, suite, networks, another_clap, corpus, tmp_path):
    build_index(corpus, Clap(another_clap, "cpu"), tmp_path / "other", corpus=corpus[0].file("audio").parent)
    refused = run_cli(
        "generate", "--method", "nearest-sound", "--suite", suite, "--weights", "index=other", "--out", "out"
    )
    assert refused.code == 2
    told = json.loads((tmp_path / "other/index.json").read_text())["encoder"]
    assert "another network" in refused.sentence
    assert told[:12] in refused.sentence


def test_captions_in_a_table_keep_their_signs(tmp_path, clips):
    shutil.copytree(clips[0].file("audio").parent, tmp_path / "clips")
    spoil(tmp_path / "clips", caption="鐘 \N{BELL}, zweimal; “laut”")
    again = load_clips(tmp_path / "clips", task=get_task("text-to-audio"))
    assert again[0].text("caption") == "鐘 \N{BELL}, zweimal; “laut”"
    spoil(tmp_path / "clips", audio="../outside.wav")
    with pytest.raises(A2IBenchError):
        load_clips(tmp_path / "clips", task=get_task("text-to-audio"))
