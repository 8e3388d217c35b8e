"""A method's run from beginning to end: its images, their scores, and the folder that holds both."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from a2ibench.clips import ClipSet
from a2ibench.media.image import save_image
from a2ibench.metrics import Metric
from a2ibench.pictures.sheets import contact_sheet
from a2ibench.progress import Advance
from a2ibench.results import Result
from a2ibench.runs.generate import Generated, generate
from a2ibench.runs.prepare import Run
from a2ibench.scoring.scorer import Outputs, Scorer, result_of


def generate_and_score(
    run: Run,
    scorer: Scorer,
    wanted: Sequence[Metric],
    folder: Path,
    *,
    ceilings: Mapping[str, float],
    device: str = "cpu",
    batch_size: int = 24,
    advance: Advance = lambda n: None,
    fresh: bool = False,
    seconds: Mapping[str, float] | None = None,
) -> tuple[Result, Generated]:
    """Make the images that a run folder lacks, score them, and write the result beside them.

    Parameters
    ----------
    run, folder, device, batch_size, advance, fresh
        As `a2ibench.runs.generate.generate` takes them.
    scorer, wanted, ceilings, seconds
        As `a2ibench.scoring.scorer.result_of` takes them.

    """
    began = time.perf_counter()
    made = generate(run, scorer.clips, folder, device=device, batch_size=batch_size, advance=advance, fresh=fresh)
    spent = time.perf_counter() - began
    result = result_of(
        scorer,
        made.images(),
        wanted,
        method=run.method.name,
        ceilings=ceilings,
        device=device,
        seed=run.seed,
        options=run.options,
        weights=run.weights,
        licences=run.licences,
        notes=made.notes(),
        seconds={**(seconds or {}), "generate": spent},
    )
    write_run(folder, result, scorer.clips, made.images())
    return result, made


def write_run(folder: Path, result: Result, clips: ClipSet, images: Outputs) -> None:
    """Write what a run folder holds beside the images: ``result.json``, ``items.csv`` and ``contact.png``."""
    result.save(folder / "result.json")
    result.write_items(folder / "items.csv")
    sheet = contact_sheet(
        clips,
        {clip_id: files[0] for clip_id, files in images.items() if files},
        title=result.method,
        subtitle=f"{result.suite} · {clips.name} · {len(clips)} clips"
        + (f" · seed {result.seed}" if result.seed is not None else ""),
        method=result.method,
    )
    save_image(folder / "contact.png", sheet)
