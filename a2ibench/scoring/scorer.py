"""From images to scores: rows of the suite's encoders, metrics over them, intervals, sanity rows."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2ibench.clips import ClipSet, check_media
from a2ibench.encoders.base import Encoder
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Coverage, Metric, Rows, get, mean_score, metrics
from a2ibench.metrics.stats import Interval, bootstrap_interval, wilson_interval
from a2ibench.progress import Stage, silent
from a2ibench.results import Clips, Result, Score, provenance
from a2ibench.scoring.features import audio_rows, image_rows, text_rows
from a2ibench.suites import Suite

_FEW = 30  # clips
IMAGE_ENCODERS = ("clip-image", "classifier", "inception")


def check_clips(clips: ClipSet, stage: Stage = silent) -> None:
    """Read every sound and reference image once, so that a bad one is named before any work."""
    advance = stage("check clips", len(clips))
    for clip in clips:
        check_media(clip)
        advance(1)


def _some(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:3])


def chosen_metrics(names: Sequence[str] | None) -> list[Metric]:
    """Get the metrics of these names, or the default ones."""
    if names:
        return [get(name) for name in names]
    wanted = [metric for metric in metrics().values() if metric.default]
    order = ("AIS", "IIS", "AIC", "FID", "KID")
    return sorted(wanted, key=lambda metric: (order.index(metric.name.split(".")[0]), metric.name))


Images = Mapping[str, Sequence[Path]]
"""The images of each clip, by clip id; a clip that is absent, or has none, is missing."""


def images_per_clip(images: Images) -> int:
    """Say how many images each clip has that has any.

    Raises
    ------
    A2IBenchError
        If there is no image, or clips have different numbers of images.

    """
    counts = {len(files): clip_id for clip_id, files in images.items() if files}
    if not counts:
        raise A2IBenchError("There is no image to score; give at least one.")
    if len(counts) > 1:
        (few, one), *_, (many, other) = sorted(counts.items())
        raise A2IBenchError(
            f"The clip {one!r} has {few} images and {other!r} has {many}; give every clip the same number."
        )
    return next(iter(counts))


@dataclass(frozen=True)
class Scored:
    """What scoring gives: scores, values by clip id and metric, clips without an image, categories seen."""

    scores: list[Score]
    items: dict[str, dict[str, float | None]]
    missing: tuple[str, ...]
    categories: dict[str, list[str]]


class Scorer:
    """Scores sets of images on one ClipSet with one suite; the rows of sounds, texts and references are shared.

    Parameters
    ----------
    suite, clips
        On what.
    own_data
        Whether the clips are the user's and not the suite's: then a note may say what that means.
    device, batch_size
        How the encoders run.
    stage
        Shows progress.

    """

    def __init__(
        self,
        suite: Suite,
        clips: ClipSet,
        *,
        own_data: bool = False,
        device: str = "cpu",
        batch_size: int = 32,
        stage: Stage = silent,
    ):
        self.suite, self.clips, self.batch_size, self.stage = suite, clips, batch_size, stage
        self.encoders: dict[str, Encoder] = {
            name: suite.encoder(name, device) for name in (*IMAGE_ENCODERS, "wav2clip", "clip-text")
        }
        self.notes = [*suite.file.notes]
        if own_data and suite.file.own_data:
            self.notes.append(suite.file.own_data)
        if len(clips) < _FEW:
            self.notes.append(f"Only {len(clips)} clips: intervals are wide, and FID and KID say little.")
        self.setting = suite.setting(clips)
        text = self.encoders["clip-text"]
        distinct = sorted(set(clips.labels))
        by_label = dict(zip(distinct, text_rows(text, distinct), strict=True))
        categories = getattr(self.encoders["classifier"], "categories", ())
        reference = self._image_rows("encode references", [clip.image for clip in clips])
        advance = stage("encode sounds", len(clips))
        self._shared = {
            "audio/wav2clip": audio_rows(
                self.encoders["wav2clip"], [clip.audio for clip in clips], batch_size, advance
            ),
            "label/clip-text": np.stack([by_label[label] for label in clips.labels]),
            "category/clip-text": text_rows(text, list(categories)),
            "reference/clip-image": reference["clip-image"],
            "reference/inception": reference["inception"],
        }
        self._categories = tuple(categories)

    def _image_rows(self, name: str, paths: Sequence[Path]) -> dict[str, np.ndarray]:
        encoders = [self.encoders[encoder] for encoder in IMAGE_ENCODERS]
        return image_rows(encoders, paths, self.batch_size, self.stage(name, len(paths)))

    @property
    def weights(self) -> dict[str, str]:
        """The id of each encoder."""
        return {name: encoder.id for name, encoder in self.encoders.items()}

    def rows(self, images: Images, name: str = "images") -> list[Rows]:
        """Encode a set of images: first images, second images and so on, a row per clip in each.

        A clip without an image gets another's rows, so that arrays keep their shape; `score` puts its values to the
        worst, and only ``generated/inception`` (a set, not rows per clip) leaves it out.
        """
        depth = images_per_clip(images)
        there = {clip_id: images[clip_id] for clip_id in self.clips.ids if images.get(clip_id)}
        paths = [path for files in there.values() for path in files]
        generated = self._image_rows(f"encode {name}", paths)
        place = {clip_id: depth * index for index, clip_id in enumerate(there)}
        given = np.array([clip_id in there for clip_id in self.clips.ids])
        first = np.array([place.get(clip_id, 0) for clip_id in self.clips.ids])
        seen = generated["classifier"].argmax(axis=1)
        return [
            Rows(
                labels=self.clips.labels,
                arrays={
                    **self._shared,
                    "generated/clip-image": generated["clip-image"][first + index],
                    "generated/inception": generated["inception"],
                    "generated/category": seen[first + index],
                },
                categories=self._categories,
                clip_ids=self.clips.ids,
                given=given,
            )
            for index in range(depth)
        ]

    def score(self, images: Images, wanted: Sequence[Metric], name: str = "images") -> Scored:
        """Score a set of images, by clip id.

        With several images per clip a clip's value is their mean, and a set statistic is of all images. A clip
        without an image loses all its comparisons: it counts with the metric's worst value; a metric without a
        worst value (a raw cosine has one, a z-score none) is left out. So is one that has nothing to compare
        any clip with (no two clips of one label).

        Raises
        ------
        A2IBenchError
            If no clip has an image, clips have different numbers of images, or no metric is left.

        """
        views = self.rows(images, name)
        missing = tuple(clip_id for clip_id in self.clips.ids if not images.get(clip_id))
        absent = np.isin(self.clips.ids, missing)
        coverage = Coverage(len(views), len(self.clips) - len(missing), len(self.clips))
        short = {n: f"{n}.{encoder.digest}" for n, encoder in self.encoders.items()}
        short["category"] = short["classifier"]
        scores: list[Score] = []
        items: dict[str, dict[str, float | None]] = {clip_id: {} for clip_id in self.clips.ids}
        low: float | None
        high: float | None
        extra: dict[str, float]
        for metric in wanted:
            if metric.per_clip is not None:
                values = np.mean([metric.per_clip(rows) for rows in views], axis=0)
                values[absent & ~np.isnan(values)] = np.inf if metric.worst is None else metric.worst
                kept = values[~np.isnan(values)]
                if not len(kept) or not np.isfinite(kept).all():
                    continue  # `result_of` says so in a note
                interval = interval_of(kept)
                value, low, high, stderr = mean_score(values), interval.low, interval.high, None
                n, extra = len(kept), {}
                for clip_id, item in zip(self.clips.ids, values, strict=True):
                    items[clip_id][metric.name] = None if math.isnan(item) else float(item)
            elif metric.statistic is not None:
                statistic = metric.statistic(views[0])
                value, low, high, stderr = statistic.value, None, None, statistic.stderr
                n, extra = len(views[0]["generated/inception"]), {k: float(v) for k, v in statistic.extra.items()}
            signature = str(metric.signature(n=n, encoders=short, suite=self.setting, coverage=coverage))
            scores.append(
                Score(
                    metric=metric.name,
                    value=value,
                    low=low,
                    high=high,
                    stderr=stderr,
                    n=n,
                    chance=metric.chance,
                    higher_is_better=metric.higher_is_better,
                    unit=metric.unit,
                    signature=signature,
                    extra=extra,
                )
            )
        if not scores:
            raise A2IBenchError(
                f"No clip has another to be compared with by {', '.join(metric.name for metric in wanted)}; "
                "add clips, or choose other metrics."
            )
        seen = {
            clip_id: [self._categories[int(rows["generated/category"][index])] for rows in views]
            for index, clip_id in enumerate(self.clips.ids)
            if clip_id not in missing and self._categories
        }
        return Scored(scores, items, missing, seen)


def interval_of(values: np.ndarray) -> Interval:
    """The 95 % interval of a mean: Wilson's where every value is a hit or a miss, else a BCa bootstrap."""
    if len(values) and np.isin(values, (0.0, 100.0)).all():
        return wilson_interval(int((values == 100.0).sum()), len(values))
    return bootstrap_interval(values)


