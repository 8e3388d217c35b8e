"""Wav2CLIP: the checkpoint's keys, the package's rows, and rows that know nothing of their neighbours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from encode import load_encoder

from a2ibench import A2IBenchError
from a2ibench.encoders.wav2clip import Spectrogram, Wav2Clip, load

FIXTURE = Path(__file__).parents[1] / "fixtures" / "wav2clip.npz"
SMALL = {"width": 8, "blocks": [1, 1, 1, 1], "dim": 32}


def shared_weights(network):
    """Random weights that any implementation can draw: tests/fixtures/wav2clip.md."""
    rng = np.random.default_rng(0)
    state = network.state_dict()
    for key in sorted(state):
        if key.endswith(("num_batches_tracked", "window")):
            continue
        n = rng.standard_normal(tuple(state[key].shape), np.float32)
        if key.endswith("running_var"):
            n = 0.5 + np.abs(n)
        elif n.ndim == 1:
            n = n / 10 + (1 if key.endswith("weight") else 0)
        else:
            n = n * np.float32(np.sqrt(2 / np.prod(n.shape[1:])))
        state[key] = torch.from_numpy(np.asarray(n, np.float32))
    return state


def sound(samples):
    noise = np.random.default_rng([1, samples]).standard_normal(samples) * 0.1
    return (noise + 0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / 16000)).astype(np.float32)


def package(state):
    """The PyPI package, filled with ``state``; only where it is installed."""
    import sys
    import types

    torch.version.cuda = None
    sys.modules.setdefault("librosa", types.ModuleType("librosa"))
    from wav2clip.model.encoder import ResNetExtractor

    return ResNetExtractor(checkpoint=state, scenario="frozen", transform=True)


def write_fixture():
    samples = np.array([16000, 48000, 4800])
    model = package(shared_weights(Wav2Clip()))
    from wav2clip import embed_audio

    rows = np.concatenate([embed_audio(sound(n), model) for n in samples])
    np.savez(FIXTURE, rows=rows, samples=samples)


@pytest.fixture(scope="module")
def published():
    network = Wav2Clip().eval()
    network.load_state_dict(shared_weights(network))
    return network


@pytest.fixture(scope="module")
def small_state():
    torch.manual_seed(0)
    return Wav2Clip(**SMALL).state_dict()


@pytest.fixture(scope="module")
def small(small_state):
    return load(SMALL, small_state, "0" * 64)


def test_published_size():
    with torch.device("meta"):
        network = Wav2Clip()
    assert sum(p.numel() for p in network.audio_encoder.parameters()) == 11_170_240
    assert [tuple(network.audio_transform.sequential[i].weight.shape) for i in (0, 3)] == [(512, 512)] * 2


def test_keys_are_the_checkpoints():
    with torch.device("meta"):
        keys = set(Wav2Clip().state_dict())
    stem = {"conv1.weight", "spectrogram.window", *_norm("bn1")}
    blocks = {
        f"layer{stage}.{block}.{key}"
        for stage in (1, 2, 3, 4)
        for block in (0, 1)
        for key in ("conv1.weight", "conv2.weight", *_norm("bn1"), *_norm("bn2"))
    }
    shortcuts = {f"layer{stage}.0.downsample.{key}" for stage in (2, 3, 4) for key in ("0.weight", *_norm("1"))}
    head = {f"audio_transform.sequential.{i}.{key}" for i in (0, 3) for key in ("weight", "bias")}
    assert keys == {f"audio_encoder.{key}" for key in stem | blocks | shortcuts} | head


def _norm(name):
    keys = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {f"{name}.{key}" for key in keys}


def test_spectrogram_is_the_definition():
    """Against a direct DFT of one centred frame, in float64."""
    x = sound(2000)
    power = Spectrogram()(torch.from_numpy(x)[None])[0, 0].numpy()
    assert power.shape == (257, 1 + 2000 // 353)
    padded = np.pad(x.astype(np.float64), 256, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    direct = np.abs(np.fft.rfft(padded[2 * 353 : 2 * 353 + 512] * hann)) ** 2
    np.testing.assert_allclose(power[:, 2], direct, rtol=1e-3, atol=1e-5)


def test_rows_are_the_packages(published):
    fixture = np.load(FIXTURE)
    encoder = load({}, published.state_dict(), "0" * 64)
    rows = encoder.encode([sound(n) for n in fixture["samples"]])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, fixture["rows"], rtol=1e-4, atol=1e-4 * np.abs(fixture["rows"]).max())


def test_live_against_the_package(published):
    """The same bits, one clip at a time; runs where the extra ``[wav2clip]`` works."""
    try:
        model = package(published.state_dict())
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"wav2clip is not installed or not importable: {error}")
    for n in (4800, 16000):
        x = torch.from_numpy(sound(n))[None]
        with torch.no_grad():
            assert torch.equal(published(x), model(x))


def test_a_row_is_its_own(small):
    sounds = [sound(n) for n in (8000 + 400 * (i % 3) + (i == 5) for i in range(64))]
    alone = np.concatenate([small.encode([x]) for x in sounds])
    np.testing.assert_array_equal(small.encode(sounds), alone)
    np.testing.assert_array_equal(np.concatenate([small.encode(sounds[i : i + 7]) for i in range(0, 64, 7)]), alone)
    order = np.random.default_rng(0).permutation(64)
    np.testing.assert_array_equal(small.encode([sounds[i] for i in order]), alone[order])
    # A loud neighbour of the same length enters the statistics upstream.
    np.testing.assert_array_equal(small.encode([sounds[0], 30 * sounds[3]])[0], alone[0])
    np.testing.assert_allclose(small.encode_together(sounds), alone, atol=1e-5)


def test_silence_and_no_clips(small):
    assert np.isfinite(small.encode([np.zeros(8000, np.float32)])).all()
    assert small.encode([]).shape == (0, 32)


@pytest.mark.parametrize("bad", [np.zeros(256), np.zeros((2, 8000)), np.full(8000, np.nan)])
def test_refused(small, bad):
    with pytest.raises(A2IBenchError, match=r"^Wav2CLIP [^\n]*; (leave it out or give more|decode it again)\.$"):
        small.encode([sound(8000), bad.astype(np.float32)])


def test_weights_that_do_not_fit():
    state = Wav2Clip(**SMALL).state_dict()
    with pytest.raises(A2IBenchError, match="of another shape"):
        load(SMALL | {"width": 16}, state, "")
    del state["audio_encoder.conv1.weight"]
    with pytest.raises(A2IBenchError, match=r"1 missing \(first 'audio_encoder.conv1.weight'\)"):
        load(SMALL, state, "")


def test_from_a_file(tmp_path, small, small_state):
    path = tmp_path / "w.pt"
    torch.save(small_state, path)
    encoder = load_encoder("wav2clip", SMALL, path)
    assert len(encoder.weights) == 64
    assert (encoder.modality, encoder.rate) == ("audio", 16000)
    np.testing.assert_allclose(encoder.encode([sound(8000)]), small.encode([sound(8000)]), atol=1e-6)
