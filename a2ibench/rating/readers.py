"""Reading the answers that raters sent back: CSV, the page's JSON, or the server's SQLite, several at once.

What a rater or a spreadsheet may do to a file is either read as what it plainly means (see `read_ratings`), or
refused with a sentence that names the place. Nothing is guessed and nothing is dropped without a word.
"""

import csv
import io
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from a2ibench.errors import A2IBenchError
from a2ibench.rating.study import ANSWER_COLUMNS, RATER, Study, Value

MOST_BYTES = 100_000_000
MOST_ANSWERS = 1_000_000
_SQLITE = b"SQLite format 3\0"
_SUFFIXES = frozenset({".csv", ".json", ".sqlite"})


@dataclass(frozen=True)
class Answer:
    """One rater's answer to one item; `seconds` and `at` are None where the file leaves them out."""

    rater: str
    item: str
    value: Value
    seconds: float | None
    at: datetime | None


@dataclass(frozen=True)
class Ratings:
    """All answers, one for each rater and item, in the order of both."""

    answers: tuple[Answer, ...]
    files: tuple[str, ...]
    """The names of the files that were read."""
    repeated: int
    """Answers that stood there more than once, alike: each counts once."""
    changed: tuple[str, ...]
    """The raters who gave an item two different answers: the later one counts."""


def answer_files(paths: Sequence[Path]) -> list[Path]:
    """Give the files behind `paths`: a study folder stands for its ``ratings.sqlite``, another folder for its files.

    Raises
    ------
    A2IBenchError
        If a path does not exist, or a folder holds no answers.

    """
    files: list[Path] = []
    for path in paths:
        try:
            folder = path.is_dir()
        except OSError as error:
            raise A2IBenchError(f"{str(path)[:80]} can't be read: {error.strerror or error}.") from None
        if not folder:
            files.append(path)
            continue
        database = path / "ratings.sqlite"
        study = (path / "study.toml").is_file()
        found = [database] if study else sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
        if not found or (study and not database.is_file()):
            raise A2IBenchError(
                f"There are no answers in {path}: 'a2ibench rate serve' keeps them in ratings.sqlite, and the page "
                "makes a .csv or .json to send back; name those files."
            )
        files += found
    return list(dict.fromkeys(files))


def study_of(paths: Sequence[Path]) -> Path:
    """Find the study folder of some answers: a path itself, or a folder in which it lies.

    Raises
    ------
    A2IBenchError
        If there is none, or more than one.

    """
    try:
        folders = {
            folder
            for path in paths
            for one in [(path, *path.resolve().parents)]
            for folder in [next((place for place in one if (place / "study.toml").is_file()), None)]
            if folder is not None
        }
    except OSError as error:
        raise A2IBenchError(f"The answers can't be read: {error.strerror or error}; name their files.") from None
    if len({folder.resolve() for folder in folders}) > 1:
        names = ", ".join(sorted(map(str, folders)))
        raise A2IBenchError(f"The answers lie in several studies ({names}); aggregate each by itself.")
    if not folders:
        raise A2IBenchError("Of which study are these answers? Give its folder with --study.")
    return folders.pop()


