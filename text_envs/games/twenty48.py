"""2048: slide the tiles, and two equal ones that meet become one of twice the value.

Every move slides all tiles as far as they go. Of equal tiles in a line, those nearest the side that
they slide to merge first, and a tile that a move has made merges no more in it. Then a new tile
comes up on an empty cell: 2 with probability 0.9, otherwise 4. A move that shifts nothing brings no
new tile.

========================================  ============================  ===========
event                                     reward                        game
========================================  ============================  ===========
a move that makes tiles worth m in all    0.1 log2(m + 1)               goes on
a move that merges nothing                0                             goes on
a move that shifts nothing                ``ineffective_penalty``       goes on
a tile of ``target`` is made              0.1 log2(m + 1), as for any   ends, won
no move would shift anything              as for any                    ends, lost
========================================  ============================  ===========

The rules are those of Gabriele Cirulli's 2048 of 2014, the reward is on a scale of our own.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, log2
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks, new
from text_envs.games.twenty48_search import best_move

MOVES = ("up", "down", "left", "right")
FOUR = 0.1
"""Chance that a new tile is a 4, not a 2."""
MAX_SIZE = 5
MAX_EXPONENT = 15
MAX_SYMBOL = 6

_EMPTY = "."


class Twenty48State(NamedTuple):
    """The board."""

    board: bytes
    """A byte a cell, row after row: 0 where it is empty, ``k`` for the tile ``2**k``."""
    size: int
    """Rows and columns."""

    @property
    def best_tile(self) -> int:
        """Value of the greatest tile."""
        return 1 << max(self.board)


class Twenty48(Game[Twenty48State]):
    """Slide tiles and merge equal ones until a tile of 2048 is there.

    Moves: ``up``, ``down``, ``left``, ``right``, all legal until the game ends. Reward
    ``0.1 * log2(m + 1)``, with m the sum of the tiles that the move made by merging: 0 when nothing
    merges, 0.1 * log2(13) when two 2 make a 4 and two 4 make an 8. A move that shifts nothing costs
    ``ineffective_penalty`` and brings no new tile. The game ends when the target is reached
    (success), or when no move would shift anything.

    A 2048 takes 900 to 1,000 moves, so that Text2048-v0 allows 1,500. ``info["best_tile"]``: the
    value of the greatest tile, which tells games apart that don't get that far.

    The oracle weighs every new tile that may come, up to two of them ahead where the board is
    nearly full, and takes the move with the best prospects. It is a strong player, not a perfect
    one; its plan is a single move.

    Args:
        size: rows and columns of the board, 2 to 5.
        target: the tile to reach, a power of two from 8 to 32768, and at most the greatest that a
            board of this size has room to make: 16 at 2x2, 512 at 3x3.
        ineffective_penalty: reward of a move that shifts nothing, at most 0.
        symbols: how a board is written: the empty cell, then every tile from 2 to ``target``.
            Different texts of 1 to 6 visible characters. By default a dot and the numbers.

    A level is a row a line, the cells apart by spaces: ``.`` or a tile's number, whatever the
    symbols; with a blank line between two levels.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (1500 in Text2048-v0):

    ==================  =====  ===================  ============================
    parameters          moves  random               oracle
    ==================  =====  ===================  ============================
    default             1500   0 (0 to 0.04)        96.0 (90.2 to 98.4), n=100
    target=512          1500   0.03 (0.01 to 0.09)  99.6 (98.6 to 99.9), n=500
    target=256          1500   7.9 (7.3 to 8.4)     100 (99.8 to 100), n=2,000
    target=64           100    93.2 (92.6 to 93.6)  100 (99.96 to 100)
    size=3, target=128  1500   0.03 (0.01 to 0.09)  97.7 (96.6 to 98.5), n=1,000
    ==================  =====  ===================  ============================
    """

    stochastic = True

    def __init__(
        self,
        size: int = 4,
        target: int = 2048,
        ineffective_penalty: float = -0.1,
        symbols: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(size, int) or not 2 <= size <= MAX_SIZE:
            raise ValueError(f"size={size!r} must be a whole number from 2 to {MAX_SIZE}")
        most = min(size * size, MAX_EXPONENT)
        if not isinstance(target, int) or target not in [1 << k for k in range(3, most + 1)]:
            raise ValueError(
                f"target={target!r} must be a power of two from 8 to {1 << most}, the greatest tile"
                f" that is asked for with size={size}"
            )
        number = isinstance(ineffective_penalty, int | float) and isfinite(ineffective_penalty)
        if not number or ineffective_penalty > 0:
            raise ValueError(
                f"ineffective_penalty={ineffective_penalty!r} must be a number of at most 0: it is"
                " a reward, and nothing should be earned by standing still"
            )
        self.size, self.target = size, target
        self.ineffective_penalty = float(ineffective_penalty)
        self._goal = target.bit_length() - 1
        numbers = [str(1 << k) for k in range(1, self._goal + 1)]
        self.symbols = _checked((_EMPTY, *numbers) if symbols is None else symbols, target)
        self._wide = max(map(len, self.symbols))
        self._cells = tuple(symbol.rjust(self._wide) for symbol in self.symbols)
        self.charset = PRINTABLE | frozenset("".join(self.symbols))
        self.max_text = size * size * (self._wide + 1) - 1
        self.rules = self._rules(symbols is not None)
        self._empty = bytes(size * size)
        self._form = "\n".join([" ".join(["%s"] * size)] * size)

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> Twenty48State:
        """Put two new tiles on an empty board."""
        board = _with_new_tile(self._empty, rng.random())
        return new(Twenty48State, (_with_new_tile(board, rng.random()), self.size))

    def legal(self, state: Twenty48State) -> tuple[str, ...]:
        """All four moves, none once the target is there or nothing can be shifted."""
        board = state.board
        if self._goal in board or (0 not in board and _stuck(board, state.size)):
            return ()
        return MOVES

    def play(
        self, state: Twenty48State, move: str, rng: np.random.Generator
    ) -> Outcome[Twenty48State]:
        """Slide the tiles; bring a new one if any was shifted."""
        board, size = state
        shifted, made = slide(board, size, move)
        if shifted == board:
            return Outcome(state, self.ineffective_penalty, note="Nothing moves that way.")
        board = _with_new_tile(shifted, rng.random())
        after = new(Twenty48State, (board, size))
        reward = 0.1 * log2(made + 1) if made else 0.0
        if self._goal in shifted:
            return Outcome(after, reward, True, True, f"You made {self.target}.")
        if 0 not in board and _stuck(board, size):
            return Outcome(after, reward, True, note="No move is left.")
        return new(Outcome, (after, reward, False, False, ""))

    def text(self, state: Twenty48State) -> str:
        """Give the board, a row a line."""
        cells = self._cells
        return self._form % tuple([cells[k] for k in state.board])

    def facts(self, state: Twenty48State) -> dict[str, Any]:
        """Give every row as a list of numbers, 0 for an empty cell: ``row 0``, ...; ``best_tile``
        and the number of ``empty_cells``.
        """
        board, size = state
        facts: dict[str, Any] = {
            f"row {number}": [1 << k if k else 0 for k in board[row]]
            for number, row in enumerate(_rows(size))
        }
        return facts | {"best_tile": state.best_tile, "empty_cells": board.count(0)}

    def info(self, state: Twenty48State) -> dict[str, Any]:
        """Give ``best_tile``."""
        return {"best_tile": 1 << max(state.board)}

    def solve(self, state: Twenty48State) -> list[str] | None:
        """Give the one best move; ``None`` once the game is over."""
        if not self.legal(state):
            return None
        afterwards = [slide(*state, move)[0] for move in MOVES]
        for move, board in zip(MOVES, afterwards, strict=True):
            if self._goal in board:
                return [move]
        return [best_move(state.board, state.size)]

    # --- levels ---

    def level(self, state: Twenty48State) -> str:
        """Write the board in numbers, a row a line."""
        board, size = state
        cells = [str(1 << k) if k else _EMPTY for k in board]
        return "\n".join(" ".join(cells[row]) for row in _rows(size))

    def levels(self, text: str) -> list[Twenty48State]:
        """Read boards, separated by blank lines."""
        return [self._read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _read(self, number: int, lines: list[str]) -> Twenty48State:
        tiles = {str(1 << k): k for k in range(1, self._goal)} | {_EMPTY: 0}
        rows, size = [line.split() for line in lines], self.size
        cells = [cell for row in rows for cell in row]
        fault = ""
        if len(rows) != size or any(len(row) != size for row in rows):
            fault = (
                f"has rows of {', '.join(str(len(row)) for row in rows)} cells; it must have"
                f" {size} rows of {size}, or the environment another size"
            )
        elif unknown := [cell for cell in cells if cell not in tiles]:
            fault = (
                f"has {unknown[0][:20]!r}; a cell is '{_EMPTY}' or a tile from 2 to"
                f" {self.target // 2}, below the target"
            )
        elif not any(map(tiles.get, cells)):
            fault = "has no tile, so that nothing could ever be shifted"
        if not fault:
            state = Twenty48State(bytes(tiles[cell] for cell in cells), size)
            if self.legal(state):
                return state
            fault = "is over: it is full, and no two neighbours are equal"
        raise ValueError(f"level {number}: {fault}")

    def _rules(self, renamed: bool) -> str:
        cells = f"{self.size}x{self.size} cells, {self.symbols[0]} where they are empty"
        lines = [
            f"Slide the tiles on a board of {cells}, until you have made a tile of {self.target}."
        ]
        if renamed:
            tiles = [f"{symbol} {2 << k}" for k, symbol in enumerate(self.symbols[1:])]
            lines.append(f"Tiles are written so: {', '.join(tiles)}.")
        lines += [
            f"Moves: {', '.join(MOVES)}. All tiles slide as far as they go; two equal ones that"
            " meet become one of twice the value, which merges no more in that move. Then a new"
            f" tile comes up on a random empty cell: 2 with probability {1 - FOUR:g}, otherwise 4.",
            "A move pays 0.1 log2(m + 1), where m is the sum of the tiles that it made by merging."
            f" A move that shifts nothing pays {self.ineffective_penalty:g} and brings no new"
            " tile.",
            f"The game ends when you have made {self.target}, or when no move would shift"
            " anything.",
        ]
        return "\n".join(lines)


def slide(board: bytes, size: int, move: str) -> tuple[bytes, int]:
    """Slide and merge: the board before a new tile comes, and the sum of the tiles made."""
    turned, back = _turns(size)[move]
    lines = turned.translate(board.ljust(256))
    after, made = b"", 0
    for row in _rows(size):
        line, sum_made = _to_start(lines[row])
        after += line
        made += sum_made
    return back.translate(after.ljust(256)), made


@lru_cache(maxsize=MAX_SIZE)
def _turns(size: int) -> dict[str, tuple[bytes, bytes]]:
    """Move -> the cells in an order in which it slides every row to the left, and the way back.
    Such an order, "translated" by a board, is the board's cells in that order.
    """
    cells = np.arange(size * size).reshape(size, size)
    turned = {"left": cells, "right": cells[:, ::-1], "up": cells.T, "down": cells[::-1].T}
    return {
        move: (bytes(order.ravel().tolist()), bytes(np.argsort(order, axis=None).tolist()))
        for move, order in turned.items()
    }


@lru_cache(maxsize=MAX_SIZE)
def _rows(size: int) -> tuple[slice, ...]:
    return tuple(slice(i, i + size) for i in range(0, size * size, size))


@lru_cache(maxsize=1 << 16)
def _to_start(line: bytes) -> tuple[bytes, int]:
    """Slide a line towards its first cell: the line after it, and the sum of the tiles made."""
    after: list[int] = []
    made, last = 0, 0  # last: the tile that the next one may merge with
    for k in line.replace(b"\0", b""):
        if k == last:
            after[-1] += 1
            made += 2 << k
            last = 0
        else:
            after.append(k)
            last = k
    return bytes(after).ljust(len(line), b"\0"), made


def _with_new_tile(board: bytes, draw: float) -> bytes:
    """Put a new tile on an empty cell. ``draw``, from 0 to 1, tells where by its share of the empty
    cells, and which tile by what is left of it.
    """
    share = draw * board.count(0)
    place = int(share)
    *before, after = board.split(b"\0", place + 1)
    tile = b"\2" if share - place < FOUR else b"\1"
    return b"\0".join(before) + tile + after


def _stuck(board: bytes, size: int) -> bool:
    """Tell whether a full board has no two equal neighbours."""
    return not any(
        line[i] == line[i + 1]
        for k in range(size)
        for line in (board[_rows(size)[k]], board[k::size])
        for i in range(size - 1)
    )


def _checked(symbols: Sequence[str], target: int) -> tuple[str, ...]:
    wanted = target.bit_length()  # the empty cell, and as many tiles as target has powers of two
    fit = isinstance(symbols, Sequence) and [
        s
        for s in symbols
        if isinstance(s, str) and 0 < len(s) <= MAX_SYMBOL and s.isprintable() and " " not in s
    ]
    if not fit or not len(symbols) == len(fit) == len(set(fit)) == wanted:
        raise ValueError(
            f"symbols={symbols!r} must be {wanted} different texts of 1 to {MAX_SYMBOL} visible"
            f" characters: the empty cell, then each tile from 2 to {target}"
        )
    return tuple(fit)
