"""The application with all its commands."""

from typing import Annotated

import typer

from a2ibench import __version__
from a2ibench.cli import board, data, index, look, rate, reproduce, run  # noqa: F401  # they register their commands
from a2ibench.cli.shared import app, note
from a2ibench.errors import A2IBenchNote, A2IBenchWarning

__all__ = ["app", "show_warning"]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"a2ibench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The benchmark for making images from sound, and sounds from video or text."""


def show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Print a warning as one line, without the place in the code."""
    if issubclass(category, A2IBenchNote):
        note(str(message))
    else:
        note(f"a2ibench: {message}" if issubclass(category, A2IBenchWarning) else f"{category.__name__}: {message}")
