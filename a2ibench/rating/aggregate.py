"""From answers to findings: what each method was rated, how sure that is, and how far the raters can be trusted."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.media import get as get_medium
from a2ibench.metrics.base import FloatArray
from a2ibench.rating.collected import Collected
from a2ibench.rating.correlation import correlate, orders
from a2ibench.rating.exclusion import Blind, Conduct, conduct, reasons
from a2ibench.rating.findings import Findings, Human, RaterConduct
from a2ibench.rating.group import findings
from a2ibench.rating.matrix import Matrix
from a2ibench.rating.readers import Ratings
from a2ibench.rating.study import Design, Study
from a2ibench.results import Result
from a2ibench.text import plain

UNPROTECTED = (
    "These ratings were collected elsewhere, so what a study made here guards against is open: no rule fixed "
    "beforehand says whom to leave out (nobody was), there are no hidden controls and no repeats to tell careless "
    "raters by, and whether the order was random and the raters blind isn't known."
)
RATERS_NEEDED = 17
"""The paper: "at least 17 annotators" for each image, here for each output of any task."""


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
        If the exclusion rule leaves nobody, or nobody rated any output of the methods.

    """
    matrix = Matrix.of(ratings, study)
    blind = _blind(matrix, study)
    how = conduct(blind)
    excluded = [reasons(one, study.exclusion, blind) for one in how]
    rows = [index for index, why in enumerate(excluded) if not why]
    if not rows:
        raise A2IBenchError(
            f"The exclusion rule of study.toml leaves out all {len(how)} raters (the first one {excluded[0][0]}), so "
            "there is nothing to aggregate; collect answers of others."
        )
    kept = matrix.part(rows)
    a_noun = get_medium(study.declared.output).noun
    if np.isnan(kept.values[:, [index for index, _ in kept.main]]).all():
        raise A2IBenchError(f"Nobody rated {a_noun} of the methods yet; let somebody rate first.")
    found = findings(kept)
    return Human(
        study=study.digest,
        title=study.title,
        design=study.design,
        noun=study.declared.noun,
        steps=matrix.scale.steps if matrix.likert else [],
        suite=study.suite,
        clips=study.clips,
        clip_count=len(matrix.clips),
        answers=len(ratings.answers),
        repeated_answers=ratings.repeated,
        changed_answers=len(ratings.changed),
        excluded=len(how) - len(rows),
        rule={name: value for name, value in study.exclusion.model_dump().items() if value is not None},
        kept=found,
        everyone=found if len(rows) == len(how) else findings(matrix),
        raters=_raters(matrix, rows, how, excluded),
        correlations=correlate(_per_output(kept), results or {}, study.clips),
        orders=orders(found, results or {}),
        warnings=_warnings(found, study.design, len(ratings.changed), a_noun),
    )


def aggregate_collected(collected: Collected, results: Mapping[str, Result] | None = None) -> Human:
    """Work out what ratings collected elsewhere found. Nobody is left out: there is no rule that was fixed before.

    Parameters
    ----------
    collected
        The ratings.
    results
        For a method the result of the run that was rated; for the correlations.

    Raises
    ------
    A2IBenchError
        If the results are of different clips, or lack a clip that was rated.

    """
    matrix, results = collected.matrix, results or {}
    names, suite, clips = _as_in_results(matrix.clips, results)
    rated = {method: {names[clip]: value for clip, value in row.items()} for method, row in _per_output(matrix).items()}
    nothing = np.empty((0, 2), dtype=np.int64)
    how = conduct(
        Blind(matrix.design, matrix.values, matrix.seconds, nothing, nothing[:, 0], nothing[:, 0].astype(np.float64))
    )
    found = findings(matrix)
    return Human(
        source="table",
        study=collected.digest,
        title=collected.title,
        design=matrix.design,
        scale=matrix.scale.bounds,
        steps=matrix.scale.steps if matrix.likert else [],
        suite=suite,
        clips=clips,
        clip_count=len(matrix.clips),
        answers=int((~np.isnan(matrix.values)).sum()),
        repeated_answers=collected.repeated,
        changed_answers=len(collected.changed),
        excluded=0,
        rule={},
        kept=found,
        everyone=found,
        raters=_raters(matrix, range(len(how)), how, [[] for _ in how]),
        correlations=correlate(rated, results, clips),
        orders=orders(found, results),
        warnings=[UNPROTECTED, *collected.notes, *_warnings(found, matrix.design, len(collected.changed))],
    )


