"""Sokoban against an independent stepper on sets of coordinates, and against exhaustive search."""

import re

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_sokoban import cells_of, check_plan, distances, fast, positions, slow

import text_envs  # noqa: F401 (registers the ids)
from text_envs.games import sokoban_search
from text_envs.games.sokoban import MOVES, Sokoban
from text_envs.games.sokoban_search import Deadlocks, backward_search

SEEDS = st.integers(0, 2**32)
WALKS = st.lists(st.sampled_from(MOVES), max_size=60)
RNG = np.random.default_rng(0)  # for play, which never uses it


# --- rules ---


@given(positions(max_boxes=3), WALKS, st.booleans())
def test_play_agrees_with_the_second_stepper(case, walk, winning):
    position, rows, cols = case
    game, state = Sokoban(rows=rows, cols=cols), fast(*case)
    for move in (game.solve(state) or walk) if winning else walk:
        position, reward, done = position.play(move)
        before = state.board
        outcome = game.play(state, move, RNG)
        assert state.board == before
        assert outcome.state == fast(position, rows, cols)
        assert outcome.reward == pytest.approx(reward)
        assert outcome.done is outcome.success is done
        state = outcome.state
        assert slow(state) == position
        assert game.legal(state) == (() if done else MOVES)
        if done:
            break


@given(positions(max_boxes=4), WALKS)
def test_no_cycle_of_moves_pays(case, walk):
    game, state = Sokoban(rows=case[1], cols=case[2]), fast(*case)
    earned, total = {state: 0.0}, 0.0
    for move in walk:
        state, reward, done, _, _ = game.play(state, move, RNG)
        if done:
            break
        total += reward
        assert total < earned.get(state, np.inf)
        earned[state] = total


def test_pushing_on_and_off_a_target_pays_nothing():
    game = Sokoban(rows=5, cols=8)
    (state,) = game.levels("########\n#      #\n#@$. .$#\n#      #\n########")
    rewards = []
    for move in ("right", "right", "up", "right", "right", "down", "left", "left"):
        state, reward, *_ = game.play(state, move, RNG)
        rewards.append(reward)
    assert rewards[:2] == pytest.approx([0.9, -1.1])
    assert sum(rewards) < 0


# --- exact answers ---


@given(positions())
def test_distances_plans_and_deadlocks_are_exact_on_small_boards(case):
    start, rows, cols = case
    game = Sokoban(rows=rows, cols=cols)
    found = distances(start)
    for position, distance in found.items():
        state = fast(position, rows, cols)
        assert game.info(state) == {"deadlocked": distance is None}
        assert game.start_info(state) == {"optimal_moves": -1 if distance is None else distance}
    for position in list(found)[::17]:
        check_plan(game, fast(position, rows, cols), found[position])


@given(positions(max_boxes=3))
def test_stuck_boxes_are_lost(case):
    """The test for large boards: what it calls lost is lost."""
    start, rows, cols = case
    *scenery, _, _ = cells_of(start, rows, cols)
    test = Deadlocks(*scenery)
    for position, distance in distances(start).items():
        *_, boxes, _ = cells_of(position, rows, cols)
        assert not (test.stuck(boxes) and distance is not None)


@pytest.mark.parametrize(
    ("rows", "stuck"),
    [
        (["######", "#$   #", "#@ . #", "#    #", "######"], True),  # a corner
        (["######", "# $  #", "#@ . #", "#    #", "######"], True),  # a wall without a target
        (["######", "# $ .#", "#@   #", "#    #", "######"], False),  # a wall with one
        (["########", "#      #", "#@ $$  #", "#  $$  #", "# .... #", "########"], True),  # 2x2
        (["########", "#      #", "#@ $$  #", "#  $   #", "#  ... #", "########"], False),
        (["########", "#  #   #", "#@ $$  #", "#   #  #", "# .  . #", "########"], True),
    ],
)
def test_frozen_boxes_are_known(rows, stuck):
    game = Sokoban(rows=len(rows), cols=len(rows[0]))
    (state,) = game.levels("\n".join(rows))
    *scenery, boxes, _ = cells_of(slow(state), len(rows), len(rows[0]))
    assert Deadlocks(*scenery).stuck(boxes) is stuck


@given(SEEDS, WALKS)
def test_the_oracle_wins_from_any_winnable_position(seed, walk):
    game = Sokoban(size=7, boxes=2)
    state = game.initial(np.random.default_rng(seed))
    for move in walk:
        state, _, done, _, _ = game.play(state, move, RNG)
        if done:
            break
    lost, optimal = game.info(state)["deadlocked"], game.start_info(state)["optimal_moves"]
    assert lost is (optimal == -1)
    check_plan(game, state, None if lost else optimal)


def test_beyond_the_backward_search_a_forward_search_wins(monkeypatch):
    game = Sokoban(size=8, boxes=3, min_solution=12, max_solution=20)
    states = [game.initial(np.random.default_rng(seed)) for seed in range(12)]
    monkeypatch.setattr(sokoban_search, "MAX_EXPANSIONS", 10)
    backward_search.cache_clear()
    won = 0
    for state in states:
        plan = game.solve(state)
        if plan is not None:
            position, done = slow(state), False
            for move in plan:
                position, _, done = position.play(move)
            assert done
            won += 1
    assert won == len(states)
    monkeypatch.setattr(sokoban_search, "MAX_POSITIONS", 1)
    assert any(game.solve(state) is None for state in states)
    backward_search.cache_clear()


