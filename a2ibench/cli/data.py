"""The commands that make clips: from a folder of videos and a published list, or drawn videos to try that with."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from a2ibench.cli.shared import DeviceOption, JsonOption, app, console, note, print_json, progress
from a2ibench.errors import A2IBenchError

if TYPE_CHECKING:
    from a2ibench.data.report import Coverage

data = typer.Typer(
    name="data",
    help="Clips from raw corpora: a folder of videos and a published list become a folder for --data.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog="Example: [bold]a2ibench data vggsound --videos VIDEOS --list test.csv --out clips[/bold]",
)
app.add_typer(data)

_OPEN = "What the paper leaves open"
_WHICH = "Which clips"
# The suites whose world has shorter clips than VGGSound's ten seconds.
_SECONDS = {"mini": 3.0}


@data.command(
    epilog="Examples: [bold]a2ibench data vggsound --videos VIDEOS --list test.csv --out clips[/bold] · "
    "[bold]a2ibench reproduce table1 --suite vggsound --data clips[/bold]"
)
def vggsound(
    videos: Annotated[Path, typer.Option("--videos", help="The folder of the videos; folders in it are searched.")],
    listing: Annotated[Path, typer.Option("--list", help="VGGSound's test.csv, train.csv or vggsound.csv.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the clips; goes on where it was stopped.")],
    suite: Annotated[str, typer.Option("--suite", help="Whose networks judge; mini: for drawn videos.")] = "vggsound",
    task: Annotated[
        str, typer.Option("--task", help="What the clips are for; video-to-audio: silent videos and mono sounds.")
    ] = "audio-to-image",
    split: Annotated[
        str, typer.Option("--split", help="Of vggsound.csv: test or train.", rich_help_panel=_WHICH)
    ] = "test",
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clips",
            help="Only the clips of this published list; of several, their common ones.",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option("--exclude", help="Not the clips, or videos, of this list; repeatable.", rich_help_panel=_WHICH),
    ] = None,
    subset: Annotated[
        str | None,
        typer.Option("--subset", help="vggsounder: only labels that people heard and saw.", rich_help_panel=_WHICH),
    ] = None,
    frames: Annotated[
        float,
        typer.Option("--frames", min=0.1, max=30, help="Frames a second to choose from.", rich_help_panel=_OPEN),
    ] = 2.0,
    prompt: Annotated[
        str,
        typer.Option("--prompt", help="What CLIP compares a frame with; {} is the label.", rich_help_panel=_OPEN),
    ] = "{}",
    side: Annotated[
        int,
        typer.Option("--side", min=0, help="Longest shorter side of the kept frame; 0: any.", rich_help_panel=_OPEN),
    ] = 512,
    shortest: Annotated[
        float | None,
        typer.Option(
            "--shortest",
            min=0.1,
            help="Seconds of picture and sound that a clip needs; by default 9, with mini 2.7.",
            rich_help_panel=_OPEN,
        ),
    ] = None,
    drop_still: Annotated[
        bool, typer.Option("--drop-still", help="Drop clips that show one picture.", rich_help_panel=_OPEN)
    ] = False,
    filtered: Annotated[
        bool | None,
        typer.Option(
            "--filter/--no-filter",
            help="Drop clips whose image and sound are classified differently; by default where images are made.",
            rich_help_panel=_OPEN,
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate",
            min=0,
            max=192_000,
            help="Samples a second of mono sounds; 0: as they are. By default 16000 where sounds are to be generated.",
            rich_help_panel=_OPEN,
        ),
    ] = None,
    agreement: Annotated[
        float,
        typer.Option(
            "--agreement",
            min=-1,
            max=1,
            help="The two classes agree above this cosine of their names in CLIP.",
            rich_help_panel=_OPEN,
        ),
    ] = 0.75,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            min=1,
            max=50,
            help="So many first choices of the audio classifier may agree.",
            rich_help_panel=_OPEN,
        ),
    ] = 1,
    audio_classes: Annotated[
        Path | None,
        typer.Option("--audio-classes", help="AudioSet's list of classes, where it can't be fetched."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=256, help="Processes; by default one per core, at most 8.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Make clips from VGGSound's videos as the paper did: the sound of all of it, the frame nearest to the label."""
    from a2ibench.data.build import build
    from a2ibench.data.judge import Settings
    from a2ibench.data.make import ENDINGS, free_cores
    from a2ibench.data.vggsound import corpus
    from a2ibench.runs.prepare import device_of
    from a2ibench.tasks import get as get_task

    began = time.perf_counter()
    if "{}" not in prompt:
        raise A2IBenchError(
            f"--prompt {prompt!r} has no {{}}, where the label stands; write for example 'a photo of {{}}'."
        )
    seconds, chosen = _SECONDS.get(suite, 10.0), get_task(task)
    columns = tuple(chosen.columns)
    if strange := [column for column in columns if column not in ENDINGS]:
        raise A2IBenchError(f"The task {task} has clips with {strange[0]!r}, which no video of VGGSound gives.")
    settings = Settings(
        suite=suite,
        clip_seconds=seconds,
        frames_per_second=frames,
        prompt=prompt,
        side=side,
        shortest=0.9 * seconds if shortest is None else shortest,
        drop_still=drop_still,
        filter="image" in columns if filtered is None else filtered,
        agreement=agreement,
        top=top,
        audio_classes=str(audio_classes.resolve()) if audio_classes else "",
        columns=columns,
        rate=rate if rate is not None else 16_000 if chosen.output == "audio" else 0,
    )
    wanted = corpus(videos, listing, split=split, clips=clips or (), exclude=exclude or (), subset=subset)
    with progress() as stage:
        coverage = build(wanted, out, settings, device=device_of(device), workers=workers or free_cores(), stage=stage)
    if as_json:
        print_json({"folder": str(out), "coverage": str(out / "coverage.json"), "kept": coverage.kept})
        return
    _show(coverage)
    console().print(
        f"{out}{os.sep}  clips.csv provenance.csv coverage.csv coverage.json", highlight=False, markup=False
    )
    score = f" Score with: a2ibench reproduce table1 --suite {suite} --data {out}" if "image" in columns else ""
    note(f"Done in {time.perf_counter() - began:.0f} s.{score}")


