"""What a task is: what is given, what is made, how it is scored, what raters are asked. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from a2ibench.errors import unknown
from a2ibench.tasks.questions import RELEVANCE, Aspect, Design, Question, usual

MediumName = Literal["image", "audio", "video", "text"]


@dataclass(frozen=True)
class Task:
    """The declaration of a task.

    Attributes
    ----------
    name
        What a suite and a method say, as ``"audio-to-image"``.
    summary
        One line for lists.
    columns
        The columns of ``clips.csv`` with their media, besides ``clip_id`` and ``label``.
    condition
        The column that a method is given, and that the outputs are judged against.
    reference
        The column of the real counterparts of the outputs.
    output
        The medium of the outputs.
    metrics
        The names of the metrics that are shown unless the user asks for others, in the order of the columns; the
        first one sorts a board.
    questions
        The task's own words of its first question, by the design of a study; the usual ones where it is not given.
    aspects
        What raters can be asked about, by name, as ``"ali"``; the first is asked unless another is named.
    suite
        The suite that is taken where none is asked for.

    """

    name: str
    summary: str
    columns: Mapping[str, MediumName]
    condition: str
    reference: str
    output: MediumName
    metrics: tuple[str, ...]
    optional: Mapping[str, MediumName] = field(default_factory=dict)
    """Further columns, which clips may have and metrics may read: a metric is left out where its column is absent."""
    lead: str = ""
    """What a board of the task asks, above its table."""
    questions: Mapping[Design, Question] = field(default_factory=dict)
    aspects: Mapping[str, Aspect] = field(default_factory=lambda: {"rel": RELEVANCE})
    suite: str = ""

    @property
    def noun(self) -> str:
        """What an output is called, as ``"image"``; its plural has an s."""
        return {"audio": "sound"}.get(self.output, self.output)

    @property
    def given(self) -> str:
        """What the condition is called: a sound, or by its column's name."""
        return {"audio": "sound"}.get(self.condition, self.condition)

    @property
    def folder(self) -> str:
        """The folder of a run in which its outputs lie."""
        return f"{self.noun}s"

    @property
    def real(self) -> str:
        """What the sanity entry of the real outputs is called."""
        return f"real {self.noun}s"

    @property
    def shuffled(self) -> str:
        """What the sanity entry of the real outputs of other clips is called."""
        return f"shuffled {self.noun}s"

    def question(self, design: Design, name: str | None = None) -> Question:
        """Tell what raters are asked in a study of a design; a wrong name raises with the nearest right one."""
        first = next(iter(self.aspects))
        name = name or first
        if name not in self.aspects:
            raise unknown(f"question of the task {self.name}", name, self.aspects)
        own = self.questions.get(design) if name == first else None
        condition = self.columns[self.condition]
        return own or usual(design, self.given, self.noun, condition, self.output, self.aspects[name])

    def medium_of(self, role: str) -> MediumName | None:
        """Name the medium of a role of a feature key: of a column, the outputs, the references or the conditions."""
        roles: dict[str, MediumName] = {
            **self.columns,
            **self.optional,
            "label": "text",
            "labels": "text",
            "category": "text",
            "generated": self.output,
            "reference": self.columns[self.reference],
            "condition": self.columns[self.condition],
        }
        return roles.get(role)

    def column_order(self, metric: str) -> tuple[int, str]:
        """Where a metric stands in tables: families in the order of the defaults, then the others by name."""
        families = list(dict.fromkeys(name.partition(".")[0] for name in self.metrics))
        family = metric.partition(".")[0]
        return (families.index(family) if family in families else len(families), metric)
