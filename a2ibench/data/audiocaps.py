"""AudioCaps as it is: the published CSV files, the names of sounds in circulation, and labels from AudioSet.

Kim et al., NAACL 2019: ten seconds of AudioSet's videos, told in a sentence; one caption a clip in training, five in
validation and test. A clip is named like VGGSound's: the video's id and the second at which it begins,
``--7qRYZoNWs_000030``. **The first caption is the one that comes first in the file**; papers take others too, so it is
said in ``coverage.json``.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from a2ibench.data.build import Corpus
from a2ibench.data.lists import ClipList, Entry, read_ids, read_rows
from a2ibench.data.tagger import read_classes
from a2ibench.data.vggsound import clip_of, id_of, video_of, walk
from a2ibench.errors import A2IBenchError
from a2ibench.text import plain

NAME = "audiocaps"
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac", ".mka", ".mp4", ".webm", ".mkv")
UNLABELLED = "unlabelled"
MOST_CAPTIONS = 5

_VIDEO = re.compile("[A-Za-z0-9_-]{11}")
_WHAT = "AudioCaps' train.csv, val.csv or test.csv (header `audiocap_id,youtube_id,start_time,caption`)"
_SEGMENTS = 'one of AudioSet\'s segment files (rows `YouTube id, start, end, "labels"`)'
_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


@dataclass(frozen=True)
class Captions:
    """What a list says of each clip.

    Attributes
    ----------
    told
        The captions of each clip, in the order of the file.
    numbers
        The clip of each number of AudioCaps' own: some name the sounds by it.

    """

    told: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The sha256 over ids and captions in their order: of two lists with the same one the prompts are equal."""
        lines = (f"{clip_id}\t" + "\t".join(told) + "\n" for clip_id, told in sorted(self.told.items()))
        return sha256("".join(lines).encode()).hexdigest()


def read_captions(file: Path) -> Captions:
    """Read one of the published CSV files, of version 1 or 2.

    Raises
    ------
    A2IBenchError
        If it can't be read, lacks a column, a row is of another form, or a clip has more than five captions.

    """
    (_, header), *rows = read_rows(file, _WHAT)
    places = {name.strip().lower(): place for place, name in enumerate(header)}
    absent = [name for name in _COLUMNS if name not in places]
    if absent:
        raise A2IBenchError(f"{file} has no column {absent[0]!r}; give {_WHAT}.")
    told: dict[str, list[str]] = {}
    numbers: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise A2IBenchError(f"{file}, line {line} has {len(cells)} cells and the header {len(header)}; fix it.")
        number, video, start, caption = (cells[places[name]].strip() for name in _COLUMNS)
        clip_id = clip_of(f"{video}_{start}") if _VIDEO.fullmatch(video) and start.isdecimal() else None
        if clip_id is None or not caption or not caption.isprintable():
            said = plain(",".join(cells), 60)
            raise A2IBenchError(f"{file}, line {line}: {said!r} is not a clip with its caption; give {_WHAT}.")
        told.setdefault(clip_id, []).append(caption)
        numbers[number] = clip_id
        if len(told[clip_id]) > MOST_CAPTIONS:
            raise A2IBenchError(f"{file}, line {line}: {clip_id} has more than {MOST_CAPTIONS} captions; give {_WHAT}.")
    return Captions({clip_id: tuple(captions) for clip_id, captions in told.items()}, numbers)


