"""Wav2CLIP's image generation: VQGAN latents optimised until the image's CLIP fits the sound's Wav2CLIP.

Wu et al., "Wav2CLIP" (arXiv 2110.11499), ``scripts/VQGAN-CLIP/generate.py`` of descriptinc/lyrebird-wav2clip
(MIT), a copy of nerdyrodent/VQGAN-CLIP with the audio embedding in the prompt's place. Followed but for these:

- The seed is set before the latents are drawn. Upstream sets it after, so that its seeds reproduce nothing.
- Upstream makes 501 updates but saves its last image before the 501st; here 500 are made, and saved.
- Upstream's augmentations are kornia 0.5.4's. There a single ``translate=0.1`` means (0, 0.1): no shift to the
  sides, up to 10 % up and down; kornia documents pairs alone, so the pair is written out. And its ``ColorJitter``
  computes what ``ColorJiggle`` does now (measured: 3e-6 apart; today's ``ColorJitter`` is 0.11 away). What has
  changed since is where kornia samples in a warp: by at most half a pixel in a perspective, a tenth in an affine.
- Clips run in batches, each with random numbers of its own: an image knows nothing of its neighbours. Only the
  order of the colour changes is drawn per step for all clips, from a stream that no seed enters.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from a2ibench.baselines.base import Draw, Drawn, Method, images_of
from a2ibench.clips import Clip, read_audio
from a2ibench.errors import A2IBenchError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def spherical_distance(rows: Tensor, targets: Tensor) -> Tensor:
    """Half the squared angle between the directions of vectors, ``[..., d]`` to ``[...]``, in [0, π²/2]."""
    chords = torch.linalg.vector_norm(F.normalize(rows, dim=-1) - F.normalize(targets, dim=-1), dim=-1)
    distances: Tensor = 2 * (chords / 2).arcsin().square()
    return distances


class Cutouts:
    """The views of an image that CLIP judges: the whole image, pooled, augmented at random, with noise.

    Parameters
    ----------
    count
        Views of an image in each step.
    size
        Their side in pixels: CLIP's input.
    noise
        The most noise: each view gets ``U(0, noise)`` times standard normals.

    """

    def __init__(self, count: int, size: int, noise: float):
        import kornia.augmentation as kornia

        self.count, self.size, self.noise = count, size, noise
        self.affine = kornia.RandomAffine(15.0, translate=(0.0, 0.1), shear=5.0, p=0.7, padding_mode="zeros")
        self.perspective = kornia.RandomPerspective(0.7, p=0.7)
        self.colour = kornia.ColorJiggle(0.1, 0.1, 0.1, 0.1, p=0.7)
        # Upstream erases the same rectangle in all views of a step (same_on_batch): here one is drawn per step,
        # and repeated over the views of its clip.
        self.erasing = kornia.RandomErasing((0.1, 0.4), (0.3, 1 / 0.3), p=0.7)

    def draw(self, generator: torch.Generator, steps: int) -> list[dict[str, Tensor]]:
        """Draw the parameters of all augmentations of one clip, for all steps: ``[steps, count, ...]`` each.

        All at once, because kornia's own drawing, step by step, would cost more than the augmentation; and by
        a copy of the clip's generator, because kornia draws from torch's global one.
        """
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            drawn = []
            for augmentation in (self.affine, self.perspective, self.colour, self.erasing):
                each = 1 if augmentation is self.erasing else self.count
                shape = (steps * each, 3, self.size, self.size)
                parameters = augmentation.forward_parameters(shape)
                for name in ("forward_input_shape", "order"):  # those have no row per view
                    parameters.pop(name, None)
                rows = {key: value.unflatten(0, (steps, each)) for key, value in parameters.items()}
                drawn.append({key: value.expand(-1, self.count, *value.shape[2:]) for key, value in rows.items()})
        return drawn

    def __call__(
        self, images: Tensor, parameters: Sequence[list[dict[str, Tensor]]], noises: Sequence[Tensor], step: int
    ) -> Tensor:
        """Cut views out of images.

        Parameters
        ----------
        images
            RGB ``[n, 3, h, w]`` in [0, 1].
        parameters
            What `draw` gave for each clip.
        noises
            For each clip ``[count, 3, size, size]``, see `draw_noise`.
        step
            Which of the steps it is.

        Returns
        -------
        ``[n * count, 3, size, size]``, the views of an image one after the other.

        """
        pooled = (F.adaptive_avg_pool2d(images, self.size) + F.adaptive_max_pool2d(images, self.size)) / 2
        views = pooled.repeat_interleave(self.count, 0)
        for index, augmentation in enumerate((self.affine, self.perspective, self.colour, self.erasing)):
            own = [each[index] for each in parameters]
            rows = {key: torch.cat([each[key][step] for each in own]) for key in own[0]}
            rows["forward_input_shape"] = torch.tensor(views.shape)
            if augmentation is self.colour:
                rows["order"] = torch.randperm(4, generator=torch.Generator().manual_seed(step))
            views = augmentation(views, rows)
        return views + torch.cat(list(noises))

    def draw_noise(self, generator: torch.Generator) -> Tensor:
        """Draw the noise of one clip for one step, on the generator's device: ``[count, 3, size, size]``."""
        strength = torch.rand(self.count, 1, 1, 1, generator=generator, device=generator.device) * self.noise
        shape = (self.count, 3, self.size, self.size)
        return strength * torch.randn(shape, generator=generator, device=generator.device)


