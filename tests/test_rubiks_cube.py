"""The 2x2x2 cube: the turns of a real one, identities, known counts, and another search."""

import re
from collections import Counter
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.games.rubiks_cube import MOVES, RubiksCube, RubiksCubeState
from text_envs.games.rubiks_cube_search import solution
from text_envs.games.rubiks_cube_turns import (
    ROTATIONS,
    SOLVED,
    SOLVED_CUBES,
    STICKERS,
    TURNS,
    turned,
)

SEEDS = st.integers(0, 2**32 - 1)
KNOWN_COUNTS = (
    1, 6, 27, 120, 534, 2256, 8969, 33058, 114149, 360508, 930588, 1350852, 782536, 90280, 276
)  # fmt: skip
"""Positions by quarter turns from the solved one, as Jaap Scherphuis and others publish them."""
FARTHEST = "WWWWGGROOOBGYYYYBBORRRGB"

sequences = st.lists(st.sampled_from(MOVES), max_size=30)


def after(moves: str | list[str], cube: bytes = SOLVED) -> bytes:
    for move in moves.split() if isinstance(moves, str) else moves:
        cube = turned(cube, TURNS[move])
    return cube


def letters(cube: bytes) -> str:
    return RubiksCube().level(RubiksCubeState(cube))


def held_alike(cube: bytes) -> bytes:
    """One and the same cube however it is held: the least of its 24 views."""
    return min(turned(cube, rotation) for rotation in ROTATIONS)


# --- turns ---


@pytest.mark.parametrize(
    ("moves", "faces"),
    [  # seen on a real cube: faces up, right, front, down, left, back
        ("U", "WWWW BBRR RRGG YYYY GGOO OOBB"),
        ("R", "WGWG RRRR GYGY YBYB OOOO WBWB"),
        ("F", "WWOO WRWR GGGG RRYY OYOY BBBB"),
        ("D", "WWWW RRGG GGOO YYYY OOBB BBRR"),
        ("L", "BWBW RRRR WGWG GYGY OOOO BYBY"),
        ("B", "RRWW RYRY GGGG YYOO WOWO BBBB"),
        # two corners change places, known as the T permutation
        ("R U R' U' R' F R R U' R' U' R U R' F'", "WWWW BGRR GRGG YYYY OOOO RBBB"),
    ],
)
def test_turns_are_those_of_a_real_cube(moves, faces):
    assert letters(after(moves)) == faces.replace(" ", "")


@pytest.mark.parametrize("pattern", ["R U R' U'", "R' D' R D", "F B' U L"])
def test_a_sequence_repeated_comes_home_after_its_order(pattern):
    start = after("F U R' D L B' U")
    order, cube = 1, after(pattern, start)
    while cube != start:
        order, cube = order + 1, after(pattern, cube)
    assert order == {"R U R' U'": 6, "R' D' R D": 6}.get(pattern, order)


@given(sequences, st.sampled_from("URFDLB"))
def test_turns_undo_each_other_and_four_are_none(moves, face):
    cube = after(moves)
    assert after([face] * 4, cube) == cube
    assert after([face, f"{face}'"], cube) == cube
    assert after([face] * 3, cube) == after([f"{face}'"], cube)


@given(sequences, st.sampled_from(["UD", "RL", "FB"]), st.booleans(), st.booleans())
def test_opposite_faces_do_not_disturb_each_other(moves, pair, first_back, second_back):
    one, other = pair[0] + "'" * first_back, pair[1] + "'" * second_back
    cube = after(moves)
    assert after([one, other], cube) == after([other, one], cube)
    both_ways = turned(cube, after([one, other], bytes(range(24))))
    rotated = both_ways in {turned(cube, rotation) for rotation in ROTATIONS}
    assert rotated == (first_back != second_back)  # U D' turns the whole cube


def test_there_are_24_ways_to_hold_a_cube():
    assert len(ROTATIONS) == len(set(ROTATIONS)) == len(SOLVED_CUBES) == 24
    assert letters(after("F B' F B'")) == "YYYYOOOOGGGGWWWWRRRRBBBB"
    assert letters(after("U D'")) == "WWWWBBBBRRRRYYYYGGGGOOOO"