def read_ratings(paths: Sequence[Path], study: Study) -> Ratings:
    """Read answers, from whatever the raters and the server kept them in, and check each against the study.

    Read as what they plainly mean: commas, semicolons or tabs; UTF-8 with or without a byte order mark, UTF-16 with
    one; CRLF; columns in any order, further columns, blank lines; a decimal comma in the seconds; ``4.0`` for 4;
    missing seconds or times. An answer that stands there twice counts once. Where a rater gave an item two
    different answers, the later one (`at`) counts.

    Parameters
    ----------
    paths
        Files, or folders of them: see `answer_files`.
    study
        The study they must belong to.

    Raises
    ------
    A2IBenchError
        With the file and the line, if one can't be read, is of another study, lacks a column, or holds an
        unknown item or a value off the scale; or if two answers contradict each other at one time.

    """
    files = answer_files(paths)
    kept: dict[tuple[str, str], Answer] = {}
    repeated, changed = 0, set()
    for file in files:
        for where, row in _rows(file):
            answer = _answer(row, where, study)
            key = (answer.rater, answer.item)
            before = kept.setdefault(key, answer)
            if len(kept) > MOST_ANSWERS:
                raise A2IBenchError(f"{file}: these are more than {MOST_ANSWERS} answers; is it the right file?")
            if before is answer:
                continue
            if before.value != answer.value:
                changed.add(answer.rater)
            else:
                repeated += 1
            kept[key] = _later(before, answer, where)
    if not kept:
        names = ", ".join(str(file) for file in files)
        raise A2IBenchError(f"There is no answer in {names}: let somebody rate first.")
    answers = tuple(kept[key] for key in sorted(kept))
    return Ratings(answers, tuple(file.name for file in files), repeated, tuple(sorted(changed)))


def _later(a: Answer, b: Answer, where: str) -> Answer:
    if a.value == b.value:
        return a if b.at is None or (a.at is not None and a.at >= b.at) else b
    if a.at is None or b.at is None or a.at == b.at:
        raise A2IBenchError(
            f"{where}: {b.rater} answered the item {b.item} with {b.value!r} and elsewhere with {a.value!r}, and no "
            "time says which is later; delete the wrong one, or rename one of two raters of one name."
        )
    return a if a.at > b.at else b


# ------------------------------------------------------------------------------------------------ one answer


def _answer(row: Mapping[str, Any], where: str, study: Study) -> Answer:
    """Check one row; `row` has all columns."""
    found, rater, item = (_text(row[column]) for column in ("study", "rater", "item"))
    if found != study.digest:
        raise A2IBenchError(
            f"{where}: the answer is of the study {found[:40]!r}, and this one is {study.digest!r}; aggregate each "
            "study by itself, with the study.toml and items.json with which it was answered."
        )
    if not RATER.fullmatch(rater):
        raise A2IBenchError(
            f"{where}: {rater[:80]!r} is no rater's name; use 1 to 64 letters, digits, blanks and . _ @ -, beginning "
            "with a letter or digit."
        )
    if item not in study.by_id:
        spoilt = "; a spreadsheet took it for a number: use the file as the page made it" if _number(item) else ""
        raise A2IBenchError(
            f"{where}: there is no item {item[:40]!r} in the study{spoilt or '; is it a file of another study?'}"
            f"{'.' if spoilt else ''}"
        )
    return Answer(rater, item, _value(row["value"], where, study), _seconds(row["seconds"], where), _time(row, where))


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a list or an object"  # as deep as JSON may be: it is never written out
    return "" if value is None else str(value).strip()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _value(value: Any, where: str, study: Study) -> Value:
    text = _text(value)
    number = None if isinstance(value, bool) else _number(text)
    for right in study.values:
        if text == right or (isinstance(right, int) and number == right):
            return right
    raise A2IBenchError(
        f"{where}: the value {text[:40]!r} is none that can be given; the study takes "
        f"{', '.join(str(right) for right in study.values)}."
    )


def _seconds(value: Any, where: str) -> float | None:
    text = _text(value).replace(",", ".")
    if not text:
        return None
    number = _number(text)
    if number is None or number < 0:
        raise A2IBenchError(f"{where}: the seconds {text[:40]!r} are not a number of 0 or more; fix or empty them.")
    return number


def _time(row: Mapping[str, Any], where: str) -> datetime | None:
    text = _text(row["at"])
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise A2IBenchError(
            f"{where}: the time {text[:40]!r} is not like 2026-01-31T12:00:00Z; fix or empty it."
        ) from None


# ------------------------------------------------------------------------------------------------- the files


