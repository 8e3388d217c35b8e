"""What a metric is: features in, per-clip values or one set statistic out, with a signature."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2ibench.errors import A2IBenchError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer]
AnyArray = NDArray[Any]


class UndefinedError(A2IBenchError):
    """A metric has no value on these features; the message says why, and goes on "it needs …" or the like.

    Whoever scores leaves the metric out, with the reason, and goes on.
    """


@dataclass(frozen=True)
class Features:
    """The encoders' outputs that the metrics read; row i of every per-clip array belongs to clip i.

    >>> import numpy as np
    >>> len(Features({"generated/clip-image": np.eye(3)}))
    3

    Attributes
    ----------
    arrays
        By key ``role/encoder``. A role is a column of the clips (``audio``, ``label``), ``generated`` (the outputs),
        ``reference``, ``category`` (the names of a classifier's categories) or ``labels`` (all labels of the data
        set). Per clip: ``generated/clip-image`` [N, D], ``audio/wav2clip`` [N, D], ``generated/classifier`` [N, C]
        logits, ``label/clip-text`` [N, D]; of sets, of any size: ``generated/inception`` [G, F],
        ``reference/inception`` [M, F], ``category/clip-text`` [C, D], ``labels/clip-text`` [K, D]. A metric asks only
        for those that it needs. An encoder that gives several rows per item (windows of a sound, onsets) gives an
        array of arrays: dtype object, [N], each [k, D] with a k of its own, which may be 0.
    labels
        The event label of each clip ("dog barking"), [N]; may be empty where no metric reads it.
    categories
        The names of the classifier's categories, [C]; may be empty.
    clip_ids
        The ids of the clips, [N]; may be empty. Only the metrics that draw at random need them.
    given
        Which clips have an output, [N]; None: all. The ``generated/`` rows of the others are another clip's, so
        that arrays keep their shape: their values are thrown away, and replaced by the metric's `worst`.

    """

    arrays: Mapping[str, AnyArray]
    labels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    clip_ids: tuple[str, ...] = ()
    given: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.clip_ids and self.labels and len(self.clip_ids) != len(self.labels):
            raise A2IBenchError(
                f"There are {len(self.clip_ids)} clip ids for {len(self.labels)} labels: give one per clip."
            )

    def __len__(self) -> int:
        if self.labels or self.clip_ids:
            return len(self.labels or self.clip_ids)
        return len(next(iter(self.arrays.values()), ()))

    def __getitem__(self, key: str) -> AnyArray:
        if key not in self.arrays:
            given = ", ".join(sorted(self.arrays)) or "none"
            raise A2IBenchError(f"The features {key!r} are missing (given: {given}): run the encoder that makes them.")
        return self.arrays[key]

    def per_clip(self, key: str) -> AnyArray:
        """Give the features under `key`, after checking that there is one row for each clip."""
        rows = self[key]
        if len(rows) != len(self):
            raise A2IBenchError(
                f"{key!r} has {len(rows)} rows for {len(self)} clips: every clip needs exactly one row."
            )
        return rows


@dataclass(frozen=True)
class Signature:
    """Every choice that changes a number, in order. Numbers with equal signatures may share a column.

    >>> str(Signature("AIS", (("v", "1"), ("neg", "all"))))
    'AIS|v:1|neg:all'
    """

    name: str
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        # A bar inside a value, or a colon inside a key, would let two different signatures print alike.
        for text in (self.name, *(part for pair in self.pairs for part in pair)):
            if not text or text != text.strip() or "|" in text or "\n" in text:
                raise A2IBenchError(
                    f"The signature of {self.name!r} can't hold {text!r}: no bar, line break or blank edge."
                )
        keys = [key for key, _ in self.pairs]
        if len(set(keys)) < len(keys) or any(":" in key for key in keys):
            raise A2IBenchError(f"The signature of {self.name!r} has a repeated key, or a colon in one: {keys}.")

    def __str__(self) -> str:
        return "|".join((self.name, *(f"{key}:{value}" for key, value in self.pairs)))


@dataclass(frozen=True)
class Coverage:
    """How much of a set of clips the outputs cover: the mean of four outputs is another number than that of one.

    >>> str(Coverage(per_clip=1, given=120, clips=240))
    '120/240'
    """

    per_clip: int
    """Outputs of each clip that has any."""
    given: int
    """Clips that have an output."""
    clips: int
    """All clips."""

    def __str__(self) -> str:
        return f"{self.given}/{self.clips}"


@dataclass(frozen=True)
class SetStatistic:
    """A number that belongs to a set of images and not to single clips, with its standard error."""

    value: float
    stderr: float
    extra: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """A score of arrays: the number, per-clip values [N] where it has some, and the standard error of a set's."""

    value: float
    values: FloatArray | None
    stderr: float | None


