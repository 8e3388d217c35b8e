"""Containers opened by FFmpeg (PyAV), and the pictures in them one after another."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from a2ibench.media.base import LONGEST_SECONDS, MOST_PIXELS, check_file, refusal, said
from a2ibench.media.containers import check_whole, demuxer, is_moving

MOST_FRAMES = 60 * LONGEST_SECONDS


def open_av(path: Path) -> Any:
    """Open a file by the one demuxer that its content asks for, never as a playlist or an address."""
    import av

    return av.open(f"file:{path}", format=demuxer(path), metadata_errors="replace")


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
        if stream.width * stream.height > MOST_PIXELS:
            self.container.close()
            raise refusal(
                f"The video {self.path} has {stream.width} x {stream.height} pixels; make it smaller than "
                f"{MOST_PIXELS // 10**6} million."
            )
        return self.container, stream

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.container.close()
        if error is not None:
            self._say(error)

    def _say(self, error: BaseException) -> None:
        import av

        if isinstance(error, av.FFmpegError | OSError | ValueError):
            raise refusal(f"The picture of {self.path} can't be read ({said(error)}); make it again.") from None


def decoded(path: Path) -> Iterator[tuple[float, Any]]:
    """FFmpeg's frames with their times in seconds from the beginning of the video."""
    with opened(path) as (container, stream):
        start = Fraction(container.start_time or 0, 1_000_000)
        rate = stream.average_rate or stream.guessed_rate or 25
        for index, frame in enumerate(container.decode(stream)):
            at = Fraction(index) / Fraction(rate)
            if frame.pts is not None:
                at = frame.pts * Fraction(frame.time_base) - max(start, Fraction(0))
            if index >= MOST_FRAMES or at > LONGEST_SECONDS:
                raise refusal(f"The video {path} lasts more than {LONGEST_SECONDS} s; cut the clip out of it.")
            yield float(at), frame


def middle_frame(path: Path) -> Image.Image:
    """Give a video's middle frame, as RGB; A2IBenchError if it can't be read."""
    # Twice through, rather than half of the video in memory: how many frames there are is known at the end only.
    count = sum(1 for _ in decoded(path))
    for index, (_, frame) in enumerate(decoded(path)):
        if index == count // 2:
            image: Image.Image = frame.to_image()
            return image.convert("RGB")
    raise refusal(f"The video {path} has no frame; give the image as a file of its own.")
