"""Make a study from runs: draw the clips, take each method's images of them, hide which is whose."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations, islice
from os.path import relpath
from pathlib import Path
from secrets import token_hex
from time import time

from PIL import Image, ImageOps

from a2ibench.clips import Clip, ClipSet, read_audio, read_image
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_writable, sha256_file, write_bytes, write_text
from a2ibench.rating.render import write_page
from a2ibench.rating.study import REAL, SHUFFLED, Design, Item, Kind, Study, shuffled

SIDE = 512
RATE = 32_000
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Run:
    """A method's images: its name, the folder that was given, and the folder in which the images lie."""

    method: str
    folder: Path
    images: Path

    def image(self, clip_id: str) -> Path:
        """Find the image of a clip."""
        try:
            for suffix in IMAGE_SUFFIXES:
                if (self.images / f"{clip_id}{suffix}").is_file():
                    return self.images / f"{clip_id}{suffix}"
        except OSError as error:
            raise A2IBenchError(f"{self.images} can't be read: {error.strerror or error}.") from None
        raise A2IBenchError(
            f"{self.images} has no image of the clip {clip_id!r}, and every method is rated on the same clips; "
            f"add {clip_id}.png, or choose others with --seed."
        )


def read_runs(given: Sequence[str], suite: str) -> list[Run]:
    """Read runs: run folders as ``a2ibench eval`` writes them, or plain folders of images ``<clip_id>.png``.

    Parameters
    ----------
    given
        Folders; ``NAME=FOLDER`` names the method otherwise than its run or folder is called.
    suite
        The suite that the runs must be of, where they say it.

    Raises
    ------
    A2IBenchError
        If a folder is missing or of another suite, or two methods have one name.

    """
    try:
        runs = [_run(text, suite) for text in given]
    except OSError as error:
        raise A2IBenchError(f"The runs can't be read ({error.strerror or error}); give run folders.") from None
    names = [run.method for run in runs]
    for name in names:
        if not name.isprintable() or not name.strip() or name != name.strip() or len(name) > 200:
            raise A2IBenchError(
                f"{name[:80]!r} can't be a method's name: it needs 1 to 200 printable characters, with no blank at "
                "either end; name the run otherwise, as my-name=FOLDER."
            )
        if names.count(name) > 1:
            raise A2IBenchError(f"Two runs are called {name!r}; name one otherwise, as my-name=FOLDER.")
        if name in (REAL, SHUFFLED):
            raise A2IBenchError(f"{name!r} is the name of the hidden controls; name the run otherwise: my-name=FOLDER.")
    return runs


def _run(text: str, suite: str) -> Run:
    name, equals, path = text.partition("=")
    if not equals or Path(text).is_dir():
        name, path = "", text
    folder = Path(path)
    if not folder.is_dir():
        raise A2IBenchError(f"There is no folder {folder}; give a run folder, or a folder of images <clip_id>.png.")
    said: dict[str, object] = {}
    for file in (folder / "run.json", folder / "result.json"):
        if file.is_file():
            try:
                said |= json.loads(file.read_bytes())
            except (ValueError, TypeError, RecursionError):
                raise A2IBenchError(f"{file} is broken; make the run again with `a2ibench eval`.") from None
    if said.get("suite", suite) != suite:
        raise A2IBenchError(f"{folder} is a run of the suite {said['suite']}, not of {suite}; give its --suite.")
    images = folder / "images" if (folder / "images").is_dir() else folder
    if images == folder and said:
        raise A2IBenchError(
            f"{folder} is a run without images/ (the scores of a folder of images); give that folder itself, as "
            f"{said.get('method', 'my-name')}=FOLDER."
        )
    return Run(name or str(said.get("method", folder.resolve().name)), folder, images)


def draw_clips(clips: ClipSet, count: int, seed: int) -> list[Clip]:
    """Draw clips by chance, as many of each label as can be.

    Raises
    ------
    A2IBenchError
        If there are not so many.

    """
    if count > len(clips):
        raise A2IBenchError(f"{count} clips are wanted, and {clips.name} has {len(clips)}; give a smaller --clips.")
    by_label: dict[str, list[Clip]] = {}
    for clip in clips:
        by_label.setdefault(clip.label, []).append(clip)
    groups = [shuffled(group, seed, "draw", label) for label, group in sorted(by_label.items())]
    groups = shuffled(groups, seed, "labels")
    return list(islice((group[i] for i in range(count) for group in groups if i < len(group)), count))


