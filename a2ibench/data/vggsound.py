"""VGGSound as it is: the official lists, the names in circulation, and labels by people for its test split.

Chen et al. (arXiv 2004.14368): ten seconds of YouTube videos with one of 309 labels. A clip is named as in the
official ``train.csv`` and ``test.csv``: the video's id and the second at which it begins, ``--7qRYZoNWs_000030``.
"""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from a2ibench.data.build import Corpus
from a2ibench.data.lists import ClipList, Entry, read_ids, read_rows
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.text import plain

NAME = "vggsound"
SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi")
SPLITS = ("test", "train")
SUBSETS = ("vggsounder",)
OFFICIAL = {"0380fc07a6aa645ec255764cf1942f0b6180dd366cfee2f0fd03b97946df96a3": "VGGSound test, 15,446 clips"}
"""The official lists by the digest of their clips."""

_VIDEO = "[A-Za-z0-9_-]{11}"
_CLIP = re.compile(rf"({_VIDEO})_(\d{{1,9}})(?:_(\d{{1,9}}))?")
_A_DAY = 86_400  # no video is longer: a larger number of seconds is one of milliseconds
_WHAT = "VGGSound's test.csv, train.csv (rows `--7qRYZoNWs_000030.mp4,label`) or vggsound.csv (`id,30,label,test`)"


def clip_of(name: str) -> str | None:
    """Read a clip's name in any of the ways in circulation: its official id, or None.

    ``ID_000030`` and ``ID_30`` begin at second 30, as does ``ID_30000_40000``, in milliseconds; each with the suffix
    of a video or without. An id may begin with ``-`` and hold ``_``.
    """
    stem, suffix = os.path.splitext(name)
    found = _CLIP.fullmatch(stem if suffix.lower() in (*SUFFIXES, ".wav", ".flac", ".jpg", ".png") else name)
    if found is None:
        return None
    video, first, end = found.groups()
    begin = int(first)
    if end is not None and int(end) <= begin:
        return None
    if end is not None or begin >= _A_DAY:
        begin //= 1000
    return f"{video}_{begin:06d}"


def id_of(name: str) -> str | None:
    """Read an entry of a published list: a clip's name, or the id of a video, which stands for all its clips."""
    return clip_of(name) or (name if re.fullmatch(_VIDEO, name) else None)


def video_of(clip_id: str) -> str:
    """Give the YouTube id of a clip."""
    return clip_id[:11]


def read_list(file: Path, split: str = "test") -> ClipList:
    """Read one of the official lists; of ``vggsound.csv``, which holds both splits, the rows of `split`.

    Labels hold commas; with or without quotes round them they are read whole.

    Raises
    ------
    A2IBenchError
        If it can't be read, is of another format, or gives one clip two labels.

    """
    labels: dict[str, str] = {}
    rows = read_rows(file, _WHAT)
    for number, (line, cells) in enumerate(rows):
        entry = _row(cells)
        if entry is None:
            if number == 0 and len(rows) > 1 and _row(rows[1][1]) is not None:
                continue  # a header
            said = plain(",".join(cells), 60)
            raise A2IBenchError(f"{file}, line {line}: {said!r} is not a clip with its label; give {_WHAT}.")
        clip_id, label, of = entry
        if of not in (None, split):
            continue
        if labels.setdefault(clip_id, label) != label:
            raise A2IBenchError(
                f"{file}, line {line}: {clip_id} has the label {plain(label, 60)!r}, and in an earlier line "
                f"{plain(labels[clip_id], 60)!r}; leave one out."
            )
    if not labels:
        raise A2IBenchError(f"{file} has no clip of the split {split!r}; give --split {' or '.join(SPLITS)}.")
    return ClipList.of(Entry(clip_id, label) for clip_id, label in labels.items())


def _row(cells: Sequence[str]) -> tuple[str, str, str | None] | None:
    """Read a row: the clip, its label, and its split where the row says it; None for a row of another format."""
    split, name = None, cells[0].strip()
    if len(cells) >= 3 and re.fullmatch(_VIDEO, name) and cells[1].strip().isdecimal():
        clip_id, rest = clip_of(f"{name}_{cells[1].strip()}"), list(cells[2:])
        if len(rest) > 1 and rest[-1].strip() in SPLITS:
            split = rest.pop().strip()
    else:
        clip_id, rest = clip_of(name), list(cells[1:])
    # A label that lost its quotes goes on after a comma and a blank; anything else is a column of another table.
    label = ",".join(rest).strip()
    whole = all(cell.startswith(" ") and cell.strip() for cell in rest[1:])
    return (clip_id, label, split) if clip_id and label and whole and label.isprintable() else None


