"""Bandit: a slot machine for each arm, and every pull so far as a chip in the arm's colour.

Only what the player knows is drawn: names, order, pulls left and past rewards; never how an arm
pays.
"""

from functools import lru_cache

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.canvas import Canvas, Color, plate
from renderers.dispatch import draw
from renderers.glyphs import fit, line_mask, printable, write
from text_envs.games.bandit import BanditState

_WIDE = _HIGH = 4  # tiles of a machine
_PER_ROW = 4  # machines in a row
_CHIP_ROWS = 3
_PLATE = (0.42, 2.06, 3.0, 1.08)  # of the name: x, y, width, height, in tiles of the machine


@draw.register
def draw_bandit(state: BanditState, tile: int = 32) -> np.ndarray:
    """Draw the machines and below them a slot for every pull, filled from the left.

    The picture's shape depends on the number of arms and of pulls alone; beyond three rows of slots
    the oldest chips make room for a sign that counts them.
    """
    columns = min(len(state.arms), _PER_ROW)
    rows = -(-len(state.arms) // _PER_ROW)
    pulls = len(state.history) + state.left
    slots = columns * _WIDE - 1
    chip_rows = max(1, min(_CHIP_ROWS, -(-pulls // slots)))
    background = _background(columns * _WIDE, rows * _HIGH, chip_rows, tile)
    picture = background.copy()
    last = dict(state.history)  # of each arm's last pull
    for place, name in enumerate(state.arms):
        pulled = bool(state.history) and state.history[-1][0] == name
        machine = _machine(place % len(p.ARMS), name, _result(last.get(name)), pulled, tile)
        y, x = (place // columns) * _HIGH * tile, (place % columns) * _WIDE * tile
        picture[y : y + _HIGH * tile, x : x + _WIDE * tile] = machine
    chips = _chips(state, slots * chip_rows)
    for slot, (color, label) in enumerate(chips):
        y = (rows * _HIGH) * tile + tile // 2 + (slot // slots) * tile
        x = tile // 2 + (slot % slots) * tile
        picture[y : y + tile, x : x + tile] = _chip(color, label, tile)
    return picture


def _result(reward: float | None) -> str:
    return "unknown" if reward is None else "won" if reward > 0 else "lost"


def _chips(state: BanditState, room: int) -> list[tuple[int | None, str]]:
    """(arm's colour, label) of each slot from the left; no colour: an empty one, or a count."""
    colors = {name: place % len(p.ARMS) for place, name in enumerate(state.arms)}
    chips: list[tuple[int | None, str]] = [
        (colors[name], f"{reward:.4g}") for name, reward in state.history
    ]
    if len(chips) > room:
        hidden = len(chips) - room + 1
        chips = [(None, f"+{hidden}"), *chips[hidden:]]
    return chips + [(None, "")] * (min(room, len(state.history) + state.left) - len(chips))


@lru_cache(maxsize=16)
def _background(wide: int, high: int, chip_rows: int, tile: int) -> np.ndarray:
    picture = np.full(((high + chip_rows + 1) * tile, wide * tile, 3), p.NIGHT, np.uint8)
    edge = tile // 4
    strip = picture[high * tile + edge : -edge, edge:-edge]
    strip[:] = plate(strip.shape[1], strip.shape[0], p.NIGHT_LIGHT, p.NIGHT, edge)
    return picture


@lru_cache(maxsize=256)
def _machine(color: int, name: str, result: str, pulled: bool, tile: int) -> np.ndarray:
    picture = _cabinet(color, result, pulled, tile).copy()
    x, y, wide, high = (round(v * tile) for v in _PLATE)
    lines, size = lettering(name, tile)
    top = y + (high - size * len(lines)) // 2
    for line in lines:
        mask = line_mask(line, size)[:, :wide]
        write(picture, mask, x + (wide - mask.shape[1]) // 2, top, p.INK)
        top += size
    return picture


def lettering(name: str, tile: int) -> tuple[list[str], int]:
    """Break a name into the lines of its plate: (lines, height of a line)."""
    _, _, wide, high = (round(v * tile) for v in _PLATE)
    sizes = sorted({max(7, round(tile * k)) for k in (0.6, 0.5, 0.42, 0.36, 0.3)}, reverse=True)
    return fit(printable(name), wide - tile // 6, high, sizes, whole=True)


@lru_cache(maxsize=64)
def _cabinet(color: int, result: str, pulled: bool, tile: int) -> np.ndarray:
    light, dark = p.ARMS[color]
    canvas = Canvas(_WIDE, _HIGH, tile, p.NIGHT)
    if pulled:
        canvas.rectangle(0.3, 0.3, 3.24, 3.4, p.GOLD, radius=0.3, alpha=150, blur=0.09)
    _lever(canvas, pulled)
    canvas.rectangle(0.85, 0.14, 2.14, 0.6, p.GOLD, radius=0.25, to=p.GOLD_LOW)
    for k in range(5):
        canvas.ellipse(1.12 + k * 0.4, 0.29, 0.085, 0.085, p.PAPER)
    canvas.rectangle(0.26, 0.44, 3.32, 3.36, dark, radius=0.34)
    canvas.rectangle(0.32, 0.48, 3.2, 3.2, light, radius=0.3, to=dark)
    canvas.rectangle(0.5, 0.72, 2.84, 1.24, p.INK, radius=0.16)
    for k in range(3):
        x = 0.6 + k * 0.9
        canvas.rectangle(x, 0.82, 0.84, 1.04, p.PAPER, radius=0.1, to=p.STONE)
        _symbol(canvas, x + 0.42, 1.34, result)
    x, y, wide, high = _PLATE
    canvas.rectangle(x, y, wide, high, p.INK, radius=0.14, alpha=150)
    canvas.rectangle(x + 0.04, y + 0.04, wide - 0.08, high - 0.08, p.PAPER, radius=0.11)
    canvas.rectangle(0.8, 3.23, 2.24, 0.36, p.INK, radius=0.17)
    for k in range(4 if result == "won" else 0):
        canvas.ellipse(1.16 + k * 0.5, 3.38, 0.21, 0.14, p.GOLD_LOW)
        canvas.ellipse(1.16 + k * 0.5, 3.35, 0.19, 0.11, p.GOLD)
    return canvas.picture()


def _lever(canvas: Canvas, pulled: bool) -> None:
    end = (3.76, 2.5) if pulled else (3.76, 0.82)
    canvas.rectangle(3.4, 1.44, 0.38, 0.5, p.STEEL_LOW, radius=0.12)
    canvas.line([(3.66, 1.69), end], p.STEEL, 0.12)
    canvas.ellipse(*end, 0.19, 0.19, p.RED, to=p.RED_LOW)
    canvas.ellipse(end[0] - 0.06, end[1] - 0.07, 0.05, 0.04, p.PAPER, alpha=200)


def _symbol(canvas: Canvas, x: float, y: float, result: str) -> None:
    if result == "won":
        figures.star(canvas, x, y + 0.03, 0.37, p.GOLD_LOW)
        figures.star(canvas, x, y + 0.02, 0.29, p.GOLD)
    elif result == "lost":
        canvas.line([(x - 0.2, y - 0.2), (x + 0.2, y + 0.2)], p.STEEL_LOW, 0.12)
        canvas.line([(x - 0.2, y + 0.2), (x + 0.2, y - 0.2)], p.STEEL_LOW, 0.12)
    else:
        _label(canvas, "?", x, y, 0.8, p.MIST)


@lru_cache(maxsize=512)
def _chip(color: int | None, label: str, tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.NIGHT_LIGHT)
    if color is None:
        if label:
            _label(canvas, label, 0.5, 0.5, 0.5, p.CLOUD)
        else:
            canvas.ellipse(0.5, 0.5, 0.37, 0.37, p.NIGHT_LINE)
            canvas.ellipse(0.5, 0.5, 0.32, 0.32, p.NIGHT)
        return canvas.picture()
    light, dark = p.ARMS[color]
    paid = float(label) > 0
    canvas.ellipse(0.52, 0.55, 0.44, 0.44, p.SHADOW, alpha=150, blur=0.02)
    canvas.ellipse(0.5, 0.5, 0.46, 0.46, light, to=dark)
    canvas.ellipse(0.5, 0.5, 0.35, 0.35, p.GOLD if paid else p.STEEL_LOW)
    _label(canvas, label, 0.5, 0.5, 0.42, p.INK if paid else p.CLOUD)
    return canvas.picture()


def _label(canvas: Canvas, text: str, x: float, y: float, high: float, color: Color) -> None:
    """Write ``text`` around (``x``, ``y``), at most 0.62 tiles wide."""
    unit = canvas.unit
    mask = line_mask(text, round(high * unit))
    if mask.shape[1] > 0.62 * unit:
        mask = line_mask(text, round(high * unit * 0.62 * unit / mask.shape[1]))
    canvas.stamp(mask, x - mask.shape[1] / unit / 2, y - mask.shape[0] / unit / 2, color)
