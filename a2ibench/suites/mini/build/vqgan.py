"""The mini VQGAN, in the class of the published one: `wav2clip` optimises its codes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from a2ibench.baselines.vqgan import build_vqgan
from a2ibench.suites.mini.build.data import Bank
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.perception import IMAGENET_MEAN, IMAGENET_STD
from a2ibench.suites.mini.build.stable_diffusion import edge_weight

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "num_embeddings": 1024,
    "latent_channels": 16,
    "base_channels": 32,
    "channel_multiplier": [1, 1, 1, 2],
    "num_res_blocks": 1,
}


def quantize(network: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """Replace latents ``[n, width, h, w]`` by their nearest codes, straight through; also the codes' loss."""
    codes = network.quantize.embedding.weight
    rows = z.permute(0, 2, 3, 1)
    nearest = torch.cdist(rows.detach().flatten(0, 2), codes.detach()).argmin(1)
    chosen = codes[nearest].view(rows.shape)
    loss = F.mse_loss(chosen, rows.detach()) + 0.25 * F.mse_loss(rows, chosen.detach())
    return (rows + (chosen - rows).detach()).permute(0, 3, 1, 2), loss


def reconstruct(network: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Encode, quantize and decode images ``[n, 3, 64, 64]`` in [-1, 1]; also the codes' loss."""
    z = network.quant_conv(network.encoder(images)).float()
    quantized, loss = quantize(network, z)
    return network.decoder(network.post_quant_conv(quantized)), loss


class Likeness:
    """How unlike images are to a frozen classifier's first stages, channel by channel of unit length, as LPIPS."""

    def __init__(self, classifier: Any):
        self._stages = [
            torch.nn.Sequential(classifier.conv1, classifier.bn1, classifier.relu),
            torch.nn.Sequential(classifier.maxpool, classifier.layer1),
            classifier.layer2,
            classifier.layer3,
        ]
        classifier.eval().requires_grad_(False)

    def _features(self, images: Tensor) -> list[Tensor]:
        x = ((images + 1) / 2 - IMAGENET_MEAN) / IMAGENET_STD
        features = []
        for stage in self._stages:
            x = stage(x)
            features.append(F.normalize(x.float(), dim=1))
        return features

    def __call__(self, images: Tensor, originals: Tensor) -> Tensor:
        """Give the mean distance of images ``[n, 3, 64, 64]`` in [-1, 1]: about 0 to 2 for each of four stages."""
        with torch.no_grad():
            wanted = self._features(originals)
        pairs = zip(self._features(images), wanted, strict=True)
        return torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).sum()


def train_vqgan(bank: Bank, validation: Bank, work: Path, classifier: Any, steps: int = 2400) -> Any:
    """Train by reconstruction, weighted to edges, and by likeness; first without codes, then with.

    In the first eighth latents go straight to the decoder and likeness grows from nothing (at once, it draws
    gratings); then codes are put where latents are, and those that nothing chooses are put there again.

    Eight times down, so that one code is a piece of a thing and not a dot: what `wav2clip` finds by moving codes
    then looks like pieces of things. Without the discriminator of the published one: likeness to the classifier's
    stages makes its decoder sharp enough.
    """
    torch.manual_seed(0)
    network = build_vqgan(CONFIG).to(memory_format=torch.channels_last)
    alike = Likeness(classifier)

    def images_of(source: Bank, rows: np.ndarray) -> Tensor:
        images: Tensor = torch.from_numpy(source.pixels(rows)) * 2 - 1
        return images.contiguous(memory_format=torch.channels_last)

    # Counted in a buffer, so that a training that goes on after a kill knows which codes were chosen.
    network.register_buffer("chosen", torch.zeros(CONFIG["num_embeddings"]))
    network.register_buffer("steps", torch.zeros(()))

    warm, many = steps // 8, CONFIG["num_embeddings"]

    def settle(z: Tensor, rng: np.random.Generator) -> None:
        """Put all codes onto latents when they begin to count; later, every 50 steps, those hardly chosen."""
        codes, step = network.quantize.embedding.weight, int(network.steps)
        rows = z.detach().permute(0, 2, 3, 1).flatten(0, 2)
        if step == warm:
            codes.data.copy_(rows[torch.from_numpy(rng.permutation(len(rows))[:many])])
        network.chosen += torch.bincount(torch.cdist(rows, codes.detach()).argmin(1), minlength=many)
        if step > warm and step % 50 == 0 and step < 0.8 * steps:
            dead = torch.nonzero(network.chosen < 3)[:, 0]
            if len(dead):
                codes.data[dead] = rows[torch.from_numpy(rng.integers(len(rows), size=len(dead)))]
            network.chosen.zero_()

    def loss(rng: np.random.Generator) -> Tensor:
        images = images_of(bank, rng.integers(len(bank.scenes), size=16))
        # bfloat16 halves the time on processors that have it, and costs nothing elsewhere.
        with torch.autocast("cpu", torch.bfloat16):
            z = network.quant_conv(network.encoder(images))
        z = z.float()
        if network.steps < warm:
            quantized, codes_loss = z, 0.01 * z.square().mean()
        else:
            settle(z, rng)
            quantized, codes_loss = quantize(network, z)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = network.decoder(network.post_quant_conv(quantized))
        error = decoded.float() - images
        weight = edge_weight(images)
        likeness = 0.04 * min(1.0, float(network.steps) / warm) * alike(decoded.float(), images)
        network.steps += 1
        drawn: Tensor = (weight * (error**2 + 0.15 * error.abs())).mean() / weight.mean()
        whole: Tensor = drawn + likeness + codes_loss
        return whole

    held_out = images_of(validation, np.arange(96))

    def psnr() -> float:
        decoded = reconstruct(network, held_out)[0].clamp(-1, 1)
        return float(-10 * torch.log10((((decoded - held_out) / 2) ** 2).mean((1, 2, 3))).mean())

    fit("vqgan", network, loss, steps=steps, lr=1.5e-3, work=work, report={"psnr": psnr})
    del network.chosen, network.steps
    return network
