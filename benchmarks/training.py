"""AudioToken training steps per second, with features and latents computed once per clip, and with latents alone.

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
        for cache in ("features", "latents"):
            marks: list[float] = []

            def stage(name: str, total: int, marks: list[float] = marks):  # type: ignore[no-untyped-def]
                return lambda count, note="": marks.append(time.perf_counter()) if name == "train" else None

            start = time.perf_counter()
            settings = {"cache": cache, "steps": steps + 3}
            train_method("audiotoken", "mini", data, Path(folder, cache), settings=settings, stage=stage)
            warm = marks[2]
            found[f"{cache}_steps_per_second"] = round(steps / (marks[-1] - warm), 3)
            found[f"{cache}_before_first_step_seconds"] = round(marks[0] - start, 2)
    found["ratio"] = round(found["features_steps_per_second"] / found["latents_steps_per_second"], 2)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
