"""The settings of AudioToken's training, and the authors' recipe: one step's loss by their formulas, written anew."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from PIL import Image

from a2ibench.baselines.audiotoken.config import Config, configure, settled
from a2ibench.baselines.audiotoken.data import Examples
from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.loss import Objective
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.train import train
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import load_clips
from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError
from a2ibench.suites import load_suite

RATE = 22_050
SETTINGS = {"size": 64, "crop_seconds": 2.0, "lambda_cl": 0.3, "trackers": "none", "workers": 0, "steps": 1}
LABELS = ["dog barking", "a church bell", "rain", "dog barking"]


@pytest.fixture(scope="module")
def frozen(tiny_suite):
    parts, _ = load_suite(str(tiny_suite)).method_parts("audiotoken", ("stable_diffusion", "beats"), {})
    return StableDiffusion(parts["stable_diffusion"]["file"]), Listener(parts["beats"], "cpu")


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """Four clips with two different channels at another rate than BEATs', of three seconds, and wide pictures."""
    folder = tmp_path_factory.mktemp("stereo")
    rng = np.random.default_rng(0)
    lines = ["clip_id,audio,image,label"]
    for number, label in enumerate(LABELS):
        soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal((3 * RATE, 2)), RATE)
        Image.fromarray(rng.integers(0, 255, (70, 110, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number},{number}.wav,{number}.png,{label}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def examples(frozen, stereo, tmp_path):
    def examples(config):
        return Examples(load_clips(stereo), *frozen, config, tmp_path / "kept", "identity")

    return examples


# ------------------------------------------------------------------------- the authors' step, told by their code


def authors_sound(folder, clip, second, seconds):
    """The first channel as it is, ten times over, ten seconds of that, and of those some from a whole second on."""
    channels, rate = soundfile.read(folder / f"{clip}.wav", dtype="float32", always_2d=True)
    ten = np.tile(channels[:, 0], 10)[: rate * 10]
    return ten[second * rate : (second + seconds) * rate]


def authors_picture(folder, clip):
    """All of the frame at 8:5, whatever its own shape: 512 × 320, here an eighth of it."""
    with Image.open(folder / f"{clip}.png") as image:
        pixels = np.array(image.convert("RGB").resize((64, 40), Image.Resampling.BICUBIC))
    return torch.from_numpy((pixels / 127.5 - 1.0).astype(np.float32)).permute(2, 0, 1)


def authors_token(weights, features):
    """Two layers and their attention, with all N × N cosines and a dropout that takes no notice of eval()."""

    def conv(x, name):
        return F.conv1d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    hidden = F.gelu(features @ weights["fc1.weight"].T + weights["fc1.bias"])
    tokens = hidden @ weights["fc2.weight"].T + weights["fc2.bias"]
    x = tokens.transpose(1, 2)
    unary = conv(F.dropout(F.relu(conv(x, "fga.un_models.0.embed"))), "fga.un_models.0.feature_reduce").squeeze(1)
    ours = F.normalize(conv(x, "fga.pp_models.0.embed_X"))
    theirs = F.normalize(conv(x, "fga.pp_models.0.embed_Y"))
    self = ours.transpose(1, 2).bmm(theirs).mean(dim=2)
    potentials = conv(torch.stack([unary, self], dim=1), "fga.reduce_potentials.0").squeeze(1)
    return torch.bmm(x, potentials.softmax(1).unsqueeze(2)).squeeze(2)


def authors_loss(folder, frozen, weights, draws, seconds, *, lambda_a, lambda_c):
    """One step by guyyariv/AudioToken's train.py (commit ab7d280): its formulas in its order."""
    pipeline, listener = frozen[0].pipeline, frozen[1]
    torch.manual_seed(draws.seed)
    pixels = torch.stack([authors_picture(folder, row) for row in draws.rows])
    posterior = pipeline.vae.encode(pixels).latent_dist
    latents = (posterior.mean + posterior.std * torch.randn(posterior.mean.shape)) * 0.18215
    noise = torch.randn(latents.shape)
    times = torch.from_numpy(draws.times)
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)[times].view(-1, 1, 1, 1)
    noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
    starts = [int(where * (10 - seconds)) for where in draws.crops]
    sounds = [authors_sound(folder, row, start, seconds) for row, start in zip(draws.rows, starts, strict=True)]
    banks = beats.fbank(torch.from_numpy(np.stack(sounds)), listener.network.config)
    token = authors_token(weights, listener.network(banks, listener.layers))
    text = frozen[0].embed_prompts(["a photo of <*>"] * len(token), token)
    loss = F.mse_loss(pipeline.unet(noisy, times, text).sample, noise, reduction="mean")
    loss = loss + lambda_a * torch.mean(torch.abs(token))
    table = pipeline.text_encoder.get_input_embeddings().weight
    ids = [pipeline.tokenizer(LABELS[row])["input_ids"][1:-1] for row in draws.rows]
    target = torch.cat([table[each].mean(dim=0).view(1, -1) for each in ids])
    return loss + lambda_c * (1 - F.cosine_similarity(token, target, dim=1).mean()) ** 2


def test_the_authors_recipe_is_the_authors_step(examples, frozen, stereo):
    config = configure({**SETTINGS, "recipe": "authors", "cache": "latents"})
    data = examples(config)
    objective = Objective(*frozen, config, data.clips.labels)
    batches = data.batches(objective.times)
    draws = batches.draws(3)
    sounds, _ = batches[3]
    assert sounds.shape == (4, 2 * RATE)
    exact = np.stack([data._latent_moments(data.picture(row)) for row in draws.rows])
    torch.manual_seed(0)
    embedder = Embedder(64, 16)
    ours = objective(embedder, draws, (sounds, torch.from_numpy(exact)))
    ours.backward()
    weights = {name: each.detach().clone().requires_grad_() for name, each in embedder.named_parameters()}
    theirs = authors_loss(stereo, frozen, weights, draws, 2, lambda_a=0.01, lambda_c=0.3)
    theirs.backward()
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    for name, each in embedder.named_parameters():
        assert torch.allclose(each.grad, weights[name].grad, rtol=1e-3, atol=1e-6), name


DEPARTURES = ("clip_gradient", "cl_form", "frame", "channel", "resample", "crop_starts")


@pytest.mark.parametrize("name", [each for each in DEPARTURES if each != "clip_gradient"])
def test_each_departure_moves_the_loss(examples, frozen, name):
    losses = []
    for settings in ({"recipe": "authors"}, {"recipe": "authors", name: getattr(Config(), name)}):
        config = configure({**SETTINGS, **settings, "cache": "latents"})
        data = examples(config)
        objective = Objective(*frozen, config, data.clips.labels)
        batches = data.batches(objective.times)
        torch.manual_seed(0)
        losses.append(float(objective(Embedder(64, 16), batches.draws(3), batches[3]).detach()))
    assert losses[0] != losses[1]


def test_the_label_may_be_what_the_text_encoder_makes_of_it(examples, frozen):
    config = configure({**SETTINGS, "cl_target": "encoder"})
    found = Objective(*frozen, config, tuple(LABELS))._target("rain")
    pipeline = frozen[0].pipeline
    length = len(pipeline.tokenizer("rain", add_special_tokens=False)["input_ids"])
    states = pipeline.text_encoder(torch.tensor([pipeline.tokenizer("rain")["input_ids"]])).last_hidden_state
    assert torch.allclose(found, states[0, 1 : 1 + length].mean(0), atol=1e-5)
    assert not torch.allclose(found, Objective(*frozen, Config(), tuple(LABELS))._target("rain"), atol=1e-2)


@pytest.mark.parametrize(("most", "called"), [(1.0, True), (0.0, False)])
def test_gradients_are_clipped_or_not(examples, tmp_path, monkeypatch, most, called):
    from accelerate import Accelerator

    found = []
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda self, parameters, norm: found.append(norm))
    config = configure({**SETTINGS, "clip_gradient": most, "batch_size": 2})
    train(examples(config), config, tmp_path / "out")
    assert found == ([most] if called else [])


