"""Maze: find the way out, seen from inside or on a map.

The player stands in a cell and faces north, east, south or west; a move goes one cell forward, or
turns left or right on the spot. A wall stops the player: nothing changes then.

=================  ===============  ==========
event              reward           game
=================  ===============  ==========
reach the exit     1 - move_cost    ends, won
any other move     -move_cost       goes on
=================  ===============  ==========

From inside, the player sees in straight lines ahead, to the left and to the right, each as far as a
wall or the exit; what else there is to the maze, and where in it the player is, stays hidden. Such
mazes are the setting of many a first-person game; the rules are this package's own. A perfect maze
has one way between any two cells, a braided one has loops where dead ends were (the terms are those
of W. D. Pullen's "Think Labyrinth").
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome, blocks
from text_envs.games.maze_levels import (
    ARROWS,
    EXIT,
    MOVES,
    WALL,
    Grid,
    carve,
    fault,
    grid,
    redraw,
    shortest,
    steps,
    way,
    within,
)
from text_envs.games.maze_sight import HEADINGS, SIDES, in_sight, passages, sight, told

View = Literal["inside", "map"]

MAX_SIDE = 40
MAX_MOVES = 10_000
MAX_DRAWS = 200
MAX_LOOKALIKES = 100

_TURNS = {"turn left": 3, "turn right": 1}
_BUMP = "A wall is in the way."
_WON = "You reached the exit."


class MazeState(NamedTuple):
    """A maze, where the player is in it, and how it is seen."""

    board: bytes
    """One byte a place, ``#`` wall, ``.`` open, ``E`` exit; rows joined by a newline. Cells are at
    odd rows and columns.
    """
    stride: int
    """Bytes from one row of the board to the next: columns of the board + 1."""
    player: int
    """Index into ``board``."""
    heading: int
    """Index into ``HEADINGS``."""
    inside: bool
    """Seen from inside: the player knows no more than ``maze_sight.sight`` tells."""


class Maze(Game[MazeState]):
    """Find the way out of a maze, seen from inside or on a map.

    Moves: ``forward`` (one cell), ``turn left``, ``turn right``; all are legal until the game ends.
    A wall in the way stops the player, and nothing changes. Reward 1 at the exit, where the game
    ends (success), less ``move_cost`` for every move. Nothing seen earlier is repeated: remembering
    it is the player's part. Every generated maze has a way out of at most ``max_solution`` moves,
    turns included; the moves allowed beyond that are for looking around.
    ``info["optimal_moves"]``, at reset: the length of the shortest one with ``view="map"``; -1 from
    inside, where it would tell what the player can't see.

    Args:
        size: rows and columns of cells of a square maze, 1 to 40.
        rows: rows of cells, where they differ from ``size``.
        cols: columns of cells, where they differ from ``size``.
        view: ``"inside"`` tells what is ahead, to the left and to the right; ``"map"`` draws the
            whole maze and the player in it.
        braid: share of the dead ends that is opened into loops, 0 (a perfect maze) to 1.
        min_solution: fewest moves that the shortest way out may have.
        max_solution: most moves that the shortest way out may have.
        move_cost: taken off the reward of every move, 0 to 1.
        symbols: seven different characters of the map: wall, open, exit, and the player facing
            north, east, south, west.

    A level is the map, a row a line: ``#`` wall, ``.`` or a space open, ``E`` exit, and the player
    as ``^``, ``>``, ``v`` or ``<``, by the heading. Cells are at odd rows and columns counted from
    zero, walls or openings between them. A blank line stands between two levels::

        #####
        #>..#
        ###.#
        #E..#
        #####

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (50 in TextMaze-v0):

    =======================  =====  =========================  ===========================
    parameters               moves  random                     oracle
    =======================  =====  =========================  ===========================
    default                  50     14.5 (13.8 to 15.2)        100 (99.96 to 100)
    default                  20     7.8 (7.3 to 8.3)           100 (99.96 to 100)
    braid=1.0                50     21.1 (20.3 to 21.9)        100 (99.96 to 100)
    size=8, max_solution=40  50     6.0 (5.4 to 6.7), n=5,000  100 (99.92 to 100), n=5,000
    min_solution=10          50     0.8 (0.7 to 1.0)           100 (99.96 to 100)
    =======================  =====  =========================  ===========================
    """

    def __init__(
        self,
        size: int = 5,
        rows: int | None = None,
        cols: int | None = None,
        view: View = "inside",
        braid: float = 0.0,
        min_solution: int = 1,
        max_solution: int = 20,
        move_cost: float = 0.0,
        symbols: Sequence[str] = "#.E^>v<",
    ) -> None:
        for name, side in (("size", size), ("rows", rows), ("cols", cols)):
            given = isinstance(side, int) and 1 <= side <= MAX_SIDE
            if not given and (side is not None or name == "size"):
                raise ValueError(f"{name}={side!r} must be a whole number from 1 to {MAX_SIDE}")
        self.rows = size if rows is None else rows
        self.cols = size if cols is None else cols
        if self.rows * self.cols < 2:
            raise ValueError("a 1x1 maze has no room for both player and exit; make it larger")
        if view not in get_args(View):
            raise ValueError(f"view={view!r} is not one of {', '.join(map(repr, get_args(View)))}")
        for name, share in (("braid", braid), ("move_cost", move_cost)):
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ValueError(f"{name}={share!r} must be a number from 0 to 1")
        if braid > 0 and min(self.rows, self.cols) == 1:
            raise ValueError(
                f"braid={braid!r}: the dead ends of a {self.rows}x{self.cols} maze open to nowhere;"
                " use braid=0, or at least two rows and columns"
            )
        _check_solution(min_solution, max_solution)
        _check_symbols(symbols)
        self.view: View = view
        self.hidden = view == "inside"
        self.braid, self.move_cost = float(braid), float(move_cost)
        self.min_solution, self.max_solution = min_solution, max_solution
        self.symbols = tuple(symbols)
        self.charset = PRINTABLE | frozenset(symbols)
        self.rules = self._rules()
        self.max_text = self._max_text()
        self._pay = 0.0 - self.move_cost

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> MazeState:
        """Draw a maze, then a start in it, and an exit among the cells that are as far away as they
        should be.
        """
        maze = grid(self.rows, self.cols)
        for _ in range(MAX_DRAWS):
            board = carve(rng, maze, self.braid)
            start, facing, end = rng.random(3).tolist()
            player, heading = maze.cells[int(start * len(maze.cells))], int(facing * 4)
            exits = self._exits(bytes(board), maze, player, heading)
            if exits:
                board[exits[int(end * len(exits))]] = EXIT
                return MazeState(bytes(board), maze.stride, player, heading, self.hidden)
        raise ValueError(
            f"none of {MAX_DRAWS} mazes of {self.rows}x{self.cols} cells has an exit from"
            f" min_solution={self.min_solution} to max_solution={self.max_solution} moves away;"
            " lower min_solution, raise max_solution, or use a larger maze"
        )

    def legal(self, state: MazeState) -> tuple[str, ...]:
        """All three moves, none at the exit."""
        return MOVES if state.board[state.player] != EXIT else ()

    def play(self, state: MazeState, move: str, rng: np.random.Generator) -> Outcome[MazeState]:
        """Go forward or turn."""
        board, stride, player, heading, inside = state
        if move != "forward":
            heading = (heading + _TURNS[move]) % 4
            return Outcome(MazeState(board, stride, player, heading, inside), self._pay)
        step = steps(stride)[heading]
        if board[player + step] == WALL:
            return Outcome(state, self._pay, note=_BUMP)
        player += 2 * step
        after = MazeState(board, stride, player, heading, inside)
        if board[player] == EXIT:
            return Outcome(after, self._pay + 1, True, True, _WON)
        return Outcome(after, self._pay)

    def text(self, state: MazeState) -> str:
        """Tell what is seen ahead, to the left and to the right, or draw the map."""
        board, stride, player, heading, inside = state
        if inside:
            return told(board, stride, player, heading)
        text = _drawn(board, self.symbols[:3])
        return f"{text[:player]}{self.symbols[3 + heading]}{text[player + 1 :]}"

    def facts(self, state: MazeState) -> dict[str, Any]:
        """Give ``facing``; from inside also, for ``ahead``, ``left`` and ``right``: ``cells`` open
        in a straight line, the ``end`` of it (wall or exit) and side ``passages``; of the map
        ``rows`` and ``cols`` of cells, ``player`` and ``exit`` as (row, column) of cells, and
        ``map``, its rows.
        """
        board, stride, player, heading, inside = state
        facts: dict[str, Any] = {"facing": HEADINGS[heading]}
        if not inside:
            rows = board.decode().split("\n")
            facts["player"] = _cell(player, stride)
            facts["exit"] = _cell(board.index(EXIT), stride)
            return facts | {"rows": len(rows) // 2, "cols": len(rows[0]) // 2, "map": rows}
        facts["at exit"] = board[player] == EXIT
        for name, turn in SIDES:
            side, direction = name.lower(), (heading + turn) % 4
            seen = sight(board, stride, player, direction)
            facts[f"cells {side}"] = seen.cells
            facts[f"end {side}"] = "exit" if seen.exit else "wall"
            facts[f"passages {side}"] = [
                f"{where} at {at}" for where, places in passages(direction, seen) for at in places
            ]
        return facts

    def start_info(self, state: MazeState) -> dict[str, Any]:
        """Give ``optimal_moves``: the length of the shortest way out; -1 from inside."""
        if state.inside:
            return {"optimal_moves": -1}
        moves = shortest(*state[:4])
        return {"optimal_moves": -1 if moves is None else moves}

    # --- the oracle ---

    def solve(self, state: MazeState) -> list[str] | None:
        """Give a shortest way out, turns counted as moves; ``None`` when there is none."""
        return way(*state[:4]) if self.legal(state) else None

    def lookalike(self, state: MazeState, rng: np.random.Generator) -> MazeState:
        """Draw a maze of the same size, and a place in it, with the same view from there."""
        board, stride, player, heading, inside = state
        if not inside:
            return state
        maze = grid((board.count(b"\n") + 1) // 2, stride // 2 - 1)
        seen, cells = in_sight(board, stride, player, heading)
        exit = board.index(EXIT)
        for _ in range(MAX_LOOKALIKES):
            drawn = redraw(rng, maze, player, seen, cells, exit if exit in cells else None)
            if drawn is not None and drawn != (board, player):
                return state._replace(board=drawn[0], player=drawn[1])
        return state

    # --- levels ---

    def level(self, state: MazeState) -> str:
        """Write the map, with the player as an arrow."""
        text = state.board.decode()
        return f"{text[: state.player]}{ARROWS[state.heading]}{text[state.player + 1 :]}"

    def levels(self, text: str) -> list[MazeState]:
        """Read maps, separated by blank lines."""
        return [self._read(number, rows) for number, rows in enumerate(blocks(text), 1)]

    # --- private ---

    def _exits(self, board: bytes, maze: Grid, player: int, heading: int) -> list[int]:
        """Cells whose shortest way from the start is neither too short nor too long."""
        flood = within(board, maze.stride, player, heading)
        reached = list(islice(flood, self.max_solution + 1))
        near, far = reached[min(self.min_solution, len(reached)) - 1], reached[-1]
        exits = bin(far & ~near)[2:].zfill(len(board))
        return [cell for cell in maze.cells if exits[cell] == "1"]

    def _read(self, number: int, lines: list[str]) -> MazeState:
        rows = [line.replace(" ", ".") for line in lines]
        wrong = fault(rows)
        high, wide = len(rows) // 2, len(rows[0]) // 2
        if not wrong and (high > self.rows or wide > self.cols):
            wrong = (
                f"has {high}x{wide} cells, more than the environment's {self.rows}x{self.cols};"
                f" make it with rows={high}, cols={wide}"
            )
        if not wrong:
            text = "\n".join(rows)
            player = next(i for i, character in enumerate(text) if character in ARROWS)
            board = f"{text[:player]}.{text[player + 1 :]}".encode()
            heading = ARROWS.index(text[player])
            state = MazeState(board, len(rows[0]) + 1, player, heading, self.hidden)
            if self.solve(state) is not None:
                return state
            wrong = "has no way from the player to E"
        raise ValueError(f"level {number}: {wrong}")

    def _rules(self) -> str:
        wall, floor, exit, *player = self.symbols
        lines = ["Find the way out of a maze of cells with walls between them."]
        if self.view == "map":
            facing = ", ".join(f"{s} facing {h}" for s, h in zip(player, HEADINGS, strict=True))
            lines += [
                f"Symbols: {wall} wall, {floor} open, {exit} exit; you are {facing}.",
                "North is at the top. Counted from zero, cells are at odd rows and columns of the"
                " map; between two cells there is a wall or an opening.",
            ]
        else:
            lines += [
                "You see in straight lines ahead, to the left and to the right: how many cells are"
                " open up to a wall or the exit, and the side passages on the way. 'west at 2'"
                " means: a passage to the west, from the cell 2 steps away. You don't see what is"
                " behind you, and nothing is remembered for you.",
            ]
        lines.append(
            "Moves: forward (one cell), turn left, turn right. A wall stops you: nothing changes."
        )
        cost = f" Every move costs {self.move_cost:g}." if self.move_cost else ""
        lines.append(f"Reaching the exit pays 1 and ends the game.{cost}")
        return "\n".join(lines)

    def _max_text(self) -> int:
        if self.view == "map":
            return (2 * self.rows + 1) * (2 * self.cols + 2) - 1
        longest = max(self.rows, self.cols)
        line = len("\nAhead (north): open for 10 cells; passages: north at ; south at ")
        return len("You are at the exit, facing north.") + 3 * (line + 2 * longest * len("10, "))


@lru_cache(maxsize=256)
def _drawn(board: bytes, symbols: tuple[str, ...]) -> str:
    return board.decode().translate(str.maketrans(dict(zip("#.E", symbols, strict=True))))


def _cell(place: int, stride: int) -> tuple[int, int]:
    """(row, column) of a cell, counted in cells."""
    row, col = divmod(place, stride)
    return row // 2, col // 2


def _check_solution(shortest: int, longest: int) -> None:
    for name, moves in (("min_solution", shortest), ("max_solution", longest)):
        if not isinstance(moves, int) or not 1 <= moves <= MAX_MOVES:
            raise ValueError(f"{name}={moves!r} must be a whole number from 1 to {MAX_MOVES}")
    if shortest > longest:
        raise ValueError(
            f"min_solution={shortest} is over max_solution={longest}; lower it, or raise the other"
        )


def _check_symbols(symbols: Sequence[str]) -> None:
    visible = isinstance(symbols, Sequence) and [
        s for s in symbols if isinstance(s, str) and len(s) == 1 and s.isprintable() and s != " "
    ]
    if not visible or not len(symbols) == len(visible) == len(set(visible)) == 7:
        raise ValueError(
            f"symbols={symbols!r} must be seven different visible characters: wall, open, exit,"
            " player facing north, east, south, west"
        )
