"""The metrics: pure mathematics on arrays, without torch, files or network.

A metric is a declaration (:class:`~a2ibench.metrics.base.Metric`) in a module of this package, or of a plug-in, under
``METRICS``. Modules are found by themselves: a new metric is one new file.

>>> from a2ibench.metrics import get
>>> get("AIS").chance
50.0
"""

from functools import cache

from a2ibench.errors import unknown
from a2ibench.metrics.base import Coverage, Features, Metric, SetStatistic, Signature, mean_score
from a2ibench.registry import declared

__all__ = ["Coverage", "Features", "Metric", "SetStatistic", "Signature", "get", "mean_score", "metric", "metrics"]


@cache
def metrics() -> dict[str, Metric]:
    """Give every declared metric by its name."""
    return declared("METRICS", __name__)


def metric(name: str) -> Metric:
    """Give the metric called `name`, as ``"AIS"`` or ``"AIS.same-class"``; called with features it computes.

    >>> import numpy as np
    >>> same = np.eye(3)
    >>> metric("IIS")(Features({"generated/clip-image": same, "reference/clip-image": same})).value
    100.0

    Raises
    ------
    A2IBenchError
        If there is none; the sentence names the nearest one.

    """
    known = metrics()
    if name not in known:
        raise unknown("metric", name, known)
    return known[name]


get = metric
