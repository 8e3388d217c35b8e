"""What lies in a board's folder: its rows, read and checked, and what may be compared with what."""

import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from a2ibench.board.rows import RESULT_BYTES, load_result, load_sanity
from a2ibench.board.states import state_of
from a2ibench.board.withdraw import Withdrawal, withdrawal_of
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import metrics
from a2ibench.metrics.base import FloatArray
from a2ibench.results import HUMAN, Clips, Result, Score
from a2ibench.tasks import tasks

if TYPE_CHECKING:
    from a2ibench.board.card import MethodCard, RunRecord

_Each = TypeVar("_Each")

_SMALL = 2**24  # method.toml, run.json (which lists every clip), verified.json
# Of a row's files, the most bytes of each.
_FILES = {
    "result.json": RESULT_BYTES, "items.csv": RESULT_BYTES, "hashes.csv": RESULT_BYTES, "method.toml": _SMALL,
    "run.json": _SMALL, "verified.json": _SMALL, "withdrawn.json": _SMALL,
}  # fmt: skip
_LARGEST = 1e9  # a score beyond it is no score, and its square must not overflow


@dataclass(frozen=True)
class Entry:
    """A row of the board."""

    slug: str
    folder: Path
    result: Result
    card: "MethodCard"
    state: str
    run: "RunRecord | None" = None
    """Which of our methods generated the images, as its ``run.json`` says."""
    withdrawn: Withdrawal | None = None
    """When it was withdrawn, and why."""
    values: Mapping[str, FloatArray] = field(default_factory=dict, repr=False, compare=False)
    """Per-clip values of each metric that has some, in the order of `Board.clip_ids`; NaN: nothing to compare."""

    @property
    def name(self) -> str:
        """What the row is called. It comes from strangers, and need not be unique."""
        return self.card.name or self.result.method

    @property
    def checked(self) -> str:
        """How far it was verified, and which of our methods it is: real images can't stand there as a method."""
        return f"{self.state}: {self.run.method}" if self.run else self.state


@dataclass(frozen=True)
class Board:
    """What lies in a board's folder, sorted into what may be compared and what may not."""

    folder: Path
    suite: str
    """The suite with its version; empty where the board is."""
    clips: Clips | None
    """The clips that the columns are of."""
    columns: Mapping[str, Score]
    """For each metric a score that heads its column: signature, direction and unit."""
    entries: tuple[Entry, ...]
    """The rows, by slug. A score whose signature is not the column's is in `apart`."""
    outdated: tuple[Entry, ...]
    """What takes no rank: incomplete, of another suite version or other clips, or with no score that fits a column."""
    sanity: tuple[Result, ...]
    """Real images, shuffled images and so on; they take no rank."""
    broken: Mapping[str, str]
    """What can't be read: the folder's name, and why, in one sentence."""
    clip_ids: tuple[str, ...] = ()
    """The clips that have values, sorted."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The label of each clip, as the sanity rows give it: never a stranger's word."""
    withdrawn: tuple[Entry, ...] = ()
    """What was withdrawn, by slug: nothing of it counts, a line of it stays."""

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def score(self, result: Result, metric: str) -> Score | None:
        """Give a result's score in a column, if its signature is the column's."""
        head = self.columns[metric]
        return next((s for s in result.scores if s.metric == metric and s.signature == head.signature), None)

    def apart(self, entry: Entry) -> list[Score]:
        """Give the scores of a row that may not stand in a column, as FID of another number of images."""
        return [score for score in entry.result.scores if not _fits(score, self.columns)]

    def why_outdated(self, entry: Entry) -> str:
        """Say in half a sentence what keeps an entry from being compared with the others."""
        result, coverage = entry.result, self.sanity[0].outputs_per_clip if self.sanity else 1
        if result.suite != self.suite:
            return f"of the suite {result.suite}"
        if self.clips is not None and result.clips.digest != self.clips.digest:
            return f"of {result.clips.n} other clips (digest {result.clips.digest[:8]})"
        if result.missing:
            return f"incomplete, {result.clips.n - len(result.missing)} of {result.clips.n} clips have an image"
        if result.outputs_per_clip != coverage:
            return f"{result.outputs_per_clip} images per clip, where this board has {coverage}"
        return "scored with other encoders or another version of the metrics"

    @cached_property
    def names(self) -> dict[str, str]:
        """The name of each row by slug; where two rows have one name, the slug tells them apart."""
        every = [*self.entries, *self.outdated, *self.withdrawn]
        count = Counter(entry.name.casefold() for entry in every)
        return {e.slug: f"{e.name} ({e.slug})" if count[e.name.casefold()] > 1 else e.name for e in every}

    @property
    def task(self) -> str:
        """The task that the board is of, by name; empty where it is."""
        results = [*self.sanity, *(entry.result for entry in (*self.entries, *self.outdated))]
        return results[0].task if results else ""

    @property
    def cautions(self) -> list[str]:
        """Why the numbers mean little, where they do."""
        return list(dict.fromkeys(f"Not meaningful: {each.caution}" for each in self.sanity if each.caution))

    @cached_property
    def notes(self) -> list[str]:
        """The notes that the sanity rows share, or else all rows: what a reader must know of the suite."""
        every = [result.notes for result in self.sanity] or [entry.result.notes for entry in self.entries]
        shared = set.intersection(*map(set, every)) if every else set()
        return [note for note in dict.fromkeys(every[0]) if note in shared] if every else []


