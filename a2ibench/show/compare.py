"""Is A better than B? Two or more results on the same clips, compared metric by metric."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.metrics.stats import clips_needed
from a2ibench.results import Result, Score
from a2ibench.results.pairs import ALPHA, clip_values, has_values, of_results
from a2ibench.show.fitting import Fitting
from a2ibench.show.numbers import format_p

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MOST = 26  # a letter for each
_MATRIX = 7  # methods whose matrix fits 80 columns


class Comparison(BaseModel):
    """One metric of two methods on the same clips; the difference is A minus B."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    first: int
    """Which of the results A is, from 0."""
    second: int
    """Which of the results B is."""
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
    """Two-sided, Holm-corrected over all pairs of the metric: of sign flips, or of the errors of set statistics."""
    wins: int
    """Clips on which A is better; 0 for a statistic of whole sets (FID)."""
    losses: int
    """Clips on which B is better."""
    ties: int
    """Clips on which they are equal."""
    n: int
    """Clips compared one by one; 0 for a statistic of whole sets."""
    clips_needed: int | None
    """Clips that would show a difference of this size with 80 % power; none where there is no difference."""
    higher_is_better: bool
    """Whether a higher score is better."""
    signature: str
    """The signature that the scores share."""


def compare_results(results: Sequence[Result], names: Sequence[str] | None = None) -> list[Comparison]:
    """Compare every pair of results, metric by metric: clip by clip, or statistics of whole sets by their errors.

    Scores with neither values per clip nor a standard error (ratings by people) are left out. A clip without a value
    in any of the results is left out for all of them, so that all pairs are of the same clips.

    Parameters
    ----------
    results
        Two or more.
    names
        Only these metrics.

    Returns
    -------
    Metric after metric, and in each the pairs in the order of the results, as :mod:`a2ibench.results.pairs` decides.

    Raises
    ------
    A2IBenchError
        If there are fewer than two results, they are of different clips, or no metric of the same signature is
        in all of them.

    """
    if not 2 <= len(results) <= MOST:
        raise A2IBenchError(f"{len(results)} results can't be compared: give two to {MOST}.")
    first, *others = results
    for other in others:
        if other.clips.digest != first.clips.digest:
            raise A2IBenchError(
                f"{first.method} and {other.method} were scored on different clips ({first.clips.name}, "
                f"n={first.clips.n}; {other.clips.name}, n={other.clips.n}); score both on the same ones."
            )
    shared = [score for score in first.scores if all(_is_in(score, result) for result in results)]
    for name in names or []:
        if any(score.metric == name and not _can_be_compared(score, first) for score in first.scores):
            raise A2IBenchError(f"{name} has neither values per clip nor a standard error to compare by.")
        if name not in {score.metric for score in shared}:
            raise unknown("metric in all results", name, {score.metric for score in shared})
    shared = [score for score in shared if not names or score.metric in names]
    if not shared:
        raise A2IBenchError(
            f"{_named(results)} share no metric with the same signature that can be compared; score them with one "
            "version."
        )
    return [comparison for score in shared for comparison in _pairs(score, results)]


def _named(results: Sequence[Result]) -> str:
    *others, last = [result.method for result in results]
    return f"{', '.join(others)} and {last}"


def _is_in(score: Score, result: Result) -> bool:
    return any(each.signature == score.signature and _can_be_compared(each, result) for each in result.scores)


def _can_be_compared(score: Score, result: Result) -> bool:
    return has_values(score.metric, result) or score.stderr is not None


def _pairs(score: Score, results: Sequence[Result]) -> Iterator[Comparison]:
    paired = all(has_values(score.metric, result) for result in results)
    values = clip_values(score.metric, results) if paired else None
    scores = [next(s.value for s in result.scores if s.signature == score.signature) for result in results]
    for (i, j), pair in of_results(score.metric, results).items():
        wins, losses = (pair.wins, pair.losses) if score.higher_is_better else (pair.losses, pair.wins)
        yield Comparison(
            first=i,
            second=j,
            metric=score.metric,
            a=scores[i],
            b=scores[j],
            difference=pair.difference,
            low=pair.low,
            high=pair.high,
            p_value=pair.p_value,
            wins=wins,
            losses=losses,
            ties=pair.ties,
            n=pair.n,
            clips_needed=clips_needed(values[:, i], values[:, j]) if values is not None and pair.n > 1 else None,
            higher_is_better=score.higher_is_better,
            signature=score.signature,
        )


# ------------------------------------------------------------------------------------------------ the tables


