"""Blicket detector: the machine with the objects of the last test on it, and every test as a
column of a table.

Only what the player knows is drawn: objects, tests, results, tests left, and the answer once it is
given; never which objects are blickets.
"""

from functools import lru_cache

import numpy as np

from renderers import palette as p
from renderers.canvas import Canvas, Color, plate
from renderers.dispatch import draw
from renderers.glyphs import fit, line_mask, printable, write
from renderers.toys import toy
from text_envs.games.blicket import BlicketState

_MACHINE = 5  # tiles: height of the part with the machine
_NAME = 5  # tiles: an object and its name in the table
_TOP = 2.25  # tiles: upper side of the machine
_TOY = 1.25  # tiles: an object on the machine
_LEAST = 10  # tiles: width of the picture at least


@draw.register
def draw_blicket(state: BlicketState, tile: int = 32) -> np.ndarray:
    """Draw the machine above the table, a row an object, a tile a test, lamps in the last row. The
    shape depends on the number of objects and of tests alone.
    """
    objects, tests = state.objects, state.tests
    columns = len(tests) + state.left
    wide = max(_LEAST, _NAME + columns + 1)
    placed, lit = tests[-1] if tests else (0, False)
    picture = _background(wide, len(objects), lit, tile).copy()
    _fill_machine(picture, [name for i, name in enumerate(objects) if placed >> i & 1], lit, tile)
    left, top = _table_corner(wide, columns, tile)
    for row, name in enumerate(objects):
        y = top + row * tile
        label = _label(name, bool(state.answer >> row & 1), tile)
        picture[y : y + tile, left : left + _NAME * tile] = label
    for column in range(columns):
        x = left + (_NAME + column) * tile
        made = column < len(tests)
        placed, lit = tests[column] if made else (0, False)
        for row, name in enumerate(objects):
            y = top + row * tile
            cell = _cell(name if placed >> row & 1 else "", made, tile)
            picture[y : y + tile, x : x + tile] = cell
        y = top + len(objects) * tile
        picture[y : y + tile, x : x + tile] = _lamp(made, lit, tile)
    return picture


def _table_corner(wide: int, columns: int, tile: int) -> tuple[int, int]:
    return (wide - _NAME - columns) * tile // 2, _MACHINE * tile + tile // 4


def _fill_machine(picture: np.ndarray, names: list[str], lit: bool, tile: int) -> None:
    """Stand the objects on the machine, side by side."""
    step = round(_TOY * tile)
    bottom = int(_TOP * tile)
    left = (picture.shape[1] - step * len(names)) // 2
    for place, name in enumerate(names):
        x = left + place * step
        picture[bottom - step : bottom, x : x + step] = _standing(name, lit, step)


@lru_cache(maxsize=64)
def _background(wide: int, objects: int, lit: bool, tile: int) -> np.ndarray:
    rows = _MACHINE + objects + 2
    picture = np.full((rows * tile, wide * tile, 3), p.NIGHT, np.uint8)
    picture[: _MACHINE * tile] = _machine(wide, lit, tile)
    edge = tile // 4
    strip = picture[_MACHINE * tile : -edge, edge:-edge]
    strip[:] = plate(strip.shape[1], strip.shape[0], p.NIGHT_LIGHT, p.NIGHT, edge)
    return picture


def _machine(wide: int, lit: bool, tile: int) -> np.ndarray:
    canvas = Canvas(wide, _MACHINE, tile, p.NIGHT)
    middle, half = wide / 2, 4.1
    ground = _ground(lit)
    canvas.rectangle(0.25, 0.25, wide - 0.5, 4.5, ground, radius=0.25)
    canvas.rectangle(middle - half + 0.3, 2.5, 2 * half - 0.6, 2.0, p.STEEL_LOW, radius=0.3)
    canvas.rectangle(
        middle - half + 0.36, 2.5, 2 * half - 0.72, 1.9, p.STEEL, radius=0.26, to=p.STEEL_LOW
    )
    canvas.rectangle(middle - half, _TOP, 2 * half, 0.36, p.CLOUD, radius=0.12, to=p.STEEL)
    for side in (-1, 1):
        for k in range(4):
            x = middle + side * (1.75 + 0.36 * k)
            canvas.rectangle(x - 0.08, 3.1, 0.16, 0.86, p.INK, radius=0.08, alpha=170)
    _bulb(canvas, middle, 3.52, 0.62, lit)
    return canvas.picture()


