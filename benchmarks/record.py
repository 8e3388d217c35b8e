"""Run a benchmark and keep its figures, with the command, the machine, CPU and wall time: the docs quote no others.

python benchmarks/record.py NAME …: each command in turn, with OMP_NUM_THREADS=2, in `benchmarks/figures/NAME.json`.
`tests/test_figures.py` compares every figure in README.md and docs/ with those files. CPU time is the one to compare
where the machine had other work to do.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("figures")
# What is run: `python …`, in the checkout; {out} is an empty folder. Of a script the last JSON that it prints is kept.
COMMANDS = {
    "fid": "benchmarks/fid.py --json",
    "startup": "benchmarks/startup.py",
    "cache": "benchmarks/cache.py",
    "training": "benchmarks/training.py",
    "eval": "-m a2ibench eval --method audiotoken --out {out}/run",
    "foleygen": "-m a2ibench eval --method foleygen --out {out}/run",
    "board": "benchmarks/board.py",
    "data": "benchmarks/data.py",
    "ratings": "benchmarks/ratings.py",
    "table1": "-m a2ibench reproduce table1 --out {out}/runs",
}
PACKAGES = ("torch", "numpy", "scipy", "pandas", "av")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return {"processor": processor, "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1)}


def versions() -> dict[str, str]:
    """The packages that the figures depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def record(name: str) -> dict[str, Any]:
    """Run one command; give its figures, and what they were measured with."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        # A cache of its own: nothing is computed before.
        environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": paths, "A2IBENCH_CACHE": f"{folder}/cache"}
        on = machine()
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        words = [word.format(out=folder) for word in COMMANDS[name].split()]
        run = subprocess.run(
            [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit(f"python {COMMANDS[name]} ended with {run.returncode}:\n{run.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "command": "OMP_NUM_THREADS=2 python " + COMMANDS[name].replace("{out}/", ""),
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": on,
        "versions": versions(),
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_gib": round(after.ru_maxrss / 2**20, 2),
        "figures": _last_json(run.stdout) if COMMANDS[name].startswith("benchmarks/") else {},
    }


def _last_json(text: str) -> Any:
    """Read the object that stands last; libraries may have printed lines of their own before it."""
    return json.loads(text[text.rfind("\n{") + 1 :])


def main() -> None:
    """Record the benchmarks that are named, one after another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(COMMANDS), metavar="NAME", help=", ".join(COMMANDS))
    for name in parser.parse_args().names:
        FOLDER.mkdir(exist_ok=True)
        found = json.dumps(record(name), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(found + "\n", encoding="utf-8")
        print(f"{FOLDER / name}.json")


if __name__ == "__main__":
    main()
