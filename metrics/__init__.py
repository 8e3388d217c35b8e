"""The metrics: pure mathematics on arrays, without torch, files or network.

A metric is a declaration (:class:`~a2ibench.metrics.base.Metric`) in a module of this package, under the name
``METRIC``, or ``METRICS`` for several. Modules are found by themselves: a new metric is one new file.

>>> from a2ibench.metrics import get
>>> get("AIS").chance
50.0
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.metrics.base import Coverage, Metric, Rows, SetStatistic, Signature, mean_score

__all__ = ["Coverage", "Metric", "Rows", "SetStatistic", "Signature", "get", "mean_score", "metrics"]


@cache
def _declared(*search_path: str) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for name in sorted(module.name for module in iter_modules(search_path)):
        module = import_module(f"{__name__}.{name}")
        declared = getattr(module, "METRICS", ()) or (getattr(module, "METRIC", None),)
        for metric in filter(None, declared):
            if metric.name in found:
                raise A2IBenchError(f"Two metrics are called {metric.name!r}: rename the one in {name}.py.")
            found[metric.name] = metric
    return found


def metrics() -> dict[str, Metric]:
    """Give every declared metric by its name, in alphabetical order of the modules."""
    return dict(_declared(*__path__))


def get(name: str) -> Metric:
    """Give the metric called `name`, as ``"AIS"`` or ``"AIS.same-class"``.

    Raises
    ------
    A2IBenchError
        If there is none; the sentence names the nearest one.

    """
    known = metrics()
    if name not in known:
        raise unknown("metric", name, known)
    return known[name]
