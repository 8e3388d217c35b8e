"""Videos: frames front to back, times, sound; small MP4s written, and a sound put to a video. All by PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from a2ibench.media.audio import decode_with_av
from a2ibench.media.base import Medium, Uniform, refusal
from a2ibench.media.containers import demuxer
from a2ibench.media.image import UNIFORM_SIDE, square
from a2ibench.media.moving import converted, decoded, middle_frame, opened

SOUND_RATE = 48_000
TILE = 96
_CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that this PyAV has; browsers play the first two

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says, read without decoding it."""

    width: int
    height: int
    fps: float
    """Frames a second, on average."""
    duration: float
    """Seconds, of the picture; 0 where the header does not say."""
    has_sound: bool


@dataclass(frozen=True)
class Frame:
    """One frame: when it is shown, in seconds from the video's beginning, and its pixels ``[height, width, 3]``."""

    time: float
    pixels: Pixels


def video_info(path: Path) -> VideoInfo:
    """Tell a video's size, rate, length, and whether it has a sound.

    Raises
    ------
    A2IBenchError
        If it is missing, broken, truncated, or no video.

    """
    with opened(path) as (container, stream):
        fps = stream.average_rate or stream.guessed_rate or 0
        duration = 0.0
        if stream.duration:
            duration = float(stream.duration * Fraction(stream.time_base))
        elif container.duration:
            duration = container.duration / 1_000_000
        return VideoInfo(stream.width, stream.height, float(fps), duration, bool(container.streams.audio))


def frames(path: Path) -> Iterator[Frame]:
    """Decode a video once, front to back, one frame in memory at a time.

    Raises
    ------
    A2IBenchError
        While it is read: if it is missing, broken, truncated, no video, longer than ten minutes, or its frames
        are larger than 64 megapixels.

    """
    for time, frame in decoded(path):
        yield Frame(time, converted(frame).to_ndarray())


def inspect_video(path: Path) -> str:
    """Check a video by its content; give the sha256 of all its pixels.

    Raises
    ------
    A2IBenchError
        If it can't be read, has no frame, or every pixel of it has one colour.

    """
    digest = sha256()
    colours: set[tuple[int, ...]] = set()
    for frame in frames(path):
        digest.update(f"{frame.pixels.shape}".encode() + frame.pixels.tobytes())
        if len(colours) < 2:
            low, high = frame.pixels.min(axis=(0, 1)), frame.pixels.max(axis=(0, 1))
            colours |= {tuple(low), tuple(high)}
    if len(colours) < 2:
        raise refusal(f"The video {path} is blank: every pixel has the same colour; make it again.")
    return digest.hexdigest()


def video_tile(path: Path, side: int = TILE) -> Image.Image:
    """Draw the middle frame of a video, cut to a square."""
    return square(middle_frame(path), side)


def element(address: str, description: str) -> str:
    """Give the HTML that plays a video."""
    return (
        f'<video controls preload="none" playsinline src="{escape(address)}" '
        f'aria-label="{escape(description)}"></video>'
    )


# -------------------------------------------------------------------------------------------------- writing


def write_video(
    path: Path, pixels: ArrayLike, fps: float, sound: ArrayLike | None = None, rate: int = SOUND_RATE
) -> None:
    """Write an MP4 (H.264, AAC), whole or not at all.

    Equal input gives equal pixels, and a sound that is equal within the loss of AAC: not always equal bytes, since a
    last bit of difference in a sample moves the encoder's choices.

    Parameters
    ----------
    path
        Where to.
    pixels
        uint8 ``[frames, height, width, 3]``; height and width are even.
    fps
        Frames a second.
    sound
        ``[samples]`` from -1 to 1, or None for a silent video.
    rate
        Samples per second of the sound.

    Raises
    ------
    A2IBenchError
        If the arrays are no frames or no sound.

    """
    import av

    shown = np.asarray(pixels)
    if shown.dtype != np.uint8 or shown.ndim != 4 or shown.shape[3] != 3 or not shown.size:
        raise refusal(f"{path} can't be written: its frames are {shown.dtype} {shown.shape}, not uint8 [n, h, w, 3].")
    if shown.shape[1] % 2 or shown.shape[2] % 2 or not 0 < fps <= 1000:
        raise refusal(
            f"{path} can't be written: {shown.shape[2]} x {shown.shape[1]} pixels at {fps:g} frames a second; give "
            "an even width and height, and up to 1000 frames."
        )
    buffer = BytesIO()
    step = Fraction(fps).limit_denominator(1001)
    with av.open(buffer, "w", format="mp4") as container:
        stream = _picture_track(container, shown.shape[2], shown.shape[1], step)
        track = None if sound is None else _sound_track(container)
        packets = []
        for index, each in enumerate(shown):
            # Converted here: left to the encoder, its last bits would change from time to time.
            frame = converted(av.VideoFrame.from_ndarray(np.ascontiguousarray(each), format="rgb24"), "yuv420p")
            frame.pts, frame.time_base = index, 1 / step
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if track is not None:
            packets += _encoded(path, track, sound, rate)
        for packet in packets:
            container.mux(packet)
    write_bytes(path, buffer.getvalue())


