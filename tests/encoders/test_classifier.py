"""The image classifier: torchvision's sizes, transforms and names, and rows that are their own."""

import numpy as np
import pytest
import torch
from encode import load_encoder
from PIL import Image
from torchvision.models import ResNet50_Weights

from a2ibench import A2IBenchError
from a2ibench.encoders.classifier import build_classifier, load

CONFIG = {"categories": ["bell", "frog", "siren"], "image_size": 64, "blocks": [1, 1, 1, 1]}


def images(count):
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (96, 64), (40, 90), (128, 128)]
    return [Image.fromarray(rng.integers(0, 256, (*sizes[i % 4], 3), np.uint8)) for i in range(count)]


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return load(CONFIG, build_classifier(CONFIG).state_dict(), "0" * 64)


def test_published_size():
    with torch.device("meta"):
        network = build_classifier({})
    assert sum(p.numel() for p in network.parameters()) == 25_557_032


@pytest.mark.parametrize(("name", "resized"), [("IMAGENET1K_V2", 232), ("IMAGENET1K_V1", 256)])
def test_published_weights_bring_their_transform(name, resized):
    network = build_classifier({})
    encoder = load({"weights": name}, network.state_dict(), "0" * 64)
    assert len(encoder.categories) == encoder.dim == 1000
    assert encoder.categories[0] == "tench"
    assert encoder.preprocessing == f"1-{resized}to224"
    picture = images(2)[1]
    with torch.no_grad():
        expected = network.eval()(ResNet50_Weights[name].transforms()(picture)[None]).numpy()
    np.testing.assert_allclose(encoder.encode([picture]), expected, atol=1e-4 * np.abs(expected).max())


def test_default_is_v2():
    assert load({}, build_classifier({}).state_dict(), "").preprocessing == "1-232to224"


def test_unknown_weights():
    with pytest.raises(A2IBenchError, match="did you mean 'IMAGENET1K_V2'"):
        load({"weights": "IMAGENET1K_V3"}, {}, "")


def test_categories_must_fit_the_weights():
    state = build_classifier(CONFIG).state_dict()
    with pytest.raises(A2IBenchError, match=r"2 of another shape \(first 'fc.weight'\)"):
        load(CONFIG | {"categories": ["bell"]}, state, "")


def test_rows_are_their_own(small):
    pictures = images(64)
    alone = np.concatenate([small.encode([picture]) for picture in pictures])
    assert alone.shape == (64, 3)
    assert alone.dtype == np.float32
    np.testing.assert_array_equal(small.encode(pictures), alone)
    sevens = np.concatenate([small.encode(pictures[i : i + 7]) for i in range(0, 64, 7)])
    np.testing.assert_array_equal(sevens, alone)
    order = np.random.default_rng(0).permutation(64)
    np.testing.assert_array_equal(small.encode([pictures[i] for i in order]), alone[order])


def test_image_modes(small):
    grey = images(1)[0].convert("L")
    np.testing.assert_array_equal(small.encode([grey]), small.encode([grey.convert("RGB")]))
    assert small.encode([]).shape == (0, 3)
    assert small.categories == ("bell", "frog", "siren")


def test_from_a_half_precision_file(tmp_path, small):
    path = tmp_path / "c.pt"
    state = build_classifier(CONFIG).state_dict()
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, path)
    rows = load_encoder("classifier", CONFIG, path).encode(images(2))
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
