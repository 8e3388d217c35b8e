"""Wav2CLIP's image generation on tiny random networks: its loss, its views, and images that know no neighbours."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from made import clip_of

from a2ibench import A2IBenchError
from a2ibench.baselines import get
from a2ibench.baselines.base import image_seed
from a2ibench.baselines.vqgan import build_vqgan
from a2ibench.baselines.wav2clip import Cutouts, Wav2ClipGeneration, spherical_distance
from a2ibench.encoders.clip import build_clip
from a2ibench.encoders.wav2clip import Wav2Clip
from a2ibench.suites import load_suite

DIM = 16
VQGAN = {
    "embed_dim": 8,
    "num_embeddings": 32,
    "latent_channels": 32,
    "base_channels": 32,
    "channel_multiplier": [1, 1],
    "num_res_blocks": 1,
}
TOWER = {"width": 8, "blocks": [1, 1, 1, 1], "dim": DIM}
CLIP = {
    "embed_dim": DIM,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 1, "layers": 1},
}
OPTIONS = {"iterations": 4, "lr": 0.1, "cutouts": 4, "size": 19, "noise": 0.1}
SEEDS = [image_seed(0, name) for name in ("a", "b", "c")]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    vqgan = build_vqgan(VQGAN)
    # As initialised all codes lie at the origin, and every image is grey: spread them.
    torch.nn.init.normal_(vqgan.quantize.embedding.weight)
    for module in vqgan.decoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    networks = {"vqgan": vqgan, "wav2clip": Wav2Clip(**TOWER), "clip": build_clip(CLIP)}
    for name, network in networks.items():
        torch.save(network.state_dict(), folder / f"{name}.pt")
    settings = {"vqgan": {"config": VQGAN}, "wav2clip": TOWER, "clip": {"model": CLIP}}
    return {name: {"file": folder / f"{name}.pt", **settings[name]} for name in networks}


@pytest.fixture(scope="module")
def model(parts):
    return Wav2ClipGeneration(parts, OPTIONS, "cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for index, name in enumerate("abc"):
        wave = np.random.default_rng(index).standard_normal(8000 + 1600 * index) / 10
        soundfile.write(folder / f"{name}.wav", wave, 16000)
        found.append(clip_of(name, folder / f"{name}.wav", Path("none.png"), "x"))
    return found


def with_options(model, **options):
    """The same networks with other options."""
    other = object.__new__(Wav2ClipGeneration)
    other.__dict__ = {**model.__dict__, "options": {**model.options, **options}}
    return other


def test_declared():
    method = get("wav2clip")
    assert method.reads == "audio"
    assert dict(method.options) == {"iterations": 500, "lr": 0.1, "cutouts": 32, "size": 512, "noise": 0.1}
    suite = load_suite("vggsound")
    found = {name: suite.part(name).checkpoint for name in method.parts}
    assert found == {"vqgan": "vqgan-imagenet-f16-16384", "wav2clip": "wav2clip", "clip": "clip-vit-b-32"}


# --------------------------------------------------------------------------------------------------- loss


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 150.0])
def test_spherical_distance_by_hand(degrees):
    angle = math.radians(degrees)
    row, target = torch.tensor([[3.0, 0.0]]), torch.tensor([math.cos(angle), math.sin(angle)]) * 5
    # The chord of an angle is 2 sin(angle / 2): half of it, by arcsin, is half the angle; twice its square is left.
    assert spherical_distance(row, target).tolist() == pytest.approx([angle**2 / 2], rel=1e-5, abs=1e-6)


def test_the_losses_are_the_mean_over_the_views(model):
    """The first loss, written out, without the method's own bookkeeping."""
    target = torch.randn(1, DIM)
    _, history = with_options(model, iterations=1).optimise(target, SEEDS[:1])
    generator = torch.Generator().manual_seed(SEEDS[0])
    z = model.vqgan.random_codes([generator], model.side)
    noise = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
    parameters = model.cutouts.draw(generator, 1)
    views = model.cutouts(model.vqgan.synth(z), [parameters], [model.cutouts.draw_noise(noise)], 0)
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    rows = model.seeing((views - mean[:, None, None]) / std[:, None, None])
    u, v = rows / rows.norm(dim=1, keepdim=True), target / target.norm()
    assert history.item() == pytest.approx((2 * torch.asin((u - v).norm(dim=1) / 2) ** 2).mean().item(), abs=1e-5)