def mux(video: Path, sound: ArrayLike | None, rate: int, out: Path) -> None:
    """Write a video with this sound in the place of its own, for people to judge; or without any.

    The picture's bits stay as they are where any browser shows them: H.264 in MP4 or MOV. Else it is coded anew.

    Parameters
    ----------
    video
        The video; its own sound is left out.
    sound
        ``[samples]`` from -1 to 1, of which sample 0 is heard when the first frame is shown; None: a silent video.
    rate
        Samples per second of the sound.
    out
        Where to, as MP4.

    Raises
    ------
    A2IBenchError
        If the video can't be read, or the sound is none.

    """
    import av

    buffer = BytesIO()
    with opened(video) as (source, stream), av.open(buffer, "w", format="mp4") as container:
        kept = _is_shown_everywhere(video, stream)
        if kept:
            picture = container.add_stream_from_template(stream)
        else:
            fps = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
            picture = _picture_track(container, max(2, stream.width // 2 * 2), max(2, stream.height // 2 * 2), fps)
        packets = [] if sound is None else _encoded(out, _sound_track(container), sound, rate)
        for packet in _copied(source, stream, picture) if kept else _coded_anew(video, picture):
            container.mux(packet)
        for packet in packets:
            container.mux(packet)
    write_bytes(out, buffer.getvalue())


def as_mp4(path: Path, whole: bool = False) -> bytes:
    """Encode a video, with its sound if it has one, as MP4 of one size: what every browser plays, without metadata.

    The picture is cut to 512 x 512 pixels, from its middle; a `whole` one keeps its shape, its longer side 512.
    """
    import av

    buffer = BytesIO()
    with opened(path) as (source, stream), av.open(buffer, "w", format="mp4") as container:
        fps = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
        scale = UNIFORM_SIDE / max(stream.width, stream.height)
        width, height = (max(2, round(side * scale) // 2 * 2) for side in (stream.width, stream.height))
        if not whole:
            width = height = UNIFORM_SIDE
        picture = _picture_track(container, width, height, fps)
        packets = []
        if source.streams.audio:
            sound, rate = decode_with_av(path)
            packets = _encoded(path, _sound_track(container), sound, rate)
        for packet in _coded_anew(path, picture, cut=not whole):
            container.mux(packet)
        for packet in packets:
            container.mux(packet)
    return buffer.getvalue()


def _is_shown_everywhere(path: Path, stream: Any) -> bool:
    context = stream.codec_context
    known = {"h264", "mpeg4"} if _codec() == "mpeg4" else {"h264"}
    if demuxer(path) != "mov" or context.name not in known or context.pix_fmt not in ("yuv420p", "yuvj420p"):
        return False
    # A video cut without coding it anew holds frames that are not shown, and says so where a copy would lose it.
    with opened(path) as (again, same):
        return not any(packet.is_discard for packet in again.demux(same))


def _copied(source: Any, stream: Any, picture: Any) -> Iterator[Any]:
    origin = stream.start_time or 0
    for packet in source.demux(stream):
        if packet.dts is None or packet.pts is None:  # the empty one at the end
            continue
        packet.pts, packet.dts = packet.pts - origin, packet.dts - origin
        packet.stream = picture
        yield packet


def _coded_anew(path: Path, picture: Any, cut: bool = False) -> Iterator[Any]:
    import av

    base = Fraction(1, 90_000)
    picture.codec_context.time_base = base
    first, last = None, -1
    for time, frame in decoded(path):
        first = time if first is None else first
        if (at := round((time - first) / base)) <= last:
            continue
        if cut:
            frame = av.VideoFrame.from_image(square(converted(frame).to_image(), picture.width))
        ready = converted(frame, "yuv420p", picture.width, picture.height)
        # None: the kind that the frame had in its old stream says nothing here.
        ready.pts, ready.time_base, ready.pict_type, last = at, base, 0, at
        yield from picture.encode(ready)
    yield from picture.encode(None)


def _codec() -> str:
    import av

    return next(name for name in _CODECS if name in av.codecs_available)


def _picture_track(container: Any, width: int, height: int, fps: Fraction) -> Any:
    options = {"crf": "18", "preset": "medium", "threads": "1"} if _codec() == "libx264" else {}
    stream = container.add_stream(_codec(), rate=fps, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _sound_track(container: Any) -> Any:
    return container.add_stream("aac", rate=SOUND_RATE, layout="mono", format="fltp", options={"b": "128000"})


def _encoded(path: Path, track: Any, sound: ArrayLike | None, rate: int) -> list[Any]:
    import av
    import soxr

    wave = np.asarray(sound, dtype=np.float32)
    if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
        raise refusal(f"{path} can't be written: its sound is no list of finite samples (it has shape {wave.shape}).")
    wave = np.clip(wave if rate == SOUND_RATE else soxr.resample(wave, rate, SOUND_RATE, quality="HQ"), -1, 1)
    size = track.codec_context.frame_size or 1024
    packets = []
    for start in range(0, len(wave), size):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, start : start + size]), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        packets += track.encode(frame)
    return [*packets, *track.encode(None)]


VIDEO = Medium(
    name="video",
    noun="a video",
    suffixes=(".mp4", ".mkv", ".mov", ".webm", ".avi"),
    read=frames,
    write=write_video,
    inspect=inspect_video,
    tile=video_tile,
    element=element,
    uniform=Uniform(".mp4", "video/mp4", as_mp4),
)
