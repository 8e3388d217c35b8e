"""What the mini `imagebind` needs: an image space, ImageBind's audio tower in it, and a Stable unCLIP from it.

The image space is a CLIP of its own, of another seed than the suite's: a method that is drawn from the very
embeddings by which it is scored would be flattered (the published unCLIP also has another CLIP, ViT-H, than the
metrics, ViT-B/32). Only the build has it: `imagebind` never encodes an image.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders.imagebind import ImageBindAudio, ImageBindConfig, preprocess
from a2ibench.files import write_text
from a2ibench.suites.mini.build import perception
from a2ibench.suites.mini.build.data import Bank
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.stable_diffusion import build_unet, encode_latents, scheduler_config

DIM = 128
LENGTH = 20.0
NEAR = 4.0
TOWER: dict[str, Any] = {
    "width": 96,
    "blocks": 4,
    "heads": 3,
    "mlp_width": 288,
    "mel_bands": 64,
    "stride": 16,
    "out_dim": DIM,
}


def train_image_space(bank: Bank, validation: Bank, work: Path, vocabulary: int) -> nn.Module:
    """Train the CLIP that stands where the published systems have ViT-H."""
    return perception.train_clip(bank, validation, work, vocabulary, steps=900, name="image-space", seed=1, hard=0.0)


def image_embeddings(space: nn.Module, bank: Bank, count: int) -> Tensor:
    """Embed the first images of a bank, each of length 20, as ImageBind's sounds are: ``[count, 128]``."""
    return LENGTH * perception.image_rows(space, bank, count)


@torch.inference_mode()
def _pictures(bank: Bank, count: int) -> Tensor:
    """What the tower sees of the first sounds, in half precision: 0.8 GB for 10,000."""
    config = ImageBindConfig.from_dict(TOWER)
    parts = []
    for start in range(0, count, 50):
        rows = np.arange(start, min(start + 50, count))
        parts.append(preprocess(torch.from_numpy(bank.waves(rows)), config).half())
    return torch.cat(parts).clone()


@torch.inference_mode()
def win_rate(tower: nn.Module, space: nn.Module, bank: Bank, pictures: Tensor | None = None) -> float:
    """Say how often an image of a bank is nearer to its own sound than to another's, in the tower's space."""
    count = len(bank.sounds)
    pictures = _pictures(bank, count) if pictures is None else pictures
    images = image_embeddings(space, bank, count)
    rows = torch.cat([tower(pictures[start : start + 48].float()) for start in range(0, count, 48)])
    scores = F.normalize(images, dim=-1) @ F.normalize(rows, dim=-1).T
    others = ~torch.eye(count, dtype=torch.bool)
    return float(((scores < scores.diag()[:, None]) & others).sum() / others.sum())


def train_tower(space: nn.Module, bank: Bank, validation: Bank, work: Path, steps: int = 1200) -> ImageBindAudio:
    """Train the audio tower against the frozen image space: by contrast, as ImageBind was, and to be near."""
    torch.manual_seed(0)
    network = ImageBindAudio(ImageBindConfig.from_dict(TOWER))
    count = len(bank.sounds)
    targets = image_embeddings(space, bank, count)
    trained = (work / "imagebind.pt").exists()
    pictures, held_out = (
        ((torch.empty(0),) * 2) if trained else (_pictures(bank, count), _pictures(validation, len(validation.sounds)))
    )

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(count, size=64)
        heard = network(pictures[rows].float())
        # By contrast alone sounds lie in a cone of their own, where unCLIP saw no image: 70 % of validation sounds then
        # gave a picture of the right kind, 88 % with this term (91 % of the images' own embeddings do).
        near = 1 - F.cosine_similarity(heard, targets[rows]).mean()
        return perception.contrastive(heard, targets[rows], torch.tensor(LENGTH)) + NEAR * near

    report = {"win rate": lambda: win_rate(network, space, validation, held_out)}
    return fit("imagebind", network, loss, steps=steps, lr=1e-3, work=work, report=report)  # type: ignore[return-value]


