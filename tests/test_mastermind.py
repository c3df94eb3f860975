"""Mastermind: what a game says and hides, its parameters and its picture."""

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest

from text_envs.games.mastermind import COLORS, Mastermind, MastermindState
from text_envs.games.mastermind_search import Guess, answer, consistent


def start(game: Mastermind, code: str) -> MastermindState:
    (state,) = game.levels(code)
    return state


def played(game: Mastermind, code: str, *guesses: str) -> MastermindState:
    state = start(game, code)
    for guess in guesses:
        state = game.play(state, guess, np.random.default_rng(0)).state
    return state


# --- the game ---


def test_a_game_that_is_won():
    game, rng = Mastermind(), np.random.default_rng(0)
    state = played(game, "red green blue", "green green yellow", "blue red green")
    assert game.text(state) == (
        "Guesses left: 6\n"
        "1. green green yellow: 1 exact, 0 misplaced\n"
        "2. blue red green: 0 exact, 3 misplaced"
    )
    assert game.facts(state) == {
        "guesses_left": 6,
        "guesses": ["green green yellow", "blue red green"],
        "exact": [1, 0],
        "misplaced": [0, 3],
        "code": "hidden",
    }
    after, *rest = game.play(state, "red green blue", rng)
    assert rest == [1.0, True, True, "You found the code."]
    assert game.text(after).endswith(
        "3. red green blue: 3 exact, 0 misplaced\nThe code: red green blue"
    )
    assert game.legal(after) == ()
    assert game.parse(after, "red green blue") is None
    assert game.facts(after)["code"] == "red green blue"


def test_a_game_that_is_lost_shows_the_code():
    game, rng = Mastermind(guesses=2), np.random.default_rng(0)
    state, *rest = game.play(start(game, "red green blue"), "red red red", rng)
    assert rest == [0.0, False, False, ""]
    after, *rest = game.play(state, "red red green", rng)
    assert rest == [0.0, True, False, "That was the last guess."]
    assert game.text(after).endswith(
        "2. red red green: 1 exact, 1 misplaced\nThe code: red green blue"
    )
    assert game.lookalike(after, rng) == after


def test_the_last_guess_can_win():
    game, rng = Mastermind(guesses=1), np.random.default_rng(0)
    outcome = game.play(start(game, "red green blue"), "red green blue", rng)
    assert (outcome.reward, outcome.done, outcome.success) == (1, True, True)


@pytest.mark.parametrize("params", [{}, {"pegs": 5, "colors": 8}, {"repeats": False}], ids=str)
def test_nobody_knows_the_code_before_the_end(params):
    game = Mastermind(**params)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        state = game.initial(rng)
        for guesses in range(4):
            other = game.lookalike(state, rng)
            many = len(consistent(game.space, state.history)) > 1
            assert (other.code != state.code) == many
            assert other.history == state.history
            assert all(answer(g.code, other.code) == g[1:] for g in other.history)
            for ask in (game.text, game.facts, game.solve, game.legal):
                assert ask(state) == ask(other)
            if guesses < 3 and not state.over:
                move = game.sample(state, rng) or ""
                state = game.play(state, move, rng).state


def test_moves_are_listed_where_they_are_few():
    game = Mastermind(pegs=2, colors=3)
    assert game.legal(start(game, "red red")) == tuple(
        " ".join(pair) for pair in product(COLORS[:3], repeat=2)
    )
    for game, count in (
        (Mastermind(), 216),
        (Mastermind(pegs=4), 1296),
        (Mastermind(repeats=False), 120),
    ):
        assert len(game.legal(game.initial(np.random.default_rng(0))) or ()) == count
    game = Mastermind(pegs=4, colors=7)
    state = game.initial(np.random.default_rng(0))
    assert game.legal(state) is None
    assert game.legal(state._replace(over=True)) == ()


@pytest.mark.parametrize("repeats", [True, False])
def test_codes_and_samples_are_drawn_evenly(repeats):
    game, rng = Mastermind(pegs=2, colors=4, repeats=repeats), np.random.default_rng(0)
    state, n = start(game, "red green"), 8000
    for drawn in (
        Counter(game.level(game.initial(rng)) for _ in range(n)),
        Counter(game.sample(state, rng) for _ in range(n)),
    ):
        assert set(drawn) == set(game.legal(state) or ())
        expected = n / len(drawn)
        assert sum((k - expected) ** 2 / expected for k in drawn.values()) < 40  # 11 or 15 degrees


@pytest.mark.parametrize(
    "text",
    [
        "red green",
        "red green blue red",
        "red, green, blue",
        "red green white",
        "redgreenblue",
        "rgb",
        "1 2 3",
        "red green b\u0142ue",
        "",
        "red " * 50_000,
    ],
)
def test_anything_but_a_code_is_refused(text):
    game = Mastermind()
    state = start(game, "red green blue")
    assert game.parse(state, text) is None
    assert game.parse(state, " RED\tGreen\n blue ") == "red green blue"


