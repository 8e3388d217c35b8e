"""Scoring again from the cache against scoring the first time, on the mini suite: python benchmarks/cache.py.

Both sides do the same job in one process: open the suite, encode the reference and generated images, sounds and
texts, and compute the default metrics. The images are the suite's own references, shifted by one clip. The
import of torch and a first throw-away batch come before the clock starts.
"""

import json
import os
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Print the two times and their ratio as JSON."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["A2IBENCH_CACHE"] = cache
        from a2ibench.evaluate import Scorer, chosen_metrics
        from a2ibench.suites import load_suite

        suite = load_suite("mini")
        clips = suite.clips()
        images = dict(zip(clips.ids, [*(c.image for c in clips[1:]), clips[0].image], strict=True))
        wanted = chosen_metrics(None)
        Scorer(suite, clips[:4])  # loads torch and warms the kernels
        for file in Path(cache, "rows").iterdir():
            file.unlink()
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            rows = Scorer(suite, clips).rows(images)
            seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        for metric in wanted:
            (metric.per_clip or metric.statistic)(rows)  # type: ignore[misc]
        metrics_seconds = time.perf_counter() - start
    first, again = seconds
    print(
        json.dumps(
            {
                "clips": len(clips),
                "first_seconds": round(first, 3),
                "again_seconds": round(again, 3),
                "ratio": round(first / again, 1),
                "metrics_seconds": round(metrics_seconds, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
