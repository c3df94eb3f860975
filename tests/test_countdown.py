"""Countdown: what a move is worth, and what can be reached at all."""

from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.games.countdown import Countdown, CountdownState
from text_envs.games.countdown_search import find_expression
from text_envs.games.expressions import read_expression

FOUR = CountdownState((3, 3, 8, 8), 24, left=1)
RNG = np.random.default_rng(0)
SEEDS = st.integers(0, 2**32 - 1)


def reachable(numbers: list[Fraction]) -> set[Fraction]:
    """Every value over all of the numbers, by combining every pair in every way: slow and plain."""
    if len(numbers) == 1:
        return set(numbers)
    found = set()
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i != j:
                rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
                results = [a + b, a - b, a * b, *([a / b] if b else [])]
                for result in results:
                    found |= reachable([result, *rest])
    return found


# --- moves and rewards ---


def test_the_target_pays_one_and_anything_else_a_tenth():
    game = Countdown()
    after, reward, done, success, note = game.play(FOUR, "8 / (3 - 8 / 3)", RNG)
    assert (reward, done, success, after.left) == (1.0, True, True, 0)
    assert note == "8 / (3 - 8 / 3) = 24, the target."
    after, reward, done, success, note = game.play(FOUR, "8 / 3", RNG)
    assert (reward, done, success, after.left) == (0.1, True, False, 0)
    assert note == "8 / 3 = 8/3, not 24."
    assert game.solve(after) is None
    assert game.sample(after, RNG) is None
    assert game.parse(after, "8 / 3") is None


@pytest.mark.parametrize("misses", range(5))
@pytest.mark.parametrize("wins", [True, False])
def test_a_game_of_several_tries_pays_one_in_all_or_a_tenth(misses, wins):
    game, state, total = Countdown(tries=5), FOUR._replace(left=5), 0.0
    for number in range(misses):
        state, reward, done, success, _ = game.play(state, "3 + 8", RNG)
        assert (done, success, state.left) == (False, False, 4 - number)
        total += reward
    move = "8 / (3 - 8 / 3)" if wins else "8 - 3"
    state, reward, done, success, _ = game.play(state, move, RNG)
    assert total + reward == pytest.approx(1.0 if wins else 0.1)
    assert success == wins
    assert done == (wins or misses == 4)
    assert state.tried == ("3 + 8",) * misses + (move,)


@pytest.mark.parametrize(
    "text", ["8 + 8 + 8", "3 + 3 + 3", "24", "4 * 6", "8 + 88", "33 - 8", "38"]
)
def test_only_given_numbers_count_each_once(text):
    assert Countdown().parse(FOUR, text) is None


@pytest.mark.parametrize("text", ["8", "8+3", "(8-3)*(8-3)", "3+3+8+8"])
def test_some_of_the_numbers_are_enough_unless_all_are_asked_for(text):
    assert Countdown().parse(FOUR, text) is not None
    everything = Countdown(use_all=True).parse(FOUR, text)
    assert (everything is not None) == (text.count("8") + text.count("3") == 4)


def test_operations_can_be_left_out():
    game = Countdown(operations="-+")
    assert game.parse(FOUR, "8 + 3 - 8") == "8 + 3 - 8"
    assert game.parse(FOUR, "8 * 3") is None
    assert game.parse(FOUR, "8 / 3") is None
    assert "with + and - and parentheses" in game.rules


def test_an_environment_of_refused_texts():
    env: Any = gym.make("text_envs:TextCountdown-v0")
    _, info = env.reset(options={"level": "3 3 8 8 -> 24"})
    assert info["legal_actions"] is None
    assert info["optimal_moves"] == 1
    for text in ("9**9**9", "__import__('os').getcwd()", "(" * 10_000, "8 / (3 - 3)", "24"):
        observation, reward, terminated, _, info = env.step(text)
        assert (reward, terminated, info["action_is_valid"]) == (-0.1, False, False)
        assert observation.startswith("Invalid move.\nNumbers: 3, 3, 8, 8\nTarget: 24")
    *_, reward, terminated, _, info = env.step("8÷(3−8÷3)")
    assert (reward, terminated, info["success"]) == (1.0, True, True)


