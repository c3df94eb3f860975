"""Sudoku: a printed grid with thick lines around the boxes, given digits in black on grey, the
player's own in blue on white.
"""

from functools import lru_cache
from math import isqrt

import numpy as np

from renderers import palette as p
from renderers.atlas import Atlas
from renderers.canvas import Canvas, Color
from renderers.dispatch import draw
from renderers.glyphs import line_mask
from text_envs.games.sudoku import SudokuState
from text_envs.games.sudoku_search import BOXES

_DIGITS = 10
_TINTS: tuple[tuple[Color, Color], ...] = (
    ((226, 228, 234), (255, 255, 255)),
    ((214, 218, 228), (243, 246, 252)),
)
"""Of boxes in turn: behind a given digit, behind the player's own or none."""


@draw.register
def draw_sudoku(state: SudokuState, tile: int = 32) -> np.ndarray:
    """Draw a grid, a tile a cell."""
    size = isqrt(len(state.cells))
    numbers = np.frombuffer(state.cells, np.uint8) + _kinds(state.givens)
    picture = _atlas(tile).assemble(numbers.reshape(size, size))
    for across, down, color in _lines(size, tile):
        picture[across] = color
        picture[:, down] = color
    return picture


@lru_cache(maxsize=1024)
def _kinds(givens: bytes) -> np.ndarray:
    """First tile number of each cell."""
    size = isqrt(len(givens))
    high, wide = BOXES[size]
    row, col = np.indices((size, size))
    shaded = ((row // high + col // wide) % len(_TINTS)).reshape(-1)
    given = np.frombuffer(givens, np.uint8) > 0
    return ((2 * shaded + ~given) * _DIGITS).astype(np.uint8)


@lru_cache(maxsize=32)
def _lines(size: int, tile: int) -> tuple[tuple[list[int], list[int], Color], ...]:
    """(pixel rows, pixel columns, colour) of the thin lines between cells, then of the thick ones
    around boxes.
    """
    high, wide = BOXES[size]
    thin, thick = max(1, tile // 32), max(2, tile // 10)
    return (
        (_stripes(size, 1, tile, thin), _stripes(size, 1, tile, thin), p.STEEL),
        (_stripes(size, high, tile, thick), _stripes(size, wide, tile, thick), p.INK),
    )


def _stripes(size: int, every: int, tile: int, width: int) -> list[int]:
    """Pixels of the lines at the edges of every so many cells; those at the rim lie inside."""
    last = size * tile - width
    starts = [min(max(0, k * tile - width // 2), last) for k in range(0, size + 1, every)]
    return [pixel for start in starts for pixel in range(start, start + width)]


@lru_cache(maxsize=8)
def _atlas(tile: int) -> Atlas:
    return Atlas(
        [
            _tile(digit, ink, paper, tile)
            for given, own in _TINTS
            for ink, paper in ((p.INK, given), (p.BLUE_LOW, own))
            for digit in range(_DIGITS)
        ]
    )


def _tile(digit: int, ink: Color, paper: Color, tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, paper)
    if digit:
        mask = line_mask(str(digit), round(0.86 * canvas.unit))
        high, wide = (side / canvas.unit for side in mask.shape)
        canvas.stamp(mask, 0.5 - wide / 2, 0.5 - high / 2 + 0.02, ink)
    return canvas.picture()