# ------------------------------------------------------------------------------------------------- loading


def load_board(folder: Path) -> Board:
    """Read a board's folder: every ``<slug>/result.json`` with its card and state, and ``sanity.json``.

    The columns are those of the sanity rows, which the installed a2ibench computed: their suite, clips and
    signatures, and ratings by people. Those (and all, where there are no sanity rows) take what most rows have;
    on a tie, the last in the order of the alphabet. A row that can't be read is in `Board.broken`, and spoils
    nothing. Hidden folders are left out.

    Raises
    ------
    A2IBenchError
        If there is no such folder.

    """
    if not folder.is_dir():
        raise A2IBenchError(f"There is no board {folder}; 'a2ibench submit' makes one.")
    broken: dict[str, str] = {}

    def said(error: Exception) -> str:
        what = str(error) if isinstance(error, A2IBenchError) else _why(error)
        return what.replace(f"{folder}/", "")  # equal boards make equal files, wherever they lie

    try:
        sanity = tuple(load_sanity(folder, broken="raise"))
    except A2IBenchError as error:
        broken["sanity.json"], sanity = said(error), ()
    every = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        try:
            every.append(_entry(place))
        except _ANYTHING as error:
            broken[place.name] = said(error)
    withdrawn = tuple(entry for entry in every if entry.withdrawn)
    every = [entry for entry in every if not entry.withdrawn]
    first = next(iter(sanity), None)
    setting = _setting(first) if first else _most(_setting(entry.result) for entry in every)
    inside = [entry for entry in every if _setting(entry.result) == setting]
    per_clip = first.outputs_per_clip if first else _most(entry.result.outputs_per_clip for entry in inside)
    # An incomplete entry, or one of another number of images, is of another protocol whatever its signatures say.
    alike = [e for e in inside if not e.result.missing and e.result.outputs_per_clip == per_clip]
    columns = _columns(first, [entry.result for entry in alike])
    fitting = [entry for entry in alike if any(_fits(score, columns) for score in entry.result.scores)]
    ids = _clip_ids(first, fitting)
    holes = _holes(first, fitting, ids, columns)
    labels = first.labels if first else {}
    entries = []
    for entry in fitting:
        try:
            paired = _paired(entry, ids, holes, columns)
            if first is not None:
                _check_head(paired, first)
            entries.append(paired)
        except _ANYTHING as error:
            broken[entry.slug] = said(error)
    placed = {entry.slug for entry in fitting}
    return Board(
        folder=folder,
        suite=setting[0] if setting else "",
        clips=first.clips if first else entries[0].result.clips if entries else None,
        columns=columns,
        entries=tuple(entries),
        outdated=tuple(entry for entry in every if entry.slug not in placed),
        sanity=sanity,
        broken=dict(sorted(broken.items())),
        clip_ids=ids,
        labels=labels,
        withdrawn=withdrawn,
    )


# Whatever is wrong with one row must leave the others in their places.
_ANYTHING = (A2IBenchError, OSError, ValueError, ArithmeticError, RecursionError)


