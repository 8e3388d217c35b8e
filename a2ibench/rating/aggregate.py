"""From answers to findings: what each method was rated, how sure that is, and how far the raters can be trusted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from a2ibench.errors import A2IBenchError
from a2ibench.files import write_text
from a2ibench.metrics.base import FloatArray
from a2ibench.metrics.crossed import crossed_mean, crossed_p_value
from a2ibench.metrics.preferences import bradley_terry
from a2ibench.metrics.reliability import alpha_interval, krippendorff_alpha
from a2ibench.metrics.stats import SEED, holm, wilson_interval
from a2ibench.rating.correlation import Correlation, correlate
from a2ibench.rating.exclusion import Blind, Conduct, conduct, reasons
from a2ibench.rating.readers import Ratings
from a2ibench.rating.study import REAL, Design, Item, Study
from a2ibench.results import Result

RATERS_NEEDED = 17
"""The paper: "at least 17 annotators" for each image."""
RESAMPLES = 2000


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
    """The mean rating, 1 to 5; or the mean share of comparisons won, in per cent: first of each rater on each clip,
    then over these. Where answers are missing it may differ from the comparisons won (`histogram`) among `n`."""
    low: float | None
    """The lower end of the 95 % interval for other raters and other clips; none where it can't be estimated."""
    high: float | None
    """The upper end."""
    sd: float | None
    """The standard deviation of the ratings, as the paper gives it (likert)."""
    median: float | None
    """The median rating (likert)."""
    histogram: list[int]
    """How many ratings of 1, 2, 3, 4 and 5; or comparisons lost and won."""
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
    """Krippendorff's alpha over the images (likert, ordinal) or the pairs (pairwise, nominal) of the methods."""

    level: Literal["ordinal", "nominal"]
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
    """The fewest raters of any image (or pair) of the methods."""
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
    """The mean rating of the real images, or the share of control pairs in which the real image was chosen."""
    excluded: list[str]
    """Why the rater was left out; empty for all others."""


class Human(_Model):
    """What a study found: ``human.json``."""

    schema_version: Literal[1] = 1
    """The version of this format."""
    study: str
    """The study's digest."""
    title: str
    """Its title."""
    design: Design
    """``likert`` or ``pairwise``."""
    suite: str
    """The suite with its version."""
    clips: str
    """The digest of the set that the clips are of."""
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
    """How each automatic metric goes with the ratings of the images, where results were given."""
    warnings: list[str]
    """What a reader must know beside the numbers."""

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


