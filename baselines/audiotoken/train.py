"""Train AudioToken's embedder; everything else stays frozen.

`config` says which settings there are and how the authors' code differs, `data` what is computed once and what is read
in every step, `loss` what is minimised.

Every random draw of a batch comes from (seed, step), and each of several processes takes its share of it. So a training
that was killed and goes on from its last checkpoint ends with the weights of an undisturbed one, and four processes see
the losses of one.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from a2ibench.baselines.audiotoken.config import Config
from a2ibench.baselines.audiotoken.data import Examples
from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.loss import Objective
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.reading import Batches, in_order
from a2ibench.baselines.audiotoken.state import claim, finish, finished, read_checkpoint, write_checkpoint
from a2ibench.baselines.audiotoken.watch import Watch, start_trackers, tracker_names
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_space

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def train(
    examples: Examples,
    config: Config,
    out: Path,
    *,
    report: Callable[[int, float], None] = lambda step, loss: None,
    checkpoint_every: int = 500,
) -> Path:
    """Train an embedder, or go on with one; returns the file of its weights.

    Parameters
    ----------
    examples
        The data.
    config
        The settings; a folder with a training under other settings, clips or networks is refused.
    out
        Receives ``train.json``, ``checkpoint.pt`` while it trains, ``tensorboard/``, ``samples/``, and at the end
        ``embedder.safetensors`` and its hash.
    report
        Called after each step with its number and the running loss.
    checkpoint_every
        Steps between checkpoints.

    Raises
    ------
    A2IBenchError
        If the folder is another training's, a clip can't be read, or the loss is no number any more.

    """
    config = examples.config
    claim(out, config.claimed(), examples.clips, examples.networks, Config().claimed())
    if final := finished(out):
        return final
    accelerator = _accelerator(config, examples.diffusion.device, out)
    embedder, optimizer, start = _begin(accelerator, examples, out)
    objective = _objective(examples, accelerator)
    batches = examples.batches(objective.times)
    watch = Watch(examples, batches, objective, accelerator, out)
    start_trackers(accelerator, config, out, start)
    running = math.nan
    values = _steps(accelerator, embedder, optimizer, objective, batches, examples.workers, start)
    for step, value in enumerate(values, start):
        last = step + 1 == config.steps
        if not math.isfinite(value):
            raise A2IBenchError(f"The loss became {value} in step {step}; lower --lr, or train in full precision.")
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        if step % 10 == 0 or last:
            watch.log({"loss": value}, step)
        watch(embedder, step + 1, last)
        report(step + 1, running)
        if accelerator.is_main_process and (step + 1) % checkpoint_every == 0 and not last:
            write_checkpoint(out, _state(accelerator, embedder, optimizer, step + 1))
    for tracker in accelerator.trackers:
        tracker.finish()
    if accelerator.is_main_process:
        finish(out, accelerator.unwrap_model(embedder).state_dict())
    accelerator.wait_for_everyone()
    return out / "embedder.safetensors"


def check_room(out: Path, listener: Listener, diffusion: StableDiffusion) -> None:
    """Refuse a training whose checkpoints the disk can't hold; A2IBenchError says how much they need."""
    numbers = sum(each.numel() for each in Embedder(listener.width, diffusion.token_width).parameters())
    # A checkpoint is the weights and twice as much of the optimizer; the last one stays until the next is whole.
    check_space(out, 2 * 3 * 4 * numbers, "a training with its checkpoints")


def _accelerator(config: Config, device: str, out: Path) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # an earlier training of this process may have had another precision
    return Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.accumulate,
        cpu=device == "cpu",
        log_with=tracker_names(config) or None,
        project_dir=str(out / "tensorboard"),
    )


def _begin(accelerator: Any, examples: Examples, out: Path) -> tuple[Any, Any, int]:
    """Make the embedder and its optimizer, or take them from the last checkpoint; and say how many steps they made."""
    config = examples.config
    torch.manual_seed(config.seed)
    embedder: Any = Embedder(examples.listener.width, examples.diffusion.token_width)
    optimizer: Any = torch.optim.AdamW(embedder.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    embedder, optimizer = accelerator.prepare(embedder, optimizer)
    saved = read_checkpoint(out)
    accelerator.wait_for_everyone()  # before one of them writes the next
    if saved is None:
        return embedder, optimizer, 0
    accelerator.unwrap_model(embedder).load_state_dict(saved["embedder"])
    optimizer.load_state_dict(saved["optimizer"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(saved["scaler"])
    return embedder, optimizer, int(saved["step"])


def _state(accelerator: Any, embedder: Any, optimizer: Any, steps: int) -> dict[str, Any]:
    """Give what a training goes on from, as `_begin` takes it."""
    scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
    weights = accelerator.unwrap_model(embedder).state_dict()
    return {"embedder": weights, "optimizer": optimizer.state_dict(), "scaler": scaler, "step": steps}


def _objective(examples: Examples, accelerator: Any) -> Objective:
    """Make the loss, with the frozen networks in the precision of the training."""
    config, diffusion = examples.config, examples.diffusion

    def everywhere(value: Tensor) -> Tensor:
        return accelerator.reduce(value, "mean")  # type: ignore[no-any-return]

    objective = Objective(diffusion, examples.listener, config, examples.clips.labels, everywhere)
    if config.mixed_precision != "no":
        # What learns keeps full precision, and so does the autoencoder, whose work is done.
        for network in (diffusion.pipeline.unet, diffusion.pipeline.text_encoder):
            torch.nn.Module.to(network, _DTYPES[config.mixed_precision])  # diffusers' own warns of what isn't so here
        torch.nn.Module.to(diffusion.pipeline.unet, memory_format=torch.channels_last)
    if config.compile:
        objective.unet = torch.compile(diffusion.pipeline.unet)
    return objective


def _steps(
    accelerator: Any, embedder: Any, optimizer: Any, objective: Objective, batches: Batches, workers: int, start: int
) -> Iterator[float]:
    """Make the steps from `start` on; gives the loss of each, of all processes."""
    config = batches.config
    numbers = range(start * config.accumulate, config.steps * config.accumulate)
    read = in_order(batches, numbers, workers, pinned=accelerator.device.type == "cuda")
    for step in range(start, config.steps):
        embedder.train()
        for group in optimizer.param_groups:
            group["lr"] = config.lr * _lr_factor(config, step)
        for part in range(config.accumulate):
            found = next(read)
            with accelerator.accumulate(embedder):
                with accelerator.autocast():
                    first = accelerator.process_index * len(found[0])
                    loss = objective(embedder, batches.draws(step * config.accumulate + part), found, first)
                accelerator.backward(loss)
                if accelerator.sync_gradients and config.clip_gradient:
                    accelerator.clip_grad_norm_(embedder.parameters(), config.clip_gradient)
                optimizer.step()
                optimizer.zero_grad()
        yield float(accelerator.reduce(loss.detach(), "mean"))


def _lr_factor(config: Config, step: int) -> float:
    if config.schedule == "constant":
        return 1.0
    return min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))


__all__ = ["Config", "Examples", "check_room", "train"]
