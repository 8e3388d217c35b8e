"""What one sees of a training: logged values, the loss on clips held out, and sheets of images."""

import importlib.util
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from a2ibench.baselines.audiotoken.config import Config
from a2ibench.baselines.audiotoken.data import Examples
from a2ibench.baselines.audiotoken.loss import Objective
from a2ibench.baselines.audiotoken.reading import Batches, Draws
from a2ibench.errors import A2IBenchError
from a2ibench.files import write_bytes

SHOWN = 4
_STEPS, _GUIDANCE = 20, 7.5


def tracker_names(config: Config) -> list[str]:
    """Name the trackers that are wanted, in accelerate's words.

    Raises
    ------
    A2IBenchError
        If one is not installed.

    """
    found = [each for each in config.trackers.split(",") if each != "none"]
    if "wandb" in found and importlib.util.find_spec("wandb") is None:
        raise A2IBenchError("Weights & Biases is not installed; run pip install wandb, or set trackers=tensorboard.")
    return found


def start_trackers(accelerator: Any, config: Config, out: Path, step: int) -> None:
    """Open the trackers of a training; what an earlier run logged behind its last checkpoint is void."""
    own = {"tensorboard": {"purge_step": step}, "wandb": {"dir": str(out), "name": out.name}}
    accelerator.init_trackers("a2ibench", init_kwargs=own)
    for tracker in accelerator.trackers:
        if tracker.name == "wandb":
            tracker.store_init_configuration(config.claimed())


class Watch:
    """Looks at a training on the clips that it does not learn from.

    Parameters
    ----------
    examples, batches, objective
        The data, and the loss.
    accelerator
        Knows the processes and the trackers.
    out
        The training's folder, which gets ``samples/``.

    """

    def __init__(self, examples: Examples, batches: Batches, objective: Objective, accelerator: Any, out: Path):
        self.examples, self.batches, self.objective = examples, batches, objective
        self.accelerator, self.out, self.config = accelerator, out, examples.config

    def __call__(self, embedder: Any, step: int, last: bool) -> None:
        """Look where it is time to; `step` is the number of steps made."""

        def due(every: int) -> bool:
            return every > 0 and (step % every == 0 or last)

        if not due(self.config.validate_every) and not due(self.config.sample_every):
            return
        bare = self.accelerator.unwrap_model(embedder).eval()
        with self.accelerator.autocast():
            if due(self.config.validate_every):
                self.log({"validation loss": self.loss(bare)}, step - 1)
            if due(self.config.sample_every) and self.accelerator.is_main_process:
                self._show(self.sheet(bare), step)
        self.accelerator.wait_for_everyone()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values of a step."""
        self.accelerator.log(dict(values), step=step)

    @torch.no_grad()
    def loss(self, embedder: Any) -> float:
        """Compute the loss on the clips held out: always the same crops, steps of noise and noise."""
        size, rows = self.config.batch_size, self.examples.held_out
        # Evenly over the steps of the noise, which move the loss more than anything else.
        times = ((np.arange(len(rows)) + 0.5) / len(rows) * self.objective.times).astype(np.int64)
        times = np.random.default_rng(self.config.seed).permutation(times)
        total = torch.zeros(2, device=self.accelerator.device)
        starts = range(0, len(rows), size)[self.accelerator.process_index :: self.accelerator.num_processes]
        for start in starts:
            part = slice(start, start + size)
            draws = Draws(start, rows[part], self._middle(len(rows[part])), times[part])
            loss = self._alone(embedder, draws)
            total += torch.stack([loss * len(draws.rows), torch.full_like(loss, len(draws.rows))])
        total = self.accelerator.reduce(total, "sum")
        return float(total[0] / total[1])

    def _alone(self, embedder: Any, draws: Draws) -> torch.Tensor:
        """Compute a loss that this process alone computes."""
        everywhere, self.objective.everywhere = self.objective.everywhere, lambda value: value
        try:
            loss: torch.Tensor = self.objective(embedder, draws, self.batches.read(draws.rows, draws.crops))
            return loss.float()
        finally:
            self.objective.everywhere = everywhere

    def _middle(self, count: int) -> Any:
        """Say which crop is the middle one."""
        if self.config.cache == "features":
            return np.full(count, self.config.fixed_crops // 2)
        return np.full(count, 0.5)

    @torch.no_grad()
    def sheet(self, embedder: Any) -> Image.Image:
        """Draw images for the first clips held out, each below the real one."""
        rows = self.examples.held_out[:SHOWN]
        sound, _ = self.batches.read(rows, self._middle(len(rows)))
        token = embedder(self.objective.heard(sound.to(self.accelerator.device)))
        diffusion = self.objective.diffusion
        text = diffusion.embed_prompts([self.config.prompt] * len(rows), token)
        drawn = diffusion.draw(text, list(range(len(rows))), steps=_STEPS, guidance=_GUIDANCE, size=self.config.size)
        side = self.config.size
        sheet = Image.new("RGB", (side * len(rows), 2 * side))
        for place, (row, image) in enumerate(zip(rows, drawn, strict=True)):
            pixels = (self.examples.picture(int(row)).permute(1, 2, 0).numpy() + 1) * 127.5
            real = Image.fromarray(pixels.round().astype(np.uint8)).resize((side, side))
            sheet.paste(real, (side * place, 0))
            if image is not None:
                sheet.paste(image.resize((side, side)), (side * place, side))
        return sheet

    def _show(self, sheet: Image.Image, step: int) -> None:
        buffer = BytesIO()
        sheet.save(buffer, "PNG")
        write_bytes(self.out / "samples" / f"step-{step:06d}.png", buffer.getvalue())
        pixels = np.asarray(sheet)
        for tracker in self.accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({"samples": pixels[None]}, step=step - 1, dataformats="NHWC")
            else:
                tracker.log_images({"samples": [pixels]}, step=step - 1)