def test_text_and_facts_tell_what_was_tried():
    game = Countdown(tries=3)
    state = FOUR._replace(left=1, tried=("8 / 3", "3 * 8 - 8"))
    assert game.text(state) == (
        "Numbers: 3, 3, 8, 8\nTarget: 24\nTries left: 1\n8 / 3 = 8/3\n3 * 8 - 8 = 16"
    )
    assert game.facts(state) == {
        "numbers": [3, 3, 8, 8],
        "target": 24,
        "tries_left": 1,
        "tried": ["8 / 3", "3 * 8 - 8"],
        "values": ["8/3", "16"],
    }


def test_the_longest_text_stays_within_its_bound():
    numbers = (9999, 9998, 9997, 9996, 9995, 9994)
    game = Countdown(tries=100)
    products = (
        "9999 * 9998 * 9997 * 9996 * 9995 * 9994",
        "9998 / 9999 / 9997 / 9995 / 9994 / 9996",
    )
    padded = ["(" * 16 + product + ")" * 16 for product in products]
    state = CountdownState(numbers, 99_999, 100)
    for number in range(100):
        move = game.parse(state, padded[number % 2])
        assert move is not None
        state, *_, note = game.play(state, move, RNG)
        assert len(note) < 300
    assert len(game.text(state)) <= game.max_text


# --- what can be reached ---


@pytest.mark.parametrize(
    ("numbers", "target"),
    [
        ((3, 3, 8, 8), 24),
        ((1, 3, 4, 6), 24),
        ((1, 5, 5, 5), 24),
        ((3, 3, 7, 7), 24),
        ((4, 4, 7, 7), 24),
        ((2, 2, 2, 9), 24),
        ((75, 50, 2, 3, 8, 7), 812),
        ((25, 50, 75, 100, 3, 6), 952),
        ((7,), 7),
        ((2, 2, 5, 9, 5, 10), 1),
    ],
)
def test_known_instances_are_solved(numbers, target):
    game = Countdown(max_numbers=6)
    state = CountdownState(numbers, target, 1)
    (move,) = game.solve(state) or [""]
    assert game.parse(state, move) == move
    assert game.play(state, move, RNG).success


@pytest.mark.parametrize(
    ("numbers", "target"),
    [
        ((1, 1, 1, 1), 24),
        ((1, 1, 1, 7), 24),
        ((6, 7, 7, 8), 24),
        ((1, 1), 3),
        ((2, 4), 10),
        ((1, 1, 1, 1, 1, 1), 5000),
    ],
)
def test_impossible_instances_are_refused(numbers, target):
    game = Countdown()
    assert game.solve(CountdownState(numbers, target, 1)) is None
    level = f"{' '.join(map(str, numbers))} -> {target}"
    with pytest.raises(
        ValueError, match=rf"level 1: '{level}' has no solution: nothing .* {target}"
    ):
        game.levels(level)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_search_finds_a_value_if_and_only_if_it_can_be_reached(numbers):
    values = reachable([Fraction(n) for n in numbers])
    for target in range(40):
        found = find_expression(tuple(numbers), (target, 1), "+-*/", True)
        assert (found is not None) == (target in values)
        if found is not None:
            reading = read_expression(found)
            assert reading is not None
            assert reading.value == (target, 1)
            assert sorted(reading.numbers) == sorted(numbers)
            assert reading.text == found


@pytest.mark.parametrize("operations", ["+", "-", "*", "/", "+-", "*/", "-/", "+-*"])
def test_search_knows_which_operations_are_allowed(operations):
    for target in range(30):
        found = find_expression((2, 3, 4, 6, 12), (target, 1), operations, False)
        if found is not None:
            reading = read_expression(found)
            assert reading is not None
            assert reading.operations <= set(operations)
            assert reading.value == (target, 1)


def test_zero_times_anything_and_zero_by_anything_are_found():
    assert find_expression((1, 1, 7, 8), (0, 1), "*-", True) is not None
    assert find_expression((5, 5, 2, 3), (0, 1), "/-", True) is not None


@settings(max_examples=30, deadline=None)
@given(SEEDS)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"use_all": True},
        {"min_numbers": 5, "max_numbers": 5, "largest": 20, "max_target": 999},
        {"operations": "*/", "largest": 12},
        {"operations": "-", "min_target": 1},
        {"min_numbers": 2, "max_numbers": 2, "largest": 10, "operations": "+"},
    ],
)
def test_every_puzzle_has_a_solution(params, seed):
    game = Countdown(**params)
    state = game.initial(np.random.default_rng(seed))
    assert game.counts[0] <= len(state.numbers) <= game.counts[1]
    assert all(1 <= n <= game.largest for n in state.numbers)
    assert game.targets[0] <= state.target <= game.targets[1]
    assert state.target not in state.numbers
    assert find_expression(state.numbers, (state.target, 1), game.operations, True) is not None
    (move,) = game.solve(state) or [""]
    assert game.parse(state, move) == move
    assert game.play(state, move, RNG).success


