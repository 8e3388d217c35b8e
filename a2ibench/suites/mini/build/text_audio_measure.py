"""What the generators of text to audio reach on the mini world: judges, and the share of named kinds that are heard.

Two judges of other seeds than any training tell which kinds are heard in a sound; a kind counts where both hear it.
Captions are of the validation splits, half of them with two kinds, worded as no training caption is.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from a2ibench.baselines.base import image_seed
from a2ibench.baselines.re_audioldm.copies import Copy, copies, fingerprints, share_of_copies, threshold
from a2ibench.baselines.re_audioldm.mel import MelConfig, fit_length, log_mel
from a2ibench.clips import Clip, load_clips, read_audio
from a2ibench.files import write_text
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.text_audio_networks import MEL, Pool, all_mels, captions
from a2ibench.tasks import get as get_task

SEEDS = (101, 202)
BUCKETS = {"1000-300": (300, 1000), "200-30": (30, 299), "15-5": (1, 29), "0": (0, 0)}
"""Frequencies in training."""
Make = Callable[[Sequence[Clip], Sequence[int]], Sequence[Any]]


class Judge(nn.Module):
    """Which kinds are heard: convolutions over the spectrogram, and the loudest moment of each kind."""

    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for into, out in ((1, 16), (16, 32), (32, 64), (64, 96)):
            layers += [nn.Conv2d(into, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(96 * 4, len(world.KINDS))

    def forward(self, mels: Tensor) -> Tensor:
        """Logits ``[n, kinds]`` of spectrograms ``[n, 160, 64]``."""
        seen = self.layers((mels[:, None] + 6) / 3).permute(0, 2, 1, 3).flatten(2)
        found: Tensor = self.out(seen).amax(1)
        return found


def kinds_of(scenes: Sequence[world.Scene]) -> NDArray[np.bool_]:
    """Which kinds each scene has: ``[n, kinds]``."""
    found = np.zeros((len(scenes), len(world.KINDS)), bool)
    for row, scene in enumerate(scenes):
        found[row, [event.kind for event in scene.events]] = True
    return found


def train_judges(pool: Pool, work: Path, steps: int = 1200) -> list[nn.Module]:
    """Train the judges on the balanced sounds."""
    mels, kinds = all_mels(pool, work), kinds_of(pool.scenes).astype(np.float32)

    def trained(seed: int) -> nn.Module:
        judge = Judge(seed)

        def loss(rng: np.random.Generator) -> Tensor:
            rows = np.sort(np.random.default_rng([seed, int(rng.integers(2**31))]).integers(len(mels), size=48))
            seen = torch.from_numpy(mels[rows].astype(np.float32))
            louder = torch.from_numpy(rng.uniform(-1.5, 1.5, size=(len(rows), 1, 1)).astype(np.float32))
            return F.binary_cross_entropy_with_logits(judge(seen + louder), torch.from_numpy(kinds[rows]))

        return fit(f"judge-{seed}", judge, loss, steps=steps, lr=2e-3, work=work)

    return [trained(seed) for seed in SEEDS]


@torch.inference_mode()
def heard(judges: Sequence[nn.Module], waves: Sequence[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Which kinds both judges hear in sounds at 16 kHz: ``[n, kinds]``."""
    config = MelConfig(**MEL)  # type: ignore[arg-type]
    found = []
    for start in range(0, len(waves), 32):
        mels = log_mel(np.stack([fit_length(wave, config) for wave in waves[start : start + 32]]), config)
        found.append(torch.stack([judge(mels) > 0 for judge in judges]).all(0).numpy())
    return np.concatenate(found)


def shares(named: NDArray[np.bool_], found: NDArray[np.bool_]) -> dict[str, float]:
    """Share in per cent of named kinds that are heard: of all, by frequency (macro over kinds), and false alarms."""
    per_kind = {
        kind: float(found[named[:, kind], kind].mean()) for kind in range(named.shape[1]) if named[:, kind].any()
    }
    result = {"all": 100 * float(found[named].mean()), "false alarms": 100 * float(found[~named].mean())}
    for bucket, (low, high) in BUCKETS.items():
        some = [share for kind, share in per_kind.items() if low <= world.TAIL[kind] <= high]
        result[bucket] = 100 * float(np.mean(some)) if some else float("nan")
    result["all of a caption"] = 100 * float((found | ~named).all(1).mean())
    return result


class Known:
    """The sounds of a corpus that may be copied, and from which likeness on something is a copy."""

    def __init__(self, corpus: Path, real: Sequence[NDArray[np.float32]]):
        items = load_clips(corpus, task=get_task("text-to-audio"))
        self.ids = [item.clip_id for item in items]
        sounds = (read_audio(item.file("audio"), world.SAMPLE_RATE) for item in items)
        self.prints = np.concatenate([fingerprints([wave], world.SECONDS) for wave in sounds])
        self.least = threshold(fingerprints(real, world.SECONDS), self.prints)

    def copies(self, clips: Sequence[Clip], waves: Sequence[NDArray[np.float32]]) -> tuple[float, list[Copy]]:
        """Find sounds that are nearly one of the corpus: their share in per cent, and each with its source."""
        loud = [row for row, wave in enumerate(waves) if np.abs(wave).max() > 1e-3]
        prints = fingerprints([waves[row] for row in loud], world.SECONDS)
        found = copies([clips[row].clip_id for row in loud], prints, self.ids, self.prints, self.least)
        return share_of_copies(found, len(clips)), found


def measure(
    pool: Pool,
    judges: Sequence[nn.Module],
    methods: dict[str, Make],
    through: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    work: Path,
    seed: int = 0,
) -> None:
    """Make a sound for each validation caption by each method, and write ``figures.json`` and a table.

    `through` sends a sound through autoencoder and vocoder: what a generator can reach at most. ``copies.json`` names
    the sounds that are nearly one of the index, with their sources.
    """
    named = kinds_of(pool.tests)
    clips = [
        Clip(f"held-{row:03d}", scene.label, {"caption": captions(scene)[1]}) for row, scene in enumerate(pool.tests)
    ]
    seeds = [image_seed(seed, clip.clip_id) for clip in clips]
    real = [pool.test_waves([row])[0] for row in range(len(clips))]
    known = Known(work / "indexed", real)
    bounds = {"real": real, "shuffled": [*real[7:], *real[:7]], "real, through the codec": [through(w) for w in real]}
    figures = {
        name: {**shares(named, heard(judges, waves)), "copies": known.copies(clips, waves)[0]}
        for name, waves in bounds.items()
    }
    sources: dict[str, Any] = {}
    for name, make in methods.items():
        waves: list[Any] = []
        for start in range(0, len(clips), 24):
            waves += make(clips[start : start + 24], seeds[start : start + 24])
            print(name, len(waves), flush=True)  # noqa: T201
        sounds = [np.zeros(1, np.float32) if wave is None else wave[0] for wave in waves]
        figures[name] = shares(named, heard(judges, sounds))
        figures[name]["copies"], found = known.copies(clips, sounds)
        sources[name] = [asdict(copy) for copy in found]
        write_text(work / "copies.json", json.dumps({"from": known.least, "copies": sources}, indent=1))
        write_text(work / "figures.json", json.dumps(figures, indent=1))
        write_text(work / "figures.md", table(figures))


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as a table."""
    columns = list(next(iter(figures.values())))
    lines = ["| method | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{row[column]:.1f}" for column in columns) + " |" for name, row in figures.items()
    ]
    return "\n".join(lines) + "\n"
