"""AudioToken (arXiv 2305.13050): a sound becomes one token in a prompt for a frozen Stable Diffusion."""

from collections.abc import Mapping
from typing import Any

from a2ibench.baselines.base import Draw, Method


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.audiotoken.model import AudioToken

    return AudioToken(parts, options, device).draw


_OPTIONS = {
    "prompt": "a photo of <*>, 4k, high resolution",
    "seconds": 10.0,
    "steps": 50,
    "guidance": 7.5,
    "scheduler": None,
    "attention_dropout": False,
}
METHODS = (
    Method(
        "audiotoken",
        "AudioToken: the sound as one token in a prompt for Stable Diffusion.",
        "audio",
        _load,
        parts=("stable_diffusion", "beats", "embedder"),
        options=_OPTIONS,
    ),
    Method(
        "audiotoken-cl",
        "AudioToken trained with the classification loss too.",
        "audio",
        _load,
        parts=("stable_diffusion", "beats", "embedder"),
        options=_OPTIONS,
    ),
)
