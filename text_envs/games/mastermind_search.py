"""What is known of a Mastermind code, and which guess tells most: the oracle of ``mastermind``.

A code is ``bytes``, the number of a colour each. Answers come in two forms: (exact, misplaced), and
both in one number, ``exact * (pegs + 1) + misplaced``, for whole arrays of them.
"""

from functools import lru_cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

MAX_LISTED = 1296
"""Codes, up to which every one is a guess to be considered: all of the classic 4 pegs of 6 colours.
"""
MAX_GUESSES, MAX_WEIGHED = 64, 4096
"""Beyond that: guesses considered, and codes that each is weighed against."""


class Space(NamedTuple):
    """Which codes there are."""

    pegs: int
    colors: int
    repeats: bool


class Guess(NamedTuple):
    """A guess, and what it was told."""

    code: bytes
    exact: int
    misplaced: int


def answer(guess: bytes, code: bytes) -> tuple[int, int]:
    """Count the colours of ``guess`` at their place in ``code``, and those that are elsewhere."""
    rest, exact = list(code), 0
    for color, hidden in zip(guess, code, strict=True):
        exact += color == hidden
        if color in rest:
            rest.remove(color)
    return exact, len(code) - len(rest) - exact


def answers(guesses: np.ndarray, codes: np.ndarray, colors: int) -> np.ndarray:
    """Answer to each of ``guesses`` ``[g, pegs]`` from each of ``codes`` ``[n, pegs]``, in one
    number: uint8 ``[g, n]``.
    """
    pegs = codes.shape[1]
    found = np.zeros((len(guesses), len(codes)), np.uint8)
    for peg in range(pegs):
        found += guesses[:, None, peg] == codes[None, :, peg]
    found *= pegs  # and each exact one is counted once more, among the shared ones
    for color in range(colors):
        here, there = ((c == color).sum(axis=1, dtype=np.uint8) for c in (guesses, codes))
        found += np.minimum(here[:, None], there[None, :])
    return found


@lru_cache(maxsize=16)
def every(space: Space) -> np.ndarray:
    """Every code, in lexicographic order: uint8 ``[n, pegs]``."""
    pegs, colors, repeats = space
    codes = product(range(colors), repeat=pegs) if repeats else permutations(range(colors), pegs)
    array = np.array(list(codes), np.uint8)
    array.flags.writeable = False
    return array


@lru_cache(maxsize=256)
def consistent(space: Space, history: tuple[Guess, ...]) -> np.ndarray:
    """Places in ``every`` of the codes that would have given every answer in ``history``."""
    codes = every(space)
    if not history:
        return np.arange(len(codes))
    *before, (guess, exact, misplaced) = history
    places = consistent(space, tuple(before))
    told = answers(np.frombuffer(guess, np.uint8)[None], codes[places], space.colors)[0]
    return places[told == exact * (space.pegs + 1) + misplaced]


@lru_cache(maxsize=8192)
def best_guess(space: Space, history: tuple[Guess, ...]) -> bytes:
    """Give the guess whose most frequent answer leaves the fewest codes; of equally good ones the
    first that may be the code, or else the first.

    This is the rule of Knuth, The Computer as Master Mind (1976). It finds any of the classic 1296
    codes in 5 guesses. In spaces of more codes than that it weighs a sample of guesses that may be
    the code. Raises ``ValueError`` if no code would have given these answers.
    """
    codes = every(space)
    places = consistent(space, history)
    if len(places) == 0:
        raise ValueError(f"no code would have given the answers in {history}")
    if len(places) <= 2:
        return codes[places[0]].tobytes()
    if len(codes) <= MAX_LISTED:
        guesses, weighed = np.arange(len(codes)), places
    else:
        guesses, weighed = _spread(places, MAX_GUESSES), _spread(places, MAX_WEIGHED)
    kinds = (space.pegs + 1) ** 2
    told = answers(codes[guesses], codes[weighed], space.colors)
    numbers = told + np.arange(len(guesses))[:, None] * kinds
    left = np.bincount(numbers.ravel(), minlength=len(guesses) * kinds).reshape(-1, kinds)
    rank = 2 * left.max(axis=1) + ~np.isin(guesses, places)
    return codes[guesses[rank.argmin()]].tobytes()


def _spread(places: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of ``places``, from all over."""
    return places[:: -(-len(places) // most)]
