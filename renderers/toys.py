"""Small coloured solids and signs, drawn around a point with the shapes of ``Canvas``."""

from collections.abc import Callable

from renderers import figures
from renderers import palette as p
from renderers.canvas import Canvas, Color, Point

Shape = Callable[[Canvas, float, float, float, Color, Color, Color], None]


def toy(canvas: Canvas, name: str, x: float, y: float, size: float, ground: Color) -> None:
    """Draw an object by its name, a colour and a shape such as ``red cube``, ``size`` tiles wide
    and high, its middle at (``x``, ``y``), on ``ground``. Raises ``KeyError`` for any other name.
    """
    colour, shape = name.split(" ")
    light, dark, rim = p.TOYS[colour]
    around = size * 0.06
    _SHAPES[shape](canvas, x, y, size + 2 * around, rim, rim, ground)
    _SHAPES[shape](canvas, x, y, size - around, light, dark, ground)


def _at(x: float, y: float, size: float, *points: Point) -> list[Point]:
    """Points of the unit square around its middle, moved and scaled."""
    return [(x + dx * size, y + dy * size) for dx, dy in points]


def _cube(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    middle, top, bottom = (0.0, -0.06), (0.0, -0.46), (0.0, 0.46)
    left, right = (-0.42, -0.26), (0.42, -0.26)
    low_left, low_right = (-0.42, 0.24), (0.42, 0.24)
    canvas.polygon(_at(x, y, s, middle, left, low_left, bottom), light)
    canvas.polygon(_at(x, y, s, middle, right, low_right, bottom), dark)
    canvas.polygon(_at(x, y, s, middle, left, top, right), light)
    canvas.polygon(_at(x, y, s, middle, left, top, right), p.PAPER, alpha=80 * (light != dark))


def _ball(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    canvas.ellipse(x, y, 0.44 * s, 0.44 * s, light, to=dark)
    if light != dark:
        canvas.ellipse(x - 0.15 * s, y - 0.18 * s, 0.12 * s, 0.09 * s, p.PAPER, alpha=150)


def _cone(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    canvas.polygon(_at(x, y, s, (0.0, -0.46), (-0.4, 0.3), (0.4, 0.3)), light)
    canvas.ellipse(x, y + 0.3 * s, 0.4 * s, 0.15 * s, light)
    canvas.polygon(_at(x, y, s, (0.0, -0.46), (0.12, 0.44), (0.4, 0.3)), dark)
    canvas.polygon(_at(x, y, s, (0.12, 0.44), (0.4, 0.3), (0.3, 0.4)), dark)


def _cylinder(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    canvas.ellipse(x, y + 0.32 * s, 0.34 * s, 0.13 * s, dark)
    canvas.rectangle(x - 0.34 * s, y - 0.3 * s, 0.68 * s, 0.62 * s, light, to=dark)
    canvas.ellipse(x, y - 0.3 * s, 0.34 * s, 0.14 * s, light)
    canvas.ellipse(x, y - 0.3 * s, 0.34 * s, 0.14 * s, p.PAPER, alpha=80 * (light != dark))


def _ring(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    canvas.ellipse(x, y, 0.45 * s, 0.45 * s, light, to=dark)
    canvas.ellipse(x, y, 0.21 * s, 0.21 * s, dark)
    canvas.ellipse(x, y, 0.17 * s, 0.17 * s, ground)


def _star(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    figures.star(canvas, x, y + 0.04 * s, 0.5 * s, light)


def _heart(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.2 * s, y - 0.14 * s, 0.25 * s, 0.25 * s, light)
    below = (-0.42, -0.03), (0.0, -0.1), (0.42, -0.03), (0.0, 0.46)
    canvas.polygon(_at(x, y, s, *below), light, to=dark)


def _cross(
    canvas: Canvas, x: float, y: float, s: float, light: Color, dark: Color, ground: Color
) -> None:
    arm, reach = 0.3 * s, 0.88 * s
    canvas.rectangle(x - reach / 2, y - arm / 2, reach, arm, light, radius=0.04 * s)
    canvas.rectangle(x - arm / 2, y - reach / 2, arm, reach, light, radius=0.04 * s)


_SHAPES: dict[str, Shape] = {
    "cube": _cube,
    "ball": _ball,
    "cone": _cone,
    "cylinder": _cylinder,
    "ring": _ring,
    "star": _star,
    "heart": _heart,
    "cross": _cross,
}
