"""VGGish: the original's windows and rows, several rows per sound, and rows that know nothing of their neighbours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_state, sound

from a2ibench.encoders.vggish import VGGish, examples, load
from a2ibench.errors import A2IBenchError

FIXTURE = np.load(Path(__file__).parents[1] / "fixtures" / "vggish.npz")
SMALL = {"width": 4, "hidden": 16, "dim": 8}


@pytest.fixture(scope="module")
def small():
    return load(SMALL, seeded_state(VGGish(**SMALL)), "0" * 64)


def test_windows_are_the_originals():
    ours = np.concatenate([examples(torch.from_numpy(sound(n))).numpy() for n in FIXTURE["lengths"]])
    assert len(ours) == 10 + 3 + 1
    np.testing.assert_allclose(ours[::2, ::8, ::4], FIXTURE["examples"], atol=1e-6)


def test_published_network_gives_the_originals_rows():
    with torch.device("meta"):
        network = VGGish()
    assert sum(p.numel() for p in network.parameters()) == 72_141_184
    network = network.to_empty(device="cpu")
    encoder = load({}, seeded_state(network), "0" * 64)
    rows = encoder.encode([sound(int(n)) for n in FIXTURE["lengths"][1:]])
    np.testing.assert_allclose(np.concatenate(rows), FIXTURE["rows"][10:], atol=2e-4)  # their spread is 5.3
    assert (FIXTURE["rows"] < 0).any()  # no activation at the end


def test_rows_depend_on_their_own_sound_alone(small):
    sounds = [sound(40_000), sound(16_000), sound(80_000, seed=2)]
    together = small.encode(sounds)
    assert [len(rows) for rows in together] == [2, 1, 5]
    for wave, rows in zip(sounds, together, strict=True):
        np.testing.assert_allclose(small.encode([wave])[0], rows, atol=1e-5)
    assert small.encode([]) == []


def test_a_short_sound_has_silence_behind_it(small):
    (short,) = small.encode([sound(5000)])
    (padded,) = small.encode([np.pad(sound(5000), (0, 10_600))])
    assert short.shape == (1, 8)
    np.testing.assert_array_equal(short, padded)


def test_identity_and_wrong_input(small):
    other = load({**SMALL, "dim": 9}, seeded_state(VGGish(**{**SMALL, "dim": 9})), "0" * 64)
    assert small.digest != other.digest
    for wrong, sentence in [
        (np.zeros((2, 100)), "takes mono waveforms"),
        (np.zeros(0), "takes mono waveforms"),
        (np.full(100, np.nan), "not finite"),
    ]:
        with pytest.raises(A2IBenchError, match=sentence):
            small.encode([wrong])
    with pytest.raises(A2IBenchError, match="does not fit VGGish"):
        load(SMALL, seeded_state(VGGish(**{**SMALL, "dim": 9})), "0" * 64)
    with pytest.raises(A2IBenchError, match="no setting"):
        load({"widht": 4}, {}, "")
