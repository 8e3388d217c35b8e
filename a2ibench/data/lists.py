"""Lists of clips: what a corpus says that it holds, and the ids that somebody published."""

import csv
import hashlib
import io
import json
import pickletools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from a2ibench.errors import A2IBenchError
from a2ibench.text import plain, some

MOST_BYTES = 200_000_000
_ID_COLUMNS = ("clip_id", "video_id", "ytid", "id", "filename", "file", "video")

ParseId = Callable[[str], str | None]
"""Reads a name as a corpus writes it: a clip id, or the id of a whole video; None where it is neither."""


@dataclass(frozen=True)
class Entry:
    """A clip of a list: its id, and the event that is heard."""

    clip_id: str
    label: str


@dataclass(frozen=True)
class ClipList:
    """Clips in the order of their ids."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "ClipList":
        """Sort the clips, so that nothing depends on the order of a file."""
        return cls(tuple(sorted(entries, key=lambda entry: entry.clip_id)))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def ids(self) -> tuple[str, ...]:
        """The clip ids, sorted."""
        return tuple(entry.clip_id for entry in self.entries)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({entry.label for entry in self.entries}))

    @cached_property
    def digest(self) -> str:
        """The sha256 over ids and labels: two lists with the same one hold the same clips."""
        lines = "".join(f"{entry.clip_id}\t{entry.label}\n" for entry in self.entries)
        return hashlib.sha256(lines.encode()).hexdigest()

    def only(self, wanted: set[str], video_of: Callable[[str], str]) -> "ClipList":
        """Keep the clips whose id, or whose video's, is wanted."""
        return ClipList(tuple(e for e in self.entries if e.clip_id in wanted or video_of(e.clip_id) in wanted))

    def without(self, unwanted: set[str], video_of: Callable[[str], str]) -> "ClipList":
        """Leave out the clips whose id, or whose video's, is not wanted."""
        kept = (e for e in self.entries if e.clip_id not in unwanted and video_of(e.clip_id) not in unwanted)
        return ClipList(tuple(kept))


def read_rows(file: Path, what: str) -> list[tuple[int, list[str]]]:
    """Read a CSV file of the user's: each row that is not empty, with the number of its line.

    Cells are given as they are, blanks included.

    Raises
    ------
    A2IBenchError
        If it is missing, no text, no CSV, or far larger than any list.

    """
    text = _text(file, what)
    # A tab between the columns is as good as a comma, where there is no comma at all in the first line.
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first and "," not in first else ",")
    rows = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise A2IBenchError(f"{file}, line {reader.line_num} is not CSV ({error}); give {what}.") from None
    if not rows:
        raise A2IBenchError(f"{file} is empty; give {what}.")
    return rows


def _text(file: Path, what: str) -> str:
    try:
        return _bytes(file, what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise A2IBenchError(f"{file} is not a text file in UTF-8; give {what}.") from None


def _bytes(file: Path, what: str) -> bytes:
    if not file.is_file():
        raise A2IBenchError(f"There is no file {file}; give {what}.")
    try:
        if file.stat().st_size > MOST_BYTES:
            raise A2IBenchError(f"{file} is larger than {MOST_BYTES // 10**6} MB, and no list is; give {what}.")
        return file.read_bytes()
    except OSError as error:
        raise A2IBenchError(f"{file} can't be read ({error.strerror or error}); give {what}.") from None


def read_ids(file: Path, parse: ParseId) -> set[str]:
    """Read a published list of ids: text or CSV (one clip a row), JSON, or a pickled list of strings.

    Of a table with a header the column ``clip_id`` (or ``video_id``, ``ytid``) counts, and where there is a column
    ``status``, as in ``provenance.csv``, only the rows that were kept. A pickle is never loaded, which would run
    code from it: the strings in it are collected from its opcodes.

    Raises
    ------
    A2IBenchError
        If it can't be read, or a name in it is no clip of the corpus.

    """
    what = "a list of clip ids, one a line, or a clips.csv"
    suffix = file.suffix.lower()
    if suffix in (".pkl", ".pickle"):
        names = _pickled_strings(file, _bytes(file, what))
    elif suffix == ".json":
        names = _json_strings(file, _text(file, what))
    else:
        names = _column(read_rows(file, what))
    found = {name: parse(name) for name in names}
    wrong = [plain(name, 60) for name, clip in found.items() if clip is None]
    if wrong or not found:
        named = f"{some(wrong)} {'are' if len(wrong) > 1 else 'is'} no clip id" if wrong else "there is no id in it"
        raise A2IBenchError(f"{file} is not a list of clips ({named}); give {what}.")
    return {clip for clip in found.values() if clip is not None}


def _column(rows: Sequence[tuple[int, list[str]]]) -> list[str]:
    rows = [(line, [cell.strip() for cell in cells]) for line, cells in rows]
    header = [cell.lower() for cell in rows[0][1]]
    place = next((header.index(name) for name in _ID_COLUMNS if name in header), None)
    if place is None:
        return [cells[0] for _, cells in rows]
    kept = header.index("status") if "status" in header else None
    names = []
    for _, cells in rows[1:]:
        if kept is None or (kept < len(cells) and cells[kept] == "kept"):
            names.append(cells[place] if place < len(cells) else "")
    return names


def _json_strings(file: Path, text: str) -> list[str]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise A2IBenchError(f"{file} is not JSON; give a list of clip ids.") from None
    names = list(content) if isinstance(content, list | dict) else []
    if not all(isinstance(name, str) for name in names):
        raise A2IBenchError(f"{file} holds something else than ids; give a JSON list of clip ids.")
    return names


def _pickled_strings(file: Path, data: bytes) -> list[str]:
    try:
        return [str(value) for code, value, _ in pickletools.genops(data) if "UNICODE" in code.name]
    except Exception:  # it raises whatever a broken stream leads it to
        raise A2IBenchError(f"{file} is not a pickled list of strings; give a list of clip ids as text.") from None
