"""Units of work: which clips are made together, who makes them, and what each unit left behind.

Nothing is shared but files that appear whole: a unit writes its outputs and then one manifest, ``units/NAME.json``. The
manifests are the only state, so that any number of processes, on any machines, work in one folder without a lock.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError
from a2ibench.files import is_regular, read_limited, read_state, write_state
from a2ibench.text import plain

UNITS = "units"
NOT_FINITE = "not finite twice"
AGAIN = "give --fresh to make the run again"
_SUM = re.compile(r"[0-9a-f]{64}  [a-z]+/[^/]+")
_SUMS_BYTES = 256 * 2**20
_ADVICE = {
    "batch size": "give the same --batch-size",
    "device": "give the same --device",
    "threads": "set OMP_NUM_THREADS as there",
    "clips of a shard": "give the same --data and --limit to all shards",
}
_I = TypeVar("_I")


def in_hash_order(clips: Iterable[Clip]) -> list[Clip]:
    """Sort clips by the hash of their ids: no unit, and no shard, has all of one label."""
    return sorted(clips, key=lambda clip: hashlib.blake2b(clip.clip_id.encode(), digest_size=16).digest())


def chunks(items: Sequence[_I], size: int) -> Iterator[Sequence[_I]]:
    """Cut into units of `size`; the last one may be smaller."""
    return (items[start : start + size] for start in range(0, len(items), size))


def unit_name(ids: Iterable[str]) -> str:
    """Name a unit by what is in it: 20 hex digits."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:20]


# ------------------------------------------------------------------------------------------------- shards


@dataclass(frozen=True)
class Shard:
    """One of several processes that make a run together without talking: the third of sixteen is ``3/16``."""

    number: int
    """From 1."""
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, clips: Iterable[Clip], size: int) -> list[Clip]:
        """Give this shard's clips: every `count`-th unit of all clips, whatever is made already."""
        units = list(chunks(in_hash_order(clips), size))
        return [clip for unit in units[self.number - 1 :: self.count] for clip in unit]


def shard_of(text: str | None, environ: Mapping[str, str] | None = None) -> Shard | None:
    """Read ``I/N``, or the place in a SLURM array where nothing is given; None for the whole.

    Parameters
    ----------
    text
        ``"3/16"``, counted from 1; ``"none"`` for the whole also inside an array.
    environ
        The environment, by default the process's own.

    Raises
    ------
    A2IBenchError
        If it is no shard: another form, out of range, or an array whose numbers have gaps.

    """
    if text is None:
        return _of_slurm(os.environ if environ is None else environ)
    if text == "none":
        return None
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found:
        raise A2IBenchError(f"--shard {plain(text, 40)!r} is not I/N; write 3/16 for the third of sixteen, or none.")
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count:
        raise A2IBenchError(f"There is no shard {text}; shards are counted from 1, as 1/{max(count, 1)}.")
    return Shard(number, count)


def _of_slurm(environ: Mapping[str, str]) -> Shard | None:
    """The place in a SLURM array: ids may begin anywhere, and have a step."""
    if "SLURM_ARRAY_TASK_ID" not in environ or "SLURM_ARRAY_TASK_COUNT" not in environ:
        return None
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")
    try:
        place, count, least, step = (int(environ.get(name) or n) for name, n in zip(names, "0001", strict=True))
    except ValueError:
        place, count, least, step = 0, 0, 0, 1
    index, rest = divmod(place - least, max(step, 1))
    if count < 1 or rest or not 0 <= index < count:
        told = ", ".join(f"{name}={plain(environ[name], 20)}" for name in names if name in environ)
        raise A2IBenchError(
            f"The SLURM array has gaps ({told}), so that no shard follows from it; give --shard I/N, or --shard none."
        )
    return Shard(index + 1, count) if count > 1 else None


# ------------------------------------------------------------------------------------------------- manifests


