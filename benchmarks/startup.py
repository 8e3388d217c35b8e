"""Seconds until `a2ibench --help` has printed, best of ten, against a bare `python -c pass`."""

import json
import subprocess
import sys
import time


def best(arguments: list[str]) -> float:
    """Run a command ten times; the shortest wall time in seconds."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    bare, help_ = best([sys.executable, "-c", "pass"]), best([sys.executable, "-m", "a2ibench", "--help"])
    print(json.dumps({"python_seconds": round(bare, 3), "help_seconds": round(help_, 3)}))
