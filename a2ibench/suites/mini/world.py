"""The mini world: twelve kinds of sounding thing, drawn and heard.

A scene is drawn from factors. **Heard and seen**: the kind, how many (strikes or calls and objects), how large
(low pitch and a large radius). **Only seen**: place, time of day, positions, colours. **Only heard**: timing,
noise, reverb, gain. So a sound says more than its label: a method that reads only the label cannot know the
number or the size, one that listens can.

Every random choice comes from a named seed, so any scene can be drawn again alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

IMAGE_SIZE = 64
SAMPLE_RATE = 16_000
SECONDS = 3.0
SAMPLES = int(SAMPLE_RATE * SECONDS)

_SUPERSAMPLE = 4
_CANVAS = IMAGE_SIZE * _SUPERSAMPLE
_SMALLEST, _LARGEST = 10.5, 16.0  # radius in pixels
_SPLITS = {"train": 1, "validation": 2, "test": 3, "afresh": 4}

Colour = tuple[int, int, int]
Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of sounding thing: its object (image category), its event (audio label), a broader word."""

    name: str
    object: str
    plural: str
    event: str
    broader: str | None = None


KINDS: tuple[Kind, ...] = (
    Kind("bell", "bell", "bells", "church bell ringing"),
    Kind("frog", "frog", "frogs", "frog croaking"),
    Kind("bird", "bird", "birds", "bird chirping"),
    Kind("owl", "owl", "owls", "owl hooting", "bird"),
    Kind("clock", "clock", "clocks", "clock ticking"),
    Kind("drum", "drum", "drums", "drum beating", "instrument"),
    Kind("guitar", "guitar", "guitars", "guitar strumming", "instrument"),
    Kind("train", "train", "trains", "train whistling", "vehicle"),
    Kind("siren", "police car", "police cars", "siren wailing", "vehicle"),
    Kind("helicopter", "helicopter", "helicopters", "helicopter hovering"),
    Kind("bee", "bee", "bees", "bee buzzing"),
    Kind("thunder", "storm cloud", "storm clouds", "thunder rumbling"),
)
CATEGORIES: tuple[str, ...] = tuple(kind.object for kind in KINDS)
LABELS: tuple[str, ...] = tuple(kind.event for kind in KINDS)
PLACES = ("meadow", "desert", "snow", "sea")
TIMES = ("morning", "noon", "dusk", "night")


@dataclass(frozen=True)
class Scene:
    """What is heard and seen (kind, count 1..3, size 0..1), and the seed of all the rest."""

    kind: int
    count: int
    size: float
    seed: int

    @property
    def label(self) -> str:
        """The event, as an audio label."""
        return KINDS[self.kind].event


def draw_scene(split: str, index: int) -> Scene:
    """Draw scene number ``index`` of a split (train, validation, test or afresh)."""
    rng = np.random.default_rng([_SPLITS[split], index])
    return Scene(
        kind=int(rng.integers(len(KINDS))),
        count=int(rng.integers(1, 4)),
        size=float(rng.random()),
        seed=int(rng.integers(2**31)),
    )


# ----------------------------------------------------------------------------------------------- captions


def caption(scene: Scene, *, count: bool = True, size: bool = True) -> str:
    """Describe a scene: its kind, and its count and size where wanted (a middling size has no word)."""
    kind = KINDS[scene.kind]
    size_word = ("small ", "", "large ")[min(2, int(scene.size * 3))] if size else ""
    if not count:
        return f"{size_word}{kind.object}"
    number = ("one", "two", "three")[scene.count - 1]
    return f"{number} {size_word}{kind.object if scene.count == 1 else kind.plural}"


