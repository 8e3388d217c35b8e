"""The built-in suite: a small world, its test split, and networks that are really trained on it."""

import csv
from functools import cache
from pathlib import Path

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
