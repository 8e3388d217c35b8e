"""Know outputs that copy the training split: an index of small pictures, shipped with a suite or made of a folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a2ibench.clips import load_clips
from a2ibench.errors import A2IBenchError
from a2ibench.files import write_bytes
from a2ibench.progress import Stage, silent
from a2ibench.scoring.alike import Look, is_near, look
from a2ibench.scoring.features import FeatureCache
from a2ibench.suites import Suite

# Stricter than for references: among thousands of pictures some come near by chance. Of the mini suite's 240
# references the nearest to one of its 5,000 training pictures differs by 5.2; an output stored as JPEG of quality 75
# by at most 2.0 from itself.
_NEAR, _NEAR_SHARE = 3.0, 0.12
_CACHE = "looks-1"  # raised whenever a look's row changes
_STEP = 256  # files between two writes to the cache


@dataclass(frozen=True)
class TrainingSplit:
    """The outputs' counterparts in a training split.

    Attributes
    ----------
    name
        What it is called.
    rows
        uint8, one a clip: of images the thumbnail's levels ``[n, 192]``, else the content's sha256 ``[n, 32]``.

    """

    name: str
    rows: NDArray[np.uint8]

    @property
    def id(self) -> str:
        """Name, size and content, as ``mini-train, n=5000, 0123abcd``."""
        return f"{self.name}, n={len(self.rows)}, {sha256(self.rows.tobytes()).hexdigest()[:8]}"

    def copied(self, looks: Sequence[Look]) -> NDArray[np.bool_]:
        """Say of each look whether the split holds one that is equal or all but equal, ``[n]``."""
        if not looks or not len(self.rows):
            return np.zeros(len(looks), np.bool_)
        asked = np.stack([row_of(each) for each in looks])
        if asked.shape[1] != self.rows.shape[1]:
            return np.zeros(len(looks), np.bool_)  # of another medium
        if asked.shape[1] == 32:
            known = {row.tobytes() for row in self.rows}
            return np.array([row.tobytes() in known for row in asked])
        return is_near(_levels(asked), _levels(self.rows), _NEAR, _NEAR_SHARE)

    def save(self, path: Path) -> None:
        """Write the index."""
        from safetensors.numpy import save

        write_bytes(path, save({"rows": self.rows}, metadata={"name": self.name}))


def row_of(one: Look) -> NDArray[np.uint8]:
    """Give the row by which a look is known."""
    if one.thumb is None:
        return np.frombuffer(bytes.fromhex(one.digest), np.uint8)
    return (one.thumb + 128).astype(np.uint8)  # whole levels


def _levels(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    return rows.astype(np.float32) - 128


def shipped(suite: Suite) -> TrainingSplit | None:
    """Read the index that a suite brings; None where it brings none.

    Raises
    ------
    A2IBenchError
        If it names one that can't be read.

    """
    if suite.file.training_pictures is None:
        return None
    return _read(suite.folder / suite.file.training_pictures)


@lru_cache(maxsize=4)
def _read(path: Path) -> TrainingSplit:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            rows, name = file.get_tensor("rows"), (file.metadata() or {}).get("name", path.parent.name)
    except (OSError, SafetensorError) as error:
        raise A2IBenchError(f"The training pictures {path} can't be read ({error}); install a2ibench again.") from None
    if rows.dtype != np.uint8 or rows.ndim != 2:
        raise A2IBenchError(f"The training pictures {path} are {rows.dtype} {rows.shape}; install a2ibench again.")
    return TrainingSplit(name, rows)


def of_folder(folder: Path, suite: Suite, stage: Stage = silent) -> TrainingSplit:
    """Make the index of a folder of training clips; what was looked at before is read from the cache.

    Parameters
    ----------
    folder
        A folder with ``clips.csv``, as for `--data`.
    suite
        Whose task says which column is the outputs' counterpart.
    stage
        Shows progress: the first time every file is decoded.

    Raises
    ------
    A2IBenchError
        If the clips can't be read.

    """
    clips, task = load_clips(folder, task=suite.task), suite.task
    medium = task.columns[task.reference]
    if medium != task.output:
        raise A2IBenchError(f"The clips of {task.name} hold no {task.noun}s to know again; leave --training out.")
    files = [clip.file(task.reference) for clip in clips]
    keys = [_key(file) for file in files]
    cache = FeatureCache(f"{_CACHE}-{medium}")
    rows = cache.get(keys)
    advance = stage("training clips", len(files))
    advance(len(rows))
    new: dict[str, NDArray[np.float32]] = {}
    for file, key in zip(files, keys, strict=True):
        if key in rows or key in new:
            continue
        new[key] = row_of(look(file, medium)).astype(np.float32)
        advance(1)
        if len(new) == _STEP:
            cache.put(new)
            rows, new = {**rows, **new}, {}
    cache.put(new)
    rows |= new
    return TrainingSplit(clips.name, np.stack([rows[key].astype(np.uint8) for key in keys]))


def _key(file: Path) -> str:
    """Name a file's state: hashing all of a large corpus in each run would take minutes."""
    found = os.stat(file)
    return sha256(f"{file.resolve()}\0{found.st_size}\0{found.st_mtime_ns}".encode(errors="replace")).hexdigest()
