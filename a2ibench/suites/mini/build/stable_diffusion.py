"""The mini Stable Diffusion: autoencoder, text encoder, UNet, in the classes of the published one."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders.clip import text_tokenizer
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.data import Bank
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.perception import CONTEXT_LENGTH

LATENT_CHANNELS = 12


def edge_weight(images: Tensor) -> Tensor:
    """Weigh pixels by the contrast round them, so that outlines count beside wide plain backgrounds."""
    low = -F.max_pool2d(-images, 3, 1, 1)
    contrast = (F.max_pool2d(images, 3, 1, 1) - low).amax(1, keepdim=True)
    weight: Tensor = 1 + 4 * contrast
    return weight


def train_autoencoder(bank: Bank, validation: Bank, work: Path, steps: int = 4000):  # type: ignore[no-untyped-def]
    """Train the autoencoder: 8 times down, 12 latent channels; loss weighted to edges, a trace of KL."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 88),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        layers_per_block=1,
        sample_size=64,
    ).to(memory_format=torch.channels_last)

    def images_of(source: Bank, rows: np.ndarray) -> Tensor:
        images: Tensor = torch.from_numpy(source.pixels(rows)) * 2 - 1
        return images.contiguous(memory_format=torch.channels_last)

    def loss(rng: np.random.Generator) -> Tensor:
        images = images_of(bank, rng.integers(len(bank.scenes), size=16))
        # bfloat16 halves the time on processors that have it, and costs nothing elsewhere.
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(images).latent_dist
            decoded = vae.decode(posterior.sample()).sample
        error: Tensor = decoded.float() - images
        weight = edge_weight(images)
        divergence: Tensor = posterior.kl().float().mean() / (64 * LATENT_CHANNELS)
        return (weight * (error**2 + 0.15 * error.abs())).mean() / weight.mean() + 1e-5 * divergence

    held_out = images_of(validation, np.arange(96))

    def psnr() -> float:
        decoded = vae.decode(vae.encode(held_out).latent_dist.mode()).sample.clamp(-1, 1)
        return float(-10 * torch.log10((((decoded - held_out) / 2) ** 2).mean((1, 2, 3))).mean())

    return fit("vae", vae, loss, steps=steps, lr=1.5e-3, work=work, ema=0.995, report={"psnr": psnr})


def build_unet(channels: tuple[int, int], **more: Any) -> Any:
    """Build a UNet of two stages over the autoencoder's latents; `more` are further settings of its class."""
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=4,
        **more,
    )
    return network.to(memory_format=torch.channels_last)


class Denoiser(nn.Module):
    """The UNet and the text encoder, trained together: there is no large CLIP to take a text tower from."""

    def __init__(self, vocabulary: int):
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModel

        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=128,
                intermediate_size=256,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=CONTEXT_LENGTH,
                bos_token_id=vocabulary - 2,
                eos_token_id=vocabulary - 1,
                pad_token_id=vocabulary - 1,
            )
        )
        self.unet = build_unet((52, 104))


def scheduler_config() -> dict[str, Any]:
    """The noise schedule of Stable Diffusion v1."""
    return {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "steps_offset": 1,
    }


@torch.inference_mode()
def encode_latents(vae: Any, bank: Bank, file: Path) -> tuple[Tensor, Tensor]:
    """Encode the images of a bank once: means and standard deviations ``[n, 12, 8, 8]``, kept in a file."""
    if not file.exists():
        halves = []
        # Small batches: their activations stay in the processor's cache.
        for start in range(0, len(bank.scenes), 20):
            rows = np.arange(start, min(start + 20, len(bank.scenes)))
            images = torch.from_numpy(bank.pixels(rows)) * 2 - 1
            with torch.autocast("cpu", torch.bfloat16):
                posterior = vae.encode(images.contiguous(memory_format=torch.channels_last)).latent_dist
            halves.append(torch.stack([posterior.mean.float(), posterior.std.float()]))
        part = file.with_suffix(".part")
        torch.save(torch.cat(halves, dim=1).clone(), part)
        part.rename(file)
    means, deviations = torch.load(file, weights_only=True)
    return means, deviations


def train_denoiser(
    vae: Any, bank: Bank, validation: Bank, work: Path, vocabulary: int, steps: int = 12_000, seed: int = 0
) -> Denoiser:
    """Train UNet and text encoder on latents and captions: noise prediction, one caption in ten left out."""
    from diffusers import DDPMScheduler

    torch.manual_seed(seed)
    network = Denoiser(vocabulary)
    tokenize = text_tokenizer(work / "tokenizer", CONTEXT_LENGTH)
    means, deviations = encode_latents(vae, bank, work / "train-latents.pt")
    held_out, _ = encode_latents(vae, validation, work / "validation-latents.pt")
    factor = 1 / float(means.std())
    schedule = DDPMScheduler(**scheduler_config())
    signal = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)

    def predict(latents: Tensor, texts: list[str], times: Tensor, noise: Tensor) -> Tensor:
        noisy = schedule.add_noise(latents, noise, times)
        text = network.text_encoder(tokenize(texts)).last_hidden_state
        predicted: Tensor = network.unet(noisy, times, text).sample
        return predicted

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(bank.scenes), size=32)
        texts = [text if rng.random() > 0.1 else "" for text in bank.captions(rows, rng)]
        latents = (means[rows] + deviations[rows] * torch.randn(means[rows].shape)) * factor
        times = torch.from_numpy(rng.integers(1000, size=32))
        noise = torch.randn(latents.shape)
        error = (predict(latents, texts, times, noise) - noise).square().mean((1, 2, 3))
        # Min-SNR weights (arXiv 2303.09556): nearly clean latents teach little and would take over.
        weighted: Tensor = error * (5 / signal[times]).clamp(max=1)
        return weighted.mean()

    def noise_error() -> float:
        generator = torch.Generator().manual_seed(0)
        times = torch.linspace(20, 980, len(held_out)).long()
        noise = torch.randn(held_out.shape, generator=generator)
        texts = [world.caption(scene) for scene in validation.scenes]
        return float((predict(held_out * factor, texts, times, noise) - noise).square().mean())

    report = {"validation": noise_error}
    name = f"denoiser-{seed}" if seed else "denoiser"
    return fit(name, network, loss, steps=steps, lr=1e-3, work=work, ema=0.999, report=report, seed=seed)  # type: ignore[return-value]


def save_pipeline(vae: Any, network: Denoiser, work: Path, latent_std: float, folder: Path) -> None:
    """Write the parts as a diffusers pipeline folder, weights in half precision."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    vae.register_to_config(scaling_factor=1 / latent_std)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=network.text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(work / "tokenizer"),
        unet=network.unet,
        scheduler=DDIMScheduler(**scheduler_config(), set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