def _as_in_results(clips: Sequence[str], results: Mapping[str, Result]) -> tuple[dict[str, str], str, str]:
    """Find the clip ids that a table means (``c0`` by ``audio/c0.wav``), and the suite and clips of the results."""
    if not results:
        return {clip: clip for clip in clips}, "", ""
    first_method, first = next(iter(results.items()))
    for method, result in results.items():
        if result.clips.digest != first.clips.digest:
            raise A2IBenchError(
                f"The results of {first_method} and {method} are of different clips ({first.clips.name}, "
                f"{result.clips.name}); give runs that were scored on the same ones."
            )
    known = set(first.labels) | set(first.items)
    if not known:
        return {clip: clip for clip in clips}, first.suite, first.clips.digest
    found: dict[str, str] = {}
    for clip in clips:
        last = re.split(r"[/\\]", clip)[-1]
        name = next((each for each in (clip, last, last.rpartition(".")[0]) if each in known), None)
        if name is None:
            raise unknown("clip in the results that is called", plain(clip, 80), get_close_matches(clip, known, 3))
        found[clip] = name
    if len(set(found.values())) < len(found):
        raise A2IBenchError("Two names of clips in the ratings mean one clip of the results; give each clip one name.")
    return found, first.suite, first.clips.digest


def _blind(matrix: Matrix, study: Study) -> Blind:
    """Leave out all that tells what was rated."""
    items = study.items
    place = {item.item: index for index, item in enumerate(items)}
    repeats = [(place[item.item], place[item.repeat_of]) for item in items if item.repeat_of is not None]
    controls = [index for index, item in enumerate(items) if item.kind == "control"]
    return Blind(
        study.design,
        matrix.values,
        matrix.seconds,
        np.array(repeats, dtype=np.int64).reshape(-1, 2),
        np.array(controls, dtype=np.int64),
        np.array([items[index].methods[0] == matrix.real for index in controls], dtype=np.float64),
        study.declared.noun,
    )


def _per_output(matrix: Matrix) -> dict[str, dict[str, float]]:
    """The mean human rating of each output, by method and clip."""
    found = {}
    for method in matrix.methods:
        columns = zip(matrix.clips, matrix.cells(method).T, strict=True)
        found[method] = {clip: float(np.nanmean(given)) for clip, given in columns if not np.isnan(given).all()}
    return found


def _warnings(found: Findings, design: Design, changed: int, a_noun: str = "an image") -> list[str]:
    said = []
    if found.raters_per_image < RATERS_NEEDED:
        what = a_noun if design == "likert" else "a pair"
        said.append(
            f"Only {found.raters_per_image} rater{'s' * (found.raters_per_image != 1)} of {what} (of the one with the "
            f"fewest); the paper's protocol asks for at least {RATERS_NEEDED}."
        )
    unsure = [row.method for row in found.methods if row.low is None]
    if unsure:
        names = ", ".join(unsure)
        said.append(f"No interval can be given for {names}: it needs two raters of two clips, and ratings that differ.")
    if changed:
        said.append(
            f"{changed} rater{'s' * (changed > 1)} gave some items two different answers; the later one counts. If two "
            "people used one name, their answers are mixed."
        )
    if found.alpha.value is None:
        noun = a_noun.split()[-1]
        said.append(f"Alpha can't be computed: no two raters rated the same {noun}, or all answers are equal.")
    return said


# -------------------------------------------------------------------------------------------------- raters


def _raters(
    matrix: Matrix, kept: Sequence[int], how: Sequence[Conduct], why: Sequence[list[str]]
) -> list[RaterConduct]:
    """Say how each rater worked, against the mean of the others that are kept."""
    main = matrix.values[:, [index for index, _ in matrix.main]]
    there = ~np.isnan(main)
    given = np.where(there, main, 0.0)
    total, count = given[list(kept)].sum(axis=0), there[list(kept)].sum(axis=0)
    found = []
    for row, (one, missed) in enumerate(zip(how, why, strict=True)):
        own = not missed  # whoever is kept is in the total
        # Rounded: sums that differ in their last bits only would part what is tied.
        others = np.round((total - own * given[row]) / np.maximum(count - own * there[row], 1), 9)
        others[count - own * there[row] == 0] = np.nan
        found.append(
            RaterConduct(
                rater=f"rater {row + 1}",
                answers=int((~np.isnan(matrix.values[row])).sum()),
                answered=one.answered,
                agreement=_agreement(main[row], others, matrix.design),
                consistency=one.consistency,
                identical=one.identical,
                median_seconds=one.median_seconds,
                control=one.control,
                excluded=missed,
            )
        )
    return found


def _agreement(mine: FloatArray, theirs: FloatArray, design: Design) -> float | None:
    """How one rater's answers go with the mean of the others', [items] each; NaN where there is none."""
    shared = ~np.isnan(mine) & ~np.isnan(theirs)
    if not shared.any():
        return None
    mine, theirs = mine[shared], theirs[shared]
    if design == "pairwise":
        # Where the others are split in halves, either choice is half right; so is choosing neither.
        split = (theirs == 0.5) | (mine == 0.5)
        return float(np.mean(np.where(split, 0.5, (theirs > 0.5) == (mine == 1))))
    if len(mine) < 3 or np.ptp(mine) == 0 or np.ptp(theirs) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(mine, theirs).statistic)
