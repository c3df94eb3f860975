"""Pairs: scripted games, and what is in no later observation."""

import re
from math import sqrt
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.games.pairs import ANIMALS, MAX_SYMBOL, Pairs, PairsState

SEEDS = st.integers(0, 2**32 - 1)
FLIPS = st.lists(st.integers(0, 11), max_size=30)
RNG = np.random.default_rng(0)  # pairs draws nothing once the cards lie
SMALL = Pairs(2, 3)
LEVEL = "owl fox bee\nfox owl bee"
(START,) = SMALL.levels(LEVEL)


def played(game: Pairs, state: PairsState, cards: list[int]) -> list[Any]:
    """The outcomes of flipping these cards, one after the other."""
    outcomes = []
    for card in cards:
        outcomes.append(game.play(state, f"flip {card}", RNG))
        state = outcomes[-1].state
    return outcomes


def under_way(game: Pairs, seed: int, numbers: list[int]) -> PairsState:
    """A state after some legal flips, before the end."""
    state = game.initial(np.random.default_rng(seed))
    for number in numbers:
        legal = game.legal(state)
        outcome = game.play(state, legal[number % len(legal)], RNG)
        if outcome.done:
            break
        state = outcome.state
    return state


# --- scripted games ---


def test_a_whole_game():
    outcomes = played(SMALL, START, [0, 1, 0, 4, 2, 3, 1, 3, 5, 2])
    assert [SMALL.text(o.state) for o in outcomes] == [
        "[owl]   1       2\n3       4       5\nPairs found: 0 of 3",
        "[owl]   [fox]   2\n3       4       5\nPairs found: 0 of 3",
        "[owl]   1       2\n3       4       5\nPairs found: 0 of 3",
        "owl     1       2\n3       owl     5\nPairs found: 1 of 3",
        "owl     1       [bee]\n3       owl     5\nPairs found: 1 of 3",
        "owl     1       [bee]\n[fox]   owl     5\nPairs found: 1 of 3",
        "owl     [fox]   2\n3       owl     5\nPairs found: 1 of 3",
        "owl     fox     2\nfox     owl     5\nPairs found: 2 of 3",
        "owl     fox     2\nfox     owl     [bee]\nPairs found: 2 of 3",
        "owl     fox     bee\nfox     owl     bee\nPairs found: 3 of 3",
    ]
    pays = [0, 0, 0, 1 / 3, 0, 0, 0, 1 / 3, 0, 1 / 3]
    assert [o.reward for o in outcomes] == pytest.approx(pays)
    assert [o.note for o in outcomes] == [
        "", "No pair.", "", "A pair.", "", "No pair.", "", "A pair.", "", "A pair, the last one.",
    ]  # fmt: skip
    assert [(o.done, o.success) for o in outcomes] == [(False, False)] * 9 + [(True, True)]
    end = outcomes[-1].state
    assert SMALL.legal(end) == ()
    assert SMALL.solve(end) is None


def test_the_first_card_of_a_turn_is_not_flipped_again_and_found_cards_never():
    first = played(SMALL, START, [2])[-1].state
    assert SMALL.legal(first) == ("flip 0", "flip 1", "flip 3", "flip 4", "flip 5")
    assert SMALL.parse(first, "flip 2") is None
    second = played(SMALL, first, [0])[-1].state
    assert len(SMALL.legal(second)) == 6  # both are turned back before the next card
    again = played(SMALL, second, [2])[-1].state
    assert again.up == (2,)
    found = played(SMALL, START, [0, 4])[-1].state
    assert SMALL.legal(found) == ("flip 1", "flip 2", "flip 3", "flip 5")


@given(SEEDS, st.sampled_from([(2, 2), (3, 4), (8, 8), (1, 8)]))
def test_decks_are_pairs_of_different_symbols(seed, shape):
    game = Pairs(*shape)
    deck = game.initial(np.random.default_rng(seed)).deck
    assert len(deck) == shape[0] * shape[1]
    assert sorted(deck) == sorted(2 * sorted(set(deck)))
    assert set(deck) <= set(ANIMALS)


def test_every_card_is_as_likely_as_another_everywhere():
    game, rng, n = Pairs(), np.random.default_rng(0), 2000
    decks = [game.initial(rng).deck for _ in range(n)]
    mates = [deck.index(deck[0], 1) for deck in decks]
    counts = np.bincount(mates, minlength=12)[1:]
    assert abs(counts - n / 11).max() < 4.5 * sqrt(n / 11)
    assert set().union(*decks) == set(ANIMALS)


