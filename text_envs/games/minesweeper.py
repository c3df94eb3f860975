"""Minesweeper: reveal every cell without a mine; a number tells how many mines are around it.

=========================================  ==================  =================
move                                       reward              game
=========================================  ==================  =================
reveal a cell without a mine, and with it  1 / safe cells for  goes on
all that a 0 opens                         each of them
reveal the last of them                    1 more              ends, won
reveal a mine                              0                   ends
flag a cell, take the flag away            0                   goes on
=========================================  ==================  =================

The first reveal is always safe: a mine there goes to a spare cell, which is drawn with the mines.
All layouts with no mine under the first reveal are then equally likely, and chance is needed for
the start only. The rules are those of Windows' Minesweeper.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks
from text_envs.games.minesweeper_odds import Layouts, neighbours

MAX_SIDE = 30
CLEARED = 1.0

_CODES = b"#F0*X"
_HIDDEN, _FLAG, _ZERO, _MINE, _HIT = _CODES
_CAN_REVEAL = bytes(code == _HIDDEN for code in range(256))
_CAN_FLAG = bytes(code in (_HIDDEN, _FLAG) for code in range(256))
_MOVE = re.compile(
    r"\s*(reveal|flag)\s+([0-9]{1,2})(?:\s*,\s*|\s+)([0-9]{1,2})\s*", re.ASCII | re.IGNORECASE
)
_LONGEST = 100
"""Characters of a move, white space included."""


class MinesweeperState(NamedTuple):
    """A board, and what the player sees of it; a byte a cell, row by row."""

    view: bytes
    """``#`` hidden, ``F`` flagged, ``0`` to ``8`` revealed; once the game is lost also ``*`` mine
    and ``X`` the mine that was hit.
    """
    board: bytes
    """Hidden: ``*`` mine, ``0`` to ``8`` mines around."""
    cols: int
    spare: int
    """Hidden: cell to which a mine under the first reveal goes; -1 after the first reveal."""


class Minesweeper(Game[MinesweeperState]):
    """Reveal every cell that has no mine.

    Moves: ``reveal 1 2`` (row, column, counted from zero) of a hidden cell, ``flag 1 2``, which
    marks a hidden cell as a mine, and on a flagged cell takes the flag away; a flagged cell can't
    be revealed. A cell with no mine around it, shown as ``.``, opens all around it (but flagged
    ones), and so on. The first reveal is never a mine. Every safe cell revealed pays 1 / (number of
    safe cells), the last one 1 more and ends the game (success); a mine ends it and pays nothing,
    nor do flags. Not every board can be won without luck.

    Args:
        rows: 2 to 30.
        cols: 2 to 30.
        mines: at least 1, fewer than cells. An episode of TextMinesweeper-v0 has at most 25 moves:
            for larger boards, give ``gym.make`` a ``max_episode_steps``.
        symbols: five different characters that are no digits: hidden, flagged, no mine around,
            mine, the mine that was hit.

    A level is a row a line: ``*`` mine, ``.`` none, ``+`` the spare cell, where the mine goes if
    the first reveal is of a mine (without a ``+``: the first ``.``); with a blank line between two
    levels. The player never sees it.

    The oracle knows what the player knows. It counts all layouts of the mines that agree with the
    numbers, reveals what is safe in all of them, and otherwise a cell that has a mine in the
    fewest.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (25 in TextMinesweeper-v0):

    ========================  =====  ===================  ============================
    parameters                moves  random               oracle
    ========================  =====  ===================  ============================
    default                   25     0.8 (0.6 to 1.0)     75.0 (73.1 to 76.9), n=2,000
    default                   10     0.7 (0.6 to 0.9)     47.4 (44.3 to 50.5), n=1,000
    mines=2                   25     12.1 (11.5 to 12.8)  95.5 (94.6 to 96.4), n=2,000
    rows=8, cols=8, mines=10  60     0 (0 to 0.04)        78.0 (71.8 to 83.2), n=200
    ========================  =====  ===================  ============================
    """

    hidden = True
    adaptive = True

    def __init__(
        self, rows: int = 5, cols: int = 5, mines: int = 4, symbols: Sequence[str] = "#F.*X"
    ) -> None:
        for name, value in (("rows", rows), ("cols", cols)):
            if not isinstance(value, int) or not 2 <= value <= MAX_SIDE:
                raise ValueError(f"{name}={value!r} must be a whole number from 2 to {MAX_SIDE}")
        if not isinstance(mines, int) or not 1 <= mines < rows * cols:
            raise ValueError(
                f"mines={mines!r} must be a whole number from 1 to {rows * cols - 1}: a board of"
                f" {rows}x{cols} needs a cell without a mine"
            )
        _check_symbols(symbols)
        self.rows, self.cols, self.mines = rows, cols, mines
        self.symbols = tuple(symbols)
        self.charset = PRINTABLE | frozenset(symbols)
        shown = "".join(self.symbols)
        self._table = bytes.maketrans(_CODES, shown.encode()) if shown.isascii() else None
        self._glyphs = dict(zip(_CODES, shown, strict=True))
        self._blank = ("\n".join([" ".join(" " * cols)] * rows)).encode()
        self.rules = self._rules()
        self.max_text = len(f"Mines: {mines}, flags: {rows * cols}\n") + len(self._blank)

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> MinesweeperState:
        """Draw the cells of the mines, and a spare one."""
        places = rng.permutation(self.rows * self.cols)[: self.mines + 1].tolist()
        return self._start(places[:-1], places[-1])

    def legal(self, state: MinesweeperState) -> tuple[str, ...]:
        """Reveal any hidden cell, flag any hidden or flagged one; none once the game is over."""
        view = state.view
        if self._over(view):
            return ()
        possible = view.translate(_CAN_REVEAL) + view.translate(_CAN_FLAG)
        return tuple(compress(_moves(self.rows, self.cols), possible))

    def play(
        self, state: MinesweeperState, move: str, rng: np.random.Generator
    ) -> Outcome[MinesweeperState]:
        """Reveal a cell, or put a flag on it or take it away."""
        kind, cell = _meanings(self.rows, self.cols)[move]
        view, board, cols, spare = state
        if kind == "flag":
            code = b"#" if view[cell] == _FLAG else b"F"
            view = view[:cell] + code + view[cell + 1 :]
            return Outcome(MinesweeperState(view, board, cols, spare), 0.0)
        if spare >= 0 and board[cell] == _MINE:
            board = _numbered({*_mines(board), spare} - {cell}, self.rows, cols)
        if board[cell] == _MINE:
            shown = bytearray(view)
            for mine in _mines(board):
                shown[mine] = _MINE
            shown[cell] = _HIT
            after = MinesweeperState(bytes(shown), board, cols, -1)
            return Outcome(after, 0.0, True, False, "You hit a mine.")
        shown, opened = _opened(view, board, cell, neighbours(self.rows, cols))
        reward = opened / (len(board) - self.mines)
        if shown.count(_HIDDEN) + shown.count(_FLAG) > self.mines:
            return Outcome(MinesweeperState(bytes(shown), board, cols, -1), reward)
        flagged = bytes(shown.replace(b"#", b"F"))  # nothing is unknown any more
        after = MinesweeperState(flagged, board, cols, -1)
        return Outcome(after, reward + CLEARED, True, True, "You cleared the board.")

    def text(self, state: MinesweeperState) -> str:
        """Give the number of mines and of flags, and the board as far as it is known."""
        view = state.view
        grid = bytearray(self._blank)
        if self._table is None:
            grid[::2] = view
            shown = grid.decode().translate(self._glyphs)
        else:
            grid[::2] = view.translate(self._table)
            shown = grid.decode()
        return f"Mines: {self.mines}, flags: {view.count(_FLAG)}\n{shown}"

    def parse(self, state: MinesweeperState, text: str) -> str | None:
        """Read ``reveal ROW COL`` or ``flag ROW COL``, in any case, with white space or a comma
        between the numbers.
        """
        meanings, view = _meanings(self.rows, self.cols), state.view
        if text not in meanings:
            match = _MOVE.fullmatch(text) if len(text) <= _LONGEST else None
            if match is None:
                return None
            text = f"{match[1].lower()} {int(match[2])} {int(match[3])}"
            if text not in meanings:
                return None
        kind, cell = meanings[text]
        possible = (_CAN_REVEAL if kind == "reveal" else _CAN_FLAG)[view[cell]]
        return text if possible and not self._over(view) else None

    def facts(self, state: MinesweeperState) -> dict[str, Any]:
        """Give ``rows``, ``cols``, ``mines``, and the (row, column) of all cells that are
        ``hidden``, ``flagged`` or ``showing 0`` to ``showing 8``; once the game is lost, also of
        the mines: ``mine`` and ``hit``.
        """
        places: dict[int, list[tuple[int, int]]] = {}
        for cell, code in enumerate(state.view):
            places.setdefault(code, []).append(divmod(cell, state.cols))
        named = {_NAMES[code]: places[code] for code in sorted(places)}
        return {"rows": self.rows, "cols": self.cols, "mines": self.mines, **named}

    # --- the oracle, and what it can't know ---

    def solve(self, state: MinesweeperState) -> list[str] | None:
        """Reveal all that is safe for all that the player can know; where nothing is, a cell whose
        chance of a mine is lowest; ``None`` once the game is over.
        """
        view, cols = state.view, state.cols
        if self._over(view):
            return None
        if state.spare >= 0:
            targets = [0]  # safe, and in a corner fewer mines can be around
        else:
            counts = Layouts(view, cols, self.mines).with_mine()
            fewest = min(counts.values())
            targets = sorted(cell for cell, count in counts.items() if count == fewest)
            if fewest:
                targets = targets[:1]
        plan = []
        for cell in targets:
            row, col = divmod(cell, cols)
            if view[cell] == _FLAG:
                plan.append(f"flag {row} {col}")
            plan.append(f"reveal {row} {col}")
        return plan

    def lookalike(self, state: MinesweeperState, rng: np.random.Generator) -> MinesweeperState:
        """Lay the mines in another way that agrees with the numbers."""
        if self._over(state.view):
            return state
        if state.spare >= 0:
            while (other := self.initial(rng)._replace(view=state.view)) == state:
                pass
            return other
        layouts = Layouts(state.view, state.cols, self.mines)
        board = state.board
        while board == state.board and layouts.number > 1:
            board = _numbered(layouts.sample(rng), self.rows, state.cols)
        return state._replace(board=board)

    # --- levels ---

    def level(self, state: MinesweeperState) -> str:
        """Write where the mines are and the spare cell is."""
        cells = ["*" if code == _MINE else "." for code in state.board]
        if state.spare >= 0:
            cells[state.spare] = "+"
        cols = state.cols
        return "\n".join("".join(cells[i : i + cols]) for i in range(0, len(cells), cols))

    def levels(self, text: str) -> list[MinesweeperState]:
        """Read layouts, separated by blank lines."""
        return [self._read(number, rows) for number, rows in enumerate(blocks(text), 1)]

    # --- private ---

    def _read(self, number: int, rows: list[str]) -> MinesweeperState:
        cells, cols = "".join(rows), len(rows[0])
        mines, fault = cells.count("*"), ""
        ragged = [i for i, row in enumerate(rows) if len(row) != cols]
        if unknown := sorted(set(cells) - set("*.+")):
            fault = f"has {', '.join(map(repr, unknown[:9]))}; a level is written with *, . and +"
        elif ragged:
            fault = f"row {ragged[0]} has {len(rows[ragged[0]])} cells, row 0 has {cols}"
        elif (len(rows), cols, mines) != (self.rows, self.cols, self.mines):
            fault = (
                f"is {len(rows)}x{cols} with {mines} mines, the environment {self.rows}x{self.cols}"
                f" with {self.mines}; make it with rows={len(rows)}, cols={cols}, mines={mines}"
            )
        elif cells.count("+") > 1:
            fault = f"has {cells.count('+')} spare cells +; it can have one"
        if fault:
            raise ValueError(f"level {number}: {fault}")
        spare = cells.find("+")
        places = [cell for cell, code in enumerate(cells) if code == "*"]
        return self._start(places, cells.index(".") if spare < 0 else spare)

    def _start(self, mines: Iterable[int], spare: int) -> MinesweeperState:
        board = _numbered(mines, self.rows, self.cols)
        return MinesweeperState(b"#" * len(board), board, self.cols, spare)

    def _over(self, view: bytes) -> bool:
        """Tell whether a mine was hit or every safe cell is revealed."""
        return view.count(_HIDDEN) + view.count(_FLAG) <= self.mines or _HIT in view

    def _rules(self) -> str:
        hidden, flag, none, mine, hit = self.symbols
        safe = self.rows * self.cols - self.mines
        are = "is 1 mine" if self.mines == 1 else f"are {self.mines} mines"
        return "\n".join(
            [
                f"Reveal every cell that has no mine. There {are} on the {self.rows}x{self.cols}"
                " board; a number tells how many of the up to eight cells around it have a mine.",
                f"Symbols: {hidden} hidden, {flag} flagged, {none} no mine around, {mine} mine,"
                f" {hit} the mine that you hit.",
                "Moves: reveal ROW COL; flag ROW COL, which marks a cell as a mine, or takes the"
                " mark away: a flagged cell can't be revealed. Rows and columns are counted from"
                " zero: row 0 is the top row, column 0 the leftmost. Your first reveal is never a"
                f" mine. Revealing {none} also reveals the cells around it that are not flagged.",
                f"Every safe cell revealed pays 1/{safe}, the last one {CLEARED:g} more and wins. A"
                " mine ends the game and pays nothing, nor do flags.",
            ]
        )


_NAMES = {_HIDDEN: "hidden", _FLAG: "flagged", _MINE: "mine", _HIT: "hit"} | {
    _ZERO + n: f"showing {n}" for n in range(9)
}


def _check_symbols(symbols: Sequence[str]) -> None:
    visible = isinstance(symbols, Sequence) and {
        s
        for s in symbols
        if isinstance(s, str) and len(s) == 1 and s.isprintable() and not s.isdigit() and s != " "
    }
    if not visible or not len(symbols) == len(visible) == 5:
        raise ValueError(
            f"symbols={symbols!r} must be five different visible characters, none of them a digit:"
            " hidden, flagged, no mine around, mine, the mine that was hit"
        )


@lru_cache(maxsize=64)
def _moves(rows: int, cols: int) -> tuple[str, ...]:
    """The moves that reveal a cell, then those that flag it."""
    places = [f"{row} {col}" for row in range(rows) for col in range(cols)]
    return tuple(f"{kind} {at}" for kind in ("reveal", "flag") for at in places)


@lru_cache(maxsize=64)
def _meanings(rows: int, cols: int) -> dict[str, tuple[str, int]]:
    """Move -> what it does, and to which cell."""
    cells = rows * cols
    return {
        move: ("reveal" if number < cells else "flag", number % cells)
        for number, move in enumerate(_moves(rows, cols))
    }


def _numbered(mines: Iterable[int], rows: int, cols: int) -> bytes:
    """The board with mines in these cells, and the number of mines around every other cell."""
    around, mines = neighbours(rows, cols), tuple(mines)
    board = bytearray(b"0" * (rows * cols))
    for mine in mines:
        for cell in around[mine]:
            board[cell] += 1
    for mine in mines:
        board[mine] = _MINE
    return bytes(board)


def _mines(board: bytes) -> list[int]:
    return [cell for cell, code in enumerate(board) if code == _MINE]


def _opened(
    view: bytes, board: bytes, cell: int, around: tuple[tuple[int, ...], ...]
) -> tuple[bytearray, int]:
    """What is seen after ``cell`` is revealed, and how many cells that has revealed."""
    shown, opened = bytearray(view), 1
    shown[cell] = board[cell]
    zeros = [cell] if board[cell] == _ZERO else []
    while zeros:
        for near in around[zeros.pop()]:
            if shown[near] == _HIDDEN:
                shown[near] = board[near]
                opened += 1
                if board[near] == _ZERO:
                    zeros.append(near)
    return shown, opened
