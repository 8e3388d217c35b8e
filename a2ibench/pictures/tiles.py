"""Small pictures of values of any medium: an image or a frame as a square, a sound or a text as a wide tile."""

from pathlib import Path

from PIL import Image, ImageOps

from a2ibench.media.audio import spectrogram
from a2ibench.media.image import read_image
from a2ibench.media.moving import middle_frame
from a2ibench.media.text import text_card
from a2ibench.tasks.base import MediumName

SIDE = 144
WIDE = 208  # the width of a spectrogram, or of a text


def is_wide(medium: MediumName) -> bool:
    """Whether a medium's pictures are wide: spectrograms and texts."""
    return medium in ("audio", "text")


def width_of(medium: MediumName) -> int:
    """Give the width of a medium's tile."""
    return WIDE if is_wide(medium) else SIDE


def picture(value: Path | str, medium: MediumName) -> Image.Image:
    """Draw a value as large as it comes: an image, a spectrogram, the middle frame, a text on a card."""
    if medium == "text":
        return text_card(str(value))
    path = Path(value)
    if medium == "audio":
        return spectrogram(path)
    return read_image(path) if medium == "image" else middle_frame(path)


def tile(value: Path | str, medium: MediumName) -> Image.Image:
    """Draw a value as a tile of a sheet, `SIDE` high and as wide as its medium's tiles are."""
    return ImageOps.fit(picture(value, medium), (width_of(medium), SIDE), Image.Resampling.LANCZOS)
