"""Detect what a file is by its first bytes, and whether it is complete; its name is not trusted."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from a2ibench.media.base import refusal

# Demuxers of FFmpeg by what a file begins with: (offset, bytes, name). No playlist is among them: none of these
# can name another file or address that would then be opened.
_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"mdat", "mov"), (4, b"wide", "mov"), (4, b"free", "mov"),
    (4, b"skip", "mov"), (0, b"\x1aE\xdf\xa3", "matroska"), (8, b"AVI ", "avi"), (0, b"OggS", "ogg"),
    (0, bytes.fromhex("3026b2758e66cf11"), "asf"), (0, b"FLV\x01", "flv"), (0, b"\0\0\x01\xba", "mpeg"),
    (0, b"#!AMR", "amr"), (0, b"wvpk", "wv"), (0, b"MAC ", "ape"), (0, b"TTA1", "tta"), (0, b"\x0bw", "ac3"),
    (8, b"WAVE", "wav"), (0, b"caff", "caf"), (0, b"FORM", "aiff"), (0, b"fLaC", "flac"), (0, b".snd", "au"),
    (0, b"riff", "w64"),
)  # fmt: skip
_MOVING = frozenset({"mov", "matroska", "avi", "ogg", "asf", "flv", "mpeg", "mpegts"})
_STILLS = (b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"hevc")
_PIPED = 0x7FFF_F000
"""From this size on a header says "unknown": programs that write to a pipe can't know it."""


def demuxer(path: Path) -> str | None:
    """Name FFmpeg's demuxer for a file by its content; None for what is no sound and no video."""
    with path.open("rb") as file:
        head = file.read(2 * 188 + 1)
        if head[:3] == b"ID3" and len(head) > 10:
            # A tag in front; four bytes of seven bits give its size.
            file.seek(10 + sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(head[6:10])))
            head = file.read(16)
    if head[4:8] == b"ftyp" and head[8:12] in _STILLS:
        return None
    for offset, begins, name in _BEGINNINGS:
        if head[offset : offset + len(begins)] == begins:
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    return "mpegts" if head[:1] + head[188:189] + head[376:377] == b"GGG" else None


def is_moving(path: Path) -> bool:
    """Whether a file is a container that holds videos, by its content."""
    return demuxer(path) in _MOVING


def is_piped(path: Path) -> bool:
    """Whether a WAV, FLAC or AU file says that it holds nothing and holds something: it was written to a pipe."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(42)
        if head[:4] == b"fLaC" and head[4] & 127 == 0 and len(head) == 42:
            return not head[21] & 15 and not any(head[22:26]) and size > 42
        if head[:4] in (b".snd", b"dns."):
            start, length = _au_data(head)
            return length == 0 and start < size
        if head[8:12] != b"WAVE":
            return False
        for name, start, length in _chunks(file, 12, size, "little"):
            if name == b"data":
                # What follows an empty sound may be further chunks; only if it is none, it is the sound.
                return length == 0 and start < size and not _all_chunks(file, start, size)
    return False


def check_whole(path: Path, what: str) -> None:
    """Hold a file to the length that it states: most readers take what is left of a cut file without a word.

    Raises
    ------
    A2IBenchError
        If its end is missing.

    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        for begins, end in _ENDS:
            if head.startswith(begins):
                stated = end(file, head, size)
                if stated is not None and stated > size:
                    raise refusal(f"The {what} file {path} is truncated: its end is missing; make it again.")
                return
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") and (_boxes(file, size) or 0) > size:
            raise refusal(f"The {what} file {path} is truncated: its end is missing; make it again.")


# ------------------------------------------------------------------------- where each container says that it ends


def _chunks(file: BinaryIO, place: int, size: int, order: Literal["little", "big"]) -> list[tuple[bytes, int, int]]:
    """The chunks of a RIFF or IFF file: (name, start of the content, length)."""
    found: list[tuple[bytes, int, int]] = []
    while place + 8 <= size and len(found) < 10_000:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[4:], order)
        found.append((head[:4], place + 8, length))
        place += 8 + length + length % 2
    return found


def _all_chunks(file: BinaryIO, place: int, size: int) -> bool:
    chunks = _chunks(file, place, size, "little")
    _, start, length = chunks[-1] if chunks else (b"", 0, 0)
    named = all(name.isascii() and name.decode().isprintable() for name, _, _ in chunks)
    return bool(chunks) and named and start + length <= size <= start + length + 1


def _riff(file: BinaryIO, head: bytes, size: int) -> int | None:
    if head[8:12] == b"AVI ":
        return _avi(file, size)
    long = 0
    for name, start, length in _chunks(file, 12, size, "little"):
        if name == b"ds64":
            file.seek(start + 8)
            long = int.from_bytes(file.read(8), "little")
        if name == b"data":
            if length == 0xFFFF_FFFF and long:
                return start + long
            return start + length if length < _PIPED else None
    return None


def _avi(file: BinaryIO, size: int) -> int | None:
    """An AVI of more than one gigabyte is several RIFF after one another."""
    place = 0
    while place + 12 <= size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or not length or length >= _PIPED:
            return None
        place += 8 + length
    return place


