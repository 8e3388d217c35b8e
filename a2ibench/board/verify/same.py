"""Compare two values as verification does, and say how they differ."""

from math import isclose
from typing import Any

TOLERANCE = 1e-6  # relative: what another order of summing may change


def same(one: Any, other: Any) -> bool:
    """Whether two values agree, numbers up to the order of summing."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        try:
            return isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        except OverflowError:  # a whole number of hundreds of digits
            return False
    return bool(one == other)


def differs(what: str, told: Any, found: Any, where: str) -> str:
    """Say what differs, with both values."""
    return f"{what} is {told!r} in {where}, and {found!r} when computed again."
