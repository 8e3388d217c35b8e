"""A run's report as one HTML file: scores, classes, what the classifier saw, worst and best clips, provenance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from a2ibench.clips import Clip, ClipSet
from a2ibench.metrics.aic import THRESHOLD, match_table
from a2ibench.metrics.base import FloatArray
from a2ibench.metrics.classes import class_means
from a2ibench.pictures.buckets import plots, subtitle
from a2ibench.pictures.gallery import PLAYED, clip_sprites, sample, sprite_of
from a2ibench.results import Result, Score
from a2ibench.show.pages import data_uri, render
from a2ibench.show.pages.buckets import on_page
from a2ibench.show.pages.media import BUDGET, SPRITES, Media, script_clips, script_task
from a2ibench.show.pages.scores import cell, clip_values, head, like, scale_of, script_metric
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task
from a2ibench.tasks.base import MediumName

if TYPE_CHECKING:
    from a2ibench.suites import Suite

_EXTREMES = 6  # clips at either end
_MATRIX = (16, 20)  # labels and categories that still make a table one can read
_SEEN = 5  # categories listed per label where it doesn't
_NEAR, _NEAREST, _MARGIN = 24, 6, 0.15  # pairs of words near the threshold: at most, at least, how near

Images = Mapping[str, Sequence[Path]]
Pair = tuple[str, str]


class Matches(NamedTuple):
    """The cosine of every category's text with every label's: what AIC's threshold decides over."""

    labels: tuple[str, ...]
    categories: tuple[str, ...]
    cosines: FloatArray
    """[categories, labels]"""

    def pairs(self) -> dict[Pair, float]:
        """Give the cosine of each label with each category."""
        return {
            (label, category): float(self.cosines[c, k])
            for k, label in enumerate(self.labels)
            for c, category in enumerate(self.categories)
        }


def matches(suite: "Suite", labels: Sequence[str]) -> Matches | None:
    """Compute the cosines with the suite's own encoders; None where its classifier has no named categories.

    Raises
    ------
    A2IBenchError
        If the weights are not here.

    """
    from a2ibench.scoring.features import encode_texts

    if "AIC" not in suite.task.metrics:
        return None
    text, categories = suite.encoder("clip-text"), getattr(suite.encoder("classifier"), "categories", ())
    names = sorted(set(labels))
    if not categories or not names:
        return None
    table = match_table(encode_texts(text, list(categories)), encode_texts(text, names))
    return Matches(tuple(names), tuple(categories), table)


