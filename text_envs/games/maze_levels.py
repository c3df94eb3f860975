"""Mazes on a board: read, carved, walked through, and redrawn where nobody looks.

A maze of R x C cells is a board of 2R + 1 rows and 2C + 1 columns, rows joined by a newline: cells
at odd rows and columns, between two of them a place that is a wall or open, corner posts at even
rows and columns. All places here are indices into the board.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

WALL, OPEN, EXIT = b"#.E"
MOVES = ("forward", "turn left", "turn right")
ARROWS = "^>v<"
"""The player in the text of a level, facing north, east, south, west."""

_FREE = bytes(ord("1") if code in b".E" else ord("0") for code in range(256))


class Grid(NamedTuple):
    """What all mazes of one size share."""

    stride: int
    """Bytes from one row of the board to the next: columns of the board + 1."""
    walled: bytes
    """The board with a wall at every place between two cells."""
    cells: tuple[int, ...]
    walls: dict[int, tuple[int, int]]
    """Place between two cells -> these cells."""
    around: dict[int, tuple[int, ...]]
    """Cell -> the places between it and its neighbours."""


@lru_cache(maxsize=64)
def grid(rows: int, cols: int) -> Grid:
    """Lay out a grid of ``rows`` x ``cols`` cells."""
    stride = 2 * cols + 2
    cells = tuple((2 * r + 1) * stride + 2 * c + 1 for r in range(rows) for c in range(cols))
    walls = {cell + 1: (cell, cell + 2) for i, cell in enumerate(cells, 1) if i % cols}
    walls |= {cell + stride: (cell, cell + 2 * stride) for cell in cells[:-cols]}
    around = {cell: tuple(cell + s for s in steps(stride) if cell + s in walls) for cell in cells}
    row = b"#" * (stride - 1)
    walled = bytearray(b"\n".join([row] * (2 * rows + 1)))
    for cell in cells:
        walled[cell] = OPEN
    return Grid(stride, bytes(walled), cells, walls, around)


def steps(stride: int) -> tuple[int, int, int, int]:
    """Index steps to the north, east, south and west: half the way to the next cell."""
    return -stride, 1, stride, -1


# --- reading ---


def fault(rows: list[str]) -> str:
    """Say what is wrong with the map of a level; empty if nothing is."""
    text, high, wide = "\n".join(rows), len(rows), len(rows[0])
    known = f"#.E{ARROWS}\n"
    if unknown := sorted(set(text) - set(known)):
        return (
            f"has {', '.join(map(repr, unknown))}; a map is written with #, . (or a space), E and"
            f" one of {' '.join(ARROWS)}"
        )
    if ragged := [i for i, row in enumerate(rows) if len(row) != wide]:
        return f"row {ragged[0]} has {len(rows[ragged[0]])} characters, row 0 has {wide}"
    if high % 2 == 0 or wide % 2 == 0 or min(high, wide) < 3:
        return (
            f"has {high} rows and {wide} columns; walls and cells take turns, so both must be odd,"
            " and at least 3"
        )
    players = sum(map(text.count, ARROWS))
    if players != 1 or text.count("E") != 1:
        return (
            f"has {players} of {' '.join(ARROWS)} (the player) and {text.count('E')} of E; it must"
            " have one of each"
        )
    for row, col in np.ndindex(high, wide):
        code, place = rows[row][col], f"row {row}, column {col} (from zero)"
        if code != "#" and (row in (0, high - 1) or col in (0, wide - 1)):
            return f"the border is open at {place}; it must be # all round"
        if code != "#" and row % 2 == col % 2 == 0:
            return f"{place} is a corner post and must be #, not {code!r}"
        if code == "#" and row % 2 == col % 2 == 1:
            return f"{place} is a cell and must be open; put walls between cells"
        if code not in "#." and not row % 2 == col % 2 == 1:
            return f"{code!r} is at {place}, between two cells; it must be in one"
    return ""


# --- carving ---


def carve(rng: np.random.Generator, maze: Grid, braid: float) -> bytearray:
    """Draw a maze: a perfect one (a spanning tree, by Kruskal's algorithm), of whose dead ends the
    share ``braid`` is then opened into loops.
    """
    board = bytearray(maze.walled)
    _join(board, maze, _shuffled(rng, tuple(maze.walls)), {c: c for c in maze.cells})
    if braid:
        _open_dead_ends(board, maze, braid, rng)
    return board


def _openings(board: bytes | bytearray, maze: Grid, cell: int) -> int:
    """Count the ways out of a cell."""
    return sum(board[place] == OPEN for place in maze.around[cell])


def _open_dead_ends(board: bytearray, maze: Grid, braid: float, rng: np.random.Generator) -> None:
    """Open dead ends, in random order, to a neighbour, until their share is removed; one that leads
    to another dead end removes both.
    """
    dead_ends = [cell for cell in maze.cells if _openings(board, maze, cell) == 1]
    left = len(dead_ends)
    stay = round(left * (1 - braid))
    draws = rng.random(left).tolist()
    for cell, draw in zip(_shuffled(rng, dead_ends), draws, strict=True):
        if left <= stay:
            return
        if _openings(board, maze, cell) > 1:  # another dead end was opened to this one
            continue
        closed = [place for place in maze.around[cell] if board[place] == WALL]
        place = closed[int(draw * len(closed))]
        left -= sum(_openings(board, maze, end) == 1 for end in maze.walls[place])
        board[place] = OPEN


def _shuffled(rng: np.random.Generator, items: Sequence[int]) -> list[int]:
    return [items[i] for i in rng.permutation(len(items)).tolist()]


def _join(board: bytearray, maze: Grid, places: Iterable[int], group: dict[int, int]) -> None:
    """Open every place between two cells that no way joins yet; ``group`` leads from each cell to
    the one that stands for all that it is joined with.
    """
    walls, apart = maze.walls, len(group) - 1
    for place in places:
        one, other = walls[place]
        while one != (above := group[one]):
            group[one] = one = group[above]
        while other != (above := group[other]):
            group[other] = other = group[above]
        if one != other:
            group[one] = other
            board[place] = OPEN
            apart -= 1
            if not apart:
                return


# --- walking ---


def within(board: bytes, stride: int, player: int, heading: int) -> Iterator[int]:
    """Yield the cells that 0, 1, 2, ... moves can reach, up to all that can be reached at all.

    A set of cells is the bits of one integer, the board's first place the highest. Floods the maze
    from the player, all cells with one heading at once.
    """
    free = int(board.translate(_FREE), 2)
    open_north, open_south, two_rows = free >> stride, free << stride, 2 * stride
    open_east, open_west = free << 1, free >> 1
    start = 1 << len(board) - 1 - player
    now = tuple(start if heading == facing else 0 for facing in range(4))
    before = None
    while now != before:
        north, east, south, west = before = now
        yield north | east | south | west
        sideways, upright = east | west, north | south
        now = (
            north | sideways | (north & open_north) << two_rows,
            east | upright | (east & open_east) >> 2,
            south | sideways | (south & open_south) >> two_rows,
            west | upright | (west & open_west) << 2,
        )


def shortest(board: bytes, stride: int, player: int, heading: int) -> int | None:
    """Count the moves of the shortest way out; ``None`` when there is none."""
    goal = 1 << len(board) - 1 - board.index(EXIT)
    reached = enumerate(within(board, stride, player, heading))
    return next((moves for moves, cells in reached if cells & goal), None)


def way(board: bytes, stride: int, player: int, heading: int) -> list[str] | None:
    """Give the moves of a shortest way out, ``None`` when there is none. Breadth first."""
    step = steps(stride)
    start = 4 * player + heading  # a node is a cell and a heading
    came = {start: start}
    queue = [start]
    for node in queue:
        facing = node & 3
        if board[node >> 2] == EXIT:
            return _traced(came, node)
        turned = node - facing
        after = [turned | facing - 1 & 3, turned | facing + 1 & 3]
        if board[(node >> 2) + step[facing]] != WALL:
            after.append(node + 8 * step[facing])
        for other in after:
            if other not in came:
                came[other] = node
                queue.append(other)
    return None


def _traced(came: Mapping[int, int], node: int) -> list[str]:
    moves = []
    while (before := came[node]) != node:
        turn = (node - before) & 3 if node >> 2 == before >> 2 else 0
        moves.append(("forward", "turn right", "", "turn left")[turn])
        node = before
    return moves[::-1]


# --- what is out of sight ---


def redraw(
    rng: np.random.Generator,
    maze: Grid,
    player: int,
    seen: Mapping[int, bool],
    cells: frozenset[int],
    exit: int | None,
) -> tuple[bytes, int] | None:
    """Draw (board, player) of a maze of this size that looks the same from where the player is.

    Args:
        rng: source of chance.
        maze: the grid of both mazes.
        player: where the player is.
        seen: every place between cells that is seen -> whether it is open.
        cells: every cell that is seen.
        exit: the exit, if it is seen.

    Returns:
        ``None`` if the exit can't be reached in what was drawn, or has no place in it.
    """
    fits = [shift for c in maze.cells if _fits(maze, shift := c - player, seen, cells)]
    shift = fits[int(rng.random() * len(fits))]
    board = bytearray(maze.walled)
    group = {cell: cell for cell in maze.cells}
    known = {place + shift: is_open for place, is_open in seen.items()}
    opened = [place for place, is_open in known.items() if is_open]
    for place in opened:
        board[place] = OPEN
    unknown = [place for place in _shuffled(rng, tuple(maze.walls)) if place not in known]
    _join(board, maze, opened + unknown, group)
    hidden = [c for c in maze.cells if c - shift not in cells]
    if exit is None and not hidden:
        return None
    at = exit + shift if exit is not None else hidden[int(rng.random() * len(hidden))]
    board[at] = EXIT
    drawn = bytes(board), player + shift
    return drawn if shortest(drawn[0], maze.stride, drawn[1], 0) is not None else None


def _fits(maze: Grid, shift: int, seen: Mapping[int, bool], cells: frozenset[int]) -> bool:
    """Tell whether what is seen lies within the grid when moved by ``shift``. What crosses the edge
    of a row lands where no cell, or no wall between two, can be.
    """
    return all(c + shift in maze.around for c in cells) and all(
        place + shift in maze.walls for place, is_open in seen.items() if is_open
    )
