"""The callbacks that report progress: the library calls them, the command line shows them."""

from collections.abc import Callable

Advance = Callable[..., None]
"""Moves a progress bar by a count, and may give a note to show beside it: ``advance(1, "loss 0.05")``."""
Stage = Callable[[str, int], Advance]
"""Opens a progress bar: ``stage("encode images", total)`` gives the function that moves it."""


def silent(name: str, total: int) -> Advance:
    """Show no progress."""
    return lambda count, note="": None