def test_every_sticker_has_a_place_of_its_own():
    assert len(set(STICKERS)) == 24
    assert Counter(sticker.corner for sticker in STICKERS) == {
        (x, y, z): 3 for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)
    }


# --- distances ---


def test_positions_at_every_distance_are_as_many_as_is_known():
    """All twelve turns, with cubes held alike taken for one: shares nothing with the oracle."""
    level, seen = {held_alike(SOLVED)}, set()
    for distance, count in enumerate(KNOWN_COUNTS[:6]):
        assert len(level) == count
        for cube in list(level)[:: max(1, count // 12)]:
            assert len(solution(cube)) == distance
        seen |= level
        level = {held_alike(turned(c, t)) for c in level for t in TURNS.values()} - seen


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(MOVES), min_size=8, max_size=40))
def test_distances_fall_by_one_along_the_solution_and_never_faster(moves):
    cube = after(moves)
    plan = solution(cube)
    assert len(plan) <= min(len(moves), 14)
    assert len(plan) % 2 == len(moves) % 2
    assert after(plan, cube) in SOLVED_CUBES
    neighbours = [len(solution(turned(cube, turn))) for turn in TURNS.values()]
    assert {abs(n - len(plan)) for n in neighbours} == {1}
    assert not plan or min(neighbours) == len(plan) - 1


def test_one_of_the_276_farthest_cubes():
    (state,) = RubiksCube().levels(FARTHEST)
    assert RubiksCube().start_info(state) == {"optimal_moves": 14}
    assert after(solution(state.stickers), state.stickers) in SOLVED_CUBES


# --- scrambles ---


@given(SEEDS, st.integers(1, 8))
def test_scrambles_are_unsolved_and_no_farther_than_they_are_long(seed, scramble):
    game = RubiksCube(scramble=scramble)
    start = game.initial(np.random.default_rng(seed))
    assert start.stickers not in SOLVED_CUBES
    moves = game.start_info(start)["optimal_moves"]
    assert 1 <= moves <= scramble
    assert moves % 2 == scramble % 2
    assert scramble > 2 or moves == scramble  # no turn undoes the one before


def test_scrambles_are_spread_evenly():
    for scramble, n in ((1, 1200), (2, 6000)):
        game, rng = RubiksCube(scramble=scramble), np.random.default_rng(0)
        counts = Counter(game.initial(rng).stickers for _ in range(n))
        sequences = [[m] for m in MOVES]
        if scramble == 2:
            sequences = [[m, k] for m in MOVES for k in MOVES if after([m, k]) not in SOLVED_CUBES]
            assert len(sequences) == 12 * 10
        expected = Counter(after(moves) for moves in sequences)
        assert set(counts) == set(expected)
        for cube, ways in expected.items():
            mean = n * ways / len(sequences)
            assert abs(counts[cube] - mean) < 5 * sqrt(mean)


# --- play ---


def test_solving_pays_however_the_cube_is_held():
    game, rng = RubiksCube(), np.random.default_rng(0)
    start = RubiksCubeState(after("U"))
    for move, solves in (("U'", True), ("D'", True), ("D", False), ("U", False), ("R", False)):
        outcome = game.play(start, move, rng)
        assert outcome[1:4] == (float(solves), solves, solves)
        assert game.legal(outcome.state) == (() if solves else MOVES)
        assert (game.solve(outcome.state) is None) == solves
    assert game.parse(game.play(start, "D'", rng).state, "U") is None


@pytest.mark.parametrize("text", ["U'", "u'", " U’ ", "\tu’\n"])
def test_a_move_is_read_in_either_case_with_either_apostrophe(text):
    assert RubiksCube().parse(RubiksCubeState(after("R")), text) == "U'"


@pytest.mark.parametrize(
    "text", ["", "'", "U''", "U '", "Ui", "U2", "UU", "U U'", "'U", "U`", 'U"', "x", "M", "u′"]
)
def test_anything_else_is_no_move(text):
    assert RubiksCube().parse(RubiksCubeState(after("R")), text) is None


