"""The command line. Data goes to stdout, progress and errors to stderr; exit 0 done, 1 check failed, 2 wrong use."""

import sys
from contextlib import suppress
from typing import Any

# All else is imported by `main`, so that Ctrl-C while that goes on is one line as well.


def main() -> None:
    """Run the command line: one sentence and exit code 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        _run()
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as end:  # typer makes this of Ctrl-C, and says nothing
        if end.code == 130:
            _stopped()
        raise


def _run() -> None:
    import warnings

    from a2ibench.cli.root import app, show_warning
    from a2ibench.cli.shared import note
    from a2ibench.errors import A2IBenchError

    warnings.showwarning = show_warning
    try:
        app()
    except A2IBenchError as error:
        note(f"a2ibench: {error}")
        sys.exit(2)
    except OSError as error:  # a path that is too long, a folder that one may not enter, a full disk
        where = f"{error.filename}: " if error.filename is not None else ""
        note(f"a2ibench: {where}{error.strerror or error}; give another path.")
        sys.exit(2)


def _stopped() -> None:
    import signal

    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed twice: what is left is only to end
    sys.stderr.write("Stopped; the same command goes on from what is whole.\n")
    sys.exit(130)


def __getattr__(name: str) -> Any:
    if name == "app":
        from a2ibench.cli.root import app

        return app
    raise AttributeError(name)
