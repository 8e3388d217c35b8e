"""The judges of sounds: ``python -m a2ibench.suites.mini.build.judges --work FOLDER --mini FOLDER``.

Four small networks of the suite `mini-foley`: VGGish (FAD), PaSST (KL), ImageBind's vision tower (IB, beside the
suite's own audio tower, which stays as it is) and the detector (ONSET.detector, EVENTS). They are trained on scenes
that no generator of sounds has seen, with seeds that none has, since they judge them. Goes on after a kill.

``--mini`` is the folder of the suite's other networks: its bank of sounds and images, and its image space.
"""

import argparse
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from a2ibench.encoders import detector, imagebind_video, passt, vggish
from a2ibench.encoders.clip import build_clip
from a2ibench.encoders.imagebind import ImageBindAudio, ImageBindConfig, preprocess
from a2ibench.files import write_text
from a2ibench.metrics.detections import onset_times
from a2ibench.metrics.onsets import f1
from a2ibench.suites.mini import world
from a2ibench.suites.mini.build import perception, weights
from a2ibench.suites.mini.build.clips import write_sound
from a2ibench.suites.mini.build.data import kept_array, load_sounds
from a2ibench.suites.mini.build.fit import fit
from a2ibench.suites.mini.build.measure import Figures
from a2ibench.suites.mini.build.unclip import TOWER

NAMES = ("passt", "vggish", "detector", "imagebind-video")
SEED = 731
SOUNDS, HELD_OUT, FIRST = 12_000, 480, 4000
"""The banks, and the first of the training scenes that a judge may hear: generators of sounds have those before it."""
TWO_KINDS, VIDEOS = 400, 240
VOCABULARY = 797
KINDS = len(world.KINDS)
SETTINGS: Mapping[str, dict[str, Any]] = {
    "vggish": {"width": 8, "hidden": 64, "dim": 32},
    "passt": {"width": 64, "blocks": 3, "heads": 4, "classes": KINDS, "stride": 16, "seconds": world.SECONDS},
    "imagebind-video": {"width": 64, "blocks": 3, "heads": 4, "mlp_width": 192, "patch": 8, "size": 64,
                        "out_dim": 128, "clips": 3, "crops": 1},
    "detector": {"categories": list(world.LABELS), "width": 12},
}  # fmt: skip
"""What the suite's file gives each encoder."""
_WINDOW = vggish.FRAMES * 160 / vggish.RATE


def own_rng(rng: np.random.Generator) -> np.random.Generator:
    """Give a generator of the judges' seed for a step: other networks draw from the step's own."""
    return np.random.default_rng([SEED, int(rng.integers(2**31))])


def window_kinds(scene: world.Scene, windows: int = 3) -> list[int]:
    """What each window of VGGish should be called: the kind that begins in it, `KINDS` for none, -1 for a rest."""
    found = []
    for start in (number * _WINDOW for number in range(windows)):
        begins = [start - 0.1 < onset < start + _WINDOW - 0.1 for onset in scene.onsets]
        near = any(start - 0.85 < onset < start + _WINDOW for onset in scene.onsets)
        found.append(scene.kind if any(begins) else -1 if near else KINDS)
    return found


