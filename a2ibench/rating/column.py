"""The human column: the ratings as scores that stand beside the automatic metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from a2ibench.errors import A2IBenchError, unknown
from a2ibench.files import sha256_file
from a2ibench.metrics import Signature
from a2ibench.rating.findings import Human
from a2ibench.rating.make import Run
from a2ibench.rating.scale import Scale
from a2ibench.rating.study import Study
from a2ibench.results import HUMAN, Result, Score


def human_scores(human: Human) -> dict[str, Score]:
    """Give each method's rating as a score: the mean rating (likert), or the share of comparisons won (pairwise)."""
    likert = human.design == "likert"
    signature = Signature(
        HUMAN,
        (
            ("v", "1"),
            ("design", human.design),
            *([("scale", Scale(*human.scale).name)] if likert else []),
            ("items", str(human.clip_count)),
            ("raters", str(human.kept.raters)),
            (human.source, human.study),
        ),
    )
    found = {}
    for row in human.kept.methods:
        if row.control:
            continue
        extra = {"sd": row.sd, "median": row.median, "strength": row.strength}
        found[row.method] = Score(
            metric=HUMAN,
            value=row.mean,
            low=row.low,
            high=row.high,
            n=row.n,
            chance=None if likert else 50.0,
            higher_is_better=True,
            unit="" if likert else "%",
            signature=str(signature),
            extra={name: value for name, value in extra.items() if value is not None},
        )
    return found


def rated_runs(study: Study, folder: Path, given: Sequence[str] = ()) -> dict[str, Path]:
    """Find the run of each method: those that are given, else those that the study was made from and are there.

    Parameters
    ----------
    study, folder
        The study and its folder.
    given
        Run folders, as ``FOLDER`` or ``METHOD=FOLDER``.

    Returns
    -------
    For each method its run folder, which holds a ``result.json``; of some methods only, where others have none.

    Raises
    ------
    A2IBenchError
        If a given folder has no result or is of no method of the study, or a run's outputs are no longer
        those that were rated.

    """
    if given:
        found = named_runs(given, study.methods, "the study")
    else:
        known = {method: folder / path for method, path in study.runs.items()}
        found = {method: run for method, run in known.items() if (run / "result.json").is_file()}
    for method, run in found.items():
        _check_outputs(study, method, run)
    return found


def named_runs(given: Sequence[str], methods: Sequence[str], where: str) -> dict[str, Path]:
    """Find the runs that are given, as ``FOLDER`` or ``METHOD=FOLDER``, of `methods`, which stand in `where`.

    Raises
    ------
    A2IBenchError
        If one has no result, is of none of the methods, or there are two of one method.

    """
    found: dict[str, Path] = {}
    for text in given:
        method, run = _named(text, methods, where)
        if found.setdefault(method, run) != run:
            raise A2IBenchError(
                f"{found[method]} and {run} are both of the method {method}; give the one that was rated."
            )
    return found


def _named(text: str, methods: Sequence[str], where: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        name, path = "", text
    run = Path(path)
    run = run.parent if run.name == "result.json" else run
    method = name or Result.load(run / "result.json").method
    if method not in methods:
        raise unknown(f"method in {where} that is called", method, methods)
    return method, run


def _check_outputs(study: Study, method: str, run: Path) -> None:
    """Refuse a run whose outputs were made again since people rated them."""
    task = study.declared
    outputs = run / task.folder
    if not outputs.is_dir():
        return  # a folder of outputs was scored; its result does not hold them
    for item in study.items:
        for name, digest in zip(item.methods, item.digests, strict=True):
            if name == method and sha256_file(Run(method, run, outputs, task).output(item.clip_id)) != digest:
                raise A2IBenchError(
                    f"The {task.noun} of {item.clip_id} in {run} is not the one that was rated: the run was made again "
                    f"after the study; give the rated run as {method}=FOLDER."
                )


def write_results(human: Human, runs: Mapping[str, Path]) -> list[Path]:
    """Put the human score into the result of each run; a human score of the same study is replaced.

    Nothing else in the results is touched. All are checked before the first is written.

    Returns
    -------
    The files that were written.

    Raises
    ------
    A2IBenchError
        If there is no run, or a result holds the human score of another study.

    """
    if not runs:
        raise A2IBenchError("There is no result to write the human scores into; name the runs with --results.")
    scores = human_scores(human)
    written = {}
    for method, run in runs.items():
        if method not in scores:
            continue
        file = run / "result.json"
        result = Result.load(file)
        if result.clips.digest != human.clips:
            raise A2IBenchError(f"{file} is of other clips than the study; give the run whose outputs were rated.")
        others = [score for score in result.scores if score.metric != HUMAN]
        before = [score for score in result.scores if score.metric == HUMAN]
        if before and not before[0].signature.endswith(f"|{human.source}:{human.study}"):
            raise A2IBenchError(
                f"{file} holds the human score of another study ({before[0].signature}); score the run again to drop "
                "it."
            )
        written[file] = result.model_copy(update={"scores": [*others, scores[method]]})
    for file, result in written.items():
        result.save(file)
    return list(written)
