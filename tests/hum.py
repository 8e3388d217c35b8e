"""A package to plug in, for tests of workers: a method that hums, an encoder, a metric and a suite, all without torch.

The method can leave a trace of each process that it runs in, be slow, and kill the process at the sight of a clip.
"""

import shutil
import textwrap

MODULE = '''
"""Plugged in by tests/hum.py."""
import os
import signal
import time
from pathlib import Path

import numpy as np

import a2ibench
from a2ibench.baselines.base import Method, images_of
from a2ibench.encoders.base import Encoder, EncoderKind
from a2ibench.files import sha256_file
from a2ibench.metrics.base import Metric


def _load(parts, options, device):
    def draw(clips, seeds):
        if options["seen"]:
            (Path(options["seen"]) / f"{os.getpid()}-{time.monotonic_ns()}").write_text(a2ibench.__file__)
        time.sleep(options["slow"])
        if set(options["kills"].split()) & {clip.clip_id for clip in clips}:
            os.kill(os.getpid(), signal.SIGKILL)
        if set(options["breaks"].split()) & {clip.clip_id for clip in clips}:
            raise ZeroDivisionError("at this clip")
        pixels = [
            np.random.default_rng([seed, int(sha256_file(clip.file("audio"))[:8], 16)]).random((8, 8, 3))
            for clip, seed in zip(clips, seeds, strict=True)
        ]
        return images_of(np.stack(pixels).astype(np.float32))

    return draw


class Shade(Encoder):
    name, modality, weights, preprocessing, configuration = "hum-shade", "image", "", "1", {}

    def encode(self, items):
        return np.array([[np.asarray(item, np.float32).mean()] for item in items], np.float32)


def _difference(features):
    return np.abs(features["generated/hum-shade"] - features["reference/hum-shade"])[:, 0].astype(np.float64)


ENCODERS = (EncoderKind("hum-shade", "image", lambda config, weights, sha256, device: Shade(), has_weights=False),)
METRICS = (
    Metric(
        name="HUM", version=1, needs=("generated/hum-shade", "reference/hum-shade"), summary="Difference of shades.",
        higher_is_better=False, bounds=(0.0, 255.0), worst=255.0, per_clip=_difference,
    ),
)
OPTIONS = {"seen": "", "slow": 0.0, "kills": "", "breaks": ""}
METHODS = (Method("hum", "Noise by seed and sound.", "audio", _load, options=OPTIONS),)
SUITES = (Path(__file__).parent / "hum.toml",)
'''
POINTS = """
[a2ibench]
hum = a2i_hum
"""


def install(folder, clips):
    """Write the package, with the data folder `clips` for its suite, as pip would."""
    folder.mkdir(parents=True)
    (folder / "a2i_hum.py").write_text(textwrap.dedent(MODULE))
    (folder / "hum.toml").write_text('name = "hum"\nversion = 1\nclips = "sounds"\n')
    shutil.copytree(clips, folder / "sounds")
    about = folder / "a2i_hum-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a2i-hum\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    return folder


def caches():
    """What remembers which packages are plugged in."""
    from a2ibench import baselines, encoders, metrics, registry

    modules = (registry, baselines, encoders, metrics)  # that is: where names are looked up
    found = [getattr(module, name) for module in modules for name in dir(module)]
    return [each for each in found if hasattr(each, "cache_clear")]
