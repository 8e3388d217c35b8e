"""KL: whether a classifier hears in the generated sound what it hears in the real one, clip by clip.

The Kullback-Leibler divergence between the class probabilities that PaSST (arXiv 2110.05069, AudioSet's 527 classes)
gives to the reference and to the generated sound. ``KL`` is audiocraft's ``kld_pq``: softmax over the logits, from the
reference, ``sum_c p (log p - log(q + 1e-6))`` with p of the reference and q of the generated sound. What others call by
the same name is a variant here: the other direction; without the small number (av-benchmark); sigmoids in the place of
the softmax (audioldm_eval's ``kl_sigmoid``, which is no divergence between distributions and may be negative).
"""

from collections.abc import Callable
from math import log

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import Features, FloatArray, Metric

EPSILON = 1e-6
_NEEDS = ("generated/passt", "reference/passt")
_INFINITE = float("inf")


def class_logits(rows: Features, key: str) -> FloatArray:
    """Give the logits of a classifier, [N, C], in float64.

    Raises
    ------
    A2IBenchError
        If they are no finite rows of two or more classes.

    """
    logits = rows[key]
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise A2IBenchError(f"{key!r} has the shape {logits.shape}: give a logit for each of two or more classes.")
    wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(wrong):
        raise A2IBenchError(f"Row {wrong[0]} of {key!r} is not finite: check that sound's file.")
    return logits.astype(np.float64)


def log_softmax(logits: FloatArray) -> FloatArray:
    """Give the logarithms of the softmax over the last axis; of any finite logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def log_sigmoid(logits: FloatArray) -> FloatArray:
    """Give the logarithms of the sigmoids; of any finite logits."""
    result: FloatArray = np.minimum(logits, 0.0) - np.log1p(np.exp(-np.abs(logits)))
    return result


def kl_divergence(log_p: FloatArray, log_q: FloatArray, epsilon: float = EPSILON) -> FloatArray:
    """Give ``sum_c p (log p - log(q + epsilon))`` for each row of two tables of logarithms, [N, C]: [N].

    With an epsilon it is at most ``-log(epsilon)`` for probabilities that sum to one, and may fall below zero by
    C times epsilon.

    Raises
    ------
    A2IBenchError
        If the shapes differ.

    """
    if log_p.shape != log_q.shape:
        raise A2IBenchError(
            f"The classes of references, {log_p.shape}, and of generated sounds, {log_q.shape}, must have the same "
            "shape: one row per clip, from one classifier."
        )
    p = np.exp(log_p)
    floored = np.log(np.exp(log_q) + epsilon) if epsilon else log_q
    result: FloatArray = (p * (log_p - floored)).sum(axis=1)  # Logarithms of finite logits are finite.
    return result


def _variant(
    squash: Callable[[FloatArray], FloatArray], epsilon: float, *, reverse: bool = False
) -> Callable[[Features], FloatArray]:
    def per_clip(rows: Features) -> FloatArray:
        for key in _NEEDS:
            rows.per_clip(key)
        generated, reference = (squash(class_logits(rows, key)) for key in _NEEDS)
        return kl_divergence(*((generated, reference) if reverse else (reference, generated)), epsilon)

    return per_clip


def _declare(
    variant: str, per_clip: Callable[[Features], FloatArray], options: dict[str, str], what: str, low: float
) -> Metric:
    bounded = options["eps"] == "1e-6" and options["p"] == "softmax"
    top = -log(EPSILON) if bounded else _INFINITE
    return Metric(
        name=f"KL.{variant}" if variant else "KL",
        version=1,
        needs=_NEEDS,
        summary=f"PaSST's classes of the real sound against those of the generated one: {what}.",
        higher_is_better=False,
        bounds=(low, top),
        worst=top if bounded else None,
        unit="",
        digits=2,
        options={"net": "passt", **options},
        per_clip=per_clip,
    )


_FORWARD, _REVERSE = "ref-gen", "gen-ref"
METRICS = (
    _declare(
        "",
        _variant(log_softmax, EPSILON),
        {"p": "softmax", "dir": _FORWARD, "eps": "1e-6"},
        "KL(ref||gen), softmax (audiocraft)",
        -0.01,
    ),
    _declare(
        "reverse",
        _variant(log_softmax, EPSILON, reverse=True),
        {"p": "softmax", "dir": _REVERSE, "eps": "1e-6"},
        "KL(gen||ref), softmax",
        -0.01,
    ),
    _declare(
        "exact",
        _variant(log_softmax, 0.0),
        {"p": "softmax", "dir": _FORWARD, "eps": "0"},
        "KL(ref||gen) without a small number (av-benchmark)",
        -1e-9,
    ),
    _declare(
        "sigmoid",
        _variant(log_sigmoid, EPSILON),
        {"p": "sigmoid", "dir": _FORWARD, "eps": "1e-6"},
        "the sum over sigmoids (audioldm_eval); may be negative",
        -_INFINITE,
    ),
    _declare(
        "sigmoid-exact",
        _variant(log_sigmoid, 0.0),
        {"p": "sigmoid", "dir": _FORWARD, "eps": "0"},
        "the sum over sigmoids without a small number (av-benchmark); may be negative",
        -_INFINITE,
    ),
)