@dataclass(frozen=True)
class _Thing:
    """An item before it has its opaque names: a clip with the images (by method) that are shown of it."""

    clip: Clip
    kind: Kind
    images: Mapping[str, Path]


def make_study(
    runs: Sequence[Run],
    clips: ClipSet,
    out: Path,
    *,
    suite: str,
    design: Design = "likert",
    count: int = 15,
    repeats: int = 5,
    controls: int = 5,
    seed: int = 0,
    salt: str | None = None,
) -> Study:
    """Make a study folder: ``study.toml``, ``items.json``, ``media/`` and ``page/index.html``.

    Every study has its own random salt, so two never share names or orders; equal arguments with an equal `salt`
    make equal files. What fails leaves nothing behind. Images are cropped to a square in the middle, brought to
    512 x 512 pixels and written as WebP without metadata; sounds (pairwise) are mixed to mono and written as MP3.

    Parameters
    ----------
    runs
        The methods.
    clips
        The set that the clips are drawn from.
    out
        A folder that does not exist, or is empty.
    suite
        The suite's id, as mini@1.
    design
        ``likert``: each image is rated on its own. ``pairwise``: any two methods' images of a clip are compared.
    count, repeats, controls
        How many clips; how many of the items are shown twice; how many hidden controls with real images.
    seed
        Of the clips that are drawn. The rest (names, controls, repeats, orders) is drawn by seed and salt.
    salt
        32 hexadecimal digits, random by default. Whoever knows them can tell methods, controls and repeats apart.

    Raises
    ------
    A2IBenchError
        If `out` holds something, an image is missing or broken, or a number can't be met.

    """
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise A2IBenchError(f"{out} can't be a study folder: {error.strerror or error}; give another --out.") from None
    if taken:
        raise A2IBenchError(f"{out} is there already, and a study is never written over; give another --out.")
    salt = salt or token_hex(16)
    key = f"{salt}-{seed}"
    least = 2 if design == "pairwise" else 1
    if len(runs) < least:
        raise A2IBenchError(f"A {design} study needs at least {least} run{'s' * (least > 1)}; found {len(runs)}.")
    drawn = draw_clips(clips, count, seed)
    things = _main_things(runs, drawn, design, key)
    if repeats > len(things):
        raise A2IBenchError(f"{repeats} repeated items are wanted of {len(things)}; give a smaller --repeats.")
    if controls > len(drawn):
        raise A2IBenchError(f"{controls} controls are wanted of {len(drawn)} clips; give a smaller --controls.")
    things += _controls(shuffled(drawn, key, "controls")[:controls], drawn, design, key)
    check_writable(out)
    sounds = {clip.clip_id: _name(key, "sound", clip.clip_id) for clip in drawn} if design == "pairwise" else {}
    pixels = {path: _shown(path) for thing in things for path in thing.images.values()}
    items = [_item(thing, key, sounds) for thing in things]
    again = _spread_over_methods(items, repeats, key)
    items += [_repeat(item, key) for item in again]
    by_digest = {sha256_file(path): data for path, data in pixels.items()}
    files = {name: by_digest[of] for item in items for of, name in zip(item.images, item.shown, strict=True)}
    files |= {f"{sounds[clip.clip_id]}.mp3": _sound(clip.audio) for clip in drawn if sounds}
    secret = {
        "version": 1,
        "salt": salt,
        "suite": suite,
        "clips": clips.digest,
        "methods": sorted(run.method for run in runs),
        "runs": {run.method: Path(relpath(run.folder, out)).as_posix() for run in runs},
        "items": [item.model_dump() for item in sorted(items, key=lambda item: item.item)],
    }
    new = not out.exists()
    try:
        _write_media(files, out / "media")
        write_text(out / "items.json", json.dumps(secret, indent=1, ensure_ascii=False) + "\n")
        write_text(out / "study.toml", study_toml(design, seed))
        study = Study.load(out)
        write_page(study, out)
    except BaseException:  # an interrupt as well: half a study would bar the way for the next
        for path in [out] if new else list(out.iterdir()):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        raise
    return study


def _write_media(files: Mapping[str, bytes], folder: Path) -> None:
    """Write in the order of the names and with one time: else the order of writing would tell the kinds."""
    for name, data in sorted(files.items()):
        write_bytes(folder / name, data)
    at = time()
    for name in files:
        os.utime(folder / name, (at, at))


