"""Mazes drawn by hand, and a slow walker: what mazes and their oracle are tested against."""

from collections import deque
from typing import Any

import numpy as np

from text_envs.games.maze import Maze, MazeState

NO_LUCK = np.random.default_rng(0)  # nothing that is played here draws from it
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # north, east, south, west

HALL = """
#########
#.....#.#
#.#.#.#.#
#.#>....#
#.#.#####
#......E#
#########
"""

BEND = """
#####
#>..#
###.#
#E..#
#####
"""

SPIRAL = """
#######
#>....#
#####.#
#..E#.#
#.###.#
#.....#
#######
"""

ROOM = """
#######
#....E#
#.#.#.#
#.....#
#.#.#.#
#^....#
#######
"""

BEHIND = """
#########
#E.>....#
#########
"""


def read(level: str, **params: Any) -> MazeState:
    (state,) = Maze(size=10, **params).levels(level)
    return state


def follow(state: MazeState, moves: list[str]) -> MazeState:
    for move in moves:
        state = Maze().play(state, move, NO_LUCK).state
    return state


def cells_and_ways(level: str) -> tuple[set, set]:
    """Cells as (row, column), and pairs of neighbours with an opening between them."""
    rows = level.split()
    cells = {(r, c) for r in range(len(rows) // 2) for c in range(len(rows[0]) // 2)}
    ways = {
        ((r, c), (r + dr, c + dc))
        for r, c in cells
        for dr, dc in STEPS
        if rows[2 * r + 1 + dr][2 * c + 1 + dc] != "#"
    }
    return cells, ways


def slow_shortest(level: str) -> int | None:
    """Fewest moves to the exit, over cells and headings."""
    _, ways = cells_and_ways(level)
    places = {
        character: (r // 2, c // 2)
        for r, row in enumerate(level.split())
        for c, character in enumerate(row)
    }
    (arrow,) = set("^>v<") & set(places)
    start = (places[arrow], "^>v<".index(arrow))
    moves, queue = {start: 0}, deque([start])
    while queue:
        cell, heading = node = queue.popleft()
        if cell == places["E"]:
            return moves[node]
        ahead = (cell[0] + STEPS[heading][0], cell[1] + STEPS[heading][1])
        onward = [(cell, (heading + 1) % 4), (cell, (heading + 3) % 4)]
        onward += [(ahead, heading)] if (cell, ahead) in ways else []
        for other in onward:
            if other not in moves:
                moves[other] = moves[node] + 1
                queue.append(other)
    return None


def dead_ends(level: str) -> int:
    cells, ways = cells_and_ways(level)
    return sum(sum(one == cell for one, _ in ways) == 1 for cell in cells)
