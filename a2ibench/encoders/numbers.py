"""Numbers that a column of the clips holds as text, such as known onsets in seconds: no network, only reading."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a2ibench.encoders.base import Encoder, EncoderKind, Float32, check_keys
from a2ibench.errors import A2IBenchError

MOST = 10_000


class NumbersEncoder(Encoder):
    """Texts of numbers to a column of them each, ``[k, 1]``; an empty text has none."""

    name = "numbers"
    modality = "text"
    weights = ""
    preprocessing = "1"

    def __init__(self) -> None:
        self.configuration: Mapping[str, Any] = {}

    def encode(self, items: Sequence[str]) -> list[Float32]:
        """Read texts such as ``"0.15 1.2"``, separated by blanks, commas or semicolons: ``[k, 1]`` each.

        Raises
        ------
        A2IBenchError
            For what is no finite number.

        """
        return [np.array([_number(part, text) for part in _parts(text)], np.float32).reshape(-1, 1) for text in items]


def _parts(text: str) -> list[str]:
    parts = [part for part in re.split(r"[\s,;]+", text) if part]
    if len(parts) > MOST:
        raise A2IBenchError(f"A text holds {len(parts)} numbers, which is more than {MOST}; shorten that cell.")
    return parts


def _number(part: str, text: str) -> float:
    try:
        number = float(part)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise A2IBenchError(
            f"{part[:40]!r} in {text[:60]!r} is no finite number; write numbers with a point, separated by blanks."
        )
    return number


def load(config: Mapping[str, Any], *_: object) -> NumbersEncoder:
    """Make the encoder; it has no settings."""
    check_keys(config, (), "numbers")
    return NumbersEncoder()


ENCODERS = (EncoderKind("numbers", "text", load, has_weights=False),)
