"""Count how many outputs are distinct, copy a reference, and in which formats and sizes they are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2ibench.clips import ClipSet, read_audio, read_image
from a2ibench.files import sha256_file
from a2ibench.media.image import thumbnail
from a2ibench.results import Seen
from a2ibench.tasks import Task
from a2ibench.text import some

_SIDE = 8  # of the thumbnail by which pictures are told apart
# Two pictures are all but equal where their thumbnails differ by at most this (root mean square, of 255), and by at
# most this share of the contrast: among the mini suite's 240 pictures the nearest two differ by 8.3 (0.31 of the
# contrast), and each from itself as JPEG of quality 75 by at most 2.0. CLIP's cosine is no help: of the mini suite's
# CLIP it is above 0.999 for two different references, and for 8 of AudioToken's 240 drawings and some reference.
_NEAR, _NEAR_SHARE = 5.0, 0.2
_BLOCK, _OTHERS = 1024, 16_384  # pictures that are compared at once
_KINDS = 20  # formats or sizes that are counted one by one


@dataclass(frozen=True)
class Look:
    """What one file is once decoded."""

    digest: str
    """The sha256 of its content: pixels, samples; of other media the bytes."""
    format: str = ""
    """As PNG; empty where there is none to name."""
    size: tuple[int, int] | None = None
    """Width and height."""
    thumb: NDArray[np.float32] | None = None
    """A small picture, [192]."""


def look(path: Path, medium: str) -> Look:
    """Decode one file; A2IBenchError if it can't be read."""
    if medium == "audio":
        return Look(sha256(read_audio(path, 16_000).tobytes()).hexdigest())
    if medium != "image":
        return Look(sha256_file(path))
    image = read_image(path)
    return Look(
        digest=sha256(f"{image.size}".encode() + image.tobytes()).hexdigest(),
        format=_format(path),
        size=image.size,
        thumb=thumbnail(image, _SIDE).astype(np.float32) - 128,
    )


def _format(path: Path) -> str:
    try:
        with Image.open(path) as image:
            return image.format or path.suffix[1:].upper()
    except OSError:  # a frame of a video
        return path.suffix[1:].upper()


@lru_cache(maxsize=4)
def clip_looks(clips: ClipSet, column: str, medium: str) -> tuple[Look, ...]:
    """Decode a column of the clips, once for each ClipSet."""
    return tuple(look(clip.file(column), medium) for clip in clips)


# ---------------------------------------------------------------------------------------------------- alike


def alike(some_looks: Sequence[Look], others: Sequence[Look] | None = None) -> NDArray[np.bool_]:
    """Say of each look whether another one is equal or all but equal to it, ``[n]``.

    Parameters
    ----------
    some_looks
        The looks that are asked about.
    others
        Among which; by default all the rest of `some_looks`.

    """
    if others is None:
        count = Counter(each.digest for each in some_looks)
        found = np.array([count[each.digest] > 1 for each in some_looks], dtype=np.bool_)
    else:
        known = {each.digest for each in others}
        found = np.array([each.digest in known for each in some_looks], dtype=np.bool_)
    return found | is_near(_thumbs(some_looks), None if others is None else _thumbs(others), _NEAR, _NEAR_SHARE)


def _thumbs(looks: Sequence[Look]) -> NDArray[np.float32]:
    """The thumbnails, ``[n, 192]``; NaN, which is near nothing, where there is none."""
    nothing = np.full(3 * _SIDE * _SIDE, np.nan, np.float32)
    return (
        np.stack([nothing if each.thumb is None else each.thumb for each in looks]) if looks else nothing[None, :][:0]
    )


def is_near(
    some_thumbs: NDArray[np.float32], others: NDArray[np.float32] | None, level: float, share: float
) -> NDArray[np.bool_]:
    """Say of each thumbnail whether another one is near it, ``[n]``.

    Parameters
    ----------
    some_thumbs
        The thumbnails that are asked about, ``[n, 192]``, around zero.
    others
        Among which, ``[m, 192]``; None: all the rest of `some_thumbs`.
    level, share
        How far they may be apart (root mean square): levels of 255, and the share of the other's contrast.

    """
    there = some_thumbs if others is None else others
    found = np.zeros(len(some_thumbs), np.bool_)
    for start, first in product(range(0, len(some_thumbs), _BLOCK), range(0, len(there), _OTHERS)):
        block, part = some_thumbs[start : start + _BLOCK], there[first : first + _OTHERS]
        most = np.minimum(level, share * part.std(axis=1)) ** 2
        square = (part**2).mean(axis=1)
        near = (block**2).mean(axis=1)[:, None] + square - 2 / block.shape[1] * (block @ part.T) <= most
        if others is None:
            rows = np.arange(start, start + len(block))
            own = (rows >= first) & (rows < first + len(part))
            near[np.flatnonzero(own), rows[own] - first] = False
        found[start : start + _BLOCK] |= near.any(axis=1)
    return found


