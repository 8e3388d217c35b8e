"""Small pictures of a fixed sample of clips, packed into one sheet: what the pages show in their galleries."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Self

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2ibench.clips import ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.files import read_limited, write_bytes, write_text
from a2ibench.media.audio import TILE_SIZE, as_mp3
from a2ibench.media.image import TILE, square
from a2ibench.pictures.tiles import is_wide, picture
from a2ibench.tasks.base import MediumName

MOST_CLIPS = 240
PLAYED = ("audio", "video")
"""The media that a page plays."""
MOST_PLAYED = 48
"""Of outputs that one hears or watches: a row's previews then take about a megabyte, and a page holds several rows."""
COLUMNS = 16
CLIP_SHEETS = ("reference", "condition")
MOST_BYTES = 4_000_000  # 240 photographs of 96 pixels need under one
MOST_PREVIEWS = 64 * 2**20
_BASE64 = re.compile("[A-Za-z0-9+/]+={0,2}")


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
    return clips.spread(MOST_PLAYED if clips.task.output in PLAYED else MOST_CLIPS)


def write_gallery(folder: Path, clips: ClipSet, images: Mapping[str, Sequence[Path]]) -> None:
    """Write ``gallery.webp`` and ``gallery.json``: the first output of each clip of the sample, as small tiles.

    Outputs that one hears or watches are in ``previews.json`` too, as the page plays them.

    Parameters
    ----------
    folder
        The entry's folder.
    clips
        All clips of the board.
    images
        The outputs of each clip, by clip id; a clip without one has no tile.

    """
    shown = {clip_id: images[clip_id][0] for clip_id in sample(clips).ids if images.get(clip_id)}
    sprite = sprite_of(shown, clips.task.output)
    if sprite is None:
        for suffix in ("webp", "json"):
            (folder / f"gallery.{suffix}").unlink(missing_ok=True)
    else:
        sprite.save(folder)
    if clips.task.output == "audio" and shown:
        write_text(
            folder / "previews.json",
            json.dumps(
                {c: base64.b64encode(as_mp3(path, seconds=10, squeeze=0.9)).decode() for c, path in shown.items()}
            )
            + "\n",
        )


def load_previews(folder: Path) -> dict[str, str]:
    """Read ``previews.json``; nothing where it is absent or broken, since it may be a stranger's."""
    try:
        found = json.loads(read_limited(folder / "previews.json", MOST_PREVIEWS))
    except (A2IBenchError, OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {c: text for c, text in found.items() if isinstance(text, str) and _BASE64.fullmatch(text)}


def webp(image: Image.Image) -> bytes:
    """Write an image as WebP: a third of the bytes of a PNG."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=85, method=4)
    return buffer.getvalue()


def sprite_of(values: Mapping[str, Path | str], medium: MediumName) -> Sprite | None:
    """Pack values of a medium as small tiles: squares of 96 pixels at most, no larger than they are; None of none."""
    if not values:
        return None
    found = {clip_id: picture(value, medium) for clip_id, value in values.items()}
    if is_wide(medium):
        return Sprite.pack({c: image.resize(TILE_SIZE, Image.Resampling.LANCZOS) for c, image in found.items()})
    side = min(TILE, max(min(image.size) for image in found.values()))
    return Sprite.pack({clip_id: square(image, side) for clip_id, image in found.items()})


def clip_sprites(clips: ClipSet) -> tuple[Sprite, Sprite]:
    """Pack the references and the conditions of the sample's clips."""
    chosen, task = sample(clips), clips.task
    found = [
        sprite_of({clip.clip_id: clip[column] for clip in chosen}, task.columns[column])
        for column in (task.reference, task.condition)
    ]
    assert found[0] is not None  # noqa: S101  a ClipSet that was loaded is never empty
    assert found[1] is not None  # noqa: S101
    return found[0], found[1]


def write_clips(folder: Path, clips: ClipSet) -> None:
    """Write what a page of linked media needs beside the entries: ``reference`` and ``condition``, as sheets.

    What stands there for the same clips is left as it is: reading and drawing them all takes seconds.
    """
    there = [Sprite.load(folder, name) for name in CLIP_SHEETS]
    if all(sprite and sprite.sheet.clips == list(sample(clips).ids) for sprite in there):
        return
    for name, sprite in zip(CLIP_SHEETS, clip_sprites(clips), strict=True):
        sprite.save(folder, name)