# --- what the player is shown, and must remember ---


def test_what_was_turned_back_is_in_no_later_observation():
    env: Any = gym.make("TextPairs-v0")
    env.reset(options={"level": "owl fox bee cat\ndog cow owl cat\ndog fox cow bee"})
    assert "[owl]" in env.step("flip 0")[0]
    shown = env.step("flip 1")[0]
    assert "[owl]" in shown
    assert "[fox]" in shown
    later = env.step("flip 2")[0]
    assert "owl" not in later
    assert "fox" not in later
    assert "owl" not in str(env.unwrapped.facts())
    refused = env.step("flip 99")[0]
    assert "owl" not in refused


@settings(deadline=None)
@given(SEEDS, FLIPS, st.randoms(use_true_random=False))
def test_text_and_facts_tell_nothing_of_any_card_face_down(seed, numbers, random):
    """Not even of those that were seen: cards face down, dealt anew, make no difference."""
    game = Pairs()
    state = under_way(game, seed, numbers)
    down = [i for i in range(12) if not state.found >> i & 1 and i not in state.up]
    deck, order = list(state.deck), down.copy()
    random.shuffle(order)
    for card, other in zip(down, order, strict=True):
        deck[card] = state.deck[other]
    for seen in (0, state.seen, 2**12 - 1):
        dealt = state._replace(deck=tuple(deck), seen=seen)
        for shown in (game.text, game.facts, game.legal, game.info, game.start_info):
            assert shown(dealt) == shown(state)


def test_facts_say_what_the_text_says():
    state = played(SMALL, START, [0, 4, 1, 2])[-1].state
    assert SMALL.facts(state) == {
        "card 0": "owl", "card 1": "fox", "card 2": "bee", "card 3": "face down", "card 4": "owl",
        "card 5": "face down", "flipped": [1, 2], "pairs found": 1, "pairs": 3,
    }  # fmt: skip


@settings(deadline=None)
@given(SEEDS, FLIPS)
def test_lookalikes_keep_what_was_seen_and_change_the_rest(seed, numbers):
    game = Pairs()
    state = under_way(game, seed, numbers)
    other = game.lookalike(state, np.random.default_rng(seed))
    unseen = [i for i in range(12) if not state.seen >> i & 1]
    assert all(state.deck[i] == other.deck[i] for i in range(12) if i not in unseen)
    assert sorted(map(other.deck.count, other.deck)) == [2] * 12
    assert (other != state) == (len(unseen) > 1)
    assert game.solve(other) == game.solve(state)


def test_a_last_unseen_pair_could_be_any_other():
    state = played(SMALL, START, [0, 4, 1, 3])[-1].state
    kinds = {SMALL.lookalike(state, np.random.default_rng(k)).deck[2] for k in range(400)}
    assert kinds == set(ANIMALS) - {"owl", "fox", "bee"}
    few = Pairs(2, 3, symbols=("owl", "fox", "bee"))
    assert few.lookalike(state, RNG) == state


# --- moves, rules, parameters, levels ---


@pytest.mark.parametrize("text", ["flip 3", " FLIP 3\n", "Flip 3"])
def test_a_flip_is_read(text):
    assert SMALL.parse(START, text) == "flip 3"


@pytest.mark.parametrize("text", ["3", "flip", "flip 6", "flip -1", "flip 03", "flip 1 2", "flip٣"])
def test_anything_else_is_no_move(text):
    assert SMALL.parse(START, text) is None


def test_rules_follow_the_parameters():
    rules = Pairs(4, 5).rules
    assert "20 cards lie face down in 4 rows of 5: 10 pairs" in rules
    assert "19 at the bottom right" in rules
    assert "pays 1/10" in rules


