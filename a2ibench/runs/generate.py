"""Generate a method's outputs: those missing in the run folder, unit by unit, wherever there are workers."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from a2ibench.baselines.base import image_seed
from a2ibench.clips import Clip, ClipSet
from a2ibench.encoders.threads import computing_threads, fixed_threads
from a2ibench.errors import A2IBenchError, A2IBenchNote, A2IBenchWarning
from a2ibench.files import check_space, check_writable
from a2ibench.media.audio import SILENCE
from a2ibench.progress import Advance
from a2ibench.runs.executors import Executor, perform
from a2ibench.runs.folder import Place, claim, contents_of
from a2ibench.runs.prepare import Run, prepare
from a2ibench.runs.units import NOT_FINITE, Ledger, Manifest, Shard, in_hash_order, unit_name
from a2ibench.suites.portable import clip_of, clip_spec, located, portable, suite_of, suite_spec
from a2ibench.tasks import get as get_task
from a2ibench.text import plain, some

_LEAST_BYTES = 4096  # a block: the smallest image takes one
_NONE = "not finite, or silent"


class Generated(NamedTuple):
    """A method's images; a clip whose image failed has none."""

    files: dict[str, Path]
    """The image of each clip, by clip id."""
    retried: tuple[str, ...]
    """Clips whose first image was none (NaN, or a silent sound): theirs is of another seed."""
    failed: tuple[str, ...]
    """Clips for which that one was none either, or that killed every worker that tried."""
    reasons: Mapping[str, str] = {}
    """Why each of these failed."""

    def images(self) -> dict[str, list[Path]]:
        """Give what the scorer reads."""
        return {clip_id: [file] for clip_id, file in self.files.items()}

    def notes(self) -> list[str]:
        """Say in sentences what a reader of the scores must know."""
        found = []
        if self.retried:
            found.append(f"Made again with another seed, since the first one was {_NONE}: {some(self.retried, 5)}.")
        by_reason: dict[str, list[str]] = {}
        for clip_id in self.failed:
            by_reason.setdefault(self.reasons.get(clip_id, NOT_FINITE), []).append(clip_id)
        for reason, clips in by_reason.items():
            if reason == NOT_FINITE:
                found.append(f"Failed twice ({_NONE}), and counted as missing: {some(clips, 5)}.")
            else:
                found.append(f"Failed ({plain(reason)}), and counted as missing: {some(clips, 5)}.")
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
    executor: Executor | None = None,
    shard: Shard | None = None,
) -> Generated:
    """Make the images that ``out/images`` lacks.

    A batch is always filled up to ``batch_size`` (by repeating its last clip), because the shape of a batch
    may change the last bits of a sum: so an image is the same, to the bit, in one go, in two halves, after
    a kill, and on any number of workers. Where a GPU has too little memory for it, it is halved, and a warning says so.

    Each batch is a unit: its images, then its manifest in ``out/units``. An image with a number that is not finite is
    generated once more with another seed. At the end, but not after a shard, ``failures.json`` says which clips that
    befell, and for which it did not help; ``images.sha256`` holds the hash of each image (as ``sha256sum -c`` reads
    it): one that was damaged since is made again.

    Parameters
    ----------
    run, clips, out
        What, for which clips, and the run's folder.
    device, batch_size, advance, fresh
        How; ``fresh`` makes everything again.
    executor
        Where the units are made; in this process where none is given.
    shard
        Make this part only; then `Generated` is of its clips.

    Raises
    ------
    A2IBenchError
        If the folder holds a run of another configuration, unless ``fresh``, or a single image needs more
        memory than there is.

    """
    check_writable(out)
    check_units(out, run.task, device, batch_size, clips if shard else None, fresh=fresh)
    place = Place(out, get_task(run.task))
    mine = shard.of(clips, batch_size) if shard else in_hash_order(clips)
    settings = settings_of(device, batch_size, clips if shard else None)
    contents = claim(run, mine, place, fresh, whole=shard is None)
    ledger = Ledger(out, place.sums)
    missing = [clip for clip in mine if clip.clip_id not in ledger.failed and not place.is_whole(clip.clip_id, ledger)]
    advance(len(mine) - len(missing))
    if missing:
        ledger.refuse_others(settings, out)
        if shard is None:
            _tell_of_shards(ledger, clips, missing, batch_size)
        check_space(out, len(missing) * _LEAST_BYTES, f"a run of {len(missing)} {place.task.noun}s at least")
        work = Generating(run, out, contents, settings, device, str(shard or ""))
        perform(executor, work, missing, batch_size, advance)
        ledger = Ledger(out, place.sums)
    failed = {clip.clip_id: ledger.failed[clip.clip_id] for clip in clips if clip.clip_id in ledger.failed}
    made = [clip.clip_id for clip in sorted(mine, key=lambda clip: clip.clip_id) if clip.clip_id not in failed]
    if shard is None:
        place.merge(made, ledger)
    retried = tuple(sorted((ledger.retried - ledger.failed.keys()) & set(clips.ids)))
    return Generated({clip_id: place.file(clip_id) for clip_id in made}, retried, tuple(sorted(failed)), failed)


def check_units(
    out: Path, task: str, device: str, batch_size: int, of_shard: ClipSet | None, *, fresh: bool = False
) -> None:
    """Refuse a shard of other settings than those whose units are there, before any work.

    Raises
    ------
    A2IBenchError
        For the first setting that differs.

    """
    if of_shard is not None and not fresh:
        ledger = Ledger(out, Place(out, get_task(task)).sums)
        ledger.refuse_others(settings_of(device, batch_size, of_shard), out)


