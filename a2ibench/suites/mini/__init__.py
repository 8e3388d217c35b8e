"""The built-in suite: a small world, its test split, and networks that are really trained on it."""

import csv
from functools import cache
from pathlib import Path

from a2ibench.clips import ClipSet
from a2ibench.media.image import save_image
from a2ibench.suites.mini import world
from a2ibench.suites.mini.world import Scene

TEST = Path(__file__).parent / "test"


@cache
def test_scenes() -> dict[str, Scene]:
    """The factors of the test clips, by clip id: from the further columns of their ``clips.csv``."""
    with (TEST / "clips.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["clip_id"]: Scene(int(row["kind"]), int(row["count"]), float(row["size"]), int(row["seed"]))
            for row in csv.DictReader(file)
        }


def drawn_afresh(clips: ClipSet, folder: Path) -> dict[str, dict[str, Path]]:
    """Draw new scenes for the test clips: outputs by clip id, for each of two sanity entries.

    Of the right kind, count and size (what a method reaches that knows all the sound says), and of the right kind
    only (what one reaches that knows the label).
    """
    drawn: dict[str, dict[str, Path]] = {"drawn afresh: kind, count, size": {}, "drawn afresh: kind only": {}}
    for number, clip_id in enumerate(clips.ids):
        fresh, scene = world.draw_scene("afresh", number), test_scenes()[clip_id]
        sizes = ((scene.count, scene.size), (fresh.count, fresh.size))
        for (name, files), (count, size) in zip(drawn.items(), sizes, strict=True):
            files[clip_id] = folder / ("kind" if name.endswith("only") else "all") / f"{clip_id}.png"
            save_image(files[clip_id], world.render(world.Scene(scene.kind, count, size, fresh.seed)))
    return drawn
