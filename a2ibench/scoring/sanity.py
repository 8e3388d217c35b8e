"""Sanity entries: chance and ceiling, beside which every method is read. Computed once, then cached."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from a2ibench import __version__
from a2ibench.errors import A2IBenchError
from a2ibench.files import cache_dir, read_state, sweep, write_state
from a2ibench.metrics import Metric
from a2ibench.results import Result
from a2ibench.scoring.scorer import Scorer, result_of

_SANITY = 3  # raised when the sanity rows change: cached ones of another number are made again


def sanity(scorer: Scorer, wanted: Sequence[Metric], afresh: Path | None = None) -> list[Result]:
    """Score what every method is read against; computed once per clips, encoders and metrics, then cached.

    Entries: the real outputs (ceiling); the real ones shuffled over the clips (chance; as a set they are the real
    ones, so FID and KID say nothing of them and are left out); and what the suite's world can draw, into the folder
    `afresh`, by default in the cache.
    """
    identity = json.dumps(
        [
            _SANITY,
            __version__,
            scorer.clips.digest,
            scorer.clips.name,
            scorer.setting,
            scorer.notes,
            scorer.caution,
            scorer.weights(wanted),
            scorer.suite.networks if scorer.suite.file.world else "",  # the world's entries may come out of one
            [(m.name, m.version) for m in wanted],
        ]
    )
    file = cache_dir() / "sanity" / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"
    sweep(file.parent)
    try:
        if stored := read_state(file, "delete it"):
            return [Result.model_validate(each) for each in stored["results"]]
    except (A2IBenchError, ValueError, KeyError, TypeError):
        file.unlink()  # broken, no plain file, or of an older format: it can be made again
    clips, task = scorer.clips, scorer.suite.task
    sets = {task.real: {clip.clip_id: clip.file(task.reference) for clip in clips}}
    if len(clips) > 1:
        order = np.random.default_rng(0).permutation(len(clips))
        pairs = zip(order, np.roll(order, 1), strict=True)
        sets[task.shuffled] = {clips[int(i)].clip_id: clips[int(j)].file(task.reference) for i, j in pairs}
    if scorer.suite.file.world and clips.digest == scorer.suite.file.clips_digest:
        sets |= scorer.suite.drawn_afresh(clips, afresh or cache_dir() / "afresh")
    results = []
    for name, files in sets.items():
        told = [metric for metric in wanted if metric.per_clip or name != task.shuffled]
        if told:
            outputs = {clip_id: [path] for clip_id, path in files.items()}
            results.append(result_of(scorer, outputs, told, method=name, look=False))
    write_state(file, {"results": [result.model_dump() for result in results]})
    return results
