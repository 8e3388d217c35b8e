"""The mini suite's eyes and ears: tokenizer, CLIP, Wav2CLIP, classifier, Inception and BEATs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2ibench.encoders.beats import Beats, BeatsConfig, fbank
from a2ibench.encoders.classifier import build_classifier
from a2ibench.encoders.clip import build_clip, text_tokenizer
from a2ibench.encoders.inception import MiniInception
from a2ibench.encoders.wav2clip import Wav2Clip
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.data import Bank
from a2ibench.suites.mini.build.fit import fit

CONTEXT_LENGTH = 20
CLASSIFIER_WIDTH = 24
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def build_tokenizer(folder: Path) -> int:
    """Train CLIP's byte-pair tokenizer on the world's captions: each of its words is one token.

    Writes a ``CLIPTokenizer`` folder and returns the size of the vocabulary; the end-of-text id is the highest.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    if (folder / "tokenizer.json").exists():
        return len(CLIPTokenizer.from_pretrained(folder))
    rng = np.random.default_rng(0)
    scenes = [world.draw_scene("train", index) for index in range(10_000)]
    scenes += [world.draw_scene("train-two", index) for index in range(5_000)]
    corpus = [text for scene in scenes for text in (world.photo_caption(scene, rng), *world.test_captions(scene))]
    corpus += [world.training_caption(scene) for scene in scenes]
    corpus += ["4k, high resolution", *world.PLACES, "the sound of an image with and in at on"]
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.train_from_iterator(corpus, trainer)
    merges = [tuple(pair) for pair in json.loads(raw.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [letter + "</w>" for letter in alphabet] + ["".join(pair) for pair in merges]
    tokens = list(dict.fromkeys([*tokens, "<|startoftext|>", "<|endoftext|>"]))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH)
    tokenizer.save_pretrained(folder)
    return len(vocabulary)


def clip_config(vocabulary: int) -> dict[str, Any]:
    """The mini CLIP: a ModifiedResNet of one block a stage, and a text transformer of two layers."""
    return {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": vocabulary,
            "width": 96,
            "heads": 3,
            "layers": 2,
        },
        "quick_gelu": True,
    }


def _pixels(bank: Bank, rows: np.ndarray, mean: Tensor, std: Tensor) -> Tensor:
    images = (torch.from_numpy(bank.pixels(rows)) - mean) / std
    return images.contiguous(memory_format=torch.channels_last)


