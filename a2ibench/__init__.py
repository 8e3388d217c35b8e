"""a2ibench: the benchmark for generating one medium from another.

    import a2ibench as a2i

    suite = a2i.load_suite("mini")
    ours = a2i.evaluate("audiotoken", suite)
    mine = a2i.evaluate({clip.clip_id: draw(clip["audio"]) for clip in suite.clips()}, suite, name="mine")
    mine["AIS"].value, mine["AIS"].low, mine["AIS"].signature
    a2i.compare(ours, mine).frame()

What is exported here is loaded when it is first asked for: ``import a2ibench`` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from a2ibench.errors import A2IBenchError

if TYPE_CHECKING:
    from a2ibench.api import compare, evaluate, load_result
    from a2ibench.metrics import Features, metric
    from a2ibench.results import Result
    from a2ibench.suites import load_suite

__version__ = "0.1.0"
__all__ = [
    "A2IBenchError",
    "Features",
    "Result",
    "__version__",
    "compare",
    "evaluate",
    "load_result",
    "load_suite",
    "metric",
]
_PLACES = {
    "compare": "a2ibench.api",
    "evaluate": "a2ibench.api",
    "load_result": "a2ibench.api",
    "load_suite": "a2ibench.suites",
    "Features": "a2ibench.metrics",
    "metric": "a2ibench.metrics",
    "Result": "a2ibench.results",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'a2ibench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
