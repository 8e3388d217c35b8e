"""Training, generation and scoring at the paper's sizes on one GPU, against the way of guyyariv/AudioToken.

python benchmarks/gpu.py [--out gpu.json] [--small]: under eight minutes; without a GPU, or with --small, everything
is tiny and only shows that the script runs. Weights are random, since speed does not depend on them: Stable Diffusion
v1-4's UNet, autoencoder and text encoder, BEATs, AudioToken's embedder, CLIP B/32, Inception, ResNet-50.

The other side is written anew from the formulas of the authors' train.py and inference.py (commit ab7d280): everything
in full precision; in each step files are read, the picture goes through the autoencoder and the sound through BEATs.
It is given files that need no resampling and no seeking in a video, our embedder, and a pipeline that is not loaded
again for each image: all of it in its favour. Its loader has no workers, and then the four of their default.
"""

import argparse
import inspect
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gpu_sizes import FULL, SMALL, Size, build_diffusion, build_encoders, build_listener, write_clips
from PIL import Image

from a2ibench.baselines.audiotoken.config import Config
from a2ibench.baselines.audiotoken.data import Examples
from a2ibench.baselines.audiotoken.embedder import Embedder
from a2ibench.baselines.audiotoken.loss import Objective
from a2ibench.baselines.audiotoken.model import AudioToken
from a2ibench.baselines.audiotoken.reading import Each, in_order, read_picture
from a2ibench.baselines.audiotoken.train import train
from a2ibench.clips import load_clips

PROMPT = "a photo of <*>, 4k, high resolution"


