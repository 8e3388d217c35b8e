"""The command that runs every row of a paper's tables."""

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from a2ibench.cli.shared import (
    BatchOption,
    DataOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    LimitOption,
    RayOption,
    SeedOption,
    ShardOption,
    SuiteOption,
    WorkersOption,
    app,
    chosen_shard,
    console,
    note,
    print_json,
    progress,
    say_shard,
)
from a2ibench.errors import A2IBenchError


@app.command(
    epilog="Examples: [bold]a2ibench reproduce table1[/bold] · "
    "[bold]a2ibench reproduce table1 --suite vggsound --data VGGSOUND_DIR[/bold] · "
    "[bold]a2ibench reproduce foleygen[/bold]"
)
def reproduce(
    what: Annotated[
        str, typer.Argument(help="table1: AudioToken's Table 1, all six methods. foleygen: its Tables 1 to 3.")
    ],
    suite: SuiteOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 24,
    out: Annotated[Path | None, typer.Option("--out", help="The folder of the runs; by default runs/SUITE.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option("--weights", metavar="M.PART=FILE", help="Your own weights: METHOD.PART=FILE."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 where a number leaves its band.")] = False,
    fresh: FreshOption = False,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run all rows of a paper's tables, and say which of its orderings hold; goes on where it was stopped."""
    from a2ibench.api import chosen_clips, run_folder
    from a2ibench.paper import published as papers
    from a2ibench.paper.reproduce import reproduce as run_all
    from a2ibench.paper.reproduce import reproduce_shard
    from a2ibench.paper.tables import complaints, to_terminal
    from a2ibench.runs.pools import open_workers
    from a2ibench.runs.prepare import device_of
    from a2ibench.suites import default_suite, load_suite

    began = time.perf_counter()
    part = chosen_shard(shard, fresh, workers, ray)
    published = papers.load_published(papers.paper_file(what))
    loaded = load_suite(suite or default_suite(published.task))
    own = _weights(weights)
    if check and (limit is not None or loaded.name not in published.bands):
        held = " or ".join(sorted(published.bands))
        raise A2IBenchError(f"--check has nothing to check: the bands are for all clips of {held}; leave it out.")
    clips, _ = chosen_clips(loaded, data, limit)
    folder = out or run_folder(loaded, clips, what, data, limit).parent
    if limit is not None and out is None:
        folder = folder / f"limit{limit}"
    asked: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "weights": own}
    with open_workers(workers, ray, device, part) or nullcontext() as executor, progress() as stage:
        asked |= {"device": executor.device(device) if executor else device_of(device), "executor": executor}
        if part is not None:
            mine = reproduce_shard(published, loaded, clips, folder, part, **asked, stage=stage)
        else:
            own_data = data is not None
            table = run_all(published, loaded, clips, folder, own_data=own_data, fresh=fresh, **asked, stage=stage)
    if part is not None:
        say_shard(part, folder, mine, as_json)
        return
    if as_json:
        print_json(table.model_dump(mode="json"))
    else:
        console().print(to_terminal(table))
        files = " ".join(f"{what}.{ending}" for ending in ("md", "csv", "tex", "png", "json"))
        console().print(f"{folder}{os.sep}  {files}", highlight=False)
        note(f"Done in {time.perf_counter() - began:.0f} s.")
    if check:
        for complaint in complaints(table):
            note(f"Out of its band: {complaint}")
        if complaints(table):
            raise typer.Exit(1)


def _weights(values: list[str] | None) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for value in values or []:
        name, equals, file = value.partition("=")
        method, dot, part = name.partition(".")
        if not (equals and dot and part and file):
            raise A2IBenchError(f"{value!r} is not METHOD.PART=FILE; write audiotoken-cl.embedder=my.safetensors.")
        found.setdefault(method, {})[part] = Path(file)
    return found
