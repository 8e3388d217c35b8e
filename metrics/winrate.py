"""The win rate behind AIS and IIS: whether an image belongs to its own sound rather than to another.

Conventions: `images` [N, D] and `conditions` [N, D] (sounds for AIS, reference images for IIS) lie in one
embedding space; row i of both belongs to clip i; ``s_ij = cos(images_i, conditions_j)`` in float64. **The
image stays and the condition varies** (the z-score, after its authors, is the other way round).

Cosines that differ by at most 1e-12 are equal. Without that tolerance the same sound twice in the pool would
be a tie or a win by chance: BLAS may round equal rows differently, according to their place in the matrix.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray, Features, FloatArray, Metric

TIE = 1e-12
SEED = 12345
# Cosines held at once (32 MB as float64): small enough for any machine, large enough for BLAS to be at its
# best.
BLOCK_CELLS = 4_000_000

Names = tuple[str, str]
NAMES: Names = ("images", "conditions")


def unit_rows(rows: AnyArray, name: str) -> FloatArray:
    """Scale each row of [N, D] to length one, in float64; `name` is for the error.

    Raises
    ------
    A2IBenchError
        If the array is not two-dimensional, or a row is zero or not finite.

    """
    if rows.ndim != 2:
        raise A2IBenchError(f"{name!r} must hold one row per item, [N, D], but has the shape {rows.shape}.")
    wide = rows.astype(np.float64)
    largest = np.abs(wide).max(axis=1, initial=0.0)
    wrong = np.flatnonzero(~np.isfinite(largest) | (largest == 0))
    if len(wrong):
        what = "all zeros" if largest[wrong[0]] == 0 else "not finite"
        raise A2IBenchError(f"Row {wrong[0]} of {name!r} is {what}: it has no direction; check that clip's file.")
    # A power of two first, which rounds nothing: it keeps the squares of very large or small rows in range.
    scaled: FloatArray = np.ldexp(wide, -np.frexp(largest)[1][:, None])
    scaled /= np.sqrt((scaled * scaled).sum(axis=1))[:, None]
    return scaled


def unit_pair(images: AnyArray, conditions: AnyArray, names: Names) -> tuple[FloatArray, FloatArray]:
    """Scale two arrays of the same shape [N, D] by :func:`unit_rows`; `names` are for the error."""
    if images.shape != conditions.shape:
        raise A2IBenchError(
            f"{names[0]!r} {images.shape} and {names[1]!r} {conditions.shape} must have the same shape: "
            "one row per clip, from one embedding space."
        )
    return unit_rows(images, names[0]), unit_rows(conditions, names[1])


class _Counts(NamedTuple):
    """Wins, half-wins (two for a win, one for a tie) and negatives of each clip."""

    wins: FloatArray
    half_wins: FloatArray
    negatives: FloatArray


def _counts(x: FloatArray, y: FloatArray, block_cells: int) -> _Counts:
    n = len(x)
    all_wins, half_wins = np.empty(n), np.empty(n)
    step = max(1, block_cells // max(1, n))
    for start in range(0, n, step):
        s = x[start : start + step] @ y.T
        own = s[np.arange(len(s)), np.arange(start, start + len(s))][:, None].copy()
        wins = np.count_nonzero(s < own - TIE, axis=1)
        not_lost = np.count_nonzero(s <= own + TIE, axis=1)
        all_wins[start : start + step] = wins
        half_wins[start : start + step] = wins + not_lost - 1  # The clip always ties with itself.
    return _Counts(all_wins, half_wins, np.full(n, n - 1.0))


def _counts_within(x: FloatArray, y: FloatArray, labels: Sequence[str], block_cells: int) -> _Counts:
    if len(labels) != len(x):
        raise A2IBenchError(f"There are {len(labels)} labels for {len(x)} clips: give one label per clip.")
    result = _Counts(*np.empty((3, len(x))))
    _, classes = np.unique(np.array(labels), return_inverse=True)
    for label in range(classes.max(initial=-1) + 1):
        members = np.flatnonzero(classes == label)
        for whole, part in zip(result, _counts(x[members], y[members], block_cells), strict=True):
            whole[members] = part
    return result


def win_rate(
    images: AnyArray,
    conditions: AnyArray,
    *,
    negatives: str = "all",
    labels: Sequence[str] = (),
    names: Names = NAMES,
    block_cells: int = BLOCK_CELLS,
) -> FloatArray:
    """Per clip, the percentage of other conditions that the image fits less well than its own.

    ``w_i = 100 (#{j: s_ij < s_ii} + ½ #{j: s_ij = s_ii}) / #{j}`` over the negatives j ≠ i: the reading of
    "compare with a random audio" (AudioToken, arXiv 2305.13050) that fits its numbers; so too FlowBind
    and MUNITE. SonicDiffusion's is another: :func:`strict_wins`.

    Parameters
    ----------
    images, conditions
        [N, D] each, of any scale.
    negatives
        ``"all"`` other clips, or only those of the ``"same-class"`` or of ``"other-class"``.
    labels
        The class of each clip, [N]; for the last two.
    names
        What `images` and `conditions` are called in an error.
    block_cells
        How many cosines are held in memory at once; changes nothing in the result.

    Returns
    -------
    [N] in 0..100, chance 50; NaN for a clip without a negative.

    Raises
    ------
    A2IBenchError
        If the shapes differ, or a row is zero or not finite.

    """
    x, y = unit_pair(images, conditions, names)
    if negatives == "all":
        counts = _counts(x, y, block_cells)
    elif negatives == "same-class":
        counts = _counts_within(x, y, labels, block_cells)
    elif negatives == "other-class":
        everyone, within = _counts(x, y, block_cells), _counts_within(x, y, labels, block_cells)
        counts = _Counts(*(both - same for both, same in zip(everyone, within, strict=True)))
    else:
        raise A2IBenchError(f"negatives={negatives!r} is none of 'all', 'same-class', 'other-class'.")
    with np.errstate(invalid="ignore"):  # 0/0 is the NaN that is promised.
        result: FloatArray = 50.0 * counts.half_wins / counts.negatives
    return result


def strict_wins(
    images: AnyArray, conditions: AnyArray, *, names: Names = NAMES, block_cells: int = BLOCK_CELLS
) -> FloatArray:
    """Per clip, the percentage of *all* conditions, its own among them, that the image fits less well than its own.

    ``100 #{j: s_ij < s_ii} / N`` over all N clips: SonicDiffusion (github.com/BurakCanBiner/SonicDiffusion,
    ``evaluation.py``), whose pool holds the clip's own sound, which is never below itself, and where a tie is a
    loss. Without ties it is :func:`win_rate` times (N - 1) / N. (Its pool is a whole validation set, here the clips
    that are scored.)

    Returns
    -------
    [N] in 0..100 (N - 1) / N; chance is half the upper end.

    Raises
    ------
    A2IBenchError
        If the shapes differ, or a row is zero or not finite.

    """
    wins = _counts(*unit_pair(images, conditions, names), block_cells).wins
    result: FloatArray = 100.0 * wins / max(1, len(wins))
    return result


def one_negative(clip_ids: Sequence[str], seed: int = SEED) -> list[int]:
    """Draw one other clip for each from the seed and its id alone: the order of the clips changes nothing."""
    n = len(clip_ids)
    if len(set(clip_ids)) < n or n < 2:
        raise A2IBenchError(f"A random negative needs two or more clips with ids of their own; found {n} ids.")
    order = sorted(range(n), key=clip_ids.__getitem__)
    chosen = [0] * n
    for place, i in enumerate(order):
        drawn = blake2b(f"{seed}/{clip_ids[i]}".encode(), digest_size=8).digest()
        other = int.from_bytes(drawn, "big") % (n - 1)
        chosen[i] = order[other + (other >= place)]  # Steps over the clip itself.
    return chosen


def win_rate_one(
    images: AnyArray, conditions: AnyArray, clip_ids: Sequence[str], *, seed: int = SEED, names: Names = NAMES
) -> FloatArray:
    """Per clip 100, 50 (tie) or 0: the image against its own condition and one seeded random other.

    The paper's words taken literally. The mean has the same expectation as :func:`win_rate`, with more noise.
    """
    x, y = unit_pair(images, conditions, names)
    if len(clip_ids) != len(x):
        raise A2IBenchError(f"There are {len(clip_ids)} clip ids for {len(x)} clips: a random negative needs them.")
    margin = (x * y).sum(axis=1) - (x * y[one_negative(clip_ids, seed)]).sum(axis=1)
    result: FloatArray = np.where(np.abs(margin) <= TIE, 50.0, np.where(margin > 0, 100.0, 0.0))
    return result


def cosine(images: AnyArray, conditions: AnyArray, *, names: Names = NAMES) -> FloatArray:
    """Per clip ``100 cos(image, own condition)``, [N] in -100..100, no fixed chance level; MACS's AIS."""
    x, y = unit_pair(images, conditions, names)
    result: FloatArray = 100.0 * (x * y).sum(axis=1)
    return result


