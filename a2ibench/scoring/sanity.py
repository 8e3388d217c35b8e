"""Sanity entries: what every method is read against. Computed once per clips, encoders and metrics, then cached."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from a2ibench import __version__
from a2ibench.clips import ClipSet
from a2ibench.files import cache_dir, save_image, write_text
from a2ibench.metrics import Metric
from a2ibench.results import Result
from a2ibench.scoring.scorer import Scorer, result_of

_SANITY = 2  # raised when the sanity rows change: cached ones of another number are made again


def sanity(scorer: Scorer, wanted: Sequence[Metric]) -> list[Result]:
    """Score what every method is read against; computed once per clips, encoders and metrics, then cached.

    Rows: the real images (ceiling); the real images shuffled over the clips (chance; as a set they are the real
    ones, so FID and KID say nothing of them and are left out); and where the suite's
    world can draw, new scenes of the right kind, count and size (what a method reaches that knows all the
    sound says) and of the right kind only (what one reaches that knows the label).
    """
    identity = json.dumps(
        [
            _SANITY,
            __version__,
            scorer.clips.digest,
            scorer.clips.name,
            scorer.setting,
            scorer.notes,
            scorer.weights,
            [(m.name, m.version) for m in wanted],
        ]
    )
    file = cache_dir() / "sanity" / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"
    if file.exists():
        try:
            return [Result.model_validate(stored) for stored in json.loads(file.read_text())]
        except ValueError:
            file.unlink()  # broken, or of an older format: it can be made again
    clips = scorer.clips
    sets = {"real images": {clip.clip_id: clip.image for clip in clips}}
    if len(clips) > 1:
        order = np.random.default_rng(0).permutation(len(clips))
        pairs = zip(order, np.roll(order, 1), strict=True)
        sets["shuffled images"] = {clips[int(i)].clip_id: clips[int(j)].image for i, j in pairs}
    if scorer.suite.file.world and scorer.clips.digest == scorer.suite.file.clips_digest:
        sets["drawn afresh: kind, count, size"] = _drawn_afresh(clips, knows_all=True)
        sets["drawn afresh: kind only"] = _drawn_afresh(clips, knows_all=False)
    results = []
    for name, images in sets.items():
        told = [metric for metric in wanted if metric.per_clip or name != "shuffled images"]
        if told:
            pictures = {clip_id: [path] for clip_id, path in images.items()}
            results.append(result_of(scorer, pictures, told, method=name))
    write_text(file, json.dumps([result.model_dump() for result in results]))
    return results


def _drawn_afresh(clips: ClipSet, knows_all: bool) -> dict[str, Path]:
    """Draw a new scene for each mini clip: of its kind, count and size, or of its kind only."""
    from a2ibench.suites.mini import test_scenes, world

    scenes = test_scenes()
    folder = cache_dir() / "afresh" / ("all" if knows_all else "kind")
    files = {}
    for number, clip_id in enumerate(clips.ids):
        fresh, scene = world.draw_scene("afresh", number), scenes[clip_id]
        count, size = (scene.count, scene.size) if knows_all else (fresh.count, fresh.size)
        files[clip_id] = folder / f"{clip_id}.png"
        save_image(files[clip_id], world.render(world.Scene(scene.kind, count, size, fresh.seed)))
    return files