@given(SEEDS, st.sampled_from(["+-*/", "-/", "/", "-"]), st.booleans())
def test_samples_are_well_formed_over_the_given_numbers(seed, operations, use_all):
    game = Countdown(operations=operations, use_all=use_all)
    rng = np.random.default_rng(seed)
    for numbers in ((3, 3, 3, 3), (1, 2, 3, 4, 5, 6), (7,)):
        state = CountdownState(numbers, 1000, 1)
        move = game.sample(state, rng)
        assert move is not None
        assert game.parse(state, move) == move


# --- levels and parameters ---


def test_levels_are_lines():
    game = Countdown(tries=2)
    assert game.level(FOUR) == "3 3 8 8 -> 24"
    both = [FOUR._replace(left=2), CountdownState((2, 5), 10, 2)]
    assert game.levels("3 3 8 8 -> 24\n2 5 -> 10") == both
    assert game.levels("\n 3  3 8 8->24 \n\n\n2 5 -> 10\n") == both


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("3 3 8 8", "is not a puzzle; write its numbers and its target as in '3 3 8 8 -> 24'"),
        ("-> 24", "is not a puzzle"),
        ("3, 8 -> 24", "is not a puzzle"),
        ("3 8 -> -5", "is not a puzzle"),
        ("３ 8 -> 24", "is not a puzzle"),
        ("1 2 3 4 5 6 7 -> 28", "has 7 numbers; at most 6 are allowed"),
        ("0 8 -> 8", "has a number that is not from 1 to 9999"),
        ("10000 8 -> 8", "has a number that is not from 1 to 9999"),
        ("3 8 -> 100000", "has the target 100000; the largest allowed is 99999"),
        ("3 8 -> 25", "has no solution: nothing over its numbers has the value 25"),
    ],
)
def test_bad_levels_are_refused(level, fault):
    with pytest.raises(ValueError, match=r"level 2: '.*'") as caught:
        Countdown().levels(f"2 5 -> 10\n{level}")
    assert fault in str(caught.value)


def test_a_refusal_says_which_rules_make_a_level_impossible():
    with pytest.raises(ValueError, match=r"operations='\+-', use_all=True"):
        Countdown(operations="+-", use_all=True).levels("3 8 -> 24")


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"min_numbers": 1}, "min_numbers=1 must be a whole number from 2 to 6"),
        ({"max_numbers": 7}, "max_numbers=7 must be a whole number from 2 to 6"),
        ({"min_numbers": 5}, "min_numbers=5 is above max_numbers=4; lower it or raise the other"),
        ({"largest": 0}, "largest=0 must be a whole number from 2 to 9999"),
        ({"min_target": 500}, "min_target=500 is above max_target=100"),
        ({"max_target": 1.5}, "max_target=1.5 must be a whole number"),
        ({"tries": 0}, "tries=0 must be a whole number from 1 to 100"),
        ({"operations": "+^"}, "operations='\\+\\^' must be some of '\\+-\\*/', each once"),
        ({"operations": ""}, "operations='' must be some of"),
        ({"operations": "++"}, "operations='\\+\\+' must be some of"),
    ],
)
def test_bad_parameters_are_refused(params, fault):
    with pytest.raises(ValueError, match=fault):
        Countdown(**params)


def test_parameters_that_allow_no_puzzle_are_said_to():
    game = Countdown(largest=2, min_target=50, operations="+")
    with pytest.raises(ValueError, match=r"no puzzle found .* largest=2, .* from 50 to 100"):
        game.initial(np.random.default_rng(0))


def test_rules_follow_the_parameters():
    assert "each number at most once, with + - * and / and" in Countdown().rules
    assert "tries" not in Countdown().rules
    assert "every number exactly once" in Countdown(use_all=True).rules
    assert "You have 7 tries." in Countdown(tries=7).rules
    only = Countdown(operations="/").rules
    assert "with / and parentheses" in only
    assert "(1 / 2) / 3" in only
