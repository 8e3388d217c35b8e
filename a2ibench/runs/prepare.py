"""Resolve a run before any work: the method, its options and weights, the device."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2ibench.baselines import get as get_method
from a2ibench.baselines.base import Method
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.suites import Suite
from a2ibench.tasks import DEFAULT


@dataclass(frozen=True)
class Run:
    """Everything that a method's images depend on, but for the clips themselves."""

    method: Method
    suite: str
    seed: int
    options: Mapping[str, Any]
    parts: Mapping[str, Any]
    weights: Mapping[str, str]
    licences: Sequence[str] = ()
    source: Suite | None = field(default=None, repr=False)
    """The suite that the parts are of."""
    own: Mapping[str, Path] = field(default_factory=dict)
    """The user's own weight files, by part."""

    @property
    def task(self) -> str:
        """The name of the task: the method's, or the suite's where the method is of every task."""
        return self.method.task or (self.source.task.name if self.source else DEFAULT)

    @property
    def lacks(self) -> str | None:
        """Why the method can't do what the options ask for with the parts that there are; None where it can."""
        return self.method.lacks(self.parts, self.options) if self.method.lacks else None

    def record(self) -> dict[str, Any]:
        """Give what ``run.json`` keeps."""
        return {
            "method": self.method.name,
            "suite": self.suite,
            "seed": self.seed,
            "options": dict(self.options),
            "weights": dict(self.weights),
        }


def prepare(
    suite: Suite,
    method_name: str,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    weights: Mapping[str, Path] | None = None,
) -> Run:
    """Resolve a method in a suite: its options and weights; nothing heavy is loaded yet.

    Parameters
    ----------
    suite, method_name
        What to run.
    seed
        The run's seed.
    options
        What the user sets; the rest is the suite's, then the method's.
    weights
        Weight files of the user's, by part.

    """
    method = get_method(method_name)
    if method.task not in ("", suite.task.name):
        raise A2IBenchError(
            f"The method {method_name!r} is for the task {method.task}, and the suite {suite.name!r} is of "
            f"{suite.task.name}; choose another suite or method."
        )
    known = {**method.options, **suite.method_options(method_name)}
    for name, value in (options or {}).items():
        if name not in known:
            raise unknown(f"option of the method {method_name!r}", name, known)
        _check_option(name, value, known[name], 0 if name in method.may_be_zero else 1)
    parts, hashes = suite.method_parts(method_name, method.parts, weights or {})
    licences = suite.method_licences(method_name, [name for name in method.parts if name not in (weights or {})])
    return Run(method, suite.id, seed, {**known, **(options or {})}, parts, hashes, licences, suite, weights or {})


def check_run(run: Run) -> None:
    """Refuse a run whose method can't do what its options ask for with the parts that there are."""
    if run.lacks:
        raise A2IBenchError(run.lacks)


def _check_option(name: str, value: Any, default: Any, least: int = 1) -> None:
    """Refuse a value of another kind than the option's default, before anything is loaded."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        least = min(default, least)
        fits, wanted = number and isinstance(value, int) and value >= least, f"a whole number, {least} or above"
    elif isinstance(default, float):
        fits, wanted = number and math.isfinite(value) and value >= 0, "a number, 0 or above"
    else:
        fits, wanted = isinstance(value, str) or value is default, "a text"
    if not fits:
        raise A2IBenchError(f"The option {name!r} must be {wanted}; found {value!r}.")


def device_here(name: str) -> str:
    """Give a device of the workers, or the CPU where this machine has none like it."""
    try:
        return device_of(name)
    except A2IBenchError:
        return "cpu"


def device_of(name: str) -> str:
    """Choose the device, and refuse one that is not here."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(kind, False):
        here = ", ".join(name for name, there in available.items() if there)
        raise A2IBenchError(f"The device {name!r} is not available; here: {here}.")
    return name