def comparison_titles(results: Sequence[Result], paths: Sequence[Path]) -> list[str]:
    """Name the results; where two have one method, their paths tell them apart."""
    count = Counter(result.method for result in results)
    pairs = zip(results, paths, strict=True)
    return [f"{result.method} ({path})" if count[result.method] > 1 else result.method for result, path in pairs]


def comparison_report(titles: Sequence[str], comparisons: Sequence[Comparison]) -> "RenderableType":
    """Lay the comparisons out for a terminal of 80 columns; `titles` are those of the results, in their order."""
    from rich.console import Group
    from rich.text import Text

    caption = Text(
        f"The difference, A - B, with its 95 % interval; * p < {ALPHA} (Holm-corrected over all pairs of a metric); "
        "need: clips for 80 % power. By clip: bootstrap and sign flips. Statistics of whole sets (FID, KID) have no "
        "values per clip and are compared by their standard errors, which is cautious.",
        style="italic",
    )
    if len(titles) == 2:
        heading = Text(f"{titles[0]} (A) against {titles[1]} (B)", style="italic")
        return Group(heading, Fitting(_pair_table(comparisons)), caption)
    legend = Text("\n".join(f"{ascii_uppercase[place]}  {title}" for place, title in enumerate(titles)))
    matrices: list[Fitting | Text] = []
    if len(titles) <= _MATRIX:
        for _, pairs in groupby(comparisons, key=lambda each: each.metric):
            matrices.append(Fitting(_matrix(list(pairs))))
        matrices.insert(0, Text(f"Row minus column; * p < {ALPHA}.", style="italic"))
    return Group(legend, Text(), *matrices, Fitting(_pair_table(comparisons)), caption)


def _stars(comparison: Comparison) -> str:
    return "*" if comparison.p_value < ALPHA else " "


def _digits(comparisons: Sequence[Comparison]) -> int:
    """Decimals that fit the size of the scores: per cent need one, cosines three."""
    size = max(max(abs(each.a), abs(each.b)) for each in comparisons)
    return 1 if size >= 10 else 2 if size >= 1 else 3


def _matrix(comparisons: Sequence[Comparison]) -> "Table":
    """The differences of one metric, row minus column, the best score first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    digits, head = _digits(comparisons), comparisons[0]
    scores = {each.first: each.a for each in comparisons} | {each.second: each.b for each in comparisons}
    order = sorted(scores, key=lambda place: (-scores[place] if head.higher_is_better else scores[place], place))
    found = {(each.first, each.second): each for each in comparisons}
    title = Text(f"{head.metric} {'↑' if head.higher_is_better else '↓'}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    for column in order:
        table.add_column(ascii_uppercase[column] + " ", justify="right", no_wrap=True)

    def cell(row: int, column: int) -> Text:
        if row == column:
            return Text("· ", style="dim")
        pair = found[min(row, column), max(row, column)]
        apart = pair.difference if row < column else -pair.difference
        star = _stars(pair)
        return Text(f"{apart:+.{digits}f}{star}", style="bold" if star == "*" else "")

    for row in order:
        cells = [cell(row, column) for column in order]
        table.add_row(ascii_uppercase[row], f"{scores[row]:.{digits}f}", *cells)
    return table


def _pair_table(comparisons: Sequence[Comparison]) -> "Table":
    """Every pair with its interval, metric by metric."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    many = len({(each.first, each.second) for each in comparisons}) > 1
    # Two scores more in a row: then 80 columns have room for one blank between two cells.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1 if many else 0), pad_edge=False, collapse_padding=True)
    heads = ("metric", *(("pair",) if many else ("A", "B")), "difference [95 %]", "p", "win/loss/tie", "need")
    for head in heads:
        table.add_column(head, justify="left" if head in ("metric", "pair") else "right", no_wrap=head != "metric")
    for metric, group in groupby(comparisons, key=lambda each: each.metric):
        pairs = list(group)
        digits = _digits(pairs)
        for place, each in enumerate(pairs):
            pair = (f"{ascii_uppercase[each.first]} - {ascii_uppercase[each.second]}",)
            scores = (f"{each.a:.{digits}f}", f"{each.b:.{digits}f}")
            star = _stars(each)
            spread = f"[{each.low:+.{digits}f}, {each.high:+.{digits}f}]"
            table.add_row(
                # A dot is where a variant's name may be broken.
                Text("" if place else metric if many else metric.replace(".", ".\n")),
                *(pair if many else scores),
                Text(f"{each.difference:+.{digits}f}{star} {spread}", style="bold" if star == "*" else ""),
                format_p(each.p_value),
                f"{each.wins}/{each.losses}/{each.ties}" if each.n else "-",
                "-" if each.clips_needed is None else str(each.clips_needed),
                end_section=many and place == len(pairs) - 1,
            )
    return table
