"""Blackjack: Gymnasium's, move for move; what is hidden; the best play."""

from collections import Counter
from functools import cache
from itertools import product
from math import sqrt
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from text_envs.games.blackjack import (
    CARDS,
    MAX_DEALER,
    MAX_PLAYER,
    Blackjack,
    BlackjackState,
    is_natural,
    total,
)

OPTIONS = [{"natural": natural, "sab": sab} for natural in (False, True) for sab in (False, True)]


def start(player: str, dealer: str) -> BlackjackState:
    (state,) = Blackjack().levels(f"player: {player}, dealer: {dealer}")
    return state


def value_of(card: int) -> int:
    rank = CARDS[card].split()[0]
    return {"A": 1, "J": 10, "Q": 10, "K": 10}.get(rank) or int(rank)


# --- Gymnasium ---


class Deck:
    """Hands out the cards that our game drew, in place of Gymnasium's generator."""

    def __init__(self) -> None:
        self.cards: list[int] = []

    def choice(self, deck: list[int]) -> int:
        assert self.cards[0] in deck
        return self.cards.pop(0)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_move_is_that_of_gymnasium(options):
    theirs: Any = gym.make("Blackjack-v1", **options).unwrapped
    theirs.reset(seed=0)
    deck = theirs.np_random = Deck()
    ours, rng = Blackjack(**options), np.random.default_rng(7)
    seen: Counter[Any] = Counter()
    for _ in range(5000):
        state = ours.initial(rng)
        theirs.player = [value_of(card) for card in state.player]
        theirs.dealer = [value_of(card) for card in state.dealer]
        natural, done, reward = is_natural(state.player), False, 0.0
        while not done:
            move = "hit" if rng.random() < (0.05 if natural else 0.5) else "stand"
            after, reward, done, success, _ = ours.play(state, move, rng)
            drawn = after.player[len(state.player) :] + after.dealer[len(state.dealer) :]
            deck.cards = [value_of(card) for card in drawn]
            (points, shown, ace), their_reward, their_done, *_ = theirs.step(move == "hit")
            assert deck.cards == []
            assert (reward, done) == (their_reward, their_done)
            assert total(after.player) == (points, bool(ace))
            assert value_of(after.dealer[0]) == shown
            assert [value_of(card) for card in after.dealer] == theirs.dealer
            assert after.over == done
            assert success == (done and reward > 0)
            seen["usable ace"] += ace
            state = after
        seen[reward] += 1
        dealt = is_natural(state.dealer[:2])
        seen[natural, dealt, reward] += 1
    assert seen["usable ace"] > 200
    assert all(seen[reward] > 200 for reward in (-1, 0, 1))
    assert seen[True, True, 0] > 0
    assert (seen[1.5] > 100) == (options == {"natural": True, "sab": False})
    assert (seen[True, False, 0] > 0) == (not options["sab"])  # 21 in three cards


