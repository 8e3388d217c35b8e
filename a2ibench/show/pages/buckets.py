"""Plots of scores in buckets as the pages show them: the picture, what it says in words, its numbers as a table."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from a2ibench.pictures.buckets import Plot
from a2ibench.pictures.lines import line_picture
from a2ibench.show.pages import data_uri


def on_page(found: Sequence[Plot], told: str) -> list[dict[str, Any]]:
    """Give what a page shows of plots; `told` says of which suite and clips they are."""
    return [
        {
            "id": f"plot-{number}",
            "title": plot.title,
            "picture": data_uri("image/webp", _webp(plot, told)),
            "alt": plot.alt,
            "axis": plot.axis,
            "drop": plot.summary,
            "heads": [(name, plot.clips(place)) for place, name in enumerate(plot.names)],
            "rows": [
                {
                    "name": line.name,
                    "held": line.held,
                    # The score, and its interval below it.
                    "cells": [each.partition(" ") for each in (*map(plot.cell, line.buckets), plot.drop(line))],
                }
                for line in plot.lines
            ],
            "left_out": plot.left_out,
        }
        for number, plot in enumerate(found, 1)
    ]


def _webp(plot: Plot, told: str) -> bytes:
    buffer = BytesIO()
    line_picture(plot, told).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()
