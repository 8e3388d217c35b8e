"""Stable Diffusion, frozen, for `sd-text` and AudioToken; the published and the mini networks in one class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from a2ibench.baselines.base import Drawn, images_of
from a2ibench.errors import A2IBenchError

SCHEDULERS = {
    "pndm": "PNDMScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm": "DPMSolverMultistepScheduler",
}
PLACEHOLDER = "<*>"


def load_pipeline(
    kind: str, folder: Path, device: str, scheduler: str | None = None, half: bool | None = None, **own: Any
) -> Any:
    """Load a diffusers pipeline quietly, from a folder alone, frozen.

    Parameters
    ----------
    kind
        The pipeline's class in diffusers.
    folder
        Its folder, with ``unet``, ``vae``, ``text_encoder``, ``scheduler`` and the like.
    device
        Where it runs.
    scheduler
        One of `SCHEDULERS`, or None for the folder's own.
    half
        In half precision; by default on a GPU.
    own
        Components and settings that take the place of the folder's.

    Raises
    ------
    A2IBenchError
        For an unknown scheduler, or a folder that holds no whole pipeline of that kind.

    """
    import diffusers
    import transformers
    from safetensors import SafetensorError

    if scheduler is not None and scheduler not in SCHEDULERS:
        raise A2IBenchError(f"There is no scheduler {scheduler!r}; known: {', '.join(sorted(SCHEDULERS))}.")
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    half = device.startswith("cuda") if half is None else half
    dtype = torch.float16 if half else torch.float32
    try:
        pipeline = getattr(diffusers, kind).from_pretrained(folder, dtype=dtype, local_files_only=True, **own)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise A2IBenchError(f"{folder} holds no whole {kind} ({reason}); download it again.") from None
    if scheduler is not None:
        pipeline.scheduler = getattr(diffusers, SCHEDULERS[scheduler]).from_config(pipeline.scheduler.config)
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    if device == "cpu":
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


class StableDiffusion:
    """The frozen pipeline of a diffusers folder, with prompts whose placeholder may be any vector.

    Parameters
    ----------
    folder
        A diffusers pipeline folder: ``unet``, ``vae``, ``text_encoder``, ``tokenizer``, ``scheduler``.
    device
        Where it runs.
    scheduler
        One of `SCHEDULERS`, or None for the folder's own.
    half
        Half precision; by default on a GPU. Training through the frozen parts wants full precision.

    """

    def __init__(self, folder: Path, device: str = "cpu", scheduler: str | None = None, half: bool | None = None):
        self.device = device
        # The safety checker would blacken images by a network of its own, and a score would not tell.
        own = {"safety_checker": None, "requires_safety_checker": False}
        self.pipeline: Any = load_pipeline("StableDiffusionPipeline", folder, device, scheduler, half, **own)

    @property
    def token_width(self) -> int:
        """Width of the text encoder's input embeddings."""
        return int(self.pipeline.text_encoder.config.hidden_size)

    def embed_prompts(self, prompts: Sequence[str], tokens: Tensor | None = None) -> Tensor:
        """Encode prompts: ``[n, length, width]``.

        Parameters
        ----------
        prompts
            With `tokens`, each contains the placeholder ``<*>`` once.
        tokens
            ``[n, width]``: the vectors that take the placeholder's place among the input embeddings of the
            text encoder. Gradients flow to them.

        """
        encoder = self.pipeline.text_encoder
        if tokens is None:
            ids = torch.stack([self._ids(prompt)[0] for prompt in prompts])
            plain: Tensor = encoder(ids.to(self.device)).last_hidden_state
            return plain
        pairs = [self._ids(prompt) for prompt in prompts]
        places = torch.tensor([place for _, place in pairs], device=self.device)
        if (places < 0).any():
            raise A2IBenchError(f"A prompt for AudioToken needs the placeholder {PLACEHOLDER}; found none.")
        rows = torch.arange(len(prompts), device=self.device)

        def put(module: Any, arguments: Any, embeddings: Tensor) -> Tensor:
            embeddings = embeddings.clone()
            embeddings[rows, places] = tokens.to(embeddings.dtype)
            return embeddings

        # A hook, and not a new row in the vocabulary: each clip of a batch has a vector of its own.
        handle = encoder.get_input_embeddings().register_forward_hook(put)
        try:
            ids = torch.stack([ids for ids, _ in pairs]).to(self.device)
            states: Tensor = encoder(ids).last_hidden_state
            return states
        finally:
            handle.remove()

    def token_embeddings(self, texts: Sequence[str]) -> Tensor:
        """Give the mean input embedding of each text's own tokens: ``[n, width]`` (the classification loss)."""
        tokenizer = self.pipeline.tokenizer
        table = self.pipeline.text_encoder.get_input_embeddings()
        rows = [
            table(torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"], device=self.device))
            for text in texts
        ]
        return torch.stack([row.mean(0) for row in rows])

    def _ids(self, prompt: str) -> tuple[Tensor, int]:
        """Tokenize a prompt to full length, and say where its placeholder stands (-1 without one)."""
        tokenizer = self.pipeline.tokenizer
        length = min(tokenizer.model_max_length, self.pipeline.text_encoder.config.max_position_embeddings)
        before, mark, after = prompt.partition(PLACEHOLDER)
        left = tokenizer(before, add_special_tokens=False)["input_ids"] if before.strip() else []
        right = tokenizer(after, add_special_tokens=False)["input_ids"] if after.strip() else []
        middle = [tokenizer.eos_token_id] if mark else []  # any id: its embedding is replaced
        ids = [tokenizer.bos_token_id, *left, *middle, *right][: length - 1]
        place = 1 + len(left) if mark else -1
        if place >= length - 1:
            raise A2IBenchError(f"The prompt {prompt!r} is too long: its placeholder lies beyond {length} tokens.")
        ids += [tokenizer.eos_token_id]
        ids += [tokenizer.pad_token_id] * (length - len(ids))
        return torch.tensor(ids), place

    @torch.inference_mode()
    def draw(
        self,
        embeddings: Tensor,
        seeds: Sequence[int],
        *,
        steps: int,
        guidance: float,
        size: int | None = None,
    ) -> Drawn:
        """Draw one image per row of `embeddings`, each from its own seed."""
        count = len(embeddings)
        pixels = self.pipeline(
            prompt_embeds=embeddings,
            negative_prompt_embeds=self.embed_prompts([""]).expand(count, -1, -1),
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=size,
            width=size,
            output_type="np",
        ).images
        return images_of(pixels)
