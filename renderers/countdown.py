"""Countdown: the target on a display, a card for each number, and below them what was tried.

The cards that the latest expression uses are lit, those that it leaves out are not.
"""

from functools import lru_cache

import numpy as np

from renderers import palette as p
from renderers.canvas import Canvas, Color
from renderers.dispatch import draw
from renderers.glyphs import fit, line_mask, width_of, write
from text_envs.games.countdown import CountdownState
from text_envs.games.expressions import read_expression

_WIDE, _HIGH = 12, 9  # room for six cards
_CARD, _STEP = 1.7, 1.88  # side of a card, and from one card to the next
_CARDS_TOP = 3.1
_SHEET = (0.5, 5.3, 11.0, 3.2)  # of what was tried: x, y, width, height
_ROWS = 3
_SIZES = (0.84, 0.7, 0.56, 0.44, 0.34, 0.28)


@draw.register
def draw_countdown(state: CountdownState, tile: int = 32) -> np.ndarray:
    """Draw target, numbers and the latest expressions; every picture has one shape."""
    picture = _display(state.target, state.left, _outcome(state), tile).copy()
    reading = read_expression(state.tried[-1]) if state.tried else None
    unlit = list(reading.numbers if reading else state.numbers)  # lit once for each use
    side = round(_CARD * tile)
    y = round(_CARDS_TOP * tile)
    for place, number in enumerate(state.numbers):
        lit = number in unlit
        if lit:
            unlit.remove(number)
        x = _WIDE / 2 - _STEP * len(state.numbers) / 2 + (_STEP - _CARD) / 2 + _STEP * place
        x = round(x * tile)
        picture[y : y + side, x : x + side] = _card(number, lit, tile)
    latest = list(zip(state.tried, state.values, strict=True))[-_ROWS:]
    x, y = round((_SHEET[0] + 0.3) * tile), round((_SHEET[1] + 0.1) * tile)
    for row, (expression, value) in enumerate(latest):
        line = _line(expression, value, value == str(state.target), tile)
        top = y + row * tile
        picture[top : top + line.shape[0], x : x + line.shape[1]] = line
    return picture


def _outcome(state: CountdownState) -> str:
    if state.left:
        return "open"
    return "won" if state.values[-1] == str(state.target) else "lost"


@lru_cache(maxsize=256)
def _display(target: int, left: int, outcome: str, tile: int) -> np.ndarray:
    """Everything but the cards and the expressions."""
    picture = _stage(outcome, tile).copy()
    color = {"open": p.GOLD, "won": p.GREEN, "lost": p.RED}[outcome]
    _center(picture, str(target), 6.0, 1.48, 1.7, 4.2, color, tile)
    if outcome == "open":
        _center(picture, str(left), 10.4, 1.32, 0.9, 1.6, p.CLOUD, tile)
        _center(
            picture, "try left" if left == 1 else "tries left", 10.4, 2.0, 0.5, 2.0, p.MIST, tile
        )
    return picture


@lru_cache(maxsize=8)
def _stage(outcome: str, tile: int) -> np.ndarray:
    canvas = Canvas(_WIDE, _HIGH, tile, p.NIGHT)
    canvas.rectangle(0.0, 0.0, _WIDE, _HIGH, p.NIGHT_LIGHT, to=p.NIGHT)
    canvas.ellipse(6.0, 4.6, 5.2, 2.2, p.SIGN, alpha=90, blur=0.5)
    light, dark = {
        "open": (p.STEEL, p.STEEL_LOW),
        "won": (p.GREEN, p.GREEN_LOW),
        "lost": (p.RED, p.RED_LOW),
    }[outcome]
    canvas.rectangle(3.46, 0.46, 5.2, 2.24, p.SHADOW, radius=0.3, alpha=180, blur=0.08)
    canvas.rectangle(3.4, 0.36, 5.2, 2.24, light, radius=0.3, to=dark)
    canvas.rectangle(3.58, 0.54, 4.84, 1.88, p.DISPLAY, radius=0.18)
    canvas.polygon([(3.7, 0.6), (5.4, 0.6), (4.6, 2.36), (3.7, 2.36)], p.CLOUD, alpha=12)
    x, y, wide, high = _SHEET
    canvas.rectangle(x + 0.05, y + 0.08, wide, high, p.SHADOW, radius=0.16, alpha=160, blur=0.06)
    canvas.rectangle(x, y, wide, high, p.PAPER, radius=0.14)
    for row in range(_ROWS):
        line = y + 1.02 + row
        canvas.line([(x + 0.3, line), (x + wide - 0.3, line)], p.ICE_EDGE, 0.03)
    return canvas.picture()


@lru_cache(maxsize=1024)
def _card(number: int, lit: bool, tile: int) -> np.ndarray:
    canvas = Canvas(_CARD, _CARD, tile, p.NIGHT)
    canvas.rectangle(0.0, 0.0, _CARD, _CARD, p.SIGN_LIGHT if lit else p.NIGHT_LINE)
    face, low = (p.SIGN, p.SIGN_LOW) if lit else (p.NIGHT_LIGHT, p.NIGHT)
    canvas.rectangle(0.08, 0.08, _CARD - 0.16, _CARD - 0.16, face, radius=0.06, to=low)
    canvas.rectangle(0.16, 0.14, _CARD - 0.32, 0.1, p.CLOUD, radius=0.05, alpha=50 if lit else 15)
    picture = canvas.picture()
    middle = _CARD / 2
    color = p.PAPER if lit else p.MIST
    _center(picture, str(number), middle, middle + 0.04, 1.3, _CARD - 0.36, color, tile)
    return picture


@lru_cache(maxsize=1024)
def _line(expression: str, value: str, right: bool, tile: int) -> np.ndarray:
    """An expression and its value, green if it is the target, as a strip of paper."""
    wide, high = round((_SHEET[2] - 0.6) * tile), round(0.88 * tile)
    strip = np.full((high, wide, 3), p.PAPER, np.uint8)
    sizes = sorted({max(7, round(tile * k)) for k in _SIZES}, reverse=True)
    lines, size = fit(f"{expression} = {value}", wide, high, sizes)
    top = (high - size * len(lines)) // 2
    for line in lines:
        write(strip, line_mask(line, size)[:, :wide], 0, top, p.GREEN_DARK if right else p.INK)
        top += size
    return strip


def _center(
    picture: np.ndarray,
    text: str,
    x: float,
    y: float,
    high: float,
    wide: float,
    color: Color,
    tile: int,
) -> None:
    """Write ``text`` around (``x``, ``y``), within ``wide`` x ``high`` tiles."""
    size = max(5, round(high * tile))
    while size > 5 and width_of(text, size) > wide * tile:
        size -= 1
    mask = line_mask(text, size)
    left = max(0, round(x * tile) - mask.shape[1] // 2)
    write(picture, mask, left, max(0, round(y * tile) - size // 2), color)
