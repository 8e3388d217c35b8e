"""One pass over a video, front to back: the frames to choose from, and the sound of the whole clip.

Seeking to twenty frames costs eight times as much as decoding all of them, since each seek decodes from the key
frame before it. To be replaced by `a2ibench.media` once that reads both streams in one pass.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.errors import A2IBenchError
from a2ibench.media.moving import converted
from a2ibench.text import first_sentence

LONGEST_SECONDS, MOST_PIXELS, SILENCE = 600, 64_000_000, 1e-4  # as `a2ibench.media` has them
MOST_FRAMES = 40  # candidates that are held at once; a longer video is looked at less often
MOST_RATE = 240  # frames a second that are decoded at most: a header may lie
STILL = 2.0  # mean difference of two thumbnails, in levels of 255, that compression alone makes
_HOLE = 0.05  # seconds: smaller jumps of the sound's clock are rounding of the container
_BLOCK = 4096  # samples that an encoder's last block holds at most
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"

Sound = NDArray[np.int16]


class UnusableError(A2IBenchError):
    """A clip can't be used: the reason in one or two words, as reports count it, and a sentence."""

    def __init__(self, reason: str, sentence: str):
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Moment:
    """A frame to choose from: when it is shown, in seconds from the clip's beginning, and its picture."""

    time: float
    image: Image.Image


@dataclass(frozen=True)
class Decoded:
    """A video, read once.

    Attributes
    ----------
    moments
        The frames to choose from, in the order of time; at least one.
    sound
        int16 ``[samples, channels]``; silence where the sound begins late or has a hole.
    rate
        Samples a second.
    seconds
        How long the shorter of picture and sound lasts.
    sound_start
        The seconds of silence that were put before a sound that begins late.
    still
        Whether the frames are one picture.

    """

    moments: tuple[Moment, ...]
    sound: Sound
    rate: int
    seconds: float
    sound_start: float
    still: bool


def decode(path: Path, per_second: float = 2.0, side: int = 512) -> Decoded:
    """Read a video once, front to back.

    Parameters
    ----------
    path
        The video.
    per_second
        How many frames a second to choose from. The first is half a step after the beginning. Of a long video every
        second one is left out as often as needed to hold `MOST_FRAMES`.
    side
        The longest that the shorter side of a frame may be; a larger one is made smaller. 0: as it is.

    Raises
    ------
    UnusableError
        With the reason: corrupt, no picture, no sound, too long, mute.

    """
    import av

    # A file may be a playlist in disguise, which would make FFmpeg open other files or addresses.
    safe = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        with av.open(str(path.absolute()), options=safe) as container:
            return _read(container, path, per_second, side)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        why = getattr(error, "strerror", None) or first_sentence(error)
        raise UnusableError("corrupt", f"{path.name} can't be decoded: {why}.") from None


def _read(container: Any, path: Path, per_second: float, side: int) -> Decoded:
    if not container.streams.video:
        raise UnusableError("no picture", f"{path.name} has no picture.")
    if not container.streams.audio:
        raise UnusableError("no sound", f"{path.name} has no sound stream.")
    video, audio = container.streams.video[0], container.streams.audio[0]
    if video.codec_context.width * video.codec_context.height > MOST_PIXELS:
        raise UnusableError("corrupt", f"{path.name} has frames of more than {MOST_PIXELS // 10**6} megapixels.")
    # Workers are many: threads of the decoder's own would only get in their way.
    video.thread_type = "NONE"
    zero = min(float((stream.start_time or 0) * stream.time_base) for stream in (video, audio))
    frames = _Frames(path, 1 / per_second, side, zero)
    sound = _Sound(path, int(audio.rate or 0), zero)
    for packet in container.demux(video, audio):
        for frame in packet.decode():
            (frames if packet.stream.type == "video" else sound).take(frame)
    sound.flush()
    end = max(frames.end, sound.end)
    stated = (container.duration or 0) / 1_000_000
    if end + 1 < stated:
        raise UnusableError("corrupt", f"{path.name} is truncated: {end:.1f} of {stated:.1f} s are there.")
    moments = frames.chosen()
    if not sound.blocks:
        raise UnusableError("no sound", f"{path.name} has a sound stream without samples.")
    wave = _without_padding(np.concatenate(sound.blocks), sound.rate, audio, zero)
    mono = wave.mean(axis=1, dtype=np.float64) / 32768
    if np.abs(mono).max() < SILENCE:
        raise UnusableError("mute", f"{path.name} is mute: its sound is silence.")
    seconds = round(min(frames.end, len(wave) / sound.rate), 3)
    return Decoded(moments, wave, sound.rate, seconds, round(sound.start, 4), _is_still(moments))