def test_without_repeats_a_colour_twice_is_refused():
    game = Mastermind(repeats=False)
    state = start(game, "red green blue")
    assert game.parse(state, "red green red") is None
    assert game.parse(state, "red green yellow") == "red green yellow"
    assert "No colour occurs more than once" in game.rules


def test_other_words_for_the_colours():
    game = Mastermind(colors=4, symbols=["Alpha", "b", "3", "dd", "unused"])
    state = played(game, "alpha B dd", "Alpha b 3")
    assert game.text(state) == "Guesses left: 7\n1. Alpha b 3: 2 exact, 0 misplaced"
    assert game.parse(state, "ALPHA B DD") == "Alpha b dd"
    assert "Alpha, b, 3, dd. A colour" in game.rules
    assert game.level(state) == "Alpha b dd"


def test_rules_are_those_of_the_parameters():
    rules = Mastermind(pegs=5, colors=3, guesses=1).rules
    assert "5 pegs in a row, each of one of the colours red, green, blue." in rules
    assert "such as: red green blue red green\n" in rules
    assert "You have 1 guess. " in rules
    assert "1 peg in a row" in Mastermind(pegs=1).rules


# --- levels and parameters ---


def test_levels():
    game = Mastermind()
    first, second = game.levels("RED green blue\n\n\n  red red red \n")
    assert (first.code, second.code) == (b"\0\1\2", b"\0\0\0")
    assert game.level(first) == "red green blue"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("red green", "level 1: the number of colours is 2, it must be pegs=3"),
        ("red green blue\n\nred green mauve", "level 2: 'mauve' is not a colour .* red, green"),
        ("red green blue\nred green red", "level 1: has 2 lines; write a code in one line"),
        ("red green red", "level 1: the same colour is there twice; .* repeats=True"),
    ],
)
def test_bad_levels(text, message):
    with pytest.raises(ValueError, match=message):
        Mastermind(repeats=False).levels(text)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"pegs": 0}, "pegs=0 must be a whole number from 1 to 8"),
        ({"pegs": True}, "pegs=True must be a whole number"),
        ({"colors": 13}, "colors=13 must be a whole number from 2 to 12"),
        ({"guesses": 21}, "guesses=21 must be a whole number from 1 to 20"),
        ({"guesses": 2.0}, "guesses=2.0 must be a whole number"),
        ({"repeats": 1}, "repeats=1 must be True or False"),
        ({"pegs": 4, "colors": 3, "repeats": False}, "use more colors or repeats=True"),
        ({"pegs": 7}, "pegs=7, colors=6 allow 279936 codes; at most 100000 .* use fewer"),
        (
            {"symbols": "abcde"},
            "symbols='abcde' must be different words .* one for each of colors=6",
        ),
        ({"symbols": "aAbcde"}, "must be different words"),
        ({"symbols": ["a b", *"cdefg"]}, "words of letters and digits, at most 16 each"),
        ({"symbols": ["a" * 17, *"cdefg"]}, "at most 16 each"),
        ({"symbols": [1, 2, 3, 4, 5, 6]}, "must be different words"),
        ({"symbols": 7}, "symbols=7 must be"),
    ],
)
def test_bad_parameters(params: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Mastermind(**params)


# --- the picture ---


def test_the_code_is_covered_until_the_end():
    renderers = pytest.importorskip("renderers")
    game = Mastermind()
    state, other = (
        played(game, code, "red red red") for code in ("green yellow red", "yellow blue red")
    )
    assert state.code != other.code
    assert np.array_equal(renderers.draw(state), renderers.draw(other))
    shown = [renderers.draw(s._replace(over=True)) for s in (state, other)]
    assert not np.array_equal(*shown)


@pytest.mark.parametrize(
    "params", [{}, {"pegs": 1, "colors": 12, "guesses": 2}, {"pegs": 5}], ids=str
)
def test_the_picture_keeps_its_shape_and_changes_with_every_guess(params):
    renderers = pytest.importorskip("renderers")
    game, rng = Mastermind(**params), np.random.default_rng(5)
    state = game.initial(rng)
    shapes, seen, moves = set(), set(), 0
    for tile in (8, 32):
        shapes.add((np.array(renderers.draw(state, tile).shape[:2]) // tile).tobytes())
    while not state.over:
        seen.add(renderers.draw(state, 16).tobytes())
        state = game.play(state, game.sample(state, rng) or "", rng).state
        moves += 1
        shapes.add((np.array(renderers.draw(state, 16).shape[:2]) // 16).tobytes())
    assert len(shapes) == 1
    assert len(seen) == moves


def test_what_the_player_knows_is_in_the_picture():
    renderers = pytest.importorskip("renderers")
    words, guess = COLORS[:6], b"\0\1\2"
    known = [
        MastermindState(words, b"\3\4\5", 7, (Guess(guess, exact, misplaced),))
        for exact in range(4)
        for misplaced in range(4 - exact)
    ]
    known += [known[0]._replace(history=(Guess(bytes([c, 1, 2]), 0, 0),)) for c in range(1, 6)]
    known += [known[0]._replace(words=("mauve", *words[1:]))]
    known += [known[0]._replace(left=6)]
    assert len({renderers.draw(state).tobytes() for state in known}) == len(known)
