"""What is known of one clip: a small file per clip, whole or not there, which is also all the state of a build."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, write_text

_MOST_BYTES = 100_000


@dataclass(frozen=True)
class Job:
    """A clip to make: where its video is, and the name of everything that its files depend on."""

    clip_id: str
    label: str
    folder: Path
    source: str
    key: str


@dataclass(frozen=True)
class Record:
    """A row of ``provenance.csv``: where a clip came from, what was seen and heard, kept or dropped and why."""

    clip_id: str
    label: str
    status: str
    reason: str = ""
    detail: str = ""
    source: str = ""
    source_sha256: str = ""
    seconds: float | None = None
    sound_start: float | None = None
    rate: int | None = None
    channels: int | None = None
    still: bool | None = None
    frame_time: float | None = None
    clip_score: float | None = None
    image_class: str = ""
    image_probability: float | None = None
    audio_class: str = ""
    audio_probability: float | None = None
    agreement: float | None = None
    audio: str = ""
    audio_sha256: str = ""
    image: str = ""
    image_sha256: str = ""
    video: str = ""
    video_sha256: str = ""

    @property
    def kept(self) -> bool:
        """Whether the clip stands in ``clips.csv``."""
        return self.status == "kept"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that were made."""
        return tuple(name for name in (self.audio, self.image, self.video) if name)

    @property
    def found(self) -> bool:
        """Whether there is a video of it."""
        return self.reason != "missing"


COLUMNS = tuple(field.name for field in fields(Record))


def key_of(settings: str, clip_id: str, label: str, folder: Path, source: str) -> str:
    """Name everything that a clip's files depend on; of the video its path, size and time of change.

    Hashing every video again at each start would take as long as decoding it.
    """
    stat = (folder / source).stat()
    parts = (settings, clip_id, label, source, str(stat.st_size), str(stat.st_mtime_ns))
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


def place(out: Path, clip_id: str) -> Path:
    """Say where a clip's record is: in 256 folders, since 200,000 files in one are slow on many disks."""
    return out / "records" / hashlib.sha256(clip_id.encode()).hexdigest()[:2] / f"{clip_id}.json"


def store(out: Path, key: str, record: Record) -> None:
    """Write a record, after its files: what has one is done."""
    sizes = {name: (out / name).stat().st_size for name in record.files}
    content = {"key": key, "sizes": sizes, "record": asdict(record)}
    write_text(place(out, record.clip_id), json.dumps(content, indent=1) + "\n")


def load(out: Path, job: Job) -> Record | None:
    """Read a clip's record; None where there is none, it is of other settings, or its files are not whole."""
    try:
        content: Mapping[str, Any] = json.loads(read_limited(place(out, job.clip_id), _MOST_BYTES))
        record = Record(**content["record"])
        whole = all((out / name).stat().st_size == size for name, size in content["sizes"].items())
        same = content["key"] == job.key and (record.clip_id, record.label) == (job.clip_id, job.label)
        named = set(record.files) == set(content["sizes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, A2IBenchError):
        return None  # absent or damaged: the clip is made again
    return record if whole and same and named else None
