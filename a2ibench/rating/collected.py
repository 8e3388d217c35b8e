"""Ratings collected elsewhere: a table of who rated what how, from a form, a crowd platform or another tool."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from a2ibench.dialects import UserTable, bare_name, read_table, shown, shown_path
from a2ibench.errors import A2IBenchError
from a2ibench.rating.layout import Layout, Place, find_layout
from a2ibench.rating.matrix import Matrix, Rated
from a2ibench.rating.names import is_known
from a2ibench.rating.readers import MOST_ANSWERS
from a2ibench.rating.scale import Scale
from a2ibench.rating.study import Design
from a2ibench.tasks import tasks
from a2ibench.text import plain

MOST_METHODS = 100
MOST_CELLS = 20_000_000
_LONGEST = 200
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "#n/a", "-", "–", "—", "."})
# A number, perhaps with what it means: "4", "4,5", "5 - very relevant".
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+|,\d{1,2})?)(?:\s*(?:[-–—:=.(]|\s)\s*[^\d\s][^\d]*)?")
_SIDES = (
    "a 1 left first methoda modela systema optiona method1 model1 option1 imagea image1 imageleft leftimage",
    "b 2 right second methodb modelb systemb optionb method2 model2 option2 imageb image2 imageright rightimage",
)
_SIDE = {word: side for side, words in enumerate(_SIDES) for word in words.split()}
_TIE = (
    "tie ties tied equal equally equallygood equallybad same thesame both neither nopreference draw undecided "
    "tiebothbad bothbad bothgood nodifference cantdecide"
)
_TIES = frozenset(_TIE.split())
_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})


@dataclass(frozen=True)
class Collected:
    """Ratings collected elsewhere.

    Attributes
    ----------
    matrix
        The ratings. Of a pair, the first method is the one that comes first in the alphabet.
    title
        The files' names.
    digest
        Twelve digits of what was rated (methods, clips, design, scale): more raters leave it as it is.
    repeated
        Ratings that stood there more than once, alike: each counts once.
    changed
        The raters who gave something two different ratings: the later one counts.
    notes
        What a reader must know beside the numbers.
    said
        For each file how it was read.

    """

    matrix: Matrix
    title: str
    digest: str
    repeated: int
    changed: tuple[str, ...]
    notes: tuple[str, ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class _Rating:
    rater: str
    clip: str
    methods: tuple[str, ...]
    value: float
    seconds: float
    at: datetime | None
    where: str


def is_collected(paths: Sequence[Path]) -> bool:
    """Whether these are tables of ratings collected elsewhere, and not answers of a study made here.

    Answers are JSON, SQLite, folders of a study, and tables with a column ``study`` or, in a study's folder, without
    the columns of a rating.
    """
    for path in paths:
        if path.is_dir():
            if any(place.joinpath("study.toml").is_file() for place in (path, *path.resolve().parents)):
                return False
            files = sorted(path.iterdir())
        else:
            files = [path]
        for file in files:
            if file.suffix.lower() in (".json", ".sqlite"):
                return False
            if file.suffix.lower() in _SUFFIXES or file is path:
                return _is_table(file)
    return False


def _is_table(file: Path) -> bool:
    try:
        if not file.is_file():  # whoever opens a pipe may wait for ever
            raise OSError
        with file.open("rb") as stream:
            head = stream.read(65_536)
    except OSError:
        return not any((place / "study.toml").is_file() for place in file.resolve().parents)
    if head.startswith(b"SQLite format 3\0") or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return False
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")
    header = (text.strip().splitlines() or [""])[0]
    return "study" not in {bare_name(name) for name in re.split("[,;\t]", header)}


def table_files(paths: Sequence[Path]) -> list[Path]:
    """Give the files behind `paths`: a folder stands for the tables in it.

    Raises
    ------
    A2IBenchError
        If a folder holds none.

    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
        if not found:
            raise A2IBenchError(f"There is no table (.csv, .tsv, .txt) in {shown_path(path)}; name the files.")
        files += found
    return list(dict.fromkeys(files))


