"""The answers as a matrix of raters and items, wherever they come from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from a2ibench.metrics.base import FloatArray
from a2ibench.rating.readers import Ratings
from a2ibench.rating.scale import Scale
from a2ibench.rating.study import Design, Kind, Study


@dataclass(frozen=True)
class Rated:
    """What was rated: an output (likert), or two outputs of one clip (pairwise, `methods` are first and second)."""

    clip_id: str
    methods: tuple[str, ...]
    kind: Kind = "main"


@dataclass(frozen=True)
class Matrix:
    """The answers as a matrix.

    Attributes
    ----------
    design
        ``likert`` or ``pairwise``.
    methods
        The methods that are compared, without the controls.
    scale
        The scale (likert).
    items
        What was rated.
    raters
        The raters' names, [raters].
    values
        The answer of each rater to each item, [raters, items]: the rating, or 1 for the first, 0 for the second
        and 0.5 for neither; NaN where there is none.
    seconds
        The seconds, [raters, items]; NaN where they are not known.
    real
        What the real outputs are called among the hidden controls; empty where there are none.

    """

    design: Design
    methods: list[str]
    scale: Scale
    items: list[Rated]
    raters: list[str]
    values: FloatArray
    seconds: FloatArray
    real: str = ""

    @classmethod
    def of(cls, ratings: Ratings, study: Study) -> "Matrix":
        """Arrange the answers of a study by raters and items."""
        raters = sorted({answer.rater for answer in ratings.answers})
        row = {rater: index for index, rater in enumerate(raters)}
        column = {item.item: index for index, item in enumerate(study.items)}
        values, seconds = (np.full((len(raters), len(column)), np.nan) for _ in range(2))
        number = {"first": 1.0, "second": 0.0}
        for answer in ratings.answers:
            place = row[answer.rater], column[answer.item]
            values[place] = number[answer.value] if isinstance(answer.value, str) else answer.value
            seconds[place] = np.nan if answer.seconds is None else answer.seconds
        items = [Rated(item.clip_id, tuple(item.methods), item.kind) for item in study.items]
        return cls(study.design, study.methods, Scale(), items, raters, values, seconds, study.declared.real)

    def part(self, rows: Sequence[int]) -> "Matrix":
        """Give the matrix of some raters."""
        names = [self.raters[row] for row in rows]
        return replace(self, raters=names, values=self.values[list(rows)], seconds=self.seconds[list(rows)])

    @property
    def likert(self) -> bool:
        """Whether outputs are rated, not pairs."""
        return self.design == "likert"

    @cached_property
    def main(self) -> list[tuple[int, Rated]]:
        """The places and the items that count for the methods."""
        return [(index, item) for index, item in enumerate(self.items) if item.kind == "main"]

    @cached_property
    def clips(self) -> list[str]:
        """The clips that the methods are rated on."""
        return sorted({item.clip_id for _, item in self.main})

    @cached_property
    def _clip_place(self) -> dict[str, int]:
        return {clip: index for index, clip in enumerate(self.clips)}

    @cached_property
    def _by_method(self) -> dict[tuple[str, str], list[int]]:
        """The places of the items of each kind and method, on the clips that the methods are rated on."""
        found: dict[tuple[str, str], list[int]] = {}
        for index, item in enumerate(self.items):
            if item.clip_id in self._clip_place:
                for method in dict.fromkeys(item.methods):
                    found.setdefault((item.kind, method), []).append(index)
        return found

    def clip_places(self, places: Sequence[int]) -> NDArray[np.int64]:
        """The place among `clips` of the clip of each of some items, [items]."""
        return np.array([self._clip_place[self.items[place].clip_id] for place in places], dtype=np.int64)

    def cells(self, method: str, *, against: str | None = None, kind: str = "main") -> FloatArray:
        """What each rater gave a method on each clip, [raters, clips]: the rating, or the share of pairs won.

        Parameters
        ----------
        method
            The method.
        against
            Only the pairs with this one.
        kind
            The kind of the items.

        """
        places = self._by_method.get((kind, method), [])
        if against is not None:
            places = [place for place in places if against in self.items[place].methods]
        first = np.array([self.items[place].methods[0] == method for place in places], dtype=bool)
        given = self.values[:, places]
        given = np.where(first, given, 1 - given)
        there = ~np.isnan(given)
        total, count = (np.zeros((len(self.clips), len(self.raters))) for _ in range(2))
        clips = self.clip_places(places)
        np.add.at(total, clips, np.where(there, given, 0.0).T)
        np.add.at(count, clips, there.T)
        return np.ascontiguousarray(np.where(count > 0, total / np.maximum(count, 1), np.nan).T)