@dataclass(frozen=True)
class Table:
    """The answers as a table.

    Attributes
    ----------
    study
        Whose answers they are.
    raters
        The raters' names, [raters].
    values
        The answer of each rater to each of the study's items, [raters, items]: the rating, or 1 for the first
        and 0 for the second; NaN where there is none.
    seconds
        The seconds, [raters, items]; NaN where they are not known.

    """

    study: Study
    raters: list[str]
    values: FloatArray
    seconds: FloatArray

    @classmethod
    def of(cls, ratings: Ratings, study: Study) -> Self:
        """Arrange answers by raters and items."""
        raters = sorted({answer.rater for answer in ratings.answers})
        row = {rater: index for index, rater in enumerate(raters)}
        column = {item.item: index for index, item in enumerate(study.items)}
        values, seconds = (np.full((len(raters), len(column)), np.nan) for _ in range(2))
        number = {"first": 1.0, "second": 0.0}
        for answer in ratings.answers:
            place = row[answer.rater], column[answer.item]
            values[place] = number[answer.value] if isinstance(answer.value, str) else answer.value
            seconds[place] = np.nan if answer.seconds is None else answer.seconds
        return cls(study, raters, values, seconds)

    def part(self, rows: Sequence[int]) -> "Table":
        """Give the table of some raters."""
        names = [self.raters[row] for row in rows]
        return Table(self.study, names, self.values[list(rows)], self.seconds[list(rows)])

    def blind(self) -> Blind:
        """Leave out all that tells what was rated."""
        items = self.study.items
        place = {item.item: index for index, item in enumerate(items)}
        repeats = [(place[item.item], place[item.repeat_of]) for item in items if item.repeat_of is not None]
        controls = [index for index, item in enumerate(items) if item.kind == "control"]
        return Blind(
            self.study.design,
            self.values,
            self.seconds,
            np.array(repeats, dtype=np.int64).reshape(-1, 2),
            np.array(controls, dtype=np.int64),
            np.array([items[index].methods[0] == REAL for index in controls], dtype=np.float64),
        )

    @property
    def main(self) -> list[tuple[int, Item]]:
        """The places and the items that count for the methods."""
        return [(index, item) for index, item in enumerate(self.study.items) if item.kind == "main"]

    @property
    def clips(self) -> list[str]:
        """The clips that the methods are rated on."""
        return sorted({item.clip_id for _, item in self.main})

    def cells(self, method: str, *, against: str | None = None, kind: str = "main") -> FloatArray:
        """What each rater gave a method on each clip, [raters, clips]: the rating, or the share of pairs won.

        Parameters
        ----------
        method
            The method.
        against
            Only the pairs with this one.
        kind
            The kind of the items.

        """
        clips = {clip: index for index, clip in enumerate(self.clips)}
        total, count = (np.zeros((len(self.raters), len(clips))) for _ in range(2))
        for index, item in enumerate(self.study.items):
            if item.kind != kind or method not in item.methods or item.clip_id not in clips:
                continue
            if against is not None and against not in item.methods:
                continue
            given = self.values[:, index]
            given = given if item.methods[0] == method else 1 - given
            there = ~np.isnan(given)
            total[there, clips[item.clip_id]] += given[there]
            count[there, clips[item.clip_id]] += 1
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def aggregate(ratings: Ratings, study: Study, results: Mapping[str, Result] | None = None) -> Human:
    """Work out what a study found.

    Parameters
    ----------
    ratings
        The answers.
    study
        The study that they are of.
    results
        For a method the result of the run that was rated; for the correlations.

    Raises
    ------
    A2IBenchError
        If the exclusion rule leaves nobody, or nobody rated any image of the methods.

    """
    table = Table.of(ratings, study)
    blind = table.blind()
    how = conduct(blind)
    excluded = [reasons(one, study.exclusion, blind) for one in how]
    rows = [index for index, why in enumerate(excluded) if not why]
    if not rows:
        raise A2IBenchError(
            f"The exclusion rule of study.toml leaves out all {len(how)} raters (the first one {excluded[0][0]}), so "
            "there is nothing to aggregate; collect answers of others."
        )
    kept = table.part(rows)
    if np.isnan(kept.values[:, [index for index, _ in kept.main]]).all():
        raise A2IBenchError("Nobody rated an image of the methods yet; let somebody rate first.")
    found = _findings(kept)
    correlations = correlate(_per_image(kept), results or {}, study.clips)
    return Human(
        study=study.digest,
        title=study.title,
        design=study.design,
        suite=study.suite,
        clips=study.clips,
        clip_count=len(table.clips),
        answers=len(ratings.answers),
        repeated_answers=ratings.repeated,
        changed_answers=len(ratings.changed),
        excluded=len(how) - len(rows),
        rule={name: value for name, value in study.exclusion.model_dump().items() if value is not None},
        kept=found,
        everyone=found if len(rows) == len(how) else _findings(table),
        raters=[
            _rater(f"rater {row + 1}", table, row, rows, one, why)
            for row, (one, why) in enumerate(zip(how, excluded, strict=True))
        ],
        correlations=correlations,
        warnings=_warnings(found, ratings, study),
    )


def _per_image(table: Table) -> dict[str, dict[str, float]]:
    """The mean human rating of each image, by method and clip."""
    found = {}
    for method in table.study.methods:
        columns = zip(table.clips, table.cells(method).T, strict=True)
        found[method] = {clip: float(np.nanmean(given)) for clip, given in columns if not np.isnan(given).all()}
    return found


