"""The audio classifier: which name belongs to which class, and what is heard of a long sound."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from a2ibench.data.tagger import CLASSES, Tagger, read_classes
from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError
from a2ibench.suites import load_suite
from a2ibench.suites.mini import world

SIZES = {
    "embed_dim": 16,
    "encoder_embed_dim": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_embed_dim": 16,
    "conv_pos": 8,
    "conv_pos_groups": 2,
    "predictor_class": 3,
}
NAMES = 'index,mid,display_name\n0,/m/a,"Speech"\n1,/m/b,"Male speech, man speaking"\n2,/m/c,"Bark"\n3,/m/d,"Music"\n'


@pytest.fixture
def published(tmp_path):
    """A suite with a network stored as the published one: configuration, weights and machine ids in one torch file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = beats.Beats(beats.BeatsConfig(**SIZES))
    # The network's order is its own, not that of AudioSet's list.
    content = {"cfg": SIZES, "model": network.state_dict(), "label_dict": {0: "/m/c", 2: "/m/a", 1: "/m/b"}}
    torch.save(content, tmp_path / "beats.pt")
    (tmp_path / "classes.csv").write_text(NAMES)
    part = SimpleNamespace(config={}, resolve=lambda: (tmp_path / "beats.pt", "0" * 64))
    return SimpleNamespace(name="like-vggsound", part=lambda name: part, built_in=True)


def test_names_come_in_the_networks_order(published, tmp_path):
    tagger = Tagger(published, classes=tmp_path / "classes.csv")
    assert tagger.names == ("Bark", "Male speech, man speaking", "Speech")


def test_the_list_is_looked_for_among_the_weights(published, tmp_path, monkeypatch):
    with pytest.raises(A2IBenchError, match=r"class_labels_indices\.csv .* is not here"):
        Tagger(published)
    monkeypatch.setenv("A2IBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "class_labels_indices.csv").write_text(NAMES)
    assert Tagger(published).names[0] == "Bark"
    assert CLASSES == "audioset-classes"


def test_a_list_that_does_not_fit(published, tmp_path):
    (tmp_path / "few.csv").write_text("\n".join(NAMES.splitlines()[:2]) + "\n")
    with pytest.raises(A2IBenchError, match="lacks '/m/c' and 1 more"):
        Tagger(published, classes=tmp_path / "few.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(A2IBenchError, match="is not AudioSet's"):
        read_classes(tmp_path / "other.csv")


def test_probabilities_are_those_of_the_network(published, tmp_path):
    tagger = Tagger(published, window=1.0, classes=tmp_path / "classes.csv")
    wave = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    bank = beats.fbank(torch.from_numpy(wave[None]), tagger.network.config)
    logits = tagger.network.predictor(tagger.network(bank)).mean(1)
    np.testing.assert_allclose(tagger.hear(wave), torch.sigmoid(logits)[0].numpy(), rtol=1e-5)


def test_a_long_sound_is_heard_in_windows(published, tmp_path):
    tagger = Tagger(published, window=2.0, classes=tmp_path / "classes.csv")
    wave = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 5 + 100).astype(np.float32)
    pieces = [tagger.hear(wave[start : start + 32_000]) for start in (0, 32_000, 64_000)]
    np.testing.assert_allclose(tagger.hear(wave), np.mean(pieces, axis=0), rtol=1e-6)
    almost = wave[: 64_000 + 800]  # what is left at the end is too short to be heard
    np.testing.assert_allclose(tagger.hear(almost), np.mean(pieces[:2], axis=0), rtol=1e-6)
    assert tagger.hear(wave[:1000]).shape == (3,)


def test_the_mini_network_hears_its_world():
    tagger = Tagger(load_suite("mini"), window=3.0)
    assert tagger.names == world.LABELS
    for kind in range(len(world.KINDS)):
        tags = tagger.hear(world.sound(world.Scene((world.Event(kind, 2),), 0.5, 0, 3)))
        assert tagger.names[int(tags.argmax())] == world.LABELS[kind]


def test_a_suite_without_names(own_suite):
    with pytest.raises(A2IBenchError, match="classes and 0 names; choose another suite, or give --no-filter"):
        Tagger(load_suite(str(own_suite)))
