"""Time a large board, from result files to the four rendered ones, beside SciPy's permutation test.

50 methods on 15,000 clips with 8 metrics, all values made up: methods that lie close together, on clips that are
hard or easy for all. The peer is `scipy.stats.permutation_test` (samples, vectorised): 1,024 sign flips of a few
pairs are timed, and the time is multiplied up to our 65,536 flips and to all pairs of one metric. Against it stands
our ranking of one metric, which has intervals and tie groups in it as well. Both run on the same values in one
process; CPU seconds are the ones to compare on a busy machine.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from itertools import combinations
from math import fsum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy
from scipy.stats import permutation_test

from a2ibench.board.load import load_board
from a2ibench.board.standings import standings
from a2ibench.metrics.ranks import SIDE
from a2ibench.results import Clips, Provenance, Result, Score
from a2ibench.show.board import write_board

METRICS = ("AIS", "AIS.same-class", "AIS.other-class", "IIS", "IIS.same-class", "IIS.other-class", "AIC", "AIC.exact")


def values(methods: int, clips: int, seed: int = 0) -> np.ndarray:
    """Draw per-clip values between 0 and 100, [methods, metrics, clips]."""
    rng = np.random.default_rng(seed)
    hardness = rng.normal(0, 20, (len(METRICS), clips))
    level = np.linspace(60, 66, methods)[:, None, None]
    drawn = np.clip(level + hardness + rng.normal(0, 15, (methods, len(METRICS), clips)), 0, 100)
    for place, name in enumerate(METRICS):
        if name.startswith("AIC"):
            drawn[:, place] = np.where(drawn[:, place] > 60, 100.0, 0.0)
    return drawn


def write_entries(folder: Path, drawn: np.ndarray) -> None:
    """Write the results of a board, as `a2ibench submit` leaves them."""
    methods, _, clips = drawn.shape
    ids = [f"clip-{index:06d}" for index in range(clips)]
    labels = {clip_id: f"label {index % 300}" for index, clip_id in enumerate(ids)}
    made = Provenance(
        a2ibench="0", python="3", platform="none", packages={}, device="cpu", threads=1,
        created="2026-01-01T00:00:00Z", seconds={},
    )  # fmt: skip
    for method in range(methods):
        rows, by_clip = drawn[method], drawn[method].T.tolist()
        scores = [
            Score(
                metric=name, value=fsum(row) / clips, low=row.mean() - 0.5, high=row.mean() + 0.5, n=clips,
                higher_is_better=True, unit="%", signature=f"{name}|v:1|n:{clips}|suite:synthetic@1",
            )
            for name, row in zip(METRICS, rows, strict=True)
        ]  # fmt: skip
        items = {clip_id: dict(zip(METRICS, row, strict=True)) for clip_id, row in zip(ids, by_clip, strict=True)}
        result = Result(
            method=f"method {method:02d}", suite="synthetic@1", clips=Clips(name="synthetic", n=clips, digest="0" * 64),
            scores=scores, items=items, labels=labels, provenance=made,
        )  # fmt: skip
        result.save(folder / f"method-{method:02d}" / "result.json")


def timed(job: Callable[[], Any]) -> tuple[Any, float, float]:
    """Run `job`; give its result, and its wall and CPU seconds."""
    began, cpu_began = time.perf_counter(), time.process_time()
    result = job()
    return result, time.perf_counter() - began, time.process_time() - cpu_began


def peer_seconds(drawn: np.ndarray, pairs: int, flips: int = 1024) -> float:
    """CPU seconds of SciPy's test for one pair with as many flips as ours: timed for fewer, multiplied up."""

    def job() -> None:
        for first, second in chosen:
            permutation_test(
                (drawn[first, 0], drawn[second, 0]),
                lambda a, b, axis: np.mean(a - b, axis=axis),
                permutation_type="samples",
                vectorized=True,
                n_resamples=flips,
                batch=64,
                rng=np.random.default_rng(0),
            )

    chosen = list(combinations(range(len(drawn)), 2))[:: len(drawn)][:pairs]
    return timed(job)[2] / len(chosen) * SIDE**2 / flips


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=int, default=50)
    parser.add_argument("--clips", type=int, default=15_000)
    parser.add_argument("--peer-pairs", type=int, default=2, help="pairs that SciPy tests")
    arguments = parser.parse_args()
    drawn = values(arguments.methods, arguments.clips)
    with TemporaryDirectory() as place:
        folder = Path(place) / "synthetic"
        write_entries(folder, drawn)
        _, seconds, cpu_seconds = timed(lambda: write_board(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
        board, _, load_seconds = timed(lambda: load_board(folder))
        ranked, _, rank_seconds = timed(lambda: standings(board, "AIS"))
    peer = peer_seconds(drawn, arguments.peer_pairs) * arguments.methods * (arguments.methods - 1) / 2
    figures = {
        "methods": arguments.methods,
        "clips": arguments.clips,
        "metrics": len(METRICS),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_gib": round(peak, 2),
        "bytes": sizes,
        "cpu_seconds_loading": round(load_seconds, 2),
        "cpu_seconds_ranking_one_metric": round(rank_seconds, 2),
        "cpu_seconds_scipy_one_metric": round(peer),
        "cpu_ratio": round(peer / rank_seconds),
        "first_ranks": [standing.rank for standing in ranked[:5]],
        "machine": {"cores": os.cpu_count(), "numpy": np.__version__, "scipy": scipy.__version__},
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
