"""The blicket detector: its rules, what experiments tell, and the oracle over every hypothesis."""

import re
from itertools import combinations
from math import ceil, log2, sqrt
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
NAMES = ("red cube", "blue ball", "green cone", "white ring")
LEVEL = "red cube, blue ball, green cone, white ring\ntwo: blue ball, white ring"
GAME = Blicket()
(START,) = GAME.levels(LEVEL)


def played(game: Blicket, state: BlicketState, *moves: str, rng: Any = RNG) -> list[Any]:
    """The outcomes of these moves, one after the other."""
    outcomes = []
    for move in moves:
        outcomes.append(game.play(state, move, rng))
        state = outcomes[-1].state
    return outcomes


def names(objects: int) -> tuple[str, ...]:
    return tuple(f"{COLOURS[i]} {SHAPES[i]}" for i in range(objects))


# --- the machine ---


@pytest.mark.parametrize(
    ("rule", "blickets", "lit"),
    [  # which of {}, a, b, ab, c, ac, bc, abc light the machine up
        ("any", 0b001, (0, 1, 0, 1, 0, 1, 0, 1)),
        ("any", 0b110, (0, 0, 1, 1, 1, 1, 1, 1)),
        ("any", 0b111, (0, 1, 1, 1, 1, 1, 1, 1)),
        ("two", 0b011, (0, 0, 0, 1, 0, 0, 0, 1)),
        ("two", 0b110, (0, 0, 0, 0, 0, 0, 1, 1)),
        ("two", 0b111, (0, 0, 0, 1, 0, 1, 1, 1)),
    ],
)
def test_what_lights_the_machine_up(rule, blickets, lit):
    assert tuple(lights_up(rule, blickets, placed) for placed in range(8)) == lit


@pytest.mark.parametrize("objects", range(3, 7))
def test_no_two_hypotheses_make_the_same_machine_and_none_stays_dark(objects):
    possible = hypotheses(objects, "mixed")
    assert len(hypotheses(objects, "any")) == 2**objects - 1
    assert len(hypotheses(objects, "two")) == 2**objects - 1 - objects
    assert set(possible) == {*hypotheses(objects, "any"), *hypotheses(objects, "two")}
    machines = {tuple(lights_up(*one, placed) for placed in sets(objects)) for one in possible}
    assert len(machines) == len(possible)
    assert all(any(machine) for machine in machines)


def test_every_hypothesis_is_drawn_equally_often():
    rng, n = np.random.default_rng(0), 2600
    drawn = [GAME.initial(rng) for _ in range(n)]
    counts = dict.fromkeys(hypotheses(4, "mixed"), 0)
    for state in drawn:
        counts[state.rule, state.blickets] += 1
        assert len({name.split()[0] for name in state.objects}) == 4
        assert len({name.split()[1] for name in state.objects}) == 4
    assert max(abs(count - n / 26) for count in counts.values()) < 4.5 * sqrt(n / 26)
    assert {name for state in drawn for name in state.objects} == {
        f"{colour} {shape}" for colour in COLOURS for shape in SHAPES
    }


# --- scripted games ---


def test_a_whole_game():
    outcomes = played(
        GAME,
        START,
        "test blue ball",
        "test red cube, blue ball, white ring",
        "answer blue ball, white ring",
    )
    assert [o.note for o in outcomes] == [
        "The machine stays dark.", "The machine lights up.", "Right.",
    ]  # fmt: skip
    assert [(o.reward, o.done, o.success) for o in outcomes] == [
        (0, False, False), (0, False, False), (1, True, True),
    ]  # fmt: skip
    assert GAME.text(outcomes[-1].state) == (
        "Objects: red cube, blue ball, green cone, white ring\n"
        "Tests left: 4\n"
        "1. blue ball: stays dark\n"
        "2. red cube, blue ball, white ring: lights up\n"
        "Answer: blue ball, white ring"
    )
    assert GAME.facts(outcomes[-1].state) == {
        "objects": list(NAMES),
        "tests left": 4,
        "test 1": ["blue ball"],
        "result 1": "dark",
        "test 2": ["red cube", "blue ball", "white ring"],
        "result 2": "lit",
        "answer": ["blue ball", "white ring"],
    }
    assert GAME.solve(outcomes[-1].state) is None


