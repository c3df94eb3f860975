"""What the laws are tried on: texts, moves and episodes, as hypothesis strategies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from text_envs.game import Game, Outcome

NEAR_MISSES: dict[str, Callable[[str], str]] = {
    "shouted": lambda move: f" {move.upper()} ",
    "tabbed": lambda move: f"\t{move}\n",
    "zero width": lambda move: f"{move}\u200b",
    "full width": lambda move: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in move
    ),
    "twice": lambda move: f"{move} {move}",
    "twice, joined": lambda move: move + move,
    "cut": lambda move: move[:-1],
    "stopped": lambda move: f"{move}.",
    "quoted": lambda move: f'"{move}"',
    "tagged": lambda move: f"<answer>{move}</answer>",
    "in a sentence": lambda move: f"I think that {move} is best",
    "reversed": lambda move: move[::-1],
    "null": lambda move: f"{move}\0",
    "other digits": lambda move: move.translate({48 + d: 0x660 + d for d in range(10)}),
    "look-alikes": lambda move: move.translate({ord("s"): "ſ", ord("k"): "\u212a", ord("i"): "İ"}),
    "combining": lambda move: "".join(f"{c}\u0301" for c in move),
    "a thousand times": lambda move: f"{move} " * 1000,
}
"""Ways to spoil a move. Some may still be that move (the first two are, for the default parser)."""

HOSTILE = (
    "",
    " ",
    "\0",
    "\n",
    "\u200b",
    "\u202eup",
    "\ud800",
    "²",
    "٣",
    "½",
    "-1",
    "1e999",
    "nan",
    "9**9**9",
    "9" * 5000,
    "(" * 10_000,
    "[" * 10_000,
    "1+" * 5000 + "1",
    "a" * 100_000,
    "{0}",
    "{legal_actions.__class__}",
    "%s%n",
    "<image>",
    "</answer>",
    "__import__('os').getcwd()",
    "up; down",
)
"""Texts that have broken parsers: more digits than ``int`` takes, digits that it doesn't, ..."""

_LETTERS = "abcdefghilmnoprstuvwxyUDLRFB 0123456789,.'-+*/()[]|\n\t"

Choice = int | tuple[int, str] | str
"""What to do next, whatever the state: legal move number n (modulo their number), the same spoilt
as ``NEAR_MISSES`` names it, or a text.
"""


class Step(NamedTuple):
    """One move of an episode."""

    state: Any
    move: str
    outcome: Outcome[Any]


@dataclass(frozen=True)
class Episode:
    """A start and what was played from it."""

    seed: int
    start: Any
    steps: tuple[Step, ...]

    @property
    def final(self) -> Any:
        """State after the last move."""
        return self.steps[-1].outcome.state if self.steps else self.start

    @property
    def states(self) -> list[Any]:
        """Every state, the start first."""
        return [self.start, *(step.outcome.state for step in self.steps)]


@cache
def arbitrary_text() -> st.SearchStrategy[str]:
    """Any text: the whole of Unicode, control characters, huge strings, known troublemakers."""
    return st.one_of(st.sampled_from(HOSTILE), st.text(), st.text(_LETTERS, max_size=30))


@cache
def choices() -> st.SearchStrategy[list[Choice]]:
    """Things to do in turn, good moves and bad ones."""
    number = st.integers(0, 99)
    return st.lists(
        st.one_of(
            number,
            number,
            st.tuples(number, st.sampled_from(sorted(NEAR_MISSES))),
            arbitrary_text(),
        ),
        max_size=8,
    )


def resolve(choice: Choice, moves: Sequence[str]) -> str:
    """Give the text that ``choice`` stands for where ``moves`` are the known ones."""
    if isinstance(choice, str):
        return choice
    number, change = choice if isinstance(choice, tuple) else (choice, None)
    if not moves:
        return str(number)
    move = moves[number % len(moves)]
    return move if change is None else NEAR_MISSES[change](move)


@cache
def seeds() -> st.SearchStrategy[int]:
    """Seeds of an episode."""
    return st.integers(0, 2**32 - 1)


@cache
def move_numbers(max_moves: int = 12) -> st.SearchStrategy[list[int]]:
    """Numbers of legal moves, for ``play_out``."""
    return st.lists(st.integers(0, 99), max_size=max_moves)


def known_moves(game: Game[Any], state: Any) -> Sequence[str]:
    """Moves that can be made: the legal ones, or the oracle's next where they can't be listed."""
    legal = game.legal(state)
    if legal is not None:
        return legal
    return (plan(game, state) or [])[:1]


def plan(game: Game[Any], state: Any) -> list[str] | None:
    """Oracle's plan; ``None`` where there is none, or no oracle."""
    try:
        return game.solve(state)
    except NotImplementedError:
        return None


def play_out(game: Game[Any], seed: int, numbers: Sequence[int]) -> Episode:
    """Play known moves, by their numbers, from the start that ``seed`` draws, to the end at most.

    As in ``TextEnv``, one generator makes the start and what happens afterwards.
    """
    rng = np.random.default_rng(seed)
    start = state = game.initial(rng)
    steps = []
    for number in numbers:
        moves = known_moves(game, state)
        if not moves:
            break
        move = moves[number % len(moves)]
        step = Step(state, move, game.play(state, move, rng))
        steps.append(step)
        state = step.outcome.state
        if step.outcome.done:
            break
    return Episode(seed, start, tuple(steps))


def episodes(game: Game[Any], max_moves: int = 12) -> st.SearchStrategy[Episode]:
    """Episodes of at most ``max_moves`` known moves, some of which reach an end."""
    return st.builds(play_out, st.just(game), seeds(), move_numbers(max_moves))


def states(game: Game[Any], max_moves: int = 12) -> st.SearchStrategy[Any]:
    """States under way: a start and at most ``max_moves`` moves, before the end."""
    return episodes(game, max_moves).map(
        lambda e: e.steps[-1].state if e.steps and e.steps[-1].outcome.done else e.final
    )
