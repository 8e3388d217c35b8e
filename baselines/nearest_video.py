"""The sound of the training video that looks most like the given one: a baseline without any generation.

A video's row is the mean of CLIP's rows of its frames, of unit length; the nearest by cosine is taken, the first by
clip id of equals. The training rows are this method's weights: `a2ibench train nearest-video` writes them with the
sounds themselves, so that a run needs nothing else. A suite whose world can be drawn again ships the numbers of the
scenes instead of their sounds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2ibench.baselines.base import Draw, Method, Training
from a2ibench.clips import Clip, read_audio
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import check_space, write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from a2ibench.baselines.foleygen.eyes import Eyes

RATE = 16_000
FILE = "nearest-video.safetensors"


@dataclass(frozen=True)
class Config:
    """What is kept of each training clip: its first seconds, and how many frames a second are looked at."""

    seconds: float = 10.0
    frame_rate: float = 1.0


def row_of(clip: Clip, eyes: "Eyes", config: Config) -> "NDArray[np.float32]":
    """Give the row of a clip's video, of unit length: ``[features]``."""
    import numpy as np

    from a2ibench.baselines.foleygen.frames import sample

    rows = eyes.encode(sample(clip.file("video"), config.seconds, config.frame_rate))
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)
    mean = rows.mean(0)
    unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return unit


def nearest(rows: "NDArray[np.float32]", index: "NDArray[np.float32]") -> "NDArray[np.int64]":
    """Find the row of ``index`` with the highest cosine for each of ``rows``, the first of equals: int64 ``[n]``."""
    found: NDArray[np.int64] = (rows @ index.T).argmax(1)
    return found


def _load(parts: Mapping[str, Any], options: Mapping[str, Any], device: str) -> Draw:
    import numpy as np
    from safetensors import SafetensorError, safe_open

    from a2ibench.baselines.foleygen.eyes import load_eyes
    from a2ibench.weights.read import read_state_dict

    file = Path(parts["nearest-video"]["file"])
    state = read_state_dict(file)
    try:
        with safe_open(file, "pt") as opened:
            config = Config(**json.loads((opened.metadata() or {})["config"]))
        index = state["rows"].float().numpy()
        sound_at = _scenes(state, parts["nearest-video"]) if "scenes" in state else _sounds(state)
    except (SafetensorError, KeyError, ValueError, TypeError):
        raise A2IBenchError(
            f"{file} holds no index of training videos; give one that `a2ibench train nearest-video` made."
        ) from None
    eyes = load_eyes("clip", parts["clip"], device)
    if index.ndim != 2 or index.shape[1] != eyes.dim:
        raise A2IBenchError(f"{file} was made with another CLIP (rows of {index.shape[-1]}, not {eyes.dim}).")

    def draw(clips: Sequence[Clip], seeds: Sequence[int]) -> list[Any]:
        rows = {clip.clip_id: row_of(clip, eyes, config) for clip in {c.clip_id: c for c in clips}.values()}
        found = nearest(np.stack([rows[clip.clip_id] for clip in clips]), index)
        return [(sound_at(int(at)), RATE) for at in found]

    return draw


def _sounds(state: Mapping[str, Any]) -> "Callable[[int], NDArray[np.float32]]":
    """Give what reads the sound of a row of the index."""
    sounds, lengths = state["sounds"].numpy(), state["lengths"].numpy()
    if not len(sounds) == len(lengths) == len(state["rows"]):
        raise ValueError("of other lengths")
    return lambda at: sounds[at, : lengths[at]].astype("float32") / 32768


def _scenes(state: Mapping[str, Any], part: Mapping[str, Any]) -> "Callable[[int], NDArray[np.float32]]":
    """Give what draws the sound of a row of the index, by the number of its scene."""
    scenes, sound = state["scenes"].tolist(), part["sound"]
    if len(scenes) != len(state["rows"]):
        raise ValueError("of other lengths")
    return lambda at: sound(scenes[at])


def _train(training: Training) -> Path:
    """Encode the training videos, and keep their rows and sounds in one file."""
    import numpy as np
    import torch
    from safetensors.torch import save

    from a2ibench.baselines.foleygen.eyes import load_eyes
    from a2ibench.baselines.foleygen.train import Config as FoleyConfig
    from a2ibench.media.audio import sixteen_bits

    known = [field.name for field in fields(Config)]
    # A suite's [training] is FoleyGen's too; what says nothing here is left alone.
    theirs = {field.name for field in fields(FoleyConfig)}
    for key in training.settings:
        if key not in known and key not in theirs:
            raise unknown("setting of nearest-video", key, known)
    config = Config(**{key: value for key, value in training.settings.items() if key in known})
    samples = round(config.seconds * RATE)
    check_space(training.folder, 2 * samples * len(training.clips), "an index with its sounds")
    eyes = load_eyes("clip", training.parts["clip"], training.device)
    advance = training.stage("index", len(training.clips))
    rows, lengths = [], []
    sounds = np.zeros((len(training.clips), samples), np.int16)
    for number, clip in enumerate(training.clips):
        wave = sixteen_bits(read_audio(clip.file("audio"), RATE)[:samples])
        sounds[number, : len(wave)] = wave
        lengths.append(len(wave))
        rows.append(row_of(clip, eyes, config))
        advance(1)
    state = {
        "rows": torch.from_numpy(np.stack(rows)),
        "sounds": torch.from_numpy(sounds),
        "lengths": torch.tensor(lengths),
    }
    told = {"config": json.dumps({"seconds": config.seconds, "frame_rate": config.frame_rate})}
    write_bytes(training.folder / FILE, save(state, told))
    return training.folder / FILE


METHODS = (
    Method(
        "nearest-video",
        "The sound of the training video that looks most like the given one, by CLIP; nothing is generated.",
        "video",
        _load,
        parts=("clip", "nearest-video"),
        task="video-to-audio",
        trains="nearest-video",
        train=_train,
    ),
)
