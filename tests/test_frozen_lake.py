"""FrozenLake against Gymnasium's, against slow recomputations, and against its own word."""

import inspect
from collections import defaultdict
from math import sqrt
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import MAPS, FrozenLakeEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_frozen_lake import (
    at,
    branches,
    breadth_first,
    lakes,
    slow_q,
    slow_values,
    state_of,
    stepped,
)

from text_envs.game import Outcome
from text_envs.games.frozen_lake import MOVES, FrozenLake, shortest

# --- Gymnasium's FrozenLake-v1 ---


def merged(transitions):
    """(next, reward, done) -> probability, outcomes that come twice added up."""
    total = defaultdict(float)
    for chance, *outcome in transitions:
        total[tuple(outcome)] += chance
    return {outcome: chance for outcome, chance in total.items() if chance > 0}


CLASSIC = [
    ({"is_slippery": False}, 1.0),
    ({"is_slippery": True}, 1 / 3),
    ({"is_slippery": True, "success_rate": 0.8}, 0.8),
    ({"is_slippery": True, "success_rate": 0.05}, 0.05),
]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("options", "success_rate"), CLASSIC)
def test_every_transition_is_gymnasiums(name, options, success_rate):
    if not options.keys() <= inspect.signature(FrozenLakeEnv).parameters.keys():
        pytest.skip("this Gymnasium has no success_rate")
    theirs: Any = gym.make("FrozenLake-v1", map_name=name, **options).unwrapped
    lake = MAPS[name]
    game = FrozenLake(size=len(lake), success_rate=success_rate)
    (start,) = game.levels("\n".join(lake))
    assert start.player == 0
    for cell in range(len(lake) ** 2):
        row, col = divmod(cell, len(lake))
        here = at(lake, row, col)
        for number, move in enumerate(MOVES):
            ours = []
            for chance, outcome in game.transitions(here, move):
                r, c = divmod(outcome.state.player, here.stride)
                ours.append((chance, r * len(lake) + c, outcome.reward, outcome.done))
                assert outcome.success == (outcome.done and outcome.reward == 1)
            assert merged(ours) == pytest.approx(merged(theirs.P[cell][number])), (cell, move)


# --- play ---


@settings(deadline=None)
@given(lakes(), st.sampled_from(MOVES))
def test_a_sure_move_is_the_slow_steppers(lake, move):
    state = state_of(lake)
    place = divmod(state.player, state.stride)
    outcome = FrozenLake(size=5).play(state, move, np.random.default_rng(0))
    ours = divmod(outcome.state.player, state.stride), outcome.reward, outcome.done
    assert ours == stepped(lake, place, move)
    assert outcome.state.board == state.board


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from(MOVES))
def test_slips_are_as_frequent_as_promised(seed, success_rate, move):
    lake = ["FFF", "FSF", "FFG"]
    game, rng, n = FrozenLake(success_rate=success_rate), np.random.default_rng(seed), 1000
    counts = defaultdict(int)
    for _ in range(n):
        counts[divmod(game.play(state_of(lake), move, rng).state.player, 4)] += 1
    for chance, direction in branches(move, success_rate):
        share = counts.pop(stepped(lake, (1, 1), direction)[0], 0) / n
        assert abs(share - chance) <= 6 * sqrt(chance * (1 - chance) / n) + 1e-9
    assert not counts, "it went against the move"


def test_a_sure_move_draws_no_chance():
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    FrozenLake().play(state_of(["SFG"]), "right", rng)
    assert rng.bit_generator.state == before
    assert not FrozenLake().stochastic
    assert FrozenLake(success_rate=0.999).stochastic


def test_a_finished_game_has_no_moves_left():
    game, lake = FrozenLake(), ["SHG"]
    for col, text in ((1, "_XG"), (2, "_O√")):
        over = at(lake, 0, col)
        assert game.legal(over) == ()
        assert game.parse(over, "left") is None
        assert game.solve(over) is None
        assert game.text(over) == text


# --- maps ---


@settings(deadline=None)
@given(lakes())
def test_the_shortest_way_is_that_of_a_plain_search(lake):
    state, wanted = state_of(lake), breadth_first(lake)
    assert shortest(state) == wanted
    plan = FrozenLake(size=5).solve(state)
    assert (None if plan is None else len(plan)) == wanted