def test_the_net_shows_every_face_where_it_belongs():
    game = RubiksCube()
    state = RubiksCubeState(after("R U R' U' R' F R R U' R' U' R U R' F'"))
    assert game.text(state) == (
        "        Up\n"
        "        W W\n"
        "        W W\n"
        "Left    Front   Right   Back\n"
        "O O     G R     B G     R B\n"
        "O O     G G     R R     B B\n"
        "        Down\n"
        "        Y Y\n"
        "        Y Y"
    )
    assert len(game.text(state)) == game.max_text
    assert game.facts(state)["right"] == "BGRR"
    other = RubiksCube(symbols="123456")
    assert "3 2     6 3     2 6\n" in other.text(state)
    assert other.level(state) == game.level(state)


# --- levels and parameters ---


@given(sequences)
def test_turns_make_possible_cubes_only(moves):
    """The check of corners and twists knows nothing of turns."""
    cube = after(moves)
    if cube not in SOLVED_CUBES:
        assert RubiksCube().levels(letters(cube)) == [RubiksCubeState(cube)]


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("WWWW BBRR RRGG YYYY GGOO OOBX", "level 1: has 'X'; stickers are written with W, R, G"),
        ("WWWW BBRR RRGG YYYY GGOO OOB", "has 23 stickers; a 2x2x2 cube has 24"),
        ("WWWW BBRR RRGG YYYY GGOO OOBW", "has 5 W, 3 B; each of the six colours is on four"),
        ("WWWW RRRR GGGG YYYY OOOO BBBB", "is solved already"),
        ("YYYY OOOO GGGG WWWW RRRR BBBB", "is solved already"),
        ("WWWW OOOO GGGG YYYY RRRR BBBB", "the mirror image of a corner"),
        ("WWWY RRRR GGGG WYYY OOOO BBBB", "the mirror image of a corner"),
        ("WWWR GRRR GWGG YYYY OOOO BBBB", "a corner is twisted in its place; turn one corner by"),
        ("WWWW RGRR OGGG YYYY OBOO RBBB", "are the same, W-"),
        ("YWWW RRRR GGGG WYYY OOOO BBBB", "is impossible: the corner"),
        ("WWWG RRRR GGYG YWYY OOOO BBBB", "is impossible: the corner"),
    ],
)
def test_bad_levels(level, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RubiksCube().levels(level)


def test_a_twist_is_named_with_its_remedy():
    """One corner of a scrambled cube turned by a third: up-right-front, stickers 3, 4 and 9."""
    scrambled = after("F R U' L")
    for first, second, third, remedy in ((9, 3, 4, "two thirds"), (4, 9, 3, "a third")):
        twisted = bytearray(scrambled)
        twisted[3], twisted[4], twisted[9] = (scrambled[i] for i in (first, second, third))
        with pytest.raises(ValueError, match=f"turn one corner by {remedy} clockwise"):
            RubiksCube().levels(letters(bytes(twisted)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"scramble": 0}, "scramble=0 must be a whole number from 1 to 100"),
        ({"scramble": 2.5}, "scramble=2.5 must be"),
        ({"symbols": "WRGYO"}, "symbols='WRGYO' must be six different visible characters"),
        ({"symbols": "WWGYOB"}, "symbols='WWGYOB' must be"),
        ({"symbols": 6}, "symbols=6 must be"),
    ],
)
def test_bad_parameters(params: dict[str, Any], message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RubiksCube(**params)


# --- the picture ---


@pytest.mark.parametrize("tile", [8, 16])
def test_every_sticker_is_in_the_picture_in_every_colour(tile):
    renderers = pytest.importorskip("renderers")
    for sticker in range(24):
        pictures = []
        for color in range(6):
            cube = bytearray(SOLVED)
            cube[sticker] = color
            pictures.append(renderers.draw(RubiksCubeState(bytes(cube)), tile).astype(int))
        assert {picture.shape for picture in pictures} == {(7 * tile, 16 * tile, 3)}
        for number, picture in enumerate(pictures):
            for other in pictures[:number]:
                changed = (np.abs(picture - other) > 12).any(axis=2)
                assert 0.4 < changed.sum() / tile**2 < 3.5  # once in the net, perhaps in space


def test_the_picture_belongs_to_the_caller():
    renderers = pytest.importorskip("renderers")
    state = RubiksCubeState(after("R U"))
    first = renderers.draw(state)
    kept = first.copy()
    first[:] = 7
    assert np.array_equal(renderers.draw(state), kept)