def study_toml(design: Design, seed: int) -> str:
    """Give the text of a new ``study.toml``."""
    text = Path(__file__).with_name(f"{design}.toml").read_text(encoding="utf-8")
    return text.replace("@seed@", str(seed))


def _main_things(runs: Sequence[Run], clips: Iterable[Clip], design: Design, key: str) -> list[_Thing]:
    things = []
    # By the salt: else the sides of the pairs would follow from the methods' names.
    ordered = shuffled(sorted(runs, key=lambda run: run.method), key, "sides")
    for number, clip in enumerate(clips):
        found = {run.method: run.image(clip.clip_id) for run in ordered}
        if design == "likert":
            things += [_Thing(clip, "main", {method: path}) for method, path in found.items()]
            continue
        for pair, sides in enumerate(combinations(found, 2)):
            # The sides alternate over clips and pairs: each method is as often first as second.
            sides = sides if (number + pair) % 2 == 0 else sides[::-1]
            things.append(_Thing(clip, "main", {method: found[method] for method in sides}))
    return things


def _controls(chosen: Sequence[Clip], drawn: Sequence[Clip], design: Design, key: str) -> list[_Thing]:
    """Real images; in pairs against the real image of a clip with another label, which is the wrong answer."""
    if design == "likert":
        return [_Thing(clip, "control", {REAL: clip.image}) for clip in chosen]
    things = []
    for number, clip in enumerate(chosen):
        others = [other for other in drawn if other.label != clip.label]
        if not others:
            raise A2IBenchError(
                f"All clips are labelled {clip.label!r}, so no image is wrong for a control; give --controls 0."
            )
        sides = {REAL: clip.image, SHUFFLED: shuffled(others, key, "wrong", clip.clip_id)[0].image}
        things.append(_Thing(clip, "control", sides if number % 2 == 0 else dict(reversed(sides.items()))))
    return things


def _item(thing: _Thing, key: str, sounds: Mapping[str, str]) -> Item:
    digests = [sha256_file(path) for path in thing.images.values()]
    name = _name(key, thing.kind, thing.clip.clip_id, *thing.images, *digests)
    return Item(
        item=name,
        clip_id=thing.clip.clip_id,
        label=thing.clip.label,
        kind=thing.kind,
        methods=list(thing.images),
        images=digests,
        shown=[f"{_name(key, name, side)}.webp" for side in range(len(digests))],
        sound=f"{sounds[thing.clip.clip_id]}.mp3" if sounds else None,
    )


def _spread_over_methods(items: Sequence[Item], count: int, key: str) -> list[Item]:
    """Choose the items to repeat: of each method (or pair) as many as can be, of other clips as far as can be."""
    pools: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        if item.kind == "main":
            pools.setdefault(tuple(sorted(item.methods)), []).append(item)
    chosen: list[Item] = []
    while len(chosen) < count:
        for methods, pool in shuffled(sorted(pools.items()), key, "pools", len(chosen)):
            if len(chosen) == count or not pool:
                continue
            taken = {item.clip_id for item in chosen}
            turn = shuffled(pool, key, "repeat", *methods)
            best = next((item for item in turn if item.clip_id not in taken), turn[0])
            pool.remove(best)
            chosen.append(best)
    return chosen


def _repeat(item: Item, key: str) -> Item:
    """Show an item again, under other names and with its sides exchanged."""
    name = _name(key, "repeat", item.item)
    return item.model_copy(
        update={
            "item": name,
            "kind": "repeat",
            "repeat_of": item.item,
            "methods": item.methods[::-1],
            "images": item.images[::-1],
            "shown": [f"{_name(key, name, side)}.webp" for side in range(len(item.images))],
        }
    )


def _name(*parts: object) -> str:
    """Name a thing so that nothing can be read from the name; the first part is the secret key."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _shown(path: Path) -> bytes:
    """Bring an image to the size and format of all others; nothing but its pixels is left."""
    image = ImageOps.fit(read_image(path), (SIDE, SIDE), Image.Resampling.LANCZOS)
    image.info.clear()  # versions of Pillow differ in what they write of it
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=92, method=4)
    return buffer.getvalue()


def _sound(path: Path) -> bytes:
    import soundfile

    buffer = BytesIO()
    soundfile.write(buffer, read_audio(path, RATE), RATE, format="MP3")
    return buffer.getvalue()
