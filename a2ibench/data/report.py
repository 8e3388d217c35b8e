"""What a build leaves behind: the clips, where each came from, and how much of the list is covered."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2ibench.data.lists import ClipList, Entry
from a2ibench.data.records import COLUMNS, Record
from a2ibench.files import write_text
from a2ibench.text import csv_text

SCHEMA = 1
FILES = ("clips.csv", "provenance.csv", "coverage.csv", "coverage.json")
_FREE_TEXT = ("label", "detail", "source", "image_class", "audio_class")


@dataclass(frozen=True)
class Coverage:
    """How much of a list is there.

    Attributes
    ----------
    official
        What the list is, where it is known by its digest; else empty.
    listed
        Clips and classes of the list; with its digest it says whether two papers had the same list.
    restricted
        How many of them were asked for, by ``--clips``, ``--exclude`` and ``--subset``.
    found, kept
        How many have a video, and how many can be used.
    dropped
        How many were not, by reason; ``missing`` are those without a video.
    kept_digest
        Of the ids and labels of the clips that can be used.
    classes
        Per label: listed, wanted, found, kept.

    """

    corpus: str
    official: str
    listed: int
    list_digest: str
    restricted: int
    found: int
    kept: int
    dropped: Mapping[str, int]
    kept_digest: str
    classes: Mapping[str, Mapping[str, int]]
    strangers: int = 0
    twice: int = 0

    def as_json(self, settings: Mapping[str, Any], encoders: Mapping[str, str]) -> dict[str, Any]:
        """Give what ``coverage.json`` holds."""
        return {
            "schema": SCHEMA,
            "corpus": self.corpus,
            "list": {
                "official": self.official,
                "clips": self.listed,
                "classes": len(self.classes),
                "sha256": self.list_digest,
            },
            "wanted": self.restricted,
            "found": self.found,
            "kept": self.kept,
            "kept_classes": sum(counts["kept"] > 0 for counts in self.classes.values()),
            "kept_sha256": self.kept_digest,
            "dropped": dict(self.dropped),
            "videos_of_no_listed_clip": self.strangers,
            "videos_of_one_clip_twice": self.twice,
            "settings": dict(settings),
            "encoders": dict(encoders),
            "classes": {label: dict(counts) for label, counts in self.classes.items()},
        }


def cover(
    corpus: str, official: str, listed: ClipList, wanted: ClipList, records: Sequence[Record], **counts: int
) -> Coverage:
    """Count what of a list is there: a record per clip that is wanted."""
    kept = ClipList.of(Entry(record.clip_id, record.label) for record in records if record.kept)
    by_class = {
        "listed": Counter(entry.label for entry in listed.entries),
        "wanted": Counter(entry.label for entry in wanted.entries),
        "found": Counter(record.label for record in records if record.found),
        "kept": Counter(record.label for record in records if record.kept),
    }
    reasons = Counter(record.reason for record in records if not record.kept)
    return Coverage(
        corpus,
        official,
        len(listed),
        listed.digest,
        len(wanted),
        sum(record.found for record in records),
        len(kept),
        dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        kept.digest,
        {label: {name: count[label] for name, count in by_class.items()} for label in listed.labels},
        **counts,
    )


def write_report(
    out: Path,
    records: Sequence[Record],
    coverage: Coverage,
    settings: Mapping[str, Any],
    encoders: Mapping[str, str],
    *,
    columns: Sequence[str] = COLUMNS,
    header: Sequence[str],
    row: Callable[[Record], list[str]],
) -> None:
    """Write the four files; ``clips.csv`` last, and not at all where no clip is left.

    ``columns`` are those of ``provenance.csv``, ``header`` and ``row`` what ``clips.csv`` says of a clip.
    """
    rows = sorted(records, key=lambda record: record.clip_id)
    write_text(out / "provenance.csv", _table(columns, (_row(record, columns) for record in rows)))
    counted = ("label", "listed", "wanted", "found", "kept")
    per_class = ([csv_text(label), *counts.values()] for label, counts in coverage.classes.items())
    write_text(out / "coverage.csv", _table(counted, per_class))
    content = coverage.as_json(settings, encoders)
    write_text(out / "coverage.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    clips = [row(record) for record in rows if record.kept]
    if clips:
        write_text(out / "clips.csv", _table(header, clips))
    else:
        (out / "clips.csv").unlink(missing_ok=True)


def _row(record: Record, columns: Sequence[str] = COLUMNS) -> list[object]:
    values = {name: getattr(record, name) for name in columns}
    for name in _FREE_TEXT:
        if name in values:
            values[name] = csv_text(values[name])
    return ["" if value is None else value for value in values.values()]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
    return buffer.getvalue()
