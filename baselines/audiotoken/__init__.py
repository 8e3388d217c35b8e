"""AudioToken (arXiv 2305.13050): a sound becomes one token in a prompt for a frozen Stable Diffusion."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from a2ibench.baselines.base import Draw, Method, Training
from a2ibench.errors import unknown
from a2ibench.files import cache_dir, check_writable, sha256_file


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.audiotoken.model import AudioToken

    return AudioToken(parts, options, device).draw


def _train(training: Training) -> Path:
    """Train the embedder, which turns a sound into a token; goes on where it was stopped."""
    clips, folder = training.clips, training.folder
    from a2ibench.baselines.audiotoken.model import Listener
    from a2ibench.baselines.audiotoken.state import FILES, claim, finished, read_checkpoint
    from a2ibench.baselines.audiotoken.train import Config, Examples, check_room, train
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    known = [field.name for field in fields(Config)]
    for key in training.settings:
        if key not in known:
            raise unknown("setting of AudioToken's training", key, known)
    config = Config(**training.settings)
    if config.precompute:
        check_writable(cache_dir() / "training")
    if training.fresh:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    # What is computed once depends on BEATs and on the autoencoder, not on the rest of Stable Diffusion.
    autoencoder = sorted(Path(training.parts["stable_diffusion"]["file"], "vae").glob("*.safetensors"))
    identity = " ".join([training.hashes["beats"], *(sha256_file(file) for file in autoencoder)])
    networks = " ".join(training.hashes[part] for part in sorted(training.hashes))
    claim(folder, asdict(config), clips, networks)
    if whole := finished(folder):
        return whole
    read_checkpoint(folder)  # a damaged one is named before the networks are loaded
    diffusion = StableDiffusion(training.parts["stable_diffusion"]["file"], training.device, half=False)
    listener = Listener(training.parts["beats"], training.device)
    check_room(folder, listener, diffusion)
    advance = training.stage("features and latents", len(clips)) if config.precompute else None
    seen = 0

    def filled(done: int) -> None:
        nonlocal seen
        if advance:
            advance(done - seen)
        seen = done

    cache = cache_dir() / "training"
    examples = Examples(clips, diffusion, listener, config, cache, identity, filled, networks)
    filled(len(clips))
    bar = training.stage("train", config.steps)
    last = 0

    def report(step: int, loss: float) -> None:
        nonlocal last
        bar(step - last, f"loss {loss:.4f}")
        last = step

    return train(examples, config, folder, report=report, checkpoint_every=training.checkpoint_every)


def _train_with_classification(training: Training) -> Path:
    """Train it with the classification loss too, weighted as in the paper unless the user says otherwise."""
    return _train(replace(training, settings={"lambda_cl": 0.01, **training.settings}))


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
        trains="embedder",
        train=_train,
    ),
    Method(
        "audiotoken-cl",
        "AudioToken trained with the classification loss too.",
        "audio",
        _load,
        parts=("stable_diffusion", "beats", "embedder"),
        options=_OPTIONS,
        trains="embedder",
        train=_train_with_classification,
    ),
)
