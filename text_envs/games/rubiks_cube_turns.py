"""The 2x2x2 cube: where its stickers are in space, and where turns and rotations take them.

Nothing here is typed in as a permutation: a turn rotates points. The cube is eight points at -1 or
1 on each axis: x to the right, y up, z towards the player. A sticker is at one of them, on the side
that its normal points to.

A cube is 24 bytes, a face after the other in the order up, right, front, down, left, back, each
from its upper left sticker in reading order, as in the net with up above front, down below it, and
left, front, right, back in a row. A byte is the number of the face that has this colour when the
cube is solved. A turn is 24 bytes as well: from which sticker each one gets its colour.
"""

from itertools import product
from typing import NamedTuple

Vector = tuple[int, int, int]

FACES = "URFDLB"
FACE_NAMES = ("up", "right", "front", "down", "left", "back")
_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)


class Sticker(NamedTuple):
    """A sticker's place in space."""

    corner: Vector
    """The small cube that it is on."""
    normal: Vector
    """The side of the cube that it is on."""


def _times(factor: int, v: Vector) -> Vector:
    return factor * v[0], factor * v[1], factor * v[2]


def _plus(*vectors: Vector) -> Vector:
    x, y, z = map(sum, zip(*vectors, strict=True))
    return x, y, z


def _dot(v: Vector, w: Vector) -> int:
    return sum(a * b for a, b in zip(v, w, strict=True))


def _cross(v: Vector, w: Vector) -> Vector:
    return v[1] * w[2] - v[2] * w[1], v[2] * w[0] - v[0] * w[2], v[0] * w[1] - v[1] * w[0]


def _clockwise(v: Vector, normal: Vector) -> Vector:
    """Rotate ``v`` a quarter turn, clockwise for who looks at the side of ``normal``."""
    return _plus(_times(_dot(v, normal), normal), _cross(v, normal))


# face -> its normal, and what is to the right in the net for who looks at it
_SIDES: dict[str, tuple[Vector, Vector]] = {
    "U": (_Y, _X),
    "R": (_X, _times(-1, _Z)),
    "F": (_Z, _X),
    "D": (_times(-1, _Y), _X),
    "L": (_times(-1, _X), _Z),
    "B": (_times(-1, _Z), _times(-1, _X)),
}


def _stickers() -> tuple[Sticker, ...]:
    found = []
    for normal, right in (_SIDES[face] for face in FACES):
        down = _cross(right, normal)
        for row, column in product((-1, 1), repeat=2):
            place = _plus(normal, _times(row, down), _times(column, right))
            found.append(Sticker(place, normal))
    return tuple(found)


STICKERS = _stickers()
SOLVED = bytes(number // 4 for number in range(24))


def turned(cube: bytes, turn: bytes) -> bytes:
    """Make a turn, or a rotation of the whole cube."""
    return turn.translate(cube.ljust(256))


def _inverse(turn: bytes) -> bytes:
    return bytes(turn.index(sticker) for sticker in range(24))


def _turn(normal: Vector, *, whole: bool) -> bytes:
    """Turn the layer of one side, or the whole cube, clockwise for who looks at that side."""
    sources = list(range(24))
    for number, (corner, side) in enumerate(STICKERS):
        if whole or _dot(corner, normal) > 0:
            target = Sticker(_clockwise(corner, normal), _clockwise(side, normal))
            sources[STICKERS.index(target)] = number
    return bytes(sources)


def _turns() -> dict[str, bytes]:
    turns = {}
    for face in FACES:
        turns[face] = _turn(_SIDES[face][0], whole=False)
        turns[f"{face}'"] = _inverse(turns[face])
    return turns


def _rotations() -> tuple[bytes, ...]:
    quarter = [_turn(axis, whole=True) for axis in (_X, _Y)]
    found = [bytes(range(24))]
    for rotation in found:  # grows
        found += [r for q in quarter if (r := turned(rotation, q)) not in found]
    return tuple(found)


def _corners() -> tuple[tuple[int, int, int], ...]:
    found = []
    for first, (corner, normal) in enumerate(STICKERS):
        if normal in (_Y, _times(-1, _Y)):
            others = [n for n, s in enumerate(STICKERS) if s.corner == corner and n != first]
            second, third = others
            if _dot(_cross(normal, STICKERS[second].normal), STICKERS[third].normal) > 0:
                second, third = third, second
            found.append((first, second, third))
    return tuple(found)


TURNS = _turns()
"""Move -> turn: ``U`` clockwise for who looks at that face, ``U'`` counter-clockwise."""
ROTATIONS = _rotations()
"""The 24 ways to hold the cube."""
SOLVED_CUBES = frozenset(turned(SOLVED, rotation) for rotation in ROTATIONS)
CORNERS = _corners()
"""The stickers of each corner: that of the upper or lower face, then clockwise for who looks at the
corner.
"""
