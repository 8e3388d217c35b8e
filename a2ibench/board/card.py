"""The card of a submission (``method.toml``), the name of its row, and the record of a run (``run.json``)."""

import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from a2ibench.board.unpack import MOST_BYTES_EACH, shown
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import read_limited

LONGEST_SLUG = 64
_CARD_BYTES = 64 * 1024
_RUN_BYTES = 16 * 2**20  # it lists the clips
# Names that stand for something else on a board or on Windows.
_RESERVED = {
    "sanity", "readme", "index", "leaderboard", "leaderboards", "published", "gallery", "method", "real-images",
    "shuffled-images", "con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10)),
}  # fmt: skip


# -------------------------------------------------------------------------------------------------- the card


def _line(text: str) -> str:
    text = unicodedata.normalize("NFC", text.strip())
    if not text.isprintable():
        raise ValueError("is not one line of printable text")
    return text


def _lines(text: str) -> str:
    return "\n".join(_line(line) for line in text.strip().splitlines())


def _link(text: str) -> str:
    text = _line(text)
    if text:
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and "." in (parts.hostname or "") and "@" not in parts.netloc
        except ValueError:
            good = False
        if not good or re.search(r"[\s\"'<>\\`|^{}]", text):
            raise ValueError("is not a link that begins with http:// or https://")
    return text


_Line = Annotated[str, Field(max_length=300), AfterValidator(_line)]
_Link = Annotated[str, Field(max_length=500), AfterValidator(_link)]


class MethodCard(BaseModel):
    """What a method says of itself; an empty text or None where it says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    name: Annotated[str, Field(max_length=80), AfterValidator(_line)] = ""
    """What the row is called."""
    authors: _Line = ""
    """Who made it."""
    paper: _Link = ""
    """Where it is described."""
    code: _Link = ""
    """Where its code is."""
    licence: _Line = ""
    """Under which licence its code and weights are."""
    training_data: _Line = ""
    """What it was trained on."""
    text_labels: bool | None = None
    """Whether it read the clips' text labels."""
    test_clips: bool | None = None
    """Whether the test clips were among its training data."""
    notes: Annotated[str, Field(max_length=2000), AfterValidator(_lines)] = ""
    """What else a reader should know."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a ``method.toml``.

        Raises
        ------
        A2IBenchError
            If it is missing, too large, no TOML in UTF-8, or has a field that is unknown or wrong.

        """
        try:
            data = read_limited(path, MOST_BYTES_EACH)
        except FileNotFoundError:
            raise A2IBenchError(f"There is no {path}; write one with name, authors, paper, code and so on.") from None
        if len(data) > _CARD_BYTES:
            raise A2IBenchError(f"{path} is larger than {_CARD_BYTES // 1024} KiB; a card is a few lines.")
        try:
            found = tomllib.loads(data.decode())
        except (ValueError, RecursionError, OverflowError) as error:
            raise A2IBenchError(f"{path} is not TOML in UTF-8: {one_line(error)}.") from None
        try:
            return cls.of(found)
        except A2IBenchError as error:
            raise A2IBenchError(f"{path}: {error}") from None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Make a card of fields from outside; A2IBenchError names the first wrong one."""
        strange = sorted(set(fields) - set(cls.model_fields))
        if strange:
            raise unknown("field", strange[0][:60], cls.model_fields)
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            message = first["msg"].removeprefix("Value error, ")
            raise A2IBenchError(f"The field {first['loc'][0]!r} can't be taken: {one_line(message)}.") from None

    def toml(self) -> str:
        """Write the card as TOML; what says nothing is left out."""
        # A JSON text is a TOML text too, as long as no character is written as two surrogates.
        given = {key: value for key, value in self.model_dump().items() if value not in ("", None)}
        return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in given.items())


def slug_of(name: str) -> str:
    """Make a folder's name from a method's: lower-case ASCII letters, digits and dashes.

    Raises
    ------
    A2IBenchError
        If nothing is left, or the name is reserved.

    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise A2IBenchError(f"The name {shown(name)} has no Latin letter or digit; give another with --name.")
    if len(slug) > LONGEST_SLUG:
        raise A2IBenchError(f"The name {shown(name)} is longer than {LONGEST_SLUG} characters; give a shorter --name.")
    if slug in _RESERVED:
        raise A2IBenchError(f"The name {shown(name)} is reserved; give another with --name.")
    return slug


# ------------------------------------------------------------------------------------- run.json of our methods


class RunRecord(BaseModel):
    """``run.json``, as `a2ibench.runs.folder` writes it: what the images of one of our methods depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    method: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    suite: Annotated[str, Field(max_length=100), AfterValidator(_line)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    options: dict[_Line, bool | int | float | _Line | None]
    weights: dict[_Line, _Line]
    clips: dict[_Line, _Line]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a ``run.json``; A2IBenchError if it is none."""
        try:
            return cls.model_validate(json.loads(read_limited(path, _RUN_BYTES)))
        except OSError as error:
            raise A2IBenchError(f"{path} can't be read: {error.strerror or error}.") from None
        except (ValueError, RecursionError, OverflowError) as error:
            raise A2IBenchError(
                f"{path} is not the run.json of one of our methods ({one_line(error)}); take it out."
            ) from None


def one_line(error: object) -> str:
    """Give an error's text on one line, without what a terminal would act upon."""
    text = " ".join(str(error).split())
    return "".join(letter for letter in text if letter.isprintable())[:200].rstrip(".")
