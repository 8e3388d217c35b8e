"""The exceptions of the toolkit, and the hint with the nearest known name."""

from collections.abc import Iterable
from difflib import get_close_matches


class A2IBenchError(Exception):
    """A problem that the user can fix: one sentence with what was wrong, what was found and what to do.

    The library raises it; only the CLI prints it, and exits with code 2.
    """


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that looks most like a wrong one, if any does."""
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    return near[0] if near else None


def unknown(kind: str, name: str, known: Iterable[str]) -> A2IBenchError:
    """Build the error for a wrong name, with the nearest right one.

    Parameters
    ----------
    kind
        What the name is of, for example ``"method"``.
    name
        The name that was given.
    known
        The names that exist.

    """
    names = sorted(known)
    near = nearest(name, names)
    hint = f"did you mean {near!r}? " if near else ""
    return A2IBenchError(f"There is no {kind} {name!r}; {hint}known: {', '.join(names) or 'none'}.")


class A2IBenchWarning(UserWarning):
    """Something that the user should know and that does not stop the work, as one sentence."""


class A2IBenchNote(A2IBenchWarning):
    """Something that is merely told: nothing is wrong with it."""
