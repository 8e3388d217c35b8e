"""ImageBind into Stable unCLIP: a sound's embedding stands in for an image's (the paper's ImageBind row).

Anything2Image (Zeqiang-Lai/Anything2Image, May 2023) is what the paper cites: the audio embedding of ImageBind
(three clips, length up to 20) goes as it is into the ``image_embeds`` of Stable Diffusion 2.1 unCLIP, with an
empty prompt, 20 steps, guidance 10, noise level 0, the folder's own scheduler.

**Licence**: ImageBind's weights are CC-BY-NC-SA 4.0, not for commercial use. See
`a2ibench.encoders.imagebind` for the network, which is our own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from a2ibench.baselines.base import Draw, Drawn, Method, images_of
from a2ibench.clips import Clip, read_audio
from a2ibench.errors import A2IBenchError


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    import torch

    from a2ibench.baselines.stable_diffusion import load_pipeline
    from a2ibench.encoders import imagebind

    part, folder = parts["imagebind"], parts["unclip"]["file"]
    encoder = imagebind.load(part.get("config", {}), Path(part["file"]), "", device)
    # No image is ever encoded: so the folder's ViT-H (2.5 GB) is not even read.
    own = {"image_encoder": _stand_in(), "feature_extractor": None}
    if "borrows" in parts["unclip"]:
        lender = load_pipeline("StableDiffusionPipeline", parts["unclip"]["borrows"], device)
        own |= {name: getattr(lender, name) for name in ("vae", "text_encoder", "tokenizer")}
    pipeline = load_pipeline("StableUnCLIPImg2ImgPipeline", folder, device, options["scheduler"], **own)
    _check(pipeline, encoder.dim, options["noise_level"])

    @torch.inference_mode()
    def draw(clips: Sequence[Clip], seeds: Sequence[int]) -> Drawn:
        rows = encoder.encode_together([read_audio(clip.file("audio"), encoder.rate) for clip in clips])
        pixels = pipeline(
            prompt=[""] * len(clips),
            image_embeds=torch.from_numpy(rows).to(device, pipeline.unet.dtype),
            # Noise level 0 is not free of noise (0.6 % of a standard deviation), so the seed moves the embedding too.
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            num_inference_steps=options["steps"],
            guidance_scale=options["guidance"],
            noise_level=options["noise_level"],
            output_type="np",
        ).images
        return images_of(pixels)

    return draw


def _stand_in() -> Any:
    """Make the smallest image encoder: the pipeline asks one for its dtype even where it encodes no image."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 1, "intermediate_size": 1, "num_hidden_layers": 1, "num_attention_heads": 1}
    with torch.random.fork_rng(devices=[]):  # its weights are never used, and must not move anyone's seed
        return CLIPVisionModelWithProjection(CLIPVisionConfig(image_size=1, patch_size=1, projection_dim=1, **sizes))


def _check(pipeline: Any, dim: int, noise_level: int) -> None:
    width = pipeline.image_normalizer.config.embedding_dim
    if width != dim:
        raise A2IBenchError(
            f"ImageBind's embeddings have {dim} numbers, but this unCLIP takes {width}: the two parts do not belong "
            "together (stable-diffusion-2-1-unclip takes 1024, its -small sibling 768)."
        )
    most = pipeline.image_noising_scheduler.config.num_train_timesteps - 1
    if noise_level != int(noise_level) or not 0 <= noise_level <= most:
        raise A2IBenchError(f"The option 'noise_level' must be a whole number from 0 to {most}; found {noise_level}.")


METHODS = (
    Method(
        "imagebind",
        "ImageBind's audio embedding into Stable unCLIP (weights CC-BY-NC-SA: not for commercial use).",
        "audio",
        _load,
        parts=("unclip", "imagebind"),
        options={"steps": 20, "guidance": 10.0, "noise_level": 0, "scheduler": None},
    ),
)
