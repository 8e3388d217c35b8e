"""From outputs to scores: the features that the metrics need, the metrics over them, intervals."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2ibench.clips import ClipSet, check_media
from a2ibench.encoders.base import Encoder
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Coverage, Features, Metric, get, mean_score
from a2ibench.metrics.base import AnyArray, UndefinedError
from a2ibench.metrics.stats import Interval, bootstrap_interval, wilson_interval
from a2ibench.progress import Stage, silent
from a2ibench.results import Clips, Result, Score, provenance
from a2ibench.scoring.alike import clip_notes, seen
from a2ibench.scoring.features import FeatureSource, stacked
from a2ibench.scoring.training_split import of_folder, shipped
from a2ibench.suites import Suite
from a2ibench.tasks import Task
from a2ibench.text import some

_FEW = 30  # clips
_OF_SETS = ("FID", "KID", "FAD")


def check_clips(clips: ClipSet, stage: Stage = silent) -> None:
    """Read every file of the clips once, so that a bad one is named before any work."""
    advance = stage("check clips", len(clips))
    for clip in clips:
        check_media(clip, clips.task)
        advance(1)


def chosen_metrics(names: Sequence[str] | None, task: Task) -> list[Metric]:
    """Get the metrics of these names, or the task's default ones."""
    return [get(name) for name in names or task.metrics]


def encoders_of(wanted: Iterable[Metric]) -> tuple[str, ...]:
    """Name the encoders that these metrics read, each once: no other network is loaded."""
    return tuple(dict.fromkeys(name for metric in wanted for name in metric.encoders))


Outputs = Mapping[str, Sequence[Path]]
"""The outputs of each clip, by clip id; a clip that is absent, or has none, is missing."""


def outputs_per_clip(outputs: Outputs) -> int:
    """Say how many outputs each clip has that has any.

    Raises
    ------
    A2IBenchError
        If there is no output, or clips have different numbers of outputs.

    """
    counts = {len(files): clip_id for clip_id, files in outputs.items() if files}
    if not counts:
        raise A2IBenchError("There is nothing to score; give at least one.")
    if len(counts) > 1:
        (few, one), *_, (many, other) = sorted(counts.items())
        raise A2IBenchError(
            f"The clip {one!r} has {few} outputs and {other!r} has {many}; give every clip the same number."
        )
    return next(iter(counts))


@dataclass(frozen=True)
class Scored:
    """What scoring gives."""

    scores: list[Score]
    items: dict[str, dict[str, float | None]]
    """Values by clip id and metric."""
    missing: tuple[str, ...]
    """Clips without an output."""
    details: dict[str, dict[str, list[str]]]
    """What a metric saw in each output of a clip, by the detail's name and clip id."""
    left_out: dict[str, str]
    """Metrics without a score, and why."""


