"""Math: a blackboard with the question, the wrong answers crossed out, and on the ledge a stick of
chalk for each try that is left.
"""

from functools import lru_cache

import numpy as np

from renderers import palette as p
from renderers.canvas import Canvas, Color
from renderers.dispatch import draw
from renderers.glyphs import ELLIPSIS, fit, line_mask, printable, wrap, write
from text_envs.games.math_problems import MAX_TRIES, MathState

_WIDE, _HIGH = 14, 10
_QUESTION = (0.95, 0.85, 12.1, 6.2)  # x, y, width, height
_ANSWERS = (0.95, 7.35, 12.1)  # x, y, width
_ANSWER_HIGH = 0.72
_LEDGE = (1.0, 8.86, 12.0, 0.4)  # where the chalk lies: x, y, width, height


@draw.register
def draw_math(state: MathState, tile: int = 32) -> np.ndarray:
    """Draw question, guesses and tries left; every picture has one shape."""
    picture = _board(state.question, tile).copy()
    x, y, wide, high = (round(v * tile) for v in _LEDGE)
    picture[y : y + high, x : x + wide] = _chalk(state.left, tile)
    guesses: list[tuple[str, Color]] = [(guess, p.CHALK_RED) for guess in state.wrong]
    if state.solved:
        guesses.append((state.answer, p.CHALK_GREEN))
    if guesses:
        _write_guesses(picture, guesses, tile)
    return picture


def _write_guesses(picture: np.ndarray, guesses: list[tuple[str, Color]], tile: int) -> None:
    """Write the latest guesses that have room in a line, the wrong ones crossed out."""
    x, y, wide = (round(v * tile) for v in _ANSWERS)
    size, gap = max(7, round(_ANSWER_HIGH * tile)), tile // 2
    more = line_mask(ELLIPSIS, size)  # in place of older ones
    room = wide - more.shape[1] - gap
    masks: list[tuple[np.ndarray, Color]] = []
    for guess, color in reversed(guesses):
        mask = line_mask(wrap(guess, room, size, 1)[0], size)
        room -= mask.shape[1] + gap
        if room < -gap:
            masks.append((more, p.CHALK))
            break
        masks.append((mask, color))
    for mask, color in reversed(masks):
        write(picture, mask, x, y, color)
        if color == p.CHALK_RED:
            thick = max(1, tile // 16)
            top = y + size // 2
            picture[top : top + thick, x - tile // 10 : x + mask.shape[1] + tile // 10] = color
        x += mask.shape[1] + gap


@lru_cache(maxsize=128)
def _board(question: str, tile: int) -> np.ndarray:
    picture = _slate(tile).copy()
    x, y, wide, high = (round(v * tile) for v in _QUESTION)
    scales = (1.15, 1.0, 0.88, 0.76, 0.64, 0.54, 0.46, 0.4, 0.34, 0.3, 0.27)
    sizes = sorted({max(7, round(tile * k)) for k in scales}, reverse=True)
    leading = max(1, tile // 10)
    lines, size = fit(printable(question), wide, high, sizes, leading)
    for line in lines:
        write(picture, line_mask(line, size)[:, :wide], x, y, p.CHALK)
        y += size + leading
    return picture


@lru_cache(maxsize=8)
def _slate(tile: int) -> np.ndarray:
    canvas = Canvas(_WIDE, _HIGH, tile, p.STONE)
    canvas.rectangle(0.0, 0.0, _WIDE, _HIGH, p.STONE, to=p.STONE_LOW)
    canvas.rectangle(0.26, 0.3, _WIDE - 0.4, 9.05, p.SHADOW, radius=0.2, alpha=110, blur=0.1)
    canvas.rectangle(0.2, 0.2, _WIDE - 0.4, 8.7, p.WOOD, radius=0.18, to=p.WOOD_LOW)
    canvas.rectangle(0.2, 0.2, _WIDE - 0.4, 0.08, p.WOOD_LIGHT, radius=0.04)
    canvas.rectangle(0.52, 0.52, _WIDE - 1.04, 8.06, p.WOOD_DARK, radius=0.08)
    canvas.rectangle(0.58, 0.58, _WIDE - 1.16, 7.94, p.SLATE, radius=0.05, to=p.SLATE_LOW)
    for x, y, across, down in ((4.0, 2.4, 2.6, 0.7), (10.2, 5.0, 2.2, 0.8), (5.6, 6.6, 3.0, 0.5)):
        canvas.ellipse(x, y, across, down, p.CHALK, alpha=10, blur=0.35)
    canvas.line([(0.95, 7.2), (13.05, 7.2)], p.CHALK, 0.04, alpha=110)
    canvas.rectangle(0.34, 8.82, _WIDE - 0.68, 0.5, p.WOOD_LIGHT, radius=0.1, to=p.WOOD_LOW)
    canvas.rectangle(0.34, 9.22, _WIDE - 0.68, 0.28, p.WOOD_LOW, radius=0.08, to=p.WOOD_DARK)
    return canvas.picture()


@lru_cache(maxsize=64)
def _chalk(left: int, tile: int) -> np.ndarray:
    """The ledge with ``left`` sticks of chalk on it."""
    x, y, wide, high = (round(v * tile) for v in _LEDGE)
    ledge = _slate(tile)[y : y + high, x : x + wide].copy()
    step = _LEDGE[2] / MAX_TRIES
    for place in range(left):
        color = (p.CHALK, p.CHALK_GOLD, p.CHALK_RED)[place % 3]
        at = round(place * step * tile)
        stick = _stick(color, step * 0.84, tile)
        ledge[:, at : at + stick.shape[1]] = stick
    return ledge


@lru_cache(maxsize=16)
def _stick(color: Color, wide: float, tile: int) -> np.ndarray:
    high = _LEDGE[3]
    canvas = Canvas(wide, high, tile, p.WOOD)
    canvas.rectangle(0.02, 0.1, wide - 0.04, high - 0.1, p.WOOD_DARK, radius=0.1, alpha=120)
    canvas.rectangle(0.02, 0.05, wide - 0.06, high - 0.14, color, radius=0.1, to=p.STONE_LOW)
    return canvas.picture()
