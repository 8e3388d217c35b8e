"""The folder of a run: where its outputs lie, whose it is, and what readers of it find there."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2ibench.clips import Clip, ClipSet, clip_digests
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import is_regular, read_json, read_state, sha256_file, sweep, write_state, write_text
from a2ibench.media import get as get_medium
from a2ibench.runs.prepare import Run
from a2ibench.runs.units import AGAIN, NOT_FINITE, Ledger, clear_units
from a2ibench.tasks import Task
from a2ibench.tasks import get as get_task


def output_file(run: Path, clip_id: str, task: Task) -> Path:
    """Name the file of a clip's output in the folder of a run."""
    return run / task.folder / f"{clip_id}{get_medium(task.output).suffixes[0]}"


@dataclass(frozen=True)
class Place:
    """Where a run's outputs lie: in a folder and with an ending by the medium of its task."""

    out: Path
    task: Task

    @property
    def folder(self) -> Path:
        """The folder of the outputs."""
        return self.out / self.task.folder

    @property
    def sums(self) -> Path:
        """The file of their hashes."""
        return self.out / f"{self.task.folder}.sha256"

    def file(self, clip_id: str) -> Path:
        """Name the file of a clip's output."""
        return output_file(self.out, clip_id, self.task)

    def is_whole(self, clip_id: str, ledger: Ledger) -> bool:
        """Whether an output is there, and is what was made; a unit that was being made may be made again."""
        file = self.file(clip_id)
        return is_regular(file) and clip_id in ledger.made and sha256_file(file) in ledger.made[clip_id]

    def save(self, clip_id: str, output: Any) -> str:
        """Write an output, and give its hash; of a sound both its samples and its rate are given."""
        file = self.file(clip_id)
        get_medium(self.task.output).write(file, *(output if isinstance(output, tuple) else (output,)))
        return sha256_file(file)

    def merge(self, made: Sequence[str], ledger: Ledger) -> None:
        """Write what a reader looks for: the hashes, as ``sha256sum -c`` reads them, and which clips failed."""
        sums = {clip_id: min(digests) for clip_id, digests in ledger.made.items() if clip_id not in ledger.failed}
        # Made on two kinds of machines, it may have two: then it is looked at.
        sums |= {clip_id: sha256_file(self.file(clip_id)) for clip_id in made if len(ledger.made[clip_id]) > 1}
        names = {clip_id: f"{self.folder.name}/{self.file(clip_id).name}" for clip_id in sums}
        write_text(self.sums, "".join(f"{digest}  {names[clip_id]}\n" for clip_id, digest in sorted(sums.items())))
        if ledger.failed or ledger.retried:
            reasons = {clip_id: why for clip_id, why in sorted(ledger.failed.items()) if why != NOT_FINITE}
            retried = sorted(ledger.retried - ledger.failed.keys())
            state = {"retried": retried, "failed": sorted(ledger.failed), **({"reasons": reasons} if reasons else {})}
            write_state(self.out / "failures.json", state)


def check_folder(run: Run, out: Path, *, fresh: bool = False) -> dict[str, str]:
    """Refuse a folder that holds another run or damaged state, before any work; nothing is written.

    Returns
    -------
    The contents of the clips that the run knows, by clip id.

    Raises
    ------
    A2IBenchError
        As `generate` does.

    """
    place, mark = Place(out, get_task(run.task)), out / "run.json"
    if place.folder.is_symlink():
        raise A2IBenchError(f"{place.folder} is a link, and a run is kept inside its folder; give another --out.")
    if fresh:
        return {}
    read_state(out / "failures.json", AGAIN)
    found = read_json(mark, AGAIN)
    if found is None:
        there = any(not file.name.startswith(".") for file in place.folder.glob("*"))
        found = read_json(mark, AGAIN) if there else None  # another shard may just have begun
        if there and found is None:
            raise _other(out, "no run.json says how its images were made")
    if found is None:
        return {}
    try:
        known = dict(found.pop("clips"))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise A2IBenchError(f"{mark} is broken; {AGAIN}.") from None
    record = run.record()
    differing = [key for key in record if found.get(key) != record[key]]
    if differing:
        raise _other(out, ", ".join(differing))
    return known


def claim(run: Run, mine: Sequence[Clip], place: Place, fresh: bool, whole: bool) -> dict[str, str]:
    """Mark the folder as this run's; refuse to mix it with another run. Gives the contents of these clips.

    A shard writes the mark only where there is none, and no clips into it, so that all shards write the same one.
    """
    out = place.out
    known = check_folder(run, out, fresh=fresh)
    if whole:
        sweep(place.folder)
    if fresh:
        for file in (*place.folder.glob("*.*"), place.sums, out / "failures.json"):
            file.unlink(missing_ok=True)
        clear_units(out)
    contents = {clip.clip_id: contents_of(clip) for clip in mine}
    before = {**Ledger(out, place.sums).clips, **known}
    changed = [clip_id for clip_id, found in contents.items() if before.get(clip_id, found) != found]
    if changed:
        raise _other(out, f"the clip {min(changed)!r} has other contents")
    if whole or not (out / "run.json").exists():
        clips = {**before, **contents} if whole else {}
        write_text(out / "run.json", json.dumps({**run.record(), "clips": clips}, indent=1, sort_keys=True))
    return contents


def contents_of(clip: Clip) -> str:
    """Give what tells the contents of a clip."""
    return " ".join((*clip_digests(clip), clip.label))


def _other(out: Path, what: str) -> A2IBenchError:
    return A2IBenchError(
        f"{out} holds a run of another configuration ({what}); give another --out, or --fresh to make it again."
    )


def write_outputs(folder: Path, outputs: Mapping[str, Any], clips: ClipSet) -> None:
    """Write outputs in memory as files ``<clip_id>``, or ``<clip_id>_0``, ``_1``, … for a list of several.

    Raises
    ------
    A2IBenchError
        For an unknown clip, or an output that is neither a path nor of the task's medium.

    """
    known, medium = set(clips.ids), get_medium(clips.task.output)
    for clip_id, made in outputs.items():
        if clip_id not in known:
            raise unknown("clip", clip_id, known)
        several = made if isinstance(made, list | tuple) and not _is_sound(made) else [made]
        for index, each in enumerate(several):
            stem = clip_id if len(several) == 1 else f"{clip_id}_{index}"
            if isinstance(each, str | Path):
                shutil.copy(each, folder / f"{stem}{Path(each).suffix}")
            elif medium.name == "audio" and _is_sound(each):
                medium.write(folder / f"{stem}{medium.suffixes[0]}", *each)
            elif medium.name == "image" and (picture := _picture(each)) is not None:
                picture.save(folder / f"{stem}.png")
            else:
                wanted = {"image": "a PIL image, an array uint8 [h, w, 3]", "audio": "(samples, rate)"}
                raise A2IBenchError(
                    f"The output of {clip_id!r} is a {type(each).__name__}; give "
                    f"{wanted[medium.name] + ' or ' if medium.name in wanted else ''}a path."
                )


def _is_sound(made: Any) -> bool:
    """Whether it is samples and their rate."""
    return isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], int)


def _picture(made: Any) -> Any:
    import numpy as np
    from PIL import Image

    if isinstance(made, np.ndarray) and made.dtype == np.uint8 and made.ndim == 3:
        return Image.fromarray(made)
    return made if isinstance(made, Image.Image) else None
