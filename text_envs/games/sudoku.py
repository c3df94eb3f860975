"""Sudoku: fill a grid so that every row, column and box has each digit once.

=====================================  ======  =================
move                                   reward  game
=====================================  ======  =================
a right digit in an empty cell         1       goes on
a wrong digit, in any cell             -1      goes on
a right digit in place of a wrong one  0       goes on
the digit that is there already        0       goes on
the last right digit                   +10     ends, won
=====================================  ======  =================

A cell is never emptied again, so that it pays once at most: overwriting a right digit and putting
it back loses 1. Every grid has one solution. The rules are the usual ones; the rewards for moves
follow RAGEN's Sudoku, where placing a digit again and again pays again and again.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks, new
from text_envs.games.sudoku_search import (
    BOXES,
    MAX_EMPTY,
    TooHard,
    draw_puzzle,
    geometry,
    solutions,
)

SYMBOLS = ".123456789"
MARK = "*"
"""Stands before a digit that the player has placed."""
RESERVED = frozenset(f" {MARK}|-+")
"""Characters that draw the grid."""
SOLVED = 10.0

_LINES = b" |-+\n"
"""What draws the grid."""
_MARKS = b" " + MARK.encode() * 255
_DIGITS = tuple(bytes((digit,)) for digit in range(10))
_LEVEL = bytes.maketrans(bytes(range(10)), SYMBOLS.encode())
_MOVE = re.compile(
    r"\s*(?:place\s+(?P<digit>[1-9])\s+at\s+row\s+(?P<row>[0-9])\s+col(?:umn)?\s+(?P<col>[0-9])"
    r"|(?P<r>[0-9])\s*,\s*(?P<c>[0-9])\s*,\s*(?P<d>[1-9]))\s*",
    re.ASCII | re.IGNORECASE,
)
_LONGEST = 100
"""Characters of a move, white space included."""


class SudokuState(NamedTuple):
    """A grid: a byte a cell, row by row, 0 where it is empty."""

    cells: bytes
    givens: bytes
    """The grid at the start."""
    solution: bytes


class Sudoku(Game[SudokuState]):
    """Fill the grid so that every row, every column and every box has each digit once.

    Moves: ``place 3 at row 1 col 2``, or ``1,2,3`` for short: row, column, digit; rows and columns
    are counted from zero. Given digits stay; a digit of one's own can be replaced, not taken back.
    Reward 1 for a right digit in an empty cell, -1 for a wrong digit, 0 for putting right what was
    wrong and for a digit that is there already; solving the grid, which ends the game (success),
    pays 10 more. Every grid has exactly one solution. The text marks the player's own digits with
    ``*``. ``info["optimal_moves"]``, at reset: the number of empty cells.

    Args:
        size: rows, columns and digits: 4 (with boxes of 2x2 cells), 6 (2x3) or 9 (3x3).
        empty: empty cells at the start: at most 12 at 4x4, 26 at 6x6, 56 at 9x9. An episode of
            TextSudoku-v0 has at most 20 moves: for more, give ``gym.make`` a
            ``max_episode_steps``.
        symbols: different characters for an empty cell and for the digits 1 to ``size``, as they
            are shown, none of them a space or one of ``* | - +``; in moves, digits are digits.

    A level is ``size`` rows of ``size`` digits, ``.`` (or ``0``) for an empty cell, with a blank
    line between two levels; or all in one line of ``size`` x ``size`` characters, the usual form
    of collections.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextSudoku-v0):

    ================  =====  =====================  ===========================
    parameters        moves  random                 oracle
    ================  =====  =====================  ===========================
    default           20     0.1 (0.07 to 0.2)      100 (99.96 to 100)
    empty=2           20     56.9 (55.9 to 57.8)    100 (99.96 to 100)
    empty=12          20     0 (0 to 0.04)          100 (99.92 to 100), n=5,000
    size=9, empty=20  20     0 (0 to 0.2), n=2,000  100 (99.8 to 100), n=2,000
    ================  =====  =====================  ===========================
    """

    def __init__(self, size: int = 4, empty: int = 6, symbols: Sequence[str] | None = None) -> None:
        if not isinstance(size, int) or size not in BOXES:
            raise ValueError(f"size={size!r} is not one of {', '.join(map(str, BOXES))}")
        if not isinstance(empty, int) or not 1 <= empty <= MAX_EMPTY[size]:
            raise ValueError(
                f"empty={empty!r} must be a whole number from 1 to {MAX_EMPTY[size]} at"
                f" size={size}: grids with more empty cells and one solution are too rare"
            )
        self.size, self.empty = size, empty
        symbols = SYMBOLS[: size + 1] if symbols is None else symbols
        _check_symbols(symbols, size)
        self.symbols = tuple(symbols)
        self.charset = PRINTABLE | frozenset(self.symbols)
        self.rules = self._rules()
        self._layout = _layout(size)
        shown = "".join(self.symbols)
        codes = bytes(range(size + 1))
        self._table = bytes.maketrans(codes, shown.encode()) if shown.isascii() else None
        self._glyphs = dict(enumerate(shown))
        self.max_text = len(self._layout)

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> SudokuState:
        """Draw a grid with one solution."""
        drawn = draw_puzzle(rng, self.size, self.empty)
        if drawn is None:
            raise ValueError(
                f"no grid with empty={self.empty} empty cells and one solution was found; lower it"
            )
        cells, solution = drawn
        return SudokuState(cells, cells, solution)

    def legal(self, state: SudokuState) -> tuple[str, ...]:
        """Every digit in every cell that was not given; none once the grid is solved."""
        return () if state.cells == state.solution else _placements(state.givens, self.size)

    def play(self, state: SudokuState, move: str, rng: np.random.Generator) -> Outcome[SudokuState]:
        """Place a digit."""
        _, cell, digit = _moves(self.size)[move]
        cells, givens, solution = state
        before = cells[cell]
        if before == digit:
            return Outcome(state, 0.0)
        cells = cells[:cell] + _DIGITS[digit] + cells[cell + 1 :]
        after = new(SudokuState, (cells, givens, solution))
        if digit != solution[cell]:
            return Outcome(after, -1.0, False, False, _wrong(cell, digit, self.size))
        reward = 0.0 if before else 1.0
        if cells == solution:
            return Outcome(after, reward + SOLVED, True, True, "You solved the grid.")
        return new(Outcome, (after, reward, False, False, ""))

    def text(self, state: SudokuState) -> str:
        """Draw the grid, with a mark before the player's own digits."""
        cells, givens, _ = state
        placed = int.from_bytes(cells) ^ int.from_bytes(givens)  # a given digit never changes
        marks = placed.to_bytes(len(cells)).translate(_MARKS)
        if self._table is None:
            drawn = self._layout.translate((_LINES + cells + marks).ljust(256))
            return drawn.decode().translate(self._glyphs)
        digits = cells.translate(self._table)
        return self._layout.translate((_LINES + digits + marks).ljust(256)).decode()

    def parse(self, state: SudokuState, text: str) -> str | None:
        """Read ``place DIGIT at row ROW col COL`` or ``ROW,COL,DIGIT``, in any case, with any white
        space.
        """
        known = _moves(self.size)
        if text not in known:
            match = _MOVE.fullmatch(text) if len(text) <= _LONGEST else None
            if match is None:
                return None
            row, col, digit = match["row"] or match["r"], match["col"] or match["c"], match["digit"]
            text = f"{row},{col},{digit or match['d']}"
            if text not in known:
                return None
        move, cell, _ = known[text]
        return None if state.givens[cell] or state.cells == state.solution else move

    def facts(self, state: SudokuState) -> dict[str, Any]:
        """Give ``size``, the number of ``empty`` cells, of every row its digits (``row 0``: a list,
        0 for an empty cell) and the (row, column) of the cells that were ``given``.
        """
        size = self.size
        rows = {f"row {r}": list(state.cells[r * size : (r + 1) * size]) for r in range(size)}
        given = [divmod(cell, size) for cell, digit in enumerate(state.givens) if digit]
        return {"size": size, "empty": state.cells.count(0), **rows, "given": given}

    def start_info(self, state: SudokuState) -> dict[str, Any]:
        """Give ``optimal_moves``: the number of empty cells."""
        return {"optimal_moves": state.cells.count(0)}

    def solve(self, state: SudokuState) -> list[str] | None:
        """Place what is missing or wrong, row by row; ``None`` when nothing is."""
        names = _placements_by_cell(self.size)
        pairs = enumerate(zip(state.cells, state.solution, strict=True))
        return [names[cell][right - 1] for cell, (now, right) in pairs if now != right] or None

    # --- levels ---

    def level(self, state: SudokuState) -> str:
        """Write the grid, a row a line, ``.`` for an empty cell."""
        return "\n".join(_cut(state.cells.translate(_LEVEL).decode(), self.size))

    def levels(self, text: str) -> list[SudokuState]:
        """Read grids, separated by blank lines, and grids of one line."""
        whole, found = self.size**2, []
        for lines in blocks(text):
            if all(len(line) == whole for line in lines):
                found += [_cut(line, self.size) for line in lines]
            else:
                found.append(lines)
        return [self._read(number, rows) for number, rows in enumerate(found, 1)]

    # --- private ---

    def _read(self, number: int, rows: list[str]) -> SudokuState:
        size, cells = self.size, b""
        fault = _fault_of_form(rows, size)
        if not fault:
            cells = bytes(SYMBOLS.index(c) for c in "".join(rows).replace("0", "."))
            fault = _fault_of_grid(cells, size)
        if not fault:
            try:
                solved = list(islice(solutions(cells, size), 2))
            except TooHard as error:
                raise ValueError(f"level {number}: is too hard to check: {error}") from error
            if len(solved) == 1:
                return SudokuState(cells, cells, solved[0])
            fault = _difference(solved[0], solved[1], size) if solved else "has no solution"
        raise ValueError(f"level {number}: {fault}")

    def _rules(self) -> str:
        size, (high, wide) = self.size, BOXES[self.size]
        empty, *digits = self.symbols
        lines = [
            f"Fill the {size}x{size} grid so that every row, every column and every {high}x{wide}"
            f" box has each digit from 1 to {size} exactly once. There is one solution.",
            f"Symbols: {empty} is an empty cell; {MARK} stands before a digit that you placed.",
        ]
        if digits != list(SYMBOLS[1 : size + 1]):
            lines.append(
                "Digits are shown as "
                + ", ".join(f"{symbol} for {k}" for k, symbol in enumerate(digits, 1))
                + "; in moves, write the digits themselves."
            )
        lines += [
            "Move: place DIGIT at row ROW col COL, or ROW,COL,DIGIT for short, such as"
            " place 3 at row 1 col 2, or 1,2,3. Rows and columns are counted from zero: row 0 is"
            " the top row, col 0 the leftmost. Given digits stay; your own can be replaced.",
            "A right digit in an empty cell pays 1, a wrong digit -1, anything else 0. Solving the"
            f" grid pays {SOLVED:g} more and ends the game.",
        ]
        return "\n".join(lines)


