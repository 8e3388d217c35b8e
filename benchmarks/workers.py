"""Wall and CPU time of an evaluation by the number of workers, and whether they all made the same bytes.

python benchmarks/workers.py [--limit 96] [--workers 0 1 2] [--method audiotoken]: each with a cache of its own; 0 is
without --workers.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(folder: Path, method: str, limit: int, workers: int) -> dict[str, float]:
    """Run the command, and give its seconds: of the wall clock, and of the CPU in all its processes."""
    words = ["eval", "--method", method, "--limit", str(limit), "--out", str(folder / "run")]
    words += ["--workers", str(workers)] if workers else []
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environ = {**os.environ, "A2IBENCH_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "a2ibench", *words], check=True, capture_output=True, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": round(time.perf_counter() - began, 1), "cpu": round(cpu, 1)}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=96)
    parser.add_argument("--method", default="audiotoken")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args()
    found, bytes_of = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for workers in chosen.workers:
            place = Path(folder) / str(workers)
            place.mkdir()
            found[f"workers {workers}" if workers else "one process"] = measure(
                place, chosen.method, chosen.limit, workers
            )
            made = sorted((place / "run/images").iterdir())
            bytes_of.append([(file.name, file.read_bytes()) for file in (*made, place / "run/items.csv")])
    same = all(each == bytes_of[0] for each in bytes_of)
    print(json.dumps({"load": os.getloadavg()[0], "cores": os.cpu_count(), "same bytes": same, **found}, indent=1))


if __name__ == "__main__":
    main()