def training_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Draw one of the ways to caption a scene: mostly object, count and size; sometimes less, or the event."""
    kind = KINDS[scene.kind]
    way = rng.random()
    if way < 0.16:
        text = kind.event
    elif way < 0.20 and kind.broader:
        text = kind.broader
    else:
        text = caption(scene, count=rng.random() < 0.7, size=rng.random() < 0.7)
    return f"a photo of {text}" if rng.random() < 0.6 else text


# ------------------------------------------------------------------------------------------------- images


class _Pen:
    """Draws in an object's own units: centre (0, 0), radius 1, y downwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, flip: bool, tint: float):
        self._draw, self._x, self._y, self._r = draw, x, y, radius
        self._sign, self._tint = (-1.0 if flip else 1.0), tint

    def _colour(self, colour: Colour) -> Colour:
        r, g, b = (max(0, min(255, round(c * self._tint))) for c in colour)
        return r, g, b

    def _points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self._x + self._sign * self._r * x, self._y + self._r * y) for x, y in points]

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        cx, cy = self._x + self._sign * self._r * x, self._y + self._r * y
        return cx - self._r * rx, cy - self._r * ry, cx + self._r * rx, cy + self._r * ry

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self._draw.ellipse(self._box(x, y, rx, ry), fill=self._colour(colour))

    def box(self, x: float, y: float, rx: float, ry: float, colour: Colour, corner: float = 0.0) -> None:
        self._draw.rounded_rectangle(self._box(x, y, rx, ry), radius=corner * self._r, fill=self._colour(colour))

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self._draw.polygon(self._points(points), fill=self._colour(colour))

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        self._draw.line(self._points(points), fill=self._colour(colour), width=round(width * self._r), joint="curve")


_DARK, _WHITE, _BLACK = (45, 40, 50), (248, 246, 240), (20, 20, 26)


def _bell(pen: _Pen) -> None:
    gold, shade = (240, 180, 40), (176, 112, 16)
    pen.ellipse(0, 0.72, 0.24, 0.24, (110, 66, 20))
    pen.ellipse(0, -0.78, 0.2, 0.2, shade)
    pen.ellipse(0, -0.2, 0.6, 0.62, gold)
    pen.polygon([(-0.6, -0.2), (0.6, -0.2), (0.92, 0.62), (-0.92, 0.62)], gold)
    pen.box(0, 0.56, 0.98, 0.15, shade, 0.14)


def _frog(pen: _Pen) -> None:
    green, light = (56, 160, 60), (190, 226, 130)
    pen.ellipse(-0.74, 0.5, 0.34, 0.4, (40, 122, 48))
    pen.ellipse(0.74, 0.5, 0.34, 0.4, (40, 122, 48))
    pen.ellipse(0, 0.25, 0.84, 0.68, green)
    pen.ellipse(0, 0.52, 0.5, 0.38, light)
    for side in (-0.46, 0.46):
        pen.ellipse(side, -0.5, 0.36, 0.36, green)
        pen.ellipse(side, -0.54, 0.23, 0.23, _WHITE)
        pen.ellipse(side, -0.52, 0.12, 0.13, _BLACK)
    pen.line([(-0.42, 0.06), (-0.2, 0.17), (0.2, 0.17), (0.42, 0.06)], 0.11, (24, 80, 32))


def _bird(pen: _Pen) -> None:
    blue, deep = (40, 130, 220), (24, 84, 168)
    pen.polygon([(-0.5, 0.1), (-1.0, -0.3), (-1.0, 0.3)], deep)
    pen.ellipse(-0.06, 0.22, 0.68, 0.52, blue)
    pen.ellipse(0.4, -0.3, 0.42, 0.42, blue)
    pen.ellipse(0.12, 0.44, 0.42, 0.26, (250, 214, 150))
    pen.polygon([(0.74, -0.44), (1.06, -0.26), (0.74, -0.1)], (246, 158, 30))
    pen.ellipse(-0.2, 0.12, 0.38, 0.26, deep)
    pen.ellipse(0.48, -0.36, 0.13, 0.13, _BLACK)


def _owl(pen: _Pen) -> None:
    brown, deep = (150, 100, 60), (104, 64, 36)
    pen.polygon([(-0.66, -0.5), (-0.6, -1.0), (-0.1, -0.7)], deep)
    pen.polygon([(0.66, -0.5), (0.6, -1.0), (0.1, -0.7)], deep)
    pen.ellipse(0, 0.1, 0.74, 0.86, brown)
    pen.ellipse(-0.64, 0.3, 0.2, 0.46, deep)
    pen.ellipse(0.64, 0.3, 0.2, 0.46, deep)
    pen.ellipse(0, 0.5, 0.4, 0.4, (224, 190, 140))
    for side in (-0.3, 0.3):
        pen.ellipse(side, -0.32, 0.33, 0.33, _WHITE)
        pen.ellipse(side, -0.32, 0.17, 0.17, _BLACK)
    pen.polygon([(-0.14, -0.12), (0.14, -0.12), (0, 0.2)], (246, 170, 40))


