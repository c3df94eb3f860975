"""Maze: from inside, three windows (left, ahead, right) between hedges and a compass; on the map,
the hedges from above and an arrow.

From inside, all is drawn from what ``sight`` tells, never from the board itself. Whatever stands in
a corridor has pixel columns of its own, so a window is put together from columns of three pictures
that were drawn once: hedges on both sides, passages on both sides, and what closes the corridor.
"""

from functools import lru_cache
from math import cos, pi, sin

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.atlas import Atlas, numbers_of
from renderers.canvas import Canvas, Color, plate
from renderers.dispatch import draw
from renderers.glyphs import line_mask, write
from text_envs.games.maze import MazeState
from text_envs.games.maze_levels import EXIT, OPEN
from text_envs.games.maze_sight import Sight, sight

_DEPTH = 8
"""Cells that are drawn of a corridor; what lies beyond is as small as a pixel."""
_WINDOW = 6  # tiles of the window ahead; those to the sides are the middle of such a one
_WIDE, _HIGH = 16, 9  # tiles of the picture
_MIDDLE = _WINDOW / 2
_REACH = tuple(_MIDDLE * (2 / 3) ** k for k in range(_DEPTH + 2))
"""Half the size of a corridor at the near end of its cells, in tiles. The player's cell is 0."""
_LEAVES = tuple((k * 0.7549 % 1, k * 0.5698 % 1) for k in range(1, 31))
"""Places in the unit square, spread evenly."""


