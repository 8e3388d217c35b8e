"""What a `Medium` is: how files of one kind are read, checked, written, and shown small and in pages."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from a2ibench.errors import A2IBenchError

LONGEST_SECONDS = 600
MOST_PIXELS = 64_000_000


@dataclass(frozen=True)
class Uniform:
    """How files of a medium are made alike for people who judge them: one format, one size, no metadata."""

    suffix: str
    """The ending."""
    mime: str
    """What a browser is told that it is."""
    make: Callable[..., bytes]
    """``make(path, whole=False)``: pictures are cut to a square, from the middle, unless they are wanted whole."""


@dataclass(frozen=True)
class Medium:
    """A kind of files.

    Every function that takes a path raises `A2IBenchError` where the file is missing, empty, broken, cut short,
    hostile, or not of this kind: its content decides, not its ending.
    """

    name: str
    """``image``, ``audio``, ``video`` or ``text``."""
    noun: str
    """What a sentence calls one: "an image"."""
    suffixes: tuple[str, ...]
    """The usual endings, with their dot; the first is what we write."""
    read: Callable[..., Any]
    """``read(path)`` gives what encoders take; for sounds ``read(path, rate)``."""
    write: Callable[..., None]
    """``write(path, value)``, whole or not at all."""
    inspect: Callable[[Path], str]
    """Check an output by its content (broken, blank, silent, too long): the sha256 of what one sees or hears."""
    tile: Callable[..., Image.Image]
    """``tile(path)`` draws it small."""
    element: Callable[[str, str], str]
    """``element(address, description)`` is the HTML that shows it; both are escaped."""
    uniform: Uniform
    """What raters get of it."""

    def check(self, path: Path) -> None:
        """Read a file, so that a bad one is refused before any work starts."""
        found = self.read(path)
        if isinstance(found, Iterator):  # a video's frames
            for _ in found:
                pass


def refusal(message: str) -> A2IBenchError:
    """Build the error over a file: its name and a library's words may hold what a terminal would act upon."""
    return A2IBenchError("".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in message))


def said(error: BaseException) -> str:
    """What a library said, on one short line; its name where it said nothing."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:200].rstrip(".") or type(error).__name__


def check_file(path: Path, what: str) -> None:
    """Refuse what is no plain file with something in it: a pipe would keep one waiting for ever.

    Raises
    ------
    A2IBenchError
        If it is missing, empty, a folder, a pipe or a device, or may not be looked at.

    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in its name
        raise refusal(f"The {what} file {path} does not exist; fix its path in clips.csv.") from None
    except OSError as error:  # a name too long, a folder that one may not enter
        raise refusal(f"The {what} file {path} can't be read: {said(error)}.") from None
    if stat.S_ISDIR(found.st_mode):
        raise refusal(f"The {what} file {path} does not exist: it is a folder; fix its path in clips.csv.")
    if not stat.S_ISREG(found.st_mode):
        raise refusal(f"The {what} file {path} is not a plain file (a pipe or a device); put the file itself there.")
    if found.st_size == 0:
        raise refusal(f"The {what} file {path} is empty; make it again.")
