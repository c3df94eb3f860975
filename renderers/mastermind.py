"""Mastermind: the guesses from the top, the answer beside each, and which word means which colour.

Only what the player knows is drawn: the code is under cover until the game is over.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from renderers import palette as p
from renderers.canvas import Canvas, Color
from renderers.dispatch import draw
from renderers.glyphs import line_mask, printable
from text_envs.games.mastermind import MastermindState

_LEGEND = 3  # tiles to the right of the board
_NUMBERS, _TOP = 0.7, 1.6  # width of the row numbers, upper edge of the first guess
_EXACT, _MISPLACED = p.PEGS["black"], p.PEGS["white"]
_Shade = tuple[Color, Color]


@draw.register
def draw_mastermind(state: MastermindState, tile: int = 32) -> np.ndarray:
    """Draw the board. Its shape depends on the numbers of pegs, colours and guesses alone."""
    words, code, left, history, over, _ = state
    pegs, guesses = len(code), len(history) + left
    picture = _board(pegs, guesses, words, tile).copy()
    shades = _shades(words)
    if over:
        _put(picture, 0.3, [_cell(shades[color], p.INK, tile) for color in code], tile)
    for row, (guess, exact, misplaced) in enumerate(history):
        cells = [_cell(shades[color], p.STONE, tile) for color in guess]
        _put(picture, _TOP + row, [*cells, _answer(pegs, exact, misplaced, tile)], tile)
    if not over:
        cells = [_cell(None, p.GOLD, tile)] * pegs
        _put(picture, _TOP + len(history), cells, tile)
    return picture


def _put(picture: np.ndarray, y: float, cells: Iterable[np.ndarray], tile: int) -> None:
    """Put cells side by side, from the first peg on."""
    top, left = round(y * tile), round(_NUMBERS * tile)
    for cell in cells:
        high, wide = cell.shape[:2]
        picture[top : top + high, left : left + wide] = cell
        left += wide


@lru_cache(maxsize=64)
def _shades(words: tuple[str, ...]) -> tuple[_Shade, ...]:
    """Light and dark of each colour: its own where the word says so, else one that is free."""
    named = [p.PEGS.get(word.lower()) for word in words]
    free = iter([shade for shade in p.PEGS.values() if shade not in named])
    return tuple(shade or next(free) for shade in named)


def _answer_wide(pegs: int) -> int:
    return 1 if pegs <= 4 else 2


@lru_cache(maxsize=16)
def _board(pegs: int, guesses: int, words: tuple[str, ...], tile: int) -> np.ndarray:
    """Everything of a game that has just begun."""
    answer = _answer_wide(pegs)
    wide = pegs + answer + 1
    high = max(guesses + 2, len(words) + 4)
    canvas = Canvas(wide + _LEGEND, high, tile, p.NIGHT)
    canvas.rectangle(0.08, 0.08, wide, guesses + 1.84, p.WOOD_LOW, radius=0.3, to=p.WOOD_DARK)
    canvas.rectangle(_NUMBERS - 0.12, 0.2, pegs + 0.24, 1.2, p.INK, radius=0.24)
    for row in range(guesses):
        _write(canvas, str(row + 1), 0.18, _TOP + row + 0.5, 0.44, _NUMBERS - 0.24, p.STONE)
    _explain(canvas, words, wide + 0.4)
    picture = canvas.picture()
    _put(picture, 0.3, [_covered(tile)] * pegs, tile)
    empty = [_cell(None, p.STONE, tile)] * pegs
    for row in range(guesses):
        _put(picture, _TOP + row, [*empty, _answer(pegs, 0, 0, tile)], tile)
    return picture


def _explain(canvas: Canvas, words: tuple[str, ...], x: float) -> None:
    """Which word is which colour, and what the pegs of an answer mean."""
    for row, (word, shade) in enumerate(zip(words, _shades(words), strict=True)):
        _peg(canvas, x + 0.3, row + 0.7, 0.27, shade)
        _write(canvas, word, x + 0.75, row + 0.7, 0.5, 1.7, p.CLOUD)
    y = len(words) + 0.35
    canvas.line([(x, y), (x + 2.4, y)], p.NIGHT_LINE, 0.04)
    for row, (word, shade) in enumerate((("exact", _EXACT), ("misplaced", _MISPLACED))):
        canvas.rectangle(x, y + 0.4 + row, 0.6, 0.6, p.WOOD, radius=0.12)
        _peg(canvas, x + 0.3, y + 0.7 + row, 0.17, shade)
        _write(canvas, word, x + 0.75, y + 0.7 + row, 0.42, 1.7, p.CLOUD)


@lru_cache(maxsize=128)
def _cell(shade: _Shade | None, band: Color, tile: int) -> np.ndarray:
    """A peg of a colour, or an empty hole, on a band."""
    canvas = Canvas(1, 1, tile, band)
    if band == p.INK:
        _peg(canvas, 0.5, 0.5, 0.38, shade or _MISPLACED)
        return canvas.picture()
    canvas.rectangle(0, 0.95, 1, 0.05, p.WOOD_DARK)
    if shade is None:
        canvas.ellipse(0.5, 0.5, 0.17, 0.17, p.PAPER)
        canvas.ellipse(0.5, 0.47, 0.17, 0.17, p.WOOD_DARK)
    else:
        _peg(canvas, 0.5, 0.47, 0.37, shade)
    return canvas.picture()


@lru_cache(maxsize=8)
def _covered(tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.INK)
    canvas.rectangle(0.1, 0.1, 0.8, 0.8, p.STEEL, radius=0.2, to=p.STEEL_LOW)
    _write(canvas, "?", 0.36, 0.5, 0.7, 0.5, p.INK)
    return canvas.picture()


@lru_cache(maxsize=512)
def _answer(pegs: int, exact: int, misplaced: int, tile: int) -> np.ndarray:
    """One small peg for each that is exact, then for each that is misplaced; holes for the rest."""
    wide = _answer_wide(pegs)
    columns = max(1, -(-pegs // 2))
    canvas = Canvas(wide, 1, tile, p.WOOD)
    canvas.rectangle(0, 0.95, wide, 0.05, p.WOOD_DARK)
    for peg in range(pegs):
        x = (peg % columns + 0.5) * wide / columns
        y = 0.26 + 0.44 * (peg // columns)
        if peg < exact + misplaced:
            _peg(canvas, x, y, 0.17, _EXACT if peg < exact else _MISPLACED)
        else:
            canvas.ellipse(x, y, 0.07, 0.07, p.WOOD_DARK)
    return canvas.picture()


def _peg(canvas: Canvas, x: float, y: float, radius: float, shade: _Shade) -> None:
    light, dark = shade
    r = radius
    canvas.ellipse(x + 0.02, y + r * 0.16, r, r, p.SHADOW, alpha=120, blur=0.02)
    canvas.ellipse(x, y, r, r, p.INK)
    canvas.ellipse(x, y, r * 0.93, r * 0.93, light, to=dark)
    canvas.ellipse(x - r * 0.3, y - r * 0.36, r * 0.26, r * 0.2, p.PAPER, alpha=150)


def _write(
    canvas: Canvas, text: str, x: float, y: float, size: float, most: float, color: Color
) -> None:
    """Write from ``x`` around the height ``y``, smaller if it would be wider than ``most``."""
    mask = line_mask(printable(text), round(size * canvas.unit))
    wide = mask.shape[1] / canvas.unit
    if wide > most:
        mask = line_mask(printable(text), int(size * most / wide * canvas.unit))
    canvas.stamp(mask, x, y - mask.shape[0] / canvas.unit / 2, color)
