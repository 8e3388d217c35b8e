"""Clips: an id, a label, and a file or text per column, read from a folder with ``clips.csv`` and checked."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import overload

from a2ibench.dialects import bare_name, read_table, shown_path
from a2ibench.errors import A2IBenchError
from a2ibench.files import sha256_file
from a2ibench.media import get as get_medium
from a2ibench.media.audio import read_audio as read_audio
from a2ibench.media.image import read_image as read_image
from a2ibench.media.image import to_rgb as to_rgb
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task
from a2ibench.text import plain

LONGEST_TEXT = 2000  # characters
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Clip:
    """What a method is given and its real counterpart, by the task's columns, and the name of the event.

    >>> clip = Clip("bell-0", "bell ringing", {"audio": Path("bell-0.wav"), "image": Path("bell-0.png")})
    >>> clip.file("audio").name
    'bell-0.wav'
    """

    clip_id: str
    label: str
    values: Mapping[str, Path | str]

    def __hash__(self) -> int:
        return hash((self.clip_id, self.label, tuple(self.values.items())))

    def __getitem__(self, column: str) -> Path | str:
        """Give the value of a column: the path of a file, or a text."""
        return self.values[column]

    def file(self, column: str) -> Path:
        """Give the file of a column that is not text."""
        value = self.values[column]
        assert isinstance(value, Path), f"{column} holds text"  # noqa: S101  a mistake of the caller
        return value

    def text(self, column: str) -> str:
        """Give the text of a column, or the label."""
        return self.label if column == "label" else str(self.values[column])


class ClipSet(Sequence[Clip]):
    """Clips in the order of their ids, so that nothing depends on the order of a file or a folder."""

    def __init__(self, clips: Sequence[Clip], name: str, task: Task | None = None):
        self.name, self.task = name, task or get_task(DEFAULT)
        self._clips = tuple(sorted(clips, key=lambda clip: clip.clip_id))

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> "ClipSet": ...
    def __getitem__(self, index: int | slice) -> "Clip | ClipSet":
        if isinstance(index, slice):
            return ClipSet(self._clips[index], self.name, self.task)
        return self._clips[index]

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self._clips)

    @property
    def ids(self) -> tuple[str, ...]:
        """The clip ids, sorted."""
        return tuple(clip.clip_id for clip in self._clips)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each clip."""
        return tuple(clip.label for clip in self._clips)

    @cached_property
    def digest(self) -> str:
        """The sha256 over ids, labels and the contents of all files: what makes two sets the same."""
        digest = hashlib.sha256()
        for clip in self._clips:
            parts = (clip.clip_id, clip.label, *clip_digests(clip))
            digest.update("\0".join(parts).encode() + b"\n")
        return digest.hexdigest()

    def spread(self, count: int) -> "ClipSet":
        """Take ``count`` clips spread evenly over the labels, always the same ones."""
        by_label: dict[str, list[Clip]] = {}
        for clip in self._clips:
            by_label.setdefault(clip.label, []).append(clip)
        rounds = max((len(clips) for clips in by_label.values()), default=0)
        turn = [clips[i] for i in range(rounds) for clips in by_label.values() if i < len(clips)]
        return ClipSet(turn[:count], self.name, self.task)


def clip_digests(clip: Clip) -> list[str]:
    """Give what tells the contents of a clip's columns: the sha256 of a file, a text itself."""
    return [sha256_file(value) if isinstance(value, Path) else value for value in clip.values.values()]


def load_clips(folder: Path, name: str | None = None, task: Task | None = None) -> ClipSet:
    """Read ``folder/clips.csv`` and check the names in it; the media are checked by `check_media`.

    The columns are ``clip_id``, those of the task (by default ``audio,image``) and ``label``; those that the task calls
    optional are read where they are there, and may be empty where they hold text; further ones are ignored. Any
    spreadsheet's way of saving it is read: see `a2ibench.dialects`. Paths are relative to the folder and stay inside
    it, with slashes or backslashes. A sound may be any file with one in it, also a video; an image any image, or a
    video, whose middle frame is taken.

    Raises
    ------
    A2IBenchError
        If the manifest is missing, lacks a column, is empty, or has a duplicate or unsafe id or path.

    """
    task = task or get_task(DEFAULT)
    columns = ("clip_id", *task.columns, "label")
    manifest = folder / "clips.csv"
    if not manifest.is_file():
        raise A2IBenchError(
            f"There is no {shown_path(manifest)}: a data folder needs a clips.csv with the columns {','.join(columns)}."
        )
    rows = _rows(manifest, columns, tuple(task.optional))
    seen: dict[str, int] = {}
    clips = []
    for line, row in rows:
        clip = _clip(folder, row, task, f"{shown_path(manifest)}, line {line}")
        first = seen.setdefault(clip.clip_id.lower(), line)
        if first != line:
            raise A2IBenchError(
                f"{shown_path(manifest)}, line {line}: the clip id {clip.clip_id!r} stands in line {first} already "
                "(case does not count); give each clip an id of its own."
            )
        clips.append(clip)
    return ClipSet(clips, name or folder.resolve().name, task)


