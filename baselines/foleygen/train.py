"""Train FoleyGen's language model; codec and visual encoder stay frozen, and are run once for each clip.

The paper's settings (arXiv 2309.10537): AdamW with betas 0.9 and 0.95, weight decay 0.1, 20,000 steps of 256 clips,
4,000 warm-up steps, the video dropped from one sample in ten. The digit of its learning rate is lost in our copy: 1e-4
is that of the recipe it follows (AudioGen's). What the paper leaves open and we chose: a constant rate after the
warm-up, gradients clipped at 1, no dropout, and a learned vector for a video that is dropped.

Every random draw of a step comes from (seed, step, process), so a training that was killed and goes on from its last
checkpoint ends with the weights of an undisturbed one.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.audiotoken.cache import Rows
from a2ibench.baselines.audiotoken.state import claim, read_checkpoint, write_checkpoint
from a2ibench.baselines.foleygen.codec import Codec
from a2ibench.baselines.foleygen.eyes import Eyes
from a2ibench.baselines.foleygen.frames import sample
from a2ibench.baselines.foleygen.lm import FoleyLm, LmConfig, lm_bytes, read_lm
from a2ibench.baselines.foleygen.pattern import Attention, delay, inputs_of
from a2ibench.clips import Clip, ClipSet, read_audio
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_space, write_bytes, write_text

_FINAL, _SUM = "foleygen.safetensors", "foleygen.sha256"
FILES = ("train.json", "checkpoint.pt", _FINAL, _SUM)
_IGNORED = -100


@dataclass(frozen=True)
class Config:
    """The settings of a training; see the module for where they come from."""

    steps: int = 20_000
    batch_size: int = 256
    accumulate: int = 1
    lr: float = 1e-4
    warmup: int = 4000
    schedule: str = "constant"
    weight_decay: float = 0.1
    drop: float = 0.1
    attention: Attention = "all-frame"
    layers: int = 24
    width: int = 1024
    heads: int = 16
    seconds: float = 10.0
    frame_rate: float = 1.0
    mixed_precision: str = "no"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in ("constant", "cosine"):
            raise A2IBenchError(f"FoleyGen's schedule is 'constant' or 'cosine'; found {self.schedule!r}.")

    def sizes(self, codec: Codec, eyes: Eyes) -> LmConfig:
        """Give the language model's configuration for a codec and a visual encoder."""
        return LmConfig(
            layers=self.layers, width=self.width, heads=self.heads, books=codec.books, codes=codec.codes,
            code_rate=codec.code_rate, features=eyes.dim, frame_rate=self.frame_rate, seconds=self.seconds,
            attention=self.attention, encoder=eyes.name,
        )  # fmt: skip


