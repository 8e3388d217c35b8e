"""Scores in buckets, a line for each method: by how often a kind occurs in training, by how many events are named."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from a2ibench.errors import A2IBenchError
from a2ibench.metrics import metrics
from a2ibench.metrics.frequency import Bucket, read_buckets
from a2ibench.results import Clips, Result, Score
from a2ibench.tasks import tasks

FEW = 10
"""A bucket with fewer clips is drawn hollow, and called few."""
MOST = 8
"""Lines of methods that a picture holds."""
AXES = {
    "tail": ("how often the kind occurs in training", "examples of the kind in training"),
    "many": ("how many events are named", "events that the caption names"),
}
"""By the ending of a metric's name: what scores are told apart by, and what the buckets count."""
_EDGES = re.compile(r"\|edges:(\d{1,9}(?:,\d{1,9}){0,19})(?:\||$)")
NAMED = re.compile(r"(.+)[.-](tail|many)")
"""The names of metrics of buckets."""


@dataclass(frozen=True)
class Line:
    """The scores of one method: a bucket for each place on the axis, and the drop with its interval (NaN: none)."""

    name: str
    buckets: tuple[Bucket, ...]
    drop: tuple[float, float, float]
    held: bool = False
    """Whether it is no method but what methods are held against."""


@dataclass(frozen=True)
class Plot:
    """A picture's content; `lines` in the order of the rows, what is held against them last."""

    metric: str
    """The metric that tells of the drop, as CLAP.tail."""
    base: str
    """The metric whose scores are shown, as CLAP."""
    by: str
    axis: str
    unit: str
    digits: int
    higher_is_better: bool
    """Of `base`."""
    lines: tuple[Line, ...]
    left_out: int = 0
    """Methods beyond `MOST`."""
    summary: str = ""
    """What the drop says."""

    @property
    def file(self) -> str:
        """The picture's name."""
        return f"{self.metric}.png"

    @property
    def title(self) -> str:
        """What is shown."""
        return f"{self.base} by {self.by}"

    @property
    def names(self) -> list[str]:
        """The names of the buckets."""
        return [bucket.name for bucket in self.lines[0].buckets]

    def clips(self, place: int) -> str:
        """Say how many clips a bucket has, and of how many kinds: "38 clips, 2 kinds"; that they are few; or none."""
        held = [line.buckets[place] for line in self.lines]
        counts = sorted({bucket.n for bucket in held if bucket.n})
        if not counts:
            return "no clips"
        n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        kinds = max(bucket.kinds for bucket in held)
        told = f"{n} clip{'s' * (n != '1')}" + (f", {kinds} kind{'s' * (kinds != 1)}" if kinds else "")
        return told + (": few" if counts[-1] < FEW else "")

    def cell(self, bucket: Bucket) -> str:
        """Write a bucket's score with its interval; a dash for none."""
        low, high = bucket.interval
        return self._number(bucket.value, low, high) + (" (few)" if 0 < bucket.n < FEW else "")

    def drop(self, line: Line) -> str:
        """Write how much worse the last bucket is than the best known one, with its interval."""
        return self._number(*line.drop)

    def _number(self, value: float, low: float, high: float) -> str:
        if isnan(value):
            return "–"
        spread = "" if isnan(low) or isnan(high) else f" [{low:.{self.digits}f}, {high:.{self.digits}f}]"
        return f"{value:.{self.digits}f}{spread}"

    @property
    def alt(self) -> str:
        """Tell the picture in words, for who can't see it."""
        told = []
        for line in self.lines:
            there = [f"{b.name}: {b.value:.{self.digits}f}" for b in line.buckets if not isnan(b.value)]
            told.append(f"{line.name}, {', '.join(there)}")
        return f"Plot of {self.title}. {'; '.join(told)}."


def plots(
    rows: Iterable[tuple[str, Result]], held: Iterable[Result] = (), columns: Mapping[str, Score] | None = None
) -> list[Plot]:
    """Find what can be drawn of results: each metric of buckets, with the rows that share its signature.

    Parameters
    ----------
    rows
        Names, and results.
    held
        Sanity rows: the real outputs are drawn in grey, below the methods.
    columns
        The scores that head a board's columns; by default those of the first row that has one.

    """
    rows = list(rows)
    heads = dict(columns or {})
    if columns is None:
        for _, result in rows:
            heads = {score.metric: score for score in result.scores} | heads
    held = [result for result in held if (task := tasks().get(result.task)) and result.method == task.real]
    known = metrics()
    found = []
    for name, head in heads.items():
        named, edges = NAMED.fullmatch(name), _EDGES.search(head.signature)
        if named is None or edges is None or name not in known or named[1] not in known:
            continue
        steps = [int(edge) for edge in edges[1].split(",")]
        lines = [line for title, result in rows if (line := _line(title, result, head, steps))]
        beside = [line for result in held if (line := _line(result.method, result, head, steps, held=True))]
        if not lines:
            continue
        base = known[named[1]]
        digits = base.digits if base.digits is not None else 1 if base.unit == "%" else 2
        shown = (*lines[:MOST], *beside)
        by, axis = AXES[named[2]]
        found.append(
            Plot(
                metric=name,
                base=base.name,
                by=by,
                axis=axis,
                unit=base.unit,
                digits=digits,
                higher_is_better=base.higher_is_better,
                lines=shown,
                left_out=len(lines[MOST:]),
                summary=known[name].summary,
            )
        )
    return sorted(found, key=lambda plot: [each[0] for each in AXES.values()].index(plot.by))


def _line(name: str, result: Result, head: Score, edges: Sequence[int], held: bool = False) -> Line | None:
    score = next((s for s in result.scores if s.metric == head.metric and s.signature == head.signature), None)
    if score is None:
        return None
    try:
        buckets = read_buckets(score.extra, edges)
    except A2IBenchError:
        return None
    if all(isnan(bucket.value) for bucket in buckets):
        return None
    nan = float("nan")
    low, high = (score.extra.get(f"drop {end}", nan) for end in ("low", "high"))
    return Line(name, buckets, (score.value, low, high), held)


def subtitle(suite: str, clips: Clips | None) -> str:
    """Say of which suite and clips a plot is."""
    return suite if clips is None else f"{suite} · {clips.n:,} clips"
