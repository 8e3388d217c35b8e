"""The pages that a2ibench writes: a board's ``index.html`` and a run's ``report.html``."""

from a2ibench.pages.board import board_page
from a2ibench.pages.run import matches, run_page

__all__ = ["board_page", "matches", "run_page"]
