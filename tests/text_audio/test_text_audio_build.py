"""The build of the mini networks: what is told and heard is the world's, and each stage goes on."""

import numpy as np
import pytest
import torch

from a2ibench.baselines.re_audioldm.parts import Clap, Codec, TextTokens
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build import text_audio, text_audio_measure, text_audio_networks
from a2ibench.suites.mini.build.text_audio_networks import Pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool(tmp_path_factory.mktemp("work"), 12, 8, 4)


def test_the_pool_is_its_scenes(pool):
    assert len(pool.scenes) == 20
    np.testing.assert_allclose(pool.waves([13])[0], world.sound(world.draw_scene("train-two", 1)), atol=2e-5)
    np.testing.assert_allclose(pool.test_waves([1])[0], world.sound(world.draw_scene("validation", 1)), atol=2e-5)
    assert text_audio_networks.captions(pool.scenes[0])[0] == world.training_caption(pool.scenes[0])


def test_networks_are_saved_as_their_classes_read_them(pool):
    out = pool.work / "out"
    text_audio_networks.train_clap(pool, pool.work, out / "clap", 1)
    text_audio_networks.train_t5(pool, pool.work, out / "t5", 1)
    assert text_audio_networks.fit_patches(pool, pool.work, out / "codec") > 0.98
    parts = text_audio.parts(pool.work)
    clap = Clap(parts["clap"], "cpu")
    assert clap.texts(["two frogs croak", "鐘"]).shape == clap.sounds(list(pool.waves([0, 1]))).shape == (2, 64)
    assert TextTokens(parts["t5"], "cpu")(["a bell"])[0].shape == (1, 24, 96)
    codec = Codec(parts["codec"], "cpu")
    latents = codec.encode(pool.waves([0, 19]))
    assert latents.shape == (2, *codec.shape) == (2, 16, 40, 8)
    assert 0.7 < float(latents.std()) < 1.3


def test_the_corpus_is_the_long_tail(pool):
    scenes = [(f"tail-{index:04d}", world.draw_scene("tail", index)) for index in range(3)]
    folder = text_audio.write_corpus(scenes, pool.work / "tail")
    from a2ibench.clips import load_clips
    from a2ibench.tasks import get as get_task

    clips = load_clips(folder, task=get_task("text-to-audio"))
    assert [clip.text("caption") for clip in clips] == [world.training_caption(scene) for _, scene in scenes]


def test_shares_by_hand():
    named, found = np.zeros((2, 12), bool), np.zeros((2, 12), bool)
    named[0, [2, 3]] = named[1, 2] = True  # birds, frequent, and the owl, that training lacks
    found[0, 2] = found[1, [2, 4]] = True
    got = text_audio_measure.shares(named, found)
    assert got["all"] == pytest.approx(200 / 3)
    assert (got["1000-300"], got["0"], got["all of a caption"]) == (100, 0, 50)
    assert got["false alarms"] == pytest.approx(100 / 21)
    assert "| real |" in text_audio_measure.table({"real": got})
    buckets = [sum(low <= count <= high for low, high in text_audio_measure.BUCKETS.values()) for count in world.TAIL]
    assert buckets == [1] * 12


def test_a_masked_network_learns_from_what_it_hides():
    network = text_audio_networks.Masked({**text_audio_networks.MAE, "depth": 1})
    images = torch.randn(2, 1, 160, 64)
    one, other = (float(network(images, np.random.default_rng(seed)).detach()) for seed in (0, 0))
    assert one == other
    changed = images.clone()
    changed[:, :, :, :] = 0
    assert float(network(changed, np.random.default_rng(0)).detach()) != one
