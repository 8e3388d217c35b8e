"""The build of mini@2: a training that was killed ends as one that was not; the narrow classifier; the tokenizer."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from a2ibench.encoders.classifier import build_classifier
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build import fit, generators, perception, unclip, vqgan
from a2ibench.suites.mini.build.data import load_bank, load_videos


class _KilledError(Exception):
    pass


def _train(work: Path, *, dies_at: int | None = None) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    calls = itertools.count()

    def loss(rng: np.random.Generator) -> torch.Tensor:
        if next(calls) == dies_at:
            raise _KilledError
        x = torch.from_numpy(rng.standard_normal((4, 3), dtype=np.float32))
        return (module(x) - x.sum(1, keepdim=True)).square().mean()

    return fit.fit("toy", module, loss, steps=9, lr=0.01, work=work, ema=0.9)


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=100)
    monkeypatch.setattr(fit.time, "time", lambda: float(next(clock)))  # so that each step is kept
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = _train(tmp_path / "one").state_dict()
    with pytest.raises(_KilledError):
        _train(tmp_path / "two", dies_at=5)
    assert (tmp_path / "two" / "toy.state.pt").exists()
    again = _train(tmp_path / "two").state_dict()
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert float((tmp_path / "two" / "toy.seconds").read_text()) > 0
    assert not (tmp_path / "two" / "toy.state.pt").exists()


def test_the_narrow_classifier_is_torchvisions_at_64_and_smaller_at_24() -> None:
    ours = build_classifier({"categories": world.CATEGORIES}).state_dict()
    theirs = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=12).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    narrow = build_classifier({"categories": world.CATEGORIES, "width": 24})
    assert sum(p.numel() for p in narrow.parameters()) < 800_000
    assert narrow(torch.zeros(2, 3, 64, 64)).shape == (2, 12)


def test_likeness_is_zero_for_the_same_image_and_grows_with_blur() -> None:
    torch.manual_seed(0)
    alike = vqgan.Likeness(build_classifier({"categories": world.CATEGORIES, "width": 8}))
    scenes = [world.render(world.draw_scene("afresh", index)) for index in range(4)]
    images = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) / 127.5 - 1 for image in scenes]).float()
    blurred = [nn.functional.avg_pool2d(images, size, 1, size // 2) for size in (3, 9)]
    values = [float(alike(image, images)) for image in (images, *blurred)]
    assert values[0] == 0
    assert 0 < values[1] < values[2]


def test_a_bank_is_drawn_once_and_is_its_scenes(tmp_path: Path) -> None:
    bank = load_bank(tmp_path, "validation", 4, 2)
    again = load_bank(tmp_path, "validation", 4, 2)
    assert bank.scenes == again.scenes
    np.testing.assert_array_equal(bank.images[3], np.asarray(world.render(bank.scenes[3])))
    np.testing.assert_allclose(bank.waves(np.array([1]))[0], world.sound(bank.scenes[1]), atol=2e-5)
    videos = load_videos(tmp_path, "validation", 2)
    np.testing.assert_array_equal(videos[1][0], bank.images[1])
    assert not list(tmp_path.glob("*.part"))


def test_the_suite_file_says_what_the_build_builds() -> None:
    suite = generators.SUITE
    model = suite["encoders"]["clip"]["model"]
    assert perception.clip_config(model["text_cfg"]["vocab_size"]) == model
    classifier = suite["encoders"]["classifier"]
    assert tuple(classifier["categories"]) == world.CATEGORIES
    assert classifier["width"] == perception.CLASSIFIER_WIDTH
    assert suite["encoders"]["inception"]["classes"] == len(world.KINDS)
    beats = suite["parts"]["beats"]["config"]
    assert {key: getattr(perception.MINI_BEATS, key) for key in beats} == beats
    assert suite["parts"]["vqgan"]["config"] == vqgan.CONFIG
    assert suite["parts"]["imagebind"]["config"] == unclip.TOWER
    assert (suite["name"], suite["version"]) == ("mini", 2)
