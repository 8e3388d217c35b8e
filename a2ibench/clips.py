"""Clips: an id, a label, and a file or text per column, read from a folder with ``clips.csv`` and checked."""

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from a2ibench.errors import A2IBenchError
from a2ibench.files import sha256_file
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task

SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 600
LONGEST_TEXT = 2000  # characters
SILENCE = 1e-4  # a peak of -80 dB full scale
MOST_PIXELS = 64_000_000
VIDEO = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi"})

_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Clip:
    """What a method is given and its real counterpart, by the task's columns, and the name of the event.

    >>> clip = Clip("bell-0", "bell ringing", {"audio": Path("bell-0.wav"), "image": Path("bell-0.png")})
    >>> clip.file("audio").name
    'bell-0.wav'
    """

    clip_id: str
    label: str
    values: Mapping[str, Path | str]

    def __hash__(self) -> int:
        return hash((self.clip_id, self.label, tuple(self.values.items())))

    def __getitem__(self, column: str) -> Path | str:
        """Give the value of a column: the path of a file, or a text."""
        return self.values[column]

    def file(self, column: str) -> Path:
        """Give the file of a column that is not text."""
        value = self.values[column]
        assert isinstance(value, Path), f"{column} holds text"  # noqa: S101  a mistake of the caller
        return value

    def text(self, column: str) -> str:
        """Give the text of a column, or the label."""
        return self.label if column == "label" else str(self.values[column])


class ClipSet(Sequence[Clip]):
    """Clips in the order of their ids, so that nothing depends on the order of a file or a folder."""

    def __init__(self, clips: Sequence[Clip], name: str):
        self.name = name
        self._clips = tuple(sorted(clips, key=lambda clip: clip.clip_id))

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> "ClipSet": ...
    def __getitem__(self, index: int | slice) -> "Clip | ClipSet":
        if isinstance(index, slice):
            return ClipSet(self._clips[index], self.name)
        return self._clips[index]

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self._clips)

    @property
    def ids(self) -> tuple[str, ...]:
        """The clip ids, sorted."""
        return tuple(clip.clip_id for clip in self._clips)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each clip."""
        return tuple(clip.label for clip in self._clips)

    @cached_property
    def digest(self) -> str:
        """The sha256 over ids, labels and the contents of all files: what makes two sets the same."""
        digest = hashlib.sha256()
        for clip in self._clips:
            parts = (clip.clip_id, clip.label, *clip_digests(clip))
            digest.update("\0".join(parts).encode() + b"\n")
        return digest.hexdigest()

    def spread(self, count: int) -> "ClipSet":
        """Take ``count`` clips spread evenly over the labels, always the same ones."""
        by_label: dict[str, list[Clip]] = {}
        for clip in self._clips:
            by_label.setdefault(clip.label, []).append(clip)
        rounds = max((len(clips) for clips in by_label.values()), default=0)
        turn = [clips[i] for i in range(rounds) for clips in by_label.values() if i < len(clips)]
        return ClipSet(turn[:count], self.name)


def clip_digests(clip: Clip) -> list[str]:
    """Give what tells the contents of a clip's columns: the sha256 of a file, a text itself."""
    return [sha256_file(value) if isinstance(value, Path) else value for value in clip.values.values()]