@dataclass(frozen=True)
class Videos:
    """The videos of a folder: the file of each clip, how many clips there are twice, and what is no clip."""

    files: dict[str, str]
    twice: int
    others: tuple[str, ...]


def find_videos(folder: Path) -> Videos:
    """Look for videos in a folder and the folders in it; of two of one clip the first by name counts.

    Raises
    ------
    A2IBenchError
        If there is no such folder, or no video of VGGSound in it.

    """
    if not folder.is_dir():
        raise A2IBenchError(f"There is no folder {folder}; give --videos DIR, the folder of VGGSound's videos.")
    files: dict[str, str] = {}
    twice, others = 0, []
    for name in walk(folder):
        clip_id = clip_of(os.path.basename(name)) if name.lower().endswith(SUFFIXES) else None
        if clip_id is None:
            others.append(name)
        elif clip_id in files:
            twice += 1
        else:
            files[clip_id] = name
    if not files:
        packed = any(name.endswith((".tar", ".tar.gz", ".tgz", ".zip")) for name in others)
        found = f"{len(others)} other files, first {plain(others[0], 60)!r}" if others else "no file at all"
        raise A2IBenchError(
            f"{folder} holds no video of VGGSound ({found}); "
            + ("unpack the archives first." if packed else "names are <id>_000030.mp4, <id>_30000_40000.mp4 or so.")
        )
    return Videos(files, twice, tuple(others))


def walk(folder: Path) -> Iterator[str]:
    """Give the plain files under a folder, relative to it, in the order of their names."""
    found = []
    seen = {os.path.realpath(folder)}
    for at, folders, names in os.walk(folder, followlinks=True):
        within = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(at, name))
            if name[0] != "." and real not in seen:  # a link may lead to a folder that was seen, or in a circle
                within.append(name)
                seen.add(real)
        folders[:] = within
        for name in names:
            path = os.path.join(at, name)
            if not name.startswith(".") and os.path.isfile(path):
                found.append(os.path.relpath(path, folder))
    return iter(sorted(found))


def corpus(
    videos: Path,
    listing: Path,
    *,
    split: str = "test",
    clips: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
    subset: str | None = None,
) -> Corpus:
    """Bring a list and its videos together.

    Parameters
    ----------
    videos, listing
        The folder of the videos, and an official list.
    split
        Which rows of ``vggsound.csv``.
    clips
        Published lists: only clips that stand in all of them are wanted.
    exclude
        Published lists of clips, or whole videos, that are not wanted.
    subset
        ``vggsounder``: only clips whose label people both heard and saw, and that are no still picture.

    Raises
    ------
    A2IBenchError
        If one of them can't be read, or nothing is left.

    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if subset is not None and subset not in SUBSETS:
        raise unknown("subset", subset, SUBSETS)
    listed = wanted = read_list(listing, split)
    for file in clips:
        wanted = wanted.only(read_ids(file, id_of), video_of)
    for file in exclude:
        wanted = wanted.without(read_ids(file, id_of), video_of)
    if subset is not None:
        wanted = ClipList.of(vggsounder(wanted))
    if not wanted.entries:
        raise A2IBenchError(f"No clip of {listing} is left by --clips, --exclude and --subset; check what they hold.")
    there = find_videos(videos)
    sources = {clip_id: there.files[clip_id] for clip_id in wanted.ids if clip_id in there.files}
    if not sources:
        first = next(iter(there.files.values()))
        raise A2IBenchError(
            f"None of the {len(wanted)} clips is in {videos}, whose {len(there.files)} videos are of others "
            f"(first {plain(first, 60)!r}); give the list that belongs to them."
        )
    known = set(listed.ids)
    strangers = sum(clip_id not in known for clip_id in there.files)
    official = OFFICIAL.get(listed.digest, "")
    return Corpus(NAME, official, listed, wanted, videos, sources, strangers, there.twice)


def vggsounder(listed: ClipList) -> set[Entry]:
    """Choose the clips whose label people heard and saw, and that are no still picture (VGGSounder, 2508.08237)."""
    if find_spec("vggsounder") is None:
        raise A2IBenchError("--subset vggsounder needs the package vggsounder: pip install 'a2ibench[vggsounder]'.")
    from importlib.resources import files

    # The package's shorter file leaves out the clips with music in the background: 8,138 are left here, not 6,861.
    file = files("vggsounder") / "data" / "vggsounder+background-music.csv"
    seen_and_heard = {
        (row["video_id"], row["label"])
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())
        if row["modality"] == "AV" and row["static_image"] == "False"
    }
    return {entry for entry in listed.entries if (entry.clip_id, entry.label) in seen_and_heard}
