"""Seconds until `a2ibench --help` has printed, best of ten, against a bare `python -c pass`; and CPU seconds."""

import json
import os
import subprocess
import sys
import time


def best(arguments: list[str]) -> tuple[float, float]:
    """Run a command ten times; the shortest wall and CPU times in seconds."""
    times, cpu_times = [], []
    for _ in range(10):
        start, before = time.perf_counter(), os.times()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
        after = os.times()
        cpu_times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(times), min(cpu_times)


if __name__ == "__main__":
    bare, help_ = best([sys.executable, "-c", "pass"]), best([sys.executable, "-m", "a2ibench", "--help"])
    found = {"python": bare, "help": help_}
    print(json.dumps({
        **{f"{name}_seconds": round(wall, 3) for name, (wall, _) in found.items()},
        **{f"{name}_cpu_seconds": round(cpu, 3) for name, (_, cpu) in found.items()},
    }))  # fmt: skip
