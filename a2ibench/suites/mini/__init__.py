"""The built-in suite, second edition: a small moving world, and networks that are really trained on it."""

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from a2ibench.suites.mini import world

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from a2ibench.clips import ClipSet
    from a2ibench.suites import Suite

TEST = Path(__file__).parent / "test"


def scene_of(row: dict[str, str]) -> world.Scene:
    """Read a scene back from its row of ``clips.csv``."""
    events = [event.split("x") for event in row["events"].split()]
    return world.Scene(
        tuple(world.Event(int(kind), int(count)) for kind, count in events),
        float(row["size"]),
        world.PLACES.index(row["place"]),
        int(row["seed"]),
    )


@cache
def test_scenes(split: str = "test") -> dict[str, world.Scene]:  # noqa: PT028  (no test, and tests say so)
    """The scenes of a shipped split (``test`` or ``test-two``), by clip id."""
    with (TEST.with_name(split) / "clips.csv").open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: scene_of(row) for row in csv.DictReader(file)}


def sound_of(split: str, index: int) -> "NDArray[np.float32]":
    """The sound of a scene of the world, ``[48000]`` at 16 kHz; equal for ever, so that it need not be kept."""
    return world.sound(world.draw_scene(split, index))


def drawn_afresh(suite: "Suite", clips: "ClipSet", folder: Path) -> dict[str, dict[str, Path]]:
    """Make what the world and the suite's networks can, into `folder`: outputs by clip id, for each sanity entry."""
    if suite.task.name == "video-to-audio":
        return {**_coded(suite, clips, folder / "coded"), **_sounds_afresh(clips, folder / "sounds")}
    return _images_afresh(clips, folder)


def _sounds_afresh(clips: "ClipSet", folder: Path) -> dict[str, dict[str, Path]]:
    """Draw a new scene of the right kind for each test clip: the label is known, nothing of the video else."""
    from a2ibench.media.audio import write_audio

    drawn = {}
    for number, clip in enumerate(clips):
        fresh, kind = world.draw_scene("afresh", number), test_scenes()[clip.clip_id].kind
        scene = world.Scene((world.Event(kind, fresh.count),), fresh.size, fresh.place, fresh.seed)
        drawn[clip.clip_id] = folder / f"{clip.clip_id}.wav"
        write_audio(drawn[clip.clip_id], world.sound(scene), world.SAMPLE_RATE)
    return {"drawn afresh: kind only": drawn}


def _coded(suite: "Suite", clips: "ClipSet", folder: Path) -> dict[str, dict[str, Path]]:
    """Send the real sounds through the suite's codec: what a model of its codes reaches at most."""
    import torch

    from a2ibench.baselines.foleygen import load_codec
    from a2ibench.clips import read_audio
    from a2ibench.media.audio import write_audio

    part = suite.part("codec")
    codec = load_codec({**part.config, "file": part.resolve()[0]})
    files = {}
    for clip in clips:
        wave = read_audio(clip.file("audio"), codec.rate)
        again = codec.decode(codec.encode(torch.from_numpy(wave)[None]))[0].numpy()
        files[clip.clip_id] = folder / f"{clip.clip_id}.wav"
        write_audio(files[clip.clip_id], again[: len(wave)], codec.rate)
    return {"codec only": files}


def _images_afresh(clips: "ClipSet", folder: Path) -> dict[str, dict[str, Path]]:
    """Draw new scenes for the test clips: images by clip id, for each of three sanity entries.

    Of the right kind, count, size and place (what a method reaches that knows all the sound says), of the right
    kind and count, and of the right kind only (what one reaches that knows the label).
    """
    from a2ibench.media.image import save_image

    names = {
        "all": "drawn afresh: kind, count, size, place",
        "count": "drawn afresh: kind and count",
        "kind": "drawn afresh: kind only",
    }
    drawn: dict[str, dict[str, Path]] = {name: {} for name in names.values()}
    for number, clip_id in enumerate(clips.ids):
        fresh, scene = world.draw_scene("afresh", number), test_scenes()[clip_id]
        counted = world.Event(scene.kind, scene.count)
        scenes = {
            "all": world.Scene((counted,), scene.size, scene.place, fresh.seed),
            "count": world.Scene((counted,), fresh.size, fresh.place, fresh.seed),
            "kind": world.Scene((world.Event(scene.kind, fresh.count),), fresh.size, fresh.place, fresh.seed),
        }
        for key, name in names.items():
            file = folder / key / f"{clip_id}.png"
            save_image(file, world.render(scenes[key]))
            drawn[name][clip_id] = file
    return drawn
