"""The mini FoleyGen: ``python -m a2ibench.suites.mini.build.foley --work FOLDER --mini FOLDER``.

Makes, each kept in FOLDER and gone on with after a kill: the codebooks of the patch codec, the codes and CLIP's frame
features of training scenes (videos are drawn and not kept), and one language model for each visual attention, in the
order given. Then generates for validation scenes and measures: how often BEATs, which no training here has seen, names
the kind, and how well onsets are met (an energy detector: it finds fewer than a learned one).

``--mini`` is the folder of the suite's other networks: its CLIP, its BEATs, and its bank of sounds.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from a2ibench.baselines.foleygen.lm import FoleyLm, LmConfig, lm_bytes
from a2ibench.baselines.foleygen.patches import PatchCodec, train_codebooks
from a2ibench.baselines.foleygen.pattern import ATTENTIONS, Attention
from a2ibench.baselines.foleygen.sample import generate
from a2ibench.baselines.foleygen.train import lm_loss, set_scale
from a2ibench.encoders.beats import Beats, fbank
from a2ibench.encoders.clip import build_clip
from a2ibench.files import write_bytes, write_text
from a2ibench.metrics.onsets import f1
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build.data import load_sounds
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.perception import CLIP_MEAN, CLIP_STD, MINI_BEATS, clip_config
from a2ibench.suites.mini.build.weights import WEIGHTS, write_half, write_sums

SCENES, HELD_OUT, SOUNDS = 4000, 240, 12_000
STEPS, BATCH, LR = 12_000, 16, 1e-3
VOCABULARY = 797
GUIDANCE, TOP_K = 3.0, 256
SIZES: dict[str, Any] = {
    "layers": 4, "width": 192, "heads": 4, "books": 4, "codes": 512, "code_rate": 50.0, "features": 128,
    "frame_rate": world.FRAME_RATE, "seconds": world.SECONDS,
}  # fmt: skip
CODE_FRAMES = 150


class FoleyBuild:
    """One build: where things lie, and the stages that make them."""

    def __init__(self, work: Path, mini: Path, scenes: int = SCENES):
        self.work, self.mini, self.scenes = work, mini, scenes
        work.mkdir(parents=True, exist_ok=True)

    def sounds(self, split: str, count: int) -> NDArray[np.float32]:
        """The first sounds of a split, from the bank that the other networks were trained with where it is there."""
        bank = {"train": SOUNDS, "validation": 480}[split]
        there = (self.mini / f"{split}-sounds-{bank}.npy").is_file()
        found = load_sounds(self.mini, split, bank) if there else load_sounds(self.work, split, count)
        return found[:count].astype(np.float32) / np.float32(32767)

    def codec(self) -> PatchCodec:
        """The codec, its codebooks from the patches of 1,600 sounds."""
        file, codec = self.work / "patches.pt", PatchCodec()
        if file.exists():
            codec.load_state_dict(torch.load(file, weights_only=True))
            return codec
        waves = torch.from_numpy(self.sounds("train", 1600))
        with torch.inference_mode():
            patches = torch.cat([codec.patches(part).flatten(0, 1) for part in torch.split(waves, 100)])
            # 120,000 of them in six rounds kept the kinds of 96 %; all 240,000 in twelve rounds of 93 %.
            some = torch.randperm(len(patches), generator=torch.Generator().manual_seed(0))[:120_000]
            train_codebooks(codec, patches[some], rounds=6)
        torch.save(codec.state_dict(), file)
        return codec

    def codes(self, codec: PatchCodec, split: str, count: int) -> Tensor:
        """The codes of the first sounds of a split, int64 ``[count, books, 150]``."""
        found = self._rows(
            f"{split}-codes", count, (codec.books, CODE_FRAMES), np.int16,
            lambda index: codec.encode(torch.from_numpy(self._sound(split, index))[None])[0].numpy(),
        )  # fmt: skip
        return torch.from_numpy(found.astype(np.int64))

    def _sound(self, split: str, index: int) -> NDArray[np.float32]:
        bank = {"train": SOUNDS, "validation": 480}[split]
        file = self.mini / f"{split}-sounds-{bank}.npy"
        if file.is_file():
            return np.load(file, mmap_mode="r")[index].astype(np.float32) / np.float32(32767)  # type: ignore[no-any-return]
        return world.sound(world.draw_scene(split, index))

    def features(self, split: str, count: int) -> NDArray[np.float16]:
        """CLIP's rows of the frames of the first videos of a split, float16 ``[count, 38, 128]``."""
        clip: Any = build_clip(clip_config(VOCABULARY))
        clip.load_state_dict(torch.load(self.mini / "clip.pt", weights_only=True))
        clip.eval().visual.to(memory_format=torch.channels_last)

        @torch.inference_mode()
        def rows(index: int) -> NDArray[np.float32]:
            video = torch.from_numpy(world.video(world.draw_scene(split, index)))
            pixels = (video.permute(0, 3, 1, 2).float() / 255 - CLIP_MEAN) / CLIP_STD
            found: NDArray[np.float32] = clip.encode_image(pixels.contiguous(memory_format=torch.channels_last)).numpy()
            return found

        return self._rows(f"{split}-clip", count, (world.FRAMES, 128), np.float16, rows)

    def _rows(
        self, name: str, count: int, shape: tuple[int, ...], kind: Any, make: Callable[[int], NDArray[Any]]
    ) -> NDArray[Any]:
        """Open an array of rows; those that are missing are made, and kept every 50."""
        final, part = self.work / f"{name}-{count}.npy", self.work / f"{name}-{count}.part.npy"
        counted = self.work / f"{name}-{count}.count"
        if not final.exists():
            done = int(counted.read_text()) if counted.exists() and part.exists() else 0
            how = {"mode": "r+"} if done else {"mode": "w+", "dtype": kind, "shape": (count, *shape)}
            array: Any = np.lib.format.open_memmap(part, **how)
            for index in range(done, count):
                array[index] = make(index)
                if index % 50 == 49 or index + 1 == count:
                    array.flush()
                    write_text(counted, str(index + 1))
            del array
            part.rename(final)
            counted.unlink()
        found: NDArray[Any] = np.load(final, mmap_mode="r")
        return found

    def train(self, attention: Attention, steps: int = STEPS) -> FoleyLm:
        """One language model, its result the running mean of its weights."""
        codec = self.codec()
        features, codes = self.features("train", self.scenes), self.codes(codec, "train", self.scenes)
        held_features = torch.from_numpy(self.features("validation", HELD_OUT).astype(np.float32))
        held_codes = self.codes(codec, "validation", HELD_OUT)
        torch.manual_seed(0)
        network = FoleyLm(LmConfig(attention=attention, **SIZES))
        set_scale(network, features)

        def loss(rng: np.random.Generator) -> Tensor:
            rows = rng.integers(self.scenes, size=BATCH)
            dropped = torch.from_numpy(rng.random(BATCH) < 0.1)
            frames = torch.from_numpy(features[rows].astype(np.float32))
            with torch.autocast("cpu", torch.bfloat16):  # half the time on processors that have it
                return lm_loss(network, frames, codes[rows], dropped, SIZES["codes"])

        def held_out() -> float:
            return float(lm_loss(network, held_features, held_codes, torch.zeros(HELD_OUT) > 0, SIZES["codes"]))

        kind, f1 = self.judge(network, codec)
        report = {"validation": held_out, "kind": kind, "onsets": f1}
        fit(f"foley-{attention}", network, loss, steps=steps, lr=LR, work=self.work, weight_decay=0.1, ema=0.999,
            report=report)  # fmt: skip
        return network

    def judge(self, network: FoleyLm, codec: PatchCodec, count: int = 48) -> "tuple[_Figure, _Figure]":
        """Give what measures a network while it is trained: right kinds, then onset F1, of one set of sounds."""
        heard: list[Tensor] = []

        def kind() -> float:
            features = torch.from_numpy(self.features("validation", HELD_OUT)[:count].astype(np.float32))
            seeds = list(range(count))
            heard[:] = [codec.decode(generate(network, features, seeds, GUIDANCE, TOP_K))]
            return right_kinds(self.beats(), heard[0])

        return kind, lambda: onset_f1(heard[0])

    def beats(self) -> Beats:
        """The suite's BEATs, which has seen no generated sound."""
        network = Beats(MINI_BEATS)
        state = torch.load(self.mini / "beats.pt", weights_only=True)
        own = {key.removeprefix("beats."): value for key, value in state.items() if key.startswith("beats.")}
        network.load_state_dict(own or state)
        return network.eval()

    def ship(self, network: FoleyLm, folder: Path) -> Path:
        """Write a language model in half precision, as the suite's part ``foleygen`` has it."""
        file = folder / f"{network.config.attention}.safetensors"
        write_bytes(file, lm_bytes(network, half=True))
        return file

    def ship_others(self, folder: Path) -> None:
        """Write the codec, and the index of nearest-video over the same training scenes: rows and scenes' numbers."""
        write_half(folder / "codec.safetensors", self.codec().state_dict())
        rows = torch.from_numpy(self.features("train", self.scenes).astype(np.float32))
        rows = nn.functional.normalize(nn.functional.normalize(rows, dim=2).mean(1), dim=1)
        told = {"config": json.dumps({"seconds": world.SECONDS, "frame_rate": world.FRAME_RATE})}
        state = {"rows": rows.half(), "scenes": torch.arange(len(rows), dtype=torch.int32)}
        write_bytes(folder / "nearest-video.safetensors", save(state, told))


