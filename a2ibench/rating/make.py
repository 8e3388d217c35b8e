"""Make a study from runs: draw the clips, take each method's outputs of them, hide which is whose."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from os.path import relpath
from pathlib import Path
from secrets import token_hex
from time import time

from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import building, check_writable, sha256_file, write_bytes, write_text
from a2ibench.media import get as get_medium
from a2ibench.rating.render import write_page
from a2ibench.rating.shown import Shown, Value
from a2ibench.rating.study import Design, Item, Kind, Study, shuffled, study_toml
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task


@dataclass(frozen=True)
class Run:
    """A method's outputs: its name, the folder that was given, the one in which the outputs lie, and their task."""

    method: str
    folder: Path
    outputs: Path
    task: Task

    def output(self, clip_id: str) -> Path:
        """Find the output of a clip."""
        suffixes = get_medium(self.task.output).suffixes
        try:
            for suffix in suffixes:
                if (self.outputs / f"{clip_id}{suffix}").is_file():
                    return self.outputs / f"{clip_id}{suffix}"
        except OSError as error:
            raise A2IBenchError(f"{self.outputs} can't be read: {error.strerror or error}.") from None
        raise A2IBenchError(
            f"{self.outputs} has no {self.task.noun} of the clip {clip_id!r}, and every method is rated on the same "
            f"clips; add {clip_id}{suffixes[0]}, or choose others with --seed."
        )


def read_runs(given: Sequence[str], suite: str, task: Task | None = None) -> list[Run]:
    """Read runs: run folders as ``a2ibench eval`` writes them, or plain folders of outputs, as ``<clip_id>.png``.

    Parameters
    ----------
    given
        Folders; ``NAME=FOLDER`` names the method otherwise than its run or folder is called.
    suite
        The suite that the runs must be of, where they say it.
    task
        The suite's task; by default that of the images from sounds.

    Raises
    ------
    A2IBenchError
        If a folder is missing or of another suite, or two methods have one name.

    """
    task = task or get_task(DEFAULT)
    try:
        runs = [_run(text, suite, task) for text in given]
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
        if name in (task.real, task.shuffled):
            raise A2IBenchError(f"{name!r} is the name of the hidden controls; name the run otherwise: my-name=FOLDER.")
    return runs


def _run(text: str, suite: str, task: Task) -> Run:
    name, equals, path = text.partition("=")
    if not equals or Path(text).is_dir():
        name, path = "", text
    folder = Path(path)
    plural, ending = task.folder, get_medium(task.output).suffixes[0]
    if not folder.is_dir():
        raise A2IBenchError(
            f"There is no folder {folder}; give a run folder, or a folder of {plural} <clip_id>{ending}."
        )
    said: dict[str, object] = {}
    for file in (folder / "run.json", folder / "result.json"):
        if file.is_file():
            try:
                said |= json.loads(file.read_bytes())
            except (ValueError, TypeError, RecursionError):
                raise A2IBenchError(f"{file} is broken; make the run again with `a2ibench eval`.") from None
    if said.get("suite", suite) != suite:
        raise A2IBenchError(f"{folder} is a run of the suite {said['suite']}, not of {suite}; give its --suite.")
    outputs = folder / plural if (folder / plural).is_dir() else folder
    if outputs == folder and said:
        raise A2IBenchError(
            f"{folder} is a run without {plural}/ (the scores of a folder of {plural}); give that folder itself, as "
            f"{said.get('method', 'my-name')}=FOLDER."
        )
    return Run(name or str(said.get("method", folder.resolve().name)), folder, outputs, task)


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
    """An item before it has its opaque names: a clip with the outputs (by method) that are shown of it."""

    clip: Clip
    kind: Kind
    outputs: Mapping[str, Value]