@pytest.mark.parametrize("answer", ["blue ball", "white ring, green cone", ", ".join(NAMES)])
def test_only_the_exact_set_is_right(answer):
    move = GAME.parse(START, f"answer {answer}")
    assert move is not None
    (outcome,) = played(GAME, START, move)
    assert outcome[1:] == (0, True, False, "Wrong.")
    assert GAME.legal(outcome.state) == ()
    assert GAME.parse(outcome.state, move) is None


def test_without_tests_left_only_an_answer_is_legal():
    game = Blicket(tests=1, test_cost=0.25)
    state = game.levels(LEVEL)[0]
    assert len(game.legal(state)) == 30
    (outcome,) = played(game, state, "test red cube")
    assert outcome.reward == -0.25
    legal = game.legal(outcome.state)
    assert len(legal) == 15
    assert all(move.startswith("answer ") for move in legal)
    assert game.parse(outcome.state, "test red cube") is None
    assert (game.solve(outcome.state) or [""])[0] in legal
    assert game.text(outcome.state).splitlines()[1] == "Tests left: 0"


def test_legal_moves_are_all_sets_small_ones_first():
    legal = GAME.legal(START)
    wanted = [", ".join(c) for size in range(1, 5) for c in combinations(NAMES, size)]
    assert legal == (*(f"test {w}" for w in wanted), *(f"answer {w}" for w in wanted))


@pytest.mark.parametrize(
    "text",
    [
        "test red cube, blue ball, white ring",
        "TEST White Ring, RED cube,blue ball",
        "  test\tblue ball and white ring and red cube\n",
        "test white  ring , blue ball, and red cube",
        "test blue ball, red cube and white ring",
    ],
)
def test_a_set_is_read_in_any_order(text):
    assert GAME.parse(START, text) == "test red cube, blue ball, white ring"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "test",
        "answer",
        "red cube",
        "test cube",
        "test red cube blue ball",
        "test red cube, red cube",
        "test red cube, pink cube",
        "test red cube,",
        "test and red cube",
        "test red cube or blue ball",
        "test none",
        "answer test red cube",
        "test red cube, answer red cube",
        "tests red cube",
        "test red cube. answer red cube",
    ],
)
def test_anything_else_is_no_move(text):
    assert GAME.parse(START, text) is None


# --- noise ---


def test_a_noisy_machine_fails_now_and_then_and_never_lights_without_cause():
    game, rng, n = Blicket(noise=0.25), np.random.default_rng(0), 4000
    both = [game.play(START, "test blue ball, white ring", rng).state.tests[0][1] for _ in range(n)]
    assert abs(np.mean(both) - 0.75) < 4.5 * sqrt(0.25 * 0.75 / n)
    one = [game.play(START, "test red cube, blue ball", rng).state.tests[0][1] for _ in range(500)]
    assert not any(one)
    assert game.stochastic
    assert not GAME.stochastic


# --- what experiments tell ---


def slow_beliefs(game: Blicket, state: BlicketState) -> dict[Any, float]:
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
    starts = [BlicketState(NAMES, *one, left=2) for one in hypotheses(4, "mixed")]
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


# --- rules, parameters, levels ---


