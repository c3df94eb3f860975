"""What is known of a Mastermind code, and Knuth's rule: against slow counting and his figures."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_envs.games.mastermind import Mastermind
from text_envs.games.mastermind_search import (
    Guess,
    Space,
    answer,
    answers,
    best_guess,
    consistent,
    every,
)

CLASSIC = Space(pegs=4, colors=6, repeats=True)


# --- answers ---


def counted_with_pegs(guess: bytes, code: bytes) -> tuple[int, int]:
    """Take pegs off the board one by one, as two people would at a table."""
    left_guess, left_code = list(guess), list(code)
    exact = misplaced = 0
    for place in reversed(range(len(code))):
        if left_guess[place] == left_code[place]:
            exact += 1
            del left_guess[place], left_code[place]
    for peg in left_guess:
        if peg in left_code:
            misplaced += 1
            left_code.remove(peg)
    return exact, misplaced


@pytest.mark.parametrize(
    ("guess", "code", "expected"),
    [
        ("1122", "3344", (0, 0)),
        ("1122", "1122", (4, 0)),
        ("1122", "2211", (0, 4)),
        ("1222", "2111", (0, 2)),
        ("1123", "1411", (1, 1)),
        ("4551", "3632", (0, 0)),
        ("1344", "3632", (0, 1)),
        ("3526", "3632", (1, 2)),
        ("1462", "3632", (1, 1)),
        ("3632", "3632", (4, 0)),
    ],
)
def test_known_answers(guess, code, expected):
    assert answer(guess.encode(), code.encode()) == expected


codes = st.integers(1, 8).flatmap(
    lambda pegs: st.tuples(*[st.binary(min_size=pegs, max_size=pegs).map(few) for _ in range(2)])
)


def few(code: bytes) -> bytes:
    return bytes(color % 5 for color in code)


@given(codes)
def test_answers_are_those_of_counting_with_pegs_and_the_same_both_ways(pair):
    guess, code = pair
    exact, misplaced = answer(guess, code)
    assert (exact, misplaced) == counted_with_pegs(guess, code) == answer(code, guess)
    assert (exact == len(code)) == (guess == code)
    assert exact + misplaced <= len(code)
    assert (exact, misplaced) != (len(code) - 1, 1), "one peg can't be out of place alone"


@pytest.mark.parametrize("space", [Space(3, 6, True), Space(3, 5, False), Space(4, 3, True)])
def test_answers_of_many_at_once_are_those_of_each(space):
    array, pegs = every(space), space.pegs
    table = answers(array, array, space.colors)
    for (i, guess), (j, code) in product(enumerate(map(bytes, array)), repeat=2):
        exact, misplaced = divmod(int(table[i, j]), pegs + 1)
        assert (exact, misplaced) == counted_with_pegs(guess, code)


@pytest.mark.parametrize(("space", "count"), [(CLASSIC, 1296), (Space(3, 6, False), 120)])
def test_every_code_is_there_once(space, count):
    found = [bytes(code) for code in every(space)]
    pegs, colors, repeats = space
    expected = product(range(colors), repeat=pegs) if repeats else permutations(range(colors), pegs)
    assert found == sorted(map(bytes, expected))
    assert len(found) == count


def test_consistent_codes_are_those_that_would_have_answered_so():
    rng, space = np.random.default_rng(0), Space(3, 6, True)
    array = [bytes(code) for code in every(space)]
    for _ in range(50):
        code, *guesses = (array[int(i)] for i in rng.integers(len(array), size=4))
        history = tuple(Guess(guess, *answer(guess, code)) for guess in guesses)
        kept = [array[i] for i in consistent(space, history)]
        assert code in kept
        assert kept == [
            other
            for other in array
            if all(answer(g.code, other) == (g.exact, g.misplaced) for g in history)
        ]


# --- the oracle ---


def guesses_needed(space: Space, code: bytes) -> int:
    history: tuple[Guess, ...] = ()
    while True:
        guess = best_guess(space, history)
        history = (*history, Guess(guess, *answer(guess, code)))
        if guess == code:
            return len(history)


def test_knuth():
    """The Computer as Master Mind (1976): 1122 first, 5 guesses at most, 5801 for all 1296 codes.

    How many codes take 1, 2, ... guesses is in the literature too.
    """
    assert best_guess(CLASSIC, ()) == bytes([0, 0, 1, 1])
    needed = Counter(guesses_needed(CLASSIC, bytes(code)) for code in every(CLASSIC))
    assert needed == {1: 1, 2: 6, 3: 62, 4: 533, 5: 694}
    assert sum(needed.values()) == 1296
    assert sum(guesses * codes for guesses, codes in needed.items()) == 5801


def test_the_first_guess_leaves_the_fewest_codes_in_the_worst_case():
    """Knuth: 1122 leaves at most 256; 1112 and 1123 leave 317 and 276, 1234 leaves 312."""
    array = every(CLASSIC)
    for guess, most in (("1122", 256), ("1123", 276), ("1112", 317), ("1234", 312), ("1111", 625)):
        code = np.array([[int(digit) - 1 for digit in guess]], np.uint8)
        assert np.bincount(answers(code, array, 6)[0]).max() == most


@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({}, 5),
        ({"repeats": False}, 5),
        ({"pegs": 2, "colors": 3}, 4),
        ({"pegs": 1, "colors": 5}, 5),
    ],
)
def test_the_oracle_finds_every_code_in_time(params, most):
    game = Mastermind(**params)
    needed = [guesses_needed(game.space, bytes(code)) for code in every(game.space)]
    assert max(needed) == most


def test_the_oracle_finds_codes_out_of_very_many():
    game = Mastermind(pegs=5, colors=10)
    for seed in range(3):
        state = game.initial(np.random.default_rng(seed))
        reward = 0.0
        while not state.over:
            (move,) = game.solve(state) or []
            state, reward, *_ = game.play(state, move, np.random.default_rng(0))
        assert reward == 1
        assert game.solve(state) is None


def test_impossible_answers_are_said_to_be_so():
    history = (Guess(b"\0\0\0", 0, 0), Guess(b"\0\0\0", 3, 0))
    with pytest.raises(ValueError, match="no code would have given the answers"):
        best_guess(Space(3, 6, True), history)
