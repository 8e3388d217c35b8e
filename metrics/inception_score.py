"""IS, inception score of sounds: how sure a classifier is of each, and how much they differ from one another.

arXiv 1606.03498: ``exp(mean_i KL(p(y|x_i) || p(y)))`` with p(y) the mean over the sounds, from the logits of PaSST by
softmax. ``IS`` takes ten splits and gives their mean, as audioldm_eval and av-benchmark do: the sounds in the order of
their clips' ids, drawn into another one by numpy's ``RandomState(2020)``, then cut in ten. ``IS.whole`` takes all
sounds at once, so nothing is drawn. Both grow with the number of sounds in a split: compare at equal N alone. Nothing
in them asks whether a sound fits its clip.

The standard error is that of the infinitesimal jackknife: p(y) moves the score in second order only, so the influence
of sound i is ``IS (KL_i - mean KL)``.
"""

from math import exp, sqrt
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import Features, FloatArray, Metric, SetStatistic
from a2ibench.metrics.kl import class_logits, log_softmax

SPLITS, SEED = 10, 2020
_KEY = "generated/passt"


class InceptionScore(NamedTuple):
    """The mean over the splits, its standard error over the sounds, and the standard deviation of the splits."""

    value: float
    stderr: float
    between: float


def inception_score(logits: FloatArray, splits: int = 1) -> InceptionScore:
    """Score logits, [N, C], in `splits` runs of neighbours (sound i in split ``i * splits // N``, as others cut).

    Raises
    ------
    A2IBenchError
        If a split would have fewer than two sounds.

    """
    n = len(logits)
    if splits < 1 or n < 2 * splits:
        raise A2IBenchError(
            f"An inception score in {splits} splits needs {2 * max(splits, 1)} or more sounds; got {n}."
        )
    log_p = log_softmax(logits.astype(np.float64))
    scores, variances = [], []
    for split in range(splits):
        part = log_p[split * n // splits : (split + 1) * n // splits]
        p = np.exp(part)
        # A class that no sound has (p = 0 to the last bit) adds nothing.
        mean = np.log(np.maximum(p.mean(axis=0), np.finfo(float).tiny))
        apart = (p * (part - mean)).sum(axis=1)
        scores.append(exp(float(apart.mean())))
        variances.append(scores[-1] ** 2 * float(apart.var(ddof=1)) / len(part))
    return InceptionScore(float(np.mean(scores)), sqrt(sum(variances)) / splits, float(np.std(scores)))


def _in_order_of_ids(rows: Features) -> FloatArray:
    """Give the logits by clip id, whatever order they came in; several outputs of a clip stand together."""
    logits = class_logits(rows, _KEY)
    ids = np.array(rows.clip_ids)
    if rows.given is not None and len(ids) == len(rows.given):
        ids = ids[rows.given]
    if not len(ids) or len(logits) % len(ids):
        return logits
    return logits[np.argsort(np.repeat(ids, len(logits) // len(ids)), kind="stable")]


def _shuffled(rows: Features) -> SetStatistic:
    logits = _in_order_of_ids(rows)
    drawn = np.random.RandomState(SEED).permutation(len(logits))
    return _statistic(logits[drawn], SPLITS)


def _statistic(logits: FloatArray, splits: int) -> SetStatistic:
    score = inception_score(logits, splits)
    extra = {"n": float(len(logits)), "d": float(logits.shape[1])}
    return SetStatistic(score.value, score.stderr, extra | ({"sd": score.between} if splits > 1 else {}))


METRICS = (
    Metric(
        name="IS",
        version=1,
        needs=(_KEY,),
        least=2 * SPLITS,
        summary="Inception score by PaSST, mean of ten splits: sure of each sound, and many kinds of them.",
        higher_is_better=True,
        bounds=(1.0 - 1e-9, float("inf")),
        unit="",
        digits=2,
        options={"net": "passt", "splits": str(SPLITS), "order": f"seed{SEED}"},
        statistic=_shuffled,
    ),
    Metric(
        name="IS.whole",
        version=1,
        needs=(_KEY,),
        least=2,
        summary="Inception score by PaSST of all sounds at once.",
        higher_is_better=True,
        bounds=(1.0 - 1e-9, float("inf")),
        unit="",
        digits=2,
        options={"net": "passt", "splits": "1"},
        statistic=lambda rows: _statistic(_in_order_of_ids(rows), 1),
    ),
)
