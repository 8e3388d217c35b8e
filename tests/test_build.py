"""The mini suite's build: the training loop resumes exactly; weights are written once each."""

import numpy as np
import pytest
import torch
from torch import nn

from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.__main__ import half
from a2ibench.suites.mini.build.data import load_bank
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.perception import build_tokenizer, clip_config
from a2ibench.suites.mini.build.stable_diffusion import edge_weight


class KilledError(Exception):
    pass


def toy(tmp_path, name, kill_at=None, ema=0.9):
    """Fit a line; every batch comes from the step alone. The clock is faked so that every step saves."""
    torch.manual_seed(0)
    module = nn.Linear(1, 1)
    seen = []

    def loss(rng: np.random.Generator) -> torch.Tensor:
        if kill_at is not None and len(seen) == kill_at:
            raise KilledError
        x = torch.from_numpy(rng.standard_normal((8, 1)).astype(np.float32))
        seen.append(x)
        return (module(x) - 3 * x).square().mean() + 0 * torch.randn(1).sum()

    return fit("line", module, loss, steps=30, lr=0.1, work=tmp_path / name, ema=ema), seen


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 100))
    monkeypatch.setattr("a2ibench.suites.mini.build.fit.time.time", lambda: next(clock))
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, _ = toy(tmp_path, "whole")
    with pytest.raises(KilledError):
        toy(tmp_path, "killed", kill_at=17)
    resumed, seen = toy(tmp_path, "killed")
    assert len(seen) == 13
    assert torch.equal(whole.weight, resumed.weight)
    torch.manual_seed(0)
    assert whole.weight.item() > nn.Linear(1, 1).weight.item()  # towards 3


def test_a_finished_training_is_not_run_again(tmp_path):
    (tmp_path / "done").mkdir()
    first, _ = toy(tmp_path, "done")
    again, seen = toy(tmp_path, "done")
    assert not seen
    assert torch.equal(first.weight, again.weight)


def test_the_mean_of_the_weights_is_the_result(tmp_path):
    for name in ("mean", "last"):
        (tmp_path / name).mkdir()
    assert not torch.equal(toy(tmp_path, "mean")[0].weight, toy(tmp_path, "last", ema=0.0)[0].weight)


def test_half_writes_a_shared_tensor_once():
    shared = torch.ones(3)
    kept = half({"a": shared, "b": shared, "count": torch.tensor(4), "c": torch.zeros(2)})
    assert set(kept) == {"a", "count", "c"}
    assert kept["a"].dtype == torch.float16
    assert kept["count"].dtype == torch.int64


def test_every_word_of_the_world_is_one_token(tmp_path):
    from transformers import CLIPTokenizer

    size = build_tokenizer(tmp_path / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    for text in (*world.CATEGORIES, *world.LABELS, "a photo of three large police cars"):
        ids = tokenizer(text)["input_ids"]
        assert len(ids) == len(text.split()) + 2, text
        assert max(ids) == ids[-1] == size - 1  # open_clip pools at the highest id
    assert tokenizer.decode(tokenizer("zebra Ω")["input_ids"], skip_special_tokens=True).strip() == "zebra ω"
    assert clip_config(size)["text_cfg"]["vocab_size"] == size


def test_a_bank_is_drawn_once_and_is_what_the_world_draws(tmp_path):
    bank = load_bank(tmp_path, "train", 3, 2)
    assert np.array_equal(bank.images[2], np.asarray(world.render(bank.scenes[2])))
    assert np.abs(bank.waves(np.array([1]))[0] - world.sound(bank.scenes[1])).max() < 1e-4
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    load_bank(tmp_path, "train", 3, 2)
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}


def test_edges_weigh_more_than_plains():
    image = torch.full((1, 3, 8, 8), -1.0)
    image[..., 4:] = 1.0
    weight = edge_weight(image)[0, 0]
    assert weight[0, 0] == 1
    assert weight[0, 3] == weight[0, 4] == 9
