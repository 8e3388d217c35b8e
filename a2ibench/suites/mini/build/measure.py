"""What the build measures on the validation split, which no network has seen: figures with their floors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from a2ibench.encoders.beats import fbank
from a2ibench.encoders.clip import text_tokenizer
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build import perception
from a2ibench.suites.mini.build.data import Bank

Figures = dict[str, tuple[float, float]]
"""Name → (figure, floor)."""


def accuracy(logits: Tensor, bank: Bank) -> float:
    """Share of rows ``[n, kinds]`` whose highest is the kind of the bank's scene."""
    return float((logits.argmax(1).numpy() == bank.kinds[: len(logits)]).mean())


@torch.inference_mode()
def clip(network: Any, bank: Bank, tokenizer: Path) -> Figures:
    """Zero-shot accuracy with the bare categories and labels."""
    tokenize = text_tokenizer(tokenizer, perception.CONTEXT_LENGTH)
    images = perception.image_rows(network, bank, len(bank.scenes))
    figures: Figures = {}
    for name, texts in (("categories", world.CATEGORIES), ("labels", world.LABELS)):
        rows = nn.functional.normalize(network.encode_text(tokenize(list(texts))), dim=-1)
        figures[f"zero-shot accuracy, {name}"] = (accuracy(images @ rows.T, bank), 0.97)
    return figures


@torch.inference_mode()
def wav2clip(network: Any, ears: Any, bank: Bank) -> Figures:
    """AIS of the real images, in all and within the class."""
    count = len(bank.sounds)
    images = perception.image_rows(network, bank, count)
    scores = images @ nn.functional.normalize(_in_parts(ears, bank.waves, count), dim=-1).T
    kinds = torch.from_numpy(bank.kinds[:count])
    others = ~torch.eye(count, dtype=torch.bool)
    same = others & (kinds[:, None] == kinds)
    won = scores < scores.diag()[:, None]
    return {
        "AIS of real images": (100 * float(won[others].float().mean()), 98.0),
        "same-class AIS of real images": (100 * float(won[same].float().mean()), 88.0),
    }


@torch.inference_mode()
def tagging(beats: Any, bank: Bank) -> Figures:
    """How often BEATs tags the right kind, and the kinds that sound alike among themselves."""
    count = len(bank.sounds)
    tags = _in_parts(lambda waves: beats.tag(fbank(waves)), bank.waves, count)
    right = (tags.argmax(1).numpy() == bank.kinds[:count])[np.isin(bank.kinds[:count], (7, 8))]
    return {"tagging accuracy": (accuracy(tags, bank), 0.95), "of train and ship": (float(right.mean()), 0.85)}


@torch.inference_mode()
def inception(network: nn.Module, bank: Bank) -> Figures:
    """How often the small Inception names the kind."""
    return {"accuracy": (accuracy(_in_parts(network, bank.pixels, len(bank.scenes)), bank), 0.97)}


@torch.inference_mode()
def kinds_named(classifier: nn.Module, images: np.ndarray, bank: Bank) -> float:
    """Share of images ``uint8 [n, 64, 64, 3]`` in which the classifier sees the kind of the bank's scene."""
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    return accuracy(classifier((pixels - perception.IMAGENET_MEAN) / perception.IMAGENET_STD), bank)


@torch.inference_mode()
def reconstructions(decode: Any, classifier: nn.Module, bank: Bank) -> tuple[float, float]:
    """Give the mean PSNR in dB of decoded validation images, and the share whose kind is still named.

    ``decode`` takes and gives images ``[n, 3, 64, 64]`` in [-1, 1].
    """
    target = torch.from_numpy(bank.pixels(np.arange(len(bank.scenes)))) * 2 - 1
    decoded = torch.cat([decode(target[start : start + 48]) for start in range(0, len(target), 48)]).clamp(-1, 1)
    psnr = float(-10 * torch.log10((((decoded - target) / 2) ** 2).mean((1, 2, 3))).mean())
    images = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return psnr, kinds_named(classifier, images, bank)


def array(images: Sequence[Image.Image]) -> np.ndarray:
    """Stack pictures: ``uint8 [n, h, w, 3]``."""
    return np.stack([np.asarray(image) for image in images])


def sheet(images: np.ndarray, file: Path, across: int = 16) -> None:
    """Save pictures as one, to be looked at."""
    rows = [np.concatenate(images[start : start + across], 1) for start in range(0, len(images) - across + 1, across)]
    Image.fromarray(np.concatenate(rows)).save(file)


def _in_parts(network: Any, rows: Any, count: int) -> Tensor:
    return torch.cat(
        [network(torch.from_numpy(rows(np.arange(start, min(start + 48, count))))) for start in range(0, count, 48)]
    )
