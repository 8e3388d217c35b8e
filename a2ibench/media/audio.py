"""Sounds: read by libsndfile, and by FFmpeg (PyAV) where that can't; checked, written, drawn as spectrograms."""

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from a2ibench.files import write_bytes
from a2ibench.media.base import LONGEST_SECONDS, Medium, Uniform, check_file, refusal, said
from a2ibench.media.containers import check_whole, demuxer, is_moving, is_piped
from a2ibench.media.moving import open_av, zero
from a2ibench.media.spectrogram import draw

SHORTEST_SECONDS = 0.1
HIGHEST_RATE = 768_000
SILENCE = 1e-4  # a peak of -80 dB full scale
LOOK_RATE = 16_000  # what pictures of sounds and checks of outputs are read at
UNIFORM_RATE = 32_000
"""What raters hear."""
TILE_SIZE = (144, 96)
_FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
_JITTER = 0.02  # seconds: timestamps are rounded, to a millisecond or more

Samples = NDArray[np.float32]


def read_audio(path: Path, rate: int) -> Samples:
    """Read a sound, or the sound of a video: mixed down to mono, resampled (soxr, high quality): ``[samples]``.

    Its content decides how it is read, not its ending. Sample 0 is what is heard when the file begins to play: a
    sound that starts late has silence in front, an encoder's delay is taken off, gaps are filled with silence.

    Raises
    ------
    A2IBenchError
        If the file is missing, empty, truncated, no audio, too short or too long, silent, or has samples not
        finite.

    """
    check_file(path, "audio")
    try:
        mono, found = _decode(path)
    except OSError as error:
        raise refusal(f"The audio file {path} can't be read: {said(error)}.") from None
    if not np.isfinite(mono).all():
        raise refusal(f"The audio file {path} has samples that are not numbers (NaN or infinite).")
    if len(mono) < SHORTEST_SECONDS * found:
        raise refusal(
            f"The audio file {path} lasts {len(mono) / found:.3f} s; at least {SHORTEST_SECONDS} s are needed."
        )
    _check_length(path, len(mono), found)
    if np.abs(mono).max() < SILENCE:
        raise refusal(f"The audio file {path} is silent (mixed to mono); take the clip out or give its sound.")
    if found == rate:
        return mono
    import soxr

    resampled: Samples = soxr.resample(mono, found, rate, quality="HQ")
    return resampled


def write_audio(path: Path, samples: ArrayLike, rate: int) -> None:
    """Write a sound, whole or not at all, as its ending says: WAV and FLAC with 16 bits, or Ogg Vorbis.

    Parameters
    ----------
    path
        Where to; ``.wav``, ``.flac`` or ``.ogg``.
    samples
        ``[samples]`` or ``[samples, channels]`` from -1 to 1; what is louder is clipped.
    rate
        Samples per second.

    Raises
    ------
    A2IBenchError
        If the ending is another, there are no samples, or one is not finite.

    """
    import soundfile

    if path.suffix.lower() not in _FORMATS:
        raise refusal(f"{path} can't be written as a sound; let its name end in {', '.join(_FORMATS)}.")
    wave = np.asarray(samples, dtype=np.float32)
    if wave.ndim not in (1, 2) or not wave.size or not np.isfinite(wave).all():
        raise refusal(f"{path} can't be written: it has no samples, or some that are not numbers (NaN or infinite).")
    form, subtype = _FORMATS[path.suffix.lower()]
    wave = np.clip(wave, -1, 1)
    # Rounded here: libsndfile rounds differently for WAV and FLAC.
    ready = sixteen_bits(wave) if subtype == "PCM_16" else wave
    buffer = BytesIO()
    with soundfile.SoundFile(
        buffer, "w", rate, 1 if wave.ndim == 1 else wave.shape[1], format=form, subtype=subtype
    ) as file:
        # In blocks: libsndfile's Vorbis encoder overflows its stack on long ones.
        for start in range(0, len(wave), 1 << 14):
            file.write(ready[start : start + (1 << 14)])
    write_bytes(path, buffer.getvalue())


def sixteen_bits(wave: Samples) -> NDArray[np.int16]:
    """Round samples from -1 to 1 to the integers that readers divide by 32768."""
    return np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16)


