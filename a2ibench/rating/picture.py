"""The picture of a study: for each method how its ratings are distributed, and its mean with the interval."""

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from a2ibench.pictures.sheets import FAINT, GREY, INK, MARGIN, PAPER, fit, font
from a2ibench.rating.findings import Human, MethodRating

_ROW = 96
_BAR = 48
_TOP = 244
_NAMES = (MARGIN, 360)
_BARS = (390, 1180)
_SCALE = (1260, 1680)
_NUMBERS = 1730
_WIDTH = 1980
# From red to blue over the paper's grey: told apart by the colour-blind, and in print by their lightness.
_RATINGS = ((158, 42, 72), (231, 150, 126), (226, 221, 211), (141, 178, 208), (38, 92, 148))
_OUTCOMES = (_RATINGS[1], _RATINGS[4])
_TIED = (_RATINGS[1], _RATINGS[2], _RATINGS[4])
_DARK = 140  # the grey below which letters on a colour are light


def human_picture(human: Human) -> Image.Image:
    """Draw the distributions and the means.

    Returns
    -------
    RGB, 1980 pixels wide: a row per method, the hidden control last and in grey.

    """
    likert = human.design == "likert"
    rows = human.kept.methods
    gap = 26 if any(row.control for row in rows) else 0
    sheet = Image.new("RGB", (_WIDTH, _TOP + len(rows) * _ROW + gap + 44), PAPER)
    draw = ImageDraw.Draw(sheet)
    room = _WIDTH - 2 * MARGIN
    draw.text((MARGIN, 44), fit(human.title, 38, room), INK, font(38), anchor="lt")
    draw.text((MARGIN, 96), fit(_subtitle(human), 22, room), GREY, font(22), anchor="lt")
    ends = [_top(row, likert) for row in rows]
    low, high = human.scale if likert else _range(ends)
    steps = human.steps if likert else ["lost", "tied", "won"] if len(rows[0].histogram) == 3 else ["lost", "won"]
    colours = _colours(len(steps)) if likert else _TIED if len(steps) == 3 else _OUTCOMES

    def across(value: float) -> float:
        return _SCALE[0] + (value - low) / (high - low) * (_SCALE[1] - _SCALE[0])

    bottom = _TOP + len(rows) * _ROW + gap
    _legend(draw, steps, colours, "ratings" if likert else "comparisons")
    _axis(draw, across, _rating_ticks(low, high) if likert else _ticks(low, high), bottom - 14)
    draw.text((_SCALE[0], 172), "mean rating" if likert else "strength, log odds", INK, font(22), anchor="ls")
    left = [_lower_half(row.histogram) if likert else row.n / 2 for row in rows]
    shares = [part / row.n for part, row in zip(left, rows, strict=True)]
    # The middle of the middle rating stands on one line for all, so that one sees which way a method leans.
    unit = (_BARS[1] - _BARS[0]) / (max(shares) + max(1 - share for share in shares))
    centre = _BARS[0] + max(shares) * unit
    draw.line((centre, _TOP - 18, centre, bottom - 14), GREY, 1)
    for index, (row, end, share) in enumerate(zip(rows, ends, shares, strict=True)):
        y = _TOP + index * _ROW + (gap if row.control else 0)
        if row.control:
            draw.line((MARGIN, y - 18, _WIDTH - MARGIN, y - 18), FAINT, 2)
        colour = GREY if row.control else INK
        middle = y + _BAR / 2
        below = f"{row.n} {'ratings' if likert else 'comparisons'}"
        name = f"{row.method} (control)" if row.control else row.method
        draw.text((_NAMES[0], middle - 3), fit(name, 28, _NAMES[1] - _NAMES[0]), colour, font(28), anchor="ls")
        draw.text((_NAMES[0], middle + 26), below, GREY, font(19), anchor="ls")
        _stack(draw, row, (centre - share * unit, y), unit, colours)
        _interval(sheet, end, across, middle, colour)
        first, second = _words(row, likert)
        draw.text((_NUMBERS, middle - 3), first, colour, font(28), anchor="ls")
        draw.text((_NUMBERS, middle + 26), second, GREY, font(19), anchor="ls")
    return sheet


def _subtitle(human: Human) -> str:
    kept = human.kept
    alpha = "" if kept.alpha.value is None else f" · Krippendorff's alpha {kept.alpha.value:.2f}"
    left_out = f" · {human.excluded} left out by the rule" if human.excluded else ""
    suite = f"{human.suite} · " if human.suite else ""
    suite += "collected elsewhere · " if human.source == "table" else ""
    return f"{suite}{human.clip_count} clips · {kept.raters} raters{left_out}{alpha} · 95 % intervals"


def _lower_half(histogram: Sequence[int]) -> float:
    """How many ratings lie below the middle of the scale, those of a middle step by half."""
    half, odd = divmod(len(histogram), 2)
    return sum(histogram[:half]) + (histogram[half] / 2 if odd else 0)


