"""Mutated inputs of every reader: a reading, or one sentence of ours; no other error, no crash, no hang.

A new reader or format is covered by one more line in `READERS`.
"""

import io
import os
import signal
import tarfile
import time
import traceback
import wave
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from PIL import Image, features

from a2ibench.errors import A2IBenchError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the readers run in forks")

SEED = os.environ.get("A2IBENCH_FAULTS_SEED", "0")
SHORT, LONG = 12, 600  # mutations of each format
LONGEST = 120  # seconds for all mutations of one format


# ---------------------------------------------------------------------------------------------- whole files


def tone(seconds=0.5, rate=16_000):
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def image(form: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 40)).save(buffer, form)
    return buffer.getvalue()


def sound(form: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(), 16_000, format=form, subtype=subtype)
    return buffer.getvalue()


def piped_wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((tone() * 32767).astype(np.int16).tobytes())
    data = bytearray(buffer.getvalue())
    data[40:44] = bytes(4)
    return bytes(data)


def film(form: str, picture: str | None, audio: str | None) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as out:
        packets = []
        if picture:
            stream = out.add_stream(picture, rate=8, width=32, height=32, pix_fmt="yuv420p")
            for level in range(8):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 30 * level, np.uint8), "rgb24")
                packets += stream.encode(frame)
            packets += stream.encode(None)
        if audio:
            sample = "s16" if audio == "libopus" else "fltp"
            track = out.add_stream(audio, rate=48_000, layout="mono", format=sample)
            samples = tone(1, 48_000)[None]
            samples = (samples * 32767).astype(np.int16) if sample == "s16" else samples
            for start in range(0, 47_000, 960):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, start : start + 960]), sample, "mono"
                )
                frame.sample_rate, frame.pts = 48_000, start
                packets += track.encode(frame)
            packets += track.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return buffer.getvalue()


def archive(form: str) -> bytes:
    buffer, names = io.BytesIO(), [f"c{number}.png" for number in range(3)]
    if form == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in names:
                packed.writestr(name, image("PNG"))
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.size = len(image("PNG"))
                packed.addfile(entry, io.BytesIO(image("PNG")))
    return buffer.getvalue()


CLIPS = ("clip_id,audio,image,label\n" + "".join(f"c{k},c{k}.wav,c{k}.png,a dog\n" for k in range(3))).encode()
RATINGS = b"rater;method;clip;rating\n" + b"".join(
    f"r{r};m{m};c{c};{1 + (r + m + c) % 5}\n".encode() for r in range(3) for m in range(2) for c in range(3)
)


# ------------------------------------------------------------------------------------------------- readers


def read_an_image(path: Path) -> None:
    from a2ibench.media.image import inspect_image, read_image

    found = read_image(path)
    assert found.mode == "RGB"
    assert min(found.size) > 0
    with suppress(A2IBenchError):  # not each of these may be an output
        inspect_image(path)


def read_a_sound(path: Path) -> None:
    from a2ibench.media.audio import read_audio

    found = read_audio(path, 16_000)
    assert found.ndim == 1
    assert np.isfinite(found).all()


def read_a_video(path: Path) -> None:
    from a2ibench.errors import A2IBenchError
    from a2ibench.media.audio import read_audio
    from a2ibench.media.video import frames, inspect_video, video_info

    try:
        video_info(path)
        times = [frame.time for frame in frames(path)]
        assert times == sorted(times)
        inspect_video(path)
    except A2IBenchError:
        read_audio(path, 16_000)


def read_a_text(path: Path) -> None:
    from a2ibench.media.text import read_text

    assert read_text(path)


def read_clips(path: Path) -> None:
    from a2ibench.clips import load_clips

    folder = path.parent / "data"
    folder.mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"c{number}.wav").touch()
        (folder / f"c{number}.png").touch()
    (folder / "clips.csv").write_bytes(path.read_bytes())
    assert len(load_clips(folder)) > 0


def read_ratings(path: Path) -> None:
    from a2ibench.rating.collected import read_collected

    read_collected([path])


def read_an_archive(path: Path) -> None:
    from made import clip_of

    from a2ibench.board.outputs import read_outputs
    from a2ibench.clips import ClipSet

    clips = ClipSet([clip_of(f"c{k}", path, path, "a dog") for k in range(3)], "x")
    with read_outputs(path, clips) as found:
        assert all("Traceback" not in problem for problem in found.problems)