def _show(coverage: "Coverage") -> None:
    """Print how much of the list is there."""
    kept_classes = sum(counts["kept"] > 0 for counts in coverage.classes.values())
    lines = [
        ("list", f"{coverage.listed} clips of {len(coverage.classes)} classes, sha256 {coverage.list_digest[:12]}"
                 + (f" ({coverage.official})" if coverage.official else "")),
        ("wanted", f"{coverage.restricted}"),
        ("found", f"{coverage.found} ({coverage.found / max(1, coverage.restricted):.1%} of those wanted)"),
        ("kept", f"{coverage.kept} clips of {kept_classes} classes, sha256 {coverage.kept_digest[:12]}"),
        ("dropped", ", ".join(f"{count} {reason}" for reason, count in coverage.dropped.items()) or "none"),
    ]  # fmt: skip
    if coverage.strangers or coverage.twice:
        lines.append(("left aside", f"{coverage.strangers} files of no listed clip, {coverage.twice} of a clip twice"))
    for name, text in lines:
        console().print(f"{name:<11}{text}", highlight=False, markup=False)


@data.command(
    epilog="Example: [bold]a2ibench data audiocaps --sounds SOUNDS --list test.csv --out clips "
    "--segments eval_segments.csv --audio-classes class_labels_indices.csv[/bold]"
)
def audiocaps(
    sounds: Annotated[Path, typer.Option("--sounds", help="The folder of the sounds; folders in it are searched.")],
    listing: Annotated[Path, typer.Option("--list", help="AudioCaps' train.csv, val.csv or test.csv.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the clips; goes on where it was stopped.")],
    segments: Annotated[
        list[Path] | None,
        typer.Option("--segments", help="AudioSet's segment files, for the labels; repeatable."),
    ] = None,
    audio_classes: Annotated[
        Path | None,
        typer.Option("--audio-classes", help="AudioSet's list of classes, where it can't be fetched."),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clips",
            help="Only the clips of this published list; of several, their common ones.",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option("--exclude", help="Not the clips, or videos, of this list; repeatable.", rich_help_panel=_WHICH),
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", min=8_000, max=48_000, help="Samples a second.", rich_help_panel=_OPEN)
    ] = 16_000,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=60, help="Longer sounds are cut here.", rich_help_panel=_OPEN)
    ] = 10.0,
    shortest: Annotated[
        float,
        typer.Option(
            "--shortest", min=0.1, help="Seconds that a sound needs, or it is dropped.", rich_help_panel=_OPEN
        ),
    ] = 1.0,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=256, help="Threads; by default one per core, at most 8.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make clips from AudioCaps' sounds and captions: mono, cut and resampled alike, with labels from AudioSet."""
    from a2ibench.data.audiocaps import corpus, read_captions, read_labels
    from a2ibench.data.make import free_cores
    from a2ibench.data.sounds import Cut, build_sounds
    from a2ibench.data.tagger import CLASSES
    from a2ibench.weights.fetch import locate

    began = time.perf_counter()
    captions = read_captions(listing)
    labels = read_labels(segments, audio_classes or locate(CLASSES)) if segments else {}
    wanted = corpus(sounds, captions, labels, clips=clips or (), exclude=exclude or ())
    with progress() as stage:
        coverage = build_sounds(
            wanted,
            captions.told,
            out,
            Cut(rate, seconds, shortest),
            workers=workers or free_cores(),
            about={"captions_sha256": captions.digest},
            stage=stage,
        )
    if as_json:
        print_json({"folder": str(out), "coverage": str(out / "coverage.json"), "kept": coverage.kept})
        return
    _show(coverage)
    console().print(
        f"{out}{os.sep}  clips.csv provenance.csv coverage.csv coverage.json", highlight=False, markup=False
    )
    note(f"Done in {time.perf_counter() - began:.0f} s.")


@data.command(epilog="Example: [bold]a2ibench data example --out example --clips 40[/bold]")
def example(
    out: Annotated[Path, typer.Option("--out", help="The folder: videos/ and list.csv are put there.")],
    clips: Annotated[int, typer.Option("--clips", min=1, max=10_000, help="How many videos.")] = 40,
) -> None:
    """Draw videos of the mini world, named as VGGSound's, to try `a2ibench data vggsound --suite mini` with."""
    from a2ibench.data.example import draw_videos

    with progress() as stage:
        listing = draw_videos(out, clips, stage("videos", clips))
    console().print(f"{out / 'videos'}{os.sep}  {listing}", highlight=False, markup=False)
    note(f"Try: a2ibench data vggsound --suite mini --videos {out / 'videos'} --list {listing} --out {out / 'clips'}")
