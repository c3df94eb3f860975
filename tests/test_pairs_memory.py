"""Pairs with a perfect memory: best play, counted by hand, is what the oracle does."""

from functools import cache
from math import log, sqrt
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from text_envs.games.pairs import ANIMALS, Pairs, PairsState

RNG = np.random.default_rng(0)  # pairs draws nothing once the cards lie


class Rememberer:
    """Plays from the observations alone, and forgets nothing."""

    def __init__(self) -> None:
        self.known: dict[int, str] = {}

    def act(self, observation: str) -> str:
        cells = [row.split() for row in observation.splitlines() if not row.startswith(("A", "No"))]
        cards = [cell for row in cells[:-1] for cell in row]
        up = [card for card, cell in enumerate(cards) if cell.startswith("[")]
        self.known |= {card: cards[card].strip("[]") for card in up}
        down = [card for card, cell in enumerate(cards) if cell.isdigit() or card in up]
        unknown = [card for card in down if card not in self.known]
        same = [
            (one, other)
            for other in down
            for one in down
            if one < other and self.known.get(one, one) == self.known.get(other, other)
        ]
        if len(up) == 1:
            mates = [card for pair in same if up[0] in pair for card in pair if card != up[0]]
            return f"flip {(mates or unknown)[0]}"
        first = [min(same, key=lambda pair: pair[0])[0]] if same else unknown
        return f"flip {first[0]}"


@cache
def turns(single: int, unseen: int, worst: bool, choice: bool = True) -> float:
    """Turns that best play needs from a table with ``single`` cards known whose mates are not, and
    ``unseen`` pairs of which nothing was seen: expected, or in the worst case.

    By hand: flip an unseen card; with its mate known, take it; else flip another unseen card (or,
    if ``choice``, a known one where that were better), and take at once a pair that this completes.
    """
    if not single and not unseen:
        return 0

    def over(cases: list[tuple[int, float]]) -> float:
        possible = [(ways, value) for ways, value in cases if ways]
        if worst:
            return max(value for _, value in possible)
        return sum(ways * value for ways, value in possible) / sum(ways for ways, _ in possible)

    def go(s: int, u: int, more: int) -> float:
        return more + turns(s, u, worst, choice) if s >= 0 and u >= 0 else 0

    after_first = [
        (1, go(single, unseen - 1, 1)),  # luck: its mate
        (single, go(single, unseen - 1, 2)),  # the mate of a known card, taken next
        (2 * (unseen - 1), go(single + 2, unseen - 2, 1)),
    ]
    second = over(after_first) if unseen else 0.0
    if choice and unseen and single:
        second = min(second, go(single + 1, unseen - 1, 1))
    return over([(single, go(single - 1, unseen, 1)), (2 * unseen, second)])


def test_never_more_turns_are_needed_than_the_budget_has():
    for pairs in range(2, 33):
        assert turns(0, pairs, worst=True, choice=False) == 2 * pairs - 1
    limit = gym.spec("TextPairs-v0").max_episode_steps
    assert limit is not None
    assert limit == 2 * 12 > 2 * (2 * 6 - 1)


def test_another_unseen_card_is_never_the_worse_choice():
    """So what the oracle does is best; the expected number of turns is the one known for large
    games (Velleman and Warrington, 2013).
    """
    for pairs in (2, 3, 6, 12, 32):
        best = turns(0, pairs, worst=False)
        assert turns(0, pairs, worst=False, choice=False) == pytest.approx(best)
    known = (3 - 2 * log(2)) * 32 + 7 / 8 - 2 * log(2)
    assert turns(0, 32, worst=False) == pytest.approx(known, abs=0.05)


def every_deck(cards: tuple[int, ...]) -> list[dict[int, int]]:
    """Every way to pair up these cards: card -> number of its pair."""
    if not cards:
        return [{}]
    first, *rest = cards
    return [
        {first: len(cards), mate: len(cards), **deck}
        for mate in rest
        for deck in every_deck(tuple(card for card in rest if card != mate))
    ]


def test_the_oracle_needs_as_many_turns_as_best_play_over_every_deck():
    game, lengths = Pairs(2, 4), []
    for deck in every_deck(tuple(range(8))):
        state, flips = PairsState(tuple(ANIMALS[deck[i]] for i in range(8)), 4), 0
        while plan := game.solve(state):
            state = game.play(state, plan[0], RNG).state
            flips += 1
        lengths.append(flips / 2)
    assert len(lengths) == 105
    assert np.mean(lengths) == pytest.approx(turns(0, 4, worst=False))
    assert max(lengths) == 7


def test_a_player_that_remembers_all_plays_like_the_oracle_and_wins_in_time():
    env: Any = gym.make("TextPairs-v0")
    flips, episodes = [], 300
    for seed in range(episodes):
        player, (observation, _), over, count = Rememberer(), env.reset(seed=seed), False, 0
        total, info = 0.0, {}
        while not over:
            move = player.act(observation)
            assert move == env.unwrapped.solve()[0]
            observation, reward, over, truncated, info = env.step(move)
            assert not truncated
            total, count = total + reward, count + 1
        assert info["success"]
        assert total == pytest.approx(1)
        flips.append(count)
    spread = float(np.std(flips)) / 2 / sqrt(episodes)
    assert np.mean(flips) / 2 == pytest.approx(turns(0, 6, worst=False), abs=4.5 * spread)
