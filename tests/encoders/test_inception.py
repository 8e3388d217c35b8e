"""The FID network: pytorch-fid's structure, keys, resize and features, without its download."""

import numpy as np
import pytest
import torch
from encode import load_encoder
from PIL import Image
from pytorch_fid import inception as upstream

from a2ibench import A2IBenchError
from a2ibench.encoders.inception import FidInception, MiniInception, load, resize


def images(count):
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (96, 64), (40, 90), (128, 128)]
    return [Image.fromarray(rng.integers(0, 256, (*sizes[i % 4], 3), np.uint8)) for i in range(count)]


def random_state(network):
    """Weights under which activations neither die nor explode."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, value in network.state_dict().items():
        if value.ndim == 4:
            noise = torch.randn(value.shape, generator=generator)
            state[key] = noise * (2 / value[0].numel()) ** 0.5
        elif key.endswith("fc.weight"):
            state[key] = 0.01 * torch.randn(value.shape, generator=generator)
        elif key.endswith(("bn.weight", "running_var")):
            state[key] = 1 + 0.2 * torch.rand(value.shape, generator=generator)
        else:
            state[key] = torch.zeros(value.shape, dtype=value.dtype)
    return state


@pytest.fixture(scope="module")
def published_state():
    with torch.device("meta"):
        network = FidInception().net
    return random_state(network)


@pytest.fixture(scope="module")
def published(published_state):
    return load({}, published_state, "0" * 64)


@pytest.fixture(scope="module")
def small():
    return load({"classes": 5}, random_state(MiniInception(5)), "0" * 64)


@pytest.fixture(scope="module")
def pytorch_fid(published_state):
    """pytorch-fid's own network, its download replaced by the same weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "load_state_dict_from_url", lambda *_, **__: published_state)
        return upstream.InceptionV3().eval()


def test_published_size(pytorch_fid):
    with torch.device("meta"):
        network = FidInception().net
    network.fc = torch.nn.Identity()
    assert sum(p.numel() for p in network.parameters()) == 21_785_568
    assert sum(p.numel() for p in pytorch_fid.parameters()) == 21_785_568


def test_features_are_pytorch_fids(published, pytorch_fid):
    """Of each size on its own, for pytorch-fid cannot mix them."""
    for picture in images(4)[1:3]:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float().div(255)
        expected = pytorch_fid(pixels)[0][:, :, 0, 0].numpy()
        rows = published.encode([picture])
        assert rows.shape == (1, 2048)
        np.testing.assert_allclose(rows, expected, atol=1e-5 * np.abs(expected).max())


def test_resize_is_pytorch_fids_to_the_bit():
    for picture in images(4):
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float().div(255)
        expected = torch.nn.functional.interpolate(pixels, (299, 299), mode="bilinear", align_corners=False)
        assert torch.equal(resize(picture, 299), expected[0])


def test_mixed_sizes_in_one_batch(published):
    pictures = images(3)
    alone = np.concatenate([published.encode([picture]) for picture in pictures])
    np.testing.assert_allclose(published.encode(pictures), alone, atol=1e-5 * np.abs(alone).max())


def test_a_missing_key_is_named(published_state):
    state = dict(published_state)
    del state["Mixed_7c.branch_pool.bn.bias"]
    with pytest.raises(A2IBenchError, match=r"1 missing .first 'Mixed_7c.branch_pool.bn.bias'"):
        load({}, state, "")


def test_rows_are_their_own(small):
    pictures = images(64)
    alone = np.concatenate([small.encode([picture]) for picture in pictures])
    assert alone.shape == (64, 64)
    np.testing.assert_array_equal(small.encode(pictures), alone)
    sevens = np.concatenate([small.encode(pictures[i : i + 7]) for i in range(0, 64, 7)])
    np.testing.assert_array_equal(sevens, alone)
    order = np.random.default_rng(0).permutation(64)
    np.testing.assert_array_equal(small.encode([pictures[i] for i in order]), alone[order])


def test_mini_is_made_of_the_same_blocks():
    network = MiniInception(12)
    assert isinstance(network.Mixed_5b, upstream.FIDInceptionA)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 12)
    assert (network.features(torch.rand(2, 3, 64, 64)) >= 0).all()


def test_no_resize_at_the_own_size():
    picture = images(1)[0]
    assert torch.equal(resize(picture, 64), torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255)


def test_image_modes(small):
    grey = images(1)[0].convert("L")
    np.testing.assert_array_equal(small.encode([grey]), small.encode([grey.convert("RGB")]))
    assert small.encode([]).shape == (0, 64)


def test_from_a_file(tmp_path, small):
    path = tmp_path / "i.pt"
    torch.save(random_state(MiniInception(5)), path)
    encoder = load_encoder("inception", {"classes": 5}, path)
    np.testing.assert_allclose(encoder.encode(images(2)), small.encode(images(2)), atol=1e-6)
    assert encoder.id == f"inception:{encoder.weights[:16]}:1-64:float32:{encoder.digest}"


def test_a_callers_autocast_and_precision_do_not_matter(small):
    expected = small.encode(images(3))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rows = small.encode(images(3))
        assert torch.get_float32_matmul_precision() == "medium"  # put back
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(rows, expected)


def test_the_network_is_frozen(small):
    network = small._network.__self__
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