def read_collected(
    paths: Sequence[Path], *, columns: Mapping[str, Sequence[str]] | None = None, scale: Scale | None = None
) -> Collected:
    """Read ratings collected elsewhere.

    Parameters
    ----------
    paths
        Tables, or folders of them; all of one design.
    columns
        Which column is what, where their names do not tell: see `layout.parse_columns`.
    scale
        The scale that the raters saw; 1 to 5 by default.

    Raises
    ------
    A2IBenchError
        With the file and the line, if a table can't be read, a column is missing or could be two, a rating is no
        number or off the scale, a choice names neither side, or two ratings contradict each other.

    """
    scale = scale or Scale(step=None)
    kept: dict[tuple[str, str, tuple[str, ...]], _Rating] = {}
    designs: dict[Design, Path] = {}
    repeated, changed, rejected, said = 0, set(), 0, []
    for file in table_files(paths):
        table = read_table(file, known=is_known)
        layout = find_layout(table, columns or {}, _is_number)
        designs.setdefault(layout.design, file)
        if len(designs) > 1:
            names = " and ".join(shown_path(path) for path in designs.values())
            raise A2IBenchError(f"{names} are of two designs, ratings and pairs; aggregate each by itself.")
        count = len(kept)
        for rating, refused in _ratings(table, layout, scale):
            rejected += refused
            key = (rating.rater, rating.clip, rating.methods)
            before = kept.setdefault(key, rating)
            if before is rating:
                continue
            if before.value == rating.value:
                repeated += 1
            else:
                changed.add(rating.rater)
                kept[key] = _later(before, rating)
        if len(kept) > MOST_ANSWERS:
            raise A2IBenchError(f"These are more than {MOST_ANSWERS} ratings; aggregate parts of them.")
        things = "ratings" if layout.design == "likert" else "choices"
        said.append(f"{shown_path(file)}: {len(kept) - count} {things}; {layout.said}")
    if not kept:
        raise A2IBenchError(f"There is no rating in {', '.join(map(shown_path, paths))}; let somebody rate first.")
    design = next(iter(designs))
    matrix = _matrix(design, [kept[key] for key in sorted(kept)], scale if design == "likert" else Scale())
    what = [design, matrix.scale.name, sorted([item.clip_id, *item.methods] for item in matrix.items)]
    return Collected(
        matrix=matrix,
        title=plain(", ".join(file.name for file in table_files(paths)), 200),
        digest=hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12],
        repeated=repeated,
        changed=tuple(sorted(changed)),
        notes=_rejected(rejected),
        said=tuple(said),
    )


def _rejected(count: int) -> tuple[str, ...]:
    which = "1 rating stands in a row" if count == 1 else f"{count} ratings stand in rows"
    note = f"{which} with the status Rejected; they count as all others do, so delete what should not."
    return (note,) if count else ()


def _matrix(design: Design, ratings: Sequence[_Rating], scale: Scale) -> Matrix:
    raters = sorted({rating.rater for rating in ratings})
    items = sorted({(rating.clip, rating.methods) for rating in ratings})
    methods = sorted({method for _, pair in items for method in pair})
    by_case: dict[str, str] = {}
    for method in methods:
        other = by_case.setdefault(method.casefold(), method)
        if other != method:
            raise A2IBenchError(
                f"The methods {shown(other)} and {shown(method)} differ in capitals only; write one name for each."
            )
    for name in sorted({task.real for task in tasks().values()} & set(methods)):
        raise A2IBenchError(f"A method can't be called {name!r}, which means hidden controls; rename it.")
    if len(methods) > MOST_METHODS:
        raise A2IBenchError(
            f"These are {len(methods)} methods ({', '.join(shown(method, 20) for method in methods[:3])} …), and "
            f"{MOST_METHODS} are compared at most; say which column names the method with --column method=NAME."
        )
    if len(raters) * len(items) > MOST_CELLS:
        raise A2IBenchError(
            f"{len(raters)} raters of {len(items)} things are more than {MOST_CELLS} places for ratings; aggregate "
            "parts of them."
        )
    row, column = ({thing: index for index, thing in enumerate(things)} for things in (raters, items))
    values, seconds = (np.full((len(raters), len(items)), np.nan) for _ in range(2))
    for rating in ratings:
        place = row[rating.rater], column[rating.clip, rating.methods]
        values[place], seconds[place] = rating.value, rating.seconds
    rated = [Rated(clip, pair) for clip, pair in items]
    return Matrix(
        design, methods, scale.fitted(values) if design == "likert" else scale, rated, raters, values, seconds
    )


def _later(a: _Rating, b: _Rating) -> _Rating:
    if a.at is None or b.at is None or a.at == b.at:
        what = " and ".join(shown(method, 40) for method in a.methods)
        raise A2IBenchError(
            f"{b.where}: {shown(b.rater, 40)} rated {what} on {shown(b.clip, 40)} otherwise than in {a.where}, and no "
            "time says which is later; delete one, or, if these are several questions or images, aggregate each by "
            "itself."
        )
    return a if a.at > b.at else b


# ------------------------------------------------------------------------------------------------ one rating


