"""Tower of Hanoi: move every disk to the goal peg, one at a time, no disk ever on a smaller one.

===============================  ======  ==========
event                            reward  game
===============================  ======  ==========
the last disk is on the goal     1       ends, won
any other move                   0       goes on
===============================  ======  ==========

The puzzle is that of Édouard Lucas (1883). From a tower on one peg to a tower on another, ``n``
disks take 2^n - 1 moves with three pegs; with four, as few as Frame and Stewart (1941) conjectured
and Bousch (2014) proved.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise, permutations
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import Game, Outcome, blocks

MIN_PEGS, MAX_PEGS = 3, 6
MAX_DISKS = 10
MAX_POSITIONS = 2**16
"""Of the disks on the pegs: with more than three, the oracle looks at every one of them once."""
MAX_MOVE = 64
"""Longest text that is looked at as a move, in characters."""


class HanoiState(NamedTuple):
    """Where the disks are, and where they should be. Pegs are counted from zero here."""

    places: tuple[int, ...]
    """Peg of every disk, the smallest first."""
    pegs: int
    goal: int
    """Peg to build the tower on."""


class TowerOfHanoi(Game[HanoiState]):
    """Move every disk to the goal peg, one at a time, no disk ever on a smaller one.

    Moves: ``move 1 3`` takes the top disk of peg 1 to peg 3; ``1 3``, ``1->3`` and ``1, 3`` are
    read as the same. Pegs are numbered from 1. What would put a disk on a smaller one, or take one
    from an empty peg, is not a move: it changes nothing and costs the environment's
    ``invalid_action_penalty``. Reward 1 when all disks are on the goal peg, where the game ends
    (success), otherwise 0. ``info["optimal_moves"]``, at reset: the fewest moves that solve it, at
    most 2^disks - 1.

    Args:
        disks: number of disks, 1 to 10; ``pegs ** disks`` must be at most 65,536.
        pegs: number of pegs, 3 to 6.
        random_start: start from any position, with any goal peg, all equally likely (none is solved
            already). Otherwise the classic start, all disks on peg 1 and the last peg as the goal:
            a single level, which lies in one split, so that the other has none.

    A level is a line a peg, its disks from bottom to top (1 is the smallest), then the goal, with a
    blank line between two levels::

        Peg 1: 3 2 1
        Peg 2: empty
        Peg 3: empty
        Goal: peg 3

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextTowerOfHanoi-v0):

    ==================  =====  ===================  ==================
    parameters          moves  random               oracle
    ==================  =====  ===================  ==================
    default             20     20.9 (20.1 to 21.7)  100 (99.96 to 100)
    default             10     13.0 (12.3 to 13.6)  100 (99.96 to 100)
    random_start=False  20     5.0 (4.6 to 5.5)     100 (99.96 to 100)
    disks=4             20     6.9 (6.4 to 7.4)     100 (99.96 to 100)
    disks=4, pegs=4     20     2.5 (2.2 to 2.8)     100 (99.96 to 100)
    ==================  =====  ===================  ==================
    """

    def __init__(self, disks: int = 3, pegs: int = 3, random_start: bool = True) -> None:
        for name, value, low, high in (
            ("disks", disks, 1, MAX_DISKS),
            ("pegs", pegs, MIN_PEGS, MAX_PEGS),
        ):
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} must be a whole number from {low} to {high}")
        if not isinstance(random_start, bool):
            raise ValueError(f"random_start={random_start!r} must be True or False")
        if pegs**disks > MAX_POSITIONS:
            most = max(n for n in range(MAX_DISKS) if pegs**n <= MAX_POSITIONS)
            raise ValueError(
                f"disks={disks} on pegs={pegs} have {pegs**disks:,} positions, more than"
                f" {MAX_POSITIONS:,}; use at most {most} disks, or fewer pegs"
            )
        self.disks, self.pegs, self.random_start = disks, pegs, random_start
        self._classic = HanoiState((0,) * disks, pegs, pegs - 1)
        self.rules = self._rules()
        self.max_text = pegs * len("Peg 1: empty\n") + disks * len("10 ") + len("Goal: peg 1")

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> HanoiState:
        """Draw a position and a goal, or give the classic start."""
        disks, pegs = self.disks, self.pegs
        if not self.random_start:
            return self._classic
        goal, *draws = (int(draw * pegs) for draw in rng.random(disks + 1).tolist())
        while draws.count(goal) == disks:
            draws = [int(draw * pegs) for draw in rng.random(disks).tolist()]
        return HanoiState(tuple(draws), pegs, goal)

    def legal(self, state: HanoiState) -> tuple[str, ...]:
        """Every move of a top disk to an empty peg or a larger disk; none once it is solved."""
        return _legal(state)

    def play(self, state: HanoiState, move: str, rng: np.random.Generator) -> Outcome[HanoiState]:
        """Move the top disk of a peg to another."""
        return _played(state, move)

    def text(self, state: HanoiState) -> str:
        """List the disks on every peg from bottom to top, and name the goal."""
        return _text(state)

    def parse(self, state: HanoiState, text: str) -> str | None:
        """Read two peg numbers, with or without ``move`` before them and an arrow or a comma
        between.
        """
        legal = _legal(state)
        if text in legal:
            return text
        text = text.strip().lower()
        match = _MOVE.fullmatch(text) if len(text) <= MAX_MOVE else None
        move = f"move {match[1]} {match[2]}" if match else ""
        return move if move in legal else None

    def facts(self, state: HanoiState) -> dict[str, Any]:
        """Give ``peg 1``, ``peg 2``, ...: the disks on it, from bottom to top; and ``goal``."""
        pegs = {f"peg {peg + 1}": list(disks) for peg, disks in enumerate(stacks(state))}
        return {**pegs, "goal": state.goal + 1}

    def start_info(self, state: HanoiState) -> dict[str, Any]:
        """Give ``optimal_moves``: the fewest moves that solve it."""
        return {"optimal_moves": distance(state)}

    # --- the oracle ---

    def solve(self, state: HanoiState) -> list[str] | None:
        """Give a shortest plan (with three pegs there is only one); ``None`` once it is solved."""
        plan = []
        while left := distance(state):
            state, move = next(
                (after, move)
                for move in _legal(state)
                if distance(after := _moved(state, move)) < left
            )
            plan.append(move)
        return plan or None

    # --- levels ---

    def level(self, state: HanoiState) -> str:
        """Write the position as the player sees it."""
        return _text(state)

    def levels(self, text: str) -> list[HanoiState]:
        """Read positions, separated by blank lines."""
        return [self._read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _read(self, number: int, lines: list[str]) -> HanoiState:
        try:
            stacked, goal = _stacks_and_goal(lines, self.pegs)
            return HanoiState(_places(stacked, self.disks, goal), self.pegs, goal)
        except ValueError as error:
            raise ValueError(f"level {number}: {error}") from None

    def _rules(self) -> str:
        disks = f"Disks 1 (the smallest) to {self.disks} are" if self.disks > 1 else "Disk 1 is"
        return (
            f"{disks} on {self.pegs} pegs. Build the tower on the goal peg: all disks on it.\n"
            "Each peg's disks are listed from bottom to top. Only the top disk of a peg can be"
            " moved, and never onto a smaller disk.\n"
            "Move: 'move 1 3' takes the top disk of peg 1 to peg 3.\n"
            "The move that completes the tower pays 1 and ends the game, any other pays 0."
        )


def stacks(state: HanoiState) -> tuple[tuple[int, ...], ...]:
    """Give the disks on every peg from bottom to top, 1 the smallest."""
    places, pegs, _ = state
    return tuple(
        tuple(disk for disk in range(len(places), 0, -1) if places[disk - 1] == peg)
        for peg in range(pegs)
    )


@lru_cache(maxsize=4096)
def distance(state: HanoiState) -> int:
    """Count the fewest moves that solve it.

    With three pegs: before disk d (0 the smallest) can go where it should, the d smaller ones must
    be a tower on the third peg; then it moves, and 2^d - 1 moves more bring them on top of it.
    """
    places, pegs, goal = state
    if pegs == 3:
        moves = 0
        for disk in range(len(places) - 1, -1, -1):
            if places[disk] != goal:
                moves += 2**disk
                goal = 3 - goal - places[disk]
        return moves
    code = 0  # of the same position with the goal and the first peg exchanged
    for peg in reversed(places):
        code = code * pegs + (0 if peg == goal else goal if peg == 0 else peg)
    return int(_distances(len(places), pegs)[code])


@lru_cache(maxsize=8)
def _distances(disks: int, pegs: int) -> np.ndarray:
    """Fewest moves from every position to a tower on the first peg, int16 ``[pegs ** disks]``.

    A position's number has the peg of disk ``d`` (0 the smallest) as its digit ``d`` in base
    ``pegs``. A move can be undone, so it is breadth first from the tower, all positions at once.
    """
    weights = pegs ** np.arange(disks + 1)
    found = np.full(weights[disks], -1, np.int16)
    layer, moves = np.zeros(1, np.int64), 0
    while len(layer):
        found[layer] = moves
        moves += 1
        digits = layer[:, None] // weights[:disks] % pegs  # [positions, disks]
        tops = np.stack([_first(digits == peg) for peg in range(pegs)])  # [pegs, positions]
        onward = []
        for a, b in permutations(range(pegs), 2):
            can = tops[a] < tops[b]
            onward.append(layer[can] + (b - a) * weights[tops[a][can]])
        reached = np.concatenate(onward)
        layer = np.unique(reached[found[reached] < 0])
    found.flags.writeable = False
    return found


def _first(there: np.ndarray) -> np.ndarray:
    """First column that is true in every row; their number where none is."""
    return np.where(there.any(axis=1), there.argmax(axis=1), there.shape[1])


_MOVE = re.compile(r"(?:move\s+)?([1-9])(?:\s+|\s*(?:->|,)\s*)([1-9])")
_PEG = re.compile(r"peg ([1-9]): (?:empty|([1-9]\d?(?: [1-9]\d?)*))", re.ASCII)
_GOAL = re.compile(r"goal: peg ([1-9])")


def _moved(state: HanoiState, move: str) -> HanoiState:
    places, pegs, goal = state
    disk = places.index(int(move[-3]) - 1)  # the smallest there is on top
    return HanoiState((*places[:disk], int(move[-1]) - 1, *places[disk + 1 :]), pegs, goal)


@lru_cache(maxsize=8192)
def _played(state: HanoiState, move: str) -> Outcome[HanoiState]:
    after = _moved(state, move)
    if after.places.count(after.goal) == len(after.places):
        return Outcome(after, 1.0, True, True, "The tower stands.")
    return Outcome(after, 0.0)


@lru_cache(maxsize=4096)
def _legal(state: HanoiState) -> tuple[str, ...]:
    places, pegs, goal = state
    if places.count(goal) == len(places):
        return ()
    tops = [places.index(peg) if peg in places else len(places) for peg in range(pegs)]
    return tuple(
        f"move {a + 1} {b + 1}" for a, b in permutations(range(pegs), 2) if tops[a] < tops[b]
    )


@lru_cache(maxsize=4096)
def _text(state: HanoiState) -> str:
    lines = [
        f"Peg {peg}: {' '.join(map(str, disks)) or 'empty'}"
        for peg, disks in enumerate(stacks(state), 1)
    ]
    return "\n".join([*lines, f"Goal: peg {state.goal + 1}"])


def _stacks_and_goal(lines: Sequence[str], pegs: int) -> tuple[list[list[int]], int]:
    """Read the lines of a level: the disks on every peg, and the goal, counted from zero."""
    lines = [" ".join(line.split()).lower() for line in lines]
    if len(lines) != pegs + 1:
        raise ValueError(
            f"has {len(lines)} lines; this environment was made with pegs={pegs}, so a level has a"
            f" line for each of {pegs} pegs and one for the goal"
        )
    stacked = []
    for peg, line in enumerate(lines[:-1], 1):
        match = _PEG.fullmatch(line)
        if match is None or match[1] != str(peg):
            raise ValueError(
                f"line {peg} is {line[:80]!r}; write 'Peg {peg}: ' and its disks from bottom to"
                " top, such as '3 1', or 'empty'"
            )
        stacked.append([int(disk) for disk in (match[2] or "").split()])
    match = _GOAL.fullmatch(lines[-1])
    if match is None or int(match[1]) > pegs:
        raise ValueError(
            f"the last line is {lines[-1][:80]!r}; write 'Goal: peg ' and a number from 1 to {pegs}"
        )
    return stacked, int(match[1]) - 1


def _places(stacked: list[list[int]], disks: int, goal: int) -> tuple[int, ...]:
    """Peg of every disk, the smallest first, from the disks on every peg."""
    pegs = {disk: peg for peg, pile in enumerate(stacked) for disk in pile}
    found = sorted(disk for pile in stacked for disk in pile)
    if found != list(range(1, disks + 1)):
        raise ValueError(
            f"has the disks {' '.join(map(str, found)) or 'none'}; this"
            f" environment was made with disks={disks}, so it must have each of 1 to {disks} once"
        )
    for peg, pile in enumerate(stacked, 1):
        for below, above in pairwise(pile):
            if above > below:
                raise ValueError(
                    f"peg {peg} has disk {above} on the smaller disk {below}; list disks from"
                    " bottom to top, each smaller than the one before"
                )
    if len(stacked[goal]) == disks:
        raise ValueError("is solved already; put a disk on another peg, or name another goal")
    return tuple(pegs[disk] for disk in range(1, disks + 1))
