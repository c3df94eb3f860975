"""The oracle of 2048: expectimax over the next moves and the new tiles that may come between them.

All positions of one depth are looked at together, as arrays. A line of the board is a number with a
hexadecimal digit a cell, so that what a move makes of it, and what it is worth, are looked up. A
position is kept twice, by its lines and by the lines across them: a move along one of them needs
the other one too.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

MOVES = ("up", "left", "down", "right")
"""To the start along columns and rows, to the end along columns and rows."""
LOOKAHEAD = (2, 2, 1, 1, 1, 1)
"""By the number of empty cells: how many times the search lets a new tile come and moves again.
None where there are more: little can go wrong then.
"""
# Worth of a position, by its lines. Weights found by a random search over played games.
EMPTY = 630
PAIR = 860
DISORDER = 26
TILE = 14
LOST = -2_000_000.0


class _Tables(NamedTuple):
    slid: np.ndarray
    """int64 ``[2, 16**size]``: line -> the line slid towards its first cell, towards its last."""
    worth: np.ndarray
    """int64 ``[16**size]``: line -> what it is worth."""
    shifts: np.ndarray
    """int64 ``[size]``: cell -> place of its digit, in bits."""


def best_move(board: bytes, size: int) -> str:
    """Choose a move. ``board`` is that of ``Twenty48State``, and must allow one."""
    tables = _tables(size)
    cells = np.frombuffer(board, np.uint8).reshape(1, size, size).astype(np.int64)
    columns, rows = _across(tables, cells), _across(tables, cells.swapaxes(1, 2))
    empty = board.count(0)
    depth = LOOKAHEAD[empty] if empty < len(LOOKAHEAD) else 0
    values = _move_values(tables, np.stack([columns, rows]), depth)
    values[values == LOST] = -np.inf  # a crowded board may be worth less, but this is no move
    return MOVES[int(values.argmax())]


def _move_values(tables: _Tables, lines: np.ndarray, depth: int) -> np.ndarray:
    """Value ``[2, 2, n]`` of every move (to the start or the end; along the lines or across) in
    positions ``[2, n, size]`` (lines, lines across); ``LOST`` where nothing shifts.
    """
    after = tables.slid[:, lines]  # [2, 2, n, size]
    shifted = (after != lines).any(axis=-1)
    if depth:
        values = np.full(shifted.shape, LOST)
        values[shifted] = _expected(tables, after[shifted], depth)
        return values
    worth = tables.worth[after] + tables.worth[_across(tables, _cells(tables, after))]
    return np.where(shifted, worth.sum(axis=-1), LOST)


def _expected(tables: _Tables, lines: np.ndarray, depth: int) -> np.ndarray:
    """Expected value ``[n]`` of positions to which a new tile will come, by their lines alone
    ``[n, size]``.
    """
    cells = _cells(tables, lines)
    position, line, cell = np.nonzero(cells == 0)
    which, new = np.arange(len(position)), tables.shifts
    board = np.stack([lines, _across(tables, cells)])[:, position]
    boards = np.concatenate([board, board], axis=1)  # a 2 comes, the digit 1; a 4, the digit 2
    boards[0, which, line] += 1 << new[cell]
    boards[1, which, cell] += 1 << new[line]
    which += len(position)
    boards[0, which, line] += 2 << new[cell]
    boards[1, which, cell] += 2 << new[line]
    best = _move_values(tables, boards, depth - 1).max(axis=(0, 1))
    total = np.bincount(position, 9 * best[: len(position)] + best[len(position) :])
    return total / (10 * np.bincount(position))


def _cells(tables: _Tables, lines: np.ndarray) -> np.ndarray:
    """Digits ``[..., line, cell]`` of lines ``[..., line]``."""
    return lines[..., None] >> tables.shifts & 15


def _across(tables: _Tables, cells: np.ndarray) -> np.ndarray:
    """Lines ``[..., cell]`` across those whose digits are ``cells`` ``[..., line, cell]``."""
    return (1 << tables.shifts) @ cells


@lru_cache(maxsize=4)
def _tables(size: int) -> _Tables:
    shifts = 4 * np.arange(size)
    cells = np.arange(16**size)[:, None] >> shifts & 15
    slid = np.stack([_slid(cells), _slid(cells[:, ::-1])[:, ::-1]])
    return _Tables(slid @ (1 << shifts), _worth(cells), shifts)


def _slid(cells: np.ndarray) -> np.ndarray:
    """Slide lines ``[n, size]`` towards their first cells."""
    after = np.zeros_like(cells)
    filled = np.zeros(len(cells), np.int64)
    last = np.zeros(len(cells), np.int64)  # the tile that the next one may merge with
    for tile in cells.T:
        merges, stays = (tile > 0) & (tile == last), (tile > 0) & (tile != last)
        after[merges, filled[merges] - 1] += 1
        after[stays, filled[stays]] = tile[stays]
        filled += stays
        last = np.where(stays, tile, np.where(merges, 0, last))
    return np.minimum(after, 15)


def _worth(cells: np.ndarray) -> np.ndarray:
    """Room to move and pairs to merge are good; ups and downs in one line, and much on the board,
    are bad, and the more so the greater the tiles.
    """
    cubes = cells**3
    steps = np.diff(cubes, axis=1)
    ups, downs = np.maximum(steps, 0).sum(axis=1), np.maximum(-steps, 0).sum(axis=1)
    pairs = ((cells[:, 1:] == cells[:, :-1]) & (cells[:, 1:] > 0)).sum(axis=1)
    return (
        EMPTY * (cells == 0).sum(axis=1)
        + PAIR * pairs
        - DISORDER * np.minimum(ups, downs)
        - TILE * cubes.sum(axis=1)
    )
