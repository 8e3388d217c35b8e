"""Run all checks of a row, and write down what they find."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from a2ibench import __version__
from a2ibench.board.states import State, Verification, hashes_of, known
from a2ibench.board.verify.files import check_files
from a2ibench.board.verify.findings import Drawn, Figure, Finding, Problem, Reached, Remark
from a2ibench.board.verify.images import check_images
from a2ibench.board.verify.row import find_row
from a2ibench.board.verify.tools import Tools
from a2ibench.board.withdraw import withdrawal_of
from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import write_text
from a2ibench.progress import Stage
from a2ibench.suites import Suite

_LONGEST = 500  # characters of a sentence: what a row holds is quoted in it


def verify(
    folder: Path,
    suite: Suite,
    clips: ClipSet | None,
    *,
    outputs: Path | None = None,
    own_data: bool = False,
    training: Path | None = None,
    weights: Mapping[str, Path] | None = None,
    regenerate: bool = True,
    device: str = "cpu",
    batch_size: int = 24,
    stage: Stage,
) -> Verification:
    """Check a row as far as can be, and write ``verified.json`` into it.

    The state is what this verification itself has reached, and self-reported where something does not hold. Where
    it had no images to look at and finds nothing wrong, a ``verified.json`` of these files stays as it is.

    Parameters
    ----------
    folder
        The row's folder on a board.
    suite, clips, own_data
        What it was scored on; without clips only files and hashes are checked.
    training
        The clips that it was trained on: a folder with ``clips.csv``.
    outputs
        The images: a folder, .zip or .tar.gz. Without them those of a method of ours are made again.
    weights
        Weights of the user's that the method was run with, by part.
    regenerate
        Whether to make the images of a method of ours again.
    device, batch_size
        How to compute.
    stage
        Shows progress.

    Raises
    ------
    A2IBenchError
        If that folder is no row of a board, or the outputs can't be read at all.

    """
    folder = find_row(folder)
    before, files = known(folder), dict[str, str]()
    tools = Tools(suite, clips, own_data, training, weights or {}, regenerate, device, batch_size, stage)
    found: list[Finding]
    try:
        files = hashes_of(folder)
    except A2IBenchError as error:  # one is a link, a FIFO, or far too large
        found = [Problem(str(error))]
    else:
        found = [*_checks(folder, outputs, tools)]
    here = _together(found, files)
    if before is not None and before.state != here.state == "self-reported" and not here.problems:
        kept = (
            f"Its verified.json tells of a verification of {before.when} ({before.state}); that was not done again, "
            "and the file stays as it is."
        )
        return _together([*found, Remark(kept)], files)
    write_text(folder / "verified.json", json.dumps(here.model_dump(), indent=1, ensure_ascii=False) + "\n")
    return here


def _checks(folder: Path, outputs: Path | None, tools: Tools) -> Iterator[Finding]:
    try:
        gone = withdrawal_of(folder)
        if gone is not None:
            yield Remark(f"The row was withdrawn on {gone.when}: {gone.why}")
        row = yield from check_files(folder, tools.suite, tools.clips)
    except A2IBenchError as error:
        yield Problem(str(error))
        return
    if row is not None:
        yield from check_images(row, outputs, tools)


def _together(found: list[Finding], files: Mapping[str, str]) -> Verification:
    """Make one verification of what was found; a row of which something does not hold is self-reported."""
    problems = [_plain(each.text) for each in found if isinstance(each, Problem)]
    states: list[State] = [each.state for each in found if isinstance(each, Reached)]
    return Verification(
        state="self-reported" if problems or not states else states[-1],
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        a2ibench=__version__,
        files={**files, **{each.name: each.sha256 for each in found if isinstance(each, Drawn)}},
        figures={each.metric: (each.told, each.found) for each in found if isinstance(each, Figure)},
        problems=problems,
        notes=[_plain(each.text) for each in found if isinstance(each, Remark)],
    )


def _plain(text: str) -> str:
    """A sentence with a stranger's words in it: short, and nothing that a terminal would act upon."""
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
