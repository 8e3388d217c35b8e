"""Where units are made: in this process, in processes of this machine, or on a Ray cluster; nothing else differs.

A worker that dies has its unit made by another. A unit that killed two is halved, until the one item that kills whoever
touches it is found: it is told, and not tried again.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from a2ibench.errors import A2IBenchError
from a2ibench.progress import Advance
from a2ibench.runs.units import chunks

_KILLS = 2  # workers that a unit may take with it before it is halved
_HOPELESS = 3  # items that kill, when no unit has ever ended well: then it is not the items
_TOKENS = count()
_I = TypeVar("_I")
_T = TypeVar("_T", contravariant=True)


class Work(Protocol[_T]):
    """What is to be done with every item, in this process or, written down as plain data, in another."""

    def load(self) -> Callable[[Sequence[_T]], None]:
        """Load what it takes; gives what makes a unit."""
        ...

    def spec(self) -> dict[str, Any]:
        """Write the work down."""
        ...

    def pack(self, items: Sequence[_T]) -> list[Any]:
        """Write items down."""
        ...

    def fail(self, item: _T, reason: str) -> None:
        """Note an item that kills every worker; raises where the work can't go on without it."""
        ...


@dataclass(frozen=True)
class Event:
    """What a worker tells of a unit: that it ended (an error, if there was one), or that the worker died."""

    token: int
    died: str = ""
    """How it died; empty if it lives."""
    loading: bool = False
    """Whether it died while it loaded the work: then it was not the unit."""


class Executor(Protocol):
    """Some workers; to be closed, by ``with``, whatever happens."""

    def idle(self) -> int:
        """Say how many workers wait for a unit."""
        ...

    def give(self, token: int, work: Mapping[str, Any], items: Sequence[Any]) -> None:
        """Give a unit to a worker that waits."""
        ...

    def events(self) -> list[Event]:
        """Wait until something is told. Raises the error of a unit that failed."""
        ...

    def device(self, name: str) -> str:
        """Say which device ``auto`` is for the workers; refuse one that they do not have."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass
class _Unit:
    items: Sequence[Any]
    kills: int = 0

    def halves(self) -> list["_Unit"]:
        """Halve a unit that kills; of the halves one is suspect, so that one more kill halves it again."""
        middle = (len(self.items) + 1) // 2
        parts = (self.items[:middle], self.items[middle:])
        return [_Unit(part, _KILLS - 1 if len(part) > 1 else 0) for part in parts]


def perform(
    executor: Executor | None, work: Work[_I], items: Sequence[_I], size: int, advance: Advance = lambda n: None
) -> None:
    """Make all items in units of `size`, in this process or on the workers of an executor.

    Raises
    ------
    A2IBenchError
        What the work raises; or that workers die whatever they are given.

    """
    if executor is None:
        make = work.load()
        for some in chunks(items, size):
            make(some)
            advance(len(some))
        return
    spec = work.spec()
    waiting = deque(_Unit(some) for some in chunks(items, size))
    running: dict[int, _Unit] = {}
    ended, bad, loading = 0, 0, 0
    while waiting or running:
        while waiting and executor.idle():
            unit, token = waiting.popleft(), next(_TOKENS)
            running[token] = unit
            executor.give(token, spec, work.pack(unit.items))
        for event in executor.events():
            if event.token not in running:
                continue  # of a work that an error has ended
            unit = running.pop(event.token)
            if not event.died:
                ended, loading = ended + 1, 0
                advance(len(unit.items))
                continue
            loading = loading + 1 if event.loading else 0
            unit.kills += not event.loading
            if loading > _HOPELESS or (bad >= _HOPELESS and not ended):
                raise A2IBenchError(
                    f"Workers die whatever they are given ({event.died}); give fewer --workers if the memory is too "
                    "small, or leave --workers out to see the error."
                )
            if unit.kills < _KILLS:
                waiting.appendleft(unit)
            elif len(unit.items) > 1:
                waiting.extendleft(reversed(unit.halves()))
            else:
                bad += 1
                work.fail(unit.items[0], f"it ended every worker that tried: {event.died}")
                advance(1)
