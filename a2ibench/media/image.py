"""Images: read as RGB, checked, written as PNG, drawn small."""

import warnings
from hashlib import sha256
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from a2ibench.errors import A2IBenchError
from a2ibench.files import write_bytes
from a2ibench.media.base import MOST_PIXELS, Medium, Uniform, check_file, refusal, said
from a2ibench.media.containers import is_moving
from a2ibench.media.moving import middle_frame

FORMATS = ("PNG", "JPEG", "WEBP")
"""What an output may be: no reader but these three is ever tried, whatever the file is called."""
SMALLEST_SIDE, LARGEST_SIDE = 16, 8192  # pixels of an output
TILE = 96
UNIFORM_SIDE = 512
"""The side of what raters see, in pixels."""
_RUN_PROGRAMS = frozenset({"EPS", "WMF"})  # Pillow has them drawn by Ghostscript or by Windows
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


def read_image(path: Path) -> Image.Image:
    """Read an image as RGB: upright by its EXIF tag, transparency over white, 16 bits scaled to 8.

    Of a video, known by its content, it is the middle frame.

    Raises
    ------
    A2IBenchError
        If the file is missing, empty, broken, no image, or larger than 64 megapixels.

    """
    check_file(path, "image")
    try:
        if is_moving(path):
            return middle_frame(path)
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise refusal(
                    f"The image {path} has {width} x {height} pixels; at most {MOST_PIXELS // 10**6} million "
                    "are read: make it smaller."
                )
            if image.format in _RUN_PROGRAMS:
                raise refusal(f"The image {path} is a program ({image.format}), not pixels; save it as PNG.")
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except A2IBenchError:
        raise
    except UnidentifiedImageError:
        raise refusal(f"{path} is not an image in a format that Pillow reads; save it as PNG.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise refusal(f"The image {path} is too large to be read safely: {said(error)}") from None
    except Exception as error:  # each of Pillow's forty readers has its own way to fail on damaged files
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> A2IBenchError:
    if isinstance(error, OSError) and error.errno:  # the disk's, not Pillow's
        return refusal(f"{path} can't be read: {said(error)}.")
    return refusal(f"The image {path} is broken: {said(error)}; make it again.")


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


def inspect_image(path: Path) -> str:
    """Check an output by its contents; give the sha256 of its pixels.

    Raises
    ------
    A2IBenchError
        If it is not a PNG, JPEG or WebP, animated, too small or large, broken, or blank.

    """
    check_file(path, "image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                frames = getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        raise refusal(f"{path} is not an image in PNG, JPEG or WebP, whatever its name; make it one.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise refusal(f"The image {path} is too large to be read safely: {said(error)}") from None
    except Exception as error:  # as above
        raise _broken(path, error) from None
    if frames > 1:
        raise refusal(f"The image {path} is animated ({frames} frames); save one of them.")
    if not (min(width, height) >= SMALLEST_SIDE and max(width, height) <= LARGEST_SIDE):
        raise refusal(
            f"The image {path} has {width} x {height} pixels; its sides must have {SMALLEST_SIDE} to {LARGEST_SIDE}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which nobody uses
        rgb = read_image(path)
    if rgb.getcolors(1):  # None where there are more
        raise refusal(f"The image {path} is blank: every pixel has the same colour; make it again.")
    return sha256(f"{rgb.size}".encode() + rgb.tobytes()).hexdigest()


def save_image(path: Path, image: Image.Image) -> None:
    """Save an image as PNG, whole or not at all; see `write_bytes`.

    Metadata (EXIF, colour profile, texts) stay out, so that equal pixels make equal files and no prompt,
    place or name travels along.
    """
    plain = image.copy() if image.mode in _PNG_MODES else image.convert("RGB")
    plain.info = {key: value for key, value in image.info.items() if key == "transparency"}
    buffer = BytesIO()
    plain.save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def thumbnail(image: Image.Image, side: int = 8) -> NDArray[np.uint8]:
    """Shrink an RGB image to a few levels by which pictures are known again, ``[side * side * 3]``."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.uint8).reshape(-1)


def square(image: Image.Image, side: int) -> Image.Image:
    """Cut an image to a square, from its middle."""
    return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)


def square_tile(path: Path, side: int = TILE) -> Image.Image:
    """Read an image and cut it to a square, from its middle."""
    return square(read_image(path), side)


def as_webp(path: Path, whole: bool = False) -> bytes:
    """Encode an image as WebP without metadata: 512 x 512 pixels from its middle, or the whole of it in that size."""
    size = (UNIFORM_SIDE, UNIFORM_SIDE)
    scale = ImageOps.contain if whole else ImageOps.fit
    image = scale(read_image(path), size, Image.Resampling.LANCZOS)
    image.info.clear()  # versions of Pillow differ in what they write of it
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=92, method=4)
    return buffer.getvalue()


def element(address: str, description: str) -> str:
    """Give the HTML that shows an image."""
    return f'<img src="{escape(address)}" alt="{escape(description)}">'


IMAGE = Medium(
    name="image",
    noun="an image",
    suffixes=(".png", ".jpg", ".jpeg", ".webp"),
    read=read_image,
    write=save_image,
    inspect=inspect_image,
    tile=square_tile,
    element=element,
    uniform=Uniform(".webp", "image/webp", as_webp),
)
