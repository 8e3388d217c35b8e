"""EnCodec at its published size and from audiocraft's names; the patch codec by what it keeps of sounds."""

import numpy as np
import pytest
import torch

from a2ibench.baselines.foleygen.codec import EncodecCodec, from_audiocraft, load_encodec
from a2ibench.baselines.foleygen.patches import PatchCodec, PatchConfig, load_patches, mel_bank, train_codebooks
from a2ibench.errors import A2IBenchError

SMALL = {"num_filters": 4, "hidden_size": 8, "codebook_size": 16, "codebook_dim": 8, "target_bandwidths": [0.8]}


def test_encodec_at_the_published_size():
    codec = EncodecCodec()
    assert (codec.rate, codec.code_rate, codec.books, codec.codes) == (16_000, 50.0, 4, 2048)
    assert round(sum(each.numel() for each in codec.network.parameters()) / 1e6, 1) == 56.8
    codes = codec.encode(torch.randn(1, 8000) * 0.1)
    assert codes.shape == (1, 4, 25)
    assert codec.decode(codes).shape == (1, 8000)


def test_a_sound_does_not_depend_on_its_batch():
    codec = EncodecCodec(SMALL)
    waves = torch.randn(3, 3200)
    assert torch.equal(codec.encode(waves)[1:2], codec.encode(waves[1:2]))


def _as_audiocraft(state):
    """Names as audiocraft writes them: ``encoder.model.0.conv.conv.weight_g``, ``quantizer.vq.layers.0._codebook``."""
    named = {}
    for key, value in state.items():
        key = key.replace("encoder.layers.", "encoder.model.").replace("decoder.layers.", "decoder.model.")
        key = key.replace("parametrizations.weight.original0", "weight_g")
        key = key.replace("parametrizations.weight.original1", "weight_v")
        key = key.replace("quantizer.layers.", "quantizer.vq.layers.").replace(".codebook.", "._codebook.")
        if ".conv." in key:
            # The decoder's strided layers are transposed ones, and their names say so.
            wide = key.startswith("decoder") and value.ndim and ".block." not in key
            transposed = wide and key.split(".")[2] in {"3", "6", "9", "12"}
            key = key.replace(".conv.", ".convtr.convtr." if transposed else ".conv.conv.")
        named[key] = value
    return named


def test_audiocrafts_file(tmp_path):
    codec = EncodecCodec(SMALL)
    state = codec.network.state_dict()
    theirs = _as_audiocraft(state)
    for name in (
        "encoder.model.0.conv.conv.weight_g", "encoder.model.1.block.1.conv.conv.bias",
        "encoder.model.13.lstm.weight_ih_l0",
        "decoder.model.3.convtr.convtr.weight_v", "quantizer.vq.layers.0._codebook.embed",
    ):  # fmt: skip
        assert name in theirs, sorted(theirs)
    assert from_audiocraft(theirs).keys() == state.keys()
    file = tmp_path / "compression_state_dict.bin"
    torch.save({"best_state": theirs, "xp.cfg": "seanet:\n  pad_mode: reflect\n"}, file)
    again = load_encodec(SMALL, file)
    assert again.network.config.pad_mode == "reflect"
    assert all(torch.equal(value, state[name]) for name, value in again.network.state_dict().items())


def test_wrong_settings_are_named():
    with pytest.raises(A2IBenchError, match="did you mean 'num_filters'"):
        EncodecCodec({"num_filter": 3})
    with pytest.raises(A2IBenchError, match="mono"):
        EncodecCodec({**SMALL, "audio_channels": 2})
    with pytest.raises(A2IBenchError, match="'bands'"):
        PatchConfig.from_dict({"band": 3})


def beeps(count):
    """Sounds of two seconds: silence, and a tone of one of eight pitches from a moment on."""
    rng = np.random.default_rng(0)
    time = np.arange(32_000) / 16_000
    pitch, onset = 300 * 2 ** (rng.integers(8, size=count) / 2), rng.uniform(0.3, 1.5, size=count)
    waves = np.stack([0.5 * np.sin(2 * np.pi * p * time) * (time > o) for p, o in zip(pitch, onset, strict=True)])
    return torch.from_numpy(waves.astype(np.float32)), pitch, onset


@pytest.fixture(scope="module")
def codec():
    made = PatchCodec(PatchConfig(codes=32, iterations=8))
    waves, *_ = beeps(40)
    return train_codebooks(made, made.patches(waves).flatten(0, 1))


def test_pitch_onset_and_level_are_kept(codec):
    waves, pitch, onset = beeps(6)
    codes = codec.encode(waves)
    assert codes.shape == (6, 4, 100)
    assert codec.code_rate == 50.0
    back = codec.decode(codes).numpy()
    assert back.shape == waves.shape
    for wave, real, hertz, start in zip(back, waves.numpy(), pitch, onset, strict=True):
        loudest = np.abs(np.fft.rfft(wave)).argmax() / 2
        assert abs(np.log2(loudest / hertz)) < 0.12
        assert abs(np.argmax(np.abs(wave) > 0.15) / 16_000 - start) < 0.04
        ratio = np.sqrt(np.square(wave).mean() / np.square(real).mean())
        assert 0.7 < ratio < 1.3
        assert np.abs(wave).max() < 1
        assert np.abs(wave[:8]).max() < 1e-2  # no click


def test_equal_codes_equal_sounds_in_any_batch(codec):
    waves, *_ = beeps(3)
    codes = codec.encode(waves)
    assert torch.equal(codec.encode(waves[2:]), codes[2:])
    assert torch.allclose(codec.decode(codes[2:]), codec.decode(codes)[2:], atol=1e-4)
    assert torch.equal(codec.decode(codes), codec.decode(codes))


def test_codes_by_brute_force(codec):
    waves, *_ = beeps(1)
    left = codec.patches(waves)[0].double()
    for book, codes in zip(codec.centres.double(), codec.encode(waves)[0], strict=True):
        nearest = torch.cdist(left, book).argmin(1)
        assert (nearest == codes).float().mean() > 0.98  # but for ties in float32
        left = left - book[codes]


def test_bands_cover_all_frequencies():
    bank = mel_bank(PatchConfig())
    assert bank.shape == (64, 201)
    assert torch.allclose(bank.sum(1), torch.ones(64))
    assert (bank.sum(0)[1:-1] > 0).all()


def test_codebooks_come_back(codec, tmp_path):
    from safetensors.torch import save_file

    save_file(codec.state_dict(), tmp_path / "codec.safetensors")
    again = load_patches({"codes": 32, "iterations": 8}, tmp_path / "codec.safetensors")
    assert torch.equal(again.centres, codec.centres)
    with pytest.raises(A2IBenchError, match="does not fit the patch codec"):
        load_patches({"codes": 64}, tmp_path / "codec.safetensors")