class Scorer:
    """Scores sets of outputs on one ClipSet with one suite; the features of the clips themselves are computed once.

    Parameters
    ----------
    suite, clips
        On what.
    own_data
        Whether the clips are the user's and not the suite's: then a note may say what that means.
    training
        A folder of training clips: outputs that copy one are counted. By default the suite's own, where it brings an
        index of them.
    device, batch_size
        How the encoders run.
    stage
        Shows progress.
    features
        Where features come from; by default they are computed here.

    """

    def __init__(
        self,
        suite: Suite,
        clips: ClipSet,
        *,
        own_data: bool = False,
        training: Path | None = None,
        device: str = "cpu",
        batch_size: int = 32,
        stage: Stage = silent,
        features: FeatureSource | None = None,
    ):
        self.features = features or FeatureSource()
        self.suite, self.clips, self.device = suite, clips, device
        self.batch_size, self.stage = batch_size, stage
        self.notes = [*suite.file.notes]
        self.caution = suite.file.own_data or "" if own_data else ""
        if len(clips) < _FEW:
            sets = " and ".join(name for name in suite.task.metrics if name in _OF_SETS)
            self.notes.append(
                f"Only {len(clips)} clips: intervals are wide" + (f", and {sets} say little." if sets else ".")
            )
        self.setting = suite.setting(clips)
        self.training = of_folder(training, suite, stage) if training else shipped(suite)
        self._encoders: dict[str, Encoder] = {}
        self._of_clips: dict[str, AnyArray] = {}

    def encoder(self, name: str) -> Encoder:
        """Give an encoder of the suite, loaded once."""
        if name not in self._encoders:
            self._encoders[name] = self.suite.encoder(name, self.device)
        return self._encoders[name]

    def weights(self, wanted: Iterable[Metric]) -> dict[str, str]:
        """Give the id of each encoder that these metrics read."""
        return {name: self.encoder(name).id for name in sorted(encoders_of(wanted))}

    def kernels(self, wanted: Iterable[Metric]) -> dict[str, str]:
        """Say what computes each encoder that these metrics read, where it does."""
        return {name: how for name in sorted(encoders_of(wanted)) if (how := self.encoder(name).computing)}

    def score(self, outputs: Outputs, wanted: Sequence[Metric], name: str = "outputs") -> Scored:
        """Score a set of outputs, by clip id.

        With several outputs per clip a clip's value is their mean, and a set statistic is of all outputs. A clip
        without an output loses all its comparisons: it counts with the metric's worst value; a metric without a
        worst value (a z-score) is left out. So is one that has nothing to compare any clip with (no two clips of one
        label), or that needs more clips.

        Raises
        ------
        A2IBenchError
            If no clip has an output, clips have different numbers of outputs, or no metric is left.

        """
        depth = outputs_per_clip(outputs)
        there = {clip_id: outputs[clip_id] for clip_id in self.clips.ids if outputs.get(clip_id)}
        missing = tuple(clip_id for clip_id in self.clips.ids if clip_id not in there)
        coverage = Coverage(depth, len(there), len(self.clips))
        able = [metric for metric in wanted if not self._lacks(metric)]
        generated = self.encode(there, able, name)
        place = {clip_id: depth * index for index, clip_id in enumerate(there)}
        first = np.array([place.get(clip_id, 0) for clip_id in self.clips.ids])
        views = [{key: rows[first + index] for key, rows in generated.items()} for index in range(depth)]
        found = Scored([], {clip_id: {} for clip_id in self.clips.ids}, missing, {}, {})
        for metric in wanted:
            why = self._why_not(metric, coverage)
            try:
                if not why and metric.per_clip is not None:
                    given = [self._given(metric, view, there) for view in views]
                    why = self._score_clips(metric, given, coverage, found)
                elif not why and metric.statistic is not None:
                    self._score_set(metric, self._given(metric, generated, there), coverage, found)
            except UndefinedError as reason:
                why = str(reason)
            if why:
                found.left_out[metric.name] = why
        if not found.scores:
            reasons = "; ".join(f"{metric}: {why}" for metric, why in found.left_out.items())
            raise A2IBenchError(f"Nothing can be scored ({reasons}); add clips, or choose other metrics.")
        return found

    # ------------------------------------------------------------------------------------------- features

    def encode(self, outputs: Outputs, wanted: Sequence[Metric], name: str = "outputs") -> dict[str, AnyArray]:
        """Encode outputs, and what the metrics need of the clips themselves; gives the features of the outputs."""
        paths = [path for paths in outputs.values() for path in paths]
        generated = self._features_of("generated", paths, wanted, f"encode {name}") if paths else {}
        self._encode_clips(wanted)
        return generated

    def _keys(self, wanted: Iterable[Metric], generated: bool) -> list[str]:
        keys = dict.fromkeys(key for metric in wanted for key in metric.needs)
        return [key for key in keys if key.startswith("generated/") == generated]

    def _features_of(
        self, role: str, paths: Sequence[Path], wanted: Iterable[Metric], title: str
    ) -> dict[str, AnyArray]:
        """Encode files for all the keys of one role, each decoded once."""
        keys = dict.fromkeys(key for metric in wanted for key in metric.needs if key.partition("/")[0] == role)
        encoders = [self._encoder_for(key) for key in keys]
        if not encoders:
            return {}
        rows = self.features.files(encoders, paths, self.batch_size, self.stage(title, len(paths)))
        return {f"{role}/{name}": stacked(found) for name, found in rows.items()}

    def _encoder_for(self, key: str) -> Encoder:
        """Give the encoder of a key, after checking that the role is of its medium."""
        role, _, name = key.partition("/")
        medium, encoder = self.suite.task.medium_of(role), self.encoder(name)
        if medium is None:
            roles = ", ".join(("generated", "reference", "condition", *self.suite.task.columns, "label"))
            raise A2IBenchError(
                f"The task {self.suite.task.name} has no {role!r}, which {key!r} names; it has {roles}."
            )
        if medium != encoder.modality:
            raise A2IBenchError(f"The encoder {name} takes {encoder.modality}, and {role!r} is {medium}: {key!r}.")
        return encoder

    def _encode_clips(self, wanted: Sequence[Metric]) -> None:
        """Encode what the metrics need of the clips themselves and is not there yet."""
        todo = [key for key in self._keys(wanted, generated=False) if key not in self._of_clips]
        for key in todo:
            self._encoder_for(key)  # a wrong key is refused before any work
        columns = {"reference": self.suite.task.reference, "condition": self.suite.task.condition}
        for role in dict.fromkeys(key.partition("/")[0] for key in todo):
            if self.suite.task.medium_of(role) == "text":
                for key in (key for key in todo if key.startswith(f"{role}/")):
                    texts = self._texts(role, wanted, key)
                    if texts:
                        self._of_clips[key] = self.features.texts(self._encoder_for(key), texts)
            else:
                paths = [clip.file(columns.get(role, role)) for clip in self.clips]
                self._of_clips |= self._features_of(role, paths, wanted, f"encode {role}")

    def _texts(self, role: str, wanted: Iterable[Metric], key: str) -> Sequence[str]:
        if role == "label":
            return self.clips.labels
        if role == "labels":
            return self.suite.file.labels
        if role == "category":
            return next((self._categories(metric) for metric in wanted if key in metric.needs), ())
        return [clip.text(self.suite.task.condition if role == "condition" else role) for clip in self.clips]

    def _categories(self, metric: Metric) -> tuple[str, ...]:
        """The names of the categories of the classifier that a metric reads, if it reads one."""
        return next(
            (tuple(names) for e in metric.encoders if (names := getattr(self.encoder(e), "categories", ()))), ()
        )

    def _given(self, metric: Metric, generated: Mapping[str, AnyArray], there: Mapping[str, object]) -> Features:
        arrays = {**self._of_clips, **generated}
        return Features(
            arrays={key: arrays[key] for key in metric.needs},
            labels=self.clips.labels,
            categories=self._categories(metric),
            clip_ids=self.clips.ids,
            given=np.array([clip_id in there for clip_id in self.clips.ids]),
        )

    # --------------------------------------------------------------------------------------------- scores

    def _why_not(self, metric: Metric, coverage: Coverage) -> str:
        """Say why a metric can't be computed here at all; empty where it can."""
        if why := self._lacks(metric):
            return why
        if coverage.per_clip * coverage.given < metric.least:
            return f"it needs {metric.least} or more outputs, and there are {coverage.per_clip * coverage.given}"
        if metric.worst is None and metric.per_clip is not None and coverage.given < coverage.clips:
            return "it has no worst value for a clip without an output"
        if any(key.startswith("labels/") for key in metric.needs) and not self.suite.file.labels:
            return "the suite does not list all labels of its data set"
        return ""

    def _lacks(self, metric: Metric) -> str:
        """Say which optional column a metric reads and the clips do not have; empty where they have all."""
        roles = dict.fromkeys(key.partition("/")[0] for key in metric.needs)
        optional = [role for role in roles if role in self.suite.task.optional]
        absent = [role for role in optional if any(role not in clip.values for clip in self.clips)]
        return f"the clips have no column {absent[0]!r}" if absent else ""

    def _score_clips(self, metric: Metric, views: Sequence[Features], coverage: Coverage, found: Scored) -> str:
        """Add a metric's values and their mean; give the reason where there is none."""
        assert metric.per_clip is not None  # noqa: S101  for the type checker
        values = np.mean([metric.per_clip(view) for view in views], axis=0)
        absent = np.isin(self.clips.ids, found.missing)
        values[absent & ~np.isnan(values)] = metric.worst
        kept = values[~np.isnan(values)]
        if not len(kept):
            return "no clip has another to be compared with"
        interval = interval_of(kept, metric.unit)
        for clip_id, value in zip(self.clips.ids, values.tolist(), strict=True):
            found.items[clip_id][metric.name] = None if np.isnan(value) else value
        if metric.detail:
            title, saw = metric.detail
            told = zip(self.clips.ids, zip(*(saw(view) for view in views), strict=True), strict=True)
            found.details[title] = {c: list(texts) for c, texts in told if c not in found.missing}
        score = self._score(metric, mean_score(values), len(kept), coverage)
        found.scores.append(score.model_copy(update={"low": interval.low, "high": interval.high}))
        return ""

    def _score_set(self, metric: Metric, features: Features, coverage: Coverage, found: Scored) -> None:
        assert metric.statistic is not None  # noqa: S101  for the type checker
        statistic = metric.statistic(features)
        score = self._score(metric, statistic.value, coverage.per_clip * coverage.given, coverage)
        extra = {key: float(value) for key, value in statistic.extra.items()}
        found.scores.append(score.model_copy(update={"stderr": statistic.stderr, "extra": dict(sorted(extra.items()))}))

    def _score(self, metric: Metric, value: float, n: int, coverage: Coverage) -> Score:
        ids = {name: f"{name}.{self.encoder(name).digest}" for name in metric.encoders}
        signature = metric.signature(n=n, encoders=ids, suite=self.setting, coverage=coverage)
        return Score(
            metric=metric.name,
            value=value,
            n=n,
            chance=metric.chance,
            higher_is_better=metric.higher_is_better,
            unit=metric.unit,
            signature=str(signature),
        )


