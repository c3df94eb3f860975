"""The blicket detector: what experiments tell, and the oracle over every hypothesis."""

from math import ceil, log2
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.games.blicket import COLOURS, SHAPES, Blicket, BlicketState
from text_envs.games.blicket_inference import hypotheses, lights_up, sets

SEEDS = st.integers(0, 2**32 - 1)
RNG = np.random.default_rng(0)  # nothing is drawn from it unless there is noise
RULES = ("any", "two", "mixed")


def names(objects: int) -> tuple[str, ...]:
    return tuple(f"{COLOURS[i]} {SHAPES[i]}" for i in range(objects))


def slow_beliefs(game: Blicket, state: BlicketState) -> dict[tuple[Any, int], float]:
    """Probability of every hypothesis, by Bayes' rule, one hypothesis and test at a time."""
    chances = {}
    for rule, blickets in hypotheses(len(state.objects), game.rule):
        chance = 1.0
        for placed, lit in state.tests:
            on_it = [i for i in range(8) if placed >> i & 1 and blickets >> i & 1]
            light = (1 - game.noise) * (len(on_it) >= {"any": 1, "two": 2}[rule])
            chance *= light if lit else 1 - light
        chances[rule, blickets] = chance
    total = sum(chances.values())
    return {one: chance / total for one, chance in chances.items()}


def bits(chances: Any) -> float:
    return -sum(chance * log2(chance) for chance in chances if chance > 0)


@settings(deadline=None, max_examples=25)
@given(
    SEEDS,
    st.sampled_from(RULES),
    st.integers(3, 5),
    st.sampled_from([0.0, 0.3]),
    st.lists(st.integers(0, 99), max_size=4),
)
def test_the_oracle_makes_the_test_that_brings_most_information(seed, rule, objects, noise, moves):
    game, rng = Blicket(objects, rule, noise=noise), np.random.default_rng(seed)
    state = game.initial(rng)
    for number in moves:
        placed = game.legal(state)[number % (2**objects - 1)]
        state = game.play(state, placed, rng).state
    now = slow_beliefs(game, state)
    by_set: dict[int, float] = {}
    for (_, blickets), chance in now.items():
        by_set[blickets] = by_set.get(blickets, 0) + chance
    assert game.beliefs(state) == pytest.approx({s: c for s, c in by_set.items() if c > 0})
    gains = {}
    for placed in sets(objects):
        gains[placed] = bits(now.values())
        for lit in (False, True):
            light = sum(c * (1 - noise) for one, c in now.items() if lights_up(*one, placed))
            if chance := light if lit else 1 - light:
                after = state._replace(tests=(*state.tests, (placed, lit)))
                if chance > 1e-12:
                    gains[placed] -= chance * bits(slow_beliefs(game, after).values())
    assert game.information(state) == pytest.approx(gains, abs=1e-8)
    (move,) = game.solve(state) or []
    members = sum(1 << i for i, name in enumerate(state.objects) if name in move)
    if move.startswith("answer"):
        assert by_set[members] > 0.99
    else:
        assert max(by_set.values()) < 0.99
        assert gains[members] == pytest.approx(max(gains.values()), abs=1e-8)


@pytest.mark.parametrize("objects", range(3, 7))
@pytest.mark.parametrize("rule", RULES)
def test_the_oracle_finds_the_blickets_under_every_hypothesis_in_the_tests_it_has(objects, rule):
    """No other player could do with fewer tests in the worst case: each answers one bit."""
    game, most = Blicket(objects, rule), 0
    possible = hypotheses(objects, rule)
    for hidden_rule, blickets in possible:
        state = BlicketState(names(objects), hidden_rule, blickets, game.tests)
        while True:
            outcome = game.play(state, (game.solve(state) or [""])[0], RNG)
            state = outcome.state
            if outcome.done:
                break
        assert outcome.success
        most = max(most, len(state.tests))
    assert (
        most
        == ceil(log2(len(possible)))
        == objects + (rule == "mixed") - (rule == "two" and objects == 3)
    )
    assert most < game.tests
    limit = gym.spec("TextBlicket-v0").max_episode_steps
    assert limit is not None
    assert limit > game.tests


def oracle_wins(game: Blicket, state: BlicketState, rng: Any) -> bool:
    while True:
        state, _, done, success, _ = game.play(state, (game.solve(state) or [""])[0], rng)
        if done:
            return success


def test_with_too_few_tests_the_oracle_answers_what_is_likeliest():
    """Two tests have four results, and a different set is likeliest after each."""
    game = Blicket(tests=2)
    starts = [BlicketState(names(4), *one, left=2) for one in hypotheses(4, "mixed")]
    assert sum(oracle_wins(game, start, RNG) for start in starts) >= 4


def test_the_oracle_repeats_tests_where_there_is_noise():
    game, rng = Blicket(noise=0.2, tests=9), np.random.default_rng(0)
    assert 0.85 < np.mean([oracle_wins(game, game.initial(rng), rng) for _ in range(200)]) < 1


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from(RULES), st.lists(st.integers(0, 14), max_size=4))
def test_lookalikes_are_the_other_hypotheses_that_the_tests_leave(seed, rule, moves):
    game, rng = Blicket(rule=rule), np.random.default_rng(seed)
    state = game.initial(rng)
    for number in moves:
        state = game.play(state, game.legal(state)[number], rng).state
    others = {one for one, chance in slow_beliefs(game, state).items() if chance > 0} - {
        (state.rule, state.blickets)
    }
    found = {game.lookalike(state, np.random.default_rng(k)) for k in range(12 * len(others) + 1)}
    drawn_ones = {(s.rule, s.blickets) for s in found}
    assert drawn_ones == (others or {(state.rule, state.blickets)})
    for other in found:
        assert game.solve(other) == game.solve(state)
