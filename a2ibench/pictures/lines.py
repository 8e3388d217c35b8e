"""The picture of scores in buckets: a line for each method, with intervals."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import floor, isnan, log10
from pathlib import Path

from PIL import Image, ImageDraw

from a2ibench.media.image import save_image
from a2ibench.metrics import metrics
from a2ibench.pictures.buckets import FEW, NAMED, Line, Plot
from a2ibench.pictures.sheets import FAINT, GREY, INK, MARGIN, PAPER, fit, font

_WIDTH, _HEIGHT = 1600, 900
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 1200, 190, 740
_NAMES = 1250
_FINE = 3  # lines are drawn so many times as large, then made smaller: smooth
_STEP = 34  # between two names
# Told apart by the colour-blind, and each with a mark of its own.
_COLOURS = (
    (28, 92, 160), (204, 92, 20), (0, 128, 104), (158, 42, 112),
    (120, 116, 20), (84, 160, 214), (122, 62, 34), (70, 70, 80),
)  # fmt: skip

Point = tuple[float, float]


def line_picture(plot: Plot, subtitle: str = "") -> Image.Image:
    """Draw a plot.

    Parameters
    ----------
    plot
        What to draw.
    subtitle
        Of which suite and clips it is.

    Returns
    -------
    RGB, 1600 by 900: buckets from left to right with how many clips and kinds they have; a bucket of fewer than
    `FEW` clips is hollow.

    """
    names, (low, high, step) = plot.names, _scale(plot)
    room = (_RIGHT - _LEFT) / len(names)

    def at(place: int, value: float, shift: float = 0.0) -> Point:
        return _LEFT + (place + 0.5) * room + shift, _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)

    ticks = [low + index * step for index in range(round((high - low) / step) + 1)]
    canvas = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), PAPER)
    pen = ImageDraw.Draw(canvas)
    for tick in ticks:
        y = at(0, tick)[1]
        pen.line(_fine((_LEFT, y), (_RIGHT, y)), FAINT, 2 * _FINE)
    reach = min(16.0, 0.6 * room / len(plot.lines))
    for index, line in reversed(list(enumerate(plot.lines))):
        shift = (index - (len(plot.lines) - 1) / 2) * reach
        _draw(pen, line, _colour(index, line), index, partial(at, shift=shift))
    ends = _ends(plot, at)
    for index, y, height in ends:
        pen.line(_fine((_RIGHT + 8, y), (_NAMES - 26, height)), FAINT, 2 * _FINE)
        _mark(pen, (_NAMES - 12, height), index, _colour(index, plot.lines[index]), hollow=False)
    sheet = canvas.reduce(_FINE)
    draw = ImageDraw.Draw(sheet)
    _heading(draw, plot, subtitle)
    digits = max(0, -floor(log10(step)))
    for tick in ticks:
        draw.text((_LEFT - 16, at(0, tick)[1]), f"{tick:.{digits}f}", GREY, font(20), anchor="rm")
    _places(draw, plot, room)
    for index, _, height in ends:
        name, colour = plot.lines[index].name, _colour(index, plot.lines[index])
        draw.text((_NAMES + 8, height), fit(name, 22, _WIDTH - _NAMES - 24), colour, font(22), anchor="lm")
    return sheet


def write_plots(folder: Path, found: Sequence[Plot], told: str, *, replace: bool = False) -> None:
    """Draw plots into a folder, each as PNG named as its metric; `replace` deletes those of before that are no more."""
    for plot in found:
        save_image(folder / plot.file, line_picture(plot, told))
    if not replace:
        return
    kept = {plot.file for plot in found}
    for name in metrics():
        if NAMED.fullmatch(name) and f"{name}.png" not in kept:
            (folder / f"{name}.png").unlink(missing_ok=True)


def _scale(plot: Plot) -> tuple[float, float, float]:
    """The ends of the axis and the step of its ticks: 1, 2 or 5 times a power of ten."""
    every = [x for line in plot.lines for b in line.buckets for x in (b.value, *b.interval) if not isnan(x)]
    least, most = min(every), max(every)
    rough = max(most - least, abs(most) * 1e-3, 1e-6) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    low, high = floor(least / step) * step, -floor(-most / step) * step
    return low, high if high > low else low + step, step


def _colour(index: int, line: Line) -> tuple[int, int, int]:
    return GREY if line.held else _COLOURS[index % len(_COLOURS)]


def _fine(*points: Point) -> list[Point]:
    return [(x * _FINE, y * _FINE) for x, y in points]


def _draw(
    pen: ImageDraw.ImageDraw,
    line: Line,
    colour: tuple[int, int, int],
    index: int,
    at: Callable[[int, float], Point],
) -> None:
    """Draw one line: intervals, what joins the points, and the points, hollow where clips are few."""
    there = [(place, bucket) for place, bucket in enumerate(line.buckets) if not isnan(bucket.value)]
    pale = tuple(round(0.55 * part + 0.45 * paper) for part, paper in zip(colour, PAPER, strict=True))
    for place, bucket in there:
        if not isnan(bucket.interval[0]):
            (x, low), (_, high) = (at(place, end) for end in bucket.interval)
            pen.line(_fine((x, low), (x, high)), pale, 3 * _FINE)
            for y in (low, high):
                pen.line(_fine((x - 6, y), (x + 6, y)), pale, 2 * _FINE)
    points = [at(place, bucket.value) for place, bucket in there]
    for first, second in pairwise(points):
        if line.held:
            _dashes(pen, first, second, colour)
        else:
            pen.line(_fine(first, second), colour, 4 * _FINE)
    for point, (_, bucket) in zip(points, there, strict=True):
        _mark(pen, point, index, colour, hollow=bucket.n < FEW)


def _dashes(pen: ImageDraw.ImageDraw, first: Point, second: Point, colour: tuple[int, int, int]) -> None:
    long = ((second[0] - first[0]) ** 2 + (second[1] - first[1]) ** 2) ** 0.5
    count = max(1, round(long / 22))
    for index in range(count):
        ends = [
            (first[0] + (second[0] - first[0]) * t, first[1] + (second[1] - first[1]) * t)
            for t in (index / count, (index + 0.55) / count)
        ]
        pen.line(_fine(*ends), colour, 3 * _FINE)


def _mark(pen: ImageDraw.ImageDraw, point: Point, index: int, colour: tuple[int, int, int], *, hollow: bool) -> None:
    """Draw a circle, a square, a triangle or a diamond."""
    x, y, r = point[0], point[1], 9.0
    shapes: tuple[Sequence[Point], ...] = (
        (),
        ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)),
        ((x, y - 1.25 * r), (x + 1.15 * r, y + r), (x - 1.15 * r, y + r)),
        ((x, y - 1.35 * r), (x + 1.35 * r, y), (x, y + 1.35 * r), (x - 1.35 * r, y)),
    )
    fill = PAPER if hollow else colour
    corners = shapes[index % len(shapes)]
    if not corners:
        pen.ellipse(_fine((x - r, y - r), (x + r, y + r)), fill, colour, 3 * _FINE)
    else:
        pen.polygon(_fine(*corners), fill, colour, 3 * _FINE)


def _heading(draw: ImageDraw.ImageDraw, plot: Plot, subtitle: str) -> None:
    room = _WIDTH - 2 * MARGIN
    draw.text((MARGIN, 40), fit(plot.title, 38, room), INK, font(38), anchor="lt")
    better = f"{'higher' if plot.higher_is_better else 'lower'} is better"
    few = any(0 < bucket.n < FEW for line in plot.lines for bucket in line.buckets)
    told = [subtitle, better, "95 % intervals over clips", *([f"hollow: fewer than {FEW} clips"] if few else [])]
    if plot.left_out:
        told.append(f"{plot.left_out} more not shown")
    draw.text((MARGIN, 94), fit(" · ".join(each for each in told if each), 20, room), GREY, font(20), anchor="lt")
    unit = f"{plot.base} ({plot.unit})" if plot.unit else plot.base
    # The font has no such sign.
    draw.text((_LEFT - 16, _TOP - 34), unit.replace("×", " x "), INK, font(22), anchor="ls")


def _places(draw: ImageDraw.ImageDraw, plot: Plot, room: float) -> None:
    """Write below the axis what each bucket is, and how many clips and kinds it has."""
    for place, name in enumerate(plot.names):
        x = _LEFT + (place + 0.5) * room
        draw.text((x, _BOTTOM + 22), fit(name, 24, room - 8), INK, font(24), anchor="mt")
        clips, _, few = plot.clips(place).partition(": ")
        for row, text in enumerate([*clips.split(", "), few]):
            draw.text((x, _BOTTOM + 56 + 24 * row), fit(text, 18, room - 8), GREY, font(18), anchor="mt")
    draw.text(((_LEFT + _RIGHT) / 2, _BOTTOM + 134), plot.axis, INK, font(22), anchor="mt")


def _ends(plot: Plot, at: Callable[[int, float], Point]) -> list[tuple[int, float, float]]:
    """Find for each line at which height it ends, and at which its name stands, so that no two touch."""
    ends = []
    for index, line in enumerate(plot.lines):
        place = max(place for place, bucket in enumerate(line.buckets) if not isnan(bucket.value))
        ends.append((at(place, line.buckets[place].value)[1], index))
    ends.sort()
    heights = _apart([y for y, _ in ends])
    return [(index, y, height) for (y, index), height in zip(ends, heights, strict=True)]


def _apart(wanted: Sequence[float]) -> list[float]:
    """Move heights, which rise, apart by `_STEP` at least, as little as that allows, and within the picture."""
    found: list[float] = []
    for y in wanted:
        found.append(max(y, found[-1] + _STEP) if found else y)
    found[-1] = min(found[-1], _BOTTOM + 10.0)
    for index in range(len(found) - 2, -1, -1):
        found[index] = min(found[index], found[index + 1] - _STEP)
    return found
