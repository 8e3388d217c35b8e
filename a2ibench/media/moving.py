"""Containers opened by FFmpeg (PyAV), and the pictures in them one after another."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from a2ibench.errors import A2IBenchError
from a2ibench.media.base import LONGEST_SECONDS, MOST_PIXELS, check_file, refusal, said
from a2ibench.media.containers import check_whole, demuxer, is_moving

MOST_FRAMES = 60 * LONGEST_SECONDS
# Timestamps of these begin anywhere; those of the others count from the beginning of what is shown.
_FLOATING = frozenset({"mpeg", "mpegts", "ogg", "flv", "asf"})


def open_av(path: Path) -> Any:
    """Open a file by the one demuxer that its content asks for, never as a playlist or an address."""
    import av

    return av.open(f"file:{path}", format=demuxer(path), metadata_errors="replace")


def zero(path: Path, container: Any) -> Fraction:
    """Give the timestamp, in seconds, at which a file begins to play: one for its picture and its sound.

    A recording of a live broadcast (WebM without a length) also begins anywhere.
    """
    floating = demuxer(path) in _FLOATING or container.duration is None
    return Fraction((container.start_time or 0) if floating else 0, 1_000_000)


class opened:  # noqa: N801  used as a function
    """Open a video: ``with opened(path) as (container, stream)``; what FFmpeg raises becomes one sentence."""

    def __init__(self, path: Path):
        self.path = path
        self.container: Any = None

    def __enter__(self) -> tuple[Any, Any]:
        check_file(self.path, "video")
        check_whole(self.path, "video")
        if not is_moving(self.path):
            raise refusal(f"{self.path} is not a video; give it as MP4, MKV, WebM, MOV or AVI.")
        try:
            self.container = open_av(self.path)
        except Exception as error:
            self._say(error)
            raise
        if not self.container.streams.video:
            self.container.close()
            raise refusal(f"{self.path} has no picture; give the image as a file of its own.")
        stream = self.container.streams.video[0]
        if stream.codec_context is None:
            self.container.close()
            raise refusal(f"The picture of {self.path} can't be read (there is no decoder for it); make it again.")
        try:
            check_size(self.path, stream)
        except A2IBenchError:
            self.container.close()
            raise
        return self.container, stream

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.container.close()
        if error is not None:
            self._say(error)

    def _say(self, error: BaseException) -> None:
        import av

        if isinstance(error, av.FFmpegError | OSError | ValueError):
            raise refusal(f"The picture of {self.path} can't be read ({said(error)}); make it again.") from None


def check_size(path: Path, shown: Any) -> None:
    """Refuse a stream or a frame with too many pixels."""
    if shown.width * shown.height > MOST_PIXELS:
        raise refusal(
            f"The video {path} has {shown.width} x {shown.height} pixels; make it smaller than "
            f"{MOST_PIXELS // 10**6} million."
        )


def decoded(path: Path) -> Iterator[tuple[float, Any]]:
    """FFmpeg's frames, one at least, with their times in seconds from the beginning of the video."""
    with opened(path) as (container, stream):
        start = zero(path, container)
        rate = stream.average_rate or stream.guessed_rate or 25
        frame = None
        for index, (stamp, frame) in enumerate(_stamped(path, container, stream)):
            at = Fraction(index) / Fraction(rate) if stamp is None else stamp * Fraction(stream.time_base) - start
            if index >= MOST_FRAMES or at > LONGEST_SECONDS:
                raise refusal(f"The video {path} lasts more than {LONGEST_SECONDS} s; cut the clip out of it.")
            check_size(path, frame)  # may be another than the header's
            yield float(at), frame
        if frame is None:
            raise refusal(f"The video {path} has no frame; make it again.")


def _stamped(path: Path, container: Any, stream: Any) -> Iterator[tuple[int | None, Any]]:
    if demuxer(path) != "avi":
        for frame in container.decode(stream):
            yield frame.pts, frame
        return
    # AVI has no timestamps, only an order of packets: the n-th frame that is shown has the time of the n-th packet.
    stamps: deque[int] = deque()
    for packet in container.demux(stream):
        if packet.dts is not None:
            stamps.append(packet.dts)
        for frame in packet.decode():
            yield stamps.popleft() if stamps else None, frame


def converted(frame: Any, layout: str = "rgb24", width: int | None = None, height: int | None = None) -> Any:
    """Give FFmpeg's frame with other colours or another size, the same each time.

    On one thread and by exact arithmetic: left to itself, one conversion in forty has other last bits.
    """
    from av.video.reformatter import Interpolation

    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    return frame.reformat(width, height, layout, interpolation=exact, threads=1)


def middle_frame(path: Path) -> Image.Image:
    """Give a video's middle frame, as RGB; A2IBenchError if it can't be read."""
    # Twice through, rather than half of the video in memory: how many frames there are is known at the end only.
    count = sum(1 for _ in decoded(path))
    _, frame = next(islice(decoded(path), count // 2, None))
    image: Image.Image = converted(frame).to_image()
    return image.convert("RGB")
