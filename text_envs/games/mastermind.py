"""Mastermind: find a hidden code of coloured pegs.

Each guess is answered with the number of its pegs that are exact (right colour, right place) and of
those that are misplaced (in the code, at another place). A peg of the code counts for one peg of
the guess at most.

==================  ======  ==========
event               reward  game
==================  ======  ==========
the code is found   1       ends, won
the last guess      0       ends, lost
any other guess     0       goes on
==================  ======  ==========

The game is that of Mordecai Meirowitz (1970); the oracle's rule is Knuth's (1976).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from math import perm
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import Game, Outcome, blocks, new
from text_envs.games.mastermind_search import (
    MAX_LISTED,
    Guess,
    Space,
    answer,
    best_guess,
    consistent,
    every,
)

COLORS = (
    "red", "green", "blue", "yellow", "orange", "purple",
    "white", "black", "pink", "brown", "cyan", "gray",
)  # fmt: skip
MAX_PEGS, MAX_COLORS, MAX_TRIES, MAX_WORD = 8, len(COLORS), 20, 16
MAX_CODES = 100_000
"""Codes, up to which the oracle can look at every one of them."""


class MastermindState(NamedTuple):
    """The code, hidden from the player until the end, and what was guessed."""

    words: tuple[str, ...]
    """The colours, in the order of their numbers."""
    code: bytes
    """Number of each peg's colour, from left to right."""
    left: int
    """Guesses left."""
    history: tuple[Guess, ...] = ()
    """Oldest first."""
    over: bool = False
    """The code is found, or no guess is left."""
    told: str = ""
    """What ``history`` says, a line for each guess, kept so that nobody has to write it again.
    Empty before the first guess.
    """


