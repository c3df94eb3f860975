"""Frozen lake: ice with fine cracks, holes of deep water, a present at the goal, a player in a
woollen hat.
"""

from functools import lru_cache

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.atlas import Atlas, numbers_of
from renderers.canvas import Canvas, Color, Point
from renderers.dispatch import draw
from text_envs.games.frozen_lake import FrozenLakeState

_CODES = b"_OG"
_CRACKS = (
    (),
    ((0.12, 0.3), (0.3, 0.36), (0.4, 0.5), (0.62, 0.54)),
    ((0.85, 0.2), (0.7, 0.34), (0.72, 0.5), (0.56, 0.66)),
    ((0.2, 0.82), (0.34, 0.7), (0.52, 0.74), (0.66, 0.64)),
)


@draw.register
def draw_frozen_lake(state: FrozenLakeState, tile: int = 32) -> np.ndarray:
    """Draw a lake and the player on it, a tile a cell."""
    numbers = numbers_of(state.board, state.stride, _CODES)
    row, column = divmod(state.player, state.stride)
    numbers = numbers + _places(*numbers.shape)
    numbers[row, column] += len(_CODES)
    return _atlas(tile).assemble(numbers)


@lru_cache(maxsize=64)
def _places(rows: int, columns: int) -> np.ndarray:
    """First tile number of each place: the ice cracks in four ways, by place alone."""
    row, column = np.indices((rows, columns))
    return (row * 5 + 3) * (column * 7 + 5) // 4 % len(_CRACKS) * 2 * len(_CODES)


@lru_cache(maxsize=8)
def _atlas(tile: int) -> Atlas:
    return Atlas(
        [
            _tile(code, cracks, player, tile)
            for cracks in _CRACKS
            for player in (False, True)
            for code in _CODES
        ]
    )


def _tile(code: int, cracks: tuple[Point, ...], player: bool, tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.ICE_EDGE)
    canvas.rectangle(0.015, 0.015, 0.97, 0.97, p.ICE, to=p.ICE_LOW, radius=0.04)
    if code == ord("O"):
        _hole(canvas)
        if player:
            _swimmer(canvas)
        return canvas.picture()
    _gleam(canvas)
    if cracks:
        canvas.line(cracks, p.CRACK, 0.022)
        middle = cracks[1]
        canvas.line([middle, (middle[0] + 0.1, middle[1] - 0.12)], p.CRACK, 0.018)
    if player:
        _skater(canvas, winner=code == ord("G"))
    elif code == ord("G"):
        _present(canvas, 0.5, 0.0, 1.0)
    return canvas.picture()


def _gleam(canvas: Canvas) -> None:
    for x, wide in ((0.58, 0.1), (0.74, 0.04)):
        slant = [(x, 0.1), (x + wide, 0.1), (x + wide - 0.28, 0.5), (x - 0.28, 0.5)]
        canvas.polygon(slant, p.SNOW, alpha=120)


def _hole(canvas: Canvas) -> None:
    canvas.ellipse(0.5, 0.52, 0.44, 0.41, p.SNOW, to=p.ICE_EDGE)
    canvas.ellipse(0.5, 0.53, 0.39, 0.36, p.WATER_DEEP, to=p.WATER)
    canvas.ellipse(0.5, 0.48, 0.33, 0.27, p.WATER_DEEP, alpha=170, blur=0.04)
    canvas.line([(0.3, 0.74), (0.42, 0.79), (0.54, 0.8)], p.RIPPLE, 0.03, alpha=190)
    canvas.line([(0.64, 0.76), (0.7, 0.72)], p.RIPPLE, 0.03, alpha=190)


def _swimmer(canvas: Canvas) -> None:
    for across in (0.33, 0.27):
        canvas.ellipse(0.5, 0.68, across, across * 0.45, p.RIPPLE, alpha=200)
        canvas.ellipse(0.5, 0.68, across - 0.03, across * 0.45 - 0.03, p.WATER)
    for side in (-1, 1):  # arms thrown up
        canvas.line([(0.5 + side * 0.2, 0.68), (0.5 + side * 0.31, 0.36)], p.BLUE, 0.11)
        canvas.ellipse(0.5 + side * 0.32, 0.31, 0.065, 0.065, p.SKIN_LOW)
    figures.head(canvas, y=0.06, startled=True)
    figures.woollen_hat(canvas, y=0.04)
    canvas.ellipse(0.5, 0.8, 0.25, 0.1, p.WATER)
    canvas.line([(0.27, 0.73), (0.38, 0.77), (0.5, 0.75), (0.62, 0.77), (0.73, 0.73)], p.SNOW, 0.04)


def _skater(canvas: Canvas, *, winner: bool) -> None:
    if winner:
        canvas.ellipse(0.5, 0.5, 0.36, 0.36, p.GOLD, alpha=235, blur=0.06)
    figures.shadow(canvas, 0.52, 0.9, 0.31, 0.09)
    figures.body(canvas, p.BLUE, p.BLUE_LOW)
    figures.head(canvas)
    figures.woollen_hat(canvas)
    canvas.line([(0.31, 0.6), (0.5, 0.64), (0.69, 0.6)], p.GOLD, 0.085)
    canvas.line([(0.64, 0.62), (0.66, 0.74)], p.GOLD_LOW, 0.085)
    if winner:
        _present(canvas, 0.5, 0.46, 0.52)
        for x, y, radius in ((0.14, 0.2, 0.13), (0.87, 0.28, 0.15), (0.12, 0.56, 0.1)):
            figures.sparkle(canvas, x, y, radius, p.GOLD_LOW)


def _present(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A present with a bow, its middle at ``x``, its tile beginning at ``y``, ``size`` high."""

    def box(left: float, top: float, wide: float, high: float, color: Color, to: Color) -> None:
        canvas.rectangle(x + left * size, y + top * size, wide * size, high * size, color, to=to)

    def disc(left: float, top: float, across: float, down: float, color: Color) -> None:
        canvas.ellipse(x + left * size, y + top * size, across * size, down * size, color)

    figures.shadow(canvas, x + 0.02, y + 0.88 * size, 0.36 * size, 0.07 * size)
    box(-0.29, 0.44, 0.58, 0.44, p.RED, p.RED_LOW)
    box(-0.33, 0.34, 0.66, 0.16, p.RED, p.RED_LOW)
    box(-0.06, 0.34, 0.12, 0.54, p.GOLD, p.GOLD_LOW)
    box(-0.33, 0.475, 0.66, 0.025, p.RED_LOW, p.RED_LOW)
    for side in (-1, 1):
        disc(side * 0.13, 0.26, 0.12, 0.08, p.GOLD)
        disc(side * 0.13, 0.265, 0.06, 0.035, p.GOLD_LOW)
    disc(0.0, 0.29, 0.06, 0.06, p.GOLD_LOW)
