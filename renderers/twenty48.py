"""2048: a board of rounded tiles, pale for small numbers, glowing for great ones."""

from functools import lru_cache

import numpy as np

from renderers import palette as p
from renderers.atlas import Atlas
from renderers.canvas import Canvas
from renderers.dispatch import draw
from renderers.glyphs import line_mask
from text_envs.games.twenty48 import Twenty48State

_SIDE = 2  # tiles of a cell
_PALE_DIGITS = (64, 16384, 32768)  # tiles too dark for digits in ink
_HIGH = (0.0, 1.3, 1.25, 1.0, 0.74, 0.6)  # of a digit, by how many there are


@draw.register
def draw_twenty48(state: Twenty48State, tile: int = 32) -> np.ndarray:
    """Draw the board, two tiles a cell, in a frame of half a tile."""
    numbers = np.frombuffer(state.board, np.uint8).reshape(state.size, state.size)
    picture = _frame(state.size, tile).copy()
    edge, side = tile // 2, _SIDE * tile * state.size
    picture[edge : edge + side, edge : edge + side] = _atlas(tile).assemble(numbers)
    return picture


@lru_cache(maxsize=16)
def _frame(size: int, tile: int) -> np.ndarray:
    side = _SIDE * size + 1
    canvas = Canvas(side, side, tile, p.NIGHT)
    canvas.rectangle(0.08, 0.08, side - 0.16, side - 0.16, p.BOARD_LOW, radius=0.34)
    canvas.rectangle(0.12, 0.12, side - 0.24, side - 0.26, p.BOARD, radius=0.3)
    return canvas.picture()


@lru_cache(maxsize=8)
def _atlas(tile: int) -> Atlas:
    return Atlas([_cell(k, tile) for k in range(len(p.TILES) + 1)])


def _cell(k: int, tile: int) -> np.ndarray:
    canvas = Canvas(_SIDE, _SIDE, tile, p.BOARD)
    if k == 0:
        canvas.rectangle(0.1, 0.1, 1.8, 1.8, p.NO_TILE, radius=0.2)
        return canvas.picture()
    light, dark = p.TILES[k - 1]
    if 1 << k >= 2048:
        canvas.rectangle(0.06, 0.06, 1.88, 1.88, p.GOLD, radius=0.24, alpha=160, blur=0.05)
    canvas.rectangle(0.1, 0.14, 1.8, 1.8, p.SHADOW, radius=0.2, alpha=60, blur=0.02)
    canvas.rectangle(0.1, 0.1, 1.8, 1.8, dark, radius=0.2)
    canvas.rectangle(0.1, 0.1, 1.8, 1.72, light, to=dark, radius=0.2)
    digits = str(1 << k)
    color = p.PAPER if 1 << k in _PALE_DIGITS else p.INK
    mask = line_mask(digits, round(_HIGH[len(digits)] * canvas.unit))
    x, y = 1 - mask.shape[1] / canvas.unit / 2, 1 - mask.shape[0] / canvas.unit / 2
    for shift in (-0.02, 0.0, 0.02):  # bold
        canvas.stamp(mask, x + shift, y, color)
    return canvas.picture()