def load_clips(folder: Path, name: str | None = None, task: Task | None = None) -> ClipSet:
    """Read ``folder/clips.csv`` and check the names in it; the media are checked by `check_media`.

    The columns are ``clip_id``, those of the task (by default ``audio,image``) and ``label``; further ones are
    ignored. Paths are relative to the folder and stay inside it. A sound may be any file with one in it, also a video;
    an image any image, or a video, whose middle frame is taken.

    Raises
    ------
    A2IBenchError
        If the manifest is missing, lacks a column, is empty, or has a duplicate or unsafe id or path.

    """
    task = task or get_task(DEFAULT)
    columns = ("clip_id", *task.columns, "label")
    manifest = folder / "clips.csv"
    if not manifest.is_file():
        raise A2IBenchError(
            f"There is no {manifest}: a data folder needs a clips.csv with the columns {','.join(columns)}."
        )
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            # Strict: else a quote that is never closed swallows all rows after it without a word.
            reader = csv.DictReader(file, strict=True)
            header = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = header
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise A2IBenchError(f"{manifest} can't be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise A2IBenchError(f"{manifest} is not a CSV file in UTF-8 ({error}); save it as one.") from None
    missing = [column for column in columns if column not in header]
    if missing and len(header) == 1 and header[0].count(";") >= len(columns) - 1:
        raise A2IBenchError(f"{manifest} has semicolons between its columns; save it with commas.")
    if missing:
        raise A2IBenchError(
            f"{manifest} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"found: {', '.join(header) or 'nothing'}."
        )
    twice = [column for column in columns if header.count(column) > 1]
    if twice:
        raise A2IBenchError(f"{manifest} has the column {twice[0]} twice; leave one out.")
    if not rows:
        raise A2IBenchError(f"{manifest} has no rows; add one per clip.")
    seen: dict[str, int] = {}
    clips = []
    for line, row in rows:
        clip = _clip(folder, row, task, f"{manifest}, line {line}")
        first = seen.setdefault(clip.clip_id.lower(), line)
        if first != line:
            raise A2IBenchError(
                f"{manifest}, line {line}: the clip id {clip.clip_id!r} stands in line {first} already "
                "(case does not count); give each clip an id of its own."
            )
        clips.append(clip)
    return ClipSet(clips, name or folder.resolve().name)


def _clip(folder: Path, row: dict[str, Any], task: Task, where: str) -> Clip:
    # DictReader puts fields too many under None, and None into fields too few.
    if None in row or None in row.values():
        raise A2IBenchError(
            f"{where}: the row has {'more' if None in row else 'fewer'} fields than the header; put quotes "
            'round a field that holds a comma, as "dog barking, howling".'
        )
    values = {column: row[column].strip() for column in ("clip_id", *task.columns, "label")}
    if not _SAFE_ID.fullmatch(values["clip_id"]):
        raise A2IBenchError(
            f"{where}: the clip id {values['clip_id']!r} is not safe as a file name; use letters, digits, "
            "'_', '-' and '.', at most 128, and no '.' in front."
        )
    if not values["label"]:
        raise A2IBenchError(f"{where}: the label is empty; name the event that is heard.")
    if not values["label"].isprintable():
        raise A2IBenchError(
            f"{where}: the label {values['label'][:60]!r} holds a line break or another character that "
            "can't be printed; is a quote left open?"
        )
    found: dict[str, Path | str] = {}
    for column, medium in task.columns.items():
        if medium == "text":
            found[column] = _checked_text(values[column], column, where)
            continue
        path = PurePosixPath(values[column])
        outside = path.is_absolute() or ".." in path.parts or PureWindowsPath(path).drive
        if not values[column] or outside or "\\" in values[column]:
            raise A2IBenchError(
                f"{where}: the {column} path {values[column]!r} is empty or leaves the folder; "
                "give a path relative to clips.csv."
            )
        found[column] = folder / path
    return Clip(values["clip_id"], values["label"], found)


def _checked_text(text: str, column: str, where: str) -> str:
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        what = "is empty" if not text else "is too long" if len(text) > LONGEST_TEXT else "can't be printed"
        raise A2IBenchError(
            f"{where}: the {column} {text[:60]!r} {what}; give 1 to {LONGEST_TEXT} printable characters."
        )
    return text


def check_media(clip: Clip, task: Task | None = None) -> None:
    """Read a clip's files, so that bad input is refused before any work starts."""
    for column, medium in (task or get_task(DEFAULT)).columns.items():
        if medium == "audio":
            read_audio(clip.file(column), 16_000)
        elif medium == "image":
            read_image(clip.file(column))


# -------------------------------------------------------------------------------------------------- reading


def read_audio(path: Path, rate: int) -> NDArray[np.float32]:
    """Read a sound: mixed down to mono, resampled (soxr, high quality): float32 ``[samples]``.

    Raises
    ------
    A2IBenchError
        If the file is missing, empty, truncated, no audio, too short or too long, silent, or has samples not
        finite.

    """
    _check_file(path, "audio")
    samples, found = _decode_video_audio(path) if path.suffix.lower() in VIDEO else _decode_audio(path)
    if not np.isfinite(samples).all():
        raise A2IBenchError(f"The audio file {path} has samples that are not numbers (NaN or infinite).")
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    if len(mono) < SHORTEST_SECONDS * found:
        raise A2IBenchError(
            f"The audio file {path} lasts {len(mono) / found:.3f} s; at least {SHORTEST_SECONDS} s are needed."
        )
    _check_length(path, len(mono), found)
    if np.abs(mono).max() < SILENCE:
        raise A2IBenchError(f"The audio file {path} is silent (mixed to mono); take the clip out or give its sound.")
    if found == rate:
        return mono
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(mono, found, rate, quality="HQ")
    return resampled


def _decode_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    import soundfile

    _check_whole(path)
    try:
        with soundfile.SoundFile(path) as file:
            blocks: list[NDArray[np.float32]] = []
            read = 0
            # In blocks: a header may claim any length, and reading all at once makes room for what it claims.
            while len(block := file.read(1 << 18, dtype="float32", always_2d=True)):
                blocks.append(block)
                read += len(block)
                _check_length(path, read, file.samplerate)
            if read < file.frames and (file.format != "MP3" or _has_frame_count(path)):
                raise A2IBenchError(
                    f"The audio file {path} is truncated: {read} of {file.frames} samples could be read; make it again."
                )
            samples = np.concatenate(blocks) if blocks else np.empty((0, file.channels), np.float32)
            return samples, file.samplerate
    except (
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # libsndfile's own, and soundfile's for headerless files
        raise A2IBenchError(
            f"{path} can't be read as audio ({getattr(error, 'error_string', error)}); "
            "give it as WAV, FLAC, OGG or MP3."
        ) from None


def _check_whole(path: Path) -> None:
    """Refuse a WAV or Ogg file that is cut off: libsndfile reads what is left of it without a word."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        whole = True
        if head[:4] == b"RIFF":
            place = 12
            while len(chunk := file.read(8)) == 8:
                length = int.from_bytes(chunk[4:], "little")
                place += 8 + length + length % 2
                if chunk[:4] == b"data":
                    # Programs that write to a pipe can't know the length, and put the largest number there.
                    whole = place - length % 2 <= size or length >= 0x7FFF_F000
                    break
                file.seek(place)
        elif head[:4] == b"OggS":
            longest_page = 27 + 255 + 255 * 255
            file.seek(max(0, size - longest_page))
            tail = file.read()
            page = tail[tail.rfind(b"OggS\0") :]
            table = page[27 : 27 + page[26]] if len(page) > 26 else b""
            whole = len(page) > 26 and len(page) >= 27 + page[26] + sum(table)
    if not whole:
        raise A2IBenchError(f"The audio file {path} is truncated: its end is missing; make it again.")


def _has_frame_count(path: Path) -> bool:
    """Whether an MP3 file says how long it is; else its length is an estimate, and often too large."""
    with path.open("rb") as file:
        head = file.read(10)
        # The tag in front may hold a whole cover picture; four bytes of seven bits give its size.
        tag = sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(head[6:10])) + 10
        file.seek(tag if head[:3] == b"ID3" else 0)
        frame = file.read(256)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def _check_length(path: Path, samples: int, rate: int) -> None:
    if samples > LONGEST_SECONDS * rate:
        raise A2IBenchError(f"The audio file {path} lasts more than {LONGEST_SECONDS} s; cut the clip out of it.")


def _decode_video_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise A2IBenchError(f"The video {path} has no sound; give the audio as a file of its own.")
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp", rate=stream.rate)
            blocks: list[NDArray[np.float32]] = []
            read = 0
            for frame in container.decode(stream):
                for out in resampler.resample(frame):
                    blocks.append(out.to_ndarray())
                    read += out.samples
                _check_length(path, read, stream.rate)
            if not blocks:
                raise A2IBenchError(f"The video {path} has a sound track without samples.")
            return np.concatenate(blocks, axis=1).T, int(stream.rate)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise A2IBenchError(
            f"The sound of {path} can't be read ({getattr(error, 'strerror', None) or error}); make it again."
        ) from None


def read_image(path: Path) -> Image.Image:
    """Read an image as RGB: upright by its EXIF tag, transparency over white, 16 bits scaled to 8.

    Raises
    ------
    A2IBenchError
        If the file is missing, empty, broken, no image, or larger than 64 megapixels.

    """
    _check_file(path, "image")
    if path.suffix.lower() in VIDEO:
        return _middle_frame(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise A2IBenchError(
                    f"The image {path} has {width} x {height} pixels; at most {MOST_PIXELS // 10**6} million "
                    "are read: make it smaller."
                )
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise A2IBenchError(f"{path} is not an image in a format that Pillow reads; save it as PNG.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise A2IBenchError(f"The image {path} is too large to be read safely: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise A2IBenchError(f"The image {path} is broken: {error}; make it again.") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; ValueError for modes that have no colour, and pixels that are not finite."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float64)
        if not np.isfinite(grey).all():
            raise ValueError("it has pixels that are not numbers (NaN or infinite)")
        # Sixteen bits say what white is. The wider modes don't: take the nearest usual scale that holds all.
        scales = {"I": (255.0, 65535.0), "F": (1.0, 255.0, 65535.0)}.get(image.mode, (65535.0,))
        white = next((scale for scale in scales if grey.max(initial=0.0) <= scale), 65535.0)
        return Image.fromarray(np.round(grey.clip(0, white) / white * 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _middle_frame(path: Path) -> Image.Image:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise A2IBenchError(f"{path} has no picture; give the image as a file of its own.")
            frames = sum(1 for _ in container.decode(video=0))
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index == frames // 2:
                    image: Image.Image = frame.to_image()
                    return image.convert("RGB")
    except (av.FFmpegError, OSError) as error:
        raise A2IBenchError(
            f"The picture of {path} can't be read ({error.strerror or error}); make it again."
        ) from None
    raise A2IBenchError(f"The video {path} has no frame; give the image as a file of its own.")


def _check_file(path: Path, what: str) -> None:
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:  # a name too long, a folder that one may not enter
        raise A2IBenchError(f"The {what} file {path} can't be read: {error.strerror}.") from None
    if size is None:
        raise A2IBenchError(f"The {what} file {path} does not exist; mend its path in clips.csv.")
    if size == 0:
        raise A2IBenchError(f"The {what} file {path} is empty; make it again.")
