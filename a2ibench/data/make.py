"""Make the clips: every clip a pure function of its video, its label and the settings, on as many processes as wanted.

A clip whose process dies, by the kernel or by a decoder's crash, is made again by itself; one that kills its process
twice is dropped and named, not tried for ever.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from a2ibench.data.decode import Decoded, UnusableError, decode
from a2ibench.data.judge import Judge, Settings, Verdict, mono
from a2ibench.data.records import Job, Record, store
from a2ibench.files import sha256_file, write_bytes
from a2ibench.media.audio import write_audio
from a2ibench.media.image import save_image
from a2ibench.media.video import mux

Done = Callable[[Record], None]
ENDINGS = {"audio": ".flac", "image": ".png", "video": ".mp4"}


def make_clip(job: Job, out: Path, judge: Judge) -> Record:
    """Make one clip: decode, choose, write the sound and the frame, and last the record."""
    source, settings = job.folder / job.source, judge.settings
    paths = {column: f"{column}/{job.clip_id}{ENDINGS[column]}" for column in settings.columns}
    clip, verdict, why = None, None, None
    try:
        digest = sha256_file(source)
    except OSError as error:
        digest, why = "", UnusableError("corrupt", f"{source.name} can't be read: {error.strerror or error}.")
    if why is None:
        try:
            clip = decode(source, settings.frames_per_second, settings.side)
            _check(clip, settings)
            verdict = judge.judge(clip, job.label)
            if not verdict.agrees(settings.agreement):
                raise UnusableError(
                    "disagree", f"seen: {verdict.image_class}; heard: {verdict.audio_class} ({verdict.agreement:.3f})."
                )
        except UnusableError as error:
            why = error
    written: dict[str, Any] = {}
    if why is None and clip is not None and verdict is not None:
        _write(out, paths, source, clip, verdict, settings)
        written = {**paths, **{f"{name}_sha256": sha256_file(out / path) for name, path in paths.items()}}
    else:
        for path in paths.values():  # of other settings, under which it was kept
            (out / path).unlink(missing_ok=True)
    record = Record(
        job.clip_id,
        job.label,
        "dropped" if why else "kept",
        why.reason if why else "",
        str(why) if why else "",
        job.source,
        digest,
        **_facts(clip, verdict),
        **written,
    )
    store(out, job.key, record)
    return record


def _write(
    out: Path, paths: Mapping[str, str], source: Path, clip: Decoded, verdict: Verdict, settings: Settings
) -> None:
    """Write what is made of a video, column by column."""
    if "audio" in paths and settings.rate:
        write_audio(out / paths["audio"], mono(clip.sound, clip.rate, settings.rate), settings.rate)
    elif "audio" in paths:
        write_bytes(out / paths["audio"], _flac(clip))
    if "image" in paths and verdict.moment is not None:
        save_image(out / paths["image"], verdict.moment.image)
    if "video" in paths:  # without its sound: who is to make one must not hear it
        mux(source, None, 0, out / paths["video"])


def _check(clip: Decoded, settings: Settings) -> None:
    if clip.seconds < settings.shortest:
        raise UnusableError("short", f"it lasts {clip.seconds:g} s, and {settings.shortest:g} s are wanted.")
    if clip.still and settings.drop_still:
        raise UnusableError("still", "it shows one picture all the time.")


def _facts(clip: Decoded | None, verdict: Verdict | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if clip is not None:
        facts |= {"seconds": clip.seconds, "sound_start": clip.sound_start, "rate": clip.rate}
        facts |= {"channels": clip.sound.shape[1], "still": clip.still}
    if verdict is not None and verdict.moment is not None:
        facts |= {"frame_time": verdict.moment.time, "clip_score": verdict.clip_score}
        if verdict.agreement is not None:
            names = ("image_class", "image_probability", "audio_class", "audio_probability", "agreement")
            facts |= {name: getattr(verdict, name) for name in names}
    return facts


def _flac(clip: Decoded) -> bytes:
    import soundfile

    buffer = BytesIO()
    soundfile.write(buffer, clip.sound, clip.rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------- processes


def make_all(jobs: Sequence[Job], out: Path, judge: Judge, workers: int, done: Done) -> None:
    """Make all clips, and call `done` with the record of each, in the order in which they end."""
    if workers == 1 or len(jobs) == 1:
        with _one_thread():
            for job in jobs:
                done(make_clip(job, out, judge))
        return
    again: list[Job] = list(jobs)
    while again:
        suspects, again = _pooled(again, out, judge, workers, done)
        for job in suspects:
            # Alone, so that it is known who is to blame.
            if _pooled([job], out, judge, 1, done)[0]:
                why = "its reading ended the process twice (a crash of the decoder, or too little memory)."
                record = Record(job.clip_id, job.label, "dropped", "crash", why, job.source)
                store(out, job.key, record)
                done(record)


def _pooled(jobs: Sequence[Job], out: Path, judge: Judge, workers: int, done: Done) -> tuple[list[Job], list[Job]]:
    """Make clips on `workers` processes; give those that were being made when one died, and those not yet begun."""
    # Not fork: a process that has used threads, or a GPU, can't be copied safely.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), _begin)
    waiting: dict[Future[Record], Job] = {}
    rest = list(reversed(jobs))
    try:
        while rest or waiting:
            while rest and len(waiting) < 2 * workers:
                job = rest.pop()
                try:
                    waiting[pool.submit(_work, job, out, judge.settings, judge.device)] = job
                except BrokenProcessPool:
                    return [*waiting.values(), job], rest[::-1]
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                try:
                    record = future.result()
                except BrokenProcessPool:
                    return list(waiting.values()), rest[::-1]
                del waiting[future]
                done(record)
        return [], []
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes at once: what they were at is made again, so nothing is lost by not waiting."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _begin() -> None:
    """Make a process ready; it ends with the one that started it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _follow() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@cache
def _judge(settings: Settings, device: str) -> Judge:
    """Load the networks at the first clip: what goes wrong then is an error, and not the clip's fault."""
    return Judge(settings, device)


def _work(job: Job, out: Path, settings: Settings, device: str) -> Record:
    return make_clip(job, out, _judge(settings, device))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, as each of several processes has: sums must not depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def free_cores() -> int:
    """How many processes are started by default: one per core that this process may use, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores))
