"""The sizes of benchmarks/gpu.py, and its networks with random weights and clips of noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from a2ibench.baselines.audiotoken.model import Listener
from a2ibench.baselines.stable_diffusion import StableDiffusion
from a2ibench.encoders import beats, classifier, clip, inception
from a2ibench.encoders.base import Encoder
from a2ibench.media.audio import write_audio
from a2ibench.media.image import save_image


@dataclass(frozen=True)
class Size:
    """How large everything is, and how often it is done."""

    name: str
    image: int
    seconds: float
    widths: tuple[int, ...]
    vae: tuple[int, ...]
    layers: int
    text: dict[str, int]
    beats: beats.BeatsConfig
    beats_layers: tuple[int, ...]
    clips: int
    batch: int
    peer_steps: int
    our_steps: int
    warm: int
    sampling: int
    peer_images: int
    our_images: int
    scored: int
    readers: int


FULL = Size(
    name="full",
    image=512,
    seconds=5.0,
    widths=(320, 640, 1280, 1280),
    vae=(128, 256, 512, 512),
    layers=2,
    text={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    beats=beats.BeatsConfig(),
    beats_layers=beats.AUDIOTOKEN_LAYERS,
    clips=64,
    batch=8,
    peer_steps=15,
    our_steps=80,
    warm=5,
    sampling=50,
    peer_images=3,
    our_images=48,
    scored=4096,
    readers=14,
)
SMALL = Size(
    name="small",
    image=64,
    seconds=1.0,
    widths=(8, 16),
    vae=(8, 8, 8),
    layers=1,
    text={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    beats=beats.BeatsConfig(16, 16, 32, 2, 2, 64, 16, 4, 32, 80, predictor_class=0),
    beats_layers=(1, 2),
    clips=8,
    batch=4,
    peer_steps=3,
    our_steps=3,
    warm=1,
    sampling=2,
    peer_images=2,
    our_images=4,
    scored=4,
    readers=1,
)


def _tokenizer() -> Any:
    """Make a tokenizer of single letters; how many tokens a prompt has changes no time, as all are padded to 77."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def build_diffusion(size: Size, device: str) -> StableDiffusion:
    """Build Stable Diffusion with random weights, in full precision, as training has it."""
    import diffusers
    import transformers

    tokenizer = _tokenizer()
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = transformers.CLIPTextConfig(
        vocab_size=49408, max_position_embeddings=77, pad_token_id=tokenizer.eos_token_id, **special, **size.text
    )
    depth = len(size.widths)
    with torch.device(device):
        unet = diffusers.UNet2DConditionModel(
            sample_size=size.image // 2 ** (len(size.vae) - 1),
            block_out_channels=size.widths,
            layers_per_block=size.layers,
            down_block_types=("CrossAttnDownBlock2D",) * (depth - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (depth - 1),
            cross_attention_dim=size.text["hidden_size"],
            attention_head_dim=8 if size.name == "full" else 2,
            norm_num_groups=32 if size.name == "full" else 4,
        )
        vae = diffusers.AutoencoderKL(
            block_out_channels=size.vae,
            down_block_types=("DownEncoderBlock2D",) * len(size.vae),
            up_block_types=("UpDecoderBlock2D",) * len(size.vae),
            latent_channels=4,
            layers_per_block=size.layers,
            norm_num_groups=32 if size.name == "full" else 4,
            sample_size=size.image,
        )
        encoder = transformers.CLIPTextModel(text)
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    found = object.__new__(StableDiffusion)
    found.device = device
    found.pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.PNDMScheduler(**noise, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    found.pipeline.set_progress_bar_config(disable=True)
    for part in (unet, vae, encoder):
        part.requires_grad_(False).eval()
    return found


def build_listener(size: Size, device: str) -> Listener:
    """Build BEATs with random weights."""
    found = object.__new__(Listener)
    found.layers, found.device = size.beats_layers, device
    found.network = beats.Beats(size.beats).to(device).eval().requires_grad_(False)
    return found


def write_clips(size: Size, folder: Path) -> Path:
    """Write clips: ten seconds of noise at 16 kHz, and pictures as large as the network's, which are no easy PNGs."""
    rng = np.random.default_rng(0)
    lines = ["clip_id,audio,image,label"]
    for number in range(size.clips):
        coarse = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        save_image(folder / f"{number}.png", coarse.resize((size.image, size.image), Image.Resampling.BICUBIC))
        write_audio(folder / f"{number}.wav", 0.2 * rng.standard_normal(160_000), beats.RATE)
        lines.append(f"{number},{number}.wav,{number}.png,dog barking")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


def build_encoders(size: Size, device: str) -> list[Encoder]:
    """Build the image encoders of the scores with random weights."""
    if size.name == "small":
        network = inception.MiniInception(3).state_dict()
        return [inception.load({"classes": 3}, network, "random", device)]
    resnet = classifier.build_classifier({}).state_dict()
    net = inception.FidInception().net
    net.fc = torch.nn.Linear(2048, 1008)
    return [
        clip.load_image({}, clip.build_clip().state_dict(), "random", device),
        inception.load({}, net.state_dict(), "random", device),
        classifier.load({}, resnet, "random", device),
    ]
