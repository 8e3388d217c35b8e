"""Find what can be plugged in: metrics, methods, encoders, suites and tasks.

They are declared in modules: those of our own packages, and those that an installed package names in the entry-point
group ``a2ibench``. A module declares with the constants ``METRICS``, ``METHODS``, ``ENCODERS``, ``TASKS`` (tuples of
declarations, each with a `name`) and ``SUITES`` (paths of TOML files)::

    [project.entry-points.a2ibench]
    mine = "my_package.a2i"
"""

import warnings
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal, Protocol, TypeVar

from a2ibench.errors import A2IBenchError, A2IBenchWarning

GROUP = "a2ibench"
Constant = Literal["METRICS", "METHODS", "ENCODERS", "TASKS", "SUITES"]


class Named(Protocol):
    """What can be declared: anything with a name."""

    @property
    def name(self) -> str:
        """The name that a user types."""
        ...


_N = TypeVar("_N", bound=Named)


@cache
def plugins() -> tuple[ModuleType, ...]:
    """Import the modules that other packages plug in; one that fails is left out, and a warning says why."""
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            found.append(import_module(entry.module))
        except Exception as error:
            warnings.warn(
                f"The plug-in {entry.name!r} ({entry.value}) can't be loaded ({type(error).__name__}: {error}); "
                "it is left out: fix or uninstall its package.",
                A2IBenchWarning,
                stacklevel=2,
            )
    return tuple(found)


def modules_of(package: str) -> list[str]:
    """Name the modules of one of our packages, in alphabetical order, without importing them."""
    search = import_module(package).__path__
    return [f"{package}.{module.name}" for module in sorted(iter_modules(search), key=lambda module: module.name)]


def declared(constant: Constant, package: str) -> dict[str, Any]:
    """Find what the modules of a package of ours, and all plug-ins, declare under a constant: name → declaration.

    Raises
    ------
    A2IBenchError
        If two declarations have one name; the sentence says where they are.

    """
    modules = [*(import_module(name) for name in modules_of(package)), *plugins()]
    return by_name((each, module.__name__) for module in modules for each in getattr(module, constant, ()))


def by_name(found: Iterable[tuple[_N, str]]) -> dict[str, _N]:
    """Sort declarations by name; `found` gives each with the module it stands in."""
    known: dict[str, _N] = {}
    places: dict[str, str] = {}
    for each, place in found:
        if each.name in known:
            raise A2IBenchError(
                f"Two declarations are called {each.name!r}, in {places[each.name]} and {place}; rename one."
            )
        known[each.name], places[each.name] = each, place
    return dict(sorted(known.items()))