def test_fixed_crops_of_whole_seconds_are_the_authors(examples, stereo):
    data = examples(configure({**SETTINGS, "recipe": "authors"}))
    assert data.config.cache == "features"
    crops = data.sounds.fixed(data.files[1])
    assert crops.shape == (8, 2 * RATE)
    for second in range(8):
        assert (crops[second] == authors_sound(stereo, 1, second, 2)).all()


def test_what_is_not_resampled_needs_one_rate(examples, stereo, tmp_path):
    import shutil

    folder = shutil.copytree(stereo, tmp_path / "mixed")
    soundfile.write(folder / "2.wav", np.random.default_rng(1).standard_normal(48_000) / 9, 16_000)
    config = configure({**SETTINGS, "resample": False})
    with pytest.raises(A2IBenchError, match="16000 samples a second and others have 22050"):
        Examples(load_clips(folder), examples(config).diffusion, examples(config).listener, config, tmp_path, "x")


# -------------------------------------------------------------------------------------------------- settings


def test_the_recipe_says_what_the_user_does_not():
    authors = configure({"recipe": "authors"})
    assert (authors.batch_size, authors.lr, authors.clip_gradient) == (4, pytest.approx(4e-5), 0)
    assert {name: getattr(authors, name) for name in DEPARTURES} == {
        "clip_gradient": 0.0,
        "cl_form": "batch",
        "frame": "squash",
        "channel": "first",
        "resample": False,
        "crop_starts": "seconds",
    }
    assert configure({"recipe": "authors", "batch_size": 8}).lr == pytest.approx(8e-5), "the paper's, by their rule"
    assert configure({"recipe": "authors", "batch_size": 4, "accumulate": 4}).lr == pytest.approx(16e-5)
    assert configure({"recipe": "authors", "lr": 1e-3, "frame": "crop"}).lr == 1e-3
    assert configure({"recipe": "authors", "frame": "crop"}).frame == "crop"
    assert configure({"recipe": "paper"}) == configure({}) == Config()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "author"}, "no recipe 'author'; did you mean 'authors'"),
        ({"clip_gradients": 1}, "did you mean 'clip_gradient'"),
        ({"frame": "stretch"}, "no frame 'stretch'.*known: crop, squash"),
        ({"cache": "none"}, "no cache 'none'.*known: auto, features, latents"),
        ({"mixed_precision": "fp8"}, "no mixed precision 'fp8'"),
        ({"trackers": "tensorboard,mlflow"}, "no tracker 'mlflow'"),
        ({"steps": 2.5}, "steps of AudioToken's training is a whole number; found 2.5"),
        ({"steps": True}, "is a whole number; found True"),
        ({"steps": 0}, "is at least 1; found 0"),
        ({"lr": "fast"}, "lr of AudioToken's training is a number; found 'fast'"),
        ({"lr": None}, "lr of AudioToken's training is a number; found None"),
        ({"lr": float("nan")}, "at least 0; found nan"),
        ({"clip_gradient": -1}, "at least 0; found -1"),
        ({"resample": 1}, "resample of AudioToken's training is true or false; found 1"),
        ({"recipe": "authors", "batch_size": "x"}, "batch_size of AudioToken's training is a whole number"),
    ],
)
def test_a_bad_setting_is_one_sentence(settings, message):
    with pytest.raises(A2IBenchError, match=message):
        configure(settings)


