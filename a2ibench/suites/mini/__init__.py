"""The built-in suite, second edition: a small moving world, and networks that are really trained on it."""

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from a2ibench.suites.mini import world

if TYPE_CHECKING:
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


def drawn_afresh(suite: "Suite", clips: "ClipSet", folder: Path) -> dict[str, dict[str, Path]]:
    """Draw new scenes for the test clips: outputs by clip id, for each of three sanity entries.

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
    for number, clip_id in enumerate(clip.clip_id for clip in clips):
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
