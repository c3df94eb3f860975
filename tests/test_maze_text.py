"""Levels, parameters and pictures of mazes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maze import BEND, HALL, NO_LUCK, follow, read

from text_envs.games.maze import Maze

SEEDS = st.integers(0, 2**32 - 1)

# --- levels ---


def test_levels_are_read_with_dots_or_spaces_and_written_with_dots():
    game = Maze(size=10)
    spaced = HALL.replace(".", " ")
    assert game.levels(spaced + "\n" + BEND) == [read(HALL), read(BEND)]
    assert game.level(read(BEND)) == BEND.strip()
    assert game.levels(" \n") == []


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("#####\n#>xE#\n#####", "level 1: has 'x'; a map is written with #, . (or a space), E"),
        ("#####\n#>.E#\n####", "level 1: row 2 has 4 characters, row 0 has 5"),
        ("####\n#>E#\n####", "level 1: has 3 rows and 4 columns; walls and cells take turns"),
        ("#####", "level 1: has 1 rows and 5 columns; walls and cells take turns"),
        ("#####\n#..E#\n#####", "level 1: has 0 of ^ > v < (the player) and 1 of E"),
        ("#####\n#>.<#\n#####", "level 1: has 2 of ^ > v < (the player) and 0 of E"),
        (BEND + "\n#####\n#>.E.\n#####", "level 2: the border is open at row 1, column 4"),
        ("#####\n#>..#\n#...#\n#..E#\n#####", "row 2, column 2 (from zero) is a corner post"),
        ("#####\n#>#E#\n#.#.#\n###.#\n#####", "row 3, column 1 (from zero) is a cell and must be"),
        ("#####\n#.>E#\n#####", "level 1: '>' is at row 1, column 2 (from zero), between two"),
        ("#####\n#>#E#\n#####", "level 1: has no way from the player to E"),
        (
            HALL,
            "level 1: has 3x4 cells, more than the environment's 3x3; make it with rows=3, cols=4",
        ),
    ],
)
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        Maze(size=3).levels(level)


# --- parameters ---


@pytest.mark.parametrize(
    "params",
    [
        {"size": 0},
        {"size": 41},
        {"rows": 2.0},
        {"cols": "5"},
        {"view": "above"},
        {"braid": 1.5},
        {"braid": float("nan")},
        {"rows": 1, "braid": 0.5},
        {"move_cost": -0.1},
        {"move_cost": None},
        {"max_solution": 0},
        {"min_solution": "2"},
        {"max_solution": 3, "min_solution": 4},
        {"symbols": "#.E^>v"},
        {"symbols": "##E^>v<"},
        {"symbols": "# E^>v<"},
        {"symbols": 7},
    ],
)
def test_a_bad_parameter_is_named(params):
    name, value = list(params.items())[-1]
    with pytest.raises(ValueError, match=f"{name}={re.escape(repr(value))}"):
        Maze(**params)


def test_a_maze_of_one_cell_is_refused():
    with pytest.raises(ValueError, match="1x1"):
        Maze(size=1)


# --- pictures ---


@pytest.fixture
def draw():
    return pytest.importorskip("renderers").draw


@pytest.mark.parametrize("tile", [8, 16, 32])
def test_pictures_are_whole_tiles_and_the_callers_own(draw, tile):
    state = read(HALL)
    inside, seen = draw(state, tile), draw(state._replace(inside=False), tile)
    assert inside.shape == (9 * tile, 16 * tile, 3)
    assert seen.shape == (7 * tile, 9 * tile, 3)
    for picture, again in ((inside, state), (seen, state._replace(inside=False))):
        kept = picture.copy()
        assert picture.dtype == np.uint8
        assert picture.std() > 10
        picture[:] = 7
        assert np.array_equal(draw(again, tile), kept)


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.lists(st.sampled_from(["forward", "turn left", "turn right"]), max_size=12))
def test_the_picture_from_inside_shows_what_the_text_tells(seed, moves):
    renderers = pytest.importorskip("renderers")
    game, rng = Maze(), np.random.default_rng(seed)
    pictures: dict[str, bytes] = {}
    for _ in range(3):
        state = game.initial(rng)
        for move in [*moves, "turn left"]:
            picture = renderers.draw(state, 12).tobytes()
            assert pictures.setdefault(game.text(state), picture) == picture
            assert renderers.draw(game.lookalike(state, rng), 12).tobytes() == picture
            if not game.legal(state):
                break
            state = game.play(state, move, NO_LUCK).state
    assert len(set(pictures.values())) == len(pictures)


def test_the_map_shows_place_heading_and_exit(draw):
    state = read(HALL, view="map")
    poses = [state._replace(heading=h) for h in range(4)]
    exit = state.board.index(b"E")
    poses += [state._replace(player=exit, heading=h) for h in range(4)]
    poses += [state._replace(player=state.player + 2)]
    assert len({draw(pose, 16).tobytes() for pose in poses}) == 9
    changed = draw(poses[0], 16) != draw(poses[1], 16)
    changed[3 * 16 : 4 * 16, 3 * 16 : 4 * 16] = False
    assert not changed.any()


def test_a_long_corridor_is_drawn(draw):
    level = f"{'#' * 41}\n#>{'.' * 37}E#\n{'#' * 41}"
    (state,) = Maze(rows=1, cols=20).levels(level)
    near = follow(state, ["forward"] * 12)
    assert draw(state, 16).shape == draw(near, 16).shape
    assert not np.array_equal(draw(state, 16), draw(near, 16))