def _tell_of_shards(ledger: Ledger, clips: ClipSet, missing: Sequence[Clip], batch_size: int) -> None:
    """Say which shards of a run have not ended, before what they lack is made here."""
    counts = {int(shard.partition("/")[2]) for shard in ledger.shards if shard}
    if len(counts) != 1:
        return
    (count,), lacking = counts, {clip.clip_id for clip in missing}
    shards = (Shard(number, count) for number in range(1, count + 1))
    behind = [str(each) for each in shards if not lacking.isdisjoint(c.clip_id for c in each.of(clips, batch_size))]
    warnings.warn(
        f"Of {len(clips)} clips {len(missing)} are missing, of the shards {', '.join(behind[:10])}"
        f"{f' and {len(behind) - 10} more' if len(behind) > 10 else ''}; they are made here.",
        A2IBenchNote,
        stacklevel=3,
    )


def settings_of(device: str, batch_size: int, of_shard: ClipSet | None = None) -> dict[str, Any]:
    """Give what all units of a run must have in common, since the last bits of an output depend on it."""
    found = {"batch size": batch_size, "device": device.partition(":")[0], "threads": computing_threads()}
    return found if of_shard is None else {**found, "clips of a shard": unit_name(of_shard.ids)}


# --------------------------------------------------------------------------------------------------- one unit


@dataclass(frozen=True)
class Generating:
    """The work of a run: what a worker, in whatever process, needs to make units of it."""

    run: Run
    out: Path
    contents: Mapping[str, str]
    """The contents of each clip, by clip id."""
    settings: Mapping[str, Any]
    device: str = "cpu"
    shard: str = ""

    def load(self) -> Callable[[Sequence[Clip]], None]:
        """Load the method; gives what makes a unit."""
        drawing = _Drawing(self.run, self.device, int(self.settings["batch size"]))
        return lambda clips: self._make(clips, drawing)

    def spec(self) -> dict[str, Any]:
        """Write the work down for another process."""
        run = self.run
        if run.source is None:
            raise A2IBenchError("A run without its suite can't be sent to workers; make it with prepare().")
        return {
            "work": "generate",
            "suite": suite_spec(run.source),
            "own": {part: portable(file) for part, file in run.own.items()},
            "record": run.record(),
            "out": portable(self.out),
            "settings": dict(self.settings),
            "device": self.device,
            "shard": self.shard,
        }

    @staticmethod
    def of(spec: Mapping[str, Any]) -> "Generating":
        """Make the work from what `spec` wrote down, and check that it is the same one here."""
        record, own = spec["record"], {part: located(file) for part, file in spec["own"].items()}
        suite = suite_of(spec["suite"])
        run = prepare(suite, record["method"], seed=record["seed"], options=record["options"], weights=own)
        differing = [name for name, value in run.record().items() if value != record[name]]
        if differing:
            raise A2IBenchError(
                f"The worker's {differing[0]} of {record['method']} are others than here; install the same a2ibench "
                "and the same weights on every machine."
            )
        return Generating(run, located(spec["out"]), {}, spec["settings"], spec["device"], spec["shard"])

    def pack(self, clips: Sequence[Clip]) -> list[Any]:
        """Write clips down for another process."""
        return [[clip_spec(clip), self.contents[clip.clip_id]] for clip in clips]

    def unpack(self, packed: Sequence[Any]) -> list[Clip]:
        """Give the clips that `pack` wrote down, after checking that they are the same here."""
        clips = []
        for spec, contents in packed:
            clip = clip_of(spec)
            if contents_of(clip) != contents:
                raise A2IBenchError(
                    f"The clip {clip.clip_id!r} has other contents on the worker's machine; put the same files there."
                )
            clips.append(clip)
        return clips

    def _make(self, clips: Sequence[Clip], drawing: "_Drawing") -> None:
        """Make the outputs of a unit, then its manifest."""
        place = Place(self.out, get_task(self.run.task))
        manifest = self._manifest(clips)
        first = drawing(clips)
        again = [clip for clip, output in first if output is None]
        second = drawing(again, attempt=1) if again else []
        for clip, output in (*first, *second):
            if output is not None:
                manifest.made[clip.clip_id] = place.save(clip.clip_id, output)
        manifest.retried = sorted(clip.clip_id for clip in again)
        manifest.failed = {clip.clip_id: NOT_FINITE for clip, output in second if output is None}
        manifest.write(self.out)

    def _manifest(self, clips: Sequence[Clip]) -> Manifest:
        contents = {clip.clip_id: self.contents.get(clip.clip_id) or contents_of(clip) for clip in clips}
        return Manifest(dict(self.settings), contents, shard=self.shard)

    def fail(self, clip: Clip, reason: str) -> None:
        """Note that a clip has no output: it is counted as missing, and not tried again."""
        manifest = self._manifest([clip])
        manifest.failed = {clip.clip_id: reason}
        manifest.write(self.out)


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
                with fixed_threads():
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
            drawn += [(clip, self._heard(image)) for clip, image in zip(batch, images, strict=False)]
        return drawn

    def _heard(self, output: Any) -> Any:
        """Give an output, but None for a sound that is silent: no file of one can be scored."""
        if output is None or get_task(self.run.task).output != "audio":
            return output
        return None if np.abs(output[0]).max(initial=0) < SILENCE else output