def result_of(
    scorer: Scorer,
    images: Images,
    wanted: Sequence[Metric],
    *,
    method: str,
    ceilings: Mapping[str, float] | None = None,
    device: str = "cpu",
    seed: int | None = None,
    options: Mapping[str, str | int | float | bool | None] | None = None,
    weights: Mapping[str, str] | None = None,
    licences: Sequence[str] = (),
    notes: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
) -> Result:
    """Score images and write down everything that the numbers depend on."""
    began = time.perf_counter()
    scored = scorer.score(images, wanted, method)
    scores = scored.scores
    left_out = [metric.name for metric in wanted if metric.name not in {score.metric for score in scores}]
    if left_out:
        notes = [*notes, f"Left out, for want of anything to compare with: {', '.join(left_out)}."]
    if scored.missing:
        notes = [*notes, missing_note(scored.missing, len(scorer.clips))]
    if ceilings:
        scores = [score.model_copy(update={"ceiling": ceilings.get(score.metric)}) for score in scores]
    return Result(
        method=method,
        suite=scorer.suite.id,
        clips=Clips(name=scorer.clips.name, n=len(scorer.clips), digest=scorer.clips.digest),
        seed=seed,
        options=dict(options or {}),
        weights={**scorer.weights, **(weights or {})},
        scores=scores,
        items=scored.items,
        images_per_clip=images_per_clip(images),
        missing=list(scored.missing),
        categories=scored.categories,
        licences=list(licences),
        labels={clip.clip_id: clip.label for clip in scorer.clips},
        notes=[*scorer.notes, *notes],
        provenance=provenance(device, {**(seconds or {}), "score": time.perf_counter() - began}),
    )


def missing_note(missing: Sequence[str], n: int) -> str:
    """Say in a sentence which clips have no image, and how they count."""
    more = ", …" if len(missing) > 3 else ""
    return (
        f"{len(missing)} of {n} clips have no image ({_some(missing)}{more}): they lose all their comparisons, and "
        "FID and KID are of the others."
    )
