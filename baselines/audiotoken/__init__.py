"""AudioToken (arXiv 2305.13050): a sound becomes one token in a prompt for a frozen Stable Diffusion."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from a2ibench.baselines.base import Draw, Method, Training
from a2ibench.clips import ClipSet
from a2ibench.files import cache_dir, check_writable, sha256_file


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    from a2ibench.baselines.audiotoken.model import AudioToken

    return AudioToken(parts, options, device).draw


def _train(training: Training) -> Path:
    """Train the embedder, which turns a sound into a token; goes on where it was stopped."""
    clips, folder = training.clips, training.folder
    from a2ibench.baselines.audiotoken.config import Config, check_share, configure, settled
    from a2ibench.baselines.audiotoken.data import Examples, held_out, processes
    from a2ibench.baselines.audiotoken.model import Listener
    from a2ibench.baselines.audiotoken.state import claim, clear, finished, read_checkpoint
    from a2ibench.baselines.audiotoken.train import check_room, train
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    config = settled(configure(training.settings), len(clips), _width(training.parts["beats"]))
    held_out(clips, config)
    check_writable(cache_dir() / "training")
    state = processes(training.device)
    check_share(config, state.num_processes)
    if training.fresh and state.is_main_process:
        clear(folder)
    _share_digest(clips, state)
    # What is computed once depends on BEATs and on the autoencoder, not on the rest of Stable Diffusion.
    autoencoder = sorted(Path(training.parts["stable_diffusion"]["file"], "vae").glob("*.safetensors"))
    identity = " ".join([training.hashes["beats"], *(sha256_file(file) for file in autoencoder)])
    networks = " ".join(training.hashes[part] for part in sorted(training.hashes))
    claim(folder, config.claimed(), clips, networks, Config().claimed())
    if whole := finished(folder):
        return whole
    read_checkpoint(folder)  # a damaged one is named before the networks are loaded
    diffusion = StableDiffusion(training.parts["stable_diffusion"]["file"], training.device, half=False)
    listener = Listener(training.parts["beats"], training.device)
    check_room(folder, listener, diffusion)
    advance = training.stage("features and latents" if config.cache == "features" else "latents", len(clips))
    seen = 0

    def filled(done: int) -> None:
        nonlocal seen
        advance(done - seen)
        seen = done

    examples = Examples(clips, diffusion, listener, config, cache_dir() / "training", identity, filled, networks)
    filled(len(clips))
    bar = training.stage("train", config.steps)
    last = 0

    def report(step: int, loss: float) -> None:
        nonlocal last
        bar(step - last, f"loss {loss:.4f}")
        last = step

    return train(examples, config, folder, report=report, checkpoint_every=training.checkpoint_every)


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse bad settings of the trainer, and trackers that are not installed."""
    from a2ibench.baselines.audiotoken.config import configure
    from a2ibench.baselines.audiotoken.watch import tracker_names

    tracker_names(configure(settings))


def _width(beats: Mapping[str, Any]) -> int:
    """Give the width of BEATs' features without loading it: of a part of a suite."""
    from a2ibench.encoders.beats import AUDIOTOKEN_LAYERS, BeatsConfig

    width = (beats.get("config") or {}).get("encoder_embed_dim", BeatsConfig.encoder_embed_dim)
    return len(beats.get("layers", AUDIOTOKEN_LAYERS)) * int(width)


def _share_digest(clips: ClipSet, state: Any) -> None:
    """Hash the clips in one process for all: reading every file in each would take as many times as long."""
    if state.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        found = broadcast_object_list([clips.digest if state.is_main_process else None])
        clips.__dict__["digest"] = found[0]


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
        check=_check,
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
        check=_check,
    ),
)