# -------------------------------------------------------------------------------------------------- views


def test_the_augmentations_are_kornia_054s():
    cutouts = Cutouts(400, 32, 0.1)
    affine, perspective, colour, erasing = cutouts.draw(torch.Generator().manual_seed(0), 5)
    assert affine["translations"][..., 0].abs().max() == 0  # nothing to the sides, 10 % up and down
    assert 3.1 < affine["translations"][..., 1].abs().max() <= 3.2
    assert 14 < affine["angle"].abs().max() <= 15
    assert 4.5 < affine["shear_x"].abs().max() <= 5
    assert affine["shear_y"].abs().max() == 0
    moved = (perspective["end_points"] - perspective["start_points"]).abs()
    assert 10 < moved.max() <= 0.35 * 32 + 0.01  # half of 0.7 of the side
    for name in ("brightness_factor", "contrast_factor", "saturation_factor"):
        assert 0.095 < (colour[name] - 1).abs().max() <= 0.1001
    assert 0.095 < colour["hue_factor"].abs().max() <= 0.1001
    for drawn in (affine, perspective, colour):
        assert drawn["batch_prob"].mean() == pytest.approx(0.7, abs=0.05)
    area = erasing["widths"] * erasing["heights"] / 32**2
    assert area.min() > 0.08
    assert area.max() < 0.45
    for value in erasing.values():
        assert (value == value[:, :1]).all(), "one rectangle for all views of a step"
    assert len(set(erasing["widths"][:, 0].tolist())) == 5, "another one in each step"


def test_brightness_is_added():
    """As kornia 0.5.4's ColorJitter did; the class of that name multiplies since 0.6."""
    cutouts = Cutouts(1, 8, 0.0)
    one = torch.ones(1)
    rows = {"brightness_factor": one * 1.1, "contrast_factor": one, "saturation_factor": one, "hue_factor": one * 0}
    rows |= {"batch_prob": one, "order": torch.arange(4), "forward_input_shape": torch.tensor([1, 3, 8, 8])}
    assert torch.allclose(cutouts.colour(torch.full((1, 3, 8, 8), 0.3), rows), torch.tensor(0.4), atol=1e-5)


def test_views_without_chance_are_the_pooled_image():
    cutouts = Cutouts(3, 8, 0.0)
    parameters = cutouts.draw(torch.Generator().manual_seed(0), 1)
    for drawn in parameters:
        drawn["batch_prob"] = torch.zeros_like(drawn["batch_prob"])
    images = torch.rand(2, 3, 16, 16)
    noise = [cutouts.draw_noise(torch.Generator().manual_seed(0))] * 2
    views = cutouts(images, [parameters, parameters], noise, 0)
    blocks = images.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    pooled = (blocks.mean(-1) + blocks.amax(-1)) / 2
    assert torch.allclose(views, pooled.repeat_interleave(3, 0), atol=1e-6)


def test_noise():
    noise = Cutouts(2000, 4, 0.1).draw_noise(torch.Generator().manual_seed(0))
    strength = noise.flatten(1).std(1)
    assert strength.mean() == pytest.approx(0.05, rel=0.05)  # U(0, 0.1)
    assert strength.max() < 0.2


def test_the_gradient_of_the_views_is_finite():
    """Also where an image is black or grey: hue has no direction there, and augmentations pad with black."""
    cutouts = Cutouts(16, 16, 0.1)
    generator = torch.Generator().manual_seed(0)
    images = torch.stack([torch.zeros(3, 24, 24), torch.ones(3, 24, 24), torch.full((3, 24, 24), 0.5)])
    images.requires_grad_()
    parameters = [cutouts.draw(generator, 1)] * 3
    cutouts(images, parameters, [cutouts.draw_noise(generator)] * 3, 0).square().sum().backward()
    assert torch.isfinite(images.grad).all()


