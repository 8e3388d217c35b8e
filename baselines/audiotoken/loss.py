"""The loss of AudioToken's training: a process's share of a batch, worth the same however many share it.

Stable Diffusion's own, the mean squared error of the predicted noise, plus lambda_l1 · mean|e| on the token e, plus,
with the classification loss, lambda_cl times a square of one minus the cosine between e and the label.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from a2ibench.baselines.audiotoken.config import Config
from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.audiotoken.reading import Draws
from a2ibench.baselines.stable_diffusion import StableDiffusion


class Objective:
    """The loss on what was read for a batch.

    Parameters
    ----------
    diffusion, listener
        The frozen networks.
    config
        The settings.
    labels
        Of all clips.
    everywhere
        Gives the mean of a value over all processes.

    """

    def __init__(
        self,
        diffusion: StableDiffusion,
        listener: Listener,
        config: Config,
        labels: tuple[str, ...],
        everywhere: Callable[[Tensor], Tensor] = lambda value: value,
    ):
        from diffusers import DDPMScheduler

        self.diffusion, self.listener, self.config, self.labels = diffusion, listener, config, labels
        self.schedule: Any = DDPMScheduler.from_config(diffusion.pipeline.scheduler.config)
        self.unet: Any = diffusion.pipeline.unet
        self.everywhere = everywhere
        self._targets: dict[str, Tensor] = {}

    @property
    def times(self) -> int:
        """How many steps the noise has."""
        return int(self.schedule.config.num_train_timesteps)

    def __call__(self, embedder: Any, draws: Draws, read: tuple[Tensor, Tensor], first: int = 0) -> Tensor:
        """Compute the loss; the mean over the processes is that of the whole batch, and so is their mean gradient.

        Parameters
        ----------
        embedder
            What is trained.
        draws
            Those of the whole batch.
        read
            What `Batches` read for this process.
        first
            Where its part of the batch begins.

        """
        device = torch.device(self.diffusion.device)
        sound, moments = (each.to(device, non_blocking=True) for each in read)
        mine, total = slice(first, first + len(sound)), len(draws.rows)
        mean, deviation = moments.unbind(1)
        # Drawn for the whole batch, whoever has how much of it; the seed counts for the dropout too.
        torch.manual_seed(draws.seed)
        jitter, noise = (torch.randn((total, *mean.shape[1:]), device=device)[mine] for _ in range(2))
        latents = (mean + deviation * jitter) * self.diffusion.pipeline.vae.config.scaling_factor
        times = torch.from_numpy(draws.times[mine]).to(device)
        token = embedder(self.heard(sound), share=(first, total))
        text = self.diffusion.embed_prompts([self.config.prompt] * len(latents), token)
        noisy = self.schedule.add_noise(latents, noise, times)
        # In the precision that the network has: autocast would hold each of its norms in full precision.
        with torch.autocast(device.type, enabled=False):
            predicted = self.unet(noisy.to(self.unet.dtype), times, text.to(self.unet.dtype)).sample
        epsilon = self.schedule.config.prediction_type == "epsilon"
        wanted: Tensor = noise if epsilon else self.schedule.get_velocity(latents, noise, times)
        loss: Tensor = F.mse_loss(predicted.float(), wanted) + self.config.lambda_l1 * token.abs().mean()
        if self.config.lambda_cl:
            labels = [self.labels[row] for row in draws.rows[mine]]
            loss = loss + self.config.lambda_cl * self._classification(token, labels)
        return loss

    def heard(self, sound: Tensor) -> Tensor:
        """Give audio features, ``[n, tokens, width]``, of samples ``[n, samples]`` or of themselves."""
        # A copy: what was made in inference mode can't be kept for a gradient.
        return sound if sound.ndim == 3 else self.listener.features(sound).float().clone()

    def _classification(self, token: Tensor, labels: list[str]) -> Tensor:
        target = torch.stack([self._target(label) for label in labels])
        cosine = F.cosine_similarity(token, target)
        if self.config.cl_form == "clip":
            return (1 - cosine).square().mean()
        # A square of a mean: its value needs the cosines of all processes, its gradient is linear in this one's.
        own = cosine.mean()
        mean = self.everywhere(own.detach())
        return (1 - mean).square() - 2 * (1 - mean) * (own - own.detach())

    @torch.no_grad()
    def _target(self, label: str) -> Tensor:
        """Give the vector that stands for a label: ``[width]``."""
        if label not in self._targets:
            if self.config.cl_target == "input":
                found = self.diffusion.token_embeddings([label])[0]
            else:
                length = len(self.diffusion.pipeline.tokenizer(label, add_special_tokens=False)["input_ids"])
                found = self.diffusion.embed_prompts([label])[0][1 : 1 + length].mean(0)
            self._targets[label] = found.float()
        return self._targets[label]