class Clock:
    """Marks moments when all that was asked of the device is done."""

    def __init__(self, device: str):
        self.device, self.marks = device, [time.perf_counter()]

    def mark(self) -> None:
        """Mark this moment."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter())

    def rate(self, first: int) -> float:
        """Give marks a second from the mark number `first` on."""
        return (len(self.marks) - 1 - first) / (self.marks[-1] - self.marks[first])


# ---------------------------------------------------------------------------------------------------- training


def _authors_training(data: Examples, steps: int, workers: int, clock: Clock) -> list[float]:
    """Train as the authors do: everything in full precision and in every step; gives the loss of each."""
    diffusion, config = data.diffusion, data.config
    pipeline, device = diffusion.pipeline, torch.device(diffusion.device)
    objective = Objective(diffusion, data.listener, config, data.clips.labels)
    batches = data.batches(objective.times)
    torch.manual_seed(config.seed)
    embedder = Embedder(data.listener.width, diffusion.token_width).to(device).train()
    optimizer = torch.optim.AdamW(embedder.parameters(), lr=config.lr, weight_decay=config.weight_decay)

    def read(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        draws = batches.draws(number)
        crops = [data.sounds.crop(data.files[row], w) for row, w in zip(draws.rows, draws.crops, strict=True)]
        pictures = [read_picture(config, data.clips[int(row)].file("image")) for row in draws.rows]
        return torch.from_numpy(np.stack(crops)), torch.stack(pictures)

    losses = []
    clock.mark()
    for number, (sounds, pixels) in enumerate(in_order(Each(read), range(steps), workers)):
        draws = batches.draws(number)
        torch.manual_seed(draws.seed)
        with torch.no_grad():
            posterior = pipeline.vae.encode(pixels.to(device)).latent_dist
        latents = (posterior.mean + posterior.std * torch.randn(posterior.mean.shape, device=device)) * 0.18215
        noise = torch.randn(latents.shape, device=device)
        times = torch.from_numpy(draws.times).to(device)
        token = embedder(data.listener.features(sounds.to(device)).clone())
        text = diffusion.embed_prompts([config.prompt] * len(token), token)
        predicted = pipeline.unet(objective.schedule.add_noise(latents, noise, times), times, text).sample
        loss = F.mse_loss(predicted, noise) + config.lambda_l1 * token.abs().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        clock.mark()
    return losses


def _our_training(data: Examples, folder: Path, clock: Clock) -> list[float]:
    """Train by the trainer that users have; gives the loss of each step."""
    running: list[float] = []

    def report(step: int, loss: float) -> None:
        running.append(loss)
        clock.mark()

    train(data, data.config, folder, report=report, checkpoint_every=10**9)
    # What is reported is a running mean.
    return [running[0], *((b - 0.98 * a) / 0.02 for a, b in pairwise(running))]


def _off(ours: list[float], theirs: list[float]) -> float:
    """Give the largest relative difference of two series of losses, where both have one."""
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=False))


def training(size: Size, device: str, folder: Path, compiled: bool) -> Iterator[tuple[str, Any]]:
    """Measure the authors' loop, then ours: steps a second, and how far the losses lie apart."""
    config = Config(
        steps=size.our_steps, batch_size=size.batch, crop_seconds=size.seconds, size=size.image, cache="latents",
        workers=min(8, size.readers), clip_gradient=0.0, trackers="none",
    )  # fmt: skip
    clips = load_clips(write_clips(size, folder))
    frozen = build_diffusion(size, device), build_listener(size, device)
    start = time.perf_counter()
    data = Examples(clips, *frozen, config, folder / "kept", "random")
    yield "latents_per_second", round(size.clips / (time.perf_counter() - start), 2)
    theirs: list[float] = []
    rates = {}
    several = min(4, size.readers, os.cpu_count() or 1)
    for workers in (0, several):
        clock = Clock(device)
        theirs = _authors_training(data, size.peer_steps, workers, clock)
        rates[workers] = clock.rate(1 + size.warm // 2)
        yield f"authors_steps_per_second_{workers}_workers", round(rates[workers], 3)
    for name, settings in (("bf16", {}), ("bf16_compiled", {"compile": True}))[: 1 + compiled]:
        half = replace(config, mixed_precision="bf16", **settings)
        ours = Clock(device)
        losses = _our_training(Examples(clips, *frozen, half, folder / "kept", "random"), folder / name, ours)
        rate = ours.rate(1 + size.warm)
        yield f"our_steps_per_second_{name}", round(rate, 3)
        yield f"ratio_{name}", round(rate / rates[0], 2)
        yield f"ratio_{name}_to_{several}_workers", round(rate / rates[several], 2)
        yield f"largest_relative_difference_of_losses_{name}", float(f"{_off(losses, theirs):.2e}")


# -------------------------------------------------------------------------------------------------- generation


def generation(size: Size, device: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """Measure images a second: one at a time in full precision, and by our method as `generate` calls it."""
    clips = list(load_clips(write_clips(size, folder)))
    diffusion, listener = build_diffusion(size, device), build_listener(size, device)
    method = object.__new__(AudioToken)
    method.options = {"prompt": PROMPT, "seconds": 10.0, "steps": size.sampling, "guidance": 7.5}
    method.options |= {"attention_dropout": False}
    method.diffusion, method.listener = diffusion, listener
    method.embedder = Embedder(listener.width, diffusion.token_width).to(device).eval()
    clock = Clock(device)
    for number in range(size.peer_images):
        method.draw(clips[number : number + 1], [number])
        clock.mark()
    theirs = clock.rate(1)
    yield "authors_images_per_second", round(theirs, 4)
    if device.startswith("cuda"):
        diffusion.pipeline.to(torch.float16)
    batch = min(24, size.our_images)
    many = (clips * size.our_images)[: size.our_images]
    method.draw(many[:batch], list(range(batch)))
    clock = Clock(device)
    for start in range(0, size.our_images, batch):
        some = many[start : start + batch]
        method.draw(some, list(range(start, start + len(some))))
        clock.mark()
    ours = size.our_images / (clock.marks[-1] - clock.marks[0])
    yield "our_images_per_second", round(ours, 4)
    yield "ratio", round(ours / theirs, 2)


# ----------------------------------------------------------------------------------------------------- scoring


def scoring(size: Size, device: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """Measure images a second from files to the features of all image encoders, with as many readers as there are."""
    from a2ibench.scoring.features import encode_files

    rng = np.random.default_rng(1)
    files = []
    for number in range(size.scored):
        file = folder / f"scored-{number:05d}.png"
        coarse = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        coarse.resize((size.image, size.image), Image.Resampling.BICUBIC).save(file, compress_level=1)
        files.append(file)
    # Readers came with the scoring of part B; before, one process reads.
    parallel = "readers" in inspect.signature(encode_files).parameters
    more = {"readers": size.readers} if parallel else {}
    encoders = build_encoders(size, device)
    few = max(1, size.scored // 16)
    encode_files(encoders, files[:few], 32, **more)  # what is done once
    start = time.perf_counter()
    encode_files(encoders, files[few:], 32, **more)
    yield "images_per_second", round((size.scored - few) / (time.perf_counter() - start), 2)
    yield "readers", size.readers if parallel else 0


# -------------------------------------------------------------------------------------------------------- main


def measure(size: Size, device: str, compiled: bool, parts: list[str]) -> dict[str, Any]:
    """Measure what is asked for; a part that fails says why, and the others go on."""
    found: dict[str, Any] = {
        "card": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        "device": device,
        "size": size.name,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
    }
    works: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {
        "training": lambda folder: training(size, device, folder, compiled),
        "generation": lambda folder: generation(size, device, folder),
        "scoring": lambda folder: scoring(size, device, folder),
    }
    for name in parts:
        folder, start = Path(tempfile.mkdtemp()), time.perf_counter()
        found[name] = {}
        torch.manual_seed(0)
        try:
            for key, value in works[name](folder):
                found[name][key] = value
        except Exception as error:  # an expensive machine: what was measured is kept
            found[name]["error"] = f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if device.startswith("cuda"):
                torch.cuda.empty_cache()
        found[name]["seconds"] = round(time.perf_counter() - start, 1)
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Print what was measured as JSON, and write it where --out says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--only", action="append", choices=("training", "generation", "scoring"))
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = FULL if device == "cuda" and not options.small else SMALL
    with tempfile.TemporaryDirectory() as cache:
        kept = os.environ.get("A2IBENCH_CACHE")
        os.environ["A2IBENCH_CACHE"] = cache
        try:
            parts = options.only or ["training", "generation", "scoring"]
            found = measure(size, device, size is FULL and not options.no_compile, parts)
        finally:
            os.environ.pop("A2IBENCH_CACHE") if kept is None else os.environ.update(A2IBENCH_CACHE=kept)
    text = json.dumps(found, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    return found


if __name__ == "__main__":
    main()
