"""Videos of the drawn world, named like VGGSound's and with a list: to try the whole path without the corpus.

Each shows a scene of one kind while it is heard, and at its end, for a third of the time, another kind: only who
compares the frames with the label takes one of the first two thirds.
"""

import csv
import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.files import check_writable, write_bytes, write_text
from a2ibench.media.moving import converted
from a2ibench.progress import Advance
from a2ibench.suites.mini import world

FRAMES_PER_SECOND = 8
SIZE = 256
_CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that this PyAV has

Pixels = NDArray[np.uint8]


def draw_videos(folder: Path, count: int, advance: Advance | None = None) -> Path:
    """Draw `count` videos into ``folder/videos``, and give their list, ``folder/list.csv``, in VGGSound's format."""
    check_writable(folder)
    rows = []
    for number in range(count):
        drawn = world.draw_scene("afresh", 10_000 + number)
        kind = number % len(world.KINDS)  # in turn, so that few videos hold all kinds
        scene = world.Scene((world.Event(kind, drawn.count),), drawn.size, drawn.place, drawn.seed)
        name = f"mini{number:07d}_{30 * (number % 4):06d}"
        write_bytes(folder / "videos" / f"{name}.mp4", _video(scene))
        rows.append((f"{name}.mp4", scene.label))
        if advance is not None:
            advance(1)
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    write_text(folder / "list.csv", buffer.getvalue())
    return folder / "list.csv"


def _video(scene: world.Scene) -> bytes:
    other = world.Scene((world.Event((scene.kind + 5) % len(world.KINDS), 1),), 0.5, scene.place, scene.seed + 1)
    total = round(world.SECONDS * FRAMES_PER_SECOND)
    shown = total - total // 3
    own, after = (
        np.asarray(world.render(each).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for each in (scene, other)
    )
    return encode([own] * shown + [after] * (total - shown), FRAMES_PER_SECOND, world.sound(scene), world.SAMPLE_RATE)


def encode(
    frames: Sequence[Pixels],
    fps: int,
    wave: NDArray[np.floating] | None,
    rate: int,
    late: float = 0.0,
    suffix: str = "mp4",
) -> bytes:
    """Encode frames ``[height, width, 3]`` and a sound ``[samples]`` as a video.

    Its pixels are the same each time, and its sound within the loss of AAC: a last bit of difference in a sample
    moves the encoder's choices. ``late`` seconds pass before the sound begins. ``suffix``: mp4 or mkv.
    """
    import av

    buffer = io.BytesIO()
    with av.open(
        buffer, "w", format={"mkv": "matroska"}.get(suffix, suffix), options={"fflags": "+bitexact"}
    ) as container:
        codec = next(name for name in _CODECS if name in av.codecs_available)
        options = {"crf": "16", "preset": "veryfast", "threads": "1"} if codec == "libx264" else {}
        picture = container.add_stream(codec, rate=fps, options=options)
        picture.height, picture.width, picture.pix_fmt = (*frames[0].shape[:2], "yuv420p")
        track = None if wave is None else container.add_stream("aac", rate=rate, layout="mono", options={"b": "96000"})
        packets = []
        for number, pixels in enumerate(frames):
            # Converted here: left to the encoder, its last bits would change from time to time.
            frame = converted(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        if track is not None and wave is not None:
            samples, first = wave.astype(np.float32)[None], round(late * rate)
            for start in range(0, samples.shape[1], 1024):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "mono"
                )
                block.sample_rate, block.pts, block.time_base = rate, first + start, Fraction(1, rate)
                packets += track.encode(block)
            packets += track.encode(None)
        for packet in packets:
            container.mux(packet)
    return buffer.getvalue()