def _rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give each row of a file, with its place for the errors."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(64)
            if head.startswith(_SQLITE):
                return _sqlite_rows(file)
            if size > MOST_BYTES:
                most = MOST_BYTES / 1e6
                raise A2IBenchError(f"{file} has {size / 1e6:.0f} MB, and at most {most:.0f} are read; is it answers?")
            data = head + stream.read()
    except FileNotFoundError:
        raise A2IBenchError(f"There is no {file}; name the files that the raters sent back.") from None
    except OSError as error:
        raise A2IBenchError(f"{file} can't be read: {error.strerror or error}.") from None
    text = _decoded(data, file)
    if not text.strip():
        raise A2IBenchError(f"{file} is empty; ask the rater to save the answers again.")
    return _json_rows(file, text) if text.lstrip()[0] in "{[" else _csv_rows(file, text)


def _decoded(data: bytes, file: Path) -> str:
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise A2IBenchError(f"{file} is no text in UTF-8 or UTF-16; save it as 'CSV UTF-8', or use the file as it was.")
    return text


def _csv_rows(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    first = text.lstrip().splitlines()[0]
    blank = text[: len(text) - len(text.lstrip())]
    before = len(blank.splitlines())  # lines before the header
    delimiter = max(",;\t", key=first.count)
    # Strict: else a quote that is never closed swallows all rows after it without a word.
    reader = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader)]
        missing = [name for name in ANSWER_COLUMNS if header.count(name) != 1]
        if missing:
            raise A2IBenchError(
                f"{file} must have the columns {', '.join(ANSWER_COLUMNS)}, each once; {missing[0]!r} is missing or "
                f"there twice, found: {', '.join(header)[:200]}."
            )
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            where = f"{file}, line {before + reader.line_num}"
            if len(fields) != len(header):
                raise A2IBenchError(
                    f"{where}: the row has {len(fields)} fields and the header {len(header)}; use the file as it was."
                )
            yield where, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise A2IBenchError(
            f"{file}, line {before + reader.line_num}: this is no CSV ({error}); use the file as it was."
        ) from None


def _json_rows(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise A2IBenchError(f"{file} is not whole JSON ({error}); ask the rater to save the answers again.") from None
    answers = found.get("answers") if isinstance(found, dict) else None
    if not isinstance(answers, list) or not all(isinstance(found.get(name), str) for name in ("study", "rater")):
        raise A2IBenchError(
            f"{file} is JSON, but not what the page saves: that has 'study', 'rater' and a list of 'answers'."
        )
    shared = {"study": found["study"], "rater": found["rater"]}
    for number, answer in enumerate(answers, 1):
        where = f"{file}, answer {number}"
        if not isinstance(answer, dict) or not {"item", "value"} <= answer.keys():
            raise A2IBenchError(f"{where}: an answer must have 'item' and 'value'; use the file as the page made it.")
        if any(answer.get(name, shared[name]) != shared[name] for name in shared):
            raise A2IBenchError(f"{where}: it is of another study or rater than the file; use the file as it was.")
        yield where, {"seconds": None, "at": None, **answer, **shared}


def _sqlite_rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Nothing is written, and a server may go on meanwhile. Without its log (-wal) nobody has the file open;
    # "immutable" then keeps SQLite from making one, which it needs even for reading.
    mode = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
    columns = ", ".join(ANSWER_COLUMNS)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?{mode}", uri=True, timeout=10)) as database:
            known = {name for _, name, *_ in database.execute("PRAGMA table_info(answers)")}
            if not known >= set(ANSWER_COLUMNS):
                raise A2IBenchError(
                    f"{file} is an SQLite file, but not one of 'a2ibench rate serve': it lacks a table 'answers' with "
                    f"the columns {columns}."
                )
            rows: Iterable[tuple[Any, ...]] = database.execute(
                f"SELECT {columns} FROM answers ORDER BY rater, item"  # noqa: S608  # constants
            )
            for number, row in enumerate(rows, 1):
                yield f"{file}, answer {number}", dict(zip(ANSWER_COLUMNS, row, strict=True))
    except sqlite3.Error as error:
        raise A2IBenchError(f"{file} can't be read as SQLite ({error}); copy it again, with its -wal file.") from None
