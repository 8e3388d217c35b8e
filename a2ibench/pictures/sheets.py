"""Pictures of runs: the contact sheet of one method, and methods side by side as in the paper's Figure 3."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from a2ibench.clips import Clip, ClipSet
from a2ibench.errors import A2IBenchError
from a2ibench.pictures.tiles import SIDE, tile, width_of
from a2ibench.tasks import DEFAULT, Task
from a2ibench.tasks import get as get_task
from a2ibench.tasks.base import MediumName

_GAP = 6  # between the tiles of a clip
_GUTTER = 36  # between clips
MARGIN = 56
PAPER, INK, GREY, FAINT = (252, 251, 248), (32, 30, 38), (124, 120, 130), (232, 229, 224)


def contact_sheet(
    clips: Sequence[Clip],
    images: Mapping[str, Path],
    *,
    title: str,
    subtitle: str,
    method: str = "generated",
    per_class: int | None = None,
    task: Task | None = None,
) -> Image.Image:
    """Lay out some clips of every class: what was given, the real output and the generated one, each as a picture.

    Parameters
    ----------
    clips
        The clips; only some are shown.
    images
        The generated image of each clip, by clip id; a clip without one gets an empty tile.
    title, subtitle
        Above the sheet.
    method
        What the column of generated images is called.
    per_class
        How many clips of each class; by default 2 up to 16 classes, else 1. At most 24 classes are shown
        where there are more than 16.

    Returns
    -------
    RGB, about 2200 pixels wide where there are many classes.

    Raises
    ------
    A2IBenchError
        If there is no clip, or a file can't be read.

    """
    shown = _chosen(clips, per_class)
    if not shown:
        raise A2IBenchError("There is no clip to show on a contact sheet.")
    task = task or _task_of(clips)
    media = (task.columns[task.condition], task.columns[task.reference], task.output)
    widths = [width_of(medium) for medium in media]
    across = 4 if len(shown) > 6 else 3 if len(shown) > 4 else min(2, len(shown))
    cell, row, top = sum(widths) + 2 * _GAP, SIDE + 64, 176
    width = across * (cell + _GUTTER) - _GUTTER
    height = top + -(-len(shown) // across) * row
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + MARGIN - 30), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 44), fit(title, 38, width), INK, font(38), anchor="lt")
    draw.text((MARGIN, 96), fit(subtitle, 19, width), GREY, font(19), anchor="lt")
    offsets = (0, widths[0] + _GAP, widths[0] + widths[1] + 2 * _GAP)
    places = tuple(zip(offsets, (task.given, "real", method), strict=True))
    for index, clip in enumerate(shown):
        place = index % across
        x, y = MARGIN + place * (cell + _GUTTER), top + index // across * row
        if index < across:
            for offset, name in places:
                draw.text((x + offset, 152), fit(name, 15, SIDE), GREY, font(15), anchor="ls")
        if place == 0 or shown[index - 1].label != clip.label:
            # One heading over all clips of a class that stand side by side.
            beside = sum(other.label == clip.label for other in shown[index : index + across - place])
            span = beside * (cell + _GUTTER) - _GUTTER
            draw.line((x, y - 10, x + span, y - 10), FAINT, 1)
            draw.text((x, y + 14), fit(clip.label, 19, span), INK, font(19), anchor="ls")
        made = images.get(clip.clip_id)
        values = (clip[task.condition], clip[task.reference], made)
        for offset, medium, value in zip(offsets, media, values, strict=True):
            drawn = _empty(medium, task.noun) if value is None else tile(value, medium)
            sheet.paste(drawn, (x + offset, y + 26), _corners(*drawn.size))
    return sheet


def comparison_sheet(
    clips: Sequence[Clip],
    rows: Sequence[tuple[str, Mapping[str, Path]]],
    *,
    title: str,
    subtitle: str,
    most: int = 12,
) -> Image.Image:
    """Lay out methods side by side, as the paper's Figure 3: a column per clip, its sound on top, a row per method.

    Parameters
    ----------
    clips
        Of these one per label is shown, the first by id: nothing is picked by hand.
    rows
        The name of each row, with its images by clip id; a clip without one gets an empty tile.
    title, subtitle
        Above the sheet.
    most
        The most columns; further labels are left out.

    Returns
    -------
    RGB, about 2100 pixels wide for twelve columns.

    """
    shown = _chosen(clips, 1)[:most]
    if not shown:
        raise A2IBenchError("There is no clip to show.")
    task = _task_of(clips)
    names, step, top = 230, SIDE + _GAP, 150
    left = MARGIN + names
    size = (left + len(shown) * step - _GAP + MARGIN, top + 40 + (1 + len(rows)) * step + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 44), fit(title, 38, size[0] - 2 * MARGIN), INK, font(38), anchor="lt")
    draw.text((MARGIN, 96), fit(subtitle, 19, size[0] - 2 * MARGIN), GREY, font(19), anchor="lt")
    for column, clip in enumerate(shown):
        x = left + column * step
        draw.text((x + SIDE / 2, top + 26), fit(clip.label, 15, SIDE), INK, font(15), anchor="ms")
        given = _squeezed(tile(clip[task.condition], task.columns[task.condition]))
        sheet.paste(given, (x, top + 40), _corners(SIDE, SIDE))
        for row, (_, images) in enumerate(rows, 1):
            made = images.get(clip.clip_id)
            drawn = _squeezed(tile(made, task.output) if made else _empty(task.output, task.noun))
            sheet.paste(drawn, (x, top + 40 + row * step), _corners(SIDE, SIDE))
    for row, name in enumerate([task.given, *(name for name, _ in rows)]):
        y = top + 40 + row * step + SIDE / 2
        draw.text((MARGIN, y), fit(name, 19, names - 12), INK if row else GREY, font(19), anchor="lm")
    return sheet


def _chosen(clips: Sequence[Clip], per_class: int | None) -> list[Clip]:
    ordered = ClipSet(clips, "")
    labels = sorted(set(ordered.labels))
    few = len(labels) <= 16
    count = per_class or (2 if few else 1)
    return [
        clip
        for label in (labels if few else labels[:24])
        for clip in [clip for clip in ordered if clip.label == label][:count]
    ]


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Give the one font of all pictures."""
    return ImageFont.load_default(size)


def fit(text: str, size: int, room: float) -> str:
    """Shorten a text to its room."""
    drawn = font(size)
    if drawn.getlength(text) <= room:
        return text
    while text and drawn.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


@cache
def _corners(width: int, height: int) -> Image.Image:
    """A mask with rounded corners, smoothed by drawing it four times as large."""
    large = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), 4 * 7, fill=255)
    return large.reduce(4)


def _task_of(clips: Sequence[Clip]) -> Task:
    return clips.task if isinstance(clips, ClipSet) else get_task(DEFAULT)


def _squeezed(image: Image.Image) -> Image.Image:
    """Make a wide tile square, its whole width kept."""
    return image if image.width == SIDE else image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _empty(medium: MediumName, noun: str) -> Image.Image:
    card = Image.new("RGB", (width_of(medium), SIDE), FAINT)
    ImageDraw.Draw(card).text((card.width / 2, SIDE / 2), f"no {noun}", GREY, font(15), anchor="mm")
    return card