def _aiff(file: BinaryIO, head: bytes, size: int) -> int | None:
    for name, start, length in _chunks(file, 12, size, "big"):
        if name == b"SSND":
            return start + length if length < _PIPED else None
    whole = int.from_bytes(head[4:8], "big")
    return 8 + whole if whole < _PIPED else None


def _au_data(head: bytes) -> tuple[int, int]:
    order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
    return int.from_bytes(head[4:8], order), int.from_bytes(head[8:12], order)


def _au(_: BinaryIO, head: bytes, size: int) -> int | None:
    start, length = _au_data(head)
    return start + length if length < _PIPED else None


def _nist(file: BinaryIO, head: bytes, size: int) -> int | None:
    """NIST's SPHERE, in lines of text: how many samples, channels, and bytes of each."""
    file.seek(0)
    lines = file.read(1 << 16).split(b"end_head")[0].split(b"\n")
    fields = {words[0]: words[2] for words in map(bytes.split, lines) if len(words) == 3}
    try:
        counts = [int(fields[name]) for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
        start = int(lines[1])
    except (KeyError, ValueError, IndexError):
        return None
    packed = fields.get(b"sample_coding", b"pcm") not in (b"pcm", b"ulaw", b"alaw")
    return None if packed else start + counts[0] * counts[1] * counts[2]


def _voc(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Creative's VOC: blocks of one byte of type and three of length; type 0 is the end."""
    file.seek(20)
    place = int.from_bytes(file.read(2), "little")
    for _ in range(1_000_000):
        if place + 4 > size:
            break
        file.seek(place)
        block = file.read(4)
        if not block[0]:
            return None
        place += 4 + int.from_bytes(block[1:], "little")
    return place


def _guids(file: BinaryIO, place: int, size: int, step: int) -> int | None:
    """Objects with 16 bytes of name and 8 of size, which counts these: Sony's W64 and Microsoft's ASF."""
    for _ in range(10_000):
        if place + 24 > size:
            break
        file.seek(place + 16)
        length = int.from_bytes(file.read(8), "little")
        if length < 24:
            return None  # not known when it was written
        if place + length > size:
            return place + length
        place += -(-length // step) * step
    return None


def _w64(file: BinaryIO, head: bytes, size: int) -> int | None:
    return _guids(file, 40, size, 8)


def _asf(file: BinaryIO, head: bytes, size: int) -> int | None:
    return _guids(file, 0, size, 1)


def _boxes(file: BinaryIO, size: int) -> int | None:
    """MP4 and its kin: boxes with their size in front; 1 stands for a longer number behind, 0 for the rest."""
    place = 0
    for _ in range(1_000_000):
        if place + 8 > size:
            break
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        if length < 8 or not head[4:8].isalnum():  # the rest of the file, or junk behind the last box
            return None
        place += length
    return place


def _number(file: BinaryIO, keep: bool) -> int | None:
    """EBML's number of one to eight bytes; None where its size is all ones (unknown) or the file ends."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    value = int.from_bytes((first if keep else bytes([first[0] ^ 1 << 7 - more])) + rest, "big")
    unknown = not keep and value == (1 << 7 * (more + 1)) - 1
    return None if unknown or len(rest) < more else value


def _matroska(file: BinaryIO, head: bytes, size: int) -> int | None:
    """The elements of an EBML file; into a segment (and cluster) of unknown length it looks for those with one."""
    place = 0
    for _ in range(1_000_000):
        if place >= size:
            break
        file.seek(place)
        name = _number(file, keep=True)
        length = _number(file, keep=False)
        if name is None:
            return None
        if length is None:
            if name not in (0x18538067, 0x1F43B675):
                return None
            place = file.tell()
        else:
            place = file.tell() + length
    return place


def _ogg(file: BinaryIO, head: bytes, size: int) -> int | None:
    longest_page = 27 + 255 + 255 * 255
    start = max(0, size - longest_page)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"OggS\0")
    page = tail[place:] if place >= 0 else b""
    if len(page) < 27 or not page[5] & 4:  # the last page says that it is
        return size + 1
    return start + place + 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) >= 27 + page[26] else size + 1


def _caf(file: BinaryIO, head: bytes, size: int) -> int | None:
    place = 8
    while place + 12 <= size:
        file.seek(place)
        chunk = file.read(12)
        length = int.from_bytes(chunk[4:], "big", signed=True)
        if length < 0:
            return None
        place += 12 + length
    return place


_ENDS: tuple[tuple[bytes, Callable[[BinaryIO, bytes, int], int | None]], ...] = (
    (b"RIFF", _riff),
    (b"RF64", _riff),
    (b"BW64", _riff),
    (b"FORM", _aiff),
    (b".snd", _au),
    (b"dns.", _au),
    (b"riff", _w64),
    (bytes.fromhex("3026b2758e66cf11"), _asf),
    (b"\x1aE\xdf\xa3", _matroska),
    (b"OggS", _ogg),
    (b"caff", _caf),
    (b"NIST_1A\n", _nist),
    (b"Creative Voice", _voc),
)