def test_drawing_leaves_the_global_numbers_alone():
    cutouts = Cutouts(4, 8, 0.1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    cutouts.draw(torch.Generator().manual_seed(0), 3)
    assert torch.equal(torch.rand(3), expected)


# ------------------------------------------------------------------------------------------- optimisation


def test_the_loss_falls(parts):
    """Against the same views, with the same numbers, of latents that stay: the views alone change the loss more."""
    model = Wav2ClipGeneration(parts, {**OPTIONS, "cutouts": 16, "iterations": 60}, "cpu")
    targets = torch.randn(2, DIM, generator=torch.Generator().manual_seed(0))
    _, history = model.optimise(targets, SEEDS[:2])
    _, still = with_options(model, lr=0.0).optimise(targets, SEEDS[:2])
    assert history.shape == (60, 2)
    assert torch.equal(history[0], still[0])
    gained = still - history
    assert (gained[-15:] > 0).all(), gained
    assert (gained[-15:].mean(0) > gained[:15].mean(0) + 0.02).all(), gained


def test_latents_stay_in_the_codebooks_range(model):
    z, _ = with_options(model, lr=50.0).optimise(torch.randn(1, DIM), SEEDS[:1])
    assert (z >= model.vqgan.lowest).all()
    assert (z <= model.vqgan.highest).all()
    assert (z == model.vqgan.lowest).any()


def test_the_first_update_is_adams(model):
    """Adam's first step is lr times the gradient's sign, wherever it is not tiny; then the clamp."""
    target = torch.randn(1, DIM)
    z, _ = with_options(model, iterations=1).optimise(target, SEEDS[:1])
    start = model.vqgan.random_codes([torch.Generator().manual_seed(SEEDS[0])], model.side)
    step = (z - start).abs()
    clamped = (z == model.vqgan.lowest) | (z == model.vqgan.highest)
    assert (step <= 0.1 + 1e-6).all()
    assert step[~clamped].median() == pytest.approx(0.1, abs=1e-3)


def test_alone_and_in_a_batch(model, clips):
    """A batch of two is its two singles: the latents within 1e-4, the images within two levels."""
    targets = model.targets(clips)
    both, losses = model.optimise(targets[:2], SEEDS[:2])
    for index in range(2):
        alone, loss = model.optimise(targets[index : index + 1], SEEDS[index : index + 1])
        assert (both[index] - alone[0]).abs().max() < 1e-4
        assert torch.allclose(losses[:, index], loss[:, 0], atol=1e-5)
    images = [np.asarray(image, int) for image in model.draw(clips, SEEDS)]
    turned = [np.asarray(image, int) for image in model.draw(clips[::-1], SEEDS[::-1])]
    for clip, seed, image, other in zip(clips, SEEDS, images, turned[::-1], strict=True):
        (alone_image,) = model.draw([clip], [seed])
        assert np.abs(np.asarray(alone_image, int) - image).max() <= 2
        assert np.abs(other - image).max() <= 2


def test_seeds(model, clips):
    first, again = model.draw(clips[:1], SEEDS[:1]), model.draw(clips[:1], SEEDS[:1])
    assert first[0].size == (18, 18)  # 19 pixels, rounded down to whole codes
    assert first[0].mode == "RGB"
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], model.draw(clips[:1], SEEDS[1:2])[0])


def test_the_sound_matters(model, clips):
    targets = model.targets(clips)
    assert targets.shape == (3, DIM)
    same = [SEEDS[0]] * 2
    z, _ = model.optimise(targets[:2], same)
    assert not torch.equal(z[0], z[1])


def test_by_the_declaration(parts, clips):
    draw = get("wav2clip").load(parts, {**OPTIONS, "iterations": 1}, "cpu")
    assert [image.size for image in draw(clips, SEEDS)] == [(18, 18)] * 3


# ------------------------------------------------------------------------------------------------ refused


def test_a_size_below_one_code(parts):
    with pytest.raises(A2IBenchError, match="'size' is 1, less than the 2 pixels"):
        Wav2ClipGeneration(parts, {**OPTIONS, "size": 1}, "cpu")


def test_two_spaces(parts, tmp_path):
    torch.save(Wav2Clip(**{**TOWER, "dim": 8}).state_dict(), tmp_path / "w.pt")
    other = {**parts, "wav2clip": {**TOWER, "dim": 8, "file": tmp_path / "w.pt"}}
    with pytest.raises(A2IBenchError, match="gives 8 numbers and CLIP 16"):
        Wav2ClipGeneration(other, OPTIONS, "cpu")
