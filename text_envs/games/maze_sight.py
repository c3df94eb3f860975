"""What is seen in a maze from one of its cells, and how it is told."""

from functools import lru_cache
from typing import NamedTuple

from text_envs.games.maze_levels import EXIT, OPEN, WALL, steps

HEADINGS = ("north", "east", "south", "west")
"""A direction is an index into these: one more is a turn to the right."""
SIDES = (("Ahead", 0), ("Left", 3), ("Right", 1))
"""Where the player looks -> what to add to the heading."""


class Sight(NamedTuple):
    """What is seen from a cell in one direction."""

    cells: int
    """Cells in a straight line, up to a wall or the exit."""
    exit: bool
    """The last of them is the exit."""
    left: bytes
    """``#`` or ``.`` for each of them but the exit, nearest first: its left side, as one looks."""
    right: bytes


@lru_cache(maxsize=4096)
def sight(board: bytes, stride: int, cell: int, direction: int) -> Sight:
    """Look from a cell in a direction."""
    step = steps(stride)
    ahead = step[direction]
    line = board[cell + ahead :: ahead]
    end = line.index(WALL)
    exit = line.find(EXIT, 0, end)
    if exit >= 0:
        end = exit + 1
    cells, sides = end // 2, end // 2 - (exit >= 0)
    first = cell + 2 * ahead
    left = board[first + step[direction - 1] :: 2 * ahead][:sides] if sides else b""
    right = board[first + step[direction - 3] :: 2 * ahead][:sides] if sides else b""
    return Sight(cells, exit >= 0, left, right)


def passages(direction: int, seen: Sight) -> list[tuple[str, list[int]]]:
    """(heading, how far away each one is) of the side passages in sight."""
    sides = ((HEADINGS[direction - 1], seen.left), (HEADINGS[direction - 3], seen.right))
    return [
        (name, places)
        for name, side in sides
        if (places := [at for at, code in enumerate(side, 1) if code == OPEN])
    ]


@lru_cache(maxsize=4096)
def told(board: bytes, stride: int, cell: int, heading: int) -> str:
    """Tell what is seen from a cell, a line for each direction."""
    at_exit = board[cell] == EXIT
    lines = [f"You {'are at the exit, facing' if at_exit else 'face'} {HEADINGS[heading]}."]
    for name, turn in SIDES:
        direction = (heading + turn) % 4
        lines.append(f"{name} {_line(direction, sight(board, stride, cell, direction))}")
    return "\n".join(lines)


@lru_cache(maxsize=4096)
def _line(direction: int, seen: Sight) -> str:
    """What is seen in one direction."""
    cells = "1 cell" if seen.cells == 1 else f"{seen.cells} cells"
    what = f"exit {cells} away" if seen.exit else f"open for {cells}" if seen.cells else "wall"
    aside = "; ".join(
        f"{where} at {', '.join(map(str, places))}" for where, places in passages(direction, seen)
    )
    return f"({HEADINGS[direction]}): {what}{aside and f'; passages: {aside}'}"


def in_sight(
    board: bytes, stride: int, cell: int, heading: int
) -> tuple[dict[int, bool], frozenset[int]]:
    """List all that is seen from a cell: the places between cells -> whether they are open, and the
    cells.
    """
    step = steps(stride)
    places, cells = {}, {cell}
    for _, turn in SIDES:
        direction = (heading + turn) % 4
        ahead, seen = step[direction], sight(board, stride, cell, direction)
        for distance in range(1, seen.cells + 1):
            cells.add(cell + 2 * distance * ahead)
            places[cell + (2 * distance - 1) * ahead] = True
        if not seen.exit:
            places[cell + (2 * seen.cells + 1) * ahead] = False
        sides = ((step[direction - 1], seen.left), (step[direction - 3], seen.right))
        for aside, codes in sides:
            for distance, code in enumerate(codes, 1):
                places[cell + 2 * distance * ahead + aside] = code == OPEN
    return places, frozenset(cells)