def run_page(
    result: Result,
    clips: ClipSet | None = None,
    images: Images | None = None,
    *,
    folder: Path,
    table: Matches | None = None,
    inline: bool = True,
) -> str:
    """Render the report of one run as one HTML file that opens from disk and loads nothing from elsewhere.

    Parameters
    ----------
    result
        The run's result.
    clips
        Its clips, for sounds and real images; without them there is no gallery.
    images
        Its images by clip id; a clip without one gets an empty tile.
    folder
        Where the page will lie: sounds that don't fit into it are linked from there.
    table
        The cosines behind AIC's threshold: see `matches`.
    inline
        Whether sounds go into the page where they fit.

    Returns
    -------
    The page.

    """
    images = images or {}
    scores = {score.metric: score for score in result.scores}
    per_clip = [name for name in result.columns if name in scores]
    primary = per_clip[0] if per_clip else ""
    worst, best = _extremes(result, primary, clips) if clips and primary else ([], [])
    media = Media(folder, inline, BUDGET - SPRITES)
    ends = [*worst, *best]
    task = clips.task if clips else get_task(DEFAULT)
    heard = _players(ends, images, task, media)
    island = _island(result, clips, images, per_clip, media)
    seen = _seen(result)
    cosines = table.pairs() if table else {}
    matched = _matched(result, cosines)
    return render(
        "run.html",
        island,
        title=f"{result.method} on {result.suite} – a2ibench report",
        heading=result.method,
        facts=[
            result.suite,
            f"{result.clips.n:,} clips of {result.clips.name}",
            *([f"seed {result.seed}"] if result.seed is not None else []),
            *([f"{result.outputs_per_clip} {task.noun}s per clip"] if result.outputs_per_clip > 1 else []),
            f"scored {result.provenance.created[:10]}",
        ],
        missing=len(result.missing),
        clips=result.clips.n,
        task=script_task(task),
        scores=[{**head(s), **cell(s, scale_of([s])), "n": s.n, "ceiling": like(s, s.ceiling)} for s in result.scores],
        plots=on_page(plots([(result.method, result)]), subtitle(result.suite, result.clips)),
        primary=primary,
        columns=[head(scores[name]) for name in per_clip],
        classes=_classes(result, [scores[name] for name in per_clip], primary),
        matrix_of_seen=_matrix(seen, matched),
        seen=_seen_lists(seen, matched),
        threshold=THRESHOLD,
        near=_near(cosines, seen),
        cosine_matrix=_cosine_matrix(table),
        ends=[
            (name, [_card(clip, images, heard, result, scores[primary], task) for clip in end])
            for name, end in (("Worst", worst), ("Best", best))
            if end
        ],
        metrics=island["metrics"],
        labels=sorted({clip["label"] for clip in island["clips"]}),
        orders=[("worst", "worst first"), ("best", "best first"), ("class", "by class")],
        methods=island["methods"],
        provenance=_provenance(result),
        weights=result.weights,
        packages=result.provenance.packages,
        licences=result.licences,
        notes=[*([f"Not meaningful: {result.caution}"] if result.caution else []), *result.notes],
    )


# --------------------------------------------------------------------------------------------------- classes


def _classes(result: Result, scores: Sequence[Score], primary: str) -> list[dict[str, Any]]:
    """One row per class, the worst first: for each metric its plain mean and the shrunk one."""
    labels = [result.labels[clip_id] for clip_id in result.items]
    rows: dict[str, dict[str, Any]] = {}
    for score in scores:
        values = [item.get(score.metric) for item in result.items.values()]
        for mean in class_means(np.array(values, dtype=np.float64), labels):
            row = rows.setdefault(mean.label, {"label": mean.label, "n": 0, "cells": {}, "order": np.inf})
            row["n"] = max(row["n"], mean.n)
            known = not np.isnan(mean.shrunk)
            row["cells"][score.metric] = {
                "exact": repr(mean.shrunk if known else mean.mean),
                "mean": like(score, mean.mean),
                "shrunk": like(score, mean.shrunk) if known else "–",
            }
            if score.metric == primary:
                row["order"] = (mean.shrunk if known else mean.mean) * (1 if score.higher_is_better else -1)
    return sorted(rows.values(), key=lambda row: (row["order"], row["label"]))


# ----------------------------------------------------------------------------------- what the classifier saw


def _seen(result: Result) -> dict[str, Counter[str]]:
    """Count for each label what the classifier saw in the images of its clips."""
    found: dict[str, Counter[str]] = {}
    for clip_id, categories in result.details.get("category", {}).items():
        if clip_id in result.labels:
            found.setdefault(result.labels[clip_id], Counter()).update(categories)
    return dict(sorted(found.items()))


def _matched(result: Result, cosines: Mapping[Pair, float]) -> set[Pair]:
    """Find the pairs of label and category that count as the same: by the cosines, or by what AIC gave."""
    if cosines:
        return {pair for pair, cosine in cosines.items() if cosine > THRESHOLD}
    return {
        (result.labels[clip_id], categories[0])
        for clip_id, categories in result.details.get("category", {}).items()
        if len(set(categories)) == 1 and result.items.get(clip_id, {}).get("AIC") == 100
    }


