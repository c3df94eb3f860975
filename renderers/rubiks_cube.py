"""Rubik's cube: the cube in space with its upper, front and right face, and the net of all six.

The picture of any cube is made of the pictures of six cubes of one colour each: it takes every
sticker from the one that has its colour.
"""

from functools import lru_cache
from math import cos, pi, sin
from typing import NamedTuple

import numpy as np

from renderers import palette as p
from renderers.canvas import Canvas, Point
from renderers.dispatch import draw
from renderers.glyphs import line_mask
from text_envs.games.rubiks_cube import RubiksCubeState
from text_envs.games.rubiks_cube_turns import FACES, STICKERS, Vector

_WIDE, _HIGH = 16, 7
_EDGE = 1.42  # of a small cube in space, in tiles
_MIDDLE = (3.1, 3.42)  # of the cube in space
_ACROSS, _DOWN = _EDGE * cos(pi / 6), _EDGE * sin(pi / 6)
_NET = {"U": (2, 0), "L": (0, 2), "F": (2, 2), "R": (4, 2), "B": (6, 2), "D": (2, 4)}
_GAP = 0.16  # between two faces of the net
_AXES: tuple[Vector, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_SEEN = {"U": 0, "F": 20, "R": 44}  # faces of the cube in space, and the shade on them


class Patch(NamedTuple):
    """Where a sticker is drawn: a corner, and the two edges that begin there."""

    sticker: int
    corner: Point
    edge: Point
    other_edge: Point

    def at(self, along: float, across: float) -> Point:
        """A point by its shares of the two edges."""
        x = self.corner[0] + along * self.edge[0] + across * self.other_edge[0]
        y = self.corner[1] + along * self.edge[1] + across * self.other_edge[1]
        return x, y


class Cutting(NamedTuple):
    """A sticker's part of the picture, in each of the six colours."""

    sticker: int
    box: tuple[slice, slice]
    pixels: np.ndarray
    """uint8 ``[6, h, w, 3]``, 0 where the box goes beyond the sticker."""


@draw.register
def draw_rubiks_cube(state: RubiksCubeState, tile: int = 32) -> np.ndarray:
    """Draw the cube in space on the left, its net on the right."""
    background, cuttings = _cuttings(tile)
    picture, stickers = background.copy(), state.stickers
    for sticker, box, pixels in cuttings:
        picture[box] |= pixels[stickers[sticker]]
    return picture


@lru_cache(maxsize=8)
def _cuttings(tile: int) -> tuple[np.ndarray, list[Cutting]]:
    """The picture with its stickers cut out of it, 0 there; and the stickers."""
    patches = [*_in_space(), *_in_net()]
    pictures = np.stack([_one_colour(color, patches, tile) for color in range(len(FACES))])
    rows, columns = np.indices((_HIGH * tile, _WIDE * tile))
    free, cuttings = np.ones((_HIGH * tile, _WIDE * tile, 1), bool), []
    for patch in patches:
        to_shares = np.linalg.inv(np.array([patch.edge, patch.other_edge]).T)
        x, y = (columns + 0.5) / tile - patch.corner[0], (rows + 0.5) / tile - patch.corner[1]
        along, across = np.tensordot(to_shares, np.stack([x, y]), axes=1)
        own = (along >= 0) & (along < 1) & (across >= 0) & (across < 1) & free[..., 0]
        high, wide = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
        box = slice(high[0], high[-1] + 1), slice(wide[0], wide[-1] + 1)
        cuttings.append(Cutting(patch.sticker, box, pictures[:, *box] * own[box][..., None]))
        free[own] = False
    return pictures[0] * free, cuttings


def _projected(v: Vector) -> Point:
    """Where a point of the cube in space is seen from above, between front and right."""
    x, y, z = v
    return _MIDDLE[0] + (x - z) * _ACROSS, _MIDDLE[1] + (x + z) * _DOWN - y * _EDGE


def _in_space() -> list[Patch]:
    """The stickers of the three faces that are seen."""
    patches = []
    for number, (place, normal) in enumerate(STICKERS):
        if FACES[number // 4] in _SEEN:
            x, y, z = (c if n else min(c, 0) for c, n in zip(place, normal, strict=True))
            corner = _projected((x, y, z))
            ends = [_projected(_moved((x, y, z), axis)) for axis in _in_plane(normal)]
            edges = [(end[0] - corner[0], end[1] - corner[1]) for end in ends]
            patches.append(Patch(number, corner, edges[0], edges[1]))
    return patches


def _in_plane(normal: Vector) -> tuple[Vector, Vector]:
    """The two axes along the side that ``normal`` points to."""
    one, other = (axis for axis, part in zip(_AXES, normal, strict=True) if not part)
    return one, other


def _moved(v: Vector, axis: Vector, by: int = 1) -> Vector:
    return v[0] + by * axis[0], v[1] + by * axis[1], v[2] + by * axis[2]


def _in_net() -> list[Patch]:
    patches = []
    for number in range(len(STICKERS)):
        row, column = divmod(number % 4, 2)
        x, y = _net_corner(FACES[number // 4])
        patches.append(Patch(number, (x + column, y + row), (1.0, 0.0), (0.0, 1.0)))
    return patches


def _net_corner(face: str) -> Point:
    column, row = _NET[face]
    return 6.95 + column * (1 + _GAP / 2), 0.34 + row * (1 + _GAP / 2)


def _one_colour(color: int, patches: list[Patch], tile: int) -> np.ndarray:
    canvas = Canvas(_WIDE, _HIGH, tile, p.NIGHT)
    canvas.ellipse(_MIDDLE[0], 6.1, 2.5, 0.6, p.SHADOW, blur=0.2)
    _bodies(canvas)
    light, dark = p.CUBE[color]
    for patch in patches:
        corners = [patch.at(*share) for share in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))]
        canvas.line([*corners, corners[0]], light, 0.1)
        canvas.polygon(corners, light, to=dark)
    for face, shade in _SEEN.items():
        canvas.polygon(_outline(face), p.SHADOW, alpha=shade)
    for face in FACES:
        x, y = _net_corner(face)
        _badge(canvas, face, x + 1, y + 1)
        if face in _SEEN:
            _badge(canvas, face, *_projected(STICKERS[4 * FACES.index(face)].normal))
    return canvas.picture()


def _bodies(canvas: Canvas) -> None:
    """The black plastic behind the stickers."""
    for face in FACES:
        x, y = _net_corner(face)
        canvas.rectangle(x - 0.05, y - 0.05, 2.1, 2.1, p.INK, radius=0.16)
        canvas.rectangle(x, y, 2.0, 2.0, p.SHADOW, radius=0.12)
    for face in _SEEN:
        outline = _outline(face)
        canvas.polygon(outline, p.SHADOW)
        canvas.line([*outline, outline[0]], p.SHADOW, 0.14)


def _outline(face: str) -> list[Point]:
    """Corners of a face of the cube in space, one after the other."""
    normal = STICKERS[4 * FACES.index(face)].normal
    one, other = _in_plane(normal)
    around = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [_projected(_moved(_moved(normal, one, a), other, b)) for a, b in around]


def _badge(canvas: Canvas, letter: str, x: float, y: float) -> None:
    canvas.ellipse(x, y, 0.33, 0.33, p.NIGHT)
    mask = line_mask(letter, round(0.5 * canvas.unit))
    unit = canvas.unit
    canvas.stamp(mask, x - mask.shape[1] / unit / 2, y - mask.shape[0] / unit / 2, p.CLOUD)