Reader = Callable[[Path], None]
READERS: dict[str, tuple[Reader, Callable[[], bytes]]] = {
    **{f"a.{form.lower()}": (read_an_image, lambda form=form: image(form))
       for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF") if form != "AVIF" or features.check("avif")},
    **{f"a.{form.lower()}": (read_a_sound, lambda form=form: sound(form))
       for form in ("WAV", "FLAC", "OGG", "AIFF", "AU", "CAF", "W64", "RF64", "MP3")},
    "piped.wav": (read_a_sound, piped_wav),
    "a.m4a": (read_a_sound, lambda: film("ipod", None, "aac")),
    "a.aac": (read_a_sound, lambda: film("adts", None, "aac")),
    "a.mka": (read_a_sound, lambda: film("matroska", None, "libopus")),
    "a.mp4": (read_a_video, lambda: film("mp4", "mpeg4", "aac")),
    "a.mkv": (read_a_video, lambda: film("matroska", "mpeg4", "libopus")),
    "a.avi": (read_a_video, lambda: film("avi", "mpeg4", None)),
    "a.ts": (read_a_video, lambda: film("mpegts", "mpeg4", None)),
    "a.txt": (read_a_text, lambda: "Two frogs croak, then a bell rings; naïvely.\n".encode()),
    "clips.csv": (read_clips, lambda: CLIPS),
    "ratings.csv": (read_ratings, lambda: RATINGS),
    "a.zip": (read_an_archive, lambda: archive("zip")),
    "a.tar.gz": (read_an_archive, lambda: archive("tar.gz")),
}  # fmt: skip


# ----------------------------------------------------------------------------------------------- mutations


def mutated(data: bytes, random: Random) -> tuple[str, bytes]:
    """Damage a file in one way: what was done, and the file."""
    changed, size = bytearray(data), len(data)
    near = min(size, 256) if random.random() < 0.5 else size  # headers are where most goes wrong
    kind = random.choice(["bits", "cut", "zeros", "swap", "insert", "repeat"])
    at = random.randrange(near)
    if kind == "bits":
        for _ in range(random.choice([1, 2, 8])):
            changed[random.randrange(near)] ^= 1 << random.randrange(8)
    elif kind == "cut":
        del changed[at:]
    elif kind == "zeros":
        length = random.choice([1, 4, 64, 512])
        changed[at : at + length] = bytes(len(changed[at : at + length]))
    elif kind == "swap":
        other, length = random.randrange(size), random.choice([1, 4, 32])
        one, two = bytes(changed[at : at + length]), bytes(changed[other : other + length])
        changed[other : other + length], changed[at : at + length] = one, two
    elif kind == "insert":
        changed[at:at] = random.randbytes(random.choice([1, 4, 64]))
    else:
        changed[at:at] = changed[at : at + random.choice([4, 64, 512])]
    return f"{kind} at {at}", bytes(changed)


def read_all(name: str, count: int, folder: Path) -> str:
    """Read many mutations of a file in a fork; give what went wrong, nothing where all is well."""
    reader, make = READERS[name]
    whole, random = make(), Random(f"{SEED} {name}")  # noqa: S311
    reader(_written(folder / name, whole))  # what is whole is read
    log = folder / "log"
    log.write_text("")
    pid = os.fork()
    if pid == 0:
        _read_in_a_fork(reader, folder / name, whole, random, count, log)
    until = time.monotonic() + LONGEST + count / 4
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            said = log.read_text(errors="replace")
            return said if code == 0 and "wrong:" in said else "" if code == 0 else f"ended with {code} at {said}"
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"hangs at {log.read_text(errors='replace')}"


def _read_in_a_fork(reader: Reader, path: Path, whole: bytes, random: Random, count: int, log: Path) -> None:
    """Never returns."""
    code, wrong = 1, ""
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        for number in range(count):
            what, data = mutated(whole, random)
            log.write_text(f"{wrong}mutation {number} of seed {SEED}: {what}")
            try:
                reader(_written(path, data))
            except A2IBenchError as error:
                if "\n" in str(error) or not str(error).isprintable():
                    wrong += f"wrong: mutation {number}, {what}: not one plain sentence: {error!r}\n"
            except Exception:
                wrong += f"wrong: mutation {number}, {what}: {traceback.format_exc()[-1500:]}\n"
        log.write_text(wrong)
        code = 0
    finally:
        os._exit(code)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", READERS)
def test_mutated_inputs(name, tmp_path):
    assert not (wrong := read_all(name, SHORT, tmp_path)), wrong


@pytest.mark.faults
@pytest.mark.parametrize("name", READERS)
def test_many_mutated_inputs(name, tmp_path):
    assert not (wrong := read_all(name, LONG, tmp_path)), wrong
