"""Train AudioToken's embedder; everything else stays frozen.

The loss is Stable Diffusion's own, the mean squared error of the predicted noise, plus lambda_l1 · mean|e| on
the token e, plus, with the classification loss, lambda_cl · (1 - cos(e, mean input embedding of the label's
tokens))². The defaults are the paper's (arXiv 2305.13050): AdamW at 8e-5, batch 8, 60,000 steps, random crops
of 5 s. The authors' code differs: learning rate 1e-5 times batch, accumulation and processes, batch 4, and crop
starts in whole seconds from 0 to 4, so that the last window is never heard.

What is frozen need not be computed twice: with ``precompute`` the audio features of a few fixed crops per clip
and the moments of the image's latents are computed once and read from disk afterwards.

Every random draw of a step comes from (seed, step, process), so a training that was killed and goes on from its
last checkpoint ends with the weights of an undisturbed one.
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
from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.model import Listener, fit_seconds
from a2ibench.baselines.audiotoken.state import claim, finish, finished, read_checkpoint, write_checkpoint
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.clips import ClipSet, read_audio, read_image
from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_space


@dataclass(frozen=True)
class Config:
    """The settings of a training; see the module for where they come from."""

    steps: int = 60_000
    batch_size: int = 8
    accumulate: int = 1
    lr: float = 8e-5
    schedule: str = "constant"
    weight_decay: float = 0.01
    lambda_l1: float = 0.01
    lambda_cl: float = 0.0
    prompt: str = "a photo of <*>"
    crop_seconds: float = 5.0
    crops: int = 4
    size: int = 512
    precompute: bool = True
    mixed_precision: str = "no"
    seed: int = 0


class Examples:
    """What a step reads: audio features of a crop, latents of the image, the label.

    Parameters
    ----------
    clips
        The training clips.
    diffusion, listener
        The frozen networks.
    config
        Crop length, crops per clip, image size, and whether to compute once.
    cache
        Where what is computed once lies; used again by a later training on the same clips and networks.
    identity
        Names the weights on which what is computed once depends: BEATs and the autoencoder.
    progress
        Called with the number of clips done.
    networks
        Names the weights of all frozen networks; by default `identity`.

    """

    def __init__(
        self,
        clips: ClipSet,
        diffusion: StableDiffusion,
        listener: Listener,
        config: Config,
        cache: Path,
        identity: str,
        progress: Callable[[int], None] = lambda done: None,
        networks: str = "",
    ):
        self.clips, self.diffusion, self.listener, self.config = clips, diffusion, listener, config
        self.networks = networks or identity
        self._features: NDArray[np.float16] | None = None
        self._moments: NDArray[np.float32] | None = None
        if config.precompute:
            key = json.dumps([clips.digest, identity, config.crop_seconds, config.crops, config.size, 1])
            folder = cache / hashlib.sha256(key.encode()).hexdigest()[:24]
            folder.mkdir(parents=True, exist_ok=True)
            # Several processes, or two trainings at once, want the same files: one fills them, the others wait.
            with FileLock(folder / "lock"):
                self._features, self._moments = self._filled(folder, progress)

    def _filled(self, folder: Path, progress: Callable[[int], None]) -> "list[np.memmap[Any, Any]]":
        """Compute features and latents of every clip once; goes on where an earlier run was stopped."""
        features, moments = self._compute(0)
        kinds = {"features": (np.float16, features.shape), "latents": (np.float32, moments.shape)}
        rows = Rows(folder, len(self.clips), kinds)
        computed = 0
        try:
            for index in range(len(self.clips)):
                if not rows.has(index):
                    rows.put(index, self._compute(index))
                    computed += 1
                    if computed % 100 == 0:
                        rows.flush()
                progress(index + 1)
        finally:
            if computed:
                rows.flush()
        for array in rows.arrays:
            array.flags.writeable = False
        return rows.arrays

    def _crops(self, index: int) -> list[NDArray[np.float32]]:
        """Cut the fixed crops of a clip, spread evenly from its start to its end."""
        wave = read_audio(self.clips[index].file("audio"), beats.RATE)
        samples = round(self.config.crop_seconds * beats.RATE)
        spare = max(0, len(wave) - samples)
        starts = np.linspace(0, spare, self.config.crops).astype(int)
        return [fit_seconds(wave[start:], self.config.crop_seconds) for start in starts]

    @torch.inference_mode()
    def _compute(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features = self.listener.features(np.stack(self._crops(index))).float().cpu().numpy()
        return features, self._latent_moments(index)

    @torch.inference_mode()
    def _latent_moments(self, index: int) -> NDArray[np.float32]:
        """Mean and standard deviation of the image's latents: ``[2, c, h, w]``."""
        vae = self.diffusion.pipeline.vae
        image = read_image(self.clips[index].file("image"))
        side, size = min(image.size), self.config.size
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((size, size))
        pixels = torch.from_numpy(np.asarray(square, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1)
        posterior = vae.encode(pixels[None].to(vae.device, vae.dtype)).latent_dist
        # Contiguous, as noise like it is drawn in the order of its memory: the same for moments kept or made again.
        moments: NDArray[np.float32] = torch.cat([posterior.mean, posterior.std]).float().cpu().contiguous().numpy()
        return moments

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, list[str]]:
        """Draw a batch: features ``[n, tokens, width]``, latent moments ``[n, 2, c, h, w]``, labels."""
        rows = rng.integers(len(self.clips), size=size)
        labels = [self.clips[int(row)].label for row in rows]
        if self._features is not None and self._moments is not None:
            crops = rng.integers(self.config.crops, size=size)
            features = torch.from_numpy(self._features[rows, crops].astype(np.float32))
            return features, torch.from_numpy(self._moments[rows]), labels
        waves = []
        for row in rows:
            wave = read_audio(self.clips[int(row)].file("audio"), beats.RATE)
            spare = max(0, len(wave) - round(self.config.crop_seconds * beats.RATE))
            waves.append(fit_seconds(wave[int(rng.integers(spare + 1)) :], self.config.crop_seconds))
        moments = np.stack([self._latent_moments(int(row)) for row in rows])
        return self.listener.features(np.stack(waves)).float().clone(), torch.from_numpy(moments), labels


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
        Receives ``train.json``, ``checkpoint.pt`` while it trains, ``tensorboard/``, and at the end
        ``embedder.safetensors`` and its hash.
    report
        Called after each step with its number and the running loss.
    checkpoint_every
        Steps between checkpoints.

    """
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from torch.utils.tensorboard import SummaryWriter

    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.accumulate,
        cpu=examples.diffusion.device == "cpu",
    )
    claim(out, asdict(config), examples.clips, examples.networks)
    if final := finished(out):
        return final
    diffusion = examples.diffusion
    device = accelerator.device
    torch.manual_seed(config.seed)
    embedder = Embedder(examples.listener.width, diffusion.token_width)
    optimizer = torch.optim.AdamW(embedder.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    embedder, optimizer = accelerator.prepare(embedder, optimizer)
    start = 0
    if saved := read_checkpoint(out):
        accelerator.unwrap_model(embedder).load_state_dict(saved["embedder"])
        optimizer.load_state_dict(saved["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(saved["scaler"])
        start = saved["step"]
    schedule = DDPMScheduler.from_config(diffusion.pipeline.scheduler.config)
    writer = SummaryWriter(str(out / "tensorboard"), purge_step=start) if accelerator.is_main_process else None
    targets: dict[str, Tensor] = {}
    running = math.nan
    for step in range(start, config.steps):
        embedder.train()
        for group in optimizer.param_groups:
            group["lr"] = config.lr * _lr_factor(config, step)
        for part in range(config.accumulate):
            rng = np.random.default_rng([config.seed, step, accelerator.process_index, part])
            torch.manual_seed(int(rng.integers(2**62)))
            with accelerator.accumulate(embedder):
                with accelerator.autocast():
                    loss = _loss(embedder, examples, config, schedule, targets, rng, device)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(embedder.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise A2IBenchError(f"The loss became {value} in step {step}; lower --lr, or train in full precision.")
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        if writer and (step % 10 == 0 or step + 1 == config.steps):
            writer.add_scalar("loss", value, step)
        report(step + 1, running)
        if accelerator.is_main_process and (step + 1) % checkpoint_every == 0 and step + 1 < config.steps:
            weights = accelerator.unwrap_model(embedder).state_dict()
            scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
            state = {"embedder": weights, "optimizer": optimizer.state_dict(), "scaler": scaler, "step": step + 1}
            write_checkpoint(out, state)
    if writer:
        writer.close()
        finish(out, accelerator.unwrap_model(embedder).state_dict())
    accelerator.wait_for_everyone()
    return out / "embedder.safetensors"


def check_room(out: Path, listener: Listener, diffusion: StableDiffusion) -> None:
    """Refuse a training whose checkpoints the disk can't hold; A2IBenchError says how much they need."""
    numbers = sum(each.numel() for each in Embedder(listener.width, diffusion.token_width).parameters())
    # A checkpoint is the weights and twice as much of the optimizer; the last one stays until the next is whole.
    check_space(out, 2 * 3 * 4 * numbers, "a training with its checkpoints")


