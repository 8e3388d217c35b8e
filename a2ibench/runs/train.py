"""`a2ibench train`: run the trainer of a method with a suite's networks and a folder of clips."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2ibench.baselines import get as get_method
from a2ibench.baselines import methods
from a2ibench.baselines.base import Training
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import cache_dir, check_writable
from a2ibench.progress import Stage, silent
from a2ibench.scoring.scorer import check_clips
from a2ibench.suites import Suite, default_suite, load_suite


def trainable() -> list[str]:
    """Name the methods that can be trained."""
    return [name for name, method in methods().items() if method.train]


def train_method(
    name: str,
    suite_name: str | None,
    data: Path | None,
    out: Path | None,
    *,
    settings: Mapping[str, Any],
    weights: Mapping[str, Path] | None = None,
    device: str = "cpu",
    checkpoint_every: int = 200,
    fresh: bool = False,
    stage: Stage = silent,
) -> Path:
    """Train a method in a suite; returns the file of the weights that it makes.

    Parameters
    ----------
    name
        One of `trainable`.
    suite_name
        Gives the frozen networks, and the settings that differ from the paper's.
    data
        The training clips: a folder with ``clips.csv``. The mini suite draws its own without.
    out
        The training's folder; by default ``runs/SUITE/train-NAME``.
    settings
        Settings of the method's trainer that the user sets; they win over the suite's.
    weights
        The user's own files, by part, in the place of the suite's: an index, say.
    device, checkpoint_every, fresh, stage
        See the command's help.

    """
    if name not in trainable():
        raise unknown("trainable method", name, trainable())
    method = get_method(name)
    suite = load_suite(suite_name or default_suite(method.task))
    assert method.train is not None  # noqa: S101  for the type checker
    chosen = {**{key: value for key, value in suite.file.training.items() if key != "clips"}, **settings}
    if method.check:
        method.check(chosen)
    frozen = tuple(part for part in method.parts if part != method.trains)
    parts, hashes = suite.method_parts(name, frozen, weights or {})
    folder = out or Path("runs") / suite.name / f"train-{name}"
    check_writable(folder)
    clips = suite.clips(data or _own_clips(suite))
    if data is not None:
        # Of several processes (`accelerate launch`) each reads its share; one that finds a bad clip ends them all.
        rank, processes = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
        check_clips(clips[rank::processes], stage)
    return method.train(Training(parts, hashes, clips, folder, chosen, device, checkpoint_every, fresh, stage))


def _own_clips(suite: Suite) -> Path:
    if not suite.file.world:
        raise A2IBenchError(
            f"The suite {suite.name!r} ships no training clips; give them with --data DIR, a folder with clips.csv."
        )
    from a2ibench.suites.mini.build.clips import training_clips

    count = int(suite.file.training["clips"])
    media = [column for column, medium in suite.task.columns.items() if medium != "text"]
    return training_clips(cache_dir() / f"{suite.name}-train-{count}", count, media)