def test_rules_follow_the_parameters():
    assert "you are not told which" in GAME.rules
    assert "you have 6 tests." in GAME.rules
    assert "at least two" not in Blicket(rule="any").rules
    two = Blicket(rule="two", tests=1, noise=0.125, test_cost=0.05).rules
    assert "There are at least two blickets." in two
    assert "you have one test. Each costs 0.05." in two
    assert "with probability 0.125" in two
    assert "fail" not in GAME.rules
    assert "costs" not in GAME.rules


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"objects": 2}, "objects=2 must be a whole number from 3 to 6"),
        ({"objects": 7}, "objects=7 must be a whole number from 3 to 6"),
        ({"objects": 4.0}, "objects=4.0 must be a whole number"),
        ({"rule": "all"}, "rule='all' is not one of any, two, mixed"),
        ({"tests": 0}, "tests=0 must be a whole number from 1 to 20, or None"),
        ({"tests": 21}, "tests=21 must be a whole number from 1 to 20"),
        ({"noise": -0.1}, "noise=-0.1 must be a number from 0 to 0.9"),
        ({"noise": 1}, "noise=1 must be a number from 0 to 0.9"),
        ({"noise": float("nan")}, "noise=nan must be a number"),
        ({"test_cost": 2}, "test_cost=2 must be a number from 0 to 1"),
        ({"test_cost": "free"}, "test_cost='free' must be a number from 0 to 1"),
    ],
)
def test_a_bad_parameter_is_named(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Blicket(**params)


def test_levels_carry_what_is_hidden():
    assert BlicketState(NAMES, "two", 0b1010, 6) == START
    assert GAME.level(START) == LEVEL
    other = LEVEL.replace("two: blue ball, white ring", "any: white ring, red cube")
    assert GAME.levels(f"\n{LEVEL}\n\n\n {other} \n") == [
        START,
        START._replace(rule="any", blickets=0b1001),
    ]


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("red cube", "level 1: has 1 lines; write two"),
        (f"{LEVEL}\n\nred cube, red ball", "level 2: has 1 lines"),
        ("pink cube, red ball\nany: red ball", "level 1: 'pink cube' is no object; write a colour"),
        ("red cube, red cube\nany: red cube", "an object is there twice"),
        ("red cube, red ball\nany: red ball", "the number of objects is 2, but this environment"),
        (LEVEL.replace("two", "all"), "the rule is 'all', but this environment was made with"),
        (LEVEL.replace("two: blue ball", "two: red ball"), "the blicket 'red ball' is none of"),
        (LEVEL.replace("two: blue", "two: white ring, blue"), "a blicket is there twice"),
        (LEVEL.replace("blue ball, white ring", "")[:-1], "the rule is"),
        (LEVEL.replace("two: blue ball, ", "two: "), "the rule 'two' needs at least 2 blickets"),
    ],
)
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        GAME.levels(level)


def test_a_level_keeps_to_the_environments_rule():
    with pytest.raises(ValueError, match=r"the rule is 'two', but .* rule='any'"):
        Blicket(rule="any").levels(LEVEL)
    assert Blicket(rule="two", tests=3).levels(LEVEL) == [START._replace(left=3)]


@pytest.mark.parametrize("objects", [3, 6])
def test_the_longest_text_stays_within_its_bound(objects):
    game = Blicket(objects, tests=20)
    longest = tuple(f"{colour} cylinder" for colour in sorted(COLOURS, key=len)[-objects:])
    everything = 2**objects - 1
    tests = ((everything, False),) * 20
    state = BlicketState(longest, "any", 1, 0, tests, everything)
    assert len(game.text(state)) <= game.max_text


# --- the picture ---


def drawn(state: BlicketState, tile: int = 16) -> np.ndarray:
    return pytest.importorskip("renderers").draw(state, tile)


@pytest.mark.parametrize("tile", [4, 8, 28, 32])
def test_picture_has_whole_tiles_and_one_shape(tile):
    end = played(GAME, START, "test blue ball", f"test {', '.join(NAMES)}", "answer red cube")
    assert {drawn(o.state, tile).shape for o in end} == {(11 * tile, 12 * tile, 3)}


def test_what_the_player_knows_is_in_the_picture_and_nothing_else():
    known = [
        START,
        START._replace(objects=("red ball", *NAMES[1:])),
        START._replace(objects=NAMES[::-1]),
        START._replace(left=7),
        START._replace(left=5, tests=((3, False),)),
        START._replace(left=5, tests=((3, True),)),
        START._replace(left=5, tests=((5, True),)),
        START._replace(left=4, tests=((5, True), (3, True))),
        START._replace(left=4, tests=((3, True), (3, True))),
        START._replace(left=4, tests=((3, True), (3, True)), answer=1),
        START._replace(left=4, tests=((3, True), (3, True)), answer=3),
    ]
    pictures = [drawn(state).tobytes() for state in known]
    assert len(set(pictures)) == len(known)
    for state, picture in zip(known, pictures, strict=True):
        for rule, blickets in (("any", 1), ("two", 0b0101)):
            assert drawn(state._replace(rule=rule, blickets=blickets)).tobytes() == picture


def test_every_object_is_drawn_and_looks_like_no_other():
    pytest.importorskip("renderers")
    from renderers.blicket import _cell

    cells = [_cell(f"{colour} {shape}", True, 28) for colour in COLOURS for shape in SHAPES]
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert np.abs(cell.astype(int) - other).mean() > 1
