"""The methods that a2ibench runs: one method, one module (or folder), found by its ``METHODS``."""

from functools import cache

from a2ibench.baselines.base import Method
from a2ibench.errors import unknown
from a2ibench.registry import declared


@cache
def methods() -> dict[str, Method]:
    """Find every method that a module of this package, or a plug-in, declares, by name."""
    return declared("METHODS", __name__)


def get(name: str) -> Method:
    """Get a method; a wrong name raises with the nearest right one."""
    if name not in methods():
        raise unknown("method", name, methods())
    return methods()[name]
