"""A result: one versioned JSON with scores, intervals, signatures, per-clip values and their provenance."""

import csv
import io
import json
from collections import Counter
from math import fsum, isclose
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import write_text
from a2ibench.results.provenance import Model, Provenance, Sorted

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA_VERSION = 2
HUMAN = "human"
"""The metric of ratings by people: `a2ibench rate aggregate` writes it, nothing here computes it."""
# Of the summing order and of the decimal digits, not of anything that could hide another number.
_SAME = 1e-9

Scalar = str | int | float | bool | None
# What no honest result reaches: a page that shows a stranger's result must not drown in it.
_Name = Annotated[str, Field(max_length=300)]
_Sentences = Annotated[list[Annotated[str, Field(max_length=2000)]], Field(max_length=1000)]
_MOST = 2**53


class Score(Model):
    """One number with its uncertainty and with every choice that made it."""

    metric: str = Field(max_length=100)
    """The metric's name, as AIS."""
    value: float
    """The score, in `unit`."""
    low: float | None = None
    """The lower end of the 95 % interval, where there is one."""
    high: float | None = None
    """The upper end of the 95 % interval."""
    stderr: float | None = Field(default=None, ge=0)
    """The standard error, for statistics of a whole set, as FID."""
    n: int = Field(ge=0, le=_MOST)
    """How many clips (or images) the score is of."""
    chance: float | None = None
    """What images score that have nothing to do with their sounds."""
    ceiling: float | None = None
    """What the real images score."""
    higher_is_better: bool
    """Whether a higher score is better."""
    unit: str = Field(max_length=50)
    """Of the value: % or nothing."""
    signature: str = Field(max_length=1000)
    """Every choice that changes the number. Only scores with equal signatures may be compared."""
    extra: Sorted[float] = Field(default_factory=dict)
    """Numbers behind the score, as the terms of FID."""

    @model_validator(mode="after")
    def _interval(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval needs both ends, low and high")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval's low end {self.low} lies above its high end {self.high}")
        return self


class Clips(Model):
    """The clips that a result is of."""

    name: _Name
    """The name of the set."""
    n: int = Field(ge=0, le=_MOST)
    """How many clips."""
    digest: str = Field(max_length=200)
    """The sha256 over their ids, labels and files."""


class Seen(Model):
    """What the outputs are, beside their scores: counted from the decoded files."""

    n: int = Field(ge=1, le=_MOST)
    """How many outputs."""
    distinct: int = Field(ge=1, le=_MOST)
    """How many of them differ from each other in content: pixels, samples."""
    copies: int = Field(ge=0, le=_MOST)
    """How many are equal, or all but equal, to a reference of the clips."""
    training: str = Field(default="", max_length=200)
    """The training split that copies were looked for in, as `mini-train, n=5000, 0123abcd`; empty: none is known."""
    training_copies: int = Field(default=0, ge=0, le=_MOST)
    """How many are equal, or all but equal, to one of that split."""
    formats: Annotated[Sorted[int], Field(max_length=21)] = Field(default_factory=dict)
    """How many are stored as PNG, JPEG and so on."""
    sizes: Annotated[Sorted[int], Field(max_length=21)] = Field(default_factory=dict)
    """How many have so many pixels, as 64 x 64."""

    @model_validator(mode="after")
    def _within(self) -> Self:
        if max(self.distinct, self.copies, self.training_copies) > self.n:
            raise ValueError(f"{self.n} outputs can't have {self.distinct} distinct ones and {self.copies} copies")
        for counts in (self.formats, self.sizes):
            if any(len(name) > 50 or not 0 < count <= self.n for name, count in counts.items()):
                raise ValueError("the formats or sizes of the outputs are no counts of them")
        return self


