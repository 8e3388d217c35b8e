"""AudioToken training steps per second, with and without the once-per-clip computation.

python benchmarks/training.py [--steps 20]: the mini suite's networks and batch size, 64 training clips. The time of
the once-per-clip computation itself is printed too: it is paid once and stays in the cache.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Print both rates and their ratio as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        os.environ["A2IBENCH_CACHE"] = folder
        from a2ibench.runs.train import train_method
        from a2ibench.suites.mini.build.clips import training_clips

        data = training_clips(Path(folder, "clips"), 64)
        found = {}
        for precompute in (True, False):
            marks: list[float] = []

            def stage(name: str, total: int, marks: list[float] = marks):  # type: ignore[no-untyped-def]
                return lambda count, note="": marks.append(time.perf_counter()) if name == "train" else None

            start = time.perf_counter()
            settings = {"precompute": precompute, "steps": steps + 3}
            train_method("audiotoken", "mini", data, Path(folder, str(precompute)), settings=settings, stage=stage)
            warm = marks[2]
            name = "precomputed" if precompute else "on_the_fly"
            found[f"{name}_steps_per_second"] = round(steps / (marks[-1] - warm), 3)
            found[f"{name}_before_first_step_seconds"] = round(marks[0] - start, 2)
    found["ratio"] = round(found["precomputed_steps_per_second"] / found["on_the_fly_steps_per_second"], 2)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
