"""Make a method's images: what is missing in the run folder, in batches, each written whole or not at all."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2ibench.baselines.base import image_seed
from a2ibench.clips import Clip, ClipSet, clip_digests
from a2ibench.errors import A2IBenchError, A2IBenchWarning
from a2ibench.files import check_writable, write_text
from a2ibench.media.image import save_image
from a2ibench.progress import Advance
from a2ibench.runs.prepare import Run
from a2ibench.text import some


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

    An image with a number that is not finite is drawn once more with another seed; ``failures.json`` in `out`
    keeps which clips that befell, and for which it did not help.

    Raises
    ------
    A2IBenchError
        If the folder holds a run of another configuration, unless ``fresh``, or a single image needs more
        memory than there is.

    """
    check_writable(out)
    _claim(run, clips, out, fresh)
    files = {clip.clip_id: out / "images" / f"{clip.clip_id}.png" for clip in clips}
    failures = _Failures(out / "failures.json", fresh)
    missing = [clip for clip in clips if not files[clip.clip_id].exists() and clip.clip_id not in failures.failed]
    advance(len(clips) - len(missing))
    if missing:
        draw = _Drawing(run, device, batch_size)
        while missing:
            batch, missing = missing[: draw.size], missing[draw.size :]
            again = []
            for clip, image in draw(batch):
                if image is None:
                    again.append(clip)
                else:
                    save_image(files[clip.clip_id], image)
            if again:
                failures.add("retried", again)
                second = draw(again, attempt=1)
                for clip, image in second:
                    if image is not None:
                        save_image(files[clip.clip_id], image)
                failures.add("failed", [clip for clip, image in second if image is None])
            advance(len(batch))
    ids = set(clips.ids)
    failed = tuple(sorted(failures.failed & ids))
    return Generated(
        {clip_id: file for clip_id, file in files.items() if clip_id not in failed},
        tuple(sorted((failures.retried - failures.failed) & ids)),
        failed,
    )


class _Drawing:
    """A loaded method that draws batches of one size, which shrinks where the memory does not hold it."""

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


class _Failures:
    """Which clips' images were not finite, in a file."""

    def __init__(self, file: Path, fresh: bool):
        self._file = file
        found: dict[str, list[str]] = {}
        if fresh:
            file.unlink(missing_ok=True)
        elif file.exists():
            try:
                found = json.loads(file.read_text())
            except ValueError:
                raise A2IBenchError(f"{file} is broken; delete it, or give --fresh to make the run anew.") from None
        self.retried, self.failed = set(found.get("retried", ())), set(found.get("failed", ()))

    def add(self, what: str, clips: Sequence[Clip]) -> None:
        getattr(self, what).update(clip.clip_id for clip in clips)
        kept = {"retried": sorted(self.retried - self.failed), "failed": sorted(self.failed)}
        write_text(self._file, json.dumps(kept, indent=1))


def _claim(run: Run, clips: ClipSet, out: Path, fresh: bool) -> None:
    """Mark the folder as this run's and note each clip's contents; refuse to mix it with another run."""
    mark = out / "run.json"
    record = run.record()
    known: dict[str, str] = {}
    if mark.exists() and not fresh:
        try:
            found = json.loads(mark.read_text())
            known = found.pop("clips")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise A2IBenchError(f"{mark} is broken; give --fresh to make the run anew.") from None
        differing = [key for key in record if found.get(key) != record[key]]
        if differing:
            raise _other(out, ", ".join(differing))
    elif any((out / "images").glob("*")):
        if not fresh:
            raise _other(out, "no run.json says how its images were made")
        for file in (out / "images").glob("*.png"):
            file.unlink()
    digests = {clip.clip_id: _clip_digest(clip) for clip in clips}
    changed = [clip_id for clip_id, digest in digests.items() if known.get(clip_id, digest) != digest]
    if changed:
        raise _other(out, f"the clip {changed[0]!r} has other contents")
    write_text(mark, json.dumps({**record, "clips": {**known, **digests}}, indent=1, sort_keys=True))


def _clip_digest(clip: Clip) -> str:
    return " ".join((*clip_digests(clip), clip.label))


def _other(out: Path, what: str) -> A2IBenchError:
    return A2IBenchError(
        f"{out} holds a run of another configuration ({what}); give another --out, or --fresh to make it anew."
    )