class Result(Model):
    """The scores of one method on one suite.

    >>> result = Result.load(Path("leaderboards/mini/audiotoken/result.json"))
    >>> result["AIS"].unit, result["AIS"].n
    ('%', 240)
    >>> list(result.frame().columns[:3])
    ['clip_id', 'label', 'AIS']

    Building one with wrong values raises pydantic's ValidationError; `load` raises A2IBenchError.
    """

    schema_version: Literal[2] = 2
    """The version of this format."""
    task: _Name = "audio-to-image"
    """The task, as audio-to-image."""
    method: _Name
    """The method's name."""
    suite: _Name
    """The suite with its version, as mini@1."""
    clips: Clips
    """The clips."""
    seed: int | None = Field(default=None, ge=-(2**64), le=2**64)
    """The seed of the images, where it is known."""
    options: Sorted[Scalar] = Field(default_factory=dict)
    """The method's options."""
    weights: Sorted[str] = Field(default_factory=dict)
    """The sha256 (or the id) of the weights of each network that took part."""
    scores: list[Score] = Field(max_length=200)
    """The scores, each metric once."""
    items: Sorted[Sorted[float | None]] = Field(default_factory=dict)
    """For each clip id the value of each per-clip metric; null where there is nothing to compare."""
    outputs_per_clip: int = Field(default=1, ge=1, le=10_000)
    """How many outputs each clip has; a clip's value is their mean."""
    missing: list[str] = Field(default_factory=list)
    """The clips without an output: they lose all their comparisons."""
    outputs: Seen | None = None
    """What the outputs are; null for sanity entries, and in results of before."""
    details: Sorted[Sorted[list[str]]] = Field(default_factory=dict)
    """What metrics saw: for each detail, as category, by clip id a text for each output."""
    licences: _Sentences = Field(default_factory=list)
    """Licences of the weights that took part, where they forbid something."""
    labels: Sorted[str] = Field(default_factory=dict)
    """The label of each clip."""
    notes: _Sentences = Field(default_factory=list)
    """What a reader must know beside the numbers."""
    caution: str = Field(default="", max_length=2000)
    """Why the numbers mean little, where they do: shown above them."""
    provenance: Provenance
    """With what it was made."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        count = Counter(score.metric for score in self.scores)
        twice = sorted(name for name in count if count[name] > 1)
        if twice:
            raise ValueError(f"the metric {twice[0]} stands there twice")
        unlabelled = sorted(set(self.items) - set(self.labels))
        if unlabelled:
            raise ValueError(f"the clip {unlabelled[0]} has values but no label")
        if len(self.items) > self.clips.n:
            raise ValueError(f"there are values for {len(self.items)} clips, but only {self.clips.n} clips")
        for score in self.scores:
            held = [item[score.metric] for item in self.items.values() if score.metric in item]
            values = [value for value in held if value is not None]
            if not held:
                continue  # a statistic of the whole set
            if not values:
                raise ValueError(f"{score.metric} has a score but no clip with a value")
            try:
                mean = fsum(values) / len(values)
            except OverflowError:
                raise ValueError(f"the values of {score.metric} are too large to be added up") from None
            if not isclose(score.value, mean, rel_tol=_SAME, abs_tol=1e-12):
                raise ValueError(f"{score.metric} is {score.value!r}, but the mean of its clips is {mean!r}")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a result file.

        Raises
        ------
        A2IBenchError
            If the file is missing, is no result, has another schema version, or does not add up.

        """
        try:
            # A run may be linked, but whoever opens a FIFO waits for ever, and /dev/zero has no end.
            if path.exists() and not path.is_file():
                raise A2IBenchError(f"{path} can't be read: it is no file.")
            data = path.read_bytes()
        except FileNotFoundError:
            raise A2IBenchError(f"There is no {path}; 'a2ibench eval' writes a result file.") from None
        except OSError as error:
            raise A2IBenchError(f"{path} can't be read: {error.strerror or error}.") from None
        return cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes, path: Path) -> Self:
        """Check what was read from a result file; `path` is only for what the errors say.

        Raises
        ------
        A2IBenchError
            If it is no result, has another schema version, or does not add up.

        """
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise A2IBenchError(f"{path} is not a result file: it is not JSON ({error}).") from None
        if not isinstance(found, dict) or "schema_version" not in found:
            raise A2IBenchError(f"{path} is not a result file: it has no schema_version; 'a2ibench eval' writes one.")
        found = upgraded(found)
        if found["schema_version"] != SCHEMA_VERSION:
            raise A2IBenchError(
                f"{path} has the schema version {found['schema_version']!r}, and this a2ibench reads "
                f"{SCHEMA_VERSION}; use the version that wrote it, or make the result again."
            )
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise A2IBenchError(f"{path} is not a whole result: {f'{where}: ' if where else ''}{message}.") from None

    def save(self, path: Path) -> None:
        """Write the result, whole or not at all: equal results make equal files."""
        text = json.dumps(self.model_dump(), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(path, text + "\n")

    def __getitem__(self, metric: str) -> Score:
        """Give the score of a metric; a wrong name raises with the nearest right one.

        Raises
        ------
        A2IBenchError
            If the result has no such score.

        """
        found = next((score for score in self.scores if score.metric == metric), None)
        if found is None:
            raise unknown("score in this result", metric, (score.metric for score in self.scores))
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics that have per-clip values: first in the order of the scores, then the others."""
        held = {metric for item in self.items.values() for metric in item}
        scored = [score.metric for score in self.scores if score.metric in held]
        return (*scored, *sorted(held - set(scored)))

    def frame(self) -> "DataFrame":
        """Give the per-clip values: clip_id, label, one column per metric (NaN: nothing to compare with)."""
        import pandas as pd

        rows = [
            (clip_id, self.labels[clip_id], *(item.get(metric) for metric in self.columns))
            for clip_id, item in self.items.items()
        ]
        table = pd.DataFrame(rows, columns=["clip_id", "label", *self.columns])
        return table.astype(dict.fromkeys(self.columns, "float64"))

    def write_items(self, path: Path) -> None:
        """Write the per-clip values as CSV; the numbers read back to the last bit, a missing one is empty."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["clip_id", "label", *self.columns])
        for clip_id, item in self.items.items():
            values = (item.get(metric) for metric in self.columns)
            shown = ("" if value is None else repr(float(value)) for value in values)
            writer.writerow([clip_id, self.labels[clip_id], *shown])
        write_text(path, lines.getvalue())


def upgraded(found: Any) -> Any:
    """Turn what the first edition wrote into this schema: images were all that there was; leave all else as it is."""
    if not isinstance(found, dict) or found.get("schema_version") != 1:
        return found
    new = {key: value for key, value in found.items() if key not in ("images_per_clip", "categories")}
    if "images_per_clip" in found:
        new["outputs_per_clip"] = found["images_per_clip"]
    if "categories" in found:
        new["details"] = {"category": found["categories"]}
    return {**new, "schema_version": 2, "task": "audio-to-image"}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a result file."""
    return Result.model_json_schema()


# ----------------------------------------------------------------------------------------------- provenance
