"""Clips per core and second: from videos like VGGSound's to sound and frame.

python benchmarks/data.py [--clips 6] [--videos DIR]: ten seconds of 340 × 256 pixels at 30 frames a second with
stereo sound at 44.1 kHz, or your own videos. One thread; CPU seconds a clip. Twenty seeks are timed for comparison.
The published networks run at their full size with random weights: only their time counts.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from a2ibench.data.decode import decode
from a2ibench.data.example import encode
from a2ibench.data.judge import Judge, Settings
from a2ibench.data.make import make_clip
from a2ibench.data.records import Job
from a2ibench.data.tagger import Tagger


def _videos(folder: Path, count: int) -> list[Path]:
    """Draw videos whose picture moves and whose sound is noise: neither is easy to compress."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        wide = Image.fromarray(rng.integers(0, 255, (20, 60, 3), dtype=np.uint8)).resize((1020, 256))
        scene = np.asarray(wide)
        frames = [np.ascontiguousarray(scene[:, 2 * k : 2 * k + 340]) for k in range(300)]
        file = folder / f"{number:011d}_000000.mp4"
        file.write_bytes(encode(frames, 30, 0.1 * rng.standard_normal(441_000), 44_100))
        files.append(file)
    return files


def _sought(file: Path, count: int = 20) -> None:
    """Take frames by seeking to each."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        length = float(stream.duration * stream.time_base)
        for k in range(count):
            wanted = (k + 0.5) * length / count
            container.seek(int(wanted / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time >= wanted:
                    frame.to_image()
                    break


def _published_sizes() -> Judge:
    """Give a judge with the published networks' sizes and random weights."""
    from a2ibench.encoders import beats, classifier, clip

    judge = Judge(Settings(suite="mini", agreement=-1.0))
    network = clip.build_clip().state_dict()
    judge.image_encoder = clip.load_image({}, network, "random")
    judge.text_encoder = clip.load_text({}, network, "random")
    judge.classifier = classifier.load({}, classifier.build_classifier({}).state_dict(), "random")
    tagger = object.__new__(Tagger)
    tagger.network, tagger.device, tagger.window = beats.Beats().eval(), "cpu", 10.0
    tagger.names = tuple(f"sound {k}" for k in range(527))
    judge.tagger = tagger
    return judge


def _cpu_seconds(files: list[Path], work: Callable[[Path], object]) -> float:
    work(files[0])  # loads what is loaded once
    start = time.process_time()
    for file in files:
        work(file)
    return (time.process_time() - start) / len(files)


def main() -> None:
    """Print CPU seconds a clip for each stage, and clips an hour and core, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--videos", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = sorted(options.videos.glob("*.mp4")) if options.videos else _videos(folder, options.clips)
        judges = {"mini": Judge(Settings(suite="mini", agreement=-1.0)), "published_sizes": _published_sizes()}
        found = {
            "clips": len(files),
            "decode_cpu_s": round(_cpu_seconds(files, decode), 3),
            "twenty_seeks_cpu_s": round(_cpu_seconds(files, _sought), 3),
        }
        for which, judge in judges.items():

            def made(file: Path, judge: Judge = judge) -> None:
                job = Job(file.stem, "dog barking", file.parent, file.name, "key")
                record = make_clip(job, folder / "out", judge)
                assert record.kept, record.detail

            seconds = _cpu_seconds(files, made)
            found[f"{which}_cpu_s"] = round(seconds, 2)
            found[f"{which}_clips_per_core_hour"] = round(3600 / seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