def _colours(count: int) -> Sequence[tuple[int, int, int]]:
    """As many colours from red to blue as the scale has steps, between the five of `_RATINGS`."""
    if count == len(_RATINGS):
        return _RATINGS
    places = [index * (len(_RATINGS) - 1) / max(count - 1, 1) for index in range(count)]
    found = []
    for place in places:
        lower = _RATINGS[int(place)]
        upper = _RATINGS[min(int(place) + 1, len(_RATINGS) - 1)]
        red, green, blue = (round(a + (b - a) * (place % 1)) for a, b in zip(lower, upper, strict=True))
        found.append((red, green, blue))
    return found


def _top(row: MethodRating, likert: bool) -> tuple[float | None, float | None, float | None]:
    """The point and the ends of the interval on the right."""
    return (row.mean, row.low, row.high) if likert else (row.strength, row.strength_low, row.strength_high)


def _range(ends: Sequence[tuple[float | None, ...]]) -> tuple[float, float]:
    most = max((abs(end) for three in ends for end in three if end is not None), default=1.0)
    return -max(most, 0.5) * 1.05, max(most, 0.5) * 1.05


def _rating_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Whole steps where they are few, else fifths of the scale."""
    whole = low.is_integer() and high.is_integer() and high - low <= 10
    count = int(high - low) if whole else 5
    return [(value, f"{value:g}") for i in range(count + 1) for value in [low + (high - low) * i / count]]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    step = next(step for step in (0.25, 0.5, 1.0, 2.0, 5.0, 10.0) if high / step <= 4 or step == 10.0)
    count = int(high / step)
    return [(i * step, f"{i * step:+g}" if i else "0") for i in range(-count, count + 1) if low <= i * step <= high]


def _legend(
    draw: ImageDraw.ImageDraw, names: Sequence[str], colours: Sequence[tuple[int, int, int]], title: str
) -> None:
    x = float(_BARS[0])
    draw.text((x, 172), title, INK, font(22), anchor="ls")
    x += font(22).getlength(title) + 28
    for name, colour in zip(names, colours, strict=True):
        draw.rectangle((x, 154, x + 20, 174), colour)
        draw.text((x + 30, 172), name, GREY, font(20), anchor="ls")
        x += 30 + font(20).getlength(name) + (26 if len(names) < 8 else 14)


def _axis(
    draw: ImageDraw.ImageDraw, across: Callable[[float], float], ticks: Sequence[tuple[float, str]], bottom: float
) -> None:
    for value, name in ticks:
        x = across(value)
        draw.line((x, _TOP - 18, x, bottom), FAINT, 2)
        draw.text((x, _TOP - 26), name, GREY, font(19), anchor="ms")


def _stack(
    draw: ImageDraw.ImageDraw,
    row: MethodRating,
    place: tuple[float, float],
    unit: float,
    colours: Sequence[tuple[int, int, int]],
) -> None:
    """Draw a bar of the shares side by side, with the per cent where there is room."""
    x, y = place
    for count, colour in zip(row.histogram, colours, strict=True):
        wide = count / row.n * unit
        if count:
            draw.rectangle((round(x), y, round(x + wide) - 2, y + _BAR), colour)
        if wide > 44:
            ink = PAPER if sum(colour) / 3 < _DARK else INK
            draw.text((x + wide / 2 - 1, y + _BAR / 2), f"{count / row.n:.0%}", ink, font(20), anchor="mm")
        x += wide


def _interval(
    sheet: Image.Image,
    end: tuple[float | None, float | None, float | None],
    across: Callable[[float], float],
    y: float,
    colour: tuple[int, int, int],
) -> None:
    """Draw a point on its interval, smoothed by drawing it four times as large."""
    mean, low, high = end
    if mean is None:
        return
    left, wide, high_as = _SCALE[0] - 20, _SCALE[1] - _SCALE[0] + 40, 40
    mask = Image.new("L", (4 * wide, 4 * high_as))
    pen = ImageDraw.Draw(mask)
    middle = 2 * high_as

    def at(value: float) -> float:
        return 4 * (across(value) - left)

    if low is not None and high is not None:
        pen.rounded_rectangle((at(low), middle - 10, at(high), middle + 10), 10, fill=150)
    pen.ellipse((at(mean) - 40, middle - 40, at(mean) + 40, middle + 40), fill=255)
    sheet.paste(colour, (left, round(y - high_as / 2)), mask.reduce(4))


def _words(row: MethodRating, likert: bool) -> tuple[str, str]:
    if likert:
        first = f"{row.mean:.2f}" + ("" if row.sd is None else f" ± {row.sd:.2f}")
        return first, "" if row.low is None else f"[{row.low:.2f}, {row.high:.2f}]"
    return f"{row.mean:.1f} % won", "" if row.low is None else f"[{row.low:.1f}, {row.high:.1f}]"
