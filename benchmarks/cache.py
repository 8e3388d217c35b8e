"""Scoring again from the cache against scoring the first time, on the mini suite: python benchmarks/cache.py.

Both sides do the same job in one process with the networks loaded: from the files of 240 clips to the rows of all
encoders (references, generated images, sounds, texts) and the default metrics. The second side finds every row in
the cache; hashing the files is part of both. The "generated" images are the references drawn afresh.
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
        from a2ibench.scoring.scorer import Scorer, chosen_metrics
        from a2ibench.suites import load_suite

        suite = load_suite("mini")
        clips = suite.clips()
        wanted = chosen_metrics(None, suite.task)
        outputs = {
            key: [file] for key, file in next(iter(suite.drawn_afresh(clips, Path(cache, "afresh")).values())).items()
        }
        Scorer(suite, clips[:32]).score({key: outputs[key] for key in clips[:32].ids}, wanted)  # warms the kernels
        for file in Path(cache, "features").iterdir():
            file.unlink()
        seconds, cpu_seconds = [], []
        for _ in range(2):
            scorer = Scorer(suite, clips)
            for metric in wanted:
                for name in metric.encoders:
                    scorer.encoder(name)  # loading is no part of it
            start, cpu_start = time.perf_counter(), time.process_time()
            scored = scorer.score(outputs, wanted)
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(time.process_time() - cpu_start)
    assert len(scored.scores) == len(wanted)
    first, again = seconds
    found = {
        "clips": len(clips),
        "first_seconds": round(first, 3),
        "again_seconds": round(again, 3),
        "ratio": round(first / again, 1),
        "first_cpu_seconds": round(cpu_seconds[0], 3),
        "again_cpu_seconds": round(cpu_seconds[1], 3),
        "cpu_ratio": round(cpu_seconds[0] / cpu_seconds[1], 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