@given(SEEDS)
def test_the_longest_text_stays_within_its_bound(seed):
    symbols = tuple(f"{'W' * (MAX_SYMBOL - 2)}{i}" for i in range(10, 42))
    game = Pairs(8, 8, symbols)
    state = game.initial(np.random.default_rng(seed))
    ends = [state, state._replace(found=2**64 - 1), state._replace(up=(0, 63))]
    assert all(len(game.text(end)) <= game.max_text for end in ends)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rows": 0}, "rows=0 must be a whole number from 1 to 8"),
        ({"cols": 9}, "cols=9 must be a whole number from 1 to 8"),
        ({"cols": 2.0}, "cols=2.0 must be a whole number"),
        ({"rows": 3, "cols": 3}, "rows=3 and cols=3 make 9 cards; the number must be even"),
        ({"rows": 1, "cols": 2}, "rows=1 and cols=2 make 2 cards; the number must be even and at"),
        ({"symbols": "ABCDE"}, "symbols='ABCDE' must be at least 6 different ones"),
        ({"symbols": "ABCDEE"}, "symbols='ABCDEE' must be at least 6 different ones"),
        ({"symbols": ("a b", *"cdefg")}, "has 'a b'; each must have 1 to 12 visible characters"),
        ({"symbols": ("[a]", *"cdefg")}, "has '[a]'; each must have"),
        ({"symbols": ("12", *"cdefg")}, "has '12'; each must have"),
        ({"symbols": ("", *"cdefg")}, "has ''; each must have"),
        ({"symbols": ("a" * 13, *"cdefg")}, "each must have 1 to 12 visible characters"),
        ({"symbols": (1, *"cdefg")}, "has 1; each must have"),
        ({"symbols": 7}, "symbols=7 must be a list of words"),
    ],
)
def test_a_bad_parameter_is_named(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Pairs(**params)


def test_levels_are_the_cards():
    assert SMALL.level(START) == LEVEL
    assert SMALL.levels(f"\n  {LEVEL}\n\n\n{LEVEL.replace('bee', 'cow')}  \n") == [
        START,
        PairsState(("owl", "fox", "cow", "fox", "owl", "cow"), 3),
    ]


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("owl fox bee", "level 1: has 1 rows, this environment was made with rows=2"),
        ("owl fox\nfox owl", "level 1: row 0 has 2 cards, this environment was made with cols=3"),
        ("owl fox bee\nfox owl", "level 1: row 1 has 2 cards, this environment was made with"),
        ("owl fox elk\nfox owl elk", "level 1: has 'elk', which is none of the environment's"),
        ("owl fox bee\nfox owl owl", "level 1: has 'owl' 3 times; it must be there twice"),
        (f"{LEVEL}\n\nowl", "level 2: has 1 rows"),
    ],
)
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        SMALL.levels(level)


# --- the picture ---


def drawn(state: PairsState, tile: int = 16) -> np.ndarray:
    return pytest.importorskip("renderers").draw(state, tile)


@pytest.mark.parametrize("tile", [4, 8, 28, 32])
def test_picture_has_whole_tiles_and_one_shape(tile):
    shapes = {drawn(o.state, tile).shape for o in played(SMALL, START, [0, 1, 0, 4, 2])}
    assert shapes == {(7 * tile, 9 * tile, 3)}


def test_every_card_that_is_up_is_in_the_picture_and_no_other():
    states = [START, *(o.state for o in played(SMALL, START, [0, 1, 3, 1, 2, 0]))]
    assert len({drawn(state).tobytes() for state in states}) == len(states)
    for state in states:
        everything = (1 << 6) - 1
        assert np.array_equal(drawn(state), drawn(state._replace(seen=everything)))
        down = [i for i in range(6) if not state.found >> i & 1 and i not in state.up]
        deck = list(state.deck)
        for card, other in zip(down, down[::-1], strict=True):
            deck[card] = state.deck[other]
        assert np.array_equal(drawn(state), drawn(state._replace(deck=tuple(deck))))


def test_a_flip_changes_its_own_card_alone():
    before, after = drawn(START), drawn(played(SMALL, START, [4])[-1].state)
    changed = np.argwhere((before != after).any(axis=2))
    assert changed.min(axis=0).tolist() >= [48, 48]
    assert (changed.max(axis=0) < [96, 96]).all()


def test_symbols_found_and_just_flipped_can_be_told_apart():
    faces = [drawn(PairsState((word, "x", "x", word), 2, 0, (0,)), 8) for word in ANIMALS]
    faces += [drawn(PairsState((word, "x", "x", word), 2, 9), 8) for word in ANIMALS]
    corner = {face[:24, :24].tobytes() for face in faces}
    assert len(corner) == len(faces)
