"""Checks of a row's scores: the images and the sanity entries are scored again, and what differs is named."""

from collections.abc import Iterator

from a2ibench import __version__
from a2ibench.board.outputs import Outputs
from a2ibench.board.rows import load_sanity
from a2ibench.board.verify.findings import Check, Figure, Finding, Problem, Remark, holds, some
from a2ibench.board.verify.row import Row
from a2ibench.board.verify.same import differs, same
from a2ibench.board.verify.tools import Tools, same_machine
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.metrics import Metric
from a2ibench.results import HUMAN, Result, Score
from a2ibench.scoring.alike import training_marks
from a2ibench.tasks import tasks

_REMADE = ("missing", "details", "outputs_per_clip", "outputs", "notes", "caution", "weights")


def check_scores(row: Row, given: Outputs, clips: ClipSet, tools: Tools) -> Check[None]:
    """Score the images and the sanity entries again, and name what differs."""
    # What people said is no function of the images: it is left out here, and a remark says so.
    told = row.result.model_copy(update={"scores": [each for each in row.result.scores if each.metric != HUMAN]})
    if len(told.scores) < len(row.result.scores):
        yield Remark("The human ratings can't be recomputed from the images; their study has them.")
    good = yield from holds(_scored_again(row, told, given, clips, tools))
    if not good and not same_machine(told, tools.device):
        made = told.provenance
        yield Remark(
            f"The result was made by a2ibench {made.a2ibench} with torch {made.packages.get('torch', '?')} on "
            f"{made.device}; here it is a2ibench {__version__}."
        )


def _scored_again(row: Row, told: Result, given: Outputs, clips: ClipSet, tools: Tools) -> Iterator[Finding]:
    from a2ibench.scoring.sanity import sanity
    from a2ibench.scoring.scorer import Scorer, result_of

    try:
        scorer = Scorer(
            tools.suite, clips, own_data=tools.own_data, training=tools.training, device=tools.device, stage=tools.stage
        )
        wanted = _metrics_of(told, tools)
    except A2IBenchError as error:
        yield Problem(f"result.json can't be checked: {error}")
        return
    rows = sanity(scorer, wanted)
    found = result_of(
        scorer,
        given.images,
        wanted,
        method=told.method,
        ceilings={score.metric: score.value for score in rows[0].scores},
        device=tools.device,
        weights=row.run.weights if row.run else {},
    )
    yield from _result_problems(*_of_one_training(told, found))
    yield from _copies(found)
    stored = {each.method: each for each in load_sanity(row.folder.parent) if each.suite == told.suite}
    for each in rows:
        if each.method in stored:
            where = f"the board's sanity.json, {each.method}"
            yield from some(_score_problems(stored[each.method], each, where), "differ")


def _copies(found: Result) -> Iterator[Finding]:
    """Name outputs that are copies."""
    if found.outputs and found.outputs.copies:
        yield Remark(
            f"{found.outputs.copies} of {found.outputs.n} outputs are equal, or all but equal, to a reference of these "
            "clips."
        )
    if found.outputs:
        yield from map(Remark, training_marks(found.outputs, "output"))


def _of_one_training(*both: Result) -> list[Result]:
    """Take out what is said of copies of a training split, where only one side knew it, or they knew different ones."""
    if len({each.outputs.training for each in both if each.outputs}) < 2:
        return list(both)
    plain = []
    for each in both:
        assert each.outputs is not None  # noqa: S101  both have counts where two splits were found
        notes = set(training_marks(each.outputs, tasks()[each.task].noun))
        outputs = each.outputs.model_copy(update={"training": "", "training_copies": 0})
        kept = [note for note in each.notes if note not in notes]
        plain.append(each.model_copy(update={"outputs": outputs, "notes": kept}))
    return plain


def _metrics_of(told: Result, tools: Tools) -> list[Metric]:
    """As `submit` takes them, and whatever else stands there: what is left out is in the notes."""
    from a2ibench.scoring.scorer import chosen_metrics

    names = tools.suite.task.metrics
    return chosen_metrics([*names, *(s.metric for s in told.scores if s.metric not in names)], tools.suite.task)


def _result_problems(told: Result, found: Result) -> Iterator[Finding]:
    yield from some(_score_problems(told, found, "result.json"), "scores differ")
    items = [
        differs(f"{metric} of the clip {clip_id!r}", told.items.get(clip_id, {}).get(metric), value, "result.json")
        for clip_id, item in found.items.items()
        for metric, value in item.items()
        if not same(told.items.get(clip_id, {}).get(metric), value)
    ]
    yield from some(items, "values differ")
    for name in _REMADE:
        if getattr(told, name) != getattr(found, name):
            yield Problem(f"'{name}' in result.json is not what the images give.")
    again = {score.metric: score for score in found.scores}
    for score in told.scores:
        if score.metric in again:
            yield Figure(score.metric, score.value, again[score.metric].value)


def _score_problems(told: Result, found: Result, where: str) -> list[str]:
    again = {score.metric: score for score in found.scores}
    problems = []
    for score in told.scores:
        if score.metric in again:
            problems += _score_differences(score, again[score.metric], where)
        elif where == "result.json":
            problems.append(f"{score.metric} is in {where}, and the images give none.")
    return problems


def _score_differences(told: Score, found: Score, where: str) -> list[str]:
    if told.signature != found.signature:
        return [
            f"{told.metric} has the signature {told.signature!r} in {where}, and {found.signature!r} from the images: "
            "its encoders, clips or version are others."
        ]
    values = {
        name: (getattr(told, name), getattr(found, name))
        for name in ("value", "low", "high", "stderr", "n", "chance", "ceiling", "higher_is_better", "unit")
    }
    values |= {f"extra.{key}": (told.extra.get(key), found.extra.get(key)) for key in {*told.extra, *found.extra}}
    return [
        differs(told.metric if name == "value" else f"{told.metric}'s {name}", *pair, where)
        for name, pair in values.items()
        if not same(*pair)
    ]