def _loss(
    embedder: Any,
    examples: Examples,
    config: Config,
    schedule: Any,
    targets: dict[str, Tensor],
    rng: np.random.Generator,
    device: torch.device,
) -> Tensor:
    diffusion = examples.diffusion
    features, moments, labels = examples.batch(rng, config.batch_size)
    mean, deviation = moments.to(device).unbind(1)
    latents = (mean + deviation * torch.randn_like(mean)) * diffusion.pipeline.vae.config.scaling_factor
    noise = torch.randn_like(latents)
    times = torch.from_numpy(rng.integers(schedule.config.num_train_timesteps, size=len(latents))).to(device)
    token = embedder(features.to(device))
    text = diffusion.embed_prompts([config.prompt] * len(latents), token)
    unet = diffusion.pipeline.unet
    noisy = schedule.add_noise(latents, noise, times)
    predicted = unet(noisy.to(unet.dtype), times, text.to(unet.dtype)).sample
    wanted: Tensor = (
        noise if schedule.config.prediction_type == "epsilon" else schedule.get_velocity(latents, noise, times)
    )
    loss: Tensor = F.mse_loss(predicted.float(), wanted) + config.lambda_l1 * token.abs().mean()
    if config.lambda_cl:
        for label in set(labels) - targets.keys():
            targets[label] = diffusion.token_embeddings([label])[0].float()
        target = torch.stack([targets[label] for label in labels])
        loss = loss + config.lambda_cl * (1 - F.cosine_similarity(token, target)).square().mean()
    return loss


def _lr_factor(config: Config, step: int) -> float:
    if config.schedule == "constant":
        return 1.0
    return min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))


__all__ = ["Config", "Examples", "check_room", "train"]
