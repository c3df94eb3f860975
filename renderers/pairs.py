"""Pairs: cards on green felt, their numbers on the backs; a star for every pair that was found.

Only what lies face up now is drawn, never what a card showed before.
"""

from functools import lru_cache

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.canvas import Canvas, Color, plate
from renderers.dispatch import draw
from renderers.glyphs import fit, line_mask, printable, write
from text_envs.games.pairs import PairsState

_SIDE = 3  # tiles from card to card, both ways
_CARD = (0.2, 0.16, 2.6, 2.68)  # x, y, width, height, in tiles of the card's place
_WORD = (2.06, 0.66)  # top and height of the word on a card
_STAR = 0.6  # tiles from star to star


@draw.register
def draw_pairs(state: PairsState, tile: int = 32) -> np.ndarray:
    """Draw the cards, three tiles square each, and below them a place for every pair's star."""
    deck, cols, found, up, _ = state
    rows, side = len(deck) // cols, _SIDE * tile
    picture = _table(rows, cols, tile).copy()
    for card, symbol in enumerate(deck):
        if found >> card & 1:
            drawn = _face(symbol, True, tile)
        elif card in up:
            drawn = _face(symbol, False, tile)
        else:
            drawn = _back(card, tile)
        y, x = card // cols * side, card % cols * side
        picture[y : y + side, x : x + side] = drawn
    step, pairs = round(_STAR * tile), len(deck) // 2
    top, left = rows * side + (tile - step) // 2, (cols * side - pairs * step) // 2
    for pair in range(pairs):
        star = _star(pair < found.bit_count() // 2, step)
        picture[top : top + step, left + pair * step : left + (pair + 1) * step] = star
    return picture


@lru_cache(maxsize=32)
def _table(rows: int, cols: int, tile: int) -> np.ndarray:
    picture = np.full(((rows * _SIDE + 1) * tile, cols * _SIDE * tile, 3), p.FELT, np.uint8)
    edge = max(1, tile // 8)
    strip = picture[rows * _SIDE * tile + edge : -edge, 2 * edge : -2 * edge]
    strip[:] = plate(strip.shape[1], strip.shape[0], p.FELT_LOW, p.FELT, 2 * edge)
    return picture


@lru_cache(maxsize=512)
def _back(card: int, tile: int) -> np.ndarray:
    canvas = Canvas(_SIDE, _SIDE, tile, p.FELT)
    x, y, wide, high = _CARD
    _sheet(canvas, p.PAPER, p.STONE)
    canvas.rectangle(
        x + 0.12, y + 0.12, wide - 0.24, high - 0.24, p.BLUE, radius=0.16, to=p.BLUE_LOW
    )
    for k in range(5):
        for m in range(5):
            _lozenge(canvas, x + 0.38 + k * 0.46, y + 0.38 + m * 0.48)
    canvas.ellipse(1.5, 1.5, 0.76, 0.76, p.BLUE_LOW)
    canvas.ellipse(1.5, 1.5, 0.68, 0.68, p.PAPER, to=p.STONE)
    _letters(canvas, str(card), 1.5, 1.5, 1.0, p.BLUE_LOW)
    return canvas.picture()


@lru_cache(maxsize=512)
def _face(symbol: str, found: bool, tile: int) -> np.ndarray:
    light, dark = p.ARMS[_color(symbol)]
    canvas = Canvas(_SIDE, _SIDE, tile, p.FELT)
    if not found:
        canvas.rectangle(0.14, 0.1, 2.72, 2.8, p.GOLD, radius=0.34, alpha=200, blur=0.05)
    _sheet(canvas, p.PAPER, p.STONE)
    canvas.ellipse(1.5, 1.14, 0.8, 0.8, dark)
    canvas.ellipse(1.5, 1.14, 0.74, 0.74, light, to=dark)
    _letters(canvas, printable(symbol[0].upper()[0]), 1.5, 1.15, 1.2, p.PAPER)
    picture = canvas.picture()
    _word(picture, symbol, tile)
    return _dimmed(picture) if found else picture


def _color(symbol: str) -> int:
    """Number of the colour: two of the game's own words differ in it or in their first letter."""
    return (2 * ord(symbol[0]) - ord(symbol[-1]) + len(symbol)) % len(p.ARMS)


def _sheet(canvas: Canvas, color: Color, to: Color) -> None:
    """An empty card with its shadow."""
    x, y, wide, high = _CARD
    canvas.rectangle(x + 0.04, y + 0.08, wide, high, p.SHADOW, radius=0.24, alpha=110, blur=0.03)
    canvas.rectangle(x, y, wide, high, color, radius=0.24, to=to)


def _lozenge(canvas: Canvas, x: float, y: float) -> None:
    points = [(x, y - 0.17), (x + 0.15, y), (x, y + 0.17), (x - 0.15, y)]
    canvas.polygon(points, p.PAPER, alpha=56)


def _letters(canvas: Canvas, text: str, x: float, y: float, high: float, color: Color) -> None:
    """Write ``text`` around (``x``, ``y``)."""
    mask = line_mask(text, round(high * canvas.unit))
    wide = mask.shape[1] / canvas.unit
    canvas.stamp(mask, x - wide / 2, y - high / 2, color)


def _word(picture: np.ndarray, symbol: str, tile: int) -> None:
    """Write the word on a card, as large as it fits."""
    top, high = (round(v * tile) for v in _WORD)
    wide = round((_CARD[2] - 0.2) * tile)
    sizes = sorted({max(7, round(tile * k)) for k in (0.66, 0.54, 0.42, 0.32)}, reverse=True)
    lines, size = fit(printable(symbol), wide, high, sizes, whole=True)
    top += (high - size * len(lines)) // 2
    for line in lines:
        mask = line_mask(line, size)[:, :wide]
        write(picture, mask, (picture.shape[1] - mask.shape[1]) // 2, top, p.INK)
        top += size


def _dimmed(picture: np.ndarray) -> np.ndarray:
    """Move a picture half of the way to the felt."""
    return ((picture.astype(np.int32) + np.asarray(p.FELT)) // 2).astype(np.uint8)


@lru_cache(maxsize=32)
def _star(found: bool, step: int) -> np.ndarray:
    canvas = Canvas(1, 1, step, p.FELT_LOW)
    if found:
        figures.star(canvas, 0.5, 0.52, 0.46, p.GOLD_LOW)
        figures.star(canvas, 0.5, 0.51, 0.36, p.GOLD)
    else:
        figures.star(canvas, 0.5, 0.52, 0.38, p.FELT)
    return canvas.picture()
