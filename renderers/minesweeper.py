"""Minesweeper: raised keys over a flat ground, numbers in their well-known colours, and a head with
a counter of the mines not flagged yet and a face.

Only what the player sees is drawn: where the mines are, once one was hit.
"""

from functools import lru_cache

import numpy as np

from renderers import palette as p
from renderers.atlas import Atlas
from renderers.canvas import Canvas, Color
from renderers.dispatch import draw
from renderers.glyphs import line_mask
from text_envs.games.minesweeper import MinesweeperState

_CODES = b"#F012345678*X"
_WRONG = len(_CODES)
"""Number of the tile of a flag where there was no mine."""
_NUMBERS = bytes(max(0, _CODES.find(code)) for code in range(256))
_SEGMENTS = {
    "-": "g",
    "0": "abcdef",
    "1": "bc",
    "2": "abdeg",
    "3": "abcdg",
    "4": "bcfg",
    "5": "acdfg",
    "6": "acdefg",
    "7": "abc",
    "8": "abcdefg",
    "9": "abcdfg",
}
"""Digit -> its segments on the counter: ``a`` to ``f`` clockwise from the top, ``g`` in the middle.
"""
_ENDS = {
    "a": ((0, 0), (1, 0)),
    "b": ((1, 0), (1, 1)),
    "c": ((1, 1), (1, 2)),
    "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)),
    "f": ((0, 0), (0, 1)),
    "g": ((0, 1), (1, 1)),
}
_UNLIT: Color = (74, 40, 54)
_ROOM_FOR_FACE = 3
"""Columns of the narrowest head with a face."""


@draw.register
def draw_minesweeper(state: MinesweeperState, tile: int = 32) -> np.ndarray:
    """Draw a board, a tile a cell, below a head one tile high."""
    view, cols = state.view, state.cols
    numbers = np.frombuffer(view.translate(_NUMBERS), np.uint8).reshape(-1, cols)
    mines, flags = state.board.count(b"*"), view.count(b"F")
    mood = "plain"
    if b"X" in view:
        mood = "lost"
        numbers = np.where(numbers == _CODES.index(b"F"), np.uint8(_WRONG), numbers)
    elif view.count(b"#") + flags == mines:
        mood = "won"
    return np.concatenate([_head(cols, mines - flags, mood, tile), _atlas(tile).assemble(numbers)])


@lru_cache(maxsize=8)
def _atlas(tile: int) -> Atlas:
    return Atlas([_tile(number, tile) for number in range(len(_CODES) + 1)])


def _tile(number: int, tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.SLATE_LOW)
    code = chr(_CODES[number]) if number < _WRONG else ""
    if code in ("#", "F"):
        _key(canvas)
        if code == "F":
            _flag(canvas)
        return canvas.picture()
    face = p.RED if code == "X" else p.GROUND
    canvas.rectangle(0.03, 0.03, 0.97, 0.97, face)
    if code.isdigit() and code != "0":
        mask = line_mask(code, round(0.84 * canvas.unit))
        high, wide = (side / canvas.unit for side in mask.shape)
        canvas.stamp(mask, 0.515 - wide / 2, 0.53 - high / 2, p.COUNTS[int(code) - 1])
    elif code in ("*", "X"):
        _mine(canvas)
    elif number == _WRONG:
        _flag(canvas)
        for start, end in (((0.2, 0.2), (0.83, 0.83)), ((0.83, 0.2), (0.2, 0.83))):
            canvas.line([start, end], p.PAPER, 0.16)
            canvas.line([start, end], p.RED_LOW, 0.1)
    return canvas.picture()


def _key(canvas: Canvas, x: float = 0.0, y: float = 0.0, side: float = 1.0) -> None:
    """A raised key, lit from the upper left."""
    edge = 0.1 * side
    corners = [(x, y), (x + side, y), (x, y + side)]
    canvas.polygon(corners, p.SLATE_LIGHT)
    inner = side - 2 * edge
    canvas.rectangle(x + edge, y + edge, inner, inner, p.GROUND, to=p.SLATE)


