"""The findings of checks: checks are functions that yield findings, and one function collects them."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from a2ibench.board.states import State

_MOST = 5  # of one kind that are named one by one


@dataclass(frozen=True)
class Problem:
    """Something that does not hold."""

    text: str


@dataclass(frozen=True)
class Remark:
    """Something that could not be checked and why, or that a reader must know."""

    text: str


@dataclass(frozen=True)
class Figure:
    """A score as the result tells it, and as it was found again."""

    metric: str
    told: float
    found: float


@dataclass(frozen=True)
class Reached:
    """A state that the row has reached."""

    state: State


@dataclass(frozen=True)
class Drawn:
    """A small picture of the row that was made again, and its sha256."""

    name: str
    sha256: str


Finding = Problem | Remark | Figure | Reached | Drawn
_Given = TypeVar("_Given")
Check = Generator[Finding, None, _Given]
"""A check that yields findings and then gives something, as `Check[bool]`."""


def some(found: Sequence[str], more: str) -> Iterator[Problem]:
    """Take the first few of many problems of one kind, and count the others."""
    yield from map(Problem, found[:_MOST])
    if len(found) > _MOST:
        yield Problem(f"And {len(found) - _MOST} more {more}.")


def holds(findings: Iterable[Finding]) -> Check[bool]:
    """Pass findings on, and say at the end whether there was no problem among them."""
    good = True
    for each in findings:
        good = good and not isinstance(each, Problem)
        yield each
    return good
