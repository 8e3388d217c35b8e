"""What is read for a training: pictures and crops of sounds, here or in worker processes; no network is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from a2ibench.baselines.audiotoken.cache import Shards
from a2ibench.baselines.audiotoken.config import WINDOW, Config
from a2ibench.baselines.audiotoken.model import fit_seconds
from a2ibench.clips import read_audio, read_image
from a2ibench.encoders import beats
from a2ibench.errors import A2IBenchError

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Draws:
    """All that is random in a batch; a process takes its share of it, so that their number changes nothing.

    Attributes
    ----------
    seed
        Of the noise and the dropout.
    rows
        The clips, ``[batch]``, by their places among those trained on.
    crops
        Which of the fixed crops, or where a crop begins as a share of where it may, ``[batch]``.
    times
        Steps of the noise, ``[batch]``.

    """

    seed: int
    rows: NDArray[np.int64]
    crops: NDArray[Any]
    times: NDArray[np.int64]

    @staticmethod
    def of(config: Config, clips: int, times: int, number: int) -> "Draws":
        """Draw a batch by its number: of so many clips and steps of noise."""
        # The zero was a process's number, when each had a batch of its own.
        rng = np.random.default_rng([config.seed, number // config.accumulate, 0, number % config.accumulate])
        seed, size = int(rng.integers(2**62)), config.batch_size
        rows = rng.integers(clips, size=size)
        fixed = rng.integers(config.fixed_crops, size=size) if config.cache == "features" else None
        steps = rng.integers(times, size=size)
        return Draws(seed, rows, rng.random(size) if fixed is None else fixed, steps)


class Sounds:
    """Reads sounds and cuts crops from them.

    Parameters
    ----------
    config
        Says how: channel, rate, length, and where crops may begin.
    first
        The first clip's sound, whose rate all others must have where they are not resampled.

    """

    def __init__(self, config: Config, first: Path):
        self.config = config
        self.rate = beats.RATE if config.resample else _raw(first)[1]

    def read(self, path: Path) -> Samples:
        """Read a whole sound: ``[samples]``."""
        if self.config.resample and self.config.channel == "mix":
            return read_audio(path, self.rate)
        channels, rate = _raw(path)
        wave: Samples = channels[:, 0] if self.config.channel == "first" else channels.mean(1, dtype=np.float32)
        if rate == self.rate:
            return np.ascontiguousarray(wave)
        if not self.config.resample:
            raise A2IBenchError(
                f"{path} has {rate} samples a second and others have {self.rate}, and what is not resampled needs one "
                "rate; convert the files, or set resample=true."
            )
        import soxr

        resampled: Samples = soxr.resample(wave, rate, self.rate, quality="HQ")
        return resampled

    def fixed(self, path: Path) -> Samples:
        """Cut the fixed crops of a sound, spread evenly over where they may begin: ``[crops, samples]``."""
        wave, seconds = self.read(path), self.config.crop_seconds
        if self.config.crop_starts == "seconds":
            return np.stack([self._window(wave, start) for start in range(self.config.whole_seconds)])
        spare = max(0, len(wave) - round(seconds * self.rate))
        starts = np.linspace(0, spare, self.config.crops).astype(int)
        return np.stack([fit_seconds(wave[start:], seconds, self.rate) for start in starts])

    def crop(self, path: Path, where: float) -> Samples:
        """Cut the crop that begins at a share `where`, in [0, 1), of the places where it may: ``[samples]``."""
        wave, seconds = self.read(path), self.config.crop_seconds
        if self.config.crop_starts == "seconds":
            return self._window(wave, int(where * self.config.whole_seconds))
        spare = max(0, len(wave) - round(seconds * self.rate))
        return fit_seconds(wave[int(where * (spare + 1)) :], seconds, self.rate)

    def _window(self, wave: Samples, start: int) -> Samples:
        """Cut from a whole second on, as the authors do: of the sound repeated to ten."""
        whole = fit_seconds(wave, WINDOW, self.rate)
        return fit_seconds(whole[start * self.rate :], self.config.crop_seconds, self.rate)


def _raw(path: Path) -> tuple[Samples, int]:
    """Read a file's channels as they are: ``[samples, channels]`` and their rate."""
    import soundfile

    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise A2IBenchError(
            f"{path} can't be read as it is ({error}); give WAV, FLAC or OGG, or set channel=mix and resample=true."
        ) from None
    return channels, int(rate)


def read_picture(config: Config, path: Path) -> Tensor:
    """Read a picture as the autoencoder sees it: ``[3, h, w]`` from -1 to 1."""
    image = read_image(path)
    if config.frame == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    scaled = image.resize(config.picture)
    return torch.from_numpy(np.asarray(scaled, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1)


@dataclass(frozen=True)
class Batches:
    """The batches of a training by their numbers: a process's share of what each needs, read.

    Attributes
    ----------
    config
        The settings, with ``cache`` decided.
    sounds, store
        Where sounds and what was computed once are read.
    files
        The sounds, of all clips.
    rows
        The places of the clips that are trained on.
    times
        Steps of the noise.
    share
        Of this process: its number, and how many there are.

    """

    config: Config
    sounds: Sounds
    store: Shards
    files: Sequence[Path]
    rows: NDArray[np.int64]
    times: int
    share: tuple[int, int]

    def draws(self, number: int) -> Draws:
        """Draw a batch by its number."""
        drawn = Draws.of(self.config, len(self.rows), self.times, number)
        return Draws(drawn.seed, self.rows[drawn.rows], drawn.crops, drawn.times)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor] | str:
        """Read sound and latents of a batch, or say why that can't be done: an error that worker processes can send."""
        draws, (rank, processes) = self.draws(number), self.share
        count = len(draws.rows) // processes
        mine = slice(rank * count, (rank + 1) * count)
        try:
            return self.read(draws.rows[mine], draws.crops[mine])
        except A2IBenchError as error:
            return str(error)

    def read(self, rows: NDArray[np.int64], crops: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Read audio features ``[n, tokens, width]``, or samples ``[n, samples]``, and moments ``[n, 2, c, h, w]``."""
        if self.config.cache == "features":
            sound = self.store.take("features", rows, crops).astype(np.float32)
        else:
            pairs = zip(rows, crops, strict=True)
            sound = np.stack([self.sounds.crop(self.files[row], float(crop)) for row, crop in pairs])
        moments = self.store.take("latents", rows).astype(np.float32)
        return torch.from_numpy(sound), torch.from_numpy(moments)


@dataclass(frozen=True)
class Each:
    """What a function gives for each of some places; an error becomes its sentence, which worker processes can send."""

    function: Callable[[int], Any]

    def __getitem__(self, place: int) -> Any:
        try:
            return self.function(place)
        except A2IBenchError as error:
            return str(error)


def in_order(data: Any, places: Sequence[int], workers: int, pinned: bool = False) -> Any:
    """Give ``data[place]`` for each place in order, read ahead by worker processes where there are any.

    Raises
    ------
    A2IBenchError
        If something can't be read.

    """
    from torch.utils.data import DataLoader

    ahead: dict[str, Any] = {"num_workers": workers, "prefetch_factor": 4} if workers else {}
    for found in DataLoader(data, batch_size=None, sampler=places, pin_memory=pinned, **ahead):
        if isinstance(found, str):
            raise A2IBenchError(found)
        yield found
