"""Minesweeper by the book: layouts written out one by one, cells revealed one by one; and positions
to try it on.
"""

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import strategies as st

from text_envs.games.minesweeper import Minesweeper, MinesweeperState

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(4, 4, 3), (2, 7, 4), (3, 5, 2), (5, 3, 7), (4, 4, 1), (2, 2, 2)])
BOARD = "*...\n....\n..*+\n...*"


def around(cell: int, rows: int, cols: int) -> list[int]:
    row, col = divmod(cell, cols)
    return [
        r * cols + c
        for r in range(rows)
        for c in range(cols)
        if max(abs(r - row), abs(c - col)) == 1
    ]


def count(cell: int, mines: set[int], rows: int, cols: int) -> int:
    return sum(near in mines for near in around(cell, rows, cols))


def layouts(view: bytes, rows: int, cols: int, mines: int) -> list[set[int]]:
    """Every layout that agrees with what is shown."""
    unknown = [cell for cell, code in enumerate(view) if code in b"#F"]
    shown = [(cell, code - ord("0")) for cell, code in enumerate(view) if code not in b"#F"]
    return [
        set(layout)
        for layout in combinations(unknown, mines)
        if all(count(cell, set(layout), rows, cols) == number for cell, number in shown)
    ]


def revealed(view: bytes, mines: set[int], cell: int, rows: int, cols: int) -> bytes:
    """What is seen after a safe cell is revealed: by recursion, a cell at a time."""
    number = count(cell, mines, rows, cols)
    view = view[:cell] + str(number).encode() + view[cell + 1 :]
    if number == 0:
        for near in around(cell, rows, cols):
            if view[near] == ord("#"):
                view = revealed(view, mines, near, rows, cols)
    return view


def small() -> tuple[Minesweeper, MinesweeperState]:
    game = Minesweeper(rows=4, cols=4, mines=3)
    return game, game.levels(BOARD)[0]


def mines_of(state: MinesweeperState) -> set[int]:
    return {cell for cell, code in enumerate(state.board) if code == ord("*")}


def play(game: Minesweeper, state: MinesweeperState, *moves: str) -> list[Any]:
    outcomes = []
    for move in moves:
        assert game.parse(state, move) == move
        outcomes.append(game.play(state, move, np.random.default_rng(0)))
        state = outcomes[-1].state
    return outcomes


def under_way(game: Minesweeper, seed: int, moves: int = 4) -> MinesweeperState:
    """A state after a first reveal and some random moves, the game not over."""
    rng = np.random.default_rng(seed)
    state = game.initial(rng)
    kept = state
    for number in range(moves):
        legal = game.legal(state) if number else game.legal(state)[: game.rows * game.cols]
        if not legal:
            break
        kept, state = state, game.play(state, legal[int(rng.random() * len(legal))], rng).state
    return state if game.legal(state) else kept