def test_no_4x4_map_needs_more_than_10_moves():
    """All 2^16 boards at once, from every start: the farthest cell that can be reached at all."""
    free = np.arange(2**16, dtype=np.uint32)
    longest = 0
    for start in range(16):
        reached, moves = free & np.uint32(1 << start), 0
        while True:
            spread = (reached << 1) & 0xEEEE | (reached >> 1) & 0x7777 | reached << 4 | reached >> 4
            spread = (spread | reached) & free
            if (spread == reached).all():
                break
            reached, moves = spread, moves + 1
        longest = max(longest, moves)
    assert longest == 10


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 7),
    st.integers(1, 7),
    st.floats(0.7, 1),
    st.booleans(),
)
def test_generated_maps_are_what_was_asked_for(seed, rows, cols, frozen, fixed):
    game = FrozenLake(rows=rows, cols=cols, frozen=frozen, fixed_corners=fixed)
    start = game.initial(np.random.default_rng(seed))
    facts = game.facts(start)
    assert (facts["rows"], facts["cols"]) == (rows, cols)
    assert start.board.count(b"G") == 1
    assert facts["player"] != facts["goal"]
    if fixed:
        assert (facts["player"], facts["goal"]) == ((0, 0), (rows - 1, cols - 1))
    plan, outcome = game.solve(start) or [], Outcome(start, 0.0)
    assert len(plan) == game.start_info(start)["optimal_moves"]
    for move in plan:
        outcome = game.play(outcome.state, move, np.random.default_rng(0))
    assert outcome[1:4] == (1, True, True)


def test_start_goal_and_holes_are_spread_as_they_should_be():
    game, rng, n = FrozenLake(frozen=0.9), np.random.default_rng(0), 4000
    starts, goals, holes = defaultdict(int), defaultdict(int), 0
    for _ in range(n):
        facts = game.facts(game.initial(rng))
        starts[facts["player"]] += 1
        goals[facts["goal"]] += 1
        holes += len(facts["holes"])
    for places in (starts, goals):  # maps without a way are drawn again, so nearly uniform
        assert len(places) == 16
        assert min(places.values()) > 0.7 * n / 16
        assert max(places.values()) < 1.3 * n / 16
    assert 0.085 < holes / (14 * n) < 0.1
    assert b"O" not in FrozenLake(frozen=1).initial(rng).board


# --- the oracle on slippery ice ---


@settings(max_examples=15, deadline=None)
@given(lakes(max_side=4), st.sampled_from([0.0, 1 / 3, 0.5, 0.8, 1.0]))
def test_values_and_policy_are_those_of_a_slow_dynamic_program(lake, success_rate):
    state = state_of(lake)
    game = FrozenLake(size=5, success_rate=success_rate)
    values, policy = game.values(state), game.policy(state)
    wanted = slow_values(lake, success_rate)
    places = {i: divmod(i, state.stride) for i, code in enumerate(state.board) if code != 10}
    assert values == pytest.approx({i: wanted[p] for i, p in places.items()}, abs=1e-7)
    assert set(policy) == {i for i, (r, c) in places.items() if lake[r][c] in "SF"}
    for cell, move in policy.items():
        q = slow_q(lake, wanted, places[cell], success_rate)
        assert q[move] >= max(q.values()) * (1 - 1e-5)


@settings(max_examples=25, deadline=None)
@given(lakes(max_side=4), st.sampled_from([1 / 3, 0.8]))
def test_a_slippery_plan_is_the_policys_likeliest_way(lake, success_rate):
    state = state_of(lake)
    game = FrozenLake(size=5, success_rate=success_rate)
    policy, plan = game.policy(state), game.solve(state)
    likeliest = {state.player: 1.0}  # by relaxation: the most probable way from the start
    for _ in state.board:
        for cell, chance in list(likeliest.items()):
            if cell not in policy:
                continue
            for p, outcome in game.transitions(state._replace(player=cell), policy[cell]):
                after = outcome.state.player
                likeliest[after] = max(likeliest.get(after, 0), chance * p)
    goal = state.board.index(b"G")
    if plan is None:
        assert goal not in likeliest
        return
    ways = {state.player: 1.0}  # the plan's own most probable way, by Viterbi
    for move in plan:
        onward = defaultdict(float)
        for cell, chance in ways.items():
            if cell in policy and policy[cell] == move:
                for p, outcome in game.transitions(state._replace(player=cell), move):
                    onward[outcome.state.player] = max(onward[outcome.state.player], chance * p)
        ways = onward
    assert ways[goal] == pytest.approx(likeliest[goal])


def test_the_classic_lake_has_its_known_best_policy():
    """Sutton and Barto style: from the start of the slippery 4x4 map, hug the left edge."""
    game = FrozenLake(success_rate=1 / 3)
    (start,) = game.levels("\n".join(MAPS["4x4"]))
    policy = game.policy(start)
    assert [policy[i * 5] for i in range(3)] == ["left", "left", "up"]
    assert (game.solve(start) or [""])[0] == policy[start.player]
