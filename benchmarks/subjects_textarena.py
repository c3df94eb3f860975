"""TextArena's games, without its wrappers. The observation is the list of new messages."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from itertools import product
from typing import Any

from subjects import DIRECTIONS, NO_LIMIT, Draw, Subject, any_of, each_of, hanoi


def sokoban(size: int, boxes: int) -> Subject:
    """Sokoban."""
    return _subject("Sokoban", _named(DIRECTIONS), (size, size), NO_LIMIT, boxes)


def frozen_lake() -> Subject:
    """FrozenLake, 4x4; a new map at each reset."""
    return _subject("FrozenLake", _named(DIRECTIONS), size=4)


def bandit() -> Subject:
    """Two buttons and 20 turns, with a summary of what each has paid."""
    buttons = ["red", "blue"]
    return _subject("Bandit", _named(buttons), buttons, num_turns=20, include_summary=True)


def blackjack() -> Subject:
    """One hand."""
    return _subject("Blackjack", _named(("Hit", "Stand")), 1)


def game_2048() -> Subject:
    """4x4."""
    return _subject("Game2048", _named(DIRECTIONS))


def mastermind() -> Subject:
    """3 pegs, 6 colours, with repeats."""
    codes = [" ".join(code) for code in product("123456", repeat=3)]
    return _subject("Mastermind", each_of([f"[{c}]" for c in codes]), 3, 6, NO_LIMIT, True)


def minesweeper(rows: int, cols: int, mines: int) -> Subject:
    """Reveals; a mine, and a cell that is revealed already, are refused."""
    cells = [f"[{row} {col}]" for row in range(rows) for col in range(cols)]
    return _subject("Minesweeper", each_of(cells), rows, cols, mines, NO_LIMIT)


def tower_of_hanoi() -> Subject:
    """3 disks from the first to the third tower."""
    moves = hanoi(3, lambda start, end: f"[{'ABC'[start]} {'ABC'[end]}]")
    return _subject("TowerOfHanoi", moves, 3, NO_LIMIT)


def memory_game() -> Subject:
    """4x4 cards, for two players; a move turns two cards."""
    cells = list(product("0123", repeat=2))
    pairs = [f"[{' '.join((*a, *b))}]" for a in cells for b in cells if a != b]
    return _subject("MemoryGame", any_of(pairs), 4, NO_LIMIT, players=2)


def countdown(count: int = 6) -> Subject:
    """Numbers, of which a move combines two, until one is left; always the same puzzle, that of
    ``countdown_952.txt``.
    """
    numbers = [25, 50, 3, 7, 9, 2][:count]

    def combining(rng: Any, most: int) -> Iterable[str]:
        for left in range(count, 1, -1):
            first, second = rng.permutation(left)[:2].tolist()
            yield f"[{first} {second} {'+-'[int(rng.random() * 2)]}]"

    return _subject("Countdown", combining, numbers, 952, max_turns=NO_LIMIT)


def sudoku(clues: int) -> Subject:
    """9x9; the right digits, in order."""
    env = make("Sudoku", clues, NO_LIMIT)

    def digits(rng: Any, most: int) -> list[str]:
        board, solution = env.game_board, env.full_grid
        empty = [(r, c) for r in range(9) for c in range(9) if board[r][c] == 0]
        return [f"[{r + 1} {c + 1} {solution[r][c]}]" for r, c in empty[:most]]

    return _around(env, digits)


def _named(names: Sequence[str]) -> Draw:
    return any_of([f"[{name}]" for name in names])


def make(name: str, *args: Any, **kwargs: Any) -> Any:
    """Make an environment."""
    return getattr(import_module(f"textarena.envs.{name}.env"), f"{name}Env")(*args, **kwargs)


def _subject(name: str, moves: Draw, *args: Any, players: int = 1, **kwargs: Any) -> Subject:
    return _around(make(name, *args, **kwargs), moves, players)


def _around(env: Any, moves: Draw, players: int = 1) -> Subject:
    def reset() -> None:
        env.reset(num_players=players)
        env.state.error_allowance = NO_LIMIT  # else the second refused move ends the game
        env.get_observation()

    def play(played: Sequence[str]) -> int:
        step: Callable[[str], Any] = env.step
        observe, count = env.get_observation, 0
        for count, move in enumerate(played, 1):  # noqa: B007 (counted for the caller)
            done, _ = step(move)
            observe()
            if done:
                break
        return count

    return Subject(reset, moves, play)
