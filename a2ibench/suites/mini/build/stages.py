"""The networks of the mini suite in the order in which they need each other: train, measure, write."""

import json
import shutil
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from a2ibench.files import write_text
from a2ibench.suites.mini.build import measure, perception, stable_diffusion, weights
from a2ibench.suites.mini.build.data import Bank, load_bank
from a2ibench.suites.mini.build.measure import Figures

IMAGES, SOUNDS, HELD_OUT = 30_000, 12_000, 480
NETS = (
    "classifier", "clip", "wav2clip", "beats", "inception", "vqgan", "stable-diffusion", "audiotoken",
    "audiotoken-cl", "imagebind", "unclip",
)  # fmt: skip
_KEPT = {
    "stable-diffusion": ("vae", "train-latents", "validation-latents", "denoiser"),
    "imagebind": ("image-space", "imagebind"),
}
"""What a network leaves in the work folder, where that is more than its own name says."""


class Build:
    """One build: the training and validation banks, and the networks as they come."""

    def __init__(self, work: Path, only: str | None):
        self.work, self.only = work, only
        work.mkdir(parents=True, exist_ok=True)
        if only:
            for stale in _KEPT.get(only, (only,)):
                (work / f"{stale}.pt").unlink(missing_ok=True)
                (work / f"{stale}.state.pt").unlink(missing_ok=True)
                shutil.rmtree(work / stale, ignore_errors=True)
        self.bank = load_bank(work, "train", IMAGES, SOUNDS)
        self.held_out = load_bank(work, "validation", HELD_OUT, HELD_OUT)
        self.vocabulary = perception.build_tokenizer(work / "tokenizer")
        self.missed: list[str] = []

    def run(self, until: str | None = None) -> list[str]:
        """Make all networks that are not there yet; returns the floors that are missed."""
        for name in NETS:
            if self.only in (None, name):
                getattr(self, "make_" + name.replace("-", "_"))()
                weights.write_sums()
                weights.write_card(self.work, NETS)
            if name == until:
                break
        return self.missed

    # Networks that later ones need; each is read from the work folder where it was made before.

    @cached_property
    def clip(self) -> Any:
        """The suite's CLIP."""
        return perception.train_clip(self.bank, self.held_out, self.work, self.vocabulary)

    @cached_property
    def classifier(self) -> nn.Module:
        """The classifier of AIC, that also judges here."""
        return perception.train_classifier(self.bank, self.held_out, self.work)

    @cached_property
    def vae(self) -> Any:
        """The autoencoder that Stable Diffusion and unCLIP share."""
        return stable_diffusion.train_autoencoder(self.bank, self.held_out, self.work)

    def make_clip(self) -> None:
        """CLIP."""
        self.ship("clip", self.clip)
        self.record("clip", measure.clip(self.clip, self.held_out, self.work / "tokenizer"))

    def make_wav2clip(self) -> None:
        """Wav2CLIP, against CLIP."""
        ears = perception.train_wav2clip(self.clip, self.bank, self.held_out, self.work)
        self.ship("wav2clip", ears)
        self.record("wav2clip", measure.wav2clip(self.clip, ears, self.held_out))

    def make_classifier(self) -> None:
        """The classifier."""
        self.ship("classifier", self.classifier)
        named = measure.kinds_named(self.classifier, self.held_out.images, self.held_out)
        self.record("classifier", {"accuracy": (named, 0.97)})

    def make_inception(self) -> None:
        """The small Inception of FID."""
        network = perception.train_inception(self.bank, self.held_out, self.work)
        self.ship("inception", network)
        self.record("inception", measure.inception(network, self.held_out))

    def make_beats(self) -> None:
        """BEATs."""
        network = perception.train_beats(self.bank, self.held_out, self.work)
        self.ship("beats", network)
        self.record("beats", measure.tagging(network, self.held_out))

    def make_vqgan(self) -> None:
        """VQGAN."""
        from a2ibench.suites.mini.build import vqgan

        network = vqgan.train_vqgan(self.bank, self.held_out, self.work, self.classifier)
        self.ship("vqgan", network)
        decoded = measure.reconstructions(lambda x: vqgan.reconstruct(network, x)[0], self.classifier, self.held_out)
        self.record(
            "vqgan", {"PSNR (dB)": (decoded[0], 18.0), "kinds recognised in reconstructions": (decoded[1], 0.9)}
        )

    def make_stable_diffusion(self) -> None:
        """The autoencoder, the denoiser and the text encoder, as a pipeline."""
        vae = self.vae
        decoded = measure.reconstructions(
            lambda x: vae.decode(vae.encode(x).latent_dist.mode()).sample, self.classifier, self.held_out
        )
        figures: Figures = {
            "autoencoder PSNR (dB)": (decoded[0], 25.0),
            "kinds recognised in reconstructions": (decoded[1], 0.95),
        }
        print(figures, flush=True)  # noqa: T201
        network = stable_diffusion.train_denoiser(vae, self.bank, self.held_out, self.work, self.vocabulary)
        deviation = float(stable_diffusion.encode_latents(vae, self.bank, self.work / "train-latents.pt")[0].std())
        folder = weights.WEIGHTS / "stable-diffusion"
        if self.only or not folder.exists():
            stable_diffusion.save_pipeline(vae, network, self.work, deviation, folder)
        from a2ibench.suites.mini.build import generators

        named = generators.right_kinds_told(self.held_out, self.classifier, self.work)
        self.record("stable-diffusion", figures | {"right kind, full caption": (named, 0.90)})

    def make_audiotoken(self, name: str = "audiotoken") -> None:
        """AudioToken's embedder, with the trainer that users have."""
        from a2ibench.suites.mini.build import generators

        began = time.time()
        generators.train_audiotoken(name, self.work, lambda_cl=0.01 if name.endswith("-cl") else 0.0)
        if time.time() - began > 30:
            write_text(self.work / f"{name}.seconds", f"{time.time() - began:.0f}\n")
        named = generators.right_kinds_heard("audiotoken", name, self.held_out, self.classifier, self.work)
        self.record(name, {"right kind": (named, 0.85)})

    def make_audiotoken_cl(self) -> None:
        """The same with the classification loss."""
        self.make_audiotoken("audiotoken-cl")

    def make_imagebind(self) -> None:
        """The image space, and ImageBind's audio tower in it."""
        from a2ibench.suites.mini.build import unclip

        space = unclip.train_image_space(self.bank, self.held_out, self.work, self.vocabulary)
        tower = unclip.train_tower(space, self.bank, self.held_out, self.work)
        self.ship("imagebind", tower)
        self.record("imagebind", {"win rate of sounds on images": (unclip.win_rate(tower, space, self.held_out), 0.95)})

    def make_unclip(self) -> None:
        """The unCLIP that draws from the image space."""
        from a2ibench.baselines.stable_diffusion import StableDiffusion
        from a2ibench.suites.mini.build import generators, unclip

        space = unclip.train_image_space(self.bank, self.held_out, self.work, self.vocabulary)
        diffusion = StableDiffusion(weights.WEIGHTS / "stable-diffusion")
        with torch.no_grad():
            empty = diffusion.embed_prompts([""])
        network = unclip.train_unclip(space, diffusion.pipeline.vae, empty, self.bank, self.held_out, self.work)
        embeddings = unclip.image_embeddings(space, self.bank, len(self.bank.scenes))
        folder = weights.WEIGHTS / "unclip"
        if self.only or not folder.exists():
            unclip.save_unclip(network, embeddings, folder)
        named = generators.right_kinds_heard("imagebind", "imagebind", self.held_out, self.classifier, self.work)
        self.record("unclip", {"right kind, heard": (named, 0.80)})

    def ship(self, name: str, network: nn.Module) -> None:
        """Write a network's weights, unless they are there and it was not asked for."""
        file = weights.WEIGHTS / f"{name}.safetensors"
        if self.only == name or not file.exists():
            weights.write_half(file, network.state_dict())

    def record(self, name: str, figures: Figures) -> None:
        """Keep the figures for the card, and the floors that are missed."""
        write_text(self.work / f"{name}.figures.json", json.dumps(figures))
        for what, (figure, floor) in figures.items():
            print(f"{name}: {what} {figure:.4f} (floor {floor})", flush=True)  # noqa: T201
            if figure < floor:
                self.missed.append(f"{name}: {what} is {figure:.4f}, wanted {floor}")


__all__ = ["NETS", "Bank", "Build"]
