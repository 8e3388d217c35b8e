"""PaSST: the original's mel pictures and logits, sounds of any length, rows on their own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from seeded import seeded_state, sound

from a2ibench.encoders.passt import RATE, Passt, load, log_mel
from a2ibench.errors import A2IBenchError

FIXTURE = np.load(Path(__file__).parents[1] / "fixtures" / "passt.npz")
SMALL = {"width": 16, "blocks": 2, "heads": 2, "classes": 12, "stride": 16, "seconds": 3.0}


@pytest.fixture(scope="module")
def small():
    return load(SMALL, seeded_state(Passt(**SMALL)), "0" * 64)


def test_pictures_are_the_originals():
    picture = log_mel(torch.from_numpy(sound(96_000, RATE))[None])[0].numpy()
    assert picture.shape == (128, 300)
    np.testing.assert_allclose(picture[::8, ::12], FIXTURE["mel"], atol=2e-4)


def test_published_network_gives_the_originals_logits():
    with torch.device("meta"):
        network = Passt()
    assert sum(p.numel() for p in network.parameters()) == 86_153_758
    assert network.time_new_pos_embed.shape == (1, 768, 1, 99)
    assert network.freq_new_pos_embed.shape == (1, 768, 12, 1)
    encoder = load({}, seeded_state(network.to_empty(device="cpu")), "0" * 64)
    rows = encoder.encode([sound(int(n), RATE) for n in FIXTURE["lengths"][2:]])
    np.testing.assert_allclose(rows, FIXTURE["rows"][2:], atol=5e-5)  # their spread is 1.5


def test_rows_depend_on_their_own_sound_alone(small):
    sounds = [sound(40_000, RATE), sound(9_000, RATE), sound(40_000, RATE, seed=2)]
    together = small.encode(sounds)
    assert together.shape == (3, 12)
    for wave, row in zip(sounds, together, strict=True):
        np.testing.assert_allclose(small.encode([wave])[0], row, atol=1e-5)
    assert small.encode([]).shape == (0, 12)


def test_what_is_too_long_is_cut_and_what_is_too_short_has_silence_behind_it(small):
    long = sound(150_000, RATE)
    np.testing.assert_array_equal(small.encode([long]), small.encode([long[: 3 * RATE]]))
    short = sound(300, RATE)
    np.testing.assert_array_equal(small.encode([short]), small.encode([np.pad(short, (0, 4820))]))


def test_identity_and_wrong_input(small):
    assert small.digest != load({**SMALL, "heads": 4}, seeded_state(Passt(**SMALL)), "0" * 64).digest
    for wrong, sentence in [(np.zeros((2, 100)), "takes mono waveforms"), (np.full(9000, np.inf), "not finite")]:
        with pytest.raises(A2IBenchError, match=sentence):
            small.encode([wrong])
    with pytest.raises(A2IBenchError, match="a width that heads divides"):
        load({"heads": 7}, {}, "")
    with pytest.raises(A2IBenchError, match="no setting"):
        load({"width": 16, "depth": 4}, {}, "")