def _check_symbols(symbols: Sequence[str], size: int) -> None:
    visible = isinstance(symbols, Sequence) and {
        s for s in symbols if isinstance(s, str) and len(s) == 1 and s.isprintable()
    }
    if not visible or not len(symbols) == len(visible - RESERVED) == size + 1:
        raise ValueError(
            f"symbols={symbols!r} must be {size + 1} different visible characters, an empty cell"
            f" and the digits 1 to {size}, and none of those that draw the grid,"
            f" {' '.join(sorted(RESERVED)).strip()}"
        )


@lru_cache(maxsize=len(BOXES))
def _placements_by_cell(size: int) -> tuple[tuple[str, ...], ...]:
    """Cell -> the moves that place 1, 2, ... there."""
    return tuple(
        tuple(f"place {digit} at row {row} col {col}" for digit in range(1, size + 1))
        for row in range(size)
        for col in range(size)
    )


@lru_cache(maxsize=len(BOXES))
def _moves(size: int) -> dict[str, tuple[str, int, int]]:
    """A move in either form -> its canonical form, cell and digit."""
    known = {}
    for cell, names in enumerate(_placements_by_cell(size)):
        row, col = divmod(cell, size)
        for digit, name in enumerate(names, 1):
            known[name] = known[f"{row},{col},{digit}"] = (name, cell, digit)
    return known


