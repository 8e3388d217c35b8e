"""Find a row to be verified, its suite and clips, and load its files once they agree."""

import os
from dataclasses import dataclass
from pathlib import Path

from a2ibench.board.card import MethodCard, RunRecord
from a2ibench.board.rows import TABLE_BYTES, Hashed, load_sanity, told_by
from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited
from a2ibench.results import Result
from a2ibench.suites import Suite
from a2ibench.tasks import tasks

_NEEDED = ("result.json", "hashes.csv", "method.toml")


@dataclass(frozen=True)
class Row:
    """The files of a row that agree with each other."""

    folder: Path
    result: Result
    card: MethodCard
    hashes: list[Hashed]
    run: RunRecord | None

    @property
    def clips(self) -> ClipSet:
        """The clips that the result names; their files are not known here."""
        labels, task = self.result.labels.items(), tasks().get(self.result.task)
        return ClipSet([Clip(clip_id, label, {}) for clip_id, label in labels], self.result.clips.name, task)


def suite_name(folder: Path) -> str:
    """Say which suite a row is of, as far as its result can be read; ``mini`` where it can't."""
    return str(told_by(folder).get("suite", "mini")).partition("@")[0]


def is_of_own_data(folder: Path, suite: Suite) -> bool:
    """Whether a row, or a run, is of clips of the user's and not of the suite's: its signatures name them."""
    told = told_by(folder)
    scores, labels = told.get("scores"), told.get("labels")
    signed = [each.get("signature") for each in scores if isinstance(each, dict)] if isinstance(scores, list) else []
    named = {str(signature).rpartition("|suite:")[2].partition("+")[2] for signature in signed} - {""}
    if not named or not suite.brings_clips:
        return bool(named)
    clips, of = suite.clips(), told.get("clips")
    if isinstance(of, dict) and of.get("name") != clips.name:
        return True
    chosen = ClipSet(
        [clip for clip in clips if isinstance(labels, dict) and clip.clip_id in labels], clips.name, clips.task
    )
    return not named & {clips.digest[:12], chosen.digest[:12]}


def find_row(folder: Path) -> Path:
    """Give a row's folder itself, without links on its way.

    Raises
    ------
    A2IBenchError
        If it is no row of a board: then nothing may be written there.

    """
    place = Path(os.path.realpath(folder))
    lacking = [name for name in _NEEDED if not os.path.lexists(place / name)]
    if not lacking:
        return place
    if lacking != [*_NEEDED] and any((place / task.folder).is_dir() for task in tasks().values()):
        raise A2IBenchError(f"{folder} is a run and no row of a board; put it onto one with 'a2ibench submit' first.")
    raise A2IBenchError(f"{folder} is not a row of a board (it has no {lacking[0]}); give BOARD/METHOD.")


def board_of(row: Path) -> Path | None:
    """Give the board that a row lies in; None where its folder's parent is none."""
    board = Path(os.path.realpath(row)).parent
    if load_sanity(board):
        return board
    try:
        head = read_limited(board / "leaderboard.csv", TABLE_BYTES)[:40]
    except (OSError, A2IBenchError):
        return None
    return board if head.startswith(b"kind,slug,method,state,suite,clips,") else None