def _rows(manifest: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Read a manifest in any dialect: the line of each row, and its values by column."""
    wanted = {column: bare_name(column) for column in (*columns, *optional)}
    table = read_table(manifest, known=frozenset(wanted.values()).__contains__)
    places = {}
    for column, bare in wanted.items():
        # Spelled exactly, it is the one, whatever else is spelled alike.
        places[column] = [place for place, name in enumerate(table.header) if name == column]
        places[column] = places[column] or [place for place, name in enumerate(table.names) if name == bare]
    missing = [column for column in columns if not places[column]]
    if missing:
        raise A2IBenchError(
            f"{shown_path(manifest)} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"found: {plain(', '.join(table.header)) or 'nothing'}."
        )
    twice = [column for column in wanted if len(places[column]) > 1]
    if twice:
        raise A2IBenchError(f"{shown_path(manifest)} has the column {twice[0]} twice; leave one out.")
    there = [column for column in wanted if places[column]]
    return [(line, {column: fields[places[column][0]] for column in there}) for line, fields in table.rows]


def _clip(folder: Path, values: Mapping[str, str], task: Task, where: str) -> Clip:
    if not _SAFE_ID.fullmatch(values["clip_id"]):
        raise A2IBenchError(
            f"{where}: the clip id {values['clip_id']!r} is not safe as a file name; use letters, digits, "
            "'_', '-' and '.', at most 128, and no '.' in front."
        )
    if not values["label"]:
        raise A2IBenchError(f"{where}: the label is empty; name the event that is heard.")
    if not values["label"].isprintable():
        raise A2IBenchError(
            f"{where}: the label {values['label'][:60]!r} holds a line break or another character that "
            "can't be printed; is a quote left open?"
        )
    found: dict[str, Path | str] = {}
    for column, medium in {**task.columns, **task.optional}.items():
        if column not in values:
            continue
        if medium == "text":
            blank = column in task.optional and not values[column]
            found[column] = "" if blank else _checked_text(values[column], column, where)
            continue
        found[column] = _inside(folder, values[column], column, where)
    return Clip(values["clip_id"], values["label"], found)


def _inside(folder: Path, written: str, column: str, where: str) -> Path:
    """Give the file that a path names, written with slashes or as Windows does."""
    path = PurePosixPath(written.replace("\\", "/"))
    if not written or path.is_absolute() or ".." in path.parts or PureWindowsPath(written).drive:
        raise A2IBenchError(
            f"{where}: the {column} path {written!r} is empty or leaves the folder; give a path relative to clips.csv."
        )
    # Elsewhere than on Windows a backslash may be a part of a name.
    if "\\" in written and os.sep == "/" and os.path.lexists(folder / written):
        raise A2IBenchError(
            f"{where}: the {column} path {written!r} may name a file with a backslash in its name, which is there, or "
            "one in a folder; write slashes between folders, and no backslash in names."
        )
    return folder / path


def _checked_text(text: str, column: str, where: str) -> str:
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        what = "is empty" if not text else "is too long" if len(text) > LONGEST_TEXT else "can't be printed"
        raise A2IBenchError(
            f"{where}: the {column} {text[:60]!r} {what}; give 1 to {LONGEST_TEXT} printable characters."
        )
    return text


def check_media(clip: Clip, task: Task | None = None) -> None:
    """Read a clip's files, so that bad input is refused before any work starts."""
    for column, medium in (task or get_task(DEFAULT)).columns.items():
        if medium != "text":
            get_medium(medium).check(clip.file(column))
