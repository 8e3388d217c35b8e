"""Write scenes as a data folder: the shipped test split, and the training clips for AudioToken."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import soundfile
from rich.progress import track

from a2ibench.errors import A2IBenchError
from a2ibench.files import read_state, sha256_file, sweep, write_bytes, write_state, write_text
from a2ibench.media.image import save_image
from a2ibench.suites.mini import world

CLIPS_PER_KIND = 20


def test_scenes() -> dict[str, world.Scene]:
    """Draw scenes of the test split until each kind has twenty: clip id → scene."""
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


def write_scenes(scenes: Iterable[tuple[str, world.Scene]], folder: Path, extension: str) -> Path:
    """Write a data folder: ``clips.csv``, ``audio/``, ``image/``; a folder that is whole is left alone.

    Parameters
    ----------
    scenes
        Clip ids and scenes.
    folder
        Where to.
    extension
        ``"ogg"`` (Vorbis, small) or ``"wav"`` (16 bits).

    """
    if (folder / "clips.csv").exists():
        return folder
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["clip_id", "audio", "image", "label", "kind", "count", "size", "seed"])
    for clip_id, scene in track(list(scenes), description=f"draw {folder.name}"):
        audio, image = f"audio/{clip_id}.{extension}", f"image/{clip_id}.png"
        sound = io.BytesIO()
        soundfile.write(sound, world.sound(scene), world.SAMPLE_RATE, format=extension.upper())
        write_bytes(folder / audio, sound.getvalue())
        save_image(folder / image, world.render(scene))
        writer.writerow([clip_id, audio, image, scene.label, scene.kind, scene.count, scene.size, scene.seed])
    write_text(folder / "clips.csv", table.getvalue())
    return folder


def training_clips(folder: Path, count: int) -> Path:
    """Write the first scenes of the training split as a data folder; one that is there is kept if it is whole."""
    for part in (folder, folder / "audio", folder / "image"):
        sweep(part)
    sums = folder / "sums.json"
    try:
        whole = (read_state(sums, "delete it") or {}).get("files") == _sums(folder)
    except (A2IBenchError, OSError):
        whole = False
    if not whole:
        (folder / "clips.csv").unlink(missing_ok=True)
        scenes = ((f"train-{index:05d}", world.draw_scene("train", index)) for index in range(count))
        write_scenes(scenes, folder, "wav")
        write_state(sums, {"files": _sums(folder)})
    return folder


def _sums(folder: Path) -> dict[str, str]:
    files = [folder / "clips.csv", *folder.glob("audio/*.wav"), *folder.glob("image/*.png")]
    return {file.relative_to(folder).as_posix(): sha256_file(file) for file in files}
