"""Verify a row of a board: its files, the images' hashes, the scores, and the images made again.

Each check that holds lifts the row's state: self-reported, hash-checked, re-scored, re-generated. What does not
hold is named, and then the row is self-reported. A row is a stranger's: its files are read as such.
"""

from a2ibench.board.states import STATES, State, Verification, state_of
from a2ibench.board.verify.check import verify
from a2ibench.board.verify.row import board_of, find_row, is_of_own_data, suite_name
from a2ibench.board.verify.same import TOLERANCE

__all__ = [
    "STATES",
    "TOLERANCE",
    "State",
    "Verification",
    "board_of",
    "find_row",
    "is_of_own_data",
    "state_of",
    "suite_name",
    "verify",
]
