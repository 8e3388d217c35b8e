"""FoleyGen (arXiv 2309.10537), re-implemented from the paper: a language model over codec tokens that sees a video.

No code or weights were ever published. One method for each visual encoder of the paper's Table 2, since a suite brings
the weights of each; the visual attention is an option, and a suite brings one language model for each.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2ibench.baselines.base import Draw, Method, Training
from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import cache_dir, check_writable

if TYPE_CHECKING:
    from a2ibench.baselines.foleygen.codec import Codec
    from a2ibench.baselines.foleygen.lm import FoleyLm

_OPTIONS = {"attention": "all-frame", "guidance": 3.0, "top_k": 256, "temperature": 1.0}


def load_codec(part: Mapping[str, Any], device: str = "cpu") -> "Codec":
    """Load a suite's codec by its ``kind``: ``encodec`` (the published one) or ``patches``."""
    from a2ibench.baselines.foleygen.codec import load_encodec
    from a2ibench.baselines.foleygen.patches import load_patches

    kinds: dict[str, Callable[[Mapping[str, Any], Path, str], Codec]] = {
        "encodec": load_encodec, "patches": load_patches,
    }  # fmt: skip
    kind = part.get("kind", "encodec")
    if kind not in kinds:
        raise unknown("kind of codec", kind, kinds)
    return kinds[kind](part.get("config", {}), Path(part["file"]), device)


def _lacks(parts: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    place, attention = Path(parts["foleygen"]["file"]), options["attention"]
    if not place.is_dir() or (place / f"{attention}.safetensors").is_file():
        return None
    there = ", ".join(sorted(file.stem for file in place.glob("*.safetensors"))) or "none"
    return f"The suite brings no FoleyGen with the attention {attention!r}; choose one that is there ({there})."


def read_attention(part: Mapping[str, Any], attention: str, encoder: str, device: str) -> "FoleyLm":
    """Read the language model of an attention: the part's file, or the one of that name in its folder.

    Raises
    ------
    A2IBenchError
        If there is none, or it was trained otherwise.

    """
    from a2ibench.baselines.foleygen.lm import read_lm
    from a2ibench.baselines.foleygen.pattern import ATTENTIONS

    if attention not in ATTENTIONS:
        raise unknown("visual attention", attention, ATTENTIONS)
    place = Path(part["file"])
    file = place / f"{attention}.safetensors" if place.is_dir() else place
    if not file.is_file():
        there = ", ".join(sorted(each.stem for each in place.glob("*.safetensors"))) or "none"
        raise A2IBenchError(f"There is no FoleyGen with the attention {attention!r} in {place}; there: {there}.")
    network = read_lm(file, device)
    found = (network.config.attention, network.config.encoder)
    if found != (attention, encoder):
        raise A2IBenchError(
            f"{file} was trained with the attention {found[0]!r} and the visual encoder {found[1]!r}, not with "
            f"{attention!r} and {encoder!r}; give --set attention={found[0]}, or other weights."
        )
    return network


def _load(encoder: str, parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    import numpy as np
    import torch

    from a2ibench.baselines.foleygen.eyes import load_eyes
    from a2ibench.baselines.foleygen.sample import generate
    from a2ibench.baselines.foleygen.train import features_of

    if not (isinstance(options["top_k"], int) and options["top_k"] >= 1 and options["temperature"] > 0):
        raise A2IBenchError(
            "FoleyGen draws from the top_k likeliest codes, a whole number from 1, at a temperature above 0; found "
            f"{options['top_k']!r} and {options['temperature']!r}."
        )
    network = read_attention(parts["foleygen"], options["attention"], encoder, device)
    eyes, codec = load_eyes(encoder, parts[encoder], device), load_codec(parts["codec"], device)
    config = network.config
    found, wanted = (codec.books, codec.codes, codec.code_rate), (config.books, config.codes, config.code_rate)
    if found != wanted:
        raise A2IBenchError(
            f"The language model speaks {wanted[0]} codebooks of {wanted[1]} codes at {wanted[2]:g} Hz, and the codec "
            f"{found[0]} of {found[1]} at {found[2]:g} Hz; give two that belong together."
        )

    def draw(clips: Sequence[Clip], seeds: Sequence[int]) -> list[Any]:
        seen = {clip.clip_id: clip for clip in clips}  # a batch is filled up with its last clip
        rows = {name: features_of(clip, eyes, config) for name, clip in seen.items()}
        features = torch.from_numpy(np.stack([rows[clip.clip_id] for clip in clips])).to(device)
        how = (options["guidance"], options["top_k"], options["temperature"])
        waves = codec.decode(generate(network, features, seeds, *how)).numpy()
        samples = round(config.seconds * codec.rate)
        return [(wave[:samples], codec.rate) if np.isfinite(wave).all() else None for wave in waves]

    return draw


def _train(encoder: str, training: Training) -> Path:
    """Train a language model; goes on where it was stopped."""
    from a2ibench.baselines.foleygen.eyes import load_eyes
    from a2ibench.baselines.foleygen.train import FILES, Config, Examples, train

    known = [field.name for field in fields(Config)]
    for key in training.settings:
        if key not in known:
            raise unknown("setting of FoleyGen's training", key, known)
    config = Config(**training.settings)
    cache = cache_dir() / "training"
    check_writable(cache)
    if training.fresh:
        for name in FILES:
            (training.folder / name).unlink(missing_ok=True)
    eyes, codec = load_eyes(encoder, training.parts[encoder], training.device), load_codec(training.parts["codec"])
    sizes = config.sizes(codec, eyes)
    settings = {name: {k: v for k, v in training.parts[name].items() if k != "file"} for name in (encoder, "codec")}
    told = json.dumps([training.hashes[encoder], training.hashes["codec"], settings], sort_keys=True, default=str)
    networks = hashlib.sha256(told.encode()).hexdigest()
    advance, seen = training.stage("codes and frame features", len(training.clips)), 0

    def filled(done: int) -> None:
        nonlocal seen
        advance(done - seen)
        seen = done

    examples = Examples(training.clips, codec, eyes, sizes, cache, networks, filled)
    bar, last = training.stage("train", config.steps), 0

    def report(step: int, loss: float) -> None:
        nonlocal last
        bar(step - last, f"loss {loss:.4f}")
        last = step

    every = training.checkpoint_every
    return train(
        examples, config, sizes, networks, training.folder,
        device=training.device, report=report, checkpoint_every=every,
    )  # fmt: skip


def _method(name: str, encoder: str, summary: str) -> Method:
    return Method(
        name,
        summary,
        "video",
        partial(_load, encoder),
        parts=("codec", encoder, "foleygen"),
        options=_OPTIONS,
        task="video-to-audio",
        trains="foleygen",
        train=partial(_train, encoder),
        lacks=_lacks,
    )


METHODS = (
    _method(
        "foleygen", "clip", "FoleyGen, re-implemented: sounds as codec tokens, by a model that sees CLIP's frames."
    ),
    _method("foleygen-vit", "vit", "The same with ViT's frames."),
    _method("foleygen-imagebind", "imagebind", "The same with ImageBind's frames."),
    _method("foleygen-videomae", "videomae", "The same with VideoMAE's seconds."),
)
__all__ = ["METHODS", "load_codec", "read_attention"]
