"""What scoring costs as a corpus grows: CPU seconds and memory from features to values, at 2,000 to 200,000 clips.

The features are made up: rows of 512 numbers, pairs that are alike, 309 classes of one size. AIS (IIS is the same with
other rows) compares each image with all sounds, so it grows with the square of the clips: some rows are timed against
all, and the time is multiplied up. All else that has a value per clip is timed whole and grows with the clips alone;
AIS.same-class grows with the clips and with the size of a class.

CPU seconds, one thread: set OMP_NUM_THREADS=1.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from a2ibench.metrics import Features, get
from a2ibench.metrics.stats import bootstrap_interval
from a2ibench.metrics.winrate import BLOCK_CELLS, _counts, unit_pair, win_rate

CLASSES = 309
LINEAR = ("AIS.cosine", "AIS.one", "AIS.same-class")


def features(n: int, width: int = 512, seed: int = 0) -> Features:
    """Draw images and sounds, [n, width] float32 each, of which pairs are alike."""
    rng = np.random.default_rng(seed)
    sounds = rng.standard_normal((n, width), dtype=np.float32)
    images = rng.standard_normal((n, width), dtype=np.float32)
    images += 0.3 * sounds
    return Features(
        labels=tuple(f"class {index % CLASSES}" for index in range(n)),
        arrays={"generated/clip-image": images, "audio/wav2clip": sounds},
        clip_ids=tuple(f"{index:06d}" for index in range(n)),
    )


def cpu_seconds(job: Callable[[], Any]) -> float:
    """Run `job` and give the CPU seconds that it took."""
    began = time.process_time()
    job()
    return time.process_time() - began


def all_pairs(rows: Features, sample: int) -> tuple[float, float]:
    """Give the CPU seconds of AIS over all pairs, from some images against all sounds, and the share of these."""
    x, y = unit_pair(rows["generated/clip-image"], rows["audio/wav2clip"], ("images", "sounds"))
    few = min(sample, len(x))
    cells = few * max(1, BLOCK_CELLS // len(y))  # blocks of the size that all rows would have
    wins = _counts(x[:few], y, cells).wins
    if few == len(x):
        whole = win_rate(rows["generated/clip-image"], rows["audio/wav2clip"])
        assert np.allclose(100 * wins / (len(x) - 1), whole)  # no ties among made-up rows
    return cpu_seconds(lambda: _counts(x[:few], y, cells)) * len(x) / few, few / len(x)


def measure(n: int, sample: int) -> dict[str, Any]:
    """Time the metrics on n clips."""
    rows = features(n)
    linear: dict[str, float] = {}
    for name in LINEAR:
        per_clip = get(name).per_clip
        assert per_clip
        linear[name] = cpu_seconds(lambda per_clip=per_clip: per_clip(rows))  # type: ignore[misc]
    values = np.random.default_rng(1).uniform(0, 100, n)
    linear["an interval (BCa bootstrap)"] = cpu_seconds(lambda: bootstrap_interval(values))
    seconds, share = all_pairs(rows, sample)
    return {
        "clips": n,
        "minutes_all_pairs": round(seconds / 60, 3),
        "rows_timed": round(share, 4),
        "seconds": {name: round(spent, 3) for name, spent in linear.items()},
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--rows", type=int, default=400, help="images that are timed against all sounds")
    arguments = parser.parse_args()
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "numpy": np.__version__}
    found = [measure(n, arguments.rows) for n in arguments.clips]
    print(json.dumps({"machine": machine, "results": found}, indent=1))


if __name__ == "__main__":
    main()