@dataclass
class Manifest:
    """What a unit of a run made."""

    settings: dict[str, Any]
    """What all units of a run have in common."""
    clips: dict[str, str]
    """The contents of each clip that it read, by clip id."""
    made: dict[str, str] = field(default_factory=dict)
    """The hash of each output, by clip id."""
    retried: list[str] = field(default_factory=list)
    """Clips whose first output was not finite."""
    failed: dict[str, str] = field(default_factory=dict)
    """Clips without an output, and why."""
    shard: str = ""
    """Which shard made it, as ``3/16``."""

    def write(self, out: Path) -> None:
        """Put the manifest in its place: from now on the unit is done."""
        write_state(out / UNITS / f"{unit_name(self.clips)}.json", {**vars(self)})

    @classmethod
    def read(cls, file: Path) -> "Manifest | None":
        """Read a manifest; None for one that is broken, whose unit is then made again."""
        try:
            state = read_state(file, "")
        except A2IBenchError:
            return None
        if state is None or state.keys() != cls.__dataclass_fields__.keys():
            return None
        found = cls(**state)
        tables = (found.settings, found.clips, found.made, found.failed)
        return found if all(isinstance(each, dict) for each in tables) and isinstance(found.retried, list) else None


class Ledger:
    """What all units of a run have made, and runs of before units: read from files, never written to."""

    def __init__(self, out: Path, sums: Path):
        self.settings: list[dict[str, Any]] = []
        self.clips: dict[str, str] = {}
        self.made: dict[str, set[str]] = {}
        self.retried: set[str] = set()
        self.failed: dict[str, str] = {}
        self.shards: set[str] = set()
        self._merged(out / "failures.json", sums)
        for manifest in filter(None, map(Manifest.read, _manifests(out))):
            if manifest.settings not in self.settings:
                self.settings.append(manifest.settings)
            for clip_id, contents in manifest.clips.items():
                if self.clips.setdefault(clip_id, contents) != contents:
                    self.clips[clip_id] = ""  # two units read it with other contents: no clip is like that
            for clip_id, digest in manifest.made.items():
                self.made.setdefault(clip_id, set()).add(digest)
            self.retried.update(manifest.retried)
            self.failed.update(manifest.failed)
            self.shards.add(manifest.shard)

    def _merged(self, failures: Path, sums: Path) -> None:
        """Read what a merge, or a run of before there were units, has written."""
        found = read_state(failures, AGAIN) or {"retried": [], "failed": []}
        self.retried.update(found["retried"])
        self.failed.update({clip_id: found.get("reasons", {}).get(clip_id, NOT_FINITE) for clip_id in found["failed"]})
        try:
            lines = read_limited(sums, _SUMS_BYTES).decode(errors="replace").splitlines()
        except FileNotFoundError:
            return
        for digest, _, name in (line.partition("  ") for line in lines if _SUM.fullmatch(line)):
            self.made.setdefault(Path(name).stem, set()).add(digest)

    def refuse_others(self, settings: Mapping[str, Any], out: Path) -> None:
        """Refuse to add to what was made with other settings.

        Raises
        ------
        A2IBenchError
            For the first setting that differs.

        """
        for other in self.settings:
            for name, value in settings.items():
                if other.get(name, value) != value:
                    raise A2IBenchError(
                        f"{out} holds units made with other settings ({name}: {other[name]} there, {value} here), and "
                        f"what is made with both would be neither; {_ADVICE[name]}, another --out, or --fresh."
                    )


def _manifests(out: Path) -> list[Path]:
    folder = out / UNITS
    if folder.is_symlink():
        raise A2IBenchError(f"{folder} is a link, and a run is kept inside its folder; give another --out.")
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".json"))
    except OSError:
        return []


def clear_units(out: Path) -> None:
    """Take away what all units left."""
    for file in _manifests(out):
        if is_regular(file) or file.is_symlink():
            file.unlink()
