"""Which column of a table of ratings is what: by the names people give them, or as `--column` says."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from a2ibench.dialects import UserTable, bare_name, shown, shown_path
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.rating.names import ALIASES, BESIDE
from a2ibench.rating.study import Design
from a2ibench.text import plain

_NEEDED: dict[Design, tuple[str, ...]] = {
    "likert": ("rater", "method", "clip", "rating"),
    "pairwise": ("rater", "clip", "first", "second", "choice"),
}
_PART = re.compile(r"\{(\w+)\}")
_PLACES = ("rater", "method", "clip", "first", "second", "n")
IsNumber = Callable[[str], bool | None]
Place = int | str
"""Where one of a rating's parts is found: in a column of its row, or as a text that is the same in all rows."""


@dataclass(frozen=True)
class Layout:
    """How a table holds ratings.

    Attributes
    ----------
    design
        ``likert`` or ``pairwise``.
    groups
        The ratings that stand in each row: for each the place of its parts.
    said
        In words, which column was taken for what.

    """

    design: Design
    groups: tuple[Mapping[str, Place], ...]
    said: str


def find_layout(table: UserTable, given: Mapping[str, Sequence[str]], is_number: IsNumber) -> Layout:
    """Find which column is what.

    Parameters
    ----------
    table
        The table.
    given
        What `parse_columns` read.
    is_number
        Whether a field is a number, a text (False) or empty (None): tells columns of ratings from others.

    Raises
    ------
    A2IBenchError
        If a column is missing, or two could be meant.

    """
    finder = _Finder(table, given)
    design = finder.design()
    if design == "pairwise" and not {"first", "second", "choice"} & given.keys():
        winner, loser = finder.column("winner"), finder.column("loser")
        if winner is not None and loser is not None:
            who = {role: finder.needed(role) for role in ("rater", "clip")}
            return finder.layout(design, [{**who, "first": winner, "second": loser, "choice": "first"}])
    needed = ("rater", "image", "rating") if "image" in given else _NEEDED[design]
    if any(_PART.search(name) for names in given.values() for name in names):
        return finder.layout(design, finder.by_pattern(needed))
    numbered = finder.numbered(needed)
    return finder.layout(design, numbered) if numbered else finder.plainly(design, needed, is_number)


