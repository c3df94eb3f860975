"""The bandit: what it pays, what it hides, what counts as success."""

import re
from itertools import product
from math import sqrt
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.games.bandit import HIGH, LOW, MAX_NAME, NAMES, Bandit, BanditState, Pay

PAIR = BanditState(("clerk", "pirate"), (LOW, HIGH), left=1)
SEEDS = st.integers(0, 2**32 - 1)


def pulled(game, state, moves, seed=0):
    """The outcomes of a list of moves."""
    rng, outcomes = np.random.default_rng(seed), []
    for move in moves:
        outcomes.append(game.play(state, move, rng))
        state = outcomes[-1].state
    return outcomes


# --- names ---


def test_lists_of_names_are_long_enough_and_disjoint():
    every = [name for lists in NAMES.values() for names in lists for name in names]
    assert len(set(every)) == len(every)
    assert all(len(names) >= 20 for lists in NAMES.values() for names in lists)
    for name in every:
        assert re.fullmatch(r"[a-z]+( [a-z]+)?", name)
        assert len(name) <= MAX_NAME
    words = {
        split: {w for names in NAMES[split] for n in names for w in n.split()} for split in NAMES
    }
    assert not words["train"] & words["test"]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_daring_name_has_the_high_arm_unless_reversed(names, reverse):
    game, rng = Bandit(names=names, reverse=reverse), np.random.default_rng(0)
    first, seen = 0, set()
    for _ in range(1000):
        state = game.initial(rng)
        cautious = state.arms[0] in NAMES[names][0]
        assert (state.arms[0] in NAMES[names][1]) != cautious
        assert state.arms[1] in NAMES[names][cautious]
        low_first = cautious != reverse
        assert state.pays == ((LOW, HIGH) if low_first else (HIGH, LOW))
        assert state.best == state.arms[low_first]
        first += low_first
        seen.update(state.arms)
    assert 420 < first < 580
    assert seen == set(NAMES[names][0] + NAMES[names][1])


# --- payouts ---


def test_the_low_arm_always_pays_a_little_and_the_high_arm_now_and_then_a_lot():
    game, rng, n = Bandit(), np.random.default_rng(0), 4000
    low = [game.play(PAIR, "clerk", rng).reward for _ in range(n)]
    high = [game.play(PAIR, "pirate", rng).reward for _ in range(n)]
    assert set(low) == {0.1}
    assert set(high) == {0.0, 1.0}
    assert abs(np.mean(high) - 0.25) < 5 * sqrt(0.25 * 0.75 / n)


@settings(deadline=None)
@given(SEEDS, st.integers(3, 20))
def test_many_arms_have_different_hidden_chances(seed, arms):
    state = Bandit(pulls=5, arms=arms).initial(np.random.default_rng(seed))
    assert len(set(state.arms)) == len(set(state.pays)) == len(state.arms) == arms
    assert all(pay.amount == 1 and 0.01 <= pay.chance <= 0.99 for pay in state.pays)
    assert max(pay.chance for pay in state.pays) == state.pays[state.arms.index(state.best)].chance


def test_names_of_many_arms_tell_nothing():
    game, rng, best = Bandit(arms=6), np.random.default_rng(1), []
    for _ in range(1000):
        best.append(game.initial(rng).best in NAMES["train"][1])
    assert 420 < sum(best) < 580


def test_a_group_shares_the_prompt_and_not_the_luck():
    env: Any = gym.make("text_envs:TextBandit-v0", pulls=20)
    starts, paid = set(), set()
    for noise_seed in range(8):
        start, info = env.reset(seed=5, options={"noise_seed": noise_seed})
        starts.add((start, info["rules"]))
        high = env.unwrapped.solve()[0]
        paid.add(tuple(env.step(high)[1] for _ in range(20)))
    assert len(starts) == 1
    assert len(paid) > 1


# --- success ---


@pytest.mark.parametrize("pulls", [1, 2, 3, 4])
def test_success_is_a_majority_of_pulls_of_the_best_arm_told_at_the_end(pulls):
    game, start = Bandit(pulls=pulls), PAIR._replace(left=pulls)
    for moves in product(start.arms, repeat=pulls):
        outcomes = pulled(game, start, moves, seed=len(set(moves)))
        assert [o.done for o in outcomes] == [False] * (pulls - 1) + [True]
        assert not any(o.success for o in outcomes[:-1])
        assert outcomes[-1].success == (moves.count("pirate") > pulls / 2)
        assert outcomes[-1].state.history == tuple(
            (move, outcome.reward) for move, outcome in zip(moves, outcomes, strict=True)
        )


def test_the_oracle_pulls_the_best_arm_to_the_end():
    game, start = Bandit(pulls=3), PAIR._replace(left=3)
    assert game.solve(start) == ["pirate"] * 3
    assert game.start_info(start) == {"optimal_moves": 3}
    end = pulled(game, start, ["clerk", "pirate", "pirate"])[-1].state
    assert game.solve(end) is None
    assert game.legal(end) == ()
    assert game.parse(end, "pirate") is None


# --- what the player sees ---


@settings(deadline=None)
@given(SEEDS, st.sampled_from([(2, 1), (2, 6), (5, 6)]), st.lists(st.integers(0, 4), max_size=5))
def test_how_arms_pay_is_nowhere_to_be_seen(seed, shape, moves):
    game = Bandit(arms=shape[0], pulls=shape[1])
    state = game.initial(np.random.default_rng(seed))
    for number in moves[: state.left - 1]:
        state = game.play(state, state.arms[number % shape[0]], np.random.default_rng(seed)).state
    other = state._replace(pays=state.pays[::-1])
    for shown in (game.text, game.facts, game.info, game.start_info, game.legal):
        assert shown(state) == shown(other)
    assert Bandit(reverse=True).rules == Bandit().rules


