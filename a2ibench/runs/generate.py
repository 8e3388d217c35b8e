"""Generate a method's images: those missing in the run folder, in batches, each written atomically."""

import json
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from a2ibench.baselines.base import image_seed
from a2ibench.clips import Clip, ClipSet, clip_digests
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.files import (
    check_space,
    check_writable,
    is_regular,
    read_json,
    read_limited,
    read_state,
    sha256_file,
    sweep,
    write_state,
    write_text,
)
from a2ibench.media import get as get_medium
from a2ibench.progress import Advance
from a2ibench.runs.prepare import Run
from a2ibench.tasks import Task
from a2ibench.tasks import get as get_task
from a2ibench.text import some

_AGAIN = "give --fresh to make the run again"
_SUM = re.compile(r"[0-9a-f]{64}  [a-z]+/[^/]+")
_LEAST_BYTES = 4096  # a block: the smallest image takes one
_SUMS_BYTES = 256 * 2**20


class Generated(NamedTuple):
    """A method's images; a clip whose image failed twice has none."""

    files: dict[str, Path]
    """The image of each clip, by clip id."""
    retried: tuple[str, ...]
    """Clips whose first image was none (NaN): theirs is of another seed."""
    failed: tuple[str, ...]
    """Clips for which that one was none either."""

    def images(self) -> dict[str, list[Path]]:
        """Give what the scorer reads."""
        return {clip_id: [file] for clip_id, file in self.files.items()}

    def notes(self) -> list[str]:
        """Say in sentences what a reader of the scores must know."""
        found = []
        if self.retried:
            found.append(f"Made again with another seed, since the first one was not finite: {some(self.retried, 5)}.")
        if self.failed:
            found.append(f"Failed twice (not finite), and counted as missing: {some(self.failed, 5)}.")
        return found


def generate(
    run: Run,
    clips: ClipSet,
    out: Path,
    *,
    device: str = "cpu",
    batch_size: int = 24,
    advance: Advance = lambda n: None,
    fresh: bool = False,
) -> Generated:
    """Make the images that ``out/images`` lacks.

    A batch is always filled up to ``batch_size`` (by repeating its last clip), because the shape of a batch
    may change the last bits of a sum: so an image is the same, to the bit, in one go, in two halves or after
    a kill. Where a GPU has too little memory for it, it is halved, and a warning says so.

    An image with a number that is not finite is generated once more with another seed; ``failures.json`` in `out`
    keeps which clips that befell, and for which it did not help. ``images.sha256`` holds the hash of each image (as
    ``sha256sum -c`` reads it): one that was damaged since is made again.

    Raises
    ------
    A2IBenchError
        If the folder holds a run of another configuration, unless ``fresh``, or a single image needs more
        memory than there is.

    """
    check_writable(out)
    _claim(run, clips, out, fresh)
    place = _Place(run, out)
    files = {clip.clip_id: place.file(clip.clip_id) for clip in clips}
    failures = _Failures(out / "failures.json", fresh)
    made = _Made(place, fresh)
    missing = [c for c in clips if c.clip_id not in failures.failed and not made.is_whole(c.clip_id)]
    advance(len(clips) - len(missing))
    if missing:
        check_space(out, len(missing) * _LEAST_BYTES, f"a run of {len(missing)} {place.noun}s at least")
        draw = _Drawing(run, device, batch_size)
        while missing:
            batch, missing = missing[: draw.size], missing[draw.size :]
            again = []
            for clip, image in draw(batch):
                if image is None:
                    again.append(clip)
                else:
                    made.save(clip.clip_id, image)
            if again:
                failures.add("retried", again)
                second = draw(again, attempt=1)
                for clip, image in second:
                    if image is not None:
                        made.save(clip.clip_id, image)
                failures.add("failed", [clip for clip, image in second if image is None])
            made.write()
            advance(len(batch))
    ids = set(clips.ids)
    failed = tuple(sorted(failures.failed & ids))
    return Generated(
        {clip_id: file for clip_id, file in files.items() if clip_id not in failed},
        tuple(sorted((failures.retried - failures.failed) & ids)),
        failed,
    )