def _ratings(table: UserTable, layout: Layout, scale: Scale) -> Iterator[tuple[_Rating, bool]]:
    """Give each rating of a table, and whether it was rejected where it was collected."""
    for line, fields in table.rows:
        for group in layout.groups:
            parts = {role: fields[place] if isinstance(place, int) else place for role, place in group.items()}
            value = parts["rating" if layout.design == "likert" else "choice"]
            if value.casefold() in _MISSING or parts.get("mark", "true").casefold() != "true":
                continue
            where = table.where(line)
            if "image" in parts:
                parts["method"], parts["clip"] = _of_path(parts["image"], where)
            if layout.design == "likert":
                methods: tuple[str, ...] = (_name(parts, "method", where),)
                number = _likert(value, scale, where, _column(table, group["rating"]), wide=len(layout.groups) > 1)
            else:
                methods = (_name(parts, "first", where), _name(parts, "second", where))
                number = _choice(value, methods, [_column(table, group[role]) for role in ("first", "second")], where)
                if methods[0] > methods[1]:
                    methods, number = methods[::-1], 1 - number
            rating = _Rating(
                rater=_name(parts, "rater", where),
                clip=_name(parts, "clip", where),
                methods=methods,
                value=number,
                seconds=_seconds(parts.get("seconds", "")),
                at=_time(parts.get("at", "")),
                where=where,
            )
            yield rating, parts.get("status", "").casefold() == "rejected"


def _column(table: UserTable, place: Place) -> str:
    return table.header[place] if isinstance(place, int) else ""


def _name(parts: Mapping[str, str], role: str, where: str) -> str:
    text = plain(parts[role], 10_000)
    if not text or len(text) > _LONGEST:
        what = "is empty" if not text else f"{shown(text, 30)} is longer than {_LONGEST} letters"
        raise A2IBenchError(f"{where}: the {role} {what}, but there is a rating; fix the row, or delete it.")
    return text


def _of_path(text: str, where: str) -> tuple[str, str]:
    """Split a path or an address: METHOD/CLIP.png, or METHOD/images/CLIP.png as in a run."""
    pieces = [piece for piece in re.split(r"[/\\]", re.sub(r"[?#].*$", "", text)) if piece]
    if len(pieces) > 2 and pieces[-2] == "images":
        del pieces[-2]
    if len(pieces) < 2:
        raise A2IBenchError(f"{where}: the image {shown(text)} is no path like METHOD/CLIP.png; name its method.")
    return pieces[-2], re.sub(r"\.\w{2,5}$", "", pieces[-1])


def _number(text: str) -> float | None:
    match = _NUMBER.fullmatch(text)
    number = float(match[1].replace(",", ".")) if match and len(match[1]) < 30 else math.nan
    return number if math.isfinite(number) else None


def _is_number(text: str) -> bool | None:
    return None if text.casefold() in _MISSING else _number(text) is not None


def _likert(text: str, scale: Scale, where: str, column: str, *, wide: bool) -> float:
    number = _number(text)
    of = f" in the column {shown(column, 40)}" if wide else ""
    if number is None:
        raise A2IBenchError(f"{where}: the rating {shown(text, 40)}{of} is no number; write one, or leave it empty.")
    if not scale.low <= number <= scale.high:
        other = ", or leave the column out with --column ignore=NAME" if wide else ""
        raise A2IBenchError(
            f"{where}: the rating {shown(text, 40)}{of} is off the scale {scale.name}; give the scale that the raters "
            f"saw, as --scale 1-7 or --scale 0-100{other}."
        )
    return number


def _choice(text: str, methods: Sequence[str], columns: Sequence[str], where: str) -> float:
    """1 for the first method, 0 for the second, 0.5 for neither."""
    if methods[0] == methods[1]:
        raise A2IBenchError(f"{where}: {shown(methods[0])} is compared with itself; name two methods.")
    named = [place for place, method in enumerate(methods) if plain(text, 10_000) == method]
    named = named or [
        place for place, method in enumerate(methods) if plain(text, 10_000).casefold() == method.casefold()
    ]
    bare = bare_name(text)
    sides = {place for place, column in enumerate(columns) if column and bare == bare_name(column)}
    sides |= {_SIDE[bare]} if bare in _SIDE else set()
    meant = {*named, *sides}
    if bare in _TIES and not meant:
        return 0.5
    if len(meant) != 1:
        what = "may be either side" if meant else "is neither of the two"
        raise A2IBenchError(
            f"{where}: the choice {shown(text, 40)} {what} ({shown(methods[0], 40)}, {shown(methods[1], 40)}); write "
            "the method's name, or tie."
        )
    return 1.0 - meant.pop()


def _seconds(text: str) -> float:
    number = _number(text)
    return math.nan if number is None or number < 0 else number


def _time(text: str) -> datetime | None:
    """When it was; None where it is not written as 2026-01-31T12:00:00, which settles nothing then."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