class UnClip(nn.Module):
    """The UNet that sees an image's embedding beside the time; the text is always the empty one."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = build_unet((40, 80), class_embed_type="projection", projection_class_embeddings_input_dim=2 * DIM)


def noising_config() -> dict[str, Any]:
    """The schedule by which the published unCLIP adds noise to embeddings."""
    return {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}


def train_unclip(
    space: nn.Module, vae: Any, empty: Tensor, bank: Bank, validation: Bank, work: Path, steps: int = 7000
) -> UnClip:
    """Train the UNet on latents and the noised embeddings of their images; one in ten has none.

    Parameters
    ----------
    space, vae
        The image space and the autoencoder of the mini Stable Diffusion.
    empty
        The text encoder's states of the empty prompt, ``[1, length, 128]``.

    """
    from diffusers import DDPMScheduler
    from diffusers.models.embeddings import get_timestep_embedding

    torch.manual_seed(0)
    network = UnClip()
    means, deviations = encode_latents(vae, bank, work / "train-latents.pt")
    held_out, _ = encode_latents(vae, validation, work / "validation-latents.pt")
    factor = 1 / float(means.std())
    embeddings = image_embeddings(space, bank, len(bank.scenes))
    mean, deviation = embeddings.mean(0), embeddings.std(0)
    embeddings = (embeddings - mean) / deviation
    held_embeddings = (image_embeddings(space, validation, len(validation.scenes)) - mean) / deviation
    schedule, noising = DDPMScheduler(**scheduler_config()), DDPMScheduler(**noising_config())
    signal = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)

    def condition(rows: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
        noisy = noising.add_noise(rows, noise, levels) * deviation + mean
        level = get_timestep_embedding(levels, DIM, flip_sin_to_cos=True, downscale_freq_shift=0)
        return torch.cat([noisy, level], dim=1)

    def predict(latents: Tensor, classes: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        noisy = schedule.add_noise(latents, noise, times)
        text = empty.expand(len(latents), -1, -1)
        predicted: Tensor = network.unet(noisy, times, text, class_labels=classes).sample
        return predicted

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(bank.scenes), size=32)
        latents = (means[rows] + deviations[rows] * torch.randn(means[rows].shape)) * factor
        # Mostly little noise: level 0 is what draws, and more makes it bear embeddings that no image has.
        levels = torch.from_numpy((1000 * rng.random(32) ** 3).astype(np.int64))
        classes = condition(embeddings[rows], levels, torch.randn(32, DIM))
        classes = classes * torch.from_numpy(rng.random((32, 1)) > 0.1)
        times = torch.from_numpy(rng.integers(1000, size=32))
        noise = torch.randn(latents.shape)
        error = (predict(latents, classes, times, noise) - noise).square().mean((1, 2, 3))
        weighted: Tensor = error * (5 / signal[times]).clamp(max=1)  # Min-SNR, as the mini Stable Diffusion
        return weighted.mean()

    def noise_error() -> float:
        generator = torch.Generator().manual_seed(0)
        times = torch.linspace(20, 980, len(held_out)).long()
        noise = torch.randn(held_out.shape, generator=generator)
        levels = torch.zeros(len(held_out), dtype=torch.long)
        classes = condition(held_embeddings, levels, torch.zeros(len(held_out), DIM))
        return float((predict(held_out * factor, classes, times, noise) - noise).square().mean())

    report = {"validation": noise_error}
    return fit("unclip", network, loss, steps=steps, lr=1e-3, work=work, ema=0.999, report=report)  # type: ignore[return-value]


def save_unclip(network: UnClip, embeddings: Tensor, folder: Path) -> None:
    """Write what the pipeline does not share with the mini Stable Diffusion, weights in half precision.

    Parameters
    ----------
    network
        With the trained UNet.
    embeddings
        Those of the training images: their mean and deviation normalise.
    folder
        Gets ``unet``, ``scheduler``, ``image_normalizer``, ``image_noising_scheduler``, ``model_index.json``.

    """
    import diffusers
    from diffusers import DDIMScheduler, DDPMScheduler
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    normalizer = StableUnCLIPImageNormalizer(embedding_dim=DIM)
    normalizer.mean.data = embeddings.mean(0, keepdim=True)
    normalizer.std.data = embeddings.std(0, keepdim=True)
    network.unet.to(torch.float16).save_pretrained(folder / "unet", safe_serialization=True)
    normalizer.save_pretrained(folder / "image_normalizer", safe_serialization=True)
    DDIMScheduler(**scheduler_config(), set_alpha_to_one=False).save_pretrained(folder / "scheduler")
    DDPMScheduler(**noising_config()).save_pretrained(folder / "image_noising_scheduler")
    index = {
        "_class_name": "StableUnCLIPImg2ImgPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "image_normalizer": ["stable_diffusion", "StableUnCLIPImageNormalizer"],
        "image_noising_scheduler": ["diffusers", "DDPMScheduler"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    write_text(folder / "model_index.json", json.dumps(index, indent=2) + "\n")
