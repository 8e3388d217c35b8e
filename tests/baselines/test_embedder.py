"""AudioToken's embedder against the authors', on seeded weights (recipe: tests/fixtures/README.md)."""

import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from a2ibench.baselines.audiotoken.embedder import Embedder

FIXTURES = Path(__file__).parents[1] / "fixtures"
AUTHORS = {
    "fc1.weight": (2304, 2304),
    "fc1.bias": (2304,),
    "fc2.weight": (768, 2304),
    "fc2.bias": (768,),
    "fga.un_models.0.embed.weight": (768, 768, 1),
    "fga.un_models.0.embed.bias": (768,),
    "fga.un_models.0.feature_reduce.weight": (1, 768, 1),
    "fga.un_models.0.feature_reduce.bias": (1,),
    "fga.pp_models.0.embed_X.weight": (768, 768, 1),
    "fga.pp_models.0.embed_X.bias": (768,),
    "fga.pp_models.0.embed_Y.weight": (768, 768, 1),
    "fga.pp_models.0.embed_Y.bias": (768,),
    "fga.reduce_potentials.0.weight": (1, 2, 1),
}


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """The weights of one parameter, the same for every network that has a parameter of this name."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(x / np.float32(math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 10))


@pytest.fixture(scope="module")
def full() -> Embedder:
    embedder = Embedder()
    embedder.load_state_dict({name: seeded(name, shape) for name, shape in AUTHORS.items()}, strict=True)
    return embedder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def features() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((2, 496, 2304), dtype=np.float32))


@pytest.fixture
def small() -> Embedder:
    torch.manual_seed(0)
    return Embedder(48, 16).eval().requires_grad_(False)


def test_parameters(full: Embedder) -> None:
    assert sum(p.numel() for p in full.parameters()) == 8_853_507


def test_keys(full: Embedder) -> None:
    assert {name: tuple(value.shape) for name, value in full.state_dict().items()} == AUTHORS


@pytest.mark.parametrize("tokens", [248, 496])
def test_equals_the_authors(full: Embedder, features: Tensor, tokens: int) -> None:
    with np.load(FIXTURES / "embedder.npz") as file:
        expected = torch.from_numpy(file[f"token_{tokens}"])
    ours = full(features[:, :tokens])
    assert ours.shape == (2, 768)
    assert (ours - expected).abs().max() < 2e-6  # measured: 6e-8, of tokens with a standard deviation of 0.3


def test_equals_the_definition_of_the_pooling(small: Embedder) -> None:
    # Written out with the full matrix of cosines, which the module never forms.
    x = torch.randn(3, 7, 48)
    tokens = small.fc2(F.gelu(small.fc1(x)))
    columns = tokens.transpose(1, 2)
    unary, pairs = small.fga.un_models[0], small.fga.pp_models["0"]
    own = unary.feature_reduce(F.relu(unary.embed(columns)))[:, 0]
    cosines = F.cosine_similarity(pairs.embed_X(columns).mT[:, :, None], pairs.embed_Y(columns).mT[:, None, :], dim=3)
    a, b = small.fga.reduce_potentials[0].weight.flatten()
    weights = (a * own + b * cosines.mean(dim=2)).softmax(dim=1)
    assert torch.allclose(small(x), (weights[..., None] * tokens).sum(dim=1), atol=1e-6)


@pytest.mark.parametrize("tokens", [1, 2, 144, 1000])
def test_any_number_of_tokens(small: Embedder, tokens: int) -> None:
    assert small(torch.randn(2, tokens, 48)).shape == (2, 16)


def test_the_order_of_the_tokens_does_not_matter(small: Embedder) -> None:
    x = torch.randn(1, 9, 48)
    assert torch.allclose(small(x), small(x.flip(1)), atol=1e-6)


def test_does_not_see_its_neighbours(small: Embedder) -> None:
    x = torch.randn(5, 9, 48)
    together = small(x)
    for number in range(5):
        assert torch.allclose(together[number], small(x[number : number + 1])[0], atol=1e-6)


def test_hidden_width() -> None:
    assert Embedder(48, 16, hidden=32).fc2.weight.shape == (16, 32)


class TestDropout:
    def test_is_off_at_inference(self, small: Embedder) -> None:
        x = torch.randn(1, 9, 48)
        assert torch.equal(small(x), small(x))

    def test_is_on_in_training(self, small: Embedder) -> None:
        x = torch.randn(1, 9, 48)
        small.train()
        assert not torch.equal(small(x), small(x))

    def test_can_be_the_authors(self, small: Embedder) -> None:
        noisy = Embedder(48, 16, attention_dropout=True).eval()
        noisy.load_state_dict(small.state_dict())
        x = torch.randn(1, 9, 48)
        torch.manual_seed(3)
        by_seed = noisy(x)
        assert torch.equal(by_seed, noisy(x, torch.Generator().manual_seed(3)))
        assert not torch.equal(by_seed, small(x))

    def test_draws_as_torchs_dropout(self, small: Embedder) -> None:
        unary = small.fga.un_models[0]
        columns = torch.randn(2, 16, 9)
        torch.manual_seed(3)
        ours = unary(columns, True, None, None)
        torch.manual_seed(3)
        assert torch.equal(ours, unary.feature_reduce(F.dropout(F.relu(unary.embed(columns)), 0.5, True)))


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    embedder = Embedder(48, 16)
    embedder(torch.randn(4, 9, 48)).square().mean().backward()
    learned = {name for name, p in embedder.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    # The softmax cancels what it adds to every token alike.
    assert set(AUTHORS) - learned <= {"fga.un_models.0.feature_reduce.bias"}
