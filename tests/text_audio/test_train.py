"""The trainer: it learns, a killed training ends as an undisturbed one, and what it makes can be used."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from a2ibench.baselines import get as get_method
from a2ibench.baselines.base import Training
from a2ibench.baselines.re_audioldm import train as trainer
from a2ibench.baselines.re_audioldm.data import Data, Frozen
from a2ibench.baselines.re_audioldm.unet import Conditioning
from a2ibench.errors import A2IBenchError
from a2ibench.progress import silent

SETTINGS = {"size": "tiny", "steps": 6, "batch_size": 3, "lr": 1e-3, "k": 2, "ema": 0.9}


@pytest.fixture
def training(networks, corpus, tmp_path, fresh_cache):
    def make(name="re-audioldm", folder="run", **settings):
        parts = {part: networks[part] for part in get_method(name).parts if part != "unet"}
        own = {key: value for key, value in {**SETTINGS, **settings}.items() if not (name == "audioldm" and key == "k")}
        return Training(parts, dict.fromkeys(parts, "0"), corpus, tmp_path / folder, own, "cpu", 2, False, silent)

    return make


def weights(folder):
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def test_a_killed_training_ends_as_an_undisturbed_one(training, monkeypatch, networks, clips):
    method = get_method("re-audioldm")
    whole = weights(method.train(training(folder="one")))
    losses, real = [], trainer._loss

    def dying(*args):
        losses.append(1)
        if len(losses) == 6:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(trainer, "_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        method.train(training(folder="two"))
    made = method.train(training(folder="two"))
    assert len(losses) == 8  # went on from the fourth step
    again = weights(made)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert not (made.parent / "checkpoint.pt").exists()
    assert method.train(training(folder="two")) == made
    assert len(losses) == 8
    options = {**method.options, "steps": 2, "k": 2}
    waves = method.load({**networks, "unet": {"file": made}}, options, "cpu")(list(clips), [1, 2, 3, 4, 5])
    assert len(waves) == 5
    with pytest.raises(A2IBenchError, match="other settings"):
        method.train(training(folder="two", lr=0.5))


def test_it_learns_without_retrieval_too(training):
    seen = []

    def stage(name, total):
        return lambda count, note="": seen.append(note)

    from dataclasses import replace

    method = get_method("audioldm")
    folder = method.train(replace(training("audioldm", steps=25, lr=5e-3), stage=stage, checkpoint_every=1000))
    losses = [float(note.split()[1]) for note in seen if note]
    assert losses[-1] < losses[0]
    assert weights(folder)


def test_what_a_step_reads(networks, corpus, tmp_path):
    told = Conditioning("audio-text")
    frozen = Frozen(networks, told, "cpu")
    data = Data(corpus, frozen, tmp_path, k=3, gigabytes=1)
    rows = np.array([0, 5, 7])
    latents, all_told = data.batch(rows, np.array([False, True, False]))
    assert latents.shape == (3, *frozen.codec.shape)
    assert all_told.streams[0].shape == (3, 3 * frozen.audio.length, 16)
    assert all_told.streams[1].shape == (3, 3 * 12, 16)
    np.testing.assert_array_equal(all_told.film[1], frozen.clap.texts([""])[0])
    assert not all_told.streams[0][1].any()  # dropped: no sound
    assert all_told.masks[1][1].sum() == 2  # and an empty text: its beginning and its end
    index = frozen.examples.index
    for row in (0, 7):  # never its own
        hits = data._own[2][row]
        assert corpus[row].clip_id not in {index.items[hit].item_id for hit in hits}
    again = Data(corpus, frozen, tmp_path, k=3, gigabytes=1)
    np.testing.assert_array_equal(again.batch(rows, np.zeros(3, bool))[0], data.batch(rows, np.zeros(3, bool))[0])


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("re-audioldm", {"retrieval": "none"}, "the method is audioldm"),
        ("audioldm", {"retrieval": "audio"}, "the method is re-audioldm"),
        ("re-audioldm", {"k": 11}, "1 to 10 examples"),
        ("re-audioldm", {"lrr": 1}, "did you mean 'lr'"),
        ("re-audioldm", {"size": "M"}, "There is no size of the UNet 'M'"),
        ("re-audioldm", {"cache_gb": 1e-9}, "12 clips and 12 examples"),
        ("re-audioldm", {"streams": "both"}, "no way to attend"),
    ],
)
def test_wrong_settings_are_one_sentence(training, name, settings, word):
    with pytest.raises(A2IBenchError, match=word):
        get_method(name).train(training(name, **settings))


def test_the_defaults_are_the_papers():
    config = trainer.Config()
    assert (config.lr, config.batch_size, config.epochs, config.drop, config.k) == (5e-5, 4, 80, 0.1, 3)
