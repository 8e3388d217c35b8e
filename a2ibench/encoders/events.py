"""Events that a column of the clips names, such as ``3x2 5x1``: no network, only reading.

A text names events in their order, each a kind and how often it is heard: ``KINDxCOUNT``, or ``KIND`` for once. Events
are separated by semicolons, or by blanks where the kinds are numbers. A kind is a number, or one of the names that the
suite lists; ``training`` says how often each kind occurs in the training data, for scores by frequency:

    [encoders.events]
    kinds = ["dog barking", "rain"]
    training = [700, 5]
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2ibench.encoders.base import Encoder, EncoderKind, Float32, check_keys
from a2ibench.errors import A2IBenchError, unknown

_COUNTED = re.compile(r"(.+?)\s*[x×]\s*(\d{1,4})")


class EventsEncoder(Encoder):
    """Texts of events to rows: kind, count and, where the suite gives it, frequency in training.

    Attributes
    ----------
    kinds
        The names of the kinds, by number; empty where kinds are numbers.
    training
        How often each kind occurs in training, by number; empty where it is not known.

    """

    name = "events"
    modality = "text"
    weights = ""
    preprocessing = "1"

    def __init__(self, kinds: Sequence[str] = (), training: Sequence[float] = ()):
        if kinds and training and len(kinds) != len(training):
            raise A2IBenchError(
                f"The encoder events has {len(kinds)} kinds and {len(training)} frequencies in training; give one each."
            )
        self.kinds, self.training = tuple(kinds), tuple(training)
        self.configuration = {"kinds": list(kinds), "training": list(training)}
        self._places = {name: place for place, name in enumerate(kinds)}

    def encode(self, items: Sequence[str]) -> list[Float32]:
        """Read texts such as ``"3x2 5x1"`` or ``"dog barking x2; rain"``: ``[k, 2]`` each, or ``[k, 3]``.

        Raises
        ------
        A2IBenchError
            For a kind that the suite does not list, or that is no number where it lists none.

        """
        return [self._rows(text) for text in items]

    def _rows(self, text: str) -> Float32:
        named = ";" in text or text.strip() in self._places or not text[:1].isdigit()
        parts = [part.strip() for part in (text.split(";") if named else text.split())]
        rows = [self._row(part) for part in parts if part]
        return np.array(rows, np.float32).reshape(len(rows), 3 if self.training else 2)

    def _row(self, part: str) -> tuple[float, ...]:
        counted = None if part in self._places else _COUNTED.fullmatch(part)
        kind, count = (self._kind(counted[1]), int(counted[2])) if counted else (self._kind(part), 1)
        return (kind, count, self.training[kind]) if self.training else (kind, count)

    def _kind(self, name: str) -> int:
        if name in self._places:
            return self._places[name]
        most = len(self.kinds or self.training) or 100_000
        if name.isascii() and name.isdigit() and int(name) < most:
            return int(name)
        if self.kinds:
            raise unknown("kind of event", name, self.kinds)
        raise A2IBenchError(f"The event {name[:60]!r} is no number of a kind below {most}; list names in the suite.")


def load(config: Mapping[str, Any], *_: object) -> EventsEncoder:
    """Make the encoder from ``kinds``, the names, and ``training``, how often each occurs there; both may be absent."""
    check_keys(config, ("kinds", "training"), "events")
    return EventsEncoder(config.get("kinds", ()), config.get("training", ()))


ENCODERS = (EncoderKind("events", "text", load, has_weights=False),)