def _why(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return f"It can't be read ({reason}); submit it again, or delete the folder."


def _fits(score: Score, columns: Mapping[str, Score]) -> bool:
    return score.metric in columns and score.signature == columns[score.metric].signature


def _check_head(entry: Entry, head: Result) -> None:
    """Refuse a row that hides what the sanity rows show, or says otherwise what the clips are."""
    scored = {score.metric for score in entry.result.scores}
    bare = [name for name in head.columns if name in scored and name not in entry.result.columns]
    if bare:
        raise A2IBenchError(f"Its {bare[0]} has no values per clip, which this board's rows have; submit it again.")
    differing = [clip_id for clip_id, label in entry.result.labels.items() if head.labels.get(clip_id) != label]
    if differing:
        raise A2IBenchError(
            f"Its labels of {len(differing)} clips, among them {differing[0]}, are not those of this board; submit it "
            "again."
        )


def _clip_ids(first: Result | None, entries: Sequence[Entry]) -> tuple[str, ...]:
    """The clips that have values on this board, sorted."""
    results = [first] if first else [entry.result for entry in entries]
    return _most(tuple(result.items) for result in results if result.items) or ()


def _holes(
    first: Result | None, entries: Sequence[Entry], clip_ids: tuple[str, ...], columns: Mapping[str, Score]
) -> dict[str, NDArray[np.bool_]]:
    """Say which clips have no value, by metric, [N]: as the sanity rows do; else as most rows do."""
    found: dict[str, list[bytes]] = {}
    for entry in entries:
        if tuple(entry.result.items) == clip_ids:
            for score in entry.result.scores:
                if score.metric in entry.values and _fits(score, columns):
                    found.setdefault(score.metric, []).append(np.isnan(entry.values[score.metric]).tobytes())
    holes = {name: np.frombuffer(_most(masks) or b"", dtype=np.bool_) for name, masks in found.items()}
    return holes | ({name: np.isnan(column) for name, column in _values(first).items()} if first else {})


def _paired(
    entry: Entry, clip_ids: tuple[str, ...], holes: Mapping[str, NDArray[np.bool_]], columns: Mapping[str, Score]
) -> Entry:
    """Keep the values that stand in a column; only rows that lack the same ones (`holes`, by metric) can be paired."""
    items = entry.result.items
    if items and tuple(items) != clip_ids:
        raise A2IBenchError(
            f"It has values for {len(items)} clips that are not the {len(clip_ids)} of this board, though it names the "
            "same set; submit it again."
        )
    inside = {score.metric for score in entry.result.scores if _fits(score, columns)}
    values = {name: column for name, column in entry.values.items() if name in inside}
    for name, column in values.items():
        if not np.array_equal(holes[name], np.isnan(column)):
            raise A2IBenchError(
                f"Its {name} lacks the values of other clips than this board's rows do; submit it again."
            )
    return replace(entry, values=values)


def _entry(folder: Path) -> Entry:
    from a2ibench.board.card import MethodCard, RunRecord

    _check_files(folder)
    absent = f"{folder.name} has no result.json; submit it again, or delete the folder."
    result = load_result(folder / "result.json", absent, wrap=False)
    values = _values(result)
    _check_range(result, values)
    card, run = folder / "method.toml", folder / "run.json"
    return Entry(
        slug=folder.name,
        folder=folder,
        result=result,
        card=MethodCard.load(card) if card.is_file() else MethodCard(),
        state=state_of(folder),
        run=RunRecord.load(run) if run.is_file() else None,
        withdrawn=withdrawal_of(folder),
        values=values,
    )


def _check_files(folder: Path) -> None:
    """Refuse a row of links, pipes or devices before anything of it is opened, by whichever module."""
    if folder.is_symlink():
        raise A2IBenchError(f"{folder} is a link; put the folder itself there.")
    for name, most in _FILES.items():
        try:
            kind = (folder / name).lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(kind.st_mode):
            raise A2IBenchError(f"{folder / name} is not a plain file; put the file itself there.")
        if kind.st_size > most:
            raise A2IBenchError(f"{folder / name} is larger than {most >> 20} MiB; it is not what it should be.")


def _check_range(result: Result, values: Mapping[str, FloatArray]) -> None:
    """Refuse values that the metric can't take: the work of a text editor."""
    known = metrics()
    for score in result.scores:
        low, high = known[score.metric].bounds if score.metric in known else (-_LARGEST, _LARGEST)
        low, high = max(low, -_LARGEST), min(high, _LARGEST)
        held = [part(values[score.metric]) for part in (np.nanmin, np.nanmax) if score.metric in values]
        ends = [end for end in (score.low, score.high, score.stderr) if end is not None]
        # A distance of equal sets may come out a rounding error below 0.
        least, most = min((*held, score.value)), max((*held, score.value))
        if least < low - 1e-6 or most > high + 1e-6 or max(map(abs, ends), default=0) > _LARGEST:
            found = f"holds {least:.6g}" if least < low else f"holds {most:.6g}"
            raise A2IBenchError(f"Its {score.metric} {found}, and can only lie between {low:.6g} and {high:.6g}.")


def _setting(result: Result) -> tuple[str, str]:
    return result.suite, result.clips.digest


def _most(found: Iterable[_Each]) -> _Each | None:
    """What is there most often; on a tie, the last in order."""
    count: Counter[Any] = Counter(found)
    return max(count, key=lambda each: (count[each], each), default=None)


def _columns(first: Result | None, results: Sequence[Result]) -> dict[str, Score]:
    heads = {score.metric: score for score in (first.scores if first else ())}
    others: dict[str, list[Score]] = {}
    for score in (score for result in results for score in result.scores):
        # With sanity rows a stranger's result can't put a column of its own beside theirs.
        if score.metric not in heads and (first is None or score.metric == HUMAN):
            others.setdefault(score.metric, []).append(score)
    for name, scores in others.items():
        signature = _most(score.signature for score in scores)
        heads[name] = next(score for score in scores if score.signature == signature)
    task = tasks().get(next((result.task for result in (*([first] if first else []), *results)), ""))
    return {name: heads[name] for name in sorted(heads, key=task.column_order if task else None)}


def is_chance(result: Result) -> bool:
    """Whether a sanity entry is that of the shuffled outputs, which stands below the methods."""
    return result.method.startswith("shuffled ")


def _values(result: Result) -> dict[str, FloatArray]:
    """Per-clip values of each metric, [N], in the order of the clips' ids, in which a result keeps them."""
    items = result.items.values()
    return {name: np.array([item.get(name) for item in items], dtype=np.float64) for name in result.columns}