def _without_padding(wave: Sound, rate: int, stream: Any, zero: float) -> Sound:
    """Cut what the encoder added to fill its last block: the length is the stream's."""
    if not stream.duration:
        return wave
    stated = round((float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero) * rate)
    return wave[:stated] if 0 < len(wave) - stated <= _BLOCK else wave


@dataclass
class _Frames:
    """Collects the frames to choose from, one every `step` seconds, and never more than `MOST_FRAMES`."""

    path: Path
    step: float
    side: int
    zero: float
    moments: list[Moment] = field(default_factory=list)
    end: float = 0.0
    count: int = 0
    before: Any = None

    def __post_init__(self) -> None:
        self.first = self.step / 2

    def take(self, frame: Any) -> None:
        time = max(0.0, float(frame.time) - self.zero) if frame.time is not None else self.end
        self.count += 1
        length = float(frame.duration * frame.time_base) if getattr(frame, "duration", 0) and frame.time_base else 0.0
        self.end = max(self.end, time + length)
        if self.end > LONGEST_SECONDS or self.count > LONGEST_SECONDS * MOST_RATE:
            raise UnusableError("too long", f"{self.path.name} lasts more than {LONGEST_SECONDS} s.")
        if frame.width * frame.height > MOST_PIXELS:
            raise UnusableError(
                "corrupt", f"{self.path.name} has frames of more than {MOST_PIXELS // 10**6} megapixels."
            )
        if time + 1e-6 >= self.first + len(self.moments) * self.step:
            self.moments.append(Moment(round(time, 3), self._picture(frame)))
            if len(self.moments) > MOST_FRAMES:
                self.moments, self.step = self.moments[::2], self.step * 2
        elif not self.moments and self.before is None:
            self.before = (time, frame)

    def chosen(self) -> tuple[Moment, ...]:
        """Give the frames; of a video shorter than half a step, its first."""
        if not self.moments and self.before is not None:
            self.moments.append(Moment(round(self.before[0], 3), self._picture(self.before[1])))
        if not self.moments:
            raise UnusableError("no picture", f"{self.path.name} has no frame.")
        return tuple(self.moments)

    def _picture(self, frame: Any) -> Image.Image:
        image: Image.Image = converted(frame).to_image()
        short = min(image.size)
        if not self.side or short <= self.side:
            return image
        width, height = (max(1, round(length * self.side / short)) for length in image.size)
        return image.resize((width, height), Image.Resampling.BICUBIC)


@dataclass
class _Sound:
    """Collects the sound as 16 bits in its own rate and channels, each block at its time."""

    path: Path
    rate: int
    zero: float
    blocks: list[Sound] = field(default_factory=list)
    start: float = 0.0
    written: int = 0
    resampler: Any = None

    @property
    def end(self) -> float:
        return self.written / self.rate if self.rate else 0.0

    def take(self, frame: Any) -> None:
        import av

        if self.resampler is None:
            self.rate = self.rate or int(frame.sample_rate)
            if not 4000 <= self.rate <= 200_000 or frame.layout.nb_channels > 8:
                raise UnusableError("corrupt", f"{self.path.name} has a sound of {self.rate} samples a second.")
            # Its own layout and rate: only the kind of number changes, and what differs later in the stream.
            self.resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=self.rate)
        if frame.time is not None:
            self._silence(max(0, round((float(frame.time) - self.zero) * self.rate)) - self.written)
        for each in self.resampler.resample(frame):
            self._add(each.to_ndarray())

    def flush(self) -> None:
        for each in self.resampler.resample(None) if self.resampler is not None else ():
            self._add(each.to_ndarray())

    def _silence(self, samples: int) -> None:
        """Put silence where the clock jumps ahead: before the sound exactly, later where it is no rounding."""
        if samples <= (0 if not self.blocks else _HOLE * self.rate):
            return
        self._check(samples)
        if not self.blocks:
            self.start = samples / self.rate
        channels = self.resampler.layout.nb_channels
        self.blocks.append(np.zeros((samples, channels), np.int16))
        self.written += samples

    def _add(self, block: NDArray[np.float32]) -> None:
        if not np.isfinite(block).all():
            raise UnusableError("corrupt", f"{self.path.name} has samples that are not numbers.")
        self._check(block.shape[1])
        self.blocks.append(np.clip(np.rint(block.T * 32768.0), -32768, 32767).astype(np.int16))
        self.written += block.shape[1]

    def _check(self, samples: int) -> None:
        if self.written + samples > LONGEST_SECONDS * self.rate:
            raise UnusableError("too long", f"{self.path.name} lasts more than {LONGEST_SECONDS} s.")


def _is_still(moments: tuple[Moment, ...]) -> bool:
    """Whether all frames are one picture but for what compression changes."""
    small = [np.asarray(moment.image.convert("L").resize((32, 32)), dtype=np.float64) for moment in moments]
    return all(float(np.abs(each - small[0]).mean()) < STILL for each in small[1:])
