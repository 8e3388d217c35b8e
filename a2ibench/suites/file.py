"""What a suite's TOML file may say: a strict model, so that a mistyped key is an error and not a silent default."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from a2ibench.errors import A2IBenchError, nearest

_NO_SCORES = {"summary", "notes", "own_data", "training_pictures"}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, strict=True)


class WeightsEntry(_Table):
    """Where a network's weights are: a file or folder beside the suite, a published checkpoint, or another entry."""

    file: str | None = None
    """The file or folder, relative to the suite file."""
    checkpoint: str | None = None
    """The name of a published checkpoint."""
    absent: str | None = None
    """Why there are none, and what to do: the error of whoever needs them."""

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str | None) -> str | None:
        if file is not None and (Path(file).is_absolute() or ".." in Path(file).parts):
            raise ValueError(f"{file!r} leaves the suite's folder; give a path relative to the suite file")
        return file


class EncoderEntry(WeightsEntry):
    """``[encoders.NAME]``: further keys are settings of the network, which its module checks when it is loaded."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    tokenizer: str | None = None
    """The folder of a text encoder's tokenizer, relative to the suite file."""


class PartEntry(WeightsEntry):
    """``[parts.NAME]``: a network that methods are made of."""

    encoder: str | None = None
    """The part is this encoder of the suite."""
    borrows: str | None = None
    """The part whose files complete this one's: two pipelines may share an autoencoder."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The network's configuration; its module checks it."""
    kind: str | None = None
    """Which of several networks it is, where a method can do with any: a codec's."""
    scenes: str | None = None
    """The split of the suite's world whose scenes the part's files number, instead of keeping their sounds."""
    layers: list[int] | None = None
    """The layers whose outputs are used."""


class MethodEntry(_Table):
    """``[methods.NAME]``: how a suite runs a method."""

    cost: int | None = Field(default=None, ge=0)
    """How long an output takes against one of Stable Diffusion's; only for the time that is left."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options that differ from the method's own."""
    parts: dict[str, str] = Field(default_factory=dict)
    """The entry of ``[parts]`` that stands for a part of the method, where their names differ."""


class SuiteFile(_Table):
    """A suite's TOML file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """The name, as in ``mini@1``."""
    version: int = Field(ge=0)
    """Raised whenever the same outputs may give other numbers."""
    task: str = "audio-to-image"
    """The task that the suite is of."""
    summary: str = ""
    """One sentence for lists."""
    clips: str | None = None
    """The folder of the suite's own clips, relative to the suite file."""
    clips_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """The digest of those clips; others are refused."""
    world: bool = False
    """Whether scenes can be drawn afresh: two more sanity entries."""
    notes: list[str] = Field(default_factory=list)
    """What a reader of any result must know."""
    labels: list[str] = Field(default_factory=list)
    """All labels of the data set, where the clips may hold some of them only."""
    own_data: str | None = None
    """What a reader of a result on other clips must know as well."""
    encoders: dict[str, EncoderEntry] = Field(default_factory=dict)
    """The frozen networks that the metrics read."""
    parts: dict[str, PartEntry] = Field(default_factory=dict)
    """The networks that the methods are made of."""
    methods: dict[str, MethodEntry] = Field(default_factory=dict)
    """How each method runs here."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings of trainings that differ from the papers'; the trainer checks them."""

    training_pictures: str | None = None
    """The index of the training split's pictures, relative to the suite file: outputs that copy them are counted."""

    @field_validator("training_pictures")
    @classmethod
    def _beside(cls, file: str | None) -> str | None:
        return WeightsEntry._inside(file)

    @property
    def digest(self) -> str:
        """12 hex digits over all that may change a number: not the prose, nor how the file is laid out."""
        content = self.model_dump(exclude=_NO_SCORES)
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def read_suite_file(file: Path) -> SuiteFile:
    """Read and check a suite's TOML file.

    Raises
    ------
    A2IBenchError
        If it can't be read, is no TOML, lacks a key or has one that is not known; the sentence names the nearest.

    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise A2IBenchError(f"The suite file {file} can't be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise A2IBenchError(f"The suite file {file} is not TOML: {error}.") from None
    try:
        return SuiteFile.model_validate(table)
    except ValidationError as error:
        raise A2IBenchError(f"The suite file {file} {_said(error)}; see docs/suites.md.") from None


def _said(error: ValidationError) -> str:
    """Say in half a sentence what is wrong first."""
    first = error.errors(include_url=False)[0]
    *inside, key = (str(part) for part in first["loc"])
    where = f" in [{'.'.join(inside)}]" if inside else ""
    if first["type"] == "missing":
        return f"lacks {key!r}{where}"
    if first["type"] == "extra_forbidden":
        near = nearest(key, _known_keys(inside))
        return f"has the unknown key {key!r}{where}{f', did you mean {near!r}?' if near else ''}"
    return f"has a wrong {key!r}{where} ({first['msg'].removeprefix('Value error, ')})"


def _known_keys(inside: list[str]) -> Mapping[str, Any]:
    tables: dict[str, type[BaseModel]] = {"parts": PartEntry, "methods": MethodEntry, "encoders": EncoderEntry}
    return (tables.get(inside[0], SuiteFile) if inside else SuiteFile).model_fields
