"""FrozenLake in writing: what the player reads, levels, and parameters."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from slow_frozen_lake import (
    breadth_first,
    lakes,
    state_of,
)

from text_envs.games.frozen_lake import FrozenLake

# --- text ---

LAKE = "SFH\nFFG"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "P_O\n__G"),
        ({"symbols": "abcdef"}, "abc\nbbd"),
        ({"symbols": "O_PGX√"}, "O_P\n__G"),
        (
            {"observation": "coord"},
            "Player: (0, 0)\nGoal: (1, 2)\nHoles: (0, 2)\nBoard: 2 rows, 3 columns",
        ),
        (
            {"observation": "grid_coord"},
            "P_O\n__G\nPlayer: (0, 0)\nGoal: (1, 2)\nHoles: (0, 2)\nBoard: 2 rows, 3 columns",
        ),
    ],
)
def test_observations(params, text):
    game = FrozenLake(**params)
    (state,) = game.levels(LAKE)
    assert game.text(state) == text


def test_a_board_without_holes_says_so():
    game = FrozenLake(observation="coord")
    assert "Holes: none" in game.text(game.levels("SFG")[0])


def test_rules_say_what_the_parameters_say():
    plain, slippery = FrozenLake(), FrozenLake(success_rate=0.5, observation="coord")
    assert "slippery" not in plain.rules
    assert "zero" not in plain.rules
    assert "0.5" in slippery.rules
    assert "0.25" in slippery.rules
    assert "counted from zero" in slippery.rules
    assert "Symbols" not in slippery.rules
    assert all(symbol in FrozenLake(symbols="abcdeé").rules for symbol in "abcdeé")


# --- levels ---


@settings(deadline=None)
@given(lakes(max_side=4))
def test_levels_are_written_as_they_were_read(lake):
    game, text = FrozenLake(), "\n".join(lake)
    if breadth_first(lake) is None:
        with pytest.raises(ValueError, match="level 1: has no way from S to G"):
            game.levels(text)
    else:
        assert game.levels(text) == [state_of(lake)]
        assert game.level(state_of(lake)) == text


def test_several_levels_with_untidy_space_around_them():
    game = FrozenLake()
    first, second = game.levels("\n\n  SFG \r\n\r\n \nSF\nFG\n\n")
    assert (game.level(first), game.level(second)) == ("SFG", "SF\nFG")
    assert game.levels(" \n") == []


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("FFG", "level 1: has 0 S and 1 G"),
        ("SFF", "level 1: has 1 S and 0 G"),
        ("SFG\nSFF", "level 1: has 2 S and 1 G"),
        ("SFG\n\nSF\nG", "level 2: row 1 has 1 cells, row 0 has 2"),
        ("SxG", "level 1: has 'x'; a map is written with"),
        ("S F G", "level 1: has ' '"),
        ("SHG", "level 1: has no way from S to G"),
        (
            "SFFFG",
            "level 1: is 1x5, larger than the environment's 4x4; make it with rows=1, cols=5",
        ),
    ],
)
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        FrozenLake().levels(level)


# --- parameters ---


@pytest.mark.parametrize(
    "params",
    [
        {"size": 0},
        {"size": 101},
        {"size": "4"},
        {"rows": 2.0},
        {"frozen": 0},
        {"frozen": 1.5},
        {"frozen": float("nan")},
        {"frozen": "much"},
        {"success_rate": -0.1},
        {"success_rate": None},
        {"observation": "smell"},
        {"symbols": "PPOGX√"},
        {"symbols": "P_OGX"},
        {"symbols": "P OGX√"},
        {"symbols": ["P", "_", "O", "G", "X", "10"]},
        {"symbols": ["P", "_", "O", "G", "X", []]},
        {"symbols": 6},
    ],
)
def test_a_bad_parameter_is_named(params):
    name, value = list(params.items())[-1]
    with pytest.raises(ValueError, match=f"{name}={re.escape(repr(value))}"):
        FrozenLake(**params)


def test_a_board_of_one_cell_is_refused():
    with pytest.raises(ValueError, match="1x1"):
        FrozenLake(size=1)


def test_parameters_that_allow_no_map_are_refused_with_the_remedy():
    game = FrozenLake(size=8, frozen=0.01, fixed_corners=True)
    with pytest.raises(ValueError, match=r"frozen=0.01 is too little for 8x8; raise it"):
        game.initial(np.random.default_rng(0))


def test_symbols_and_numbers_survive_json():
    game = FrozenLake(symbols=["P", "_", "O", "G", "X", "√"], frozen=1, success_rate=1)
    assert game.symbols == FrozenLake().symbols
    assert game.initial(np.random.default_rng(0))
