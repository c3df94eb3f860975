"""Who and what stands on a tile, drawn with the shapes of ``Canvas`` in the unit square."""

from math import cos, pi, sin

from renderers import palette as p
from renderers.canvas import Canvas, Color


def shadow(canvas: Canvas, x: float, y: float, across: float, down: float) -> None:
    """Soft shadow on the ground."""
    canvas.ellipse(x, y, across, down, p.SHADOW, alpha=110, blur=0.03)


def body(canvas: Canvas, coat: Color, coat_low: Color, x: float = 0.5, y: float = 0.0) -> None:
    """Trunk, arms and feet of a player."""
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.12, y + 0.89, 0.1, 0.06, p.INK)
        canvas.line([(x + side * 0.19, y + 0.64), (x + side * 0.27, y + 0.73)], coat_low, 0.12)
        canvas.ellipse(x + side * 0.285, y + 0.745, 0.065, 0.065, p.SKIN_LOW)
    canvas.rectangle(x - 0.22, y + 0.52, 0.44, 0.36, coat, radius=0.14, to=coat_low)


def head(canvas: Canvas, x: float = 0.5, y: float = 0.0, *, startled: bool = False) -> None:
    """Face of a player: two eyes, cheeks, and a smile or an open mouth."""
    canvas.ellipse(x, y + 0.39, 0.255, 0.24, p.SKIN, to=p.SKIN_LOW)
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.175, y + 0.48, 0.045, 0.03, p.CHEEK, alpha=150)
        eye = x + side * 0.095
        canvas.ellipse(eye, y + 0.41, 0.05, 0.062, p.INK)
        canvas.ellipse(eye + 0.014, y + 0.388, 0.02, 0.022, p.PAPER)
    if startled:
        canvas.ellipse(x, y + 0.53, 0.045, 0.055, p.RED_LOW)
        return
    smile = [(-0.07, 0.515), (-0.035, 0.537), (0.0, 0.544), (0.035, 0.537), (0.07, 0.515)]
    canvas.line([(x + dx, y + dy) for dx, dy in smile], p.INK, 0.024)


def helmet(canvas: Canvas) -> None:
    """A builder's yellow helmet."""
    canvas.ellipse(0.5, 0.21, 0.235, 0.17, p.GOLD, to=p.GOLD_LOW)
    canvas.rectangle(0.22, 0.2, 0.56, 0.07, p.GOLD_LOW, radius=0.035)
    canvas.rectangle(0.23, 0.2, 0.54, 0.035, p.GOLD, radius=0.018)
    canvas.rectangle(0.46, 0.06, 0.08, 0.15, p.PAPER, radius=0.03, alpha=170)


def woollen_hat(canvas: Canvas, x: float = 0.5, y: float = 0.0) -> None:
    """A red bobble hat."""
    canvas.ellipse(x, y + 0.205, 0.235, 0.125, p.RED, to=p.RED_LOW)
    canvas.rectangle(x - 0.26, y + 0.225, 0.52, 0.1, p.SNOW, radius=0.045, to=p.ICE_LOW)
    canvas.ellipse(x, y + 0.085, 0.065, 0.065, p.GOLD, to=p.GOLD_LOW)


def star(canvas: Canvas, x: float, y: float, radius: float, color: Color) -> None:
    """A five-pointed star."""
    points = [
        (x + r * sin(pi * k / 5), y - r * cos(pi * k / 5))
        for k in range(10)
        for r in (radius if k % 2 == 0 else radius * 0.45,)
    ]
    canvas.polygon(points, color)


def sparkle(canvas: Canvas, x: float, y: float, radius: float, color: Color) -> None:
    """A four-pointed gleam."""
    r = radius * 0.26
    diagonal = [(x, y - radius), (x + r, y - r), (x + radius, y), (x + r, y + r)]
    diagonal += [(x, y + radius), (x - r, y + r), (x - radius, y), (x - r, y - r)]
    canvas.polygon(diagonal, color)