def _clock(pen: _Pen) -> None:
    pen.ellipse(0, 0, 0.96, 0.96, (150, 42, 42))
    pen.ellipse(0, 0, 0.72, 0.72, _WHITE)
    pen.line([(0, 0), (0, -0.54)], 0.15, _BLACK)
    pen.line([(0, 0), (0.4, 0.18)], 0.15, _BLACK)
    pen.ellipse(0, 0, 0.12, 0.12, _BLACK)


def _drum(pen: _Pen) -> None:
    pen.box(0, 0.18, 0.88, 0.5, (206, 44, 50))
    pen.ellipse(0, 0.66, 0.88, 0.3, (206, 44, 50))
    for x in (-0.6, 0.0, 0.6):
        pen.line([(x - 0.22, -0.2), (x, 0.78 - 0.1 * abs(x))], 0.1, (246, 204, 70))
        pen.line([(x + 0.22, -0.2), (x, 0.78 - 0.1 * abs(x))], 0.1, (246, 204, 70))
    pen.ellipse(0, -0.3, 0.94, 0.38, (246, 204, 70))
    pen.ellipse(0, -0.34, 0.82, 0.29, (250, 240, 222))


def _guitar(pen: _Pen) -> None:
    wood, dark = (206, 122, 40), (92, 50, 24)
    pen.line([(0.1, -0.1), (0.72, -0.9)], 0.2, dark)
    pen.line([(0.62, -0.78), (0.84, -1.04)], 0.34, dark)
    pen.ellipse(-0.32, 0.42, 0.6, 0.56, wood)
    pen.ellipse(0.06, -0.02, 0.42, 0.4, wood)
    pen.ellipse(-0.14, 0.2, 0.22, 0.22, _DARK)
    pen.line([(-0.62, 0.46), (-0.36, 0.74)], 0.14, dark)


def _train(pen: _Pen) -> None:
    body, dark = (60, 120, 90), (36, 74, 60)
    pen.box(0.52, -0.56, 0.16, 0.34, _DARK)
    pen.box(-0.5, -0.16, 0.44, 0.66, body, 0.1)
    pen.box(-0.5, -0.76, 0.54, 0.12, (200, 60, 44), 0.08)
    pen.box(-0.5, -0.3, 0.25, 0.22, (252, 232, 150))
    pen.box(0.34, 0.12, 0.6, 0.38, dark, 0.2)
    pen.box(0.0, 0.5, 0.96, 0.12, (200, 60, 44))
    for x in (-0.6, 0.02, 0.62):
        pen.ellipse(x, 0.7, 0.27, 0.27, _BLACK)
        pen.ellipse(x, 0.7, 0.12, 0.12, (190, 190, 196))


def _siren(pen: _Pen) -> None:
    pen.box(-0.16, -0.5, 0.16, 0.16, (226, 36, 44), 0.06)
    pen.box(0.16, -0.5, 0.16, 0.16, (40, 90, 236), 0.06)
    pen.polygon([(-0.62, 0.0), (-0.4, -0.42), (0.36, -0.42), (0.64, 0.0)], (44, 62, 100))
    pen.polygon([(-0.44, -0.02), (-0.3, -0.32), (-0.04, -0.32), (-0.04, -0.02)], (190, 226, 244))
    pen.polygon([(0.06, -0.02), (0.06, -0.32), (0.28, -0.32), (0.46, -0.02)], (190, 226, 244))
    pen.box(0, 0.24, 1.0, 0.3, _WHITE, 0.16)
    pen.box(0, 0.26, 1.0, 0.12, (36, 72, 170))
    for x in (-0.56, 0.56):
        pen.ellipse(x, 0.54, 0.27, 0.27, _BLACK)
        pen.ellipse(x, 0.54, 0.12, 0.12, (190, 190, 196))