def _flag(canvas: Canvas) -> None:
    canvas.ellipse(0.5, 0.79, 0.26, 0.06, p.INK)
    canvas.rectangle(0.36, 0.7, 0.28, 0.09, p.INK, radius=0.03)
    canvas.line([(0.53, 0.22), (0.53, 0.72)], p.INK, 0.06)
    canvas.polygon([(0.56, 0.17), (0.56, 0.53), (0.2, 0.35)], p.RED, to=p.RED_LOW)


def _mine(canvas: Canvas) -> None:
    for dx, dy in ((0.36, 0.0), (0.0, 0.36), (0.25, 0.25), (0.25, -0.25)):
        canvas.line([(0.515 - dx, 0.515 - dy), (0.515 + dx, 0.515 + dy)], p.INK, 0.075)
    canvas.ellipse(0.515, 0.515, 0.26, 0.26, p.STEEL_LOW, to=p.INK)
    canvas.ellipse(0.515, 0.53, 0.235, 0.235, p.INK)
    canvas.ellipse(0.43, 0.43, 0.07, 0.065, p.PAPER, alpha=230)


@lru_cache(maxsize=256)
def _head(cols: int, left: int, mood: str, tile: int) -> np.ndarray:
    """The counter on the left and a face in the middle, further right where there is no room."""
    canvas = Canvas(cols, 1, tile, p.SLATE)
    canvas.rectangle(0, 0, cols, 0.05, p.SLATE_LIGHT)
    canvas.rectangle(0, 0.94, cols, 0.06, p.SLATE_LOW)
    _counter(canvas, left)
    if cols >= _ROOM_FOR_FACE:
        _face(canvas, cols / 2 if cols > _ROOM_FOR_FACE else cols - 0.45, 0.49, mood)
    return canvas.picture()


def _counter(canvas: Canvas, left: int) -> None:
    """Three digits of glowing segments, with those that are out just visible."""
    canvas.rectangle(0.1, 0.14, 1.36, 0.72, p.INK, radius=0.06)
    shown = f"{max(-99, left):03d}"
    for place, character in enumerate(shown):
        lit = _SEGMENTS[character]
        x, y, wide, high = 0.21 + 0.42 * place, 0.24, 0.28, 0.26
        for name, corners in sorted(_ENDS.items(), key=lambda end: end[0] in lit):
            line = [(x + i * wide, y + j * high) for i, j in corners]
            canvas.line(line, p.RED if name in lit else _UNLIT, 0.075)


def _face(canvas: Canvas, x: float, y: float, mood: str) -> None:
    canvas.ellipse(x + 0.01, y + 0.03, 0.37, 0.37, p.SHADOW, alpha=90, blur=0.02)
    canvas.ellipse(x, y, 0.37, 0.37, p.INK)
    canvas.ellipse(x, y, 0.34, 0.34, p.GOLD, to=p.GOLD_LOW)
    for side in (-1, 1):
        eye = x + 0.13 * side
        if mood == "lost":
            for slope in (-1, 1):
                rise = 0.06 * slope
                ends = [(eye - 0.06, y - 0.09 - rise), (eye + 0.06, y - 0.09 + rise)]
                canvas.line(ends, p.INK, 0.04)
        elif mood == "won":
            canvas.ellipse(eye, y - 0.08, 0.115, 0.09, p.INK)
            canvas.line([(eye, y - 0.12), (x + 0.33 * side, y - 0.1)], p.INK, 0.035)
        else:
            canvas.ellipse(eye, y - 0.09, 0.045, 0.06, p.INK)
    if mood == "won":
        canvas.line([(x - 0.1, y - 0.1), (x + 0.1, y - 0.1)], p.INK, 0.035)
    bend = -1 if mood == "lost" else 1
    mouth = [(-0.16, 0.1), (-0.09, 0.16), (0.0, 0.18), (0.09, 0.16), (0.16, 0.1)]
    middle = y + 0.14
    canvas.line([(x + dx, middle + bend * (dy - 0.14)) for dx, dy in mouth], p.INK, 0.04)
