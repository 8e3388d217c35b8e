"""The command line. Data goes to stdout, progress and errors to stderr; exit 0 done, 1 check failed, 2 wrong use."""

import sys
import warnings
from typing import Annotated

import typer

from a2ibench import __version__
from a2ibench.cli import board, data, look, rate, reproduce, run  # noqa: F401  # they register their commands
from a2ibench.cli.shared import app, note
from a2ibench.errors import A2IBenchError, A2IBenchWarning


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
    """The benchmark for making images from sound."""


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Print a warning as one line, without the place in the code."""
    note(f"a2ibench: {message}" if issubclass(category, A2IBenchWarning) else f"{category.__name__}: {message}")


def main() -> None:
    """Run the command line: one sentence and exit code 2 for what the user can mend."""
    warnings.showwarning = _show_warning
    try:
        app()
    except A2IBenchError as error:
        note(f"a2ibench: {error}")
        sys.exit(2)
    except OSError as error:  # a path that is too long, a folder that one may not enter, a full disk
        where = f"{error.filename}: " if error.filename is not None else ""
        note(f"a2ibench: {where}{error.strerror or error}; give another path.")
        sys.exit(2)
    except KeyboardInterrupt:
        note("Stopped; the same command goes on from what is whole.")
        sys.exit(130)
