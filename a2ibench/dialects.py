"""Read CSV tables as spreadsheets, forms and scripts write them: any encoding, separator and decimal mark.

Commas, semicolons or tabs; UTF-8 with or without a byte order mark, UTF-16 with one; any line ends; blank lines;
a line ``sep=;``; empty columns and fields at the end; names of columns in any case and with any signs between their
letters. Refused, with the line, is what can be read in two ways or would lose something without a word.
"""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited
from a2ibench.text import plain

MOST_BYTES = 100_000_000
MOST_ROWS = 1_000_000
MOST_COLUMNS = 10_000
DELIMITERS = ",;\t"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_ALONE = "\x1f"  # delimits nothing: a table of one column


@dataclass(frozen=True)
class UserTable:
    """A table that a user wrote.

    Attributes
    ----------
    path
        Its file.
    header
        The names of the columns, without blanks around them, as the user writes them; printable.
    rows
        The line in the file and the fields of each row, as many as the header has, without blanks around them.
    delimiter
        What stands between the columns.

    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    delimiter: str

    def where(self, line: int) -> str:
        """Name a line, for messages."""
        return f"{shown_path(self.path)}, line {line}"

    @property
    def names(self) -> list[str]:
        """The columns' names as `bare_name` makes them."""
        return [bare_name(name) for name in self.header]


def bare_name(name: str) -> str:
    """Give what is left of a column's name in any spelling: ``Clip_ID``, ``clip id`` and ``ClipId`` are ``clipid``."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", name).casefold() if sign.isalnum())


def shown(text: str, longest: int = 60) -> str:
    """Quote a stranger's text for a message: one line, printable, not long."""
    return f"'{plain(text, longest)}'"


def shown_path(path: Path) -> str:
    """Name a file in a message, without anything that a terminal would obey."""
    return plain(str(path), 200)


def read_table(path: Path, *, known: Callable[[str], bool] = lambda _: False, most: int = MOST_BYTES) -> UserTable:
    """Read a table with a header.

    Parameters
    ----------
    path
        The file.
    known
        Whether a column's `bare_name` is one that the caller looks for: decides between two delimiters that both fit.
    most
        The most bytes that are read.

    Raises
    ------
    A2IBenchError
        If it can't be read, is too large, no text or empty, has rows of other lengths than its header, an open
        quote, or two delimiters fit it equally well.

    """
    text, skipped = _without_sep(_decoded(path, most))
    if not text.strip():
        raise A2IBenchError(f"{shown_path(path)} is empty; it needs a header with the names of the columns, and rows.")
    delimiter = skipped or _delimiter(path, text, known)
    first = 2 if skipped else 1
    lines = [(line + first - 1, fields) for line, fields in _parsed(path, text, delimiter, first - 1)]
    header, rows = [plain(name, 200) for name in lines[0][1]], lines[1:]
    while (
        header
        and not header[-1]
        and not any(len(fields) >= len(header) and fields[len(header) - 1] for _, fields in rows)
    ):
        header.pop()
    if not rows:
        raise A2IBenchError(f"{shown_path(path)} has a header and no rows; add them.")
    table = []
    for line, fields in rows:
        while len(fields) > len(header) and not fields[-1]:
            fields.pop()
        if len(fields) != len(header):
            raise A2IBenchError(
                f"{shown_path(path)}, line {line}: the row has {len(fields)} field{'s' * (len(fields) != 1)} and the "
                f"header {len(header)} (split at {_NAMES.get(delimiter, 'nothing')}); put quotes round a field that "
                "holds the delimiter, and write every field, also an empty one."
            )
        table.append((line, tuple(fields)))
    return UserTable(path, tuple(header), tuple(table), delimiter)


def _decoded(path: Path, most: int) -> str:
    name = shown_path(path)
    try:
        data = read_limited(Path(os.path.realpath(path)), most)  # a user's own file may be a link
    except FileNotFoundError:
        raise A2IBenchError(f"There is no {name}; name the file with the table.") from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise A2IBenchError(f"{name} is a spreadsheet's own format; save the sheet as 'CSV UTF-8' and give that.")
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise A2IBenchError(f"{name} is no text in UTF-8 or UTF-16; save it as 'CSV UTF-8'.")
    return text


def _without_sep(text: str) -> tuple[str, str]:
    """Take off Excel's first line ``sep=;``, and give the delimiter that it names."""
    found = re.match(r'"?sep=([,;\t])"?(?:\r\n|\r|\n)', text, re.IGNORECASE)
    return (text[found.end() :], found[1]) if found else (text, "")


def _parsed(path: Path, text: str, delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """Give each row that is not blank, with the line on which it begins."""
    # Strict: else a quote that is never closed swallows all rows after it without a word.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    line, count = 1, 0
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if any(stripped):
                count += 1
                if count > MOST_ROWS + 1 or len(stripped) > MOST_COLUMNS:
                    raise A2IBenchError(
                        f"{shown_path(path)} has more than {MOST_ROWS} rows or {MOST_COLUMNS} columns; is it the "
                        "right file?"
                    )
                yield line, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise A2IBenchError(
            f"{shown_path(path)}, line {line + before}: this is no CSV ({plain(str(error))}); is a quote left open?"
        ) from None


def _delimiter(path: Path, text: str, known: Callable[[str], bool]) -> str:
    """Choose the delimiter: the one that splits every row as it splits the header."""
    headers, fitting = {}, []
    for delimiter in DELIMITERS:
        try:
            rows = _parsed(path, text, delimiter, 0)
            headers[delimiter] = next(rows)[1]
            if len(headers[delimiter]) > 1 and all(len(fields) == len(headers[delimiter]) for _, fields in rows):
                fitting.append(delimiter)
        except A2IBenchError:
            continue
    split = {delimiter: header for delimiter, header in headers.items() if len(header) > 1}
    if not split:
        return _ALONE if headers else ","
    # The names that are looked for say more than equal rows: a comma may stand in each of them.
    score = {
        delimiter: (sum(known(bare_name(name)) for name in header), delimiter in fitting)
        for delimiter, header in split.items()
    }
    best = max(score.values())
    chosen = [delimiter for delimiter in split if score[delimiter] == best]
    if len(chosen) > 1 and not best[1]:
        most = max(len(split[delimiter]) for delimiter in chosen)
        chosen = [delimiter for delimiter in chosen if len(split[delimiter]) == most]
    if len(chosen) > 1:
        first, second = (_NAMES[delimiter] for delimiter in chosen[:2])
        raise A2IBenchError(
            f"{shown_path(path)} can be split at {first} and at {second} alike; keep one of them, or put quotes round "
            "the fields that hold the other."
        )
    return chosen[0]