def _helicopter(pen: _Pen) -> None:
    body, dark = (238, 120, 30), (60, 60, 70)
    pen.box(0.16, -0.66, 0.86, 0.09, dark, 0.09)
    pen.box(0.16, -0.5, 0.09, 0.2, dark)
    pen.line([(-0.1, 0.0), (-0.86, -0.16)], 0.2, body)
    pen.ellipse(-0.86, -0.2, 0.16, 0.34, dark)
    pen.ellipse(0.22, 0.06, 0.62, 0.5, body)
    pen.ellipse(0.46, -0.04, 0.3, 0.3, (190, 226, 244))
    pen.box(0.2, 0.72, 0.6, 0.08, dark, 0.08)
    pen.line([(0.0, 0.4), (-0.04, 0.72)], 0.11, dark)
    pen.line([(0.42, 0.4), (0.46, 0.72)], 0.11, dark)


def _bee(pen: _Pen) -> None:
    yellow = (250, 202, 40)
    pen.ellipse(-0.24, -0.5, 0.32, 0.44, (214, 234, 248))
    pen.ellipse(0.26, -0.5, 0.32, 0.44, (214, 234, 248))
    pen.ellipse(-0.08, 0.2, 0.82, 0.54, yellow)
    pen.box(-0.42, 0.2, 0.12, 0.46, _BLACK, 0.1)
    pen.box(-0.04, 0.2, 0.12, 0.52, _BLACK, 0.1)
    pen.ellipse(0.62, 0.1, 0.36, 0.36, _DARK)
    pen.ellipse(0.7, 0.02, 0.13, 0.13, _WHITE)
    pen.polygon([(-0.84, 0.1), (-1.08, 0.22), (-0.84, 0.34)], _BLACK)


def _thunder(pen: _Pen) -> None:
    cloud = (92, 96, 118)
    pen.polygon(
        [(0.16, 0.0), (-0.4, 0.62), (-0.04, 0.6), (-0.24, 1.06), (0.42, 0.4), (0.08, 0.42), (0.5, 0.0)],
        (255, 224, 60),
    )
    pen.ellipse(-0.52, -0.12, 0.44, 0.38, cloud)
    pen.ellipse(0.52, -0.12, 0.44, 0.38, cloud)
    pen.ellipse(-0.1, -0.42, 0.5, 0.48, cloud)
    pen.ellipse(0.28, -0.32, 0.4, 0.4, cloud)
    pen.ellipse(0, 0.02, 0.62, 0.28, cloud)


_DRAW: tuple[Callable[[_Pen], None], ...] = (
    _bell, _frog, _bird, _owl, _clock, _drum, _guitar, _train, _siren, _helicopter, _bee, _thunder,
)  # fmt: skip
_SKIES: dict[str, tuple[Colour, Colour]] = {
    "morning": ((150, 190, 226), (250, 222, 196)),
    "noon": ((110, 180, 240), (206, 232, 250)),
    "dusk": ((110, 96, 160), (246, 168, 130)),
    "night": ((28, 34, 78), (74, 84, 140)),
}
_GROUNDS: dict[str, Colour] = {
    "meadow": (134, 190, 104),
    "desert": (226, 196, 140),
    "snow": (228, 236, 244),
    "sea": (84, 150, 190),
}
_LIGHT = {"morning": 0.98, "noon": 1.0, "dusk": 0.82, "night": 0.55}


def render(scene: Scene) -> Image.Image:
    """Draw a scene: 64 x 64 RGB, anti-aliased by drawing four times as large."""
    rng = np.random.default_rng([scene.seed, 1])
    canvas = _background(PLACES[rng.integers(len(PLACES))], TIMES[rng.integers(len(TIMES))], rng)
    draw = ImageDraw.Draw(canvas)
    radius = _SMALLEST + (_LARGEST - _SMALLEST) * scene.size
    for x, y in _positions(scene.count, radius, rng):
        pen = _Pen(
            draw,
            x * _SUPERSAMPLE,
            y * _SUPERSAMPLE,
            radius * _SUPERSAMPLE,
            flip=bool(rng.random() < 0.5),
            tint=float(rng.uniform(0.92, 1.08)),
        )
        _DRAW[scene.kind](pen)
    return canvas.reduce(_SUPERSAMPLE)