def z_score(
    images: AnyArray, conditions: AnyArray, *, names: Names = NAMES, block_cells: int = BLOCK_CELLS
) -> FloatArray:
    """Per clip ``(s_ii - mean_j s_ji) / sd_j s_ji``, over the other images j.

    The condition stays and the image varies: MACS (github.com/alxzzhou/MACS, ``evaluation/ais.py``), with its
    population standard deviation.

    Returns
    -------
    [N] in standard deviations, chance 0; 0 where all images fit the condition equally.

    Raises
    ------
    A2IBenchError
        For fewer than three clips, or where the other images fit equally and its own does not.

    """
    x, y = unit_pair(images, conditions, names)
    n = len(x)
    if n < 3:
        raise A2IBenchError(f"A z-score needs three or more clips; found {n}.")
    result = np.empty(n)
    step = max(1, block_cells // n)
    for start in range(0, n, step):
        s = y[start : start + step] @ x.T
        own_at = np.arange(len(s)), np.arange(start, start + len(s))
        margin = s - s[own_at][:, None]  # Zero at the clip itself, so sums over the row leave it out.
        mean = margin.sum(axis=1) / (n - 1)
        margin -= mean[:, None]
        margin[own_at] = 0.0
        spread = np.sqrt((margin * margin).sum(axis=1) / (n - 1))
        flat = spread <= TIE
        undefined = np.flatnonzero(flat & (np.abs(mean) > TIE))
        if len(undefined):
            raise A2IBenchError(
                f"The z-score of row {start + undefined[0]} is not defined: all other rows of "
                f"{names[0]!r} have the same cosine to it; are those images all alike?"
            )
        result[start : start + step] = np.where(flat, 0.0, -mean / np.where(flat, 1.0, spread))
    return result


def similarity_metrics(name: str, images: str, conditions: str, *, summary: str) -> tuple[Metric, ...]:
    """Declare `name` and its variants for the rows `images` and `conditions` (keys of :class:`Features`)."""
    names = (images, conditions)
    infinite = float("inf")

    def declare(
        variant: str,
        per_clip: Callable[[Features], FloatArray],
        options: dict[str, str],
        what: str,
        *,
        chance: float | None = 50.0,
        least: int = 1,
        bounds: tuple[float, float] = (0.0, 100.0),
        unit: str = "%",
    ) -> Metric:
        return Metric(
            name=f"{name}.{variant}" if variant else name,
            version=1,
            needs=(conditions, images),
            least=least,
            summary=f"{summary}: {what}.",
            higher_is_better=True,
            bounds=bounds,
            worst=bounds[0] if bounds[0] > -infinite else None,
            chance=chance,
            unit=unit,
            options=options,
            per_clip=per_clip,
        )

    def pair(rows: Features) -> tuple[AnyArray, AnyArray]:
        return rows.per_clip(images), rows.per_clip(conditions)

    def against(negatives: str) -> Callable[[Features], FloatArray]:
        return lambda rows: win_rate(*pair(rows), negatives=negatives, labels=rows.labels, names=names)

    half = {"ties": "half"}
    return (
        declare("", against("all"), {"neg": "all", **half}, "wins against all other clips"),
        declare(
            "same-class",
            against("same-class"),
            {"neg": "same-class", **half},
            "wins against clips of the same class",
        ),
        declare(
            "other-class",
            against("other-class"),
            {"neg": "other-class", **half},
            "wins against clips of other classes",
        ),
        declare(
            "one",
            lambda rows: win_rate_one(*pair(rows), rows.clip_ids, names=names),
            {"neg": "one", "seed": str(SEED), **half},
            "wins against one random clip, the paper's words",
            least=2,
        ),
        declare(
            "sonic",
            lambda rows: strict_wins(*pair(rows), names=names),
            {"neg": "all+own", "ties": "loss"},
            "wins against all clips, itself among them (SonicDiffusion)",
            chance=None,
            least=2,
        ),
        declare(
            "cosine",
            lambda rows: cosine(*pair(rows), names=names),
            {"stat": "cosine"},
            "the plain cosine, times 100",
            chance=None,
            bounds=(-100.0, 100.0),
            unit="cos×100",
        ),
        declare(
            "z",
            lambda rows: z_score(*pair(rows), names=names),
            {"stat": "z", "pool": "generated"},
            "the cosine in standard deviations over the other images (MACS)",
            least=3,
            chance=0.0,
            bounds=(-infinite, infinite),
            unit="sd",
        ),
    )


def score_metrics(name: str, outputs: str, conditions: str, *, summary: str, others: str) -> tuple[Metric, ...]:
    """Declare a score that is a plain cosine, times 100, with its win rates as variants: the other way round."""
    made = {each.name: each for each in similarity_metrics("", outputs, conditions, summary=summary)}
    names = {".cosine": ("", "the cosine, times 100"), "": (".win", f"wins against all other {others}")}
    for kept in ("same-class", "other-class"):
        names[f".{kept}"] = (f".win-{kept}", f"wins against other {others} of {kept.replace('-', ' ')}")
    return tuple(
        replace(made[old], name=f"{name}{new}", summary=f"{summary}: {what}.") for old, (new, what) in names.items()
    )
