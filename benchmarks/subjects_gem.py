"""GEM's games. The board comes in ``info["suffix"]``."""

from importlib import import_module
from itertools import product
from typing import Any

from subjects import DIRECTIONS, NO_LIMIT, Draw, Subject, any_of, each_of, hanoi, play_steps


def sokoban(size: int, boxes: int) -> Subject:
    """Sokoban."""
    env = make("sokoban", "SokobanEnv", (size, size), NO_LIMIT, boxes)
    return _subject(env, any_of([boxed(d) for d in DIRECTIONS]))


def game_2048() -> Subject:
    """4x4."""
    env = make("game_2048", "Game2048Env", 2048, NO_LIMIT)
    return _subject(env, any_of([boxed(d) for d in DIRECTIONS]))


def mastermind() -> Subject:
    """3 pegs, 6 colours, with repeats."""
    codes = [boxed(" ".join(code)) for code in product("123456", repeat=3)]
    return _subject(make("mastermind", "MastermindEnv", 3, 6, True, NO_LIMIT), each_of(codes))


def minesweeper(rows: int, cols: int, mines: int) -> Subject:
    """Reveals; a cell that is revealed already is refused."""
    cells = [boxed(f"reveal {row} {col}") for row in range(rows) for col in range(cols)]
    env = make("minesweeper", "MinesweeperEnv", rows, cols, mines, NO_LIMIT)
    return _subject(env, each_of(cells))


def tower_of_hanoi() -> Subject:
    """3 disks from the first to the third tower."""
    moves = hanoi(3, lambda start, end: boxed(f"{'ABC'[start]} {'ABC'[end]}"))
    return _subject(make("tower_of_hanoi", "TowerofHanoiEnv", 3, NO_LIMIT), moves)


def sudoku(size: int, empty: int) -> Subject:
    """The right digits, in order. GEM tries to empty as many cells as its "clues" says, and has as
    many empty ones at most.
    """
    env = make("sudoku", "SudokuEnv", empty, NO_LIMIT, size)

    def digits(rng: Any, most: int) -> list[str]:
        board, solution = env.board, env.full_grid
        empty = [(r, c) for r in range(size) for c in range(size) if board[r][c] == 0]
        return [boxed(f"{r + 1} {c + 1} {solution[r][c]}") for r, c in empty[:most]]

    return _subject(env, digits)


def make(module: str, name: str, *args: Any) -> Any:
    """Make an environment."""
    return getattr(import_module(f"gem.envs.game_env.{module}"), name)(*args)


def boxed(move: str) -> str:
    """Write a move as GEM wants it."""
    return f"\\boxed{{{move}}}"


def _subject(env: Any, moves: Draw) -> Subject:
    return Subject(env.reset, moves, lambda played: play_steps(env.step, played))
