"""Folded batch norms and packed layers: the same rows but for rounding, in whatever network."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from a2ibench.encoders import _fast, classifier, clip, inception, wav2clip
from a2ibench.encoders._fast import PackedAttention, PackedBlock, PackedConv, PackedLinear, fold, packable
from a2ibench.suites import load_suite

CLOSE = 3e-6  # of the largest number
pytestmark = pytest.mark.skipif(not packable(), reason="this torch has no such operators on this processor")


def difference(one, other):
    one, other = (np.asarray(x.detach()) if isinstance(x, torch.Tensor) else x for x in (one, other))
    return np.abs(one - other).max() / np.abs(other).max()


def jolted(network, seed=0):
    """Give the batch norms statistics and factors that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1, generator=generator)
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 2, generator=generator)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("name", ["clip-image", "clip-text", "classifier", "inception", "wav2clip"])
def test_rows_move_by_rounding_alone(name, monkeypatch):
    rng = np.random.default_rng(0)
    items = {
        "clip-text": ["a dog barking", "rain", "a bell and a dog"],
        "wav2clip": [rng.uniform(-0.5, 0.5, 16_000).astype(np.float32) for _ in range(3)],
    }.get(name) or [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(3)]
    clip._shared.cache_clear()
    fast = load_suite("mini").encoder(name)
    assert fast.kernels == "onednn"
    packed = fast.encode(items)
    others = {}
    for kernels, patch in {
        "folded": (_fast, "packable", lambda: False),
        "eager": (None, "speed_up", lambda network, device: "eager"),
    }.items():
        clip._shared.cache_clear()
        module, attribute, stand_in = patch
        with monkeypatch.context() as patched:
            for each in (module,) if module else (clip, classifier, inception, wav2clip):
                patched.setattr(each, attribute, stand_in)
            slow = load_suite("mini").encoder(name)
        others[kernels] = slow.encode(items)
        assert slow.kernels == kernels
        assert slow.stored_as != fast.stored_as, "cached rows of one are not taken for the other's"
        assert slow.id == fast.id, "no printed digit changes"
        assert difference(packed, others[kernels]) < CLOSE
    clip._shared.cache_clear()
    assert difference(others["folded"], others["eager"]) < CLOSE


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_residual_block_with_and_without_a_shortcut(kind, stride):
    torch.manual_seed(0)
    shortcut = nn.Sequential(
        nn.Conv2d(16, 4 * kind.expansion, 1, stride, bias=False), nn.BatchNorm2d(4 * kind.expansion)
    )
    width = 4 if stride == 2 or kind is Bottleneck else 16
    needed = stride == 2 or width * kind.expansion != 16
    block = jolted(kind(16, width, stride, shortcut if needed else None))
    x = torch.randn(3, 16, 9, 9)
    expected = block(x)
    fold(block)
    assert difference(block(x), expected) < CLOSE
    with torch.inference_mode():
        assert difference(PackedBlock(block)(x), expected) < CLOSE


def test_a_batch_norm_is_folded_only_behind_a_convolution():
    torch.manual_seed(0)
    alone = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    network = jolted(alone)
    x, before = torch.randn(2, 3, 8, 8), copy.deepcopy(network)
    fold(network)
    assert [type(layer) for layer in network] == [type(layer) for layer in before]
    assert torch.equal(network(x), before(x))


@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(32, 4, batch_first=True).eval().requires_grad_(False)
    attention.in_proj_bias.normal_()
    mask = torch.full((7, 7), float("-inf")).triu(1) if masked else None
    x = torch.randn(3, 7, 32)
    with torch.inference_mode():
        found, none = PackedAttention(attention)(x, x, x, need_weights=False, attn_mask=mask)
    assert none is None
    assert difference(found, attention(x, x, x, need_weights=False, attn_mask=mask)[0]) < CLOSE


@pytest.mark.parametrize(
    "settings", [{"stride": 2}, {"padding": (0, 3)}, {"groups": 4}, {"dilation": 2, "bias": False}]
)
def test_convolutions_of_any_settings_and_sizes(settings):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3, **settings).requires_grad_(False)
    with torch.inference_mode():
        packed, lit = PackedConv(conv), PackedConv(conv, relu=True)
        for size in (16, 33):  # packed for the first, right for the second
            x = torch.randn(2, 8, size, size)
            assert difference(packed(x), conv(x)) < CLOSE
            assert difference(lit(x), conv(x).relu()) < CLOSE
            assert difference(packed(x, -conv(x) / 2), (conv(x) / 2).relu()) < CLOSE


def test_what_is_packed_and_what_is_left_alone():
    config = load_suite("mini").encoder_part("clip").config["model"]
    network = clip.build_clip(config).eval().requires_grad_(False)
    assert _fast.speed_up(network, "cpu") == "onednn"
    left = [name for name, module in network.named_modules() if type(module) in (nn.Linear, nn.Conv2d)]
    assert all(".attnpool." in f".{name}" for name in left), "its weights are read from outside"
    assert any(type(module) is PackedLinear for module in network.modules())


def test_on_another_device_only_batch_norms_are_folded():
    network = jolted(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)))
    assert _fast.speed_up(network, "cuda:0") == "folded"
    assert [type(layer) for layer in network] == [nn.Conv2d, nn.Identity, nn.Conv2d]
