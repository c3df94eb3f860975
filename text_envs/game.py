"""Rules over an immutable state: what a new game has to say about itself, and nothing else.

A ``Game`` holds parameters only; a state is a frozen, hashable, picklable value; all randomness
comes from the generator that is passed in. ``text_envs.env.TextEnv`` makes a Gymnasium environment
out of any ``Game``; ``text_envs.testing.check_game`` holds one to the laws written here.
"""

import string
from collections.abc import Hashable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

State = TypeVar("State", bound=Hashable)

new = tuple.__new__
"""All that a named tuple's own ``__new__`` does, in half the time, for what every move makes:
``new(Outcome, (after, 0.0, False, False, ""))``.
"""

PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation + " \n")


class Outcome(NamedTuple, Generic[State]):
    """What one move did."""

    state: State
    reward: float
    done: bool = False
    """The game is over (Gymnasium's ``terminated``; limits are no business of a game)."""
    success: bool = False
    note: str = ""
    """A sentence for the player, shown above the next observation."""


class Game(Generic[State]):
    """The rules of one game.

    Subclasses set ``rules`` in ``__init__``, from the very parameters that the code uses, so that
    the text can't contradict the game, and implement the methods below. Laws (``check_game`` tests
    them): ``play`` never changes its argument; the same generator state gives the same result;
    every legal move parses to itself; ``parse`` never raises and never guesses; ``text`` uses only
    ``charset`` and at most ``max_text`` characters; ``levels(level(s))`` gives back ``s`` for every
    start ``s``.
    """

    rules: str
    """What a player is told."""
    max_text: int
    """Upper bound on ``len(text(state))``."""
    charset: frozenset[str] = PRINTABLE
    """Every character that ``text`` and notes can contain."""
    stochastic: bool = False
    """``play`` draws from its generator, so that a plan may fail: whoever follows one plans again
    after every move.
    """
    adaptive: bool = False
    """``solve`` knows only what the player knows, so that its plan may fail: whoever follows one
    plans again after every move.
    """
    hidden: bool = False
    """A state holds what the player is not shown; ``lookalike`` draws states that differ in it."""

    def initial(self, rng: np.random.Generator) -> State:
        """Draw a start. Raises ``ValueError`` if the parameters allow none."""
        raise NotImplementedError

    def legal(self, state: State) -> tuple[str, ...] | None:
        """Canonical moves; ``None`` where they can't be listed (an equation, a query)."""
        raise NotImplementedError

    def play(self, state: State, move: str, rng: np.random.Generator) -> Outcome[State]:
        """Make a canonical move."""
        raise NotImplementedError

    def text(self, state: State) -> str:
        """What the player sees."""
        raise NotImplementedError

    def parse(self, state: State, text: str) -> str | None:
        """Canonical move meant by ``text``, or ``None``: not a move. Never raises, never guesses.

        The default takes a legal move in any case, with white space around it.
        """
        move = text.strip().lower()
        legal = self.legal(state)
        return move if legal is not None and move in legal else None

    def facts(self, state: State) -> dict[str, Any]:
        """Give the state as structured facts that the player may know: entity -> value.

        A value is a number, a string, a (row, col) tuple, or a list of these.
        """
        raise NotImplementedError

    def solve(self, state: State) -> list[str] | None:
        """Oracle: an optimal or winning plan from here; ``None`` when there is none."""
        raise NotImplementedError

    def sample(self, state: State, rng: np.random.Generator) -> str | None:
        """Draw a well-formed move, as a player would who knows the form and nothing else.

        The random player's move where ``legal`` lists none; ``None`` if there is no move at all.
        """
        legal = self.legal(state)
        return legal[int(rng.random() * len(legal))] if legal else None

    def lookalike(self, state: State, rng: np.random.Generator) -> State:
        """Draw a state that the player can't tell from this one; where ``hidden``, one that differs
        in what is hidden whenever there is such a state. ``text``, ``legal``, ``facts``, ``info``,
        ``start_info`` and the picture must be the same for both.
        """
        return state

    def level(self, state: State) -> str:
        """Write a start in the game's own text form (Sokoban: XSB). Train and test split by it."""
        raise NotImplementedError

    def levels(self, text: str) -> list[State]:
        """Read every level in ``text``; a blank line stands between two. Raises ``ValueError`` that
        says which level and what is wrong.
        """
        raise NotImplementedError

    def start_info(self, state: State) -> dict[str, Any]:
        """Game-specific ``info`` entries at reset. Always the same keys, with values of one type: a
        number that can be missing is -1 then, not ``None``, which vector environments could not
        hold beside a number.
        """
        return {}

    def info(self, state: State) -> dict[str, Any]:
        """Game-specific ``info`` entries at reset and at every step. Always the same keys, with
        values of one type.
        """
        return {}


def blocks(text: str) -> list[list[str]]:
    """Split a text at its blank lines: the lines of each level, without white space around them."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            found[-1].append(line.strip())
        elif found[-1]:
            found.append([])
    return [lines for lines in found if lines]
