"""What ratings found, as data: ``human.json``."""

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from a2ibench.errors import A2IBenchError
from a2ibench.files import write_text
from a2ibench.rating.study import Design


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class MethodRating(_Model):
    """How one method was rated."""

    method: str
    """The method, or the name of the hidden control."""
    control: bool
    """Whether it is the hidden control."""
    n: int
    """How many ratings (likert) or comparisons (pairwise). Repeated items count once."""
    raters: int
    """How many raters gave them."""
    clips: int
    """Of how many clips."""
    mean: float
    """The mean rating, on `Human.scale`; or the mean share of comparisons won, in per cent, a tie being half: first of
    each rater on each clip, then over these. Where answers are missing it may differ from the comparisons won
    (`histogram`) among `n`."""
    low: float | None
    """The lower end of the 95 % interval for other raters and other clips; none where it can't be estimated."""
    high: float | None
    """The upper end."""
    sd: float | None
    """The standard deviation of the ratings, as the paper gives it (likert)."""
    median: float | None
    """The median rating (likert)."""
    histogram: list[int]
    """How many ratings of each of `Human.steps`; or comparisons lost and won (lost, tied and won where some tied)."""
    strength: float | None = None
    """Bradley and Terry's strength, a log odds; the mean over the methods is 0 (pairwise)."""
    strength_low: float | None = None
    """The lower end of its 95 % interval, by a bootstrap over raters and clips."""
    strength_high: float | None = None
    """The upper end."""


class MethodComparison(_Model):
    """Two methods by the same raters on the same clips."""

    a: str
    """The one."""
    b: str
    """The other."""
    value: float
    """A's mean minus B's (likert); how often A was preferred to B, in per cent (pairwise)."""
    low: float | None
    """The lower end of its 95 % interval."""
    high: float | None
    """The upper end."""
    p_value: float
    """Two-sided, with raters and clips random, Holm-corrected over the comparisons."""
    n: int
    """How many pairs of a rater and a clip."""


class Alpha(_Model):
    """Krippendorff's alpha over the outputs (likert) or the pairs (pairwise, nominal) of the methods.

    Ratings are ordinal where the scale has steps, and of the level interval where any number on it may be given.
    """

    level: Literal["ordinal", "nominal", "interval"]
    """What a difference weighs."""
    value: float | None
    """Alpha; none where all answers are equal, or nothing was rated twice."""
    low: float | None = None
    """The lower end of its 95 % interval, by a bootstrap over clips."""
    high: float | None = None
    """The upper end."""


class Findings(_Model):
    """What a group of raters found."""

    raters: int
    """How many raters."""
    raters_per_image: int
    """The fewest raters of any output (or pair) of the methods."""
    methods: list[MethodRating]
    """The methods, best first, then the control."""
    comparisons: list[MethodComparison]
    """Each two methods."""
    alpha: Alpha
    """How far the raters agree."""
    wins: dict[str, dict[str, int]] = Field(default_factory=dict)
    """How often the first method was preferred to the second (pairwise)."""


class RaterConduct(_Model):
    """How one rater worked. The name stays in ``raters.csv``; here is a number."""

    rater: str
    """``rater 1``, ``rater 2`` … in the order of the names."""
    answers: int
    """How many items were answered."""
    answered: float
    """Their share of all items."""
    agreement: float | None
    """With the other raters: Spearman's correlation with their mean (likert), the share of pairs in which the
    rater chose as most of them did (pairwise)."""
    consistency: float | None
    """The share of repeats answered alike: at most one point apart, or the same method chosen."""
    identical: float | None
    """The share of repeats answered exactly alike."""
    median_seconds: float | None
    """The median of the seconds per item."""
    control: float | None
    """The mean rating of the real outputs, or the share of control pairs in which the real output was chosen."""
    excluded: list[str]
    """Why the rater was left out; empty for all others."""


class Correlation(_Model):
    """How one metric goes with the mean human rating of each output; positive where it agrees with people."""

    metric: str
    """The metric."""
    rho: float
    """Spearman's rank correlation over all outputs."""
    low: float | None
    """The lower end of its 95 % interval, by a bootstrap over clips; none with fewer than three clips."""
    high: float | None
    """The upper end."""
    within: float | None
    """The mean over the methods of the correlation among the outputs of one method: what is left of `rho` when the
    metric can't profit from telling methods apart."""
    images: int
    """How many outputs."""
    signature: str
    """The metric's signature."""


class Order(_Model):
    """How one metric orders the methods beside how people do."""

    metric: str
    """The metric."""
    alike: float
    """The share of pairs of methods that the metric orders as people do, in per cent; a tie of either is half."""
    low: float
    """The lower end of its 95 % interval, for other methods than these."""
    high: float
    """The upper end."""
    pairs: int
    """How many pairs."""
    told: int
    """How many of them people tell apart (p < 0.05 after Holm's correction)."""
    told_alike: float
    """How many of these the metric orders as people do; a tie of the metric is half."""
    methods: int
    """How many methods."""
    signature: str
    """The metric's signature."""


class Human(_Model):
    """What a study found: ``human.json``."""

    schema_version: Literal[1] = 1
    """The version of this format."""
    source: Literal["study", "table"] = "study"
    """Whether the ratings come from a study made here, or from a table of ratings collected elsewhere."""
    study: str
    """The study's digest; of a table that of what was rated, on which scale."""
    title: str
    """Its title."""
    design: Design
    """``likert`` or ``pairwise``."""
    noun: str = "image"
    """What an output is called, as "sound"; a table of ratings does not tell it."""
    scale: tuple[float, float] = (1.0, 5.0)
    """The ends of the scale (likert)."""
    steps: list[str] = Field(default=["1", "2", "3", "4", "5"])
    """What the ratings are counted by: the steps of the scale, or fifths of it where it has none (likert)."""
    suite: str
    """The suite with its version; empty where a table does not tell it."""
    clips: str
    """The digest of the set that the clips are of; empty where a table does not tell it."""
    clip_count: int
    """How many clips the methods were rated on."""
    answers: int
    """How many answers were read, repeats and controls among them."""
    repeated_answers: int
    """How many stood in the files twice, alike, and count once."""
    changed_answers: int
    """How many raters gave some item two different answers, the later of which counts."""
    excluded: int
    """How many raters the rule left out."""
    rule: dict[str, float]
    """The rule of ``study.toml``."""
    kept: Findings
    """What the others found: the result."""
    everyone: Findings
    """The same with nobody left out."""
    raters: list[RaterConduct]
    """How each rater worked."""
    correlations: list[Correlation]
    """How each automatic metric goes with the ratings of the outputs, where results were given."""
    orders: list[Order] = Field(default_factory=list)
    """How each automatic metric orders the methods beside how people do, where results of two or more were given."""
    warnings: list[str]
    """What a reader must know beside the numbers."""

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the noun of the first task, which files from before there were others lack."""
        usual = self.noun == type(self).model_fields["noun"].default
        return {name: value for name, value in dump(self).items() if not (usual and name == "noun")}

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_text(path, json.dumps(self.model_dump(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        A2IBenchError
            If the file is missing or is something else.

        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise A2IBenchError(f"{path} can't be read: {error.strerror or error}.") from None
        except ValueError:
            raise A2IBenchError(f"{path} is no human.json; 'a2ibench rate aggregate' writes one.") from None