def make_study(
    runs: Sequence[Run],
    clips: ClipSet,
    out: Path,
    *,
    suite: str,
    design: Design = "likert",
    question: str | None = None,
    count: int = 15,
    repeats: int = 5,
    controls: int = 5,
    seed: int = 0,
    salt: str | None = None,
) -> Study:
    """Make a study folder: ``study.toml``, ``items.json``, ``media/`` and ``page/index.html``.

    Every study has its own random salt, so two never share names or orders; equal arguments with an equal `salt`
    make equal files. What fails leaves nothing behind. Images are cropped to a square in the middle, brought to
    512 x 512 pixels and written as WebP without metadata; sounds are mixed to mono and written as MP3, videos as MP4.
    What raters are asked, and what they get besides the outputs, says the clips' task (`Task.question`).

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
        ``likert``: each output is rated on its own. ``pairwise``: any two methods' outputs of a clip are compared.
    question
        Which of the task's questions (`Task.aspects`) is asked; by default the first.
    count, repeats, controls
        How many clips; how many of the items are shown twice; how many hidden controls with real outputs.
    seed
        Of the clips that are drawn. The rest (names, controls, repeats, orders) is drawn by seed and salt.
    salt
        32 hexadecimal digits, random by default. Whoever knows them can tell methods, controls and repeats apart.

    Raises
    ------
    A2IBenchError
        If `out` holds something, an output is missing or broken, or a number can't be met.

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
    task = clips.task
    shown = Shown(task, task.question(design, question).gives)
    drawn = draw_clips(clips, count, seed)
    things = _main_things(runs, drawn, design, key)
    if repeats > len(things):
        raise A2IBenchError(f"{repeats} repeated items are wanted of {len(things)}; give a smaller --repeats.")
    if controls > len(drawn):
        raise A2IBenchError(f"{controls} controls are wanted of {len(drawn)} clips; give a smaller --controls.")
    things += _controls(shuffled(drawn, key, "controls")[:controls], drawn, task, design, key)
    check_writable(out)
    made = [_item(thing, key, shown) for thing in things]
    items = [item for item, _ in made]
    files = {name: data for _, own in made for name, data in own.items()}
    for item in _spread_over_methods(items, repeats, key):
        again = _repeat(item, key)
        items.append(again)
        # The sides are exchanged.
        files |= {name: files[old] for name, old in zip(again.shown, item.shown[::-1], strict=True)}
    if shown.given_suffix is not None:
        files |= {_given_name(key, clip, shown.given_suffix): shown.of_condition(clip) for clip in drawn}
    secret = {
        "version": 1,
        "salt": salt,
        "suite": suite,
        **({} if task.name == DEFAULT else {"task": task.name}),
        "clips": clips.digest,
        "methods": sorted(run.method for run in runs),
        "runs": {run.method: Path(relpath(run.folder, out)).as_posix() for run in runs},
        "items": [item.model_dump(by_alias=True) for item in sorted(items, key=lambda item: item.item)],
    }
    with building(out) as part:  # half a study would bar the way for the next
        _write_media(files, part / "media")
        write_text(part / "items.json", json.dumps(secret, indent=1, ensure_ascii=False) + "\n")
        write_text(part / "study.toml", study_toml(task, design, seed, question))
        write_page(Study.load(part), part)
    return Study.load(out)


def _write_media(files: Mapping[str, bytes], folder: Path) -> None:
    """Write in the order of the names and with one time: else the order of writing would tell the kinds."""
    for name, data in sorted(files.items()):
        write_bytes(folder / name, data)
    at = time()
    for name in files:
        os.utime(folder / name, (at, at))


def _main_things(runs: Sequence[Run], clips: Iterable[Clip], design: Design, key: str) -> list[_Thing]:
    things = []
    # By the salt: else the sides of the pairs would follow from the methods' names.
    ordered = shuffled(sorted(runs, key=lambda run: run.method), key, "sides")
    for number, clip in enumerate(clips):
        found = {run.method: run.output(clip.clip_id) for run in ordered}
        if design == "likert":
            things += [_Thing(clip, "main", {method: path}) for method, path in found.items()]
            continue
        for pair, sides in enumerate(combinations(found, 2)):
            # The sides alternate over clips and pairs: each method is as often first as second.
            sides = sides if (number + pair) % 2 == 0 else sides[::-1]
            things.append(_Thing(clip, "main", {method: found[method] for method in sides}))
    return things


def _controls(chosen: Sequence[Clip], drawn: Sequence[Clip], task: Task, design: Design, key: str) -> list[_Thing]:
    """Real outputs; in pairs against the real output of a clip with another label, which is the wrong answer."""
    if design == "likert":
        return [_Thing(clip, "control", {task.real: clip[task.reference]}) for clip in chosen]
    things = []
    for number, clip in enumerate(chosen):
        others = [other for other in drawn if other.label != clip.label]
        if not others:
            raise A2IBenchError(
                f"All clips are labelled {clip.label!r}, so no {task.noun} is wrong for a control; give --controls 0."
            )
        wrong = shuffled(others, key, "wrong", clip.clip_id)[0]
        sides = {task.real: clip[task.reference], task.shuffled: wrong[task.reference]}
        things.append(_Thing(clip, "control", sides if number % 2 == 0 else dict(reversed(sides.items()))))
    return things


def _item(thing: _Thing, key: str, shown: Shown) -> tuple[Item, dict[str, bytes]]:
    """Give an item its names, and make the files that are shown of it."""
    digests = [
        hashlib.sha256(value.encode()).hexdigest() if isinstance(value, str) else sha256_file(value)
        for value in thing.outputs.values()
    ]
    name = _name(key, thing.kind, thing.clip.clip_id, *thing.outputs, *digests)
    names = [f"{_name(key, name, side)}{shown.suffix}" for side in range(len(digests))]
    item = Item(
        item=name,
        clip_id=thing.clip.clip_id,
        label=thing.clip.label,
        kind=thing.kind,
        methods=list(thing.outputs),
        images=digests,
        shown=names,
        sound=None if shown.given_suffix is None else _given_name(key, thing.clip, shown.given_suffix),
    )
    return item, {each: shown.of_output(thing.clip, of) for each, of in zip(names, thing.outputs.values(), strict=True)}


def _given_name(key: str, clip: Clip, suffix: str) -> str:
    return f"{_name(key, 'sound', clip.clip_id)}{suffix}"


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
            "digests": item.digests[::-1],
            "shown": [f"{_name(key, name, side)}{Path(item.shown[0]).suffix}" for side in range(len(item.digests))],
        }
    )


def _name(*parts: object) -> str:
    """Name a thing so that nothing can be read from the name; the first part is the secret key."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