def test_every_card_is_as_likely_as_any_other():
    game, rng, n = Blackjack(), np.random.default_rng(0), 20_000
    dealt = Counter(card for _ in range(n // 4) for hand in game.initial(rng)[:2] for card in hand)
    state = start("2c 2d", "6h Qs")
    drawn = Counter(game.play(state, "hit", rng).state.player[-1] for _ in range(n))
    for counts in (dealt, drawn):
        assert set(counts) == set(range(52))
        expected = n / 52
        assert sum((k - expected) ** 2 / expected for k in counts.values()) < 100  # 51 degrees


# --- hands ---


@pytest.mark.parametrize(
    ("hand", "expected"),
    [
        ("A K", (21, True)),
        ("A A", (12, True)),
        ("A A 9", (21, True)),
        ("A A 10", (12, False)),
        ("A 5", (16, True)),
        ("A 5 J", (16, False)),
        ("Q K 2", (22, False)),
        ("Q K A", (21, False)),
        ("2 3", (5, False)),
        (" ".join("A" * 11), (21, True)),
        (" ".join("A" * 12), (12, False)),
    ],
)
def test_what_a_hand_counts(hand, expected):
    cards = b"".join(start(f"{card} 2", "2 2").player[:1] for card in hand.split())
    assert total(cards) == expected
    assert is_natural(cards) == (hand == "A K")


def test_a_hand_over_21_loses_at_once_and_the_dealer_does_not_draw():
    game, rng, state = Blackjack(), np.random.default_rng(0), start("10 10", "2 3")
    after, reward, done, success, note = game.play(state, "hit", rng)
    while not done:
        after, reward, done, success, note = game.play(state, "hit", rng)
    assert (reward, success, after.dealer) == (-1, False, state.dealer)
    assert note == f"{total(after.player)[0]} is over 21: you lose."
    assert game.legal(after) == ()
    assert game.solve(after) is None


def test_no_hand_has_more_cards_than_there_is_room_for():
    @cache
    def longest(limit: int, hard: int = 0, ace: bool = False) -> int:
        """Most cards that can still come to one who draws below ``limit``."""
        points = hard + 10 if limit < 21 and ace and hard <= 11 else hard
        if points >= limit:
            return 0
        return 1 + max(longest(limit, hard + v, ace or v == 1) for v in range(1, 11))

    assert (longest(22), longest(17)) == (MAX_PLAYER, MAX_DEALER)
    (ten,) = start("10d 10d", "2 2").player[:1]
    game, hands = Blackjack(), (bytes([ten] * MAX_PLAYER), bytes([ten] * MAX_DEALER))
    assert len(game.text(BlackjackState(*hands, True))) <= game.max_text


# --- what is seen ---


def test_text():
    state = start("10h As", "6d Qc")
    assert Blackjack().text(state) == (
        "You: 10 of hearts, A of spades. Total 21, an ace as 11.\n"
        "Dealer: 6 of diamonds, and a hidden card."
    )
    assert Blackjack(totals=False).text(state) == (
        "You: 10 of hearts, A of spades.\nDealer: 6 of diamonds, and a hidden card."
    )
    over = BlackjackState(state.player, state.dealer + state.player[1:], True)
    assert (
        Blackjack()
        .text(over)
        .endswith("\nDealer: 6 of diamonds, Q of clubs, A of spades. Total 17.")
    )


@pytest.mark.parametrize("seed", range(5))
def test_nobody_knows_the_hidden_card_before_the_end(seed):
    game, rng = Blackjack(), np.random.default_rng(seed)
    state = game.initial(rng)
    others = {game.lookalike(state, rng) for _ in range(2000)}
    assert {other.dealer[1] for other in others} == set(range(52)) - {state.dealer[1]}
    assert len({(s.player, s.dealer[0]) for s in (state, *others)}) == 1
    known = {
        (game.text(s), str(game.facts(s)), str(game.solve(s)), str(game.action_values(s)))
        for s in (state, *others)
    }
    assert len(known) == 1
    over = game.play(state, "stand", rng).state
    assert game.lookalike(over, rng) == over
    assert CARDS[over.dealer[1]] in game.text(over)
    assert game.facts(over)["dealer"] == [CARDS[card] for card in over.dealer]


@pytest.mark.parametrize(
    ("player", "dealer", "options", "reward", "note"),
    [
        ("10 9", "10 8", {}, 1, "You win, 19 against 18."),
        ("10 8", "10 9", {}, -1, "You lose, 18 against 19."),
        ("10 9", "10 9", {}, 0, "A draw, 19 each."),
        ("A K", "10 9", {}, 1, "You win, 21 against 19."),
        ("A K", "10 9", {"natural": True}, 1.5, "You win, 21 against 19."),
        ("A K", "10 9", {"natural": True, "sab": True}, 1, "You win, 21 against 19."),
        ("A K", "Q A", {"natural": True}, 0, "A draw, 21 each."),
        ("A K", "Q A", {"sab": True}, 0, "A draw, 21 each."),
    ],
)
def test_how_a_game_ends_when_the_dealer_need_not_draw(player, dealer, options, reward, note):
    outcome = Blackjack(**options).play(start(player, dealer), "stand", np.random.default_rng(0))
    assert outcome[1:] == (reward, True, reward > 0, note)


def test_a_natural_beats_a_plain_21_only_by_sutton_and_bartos_rules():
    state, ends = start("A K", "6 5"), {}
    for options in ({}, {"natural": True}, {"sab": True}):
        game = Blackjack(**options)
        for seed in range(40):
            outcome = game.play(state, "stand", np.random.default_rng(seed))
            if total(outcome.state.dealer)[0] == 21:
                ends[str(options)] = outcome.reward, outcome.note
    assert list(ends.values()) == [
        (0, "A draw, 21 each."),
        (0, "A draw, 21 each."),
        (1, "You win, a natural against a plain 21."),
    ]


def test_rules_tell_the_options():
    plain, natural, sab = (
        Blackjack(**options).rules for options in ({}, {"natural": True}, {"sab": True})
    )
    assert "natural" not in plain
    assert natural.endswith("are a natural: a win with it pays 1.5.")
    assert sab.endswith("are a natural: it wins unless the dealer has a natural too.")
    assert Blackjack(natural=True, sab=True).rules == sab


# --- the best play ---


def test_the_oracle_plays_as_the_books_say():
    """Facts of Figure 5.2 of Sutton and Barto, with every hand of two cards."""
    game = Blackjack()
    ranks = ["A", *map(str, range(2, 11))]
    for dealer, shown in enumerate(ranks, 1):
        for player in product(ranks, repeat=2):
            state = start(" ".join(player), f"{shown} 5")
            points, soft = total(state.player)
            if soft:
                stands = points >= 19 or (points == 18 and dealer in range(2, 9))
            else:
                weak = range(4, 7) if points == 12 else range(2, 7)
                stands = points >= 17 or (points >= 12 and dealer in weak)
            assert game.solve(state) == (["stand"] if stands else ["hit"]), (player, shown)


@pytest.mark.parametrize(
    ("shown", "bust"),
    [
        ("A", 0.1153),
        ("2", 0.3536),
        ("3", 0.3739),
        ("4", 0.3945),
        ("5", 0.4164),
        ("6", 0.4232),
        ("7", 0.2623),
        ("8", 0.2447),
        ("9", 0.2284),
        ("K", 0.2121),
    ],
)
def test_a_hand_below_17_stands_on_nothing_but_the_dealer_going_over(shown, bust):
    """Published chances of a dealer who draws from an endless deck and stands on every 17."""
    values = Blackjack().action_values(start("10 4", f"{shown} 2"))
    assert values["stand"] == pytest.approx(2 * bust - 1, abs=2e-4)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_a_game_is_worth_is_what_playing_it_pays(options):
    game, rng, n = Blackjack(**options), np.random.default_rng(1), 30_000
    rewards = []
    for _ in range(n):
        state, done, reward = game.initial(rng), False, 0.0
        while not done:
            (move,) = game.solve(state) or []
            state, reward, done, *_ = game.play(state, move, rng)
        rewards.append(reward)
    error = float(np.std(rewards)) / sqrt(n)
    assert abs(np.mean(rewards) - game.expected_reward()) < 3 * error


@pytest.mark.parametrize(
    ("player", "shown"), [("10 6", "10"), ("10 2", "3"), ("A 7", "9"), ("A 6", "7"), ("A K", "A")]
)
@pytest.mark.parametrize("move", ["hit", "stand"])
def test_what_a_move_is_worth_is_what_making_it_pays(player, shown, move):
    game, rng, n = Blackjack(natural=True), np.random.default_rng(2), 6000
    rewards = []
    for _ in range(n):
        state = game.lookalike(start(player, f"{shown} 5"), rng)
        state, reward, done, *_ = game.play(state, move, rng)
        while not done:
            (onward,) = game.solve(state) or []
            state, reward, done, *_ = game.play(state, onward, rng)
        rewards.append(reward)
    expected = game.action_values(start(player, f"{shown} 5"))[move]
    assert abs(np.mean(rewards) - expected) < 3.5 * max(0.005, float(np.std(rewards)) / sqrt(n))


def test_documented_values():
    doc = Blackjack.__doc__ or ""
    for options in ({}, {"sab": True}, {"natural": True}):
        assert f"{Blackjack(**options).expected_reward():.5f}" in doc


# --- levels and parameters ---


def test_levels_are_written_and_read():
    game = Blackjack()
    state = start("10h 7s", "6D qC")
    assert game.level(state) == "player: 10h 7s, dealer: 6d Qc"
    assert start("10 7", "6 10") == start("10s 7S", "6s 10s")
    two = game.levels("Player: 2c 3c, Dealer: 4c 5c\n\n\nplayer: Ah Ad, dealer:Kc Ks\n")
    assert [game.level(s) for s in two] == [
        "player: 2c 3c, dealer: 4c 5c",
        "player: Ah Ad, dealer: Kc Ks",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10 7 6 10", "level 1: '10 7 6 10' is not a start; write one line such as 'player: 10h"),
        (
            "player: 2 2, dealer: 3 3\nplayer: 2 2, dealer: 3 3",
            "a blank line between two levels",
        ),
        ("player: 2 2, dealer: 3 3\n\nplayer: 11 2, dealer: 3 3", "level 2: '11' is not a card"),
        ("player: 2x 2, dealer: 3 3", "level 1: '2x' is not a card; write a rank, A, 2 to 10, J"),
        ("player: 2 2 2, dealer: 3 3", "level 1: the player has 3 cards; deal two"),
        ("player: 2 2, dealer: 3", "level 1: the dealer has 1 cards; deal two"),
    ],
)
def test_bad_levels(text, message):
    with pytest.raises(ValueError, match=message):
        Blackjack().levels(text)


@pytest.mark.parametrize("name", ["natural", "sab", "totals"])
def test_bad_parameters(name):
    kwargs: dict[str, Any] = {name: 1}
    with pytest.raises(ValueError, match=f"{name}=1 must be True or False"):
        Blackjack(**kwargs)


@pytest.mark.parametrize("text", ["hit me", "hit stand", "h", "stick", "hit.", "", "ｈｉｔ"])
def test_anything_but_the_two_moves_is_refused(text):
    game, state = Blackjack(), start("2 2", "3 3")
    assert game.parse(state, text) is None
    assert game.parse(state, " HIT\n") == "hit"


# --- the picture ---


def test_the_hidden_card_is_face_down_until_the_end():
    renderers = pytest.importorskip("renderers")
    state = start("10h 7s", "6d Qc")
    other = start("10h 7s", "6d 2h")
    assert np.array_equal(renderers.draw(state), renderers.draw(other))
    shown = [renderers.draw(s._replace(over=True)) for s in (state, other)]
    assert not np.array_equal(*shown)
    assert not np.array_equal(renderers.draw(state), shown[0])


def test_every_card_has_a_face_of_its_own():
    renderers = pytest.importorskip("renderers")
    states = [BlackjackState(bytes([card, 5]), bytes([9, 9])) for card in range(len(CARDS))]
    assert len({renderers.draw(state, 16).tobytes() for state in states}) == len(CARDS)


@pytest.mark.parametrize("tile", [8, 32])
def test_any_number_of_cards_fits_one_shape_and_each_is_seen(tile):
    renderers = pytest.importorskip("renderers")
    dealer, seen = bytes([9, 9]), set()
    for count in range(2, MAX_PLAYER + 1):
        picture = renderers.draw(BlackjackState(bytes([0] * count), dealer), tile)
        assert picture.shape == (7 * tile, 8 * tile, 3)
        seen.add(picture.tobytes())
    assert len(seen) == MAX_PLAYER - 1
    full = BlackjackState(bytes([0] * MAX_PLAYER), bytes([1] * MAX_DEALER), True)
    for place in range(MAX_PLAYER):
        other = bytearray(full.player)
        other[place] = 50
        changed = renderers.draw(full._replace(player=bytes(other)), tile)
        assert not np.array_equal(changed, renderers.draw(full, tile))
