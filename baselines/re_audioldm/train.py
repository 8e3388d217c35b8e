"""Train the UNet of AudioLDM or Re-AudioLDM; everything else stays frozen.

The loss is the mean squared error of the predicted noise. The defaults are the paper's: learning rate 5e-5, batch 4, 80
epochs, conditions dropped with 0.1 (all at once, which the paper leaves open), 3 examples for S and 10 for L. Adam's
weight decay, a constant rate and no average of the weights are our choices: docs/re-audioldm.md.

Every random draw of a step comes from (seed, step, process), so a training that was killed and goes on from its last
checkpoint ends with the weights of an undisturbed one.
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from a2ibench.baselines.audiotoken.state import claim, read_checkpoint, write_checkpoint
from a2ibench.baselines.base import Training
from a2ibench.baselines.re_audioldm.data import Data, Frozen
from a2ibench.baselines.re_audioldm.examples import MOST
from a2ibench.baselines.re_audioldm.model import SCHEDULE
from a2ibench.baselines.re_audioldm.unet import (
    FILE,
    Conditioning,
    Told,
    build_unet,
    load_unet,
    predict,
    save_unet,
    unet_config,
)
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import cache_dir, check_space, check_writable


@dataclass(frozen=True)
class Config:
    """The settings of a training; see the module for where they come from.

    ``steps`` 0 means ``epochs`` over the clips; ``cache_gb`` is what latents and tokens, computed once, may take;
    with ``ema`` above 0 the running mean of the weights, of that decay, is what is kept.
    """

    size: str = "S"
    retrieval: str = "audio-text"
    streams: str = "sequential"
    k: int = 3
    epochs: int = 80
    steps: int = 0
    batch_size: int = 4
    accumulate: int = 1
    lr: float = 5e-5
    schedule: str = "constant"
    weight_decay: float = 0.01
    drop: float = 0.1
    ema: float = 0.0
    cache_gb: float = 12.0
    mixed_precision: str = "no"
    seed: int = 0


def train_with(training: Training, retrieves: bool) -> Path:
    """Train as the user wants it; gives the folder of the UNet. Goes on where it was stopped."""
    config = _config(training, retrieves)
    folder, clips = training.folder, training.clips
    check_writable(cache_dir() / "training")
    if training.fresh:
        for name in ("train.json", "checkpoint.pt"):
            (folder / name).unlink(missing_ok=True)
        for name in ("unet", "tensorboard"):
            shutil.rmtree(folder / name, ignore_errors=True)
    networks = " ".join(f"{part}:{training.hashes[part]}" for part in sorted(training.hashes))
    claim(folder, asdict(config), clips, networks)
    if (folder / "unet" / FILE).is_file():
        load_unet({"file": folder / "unet"}, "cpu")  # a damaged one is named
        return folder / "unet"
    read_checkpoint(folder)  # a damaged one is named before the networks are loaded
    told = Conditioning(config.retrieval, config.streams)
    frozen = Frozen(training.parts, told, training.device)
    told = Conditioning(config.retrieval, config.streams, frozen.digests)
    total = len(clips) + (len(frozen.examples.index) if frozen.examples else 0)
    advance = training.stage("latents and tokens", total)
    cache = cache_dir() / "training"
    data = Data(clips, frozen, cache, k=config.k, gigabytes=config.cache_gb, progress=advance)
    steps = config.steps or config.epochs * math.ceil(len(clips) / config.batch_size)
    bar, last = training.stage("train", steps), 0

    def report(step: int, loss: float) -> None:
        nonlocal last
        bar(step - last, f"loss {loss:.4f}")
        last = step

    return train(data, config, told, folder, steps=steps, report=report, checkpoint_every=training.checkpoint_every)


def _config(training: Training, retrieves: bool) -> Config:
    known = [field.name for field in fields(Config)]
    for key in training.settings:
        if key not in known:
            raise unknown("setting of Re-AudioLDM's training", key, known)
    config = Config(**{**({} if retrieves else {"retrieval": "none", "k": 0}), **training.settings})
    Conditioning(config.retrieval, config.streams)
    if (config.retrieval == "none") == retrieves:
        other = "re-audioldm" if config.retrieval != "none" else "audioldm"
        raise A2IBenchError(f"With retrieval={config.retrieval} the method is {other}; train that one.")
    if retrieves and not 1 <= config.k <= MOST:
        raise A2IBenchError(f"A training takes 1 to {MOST} examples; found k={config.k}.")
    return config


def train(
    data: Data,
    config: Config,
    told: Conditioning,
    out: Path,
    *,
    steps: int,
    report: Callable[[int, float], None] = lambda step, loss: None,
    checkpoint_every: int = 200,
) -> Path:
    """Train a UNet, or go on with a training that was stopped; gives its folder.

    Parameters
    ----------
    data
        What the steps read.
    config, told
        The settings, and what the UNet is told of.
    out
        Receives ``checkpoint.pt`` while it trains, ``tensorboard/``, and at the end ``unet/``.
    steps
        How many.
    report
        Called after each step with its number and the running loss.
    checkpoint_every
        Steps between checkpoints.

    Raises
    ------
    A2IBenchError
        If the loss is no number any more, or the disk has no room for the checkpoints.

    """
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from torch.utils.tensorboard import SummaryWriter

    on_cpu = str(data.frozen.codec.device) == "cpu"
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision, gradient_accumulation_steps=config.accumulate, cpu=on_cpu
    )
    unet = _built(data.frozen, config, told)
    check_space(out, 2 * 4 * 4 * sum(each.numel() for each in unet.parameters()), "a training with its checkpoints")
    optimizer = torch.optim.AdamW(unet.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    unet, optimizer = accelerator.prepare(unet, optimizer)
    start, mean = _restore(accelerator, unet, optimizer, out, averaged=config.ema > 0)
    schedule = DDPMScheduler(**{k: v for k, v in SCHEDULE.items() if k not in ("set_alpha_to_one", "steps_offset")})
    writer = SummaryWriter(str(out / "tensorboard"), purge_step=start) if accelerator.is_main_process else None
    running = math.nan

    def loss_of(rng: np.random.Generator) -> Tensor:
        return _loss(unet, data, config, told, schedule, rng, accelerator.device)

    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * _lr_factor(config, step, steps)
        value = _step(accelerator, unet, optimizer, step, config, loss_of)
        _average(mean, accelerator.unwrap_model(unet), min(config.ema, (1 + step) / (10 + step)))
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        if writer and (step % 10 == 0 or step + 1 == steps):
            writer.add_scalar("loss", value, step)
        report(step + 1, running)
        if accelerator.is_main_process and (step + 1) % checkpoint_every == 0 and step + 1 < steps:
            _keep(accelerator, unet, optimizer, mean, step + 1, out)
    if writer:
        writer.close()
        if mean:
            accelerator.unwrap_model(unet).load_state_dict(mean)
        save_unet(accelerator.unwrap_model(unet), told, out / "unet")
        (out / "checkpoint.pt").unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return out / "unet"


def _built(frozen: Frozen, config: Config, told: Conditioning) -> Any:
    """Build the UNet that fits the frozen networks; its weights come from the seed."""
    torch.manual_seed(config.seed)
    settings = unet_config(
        config.size, told, channels=frozen.codec.channels, clap=frozen.clap.width, widths=frozen.widths
    )
    return build_unet(settings).train()


def _step(
    accelerator: Any,
    unet: Any,
    optimizer: Any,
    step: int,
    config: Config,
    loss_of: Callable[[np.random.Generator], Tensor],
) -> float:
    """Take one step; gives the loss."""
    for part in range(config.accumulate):
        rng = np.random.default_rng([config.seed, step, accelerator.process_index, part])
        torch.manual_seed(int(rng.integers(2**62)))
        with accelerator.accumulate(unet):
            with accelerator.autocast():
                loss = loss_of(rng)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise A2IBenchError(f"The loss became {value} in step {step}; lower lr, or train in full precision.")
    return value


def _restore(accelerator: Any, unet: Any, optimizer: Any, out: Path, averaged: bool) -> tuple[int, dict[str, Tensor]]:
    """Take over the last checkpoint, if there is one; gives the step to go on with, and the mean of the weights."""
    saved = read_checkpoint(out)
    if not saved:
        weights = accelerator.unwrap_model(unet).state_dict()
        return 0, {name: tensor.detach().clone() for name, tensor in weights.items()} if averaged else {}
    accelerator.unwrap_model(unet).load_state_dict(saved["unet"])
    optimizer.load_state_dict(saved["optimizer"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(saved["scaler"])
    mean = {name: tensor.to(accelerator.device) for name, tensor in saved["mean"].items()}
    return int(saved["step"]), mean


@torch.no_grad()
def _average(mean: dict[str, Tensor], unet: Any, decay: float) -> None:
    """Move the mean of the weights, where there is one, towards them."""
    if mean:
        for name, tensor in unet.state_dict().items():
            mean[name].lerp_(tensor.to(mean[name].dtype), 1 - decay)


def _keep(accelerator: Any, unet: Any, optimizer: Any, mean: dict[str, Tensor], step: int, out: Path) -> None:
    """Write a checkpoint."""
    scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
    weights = accelerator.unwrap_model(unet).state_dict()
    state = {"unet": weights, "optimizer": optimizer.state_dict(), "scaler": scaler, "mean": mean, "step": step}
    write_checkpoint(out, state)


def _loss(
    unet: Any,
    data: Data,
    config: Config,
    how: Conditioning,
    schedule: Any,
    rng: np.random.Generator,
    device: torch.device,
) -> Tensor:
    rows = rng.integers(len(data.clips), size=config.batch_size)
    latents, told = data.batch(rows, rng.random(len(rows)) < config.drop)
    noise = torch.randn(latents.shape).to(device)
    times = torch.from_numpy(rng.integers(schedule.config.num_train_timesteps, size=len(rows))).to(device)
    noisy = schedule.add_noise(latents.to(device), noise, times)
    moved = Told(
        told.film.to(device), tuple(s.to(device) for s in told.streams), tuple(m.to(device) for m in told.masks)
    )
    return F.mse_loss(predict(unet, noisy, times, moved, how).float(), noise)


def _lr_factor(config: Config, step: int, steps: int) -> float:
    if config.schedule == "constant":
        return 1.0
    return min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
