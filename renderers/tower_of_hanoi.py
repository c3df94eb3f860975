"""Tower of Hanoi: painted wooden disks on pegs, a golden base below the peg to build on."""

from functools import lru_cache

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.atlas import Atlas
from renderers.canvas import Canvas
from renderers.dispatch import draw
from renderers.glyphs import line_mask
from text_envs.games.tower_of_hanoi import HanoiState, stacks

_WIDE = 4  # tiles of a peg's column
_NARROWEST, _WIDEST = 1.2, 3.7  # width of a disk
_ROD = 0.26

_TOP, _BARE, _FIRST_DISK = 0, 1, 2  # places in the atlas; the disks from the smallest, then bases


@draw.register
def draw_tower_of_hanoi(state: HanoiState, tile: int = 32) -> np.ndarray:
    """Draw a column of four tiles for each peg: the tip of the rod, a tile for each disk that it
    can hold, and the base with the peg's number.
    """
    disks = len(state.places)
    numbers = np.full((disks + 2, state.pegs), _BARE)
    numbers[0] = _TOP
    for peg, pile in enumerate(stacks(state)):
        for height, disk in enumerate(pile):
            numbers[disks - height, peg] = _FIRST_DISK + disk - 1
        numbers[-1, peg] = _FIRST_DISK + disks + 2 * peg + (peg == state.goal)
    return _atlas(disks, state.pegs, tile).assemble(numbers)


@lru_cache(maxsize=8)
def _atlas(disks: int, pegs: int, tile: int) -> Atlas:
    bases = [_base(peg + 1, goal, tile) for peg in range(pegs) for goal in (False, True)]
    painted = [_disk(disk, disks, tile) for disk in range(1, disks + 1)]
    return Atlas([_rod(True, tile), _rod(False, tile), *painted, *bases])


def _canvas(tile: int) -> Canvas:
    return Canvas(_WIDE, 1, tile, p.NIGHT)


def _rod(top: bool, tile: int) -> np.ndarray:
    canvas = _canvas(tile)
    _paint_rod(canvas, 0.55 if top else -0.3)
    return canvas.picture()


def _paint_rod(canvas: Canvas, y: float) -> None:
    """A round rod in the middle, from ``y`` down."""
    left, high = (_WIDE - _ROD) / 2, 1.3 - y
    canvas.rectangle(left, y, _ROD, high, p.WOOD_LOW, radius=_ROD / 2)
    canvas.rectangle(left, y, _ROD * 0.72, high, p.WOOD, radius=_ROD * 0.36)
    canvas.rectangle(left + 0.05, y + 0.06, _ROD * 0.24, high, p.WOOD_LIGHT, radius=_ROD * 0.12)


def _disk(disk: int, disks: int, tile: int) -> np.ndarray:
    canvas = _canvas(tile)
    _paint_rod(canvas, -0.3)
    light, dark = p.ARMS[(disk - 1) % len(p.ARMS)]
    share = (disk - 1) / (disks - 1) if disks > 1 else 1.0
    wide = _NARROWEST + share * (_WIDEST - _NARROWEST)
    left = (_WIDE - wide) / 2
    canvas.rectangle(left, 0.06, wide, 0.94, dark, radius=0.36)
    canvas.rectangle(left, 0.06, wide, 0.82, light, radius=0.34, to=dark)
    canvas.rectangle(left + 0.22, 0.15, wide - 0.44, 0.12, p.PAPER, radius=0.06, alpha=110)
    label = line_mask(str(disk), round(0.62 * canvas.unit))
    x = _WIDE / 2 - label.shape[1] / canvas.unit / 2
    canvas.stamp(label, x + 0.03, 0.24, p.SHADOW)
    canvas.stamp(label, x, 0.21, p.PAPER)
    return canvas.picture()


def _base(number: int, goal: bool, tile: int) -> np.ndarray:
    canvas = _canvas(tile)
    top, low = (p.GOLD, p.GOLD_LOW) if goal else (p.WOOD, p.WOOD_LOW)
    if goal:
        canvas.rectangle(0.1, 0.14, _WIDE - 0.2, 0.66, p.GOLD, radius=0.12, alpha=120, blur=0.06)
    canvas.rectangle(0.06, 0.04, _WIDE - 0.12, 0.8, p.WOOD_DARK, radius=0.12)
    canvas.rectangle(0.06, 0.0, _WIDE - 0.12, 0.76, top, radius=0.12, to=low)
    canvas.rectangle(0.06, 0.0, _WIDE - 0.12, 0.1, p.PAPER, radius=0.05, alpha=90)
    label = line_mask(str(number), round(0.6 * canvas.unit))
    canvas.stamp(label, _WIDE / 2 - label.shape[1] / canvas.unit / 2, 0.13, p.INK)
    for side in (-1, 1) if goal else ():
        figures.star(canvas, _WIDE / 2 + side * 0.9, 0.42, 0.26, p.PAPER)
    return canvas.picture()
