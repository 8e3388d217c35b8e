"""A paper's tables as data: its rows, its numbers as far as they are known, and what is tested of them."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from a2ibench.errors import unknown
from a2ibench.metrics import get as get_metric

FOLDER = Path(__file__).parents[1] / "published"
PUBLISHED = FOLDER / "audiotoken-table1.toml"
Better = Literal["higher", "lower"]
Option = bool | int | float | str


class Plain(BaseModel):
    """A model of a reproduction's files, where what came after the first table is written only where it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    LATER: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        usual = {name for name in self.LATER if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in dump(self).items() if name not in usual}


class Band(Plain):
    """How far a number may lie from the one it is held to."""

    within: float
    """The largest difference, in the metric's unit."""
    reasons: tuple[str, ...] = ()
    """Codes of what may explain a larger one."""


class PaperRow(Plain):
    """One row of a published table: a method with its options, or numbers alone."""

    LATER: ClassVar[tuple[str, ...]] = ("options", "table", "optional", "unsure")

    method: str = ""
    """Our name of the method; empty where there are only the paper's numbers."""
    name: str
    """The paper's name."""
    scores: dict[str, float]
    """The numbers that the paper gives, by metric."""
    human: tuple[float, float] | None = None
    """Mean and standard deviation of the human ratings, 1 to 5."""
    options: dict[str, Option] = {}
    """The method's options in this row: rows of one method differ by them."""
    table: str = ""
    """Which of the paper's tables it is of, where there are several."""
    optional: bool = False
    """Whether it is a row of those suites only that bring the method's parts."""
    unsure: dict[str, str] = {}
    """Numbers of which not every digit is known, as text: ``2.?``. They are shown, and nothing is held to them."""

    @property
    def key(self) -> str:
        """What names the row: the method with the options that are set; empty where there is no method."""
        return " ".join([self.method, *(f"{name}={value}" for name, value in self.options.items())]).strip()

    @property
    def folder(self) -> str:
        """The name of its run folder."""
        return self.key.replace(" ", "-")

    def printed(self, column: str) -> float | str | None:
        """Give what the paper prints in a column, as far as it is known."""
        return self.scores.get(column, self.unsure.get(column))


class Claim(Plain):
    """That a row is better than others: what is tested where the paper's digits alone do not say it."""

    metrics: tuple[str, ...]
    """In each of these."""
    better: str
    """The row, by its key."""
    worse: tuple[str, ...]
    """The others, each tested by itself; a sanity entry by its name."""


class Asked(Plain):
    """A question to which there is no expected answer: which of these rows leads."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[str, ...]


class Published(Plain):
    """Published tables, with the bands that ours are held to."""

    LATER: ClassVar[tuple[str, ...]] = ("name", "task", "beside", "people", "claims", "findings")

    title: str
    source: str
    url: str
    suite: str
    """The suite in whose setting it was made."""
    better: dict[str, Better]
    """The columns with their directions, which must be the metrics' own."""
    rows: tuple[PaperRow, ...]
    reasons: dict[str, str]
    bands: dict[str, dict[str, Band]]
    recorded: dict[str, dict[str, dict[str, float]]] = {}
    """Our own numbers in other suites, by suite, row and metric: what a later version is held to."""
    name: str = "table1"
    """What ``a2ibench reproduce`` calls it, and its files."""
    task: str = "audio-to-image"
    """The task of its methods."""
    beside: tuple[str, ...] = ("AIS.same-class", "IIS.same-class")
    """Metrics that are shown behind the columns: those within a class tell what a sound says beyond its label."""
    people: tuple[str, ...] = ()
    """Columns of the paper that no metric of ours stands for: shares of raters."""
    claims: tuple[Claim, ...] = ()
    """The orderings that are tested; without any, all that the paper's numbers tell."""
    findings: tuple[Asked, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Published":
        """Refuse directions that are not the metrics', and claims of rows that are none."""
        for metric, direction in self.better.items():
            if direction != own_direction(metric):
                raise ValueError(f"{metric} is better {own_direction(metric)}, not {direction}")
        for asked in self.findings:
            if missing := set(asked.rows) - set(self.keys):
                raise ValueError(f"no row is called {', '.join(sorted(missing))}")
        for claim in self.claims:
            if claim.better not in self.keys:
                raise ValueError(f"no row is called {claim.better}")
        return self

    @property
    def runnable(self) -> tuple[PaperRow, ...]:
        """The rows that are methods of ours, in the paper's order, each once though several tables hold it."""
        found: dict[str, PaperRow] = {}
        for row in self.rows:
            if row.method:
                found.setdefault(row.key, row)
        return tuple(found.values())

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the rows that are methods of ours."""
        return tuple(row.key for row in self.runnable)

    @property
    def methods(self) -> tuple[str, ...]:
        """Our names of the methods, in the paper's order, each once."""
        return tuple(dict.fromkeys(row.method for row in self.runnable))

    @property
    def printed_columns(self) -> tuple[str, ...]:
        """The columns in which the paper prints anything."""
        return tuple(
            name for name in (*self.better, *self.people) if any(row.printed(name) is not None for row in self.rows)
        )

    def expected(self, suite: str) -> Mapping[str, Mapping[str, float]]:
        """Give the numbers that ours are held to in a suite, by row and metric."""
        if suite == self.suite:
            found: dict[str, dict[str, float]] = {}
            for row in self.rows:
                if row.method:
                    found.setdefault(row.key, {}).update(row.scores)
            return found
        return self.recorded.get(suite, {})

    def printed(self, key: str, metric: str) -> float | str | None:
        """Give what the paper prints of a row of ours, in whichever of its tables; None where nothing is."""
        texts = [row.printed(metric) for row in self.rows if row.key == key and row.method]
        return next((text for text in texts if text is not None), None)


def own_direction(metric: str) -> Better:
    """Say which way a metric is better."""
    return "higher" if get_metric(metric).higher_is_better else "lower"


_FIXED = ("method", "name", "human", "options", "table", "optional")


def load_published(file: Path = PUBLISHED) -> Published:
    """Read published tables from their TOML file.

    A row's further keys are its columns: a number, or a text as ``"2.?"`` where not every digit is known. The list
    ``columns`` may stand for ``[better]``: the directions are then the metrics'.
    """
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    if "columns" in table:
        table["better"] = {metric: own_direction(metric) for metric in table.pop("columns")}
    rows = []
    for row in table.pop("rows"):
        fixed = {key: row.pop(key) for key in _FIXED if key in row}
        unsure = {key: row.pop(key) for key in [*row] if isinstance(row[key], str)}
        rows.append({**fixed, "scores": row, "unsure": unsure})
    return Published.model_validate({**table, "rows": rows})


@cache
def papers() -> Mapping[str, Path]:
    """Find the files of published tables by their names."""
    return {load_published(file).name: file for file in sorted(FOLDER.glob("*.toml"))}


def paper_file(name: str) -> Path:
    """Find the file of published tables; a wrong name raises with the nearest right one."""
    if name not in papers():
        raise unknown("table to reproduce", name, papers())
    return papers()[name]