def _matrix(seen: Mapping[str, Counter[str]], matched: set[Pair]) -> dict[str, Any] | None:
    """Lay out the counts as labels by categories; None where that would be too large to read."""
    columns = sorted({category for counts in seen.values() for category in counts})
    if not seen or len(seen) > _MATRIX[0] or len(columns) > _MATRIX[1]:
        return None
    # A category stands where its label does, so that what is right lies on the diagonal.
    home = {category: min(seen, key=lambda label: (-seen[label][category], label)) for category in columns}
    columns.sort(key=lambda category: (list(seen).index(home[category]), category))
    return {
        "columns": columns,
        "rows": [
            {
                "label": label,
                "cells": [
                    {
                        "text": str(counts[category]) if counts[category] else "",
                        "heat": _step(counts[category] / counts.total()),
                        "match": (label, category) in matched,
                    }
                    for category in columns
                ],
            }
            for label, counts in seen.items()
        ],
    }


def _seen_lists(seen: Mapping[str, Counter[str]], matched: set[Pair]) -> list[dict[str, Any]]:
    """List for each label what was seen most, the label that was missed most often first."""
    rows = []
    for label, counts in seen.items():
        hits = sum(count for category, count in counts.items() if (label, category) in matched)
        most = [
            {"category": category, "count": count, "match": (label, category) in matched}
            for category, count in counts.most_common(_SEEN)
        ]
        rows.append({"label": label, "n": counts.total(), "share": 100 * hits / counts.total(), "most": most})
    return sorted(rows, key=lambda row: (row["share"], row["label"]))


def _cosine_matrix(table: Matches | None) -> dict[str, Any] | None:
    if table is None or len(table.labels) > _MATRIX[0] or len(table.categories) > _MATRIX[1]:
        return None
    # Each label's nearest category on the diagonal, as far as that goes.
    order = sorted(range(len(table.categories)), key=lambda c: (int(table.cosines[c].argmax()), table.categories[c]))
    return {
        "columns": [table.categories[c] for c in order],
        "rows": [
            {
                "label": label,
                "cells": [
                    {
                        "text": f"{table.cosines[c, k]:.2f}",
                        "heat": _step(float(table.cosines[c, k])),
                        "match": bool(table.cosines[c, k] > THRESHOLD),
                    }
                    for c in order
                ],
            }
            for k, label in enumerate(table.labels)
        ],
    }


def _near(cosines: Mapping[Pair, float], seen: Mapping[str, Counter[str]]) -> list[dict[str, Any]]:
    """List the pairs nearest to the threshold: a word more or less would have decided otherwise."""
    nearest = sorted(cosines.items(), key=lambda each: (abs(each[1] - THRESHOLD), each[0]))
    near = sum(abs(cosine - THRESHOLD) <= _MARGIN for _, cosine in nearest)
    nearest = nearest[: min(_NEAR, max(_NEAREST, near))]
    return [
        {
            "label": label,
            "category": category,
            "cosine": f"{cosine:.3f}",
            "match": cosine > THRESHOLD,
            "seen": seen[label][category] if label in seen else 0,
        }
        for (label, category), cosine in sorted(nearest, key=lambda each: -each[1])
    ]


def _step(share: float) -> int:
    return int(min(9, max(0, round(9 * share))))


# ------------------------------------------------------------------------------------------- clips to look at


