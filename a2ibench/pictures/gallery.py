"""Small pictures of a fixed sample of clips, packed into one sheet: what the pages show in their galleries."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Self

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, write_bytes, write_text
from a2ibench.media.audio import sound_tile
from a2ibench.media.image import TILE, read_image, square

MOST_CLIPS = 240
COLUMNS = 16
CLIP_SHEETS = ("reference", "sound")
MOST_BYTES = 4_000_000  # 240 photographs of 96 pixels need under one


class Sheet(BaseModel):
    """What lies where on a sheet: tile i of the row-major grid shows the clip ``clips[i]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    tile: int = Field(ge=1, le=TILE)
    """The height of a tile in pixels. Its width is that of the sheet over `columns`."""
    columns: int = Field(ge=1, le=MOST_CLIPS)
    """How many tiles stand side by side."""
    clips: list[Annotated[str, Field(max_length=128)]] = Field(min_length=1, max_length=MOST_CLIPS)
    """The clip ids."""

    @property
    def rows(self) -> int:
        """How many rows of tiles there are."""
        return -(-len(self.clips) // self.columns)


class Sprite:
    """A sheet with its picture: WebP, in memory."""

    def __init__(self, sheet: Sheet, webp: bytes):
        self.sheet, self.webp = sheet, webp

    @classmethod
    def pack(cls, tiles: Mapping[str, Image.Image]) -> Self:
        """Pack tiles of one size, by clip id."""
        width, height = next(iter(tiles.values())).size
        sheet = Sheet(tile=height, columns=min(COLUMNS, len(tiles)), clips=list(tiles))
        picture = Image.new("RGB", (width * sheet.columns, height * sheet.rows))
        for index, tile in enumerate(tiles.values()):
            picture.paste(tile, (index % sheet.columns * width, index // sheet.columns * height))
        return cls(sheet, webp(picture))

    @classmethod
    def load(cls, folder: Path, name: str = "gallery") -> "Self | None":
        """Read ``name.webp`` and ``name.json``; None where they are absent, broken, or do not fit each other.

        A page does without a sheet rather than fail over it; and since the files may be a stranger's, only
        what can have come from `pack` is taken.
        """
        picture, listing = folder / f"{name}.webp", folder / f"{name}.json"
        try:
            sheet = Sheet.model_validate_json(read_limited(listing, MOST_BYTES))
            webp = read_limited(picture, MOST_BYTES)
            with Image.open(BytesIO(webp), formats=["WEBP"]) as image:
                width, height = image.size
        except (A2IBenchError, OSError, ValueError, ValidationError, Image.DecompressionBombError):
            return None
        fits = width % sheet.columns == 0 and width <= 2 * TILE * sheet.columns and height == sheet.tile * sheet.rows
        return cls(sheet, webp) if fits else None

    def save(self, folder: Path, name: str = "gallery") -> None:
        """Write ``name.webp`` and ``name.json``."""
        write_bytes(folder / f"{name}.webp", self.webp)
        write_text(folder / f"{name}.json", json.dumps(self.sheet.model_dump()) + "\n")


def sample(clips: ClipSet) -> ClipSet:
    """Choose the clips that a gallery shows: always the same ones of a set, spread over its labels."""
    return clips.spread(MOST_CLIPS)


def write_gallery(folder: Path, clips: ClipSet, images: Mapping[str, Sequence[Path]]) -> None:
    """Write ``gallery.webp`` and ``gallery.json``: the first image of each clip of the sample, as small tiles.

    Parameters
    ----------
    folder
        The entry's folder.
    clips
        All clips of the board.
    images
        The images of each clip, by clip id; a clip without one has no tile.

    """
    sprite = image_sprite({clip_id: images[clip_id][0] for clip_id in sample(clips).ids if images.get(clip_id)})
    if sprite is None:
        for suffix in ("webp", "json"):
            (folder / f"gallery.{suffix}").unlink(missing_ok=True)
    else:
        sprite.save(folder)


def webp(image: Image.Image) -> bytes:
    """Write an image as WebP: a third of the bytes of a PNG."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=85, method=4)
    return buffer.getvalue()


def image_sprite(files: Mapping[str, Path]) -> Sprite | None:
    """Pack images, cut to squares of at most 96 pixels: never larger than they are. None of none."""
    found = {clip_id: read_image(path) for clip_id, path in files.items()}
    if not found:
        return None
    side = min(TILE, max(min(image.size) for image in found.values()))
    return Sprite.pack({clip_id: square(image, side) for clip_id, image in found.items()})


def clip_sprites(clips: ClipSet) -> tuple[Sprite, Sprite]:
    """Pack the reference images and the spectrograms of the sample's clips."""
    chosen = sample(clips)
    references = image_sprite({clip.clip_id: clip.file("image") for clip in chosen})
    assert references is not None  # noqa: S101  a ClipSet that was loaded is never empty
    return references, Sprite.pack({clip.clip_id: sound_tile(clip.file("audio")) for clip in chosen})


def write_clips(folder: Path, clips: ClipSet) -> None:
    """Write what a page of linked media needs beside the entries: ``reference`` and ``sound``, as sheets.

    What stands there for the same clips is left as it is: reading and drawing them all takes seconds.
    """
    there = [Sprite.load(folder, name) for name in CLIP_SHEETS]
    if all(sprite and sprite.sheet.clips == list(sample(clips).ids) for sprite in there):
        return
    for name, sprite in zip(CLIP_SHEETS, clip_sprites(clips), strict=True):
        sprite.save(folder, name)
