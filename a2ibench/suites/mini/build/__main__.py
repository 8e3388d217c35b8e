"""``python -m a2ibench.suites.mini.build``: train every network of the mini suite, check it, write its weights.

Resumes where it was stopped. ``--only NAME`` makes one network again (``--work`` keeps what the others made).
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor, nn

from a2ibench.encoders.beats import fbank
from a2ibench.encoders.clip import text_tokenizer
from a2ibench.files import cache_dir, write_bytes, write_text
from a2ibench.suites import load_suite
from a2ibench.suites.mini import TEST, world
from a2ibench.suites.mini.build import perception, stable_diffusion, unclip, vqgan
from a2ibench.suites.mini.build.data import Bank, load_bank
from a2ibench.suites.mini.build.test_split import test_scenes, write_scenes

WEIGHTS = TEST.parent / "weights"
IMAGES, SOUNDS, HELD_OUT = 30_000, 10_000, 480
NETS = (
    "clip", "wav2clip", "classifier", "inception", "beats", "stable-diffusion", "audiotoken", "audiotoken-cl", "vqgan",
    "imagebind", "unclip",
)  # fmt: skip
Figures = dict[str, tuple[float, float]]
"""What is measured on the validation split: name → (figure, floor)."""


class Build:
    """One build: the training and validation banks, and the networks as they come."""

    def __init__(self, work: Path, only: str | None):
        self.work, self.only = work, only
        if only:
            depending = {
                "stable-diffusion": ("vae", "train-latents", "validation-latents", "denoiser"),
                "imagebind": ("image-space", "imagebind"),
            }
            for stale in depending.get(only, (only,)):
                (work / f"{stale}.pt").unlink(missing_ok=True)
                shutil.rmtree(work / stale, ignore_errors=True)
        write_scenes(test_scenes().items(), TEST, "ogg")
        self.bank = load_bank(work, "train", IMAGES, SOUNDS)
        self.validation = load_bank(work, "validation", HELD_OUT, HELD_OUT)
        self.vocabulary = perception.build_tokenizer(work / "tokenizer")
        WEIGHTS.mkdir(exist_ok=True)

    def run(self) -> None:
        """Make all networks in the order in which they need each other."""
        bank, held_out, work = self.bank, self.validation, self.work
        clip = perception.train_clip(bank, held_out, work, self.vocabulary)
        self.ship("clip", clip, self.measure_clip(clip))
        ears = perception.train_wav2clip(clip, bank, held_out, work)
        self.ship("wav2clip", ears, self.measure_wav2clip(clip, ears))
        classifier = perception.train_classifier(bank, held_out, work)
        self.ship("classifier", classifier, {"accuracy": (self.kinds_named(classifier, held_out.images), 0.98)})
        inception = perception.train_inception(bank, held_out, work)
        with torch.no_grad():
            logits = inception(torch.from_numpy(held_out.pixels(np.arange(HELD_OUT))))
        self.ship("inception", inception, {"accuracy": (_accuracy(logits, held_out), 0.97)})
        beats = perception.train_beats(bank, held_out, work)
        with torch.no_grad():
            tags = beats.tag(fbank(torch.from_numpy(held_out.waves(np.arange(HELD_OUT)))))
        self.ship("beats", beats, {"tagging accuracy": (_accuracy(tags, held_out), 0.95)})
        self.make_stable_diffusion(classifier)
        for name in ("audiotoken", "audiotoken-cl"):
            self.make_audiotoken(name, classifier)
        self.make_vqgan(classifier)
        self.make_unclip(classifier)
        write_text(WEIGHTS / "CARD.md", self.card())

    # ------------------------------------------------------------------------------------------- measuring

    @torch.no_grad()
    def measure_clip(self, clip: Any) -> Figures:
        """Zero-shot accuracy with the bare categories and labels, and the table of AIC's near-misses."""
        tokenize = text_tokenizer(self.work / "tokenizer", perception.CONTEXT_LENGTH)
        images = perception.image_rows(clip, self.validation, HELD_OUT)
        figures: Figures = {}
        for name, texts in (("categories", world.CATEGORIES), ("labels", world.LABELS)):
            rows = nn.functional.normalize(clip.encode_text(tokenize(list(texts))), dim=-1)
            figures[f"zero-shot accuracy, {name}"] = (_accuracy(images @ rows.T, self.validation), 0.98)
        return figures

    @torch.no_grad()
    def measure_wav2clip(self, clip: Any, ears: Any) -> Figures:
        """AIS of the real images, in all and within the class."""
        images = perception.image_rows(clip, self.validation, HELD_OUT)
        sounds = torch.from_numpy(self.validation.waves(np.arange(HELD_OUT)))
        scores = images @ nn.functional.normalize(ears(sounds), dim=-1).T
        kinds = torch.from_numpy(self.validation.kinds)
        others = ~torch.eye(HELD_OUT, dtype=torch.bool)
        same = others & (kinds[:, None] == kinds)
        won = scores < scores.diag()[:, None]
        return {
            "AIS of real images": (100 * float(won[others].float().mean()), 98.0),
            "same-class AIS of real images": (100 * float(won[same].float().mean()), 88.0),
        }

    @torch.no_grad()
    def kinds_named(self, classifier: nn.Module, images: np.ndarray) -> float:
        """Share of images ``uint8 [n, 64, 64, 3]`` in which the classifier sees the kind of the validation scene."""
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
        logits = classifier((pixels - perception.IMAGENET_MEAN) / perception.IMAGENET_STD)
        return _accuracy(logits, self.validation)

    # ------------------------------------------------------------------------------------------ generators

    def make_stable_diffusion(self, classifier: nn.Module) -> None:
        """Train the autoencoder and the denoiser, and write the pipeline."""
        bank, held_out, work = self.bank, self.validation, self.work
        vae: Any = stable_diffusion.train_autoencoder(bank, held_out, work)
        rows = np.arange(HELD_OUT)
        target = torch.from_numpy(held_out.pixels(rows)) * 2 - 1
        with torch.no_grad():
            decoded = vae.decode(vae.encode(target).latent_dist.mode()).sample.clamp(-1, 1)
        psnr = float(-10 * torch.log10((((decoded - target) / 2) ** 2).mean((1, 2, 3))).mean())
        images = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        figures: Figures = {
            "autoencoder PSNR (dB)": (psnr, 26.0),
            "kinds recognised in reconstructions": (self.kinds_named(classifier, images), 0.97),
        }
        network = stable_diffusion.train_denoiser(vae, bank, held_out, work, self.vocabulary)
        deviation = float(stable_diffusion.encode_latents(vae, bank, work / "train-latents.pt")[0].std())
        stable_diffusion.save_pipeline(vae, network, work, deviation, WEIGHTS / "stable-diffusion")
        self.record("stable-diffusion", {})
        prompts = [f"a photo of {world.caption(scene)}" for scene in held_out.scenes[:240]]
        figures["right kind, full caption"] = (self.right_kinds(prompts, classifier), 0.90)
        self.record("stable-diffusion", figures)

    def right_kinds(self, prompts: list[str], classifier: nn.Module) -> float:
        """Draw prompts of the first validation scenes; the share of images that show the right kind."""
        from a2ibench.baselines.stable_diffusion import StableDiffusion

        model = StableDiffusion(WEIGHTS / "stable-diffusion")
        images = []
        for start in range(0, len(prompts), 24):
            some = prompts[start : start + 24]
            seeds = list(range(start, start + len(some)))
            images += model.draw(model.embed_prompts(some), seeds, steps=20, guidance=3.0)
        return self.kinds_named(classifier, np.stack([np.asarray(image) for image in images]))

    def make_audiotoken(self, name: str, classifier: nn.Module) -> None:
        """Train AudioToken's embedder with the trainer that users have."""
        from a2ibench.runs.train import train_method

        lambda_cl = 0.01 if name.endswith("-cl") else 0.0
        folder = self.work / name
        file = train_method("audiotoken", "mini", None, folder, settings={"lambda_cl": lambda_cl}, stage=_printed)
        write_bytes(WEIGHTS / f"{name}.safetensors", save(half(load_file(file))))
        write_sums()
        figures: Figures = {"right kind": (self.right_kinds_heard(name, classifier), 0.90)}
        self.record(name, figures)

    def make_vqgan(self, classifier: nn.Module) -> None:
        """Train the VQGAN; the floor is on the kinds recognised in its reconstructions."""
        network = vqgan.train_vqgan(self.bank, self.validation, self.work)
        target = torch.from_numpy(self.validation.pixels(np.arange(HELD_OUT))) * 2 - 1
        with torch.no_grad():
            parts = [vqgan.reconstruct(network, target[start : start + 48])[0] for start in range(0, HELD_OUT, 48)]
        decoded = torch.cat(parts).clamp(-1, 1)
        psnr = float(-10 * torch.log10((((decoded - target) / 2) ** 2).mean((1, 2, 3))).mean())
        images = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        named = self.kinds_named(classifier, images)
        self.ship("vqgan", network, {"PSNR (dB)": (psnr, 20.0), "kinds recognised in reconstructions": (named, 0.95)})

    def make_unclip(self, classifier: nn.Module) -> None:
        """Train the image space, ImageBind's audio tower in it, and the unCLIP that draws from it."""
        from a2ibench.baselines.stable_diffusion import StableDiffusion

        bank, held_out, work = self.bank, self.validation, self.work
        space = unclip.train_image_space(bank, held_out, work, self.vocabulary)
        tower = unclip.train_tower(space, bank, held_out, work)
        self.ship("imagebind", tower, {"win rate of sounds on images": (unclip.win_rate(tower, space, held_out), 0.95)})
        diffusion = StableDiffusion(WEIGHTS / "stable-diffusion")
        with torch.no_grad():
            empty = diffusion.embed_prompts([""])
        network = unclip.train_unclip(space, diffusion.pipeline.vae, empty, bank, held_out, work)
        embeddings = unclip.image_embeddings(space, bank, len(bank.scenes))
        unclip.save_unclip(network, embeddings, WEIGHTS / "unclip")
        self.record("unclip", {})
        self.record("unclip", {"right kind, heard": (self.right_kinds_heard("imagebind", classifier), 0.80)})

    def right_kinds_heard(self, name: str, classifier: nn.Module) -> float:
        """Draw the first validation sounds; the share of images that show the right kind."""
        from a2ibench.runs.generate import generate
        from a2ibench.runs.prepare import prepare

        scenes = {f"held-{index:03d}": scene for index, scene in enumerate(self.validation.scenes[:240])}
        suite = load_suite("mini")
        clips = suite.clips(write_scenes(scenes.items(), self.work / "validation-clips", "wav"))
        files = generate(prepare(suite, name), clips, self.work / f"{name}-validation", fresh=True).files
        images = np.stack([np.asarray(Image.open(files[clip_id])) for clip_id in sorted(files)])
        return self.kinds_named(classifier, images)

    # --------------------------------------------------------------------------------------------- writing

    def ship(self, name: str, network: nn.Module, figures: Figures) -> None:
        """Write a network's weights in half precision, unless they are there and it was not asked for."""
        file = WEIGHTS / f"{name}.safetensors"
        if self.only in (None, name) or not file.exists():
            write_bytes(file, save(half(network.state_dict())))
        self.record(name, figures)

    def record(self, name: str, figures: Figures) -> None:
        """Keep the figures for the card, renew the hashes, and stop at a figure below its floor."""
        write_sums()
        if not figures:
            return
        write_text(self.work / f"{name}.figures.json", json.dumps(figures))
        for what, (figure, floor) in figures.items():
            print(f"{name}: {what} {figure:.4f} (floor {floor})", flush=True)  # noqa: T201
            if figure < floor:
                raise SystemExit(f"{name} misses its floor: {what} is {figure:.4f}, wanted {floor}.")

    def card(self) -> str:
        """The model card: sizes, and the figures with their floors."""
        lines = [
            "# The weights of the mini suite",
            "",
            "Made by `python -m a2ibench.suites.mini.build` from seeds; MIT licence. They know only the mini world.",
            "Figures are of the validation split (480 scenes), which no network saw; the build stops at a floor.",
            "",
            "| network | file | KB | figure | measured | floor |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for name in NETS:
            path = WEIGHTS / name if (WEIGHTS / name).is_dir() else WEIGHTS / f"{name}.safetensors"
            files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
            size = sum(f.stat().st_size for f in files) // 1000
            kept = self.work / f"{name}.figures.json"
            figures = json.loads(kept.read_text()) if kept.exists() else {}
            for what, (figure, floor) in (figures or {"(scored by `a2ibench eval`)": (None, None)}).items():
                shown = ("", "") if figure is None else (f"{figure:.3f}", f"{floor:g}")
                lines.append(f"| {name} | {path.name} | {size} | {what} | {shown[0]} | {shown[1]} |")
        return "\n".join(lines) + "\n"


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy a state dict in half precision, a tensor that stands under several names only once."""
    seen: set[int] = set()
    kept = {}
    for key, tensor in state.items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            kept[key] = (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
    return kept


def write_sums() -> None:
    """Write ``SHA256SUMS`` over all files of the weights folder."""
    files = [f for f in sorted(WEIGHTS.rglob("*")) if f.is_file() and f.name not in ("SHA256SUMS", "CARD.md")]
    for file in files:
        file.chmod(0o644)  # diffusers' are private to who built them
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(WEIGHTS).as_posix()}\n" for f in files]
    write_text(WEIGHTS / "SHA256SUMS", "".join(lines))


def _printed(name: str, total: int) -> Callable[..., None]:
    """Show a stage's progress as fifty lines."""
    done = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal done
        before, done = done, done + count
        if done * 50 // max(1, total) > before * 50 // max(1, total):
            print(f"{name} {done}/{total} {note}", flush=True)  # noqa: T201

    return advance


def _accuracy(logits: Tensor, bank: Bank) -> float:
    return float((logits.argmax(1).numpy() == bank.kinds[: len(logits)]).mean())


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(prog="python -m a2ibench.suites.mini.build", description=__doc__)
    parser.add_argument("--only", choices=NETS, help="make only this network, again")
    parser.add_argument("--work", type=Path, default=cache_dir() / "mini-build", help="checkpoints, logs, banks")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    Build(arguments.work, arguments.only).run()


if __name__ == "__main__":
    main()