def fit_samples(wave: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Cut a sound, or fill it up with silence, to a number of samples."""
    return np.pad(wave[:samples], (0, max(0, samples - len(wave))))


def features_of(clip: Clip, eyes: Eyes, config: LmConfig) -> NDArray[np.float32]:
    """Encode a clip's video: ``[frames, features]``."""
    return eyes.encode(sample(clip.file("video"), config.seconds, config.frame_rate, eyes.each))


class Examples:
    """Codes and frame features of the training clips, computed once: published 4 kB and 10 kB a clip.

    Parameters
    ----------
    clips
        With video and audio.
    codec, eyes
        The frozen networks.
    config
        The language model's.
    cache
        Where they are kept, for later trainings too.
    identity
        Names the weights of both networks.
    progress
        Called with the number of clips done.

    """

    def __init__(
        self,
        clips: ClipSet,
        codec: Codec,
        eyes: Eyes,
        config: LmConfig,
        cache: Path,
        identity: str,
        progress: Callable[[int], None] = lambda done: None,
    ):
        self.clips, self.config = clips, config
        key = json.dumps([clips.digest, identity, config.seconds, config.frame_rate, eyes.name, 1])
        folder = cache / hashlib.sha256(key.encode()).hexdigest()[:24]
        folder.mkdir(parents=True, exist_ok=True)
        kinds = {
            "codes": (np.int16, (config.books, config.code_frames)),
            "frames": (np.float16, (config.video_frames, config.features)),
        }
        with FileLock(folder / "lock"):
            rows = Rows(folder, len(clips), kinds)
            try:
                for index, clip in enumerate(clips):
                    if not rows.has(index):
                        rows.put(index, (self._codes(clip, codec), features_of(clip, eyes, config)))
                    if index % 100 == 99:
                        rows.flush()
                    progress(index + 1)
            finally:
                rows.flush()
        self.codes, self.frames = rows.arrays

    def _codes(self, clip: Clip, codec: Codec) -> NDArray[np.int64]:
        wave = read_audio(clip.file("audio"), codec.rate)
        whole = fit_samples(wave, round(self.config.seconds * codec.rate))
        codes: NDArray[np.int64] = codec.encode(torch.from_numpy(whole)[None])[0].numpy()
        return codes[:, : self.config.code_frames]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """Draw features ``[n, frames, features]`` and codes ``[n, books, frames]``."""
        rows = rng.integers(len(self.clips), size=size)
        frames = torch.from_numpy(self.frames[rows].astype(np.float32))
        return frames, torch.from_numpy(self.codes[rows].astype(np.int64))


def lm_loss(network: Any, features: Tensor, codes: Tensor, dropped: Tensor, empty: int) -> Tensor:
    """Give the mean cross-entropy in nats over all codes of ``[batch, books, frames]``; `empty` is the padding's id."""
    logits = network(features, inputs_of(delay(codes, empty), empty), dropped)
    targets = delay(codes, _IGNORED)
    return F.cross_entropy(logits.float().flatten(0, 2), targets.flatten(), ignore_index=_IGNORED)


def set_scale(network: FoleyLm, frames: NDArray[Any]) -> None:
    """Set the mean and deviation by which features are normalised: those of the training clips ``[n, frames, dim]``."""
    some = torch.from_numpy(np.asarray(frames[:2000], dtype=np.float32)).flatten(0, 1)
    network.mean.copy_(some.mean(0))
    network.std.copy_((some - network.mean).square().mean().sqrt().clamp(min=1e-6))


def lr_at(config: Config, step: int) -> float:
    """Give the learning rate of a step: a linear warm-up, then constant or a cosine to zero."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
    if config.schedule == "cosine":
        rate *= 0.5 + 0.5 * math.cos(math.pi * step / config.steps)
    return rate


def train(
    examples: Examples,
    config: Config,
    sizes: LmConfig,
    networks: str,
    out: Path,
    *,
    device: str = "cpu",
    report: Callable[[int, float], None] = lambda step, loss: None,
    checkpoint_every: int = 500,
) -> Path:
    """Train a language model, or go on with one; returns the file of its weights.

    Parameters
    ----------
    examples
        The data.
    config, sizes, networks
        The settings, the sizes, and the name of the frozen networks' weights; another training's folder is refused.
    out
        Receives ``train.json``, ``checkpoint.pt`` while it trains, and at the end ``foleygen.safetensors``.
    device, report, checkpoint_every
        See the command's help.

    """
    from accelerate import Accelerator

    claim(out, {**asdict(config), "sizes": asdict(sizes)}, examples.clips, networks)
    if final := finished(out):
        return final
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision, gradient_accumulation_steps=config.accumulate, cpu=device == "cpu"
    )
    model, optimizer, start = _begin(accelerator, examples, config, sizes, out)
    running = math.nan
    for step in range(start, config.steps):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = lr_at(config, step)
        value = _step(model, optimizer, accelerator, examples, config, step)
        if not math.isfinite(value):
            raise A2IBenchError(f"The loss became {value} in step {step}; lower --lr, or train in full precision.")
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        report(step + 1, running)
        if accelerator.is_main_process and (step + 1) % checkpoint_every == 0 and step + 1 < config.steps:
            weights = accelerator.unwrap_model(model).state_dict()
            scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
            state = {"network": weights, "optimizer": optimizer.state_dict(), "scaler": scaler, "step": step + 1}
            write_checkpoint(out, state)
    if accelerator.is_main_process:
        _finish(out, accelerator.unwrap_model(model))
    accelerator.wait_for_everyone()
    return out / _FINAL


def _begin(accelerator: Any, examples: Examples, config: Config, sizes: LmConfig, out: Path) -> tuple[Any, Any, int]:
    """Give the network and its optimizer, as new or as the last checkpoint has them, and the step to go on from."""
    torch.manual_seed(config.seed)
    network = FoleyLm(sizes)
    set_scale(network, examples.frames)
    check_space(out, 6 * 4 * sum(each.numel() for each in network.parameters()), "a training with its checkpoints")
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay
    )
    model, optimizer = accelerator.prepare(network, optimizer)
    start = 0
    if saved := read_checkpoint(out):
        accelerator.unwrap_model(model).load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(saved["scaler"])
        start = saved["step"]
    return model, optimizer, start


def _finish(out: Path, network: FoleyLm) -> None:
    data = lm_bytes(network)
    (out / _SUM).unlink(missing_ok=True)
    write_bytes(out / _FINAL, data)
    write_text(out / _SUM, f"{hashlib.sha256(data).hexdigest()}  {_FINAL}\n")
    (out / "checkpoint.pt").unlink(missing_ok=True)


def _step(model: Any, optimizer: Any, accelerator: Any, examples: Examples, config: Config, step: int) -> float:
    """Take one step; gives its mean loss."""
    values = []
    for part in range(config.accumulate):
        rng = np.random.default_rng([config.seed, step, accelerator.process_index, part])
        features, codes = examples.batch(rng, config.batch_size)
        # A coin for each sample, as the paper says; audiocraft throws one for the whole batch.
        dropped = torch.from_numpy(rng.random(len(codes)) < config.drop)
        features, codes, dropped = (each.to(accelerator.device) for each in (features, codes, dropped))
        with accelerator.accumulate(model):
            with accelerator.autocast():
                loss = lm_loss(model, features, codes, dropped, examples.config.codes)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        values.append(float(loss.detach()))
    return sum(values) / len(values)


def finished(out: Path) -> Path | None:
    """Give the weights that a training has made; None where it has not ended.

    Raises
    ------
    A2IBenchError
        If they are not what the training wrote.

    """
    final, sums = out / _FINAL, out / _SUM
    if not final.is_file():
        return None
    if sums.is_file():
        if sums.read_text() != f"{hashlib.sha256(final.read_bytes()).hexdigest()}  {_FINAL}\n":
            raise A2IBenchError(
                f"{final} is damaged, it is not what the training wrote; put the whole file back, or give --fresh to "
                "train again."
            )
        return final
    read_lm(final)  # killed between the two: whole, or an error
    write_text(sums, f"{hashlib.sha256(final.read_bytes()).hexdigest()}  {_FINAL}\n")
    return final


__all__ = ["FILES", "Config", "Examples", "finished", "lm_loss", "train"]
