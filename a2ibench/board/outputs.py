"""A submission: a stranger's images, read and checked before any work.

Nothing in it is trusted: names are checked before they are used, files are looked at before they are opened,
images are known by their contents, and what is wrong is collected, so that all of it can be said at once.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from a2ibench.board.card import MethodCard, RunRecord
from a2ibench.board.rows import Hashed
from a2ibench.board.unpack import (
    MOST_BYTES_EACH,
    MOST_FILES,
    folded,
    ignored,
    is_archive,
    only_folder,
    shown,
    unpacked,
    unsafe_name,
)
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import sha256_file
from a2ibench.media import Medium
from a2ibench.media import get as get_medium
from a2ibench.progress import Stage, silent

_Kept = TypeVar("_Kept")


# ------------------------------------------------------------------------------------------------- the images


@dataclass(frozen=True)
class Outputs:
    """A submission that was read; only one without problems may be scored."""

    source: Path
    images: dict[str, list[Path]]
    """The images of each clip, in their order; a clip without any is absent."""
    hashes: list[Hashed]
    missing: tuple[str, ...]
    """The clips without an image."""
    card: MethodCard | None
    run: RunRecord | None
    problems: tuple[str, ...]
    """Everything that is wrong, a sentence each."""

    def check(self) -> None:
        """Raise A2IBenchError with the first problems, if there are any."""
        if len(self.problems) == 1:
            raise A2IBenchError(self.problems[0])
        if self.problems:
            first = "; ".join(f"({i}) {each.rstrip('.')}" for i, each in enumerate(self.problems[:3], 1))
            more = " …" if len(self.problems) > 3 else ""
            raise A2IBenchError(
                f"{self.source} can't be taken, for {len(self.problems)} reasons: {first}{more}; "
                "`a2ibench submit … --dry-run` lists them all."
            )


@contextmanager
def read_outputs(
    source: Path,
    clips: ClipSet,
    everything: ClipSet | None = None,
    *,
    allow_missing: bool = False,
    stage: Stage = silent,
) -> Iterator[Outputs]:
    """Read and check a submission; its files are there as long as the context lasts.

    Parameters
    ----------
    source
        A folder, a .zip or a .tar.gz with ``<clip_id>.png`` (or jpg, jpeg, webp), or ``<clip_id>_<k>.png`` for
        several images per clip, and maybe ``method.toml``; or a run folder of ours.
    clips
        The clips that need images.
    everything
        All clips of the set; an image of none of them is a stranger. By default ``clips``.
    allow_missing
        Whether a clip may have no image.
    stage
        Shows progress.

    Yields
    ------
    The submission with its problems. Only what keeps it from being read at all is raised.

    Raises
    ------
    A2IBenchError
        If there is no such folder or archive, or the archive is broken or hostile.

    """
    ending = get_medium(clips.task.output).suffixes[0]
    if source.is_dir():
        yield _read(source, source, clips, everything or clips, allow_missing, stage)
    elif source.is_file() and is_archive(source):
        with unpacked(source, get_medium(clips.task.output).suffixes) as folder:
            yield _read(source, folder, clips, everything or clips, allow_missing, stage)
    elif source.is_file():
        raise A2IBenchError(
            f"{source} is no folder, .zip or .tar.gz; give one with {get_medium(clips.task.output).noun} "
            f"<clip_id>{ending} per clip."
        )
    else:
        raise A2IBenchError(
            f"There is no folder {source}, nor a .zip or .tar.gz of that name; give one with a {clips.task.noun} "
            f"<clip_id>{ending} per clip."
        )


def _read(
    source: Path, folder: Path, clips: ClipSet, everything: ClipSet, allow_missing: bool, stage: Stage
) -> Outputs:
    problems: list[str] = []
    top = only_folder(folder)
    run = _kept(RunRecord.load, top / "run.json", problems) if (top / clips.task.folder).is_dir() else None
    card = _kept(MethodCard.load, top / "method.toml", problems)
    inside = top / clips.task.folder if run is not None else top
    images = _named(
        _files(inside, source, get_medium(clips.task.output).suffixes, problems), source, clips, everything, problems
    )
    missing = tuple(clip_id for clip_id in clips.ids if clip_id not in images)
    if missing and (len(missing) == len(clips) or not allow_missing):
        problems.append(
            f"{source} lacks the {clips.task.noun}s of {len(missing)} of {len(clips)} clips, among them "
            f"{_some(missing)}; add <clip_id>{get_medium(clips.task.output).suffixes[0]} for each"
            f"{_instead(inside, clips) if len(missing) == len(clips) else ''}."
        )
    hashes = _checked(images, get_medium(clips.task.output), problems, stage)
    # In an archive the user never sees the folder that it was unpacked to.
    said = tuple(problem.replace(str(folder), str(source)) for problem in problems)
    return Outputs(source, images, hashes, missing, card, run, said)


def _instead(folder: Path, clips: ClipSet) -> str:
    """Say where a folder holds outputs of another medium than the suite's task makes: it may be of another suite."""
    suffixes = {file.suffix.lower() for file in islice(folder.glob("*"), 1000)}
    for name in ("image", "audio"):
        if name != clips.task.output and suffixes & {*get_medium(name).suffixes}:
            return f" (some files are each {get_medium(name).noun}; if they are of another suite, name it with --suite)"
    return ""