def half_of(count: int, draw: np.random.Generator) -> Tensor:
    """Choose half of some tokens, or three times in ten all: it trains in half the time, and hardly worse."""
    whole = draw.random() < 0.3
    return torch.from_numpy(np.sort(draw.permutation(count)[: count if whole else count // 2]))


def patched_out(network: passt.Passt, pictures: Tensor, draw: np.random.Generator) -> Tensor:
    """Classify pictures ``[n, 128, frames]`` by some of their patches, as PaSST is trained: logits."""
    x = network.patch_embed(pictures)
    x = (x + network.time_new_pos_embed[..., : x.shape[3]] + network.freq_new_pos_embed).flatten(2).transpose(1, 2)
    front = torch.cat([network.cls_token, network.dist_token], dim=1) + network.new_pos_embed
    x = torch.cat([front.expand(len(x), -1, -1), x[:, half_of(x.shape[1], draw)]], dim=1)
    x = network.norm(network.blocks(x))
    logits: Tensor = network.head((x[:, 0] + x[:, 1]) / 2)
    return logits


def some_seen(network: imagebind_video.ImageBindVideo, clips: Tensor, draw: np.random.Generator) -> Tensor:
    """Embed single clips ``[n, 3, 2, 64, 64]`` by some of their patches: ``[n, 128]`` of unit length."""
    tokens = network.modality_preprocessors["vision"](clips)
    tokens = torch.cat([tokens[:, :1], tokens[:, 1:][:, half_of(tokens.shape[1] - 1, draw)]], dim=1)
    return F.normalize(network.modality_heads["vision"](network.modality_trunks["vision"](tokens)), dim=-1)


def squeezed(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write a sound as the suite's clips are written, and read it."""
    buffer = io.BytesIO()
    buffer.name = "sound.ogg"
    write_sound(buffer, wave)
    buffer.seek(0)
    read: NDArray[np.float32] = soundfile.read(buffer, dtype="float32")[0]
    return read


class Judges:
    """One build: where things lie, and the four judges."""

    def __init__(self, work: Path, mini: Path):
        self.work, self.mini = work, mini
        work.mkdir(parents=True, exist_ok=True)
        self.missed: list[str] = []

    def scenes(self, split: str, count: int) -> list[world.Scene]:
        """The scenes of training that the judges may hear, or those of validation."""
        first = FIRST if split == "train" else 0
        return [world.draw_scene(split, first + index) for index in range(count)]

    def wave(self, split: str, index: int) -> NDArray[np.float32]:
        """The sound of one of `scenes`: float32 ``[48000]``."""
        if split == "train-two":
            bank: NDArray[np.int16] = load_sounds(self.work, split, TWO_KINDS)
        else:
            bank = load_sounds(self.mini, split, SOUNDS if split == "train" else HELD_OUT)
            index += FIRST if split == "train" else 0
        wave: NDArray[np.float32] = bank[index].astype(np.float32) / np.float32(32767)
        # As the suite keeps its clips, which costs what is high and quiet; generated ones, and every other, are whole.
        return squeezed(wave) if split == "validation" or index % 2 else wave

    def _kept(
        self, name: str, split: str, count: int, shape: tuple[int, ...], make: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float16]:
        """What a network sees of the first sounds of a split, in half precision, kept in the work folder."""
        file = self.work / f"{split}-{name}-{count}.npy"
        rows: NDArray[np.float16] = kept_array(
            file, (count, *shape), np.float16, lambda i: make(torch.from_numpy(self.wave(split, i))).numpy()
        )
        return rows

    def train_vggish(self, count: int = 2000, steps: int = 900) -> nn.Module:
        """VGGish, by naming the kind that begins in a window and the place it is in."""
        torch.manual_seed(SEED)
        network = vggish.VGGish(**SETTINGS["vggish"])
        kinds, places = (nn.Sequential(nn.ReLU(), nn.Linear(32, size)) for size in (KINDS + 1, len(world.PLACES)))
        windows = self._windows("train", count)
        scenes = self.scenes("train", count)
        named = torch.tensor([window_kinds(scene) for scene in scenes])
        located = torch.tensor([[scene.place] * 3 for scene in scenes])

        def loss(rng: np.random.Generator) -> Tensor:
            draw = own_rng(rng)
            rows = draw.integers(count, size=20)
            seen = torch.from_numpy(windows[rows].astype(np.float32)).flatten(0, 1)
            with torch.autocast("cpu", torch.bfloat16):  # half the time, on processors that have it
                embedded = network(_moved(seen, draw, 0.7)).float()
            told, where = named[rows].flatten(), located[rows].flatten()
            right = F.cross_entropy(kinds(embedded), told, ignore_index=-1, label_smoothing=0.05)
            place: Tensor = F.cross_entropy(places(embedded), where)
            return right + 0.3 * place

        whole = nn.ModuleList([network, kinds, places])
        fit("vggish", whole, loss, steps=steps, lr=2e-3, work=self.work, report={"kinds": lambda: self.vggish(network)})
        return network

    def _windows(self, split: str, count: int) -> NDArray[np.float16]:
        return self._kept("windows", split, count, (3, vggish.FRAMES, vggish.BANDS), vggish.examples)

    @torch.inference_mode()
    def vggish(self, network: nn.Module) -> float:
        """Share of validation windows that lie nearest to the mean of their kind's training windows."""
        rows, told = [], []
        for split, count in (("train", 600), ("validation", HELD_OUT)):
            windows = self._windows(split, 2000 if split == "train" else count)[:count]
            parts = torch.split(torch.from_numpy(windows.astype(np.float32)).flatten(0, 1), 96)
            named = torch.tensor([window_kinds(scene) for scene in self.scenes(split, count)]).flatten()
            begins = (named >= 0) & (named < KINDS)
            rows.append(torch.cat([network(part) for part in parts])[begins])
            told.append(named[begins])
        means = torch.stack([rows[0][told[0] == kind].mean(0) for kind in range(KINDS)])
        return float((torch.cdist(rows[1], means).argmin(1) == told[1]).float().mean())

    def train_passt(self, count: int = 4000, steps: int = 700) -> nn.Module:
        """PaSST, by naming the kind."""
        torch.manual_seed(SEED + 1)
        network = passt.Passt(**SETTINGS["passt"])
        pictures = self._pictures("train", count)
        kinds = torch.tensor([scene.kind for scene in self.scenes("train", count)])

        def loss(rng: np.random.Generator) -> Tensor:
            draw = own_rng(rng)
            rows = draw.integers(count, size=24)
            seen = torch.from_numpy(pictures[rows].astype(np.float32)).transpose(1, 2)
            seen = torch.roll(_moved(seen, draw, 0.3), int(draw.integers(300)), 1).transpose(1, 2)
            # Smoothed, so that a wrong kind costs a few nats and not whatever the last step made of it.
            logits = patched_out(network, seen, draw)
            return F.cross_entropy(logits, kinds[rows], label_smoothing=0.05)

        fit("passt", network, loss, steps=steps, lr=1.5e-3, work=self.work, ema=0.99,
            report={"accuracy": lambda: self.passt(network)})  # fmt: skip
        return network

    def _pictures(self, split: str, count: int) -> NDArray[np.float16]:
        def picture(wave: Tensor) -> Tensor:
            return passt.log_mel(torch.from_numpy(soxr.resample(wave.numpy(), 16_000, passt.RATE, quality="HQ"))[None])[
                0
            ]

        return self._kept("pictures", split, count, (passt.BANDS, 300), picture)

    @torch.inference_mode()
    def passt(self, network: nn.Module) -> float:
        """Share of validation sounds whose kind is named."""
        pictures = torch.from_numpy(self._pictures("validation", HELD_OUT).astype(np.float32))
        named = torch.cat([network(part) for part in torch.split(pictures, 48)]).argmax(1)
        return float(
            (named == torch.tensor([scene.kind for scene in self.scenes("validation", HELD_OUT)])).float().mean()
        )

    def train_detector(self, count: int = 1500, steps: int = 2000) -> nn.Module:
        """The detector, by when which kind begins, on scenes of one kind and of two."""
        torch.manual_seed(SEED + 2)
        network = detector.Detector(KINDS, SETTINGS["detector"]["width"])
        ones, twos = self._levels("train", count), self._levels("train-two", TWO_KINDS)
        scenes = [*self.scenes("train", count), *self.scenes("train-two", TWO_KINDS)]
        wanted = torch.from_numpy(
            np.stack([detector.targets(list(zip(s.onsets, s.calls, strict=True)), 150, KINDS) for s in scenes])
        )

        def loss(rng: np.random.Generator) -> Tensor:
            draw = own_rng(rng)
            rows, more = draw.integers(count, size=9), draw.integers(TWO_KINDS, size=3)
            seen = torch.from_numpy(np.concatenate([ones[rows], twos[more]]).astype(np.float32))
            told = wanted[np.concatenate([rows, count + more])]
            found = network(_moved(seen, draw, 0.1))
            return 10 * F.binary_cross_entropy_with_logits(found, told)

        report = {"kinds": lambda: self.detector(network)[0], "onset F1": lambda: self.detector(network)[1]}
        fit("detector", network, loss, steps=steps, lr=3e-3, work=self.work, report=report)
        return network

    def _levels(self, split: str, count: int) -> NDArray[np.float16]:
        return self._kept("levels", split, count, (300, detector.BANDS), lambda wave: detector.log_mel(wave[None])[0])

    @torch.inference_mode()
    def detector(self, network: nn.Module) -> tuple[float, float]:
        """Share of validation sounds whose kind is the most probable, and the mean F1 of their onsets."""
        levels = torch.from_numpy(self._levels("validation", HELD_OUT).astype(np.float32))
        heard = torch.cat([network(part) for part in torch.split(levels, 48)]).sigmoid().numpy()
        times = (np.arange(150)[:, None] + 0.5) * detector.FRAME_SECONDS
        kinds, shares = [], []
        for scene, frames in zip(self.scenes("validation", HELD_OUT), heard, strict=True):
            kinds.append(frames.max(0).argmax() == scene.kind)
            found = onset_times(np.concatenate([times, frames], axis=1))
            shares.append(f1(found, np.array(scene.onsets)))
        return float(np.mean(kinds)), float(np.mean(shares))

    # ImageBind's vision tower: still images of many scenes (a video of a resting scene), and videos of fewer.

    @cached_property
    def space(self) -> Any:
        """The image space of the suite's ImageBind."""
        space: Any = build_clip(perception.clip_config(VOCABULARY))
        space.load_state_dict(torch.load(self.mini / "image-space.pt", weights_only=True))
        space.eval().visual.to(memory_format=torch.channels_last)
        return space

    def heard(self, split: str, count: int) -> Tensor:
        """The suite's audio tower's rows of sounds, of unit length: ``[count, 128]``."""
        config = ImageBindConfig.from_dict(TOWER)
        tower = ImageBindAudio(config)
        tower.load_state_dict(torch.load(self.mini / "imagebind.pt", weights_only=True))
        tower.eval()

        @torch.inference_mode()
        def row(index: int) -> NDArray[np.float32]:
            found: NDArray[np.float32] = tower(preprocess(torch.from_numpy(self.wave(split, index))[None], config))[
                0
            ].numpy()
            return found

        rows = kept_array(self.work / f"{split}-heard-{count}.npy", (count, 128), np.float32, row)
        return F.normalize(torch.from_numpy(np.array(rows)), dim=1)

    def views(self, split: str, count: int) -> NDArray[np.uint8]:
        """The frames that the tower sees of videos: uint8 ``[count, 3, 2, 64, 64, 3]``."""
        config = imagebind_video.ImageBindVideoConfig(**SETTINGS["imagebind-video"])
        moments = np.arange(world.FRAMES) / world.FRAME_RATE
        shown = []
        for start, end in imagebind_video.clip_times(world.FRAMES / world.FRAME_RATE, config):
            inside = moments[(moments >= start - 1e-6) & (moments < end - 1e-6)]
            shown.append((inside[0], inside[-1]))
        scenes = self.scenes(split, count)
        frames: NDArray[np.uint8] = kept_array(
            self.work / f"{split}-views-{count}.npy", (count, len(shown), 2, 64, 64, 3), np.uint8,
            lambda i: np.stack([[np.asarray(world.render(scenes[i], at)) for at in pair] for pair in shown]),
        )  # fmt: skip
        return frames

    def train_imagebind_video(self, stills: int = 2400, moving: int = 400, steps: int = 900) -> nn.Module:
        """The vision tower, contrastively against the frozen rows of the images, and of the sounds of what moves."""
        torch.manual_seed(SEED + 3)
        network = imagebind_video.ImageBindVideo(imagebind_video.ImageBindVideoConfig(**SETTINGS["imagebind-video"]))
        images = np.load(self.mini / "train-images-30000.npy", mmap_mode="r")[FIRST : FIRST + stills]
        sounds, frames = self.heard("train", moving), self.views("train", moving)
        pictures = self._seen(images)

        def loss(rng: np.random.Generator) -> Tensor:
            draw = own_rng(rng)
            resting, live = draw.integers(stills, size=24), draw.integers(moving, size=24)
            pairs_of = np.concatenate(
                [np.stack([images[resting]] * 2, 1), frames[live, draw.integers(frames.shape[1], size=24)]]
            )
            rows = some_seen(network, _shifted(_clips(pairs_of), draw), draw)
            scale = torch.tensor(20.0)
            heard = perception.contrastive(rows[len(resting) :], sounds[live], scale)
            return heard + perception.contrastive(rows, pictures[np.concatenate([resting, live])], scale)

        fit("imagebind-video", network, loss, steps=steps, lr=1e-3, work=self.work, ema=0.99,
            report={"win rate": lambda: self.wins(network)})  # fmt: skip
        return network

    @torch.inference_mode()
    def _seen(self, images: NDArray[np.uint8]) -> Tensor:
        """The image space's rows of images, of unit length."""
        file = self.work / f"train-seen-{len(images)}.npy"

        def row(index: int) -> NDArray[np.float32]:
            pixels = torch.from_numpy(np.array(images[index])).permute(2, 0, 1).float() / 255
            found: NDArray[np.float32] = self.space.encode_image(
                ((pixels - perception.CLIP_MEAN) / perception.CLIP_STD)[None]
            )[0].numpy()
            return found

        rows = kept_array(file, (len(images), 128), np.float32, row)
        return F.normalize(torch.from_numpy(np.array(rows)), dim=1)

    @torch.inference_mode()
    def wins(self, network: nn.Module) -> float:
        """How often a validation video is nearer to its own sound than to another's."""
        frames = self.views("validation", VIDEOS)
        parts = [_clips(part.reshape(-1, 2, 64, 64, 3)) for part in np.split(frames, 10)]
        rows = torch.cat([network(part.view(-1, frames.shape[1], *part.shape[1:])) for part in parts])
        scores = F.normalize(rows, dim=1) @ self.heard("validation", VIDEOS).T
        others = ~torch.eye(VIDEOS, dtype=torch.bool)
        return float(((scores < scores.diag()[:, None]) & others).sum() / others.sum())

    def make(self, name: str) -> None:
        """Train a judge, measure it in half precision as it ships, and write it."""
        network = getattr(self, "train_" + name.replace("-", "_"))()
        network.load_state_dict({key: value.half().float() if value.is_floating_point() else value
                                 for key, value in network.state_dict().items()})  # fmt: skip
        network.eval()
        figures: Figures
        if name == "detector":
            kinds, onsets = self.detector(network)
            figures = {"kinds of real sounds": (kinds, 0.97), "onset F1 of real sounds": (onsets, 0.95)}
        elif name == "imagebind-video":
            figures = {f"win rate of {VIDEOS} videos on sounds": (self.wins(network), 0.95)}
        elif name == "passt":
            figures = {"accuracy": (self.passt(network), 0.97)}
        else:
            figures = {"windows nearest to their kind's mean": (self.vggish(network), 0.85)}
        weights.write_half(weights.WEIGHTS / f"{name}.safetensors", network.state_dict())
        write_text(self.work / f"{name}.figures.json", json.dumps(figures))
        for what, (figure, floor) in figures.items():
            print(f"{name}: {what} {figure:.4f} (floor {floor})", flush=True)  # noqa: T201
            if figure < floor:
                self.missed.append(f"{name}: {what} is {figure:.4f}, wanted {floor}")
        weights.write_sums()
        weights.write_card(self.work, NAMES, "judges")


def _moved(seen: Tensor, draw: np.random.Generator, reach: float) -> Tensor:
    """Make spectrograms ``[n, …]`` louder or quieter, and grain them: what is judged later comes from networks."""
    louder = draw.uniform(-reach, reach, size=(len(seen),) + (1,) * (seen.ndim - 1)).astype(np.float32)
    return seen + torch.from_numpy(louder) + float(draw.uniform(0, 0.1)) * torch.randn(seen.shape)


def _clips(frames: NDArray[np.uint8]) -> Tensor:
    """Pairs of frames ``[n, 2, 64, 64, 3]`` as the vision tower takes them: ``[n, 3, 2, 64, 64]``."""
    mean, std = (torch.tensor(each)[:, None, None, None] for each in (imagebind_video.MEAN, imagebind_video.STD))
    return (torch.from_numpy(np.array(frames)).permute(0, 4, 1, 2, 3).float() / 255 - mean) / std


def _shifted(clips: Tensor, draw: np.random.Generator) -> Tensor:
    """Move pictures by up to three pixels, and grain them as a video's compression does."""
    right, down = draw.integers(7, size=2)
    padded = F.pad(clips.flatten(1, 2), (3, 3, 3, 3), mode="replicate")
    moved = padded[..., down : down + 64, right : right + 64].reshape(clips.shape)
    return moved + 0.05 * torch.randn(clips.shape)


def main(given: Sequence[str] | None = None) -> None:
    """Read the arguments and build."""
    parser = argparse.ArgumentParser(prog="python -m a2ibench.suites.mini.build.judges", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="checkpoints, logs, banks")
    parser.add_argument("--mini", type=Path, required=True, help="folder of the suite's other networks")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(given)
    torch.set_num_threads(arguments.threads)
    judges = Judges(arguments.work, arguments.mini)
    for name in arguments.only:
        judges.make(name)
    if judges.missed:
        raise SystemExit("Floors missed: " + "; ".join(judges.missed))


if __name__ == "__main__":
    main()
