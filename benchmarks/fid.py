"""Time FID, from features to the number, beside the usual recipe; `--json` for machines.

The same job on both sides: float32 features in, means and covariances in float64, trace term, distance out.
The peer is pytorch-fid's recipe (`np.cov`, `scipy.linalg.sqrtm`), without its fallback for failed roots. The
features are made up, with the shape and the spectrum of Inception's; so the distance itself means nothing.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np
import scipy
from scipy.linalg import sqrtm

from a2ibench.metrics import Features, get
from a2ibench.metrics.fid import frechet_distance

DIMENSIONS = 2048


def features(n: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Draw correlated, never negative rows with a power-law spectrum, [n, 2048] float32."""
    mix = np.random.default_rng(0).standard_normal((DIMENSIONS, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    latent = np.random.default_rng(seed).standard_normal((n, DIMENSIONS))
    latent *= scale * np.arange(1, DIMENSIONS + 1) ** -0.5
    return np.maximum(4 * latent @ mix + 0.2, 0).astype(np.float32)


def usual(x: np.ndarray, y: np.ndarray) -> float:
    """Follow pytorch-fid."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(axis=0) - y.mean(axis=0)
    root = sqrtm(s1.dot(s2))
    return float(shift @ shift + np.trace(s1) + np.trace(s2) - 2 * np.trace(root.real))


def timed(job: Callable[[], float], repeats: int) -> tuple[float, float, float]:
    """Run `job`; give its result, and the wall and CPU seconds of its fastest run.

    CPU seconds are the ones to compare on a busy machine; set OPENBLAS_NUM_THREADS=1 for that.
    """
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        began, cpu_began = time.perf_counter(), time.process_time()
        result = job()
        seconds.append(time.perf_counter() - began)
        cpu_seconds.append(time.process_time() - cpu_began)
    return result, min(seconds), min(cpu_seconds)


def compare(n: int) -> dict[str, float]:
    """Time both ways for n images against n others."""
    x, y = features(n, 1), features(n, 2, 1.1)
    frechet_distance(x[:64, :64], y[:64, :64])  # Loads SciPy and wakes its threads.
    ours, seconds, cpu_seconds = timed(lambda: frechet_distance(x, y), 3)
    statistic = get("FID").statistic
    assert statistic
    rows = Features({"generated/inception": x, "reference/inception": y}, ("",) * n)
    _, full_seconds, full_cpu_seconds = timed(lambda: statistic(rows).stderr, 1)
    theirs, their_seconds, their_cpu_seconds = timed(lambda: usual(x, y), 1)
    return {
        "n": n,
        "fid": ours,
        "relative_difference": abs(ours - theirs) / theirs,
        "seconds": seconds,
        "seconds_with_standard_error": full_seconds,
        "seconds_sqrtm": their_seconds,
        "ratio": their_seconds / seconds,
        "cpu_seconds": cpu_seconds,
        "cpu_seconds_with_standard_error": full_cpu_seconds,
        "cpu_seconds_sqrtm": their_cpu_seconds,
        "cpu_ratio": their_cpu_seconds / cpu_seconds,
    }


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-n", type=int, nargs="+", default=[5000, 500], help="numbers of images")
    arguments = parser.parse_args()
    results = [compare(n) for n in arguments.n]
    if arguments.json:
        machine = {"cores": os.cpu_count(), "numpy": np.__version__, "scipy": scipy.__version__}
        print(json.dumps({"dimensions": DIMENSIONS, "machine": machine, "results": results}, indent=2))
        return
    print("| images | a2ibench | with standard error | sqrtm | ratio | CPU ratio | relative difference |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for r in results:
        print(
            f"| {r['n']} | {r['seconds']:.2f} s | {r['seconds_with_standard_error']:.2f} s "
            f"| {r['seconds_sqrtm']:.1f} s | {r['ratio']:.1f}× | {r['cpu_ratio']:.1f}× "
            f"| {r['relative_difference']:.1e} |"
        )


if __name__ == "__main__":
    main()
