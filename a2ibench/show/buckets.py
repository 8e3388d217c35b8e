"""Plots of scores in buckets on a board: which rows stand in them."""

from collections.abc import Sequence

from a2ibench.board.load import Board
from a2ibench.board.standings import Standing
from a2ibench.pictures.buckets import Plot, plots


def board_plots(board: Board, ranked: Sequence[Standing]) -> list[Plot]:
    """Find what can be drawn of a board: its columns of buckets, rows in the order of a column, real outputs beside."""
    order = {standing.entry.slug: place for place, standing in enumerate(ranked)}
    entries = sorted(board.entries, key=lambda entry: order.get(entry.slug, len(order)))
    return plots([(board.names[entry.slug], entry.result) for entry in entries], board.sanity, board.columns)
