"""The blicket detector: the machine, moves, levels and picture."""

import re
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
import pytest
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
