"""Build a folder of told sounds: each cut and resampled alike, with its captions; what is done stays."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from a2ibench.data.build import Corpus, check_folder, check_kept, claimed, covered, pending
from a2ibench.data.records import Job, Record, store
from a2ibench.data.report import Coverage, write_report
from a2ibench.errors import A2IBenchError
from a2ibench.files import check_space, sha256_file
from a2ibench.media.audio import read_audio, write_audio
from a2ibench.progress import Stage, silent

VERSION = 1  # raised whenever the same file may give another sound
_FLAC_SHARE = 0.6  # of the raw samples: what loud mono takes
COLUMNS = (
    "clip_id", "label", "status", "reason", "detail", "source", "source_sha256", "seconds", "rate", "audio",
    "audio_sha256",
)  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """What every sound is made into."""

    rate: int = 16_000
    """Samples a second, mono."""
    seconds: float = 10.0
    """Longer sounds are cut here; shorter ones stay as they are."""
    shortest: float = 1.0
    """Sounds that last less, in seconds, are dropped."""


def build_sounds(
    corpus: Corpus,
    captions: Mapping[str, tuple[str, ...]],
    out: Path,
    cut: Cut,
    *,
    workers: int = 1,
    about: Mapping[str, str] | None = None,
    stage: Stage = silent,
) -> Coverage:
    """Make the sounds that are not there yet, and write ``clips.csv``, ``provenance.csv`` and the coverage.

    Parameters
    ----------
    corpus
        What is wanted, and where it lies.
    captions
        Of each clip, the first one first: columns ``caption``, ``caption_2`` and so on.
    out
        The folder; goes on where it was stopped.
    cut
        What every sound is made into.
    workers
        Threads: reading and resampling happen outside Python.
    about
        More that ``coverage.json`` is to say of the choices.

    Raises
    ------
    A2IBenchError
        If the folder can't be written to, is another's, is too small, or is being built already; and at the end
        where no clip is left.

    """
    check_folder(out)
    todo = [clip_id for clip_id in corpus.sources if not (out / _file(clip_id)).exists()]
    check_space(out, int(len(todo) * cut.rate * cut.seconds * 2 * _FLAC_SHARE), f"{len(todo)} sounds")
    with claimed(out):
        records = _records(corpus, out, cut, workers, stage)
        coverage = covered(corpus, records)
        most = max((len(captions[record.clip_id]) for record in records if record.kept), default=1)
        names = ("caption", *(f"caption_{number}" for number in range(2, most + 1)))

        def row(record: Record) -> list[str]:
            told = captions[record.clip_id]
            return [record.clip_id, record.audio, record.label, *told, *[""] * (most - len(told))]

        choices = {**asdict(cut), "first_caption": "the first one in the list's order", **(about or {})}
        header = ("clip_id", "audio", "label", *names)
        write_report(out, records, coverage, choices, {}, columns=COLUMNS, header=header, row=row)
    check_kept(coverage, out)
    return coverage


def _file(clip_id: str) -> str:
    return f"audio/{clip_id}.flac"


def _records(corpus: Corpus, out: Path, cut: Cut, workers: int, stage: Stage) -> list[Record]:
    settings = hashlib.sha256(json.dumps([VERSION, asdict(cut)], sort_keys=True).encode()).hexdigest()
    records, jobs = pending(corpus, out, settings, "sound")
    if jobs:
        advance = stage("sounds", len(jobs))
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(make_sound, job, out, cut) for job in jobs]
            try:
                for future in as_completed(futures):
                    records.append(future.result())
                    advance(1)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return sorted(records, key=lambda record: record.clip_id)


def make_sound(job: Job, out: Path, cut: Cut) -> Record:
    """Make one sound: read, mix to mono, resample, cut, write, and last the record."""
    source, file = job.folder / job.source, out / _file(job.clip_id)
    digest, seconds, reason, detail = "", None, "", ""
    try:
        digest = sha256_file(source)
        wave = read_audio(source, cut.rate)
        seconds = round(len(wave) / cut.rate, 3)
        if seconds < cut.shortest:
            reason, detail = "short", f"it lasts {seconds:g} s, and {cut.shortest:g} s are wanted."
    except (A2IBenchError, OSError) as error:
        reason, detail = ("mute" if "is silent" in str(error) else "corrupt"), str(error)
    if reason:
        file.unlink(missing_ok=True)  # of other settings, under which it was kept
        record = Record(job.clip_id, job.label, "dropped", reason, detail, job.source, digest, seconds)
    else:
        write_audio(file, np.asarray(wave[: round(cut.seconds * cut.rate)]), cut.rate)
        record = Record(
            job.clip_id, job.label, "kept", source=job.source, source_sha256=digest, seconds=seconds, rate=cut.rate,
            audio=_file(job.clip_id), audio_sha256=sha256_file(file),
        )  # fmt: skip
    store(out, job.key, record)
    return record
