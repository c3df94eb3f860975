"""Countdown: combine given numbers into a target.

A few numbers and a target: write an expression over the numbers, each at most once, whose value is
the target. Values are exact rationals: 8 / (3 - 8 / 3) is 24.

=====================================================  ======================  ==================
move                                                   reward                  game
=====================================================  ======================  ==================
an expression with the target as its value             1, less what was paid   ends, won
an expression over the given numbers, another value    0.1 the first time      goes on with the
                                                                               next try, if any
=====================================================  ======================  ==================

The task is that of the numbers round of the television game, in the form of TinyZero's and RAGEN's
Countdown: one expression, 1 if it is right, 0.1 if it is well-formed. So that nothing is earned by
missing the target first, a game pays 1 in all if it is won, whatever the number of tries.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from text_envs.game import Game, Outcome, new
from text_envs.games.countdown_search import draw_expression, draw_puzzle, find_expression
from text_envs.games.expressions import (
    MAX_EXPRESSION,
    OPERATIONS,
    Expression,
    read_expression,
    write_value,
)

MAX_NUMBERS = 6
MAX_NUMBER = 9999
MAX_TARGET = 99_999
MAX_TRIES = 100
FORM_REWARD = 0.1
_MAX_VALUE = 56
"""Longest value, in characters: up to ``MAX_NUMBERS`` numbers multiplied, over as many."""


class CountdownState(NamedTuple):
    """The numbers, the target, and what was tried."""

    numbers: tuple[int, ...]
    """In the order shown."""
    target: int
    left: int
    """Tries left; 0 when the game is over, won or not."""
    tried: tuple[str, ...] = ()
    """Every expression so far, oldest first."""

    @property
    def values(self) -> list[str]:
        """Values of what was tried."""
        return [write_value(_reading(expression).value) for expression in self.tried]


class Countdown(Game[CountdownState]):
    """Combine given numbers into a target.

    Move: an expression such as ``(7 - 3) * 6`` over the given numbers, each used at most once, with
    ``+ - * /`` (``×``, ``÷``, ``·`` and the long minus mean the same) and parentheses, in any
    spacing; a division by zero, a number that is not given, a sign, a power or an ``=`` makes it no
    move. Values are exact rationals. At most 160 characters and 16 parentheses deep.

    Reward 1 and success if the value is the target; 0.1 for the first expression that has another
    value, and the target then pays 0.9: a game never pays more than 1. The game ends at the target
    or after the last try. ``info["optimal_moves"]``, at reset: 1.

    Every puzzle is made from all its numbers by steps that stay positive and whole, so that it has
    a solution that uses each of them; there may be a shorter one. The target is none of the
    numbers.

    Args:
        min_numbers: fewest numbers, 2 to 6.
        max_numbers: most numbers, 2 to 6.
        largest: numbers are drawn from 1 to this, 2 to 9999.
        min_target: smallest target, 1 to 99,999.
        max_target: largest target, up to 99,999.
        operations: those allowed, some of ``"+-*/"``.
        use_all: an expression must use every number.
        tries: expressions in a game, 1 to 100. An episode of TextCountdown-v0 has at most 20 moves:
            for more, give ``gym.make`` a ``max_episode_steps``.

    A level is a line, the numbers and the target: ``3 3 8 8 -> 24``. It may have 1 to 6 numbers,
    larger ones than are drawn, and a target of 0. One without a solution is refused.

    The oracle's expressions have as few numbers as possible: 3.3 of 3.4 on average by default, 3.0
    of 3.5 with ``largest=10``, 4.1 of 5.5 with 5 to 6 numbers and ``max_target=999``.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextCountdown-v0):

    ============================  =====  ===================  ==================
    parameters                    moves  random               oracle
    ============================  =====  ===================  ==================
    default                       20     1.2 (1.0 to 1.5)     100 (99.96 to 100)
    use_all=True                  20     2.7 (2.4 to 3.0)     100 (99.96 to 100)
    operations="+-"               20     5.6 (5.2 to 6.1)     100 (99.96 to 100)
    largest=10, tries=10          20     17.2 (16.4 to 17.9)  100 (99.96 to 100)
    min_numbers=5, max_numbers=5  20     0.2 (0.1 to 0.3)     100 (99.96 to 100)
    ============================  =====  ===================  ==================
    """

    def __init__(
        self,
        min_numbers: int = 3,
        max_numbers: int = 4,
        largest: int = 99,
        min_target: int = 10,
        max_target: int = 100,
        operations: str = OPERATIONS,
        use_all: bool = False,
        tries: int = 1,
    ) -> None:
        for name, value, low, high in (
            ("min_numbers", min_numbers, 2, MAX_NUMBERS),
            ("max_numbers", max_numbers, 2, MAX_NUMBERS),
            ("largest", largest, 2, MAX_NUMBER),
            ("min_target", min_target, 1, MAX_TARGET),
            ("max_target", max_target, 1, MAX_TARGET),
            ("tries", tries, 1, MAX_TRIES),
        ):
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} must be a whole number from {low} to {high}")
        for what, least, most in (
            ("numbers", min_numbers, max_numbers),
            ("target", min_target, max_target),
        ):
            if least > most:
                raise ValueError(
                    f"min_{what}={least} is above max_{what}={most}; lower it or raise the other"
                )
        if not isinstance(use_all, bool):
            raise ValueError(f"use_all={use_all!r} must be True or False")
        distinct = isinstance(operations, str) and len(set(operations)) == len(operations)
        if not distinct or not operations or not set(operations) <= set(OPERATIONS):
            raise ValueError(
                f"operations={operations!r} must be some of {OPERATIONS!r}, each once, as in '+-'"
            )
        self.counts, self.targets = (min_numbers, max_numbers), (min_target, max_target)
        self.largest, self.use_all, self.tries = largest, use_all, tries
        self.operations = "".join(o for o in OPERATIONS if o in operations)
        self.rules = self._rules()
        self.max_text = 80 + 6 * MAX_NUMBERS + tries * (MAX_EXPRESSION + _MAX_VALUE + 4)
        self._allowed = frozenset(operations)

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> CountdownState:
        """Draw numbers and a target that can be made of them."""
        puzzle = draw_puzzle(rng, self.counts, self.largest, self.targets, self.operations)
        if puzzle is None:
            raise ValueError(
                f"no puzzle found with numbers up to largest={self.largest}, targets from"
                f" {self.targets[0]} to {self.targets[1]} and operations={self.operations!r};"
                " allow more numbers, targets or operations"
            )
        return new(CountdownState, (*puzzle, self.tries, ()))

    def legal(self, state: CountdownState) -> None:
        """Expressions can't be listed."""

    def play(
        self, state: CountdownState, move: str, rng: np.random.Generator
    ) -> Outcome[CountdownState]:
        """Try an expression."""
        numbers, target, left, tried = state
        *_, value, equation = _reading(move)
        paid = FORM_REWARD if tried else 0.0
        if value == (target, 1):
            after = new(CountdownState, (numbers, target, 0, (*tried, move)))
            return new(Outcome, (after, 1.0 - paid, True, True, f"{equation}, the target."))
        after = new(CountdownState, (numbers, target, left - 1, (*tried, move)))
        note = f"{equation}, not {target}."
        return new(Outcome, (after, FORM_REWARD - paid, left == 1, False, note))

    def text(self, state: CountdownState) -> str:
        """Give the numbers, the target, the tries left and what was tried."""
        numbers, target, left, tried = state
        text = _HEADINGS[len(numbers)] % (*numbers, target, left)
        if not tried:
            return text
        return "\n".join([text, *[_reading(expression).equation for expression in tried]])

    def parse(self, state: CountdownState, text: str) -> str | None:
        """Read an expression over the given numbers; its canonical form has one space around an
        operation and none elsewhere.
        """
        reading = read_expression(text)
        if reading is None or state.left == 0:
            return None
        canonical, used, operations, _, _ = reading
        if not operations <= self._allowed:
            return None
        unused = list(state.numbers)
        try:
            for number in used:
                unused.remove(number)
        except ValueError:
            return None
        return None if unused and self.use_all else canonical

    def facts(self, state: CountdownState) -> dict[str, Any]:
        """Give ``numbers``, ``target``, ``tries_left``, ``tried`` and the ``values`` of these."""
        return {
            "numbers": list(state.numbers),
            "target": state.target,
            "tries_left": state.left,
            "tried": list(state.tried),
            "values": state.values,
        }

    def start_info(self, state: CountdownState) -> dict[str, Any]:
        """Give ``optimal_moves``: one expression is enough."""
        return {"optimal_moves": 1}

    def solve(self, state: CountdownState) -> list[str] | None:
        """Give an expression with the target as its value, over as few numbers as possible."""
        if state.left == 0:
            return None
        found = self._solution(state.numbers, state.target)
        return None if found is None else [found]

    def sample(self, state: CountdownState, rng: np.random.Generator) -> str | None:
        """Draw an expression over some of the numbers, two at least."""
        if state.left == 0:
            return None
        return draw_expression(state.numbers, rng, self.operations, self.use_all)

    # --- levels ---

    def level(self, state: CountdownState) -> str:
        """Write numbers and target: ``3 3 8 8 -> 24``."""
        return f"{' '.join(map(str, state.numbers))} -> {state.target}"

    def levels(self, text: str) -> list[CountdownState]:
        """Read levels, a line each; blank lines between them may be left out."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [self._read(number, line) for number, line in enumerate(lines, 1)]

    # --- private ---

    def _read(self, number: int, line: str) -> CountdownState:
        match = _LEVEL.fullmatch(line)
        if match is None:
            raise ValueError(
                f"level {number}: {line[:80]!r} is not a puzzle; write its numbers and its target"
                " as in '3 3 8 8 -> 24'"
            )
        numbers, target = tuple(map(int, match[1].split())), int(match[2])
        fault = ""
        if len(numbers) > MAX_NUMBERS:
            fault = f"has {len(numbers)} numbers; at most {MAX_NUMBERS} are allowed"
        elif not all(1 <= n <= MAX_NUMBER for n in numbers):
            fault = f"has a number that is not from 1 to {MAX_NUMBER}"
        elif target > MAX_TARGET:
            fault = f"has the target {target}; the largest allowed is {MAX_TARGET}"
        elif self._solution(numbers, target) is None:
            fault = f"has no solution: nothing over its numbers has the value {target}"
            if self.use_all or self.operations != OPERATIONS:
                fault += f" (with operations={self.operations!r}, use_all={self.use_all})"
        if fault:
            raise ValueError(f"level {number}: {line!r} {fault}")
        return CountdownState(numbers, target, self.tries)

    def _solution(self, numbers: tuple[int, ...], target: int) -> str | None:
        return find_expression(numbers, (target, 1), self.operations, self.use_all)

    def _rules(self) -> str:
        *others, last = self.operations
        operations = f"{' '.join(others)} and {last}" if others else last
        used = "Use every number exactly once" if self.use_all else "Use each number at most once"
        rules = (
            "Write an expression over the given numbers whose value is the target.\n"
            f"{used}, with {operations} and parentheses; divisions are exact.\n"
            "Move: the expression alone, with no equals sign, such as"
            f" (1 {self.operations[-1]} 2) {self.operations[0]} 3\n"
            "The target pays 1, an expression with another value 0.1."
        )
        if self.tries > 1:
            rules = (
                f"{rules[:-1]} the first time, 0 after that; the target then pays 0.9.\n"
                f"You have {self.tries} tries."
            )
        return rules


_LEVEL = re.compile(r"([0-9]{1,6}(?: +[0-9]{1,6})*) *-> *([0-9]{1,6})")


_HEADINGS = [
    f"Numbers: {', '.join(['%d'] * count)}\nTarget: %d\nTries left: %d"
    for count in range(MAX_NUMBERS + 1)
]
"""Filled in by the numbers, the target and the tries left."""


def _reading(move: str) -> Expression:
    reading = read_expression(move)
    if reading is None:
        raise ValueError(f"{move!r} is not a canonical move; parse reads any text")
    return reading
