"""The scale of a rating: its ends, and the steps that ratings are counted by."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from a2ibench.errors import A2IBenchError
from a2ibench.metrics.base import FloatArray
from a2ibench.text import plain

MOST_STEPS = 11
"""0 to 10. A scale with more of them is one that any number may be given on."""
_FIFTHS = 5
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_SCALE = re.compile(rf"\s*{_NUMBER}\s*(?:-|–|\.\.|:|to)\s*{_NUMBER}\s*")


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, in steps of `step`; None where any number between may be given."""

    low: float = 1.0
    high: float = 5.0
    step: float | None = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1-5``, ``0-100`` or ``-3..3``.

        Raises
        ------
        A2IBenchError
            If it is something else, or its ends are equal or the wrong way round.

        """
        found = _SCALE.fullmatch(text)
        low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
        if not low < high < 1e9 or low < -1e9:
            raise A2IBenchError(
                f"{plain(text, 40)!r} is no scale; write its lowest and highest rating, as 1-5 or 0-100."
            )
        return cls(low, high, None)

    def fitted(self, values: FloatArray) -> "Scale":
        """Choose the largest step (1 or a half) that all ratings keep to, if the scale then has few steps."""
        for step in (1.0, 0.5):
            places = (values[~np.isnan(values)] - self.low) / step
            if (places == np.rint(places)).all() and (self.high - self.low) / step <= MOST_STEPS - 1:
                return Scale(self.low, self.high, step)
        return Scale(self.low, self.high, None)

    @property
    def bounds(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    @property
    def name(self) -> str:
        """The scale as one writes it: ``1-5``; ``-3..3`` where a minus would be misread."""
        return f"{self.low:g}{'-' if self.low >= 0 else '..'}{self.high:g}"

    @property
    def steps(self) -> list[str]:
        """What ratings are counted by: each step, or the fifths of a scale without steps."""
        if self.step is not None:
            count = int((self.high - self.low) / self.step + 1)
            return [f"{self.low + self.step * place:g}" for place in range(count)]
        ends = [self.low + (self.high - self.low) * place / _FIFTHS for place in range(_FIFTHS + 1)]
        return [f"{low:g} to {high:g}" for low, high in pairwise(ends)]

    def histogram(self, values: FloatArray) -> list[int]:
        """Count ratings, [n], without NaN, by `steps`; one on the edge of two fifths belongs to the higher."""
        if self.step is not None:
            places = np.rint((values - self.low) / self.step)
        else:
            # The little more is for edges that binary numbers miss, as 0.6 of 0 to 1.
            places = np.minimum(np.floor((values - self.low) / (self.high - self.low) * _FIFTHS + 1e-9), _FIFTHS - 1)
        return [int(count) for count in np.bincount(places.astype(np.int64), minlength=len(self.steps))]
