"""Stable Diffusion on the label, "a photo of {label}": the paper's topline, which does not use the sound."""

from collections.abc import Mapping, Sequence
from typing import Any

from a2ibench.baselines.base import Draw, Drawn, Method
from a2ibench.clips import Clip


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    model = StableDiffusion(parts["stable_diffusion"]["file"], device, options["scheduler"])

    def draw(clips: Sequence[Clip], seeds: Sequence[int]) -> Drawn:
        prompts = [options["prompt"].replace("{label}", clip.label) for clip in clips]
        return model.draw(model.embed_prompts(prompts), seeds, steps=options["steps"], guidance=options["guidance"])

    return draw


METHODS = (
    Method(
        "sd-text",
        'Stable Diffusion on "a photo of {label}": knows the label, hears nothing.',
        "label",
        _load,
        parts=("stable_diffusion",),
        options={"prompt": "a photo of {label}", "steps": 50, "guidance": 7.5, "scheduler": None},
    ),
)
