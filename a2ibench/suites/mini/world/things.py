"""How each kind of thing is drawn, and the silent things that lie about."""

from collections.abc import Callable, Sequence

from PIL import ImageDraw

Colour = tuple[int, int, int]


class Pen:
    """Draws in an object's own units: centre (0, 0), radius 1, y downwards.

    Parameters
    ----------
    draw
        Of the canvas.
    x, y, radius
        In pixels of the canvas.
    flip
        Mirror left and right.
    tint
        Factors on red, green and blue.
    stretch
        How much wider and higher than at rest.

    """

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        x: float,
        y: float,
        radius: float,
        *,
        flip: bool = False,
        tint: Sequence[float] = (1.0, 1.0, 1.0),
        stretch: tuple[float, float] = (1.0, 1.0),
    ):
        self._draw, self._x, self._y, self._tint = draw, x, y, tint
        self._wide, self._high = radius * stretch[0], radius * stretch[1]
        self._r, self._sign = radius, (-1.0 if flip else 1.0)

    def _colour(self, colour: Colour) -> Colour:
        r, g, b = (max(0, min(255, round(c * t))) for c, t in zip(colour, self._tint, strict=True))
        return r, g, b

    def _points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self._x + self._sign * self._wide * x, self._y + self._high * y) for x, y in points]

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        cx, cy = self._x + self._sign * self._wide * x, self._y + self._high * y
        return cx - self._wide * rx, cy - self._high * ry, cx + self._wide * rx, cy + self._high * ry

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse with half axes ``rx``, ``ry``."""
        self._draw.ellipse(self._box(x, y, rx, ry), fill=self._colour(colour))

    def box(self, x: float, y: float, rx: float, ry: float, colour: Colour, corner: float = 0.0) -> None:
        """Fill a box of half sides ``rx``, ``ry``, its corners rounded."""
        self._draw.rounded_rectangle(self._box(x, y, rx, ry), radius=corner * self._r, fill=self._colour(colour))

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._points(points), fill=self._colour(colour))

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        """Draw a line through points."""
        self._draw.line(self._points(points), fill=self._colour(colour), width=round(width * self._r), joint="curve")


_DARK, _WHITE, _BLACK = (45, 40, 50), (248, 246, 240), (20, 20, 26)


def _bell(pen: Pen) -> None:
    gold, shade = (240, 180, 40), (176, 112, 16)
    pen.ellipse(0, 0.72, 0.24, 0.24, (110, 66, 20))
    pen.ellipse(0, -0.78, 0.2, 0.2, shade)
    pen.ellipse(0, -0.2, 0.6, 0.62, gold)
    pen.polygon([(-0.6, -0.2), (0.6, -0.2), (0.92, 0.62), (-0.92, 0.62)], gold)
    pen.box(0, 0.56, 0.98, 0.15, shade, 0.14)


def _frog(pen: Pen) -> None:
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


def _bird(pen: Pen) -> None:
    blue, deep = (40, 130, 220), (24, 84, 168)
    pen.polygon([(-0.5, 0.1), (-1.0, -0.3), (-1.0, 0.3)], deep)
    pen.ellipse(-0.06, 0.22, 0.68, 0.52, blue)
    pen.ellipse(0.4, -0.3, 0.42, 0.42, blue)
    pen.ellipse(0.12, 0.44, 0.42, 0.26, (250, 214, 150))
    pen.polygon([(0.74, -0.44), (1.06, -0.26), (0.74, -0.1)], (246, 158, 30))
    pen.ellipse(-0.2, 0.12, 0.38, 0.26, deep)
    pen.ellipse(0.48, -0.36, 0.13, 0.13, _BLACK)


def _owl(pen: Pen) -> None:
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


def _drum(pen: Pen) -> None:
    pen.box(0, 0.18, 0.88, 0.5, (206, 44, 50))
    pen.ellipse(0, 0.66, 0.88, 0.3, (206, 44, 50))
    for x in (-0.6, 0.0, 0.6):
        pen.line([(x - 0.22, -0.2), (x, 0.78 - 0.1 * abs(x))], 0.1, (246, 204, 70))
        pen.line([(x + 0.22, -0.2), (x, 0.78 - 0.1 * abs(x))], 0.1, (246, 204, 70))
    pen.ellipse(0, -0.3, 0.94, 0.38, (246, 204, 70))
    pen.ellipse(0, -0.34, 0.82, 0.29, (250, 240, 222))


def _body(pen: Pen, waist: float) -> None:
    """The body, neck and head that a guitar and a violin share."""
    wood, dark = (196, 112, 44), (92, 50, 24)
    pen.line([(0.1, -0.1), (0.74, -0.92)], 0.18, dark)
    pen.line([(0.64, -0.8), (0.86, -1.06)], 0.32, dark)
    pen.ellipse(-0.32, 0.42, 0.6, 0.56, wood)
    pen.ellipse(0.06, -0.02, waist, waist, wood)


def _guitar(pen: Pen) -> None:
    _body(pen, 0.42)
    pen.ellipse(-0.14, 0.2, 0.24, 0.24, _DARK)
    pen.line([(-0.66, 0.44), (-0.36, 0.76)], 0.14, (92, 50, 24))


def _violin(pen: Pen) -> None:
    _body(pen, 0.4)
    pen.line([(-0.42, 0.06), (-0.2, 0.5)], 0.09, _DARK)
    pen.line([(-0.3, -0.06), (0.0, 0.24)], 0.09, _DARK)
    pen.line([(-1.0, -0.3), (0.62, 0.86)], 0.1, _WHITE)


def _ship(pen: Pen) -> None:
    pen.box(0.12, -0.62, 0.17, 0.32, (214, 60, 50))
    pen.box(0.12, -0.82, 0.17, 0.1, _BLACK)
    pen.box(-0.04, -0.1, 0.52, 0.26, _WHITE, 0.08)
    for x in (-0.34, -0.04, 0.26):
        pen.ellipse(x, -0.1, 0.1, 0.1, (60, 110, 170))
    pen.polygon([(-1.04, 0.14), (1.04, 0.14), (0.7, 0.8), (-0.74, 0.8)], (44, 56, 92))
    pen.polygon([(-0.9, 0.56), (0.83, 0.56), (0.7, 0.8), (-0.74, 0.8)], (190, 50, 46))


def _train(pen: Pen) -> None:
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


def _siren(pen: Pen) -> None:
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


def _bee(pen: Pen) -> None:
    yellow = (250, 202, 40)
    pen.ellipse(-0.24, -0.5, 0.32, 0.44, (214, 234, 248))
    pen.ellipse(0.26, -0.5, 0.32, 0.44, (214, 234, 248))
    pen.ellipse(-0.08, 0.2, 0.82, 0.54, yellow)
    pen.box(-0.42, 0.2, 0.12, 0.46, _BLACK, 0.1)
    pen.box(-0.04, 0.2, 0.12, 0.52, _BLACK, 0.1)
    pen.ellipse(0.62, 0.1, 0.36, 0.36, _DARK)
    pen.ellipse(0.7, 0.02, 0.13, 0.13, _WHITE)
    pen.polygon([(-0.84, 0.1), (-1.08, 0.22), (-0.84, 0.34)], _BLACK)


def _thunder(pen: Pen) -> None:
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


DRAW: dict[str, Callable[[Pen], None]] = {
    "bell": _bell, "frog": _frog, "bird": _bird, "owl": _owl, "drum": _drum, "guitar": _guitar, "violin": _violin,
    "train": _train, "ship": _ship, "siren": _siren, "bee": _bee, "thunder": _thunder,
}  # fmt: skip


# ------------------------------------------------------------------------------------------ silent things


def _ball(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.9, 0.9, (226, 90, 80))
    pen.box(0, 0, 0.88, 0.2, _WHITE, 0.1)


def _crate(pen: Pen) -> None:
    pen.box(0, 0, 0.85, 0.85, (176, 130, 80))
    pen.line([(-0.7, -0.7), (0.7, 0.7)], 0.2, (130, 90, 50))


def _mushroom(pen: Pen) -> None:
    pen.box(0, 0.45, 0.24, 0.5, (236, 224, 200), 0.1)
    pen.ellipse(0, -0.1, 0.9, 0.55, (206, 70, 66))
    pen.ellipse(-0.3, -0.2, 0.18, 0.14, _WHITE)
    pen.ellipse(0.34, -0.06, 0.16, 0.12, _WHITE)


def _bush(pen: Pen) -> None:
    for x, y, r in ((-0.5, 0.2, 0.5), (0.5, 0.2, 0.5), (0, -0.2, 0.6)):
        pen.ellipse(x, y, r, r, (70, 130, 70))


def _stone(pen: Pen) -> None:
    pen.ellipse(0, 0.2, 0.95, 0.6, (140, 138, 142))
    pen.ellipse(-0.2, 0.05, 0.5, 0.3, (168, 166, 170))


def _star(pen: Pen) -> None:
    pen.polygon([(0, -1), (0.28, -0.28), (1, 0), (0.28, 0.28), (0, 1), (-0.28, 0.28), (-1, 0), (-0.28, -0.28)],
                (250, 220, 90))  # fmt: skip


SILENT: tuple[Callable[[Pen], None], ...] = (_ball, _crate, _mushroom, _bush, _stone, _star)
