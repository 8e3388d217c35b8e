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
        from encode import audio_rows, image_rows, text_rows

        from a2ibench.scoring.sanity import sanity
        from a2ibench.scoring.scorer import IMAGE_ENCODERS, Scorer, chosen_metrics
        from a2ibench.suites import load_suite

        suite = load_suite("mini")
        clips = suite.clips()
        scorer = Scorer(suite, clips)  # loads the networks and warms the kernels
        wanted = chosen_metrics(None)
        sanity(scorer, wanted)  # draws the afresh images
        images = {file.stem: [file] for file in Path(cache, "afresh", "all").iterdir()}
        for file in Path(cache, "rows").iterdir():
            file.unlink()
        encoders = [scorer.encoders[name] for name in IMAGE_ENCODERS]
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            image_rows(encoders, [clip.file("image") for clip in clips], 32)
            audio_rows(scorer.encoders["wav2clip"], [clip.file("audio") for clip in clips], 32)
            text_rows(scorer.encoders["clip-text"], sorted(set(clips.labels)))
            (rows,) = scorer.rows(images)
            seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        for metric in wanted:
            (metric.per_clip or metric.statistic)(rows)  # type: ignore[misc]
        metrics_seconds = time.perf_counter() - start
    first, again = seconds
    found = {
        "clips": len(clips),
        "first_seconds": round(first, 3),
        "again_seconds": round(again, 3),
        "ratio": round(first / again, 1),
        "metrics_seconds": round(metrics_seconds, 3),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