def test_what_is_kept_is_decided_by_size():
    paper, mini = Config(), Config(crop_seconds=3.0, crops=1, size=64)
    assert settled(paper, 183_730, 2304).cache == "latents", "0.84 TB"
    assert settled(paper, 1_700, 2304).cache == "features"
    assert settled(paper, 1_800, 2304).cache == "latents", "4.6 MB a clip"
    assert settled(mini, 5_000, 384).cache == "features"
    assert settled(Config(cache="features"), 183_730, 2304).cache == "features"


def test_a_bad_setting_is_told_before_anything_is_read(run_cli, tmp_path):
    words = ("train", "audiotoken", "--data", tmp_path / "nowhere")
    assert "no frame 'stretch'" in run_cli(*words, "--set", "frame=stretch").sentence
    assert "did you mean 'bf16'" in run_cli(*words, "--mixed-precision", "bf61").sentence


def test_settings_reach_the_training_from_the_command_line(run_cli, tiny_suite, clip_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: network)  # it takes a minute
    words = ("train", "audiotoken", "--suite", tiny_suite, "--data", clip_folder, "--steps", 1, "--out", "t")
    assert "recipe" in run_cli(*words, "--set", "recipes=authors").sentence
    assert not (tmp_path / "t").exists()
    words = (*words, "--set", "workers=0", "--set", "frame=crop", "--cache", "latents", "--compile")
    outcome = run_cli(*words, "--set", "recipe=authors")
    assert outcome.code == 0, outcome.err
    mark = SimpleNamespace(**json.loads((tmp_path / "t/train.json").read_text()))
    assert (mark.frame, mark.channel, mark.cache, mark.compile) == ("crop", "first", "latents", True)
    assert (mark.lr, mark.batch_size) == (1e-2, 2), "the suite's own sizes stay"
