"""Texts: captions and labels as files of UTF-8."""

from hashlib import sha256
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from a2ibench.files import write_text
from a2ibench.media.base import Medium, Uniform, check_file, refusal
from a2ibench.text import plain

MOST_BYTES = 64 * 1024
TILE_SIZE = (144, 96)


def read_text(path: Path) -> str:
    """Read a text of at most 64 KiB, without its byte-order mark and the space around it.

    Raises
    ------
    A2IBenchError
        If the file is missing, empty, too large, not UTF-8, or holds characters that can't be printed.

    """
    check_file(path, "text")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise refusal(f"The text file {path} is not in UTF-8; save it as such.") from None
    except OSError as error:
        raise refusal(f"The text file {path} can't be read: {error.strerror or error}.") from None
    if len(data) > MOST_BYTES:
        raise refusal(f"The text file {path} is larger than {MOST_BYTES // 1024} KiB; a caption is a sentence.")
    if not text or not all(line.replace("\t", " ").isprintable() for line in text.splitlines()):
        raise refusal(f"The text file {path} holds no text, or characters that can't be printed; make it again.")
    return text


def inspect_text(path: Path) -> str:
    """Check a text; give the sha256 of its words, whatever stands between them."""
    return sha256(" ".join(read_text(path).split()).encode()).hexdigest()


def text_tile(path: Path) -> Image.Image:
    """Write the first words of a text small on white."""
    return text_card(read_text(path))


def text_card(text: str) -> Image.Image:
    """Write the first words of a text small on white."""
    tile = Image.new("RGB", TILE_SIZE, "white")
    font = ImageFont.load_default(12)
    lines = [""]
    for word in plain(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > TILE_SIZE[0] - 12:
            lines.append(word)
        else:
            lines[-1] = longer
    ImageDraw.Draw(tile).multiline_text((6, 5), "\n".join(lines[:6]), (32, 30, 38), font)
    return tile


def element(address: str, description: str) -> str:
    """Give the HTML that shows a text: the text itself, which is the description, linked to its file."""
    return f'<a href="{escape(address)}">{escape(description)}</a>'


TEXT = Medium(
    name="text",
    noun="a text",
    suffixes=(".txt",),
    read=read_text,
    write=write_text,
    inspect=inspect_text,
    tile=text_tile,
    element=element,
    uniform=Uniform(".txt", "text/plain", lambda path, whole=False: read_text(path).encode()),
)
