"""The training split as arrays: drawn from seeds once, kept in the work folder, never shipped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from a2ibench.suites.mini import world


@dataclass(frozen=True)
class Bank:
    """Scenes of one split with their images ``uint8 [n, 64, 64, 3]`` and sounds ``int16 [m, 48000]``, m <= n."""

    scenes: tuple[world.Scene, ...]
    images: NDArray[np.uint8]
    sounds: NDArray[np.int16]

    @property
    def kinds(self) -> NDArray[np.int64]:
        """The kind of each scene."""
        return np.array([scene.kind for scene in self.scenes])

    def captions(self, rows: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """Draw a caption of the image for each row."""
        return [world.photo_caption(self.scenes[row], rng) for row in rows]

    def waves(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The sounds of these rows as float32 in [-1, 1]."""
        return self.sounds[rows].astype(np.float32) / np.float32(32767)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The images of these rows as float32 ``[n, 3, 64, 64]`` in [0, 1]."""
        return self.images[rows].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


def load_bank(work: Path, split: str, images: int, sounds: int) -> Bank:
    """Open the bank of a split, and draw it first where it is not there yet."""
    scenes = load_scenes(split, max(images, sounds))
    pixels = kept_array(
        work / f"{split}-images-{images}.npy",
        (images, world.IMAGE_SIZE, world.IMAGE_SIZE, 3),
        np.uint8,
        lambda index: np.asarray(world.render(scenes[index])),
    )
    return Bank(scenes, pixels, load_sounds(work, split, sounds))


def load_scenes(split: str, count: int) -> tuple[world.Scene, ...]:
    """Draw the first scenes of a split."""
    return tuple(world.draw_scene(split, index) for index in range(count))


def load_sounds(work: Path, split: str, count: int) -> NDArray[np.int16]:
    """Open the sounds of the first scenes of a split, ``int16 [count, 48000]``; they are drawn first if need be."""
    sounds: NDArray[np.int16] = kept_array(
        work / f"{split}-sounds-{count}.npy",
        (count, world.SAMPLES),
        np.int16,
        lambda index: np.round(world.sound(world.draw_scene(split, index)) * 32767),
    )
    return sounds


def load_videos(work: Path, split: str, count: int) -> NDArray[np.uint8]:
    """Open the videos of the first scenes of a split, ``uint8 [count, 38, 64, 64, 3]``: 467 kB each."""
    videos: NDArray[np.uint8] = kept_array(
        work / f"{split}-videos-{count}.npy",
        (count, world.FRAMES, world.IMAGE_SIZE, world.IMAGE_SIZE, 3),
        np.uint8,
        lambda index: world.video(world.draw_scene(split, index)),
    )
    return videos


def kept_array(path: Path, shape: tuple[int, ...], dtype: Any, make: Callable[[int], Any]) -> Any:
    """Open an array of rows; where it is not there yet, it is made first, row by row."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        array = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
        for index in track(range(shape[0]), description=path.stem):
            array[index] = make(index)
        array.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r")
