"""The command that builds a retrieval index over a corpus of sounds."""

from pathlib import Path
from typing import Annotated

import typer

from a2ibench.cli.shared import DeviceOption, JsonOption, WeightsOption, app, console, paths, print_json, progress
from a2ibench.errors import A2IBenchError


@app.command(
    epilog="Example: [bold]a2ibench index --suite mysuite.toml --data corpus --out index[/bold], and later "
    "[bold]a2ibench eval --method re-audioldm --weights index=index[/bold]"
)
def index(
    data: Annotated[Path, typer.Option("--data", help="The corpus: a folder with clips.csv.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the index; goes on where it was stopped.")],
    suite: Annotated[str, typer.Option("--suite", help="Its CLAP encodes: a suite of text to audio.")],
    key: Annotated[str, typer.Option("--key", help="What captions are compared with: audio, or text.")] = "audio",
    captions: Annotated[
        Path | None, typer.Option("--captions", help="Clips whose captions are looked up: their 50 nearest are stored.")
    ] = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Build an index of sounds, in which text-to-audio methods look up examples for captions."""
    from a2ibench.baselines.re_audioldm.parts import Clap
    from a2ibench.clips import load_clips
    from a2ibench.retrieval.build import build_index
    from a2ibench.runs.prepare import device_of
    from a2ibench.suites import load_suite

    chosen = load_suite(suite)
    if chosen.task.name != "text-to-audio":
        raise A2IBenchError(
            f"The suite {suite!r} is of {chosen.task.name}, and an index serves text-to-audio; choose another --suite."
        )
    where = device_of(device)
    clips = load_clips(data, task=chosen.task)
    parts, _ = chosen.method_parts("nearest-sound", ("clap",), paths(weights))
    network = Clap(parts["clap"], where)
    with progress() as stage:
        made = build_index(clips, network, out, corpus=data, key=key, advance=stage("index", len(clips)))
    if captions is not None:
        from a2ibench.baselines.re_audioldm.examples import Examples
        from a2ibench.retrieval import STORED, write_found

        asked = load_clips(captions, task=chosen.task)
        # Only looked up here: a method that is told of such examples refuses the clips that the index holds.
        hits = Examples({"file": out}, network, with_test=True).find(asked, STORED)
        write_found(out / "retrieved" / f"{asked.name}.csv", made, asked, hits)
    if as_json:
        print_json({"index": str(out), "count": len(made), "encoder": made.encoder, "key": made.key})
    else:
        console().print(f"{out}: {len(made)} clips", highlight=False)