class _Finder:
    """The columns of one table."""

    def __init__(self, table: UserTable, given: Mapping[str, Sequence[str]]) -> None:
        self.table, self.given = table, given
        # Mechanical Turk writes Input.clip for what was shown and Answer.rating for what was said.
        self.bare = [bare_name(re.sub(r"^\s*(input|answer)\.", "", name, flags=re.IGNORECASE)) for name in table.header]
        self.left_out = {self._named(name) for name in given.get("ignore", [])}
        self.notes: list[str] = []

    # ---------------------------------------------------------------------------------------- single columns

    def _named(self, name: str) -> int:
        """The column that the user names."""
        header = self.table.header
        for places in (
            [i for i, each in enumerate(header) if each == name],
            [i for i, each in enumerate(header) if bare_name(each) == bare_name(name)],
        ):
            if len(places) == 1:
                return places[0]
            if places:
                raise A2IBenchError(f"{self._file} has the column {shown(name)} twice; rename one of them.")
        near = [plain(each, 60) for each in header if each]
        raise unknown(f"column in {self._file} that is called", plain(name, 60), near[:40])

    def column(self, role: str, groups: int = 9) -> int | None:
        """The column of a part: the one that is given, else the one with a known name (of the first `groups`)."""
        if role in self.given:
            name = self.given[role][0]
            return None if _PART.search(name) else self._named(name)
        others = {self._named(names[0]) for each, names in self.given.items() if not _PART.search(names[0])}
        for names in ALIASES.get(role, ())[:groups]:
            places = [i for i, bare in enumerate(self.bare) if bare in names and i not in self.left_out | others]
            if len(places) > 1:
                first, second = (self.table.header[place] for place in places[:2])
                raise A2IBenchError(
                    f"{self._file} has the columns {shown(first)} and {shown(second)}, and either may be the {role}; "
                    f"say which with --column {role}=NAME."
                )
            if places:
                return places[0]
        return None

    def needed(self, role: str) -> int:
        """The column of a part that there must be."""
        found = self.column(role)
        if found is None:
            raise self.missing([role])
        return found

    def missing(self, roles: Sequence[str]) -> A2IBenchError:
        """Build the error for parts that no column holds."""
        which = " and the ".join([", the ".join(roles[:-1]), roles[-1]] if len(roles) > 1 else roles)
        found = ", ".join(shown(name, 30) for name in self.table.header[:12] if name)
        more = " …" if len(self.table.header) > 12 else ""
        hint = f"say which it is with --column {roles[0]}=NAME"
        if "rating" in roles and {"method", "clip"} & set(roles):
            hint += ", or --column 'rating={method}_{clip}' where the names of the columns hold it"
        elif {"method", "clip"} <= set(roles):
            hint += ", or --column image=NAME where a column holds paths METHOD/CLIP.png"
        return A2IBenchError(
            f"{self._file} has no column for the {which}, found: {found}{more}; {hint}, or, if these are answers of a "
            "study made here, give its folder with --study."
        )

    @property
    def _file(self) -> str:
        return shown_path(self.table.path)

    # ---------------------------------------------------------------------------------------------- the whole

    def design(self) -> Design:
        """Tell ratings of images from choices between two."""
        if {"first", "second", "choice"} & self.given.keys():
            return "pairwise"
        if {"method", "rating", "image"} & self.given.keys():
            return "likert"
        numbers = {role: self._numbers(role) for role in ("method", "rating", "first", "second", "choice")}
        if len(numbers["rating"]) > 1 and numbers["method"]:
            return "likert"
        if numbers["first"] and numbers["second"] and numbers["choice"]:
            return "pairwise"
        if self.column("winner") is not None and self.column("loser") is not None:
            return "pairwise"
        sides = [self.column(role, 1) for role in ("first", "second")]
        if None not in sides:
            return "pairwise"
        # "a" and "b" may be two methods with their ratings, so they need a choice beside them.
        weak = [self.column(role) for role in ("first", "second")]
        if None not in weak and self.column("method") is None and self.column("choice") is not None:
            return "pairwise"
        return "likert"

    def layout(self, design: Design, groups: Sequence[Mapping[str, Place]]) -> Layout:
        """Put the parts together, with those that may be there, and say what was taken for what."""
        beside = {role: place for role in ("seconds", "at", "status") if (place := self._optional(role)) is not None}
        if len(groups) > 1 and "mark" not in groups[0]:
            beside.pop("seconds", None)  # it is the time of all of them
        header = self.table.header
        parts = {role: header[place] for role, place in groups[0].items() if isinstance(place, int)}
        said = ", ".join(f"{role} = {shown(name, 30)}" for role, name in parts.items())
        if len(groups) > 1:
            said += " and so on" + (f", {len(groups)} ratings in each row" if "mark" not in groups[0] else ", one true")
        return Layout(design, tuple({**group, **beside} for group in groups), "; ".join([said, *self.notes]))

    def _optional(self, role: str) -> int | None:
        if role in self.given:
            return self.column(role)
        places = [i for i, bare in enumerate(self.bare) if any(bare in names for names in ALIASES[role])]
        places = [place for place in places if place not in self.left_out]
        return places[0] if len(places) == 1 else None

    def plainly(self, design: Design, needed: Sequence[str], is_number: IsNumber) -> Layout:
        """One rating per row; or wide: a column of ratings for each method, rater or clip."""
        found = {role: self.column(role) for role in needed}
        columns = {role: place for role, place in found.items() if place is not None}
        missing = [role for role in needed if role not in columns]
        taken = list(columns.values())
        if len(set(taken)) < len(taken):
            twice = next(place for place in taken if taken.count(place) > 1)
            raise A2IBenchError(
                f"{self._file}: the column {shown(self.table.header[twice])} can't be two parts of a rating at once; "
                "say which column is what with --column."
            )
        if not missing:
            return self.layout(design, [columns])
        if design == "likert" and len(missing) == 2 and "rating" in missing and "image" not in needed:
            role = next(each for each in missing if each != "rating")
            wide = self._wide(role, taken, is_number)
            if len(wide) > 1:
                names = ", ".join(shown(self.table.header[place], 30) for place in wide[:8])
                self.notes.append(f"one column of ratings for each {role}: {names}{' …' if len(wide) > 8 else ''}")
                return self.layout(
                    design, [{**columns, role: self.table.header[place], "rating": place} for place in wide]
                )
        raise self.missing(missing)

    def _wide(self, role: str, taken: Sequence[int], is_number: IsNumber) -> list[int]:
        """The columns of ratings, one for each method, rater or clip (`role`); nothing where it may be otherwise."""
        rows = {fields for _, fields in self.table.rows}
        if len({tuple(fields[place] for place in taken) for fields in rows}) < len(rows):
            return []  # several rows of one thing: what tells them apart is a column of its own
        found = []
        beside = {place for each in ("seconds", "at", "status") if (place := self._optional(each)) is not None}
        for place, name in enumerate(self.table.header):
            if not name or place in {*taken, *beside, *self.left_out} or self.bare[place] in BESIDE:
                continue
            kinds = [(line, fields[place], is_number(fields[place])) for line, fields in self.table.rows]
            numbers = any(kind is True for *_, kind in kinds)
            strange = [(line, text) for line, text, kind in kinds if kind is False]
            if strange and numbers:
                line, text = strange[0]
                raise A2IBenchError(
                    f"{self.table.where(line)}: the column {shown(name)} holds ratings, but here {shown(text)}; fix "
                    "it, or leave the column out with --column ignore=NAME."
                )
            if strange:
                raise A2IBenchError(
                    f"{self._file} has no column for the {role}, and {shown(name)} may be it; say so with --column "
                    f"{role}=NAME, or, if each other column is a {role}, leave this one out with --column ignore=NAME."
                )
            if numbers:
                found.append(place)
        return found

    def _numbers(self, role: str) -> dict[str, int]:
        """The columns of a part that are numbered, as clip1, clip2 …: by their numbers."""
        found = {}
        for place, bare in enumerate(self.bare):
            match = re.fullmatch(r"(.*?[^\d])(\d+)", bare)
            if match and place not in self.left_out and any(match[1] in names for names in ALIASES[role]):
                found[match[2]] = place
        return found

    def numbered(self, needed: Sequence[str]) -> list[Mapping[str, Place]]:
        """Several ratings in each row, whose parts are numbered: clip1, rating1, clip2, rating2 …; or nothing."""
        value = needed[-1]
        if value in self.given or "image" in needed or self.column(value) is not None:
            return []
        numbers = self._numbers(value)
        others = {role: found for role in needed[:-1] if len(found := self._numbers(role)) > 1}
        if len(numbers) > 1 and not others and value == "rating":
            return self._marks(needed, numbers)
        if len(numbers) < 2 or not others:
            return []
        for role, found in others.items():
            if found.keys() != numbers.keys():
                odd = sorted(found.keys() ^ numbers.keys(), key=int)[0]
                raise A2IBenchError(
                    f"{self._file} numbers its columns, but number {plain(odd, 20)} has not both a {role} and a "
                    f"{value}; add the missing column."
                )
        shared = {role: self.needed(role) for role in needed[:-1] if role not in others}
        return [
            {**shared, **{role: found[number] for role, found in others.items()}, value: numbers[number]}
            for number in sorted(numbers, key=int)
        ]

    def _marks(self, needed: Sequence[str], numbers: Mapping[str, int]) -> list[Mapping[str, Place]]:
        """One rating per row, as the column that holds "true": rating.1, rating.2 …, as Mechanical Turk's forms do."""
        fields = {fields[place].casefold() for _, fields in self.table.rows for place in numbers.values()}
        if not fields <= {"true", "false", ""}:
            return []
        shared = {role: self.needed(role) for role in needed[:-1]}
        return [{**shared, "rating": str(int(step)), "mark": place} for step, place in numbers.items()]

    # ------------------------------------------------------------------------------------------------ patterns

    def by_pattern(self, needed: Sequence[str]) -> list[Mapping[str, Place]]:
        """Read names of columns such as ``rating={method}_{clip}`` or ``rating=Answer.rating{n}``."""
        value = needed[-1]
        matched = {role: self._matches(names[0]) for role, names in self.given.items() if _PART.search(names[0])}
        if value not in matched:
            raise A2IBenchError(
                f"Only the columns of the {value} can be named by a pattern alone; give {value}=PATTERN."
            )
        groups: list[Mapping[str, Place]] = []
        for place, parts in matched[value].items():
            group: dict[str, Place] = {role: text for role, text in parts.items() if role != "n"}
            for role in needed[:-1]:
                if role in group:
                    continue
                if role in matched:
                    same = [i for i, each in matched[role].items() if each.get("n") == parts.get("n")]
                    if len(same) != 1:
                        raise A2IBenchError(
                            f"{self._file} has no one {role} for the column {shown(self.table.header[place])}; the "
                            "numbers {n} of both patterns must go together."
                        )
                    group[role] = same[0]
                else:
                    group[role] = self.needed(role)
            groups.append({**group, value: place})
        return groups

    def _matches(self, pattern: str) -> dict[int, dict[str, str]]:
        """The columns whose names follow a pattern, with what stands at its places."""
        places = _PART.findall(pattern)
        wrong = [place for place in places if place not in _PLACES]
        if wrong or len(set(places)) < len(places):
            raise A2IBenchError(
                f"The pattern {shown(pattern)} must hold some of {', '.join('{' + each + '}' for each in _PLACES)}, "
                "each once."
            )
        found = {}
        pieces = re.split(r"\{\w+\}", pattern)
        for place, name in enumerate(self.table.header):
            both = []
            for some in (".+", ".+?"):  # the longest and the shortest first part
                text = re.escape(pieces[0])
                for each, piece in zip(places, pieces[1:], strict=True):
                    text += rf"(?P<{each}>{chr(92) + 'd+' if each == 'n' else some})" + re.escape(piece)
                both.append(re.fullmatch(text, name, re.IGNORECASE))
            if both[0] is None or both[1] is None:
                continue
            if both[0].groupdict() != both[1].groupdict():
                raise A2IBenchError(
                    f"The column {shown(name)} can be split by {shown(pattern)} in two ways; rename it, or give a "
                    "pattern that leaves one way."
                )
            found[place] = {each: text.strip() for each, text in both[0].groupdict().items()}
        if not found:
            names = ", ".join(shown(name, 30) for name in self.table.header[:12])
            raise A2IBenchError(f"{self._file} has no column like {shown(pattern)}; found: {names}.")
        return found
