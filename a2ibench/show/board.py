"""Render a board: its tables, and its page."""

from pathlib import Path
from typing import TYPE_CHECKING

from a2ibench.board.load import Board, load_board
from a2ibench.board.standings import standings
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import write_text

if TYPE_CHECKING:
    from a2ibench.clips import ClipSet


def write_board(folder: Path, *, metric: str | None = None, clips: "ClipSet | None" = None) -> Board:
    """Render a board again: ``README.md``, ``leaderboard.csv``, ``leaderboard.tex``, ``index.html``, and its plots.

    Parameters
    ----------
    folder
        The board.
    metric
        The column that the rows are sorted by; AIS where there is one, else the first.
    clips
        The clips with their sounds and images, for the page's gallery.

    Raises
    ------
    A2IBenchError
        If there is no such board or column, or it can't be written.

    """
    from a2ibench.board.lock import board_lock
    from a2ibench.files import check_writable
    from a2ibench.pictures.buckets import subtitle
    from a2ibench.pictures.gallery import MOST_CLIPS, write_clips
    from a2ibench.pictures.lines import write_plots
    from a2ibench.show.buckets import board_plots
    from a2ibench.show.pages.board import board_page
    from a2ibench.show.tables import csv_table, latex_table, markdown_page

    if not folder.is_dir():
        raise A2IBenchError(f"There is no board {folder}; 'a2ibench submit' makes one.")
    check_writable(folder)
    with board_lock(folder):
        board = load_board(folder)
        if metric is None:
            metric = "AIS" if "AIS" in board.columns else next(iter(board.columns), None)
        elif metric not in board.columns:
            raise unknown("column", metric, board.columns)
        ranked = {name: standings(board, name) for name in board.columns}
        if clips is not None and len(clips) > MOST_CLIPS:
            write_clips(folder, clips)  # too large for the page, which then links to them
        # All are made before the first is written: what can't be rendered leaves the old board as it is.
        files = {
            "README.md": markdown_page(board, ranked, metric),
            "leaderboard.csv": csv_table(board, ranked),
            "leaderboard.tex": latex_table(board, ranked, metric),
            "index.html": board_page(board, ranked, clips, metric=metric),
        }
        for name, text in files.items():
            write_text(folder / name, text)
        drawn = board_plots(board, ranked.get(metric or "", ()))
        write_plots(folder, drawn, subtitle(board.suite, board.clips), replace=True)
    return board
