"""Write scenes as a data folder: the shipped test splits, and clips for training and validation."""

import csv
import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.progress import track

from a2ibench.errors import A2IBenchError
from a2ibench.files import read_state, sha256_file, sweep, write_bytes, write_state, write_text
from a2ibench.media.image import save_image
from a2ibench.suites.mini import world

TEST = Path(__file__).parent.parent / "test"
CLIPS_PER_KIND = 20
PAIRS = 120
COLUMNS = (
    "label", "caption", "caption_2", "caption_3", "caption_4", "caption_5",
    "onsets", "events", "size", "place", "seed",
)  # fmt: skip


def test_scenes() -> dict[str, world.Scene]:
    """Draw scenes of one kind until each kind has twenty: clip id → scene."""
    found: dict[str, world.Scene] = {}
    counts = [0] * len(world.KINDS)
    index = 0
    while len(found) < CLIPS_PER_KIND * len(world.KINDS):
        scene = world.draw_scene("test", index)
        index += 1
        if counts[scene.kind] < CLIPS_PER_KIND:
            found[f"{world.KINDS[scene.kind].name}-{counts[scene.kind]:02d}"] = scene
            counts[scene.kind] += 1
    return dict(sorted(found.items()))


def test_pairs() -> dict[str, world.Scene]:
    """Draw scenes of two kinds, so many that each kind comes first ten times: clip id → scene."""
    found: dict[str, world.Scene] = {}
    counts = [0] * len(world.KINDS)
    index = 0
    while len(found) < PAIRS:
        scene = world.draw_scene("test-two", index)
        index += 1
        if counts[scene.kind] < PAIRS // len(world.KINDS):
            first, second = (world.KINDS[event.kind].name for event in scene.events)
            found[f"{first}-{second}-{counts[scene.kind]}"] = scene
            counts[scene.kind] += 1
    return dict(sorted(found.items()))


def write_scenes(
    scenes: Iterable[tuple[str, world.Scene]], folder: Path, sound: str, media: Sequence[str] = ("audio", "image")
) -> Path:
    """Write a data folder: ``clips.csv`` and a folder for each medium; one that is whole is left alone.

    Parameters
    ----------
    scenes
        Clip ids and scenes.
    folder
        Where to.
    sound
        ``"ogg"`` (Vorbis, small) or ``"wav"`` (16 bits).
    media
        Which of ``"audio"``, ``"image"`` and ``"video"``.

    """
    if (folder / "clips.csv").exists():
        return folder
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    endings = {"audio": sound, "image": "png", "video": "mp4"}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["clip_id", *media, *COLUMNS])
    for clip_id, scene in track(list(scenes), description=f"draw {folder.name}"):
        files = {medium: f"{medium}/{clip_id}.{endings[medium]}" for medium in media}
        if "audio" in files:
            write_sound(folder / files["audio"], world.sound(scene))
        if "image" in files:
            save_image(folder / files["image"], world.render(scene))
        if "video" in files:
            write_bytes(folder / files["video"], encode_video(world.video(scene)))
        onsets = " ".join(f"{onset:.3f}" for onset in scene.onsets)
        events = " ".join(f"{event.kind}x{event.count}" for event in scene.events)
        told = [scene.label, *world.test_captions(scene)]
        writer.writerow(
            [clip_id, *files.values(), *told, onsets, events, scene.size, world.PLACES[scene.place], scene.seed]
        )
    write_text(folder / "clips.csv", table.getvalue())
    return folder


def write_tests() -> None:
    """Write the shipped splits: ``test`` with everything, ``test-two`` (for text to audio) with sounds alone."""
    write_scenes(test_scenes().items(), TEST, "ogg", ("audio", "image", "video"))
    write_scenes(test_pairs().items(), TEST.with_name("test-two"), "ogg", ("audio",))


def write_sound(file: Path | BinaryIO, wave: NDArray[np.float32]) -> None:
    """Write a sound; Ogg Vorbis at a middling quality, 13 kB for three seconds."""
    if not isinstance(file, Path) or file.suffix == ".ogg":
        soundfile.write(file, wave, world.SAMPLE_RATE, format="OGG", subtype="VORBIS", compression_level=0.9)
    else:
        soundfile.write(file, wave, world.SAMPLE_RATE)


def encode_video(frames: NDArray[np.uint8]) -> bytes:
    """Encode frames ``uint8 [n, h, w, 3]`` as MP4, H.264, a few kB."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(world.FRAME_RATE))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # One thread and plain code, so that the bytes depend on little but the frames.
        stream.options = {"crf": "23", "preset": "slow", "x264-params": "threads=1:asm=0:sync-lookahead=0"}
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def training_clips(folder: Path, count: int, media: Sequence[str] = ("audio", "image")) -> Path:
    """Write the first scenes of the training split as a data folder; one that is there is kept if it is whole.

    Sounds beside videos are kept as Ogg Vorbis: as WAV they would take most of the folder.
    """
    for part in (folder, *(folder / medium for medium in media)):
        sweep(part)
    sums = folder / "sums.json"
    try:
        whole = (read_state(sums, "delete it") or {}).get("files") == _sums(folder)
    except (A2IBenchError, OSError):
        whole = False
    if not whole:
        (folder / "clips.csv").unlink(missing_ok=True)
        scenes = ((f"train-{index:05d}", world.draw_scene("train", index)) for index in range(count))
        write_scenes(scenes, folder, "ogg" if "video" in media else "wav", media)
        write_state(sums, {"files": _sums(folder)})
    return folder


def _sums(folder: Path) -> dict[str, str]:
    files = [file for pattern in ("audio/*.wav", "audio/*.ogg", "image/*.png", "video/*.mp4")
             for file in folder.glob(pattern)]  # fmt: skip
    return {file.relative_to(folder).as_posix(): sha256_file(file) for file in (folder / "clips.csv", *files)}


test_scenes.__test__ = test_pairs.__test__ = False  # type: ignore[attr-defined]  # no tests, whatever pytest thinks