def _warnings(found: Findings, ratings: Ratings, study: Study) -> list[str]:
    said = []
    if found.raters_per_image < RATERS_NEEDED:
        what = "an image" if study.design == "likert" else "a pair"
        said.append(
            f"Only {found.raters_per_image} rater{'s' * (found.raters_per_image != 1)} of {what} (of the one with the "
            f"fewest); the paper's protocol asks for at least {RATERS_NEEDED}."
        )
    unsure = [row.method for row in found.methods if row.low is None]
    if unsure:
        names = ", ".join(unsure)
        said.append(f"No interval can be given for {names}: it needs two raters of two clips, and ratings that differ.")
    if ratings.changed:
        count = len(ratings.changed)
        said.append(
            f"{count} rater{'s' * (count > 1)} gave some items two different answers; the later one counts. If two "
            "people used one name, their answers are mixed."
        )
    if found.alpha.value is None:
        said.append("Alpha can't be computed: no two raters rated the same image, or all answers are equal.")
    return said


# ----------------------------------------------------------------------------------------- what a group found


def _findings(table: Table) -> Findings:
    study = table.study
    main = [index for index, _ in table.main]
    rows = [row for method in study.methods if (row := _row(table, method)) is not None]
    if study.design == "pairwise":
        rows = _with_strengths(table, rows)
    rows.sort(key=lambda row: (-row.mean, row.method))
    control = _row(table, REAL, kind="control")
    pairs = [pair for a, b in combinations([row.method for row in rows], 2) if (pair := _compare(table, a, b))]
    adjusted = holm([pair.p_value for pair in pairs])
    return Findings(
        raters=len(table.raters),
        raters_per_image=int((~np.isnan(table.values[:, main])).sum(axis=0).min()),
        methods=rows if control is None else [*rows, control],
        comparisons=[pair.model_copy(update={"p_value": p}) for pair, p in zip(pairs, adjusted, strict=True)],
        alpha=_alpha(table),
        wins=_wins(table) if study.design == "pairwise" else {},
    )


def _row(table: Table, method: str, kind: str = "main") -> MethodRating | None:
    cells = table.cells(method, kind=kind)
    there = ~np.isnan(cells)
    if not there.any():
        return None
    places = [i for i, item in enumerate(table.study.items) if item.kind == kind and method in item.methods]
    n = int((~np.isnan(table.values[:, places])).sum())
    given = cells[there]
    likert = table.study.design == "likert"
    if likert:
        mean, low, high, *_ = crossed_mean(cells, bounds=(1, 5))
        histogram = np.bincount(given.astype(np.int64), minlength=6)[1:].tolist()
    else:
        mean, low, high = _share(cells)
        won = sum(_won(table, index, method) for index in places)
        histogram = [n - won, won]
    return MethodRating(
        method=method,
        control=kind == "control",
        n=n,
        raters=int(there.any(axis=1).sum()),
        clips=int(there.any(axis=0).sum()),
        mean=mean,
        low=low,
        high=high,
        sd=float(given.std(ddof=1)) if likert and len(given) > 1 else None,
        median=float(np.median(given)) if likert else None,
        histogram=histogram,
    )


def _share(cells: FloatArray) -> tuple[float, float | None, float | None]:
    """A share in per cent with its interval; where nothing varies, Wilson's of the fewer of raters and clips."""
    mean, low, high, *_ = crossed_mean(cells, bounds=(0, 1))
    units = min(int((~np.isnan(cells)).any(axis=axis).sum()) for axis in (0, 1))
    if low is not None and high is not None:
        return 100 * mean, 100 * low, 100 * high
    if units < 2 or np.nanmin(cells) < np.nanmax(cells):
        return 100 * mean, None, None
    return 100 * mean, *wilson_interval(round(mean * units), units)


def _compare(table: Table, a: str, b: str) -> MethodComparison | None:
    if table.study.design == "pairwise":
        cells = table.cells(a, against=b)
        if np.isnan(cells).all():
            return None
        value, low, high = _share(cells)
        p = crossed_p_value(cells - 0.5)
    else:
        cells = table.cells(a) - table.cells(b)
        if np.isnan(cells).all():
            return None
        value, low, high, *_ = crossed_mean(cells)
        p = crossed_p_value(cells)
    n = int((~np.isnan(cells)).sum())
    return MethodComparison(a=a, b=b, value=value, low=low, high=high, p_value=p, n=n)


def _alpha(table: Table) -> Alpha:
    level: Literal["ordinal", "nominal"] = "ordinal" if table.study.design == "likert" else "nominal"
    main = table.main
    values = table.values[:, [index for index, _ in main]]
    if (~np.isnan(values)).sum(axis=0).max() < 2:
        return Alpha(level=level, value=None)
    value = krippendorff_alpha(values, level=level)
    if np.isnan(value):
        return Alpha(level=level, value=None)
    interval = alpha_interval(values, level=level, clusters=[item.clip_id for _, item in main])
    low, high = interval or (None, None)
    return Alpha(level=level, value=value, low=low, high=high)