@dataclass(frozen=True)
class Metric:
    """The declaration of a metric: data about it, and one function.

    Attributes
    ----------
    name
        What the user types and the tables print.
    version
        Raised by one whenever a change of the code changes a number.
    needs
        The features that it reads, by their keys in :class:`Features`. Nothing else is computed for it.
    higher_is_better, chance, bounds, unit, summary
        For tables and help. `chance` is the expected score of images that ignore the sound, where it is
        fixed.
    worst
        What a clip without an output counts as, in `unit`. None: there is no such value, and the metric is left
        out where an output is missing.
    options
        The choices that tell this variant from others; they enter the signature in this order.
    least
        How many outputs it needs at least.
    digits
        Decimals in tables; None: as the unit and the size of the number suggest.
    detail
        What it saw in each output, as texts for pages: a name, and a function from features to one text per clip.
    per_clip
        Features to one value per clip, [N] float64. The score is their mean: :func:`mean_score`. A clip that has
        nothing to be compared with is NaN, and left out of the mean.
    statistic
        Features to one :class:`SetStatistic`. A metric has either this or `per_clip`.

    """

    name: str
    version: int
    needs: tuple[str, ...]
    summary: str
    higher_is_better: bool
    bounds: tuple[float, float]
    worst: float | None = None
    chance: float | None = None
    unit: str = "%"
    options: Mapping[str, str] = field(default_factory=dict)
    least: int = 1
    digits: int | None = None
    detail: tuple[str, Callable[[Features], Sequence[str]]] | None = None
    per_clip: Callable[[Features], FloatArray] | None = None
    statistic: Callable[[Features], SetStatistic] | None = None

    def __post_init__(self) -> None:
        if (self.per_clip is None) == (self.statistic is None):
            raise A2IBenchError(f"The metric {self.name!r} must have either per_clip or statistic, and not both.")
        if self.worst is not None and not self.bounds[0] <= self.worst <= self.bounds[1]:
            raise A2IBenchError(f"The worst value of the metric {self.name!r}, {self.worst}, lies outside its bounds.")

    def __call__(self, features: Features) -> "Measured":
        """Compute the score of arrays alone, without a suite: for a look, or a test of one's own.

        >>> import numpy as np
        >>> from a2ibench.metrics import get
        >>> same = np.eye(3)
        >>> get("IIS")(Features({"generated/clip-image": same, "reference/clip-image": same})).value
        100.0

        Raises
        ------
        A2IBenchError
            If features are missing, or no clip has another to be compared with.

        """
        if self.per_clip is not None:
            values = self.per_clip(features)
            return Measured(mean_score(values), values, None)
        assert self.statistic is not None  # noqa: S101  for the type checker
        statistic = self.statistic(features)
        return Measured(statistic.value, None, statistic.stderr)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The names of the encoders whose features it reads, each once, in the order of `needs`."""
        return tuple(dict.fromkeys(key.partition("/")[2] for key in self.needs))

    def signature(self, *, n: int, encoders: Mapping[str, str], suite: str, coverage: Coverage) -> Signature:
        """Write down every choice behind a score.

        Parameters
        ----------
        n
            How many clips have a value (for a set statistic: how many generated images).
        encoders
            The short id of each encoder, by its name. Others than this metric's are ignored.
        suite
            The suite with its version, and the digest of clips that are not its own, as ``mini@1``.
        coverage
            How many outputs each clip has, and how many clips have any.

        """
        missing = [name for name in self.encoders if name not in encoders]
        if missing:
            raise A2IBenchError(f"The signature of {self.name} needs the id of the encoder {missing[0]!r}.")
        ids = list(dict.fromkeys(encoders[name] for name in self.encoders))
        if any("+" in short for short in ids):
            raise A2IBenchError(f"An encoder's id can't hold '+', which joins them in a signature: {ids}.")
        enc = (("enc", "+".join(ids)),) if ids else ()
        head = (("v", str(self.version)), *enc)
        tail = (("n", str(n)), ("per-clip", str(coverage.per_clip)), ("clips", str(coverage)), ("suite", suite))
        return Signature(self.name, (*head, *self.options.items(), *tail))


def feature_pair(
    x: AnyArray, y: AnyArray, names: tuple[str, str], *, least: tuple[int, int] = (2, 2)
) -> tuple[FloatArray, FloatArray]:
    """Check two sets of features as `check_pair` does, and give copies in float64."""
    check_pair(x, y, names, least=least)
    return x.astype(np.float64), y.astype(np.float64)


def check_pair(x: AnyArray, y: AnyArray, names: tuple[str, str], *, least: tuple[int, int] = (2, 2)) -> None:
    """Check two sets of features, [N, d] and [M, d]; `names` are for the errors.

    Raises
    ------
    A2IBenchError
        If a set has fewer rows than `least` or one that is not finite, or if the numbers of features differ.

    """
    for rows, name, fewest in zip((x, y), names, least, strict=True):
        if rows.ndim != 2 or len(rows) < fewest:
            raise A2IBenchError(f"{name!r} must hold {fewest} or more rows, [N, d], but has the shape {rows.shape}.")
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(wrong):
            raise A2IBenchError(f"Row {wrong[0]} of {name!r} is not finite: check that image's file.")
    if x.shape[1] != y.shape[1]:
        raise A2IBenchError(
            f"{names[0]!r} has {x.shape[1]} features and {names[1]!r} {y.shape[1]}: use one encoder for both."
        )


def several(items: Sequence[AnyArray]) -> AnyArray:
    """Put arrays of several rows each, [k, d], into one array of objects, [N]: what :class:`Features` holds of them.

    >>> several([np.zeros((2, 3)), np.zeros((0, 3))]).shape
    (2,)
    """
    packed = np.empty(len(items), dtype=object)
    for place, rows in enumerate(items):
        packed[place] = rows
    return packed


def rows_and_counts(items: AnyArray, name: str) -> tuple[AnyArray, IntArray]:
    """Give all rows, [R, d], of an array of arrays (or [N, d] with one row each) and how many each item has, [N].

    Raises
    ------
    A2IBenchError
        If an item holds no rows [k, d], or items differ in d.

    """
    if items.dtype != object:
        return items, np.ones(len(items), dtype=np.int64)
    shapes = {rows.shape[1:] for rows in items}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise A2IBenchError(
            f"{name!r} must hold several rows per item, [k, d] with one d, but has the shapes {sorted(shapes)[:3]}."
        )
    counts = np.array([len(rows) for rows in items], dtype=np.int64)
    return (np.concatenate(list(items)) if len(items) else np.empty((0, 0))), counts


def mean_score(values: FloatArray) -> float:
    """Average per-clip values, [N]; NaN, a clip that has nothing to be compared with, is left out.

    The sum is exact, so the order of the clips does not change even the last bit.

    Raises
    ------
    A2IBenchError
        If no value is left.

    """
    kept = values[~np.isnan(values)]
    if not len(kept):
        raise A2IBenchError(f"None of the {len(values)} clips has anything to be compared with: add clips.")
    return fsum(kept.tolist()) / len(kept)