class Mastermind(Game[MastermindState]):
    """Find a hidden code of coloured pegs.

    Move: a guess, the colours from left to right with white space in between, such as ``red green
    blue``. Its answer, in the next observation: how many of its pegs are exact, and how many are
    misplaced. Reward: 1 when the code is found, otherwise 0, whatever the number of guesses. The
    game ends with the code found (success) or with the last guess; only then is the code shown.

    The oracle knows what the player knows. Its plan is the next guess, by Knuth's rule: the one
    whose most frequent answer leaves the fewest codes (``best_guess``). It finds any code of 4 pegs
    and 6 colours in 5 guesses. The moves are listed where there are up to 1296 of them.

    Args:
        pegs: pegs in the code, 1 to 8.
        colors: colours that a peg can have, 2 to 12. At most 100,000 codes may be possible.
        guesses: guesses in a game, 1 to 20.
        repeats: a colour can occur more than once, in the code and in a guess.
        symbols: words for the colours, of letters and digits; the first ``colors`` are used. The
            picture shows the word beside its colour.

    A level is a code, written like a guess, with a blank line between two levels.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextMastermind-v0):

    ================  =====  ===================  ====================
    parameters        moves  random               oracle
    ================  =====  ===================  ====================
    default           20     3.6 (3.3 to 4.0)     100 (99.96 to 100)
    guesses=4         20     2.1 (1.8 to 2.4)     75.7 (74.9 to 76.5)
    repeats=False     20     6.5 (6.0 to 7.0)     100 (99.96 to 100)
    pegs=4            20     0.6 (0.5 to 0.8)     100 (99.96 to 100)
    pegs=5, colors=8  20     0.03 (0.01 to 0.09)  99.99 (99.94 to 100)
    ================  =====  ===================  ====================
    """

    adaptive = True
    hidden = True

    def __init__(
        self,
        pegs: int = 3,
        colors: int = 6,
        guesses: int = 8,
        repeats: bool = True,
        symbols: Sequence[str] = COLORS,
    ) -> None:
        for name, value, low, high in (
            ("pegs", pegs, 1, MAX_PEGS),
            ("colors", colors, 2, MAX_COLORS),
            ("guesses", guesses, 1, MAX_TRIES),
        ):
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}={value!r} must be a whole number from {low} to {high}")
        if not isinstance(repeats, bool):
            raise ValueError(f"repeats={repeats!r} must be True or False")
        if not repeats and pegs > colors:
            raise ValueError(
                f"repeats=False with pegs={pegs}, colors={colors}: there are too few colours for"
                " pegs that all differ; use more colors or repeats=True"
            )
        count = colors**pegs if repeats else perm(colors, pegs)
        if count > MAX_CODES:
            raise ValueError(
                f"pegs={pegs}, colors={colors} allow {count} codes; at most {MAX_CODES} may be"
                " possible: use fewer of them"
            )
        self.words = _checked(symbols, colors)
        self.space, self.guesses = Space(pegs, colors, repeats), guesses
        self.listed = count <= MAX_LISTED
        self._codes = _moves(self.words, self.space) if self.listed else {}
        self._legal = tuple(self._codes) if self.listed else None
        self._every = tuple(self._codes.values())
        self.rules = self._rules()
        widest = max(map(len, self.words)) + 1
        self.max_text = (guesses + 2) * (pegs * widest + len("\n20. : 8 exact, 8 misplaced"))

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> MastermindState:
        """Draw a code."""
        return new(MastermindState, (self.words, self._draw(rng), self.guesses, (), False, ""))

    def legal(self, state: MastermindState) -> tuple[str, ...] | None:
        """Every code that there can be; ``None`` where these are more than 1296."""
        return () if state.over else self._legal

    def play(
        self, state: MastermindState, move: str, rng: np.random.Generator
    ) -> Outcome[MastermindState]:
        """Answer a guess."""
        words, code, left, history, _, told = state
        guess = self._codes[move] if self.listed else _code(words, move)
        exact, misplaced = answer(guess, code)
        if history and not told:
            told = _told(words, history)
        history = (*history, new(Guess, (guess, exact, misplaced)))
        told = f"{told}\n{len(history)}. {move}{_ANSWERS[exact][misplaced]}"
        left, found = left - 1, guess == code
        over = found or left == 0
        note = "" if not over else "You found the code." if found else "That was the last guess."
        after = new(MastermindState, (words, code, left, history, over, told))
        return new(Outcome, (after, 1.0 if found else 0.0, over, found, note))

    def text(self, state: MastermindState) -> str:
        """Give the guesses left and the answer to each guess; the code when the game is over."""
        words, code, left, history, over, told = state
        if history and not told:
            told = _told(words, history)
        text = f"Guesses left: {left}{told}"
        return f"{text}\nThe code: {_written(words, code)}" if over else text

    def parse(self, state: MastermindState, text: str) -> str | None:
        """Read a guess: a colour for each peg, in any case, with white space in between."""
        if state.over or not text.isascii():  # some other letters become ASCII in lower case
            return None
        if text in self._codes:
            return text
        try:
            code = _code(self.words, text)
        except KeyError:
            return None
        return _written(self.words, code) if self._fault(code) is None else None

    def sample(self, state: MastermindState, rng: np.random.Generator) -> str | None:
        """Draw any code that there can be."""
        return None if state.over else _written(self.words, self._draw(rng))

    def facts(self, state: MastermindState) -> dict[str, Any]:
        """Give ``guesses_left``, and of every guess in turn its colours and answer: ``guesses``,
        ``exact``, ``misplaced``; and the ``code``, ``"hidden"`` until the end.
        """
        words, code, left, history, over, _ = state
        return {
            "guesses_left": left,
            "guesses": [_written(words, guess.code) for guess in history],
            "exact": [guess.exact for guess in history],
            "misplaced": [guess.misplaced for guess in history],
            "code": _written(words, code) if over else "hidden",
        }

    def solve(self, state: MastermindState) -> list[str] | None:
        """Give the best next guess; ``None`` once the game is over."""
        if state.over:
            return None
        return [_written(state.words, best_guess(self.space, state.history))]

    def lookalike(self, state: MastermindState, rng: np.random.Generator) -> MastermindState:
        """Hide another code that would have given the same answers."""
        if state.over:
            return state
        codes = every(self.space)[consistent(self.space, state.history)]
        others = codes[(codes != np.frombuffer(state.code, np.uint8)).any(axis=1)]
        if len(others) == 0:
            return state
        return state._replace(code=others[int(rng.random() * len(others))].tobytes())

    # --- levels ---

    def level(self, state: MastermindState) -> str:
        """Write the code."""
        return _written(state.words, state.code)

    def levels(self, text: str) -> list[MastermindState]:
        """Read codes, separated by blank lines."""
        return [self._read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _draw(self, rng: np.random.Generator) -> bytes:
        if self.listed:  # one number is quicker drawn than several
            return self._every[int(rng.random() * len(self._every))]
        pegs, colors, repeats = self.space
        draws = rng.random(pegs).tolist()
        if repeats:
            return bytes([int(draw * colors) for draw in draws])
        rest = list(range(colors))
        return bytes([rest.pop(int(draw * len(rest))) for draw in draws])

    def _fault(self, code: bytes) -> str | None:
        if len(code) != self.space.pegs:
            return f"number of colours is {len(code)}, it must be pegs={self.space.pegs}"
        if not self.space.repeats and len(set(code)) < len(code):
            return "same colour is there twice; make the environment with repeats=True"
        return None

    def _read(self, number: int, lines: list[str]) -> MastermindState:
        if len(lines) > 1:
            raise ValueError(
                f"level {number}: has {len(lines)} lines; write a code in one line, with a blank"
                " line between two"
            )
        try:
            code = _code(self.words, lines[0])
        except KeyError as error:
            raise ValueError(
                f"level {number}: {error.args[0]!r:.40} is not a colour of this environment; these"
                f" are {', '.join(self.words)}"
            ) from None
        if fault := self._fault(code):
            raise ValueError(f"level {number}: the {fault}")
        return MastermindState(self.words, code, self.guesses)

    def _rules(self) -> str:
        pegs, colors, repeats = self.space
        example = " ".join(self.words[peg % colors] for peg in range(pegs))
        many = "A colour can occur more than once" if repeats else "No colour occurs more than once"
        return (
            f"Find the hidden code: {pegs} peg{'s' * (pegs > 1)} in a row, each of one of the"
            f" colours {', '.join(self.words)}. {many}.\n"
            f"Move: a guess, {'' if pegs == 1 else 'from left to right, '}such as: {example}\n"
            "You are then told how many pegs of your guess are exact (right colour, right place)"
            " and how many are misplaced (a colour of the code, but at another place). No peg of"
            " the code is counted for two of the guess.\n"
            f"You have {self.guesses} guess{'es' * (self.guesses > 1)}. Finding the code pays 1,"
            " anything else 0."
        )


_WORD = re.compile(rf"[A-Za-z0-9]{{1,{MAX_WORD}}}")


def _checked(symbols: Sequence[str], colors: int) -> tuple[str, ...]:
    words = tuple(symbols[:colors]) if isinstance(symbols, Sequence) else ()
    right = [word.lower() for word in words if isinstance(word, str) and _WORD.fullmatch(word)]
    if len(set(right)) != colors:
        raise ValueError(
            f"symbols={symbols!r:.200} must be different words of letters and digits, at most"
            f" {MAX_WORD} each, one for each of colors={colors}"
        )
    return words


@lru_cache(maxsize=64)
def _numbers(words: tuple[str, ...]) -> dict[str, int]:
    return {word.lower(): number for number, word in enumerate(words)}


def _code(words: tuple[str, ...], text: str) -> bytes:
    """Read colours, however many. Raises ``KeyError`` for the first that is none."""
    numbers = _numbers(words)
    return bytes([numbers[word] for word in text.lower().split()])


@lru_cache(maxsize=8192)
def _written(words: tuple[str, ...], code: bytes) -> str:
    return " ".join([words[number] for number in code])


_ANSWERS = [
    [f": {exact} exact, {misplaced} misplaced" for misplaced in range(MAX_PEGS + 1)]
    for exact in range(MAX_PEGS + 1)
]


def _told(words: tuple[str, ...], history: tuple[Guess, ...]) -> str:
    lines = [f"{_written(words, code)}{_ANSWERS[exact][rest]}" for code, exact, rest in history]
    return "".join([f"\n{number}. {line}" for number, line in enumerate(lines, 1)])


@lru_cache(maxsize=64)
def _moves(words: tuple[str, ...], space: Space) -> dict[str, bytes]:
    """Move -> code, for every code."""
    return {_written(words, code): code for code in map(bytes, every(space))}
