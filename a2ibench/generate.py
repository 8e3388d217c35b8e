"""Make a method's images: what is missing in the run folder, in batches, each written whole or not at all."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2ibench.baselines import get as get_method
from a2ibench.baselines.base import Method, image_seed
from a2ibench.checkpoints import sha256_file
from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import check_writable, save_image, write_text
from a2ibench.suites import Suite

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """Everything that a method's images depend on, but for the clips themselves."""

    method: Method
    suite: str
    seed: int
    options: Mapping[str, Any]
    parts: Mapping[str, Any]
    weights: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        """Give what ``run.json`` keeps."""
        return {
            "method": self.method.name,
            "suite": self.suite,
            "seed": self.seed,
            "options": dict(self.options),
            "weights": dict(self.weights),
        }


def prepare(
    suite: Suite,
    method_name: str,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    weights: Mapping[str, Path] | None = None,
) -> Run:
    """Resolve a method in a suite: its options and weights; nothing heavy is loaded yet.

    Parameters
    ----------
    suite, method_name
        What to run.
    seed
        The run's seed.
    options
        What the user sets; the rest is the suite's, then the method's.
    weights
        Weight files of the user's, by part.

    """
    method = get_method(method_name)
    known = {**method.options, **suite.method_options(method_name)}
    for name, value in (options or {}).items():
        if name not in known:
            raise unknown(f"option of the method {method_name!r}", name, known)
        _check_option(name, value, known[name])
    parts, hashes = suite.method_parts(method_name, method.parts, weights or {})
    return Run(method, suite.id, seed, {**known, **(options or {})}, parts, hashes)


def _check_option(name: str, value: Any, default: Any) -> None:
    """Refuse a value of another kind than the option's default, before anything is loaded."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        least = min(default, 1)
        fits, wanted = number and isinstance(value, int) and value >= least, f"a whole number, {least} or above"
    elif isinstance(default, float):
        fits, wanted = number and math.isfinite(value) and value >= 0, "a number, 0 or above"
    else:
        fits, wanted = isinstance(value, str) or value is default, "a text"
    if not fits:
        raise A2IBenchError(f"The option {name!r} wants {wanted}; found {value!r}.")


def generate(
    run: Run,
    clips: ClipSet,
    out: Path,
    *,
    device: str = "cpu",
    batch_size: int = 24,
    advance: Advance = lambda n: None,
    fresh: bool = False,
) -> dict[str, Path]:
    """Make the images that ``out/images`` lacks: clip id → file.

    A batch is always filled up to ``batch_size`` (by repeating its last clip), because the shape of a batch
    may change the last bits of a sum: so an image is the same, to the bit, in one go, in two halves or after
    a kill.

    Raises
    ------
    A2IBenchError
        If the folder holds a run of another configuration, unless ``fresh``.

    """
    check_writable(out)
    _claim(run, clips, out, fresh)
    folder = out / "images"
    files = {clip.clip_id: folder / f"{clip.clip_id}.png" for clip in clips}
    missing = [clip for clip in clips if not files[clip.clip_id].exists()]
    advance(len(clips) - len(missing))
    if not missing:
        return files
    draw = run.method.load(run.parts, run.options, device)
    for start in range(0, len(missing), batch_size):
        batch = missing[start : start + batch_size]
        full = batch + [batch[-1]] * (batch_size - len(batch))
        images = draw(full, [image_seed(run.seed, clip.clip_id) for clip in full])
        for clip, image in zip(batch, images, strict=False):
            save_image(files[clip.clip_id], image)
        advance(len(batch))
    return files


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
    return f"{sha256_file(clip.audio)} {sha256_file(clip.image)} {clip.label}"


def _other(out: Path, what: str) -> A2IBenchError:
    return A2IBenchError(
        f"{out} holds a run of another configuration ({what}); give another --out, or --fresh to make it anew."
    )