# ---------------------------------------------------------------------------------------------------- notes


def clip_notes(clips: ClipSet, task: Task) -> list[str]:
    """Say which clips share a sound, a picture and so on with another clip: that caps what a method can reach."""
    notes = []
    for column, medium in task.columns.items():
        if medium == "text":
            continue
        same = alike(clip_looks(clips, column, medium))
        if same.any():
            names = [clip_id for clip_id, is_same in zip(clips.ids, same, strict=True) if is_same]
            notes.append(
                f"{len(names)} of {len(clips)} clips have the same {column} as another clip, or all but the same "
                f"({some(names)}): comparisons between them tie, which caps what any method can reach."
            )
    return notes


class Known(Protocol):
    """A training split that copies are known of."""

    @property
    def id(self) -> str:
        """Its name, size and content."""
        ...

    def copied(self, looks: Sequence[Look]) -> NDArray[np.bool_]:
        """Say of each look whether it is a copy, ``[n]``."""
        ...


def seen(
    outputs: Mapping[str, Sequence[Path]], clips: ClipSet, task: Task, training: Known | None = None
) -> tuple[Seen, list[str]]:
    """Count what the outputs of some clips are, and say in notes what a reader must know of it.

    Parameters
    ----------
    outputs
        The files of each clip, by clip id.
    clips, task
        On what they are scored.
    training
        The training split, where it is known.

    Returns
    -------
    The counts, and a sentence each for outputs that repeat, that copy references or training clips, or that are
    stored otherwise.

    """
    files = [path for clip_id in clips.ids for path in outputs.get(clip_id, ())]
    looks = [look(path, task.output) for path in files]
    medium = task.columns[task.reference]
    references = clip_looks(clips, task.reference, medium) if medium == task.output else ()
    found = Seen(
        n=len(looks),
        distinct=len({each.digest for each in looks}),
        copies=int(alike(looks, references).sum()),
        training=training.id if training else "",
        training_copies=int(training.copied(looks).sum()) if training else 0,
        formats=_counted(each.format for each in looks if each.format),
        sizes=_counted(_pixels(each.size) for each in looks if each.size),
    )
    return found, [*marks(found, task.noun), *_stored_otherwise(found, references)]


def marks(found: Seen, noun: str) -> list[str]:
    """Say that outputs repeat or copy references, where they do; boards show these sentences."""
    notes = []
    if found.distinct < found.n:
        notes.append(
            f"Only {found.distinct} of {found.n} {noun}s are distinct, the others are the same again: measures of the "
            "whole set (as FID) are of repeated features, and comparisons between clips of the same output tie."
        )
    if found.copies:
        notes.append(
            f"{found.copies} of {found.n} {noun}s are equal, or all but equal, to a reference of these clips: these "
            "scores are those of copies (the method reference copies on purpose)."
        )
    return [*notes, *training_marks(found, noun)]


def training_marks(found: Seen, noun: str) -> list[str]:
    """Say that outputs copy training clips, where they do."""
    if not found.training_copies:
        return []
    return [
        f"{found.training_copies} of {found.n} {noun}s are equal, or all but equal, to one of the training split "
        f"({found.training}): these are fetched, not made."
    ]


def _stored_otherwise(found: Seen, references: Sequence[Look]) -> list[str]:
    """Say where formats and sizes of outputs and references differ, and what that does to the scores."""
    formats = _counted(each.format for each in references if each.format)
    sizes = _counted(_pixels(each.size) for each in references if each.size)
    notes = []
    if formats and found.formats.keys() != formats.keys():
        notes.append(
            f"The outputs are stored as {_listed(found.formats)}, the references as {_listed(formats)}: FID and KID "
            "measure the compression too."
        )
    if sizes and found.sizes.keys() != sizes.keys():
        shapes = {_shape(name) for name in found.sizes} != {_shape(name) for name in sizes}
        notes.append(
            f"The outputs have {_listed(found.sizes)} pixels, the references {_listed(sizes)}: FID and KID measure "
            f"the scaling{' and the other shapes' * shapes} too."
        )
    return notes


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _shape(size: str) -> float | str:
    width, _, height = size.partition(" x ")
    return round(int(width) / int(height), 2) if height else size


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Count names; what is rarer than the most frequent ones is counted together."""
    ordered = sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(count for _, count in ordered[_KINDS:])
    return dict(ordered[:_KINDS]) | ({"others": rest} if rest else {})


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    if len(ordered) == 1:
        return ordered[0][0]
    named = ", ".join(f"{name} ({count})" for name, count in ordered[:3])
    return named + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