class Wav2ClipGeneration:
    """The method; see `METHODS` for its options."""

    def __init__(self, parts: Mapping[str, Any], options: Mapping[str, Any], device: str):
        from a2ibench.baselines.vqgan import load_vqgan
        from a2ibench.encoders import clip, wav2clip
        from a2ibench.encoders._frozen import freeze, load_strict

        self.options, self.device = options, device
        self.vqgan = load_vqgan(parts["vqgan"], device)
        self.side = int(options["size"]) // self.vqgan.factor
        if not self.side:
            raise A2IBenchError(
                f"The option 'size' is {options['size']}, less than the {self.vqgan.factor} pixels of one code of "
                "the VQGAN; give more."
            )
        config = {key: value for key, value in parts["wav2clip"].items() if key != "file"}
        self.hearing = wav2clip.load(config, Path(parts["wav2clip"]["file"]), "", device, fast=False)
        # Not load_clip: it wants a tokenizer, and no text is read here.
        network: Any = clip.build_clip(parts["clip"].get("model", clip.PUBLISHED))
        load_strict(network, Path(parts["clip"]["file"]), "CLIP")
        freeze(network, device, channels_last=str(device) == "cpu")
        self.seeing = network.encode_image
        if self.hearing.dim != network.visual.output_dim:
            raise A2IBenchError(
                f"Wav2CLIP gives {self.hearing.dim} numbers and CLIP {network.visual.output_dim}; "
                "they have to share one space: take the Wav2CLIP that was trained against this CLIP."
            )
        size = network.visual.image_size
        self.cutouts = Cutouts(
            int(options["cutouts"]), size if isinstance(size, int) else size[0], float(options["noise"])
        )
        self.mean, self.std = (torch.tensor(x, device=device)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))

    def targets(self, clips: Sequence[Clip]) -> Tensor:
        """Hear whole clips: one Wav2CLIP row each, ``[n, dim]``."""
        waves = [read_audio(clip.file("audio"), self.hearing.rate) for clip in clips]
        return torch.from_numpy(self.hearing.encode_together(waves)).to(self.device)

    def optimise(self, targets: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Optimise latents towards targets.

        Parameters
        ----------
        targets
            ``[n, dim]``, any length.
        seeds
            One per target.

        Returns
        -------
        The latents ``[n, width, side, side]`` after the last update, and the loss of each target before each
        update, ``[iterations, n]``.

        """
        steps = int(self.options["iterations"])
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        z = self.vqgan.random_codes(generators, self.side).requires_grad_()
        # The noise is too much to be drawn elsewhere than where it is used; its seed comes out of the clip's own.
        noise_seeds = [int(torch.randint(2**62, (), generator=generator)) for generator in generators]
        noise = [torch.Generator(self.device).manual_seed(seed) for seed in noise_seeds]
        parameters = [self.cutouts.draw(generator, steps) for generator in generators]
        optimiser = torch.optim.Adam([z], lr=self.options["lr"])
        history = torch.empty(steps, len(targets), device=self.device)
        for step in range(steps):
            drawn = [self.cutouts.draw_noise(generator) for generator in noise]
            views = self.cutouts(self.vqgan.synth(z), parameters, drawn, step)
            rows = self.seeing((views - self.mean) / self.std).unflatten(0, (len(targets), -1))
            losses = spherical_distance(rows, targets[:, None]).mean(1)
            optimiser.zero_grad()
            # The sum, not the mean: each clip then has the gradient that it would have alone.
            torch.autograd.backward(losses.sum())
            optimiser.step()
            self.vqgan.clamp_(z)
            history[step] = losses.detach()
        return z.detach(), history

    def draw(self, clips: Sequence[Clip], seeds: Sequence[int]) -> Drawn:
        """Draw an image per clip."""
        z, _ = self.optimise(self.targets(clips), seeds)
        with torch.inference_mode():
            # Cut to whole levels, not rounded, as torchvision's to_pil_image does.
            levels = self.vqgan.synth(z).mul(255).floor().permute(0, 2, 3, 1)
        return images_of((levels / 255).cpu().numpy())


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    return Wav2ClipGeneration(parts, options, device).draw


METHODS = (
    Method(
        "wav2clip",
        "Wav2CLIP's VQGAN-CLIP: an image optimised until CLIP sees in it what Wav2CLIP hears.",
        "audio",
        _load,
        parts=("vqgan", "wav2clip", "clip"),
        options={"iterations": 500, "lr": 0.1, "cutouts": 32, "size": 512, "noise": 0.1},
    ),
)
