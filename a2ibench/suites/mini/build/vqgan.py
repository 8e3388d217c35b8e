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
from a2ibench.suites.mini.build.stable_diffusion import edge_weight

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "num_embeddings": 256,
    "latent_channels": 16,
    "base_channels": 32,
    "channel_multiplier": [1, 1, 2],
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


def train_vqgan(bank: Bank, validation: Bank, work: Path, steps: int = 1000) -> Any:
    """Train by reconstruction, weighted to edges; codes that nothing chose are put where latents are.

    Without the discriminator of the published one: at 64 pixels its decoder is sharp enough without.
    """
    torch.manual_seed(0)
    network = build_vqgan(CONFIG).to(memory_format=torch.channels_last)

    def images_of(source: Bank, rows: np.ndarray) -> Tensor:
        images: Tensor = torch.from_numpy(source.pixels(rows)) * 2 - 1
        return images.contiguous(memory_format=torch.channels_last)

    # Counted in a buffer, so that a training that goes on after a kill knows which codes were chosen.
    network.register_buffer("chosen", torch.zeros(CONFIG["num_embeddings"]))
    network.register_buffer("steps", torch.zeros(()))

    def revive(z: Tensor, rng: np.random.Generator) -> None:
        """Count the chosen codes; every 50 steps of the first half, move those never chosen onto latents."""
        codes = network.quantize.embedding.weight
        rows = z.detach().permute(0, 2, 3, 1).flatten(0, 2)
        network.chosen += torch.bincount(torch.cdist(rows, codes.detach()).argmin(1), minlength=len(codes))
        network.steps += 1
        if network.steps % 50 == 1 and network.steps < steps / 2:
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
        revive(z, rng)
        quantized, codes_loss = quantize(network, z)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = network.decoder(network.post_quant_conv(quantized))
        error = decoded.float() - images
        weight = edge_weight(images)
        drawn: Tensor = (weight * (error**2 + 0.15 * error.abs())).mean() / weight.mean()
        return drawn + codes_loss

    held_out = images_of(validation, np.arange(96))

    def psnr() -> float:
        decoded = reconstruct(network, held_out)[0].clamp(-1, 1)
        return float(-10 * torch.log10((((decoded - held_out) / 2) ** 2).mean((1, 2, 3))).mean())

    fit("vqgan", network, loss, steps=steps, lr=1.5e-3, work=work, report={"psnr": psnr})
    del network.chosen, network.steps
    return network
