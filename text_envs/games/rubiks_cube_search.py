"""The oracle of the 2x2x2 cube: a shortest solution in quarter turns, by search from both ends.

How the cube is held does not matter: it is held so that one corner, the one down, back and left, is
where it belongs. Turns of the three faces that are not at this corner leave it there, and turning
any other face is the same as turning the opposite one and holding the cube another way. That leaves
3,674,160 positions, none of them over 14 quarter turns from the solved one. Half of that is
searched from the solved cube, once; from the position the search goes on until it meets the other.
"""

from functools import lru_cache

from text_envs.games.rubiks_cube_turns import (
    CORNERS,
    FACES,
    ROTATIONS,
    SOLVED,
    STICKERS,
    TURNS,
    turned,
)

GODS_NUMBER = 14
"""Quarter turns that solve any 2x2x2 cube."""
HALF = GODS_NUMBER // 2
_MOVES = {move: TURNS[move] for move in ("U", "U'", "R", "R'", "F", "F'")}
_HELD = next(corner for corner in CORNERS if STICKERS[corner[0]].corner == (-1, -1, -1))


def solution(cube: bytes) -> list[str]:
    """Give a shortest list of moves that solves ``cube``, with every face of one colour, whichever
    way it is held then. The cube must be one that turns can make.
    """
    position, rotation = _upright(cube)
    # the face that was held where another one is now
    held = {face: FACES[rotation[4 * number] // 4] for number, face in enumerate(FACES)}
    return [held[move[0]] + move[1:] for move in _shortest(position)]


def _upright(cube: bytes) -> tuple[bytes, bytes]:
    """Hold the cube so that the corner down, back and left is where it belongs: the cube then, and
    the rotation that brings it there.
    """
    first, second, third = _HELD
    wanted = SOLVED[first], SOLVED[second], SOLVED[third]
    for rotation in ROTATIONS:
        if (cube[rotation[first]], cube[rotation[second]], cube[rotation[third]]) == wanted:
            return turned(cube, rotation), rotation
    raise ValueError(f"{list(cube)} is no cube: its corner of the colours {wanted} is missing")


@lru_cache(maxsize=4096)
def _shortest(position: bytes) -> tuple[str, ...]:
    for radius in range(HALF + 1):
        if position in (near := _within(radius)):
            return _way_home(position, near)
    near = _within(HALF)
    ways: dict[bytes, tuple[str, ...]] = {position: ()}
    frontier = [position]
    for _ in range(GODS_NUMBER - HALF):
        onward = []
        for here in frontier:
            for move, turn in _MOVES.items():
                there = turned(here, turn)
                if there in near:  # at the edge, or the position itself would be nearer
                    return (*ways[here], move, *_way_home(there, near))
                if there not in ways:
                    ways[there] = (*ways[here], move)
                    onward.append(there)
        frontier = onward
    raise ValueError(f"{list(position)} is no cube: no turns solve it")


def _way_home(position: bytes, near: dict[bytes, int]) -> tuple[str, ...]:
    moves = []
    while distance := near[position]:
        for move, turn in _MOVES.items():
            after = turned(position, turn)
            if near.get(after) == distance - 1:
                position = after
                moves.append(move)
                break
    return tuple(moves)


@lru_cache(maxsize=HALF + 1)
def _within(radius: int) -> dict[bytes, int]:
    """Every position up to ``radius`` quarter turns from the solved one, with its distance."""
    if radius == 0:
        return {SOLVED: 0}
    found = dict(_within(radius - 1))
    for position, distance in list(found.items()):
        if distance == radius - 1:
            for turn in _MOVES.values():
                found.setdefault(turned(position, turn), radius)
    return found
