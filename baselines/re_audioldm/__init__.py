"""Re-AudioLDM (arXiv 2309.08051): sounds from captions, with examples looked up. A re-implementation from the paper.

Its authors published neither code nor weights. What the paper leaves open, and what was chosen, is in
``docs/re-audioldm.md``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2ibench.baselines.base import Draw, Method, Training


def _generator(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.re_audioldm.model import Generator

    return Generator(parts, options, device).draw


def _nearest(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.re_audioldm.simple import Nearest

    return Nearest(parts, options, device).draw


def _label(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.re_audioldm.simple import SameLabel

    return SameLabel(parts, options, device).draw


def _codec(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.re_audioldm.simple import Through

    return Through(parts, options, device).draw


def _train(training: Training) -> Path:
    from a2ibench.baselines.re_audioldm.train import train_with

    return train_with(training, retrieves=True)


def _train_alone(training: Training) -> Path:
    from a2ibench.baselines.re_audioldm.train import train_with

    return train_with(training, retrieves=False)


_SAMPLER = {"steps": 200, "guidance": 3.5}
_LOOKUP = {"index_with_test": False}
_TASK = "text-to-audio"
METHODS = (
    Method(
        "audioldm",
        "AudioLDM: a latent diffusion model that CLAP tells the caption (re-implementation).",
        "caption",
        _generator,
        parts=("unet", "clap", "codec", "vocoder"),
        options=_SAMPLER,
        task=_TASK,
        trains="unet",
        train=_train_alone,
    ),
    Method(
        "re-audioldm",
        "Re-AudioLDM: AudioLDM that also attends to sounds and captions that were looked up (re-implementation).",
        "caption",
        _generator,
        parts=("unet", "clap", "codec", "vocoder", "audiomae", "t5", "index"),
        options={"retrieval": "audio-text", "k": 3, "streams": "sequential", **_SAMPLER, **_LOOKUP},
        may_be_zero=("k",),
        task=_TASK,
        trains="unet",
        train=_train,
    ),
    Method(
        "nearest-sound",
        "Retrieval alone: the sound of the index that is nearest to the caption.",
        "caption",
        _nearest,
        parts=("clap", "index"),
        options=_LOOKUP,
        task=_TASK,
    ),
    Method(
        "label-sound",
        "The label alone: a sound of the index with the clip's label, drawn at random.",
        "label",
        _label,
        parts=("clap", "index"),
        options=_LOOKUP,
        task=_TASK,
    ),
    Method(
        "codec-sound",
        "The real sound through autoencoder and vocoder: what a generator can reach at most.",
        "audio",
        _codec,
        parts=("codec", "vocoder"),
        task=_TASK,
    ),
)