def read_labels(segments: Sequence[Path], classes: Path) -> dict[str, str]:
    """Read AudioSet's segment files: the labels of each clip, joined by ``"; "``, by clip id.

    Parameters
    ----------
    segments
        ``balanced_train_segments.csv``, ``unbalanced_train_segments.csv``, ``eval_segments.csv``: those that are there.
    classes
        ``class_labels_indices.csv``, which names the machine ids.

    Raises
    ------
    A2IBenchError
        If one can't be read, or has a label that `classes` does not name.

    """
    names = read_classes(classes)
    found: dict[str, str] = {}
    for file in segments:
        for line, cells in read_rows(file, _SEGMENTS):
            if cells[0].lstrip().startswith("#"):
                continue
            video, start = cells[0].strip(), cells[1].strip().partition(".")[0] if len(cells) > 3 else ""
            clip_id = clip_of(f"{video}_{start}") if _VIDEO.fullmatch(video) and start.isdecimal() else None
            if clip_id is None:
                raise A2IBenchError(
                    f"{file}, line {line}: {plain(','.join(cells), 60)!r} is no segment; give {_SEGMENTS}."
                )
            # The labels are one quoted cell after a blank, which CSV takes for several.
            mids = [cell.strip(' "') for cell in cells[3:]]
            unknown = [mid for mid in mids if mid not in names]
            if unknown:
                raise A2IBenchError(
                    f"{file}, line {line}: {classes} has no label {plain(unknown[0], 30)!r}; give both of one release."
                )
            found[clip_id] = "; ".join(names[mid] for mid in mids)
    return found


def sound_of(name: str, captions: Captions, by_video: Mapping[str, str]) -> str | None:
    """Read the name of a sound in any of the ways in circulation: its clip, or None.

    ``ID_000030``, ``ID_30``, ``ID_30000_40000``; ``ID`` and ``YID``, since each video lies in the lists once; and
    AudioCaps' own number.
    """
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in SUFFIXES:
        return None
    for each in (stem, stem[1:] if stem.startswith("Y") else ""):
        if _VIDEO.fullmatch(each):
            if each in by_video:
                return by_video[each]
        elif clip_id := clip_of(each):
            return clip_id
    return captions.numbers.get(stem)


def corpus(
    sounds: Path,
    captions: Captions,
    labels: Mapping[str, str],
    *,
    clips: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
) -> Corpus:
    """Bring a list and its sounds together.

    Parameters
    ----------
    sounds
        The folder of the sounds, or videos; folders in it are searched.
    captions, labels
        From `read_captions` and `read_labels`; a clip without labels is ``unlabelled``.
    clips
        Published lists: only clips that stand in all of them are wanted.
    exclude
        Published lists of clips, or whole videos, that are not wanted.

    Raises
    ------
    A2IBenchError
        If a list can't be read, or nothing is left.

    """
    listed = wanted = ClipList.of(Entry(clip_id, labels.get(clip_id, UNLABELLED)) for clip_id in captions.told)
    for file in clips:
        wanted = wanted.only(read_ids(file, id_of), video_of)
    for file in exclude:
        wanted = wanted.without(read_ids(file, id_of), video_of)
    if not wanted.entries:
        raise A2IBenchError("No clip of the list is left by --clips and --exclude; check what they hold.")
    if not sounds.is_dir():
        raise A2IBenchError(f"There is no folder {sounds}; give --sounds DIR, the folder of AudioCaps' sounds.")
    by_video = {video_of(clip_id): clip_id for clip_id in captions.told}
    files: dict[str, str] = {}
    strangers = twice = 0
    names = list(walk(sounds))
    for name in names:
        clip_id = sound_of(os.path.basename(name), captions, by_video)
        if clip_id is None or clip_id not in captions.told:
            strangers += 1
        elif clip_id in files:
            twice += 1
        else:
            files[clip_id] = name
    sources = {clip_id: files[clip_id] for clip_id in wanted.ids if clip_id in files}
    if not sources:
        found = f"{len(names)} other files, first {plain(names[0], 60)!r}" if names else "no file at all"
        raise A2IBenchError(
            f"{sounds} holds no sound of the {len(wanted)} clips that are wanted ({found}); names are <id>.wav, "
            "Y<id>.wav, <id>_30.wav, <audiocap_id>.wav or so."
        )
    return Corpus(NAME, "", listed, wanted, sounds, sources, strangers, twice)
