"""Means per class, and what is left of them where a class has few clips. For any metric with per-clip values.

A mean of three clips is mostly luck. Empirical Bayes pulls each class towards the mean of all clips, the more
the fewer its clips and the more the clips within a class differ: the best guess of what further clips of that
class would score. Variances by analysis of variance (Searle, Casella, McCulloch: Variance Components, 1992, 3.6);
the idea is Efron and Morris, Data Analysis Using Stein's Estimator (1975).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import AnyArray


class ClassMean(NamedTuple):
    """A class: its clips with a value, their mean, and the mean shrunk towards all clips (NaN: can't be told)."""

    label: str
    n: int
    mean: float
    shrunk: float


def class_means(values: AnyArray, labels: Sequence[str]) -> list[ClassMean]:
    """Give the mean of each class, plain and shrunk, in the order of the labels' names.

    Parameters
    ----------
    values
        Per-clip values, [N]; NaN is left out, and so is a class that has nothing else.
    labels
        The class of each clip, [N].

    Returns
    -------
    The classes. The shrunk mean lies between the plain one and the mean of all clips; it is NaN where every
    class has one clip, since then nothing tells the spread within a class from that between classes.

    Raises
    ------
    A2IBenchError
        If there is another number of labels than of values, or a value is infinite.

    """
    if values.shape != (len(labels),) or np.isinf(values).any():
        raise A2IBenchError(
            f"Give one finite value per label; found values of the shape {values.shape} and {len(labels)} labels."
        )
    kept = ~np.isnan(values)
    if not kept.any():
        return []
    x = values[kept].astype(np.float64)
    names, place = np.unique(np.asarray(labels, dtype=object)[kept].astype(str), return_inverse=True)
    n = np.bincount(place).astype(np.float64)
    means, overall = np.bincount(place, x) / n, float(x.mean())
    if len(names) == 1:
        shrunk = means
    elif len(x) == len(names):
        shrunk = np.full(len(names), np.nan)
    else:
        within = float(((x - means[place]) ** 2).sum()) / (len(x) - len(names))
        among = float((n * (means - overall) ** 2).sum()) / (len(names) - 1)
        typical = (len(x) - (n**2).sum() / len(x)) / (len(names) - 1)
        between = max(0.0, (among - within) / typical)
        trust = between / (between + within / n) if between else np.zeros(len(n))
        shrunk = overall + trust * (means - overall)
    return [
        ClassMean(str(name), int(count), float(mean), float(guess))
        for name, count, mean, guess in zip(names, n, means, shrunk, strict=True)
    ]
