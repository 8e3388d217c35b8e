"""The states of verification, and ``verified.json``, which records one verification."""

from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench.board.rows import PICTURES, RESULT_BYTES, TABLE_BYTES
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited

State = Literal["self-reported", "hash-checked", "re-scored", "re-generated"]
STATES: tuple[State, ...] = get_args(State)
"""How far a row was verified, from the least to the most."""
_VERIFIED_BYTES = 2**20
# The files that a verification is of, and how large they may be.
_BOUND = {
    "result.json": RESULT_BYTES,
    **dict.fromkeys(("items.csv", "hashes.csv", "method.toml", "run.json", *PICTURES), TABLE_BYTES),
}


class Verification(BaseModel):
    """``verified.json``: what a verification found, and of which files."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    state: State
    """The state that the row reached."""
    when: str
    """When, in UTC."""
    a2ibench: str
    """By which version."""
    files: dict[str, str]
    """The sha256 of each file that was looked at: of other files this says nothing."""
    figures: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """For each metric the score in the result, and the score found again."""
    problems: list[str] = Field(default_factory=list)
    """What does not hold."""
    notes: list[str] = Field(default_factory=list)
    """What could not be checked and why, and what a reader must know."""


def state_of(folder: Path) -> State:
    """Say which state a row has reached: that of ``verified.json``, if it is of these very files.

    Nobody has signed that file: whoever keeps a board takes away one that came with a row, and verifies.
    """
    found = known(folder)
    if found is None or found.problems:
        return "self-reported"
    # Images of others' methods can't have been made again.
    most: State = "re-generated" if (folder / "run.json").is_file() else "re-scored"
    return min(found.state, most, key=STATES.index)


def known(folder: Path) -> Verification | None:
    """Read the ``verified.json`` of a row; None where there is none, or it is of other files."""
    try:
        found = Verification.model_validate_json(read_limited(folder / "verified.json", _VERIFIED_BYTES))
        return found if found.files == hashes_of(folder) else None
    except (OSError, A2IBenchError, ValidationError, RecursionError):
        return None


def hashes_of(folder: Path) -> dict[str, str]:
    """Hash the files of a row; A2IBenchError if one is none."""
    found = {name: read_if_there(folder / name, most) for name, most in _BOUND.items()}
    return {name: sha256(data).hexdigest() for name, data in found.items() if data is not None}


def read_if_there(path: Path, most: int) -> bytes | None:
    """Read a stranger's file; None where there is none."""
    try:
        return read_limited(path, most)
    except FileNotFoundError:
        return None
