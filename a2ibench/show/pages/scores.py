"""Scores as the pages show them: the number, its interval, and a small plot of both."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from a2ibench.metrics import metrics
from a2ibench.metrics.base import FloatArray, IntArray
from a2ibench.results import Result, Score
from a2ibench.show.numbers import format_score, format_value

_WIDTH, _EDGE = 84, 3  # of a whisker plot, in its own pixels


class Scale(NamedTuple):
    """From the least to the greatest number that the plots of a column have to show."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Say where a value stands on a plot."""
        return round(_EDGE + (_WIDTH - 2 * _EDGE) * (value - self.low) / (self.high - self.low), 1)


def scale_of(scores: Iterable[Score]) -> Scale | None:
    """Find the scale that fits scores, their intervals, chance and ceiling; None where they are all one number."""
    found = [x for score in scores for x in (score.value, *(_span(score) or ()), score.chance, score.ceiling)]
    numbers = [x for x in found if x is not None]
    return Scale(min(numbers), max(numbers)) if numbers and max(numbers) > min(numbers) else None


def _span(score: Score) -> tuple[float, float] | None:
    if score.low is not None and score.high is not None:
        return score.low, score.high
    return None if score.stderr is None else (score.value - score.stderr, score.value + score.stderr)


def whisker(score: Score, scale: Scale | None) -> dict[str, Any] | None:
    """Place a score, the ends of its interval, chance and ceiling on a plot; None without a scale."""
    if scale is None:
        return None
    span = _span(score)
    return {
        "value": scale.place(score.value),
        "low": scale.place(span[0]) if span else None,
        "high": scale.place(span[1]) if span else None,
        "bounds": [scale.place(x) for x in (score.chance, score.ceiling) if x is not None],
    }


def cell(score: Score, scale: Scale | None = None) -> dict[str, Any]:
    """Give what a table's cell shows of a score."""
    shown = format_value(score)
    return {
        "value": shown,
        "exact": repr(score.value),
        "interval": format_score(score).removeprefix(shown).strip(),
        "whisker": whisker(score, scale),
        "tie": None,
        "best": False,
        "rank": "",
    }


def like(score: Score, value: float | None) -> str:
    """Format another number of the same metric."""
    return "–" if value is None else format_value(score.model_copy(update={"value": value}))


def head(score: Score) -> dict[str, Any]:
    """Give what the head of a metric's column, and its line in the legend, show."""
    base, _, variant = score.metric.partition(".")
    known = metrics()
    return {
        "name": score.metric,
        "base": base,
        "variant": variant,
        "arrow": "↑" if score.higher_is_better else "↓",
        "first": "descending" if score.higher_is_better else "ascending",
        "summary": known[score.metric].summary if score.metric in known else "",
        "chance": like(score, score.chance),
        "signature": score.signature,
    }


# ------------------------------------------------------------------------------------------- for the script


def script_metric(score: Score, shown: Sequence[float]) -> dict[str, Any]:
    """Describe a metric to the script; `shown` are the numbers that its bars will show."""
    domain = (0.0, 100.0) if score.unit == "%" else (min(shown, default=0.0), max(shown, default=1.0))
    return {
        "key": score.metric,
        "name": score.metric,
        "digits": len(format_value(score).partition(".")[2]),
        "higher": score.higher_is_better,
        "domain": domain,
    }


def short(values: Iterable[float | None]) -> list[float | None]:
    """Round numbers for the script to what anyone can see; NaN becomes None."""
    return [None if value is None or np.isnan(value) else float(f"{value:.5g}") for value in values]


def clip_values(result: Result, names: Iterable[str], clip_ids: Sequence[str]) -> dict[str, list[float | None]]:
    """Give the values of some clips, by metric."""
    return {name: short(result.items.get(clip_id, {}).get(name) for clip_id in clip_ids) for name in names}


def plain_means(values: FloatArray, place: IntArray, classes: int) -> FloatArray:
    """Average values over the clips of each class: [N] and each clip's class, [N], to [classes], NaN of none."""
    kept = ~np.isnan(values)
    count = np.bincount(place[kept], minlength=classes)
    total = np.bincount(place[kept], values[kept], minlength=classes)
    means: FloatArray = np.full(classes, np.nan)
    return np.divide(total, count, out=means, where=count > 0)
