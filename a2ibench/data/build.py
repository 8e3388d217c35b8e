"""Build a folder of clips from a list and its videos: what is done stays, what is missing is made, then the report."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from a2ibench.data.judge import Judge, Settings
from a2ibench.data.lists import ClipList
from a2ibench.data.make import make_all
from a2ibench.data.records import Job, Record, key_of, load, place
from a2ibench.data.report import Coverage, cover, write_report
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_writable
from a2ibench.progress import Stage, silent

_PROBED = 12  # videos whose headers say how much room a clip takes
_FLAC_SHARE = 0.75  # of the raw samples: what loud stereo music takes
_PNG_SHARE = 0.65  # of the raw pixels: what photographs take


@dataclass(frozen=True)
class Corpus:
    """What is to be built.

    Attributes
    ----------
    name
        Of the corpus.
    official
        What its list is, where that is known; else empty.
    listed, wanted
        The whole list, and the clips of it that are asked for.
    folder
        Of the videos.
    sources
        The video of each clip that is there, relative to the folder.
    strangers, twice
        How many videos are of no listed clip, and how many of a clip that another is of.

    """

    name: str
    official: str
    listed: ClipList
    wanted: ClipList
    folder: Path
    sources: Mapping[str, str]
    strangers: int = 0
    twice: int = 0


def build(
    corpus: Corpus,
    out: Path,
    settings: Settings,
    *,
    device: str = "cpu",
    workers: int = 1,
    stage: Stage = silent,
) -> Coverage:
    """Make the clips that are not there yet, and write ``clips.csv``, ``provenance.csv`` and the coverage.

    Raises
    ------
    A2IBenchError
        If the folder can't be written to, is another's, is too small, or is being built already; if weights are
        absent; and at the end where no clip is left.

    """
    check_folder(out)
    check_space(corpus, out, settings)
    judge = Judge(settings, device)
    encoders = judge.encoders()
    with claimed(out):
        records = _records(corpus, out, judge, encoders, workers, stage)
        coverage = covered(corpus, records)
        header = ("clip_id", *settings.columns, "label")
        write_report(
            out,
            records,
            coverage,
            settings.choices(),
            encoders,
            header=header,
            row=lambda record: [getattr(record, column) for column in header],
        )
    check_kept(coverage, out)
    return coverage


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Hold a folder for one build, made where it is absent and swept of what a killed run left.

    Raises
    ------
    A2IBenchError
        If another process holds it.

    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(out / ".lock").acquire(timeout=0)
    except Timeout:
        raise A2IBenchError(f"{out} is being built by another process; wait for it, or give another --out.") from None
    with held:
        for litter in out.rglob(".*.part"):  # half a file of a killed run; nobody else writes here now
            litter.unlink(missing_ok=True)
        yield


def pending(corpus: Corpus, out: Path, settings: str, source_noun: str) -> tuple[list[Record], list[Job]]:
    """Give the records of the clips that are done or have no source, and the jobs of those to be made.

    ``settings`` names everything that a clip's files depend on besides its source.
    """
    records, jobs = [], []
    for entry in corpus.wanted.entries:
        source = corpus.sources.get(entry.clip_id)
        if source is None:
            why = f"there is no {source_noun} of it."
            records.append(Record(entry.clip_id, entry.label, "dropped", "missing", why))
            continue
        key = key_of(settings, entry.clip_id, entry.label, corpus.folder, source)
        job = Job(entry.clip_id, entry.label, corpus.folder, source, key)
        there = load(out, job)
        if there is None:
            jobs.append(job)
        else:
            records.append(there)
    return records, jobs


def covered(corpus: Corpus, records: Sequence[Record]) -> Coverage:
    """Count what of a corpus is there."""
    counts = {"strangers": corpus.strangers, "twice": corpus.twice}
    return cover(corpus.name, corpus.official, corpus.listed, corpus.wanted, records, **counts)


def check_kept(coverage: Coverage, out: Path) -> None:
    """Refuse a build, once it is reported, of which no clip is left."""
    if not coverage.kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in coverage.dropped.items())
        raise A2IBenchError(f"No clip is left ({reasons}); {out / 'provenance.csv'} says why for each.")


def _records(
    corpus: Corpus, out: Path, judge: Judge, encoders: Mapping[str, str], workers: int, stage: Stage
) -> list[Record]:
    digest = judge.settings.digest(encoders)
    records, jobs = pending(corpus, out, digest, "video")
    advance = stage("clips", len(jobs)) if jobs else None

    def done(record: Record) -> None:
        records.append(record)
        if advance is not None:
            advance(1)

    make_all(jobs, out, judge, workers, done)
    return sorted(records, key=lambda record: record.clip_id)


def check_folder(out: Path) -> None:
    """Refuse a folder that can't be written to, or whose ``clips.csv`` somebody else made."""
    check_writable(out)
    if (out / "clips.csv").exists() and not (out / "coverage.json").exists():
        raise A2IBenchError(f"{out} holds a clips.csv that was not made by this command; give another --out.")


def check_space(corpus: Corpus, out: Path, settings: Settings) -> None:
    """Refuse a disk that will not hold the clips, estimated from the headers of a few videos.

    Only what is not there yet is counted.
    """
    todo = [source for clip_id, source in sorted(corpus.sources.items()) if not place(out, clip_id).exists()]
    step = max(1, len(todo) // _PROBED)
    sizes = [size for source in todo[::step] if (size := _room(corpus.folder / source, settings)) is not None]
    if not sizes:
        return
    needed = len(todo) * sum(sizes) / len(sizes)
    there = next(each for each in (out, *out.absolute().parents) if each.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise A2IBenchError(
            f"{len(todo)} clips take about {_size(needed)} and the disk of {out} has {_size(free)} left; "
            "free some space, give another --out, or a smaller --side."
        )


def _room(video: Path, settings: Settings) -> float | None:
    """Estimate the bytes of what a clip becomes from the video's header; None where it has none."""
    import av

    try:
        with av.open(str(video.absolute()), options={"protocol_whitelist": "file"}) as container:
            streams: Any = container.streams
            if not streams.video or not streams.audio:
                return None
            width, height = streams.video[0].codec_context.width, streams.video[0].codec_context.height
            seconds = (container.duration or settings.clip_seconds * 1e6) / 1e6
            sound = seconds * streams.audio[0].rate * streams.audio[0].codec_context.channels * 2
    except (av.FFmpegError, OSError, ValueError):
        return None
    scale = min(1.0, settings.side / max(1, min(width, height))) if settings.side else 1.0
    kinds = {
        "audio": sound * _FLAC_SHARE,
        "image": width * height * scale**2 * 3 * _PNG_SHARE,
        "video": video.stat().st_size,
    }
    blocks = 4096 * (1 + len(settings.columns))  # the last block of each file
    return float(sum(kinds[column] for column in settings.columns) + blocks)


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
