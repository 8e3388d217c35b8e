"""VQGAN: taming's numbers on shared weights (tests/fixtures/vqgan.md), its key map, its two odd gradients."""

import contextlib
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from a2ibench import A2IBenchError
from a2ibench.baselines.vqgan import (
    VQGAN,
    build_vqgan,
    clamp_with_gradient,
    convert,
    load_vqgan,
    read_weights,
)

FIXTURE = Path(__file__).parents[1] / "fixtures" / "vqgan.npz"
SMALL = {
    "embed_dim": 8,
    "num_embeddings": 32,
    "latent_channels": 32,
    "base_channels": 32,
    "channel_multiplier": [1, 1, 2],
    "num_res_blocks": 1,
}


# ------------------------------------------------------------------------------- what taming's code gives


def seeded(name, shape):
    """The weights of one parameter, by taming's name, the same for every network that has it."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) == 1:
        return torch.from_numpy(x / 10 + (1 if "norm" in name and name.endswith("weight") else 0))
    return torch.from_numpy(x / np.float32(np.sqrt(np.prod(shape[1:]))))


def inputs():
    """Codes 8 x 8, an image of 128 pixels, and the weights of the pixels' sum whose gradient is compared."""
    rng = np.random.default_rng(1)
    codes = torch.from_numpy(rng.integers(0, 16384, (1, 8, 8)))
    image, weights = (torch.from_numpy(rng.standard_normal((1, 3, 128, 128), dtype=np.float32)) for _ in range(2))
    return codes, image, weights


def outputs(encoder, decoder, quant_conv, post_quant_conv, codebook):
    codes, image, weights = inputs()
    z = codebook.detach()[codes].permute(0, 3, 1, 2).contiguous().requires_grad_()
    pixels = decoder(post_quant_conv(z))
    (pixels * weights).sum().backward()
    with torch.no_grad():
        latents = quant_conv(encoder(image))
    # Slices: the whole would be 300 kB. The published width is 256.
    return {
        "pixels": pixels.detach()[0, :, ::3, ::3].numpy(),
        "gradient": z.grad[0, ::16].numpy(),
        "latents": latents[0, ::16].numpy(),
    }


def write_fixture(folder):
    """Write the fixture with taming's own ``model.py``, which lies in ``folder``; its keys are checked against ours."""
    import sys

    sys.path.insert(0, str(folder))
    from model import Decoder, Encoder

    sizes = {
        "ch": 128, "out_ch": 3, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 2, "attn_resolutions": [16],
        "in_channels": 3, "resolution": 256, "z_channels": 256, "double_z": False,
    }  # fmt: skip
    network = torch.nn.Module()
    network.encoder, network.decoder = Encoder(**sizes), Decoder(**sizes)
    network.quantize = torch.nn.Module()
    network.quantize.embedding = torch.nn.Embedding(16384, 256)
    network.quant_conv, network.post_quant_conv = torch.nn.Conv2d(256, 256, 1), torch.nn.Conv2d(256, 256, 1)
    network.load_state_dict({name: seeded(name, value.shape) for name, value in network.state_dict().items()})
    network.eval().requires_grad_(False)
    parts = network.encoder, network.decoder, network.quant_conv, network.post_quant_conv
    np.savez_compressed(FIXTURE, **outputs(*parts, network.quantize.embedding.weight))
    return network


def tamings(network):
    """The state dict of a JanusVQVAE under taming's names: the stages of the decoder counted from the end."""
    last = len(network.decoder.up) - 1
    names = {f"decoder.up.{i}.": f"decoder.up.{last - i}." for i in range(last + 1)}
    return {
        next((key.replace(ours, its) for ours, its in names.items() if key.startswith(ours)), key): value
        for key, value in network.state_dict().items()
    }


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return VQGAN(build_vqgan(SMALL))


def test_published_size():
    with torch.device("meta"):
        network = build_vqgan()
    assert sum(p.numel() for p in network.parameters()) == 76_073_859
    assert network.quantize.embedding.weight.shape == (16384, 256)


@pytest.mark.slow
def test_equals_taming(tmp_path):
    """The published network, loaded from a file as taming's Lightning wrote it."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in tamings(build_vqgan()).items()}
    state = {name: seeded(name, shape) for name, shape in shapes.items()}
    state["loss.discriminator.main.0.weight"] = torch.zeros(1)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    vqgan = load_vqgan({"file": tmp_path / "last.ckpt"})
    network = vqgan.network
    assert vqgan.factor == 16
    ours = outputs(network.encoder, network.decoder, network.quant_conv, network.post_quant_conv, vqgan.codebook)
    with np.load(FIXTURE) as taming:
        assert set(taming) == set(ours)
        for name, bound in {"pixels": 1e-4, "latents": 1e-4, "gradient": 2e-3}.items():  # gradients go up to 30
            np.testing.assert_allclose(ours[name], taming[name], rtol=0, atol=bound, err_msg=name)


# ------------------------------------------------------------------------------------------------ loading


def test_the_stages_of_the_decoder_are_turned_round():
    with torch.device("meta"):
        network = build_vqgan()
    state = tamings(network)
    # The lowest resolution has the attention, the highest no upsampling: taming counts from the highest.
    assert "decoder.up.4.attn.0.q.weight" in state
    assert "decoder.up.0.attn.0.q.weight" not in state
    assert "decoder.up.0.upsample.conv.weight" not in state
    converted = convert({**state, "loss.perceptual_loss.lin0.model.1.weight": torch.zeros(1)})
    assert {name: value.shape for name, value in converted.items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }


def test_converted_weights_stay_as_they_are(tmp_path, small):
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in small.network.state_dict().items()}
    save_file(state, tmp_path / "vqgan.safetensors")
    assert all(torch.equal(convert(state)[name], state[name]) for name in state)
    assert all(torch.equal(convert(tamings(small.network))[name], state[name]) for name in state)
    loaded = load_vqgan({"file": tmp_path / "vqgan.safetensors", "config": SMALL})
    z = small.random_codes([torch.Generator().manual_seed(0)], 3)
    assert torch.equal(loaded.synth(z), small.synth(z))
    assert not any(p.requires_grad for p in loaded.network.parameters())


class ModelCheckpoint:
    """Stands for Lightning's class, which the published checkpoint may name and which is not installed."""