def interval_of(values: np.ndarray, unit: str) -> Interval:
    """The 95 % interval of a mean: Wilson's where every value is a hit or a miss in per cent, else a BCa bootstrap."""
    if unit == "%" and len(values) and np.isin(values, (0.0, 100.0)).all():
        return wilson_interval(int((values == 100.0).sum()), len(values))
    return bootstrap_interval(values)


def result_of(
    scorer: Scorer,
    outputs: Outputs,
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
    look: bool = True,
) -> Result:
    """Score outputs and write down everything that the numbers depend on.

    `look`: whether to count what the outputs are; sanity entries copy references, and are known to.
    """
    began = time.perf_counter()
    scored = scorer.score(outputs, wanted, method)
    scores = scored.scores
    by_reason: dict[str, list[str]] = {}
    for metric, why in scored.left_out.items():
        by_reason.setdefault(why, []).append(metric)
    notes = [*notes, *(f"Left out: {', '.join(names)} ({why})." for why, names in by_reason.items())]
    if scored.missing:
        notes = [*notes, missing_note(scored.missing, len(scorer.clips), scorer.suite.task.noun)]
    counts, told = seen(outputs, scorer.clips, scorer.suite.task, scorer.training) if look else (None, [])
    if ceilings:
        scores = [score.model_copy(update={"ceiling": ceilings.get(score.metric)}) for score in scores]
    return Result(
        task=scorer.suite.task.name,
        method=method,
        suite=scorer.suite.id,
        clips=Clips(name=scorer.clips.name, n=len(scorer.clips), digest=scorer.clips.digest),
        seed=seed,
        options=dict(options or {}),
        weights={**scorer.weights(wanted), **(weights or {})},
        scores=scores,
        items=scored.items,
        outputs_per_clip=outputs_per_clip(outputs),
        missing=list(scored.missing),
        outputs=counts,
        details=scored.details,
        licences=list(licences),
        labels={clip.clip_id: clip.label for clip in scorer.clips},
        notes=[*scorer.notes, *clip_notes(scorer.clips, scorer.suite.task), *notes, *told],
        caution=scorer.caution,
        provenance=provenance(
            device, {**(seconds or {}), "score": time.perf_counter() - began}, scorer.kernels(wanted)
        ),
    )


def missing_note(missing: Sequence[str], n: int, noun: str) -> str:
    """Say in a sentence which clips have no output, and how they count."""
    return (
        f"{len(missing)} of {n} clips have no {noun} ({some(missing)}): they lose all their comparisons, and what is "
        "measured of the whole set is of the others."
    )
