"""What a scene is, how one is drawn for each split, and when its calls begin."""

import itertools
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from a2ibench.suites.mini.world.kinds import KINDS, PLACES

SECONDS = 3.0
MOST = 4
"""The most calls, and so objects, of a scene."""
FIRST, LAST, GAP = 0.15, 2.45, 0.42
"""Calls begin in this span of seconds, at least so far apart."""

HELD_OUT = 3
"""The kind (owl) that the long-tailed split lacks."""
INDEXED = 30
"""How many scenes of ``held-out`` the retrieval index has beside those of ``tail``."""
TAIL: tuple[int, ...] = (200, 100, 1000, 0, 5, 300, 8, 700, 15, 500, 30, 60)
"""In how many scenes of the long-tailed split each kind lies, in the order of ``KINDS``."""

_SPLITS = {
    "train": 11, "validation": 12, "test": 13, "afresh": 14, "train-two": 21, "validation-two": 22, "test-two": 23,
    "tail": 31, "held-out": 32,
}  # fmt: skip
_TRAINING = ("train-two", "tail")


@dataclass(frozen=True)
class Event:
    """One kind and how many of it call: 1 to 4 alone, 1 or 2 beside another kind."""

    kind: int
    count: int


@dataclass(frozen=True)
class Scene:
    """What is heard and seen (events one after the other, size 0..1, place), and the seed of all the rest."""

    events: tuple[Event, ...]
    size: float
    place: int
    seed: int

    @property
    def kind(self) -> int:
        """The kind of the first event."""
        return self.events[0].kind

    @property
    def count(self) -> int:
        """How many calls, and objects, there are in all."""
        return sum(event.count for event in self.events)

    @property
    def label(self) -> str:
        """The events, as an audio label."""
        return ", then ".join(KINDS[event.kind].event for event in self.events)

    @property
    def calls(self) -> tuple[int, ...]:
        """The kind of each call in the order of time; call k is object k's."""
        return tuple(itertools.chain.from_iterable([event.kind] * event.count for event in self.events))

    @cached_property
    def onsets(self) -> tuple[float, ...]:
        """When each call begins, in seconds, rising."""
        rng = np.random.default_rng([self.seed, 3])
        free = LAST - FIRST - GAP * (self.count - 1)
        starts = np.sort(rng.uniform(0, free, size=self.count)) + GAP * np.arange(self.count) + FIRST
        return tuple(round(float(start), 3) for start in starts)


def unseen_pair(first: int, second: int) -> bool:
    """Say whether no training scene has these two kinds in this order: one ordered pair in seven."""
    return (3 * first + 5 * second) % 7 == 0


def draw_scene(split: str, index: int) -> Scene:
    """Draw scene number ``index`` of a split; see the package's docstring for the splits."""
    rng = np.random.default_rng([_SPLITS[split], index])
    if split == "tail":
        kinds: tuple[int, ...] = _tail_kinds()[index]
    elif split == "held-out":
        kinds = (HELD_OUT,)
    elif split.endswith("-two"):
        kinds = _two_kinds(rng, training=split in _TRAINING)
    else:
        kinds = (int(rng.integers(len(KINDS))),)
    most = MOST if len(kinds) == 1 else 2
    return Scene(
        events=tuple(Event(kind, int(rng.integers(1, most + 1))) for kind in kinds),
        size=float(rng.random()),
        place=int(rng.integers(len(PLACES))),
        seed=int(rng.integers(2**31)),
    )


def tail_size() -> int:
    """Count the scenes of the long-tailed split."""
    return len(_tail_kinds())


def _two_kinds(rng: np.random.Generator, *, training: bool) -> tuple[int, int]:
    while True:
        first, second = (int(kind) for kind in rng.permutation(len(KINDS))[:2])
        if not (training and unseen_pair(first, second)):
            return first, second


@cache
def _tail_kinds() -> tuple[tuple[int, ...], ...]:
    """The kinds of each scene: as many of each kind as ``TAIL`` says; as many scenes of two kinds as of one."""
    rng = np.random.default_rng(_SPLITS["tail"])
    tokens = [int(kind) for kind in rng.permutation(np.repeat(np.arange(len(KINDS)), TAIL))]
    third = len(tokens) // 3
    firsts, seconds = tokens[:third], tokens[third : 2 * third]
    for row in range(third):  # a pair that may not be gets its second kind from another, if both then may be
        others = iter(rng.permutation(third))
        while not _pair(firsts[row], seconds[row]) and (other := next(others, None)) is not None:
            if _pair(firsts[row], seconds[other]) and _pair(firsts[other], seconds[row]):
                seconds[row], seconds[other] = seconds[other], seconds[row]
    scenes: list[tuple[int, ...]] = [(kind,) for kind in tokens[2 * third :]]
    for first, second in zip(firsts, seconds, strict=True):
        scenes += [(first, second)] if _pair(first, second) else [(first,), (second,)]
    return tuple(scenes[index] for index in rng.permutation(len(scenes)))


def _pair(first: int, second: int) -> bool:
    """Say whether training may have these two kinds in this order."""
    return first != second and not unseen_pair(first, second)