def _kept(load: Callable[[Path], _Kept], path: Path, problems: list[str]) -> _Kept | None:
    """Load a file that need not be there; never open what is no plain file."""
    try:
        kind = path.lstat()
    except OSError:
        return None
    try:
        if not stat.S_ISREG(kind.st_mode) or kind.st_size > MOST_BYTES_EACH:
            raise A2IBenchError(f"{path} is a link, a special file or too large; give a plain file.")
        return load(path)
    except A2IBenchError as error:
        problems.append(str(error))
        return None


def _files(folder: Path, source: Path, suffixes: Collection[str], problems: list[str]) -> list[Path]:
    """List a folder's images, without opening one; what is no plain file inside it is a problem."""
    found: dict[str, Path] = {}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(f"{source} can't be read: {error.strerror or error}.")
        return []
    if len(entries) > MOST_FILES:
        problems.append(f"{source} holds more than {MOST_FILES} entries; take out what is no output.")
        return []
    home = folder.resolve()
    for entry in entries:
        path = Path(entry.path)
        if ignored([entry.name]) or path.suffix.lower() not in suffixes:
            continue
        problem = unsafe_name(entry.name) or _not_plain(path, home)
        first = found.setdefault(folded(entry.name), path)
        if problem:
            problems.append(f"{source} holds an entry {shown(entry.name)} {problem}; take it out.")
        elif first != path:
            problems.append(
                f"{source} holds {shown(entry.name)} and {shown(first.name)}, which differ in case or accents only; "
                "keep one."
            )
        elif path.stat().st_size > MOST_BYTES_EACH:
            problems.append(f"{source} holds {shown(entry.name)} of more than {MOST_BYTES_EACH >> 20} MiB; shrink it.")
        else:
            continue
        if first == path:
            del found[folded(entry.name)]
    return list(found.values())


def _not_plain(path: Path, home: Path) -> str | None:
    try:
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            if not path.resolve().is_relative_to(home):
                return "that is a link to a place outside"
            kind = path.stat().st_mode
    except (OSError, RuntimeError):  # a link to nothing or to itself
        return "that is a broken link"
    return None if stat.S_ISREG(kind) else "that is no plain file"


def _named(
    files: Sequence[Path], source: Path, clips: ClipSet, everything: ClipSet, problems: list[str]
) -> dict[str, list[Path]]:
    """Give each clip its images by the files' names: the exact id first, else the id with a number."""
    ids, noun = set(everything.ids), clips.task.noun
    found: dict[str, dict[int | None, Path]] = {}
    strangers = []
    for file in files:
        clip_id, index = _owner(file.stem, ids)
        if clip_id is None:
            strangers.append(file.stem)
            continue
        first = found.setdefault(clip_id, {}).setdefault(index, file)
        if first != file:
            which = f"two {noun}s" if index is None else f"two {noun}s of the number {index}"
            problems.append(f"{source} has {which} for the clip {clip_id!r}: {first.name} and {file.name}.")
    if strangers:
        near = {folded(clip_id): clip_id for clip_id in ids}.get(folded(strangers[0]))
        hint = f" ({near!r} is one: case counts)" if near else ""
        problems.append(
            f"{source} holds {len(strangers)} {noun}s that belong to no clip, among them {_some(strangers)}{hint}; "
            "take them out, or fix their names."
        )
    images = {}
    for clip_id in clips.ids:
        numbered = found.get(clip_id, {})
        numbers = sorted(index for index in numbered if index is not None)
        if None in numbered and numbers:
            problems.append(
                f"{source} has {numbered[None].name} beside {numbered[numbers[0]].name} for the clip {clip_id!r}; "
                "number all of its images, or none."
            )
        elif numbers and numbers not in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
            problems.append(
                f"The {noun}s of the clip {clip_id!r} in {source} are numbered {', '.join(map(str, numbers[:9]))}; "
                "number them 0, 1, 2 and so on without a gap."
            )
        if numbered:
            images[clip_id] = [numbered[None]] if None in numbered else [numbered[number] for number in numbers]
    counts = Counter(len(each) for each in images.values())
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        odd = [clip_id for clip_id, each in images.items() if len(each) != usual]
        problems.append(
            f"{len(odd)} clips in {source} have another number of {noun}s than the {usual} of most, among them "
            f"{_some(odd)}; give every clip the same number."
        )
    return images


def _owner(stem: str, ids: set[str]) -> tuple[str | None, int | None]:
    if stem in ids:
        return stem, None
    head, _, number = stem.rpartition("_")
    if head in ids and re.fullmatch("[0-9]{1,4}", number):
        return head, int(number)
    return None, None


def _checked(images: Mapping[str, Sequence[Path]], medium: Medium, problems: list[str], stage: Stage) -> list[Hashed]:
    """Decode every output once, and hash it; what is broken, blank or silent is a problem."""
    advance = stage("check outputs", sum(len(each) for each in images.values()))
    hashes = []
    for clip_id, files in images.items():
        for index, file in enumerate(files):
            try:
                medium.inspect(file)
                hashes.append(Hashed(clip_id, index, file.name, sha256_file(file)))
            except A2IBenchError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{file} can't be read: {error.strerror or error}.")
            advance(1)
    return hashes


def _some(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names[:3])