@draw.register
def draw_maze(state: MazeState, tile: int = 32) -> np.ndarray:
    """Draw what is seen from inside, 16 x 9 tiles; or the map, a tile a place of the board."""
    board, stride, player, heading, inside = state
    if not inside:
        numbers = numbers_of(board, stride, b"#.E").astype(np.int64)
        numbers[divmod(player, stride)] = 3 + heading + 4 * (board[player] == EXIT)
        return _atlas(tile).assemble(numbers)
    left, ahead, right = (sight(board, stride, player, (heading + turn) % 4) for turn in (3, 0, 1))
    picture = _background(board[player] == EXIT, tile).copy()
    size, side = _WINDOW * tile, _WINDOW * tile - 2 * _column(1, tile)
    top, x = tile // 2, (_WIDE - _WINDOW) * tile // 2
    picture[top : top + size, x : x + size] = _window(ahead, left.cells > 0, right.cells > 0, tile)
    high, edge = top + (size - side) // 2, _column(1, tile)
    for seen, x in ((left, tile // 2), (right, _WIDE * tile - tile // 2 - side)):
        window = _window(seen, False, False, tile)[edge : edge + side, edge : edge + side]
        picture[high : high + side, x : x + side] = window
    dial = _compass(heading, tile)
    y, x = (_HIGH * tile - dial.shape[0] - tile // 4), (_WIDE * tile - dial.shape[1]) // 2
    picture[y : y + dial.shape[0], x : x + dial.shape[1]] = dial
    return picture


# --- from inside ---


def _window(seen: Sight, left: bool, right: bool, tile: int) -> np.ndarray:
    """Look along a corridor; ``left`` and ``right`` tell of passages beside the player."""
    picture = _sides(False, tile).copy()
    passages, size = _sides(True, tile), _WINDOW * tile
    lefts = [left, *(code == OPEN for code in seen.left)]
    rights = [right, *(code == OPEN for code in seen.right)]
    for cell, (open_left, open_right) in enumerate(zip(lefts[:_DEPTH], rights, strict=False)):
        near, far = _column(cell, tile), _column(cell + 1, tile)
        if open_left:
            picture[:, near:far] = passages[:, near:far]
        if open_right:
            picture[:, size - far : size - near] = passages[:, size - far : size - near]
    end = min(seen.cells + (not seen.exit), _DEPTH)
    edge = _column(end, tile)
    picture[:, edge : size - edge] = _end(end, seen.exit, tile)[:, edge : size - edge]
    return picture


def _column(cell: int, tile: int) -> int:
    """First pixel column of a cell's left side."""
    return round((_MIDDLE - _REACH[cell]) * tile)


def _ground(tile: int) -> Canvas:
    """Sky and path."""
    canvas = Canvas(_WINDOW, _WINDOW, tile, p.SKY_LOW)
    canvas.rectangle(0, 0, _WINDOW, _MIDDLE, p.SKY, to=p.SKY_LOW)
    canvas.rectangle(0, _MIDDLE, _WINDOW, _MIDDLE, p.PATH_LOW, to=p.PATH)
    for cell in range(1, _DEPTH):
        r = _REACH[cell]
        line = [(_MIDDLE - r, _MIDDLE + r), (_MIDDLE + r, _MIDDLE + r)]
        canvas.line(line, p.PATH_LINE, 0.02 * r, alpha=150)
    return canvas


@lru_cache(maxsize=16)
def _sides(passages: bool, tile: int) -> np.ndarray:
    """Draw a corridor with hedges, or with passages, on both sides of every cell."""
    canvas = _ground(tile)
    for cell in range(_DEPTH, -1, -1):
        for side in (-1, 1):
            (_passage if passages else _hedge)(canvas, cell, side)
    return canvas.picture()


def _hedge(canvas: Canvas, cell: int, side: int) -> None:
    """A hedge along one side of a cell."""
    near, far = _REACH[cell], _REACH[cell + 1]
    x, to_x = _MIDDLE + side * near, _MIDDLE + side * far
    corners = [(x, _MIDDLE - near), (to_x, _MIDDLE - far)]
    corners += [(to_x, _MIDDLE + far), (x, _MIDDLE + near)]
    canvas.polygon(corners, _hazy(p.HEDGE, cell), to=_hazy(p.HEDGE_LOW, cell))
    for number, (along, up) in enumerate(_LEAVES):
        r = near * (2 / 3) ** along
        color = (p.HEDGE_LIGHT, p.HEDGE_LOW, p.HEDGE_DARK)[number % 3]
        y = _MIDDLE + (1.84 * up - 0.92) * r
        canvas.ellipse(_MIDDLE + side * r, y, 0.022 * r, 0.05 * r, _hazy(color, cell), alpha=150)
    canvas.line(corners[:2], _hazy(p.HEDGE_LIGHT, cell), 0.03 * near)
    canvas.line(corners[2:], _hazy(p.HEDGE_DARK, cell), 0.03 * near)
    canvas.line(corners[1:3], _hazy(p.HEDGE_DARK, cell), 0.015 * near)


def _passage(canvas: Canvas, cell: int, side: int) -> None:
    """A way off to one side: the hedge that bounds it at the far side, in the shade."""
    near, far = _REACH[cell], _REACH[cell + 1]
    x = _MIDDLE + (far if side > 0 else -near)
    _front(canvas, x, near - far, far, cell + 1, shade=True)
    canvas.line([(x, _MIDDLE + far), (x + near - far, _MIDDLE + far)], p.PATH_LINE, 0.02 * far)


def _front(
    canvas: Canvas, x: float, wide: float, reach: float, cell: int, *, shade: bool = False
) -> None:
    """A hedge across the way, from ``x`` on, ``reach`` above and below the middle."""
    top, low = (p.HEDGE_LOW, p.HEDGE_DARK) if shade else (p.HEDGE, p.HEDGE_LOW)
    y = _MIDDLE - reach
    canvas.rectangle(x, y, wide, 2 * reach, _hazy(top, cell), to=_hazy(low, cell))
    colors = (p.HEDGE, p.HEDGE_DARK) if shade else (p.HEDGE_LIGHT, p.HEDGE_LOW, p.HEDGE_DARK)
    for number, (along, up) in enumerate(_LEAVES):
        color = _hazy(colors[number % len(colors)], cell)
        at = x + (0.04 + 0.92 * along) * wide, y + (0.06 + 0.88 * up) * 2 * reach
        canvas.ellipse(*at, min(0.05 * reach, 0.1 * wide), 0.05 * reach, color, alpha=150)
    canvas.rectangle(x, y, wide, 0.03 * reach, _hazy(top if shade else p.HEDGE_LIGHT, cell))


@lru_cache(maxsize=64)
def _end(cell: int, exit: bool, tile: int) -> np.ndarray:
    """Draw what closes a corridor at the near end of a cell: a hedge, or the exit."""
    canvas = _ground(tile)
    r = _REACH[cell]
    _front(canvas, _MIDDLE - r, 2 * r, r, cell)
    if exit:
        _gate(canvas, r)
    return canvas.picture()


def _gate(canvas: Canvas, r: float) -> None:
    """A glowing archway, and its light on the path."""
    x, y = _MIDDLE, _MIDDLE
    canvas.ellipse(x, y + r, 0.8 * r, 0.16 * r, p.GOLD, alpha=120, blur=0.05 * r)
    canvas.ellipse(x, y - 0.16 * r, 0.78 * r, 0.72 * r, p.GOLD, alpha=150, blur=0.07 * r)
    canvas.ellipse(x, y - 0.16 * r, 0.66 * r, 0.66 * r, p.GOLD_LOW)
    canvas.rectangle(x - 0.66 * r, y - 0.16 * r, 1.32 * r, 1.16 * r, p.GOLD_LOW)
    canvas.ellipse(x, y - 0.16 * r, 0.52 * r, 0.52 * r, p.PAPER, to=p.GOLD)
    canvas.rectangle(x - 0.52 * r, y - 0.16 * r, 1.04 * r, 1.16 * r, p.PAPER, to=p.GOLD)
    figures.star(canvas, x, y + 0.05 * r, 0.34 * r, p.GOLD_LOW)


def _hazy(color: Color, cell: int) -> Color:
    """What is far away pales."""
    share = min(10 * cell, 60)
    r, g, b = (c + (sky - c) * share // 100 for c, sky in zip(color, p.SKY_LOW, strict=True))
    return r, g, b


@lru_cache(maxsize=16)
def _background(at_exit: bool, tile: int) -> np.ndarray:
    """Frames of the windows, golden at the exit, and what they are called."""
    picture = np.full((_HIGH * tile, _WIDE * tile, 3), p.NIGHT, np.uint8)
    frame = p.GOLD if at_exit else p.NIGHT_LINE
    size, side = _WINDOW * tile, _WINDOW * tile - 2 * _column(1, tile)
    top, edge = tile // 2, max(1, tile // 5)
    high = top + (size - side) // 2
    right = _WIDE * tile - top - side
    middle = (_WIDE * tile - size) // 2
    for x, y, s in ((top, high, side), (middle, top, size), (right, high, side)):
        around = picture[y - edge : y + s + edge, x - edge : x + s + edge]
        around[:] = plate(around.shape[1], around.shape[0], frame, p.NIGHT, edge)
    letters = max(8, round(0.62 * tile))
    for word, x in (("left", top), ("right", right)):
        mask = line_mask(word, letters)
        write(picture, mask, x + (side - mask.shape[1]) // 2, high + side + tile // 3, p.CLOUD)
    return picture


@lru_cache(maxsize=32)
def _compass(heading: int, tile: int) -> np.ndarray:
    """Draw a compass whose top is where the player looks."""
    canvas = Canvas(2, 2, tile, p.NIGHT)
    canvas.ellipse(1, 1, 0.97, 0.97, p.GOLD, to=p.GOLD_LOW)
    canvas.ellipse(1, 1, 0.85, 0.85, p.PAPER, to=p.STONE)
    for letter, direction in zip("NESW", range(4), strict=True):
        angle = (direction - heading) * pi / 2
        mask = line_mask(letter, round(0.5 * canvas.unit))
        x, y = 1 + 0.6 * sin(angle), 1 - 0.6 * cos(angle)
        x, y = x - mask.shape[1] / canvas.unit / 2, y - mask.shape[0] / canvas.unit / 2
        canvas.stamp(mask, x, y, p.RED_LOW if direction == 0 else p.INK)
    across, along = (cos(-heading * pi / 2), sin(-heading * pi / 2)), -heading * pi / 2
    point = sin(along), -cos(along)
    for sign, color in ((1, p.RED), (-1, p.STEEL_LOW)):
        tip = (1 + sign * 0.4 * point[0], 1 + sign * 0.4 * point[1])
        base = [(1 + s * 0.13 * across[0], 1 + s * 0.13 * across[1]) for s in (-1, 1)]
        canvas.polygon([tip, *base], color)
    canvas.ellipse(1, 1, 0.07, 0.07, p.INK)
    return canvas.picture()


# --- the map ---


@lru_cache(maxsize=8)
def _atlas(tile: int) -> Atlas:
    players = [_floor(heading, at_exit, tile) for at_exit in (False, True) for heading in range(4)]
    return Atlas([_hedge_top(tile), _floor(None, False, tile), _floor(None, True, tile), *players])


def _hedge_top(tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.HEDGE_LOW)
    colors = (p.HEDGE_LIGHT, p.HEDGE, p.HEDGE_DARK)
    for number, (x, y) in enumerate(_LEAVES):
        canvas.ellipse(x, y, 0.1, 0.08, colors[number % 3], alpha=190)
    return canvas.picture()


def _floor(heading: int | None, exit: bool, tile: int) -> np.ndarray:
    canvas = Canvas(1, 1, tile, p.PATH)
    for x, y in _LEAVES[::4]:
        canvas.ellipse(x, y, 0.03, 0.025, p.PATH_LOW)
    if exit:
        canvas.rectangle(0.06, 0.06, 0.88, 0.88, p.GOLD_LOW, radius=0.16)
        canvas.rectangle(0.12, 0.12, 0.76, 0.76, p.PAPER, radius=0.12, to=p.GOLD)
        figures.star(canvas, 0.5, 0.53, 0.34, p.GOLD_LOW)
    if heading is not None:
        figures.shadow(canvas, 0.53, 0.56, 0.4, 0.4)
        canvas.ellipse(0.5, 0.5, 0.4, 0.4, p.BLUE, to=p.BLUE_LOW)
        turn = heading * pi / 2
        arrow = ((0.0, -0.31), (0.24, 0.2), (0.0, 0.08), (-0.24, 0.2))
        points = [
            (0.5 + x * cos(turn) - y * sin(turn), 0.5 + x * sin(turn) + y * cos(turn))
            for x, y in arrow
        ]
        canvas.polygon(points, p.PAPER)
    return canvas.picture()
