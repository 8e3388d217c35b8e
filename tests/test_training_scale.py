"""Training AudioToken on many clips: latents alone are kept, a batch is global, and nothing that was trained moved."""

import json
import multiprocessing
import os
import socket
import sys
import types
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from a2ibench.baselines.audiotoken.config import Config
from a2ibench.baselines.audiotoken.data import Examples, held_out
from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.loss import Objective
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.train import train
from a2ibench.baselines.audiotoken.watch import Watch
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.runs.train import train_method
from a2ibench.suites import load_suite

SMALL = Config(steps=3, batch_size=4, lr=1e-2, crop_seconds=0.5, crops=2, size=32, trackers="none")
LATENTS = replace(SMALL, cache="latents", workers=0)


@pytest.fixture
def examples(tiny_suite, clip_folder, tmp_path):
    parts, _ = load_suite(str(tiny_suite)).method_parts("audiotoken", ("stable_diffusion", "beats"), {})

    def examples(config=LATENTS, folder=clip_folder, progress=lambda done: None):
        # Networks of its own each time: a training in another precision changes them.
        frozen = StableDiffusion(parts["stable_diffusion"]["file"]), Listener(parts["beats"], "cpu")
        return Examples(load_clips(folder), *frozen, config, tmp_path / "kept", "identity", progress)

    return examples


def fit(examples, config, out, die=None):
    losses = []

    def report(step, loss):
        losses.append(loss)
        if step == die:
            raise KeyboardInterrupt

    file = train(examples(config), config, out, report=report, checkpoint_every=1)
    return losses, load_file(file)


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


# ------------------------------------------------------------------------------------- what must never change


def test_the_first_steps_on_mini_are_those_that_were_recorded(tmp_path, monkeypatch):
    """Recorded on mini@2 by the code that gave mini@1's of the first edition; bits differ between machines."""
    from a2ibench.baselines.audiotoken import train as trainer
    from a2ibench.suites.mini.build.clips import training_clips

    losses = []
    original = trainer.train
    reporting = {"report": lambda step, loss: losses.append(loss)}
    monkeypatch.setattr(trainer, "train", lambda *words, **named: original(*words, **{**named, **reporting}))
    data = training_clips(tmp_path / "clips", 16)
    file = train_method("audiotoken-cl", "mini", data, tmp_path / "out", settings={"steps": 4, "batch_size": 8})
    recorded = [0.05556926131248474, 0.05977051496505737, 0.06126606990098953, 0.06232963227844238]
    assert losses == pytest.approx(recorded, rel=1e-4)
    weights = load_file(file)
    assert float(weights["fc1.weight"].double().norm()) == pytest.approx(11.309656737206614, rel=1e-6)
    assert float(weights["fc2.bias"].double().norm()) == pytest.approx(0.3359976749672106, rel=1e-5)


FIRST_EDITION = (
    *("steps", "batch_size", "accumulate", "lr", "schedule", "weight_decay", "lambda_l1", "lambda_cl", "prompt"),
    *("crop_seconds", "crops", "size", "mixed_precision", "seed", "clips", "networks"),
)