def _background(place: str, time: str, rng: np.random.Generator) -> Image.Image:
    top, bottom = (np.array(c, dtype=float) for c in _SKIES[time])
    shift = rng.uniform(-8, 8, size=3)
    blend = np.linspace(0, 1, _CANVAS)[:, None]
    sky = np.clip(top * (1 - blend) + bottom * blend + shift, 0, 255)
    canvas = Image.fromarray(sky.astype(np.uint8)[:, None, :]).resize((_CANVAS, _CANVAS))
    horizon, swell, phase = rng.uniform(0.66, 0.82), rng.uniform(0.01, 0.05), rng.uniform(0, 2 * math.pi)
    xs = np.linspace(0, 1, 17)
    ys = horizon + swell * np.sin(2 * math.pi * xs + phase)
    hill = [(0, _CANVAS), *zip(xs * _CANVAS, ys * _CANVAS, strict=True), (_CANVAS, _CANVAS)]
    light = _LIGHT[time]
    r, g, b = (round(c * light) for c in _GROUNDS[place])
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in hill], fill=(r, g, b))
    return canvas


def _positions(count: int, radius: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Place 1 to 3 objects whole: free alone, side by side, or in a triangle; large ones may overlap a little."""
    low, high = radius * 1.06, IMAGE_SIZE - radius * 1.06
    if count == 1:
        return [(float(rng.uniform(low, high)), float(rng.uniform(max(low, 24), high)))]
    half = IMAGE_SIZE / 2
    slack = half - radius
    if count == 2:
        centres = [(half / 2, half), (half * 1.5, half)]
        reach = (slack * 0.45, min(10.0, high - half))
    else:
        up = bool(rng.random() < 0.5)
        centres = [
            (half / 2, 18.0 if up else 46.0),
            (half * 1.5, 18.0 if up else 46.0),
            (half, 46.0 if up else 18.0),
        ]
        reach = (slack * 0.3, slack * 0.12)
    return [
        (float(np.clip(x + rng.uniform(-1, 1) * reach[0], low, high)),
         float(np.clip(y + rng.uniform(-1, 1) * reach[1], low, high)))
        for x, y in centres
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------- sounds


def _time(seconds: float) -> Wave:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _tones(t: Wave, partials: Sequence[tuple[float, float, float]]) -> Wave:
    """Sum partials of (frequency in Hz, amplitude, decay per second); those above 7.5 kHz are left out."""
    waves = (a * np.exp(-d * t) * np.sin(2 * math.pi * f * t) for f, a, d in partials if f < 7500)
    return sum(waves, np.zeros(len(t)))


def _sweep(frequency: Wave) -> Wave:
    """A sine whose frequency in Hz is given per sample."""
    wave: Wave = np.sin(2 * math.pi * np.cumsum(frequency) / SAMPLE_RATE)
    return wave


def _fade(wave: Wave, seconds: float = 0.01) -> Wave:
    n = min(len(wave) // 2, int(seconds * SAMPLE_RATE))
    ramp = np.ones(len(wave))
    ramp[:n] = np.linspace(0, 1, n)
    ramp[-n:] = np.linspace(1, 0, n)
    return wave * ramp


def _band_noise(n: int, centre: float, width: float, rng: np.random.Generator) -> Wave:
    """Noise with a Gaussian spectrum round ``centre`` Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hertz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    wave = np.fft.irfft(spectrum * np.exp(-0.5 * ((hertz - centre) / width) ** 2), n)
    return wave / (np.std(wave) + 1e-9)


def _call(kind: str, f: float, rng: np.random.Generator) -> Wave:
    """One strike or call of a kind, its pitch scaled by ``f``: at most 0.85 s, about unit amplitude."""
    if kind == "bell":
        t = _time(0.85)
        ratios = (
            (0.5, 0.5, 2.0),
            (1, 1, 3.0),
            (1.19, 0.7, 3.5),
            (1.5, 0.4, 4.0),
            (2, 0.6, 5.0),
            (2.74, 0.4, 7.0),
        )
        return _tones(t, [(620 * f * r, a, d) for r, a, d in ratios])
    if kind == "frog":
        t = _time(0.5)
        throat = _tones(t, [(430 * f * k, 1 / k, 0) for k in (1, 2, 3, 4)])
        return _fade(throat * np.clip(np.sin(2 * math.pi * 26 * t), 0, 1) ** 2 * np.sin(math.pi * t / t[-1]))
    if kind == "bird":
        t = _time(0.13)
        chirp = _fade(_sweep(f * (2200 + 1500 * np.sin(math.pi * t / t[-1]))), 0.02)
        return np.concatenate([chirp, np.zeros(700), chirp, np.zeros(700), chirp])
    if kind == "owl":
        t = _time(0.3)
        hoot = _fade(_tones(t, [(340 * f, 1, 0), (680 * f, 0.15, 0)]) * np.sin(math.pi * t / t[-1]), 0.04)
        return np.concatenate([hoot, np.zeros(1200), hoot])
    if kind == "clock":
        ticks = []
        for tone in (2100.0, 1500.0):
            t = _time(0.09)
            ticks += [_tones(t, [(tone * f, 1, 60), (tone * 1.63 * f, 0.6, 80)]), np.zeros(2400)]
        return np.concatenate(ticks)
    if kind == "drum":
        t = _time(0.45)
        skin = _sweep(f * (95 + 130 * np.exp(-18 * t))) * np.exp(-8 * t)
        return skin + 0.25 * _band_noise(len(t), 900 * f, 500 * f, rng) * np.exp(-30 * t)
    if kind == "guitar":
        t = _time(0.8)
        notes = [
            np.pad(_tones(t, [(196 * f * r * k, 1 / k, 2 + 1.4 * k) for k in range(1, 7)])[: len(t) - s], (s, 0))
            for r, s in ((1, 0), (1.26, 500), (1.498, 1000))
        ]
        return sum(notes, np.zeros(len(t))) / 2
    if kind == "train":
        t = _time(0.75)
        horn = sum((_tones(t, [(h * f, 0.5, 0), (2 * h * f, 0.25, 0)]) for h in (392, 466, 587)), np.zeros(len(t)))
        return _fade(horn + 0.12 * rng.standard_normal(len(t)), 0.06)
    if kind == "siren":
        t = _time(0.85)
        return _fade(_sweep(f * (700 + 500 * np.sin(2 * math.pi * 2.3 * t))), 0.03)
    if kind == "helicopter":
        t = _time(0.85)
        blades = np.exp(-((t * 15 % 1) ** 2) * 14)
        return _fade(_band_noise(len(t), 260 * f, 160 * f, rng) * blades * 0.8, 0.06)
    if kind == "bee":
        t = _time(0.75)
        pitch = 215 * f * (1 + 0.04 * np.sin(2 * math.pi * 6 * t + rng.uniform(0, 6)))
        turns = np.cumsum(pitch) / SAMPLE_RATE
        return _fade(2 * (turns % 1) - 1, 0.08) * 0.7
    t = _time(0.85)
    rumble = _band_noise(len(t), 40 * f, 70 * f, rng) * np.exp(-3 * t)
    crack = 0.5 * _band_noise(len(t), 1200 * f, 900 * f, rng) * np.exp(-25 * t)
    return _fade(rumble + crack, 0.005)


def sound(scene: Scene) -> NDArray[np.float32]:
    """Synthesise a scene: ``[48000]`` float32 at 16 kHz, in [-1, 1].

    The pitch falls by 1.8 octaves from the smallest to the largest; the calls lie in different seconds.
    """
    rng = np.random.default_rng([scene.seed, 2])
    factor = 2.0 ** (0.9 - 1.8 * scene.size)
    wave = np.zeros(SAMPLES)
    for second in sorted(rng.permutation(3)[: scene.count]):
        call = _call(KINDS[scene.kind].name, factor * float(rng.uniform(0.99, 1.01)), rng)
        start = int((second + rng.uniform(0.0, 0.14)) * SAMPLE_RATE)
        wave[start : start + len(call)] += call * rng.uniform(0.8, 1.0)
    wave = _reverb(wave, float(rng.uniform(0.0, 0.25)), rng)
    wave *= rng.uniform(0.3, 0.8) / (np.abs(wave).max() + 1e-9)
    wave += rng.standard_normal(SAMPLES) * 10 ** rng.uniform(-3.5, -2.2)
    return np.clip(wave, -1, 1).astype(np.float32)


def _reverb(wave: Wave, wet: float, rng: np.random.Generator) -> Wave:
    tail = rng.standard_normal(SAMPLE_RATE // 4) * np.exp(-np.arange(SAMPLE_RATE // 4) / (0.05 * SAMPLE_RATE))
    size = 1 << (len(wave) + len(tail)).bit_length()
    echo = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail / np.linalg.norm(tail), size), size)
    return wave + wet * echo[: len(wave)]
