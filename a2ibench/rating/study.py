"""A study: what is asked (``study.toml``), and about which outputs (``items.json``).

A study folder holds::

    study.toml      texts, scale and exclusion rule: the researcher's to edit, before the study
    items.json      which item is of which method: the researcher's secret, never sent to a rater
    media/          what is shown and played, under opaque names
    page/index.html the page that a rater opens from disk
    ratings.sqlite  the answers that ``a2ibench rate serve`` collected, and the hashes of the raters' secrets
"""

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from a2ibench.errors import A2IBenchError
from a2ibench.media import Medium
from a2ibench.rating.shown import BY_SUFFIX
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task
from a2ibench.tasks.questions import Design as Design

Kind = Literal["main", "control", "repeat"]
Value = int | str
"""1 to 5 in a likert study; ``"first"`` or ``"second"`` in a pairwise one: the sides of `Item.methods`."""
VALUES: dict[Design, tuple[Value, ...]] = {"likert": (1, 2, 3, 4, 5), "pairwise": ("first", "second")}
RATER = re.compile(r"[^\W_][\w .@-]{0,63}")
"""A rater's name or code: begins with a letter or digit, so that no spreadsheet takes it for a formula."""
ANSWER_COLUMNS = ("study", "rater", "item", "value", "seconds", "at")
"""What an answer is, in CSV, in JSON and in SQLite: `Study.digest`, the rater, `Item.item`, the value, the seconds
that the item was on screen, and when it was answered (ISO 8601, UTC, as ``2026-01-31T12:00:00.000Z``)."""

_Name = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
_ENDINGS = "|".join(suffix.removeprefix(".") for suffix in BY_SUFFIX)
_File = Annotated[str, Field(pattern=rf"^[0-9a-f]{{12}}\.({_ENDINGS})$")]
_Text = Annotated[str, Field(max_length=20_000)]
_Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]
_Share = Annotated[float, Field(ge=0, le=1)]
_LATER = ("task", "headphones")
_HEADPHONES = """
# true: raters begin only after a short check that they wear headphones.
headphones = false
"""
_T = TypeVar("_T")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Scale(_Model):
    """What the ends of the scale are called (likert only)."""

    low: _Line = "not at all relevant"
    """What 1 means."""
    high: _Line = "very relevant"
    """What 5 means."""


class Exclusion(_Model):
    """The pre-registered rule: a rater who misses any threshold is left out. An absent threshold does not count."""

    least_answered: _Share | None = None
    """The least share of all items that the rater answered."""
    least_consistency: _Share | None = None
    """The least share of repeated items answered alike: at most one point apart (likert), for the same method
    (pairwise)."""
    least_median_seconds: Annotated[float, Field(ge=0)] | None = None
    """The least median of the seconds per item."""
    least_control: Annotated[float, Field(ge=0, le=5)] | None = None
    """The least mean rating of the real outputs (likert, 1 to 5); the least share of control pairs in which the real
    output was chosen and not the real output of another clip (pairwise, 0 to 1)."""