def inspect_audio(path: Path) -> str:
    """Check a sound; give the sha256 of what is heard, as 16 bits at 16 kHz: equal sounds in any format are equal."""
    wave = read_audio(path, LOOK_RATE)
    return sha256(sixteen_bits(wave).astype("<i2").tobytes()).hexdigest()


def as_mp3(path: Path, rate: int = LOOK_RATE, seconds: float | None = None, squeeze: float | None = None) -> bytes:
    """Encode a sound, or its first seconds, as MP3: what every browser plays; equal sounds give equal bytes.

    `squeeze` is how small, and how much worse, it may be: from 0 to 0.9; None leaves it to the library.
    """
    import soundfile

    wave = read_audio(path, rate)
    buffer = BytesIO()
    soundfile.write(buffer, wave if seconds is None else wave[: int(seconds * rate)], rate, format="MP3",
                    compression_level=squeeze)  # fmt: skip
    return buffer.getvalue()


def spectrogram(path: Path) -> Image.Image:
    """The log-mel spectrogram of a sound's first ten seconds, low tones below."""
    return draw(read_audio(path, LOOK_RATE)[: 10 * LOOK_RATE], LOOK_RATE)


def sound_tile(path: Path) -> Image.Image:
    """Draw the spectrogram of a sound, small."""
    return spectrogram(path).resize(TILE_SIZE, Image.Resampling.LANCZOS)


def element(address: str, description: str) -> str:
    """Give the HTML that plays a sound."""
    return f'<audio controls preload="none" src="{escape(address)}" aria-label="{escape(description)}"></audio>'


# ------------------------------------------------------------------------------------------------- decoding


def _decode(path: Path) -> tuple[Samples, int]:
    check_whole(path, "audio")
    if is_piped(path):
        return decode_with_av(path)
    try:
        return _decode_with_libsndfile(path)
    except _NotForLibsndfile as error:
        # What libsndfile knows and can't open is damaged: FFmpeg would make something of it.
        if demuxer(path) not in (None, "flac", "mp3"):
            return decode_with_av(path)
        raise refusal(f"{path} can't be read as audio ({error}); give it as WAV, FLAC, OGG or MP3.") from None


class _NotForLibsndfile(Exception):  # noqa: N818  a signal between two functions
    """libsndfile can't open it."""


def _decode_with_libsndfile(path: Path) -> tuple[Samples, int]:
    import soundfile

    # By its number, not its name: else an ending such as .raw or .gsm would decide what the file is.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        try:
            file = soundfile.SoundFile(number, closefd=False)
        except (RuntimeError, TypeError, ValueError) as error:  # libsndfile's own, and soundfile's
            raise _NotForLibsndfile(said(error)) from None
        with file:
            _check_rate(path, file.samplerate)
            blocks: list[Samples] = []
            read = 0
            # In blocks: a header may claim any length, and reading all at once makes room for what it claims.
            while len(block := file.read(1 << 18, dtype="float32", always_2d=True)):
                blocks.append(_mono(block))
                read += len(block)
                _check_length(path, read, file.samplerate)
            frames = max(file.frames, _logged_frames(file))
            if read < frames and (file.format != "MP3" or _has_frame_count(path)):
                raise refusal(
                    f"The audio file {path} is truncated: {read} of {frames} samples could be read; make it again."
                )
            return np.concatenate([np.empty(0, np.float32), *blocks]), file.samplerate
    except (RuntimeError, ValueError) as error:
        raise refusal(f"The audio file {path} is broken ({said(error)}); make it again.") from None
    finally:
        os.close(number)


def _mono(block: Samples) -> Samples:
    """Mix at once, so that a file of a thousand channels takes no more memory than one of one."""
    mixed: Samples = block.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mixed


def _logged_frames(file: Any) -> int:
    """How many samples the header of a rare format states: libsndfile takes what is there, and says so in its log."""
    if file.format not in ("AVR", "MPC2K", "WVE", "MAT4", "MAT5"):
        return 0
    found = re.findall(r"(?:Frames +:|Data length|Cols +:) (\d+)", file.extra_info)
    return int(found[-1]) if found else 0


