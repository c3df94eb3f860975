"""Frozen lake: cross the ice to the goal without falling into a hole.

The player moves left, down, right or up; a move off the edge stays. On slippery ice a move goes
astray to one of its two sides with the chance that ``success_rate`` leaves.

===================  ======  ========
event                reward  game
===================  ======  ========
reach the goal       1       ends, won
fall into a hole     0       ends
anything else        0       goes on
===================  ======  ========

The rules, and the text form of a map, are those of Gymnasium's FrozenLake-v1, whose transitions are
matched one for one; random places for start and goal follow RAGEN's FrozenLake.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks, new
from text_envs.planning import likeliest_plan, value_iteration

ObservationFormat = Literal["grid", "coord", "grid_coord"]

MOVES = ("left", "down", "right", "up")
"""In Gymnasium's order: a move's two sides are its neighbours in the cycle."""
MAX_SIDE = 100
MAX_DRAWS = 10_000
DISCOUNT = 0.97
"""Of the oracle, per move. Below 1, so that it gets there in time too: with the 20 moves of
TextFrozenLake-v0, this one comes within a point of the best possible on the classic slippery lake,
a nearly undiscounted one does not when slips are rare.
"""

_FROZEN, _HOLE, _GOAL, _NEWLINE = b"_OG\n"
_HELD = bytes((_HOLE, _FROZEN)).ljust(256)
"""Turns 0 into a hole and 1 into ice."""
_FREE = bytes(ord("1") if code in b"_G" else ord("0") for code in range(256))
_TO_LEVEL = bytes.maketrans(b"_O", b"FH")
_FROM_LEVEL = bytes.maketrans(b"SFH", b"__O")


class FrozenLakeState(NamedTuple):
    """A lake and where the player is on it."""

    board: bytes
    """One byte a cell, ``_`` frozen, ``O`` hole, ``G`` goal; rows joined by a newline."""
    stride: int
    """Bytes from one row to the next: columns + 1."""
    player: int
    """Index into ``board``."""


class FrozenLake(Game[FrozenLakeState]):
    """Cross a frozen lake to the goal without falling into a hole.

    Moves: ``left``, ``down``, ``right``, ``up``, all legal until the game ends. Reward 1 at the
    goal, otherwise 0. The game ends at the goal (success) or in a hole. Every generated map has a
    path from start to goal. ``info["optimal_moves"]``, at reset: the length of the shortest one,
    which at 4x4 is never over 10.

    Args:
        size: rows and columns of a square board, 1 to 100.
        rows: rows, where they differ from ``size``.
        cols: columns, where they differ from ``size``.
        frozen: chance that a cell is ice that holds, above 0 to 1; start and goal always hold.
        fixed_corners: start at the top left, goal at the bottom right, as in Gymnasium. Otherwise
            both are random.
        success_rate: chance that a move goes where it was meant, 0 to 1; the rest is split evenly
            between the directions to the left and to the right of it. 1/3 is the classic slippery
            lake.
        observation: ``"grid"`` draws the board, ``"coord"`` lists positions as (row, column) from
            zero, ``"grid_coord"`` gives both.
        symbols: six different characters: player, frozen, hole, goal, player in a hole, player at
            the goal.

    A level is written as in Gymnasium, a row a line: ``S`` start, ``F`` frozen, ``H`` hole, ``G``
    goal, with a blank line between two levels.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextFrozenLake-v0):

    ==================  =====  ===================  ============================
    parameters          moves  random               oracle
    ==================  =====  ===================  ============================
    default             20     26.9 (26.1 to 27.8)  100 (99.96 to 100)
    default             10     22.1 (21.3 to 22.9)  100 (99.96 to 100)
    fixed_corners=True  20     5.8 (5.3 to 6.2)     100 (99.96 to 100)
    fixed_corners=True  10     1.7 (1.5 to 2.0)     100 (99.96 to 100)
    size=8              20     6.7 (6.2 to 7.2)     99.99 (99.94 to 100)
    size=8              10     5.6 (5.2 to 6.1)     92.7 (92.2 to 93.2)
    success_rate=0.8    20     27.9 (27.1 to 28.8)  91.8 (91.0 to 92.6), n=5,000
    success_rate=0.8    10     21.4 (20.6 to 22.2)  89.0 (88.1 to 89.8), n=5,000
    success_rate=1/3    20     28.0 (27.2 to 28.9)  72.0 (69.9 to 73.9), n=2,000
    success_rate=1/3    10     21.4 (20.6 to 22.2)  50.1 (47.0 to 53.2), n=1,000
    ==================  =====  ===================  ============================
    """

    def __init__(
        self,
        size: int = 4,
        rows: int | None = None,
        cols: int | None = None,
        frozen: float = 0.8,
        fixed_corners: bool = False,
        success_rate: float = 1.0,
        observation: ObservationFormat = "grid",
        symbols: Sequence[str] = "P_OGX√",
    ) -> None:
        for name, side in (("size", size), ("rows", rows), ("cols", cols)):
            given = isinstance(side, int) and 1 <= side <= MAX_SIDE
            if not given and (side is not None or name == "size"):
                raise ValueError(f"{name}={side!r} must be a whole number from 1 to {MAX_SIDE}")
        self.rows, self.cols = (size if side is None else side for side in (rows, cols))
        if self.rows == self.cols == 1:
            raise ValueError("a 1x1 board has no room for both start and goal; make it larger")
        if not isinstance(frozen, int | float) or not 0 < frozen <= 1:
            raise ValueError(f"frozen={frozen!r} must be above 0 and at most 1")
        if not isinstance(success_rate, int | float) or not 0 <= success_rate <= 1:
            raise ValueError(f"success_rate={success_rate!r} must be a probability, from 0 to 1")
        choices = get_args(ObservationFormat)
        if observation not in choices:
            raise ValueError(f"{observation=} is not one of {', '.join(map(repr, choices))}")
        if not isinstance(fixed_corners, bool):
            raise ValueError(f"{fixed_corners=} must be True or False")
        _check_symbols(symbols)
        self.frozen, self.success_rate = float(frozen), float(success_rate)
        self.fixed_corners = fixed_corners
        self.stochastic = self.success_rate < 1
        self.observation: ObservationFormat = observation
        self.symbols = tuple(symbols)
        self.charset = PRINTABLE | frozenset(symbols)
        self.rules = self._rules()
        self.max_text = self._max_text()
        player, ice, hole, goal, in_hole, at_goal = self.symbols
        self._glyphs = ice, hole, goal
        self._plain = self._glyphs == ("_", "O", "G")  # as in a state, so that none is replaced
        self._player = {_FROZEN: player, _HOLE: in_hole, _GOAL: at_goal}
        self._directions = _directions(self.success_rate)
        self._rows = [slice(i, i + self.cols) for i in range(0, self.rows * self.cols, self.cols)]

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> FrozenLakeState:
        """Draw a map with a way to the goal."""
        cols, frozen, rows, cells = self.cols, self.frozen, self._rows, self.rows * self.cols
        start, goal = 0, cells - 1
        for _ in range(MAX_DRAWS):
            draws = rng.random(cells + 2)
            if not self.fixed_corners:
                start, goal = int(draws.item(-1) * cells), int(draws.item(-2) * (cells - 1))
                goal += goal >= start
            flat = bytearray((draws < frozen).tobytes().translate(_HELD))
            flat[start], flat[goal] = _FROZEN, _GOAL
            board = b"\n".join([flat[row] for row in rows])
            state = new(FrozenLakeState, (board, cols + 1, start + start // cols))
            if shortest(state) is not None:
                return state
        raise ValueError(
            f"none of {MAX_DRAWS} maps drawn has a way to the goal: frozen={self.frozen} is too"
            f" little for {self.rows}x{cols}; raise it, or use a smaller board"
        )

    def legal(self, state: FrozenLakeState) -> tuple[str, ...]:
        """All four moves, none once the player is in a hole or at the goal."""
        return MOVES if state.board[state.player] == _FROZEN else ()

    def play(
        self, state: FrozenLakeState, move: str, rng: np.random.Generator
    ) -> Outcome[FrozenLakeState]:
        """Move the player, on slippery ice perhaps astray."""
        directions = self._directions[move]
        if len(directions) == 1:
            return _land(state, directions[0][1])
        draw = rng.random()
        for chance, direction in directions:
            draw -= chance
            if draw < 0:
                return _land(state, direction)
        return _land(state, directions[-1][1])  # the chances may sum to a little less than 1

    def transitions(
        self, state: FrozenLakeState, move: str
    ) -> list[tuple[float, Outcome[FrozenLakeState]]]:
        """Every outcome that ``move`` can have, with its probability; the same one may come twice.

        Once the game is over it stays as it is, with reward 0.
        """
        return _transitions(state, self._directions[move])

    def text(self, state: FrozenLakeState) -> str:
        """Give the board, the coordinates, or both."""
        if self.observation == "grid":
            return self._grid(state)
        if self.observation == "coord":
            return self._coordinates(state)
        return f"{self._grid(state)}\n{self._coordinates(state)}"

    def facts(self, state: FrozenLakeState) -> dict[str, Any]:
        """Positions as (row, column): ``player``, ``goal``, ``holes``; ``rows`` and ``cols``."""
        board, stride = state.board, state.stride
        return {
            "player": divmod(state.player, stride),
            "goal": divmod(board.index(_GOAL), stride),
            "holes": [divmod(i, stride) for i, code in enumerate(board) if code == _HOLE],
            "rows": board.count(_NEWLINE) + 1,
            "cols": stride - 1,
        }

    def start_info(self, state: FrozenLakeState) -> dict[str, Any]:
        """Give ``optimal_moves``: the length of the shortest way to the goal."""
        return {"optimal_moves": shortest(state)}

    # --- the oracle ---

    def solve(self, state: FrozenLakeState) -> list[str] | None:
        """Give a way to the goal; ``None`` when there is none.

        The shortest way where moves go where they are meant. On slippery ice, the moves of the best
        ``policy`` along its likeliest way to the goal: ask again after every move, since the player
        may have slipped off it.
        """
        if state.board[state.player] != _FROZEN:
            return None
        policy = self.policy(state) if self.stochastic else None
        return likeliest_plan(
            state, lambda s: (policy[s.player],) if policy else MOVES, self.transitions
        )

    def values(self, state: FrozenLakeState) -> dict[int, float]:
        """Board index -> value of standing there under the best policy: the discounted chance of
        reaching the goal, 0 where the game is over. By value iteration.
        """
        return dict(_solution(state.board, state.stride, self.success_rate)[0])

    def policy(self, state: FrozenLakeState) -> dict[int, str]:
        """Board index -> best move there, for every cell where the game goes on."""
        return dict(_solution(state.board, state.stride, self.success_rate)[1])

    # --- levels ---

    def level(self, state: FrozenLakeState) -> str:
        """Write the map as Gymnasium does, with ``S`` where the player is."""
        board = bytearray(state.board.translate(_TO_LEVEL))
        board[state.player] = ord("S")
        return board.decode()

    def levels(self, text: str) -> list[FrozenLakeState]:
        """Read maps, separated by blank lines."""
        return [self._read(number, rows) for number, rows in enumerate(blocks(text), 1)]

    # --- private ---

    def _read(self, number: int, rows: list[str]) -> FrozenLakeState:
        text, cols = "\n".join(rows), len(rows[0])
        fault = ""
        if unknown := sorted(set(text) - set("SFHG\n")):
            fault = f"has {', '.join(map(repr, unknown))}; a map is written with S, F, H and G"
        elif ragged := [i for i, row in enumerate(rows) if len(row) != cols]:
            fault = f"row {ragged[0]} has {len(rows[ragged[0]])} cells, row 0 has {cols}"
        elif text.count("S") != 1 or text.count("G") != 1:
            fault = f"has {text.count('S')} S and {text.count('G')} G; it must have one of each"
        elif len(rows) > self.rows or cols > self.cols:
            fault = (
                f"is {len(rows)}x{cols}, larger than the environment's {self.rows}x{self.cols};"
                f" make it with rows={len(rows)}, cols={cols}"
            )
        if not fault:
            board = text.encode().translate(_FROM_LEVEL)
            state = FrozenLakeState(board, cols + 1, text.index("S"))
            if shortest(state) is not None:
                return state
            fault = "has no way from S to G"
        raise ValueError(f"level {number}: {fault}")

    def _grid(self, state: FrozenLakeState) -> str:
        board, player = state.board, state.player
        text = board.decode() if self._plain else _drawn(board, *self._glyphs)
        return f"{text[:player]}{self._player[board[player]]}{text[player + 1 :]}"

    def _coordinates(self, state: FrozenLakeState) -> str:
        row, col = divmod(state.player, state.stride)
        return f"Player: ({row}, {col})\n{_listed(state.board, state.stride)}"

    def _rules(self) -> str:
        player, ice, hole, goal, in_hole, at_goal = self.symbols
        lines = ["Cross the frozen lake to the goal without falling into a hole."]
        if self.observation != "coord":
            lines.append(
                f"Symbols: {player} you, {ice} ice that holds, {hole} hole, {goal} goal,"
                f" {in_hole} you in a hole, {at_goal} you at the goal."
            )
        if self.observation != "grid":
            lines.append(
                "Positions are (row, column), counted from zero: row 0 is the top row, column 0"
                " the leftmost."
            )
        lines.append(f"Moves: {', '.join(MOVES)}. A move off the edge leaves you where you are.")
        if self.stochastic:
            lines.append(
                f"The ice is slippery: a move goes where it was meant with probability"
                f" {self.success_rate:.3g}, and to each of its two sides with probability"
                f" {(1 - self.success_rate) / 2:.3g}."
            )
        lines.append("The goal pays 1, anything else 0. The game ends at the goal or in a hole.")
        return "\n".join(lines)

    def _max_text(self) -> int:
        grid = self.rows * (self.cols + 1) - 1
        position = len(f"({self.rows - 1}, {self.cols - 1}), ")
        labels = len("Board: 100 rows, 100 columns\nPlayer: \nGoal: \nHoles: none")
        coordinates = labels + position * self.rows * self.cols
        lengths = {"grid": grid, "coord": coordinates, "grid_coord": grid + 1 + coordinates}
        return lengths[self.observation]


@lru_cache(maxsize=256)
def shortest(state: FrozenLakeState) -> int | None:
    """Count the moves of the shortest way to the goal; ``None`` when there is none.

    Floods the board from the player, all cells at once: the board as the bits of one integer.
    """
    board, stride, player = state
    last = len(board) - 1
    free = int(board.translate(_FREE), 2)
    goal = 1 << (last - board.index(_GOAL))
    reached, moves = 1 << (last - player), 0
    while not reached & goal:
        spread = reached << 1 | reached >> 1 | reached << stride | reached >> stride | reached
        spread &= free
        if spread == reached:
            return None
        reached = spread
        moves += 1
    return moves


def _land(state: FrozenLakeState, direction: int) -> Outcome[FrozenLakeState]:
    board, stride, player = state
    target = player + (-1, stride, 1, -stride)[direction]
    if not 0 <= target < len(board):
        return Outcome(state, 0.0)
    code = board[target]
    if code == _NEWLINE:
        return Outcome(state, 0.0)
    after = new(FrozenLakeState, (board, stride, target))
    if code == _FROZEN:
        return new(Outcome, (after, 0.0, False, False, ""))
    if code == _GOAL:
        return Outcome(after, 1.0, True, True, "You reached the goal.")
    return Outcome(after, 0.0, True, False, "You fell into a hole.")


def _check_symbols(symbols: Sequence[str]) -> None:
    visible = isinstance(symbols, Sequence) and [
        s for s in symbols if isinstance(s, str) and len(s) == 1 and s.isprintable() and s != " "
    ]
    if not visible or not len(symbols) == len(visible) == len(set(visible)) == 6:
        raise ValueError(
            f"symbols={symbols!r} must be six different visible characters: player, frozen, hole,"
            " goal, player in a hole, player at the goal"
        )


Directions = tuple[tuple[float, int], ...]


def _directions(success_rate: float) -> dict[str, Directions]:
    """Move -> the directions that it can take, with their probabilities."""
    aside = (1 - success_rate) / 2
    turns = ((aside, -1), (success_rate, 0), (aside, 1))
    return {
        move: tuple((chance, (number + turn) % 4) for chance, turn in turns if chance > 0)
        for number, move in enumerate(MOVES)
    }


def _transitions(
    state: FrozenLakeState, directions: Directions
) -> list[tuple[float, Outcome[FrozenLakeState]]]:
    if state.board[state.player] != _FROZEN:
        return [(1.0, Outcome(state, 0.0, True))]
    return [(chance, _land(state, direction)) for chance, direction in directions]


@lru_cache(maxsize=256)
def _solution(
    board: bytes, stride: int, success_rate: float
) -> tuple[dict[int, float], dict[int, str]]:
    """Value of every cell, and best move of every cell where the game goes on."""
    ways = _directions(success_rate)
    places = [FrozenLakeState(board, stride, i) for i, c in enumerate(board) if c == _FROZEN]
    values, policy = value_iteration(
        places, MOVES, lambda state, move: _transitions(state, ways[move]), DISCOUNT
    )
    over = {i: 0.0 for i, code in enumerate(board) if code in (_HOLE, _GOAL)}
    by_cell = {state.player: value for state, value in values.items()}
    return over | by_cell, {state.player: move for state, move in policy.items()}


@lru_cache(maxsize=256)
def _drawn(board: bytes, ice: str, hole: str, goal: str) -> str:
    return board.decode().translate(str.maketrans({"_": ice, "O": hole, "G": goal}))


@lru_cache(maxsize=256)
def _listed(board: bytes, stride: int) -> str:
    """List everything on the board that stays where it is."""
    places = {code: [] for code in (_GOAL, _HOLE)}
    for index, code in enumerate(board):
        if code in places:
            row, col = divmod(index, stride)
            places[code].append(f"({row}, {col})")
    holes = ", ".join(places[_HOLE]) or "none"
    size = f"Board: {board.count(_NEWLINE) + 1} rows, {stride - 1} columns"
    return f"Goal: {places[_GOAL][0]}\nHoles: {holes}\n{size}"
