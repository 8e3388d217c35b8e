"""Withdraw a row: it leaves the ranks, and a line with the date and the reason stays on the board."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench.board.lock import board_lock, tidy
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import read_limited, write_text

FILE = "withdrawn.json"
_LONGEST = 250  # characters: tables show it in full
_BYTES = 64 * 1024


class Withdrawal(BaseModel):
    """``withdrawn.json`` in a row's folder: as long as it lies there, the row takes no rank and is not replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    when: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    """The day, in UTC."""
    why: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    """The reason, one line."""


def withdrawal_of(row: Path) -> Withdrawal | None:
    """Read whether a row was withdrawn; None where it was not.

    Raises
    ------
    A2IBenchError
        If its ``withdrawn.json`` is broken: the row must not come back by that.

    """
    path = row / FILE
    try:
        return Withdrawal.model_validate_json(read_limited(path, _BYTES))
    except FileNotFoundError:
        return None
    except (ValidationError, RecursionError):
        raise A2IBenchError(
            f"{path} does not say when the row was withdrawn, and why; write it again, or delete it."
        ) from None


def withdraw(board: Path, name: str, why: str) -> Path:
    """Take a row out of the ranks; its files stay, and the tables are rendered by whoever calls.

    Parameters
    ----------
    board
        The board's folder.
    name
        The method's name, or that of the row's folder.
    why
        The reason, one line of at most 250 characters.

    Returns
    -------
    The row's folder.

    Raises
    ------
    A2IBenchError
        If there is no such row, it was withdrawn already, the reason says nothing, or nothing can be written there.

    """
    reason = " ".join(why.split())
    if not reason or len(reason) > _LONGEST or not reason.isprintable():
        raise A2IBenchError(f"--why must say in 1 to {_LONGEST} printable characters why the row is withdrawn.")
    if not board.is_dir():
        raise A2IBenchError(f"There is no board {board}; 'a2ibench submit' makes one.")
    with board_lock(board):
        tidy(board)
        row = _row_of(board, name)
        before = withdrawal_of(row)
        if before is not None:
            raise A2IBenchError(f"The row {row.name!r} was withdrawn on {before.when} already ({before.why}).")
        found = Withdrawal(when=datetime.now(UTC).strftime("%Y-%m-%d"), why=reason)
        write_text(row / FILE, json.dumps(found.model_dump(), indent=1, ensure_ascii=False) + "\n")
    return row


def _row_of(board: Path, name: str) -> Path:
    """Find a row by its folder's name or by its method's."""
    from a2ibench.board.card import slug_of

    rows = {path.name: path for path in board.iterdir() if os.path.lexists(path / "result.json")}
    slug = name if name in rows else slug_of(name)
    if slug not in rows:
        raise unknown("row", name, rows)
    if rows[slug].is_symlink():
        raise A2IBenchError(f"{rows[slug]} is a link; put the folder itself there.")
    return rows[slug]