def _ground(lit: bool) -> Color:
    return p.GLOW if lit else p.NIGHT_LIGHT


def _bulb(canvas: Canvas, x: float, y: float, radius: float, lit: bool) -> None:
    if lit:
        canvas.ellipse(x, y, radius * 1.35, radius * 1.35, p.GOLD, alpha=170, blur=radius * 0.2)
    canvas.ellipse(x, y, radius, radius, p.INK)
    light, dark = (p.GOLD, p.GOLD_LOW) if lit else (p.NIGHT_LINE, p.NIGHT)
    canvas.ellipse(x, y, radius * 0.84, radius * 0.84, light, to=dark)
    shine = radius * 0.3
    canvas.ellipse(
        x - shine, y - shine, radius * 0.22, radius * 0.16, p.PAPER, alpha=230 if lit else 90
    )


@lru_cache(maxsize=256)
def _standing(name: str, lit: bool, step: int) -> np.ndarray:
    canvas = Canvas(1, 1, step, _ground(lit))
    toy(canvas, name, 0.5, 0.54, 0.8, _ground(lit))
    return canvas.picture()


@lru_cache(maxsize=256)
def _label(name: str, answered: bool, tile: int) -> np.ndarray:
    """An object and its name; in gold where the player said that it is a blicket."""
    canvas = Canvas(_NAME, 1, tile, p.NIGHT_LIGHT)
    ground = p.NIGHT_LIGHT
    if answered:
        ground = p.GOLD
        canvas.rectangle(0.03, 0.04, _NAME - 0.06, 0.92, p.GOLD, radius=0.2)
    toy(canvas, name, 0.55, 0.5, 0.74, ground)
    picture = canvas.picture()
    sizes = sorted({max(7, round(tile * k)) for k in (0.5, 0.42, 0.36)}, reverse=True)
    lines, size = fit(printable(name), round((_NAME - 1.15) * tile), tile, sizes, whole=True)
    top = (tile - size * len(lines)) // 2
    for line in lines:
        mask = line_mask(line, size)
        write(picture, mask, round(1.08 * tile), top, p.INK if answered else p.CLOUD)
        top += size
    return picture


@lru_cache(maxsize=256)
def _cell(name: str, made: bool, tile: int) -> np.ndarray:
    """Whether an object was in a test: the object, a dot, or an empty place for a test to come."""
    canvas = Canvas(1, 1, tile, p.NIGHT_LIGHT)
    canvas.rectangle(0.05, 0.05, 0.9, 0.9, p.NIGHT if made else p.NIGHT_LINE, radius=0.16)
    if not made:
        canvas.rectangle(0.09, 0.09, 0.82, 0.82, p.NIGHT_LIGHT, radius=0.13)
    elif name:
        toy(canvas, name, 0.5, 0.5, 0.7, p.NIGHT)
    else:
        canvas.ellipse(0.5, 0.5, 0.07, 0.07, p.NIGHT_LINE)
    return canvas.picture()


@lru_cache(maxsize=32)
def _lamp(made: bool, lit: bool, tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.NIGHT_LIGHT)
    if made:
        _bulb(canvas, 0.5, 0.5, 0.32, lit)
    else:
        canvas.ellipse(0.5, 0.5, 0.3, 0.3, p.NIGHT_LINE)
        canvas.ellipse(0.5, 0.5, 0.26, 0.26, p.NIGHT_LIGHT)
    return canvas.picture()
