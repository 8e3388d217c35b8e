"""`a2ibench train`: run the trainer of a method with a suite's networks and a folder of clips."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from a2ibench.baselines import get as get_method
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, check_writable, sha256_file
from a2ibench.progress import Stage, silent
from a2ibench.scoring.scorer import check_clips
from a2ibench.suites import Suite, load_suite


def train_audiotoken(
    suite_name: str,
    data: Path | None,
    out: Path | None,
    *,
    settings: Mapping[str, Any],
    device: str = "cpu",
    checkpoint_every: int = 200,
    fresh: bool = False,
    stage: Stage = silent,
) -> Path:
    """Train AudioToken's embedder in a suite; returns the file of its weights.

    Parameters
    ----------
    suite_name
        Gives the frozen networks, and the settings that differ from the paper's.
    data
        The training clips: a folder with ``clips.csv``. The mini suite draws its own without.
    out
        The training's folder; by default ``runs/SUITE/train-audiotoken`` (``-cl`` with the classification loss).
    settings
        Fields of `a2ibench.baselines.audiotoken.train.Config` that the user sets.
    device, checkpoint_every, fresh, stage
        See the command's help.

    """
    suite = load_suite(suite_name)
    name = "audiotoken-cl" if settings.get("lambda_cl") else "audiotoken"
    # Parts but the embedder, which is what is trained.
    parts, hashes = suite.method_parts(name, get_method(name).parts[:2], {})
    folder = out or Path("runs") / suite.name / f"train-{name}"
    check_writable(folder)
    if settings.get("precompute", True):
        check_writable(cache_dir() / "training")
    if fresh:
        from a2ibench.baselines.audiotoken.state import FILES

        for file in FILES:
            (folder / file).unlink(missing_ok=True)
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    clips_folder = data or _own_clips(suite)
    clips = suite.clips(clips_folder)
    if data is not None:
        check_clips(clips, stage)

    from a2ibench.baselines.audiotoken.model import Listener
    from a2ibench.baselines.audiotoken.state import claim, finished, read_checkpoint
    from a2ibench.baselines.audiotoken.train import Config, Examples, check_room, train
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    known = {field.name for field in fields(Config)}
    config = Config(**{**{k: v for k, v in suite.file.training.items() if k in known}, **settings})
    # What is computed once depends on BEATs and on the autoencoder, not on the rest of Stable Diffusion.
    autoencoder = sorted(Path(parts["stable_diffusion"]["file"], "vae").glob("*.safetensors"))
    identity = " ".join([hashes["beats"], *(sha256_file(file) for file in autoencoder)])
    networks = " ".join(hashes[part] for part in sorted(hashes))
    claim(folder, asdict(config), clips, networks)
    if whole := finished(folder):
        return whole
    read_checkpoint(folder)  # a damaged one is named before the networks are loaded
    diffusion = StableDiffusion(parts["stable_diffusion"]["file"], device, half=False)
    listener = Listener(parts["beats"], device)
    check_room(folder, listener, diffusion)
    advance = stage("features and latents", len(clips)) if config.precompute else None
    seen = 0

    def filled(done: int) -> None:
        nonlocal seen
        if advance:
            advance(done - seen)
        seen = done

    cache = cache_dir() / "training"
    examples = Examples(clips, diffusion, listener, config, cache, identity, filled, networks)
    filled(len(clips))
    bar = stage("train", config.steps)
    last = 0

    def report(step: int, loss: float) -> None:
        nonlocal last
        bar(step - last, f"loss {loss:.4f}")
        last = step

    return train(examples, config, folder, report=report, checkpoint_every=checkpoint_every)


def _own_clips(suite: Suite) -> Path:
    if not suite.file.world:
        raise A2IBenchError(
            f"The suite {suite.name!r} ships no training clips; give them with --data DIR, a folder with clips.csv."
        )
    from a2ibench.suites.mini.build.test_split import training_clips

    count = int(suite.file.training["clips"])
    return training_clips(cache_dir() / f"mini-train-{count}", count)