# --- what the player is told ---


@given(positions(max_boxes=4), st.sampled_from(["grid", "coord", "grid_coord"]))
def test_text_stays_within_its_bounds(case, observation):
    game, state = Sokoban(rows=case[1], cols=case[2], observation=observation), fast(*case)
    text = game.text(state)
    assert len(text) <= game.max_text
    assert set(text) <= game.charset


@given(positions(max_boxes=4))
def test_coordinates_name_every_place_from_zero(case):
    position, rows, cols = case
    game, state = Sokoban(rows=rows, cols=cols, observation="coord"), fast(*case)
    listed = {}
    for line in game.text(state).split("\n"):
        kind, places = line.split(": ")
        found = [tuple(map(int, p)) for p in re.findall(r"\((\d+), (\d+)\)", places)]
        assert ", ".join(map(str, found)) == places
        listed[kind] = found
    assert list(listed) == ["Player", "Boxes", "Targets", "Walls"]
    assert listed["Player"] == [position.player]
    assert listed["Boxes"] == sorted(position.boxes)
    assert listed["Targets"] == sorted(position.targets)
    assert listed["Walls"] == sorted(position.walls)
    assert game.facts(state) == {
        "player": position.player,
        "boxes": sorted(position.boxes),
        "targets": sorted(position.targets),
    }


def test_grid_and_coordinates_stand_together():
    texts = [
        Sokoban(observation=o).text(Sokoban().initial(np.random.default_rng(3)))
        for o in ("grid", "coord", "grid_coord")
    ]
    assert f"{texts[0]}\n{texts[1]}" == texts[2]


def test_the_default_symbols():
    game = Sokoban(rows=5, cols=7)
    (state,) = game.levels("#######\n#@ .$ #\n#    *#\n#     #\n#######")
    assert game.text(state) == "#######\n#P_OX_#\n#____√#\n#_____#\n#######"
    (state,) = game.levels("#######\n#+  $ #\n#     #\n#     #\n#######")
    assert game.text(state) == "#######\n#S__X_#\n#_____#\n#_____#\n#######"


@given(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=7, max_size=7).filter(
        lambda s: len(set(s)) == 7
    ),
    positions(max_boxes=4),
)
def test_symbols_rename_the_cells(symbols, case):
    plain, named = (Sokoban(rows=case[1], cols=case[2], symbols=s) for s in ("#_OX√PS", symbols))
    text, state = named.text(fast(*case)), fast(*case)
    assert text.translate(str.maketrans(symbols, "#_OX√PS")) == plain.text(state)
    assert set(text) <= named.charset
    assert all(f"{s} " in named.rules for s in symbols)
    assert named.level(state) == plain.level(state)


def test_symbols_may_be_a_mapping():
    game = Sokoban(symbols={"box": "B", "player": "@"})
    assert game.symbols == "#_OB√@S"


@pytest.mark.parametrize(
    "symbols",
    ["#_OX√P", "#_OX√PSS", "##OX√PS", "#\nOX√PS", "", {"box": "#"}, {"box": "BB"}, {"box": ""},
     {"crate": "B"}, {"box": 3}],
)  # fmt: skip
def test_bad_symbols_are_refused(symbols):
    with pytest.raises(ValueError, match="symbols"):
        Sokoban(symbols=symbols)


def test_rules_follow_the_parameters():
    grid, coord = Sokoban(rows=7, cols=9), Sokoban(rows=7, cols=9, observation="coord")
    for game in (grid, coord):
        assert "7 rows and 9 columns" in game.rules
        assert all(move in game.rules for move in MOVES)
        assert all(number in game.rules for number in ("-0.1", "+1", "-1", "+10"))
    assert "√ box on a target" in grid.rules
    assert "zero" not in grid.rules
    assert "counted from zero" in coord.rules
    assert "√" not in coord.rules


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 4}, "rows=4, cols=4.* 3 by 5"),
        ({"rows": 2}, "rows=2, cols=6.* 3 by 5"),
        ({"size": 101}, "at most 100"),
        ({"rows": 6.0}, "rows=6.0 must be a whole number"),
        ({"boxes": 0}, "boxes=0 must be"),
        ({"boxes": True}, "boxes=True must be"),
        ({"boxes": 15}, "boxes=15 do not fit.*16 cells"),
        ({"min_solution": 0}, "min_solution=0"),
        ({"min_solution": 11}, "min_solution=11 is greater than max_solution=10"),
        ({"observation": "image"}, "observation='image' is not one of 'grid'"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Sokoban(**parameters)


def test_moves_are_read_in_any_case_and_nothing_is_guessed():
    game = Sokoban()
    state = game.initial(np.random.default_rng(0))
    assert game.parse(state, "  Up\n") == "up"
    for text in ("", "u", "up down", "upp", "go up", "UP!", "\x00", "ｕｐ", "up," * 10_000):
        assert game.parse(state, text) is None


def test_info_through_gymnasium():
    env = gym.make("TextSokobanLarge-v0")
    _, info = env.reset(seed=7)
    assert 1 <= info["optimal_moves"] <= 20
    assert info["deadlocked"] is False
    plan = env.unwrapped.solve()  # pyright: ignore[reportAttributeAccessIssue]
    for move in plan:
        *_, info = env.step(move)
        assert info["deadlocked"] is False
        assert "optimal_moves" not in info
    assert info["success"] is True
    assert len(plan) <= 20