@lru_cache(maxsize=1024)
def _placements(givens: bytes, size: int) -> tuple[str, ...]:
    names = _placements_by_cell(size)
    return tuple(
        chain.from_iterable(n for n, digit in zip(names, givens, strict=True) if not digit)
    )


@lru_cache(maxsize=1024)
def _wrong(cell: int, digit: int, size: int) -> str:
    row, col = divmod(cell, size)
    return f"{digit} is wrong at row {row} col {col}."


@lru_cache(maxsize=len(BOXES))
def _layout(size: int) -> bytes:
    """Lay the text out in places: those of ``_LINES``, then the cells, then the mark before each.
    "Translated" by what stands at every place, it is the text.
    """
    (high, wide), first = BOXES[size], len(_LINES)
    places = bytes.maketrans(_LINES, bytes(range(first)))
    between = b"+".join([b"-" * (2 * wide + 1)] * high).removesuffix(b"-").translate(places)
    rows = []
    for row in range(size):
        if row and row % high == 0:
            rows.append(between)
        cells = range(first + row * size, first + row * size + size)
        marked = [bytes((size * size + cell, cell)) for cell in cells]
        boxes = [b"".join(marked[i : i + wide]) for i in range(0, size, wide)]
        rows.append(b" |".translate(places).join(boxes))
    return b"\n".translate(places).join(rows)