def _has_frame_count(path: Path) -> bool:
    """Whether an MP3 file says how long it is; else its length is an estimate, and often too large."""
    with path.open("rb") as file:
        head = file.read(10)
        # The tag in front may hold a whole cover picture; four bytes of seven bits give its size.
        tag = sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(head[6:10])) + 10
        file.seek(tag if head[:3] == b"ID3" else 0)
        frame = file.read(256)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def _check_rate(path: Path, rate: int) -> None:
    if rate > HIGHEST_RATE:
        raise refusal(f"The audio file {path} has {rate} samples a second; at most {HIGHEST_RATE} are read.")


def _check_length(path: Path, samples: int, rate: int) -> None:
    if samples > LONGEST_SECONDS * rate:
        raise refusal(f"The audio file {path} lasts more than {LONGEST_SECONDS} s; cut the clip out of it.")


def decode_with_av(path: Path) -> tuple[Samples, int]:
    """Decode a file's first sound track by FFmpeg, mixed down to mono: ``[samples]`` in their time, and their rate.

    Raises
    ------
    A2IBenchError
        If it has none, or can't be read.

    """
    import av

    what = "video" if is_moving(path) else "audio file"
    try:
        with open_av(path) as container:
            if not container.streams.audio:
                raise refusal(f"The {what} {path} has no sound; give the audio as a file of its own.")
            if container.streams.audio[0].codec_context is None or not container.streams.audio[0].rate:
                raise refusal(f"The sound of {path} can't be read (there is no decoder for it); make it again.")
            _check_rate(path, container.streams.audio[0].rate)
            timeline = _Timeline(path, container)
            for block, at in _blocks(container):
                timeline.add(block, at)
            if not timeline.blocks:
                raise refusal(f"The {what} {path} has a sound track without samples.")
            return timeline.whole(), timeline.rate
    except (av.FFmpegError, OSError, ValueError) as error:
        raise refusal(f"The sound of {path} can't be read ({said(error)}); make it again.") from None


def _blocks(container: Any) -> Iterator[tuple[Samples, Fraction | None]]:
    """The decoded blocks ``[samples]`` with their times in seconds, where they have one."""
    import av

    stream = container.streams.audio[0]
    rate = stream.rate
    # Channels in turn: PyAV reads beyond its memory where more than eight lie in planes of their own.
    resampler = av.AudioResampler(format="flt", rate=rate)
    for frame in container.decode(stream):
        at = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
        for out in resampler.resample(frame):
            yield _mono(out.to_ndarray().reshape(-1, out.layout.nb_channels)), at
            at = None  # what follows of the same frame stands right behind
    # An empty resampler (every frame had the stream's rate) has nothing left.
    for out in resampler.resample(None):
        yield _mono(out.to_ndarray().reshape(-1, out.layout.nb_channels)), None


class _Timeline:
    """Puts blocks where their timestamps say: silence where there is none, and nothing before the beginning."""

    def __init__(self, path: Path, container: Any):
        stream = container.streams.audio[0]
        self.path, self.rate = path, int(stream.rate)
        self.blocks: list[Samples] = []
        self._length = 0
        self._zero = zero(path, container)
        self._end: int | None = None
        if demuxer(path) == "mov" and stream.duration:
            end = ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)
            self._end = round(end * self.rate)

    def add(self, block: Samples, at: Fraction | None) -> None:
        if at is not None:
            ahead = round((at - self._zero) * self.rate) - self._length
            # The first block has its exact place; later ones move only where there is a real gap or overlap.
            if abs(ahead) > (_JITTER * self.rate if self._length else 0):
                if ahead > 0:
                    _check_length(self.path, self._length + ahead, self.rate)
                    self._append(np.zeros(ahead, np.float32))
                else:
                    block = block[-ahead:]
        self._append(block)
        _check_length(self.path, self._length, self.rate)

    def _append(self, block: Samples) -> None:
        if len(block):
            self.blocks.append(block)
            self._length += len(block)

    def whole(self) -> Samples:
        """All of it, to the end that the stream states."""
        samples = np.concatenate(self.blocks)
        return samples if self._end is None else samples[: self._end]


AUDIO = Medium(
    name="audio",
    noun="a sound",
    suffixes=(".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac", ".mka"),
    read=lambda path, rate=LOOK_RATE: read_audio(path, rate),
    write=write_audio,
    inspect=inspect_audio,
    tile=sound_tile,
    element=element,
    uniform=Uniform(".mp3", "audio/mpeg", lambda path, whole=False: as_mp3(path, UNIFORM_RATE)),
)