# -------------------------------------------------------------------------------------------------- pairwise


def _won(table: Table, index: int, method: str) -> int:
    side = 1.0 if table.study.items[index].methods[0] == method else 0.0
    return int((table.values[:, index] == side).sum())


def _outcomes(table: Table) -> FloatArray:
    """How often each rater preferred each method to each other one on each clip, [raters, clips, methods, methods]."""
    methods, clips = table.study.methods, {clip: index for index, clip in enumerate(table.clips)}
    won = np.zeros((len(table.raters), len(clips), len(methods), len(methods)))
    for index, item in table.main:
        first, second = (methods.index(method) for method in item.methods)
        won[:, clips[item.clip_id], first, second] += table.values[:, index] == 1
        won[:, clips[item.clip_id], second, first] += table.values[:, index] == 0
    return won


def _wins(table: Table) -> dict[str, dict[str, int]]:
    total = _outcomes(table).sum(axis=(0, 1)).tolist()
    methods = table.study.methods
    return {
        a: {b: int(count) for b, count in zip(methods, row, strict=True) if b != a}
        for a, row in zip(methods, total, strict=True)
    }


def _with_strengths(table: Table, rows: list[MethodRating]) -> list[MethodRating]:
    """Add Bradley and Terry's strengths, with intervals by a bootstrap over raters and clips at once (Owen 2007)."""
    places = [table.study.methods.index(row.method) for row in rows]
    won = _outcomes(table)[:, :, places][..., places]
    raters, clips, size, _ = won.shape
    if not rows or not _all_met(won.sum(axis=(0, 1))):
        return rows
    found = [{"strength": float(value)} for value in bradley_terry(won.sum(axis=(0, 1)))]
    if min(raters, clips) > 1:
        rng = np.random.default_rng(SEED)
        weights = [rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) for count in (raters, clips)]
        by_clip = (weights[0] @ won.reshape(raters, -1)).reshape(RESAMPLES, clips, size * size)
        drawn = bradley_terry((by_clip * weights[1][:, :, None]).sum(axis=1).reshape(-1, size, size))
        for one, low, high in zip(found, *np.quantile(drawn, [0.025, 0.975], axis=0).tolist(), strict=True):
            one |= {"strength_low": low, "strength_high": high}
    return [row.model_copy(update=update) for row, update in zip(rows, found, strict=True)]


def _all_met(wins: FloatArray) -> bool:
    """Whether all methods met, directly or through others; else strengths have no common scale."""
    met = (wins + wins.T > 0).astype(np.int64) + np.eye(len(wins), dtype=np.int64)
    return bool((np.linalg.matrix_power(met > 0, len(wins)) > 0).all())


# -------------------------------------------------------------------------------------------------- raters


def _rater(code: str, table: Table, row: int, kept: Sequence[int], how: Conduct, why: list[str]) -> RaterConduct:
    main = [index for index, _ in table.main]
    mine = table.values[row, main]
    others = table.values[[other for other in kept if other != row]][:, main]
    return RaterConduct(
        rater=code,
        answers=int((~np.isnan(table.values[row])).sum()),
        answered=how.answered,
        agreement=_agreement(mine, others, table.study.design),
        consistency=how.consistency,
        identical=how.identical,
        median_seconds=how.median_seconds,
        control=how.control,
        excluded=why,
    )


def _agreement(mine: FloatArray, others: FloatArray, design: Design) -> float | None:
    shared = ~np.isnan(mine) & (~np.isnan(others)).any(axis=0)
    if not shared.any():
        return None
    mine, theirs = mine[shared], np.nanmean(others[:, shared], axis=0)
    if design == "pairwise":
        # Where the others are split in halves, either choice is half right.
        return float(np.mean(np.where(theirs == 0.5, 0.5, (theirs > 0.5) == (mine == 1))))
    if len(mine) < 3 or np.ptp(mine) == 0 or np.ptp(theirs) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(mine, theirs).statistic)