@pytest.mark.parametrize(("precompute", "goes_on"), [(True, True), (False, False)])
def test_a_training_of_the_first_edition_goes_on_or_is_refused(examples, tmp_path, precompute, goes_on):
    config = replace(SMALL, cache="features")
    whole = fit(examples, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(examples, config, tmp_path / "run", die=3)
    mark = tmp_path / "run/train.json"
    found = json.loads(mark.read_text())
    mark.write_text(json.dumps({**{k: found[k] for k in FIRST_EDITION}, "precompute": precompute}))
    if goes_on:
        assert same(fit(examples, config, tmp_path / "run")[1], whole[1])
    else:
        with pytest.raises(A2IBenchError, match=r"other settings \(cache\)"):
            fit(examples, config, tmp_path / "run")


# --------------------------------------------------------------------------------------------- latents alone


def test_latents_alone_are_kept_and_a_killed_training_is_undisturbed(examples, tmp_path):
    whole = fit(examples, LATENTS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(examples, LATENTS, tmp_path / "run", die=3)
    losses, weights = fit(examples, LATENTS, tmp_path / "run")
    assert len(losses) == 1, "it goes on from step 2"
    assert same(weights, whole[1])
    kept = [file.name for file in (tmp_path / "kept").rglob("*.npy")]
    assert kept == ["latents.npy"]
    assert np.load(next((tmp_path / "kept").rglob("*.npy")), mmap_mode="r").dtype == np.float16


def test_readers_beside_the_training_change_nothing(examples, tmp_path):
    alone = fit(examples, LATENTS, tmp_path / "alone")
    beside = fit(examples, replace(LATENTS, workers=2), tmp_path / "two")
    assert beside[0] == alone[0]
    assert same(beside[1], alone[1])


def test_a_sound_that_went_away_is_one_sentence(examples, own_clips, tmp_path):
    config = replace(LATENTS, workers=1)
    data = examples(config, own_clips)
    for file in (own_clips / "audio").iterdir():
        file.unlink()
    with pytest.raises(A2IBenchError, match=r"^[^\n]*\.wav[^\n]*$"):
        train(data, config, tmp_path / "out")


def test_crops_begin_anywhere(examples):
    data = examples()
    wave = data.sounds.read(data.files[0])
    assert len(wave) == 16_000
    for where in (0.0, 0.37, 0.999):
        crop = data.sounds.crop(data.files[0], where)
        start = int(where * 8001)
        assert (crop == wave[start : start + 8000]).all()
    drawn = np.concatenate([data.batches(1000).draws(number).crops for number in range(100)])
    assert drawn.min() < 0.01
    assert drawn.max() > 0.99


def test_a_disk_that_will_not_hold_it_is_told_before_anything_is_computed(examples, monkeypatch):
    done = []
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(A2IBenchError, match="what is computed once of the clips needs"):
        examples(progress=done.append)
    assert done == []


# ------------------------------------------------------------------------------------------ one batch for all


@pytest.mark.parametrize("cache", ["features", "latents"])
@pytest.mark.parametrize("form", ["clip", "batch"])
def test_shares_of_a_batch_make_up_the_whole(examples, cache, form):
    """Four processes: the mean of their losses is one process's, and so is the mean of their gradients."""
    data = examples(replace(LATENTS, cache=cache, lambda_cl=0.5, cl_form=form))
    objective = Objective(data.diffusion, data.listener, data.config, data.clips.labels)
    batches = data.batches(objective.times)
    torch.manual_seed(0)
    embedder = Embedder(64, 16)

    def one(share):
        embedder.zero_grad()
        part = replace(batches, share=share)
        loss = objective(embedder, part.draws(5), part[5], share[0] * 4 // share[1])
        loss.backward()
        return loss.detach(), torch.cat([p.grad.flatten() for p in embedder.parameters()])

    whole = one((0, 1))
    means = []
    objective.everywhere = lambda value: means.append(value) or value
    for rank in range(4):
        one((rank, 4))
    objective.everywhere = lambda value: torch.stack(means).mean()
    losses, gradients = zip(*[one((rank, 4)) for rank in range(4)], strict=True)
    assert float(torch.stack(losses).mean()) == pytest.approx(float(whole[0]), rel=1e-5)
    assert torch.allclose(torch.stack(gradients).mean(0), whole[1], rtol=1e-3, atol=1e-6)
    assert len(set(losses)) == 4, "each has its own part"


def _one_of_two(rank, port, examples, config, out, found):
    from accelerate.state import PartialState

    torch.set_num_threads(1)
    PartialState._reset_state()
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), OMP_NUM_THREADS="1")
    losses = []
    data = examples(config)
    pictures = []
    data.sounds.read, read = lambda path: pictures.append(path) or read(path), data.sounds.read
    train(data, config, out, report=lambda step, loss: losses.append(loss))
    found.put((rank, data.state.num_processes, losses, len(pictures)))


def test_two_processes_see_the_losses_of_one(examples, tmp_path):
    config = replace(LATENTS, lambda_cl=0.5, cl_form="batch", validate_every=3, held_out=2)
    losses, weights = fit(examples, config, tmp_path / "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    words = (port, examples, config, tmp_path / "two", found)
    both = [context.Process(target=_one_of_two, args=(rank, *words), daemon=True) for rank in range(2)]
    for each in both:
        each.start()
    try:
        results = [found.get(timeout=120) for _ in both]
    finally:
        for each in both:
            each.join(20)
            each.kill()
    for rank, processes, own, read in results:
        assert processes == 2
        assert own == pytest.approx(losses, rel=1e-5)
        assert read == 3 * 2 + (2 if rank == 0 else 0), "half of four clips a step, and one validation batch"
    trained = load_file(tmp_path / "two/embedder.safetensors")
    # Adam makes whole steps of gradients that are nothing but rounding, as the potentials' last bias has: not there.
    for key in ("fc1.weight", "fc2.weight", "fga.un_models.0.embed.weight"):
        assert float((trained[key] - weights[key]).norm()) < 1e-3 * float(weights[key].norm())


def test_a_batch_that_can_not_be_split_is_refused(examples, monkeypatch):
    state = SimpleNamespace(num_processes=3, process_index=0)
    monkeypatch.setattr("a2ibench.baselines.audiotoken.data.processes", lambda device: state)
    with pytest.raises(A2IBenchError, match="batch of 4 can't be split evenly over 3 processes; give --batch-size 3"):
        examples()


# ------------------------------------------------------------------------------------ precision and compiling


def test_bf16_is_within_a_hundredth_and_learns_in_full_precision(examples, tmp_path):
    full = fit(examples, LATENTS, tmp_path / "full")
    half = fit(examples, replace(LATENTS, mixed_precision="bf16"), tmp_path / "half")
    assert half[0] == pytest.approx(full[0], abs=1e-2)
    assert half[0] != full[0]
    assert {tensor.dtype for tensor in half[1].values()} == {torch.float32}


def test_compile_compiles_the_unet(examples, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(type(network).__name__) or network)
    plain = fit(examples, LATENTS, tmp_path / "plain")
    assert compiled == []
    assert same(fit(examples, replace(LATENTS, compile=True), tmp_path / "compiled")[1], plain[1])
    assert compiled == ["UNet2DConditionModel"]


# --------------------------------------------------------------------------------------------- what one sees


def test_clips_held_out_are_never_trained_on(examples):
    config = replace(LATENTS, validate_every=2, held_out=3)
    data = examples(config)
    batches = data.batches(1000)
    trained = {int(row) for number in range(200) for row in batches.draws(number).rows}
    assert trained | set(data.held_out.tolist()) == set(range(8))
    assert not trained & set(data.held_out.tolist())
    assert held_out(data.clips, config).tolist() == data.held_out.tolist()
    assert len(held_out(data.clips, LATENTS)) == 0


def test_too_few_to_hold_some_out_is_refused(examples):
    with pytest.raises(A2IBenchError, match="Of 8 training clips 4 can't be held out"):
        examples(replace(LATENTS, validate_every=1, held_out=4))


@pytest.mark.parametrize("cache", ["features", "latents"])
def test_watching_shows_and_changes_nothing(examples, tmp_path, cache):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(LATENTS, cache=cache, held_out=3, trackers="tensorboard")
    seen = fit(examples, replace(config, validate_every=1, sample_every=2), tmp_path / "seen")
    less = fit(examples, replace(config, validate_every=100), tmp_path / "less")
    assert less[0] == seen[0]
    assert same(less[1], seen[1])
    log = EventAccumulator(str(tmp_path / "seen/tensorboard/a2ibench")).Reload()
    assert {"loss", "validation loss"} <= set(log.Tags()["scalars"])
    assert log.Tags()["images"] == ["samples"]
    values = [event.value for event in log.Scalars("validation loss")]
    assert len(values) == 3
    assert len(set(values)) == 3
    sheets = sorted((tmp_path / "seen/samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-000002.png", "step-000003.png"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (3 * 32, 2 * 32)


def test_the_validation_loss_is_always_of_the_same_draws(examples, tmp_path):
    data = examples(replace(LATENTS, validate_every=1, held_out=3))
    objective = Objective(data.diffusion, data.listener, data.config, data.clips.labels)
    from accelerate import Accelerator

    watch = Watch(data, data.batches(objective.times), objective, Accelerator(cpu=True), tmp_path)
    torch.manual_seed(0)
    embedder = Embedder(64, 16).eval()
    first = watch.loss(embedder)
    torch.manual_seed(5)
    assert watch.loss(embedder) == first
    assert 0.1 < first < 10


def test_no_tracker_writes_nothing(examples, tmp_path):
    fit(examples, LATENTS, tmp_path / "out")
    assert not (tmp_path / "out/tensorboard").exists()


def test_weights_and_biases_is_asked_for_where_it_is_missing(examples, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(A2IBenchError, match="Weights & Biases is not installed; run pip install wandb"):
        fit(examples, replace(LATENTS, trackers="wandb"), tmp_path / "out")


def test_weights_and_biases_gets_values_and_settings(examples, tmp_path, monkeypatch):
    import accelerate.tracking as tracking

    logged, settings = [], {}
    run = SimpleNamespace(log=lambda values, step=None, **named: logged.append((step, values)), finish=lambda: None)
    wandb = types.ModuleType("wandb")
    wandb.__spec__ = ModuleSpec("wandb", None)
    wandb.init = lambda **words: settings.update(words) or run
    wandb.config = SimpleNamespace(update=lambda values, **named: settings.update(values))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(tracking, "_available_trackers", [tracking.LoggerType.WANDB])
    fit(examples, replace(LATENTS, trackers="wandb"), tmp_path / "out")
    assert settings["project"] == "a2ibench"
    assert settings["batch_size"] == 4
    assert [step for step, _ in logged] == [0, 2]