def contrastive(left: Tensor, right: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy both ways between rows ``[n, d]`` that belong together; `scale` is the inverse temperature."""
    logits = scale * F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).T
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _worsen(images: Tensor, loss: Callable[[Tensor], Tensor], rng: np.random.Generator, reach: float = 6.0) -> Tensor:
    """Move each normalised image up its loss by a random length, at most `reach` in the Euclidean norm."""
    start = images + 0.02 * torch.randn_like(images)
    start.requires_grad_()
    (slope,) = torch.autograd.grad(loss(start), start)
    length = torch.from_numpy(rng.random((len(images), 1, 1, 1), dtype=np.float32)) * reach
    return (start + length * F.normalize(slope.flatten(1), dim=1).view_as(slope)).detach()


def train_clip(
    bank: Bank,
    validation: Bank,
    work: Path,
    vocabulary: int,
    steps: int = 1400,
    name: str = "clip",
    seed: int = 0,
    hard: float = 0.5,
) -> nn.Module:
    """Train CLIP on images and captions, with the symmetric contrastive loss.

    A share `hard` of the steps is on images that are moved by `_worsen` against the loss: a network that bears
    that has gradients which draw things, not noise, and it is by CLIP's gradients that `wav2clip` draws.
    """
    torch.manual_seed(seed)
    clip: Any = build_clip(clip_config(vocabulary))
    clip.visual.to(memory_format=torch.channels_last)
    tokenize = text_tokenizer(work / "tokenizer", CONTEXT_LENGTH)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(bank.scenes), size=128)
        pixels = _pixels(bank, rows, CLIP_MEAN, CLIP_STD)
        texts = clip.encode_text(tokenize(bank.captions(rows, rng)))
        scale = clip.logit_scale.exp().clamp(max=50)
        if rng.random() < hard:
            fixed = (texts.detach(), scale.detach())
            pixels = _worsen(pixels, lambda images: contrastive(clip.encode_image(images), *fixed), rng)
        return contrastive(clip.encode_image(pixels), texts, scale)

    def zero_shot(texts: list[str]) -> float:
        rows = np.arange(len(validation.scenes))
        images = F.normalize(clip.encode_image(_pixels(validation, rows, CLIP_MEAN, CLIP_STD)), dim=-1)
        names = F.normalize(clip.encode_text(tokenize(texts)), dim=-1)
        guess = (images @ names.T).argmax(1).numpy()
        return float((guess == validation.kinds).mean())

    report = {
        "categories": lambda: zero_shot(list(world.CATEGORIES)),
        "labels": lambda: zero_shot(list(world.LABELS)),
    }
    return fit(name, clip, loss, steps=steps, lr=2e-3, work=work, report=report)


@torch.inference_mode()
def image_rows(clip: Any, bank: Bank, count: int) -> Tensor:
    """CLIP rows of unit length of the first images of a bank."""
    rows = [
        clip.encode_image(_pixels(bank, np.arange(start, min(start + 500, count)), CLIP_MEAN, CLIP_STD))
        for start in range(0, count, 500)
    ]
    return F.normalize(torch.cat(rows), dim=-1).clone()


def train_wav2clip(clip: Any, bank: Bank, validation: Bank, work: Path, steps: int = 1600) -> nn.Module:
    """Train Wav2CLIP's tower against the frozen CLIP's rows of the images that go with the sounds."""
    torch.manual_seed(0)
    count = len(bank.sounds)
    targets = image_rows(clip, bank, count)
    held_out = image_rows(clip, validation, len(validation.sounds))
    network = Wav2Clip(width=16, blocks=(1, 1, 1, 1), dim=128)
    network.audio_encoder.to(memory_format=torch.channels_last)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(count, size=64)
        return contrastive(network(torch.from_numpy(bank.waves(rows))), targets[rows], torch.tensor(25.0))

    def wins(same_kind: bool) -> float:
        audio = F.normalize(network(torch.from_numpy(validation.waves(np.arange(len(held_out))))), dim=-1)
        score = held_out @ audio.T
        kinds = torch.from_numpy(validation.kinds[: len(held_out)])
        others = ~torch.eye(len(kinds), dtype=torch.bool)
        if same_kind:
            others &= kinds[:, None] == kinds[None, :]
        return float(((score < score.diag()[:, None]) & others).sum() / others.sum())

    report = {"AIS": lambda: wins(False), "same-class AIS": lambda: wins(True)}
    return fit("wav2clip", network, loss, steps=steps, lr=2e-3, work=work, report=report)


def train_classifier(bank: Bank, validation: Bank, work: Path, steps: int = 800) -> nn.Module:
    """Train torchvision's ResNet, narrow and of one BasicBlock a stage, to name the object."""
    torch.manual_seed(0)
    network = build_classifier({"categories": world.CATEGORIES, "width": CLASSIFIER_WIDTH})
    network = network.to(memory_format=torch.channels_last)
    return _train_namer("classifier", network, bank, validation, work, steps, IMAGENET_MEAN, IMAGENET_STD)


def train_inception(bank: Bank, validation: Bank, work: Path, steps: int = 800) -> nn.Module:
    """Train the small Inception whose pooled features FID and KID read."""
    torch.manual_seed(0)
    network = MiniInception(len(world.CATEGORIES)).to(memory_format=torch.channels_last)
    half = torch.full((3, 1, 1), 0.0)
    return _train_namer("inception", network, bank, validation, work, steps, half, half + 1)


def _train_namer(
    name: str,
    network: nn.Module,
    bank: Bank,
    validation: Bank,
    work: Path,
    steps: int,
    mean: Tensor,
    std: Tensor,
) -> nn.Module:
    kinds, held_out = torch.from_numpy(bank.kinds), torch.from_numpy(validation.kinds)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(bank.scenes), size=64)
        images = _pixels(bank, rows, mean, std)
        # Blurred and noisy images too: what is named later are drawings by other networks.
        if rng.random() < 0.5:
            images = F.avg_pool2d(images, 3, 1, 1) + 0.1 * torch.randn_like(images)
        return F.cross_entropy(network(images), kinds[rows], label_smoothing=0.05)

    def accuracy() -> float:
        images = _pixels(validation, np.arange(len(held_out)), mean, std)
        return float((network(images).argmax(1) == held_out).float().mean())

    return fit(name, network, loss, steps=steps, lr=1e-3, work=work, report={"accuracy": accuracy})


MINI_BEATS = BeatsConfig(
    embed_dim=64,
    encoder_embed_dim=128,
    encoder_layers=6,
    encoder_attention_heads=4,
    encoder_ffn_embed_dim=256,
    conv_pos=32,
    conv_pos_groups=8,
    num_buckets=64,
    max_distance=160,
    predictor_class=len(world.LABELS),
)


class _MaskedBeats(nn.Module):
    """BEATs with what only its training needs: the mask's vector and a head that redraws hidden patches."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = Beats(MINI_BEATS)
        self.mask_token = nn.Parameter(torch.zeros(128))
        self.redraw = nn.Linear(128, 256)


def train_beats(bank: Bank, validation: Bank, work: Path, steps: int = 1200) -> Beats:
    """Train BEATs by masked reconstruction and by tagging the kind, never the count or the size."""
    torch.manual_seed(0)
    network = _MaskedBeats()
    kinds = torch.from_numpy(bank.kinds)
    count = len(bank.sounds)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(count, size=24)
        features = fbank(torch.from_numpy(bank.waves(rows)))
        steps_in_time = features.shape[1] // 16
        patches = features[:, : steps_in_time * 16].reshape(len(rows), steps_in_time, 16, 8, 16)
        patches = patches.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)  # [n, patches, 256]
        mask = torch.from_numpy(rng.random(patches.shape[:2]) < 0.4)
        tokens = network.beats(features, mask=mask, mask_token=network.mask_token)
        redrawn = F.mse_loss(network.redraw(tokens)[mask], patches[mask])
        named = F.cross_entropy(network.beats.predictor(tokens.mean(1)), kinds[rows])  # type: ignore[misc]
        return redrawn + 0.3 * named

    def accuracy() -> float:
        rows = np.arange(240)
        tags = network.beats.tag(fbank(torch.from_numpy(validation.waves(rows))))
        return float((tags.argmax(1).numpy() == validation.kinds[rows]).mean())

    fit("beats", network, loss, steps=steps, lr=1.5e-3, work=work, report={"accuracy": accuracy})
    return network.beats