def _extremes(result: Result, metric: str, clips: ClipSet) -> tuple[list[Clip], list[Clip]]:
    """Find the worst and the best clips that have an image; none is in both."""
    by_id = {clip.clip_id: clip for clip in clips}
    sign = 1 if next(s for s in result.scores if s.metric == metric).higher_is_better else -1
    held = {
        clip_id: sign * value
        for clip_id, item in result.items.items()
        if (value := item.get(metric)) is not None and clip_id in by_id and clip_id not in result.missing
    }
    order = sorted(held, key=lambda clip_id: (held[clip_id], clip_id))
    count = min(_EXTREMES, len(order) // 2)
    return [by_id[clip_id] for clip_id in order[:count]], [by_id[clip_id] for clip_id in order[::-1][:count]]


def _players(clips: Sequence[Clip], images: Images, task: Task, media: Media) -> dict[str, dict[str, str | None]]:
    """Give the addresses of what a page plays of these clips: given, real, made."""
    made = {clip.clip_id: images[clip.clip_id][0] for clip in clips if images.get(clip.clip_id)}
    return {
        "given": media.files(clips, task.condition) if task.columns[task.condition] in PLAYED else {},
        "real": media.files(clips, task.reference) if task.columns[task.reference] in PLAYED else {},
        "made": media.addresses(made) if task.output in PLAYED else {},
    }


def _card(
    clip: Clip,
    images: Images,
    players: Mapping[str, Mapping[str, str | None]],
    result: Result,
    score: Score,
    task: Task,
) -> dict[str, Any]:
    made = images.get(clip.clip_id)

    def small(value: Path | str, medium: MediumName) -> str:
        sprite = sprite_of({"": value}, medium)
        assert sprite is not None  # noqa: S101  of one value
        return data_uri("image/webp", sprite.webp)

    return {
        "text": clip.text(task.condition) if task.columns[task.condition] == "text" else None,
        "plays": {name: found.get(clip.clip_id) for name, found in players.items()},
        "id": clip.clip_id,
        "label": clip.label,
        "audio": players["given"].get(clip.clip_id),
        "value": like(score, result.items[clip.clip_id][score.metric]),
        "saw": ", ".join(dict.fromkeys(result.details.get("category", {}).get(clip.clip_id, ()))),
        "sound": small(clip[task.condition], task.columns[task.condition]),
        "real": small(clip[task.reference], task.columns[task.reference]),
        "made": small(made[0], task.output) if made else None,
    }


def _island(
    result: Result, clips: ClipSet | None, images: Images, per_clip: Sequence[str], media: Media
) -> dict[str, Any]:
    """Put together what the script reads: the gallery of this one method."""
    shown = sample(clips) if clips else None
    ids = shown.ids if shown else ()
    task = clips.task if clips else get_task(DEFAULT)
    reference, condition = clip_sprites(clips) if clips else (None, None)
    outputs = {clip_id: images[clip_id][0] for clip_id in ids if images.get(clip_id)}
    made = sprite_of(outputs, task.output)
    # The small pictures of a sample always fit, and have no files to be linked to; the sounds may not.
    pictures = Media(media.folder, inline=True, room=SPRITES)
    sheets = pictures.sheets({"reference": reference, "condition": condition, "made": made}, {}, ids)
    told = script_clips(list(shown or ()), task, media)
    heard = media.addresses(outputs) if task.output in PLAYED else {}
    scores = {score.metric: score for score in result.scores}
    return {
        "task": script_task(task),
        "seconds": 10,
        "metrics": [script_metric(scores[name], ()) for name in per_clip],
        "classes": [],
        "methods": [
            {
                "slug": "run",
                "name": result.method,
                "classes": {},
                "values": clip_values(result, per_clip, ids),
                "sheet": sheets.pop("made"),
                "outputs": [heard.get(clip_id) for clip_id in ids] if heard else [],
            }
        ],
        "clips": told,
        "sheets": sheets,
    }


def _provenance(result: Result) -> list[tuple[str, str]]:
    made = result.provenance
    commit = (made.git_commit or "") + (" with changes" if made.git_dirty else "")
    facts = {
        "a2ibench": f"{made.a2ibench}" + (f", commit {commit}" if commit else ""),
        "Clips": f"{result.clips.name}, {result.clips.n}, sha256 {result.clips.digest}",
        "Seed": "" if result.seed is None else str(result.seed),
        "Options": ", ".join(f"{name} = {value}" for name, value in result.options.items()),
        "Outputs per clip": str(result.outputs_per_clip),
        "Scored": made.created,
        "Seconds": ", ".join(f"{stage} {spent:g}" for stage, spent in made.seconds.items()),
        "Device": f"{made.device}, {made.threads} thread{'s' * (made.threads != 1)}",
        "Encoders": ", ".join(f"{name} {how}" for name, how in made.kernels.items()),
        "System": f"{made.platform}, Python {made.python}",
    }
    return [(name, text) for name, text in facts.items() if text]
