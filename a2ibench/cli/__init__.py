"""The command line. Data goes to stdout, progress and errors to stderr; exit 0 done, 1 check failed, 2 wrong use."""

import _thread
import atexit
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

# All else is imported by `main`, so that Ctrl-C while that goes on is one line as well.


def main() -> None:
    """Run the command line: one sentence and exit code 2 for what the user can fix, 130 after Ctrl-C."""
    usual, sys.unraisablehook = sys.unraisablehook, _heard
    try:
        _run()
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as end:  # typer makes this of Ctrl-C, and says nothing
        if end.code == 130:
            _stopped()
        raise
    finally:
        sys.unraisablehook = usual
        atexit.register(_deaf)


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


def _stopped() -> NoReturn:
    sys.stderr.write("Stopped; the same command goes on from what is whole.\n")
    sys.exit(130)


def _deaf() -> None:
    """Let Ctrl-C pass while Python ends: all is done, and it would only be a traceback."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _heard(unraisable: Any) -> None:
    """Raise Ctrl-C once more where it came while Python tidied an object up, and would be lost."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(0.01, _interrupt).start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # wakes one who waits, too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def __getattr__(name: str) -> Any:
    if name == "app":
        from a2ibench.cli.root import app

        return app
    raise AttributeError(name)
