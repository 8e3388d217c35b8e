"""``python -m a2ibench.suites.mini.build.seeds``: how far trainings of other seeds lie apart, on the test split.

For seeds 1 and 2: Stable Diffusion's denoiser, and AudioToken for it, each from nothing, with the suite's settings; the
scores of `sd-text` and `audiotoken` with them stand, beside those of the shipped ones (seed 0), in ``seeds.json``.
Nothing is chosen by them. Goes on where it was stopped.
"""

import argparse
import json
from pathlib import Path

import torch

from a2ibench.api import evaluation
from a2ibench.files import write_text
from a2ibench.suites.mini.build import generators, stable_diffusion
from a2ibench.suites.mini.build.stages import Build

SEEDS = (0, 1, 2)
FILE = Path(__file__).with_name("seeds.json")


def trained(build: Build, seed: int) -> dict[str, Path]:
    """Train what a seed gives: weights by part; nothing for the shipped ones."""
    if not seed:
        return {}
    folder = build.work / f"seed-{seed}" / "stable-diffusion"
    network = stable_diffusion.train_denoiser(
        build.vae, build.bank, build.held_out, build.work, build.vocabulary, seed=seed
    )
    if not folder.exists():
        means, _ = stable_diffusion.encode_latents(build.vae, build.bank, build.work / "train-latents.pt")
        stable_diffusion.save_pipeline(build.vae, network, build.work, float(means.std()), folder)
    file = folder.parent / f"audiotoken-{seed}.safetensors"
    if not file.exists():
        generators.train_audiotoken(file.stem, build.work, lambda_cl=0.0, seed=seed, draws=folder, to=folder.parent)
    return {"stable_diffusion": folder, "embedder": file}


def measured(weights: dict[str, Path], folder: Path) -> dict[str, dict[str, float]]:
    """Score `sd-text` and `audiotoken` with these weights on the test split."""
    found = {}
    for method, parts in (("sd-text", ("stable_diffusion",)), ("audiotoken", ("stable_diffusion", "embedder"))):
        own = {part: weights[part] for part in parts if part in weights}
        result = evaluation(method, "mini", weights=own, out=folder / method, device="cpu").result
        found[method] = {score.metric: score.value for score in result.scores}
    return found


def main() -> None:
    """Read the arguments; train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="the build's folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    build = Build(arguments.work, None)
    found = {}
    for seed in SEEDS:
        found[str(seed)] = measured(trained(build, seed), arguments.work / f"seed-{seed}" / "runs")
        write_text(FILE, json.dumps(found, indent=1) + "\n")
        print(seed, found[str(seed)], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