class Item(_Model):
    """One thing to rate: an output (likert), or two outputs of one clip (pairwise).

    In ``items.json`` `digests` are called ``images`` and `given` ``sound``: so they were in the first task.
    """

    item: _Name
    """Its opaque id."""
    clip_id: str
    """The clip."""
    label: str
    """The clip's label."""
    kind: Kind
    """Whether it counts, checks attention (real outputs), or whether the rater answers alike again."""
    repeat_of: _Name | None = None
    """The id of the item that a repeat shows again. A repeated pair has its sides exchanged. Either of the two may
    come first: each stands half a study away from the other."""
    methods: list[str] = Field(min_length=1, max_length=2)
    """The method of each output: one (likert) or two, first and second (pairwise)."""
    digests: list[str] = Field(alias="images", min_length=1, max_length=2)
    """The sha256 of each output's file, as it lay in the run."""
    shown: list[_File] = Field(min_length=1, max_length=2)
    """The name in ``media/`` of what is shown of each output."""
    given: _File | None = Field(default=None, alias="sound")
    """The name in ``media/`` of what was given, where raters get it by itself."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.methods) == len(self.digests) == len(self.shown):
            raise ValueError(f"the item {self.item} has not as many outputs as methods")
        if (self.kind == "repeat") != (self.repeat_of is not None):
            raise ValueError(f"the item {self.item} is a repeat of nothing, or says what it repeats and is none")
        return self


class _Texts(_Model):
    """What ``study.toml`` holds."""

    title: _Line
    design: Design
    seed: int = Field(ge=0)
    question: _Line
    instructions: _Text = ""
    consent: _Text = ""
    headphones: bool = False
    scale: Scale = Scale()
    exclusion: Exclusion = Exclusion()


class _Key(_Model):
    """What ``items.json`` holds."""

    version: Literal[1] = 1
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    suite: str
    task: str = DEFAULT
    clips: str
    methods: list[str]
    runs: dict[str, str]
    items: list[Item]


class Study(_Model):
    """A study, read from its folder; the same for everyone who reads the same files."""

    title: str
    """What raters see on top."""
    design: Design
    """``likert`` or ``pairwise``."""
    seed: int
    """The seed of the orders, together with the salt."""
    question: str
    """What is asked of each item; ``{label}`` stands for the clip's label."""
    instructions: str
    """What raters read first."""
    consent: str
    """What raters agree to."""
    headphones: bool = False
    """Whether raters begin only after a check that they wear headphones."""
    scale: Scale
    """The ends of the scale."""
    exclusion: Exclusion
    """Who is left out."""
    salt: str
    """32 random hexadecimal digits that go into all names and orders, so that nobody without them can work out
    either."""
    suite: str
    """The suite with its version, as mini@1."""
    task: str = DEFAULT
    """The name of its task."""
    clips: str
    """The sha256 of the set that the clips were drawn from, as in a result."""
    methods: list[str]
    """The methods that are compared, without the controls."""
    runs: dict[str, str]
    """For each method its run folder, relative to the study folder; not part of the digest."""
    items: list[Item]
    """All items, in an order that means nothing."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        known = {item.item: item for item in self.items}
        if len(known) != len(self.items):
            raise ValueError("an item stands in items.json twice")
        sides = {"likert": 1, "pairwise": 2}[self.design]
        for item in self.items:
            if len(item.methods) != sides:
                raise ValueError(
                    f"the design is {self.design!r}, but the items are of another: it was chosen by `a2ibench rate "
                    "make` and can't be changed"
                )
            if item.repeat_of is not None and (item.repeat_of not in known or known[item.repeat_of].kind != "main"):
                raise ValueError(
                    f"the item {item.item} repeats the item {item.repeat_of}, which is not there or is no main item"
                )
        if len({(Path(name).suffix, Path(item.given or "").suffix) for item in self.items for name in item.shown}) > 1:
            raise ValueError("not all items show files of the same kinds")
        main = Counter(item.clip_id for item in self.items if item.kind == "main")
        if not main:
            raise ValueError("no item is of the kind 'main', so there is nothing to rate")
        if len(set(main.values())) > 1:
            raise ValueError(
                f"the clip {max(main, key=main.__getitem__)!r} has more main items than "
                f"{min(main, key=main.__getitem__)!r}, and every clip must have as many"
            )
        return self

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check a study folder.

        Raises
        ------
        A2IBenchError
            If a file is missing, broken, or does not fit the other.

        """
        texts = _read(folder / "study.toml", tomllib.loads, _Texts)
        key = _read(folder / "items.json", _json, _Key)
        try:
            study = cls(**{name: getattr(texts, name) for name in _Texts.model_fields}, **_without_version(key))
            get_task(study.task)  # one that no installed package has is told at once
            return study
        except ValidationError as error:
            raise A2IBenchError(f"{folder} is not a whole study: {_first(error)}.") from None

    @cached_property
    def digest(self) -> str:
        """What names the study in every answer: it changes with each text, threshold and item."""
        # What came later counts only where it is used, so that older studies keep their digests.
        later = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        meaning = self.model_dump(exclude={"runs", *later}, by_alias=True)
        text = json.dumps(meaning, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def values(self) -> tuple[Value, ...]:
        """The answers that may be given."""
        return VALUES[self.design]

    @property
    def declared(self) -> Task:
        """The task that its outputs are of."""
        return get_task(self.task)

    @property
    def medium(self) -> Medium:
        """What raters get of an output."""
        return BY_SUFFIX[Path(self.items[0].shown[0]).suffix]

    @property
    def given_medium(self) -> Medium | None:
        """What raters get of a condition; None where it isn't shown by itself."""
        given = self.items[0].given
        return None if given is None else BY_SUFFIX[Path(given).suffix]

    @cached_property
    def by_id(self) -> dict[str, Item]:
        """The items by their ids."""
        return {item.item: item for item in self.items}


def study_toml(task: Task, design: Design, seed: int, question: str | None = None) -> str:
    """Give the text of a new ``study.toml``: a question of the task's, and the usual consent and exclusion rule."""
    asked = task.question(design, question)
    words = {
        "title": _escaped(asked.title),
        "seed": str(seed),
        "hint": f"# {{label}} stands for the name of the {task.given}.\n" if "{label}" in asked.text else "",
        "question": _escaped(asked.text),
        "instructions": "\n\n".join(_wrapped(part) for part in asked.instructions.split("\n\n")),
        "headphones": _HEADPHONES if asked.headphones else "",
        "low": _escaped(asked.low),
        "high": _escaped(asked.high),
        "real": task.real,
        "noun": task.noun,
    }
    template = Path(__file__).with_name(f"{design}.toml").read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda found: words[found[1]], template)


