"""Sokoban: brick walls, wooden crates that turn green on their glowing targets, a builder."""

from functools import lru_cache

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.atlas import Atlas, numbers_of
from renderers.canvas import Canvas
from renderers.dispatch import draw
from text_envs.games.sokoban import SokobanState

_CODES = b"#_OX*PS"


@draw.register
def draw_sokoban(state: SokobanState, tile: int = 32) -> np.ndarray:
    """Draw a Sokoban position, a tile a cell."""
    numbers = numbers_of(state.board, state.stride, _CODES)
    shaded = numbers.copy()
    shaded[1:][numbers[:-1] == 0] += len(_CODES)  # walls throw a shadow on the cell below
    return _atlas(tile).assemble(shaded)


@lru_cache(maxsize=8)
def _atlas(tile: int) -> Atlas:
    return Atlas([_tile(code, tile, shaded) for shaded in (False, True) for code in _CODES])


def _tile(code: int, tile: int, shaded: bool) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.JOINT)
    if code == ord("#"):
        _wall(canvas)
        return canvas.picture()
    canvas.rectangle(0.015, 0.015, 0.97, 0.97, p.STONE, to=p.STONE_LOW, radius=0.03)
    if code in b"O*S":
        _target(canvas)
    if shaded:
        canvas.rectangle(-0.2, -0.14, 1.4, 0.22, p.SHADOW, alpha=120, blur=0.05)
    if code in b"X*":
        _crate(canvas, placed=code == ord("*"))
    elif code in b"PS":
        figures.shadow(canvas, 0.52, 0.9, 0.31, 0.09)
        figures.body(canvas, p.BLUE, p.BLUE_LOW)
        figures.head(canvas)
        figures.helmet(canvas)
    return canvas.picture()


def _wall(canvas: Canvas) -> None:
    canvas.rectangle(0, 0, 1, 1, p.MORTAR)
    height, gap = 1 / 3, 0.028
    for row in range(3):
        shift = 0.25 if row % 2 else 0.0
        for k in range(-1, 3):
            x, y = k * 0.5 + shift + gap, row * height + gap
            wide, high = 0.5 - 2 * gap, height - 2 * gap
            canvas.rectangle(x, y, wide, high, p.BRICK, radius=0.03, to=p.BRICK_LOW)
            canvas.rectangle(x + 0.02, y, wide - 0.04, 0.035, p.BRICK_LIGHT)


def _target(canvas: Canvas) -> None:
    canvas.rectangle(0.1, 0.1, 0.8, 0.8, p.TARGET_LIGHT, radius=0.1, alpha=150, blur=0.05)
    canvas.ellipse(0.5, 0.5, 0.27, 0.27, p.TARGET)
    canvas.ellipse(0.5, 0.5, 0.195, 0.195, p.STONE)
    canvas.ellipse(0.5, 0.5, 0.11, 0.11, p.TARGET)
    canvas.ellipse(0.5, 0.475, 0.05, 0.04, p.TARGET_LIGHT)
    for x in (0.09, 0.91):  # corners that show around whoever stands here
        for y in (0.09, 0.91):
            inwards = (0.5 - x) * 0.5, (0.5 - y) * 0.5
            canvas.line([(x + inwards[0], y), (x, y), (x, y + inwards[1])], p.TARGET, 0.075)


def _crate(canvas: Canvas, *, placed: bool) -> None:
    wood, low, dark, light = (
        (p.GREEN, p.GREEN_LOW, p.GREEN_DARK, p.GREEN_LIGHT)
        if placed
        else (p.WOOD, p.WOOD_LOW, p.WOOD_DARK, p.WOOD_LIGHT)
    )
    canvas.rectangle(0.13, 0.16, 0.82, 0.8, p.SHADOW, radius=0.06, alpha=130, blur=0.03)
    canvas.rectangle(0.08, 0.08, 0.84, 0.84, dark, radius=0.07)
    canvas.rectangle(0.105, 0.1, 0.79, 0.79, wood, radius=0.05, to=low)
    canvas.rectangle(0.2, 0.2, 0.6, 0.6, dark, radius=0.02)
    for k in range(3):
        canvas.rectangle(0.22 + k * 0.19, 0.22, 0.175, 0.56, low, to=wood)
    if not placed:
        canvas.line([(0.26, 0.74), (0.74, 0.26)], dark, 0.16)
        canvas.line([(0.26, 0.74), (0.74, 0.26)], wood, 0.11)
    canvas.rectangle(0.13, 0.105, 0.74, 0.03, light, radius=0.015)
    for x in (0.15, 0.85):
        for y in (0.155, 0.84):
            canvas.ellipse(x, y, 0.026, 0.026, dark)
    if placed:
        figures.star(canvas, 0.5, 0.51, 0.29, dark)
        figures.star(canvas, 0.5, 0.5, 0.25, p.GOLD)