class _Drawing:
    """A loaded method that generates batches of one size, which shrinks where the memory does not hold it."""

    def __init__(self, run: Run, device: str, size: int):
        self.run, self.size = run, size
        self._draw = run.method.load(run.parts, run.options, device)

    def __call__(self, clips: Sequence[Clip], attempt: int = 0) -> list[tuple[Clip, Any]]:
        from torch import OutOfMemoryError

        drawn: list[tuple[Clip, Any]] = []
        while len(drawn) < len(clips):
            batch = clips[len(drawn) : len(drawn) + self.size]
            full = [*batch, *[batch[-1]] * (self.size - len(batch))]
            seeds = [image_seed(self.run.seed, clip.clip_id, attempt=attempt) for clip in full]
            try:
                images = self._draw(full, seeds)
            except OutOfMemoryError:
                if self.size == 1:
                    raise A2IBenchError(
                        f"{self.run.method.name} needs more memory for one image than the device has; "
                        "give a smaller --set size=…, or --device cpu."
                    ) from None
                self.size = -(-self.size // 2)
                warnings.warn(
                    f"The device has too little memory for the batch; going on with {self.size} images at once "
                    f"(give --batch-size {self.size} to have equal images in a later run).",
                    A2IBenchWarning,
                    stacklevel=3,
                )
                continue
            drawn += zip(batch, images, strict=False)
        return drawn


def output_file(run: Path, clip_id: str, task: Task) -> Path:
    """Name the file of a clip's output in the folder of a run."""
    return run / task.folder / f"{clip_id}{get_medium(task.output).suffixes[0]}"


class _Place:
    """Where a run's outputs lie: in a folder and with an ending by the medium of its task."""

    def __init__(self, run: Run, out: Path):
        self.task = get_task(run.method.task)
        self.medium, self.noun, self.out = get_medium(self.task.output), self.task.noun, out
        self.folder, self.sums = out / self.task.folder, out / f"{self.task.folder}.sha256"

    def file(self, clip_id: str) -> Path:
        """Name the file of a clip's output."""
        return output_file(self.out, clip_id, self.task)


class _Made:
    """The outputs that were made, and the hash of each in a file."""

    def __init__(self, place: _Place, fresh: bool):
        self._place = place
        self._sums: dict[str, str] = {}
        if fresh:
            place.sums.unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError):
            lines = read_limited(place.sums, _SUMS_BYTES).decode(errors="replace").splitlines()
            found = (line.partition("  ") for line in lines if _SUM.fullmatch(line))
            self._sums = {Path(name).stem: digest for digest, _, name in found}

    def is_whole(self, clip_id: str) -> bool:
        """Whether an output is there, and is what was made; a batch that was being written may be made again."""
        file = self._place.file(clip_id)
        return is_regular(file) and self._sums.get(clip_id) == sha256_file(file)

    def save(self, clip_id: str, output: Any) -> None:
        """Write an output; of a sound both its samples and its rate are given."""
        file = self._place.file(clip_id)
        self._place.medium.write(file, *(output if isinstance(output, tuple) else (output,)))
        self._sums[clip_id] = sha256_file(file)

    def write(self) -> None:
        """Write the hashes, as ``sha256sum -c`` reads them."""
        names = {clip_id: f"{self._place.folder.name}/{self._place.file(clip_id).name}" for clip_id in self._sums}
        lines = (f"{digest}  {names[clip_id]}\n" for clip_id, digest in sorted(self._sums.items()))
        write_text(self._place.sums, "".join(lines))


class _Failures:
    """Which clips' images were not finite, in a file."""

    def __init__(self, file: Path, fresh: bool):
        self._file = file
        if fresh:
            file.unlink(missing_ok=True)
        found = read_state(file, _AGAIN) or {"retried": [], "failed": []}
        self.retried, self.failed = set(found["retried"]), set(found["failed"])

    def add(self, what: str, clips: Sequence[Clip]) -> None:
        getattr(self, what).update(clip.clip_id for clip in clips)
        write_state(self._file, {"retried": sorted(self.retried - self.failed), "failed": sorted(self.failed)})


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
    mark, images = out / "run.json", _Place(run, out).folder
    if images.is_symlink():
        raise A2IBenchError(f"{images} is a link, and a run is kept inside its folder; give another --out.")
    if fresh:
        return {}
    read_state(out / "failures.json", _AGAIN)
    found = read_json(mark, _AGAIN)
    if found is None:
        if any(not file.name.startswith(".") for file in images.glob("*")):
            raise _other(out, "no run.json says how its images were made")
        return {}
    try:
        known = dict(found.pop("clips"))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise A2IBenchError(f"{mark} is broken; {_AGAIN}.") from None
    record = run.record()
    differing = [key for key in record if found.get(key) != record[key]]
    if differing:
        raise _other(out, ", ".join(differing))
    return known


def _claim(run: Run, clips: ClipSet, out: Path, fresh: bool) -> None:
    """Mark the folder as this run's and note each clip's contents; refuse to mix it with another run."""
    known = check_folder(run, out, fresh=fresh)
    folder = _Place(run, out).folder
    sweep(folder)
    if fresh:
        for file in folder.glob("*.*"):
            file.unlink()
    digests = {clip.clip_id: _clip_digest(clip) for clip in clips}
    changed = [clip_id for clip_id, digest in digests.items() if known.get(clip_id, digest) != digest]
    if changed:
        raise _other(out, f"the clip {changed[0]!r} has other contents")
    mark = json.dumps({**run.record(), "clips": {**known, **digests}}, indent=1, sort_keys=True)
    write_text(out / "run.json", mark)


def _clip_digest(clip: Clip) -> str:
    return " ".join((*clip_digests(clip), clip.label))


def _other(out: Path, what: str) -> A2IBenchError:
    return A2IBenchError(
        f"{out} holds a run of another configuration ({what}); give another --out, or --fresh to make it again."
    )