def _cut(line: str, size: int) -> list[str]:
    return [line[i : i + size] for i in range(0, len(line), size)]


def _fault_of_form(rows: list[str], size: int) -> str:
    if {len(rows), *map(len, rows)} != {size}:
        for other in BOXES:
            if other != size and _is_square(rows, other):
                return f"is {other}x{other}; make the environment with size={other}"
        return (
            f"must have {size} rows of {size} cells, or all {size * size} cells in one line; it has"
            f" {len(rows)} rows, of {', '.join(str(n) for n in sorted(set(map(len, rows))))} cells"
        )
    unknown = sorted(set("".join(rows)) - set(SYMBOLS[: size + 1] + "0"))
    if unknown:
        return (
            f"has {', '.join(map(repr, unknown[:9]))}; a grid is written with the digits 1 to"
            f" {size}, and . or 0 for an empty cell"
        )
    return ""


def _is_square(rows: list[str], size: int) -> bool:
    return {len(rows), *map(len, rows)} == {size} or [len(row) for row in rows] == [size * size]


def _fault_of_grid(cells: bytes, size: int) -> str:
    if 0 not in cells:
        return "has no empty cell, so that there is nothing to do"
    high, wide = BOXES[size]
    for number, unit in enumerate(geometry(size).units):
        places = [cell for cell in range(size * size) if unit >> cell & 1]
        digits = [cells[cell] for cell in places if cells[cell]]
        twice = sorted({digit for digit in digits if digits.count(digit) > 1})
        if twice:
            kind, place = divmod(number, size)
            row, col = divmod(places[0], size)
            box = f"the box of rows {row} to {row + high - 1} and cols {col} to {col + wide - 1}"
            where = (f"row {place}", f"col {place}", box)[kind]
            return f"has the digit {twice[0]} more than once in {where}"
    return ""


def _difference(one: bytes, other: bytes, size: int) -> str:
    """Say what two solutions differ in."""
    cell = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    row, col = divmod(cell, size)
    return (
        f"has several solutions: row {row} col {col} can be {one[cell]} or {other[cell]}; give more"
        " digits"
    )
