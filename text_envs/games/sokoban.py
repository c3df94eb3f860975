"""TextSokoban: push every box onto a target.

Rules: the player moves up, down, left or right. A box in the way is pushed one cell further, if
the cell behind it holds neither a wall nor another box; else nothing moves. The game ends when
every box is on a target.

| event                          | reward |
|--------------------------------|--------|
| a move, also one into a wall   | -0.1   |
| a box pushed onto a target     | +1     |
| a box pushed off a target      | -1     |
| all boxes on targets           | +10    |

The game is Hiroyuki Imabayashi's (Thinking Rabbit, 1982); the rewards are those of gym-sokoban
(Schrader, 2018), as in RAGEN (Wang et al., 2025).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome
from text_envs.games import xsb
from text_envs.games.sokoban_levels import draw_level
from text_envs.games.sokoban_search import Deadlocks, backward_search, bits, solve

WALL = b"#"
FLOOR = b"_"
TARGET = b"O"
BOX = b"X"
BOX_ON_TARGET = b"*"
PLAYER = b"P"
PLAYER_ON_TARGET = b"S"

ObservationFormat = Literal["grid", "coord", "grid_coord"]
MOVES = ("up", "down", "left", "right")
MAX_SIDE = 100

_CODES = WALL + FLOOR + TARGET + BOX + BOX_ON_TARGET + PLAYER + PLAYER_ON_TARGET
_KINDS = ("wall", "floor", "target", "box", "box_on_target", "player", "player_on_target")
_MEANINGS = ("wall", "floor", "target", "box", "box on a target", "you", "you on a target")
_SYMBOLS = "#_OX√PS"
_XSB = b"# .$*@+"

_MOVE_COST, _PLACED, _SOLVED = -0.1, 1.0, 10.0
_STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_LEFT_BEHIND = {PLAYER[0]: FLOOR[0], PLAYER_ON_TARGET[0]: TARGET[0]}
_PLAYER_ENTERS = {
    FLOOR[0]: PLAYER[0],
    TARGET[0]: PLAYER_ON_TARGET[0],
    BOX[0]: PLAYER[0],
    BOX_ON_TARGET[0]: PLAYER_ON_TARGET[0],
}
_BOX_ENTERS = {FLOOR[0]: BOX[0], TARGET[0]: BOX_ON_TARGET[0]}
_VACANT = FLOOR + TARGET
# a number is found in bytes several times faster than a byte string is
_LOOSE_BOX, _PLAYER, _PLAYER_ON_TARGET = BOX[0], PLAYER[0], PLAYER_ON_TARGET[0]


def _bit_table(codes: bytes) -> bytes:
    """Table for ``bytes.translate`` that turns a board into the binary digits of a set of cells."""
    return bytes(ord("1") if code in codes else ord("0") for code in range(256))


_FREE = _bit_table(_CODES.replace(WALL, b""))
_TARGETS = _bit_table(TARGET + BOX_ON_TARGET + PLAYER_ON_TARGET)
_BOXES = _bit_table(BOX + BOX_ON_TARGET)
_PLAYERS = _bit_table(PLAYER + PLAYER_ON_TARGET)
_EMPTIED = bytes.maketrans(_CODES, WALL + FLOOR + TARGET + FLOOR + TARGET + FLOOR + TARGET)
_TO_XSB = bytes.maketrans(_CODES, _XSB)
_FROM_XSB = bytes.maketrans(_XSB, _CODES)


class SokobanState(NamedTuple):
    """A position."""

    board: bytes
    """One byte a cell (the codes above), rows joined by a newline byte."""
    stride: int
    """From a cell to the one below it: columns + 1."""


class Sokoban(Game[SokobanState]):
    """Sokoban on generated or given levels.

    Levels have at least ``min_solution`` and at most ``max_solution`` moves in their shortest
    solution. That number is exact, found by search; it is drawn evenly from this range as far as
    boards of this size have such levels and the search for one pays (at 10x10 with 4 boxes,
    lengths near 20 are about half as frequent as lengths near 10; see ``sokoban_levels``). Every
    level is solvable, and as many boxes as that length allows start off their targets.

    Moves: ``up``, ``down``, ``left``, ``right``. All four are legal as long as the game goes on; a
    move that is blocked changes nothing and costs what every move costs.

    ``info`` adds ``deadlocked``: the boxes can't all be brought onto targets any more. It is exact
    where the boxes have few possible arrangements (one or two boxes on boards up to 8x8 and
    many others: ``sokoban_search.MAX_ARRANGEMENTS``); elsewhere some deadlocks are not noticed, and
    what is called a deadlock is one. At reset it also adds ``optimal_moves``: the length of the
    shortest solution, or -1 for a given level that has none or is too large for the search.

    ``solve`` gives a shortest plan, or on large levels some plan that wins, or ``None``: there is
    none, or a bounded search (``sokoban_search.solve``) did not find it.

    Args:
        size: rows and columns, rim included.
        rows: rows, where they differ from ``size``.
        cols: columns, where they differ from ``size``.
        boxes: boxes in a generated level.
        min_solution: least number of moves in the shortest solution of a generated level.
        max_solution: greatest such number.
        symbols: 7 different characters for wall, floor, target, box, box on target, player, player
            on target; or a mapping from some of ``wall``, ``floor``, ``target``, ``box``,
            ``box_on_target``, ``player``, ``player_on_target`` to characters.
        observation: ``"grid"``, one character a cell; ``"coord"``, zero-based (row, column) pairs;
            ``"grid_coord"``, both.

    Raises ``ValueError`` for parameters that allow no level; where only trying shows it, at reset.

    For comparison: on RAGEN's levels (6x6, 1 box) a random player solves 19.0 % in 10 moves. They
    come from random play backwards, which gives solutions of 3.3 moves on average; here it is 5.5.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextSokoban-v0; the third
    row is TextSokobanLarge-v0):

    =================================  =====  ===================  ==================
    parameters                         moves  random               oracle
    =================================  =====  ===================  ==================
    default                            20     16.5 (15.8 to 17.3)  100 (99.96 to 100)
    default                            10     11.4 (10.8 to 12.1)  100 (99.96 to 100)
    size=8, boxes=2, max_solution=20   40     8.6 (8.0 to 9.1)     100 (99.96 to 100)
    size=8, boxes=2, max_solution=20   20     6.8 (6.3 to 7.3)     100 (99.96 to 100)
    size=10, boxes=4, max_solution=20  40     7.3 (6.8 to 7.8)     100 (99.96 to 100)
    =================================  =====  ===================  ==================
    """

    def __init__(
        self,
        size: int = 6,
        rows: int | None = None,
        cols: int | None = None,
        boxes: int = 1,
        min_solution: int = 1,
        max_solution: int = 10,
        symbols: Mapping[str, str] | Sequence[str] = _SYMBOLS,
        observation: ObservationFormat = "grid",
    ) -> None:
        self.rows = size if rows is None else rows
        self.cols = size if cols is None else cols
        self.boxes = boxes
        self.min_solution, self.max_solution = min_solution, max_solution
        self._check_numbers(size)
        if observation not in get_args(ObservationFormat):
            raise ValueError(
                f"observation={observation!r} is not one of"
                f" {', '.join(map(repr, get_args(ObservationFormat)))}"
            )
        self.observation: ObservationFormat = observation
        self.symbols = _checked_symbols(symbols)
        self.charset = PRINTABLE | frozenset(self.symbols)
        renamed = [(a, b) for a, b in zip(_CODES.decode(), self.symbols, strict=True) if a != b]
        self._translation = str.maketrans(dict(renamed))
        self._single = renamed[0] if len(renamed) == 1 else None  # the default symbols' case
        self.max_text = self._max_text()
        self.rules = self._rules()

    def initial(self, rng: np.random.Generator) -> SokobanState:
        """Draw a level. Raises ``ValueError`` if none with these parameters was found."""
        level = draw_level(
            rng, self.rows, self.cols, self.boxes, self.min_solution, self.max_solution
        )
        if level is None:
            raise ValueError(
                f"no level found with {self._numbers()}; ask for a larger board, fewer boxes or a"
                " smaller min_solution"
            )
        return _from_cells(self.rows, self.cols, *level)

    def legal(self, state: SokobanState) -> tuple[str, ...]:
        """All four moves, none once the game is over."""
        return MOVES if _LOOSE_BOX in state.board else ()

    def play(
        self, state: SokobanState, move: str, rng: np.random.Generator
    ) -> Outcome[SokobanState]:
        """Make a move; nothing is random."""
        board, stride = state
        down, right = _STEPS[move]
        step = down * stride + right
        at = board.find(_PLAYER)
        if at < 0:
            at = board.find(_PLAYER_ON_TARGET)
        to = at + step
        ahead = board[to]
        entered = _PLAYER_ENTERS.get(ahead)
        if entered is None:
            return Outcome(state, _MOVE_COST)
        cells = bytearray(board)
        cells[at] = _LEFT_BEHIND[board[at]]
        cells[to] = entered
        if ahead in _VACANT:
            return Outcome(SokobanState(bytes(cells), stride), _MOVE_COST)
        beyond = board[to + step]
        if beyond not in _VACANT:
            return Outcome(state, _MOVE_COST)
        cells[to + step] = _BOX_ENTERS[beyond]
        reward = _MOVE_COST + _PLACED * ((beyond == TARGET[0]) - (ahead == BOX_ON_TARGET[0]))
        solved = _LOOSE_BOX not in cells
        if solved:
            reward += _SOLVED
        return Outcome(SokobanState(bytes(cells), stride), reward, solved, solved)

    def text(self, state: SokobanState) -> str:
        """Board as a grid, as coordinates, or both."""
        if self.observation == "grid":
            return self._grid(state)
        if self.observation == "coord":
            return _coordinates(state)
        return f"{self._grid(state)}\n{_coordinates(state)}"

    def facts(self, state: SokobanState) -> dict[str, Any]:
        """Zero-based (row, column) of the player, and lists of those of the boxes and targets."""
        return {
            "player": _places(state, PLAYER + PLAYER_ON_TARGET)[0],
            "boxes": _places(state, BOX + BOX_ON_TARGET),
            "targets": _places(state, TARGET + BOX_ON_TARGET + PLAYER_ON_TARGET),
        }

    def solve(self, state: SokobanState) -> list[str] | None:
        """Shortest plan; on large levels some plan, or ``None`` where the search gave up."""
        board, stride = state
        return solve(*_scenery(board), stride, *_pieces(board))

    def level(self, state: SokobanState) -> str:
        """Write a position in XSB."""
        return state.board.translate(_TO_XSB).decode("latin-1")

    def levels(self, text: str) -> list[SokobanState]:
        """Read XSB levels; one smaller than the board is put in its middle, walls around it."""
        return [
            SokobanState(
                "\n".join(level.fitted(self.rows, self.cols))
                .encode("latin-1")
                .translate(_FROM_XSB),
                self.cols + 1,
            )
            for level in xsb.read(text)
        ]

    def start_info(self, state: SokobanState) -> dict[str, Any]:
        """``optimal_moves``."""
        moves = _optimal_moves(state)
        return {"optimal_moves": -1 if moves is None else moves}

    def info(self, state: SokobanState) -> dict[str, Any]:
        """``deadlocked``."""
        return {"deadlocked": _deadlocked(state)}

    # --- private ---

    def _grid(self, state: SokobanState) -> str:
        text = state.board.decode("latin-1")
        if self._single:  # several times faster
            return text.replace(*self._single)
        return text.translate(self._translation)

    def _numbers(self) -> str:
        return (
            f"rows={self.rows}, cols={self.cols}, boxes={self.boxes},"
            f" min_solution={self.min_solution}, max_solution={self.max_solution}"
        )

    def _check_numbers(self, size: int) -> None:
        names = ("rows", "cols", "boxes", "min_solution", "max_solution")
        for name, value in [("size", size), *((name, getattr(self, name)) for name in names)]:
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        sides = sorted((self.rows, self.cols))
        if sides[0] < 3 or sides[1] < 5 or sides[1] > MAX_SIDE:
            raise ValueError(
                f"rows={self.rows}, cols={self.cols}: a board takes at least 3 by 5 cells, walls"
                f" around it included, and at most {MAX_SIDE} by {MAX_SIDE}"
            )
        if self.boxes + 2 > (self.rows - 2) * (self.cols - 2):
            raise ValueError(
                f"boxes={self.boxes} do not fit into rows={self.rows}, cols={self.cols}:"
                f" inside the walls there are {(self.rows - 2) * (self.cols - 2)} cells"
            )
        if self.min_solution > self.max_solution:
            raise ValueError(
                f"min_solution={self.min_solution} is greater than max_solution={self.max_solution}"
            )

    def _max_text(self) -> int:
        """Grid: every cell. Coordinates: rim cells are named once, others at most twice."""
        grid = self.rows * (self.cols + 1) - 1
        if self.observation == "grid":
            return grid
        inner = (self.rows - 2) * (self.cols - 2)
        named = self.rows * self.cols + inner
        longest = len(f", {(self.rows - 1, self.cols - 1)}")
        coordinates = len("Player: \nBoxes: \nTargets: \nWalls: ") + named * longest
        return coordinates if self.observation == "coord" else grid + 1 + coordinates

    def _rules(self) -> str:
        parts = [
            "You are playing Sokoban: push every box onto a target.",
            f"The board has {self.rows} rows and {self.cols} columns.",
        ]
        if self.observation != "coord":
            legend = ", ".join(
                f"{symbol} {meaning}"
                for symbol, meaning in zip(self.symbols, _MEANINGS, strict=True)
            )
            parts.append(f"It is shown as a grid, one character a cell: {legend}.")
        if self.observation != "grid":
            parts.append(
                "The place of everything on it is listed as (row, column), both counted from zero:"
                " row 0 is the top row, column 0 the leftmost. What is not listed is floor. A box"
                " on a target is listed among the boxes and among the targets."
            )
        parts.append(
            f"Moves: {', '.join(MOVES)}. Moving into a box pushes it one cell further, if neither a"
            " wall nor another box is behind it; otherwise nothing moves. Boxes can't be pulled."
        )
        parts.append(
            f"Rewards: {_MOVE_COST} for every move, {_PLACED:+g} for a box pushed onto a target,"
            f" {-_PLACED:+g} for one pushed off, {_SOLVED:+g} when all boxes are on targets, which"
            " ends the game."
        )
        return "\n".join(parts)


def _checked_symbols(symbols: Mapping[str, str] | Sequence[str]) -> str:
    if not isinstance(symbols, Mapping):
        chosen = list(symbols) if isinstance(symbols, Sequence) else []
    else:
        unknown = sorted(set(symbols) - set(_KINDS), key=str)
        if unknown:
            raise ValueError(f"symbols name unknown cells {unknown}; known: {', '.join(_KINDS)}")
        chosen = [symbols.get(k, s) for k, s in zip(_KINDS, _SYMBOLS, strict=True)]
    single = all(isinstance(s, str) and len(s) == 1 and s.isprintable() for s in chosen)
    if not single or len(chosen) != len(_KINDS) or len(set(chosen)) != len(_KINDS):
        raise ValueError(
            f"symbols={symbols!r} must be {len(_KINDS)} different printable characters, for"
            f" {', '.join(_KINDS)}"
        )
    return "".join(chosen)


def _from_cells(
    rows: int, cols: int, free: int, targets: int, boxes: int, player: int
) -> SokobanState:
    """Make a state from sets of cells (``sokoban_search`` says how they are written)."""
    size = rows * (cols + 1) - 1
    board = bytearray(f"{free:0{size}b}".encode().translate(bytes.maketrans(b"01", WALL + FLOOR)))
    board[cols :: cols + 1] = b"\n" * (rows - 1)
    for cells, plain, on_target in (
        (targets, TARGET, TARGET),
        (boxes, BOX, BOX_ON_TARGET),
        (player, PLAYER, PLAYER_ON_TARGET),
    ):
        for cell in bits(cells):
            board[size - cell.bit_length()] = (on_target if cell & targets else plain)[0]
    return SokobanState(bytes(board), cols + 1)


def _scenery(board: bytes) -> tuple[int, int]:
    """Free cells and targets as sets."""
    return int(board.translate(_FREE), 2), int(board.translate(_TARGETS), 2)


def _pieces(board: bytes) -> tuple[int, int]:
    """Boxes and player as sets."""
    return int(board.translate(_BOXES), 2), int(board.translate(_PLAYERS), 2)


@lru_cache(maxsize=2048)  # many environments may step in turn
def _deadlocks(emptied: bytes, stride: int) -> Deadlocks:
    return Deadlocks(*_scenery(emptied), stride)


@lru_cache(maxsize=4096)  # players come back to where they were, and so do those of a group
def _deadlocked(state: SokobanState) -> bool:
    board, stride = state
    return _deadlocks(board.translate(_EMPTIED), stride).lost(*_pieces(board))


@lru_cache(maxsize=1024)
def _optimal_moves(state: SokobanState) -> int | None:
    board, stride = state
    return backward_search(*_scenery(board), stride).distance(*_pieces(board))


def _places(state: SokobanState, codes: bytes) -> list[tuple[int, int]]:
    """(row, column) of every cell with one of these codes, in reading order."""
    board, stride = state
    return [divmod(i, stride) for i, code in enumerate(board) if code in codes]


def _coordinates(state: SokobanState) -> str:
    player = _listed(state, PLAYER + PLAYER_ON_TARGET)
    boxes = _listed(state, BOX + BOX_ON_TARGET)
    return (
        f"Player: {player}\nBoxes: {boxes}\n{_fixed(state.board.translate(_EMPTIED), state.stride)}"
    )


def _listed(state: SokobanState, codes: bytes) -> str:
    return ", ".join(map(str, _places(state, codes)))


@lru_cache(maxsize=1024)
def _fixed(emptied: bytes, stride: int) -> str:
    """What no move changes."""
    state = SokobanState(emptied, stride)
    return f"Targets: {_listed(state, TARGET)}\nWalls: {_listed(state, WALL)}"
