"""The frozen networks of text to audio on the mini world: CLAP, T5, AudioMAE and the autoencoder, from seeds.

They know the balanced splits (``train``, ``train-two``), as published ones know far more than AudioCaps; the generator
alone sees the long tail. Each is saved with the class that reads its published weights.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from a2ibench.baselines.re_audioldm.mel import MelConfig, log_mel
from a2ibench.baselines.re_audioldm.parts import Patches, build_audiomae
from a2ibench.files import write_bytes, write_text
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.data import load_scenes, load_sounds
from a2ibench.suites.mini.build.fit import fit

ONE, TWO, HELD = 5000, 3000, 120
LENGTH = 40
MEL = {"rate": 16_000, "window": 1024, "hop": 320, "bands": 64, "frames": 160, "seconds": 3.0}
PATCH, COMPONENTS = (4, 8), 16
MAE: dict[str, Any] = {
    "img_size": [160, 64], "patch_size": 16, "embed_dim": 96, "depth": 3, "num_heads": 4, "pool": 2,
    "hears": "mel", "mean": -6.0, "deviation": 1.5, "mel": MEL,
}  # fmt: skip
STEPS = {"clap": 3000, "t5": 1500, "audiomae": 4000}
_SPECIAL = ("<pad>", "<s>", "</s>", "<mask>")


class Pool:
    """The scenes and sounds of the balanced splits, with the captions that they may have."""

    def __init__(self, work: Path, one: int = ONE, two: int = TWO, held: int = HELD):
        self.work, self.held = work, held
        self.scenes = load_scenes("train", one) + load_scenes("train-two", two)
        self.tests = load_scenes("validation", held) + load_scenes("validation-two", held)
        self._sounds = (load_sounds(work, "train", one), load_sounds(work, "train-two", two))
        self._held = (load_sounds(work, "validation", held), load_sounds(work, "validation-two", held))

    def waves(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Give sounds ``[n, 48000]`` of the training scenes."""
        return self._wave(self._sounds, rows)

    def test_waves(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Give sounds of the validation scenes."""
        return self._wave(self._held, rows)

    @staticmethod
    def _wave(parts: Sequence[NDArray[np.int16]], rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        first = len(parts[0])
        found = [parts[0][row] if row < first else parts[1][row - first] for row in rows]
        return np.stack(found).astype(np.float32) / np.float32(32767)


def captions(scene: world.Scene) -> tuple[str, ...]:
    """All the ways in which a scene is told: the training caption first."""
    return (world.training_caption(scene), *world.test_captions(scene))


def make_tokenizer(pool: Pool, folder: Path) -> Any:
    """Train the tokenizer of CLAP and T5 on the world's captions: bytes, merged to its words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if not (folder / "tokenizer.json").exists():
        raw = Tokenizer(models.BPE())
        raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        raw.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=list(_SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        raw.train_from_iterator((text for scene in pool.scenes for text in captions(scene)), trainer)
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>", mask_token="<mask>",  # noqa: S106
            model_max_length=LENGTH,
        )  # fmt: skip
        tokenizer.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def told(tokenizer: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask of captions, filled up to one length."""
    found = tokenizer(list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    return found["input_ids"], found["attention_mask"]


# ------------------------------------------------------------------------------------------------- CLAP


def build_clap(vocabulary: int) -> Any:
    """Build a small CLAP: half a million numbers, a Swin over 128 × 128 spectrograms and a text tower of two layers."""
    from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

    text = ClapTextConfig(
        vocab_size=vocabulary, hidden_size=96, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192,
        max_position_embeddings=LENGTH + 4, pad_token_id=0, bos_token_id=1, eos_token_id=2, projection_dim=64,
    )  # fmt: skip
    audio = ClapAudioConfig(
        num_mel_bins=64, spec_size=128, patch_size=8, patch_stride=[8, 8], window_size=8, depths=[2, 2],
        num_attention_heads=[2, 4], patch_embeds_hidden_size=48, hidden_size=96, projection_dim=64, num_hidden_layers=2,
        enable_fusion=False, drop_path_rate=0.0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    torch.manual_seed(1)
    return ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=64))


def ears() -> Any:
    """How the small CLAP hears: three seconds at 16 kHz, 64 bands."""
    from transformers import ClapFeatureExtractor

    return ClapFeatureExtractor(
        feature_size=64, sampling_rate=16_000, hop_length=250, max_length_s=3, fft_window_size=1024, frequency_min=50,
        frequency_max=8000, truncation="rand_trunc", padding="repeatpad",
    )  # fmt: skip


def _features(pool: Pool, work: Path, test: bool) -> NDArray[np.float16]:
    """What CLAP sees of every sound, computed once: ``[n, 1, frames, 64]``."""
    scenes, waves = (pool.tests, pool.test_waves) if test else (pool.scenes, pool.waves)
    file = work / f"clap-{'validation' if test else 'train'}-{len(scenes)}.npy"
    if not file.exists():
        hear, found = ears(), []
        for start in range(0, len(scenes), 64):
            rows = np.arange(start, min(start + 64, len(scenes)))
            seen = hear(list(waves(rows)), sampling_rate=16_000, return_tensors="np")["input_features"]
            found.append(seen.astype(np.float16))
        part = file.with_suffix(".part.npy")
        np.save(part, np.concatenate(found))
        part.replace(file)
    kept: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return kept


def _shift(seen: Tensor, rng: np.random.Generator) -> Tensor:
    """Louder or quieter: all that may differ without another caption."""
    return seen + torch.from_numpy(rng.uniform(-4, 4, size=(len(seen), 1, 1, 1)).astype(np.float32))


def train_clap(pool: Pool, work: Path, folder: Path, steps: int = STEPS["clap"]) -> Any:
    """Train CLAP by contrast, 64 pairs a step, and save it."""
    tokenizer = make_tokenizer(pool, work / "tokenizer")
    network = build_clap(len(tokenizer))
    seen = _features(pool, work, test=False)
    ways = [captions(scene) for scene in pool.scenes]

    def loss(rng: np.random.Generator) -> Tensor:
        rows = np.sort(rng.choice(len(ways), size=min(64, len(ways)), replace=False))
        ids, mask = told(tokenizer, [ways[row][rng.integers(6)] for row in rows])
        sounds = _shift(torch.from_numpy(seen[rows].astype(np.float32)), rng)
        heard = F.normalize(network.get_audio_features(sounds).pooler_output, dim=-1)
        read = F.normalize(network.get_text_features(ids, mask).pooler_output, dim=-1)
        scores = network.logit_scale_a.exp().clamp(max=100) * read @ heard.T
        target = torch.arange(len(rows))
        return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2

    report = {"R@1 of 240": lambda: recall(network, tokenizer, pool, work)}
    fit("clap", network, loss, steps=steps, lr=1.5e-3, work=work, report=report)
    if not (folder / "config.json").exists():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        ears().save_pretrained(folder)
    return network


@torch.inference_mode()
def recall(network: Any, tokenizer: Any, pool: Pool, work: Path) -> float:
    """How often the first test caption finds its own among 240 sounds of one and two kinds."""
    rows = np.concatenate([np.arange(120), pool.held + np.arange(120)]) % len(pool.tests)
    seen = torch.from_numpy(_features(pool, work, test=True)[rows].astype(np.float32))
    ids, mask = told(tokenizer, [captions(pool.tests[row])[1] for row in rows])
    read = F.normalize(network.get_text_features(ids, mask).pooler_output, dim=-1)
    heard = F.normalize(network.get_audio_features(seen).pooler_output, dim=-1)
    return float(((read @ heard.T).argmax(1) == torch.arange(len(rows))).float().mean())


# --------------------------------------------------------------------------------------------------- T5


def train_t5(pool: Pool, work: Path, folder: Path, steps: int = STEPS["t5"]) -> None:
    """Train a small T5 to give captions back of which words are hidden, and save its encoder."""
    from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

    tokenizer = make_tokenizer(pool, work / "tokenizer")
    config = T5Config(
        vocab_size=len(tokenizer), d_model=96, d_kv=24, d_ff=192, num_layers=2, num_decoder_layers=1, num_heads=4,
        dropout_rate=0.0, pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
    )  # fmt: skip
    torch.manual_seed(2)
    network = T5ForConditionalGeneration(config)
    ways = [captions(scene) for scene in pool.scenes]

    def loss(rng: np.random.Generator) -> Tensor:
        rows = rng.integers(len(ways), size=64)
        ids, mask = told(tokenizer, [ways[row][rng.integers(6)] for row in rows])
        hidden = torch.from_numpy(rng.random(ids.shape) < 0.3) & (ids > 2)
        given = torch.where(hidden, torch.tensor(3), ids)
        labels = torch.where(mask.bool(), ids, torch.tensor(-100))
        return network(input_ids=given, attention_mask=mask, labels=labels).loss  # type: ignore[no-any-return]

    fit("t5", network, loss, steps=steps, lr=2e-3, work=work)
    if not (folder / "config.json").exists():
        encoder = T5EncoderModel(config)
        encoder.load_state_dict(network.state_dict(), strict=False)
        encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


# --------------------------------------------------------------------------------------------- AudioMAE


class Masked(nn.Module):
    """A masked autoencoder: a ViT that sees a third of the patches, and a layer that gives back the others."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        torch.manual_seed(3)
        self.encoder: Any = build_audiomae(config)
        width, self.size = config["embed_dim"], config["patch_size"]
        places = (config["img_size"][0] // self.size) * (config["img_size"][1] // self.size)
        self.hidden = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.decoder = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.out = nn.Linear(width, self.size**2)

    def forward(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """The error on hidden patches."""
        count = len(self.places)
        keep = torch.from_numpy(np.argsort(rng.random((len(images), count)), 1)[:, : round(0.35 * count)].copy())
        network = self.encoder
        patches = network.patch_embed(images) + network.pos_embed[:, 1:]
        seen = patches.gather(1, keep[..., None].expand(-1, -1, patches.shape[2]))
        first = (network.cls_token + network.pos_embed[:, :1]).expand(len(images), -1, -1)
        read = network.norm(network.blocks(torch.cat([first, seen], 1)))[:, 1:]
        whole = self.hidden.expand(len(images), count, -1).scatter(1, keep[..., None].expand_as(read), read)
        guessed = self.out(self.decoder(whole + self.places))
        size = self.size
        number, _, frames, bands = images.shape
        cut = images.reshape(number, frames // size, size, bands // size, size)
        real = cut.permute(0, 1, 3, 2, 4).flatten(1, 2)
        wrong = (guessed - real.flatten(2)).square().mean(2)
        found: Tensor = wrong.scatter(1, keep, 0.0).sum() / (count * len(images) - keep.numel())
        return found


def train_audiomae(pool: Pool, work: Path, folder: Path, steps: int = STEPS["audiomae"]) -> None:
    """Train AudioMAE on the balanced sounds, and save its encoder."""
    mels = all_mels(pool, work)
    network = Masked(MAE)

    def loss(rng: np.random.Generator) -> Tensor:
        rows = np.sort(rng.integers(len(mels), size=64))
        seen = (torch.from_numpy(mels[rows].astype(np.float32)) - MAE["mean"]) / (2 * MAE["deviation"])
        return network(seen[:, None], rng)  # type: ignore[no-any-return]

    fit("audiomae", network, loss, steps=steps, lr=1e-3, work=work)
    if not (folder / "audiomae.json").exists():
        write_bytes(folder / "model.safetensors", save(network.encoder.state_dict()))
        write_text(folder / "audiomae.json", json.dumps(MAE))


def all_mels(pool: Pool, work: Path) -> NDArray[np.float16]:
    """The spectrogram of every sound, computed once: ``[n, frames, bands]``."""
    file, config = work / f"mels-{len(pool.scenes)}.npy", MelConfig(**MEL)  # type: ignore[arg-type]
    if not file.exists():
        part = file.with_suffix(".part.npy")
        starts = range(0, len(pool.scenes), 64)
        rows = (np.arange(start, min(start + 64, len(pool.scenes))) for start in starts)
        np.save(part, np.concatenate([log_mel(pool.waves(some), config).numpy().astype(np.float16) for some in rows]))
        part.replace(file)
    kept: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return kept


# ------------------------------------------------------------------------------------------- autoencoder


def fit_patches(pool: Pool, work: Path, folder: Path) -> float:
    """Fit the principal components of patches of spectrograms, and save them; gives their share of the variance."""
    if (folder / "mel.json").exists():
        return float(json.loads((folder / "patches.json").read_text())["variance"])
    mels = all_mels(pool, work)
    network = Patches(*PATCH, PATCH[0] * PATCH[1])
    network.basis = torch.eye(PATCH[0] * PATCH[1])
    some = np.linspace(0, len(mels) - 1, min(2000, len(mels))).astype(int)
    patches = torch.cat(
        [network.encode(torch.from_numpy(mels[part].astype(np.float32))).permute(0, 2, 3, 1).flatten(0, 2)
         for part in np.array_split(some, max(1, len(some) // 100))]
    ).double()  # fmt: skip
    centred = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    values, vectors = values.flip(0), vectors.flip(1)
    kept = vectors[:, :COMPONENTS].T
    kept = kept * kept.sum(1, keepdim=True).sign()
    deviation = values[:COMPONENTS].sqrt()
    state = {"mean": patches.mean(0).float(), "basis": kept.float(), "deviation": deviation.float()}
    variance = float(values[:COMPONENTS].sum() / values.sum())
    write_bytes(folder / "patches.safetensors", save({name: each.contiguous() for name, each in state.items()}))
    write_text(folder / "patches.json", json.dumps({"patch": PATCH, "variance": variance}))
    write_text(folder / "mel.json", json.dumps(MEL))
    return variance