def _escaped(text: str) -> str:
    """Write a text as in a TOML string, without the quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("\x7f", "\\u007f")


def _wrapped(paragraph: str) -> str:
    """Break a paragraph into lines that TOML joins again."""
    lines = wrap(_escaped(paragraph), 115, break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(lines)


def order_number(rater: str) -> int:
    """Give the number of a rater's order: the digits at the end of the name (R07: 7), else a hash of the name.

    Raters who are numbered one after the other get orders that are balanced; names get them by chance. The page
    computes the same (FNV-1a, 32 bits, over UTF-8).
    """
    digits = re.search(r"[0-9]{1,9}$", rater)
    if digits:
        return int(digits[0])
    number = 0x811C9DC5
    for byte in rater.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number


def shuffled(things: Sequence[_T], *salt: object) -> list[_T]:
    """Shuffle by the salt alone: the same on every machine and with every version of every library."""

    def rank(place: int) -> bytes:
        return hashlib.sha256(json.dumps([*salt, place]).encode()).digest()

    return [things[place] for place in sorted(range(len(things)), key=rank)]


def check_rater(name: str) -> None:
    """Refuse what can't be a rater's name.

    Raises
    ------
    A2IBenchError
        With what a name may be.

    """
    if not RATER.fullmatch(name):
        raise A2IBenchError(
            f"{name[:80]!r} can't be a rater's name: use letters, digits, spaces and . _ @ -, at most 64, and begin "
            "with a letter or digit."
        )


def picked(count: int, *salt: object) -> int:
    """Pick a number from 0 to `count` - 1 by the salt alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(salt).encode()).digest()[:8], "big") % count


def _read(file: Path, parse: Callable[[str], Any], model: type[_Model]) -> Any:
    """Read a file of a study folder and check it against its model."""
    try:
        return model.model_validate(parse(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise A2IBenchError(f"There is no {file}; `a2ibench rate make` makes a study folder.") from None
    except OSError as error:
        raise A2IBenchError(f"{file} can't be read: {error.strerror or error}.") from None
    except ValidationError as error:
        raise A2IBenchError(f"{file} is not right: {_first(error)}; fix it.") from None
    except (ValueError, RecursionError) as error:  # of TOML, JSON or UTF-8
        raise A2IBenchError(f"{file} can't be read ({error}); fix it.") from None


def _json(text: str) -> Any:
    found = json.loads(text)
    json.dumps(found, ensure_ascii=False).encode()  # a lone half of a surrogate pair is no text: UnicodeEncodeError
    return found


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return (f"{where}: " if where else "") + found["msg"].removeprefix("Value error, ")


def _without_version(key: _Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in _Key.model_fields if name != "version"}
