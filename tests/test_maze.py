"""Mazes drawn by hand, a slow walker beside the oracle, and what must stay out of sight."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maze import (
    BEHIND,
    BEND,
    HALL,
    NO_LUCK,
    ROOM,
    SPIRAL,
    cells_and_ways,
    dead_ends,
    follow,
    read,
    slow_shortest,
)

from text_envs.games.maze import Maze
from text_envs.games.maze_sight import HEADINGS

SEEDS = st.integers(0, 2**32 - 1)


# --- the oracle ---


@pytest.mark.parametrize(
    ("level", "plan"),
    [
        (BEND, "forward, turn right, forward, turn right, forward"),
        (
            SPIRAL,
            "forward, forward, turn right, forward, forward, turn right, forward, forward,"
            " turn right, forward, turn right, forward",
        ),
        (ROOM, "forward, forward, turn right, forward, forward"),
        (BEHIND, "turn left, turn left, forward"),
        (HALL, "turn right, forward, turn left, forward, forward"),
    ],
    ids=["bend", "spiral", "room", "behind", "hall"],
)
def test_the_shortest_way_out_is_known(level, plan):
    game, state = Maze(size=10, view="map"), read(level, view="map")
    assert game.solve(state) == plan.split(", ")
    assert game.start_info(state) == {"optimal_moves": len(plan.split(", "))}
    assert slow_shortest(level) == len(plan.split(", "))


@settings(deadline=None)
@given(SEEDS, st.integers(1, 7), st.integers(2, 7), st.sampled_from([0, 0.5, 1]))
def test_a_plan_is_as_short_as_a_slow_walkers(seed, rows, cols, braid):
    braid = braid if rows > 1 else 0
    game = Maze(rows=rows, cols=cols, braid=braid, view="map", max_solution=200)
    start = game.initial(np.random.default_rng(seed))
    plan = game.solve(start) or []
    wanted = slow_shortest(game.level(start))
    assert len(plan) == game.start_info(start)["optimal_moves"] == wanted
    before = follow(start, plan[:-1])
    assert game.play(before, plan[-1], NO_LUCK)[1:4] == (1.0, True, True)


# --- mazes ---


@settings(deadline=None)
@given(SEEDS, st.integers(1, 8), st.integers(2, 8))
def test_a_perfect_maze_is_a_spanning_tree(seed, rows, cols):
    game = Maze(rows=rows, cols=cols)
    level = game.level(game.initial(np.random.default_rng(seed)))
    cells, ways = cells_and_ways(level)
    assert len(cells) == rows * cols
    assert len(ways) == 2 * (len(cells) - 1)
    reached, queue = {(0, 0)}, [(0, 0)]
    for cell in queue:
        new = {other for one, other in ways if one == cell} - reached
        reached |= new
        queue += new
    assert reached == cells


@settings(deadline=None)
@given(SEEDS, st.integers(2, 8), st.integers(2, 8), st.floats(0.05, 1))
def test_braiding_removes_its_share_of_the_dead_ends(seed, rows, cols, braid):
    perfect, braided = (
        game.level(game.initial(np.random.default_rng(seed)))
        for game in (Maze(rows=rows, cols=cols), Maze(rows=rows, cols=cols, braid=braid))
    )
    assert cells_and_ways(perfect)[1] <= cells_and_ways(braided)[1]
    stay = round(dead_ends(perfect) * (1 - braid))
    assert stay - 1 <= dead_ends(braided) <= stay  # one opening can remove two
    if braid == 1:
        assert dead_ends(braided) == 0


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_a_wholly_braided_maze_has_no_dead_end(size):
    game, rng = Maze(size=size, braid=1), np.random.default_rng(0)
    assert not any(dead_ends(game.level(game.initial(rng))) for _ in range(50))


def test_the_way_out_is_as_long_as_asked_and_fits_the_registered_budget():
    game, rng = Maze(view="map", min_solution=9, max_solution=11), np.random.default_rng(0)
    lengths = {len(game.solve(game.initial(rng)) or ()) for _ in range(200)}
    assert lengths == {9, 10, 11}
    assert Maze().max_solution <= (gym.spec("TextMaze-v0").max_episode_steps or 0)


def test_starts_and_exits_are_everywhere():
    game, rng = Maze(size=3, view="map", max_solution=50), np.random.default_rng(0)
    facts = [game.facts(game.initial(rng)) for _ in range(600)]
    assert len({(f["player"], f["facing"]) for f in facts}) == 36
    assert len({f["exit"] for f in facts}) == 9


def test_parameters_that_allow_no_maze_are_refused_with_the_remedy():
    game = Maze(size=2, min_solution=10)
    with pytest.raises(ValueError, match=r"2x2 cells has .* min_solution=10 .*; lower min_sol"):
        game.initial(np.random.default_rng(0))


# --- moves ---


def test_turning_four_times_changes_nothing():
    state = read(HALL)
    for move in ("turn left", "turn right"):
        assert follow(state, [move]) != state
        assert follow(state, [move] * 4) == state
    assert follow(state, ["turn left", "turn right"]) == state
    headings = [follow(state, ["turn right"] * k).heading for k in range(4)]
    assert [HEADINGS[h] for h in headings] == ["east", "south", "west", "north"]


def test_a_wall_stops_the_player():
    state = follow(read(HALL), ["turn left", "turn left"])
    outcome = Maze().play(state, "forward", NO_LUCK)
    assert outcome.state == state
    assert outcome[1:] == (0.0, False, False, "A wall is in the way.")


def test_a_move_can_cost_something_and_only_the_exit_pays():
    game = Maze(move_cost=0.25)
    state = read(BEND)
    rewards = []
    for move in ["turn left", "forward", "turn right", *(game.solve(state) or ())]:
        state, reward, *_ = game.play(state, move, NO_LUCK)
        rewards.append(reward)
    assert rewards == [-0.25] * 7 + [0.75]
    assert game.legal(state) == ()
    assert game.solve(state) is None
    assert "Every move costs 0.25." in game.rules
    assert "costs" not in Maze().rules


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("forward", "forward"),
        (" Turn LEFT\n", "turn left"),
        ("left", None),
        ("turn  left", None),
        ("turn left turn left", None),
        ("forward 2", None),
        ("", None),
    ],
)
def test_moves_are_read_and_nothing_is_guessed(text, move):
    assert Maze().parse(read(HALL), text) == move


# --- what is seen ---

EAST = "(east): open for 2 cells; passages: north at 1, 2"
NORTH = "(north): open for 1 cell; passages: west at 1; east at 1"
SOUTH = "(south): open for 1 cell; passages: east at 1; west at 1"
WEST = "(west): wall"


@pytest.mark.parametrize(
    ("turns", "facing", "ahead", "left", "right"),
    [
        (0, "east", EAST, NORTH, SOUTH),
        (1, "south", SOUTH, EAST, WEST),
        (2, "west", WEST, SOUTH, NORTH),
        (3, "north", NORTH, WEST, EAST),
    ],
)
def test_the_view_is_known_for_every_heading(turns, facing, ahead, left, right):
    state = follow(read(HALL), ["turn right"] * turns)
    assert Maze().text(state) == f"You face {facing}.\nAhead {ahead}\nLeft {left}\nRight {right}"


def test_the_exit_is_seen_in_a_straight_line_and_ends_it():
    state = follow(read(HALL), ["turn right", "forward", "turn left"])
    assert Maze().text(state).split("\n")[1:3] == [
        "Ahead (east): exit 2 cells away",
        "Left (north): open for 2 cells; passages: west at 2; east at 1, 2",
    ]
    there = follow(state, ["forward", "forward"])
    assert Maze().text(there).split("\n")[0] == "You are at the exit, facing east."
    past = read("#########\n#>.E....#\n#########")
    assert "Ahead (east): exit 1 cell away" in Maze().text(past)


def test_the_facts_from_inside_are_those_of_the_text():
    state = read(HALL)
    assert Maze().facts(state) == {
        "facing": "east",
        "at exit": False,
        "cells ahead": 2,
        "end ahead": "wall",
        "passages ahead": ["north at 1", "north at 2"],
        "cells left": 1,
        "end left": "wall",
        "passages left": ["west at 1", "east at 1"],
        "cells right": 1,
        "end right": "wall",
        "passages right": ["east at 1", "west at 1"],
    }
    seen = Maze().facts(follow(state, ["turn right", "forward"]))
    assert (seen["end left"], seen["cells left"], seen["passages left"]) == ("exit", 2, [])


def test_the_map_shows_everything():
    game, state = Maze(size=10, view="map"), read(HALL, view="map")
    assert game.text(state) == HALL.strip()
    assert game.level(state) == HALL.strip()
    facts = game.facts(state)
    assert (facts["player"], facts["exit"]) == ((1, 1), (2, 3))
    assert (facts["rows"], facts["cols"], facts["facing"]) == (3, 4, "east")
    assert facts["map"] == HALL.replace(">", ".").split()
    drawn = Maze(view="map", symbols="█·X↑→↓←")
    assert drawn.text(state).split("\n")[3] == "█·█→····█"
    assert "█ wall, · open, X exit; you are ↑ facing north" in drawn.rules


# --- what is not ---


@settings(deadline=None)
@given(SEEDS, SEEDS, st.integers(2, 6), st.integers(2, 6), st.sampled_from([0, 1]))
def test_a_lookalike_is_another_maze_with_the_same_view(seed, other_seed, rows, cols, braid):
    game = Maze(rows=rows, cols=cols, braid=braid)
    state = game.initial(np.random.default_rng(seed))
    other = game.lookalike(state, np.random.default_rng(other_seed))
    assert game.text(other) == game.text(state)
    assert game.levels(game.level(other)) == [other], "it is not a proper maze"
    assert len(other.board) == len(state.board)
    if rows * cols > 9:
        assert other != state


def test_lookalikes_differ_in_walls_place_and_exit():
    game, rng = Maze(), np.random.default_rng(0)
    (state,) = game.levels(HALL)
    others = [game.lookalike(state, rng) for _ in range(60)]
    assert len({other.board for other in others}) > 15
    assert len({other.board.index(b"E") for other in others}) > 3
    (lost,) = game.levels("#########\n#^#E....#\n#.#####.#\n#.......#\n#########")
    assert len({game.lookalike(lost, rng).player for _ in range(60)}) > 3


def test_where_everything_is_in_sight_there_is_no_lookalike():
    state = read("#####\n#>.E#\n#####")
    assert Maze().lookalike(state, NO_LUCK) == state
    on_a_map = read(HALL, view="map")
    assert Maze(view="map").lookalike(on_a_map, NO_LUCK) == on_a_map


def test_the_length_of_the_way_out_is_told_on_the_map_alone():
    _, inside = gym.make("TextMaze-v0").reset(seed=1)
    _, seen = gym.make("TextMaze-v0", view="map").reset(seed=1)
    assert inside["optimal_moves"] == -1
    assert seen["optimal_moves"] > 0
    assert Maze().hidden
    assert not Maze(view="map").hidden