def test_a_checkpoint_that_names_classes(tmp_path, small, monkeypatch):
    import sys
    import types

    lightning = types.ModuleType("pytorch_lightning")
    lightning.ModelCheckpoint = ModelCheckpoint
    monkeypatch.setattr(ModelCheckpoint, "__module__", "pytorch_lightning")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pytorch_lightning", lightning)
        callbacks = {ModelCheckpoint: {"best": 1.0}, "own": ModelCheckpoint()}
        torch.save({"state_dict": tamings(small.network), "callbacks": callbacks}, tmp_path / "last.ckpt")
    state = small.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in read_weights(tmp_path / "last.ckpt").items())


class Harmful:
    """A pickle that would make a file if it were run."""

    def __reduce__(self):
        return Path.touch, (Path(Harmful.file),)


def test_nothing_of_a_checkpoint_is_run(tmp_path, small):
    Harmful.file = str(tmp_path / "harm")
    torch.save({"state_dict": tamings(small.network), "callbacks": Harmful()}, tmp_path / "last.ckpt")
    with contextlib.suppress(A2IBenchError):  # refusing the file would do as well
        read_weights(tmp_path / "last.ckpt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("quant_conv.bias"), r"1 missing \(first 'quant_conv.bias'\)"),
        (lambda state: state.update(extra=torch.zeros(1)), r"1 unknown \(first 'extra'\)"),
        (lambda state: state.update({"quant_conv.bias": torch.zeros(9)}), "1 of another shape"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, small, change, message):
    state = tamings(small.network)
    change(state)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(A2IBenchError, match=message):
        load_vqgan({"file": tmp_path / "w.pt", "config": SMALL})


def test_wrong_settings():
    with pytest.raises(A2IBenchError, match="did you mean 'base_channels'"):
        build_vqgan({"base_channel": 32})


# ---------------------------------------------------------------------------------------------- gradients


def test_quantize_by_hand(small):
    codebook = small.codebook
    near = torch.stack([codebook[3], codebook[7] * 1.001]).T.reshape(1, 8, 1, 2).clone().requires_grad_()
    quantized = small.quantize(near)
    assert torch.equal(quantized[0, :, 0, 0], codebook[3])
    assert torch.equal(quantized[0, :, 0, 1], codebook[7])  # exactly: what is decoded is a code
    weights = torch.randn(quantized.shape)
    (quantized * weights).sum().backward()
    assert torch.equal(near.grad, weights)


def test_quantize_is_the_nearest(small):
    z = torch.randn(2, 8, 3, 4)
    rows = z.permute(0, 2, 3, 1).reshape(-1, 8)
    nearest = torch.cdist(rows.double(), small.codebook.double()).argmin(1)
    expected = small.codebook[nearest].view(2, 3, 4, 8).permute(0, 3, 1, 2)
    assert torch.equal(small.quantize(z), expected)


def test_clamp_with_gradient_by_hand():
    x = torch.tensor([-0.5, -0.5, 0.0, 0.5, 0.5, 1.0, 1.5, 1.5], requires_grad=True)
    incoming = torch.tensor([1.0, -1.0, 2.0, 3.0, -3.0, -2.0, 1.0, -1.0])
    clamped = clamp_with_gradient(x)
    assert clamped.tolist() == [0, 0, 0, 0.5, 0.5, 1, 1, 1]
    clamped.backward(incoming)
    # Descent goes against the gradient: below 0 a negative one leads back, above 1 a positive one.
    assert x.grad.tolist() == [0, -1, 2, 3, -3, -2, 1, 0]


def test_synth(small):
    z = small.random_codes([torch.Generator().manual_seed(seed) for seed in (0, 1)], 3).requires_grad_()
    images = small.synth(z)
    assert images.shape == (2, 3, 12, 12)
    assert images.min() >= 0
    assert images.max() <= 1
    images.sum().backward()
    assert (z.grad != 0).any()
    pixels = small.network.decoder(small.network.post_quant_conv(z))
    assert torch.allclose(images, ((pixels + 1) / 2).clamp(0, 1), atol=1e-6)


def test_random_codes(small):
    def codes(*seeds):
        return small.random_codes([torch.Generator().manual_seed(seed) for seed in seeds], 5)

    both = codes(1, 2)
    assert both.shape == (2, 8, 5, 5)
    assert torch.equal(both[1:], codes(2))
    assert not torch.equal(both[0], both[1])
    assert torch.equal(small.quantize(both), both)


def test_clamp_to_the_codebook(small):
    z = torch.randn(1, 8, 2, 2) * 100
    small.clamp_(z)
    assert (z >= small.lowest).all()
    assert (z <= small.highest).all()
    inside = small.random_codes([torch.Generator().manual_seed(0)], 2)
    kept = inside.clone()
    small.clamp_(kept)
    assert torch.equal(kept, inside)
