"""The methods that a2ibench runs: one method, one module (or folder), found by its ``METHODS``."""

import importlib
import pkgutil
from functools import cache

from a2ibench.baselines.base import Method
from a2ibench.errors import unknown


@cache
def methods() -> dict[str, Method]:
    """Find every method that a module of this package declares, by name."""
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(__path__):
        for method in getattr(importlib.import_module(f"{__name__}.{module.name}"), "METHODS", ()):
            if method.name in found:
                raise ValueError(f"Two methods are called {method.name!r}.")
            found[method.name] = method
    return dict(sorted(found.items()))


def get(name: str) -> Method:
    """Get a method; a wrong name raises with the nearest right one."""
    if name not in methods():
        raise unknown("method", name, methods())
    return methods()[name]
