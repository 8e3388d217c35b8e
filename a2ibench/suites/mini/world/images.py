"""How a scene looks: its place and time of day, silent things, and its objects; at rest or while they call."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from a2ibench.suites.mini.world.kinds import KINDS, PLACES
from a2ibench.suites.mini.world.scenes import Scene
from a2ibench.suites.mini.world.things import DRAW, SILENT, Colour, Pen

IMAGE_SIZE = 64
_SUPERSAMPLE = 4
_CANVAS = IMAGE_SIZE * _SUPERSAMPLE
_SMALLEST, _LARGEST = 8.5, 14.0  # radius in pixels
_TIMES = ("morning", "noon", "dusk", "night")
_SKIES: dict[str, tuple[Colour, Colour]] = {
    "morning": ((150, 190, 226), (250, 222, 196)),
    "noon": ((110, 180, 240), (206, 232, 250)),
    "dusk": ((110, 96, 160), (246, 168, 130)),
    "night": ((34, 40, 88), (84, 92, 150)),
}
_LIGHT = {"morning": 0.98, "noon": 1.0, "dusk": 0.84, "night": 0.6}


@dataclass(frozen=True)
class _Placed:
    """An object where it stands: centre and radius in pixels of the image, mirrored or not, its tint."""

    x: float
    y: float
    radius: float
    flip: bool
    tint: tuple[float, float, float]


def render(scene: Scene, seconds: float = 0.0) -> Image.Image:
    """Draw a scene as it is at a moment: 64 x 64 RGB, anti-aliased by drawing four times as large.

    Before its first onset, so also at 0, everything is at rest. From its onset on an object hops and stretches,
    most of all at once, and comes to rest within a second.
    """
    canvas, placed, weather = _stage(scene)
    canvas = canvas.copy()
    draw = ImageDraw.Draw(canvas)
    _moving(draw, PLACES[scene.place], seconds, weather, front=False)
    for kind, onset, thing in zip(scene.calls, scene.onsets, placed, strict=True):
        push = math.exp(-(seconds - onset) / 0.18) if seconds >= onset else 0.0
        swing = push * math.cos(2 * math.pi * (seconds - onset) / 0.6)
        y = thing.y - 0.3 * push * thing.radius
        pen = Pen(
            draw,
            thing.x * _SUPERSAMPLE,
            y * _SUPERSAMPLE,
            thing.radius * _SUPERSAMPLE,
            flip=thing.flip,
            tint=thing.tint,
            stretch=(1 - 0.12 * swing, 1 + 0.26 * swing),
        )
        DRAW[KINDS[kind].name](pen)
    _moving(draw, PLACES[scene.place], seconds, weather, front=True)
    return canvas.reduce(_SUPERSAMPLE)


@lru_cache(maxsize=4)
def _stage(scene: Scene) -> tuple[Image.Image, list[_Placed], int]:
    """What doesn't move: the background as a canvas, where the objects stand, and the weather's seed."""
    rng = np.random.default_rng([scene.seed, 1])
    place = PLACES[scene.place]
    light = _TIMES[rng.integers(len(_TIMES))]
    canvas = _hall(light, rng) if place == "hall" else _outside(place, light, rng)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(0, 4)):
        pen = Pen(
            draw,
            float(rng.uniform(0, _CANVAS)),
            float(rng.uniform(0.5, 0.98) * _CANVAS),
            float(rng.uniform(2.5, 6.0)) * _SUPERSAMPLE,
            flip=bool(rng.random() < 0.5),
            tint=[float(t) for t in rng.uniform(0.6, 1.3, size=3) * _LIGHT[light]],
        )
        SILENT[rng.integers(len(SILENT))](pen)
    radius = _SMALLEST + (_LARGEST - _SMALLEST) * scene.size
    dimmed = 0.5 + 0.5 * _LIGHT[light]
    placed = []
    for x, y in _positions(scene.count, radius, rng):
        r, g, b = (float(t) for t in rng.uniform(0.88, 1.12, size=3) * dimmed)
        placed.append(_Placed(x, y, radius, bool(rng.random() < 0.5), (r, g, b)))
    return canvas, placed, int(rng.integers(2**31))


def _shade(colour: Colour, by: float, shift: np.ndarray) -> Colour:
    r, g, b = (int(np.clip(c * by + s, 0, 255)) for c, s in zip(colour, shift, strict=True))
    return r, g, b


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    blend = np.linspace(0, 1, _CANVAS)[:, None]
    rows = np.array(top) * (1 - blend) + np.array(bottom) * blend
    return Image.fromarray(rows.astype(np.uint8)[:, None, :]).resize((_CANVAS, _CANVAS))


def _hills(draw: ImageDraw.ImageDraw, horizon: float, swell: float, waves: float, colour: Colour, phase: float) -> None:
    xs = np.linspace(0, 1, 25)
    ys = horizon + swell * np.sin(2 * math.pi * waves * xs + phase)
    edge = [(float(x * _CANVAS), float(y * _CANVAS)) for x, y in zip(xs, ys, strict=True)]
    draw.polygon([(0, _CANVAS), *edge, (_CANVAS, _CANVAS)], fill=colour)


def _outside(place: str, light: str, rng: np.random.Generator) -> Image.Image:
    """A meadow, the sea or a town in the rain, under a sky of the time of day."""
    shift, by = rng.uniform(-18, 18, size=3), _LIGHT[light]
    top, bottom = (_shade(colour, 1.0, shift) for colour in _SKIES[light])
    if place == "rain":  # what is left of the sky's colour is grey
        top, bottom = (_shade((118, 126, 140), by, shift + (np.array(c) - 150) * 0.2) for c in (top, bottom))
    canvas = _gradient(top, bottom)
    draw = ImageDraw.Draw(canvas)
    phase = float(rng.uniform(0, 2 * math.pi))
    horizon = float(rng.uniform(0.5, 0.72))
    if place == "meadow":
        if rng.random() < 0.7:
            x, y, r = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.3), rng.uniform(0.04, 0.08)
            box = [float(v * _CANVAS) for v in (x - r, y - r, x + r, y + r)]
            draw.ellipse(box, fill=(250, 246, 220) if light == "night" else (255, 226, 120))
        _hills(draw, horizon, 0.05, 1.3, _shade((104, 160, 92), by * 0.9, shift), phase)
        _hills(draw, horizon + 0.1, 0.04, 0.9, _shade((134, 190, 104), by, shift), phase + 2)
        for _ in range(rng.integers(0, 14)):
            x, y = rng.uniform(0, _CANVAS), rng.uniform(horizon + 0.16, 1) * _CANVAS
            colour = ((250, 240, 240), (244, 150, 170), (250, 220, 110))[rng.integers(3)]
            draw.ellipse([float(x - 4), float(y - 4), float(x + 4), float(y + 4)], fill=_shade(colour, by, shift))
    elif place == "sea":
        _hills(draw, horizon, 0.0, 1.0, _shade((70, 134, 180), by, shift), phase)
        if rng.random() < 0.6:
            x, wide = rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.3)
            edge = [(x - wide, horizon), (x - wide / 3, horizon - wide / 3), (x + wide / 2, horizon - wide / 4)]
            island = [(float(a * _CANVAS), float(b * _CANVAS)) for a, b in [*edge, (x + wide, horizon)]]
            draw.polygon(island, fill=_shade((120, 130, 110), by, shift))
        if rng.random() < 0.6:
            _hills(draw, 0.9, 0.04, 0.7, _shade((232, 208, 160), by, shift), phase)
    else:
        for x in np.arange(-0.1, 1.1, 0.16) + rng.uniform(0, 0.15):
            roof, wide = horizon - rng.uniform(0.02, 0.26), rng.uniform(0.06, 0.09)
            box = [float(v * _CANVAS) for v in (x - wide, roof, x + wide, horizon)]
            draw.rectangle(box, fill=_shade((104, 106, 120), by * rng.uniform(0.75, 1.1), shift))
        _hills(draw, horizon, 0.0, 1.0, _shade((128, 132, 140), by, shift), phase)
        for _ in range(rng.integers(2, 6)):
            x, y, wide = rng.uniform(0, 1), rng.uniform(horizon + 0.08, 0.98), rng.uniform(0.05, 0.16)
            box = [float(v * _CANVAS) for v in (x - wide, y - wide / 5, x + wide, y + wide / 5)]
            draw.ellipse(box, fill=_shade((158, 170, 186), by, shift))
    return canvas


def _hall(light: str, rng: np.random.Generator) -> Image.Image:
    """A room: a papered wall, perhaps a window or a picture, and a floor of boards."""
    by = 0.55 + 0.45 * _LIGHT[light]
    shift = rng.uniform(-30, 30, size=3)
    wall, floor = _shade((198, 176, 156), by, shift), _shade((150, 106, 72), by, shift / 2)
    canvas = _gradient(wall, _shade(wall, 0.9, np.zeros(3)))
    draw = ImageDraw.Draw(canvas)
    step = int(rng.integers(18, 40))
    for stripe in range(int(rng.integers(step)), _CANVAS, step):
        draw.line([(stripe, 0), (stripe, _CANVAS)], fill=_shade(wall, 0.94, np.zeros(3)), width=step // 3)
    edge = int(rng.uniform(0.66, 0.8) * _CANVAS)
    if rng.random() < 0.75:
        x, wide, high = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.18), rng.uniform(0.1, 0.16)
        box = [float(v * _CANVAS) for v in (x - wide, 0.25 - high, x + wide, 0.25 + high)]
        pane = _SKIES[light][1] if rng.random() < 0.6 else _shade((150, 150, 150), by, rng.uniform(-90, 90, size=3))
        draw.rectangle(box, fill=pane, outline=_shade((110, 80, 56), by, shift / 2), width=8)
    draw.rectangle([0, edge, _CANVAS, _CANVAS], fill=floor)
    for board in range(edge + 14, _CANVAS, 16):
        draw.line([(0, board), (_CANVAS, board)], fill=_shade(floor, 0.86, np.zeros(3)), width=3)
    draw.rectangle([0, edge - 6, _CANVAS, edge], fill=_shade(wall, 0.72, np.zeros(3)))
    return canvas


def _moving(draw: ImageDraw.ImageDraw, place: str, seconds: float, seed: int, *, front: bool) -> None:
    """Draw what moves whether or not something calls: waves behind the objects, rain before them."""
    if place == "sea" and not front:
        rng = np.random.default_rng(seed)
        for _ in range(9):
            x, y, wide = rng.uniform(0, 1.2), rng.uniform(0.74, 1.0), rng.uniform(0.04, 0.1)
            x = (x + 0.06 * seconds) % 1.2 - 0.1
            points = [((x - wide) * _CANVAS, y * _CANVAS), (x * _CANVAS, (y - 0.012) * _CANVAS),
                      ((x + wide) * _CANVAS, y * _CANVAS)]  # fmt: skip
            draw.line([(float(a), float(b)) for a, b in points], fill=(186, 214, 232), width=4)
    if place == "rain" and front:
        rng = np.random.default_rng(seed)
        for x, y in zip(rng.uniform(0, 1.1, size=26), rng.uniform(0, 1.1, size=26), strict=True):
            fallen = (y + 1.3 * seconds) % 1.1 - 0.05
            a, b = float(x * _CANVAS), float(fallen * _CANVAS)
            draw.line([(a, b), (a - 4, b + 15)], fill=(190, 204, 222), width=2)


def _positions(count: int, radius: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Place 1 to 4 objects whole and in any order: free alone, side by side, in a triangle or a square."""
    low, high = radius * 1.06, IMAGE_SIZE - radius * 1.06
    half = IMAGE_SIZE / 2
    if count == 1:
        return [(float(rng.uniform(low, high)), float(rng.uniform(max(low, 24), high)))]
    if count == 2:
        tilt = rng.uniform(-12, 12)
        centres = [(half / 2, half + tilt), (half * 1.5, half - tilt)]
    elif count == 3:
        odd, pair = (18.0, 46.0) if rng.random() < 0.5 else (46.0, 18.0)
        centres = [(half / 2, pair), (half * 1.5, pair), (half, odd)]
    else:
        centres = [(x, y) for x in (half / 2, half * 1.5) for y in (half / 2, half * 1.5)]
    loose = max(0.0, half / 2 - radius) + (4.0 if count == 2 else 1.0)
    shifts = rng.uniform(-loose, loose, size=(count, 2))
    order = rng.permutation(count)
    return [
        (float(np.clip(centres[k][0] + shifts[k][0], low, high)),
         float(np.clip(centres[k][1] + shifts[k][1], low, high)))
        for k in order
    ]  # fmt: skip
