"""``python -m a2ibench.suites.mini.build.seeds``: how far trainings of other seeds lie apart, on the test split.

For seeds 1 and 2, with the suite's settings: AudioToken for the shipped Stable Diffusion; then the denoiser of Stable
Diffusion, and AudioToken for that. The scores of `audiotoken` and `sd-text` with them stand, beside those of the
shipped ones (seed 0), in ``seeds.json``. Nothing is chosen by them. Goes on where it was stopped.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch

from a2ibench.files import write_text
from a2ibench.suites.mini.build import generators, stable_diffusion
from a2ibench.suites.mini.build.stages import Build

SEEDS = (1, 2)
FILE = Path(__file__).with_name("seeds.json")


def embedder(build: Build, seed: int, folder: Path, draws: Path | None = None) -> Path:
    """Train AudioToken's embedder of a seed, for a Stable Diffusion (by default the shipped one)."""
    name = f"audiotoken-{seed}{'' if draws is None else '-own'}"
    file = folder / f"{name}.safetensors"
    if not file.exists():
        generators.train_audiotoken(name, build.work, lambda_cl=0.0, seed=seed, draws=draws, to=folder)
    return file


def diffusion(build: Build, seed: int, folder: Path) -> Path:
    """Train Stable Diffusion's denoiser of a seed, in the shipped autoencoder's space."""
    written = folder / "stable-diffusion"
    network = stable_diffusion.train_denoiser(
        build.vae, build.bank, build.held_out, build.work, build.vocabulary, seed=seed
    )
    if not written.exists():
        means, _ = stable_diffusion.encode_latents(build.vae, build.bank, build.work / "train-latents.pt")
        stable_diffusion.save_pipeline(build.vae, network, build.work, float(means.std()), written)
    return written


def scored(method: str, weights: dict[str, Path], folder: Path) -> dict[str, float]:
    """Score a method with these weights on the test split, by the command that users have."""
    own = [word for part, file in weights.items() for word in ("--weights", f"{part}={file}")]
    command = [sys.executable, "-m", "a2ibench", "eval", "--method", method, "--out", str(folder), *own, "--json"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {score["metric"]: score["value"] for score in told["scores"]}


def main() -> None:
    """Read the arguments; train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="the build's folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    build = Build(arguments.work, None)
    found: dict[str, dict[str, float]] = {}

    def note(name: str, method: str, weights: dict[str, Path]) -> None:
        found[name] = scored(method, weights, arguments.work / "seeds" / name)
        write_text(FILE, json.dumps(found, indent=1) + "\n")
        print(name, found[name], flush=True)  # noqa: T201

    for method in ("audiotoken", "sd-text"):
        note(f"{method}, seed 0", method, {})
    folders = {seed: arguments.work / "seeds" / f"seed-{seed}" for seed in SEEDS}
    for seed, folder in folders.items():
        note(f"audiotoken, seed {seed}", "audiotoken", {"embedder": embedder(build, seed, folder)})
    for seed, folder in folders.items():
        draws = diffusion(build, seed, folder)
        note(f"sd-text, seed {seed}", "sd-text", {"stable_diffusion": draws})
        weights = {"stable_diffusion": draws, "embedder": embedder(build, seed, folder, draws)}
        note(f"audiotoken for Stable Diffusion of seed {seed}, seed {seed}", "audiotoken", weights)


if __name__ == "__main__":
    main()