_Figure = Callable[[], float]


@torch.inference_mode()
def right_kinds(beats: Beats, waves: Tensor) -> float:
    """Share of sounds ``[n, samples]``, of the first validation scenes, in which BEATs hears the scene's kind."""
    wanted = np.array([world.draw_scene("validation", index).kind for index in range(len(waves))])
    return float((beats.tag(fbank(waves)).argmax(1).numpy() == wanted).mean())


def energy_onsets(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find where the energy of a sound ``[samples]`` rises steeply: seconds. Simple, and no judge of fine things."""
    hop = 160
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (0, 480)), 480)[::hop]
    level = 10 * np.log10(np.square(frames).mean(1) + 1e-6)
    slow = np.convolve(np.pad(level, (8, 0), mode="edge"), np.ones(8) / 8, mode="valid")[: len(level)]
    rise = level - slow
    found: list[float] = []
    for index in np.argsort(-rise, kind="stable"):
        if rise[index] < max(4.0, 0.3 * rise.max()):
            break
        if all(abs(index * hop / 16_000 - other) > 0.2 for other in found):
            found.append(index * hop / 16_000)
    return np.sort(np.array(found))


def onset_f1(waves: Tensor, shift: int = 0) -> float:
    """Mean F1 of the onsets heard in sounds ``[n, samples]`` against those of validation scenes, `shift` further on."""
    shares = []
    for index, wave in enumerate(waves.numpy()):
        wanted = np.array(world.draw_scene("validation", (index + shift) % len(waves)).onsets)
        shares.append(f1(energy_onsets(wave), wanted))
    return float(np.mean(shares))


def measure(build: FoleyBuild, network: FoleyLm, file: Path) -> dict[str, float]:
    """Measure a language model on all held-out scenes, beside the real sounds and the codec alone; keep the figures."""
    codec, beats = build.codec(), build.beats()
    real = torch.from_numpy(build.sounds("validation", HELD_OUT))
    passed = torch.cat([codec.decode(codec.encode(part)) for part in torch.split(real, 24)])
    features = torch.from_numpy(build.features("validation", HELD_OUT).astype(np.float32))
    parts = zip(torch.split(features, 24), torch.split(torch.arange(HELD_OUT), 24), strict=True)
    made = torch.cat([codec.decode(generate(network, f, s.tolist(), GUIDANCE, TOP_K)) for f, s in parts])
    figures = {"shuffled onset F1": onset_f1(real, 1)}
    for name, waves in (("real", real), ("codec", passed), (network.config.attention, made)):
        figures |= {f"{name} kinds": right_kinds(beats, waves), f"{name} onset F1": onset_f1(waves)}
    write_text(file, json.dumps(figures, indent=1))
    return figures


def main() -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(prog="python -m a2ibench.suites.mini.build.foley", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="checkpoints, logs, banks")
    parser.add_argument("--mini", type=Path, required=True, help="folder of the suite's other networks")
    parser.add_argument("--attention", nargs="+", choices=ATTENTIONS, default=["aligned", "all-frame", "causal",
                        "frame-specific"])  # fmt: skip
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    build = FoleyBuild(arguments.work, arguments.mini, arguments.scenes)
    build.ship_others(WEIGHTS)
    write_sums()
    for attention in arguments.attention:
        network = build.train(attention, arguments.steps)
        build.ship(network, arguments.work / "foleygen")
        figures = measure(build, network, arguments.work / f"foley-{attention}.figures.json")
        print(attention, figures, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
