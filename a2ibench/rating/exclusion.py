"""How each rater worked, and who is left out. Blind: nothing here knows a method, a clip or an output.

The rule stands in ``study.toml`` before the first answer, and is applied as it stands there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from a2ibench.metrics.base import FloatArray
from a2ibench.rating.study import Design, Exclusion


@dataclass(frozen=True)
class Blind:
    """The answers without what they are about: all that the rule may see.

    Attributes
    ----------
    design
        ``likert`` or ``pairwise``.
    values
        [raters, items]: the rating, or 1 for the first and 0 for the second; NaN where there is no answer.
    seconds
        [raters, items]; NaN where they are not known.
    repeats
        For each repeat its place among the items and that of the item it repeats, [repeats, 2].
    controls
        The places of the hidden controls, [controls].
    right
        The right answer to each control (pairwise), [controls].
    noun
        What is rated, for messages.

    """

    design: Design
    values: FloatArray
    seconds: FloatArray
    repeats: NDArray[np.int64]
    controls: NDArray[np.int64]
    right: FloatArray
    noun: str = "image"


@dataclass(frozen=True)
class Conduct:
    """How one rater worked; None where the study or the rater gives nothing to measure it by."""

    answered: float
    """The share of all items that was answered."""
    consistency: float | None
    """The share of repeats answered alike: at most one point apart, or the same method chosen."""
    identical: float | None
    """The share of repeats answered exactly alike."""
    median_seconds: float | None
    """The median of the seconds per item."""
    control: float | None
    """The mean rating of the real outputs, or the share of control pairs answered rightly."""


def conduct(blind: Blind) -> list[Conduct]:
    """Measure how each rater worked, in the order of the rows."""
    again, first = (blind.values[:, blind.repeats[:, side]] for side in (0, 1))
    # The sides of a repeated pair are exchanged: whoever answers alike answers with the other side.
    apart = np.abs(again - first) if blind.design == "likert" else 1 - np.abs(again - first)
    controls = blind.values[:, blind.controls]
    if blind.design == "pairwise":
        controls = np.where(np.isnan(controls), np.nan, controls == blind.right)
    return [
        Conduct(
            answered=float(np.mean(~np.isnan(blind.values[rater]))),
            consistency=_mean(_where(apart[rater], 1.0 if blind.design == "likert" else 0.0)),
            identical=_mean(_where(apart[rater], 0.0)),
            median_seconds=_median(blind.seconds[rater]),
            control=_mean(controls[rater]),
        )
        for rater in range(len(blind.values))
    ]


def reasons(found: Conduct, rule: Exclusion, blind: Blind) -> list[str]:
    """Say which thresholds a rater missed. A threshold whose items the study does not have does not count."""
    checks = (
        (rule.least_answered, found.answered, "answered {:.0%} of the items, less than {:.0%}", "no item", True),
        (
            rule.least_consistency,
            found.consistency,
            "answered {:.0%} of the repeats alike, less than {:.0%}",
            "no repeat",
            len(blind.repeats) > 0,
        ),
        (
            rule.least_median_seconds,
            found.median_seconds,
            "took {:.2f} s per item, less than {:.2f} s",
            "nothing with its time",
            not np.isnan(blind.seconds).all(),
        ),
        (
            rule.least_control,
            found.control,
            f"rated the real {blind.noun}s {{:.2f}}, less than {{:.2f}}"
            if blind.design == "likert"
            else f"chose the real {blind.noun} in {{:.0%}} of the controls, less than {{:.0%}}",
            "no control",
            len(blind.controls) > 0,
        ),
    )
    missed = []
    for least, value, sentence, nothing, counts in checks:
        if least is None or not counts:
            continue
        if value is None:
            missed.append(f"answered {nothing}")
        elif value < least:
            missed.append(sentence.format(value, least))
    return missed


def _where(apart: FloatArray, most: float) -> FloatArray:
    return np.where(np.isnan(apart), np.nan, apart <= most)


def _mean(values: FloatArray) -> float | None:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else None


def _median(values: FloatArray) -> float | None:
    kept = values[~np.isnan(values)]
    return float(np.median(kept)) if len(kept) else None