def test_text_adds_up_what_every_arm_has_paid():
    game = Bandit(pulls=4)
    history = (("pirate", 1.0), ("clerk", 0.1), ("pirate", 0.0))
    state = PAIR._replace(left=1, history=history, totals=((1, 0.1), (2, 1.0)))
    assert game.text(state) == (
        "Arms: clerk, pirate\n"
        "Pulls left: 1\n"
        "clerk: 1 pull, 0.1 on average\n"
        "pirate: 2 pulls, 0.5 on average"
    )
    assert game.text(PAIR) == "Arms: clerk, pirate\nPulls left: 1"
    assert game.play(state, "clerk", np.random.default_rng(0)).note == "clerk pays 0.1."
    facts = {
        "arms": ["clerk", "pirate"],
        "pulls_left": 1,
        "pulls of clerk": 1,
        "total of clerk": 0.1,
    }
    assert game.facts(state) == {**facts, "pulls of pirate": 2, "total of pirate": 1.0}


@given(SEEDS, st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_totals_are_what_the_history_adds_up_to(seed, moves):
    game = Bandit(arms=5, pulls=len(moves))
    start = game.initial(np.random.default_rng(seed))
    end = pulled(game, start, [start.arms[k] for k in moves], seed)[-1].state
    paid = [[reward for arm, reward in end.history if arm == name] for name in start.arms]
    assert end.totals == tuple((len(rewards), sum(rewards)) for rewards in paid)


def test_the_longest_text_stays_within_its_bound():
    arms = tuple(chr(97 + i) * MAX_NAME for i in range(20))
    history = tuple((arm, -999.123456) for arm in arms * 50)[1:]
    totals = tuple((50 - (k == 0), -999.123456 * 50) for k in range(20))
    state = BanditState(arms, (HIGH,) * 20, 1, history, totals)
    assert len(Bandit(pulls=1000, arms=20).text(state)) <= Bandit(pulls=1000, arms=20).max_text


@pytest.mark.parametrize("text", ["lion tamer", " Lion  Tamer\n", "LION\tTAMER"])
def test_a_name_is_read_in_any_case_and_spacing(text):
    state = BanditState(("lion tamer", "notary"), (HIGH, LOW), 1)
    assert Bandit().parse(state, text) == "lion tamer"


@pytest.mark.parametrize("text", ["", "lion", "tamer lion", "liontamer", "notary lion tamer", "0"])
def test_anything_else_is_no_move(text):
    state = BanditState(("lion tamer", "notary"), (HIGH, LOW), 1)
    assert Bandit().parse(state, text) is None


def test_rules_follow_the_parameters():
    assert "one pull" in Bandit().rules
    assert "7 pulls" in Bandit(pulls=7).rules
    assert "character of its name" in Bandit().rules
    many = Bandit(arms=5).rules
    assert "5 arms" in many
    assert "names mean nothing" in many


# --- levels ---


@settings(deadline=None)
@given(SEEDS, st.integers(2, 20))
def test_levels_carry_the_hidden_payouts(seed, arms):
    game = Bandit(pulls=3, arms=arms)
    state = game.initial(np.random.default_rng(seed))
    assert game.levels(game.level(state)) == [state]


def test_levels_are_plain_text():
    game, text = Bandit(), "clerk: 0.1 with chance 1.0\npirate: 1.0 with chance 0.25"
    assert game.level(PAIR) == text
    other = text.replace("1.0 with chance 0.25", "-3 with chance .5")
    assert game.levels(f"\n{text}\n\n\n {other}\n") == [
        PAIR,
        PAIR._replace(pays=(LOW, Pay(-3.0, 0.5))),
    ]


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        (
            "clerk: 1 with chance 1",
            "level 1: the number of arms is 1, but this environment was made with arms=2",
        ),
        (
            "clerk: 1 with chance 1\npirate: 1 with chance 0\nbaker: 1 with chance 0",
            "level 1: the number of arms is 3, but this environment was made with arms=2",
        ),
        ("clerk pays 1", "level 1: 'clerk pays 1' is not an arm; write"),
        ("Clerk: 1 with chance 1", "is not an arm"),
        (f"{'a' * 25}: 1 with chance 1", "is not an arm"),
        ("clerk: one with chance 1", "has an amount or a chance that is no number"),
        ("clerk: 1 with chance 1.5", "a chance from 0 to 1"),
        ("clerk: nan with chance 1", "must have an amount from -1000 to 1000"),
        ("clerk: 1 with chance nan", "a chance from 0 to 1"),
        ("clerk: 1e9 with chance 1", "must have an amount from -1000 to 1000"),
        ("clerk: 1 with chance 1\nclerk: 1 with chance 0", "level 1: 'clerk' is there twice"),
        ("clerk: 1 with chance 1\npirate: 1 with chance 1", "two arms share the highest mean, 1"),
        (
            "clerk: 1 with chance 1\npirate: 1 with chance 0\n\nclerk: 1 with chance 1\nx",
            "level 2: 'x' is not an arm",
        ),
    ],
)
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        Bandit().levels(level)


@pytest.mark.parametrize(
    "params",
    [
        {"pulls": 0},
        {"pulls": 1001},
        {"pulls": 1.0},
        {"arms": 1},
        {"arms": 21},
        {"arms": "two"},
        {"names": "validation"},
        {"arms": 3, "reverse": True},
    ],
)
def test_a_bad_parameter_is_named(params):
    name, value = list(params.items())[-1]
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r}")):
        Bandit(**params)
