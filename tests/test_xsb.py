"""Sokoban levels from text and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_envs.env import TextEnv
from text_envs.games import xsb
from text_envs.games.sokoban import Sokoban

COLLECTION = """; A collection
; with a comment

Title: One

#######
#@ $ .#
#######
Author: nobody

Two
  ####
###-_##
#.* $+#
#_$ ###
#####

  ; the last has its own comment

 ##### 
 #@$.#
 #####
"""  # noqa: W291 (trailing blanks are part of the format)


def test_a_collection_is_read_level_by_level():
    assert xsb.read(COLLECTION) == [
        ("level 1 (line 6)", ("#######", "#@ $ .#", "#######")),
        ("level 2 (line 12)", ("#######", "###  ##", "#.* $+#", "# $ ###", "#######")),
        ("level 3 (line 20)", ("#####", "#@$.#", "#####")),
    ]


def test_windows_line_ends_and_any_surroundings_change_nothing():
    assert xsb.read(COLLECTION.replace("\n", "\r\n")) == xsb.read(COLLECTION)
    for text in (f"\ufeff{CLOSED}", f"{CLOSED}\n---\n", f"{CLOSED}\n   \n"):
        assert xsb.read(text) == xsb.read(CLOSED)
    assert xsb.read("; nothing here\n\n---\n") == []


def test_small_levels_are_put_in_the_middle():
    game = Sokoban(size=7)
    (state,) = game.levels("#####\n#@$.#\n#####")
    assert game.text(state).split("\n") == [
        "#######", "#######", "#######", "##PXO##", "#######", "#######", "#######",
    ]  # fmt: skip
    assert game.levels(game.level(state)) == [state]


def test_what_lies_outside_becomes_wall():
    text = "  #####  --\n###   #\n#*# $ ###\n### @ .##\n  #####\n---------"
    (level,) = xsb.read(text)
    assert level.rows == ("#########", "###   ###", "### $ ###", "### @ .##", "#########")


CLOSED = "#####\n#@$.#\n#####"


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("#####\n# $.#\n#####", "has no player"),
        ("######\n#@@$.#\n######", "has 2 players"),
        ("######\n#@+$ #\n######", "has 2 players"),
        ("#####\n#@ .#\n#####", "has no box"),
        ("######\n#@$..#\n######", "has 1 boxes and 2 targets"),
        ("######\n#@$$.#\n######", "has 2 boxes and 1 targets"),
        ("#####\n#@*##\n#####", "solved already"),
        ("#####\n@ $.#\n#####", "open border.* its row 2, column 1"),
        ("#####\n#@$.\n#####", "open border.* its row 2, column 4"),
        ("#####\n#@$.#", "open border.* its row 2"),
        ("## ##\n#@$.#\n#####", "open border.* its row 1, column 3"),
        ("#####\n#  #\n#@$. #\n######", "open border.* its row 3, column 5"),
        ("#####\n#@$.#\n#a###", "'a' in its row 3, column 2 is none of"),
        ("#####\n x@$.#\n#####", "'x' in its row 2, column 2 is none of"),
        ("#####\n\t#@$.#\n#####", r"'\\t' in its row 2, column 1 is none of"),
        ("#########\n#@$.#.$ #\n#########", "target in its row 2, column 6 is walled off"),
        ("#########\n#@$.#$. #\n#########", "box in its row 2, column 6 is walled off"),
    ],
)
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    game = Sokoban(size=9)
    with pytest.raises(ValueError, match=rf"^level 1 \(line 1\).*{fault}"):
        game.levels(level)
    with pytest.raises(ValueError, match=rf"^level 2 \(line 7\).*{fault}"):
        game.levels(f"\n{CLOSED}\n\n; next\n{level}\n\n{CLOSED}")


@pytest.mark.parametrize(("rows", "cols"), [(6, 9), (9, 6), (5, 7)])
def test_a_level_larger_than_the_board_says_how_to_make_room(rows, cols):
    level = "########\n#      #\n#      #\n# @$.  #\n#      #\n#      #\n########"
    with pytest.raises(ValueError, match=r"7 rows and 8 columns.*rows=\d, cols=\d") as error:
        Sokoban(rows=rows, cols=cols).levels(level)
    assert f"rows={max(rows, 7)}, cols={max(cols, 8)}" in str(error.value)
    Sokoban(rows=max(rows, 7), cols=max(cols, 8)).levels(level)


@given(
    st.integers(0, 2**32), st.sampled_from([{}, {"size": 9, "boxes": 3}, {"rows": 5, "cols": 11}])
)
def test_writing_and_reading_give_the_state_back(seed, parameters):
    game = Sokoban(**parameters)
    state = game.initial(np.random.default_rng(seed))
    text = game.level(state)
    assert game.levels(text) == [state]
    assert game.levels(f"{text}\n\n{text}") == [state, state]


@given(st.text(st.sampled_from("#####  .$*@+-_\n\n;x\t")) | st.text())
def test_any_text_is_read_or_refused(text):
    states, fault = read_or_fault(Sokoban(size=20), text)
    assert not fault or fault.startswith("level ")
    assert all(len(state.board) == 20 * 21 - 1 for state in states)


def read_or_fault(game, text):
    try:
        return game.levels(text), ""
    except ValueError as error:
        return [], str(error)


def test_an_environment_starts_from_given_levels(tmp_path):
    env = TextEnv(Sokoban, size=7)
    text, info = env.reset(options={"level": CLOSED})
    assert "##PXO##" in text
    assert info["optimal_moves"] == 1
    path = tmp_path / "levels.xsb"
    path.write_text(COLLECTION, encoding="utf-8")
    env = TextEnv(Sokoban, size=7, levels=str(path))
    assert [env.reset(seed=i)[0].count("X") for i in range(4)] == [1, 2, 1, 1]
    with pytest.raises(ValueError, match=r"level 1 \(line 1\) has no box"):
        env.reset(options={"level": "###\n#@#\n###"})


def test_an_unsolvable_level_says_so():
    env = TextEnv(Sokoban, size=6)
    _, info = env.reset(options={"level": "#####\n#$ .#\n#@  #\n#####"})
    assert info["optimal_moves"] == -1
    assert info["deadlocked"] is True
    assert env.solve() is None
