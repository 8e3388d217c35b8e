"""Is A better than B? Paired comparison of two results on the same clips."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.metrics.stats import clips_needed, holm, paired_difference
from a2ibench.results import Result

if TYPE_CHECKING:
    from rich.table import Table


class Comparison(BaseModel):
    """One metric of two methods on the same clips; the difference is A minus B."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    metric: str
    """The metric's name."""
    a: float
    """A's score."""
    b: float
    """B's score."""
    difference: float
    """A minus B."""
    low: float
    """The lower end of the difference's 95 % interval."""
    high: float
    """The upper end."""
    p_value: float
    """Two-sided, of the sign-flip permutation test, Holm-corrected over the metrics."""
    wins: int
    """Clips on which A is better."""
    losses: int
    """Clips on which B is better."""
    ties: int
    """Clips on which they are equal."""
    n: int
    """Clips compared."""
    clips_needed: int | None
    """Clips that would show a difference of this size with 80 % power; none where there is no difference."""
    signature: str
    """The signature that the two scores share."""


def compare_results(a: Result, b: Result, names: Sequence[str] | None = None) -> list[Comparison]:
    """Compare two results, metric by metric, clip by clip.

    Set statistics (FID, KID) have no values per clip and are left out.

    Raises
    ------
    A2IBenchError
        If the results are of different clips, or no metric of the same signature is in both.

    """
    if a.clips.digest != b.clips.digest:
        raise A2IBenchError(
            f"{a.method} and {b.method} were scored on different clips ({a.clips.name}, n={a.clips.n}; "
            f"{b.clips.name}, n={b.clips.n}); score both on the same ones."
        )
    theirs = {score.signature: score for score in b.scores}
    shared = [score for score in a.scores if score.signature in theirs and score.low is not None]
    for name in names or []:
        if name not in {score.metric for score in shared}:
            raise unknown("metric per clip in both results", name, {score.metric for score in shared})
    shared = [score for score in shared if not names or score.metric in names]
    if not shared:
        raise A2IBenchError(
            f"{a.method} and {b.method} share no metric with the same signature; score both with one version."
        )
    found = []
    for score in shared:
        values = [[result.items.get(clip, {}).get(score.metric) for clip in sorted(a.items)] for result in (a, b)]
        first, second = (np.array([np.nan if v is None else v for v in row], dtype=float) for row in values)
        there = ~(np.isnan(first) | np.isnan(second))
        sign = 1 if score.higher_is_better else -1
        pair = paired_difference(first[there], second[there])
        wins, losses = (pair.wins, pair.losses) if sign > 0 else (pair.losses, pair.wins)
        found.append((score, pair, wins, losses, clips_needed(first[there], second[there])))
    adjusted = holm([pair.p_value for _, pair, *_ in found])
    return [
        Comparison(
            metric=score.metric,
            a=score.value,
            b=theirs[score.signature].value,
            difference=pair.difference,
            low=pair.low,
            high=pair.high,
            p_value=p,
            wins=wins,
            losses=losses,
            ties=pair.ties,
            n=pair.n,
            clips_needed=needed,
            signature=score.signature,
        )
        for (score, pair, wins, losses, needed), p in zip(found, adjusted, strict=True)
    ]


def comparison_table(a: str, b: str, comparisons: Sequence[Comparison]) -> "Table":
    """Lay the comparisons out for the terminal."""
    from rich.table import Table

    table = Table(title=f"{a} (A) against {b} (B)", title_justify="left", caption_justify="left")
    table.caption = (
        "A minus B with its 95 % bootstrap interval over clips; p of the sign-flip test, Holm-corrected; "
        "need: clips for 80 % power."
    )
    for head in ("metric", "A", "B", "A - B", "p", "win/loss/tie", "need"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for c in comparisons:
        better = "[bold]" if c.p_value < 0.05 else ""
        table.add_row(
            c.metric,
            f"{c.a:.1f}",
            f"{c.b:.1f}",
            f"{better}{c.difference:+.1f} \\[{c.low:+.1f}, {c.high:+.1f}]",
            f"{c.p_value:.4f}" if c.p_value >= 0.0001 else "<0.0001",
            f"{c.wins}/{c.losses}/{c.ties}",
            "-" if c.clips_needed is None else str(c.clips_needed),
        )
    return table
