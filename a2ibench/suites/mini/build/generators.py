"""Training AudioToken on the mini world, and drawing with the methods to see whether the right kind comes out."""

import importlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file
from torch import nn

from a2ibench.clips import load_clips
from a2ibench.files import sha256_file
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build import measure, weights
from a2ibench.suites.mini.build.clips import training_clips, write_scenes
from a2ibench.suites.mini.build.data import Bank

SUITE = tomllib.loads((weights.WEIGHTS.parent / "suite.toml").read_text(encoding="utf-8"))
DRAWN = 240
"""How many validation scenes are drawn."""


def part(name: str) -> dict[str, Any]:
    """Give an entry of the suite's [parts] as methods get it: its file found, what it borrows too."""
    entry = dict(SUITE["parts"][name])
    if "encoder" in entry:
        entry = dict(SUITE["encoders"][entry["encoder"]])
    entry["file"] = weights.WEIGHTS.parent / entry["file"]
    if "borrows" in entry:
        entry["borrows"] = part(entry["borrows"])["file"]
    return entry


def method(module: str, name: str) -> Any:
    """Load a method with the suite's parts and options: clips and seeds → pictures."""
    declared = {each.name: each for each in importlib.import_module(f"a2ibench.baselines.{module}").METHODS}[name]
    own = SUITE.get("methods", {}).get(name, {})
    parts = {each: part(own.get("parts", {}).get(each, each)) for each in declared.parts}
    return declared.load(parts, {**declared.options, **own.get("options", {})}, "cpu")


def train_audiotoken(
    name: str, work: Path, *, lambda_cl: float, seed: int = 0, draws: Path | None = None, to: Path | None = None
) -> Path:
    """Train an embedder with the trainer that users have; write its weights, and give their file.

    `draws` is the Stable Diffusion that it is trained for, by default the suite's; `to` is where its weights go,
    by default where the suite's lie.
    """
    from a2ibench.baselines.audiotoken.model import Listener
    from a2ibench.baselines.audiotoken.train import Config, Examples, train
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    settings = {key: value for key, value in SUITE["training"].items() if key != "clips"}
    config = Config(**settings, lambda_cl=lambda_cl, seed=seed)
    count = SUITE["training"]["clips"]
    clips = load_clips(training_clips(work / f"train-clips-{count}", count))
    draws = draws or part("stable_diffusion")["file"]
    diffusion = StableDiffusion(draws, "cpu", half=False)
    files = [part("beats")["file"], *sorted((draws / "vae").glob("*.safetensors"))]
    identity = " ".join(sha256_file(file) for file in files)
    whole = " ".join([identity, *(sha256_file(f) for f in sorted(draws.rglob("*.saf*")))])
    examples = Examples(
        clips, diffusion, Listener(part("beats"), "cpu"), config, work / "cache", identity, _printer("features"), whole
    )
    printed = _printer(name)
    file = train(
        examples, config, work / name, report=lambda step, loss: printed(step, f"{loss:.4f}"), checkpoint_every=100
    )
    written = (to or weights.WEIGHTS) / f"{name}.safetensors"
    weights.write_half(written, load_file(file))
    return written


def right_kinds_told(bank: Bank, classifier: nn.Module, work: Path) -> float:
    """Draw the full captions of the first validation scenes; the share of pictures of the right kind."""
    from a2ibench.baselines.stable_diffusion import StableDiffusion

    model = StableDiffusion(part("stable_diffusion")["file"])
    prompts = [f"a photo of {world.caption(scene)}" for scene in bank.scenes[:DRAWN]]
    images = []
    for start in range(0, len(prompts), 24):
        some = prompts[start : start + 24]
        seeds = list(range(start, start + len(some)))
        images += model.draw(model.embed_prompts(some), seeds, steps=20, guidance=3.0)
    return _named("stable-diffusion", images, classifier, bank, work)


def right_kinds_heard(module: str, name: str, bank: Bank, classifier: nn.Module, work: Path) -> float:
    """Draw the first validation sounds by a method; the share of pictures of the right kind."""
    scenes = {f"held-{index:03d}": scene for index, scene in enumerate(bank.scenes[:DRAWN])}
    clips = load_clips(write_scenes(scenes.items(), work / "validation-clips", "wav"))
    draw = method(module, name)
    images = []
    for start in range(0, len(clips), 24):
        some = list(clips[start : start + 24])
        images += draw(some, list(range(start, start + len(some))))
    return _named(name, images, classifier, bank, work)


def _named(name: str, images: list[Any], classifier: nn.Module, bank: Bank, work: Path) -> float:
    pixels = np.stack([np.zeros((64, 64, 3), np.uint8) if each is None else np.asarray(each) for each in images])
    measure.sheet(pixels, work / f"{name}.png")
    return measure.kinds_named(classifier, pixels, bank)


def _printer(name: str) -> Any:
    def printed(step: int, note: str = "") -> None:
        if step % 100 == 0:
            print(name, step, note, flush=True)  # noqa: T201

    return printed
