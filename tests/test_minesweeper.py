"""Minesweeper: numbers, openings, a safe first reveal, an oracle that knows what can be known."""

from collections import Counter
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_minesweeper import BOARD, SEEDS, SHAPES, mines_of, play, revealed, small, under_way

from text_envs import TextEnv
from text_envs.games.minesweeper import Minesweeper, MinesweeperState

RNG = np.random.default_rng(0)


# --- numbers and openings ---


def test_a_known_board_has_its_numbers():
    game, state = small()
    assert state.board == b"*100121101*2012*"
    assert state.spare == 11
    assert game.text(state) == "Mines: 3, flags: 0\n# # # #\n# # # #\n# # # #\n# # # #"


def test_a_zero_opens_all_around_it():
    game, state = small()
    (outcome,) = play(game, state, "reveal 0 3")
    assert game.text(outcome.state) == "Mines: 3, flags: 0\n# 1 . .\n# 2 1 1\n# # # #\n# # # #"
    assert outcome.reward == pytest.approx(6 / 13)
    assert outcome.note == ""
    (outcome,) = play(game, state, "reveal 1 1")
    assert game.text(outcome.state).count("2") == 1
    assert outcome.reward == pytest.approx(1 / 13)


def test_an_opening_goes_round_flags():
    game, state = small()
    *_, outcome = play(game, state, "flag 0 2", "reveal 0 3")
    assert game.text(outcome.state) == "Mines: 3, flags: 1\n# # F .\n# # 1 1\n# # # #\n# # # #"
    after = play(game, outcome.state, "flag 0 2", "reveal 0 2")[-1]
    assert game.text(after.state) == "Mines: 3, flags: 0\n# 1 . .\n# 2 1 1\n# # # #\n# # # #"


@given(SEEDS, SHAPES, st.integers(1, 8))
def test_a_reveal_shows_what_a_slow_one_shows(seed, shape, moves):
    game = Minesweeper(*shape)
    state = under_way(game, seed, moves)
    safe = shape[0] * shape[1] - game.mines
    for move in game.legal(state):
        kind, row, col = move.split()
        cell = int(row) * game.cols + int(col)
        if kind == "flag" or cell in mines_of(state) or state.spare >= 0:
            continue
        outcome = game.play(state, move, RNG)
        shown = revealed(state.view, mines_of(state), cell, game.rows, game.cols)
        new = sum(a != b for a, b in zip(state.view, shown, strict=True))
        assert outcome.reward == pytest.approx(new / safe + outcome.success)
        assert outcome.success == outcome.done == (sum(c not in b"#F" for c in shown) == safe)
        assert outcome.state.view == (shown.replace(b"#", b"F") if outcome.done else shown)


# --- the first reveal ---


@pytest.mark.parametrize("shape", [(5, 5, 4), (5, 5, 24), (2, 2, 3), (3, 8, 10)])
def test_the_first_reveal_is_safe_and_keeps_the_number_of_mines(shape):
    game = Minesweeper(*shape)
    for seed in range(40):
        state = game.initial(np.random.default_rng(seed))
        assert len(mines_of(state)) == game.mines
        assert state.spare not in mines_of(state)
        for cell in range(game.rows * game.cols):
            after = game.play(state, "reveal {} {}".format(*divmod(cell, game.cols)), RNG).state
            moved = mines_of(after)
            assert after.view[cell] not in b"#*X"
            assert len(moved) == game.mines
            assert after.spare == -1
            if cell not in mines_of(state):
                assert after.board == state.board
            else:
                assert moved == mines_of(state) - {cell} | {state.spare}


def test_after_the_first_reveal_all_layouts_are_equally_likely():
    """At 2x3 with 2 mines there are 10; a reveal at the corner must not favour one of them."""
    game, rng, n = Minesweeper(2, 3, 2), np.random.default_rng(1), 5000
    seen = Counter(game.play(game.initial(rng), "reveal 0 0", rng).state.board for _ in range(n))
    assert len(seen) == comb(5, 2)
    assert all(abs(k / n - 0.1) < 5 * sqrt(0.1 * 0.9 / n) for k in seen.values())


def test_without_a_spare_cell_a_mine_goes_to_the_first_free_one():
    game = Minesweeper(rows=2, cols=3, mines=2)
    (state,) = game.levels("*.*\n...")
    assert state.spare == 1
    (outcome,) = play(game, state, "reveal 0 2")
    assert game.text(outcome.state) == "Mines: 2, flags: 0\n# # 1\n# # #"
    assert mines_of(outcome.state) == {0, 1}


# --- flags, the end ---


def test_flags_earn_nothing_and_guard_their_cell():
    game, state = small()
    (flagged,) = play(game, state, "flag 2 2")
    assert (flagged.reward, flagged.done) == (0, False)
    assert game.parse(flagged.state, "reveal 2 2") is None
    assert "reveal 2 2" not in game.legal(flagged.state)
    assert "flag 2 2" in game.legal(flagged.state)
    (back,) = play(game, flagged.state, "flag 2 2")
    assert (back.reward, back.state) == (0, state)


def test_a_mine_ends_the_game_and_shows_them_all():
    game, state = small()
    *_, outcome = play(game, state, "reveal 0 3", "flag 0 0", "flag 2 0", "reveal 2 2")
    assert (outcome.reward, outcome.done, outcome.success) == (0, True, False)
    assert outcome.note == "You hit a mine."
    over = outcome.state
    assert game.text(over) == "Mines: 3, flags: 1\n* 1 . .\n# 2 1 1\nF # X #\n# # # *"
    assert game.legal(over) == ()
    assert game.parse(over, "reveal 3 0") is None
    assert game.solve(over) is None
    assert game.lookalike(over, RNG) == over
    assert game.facts(over)["hit"] == [(2, 2)]
    assert game.facts(over)["mine"] == [(0, 0), (3, 3)]


def test_clearing_the_board_pays_2_in_all_and_flags_the_mines():
    game, state = small()
    moves = ["reveal 0 3", "reveal 1 0", "flag 0 0", "reveal 3 0", "reveal 2 3", "reveal 3 2"]
    outcomes = play(game, state, *moves)
    assert sum(o.reward for o in outcomes) == pytest.approx(2)
    assert [o.done for o in outcomes] == [False] * 5 + [True]
    last = outcomes[-1]
    assert last.success
    assert last.note == "You cleared the board."
    assert game.text(last.state) == "Mines: 3, flags: 3\nF 1 . .\n1 2 1 1\n. 1 F 2\n. 1 2 F"
    assert game.legal(last.state) == ()


def test_as_many_unknown_cells_as_mines_is_not_yet_a_lost_game():
    game = Minesweeper(rows=2, cols=2, mines=3)
    (state,) = game.levels("**\n*+")
    (outcome,) = play(game, state, "reveal 0 0")
    assert outcome.success
    assert outcome.reward == 2
    assert game.text(outcome.state) == "Mines: 3, flags: 3\n3 F\nF F"


# --- moves ---


def test_moves_are_row_and_column_from_zero():
    game, state = small()
    for text in ("reveal 1 2", " Reveal  1\t2\n", "REVEAL 1,2", "reveal 1 , 2", "reveal 01 2"):
        assert game.parse(state, text) == "reveal 1 2", text
    for text in (
        "reveal 4 0", "reveal 0 4", "reveal -1 0", "reveal 1", "reveal 1 2 3", "reveal 12",
        "1 2", "unflag 1 2", "reveal 1 2.", "reveal (1, 2)", "reveal 1 \u0662", "reveal one two",
        "reveal 1 2 flag 1 2", "reveal 1" + " " * 1000 + "2", "",
    ):  # fmt: skip
        assert game.parse(state, text) is None, text
    assert len(game.legal(state)) == 2 * 16


# --- levels, parameters ---


def test_levels_are_written_as_they_are_read():
    game, state = small()
    assert game.level(state) == BOARD
    assert game.levels(f"{BOARD}\n\n{BOARD.replace('+', '.')}") == [state, state._replace(spare=1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("*...\n...\n..**\n....", "level 1: row 1 has 3 cells, row 0 has 4"),
        ("*..?\n....\n..**\n....", r"has '\?'; a level is written with \*, \. and \+"),
        (f"{BOARD}\n\n*...\n....\n..*.\n....", "level 2: is 4x4 with 2 mines, the environment 4x4"),
        ("*..\n*..\n*..", "make it with rows=3, cols=3, mines=3"),
        ("*..+\n....\n..**\n...+", "has 2 spare cells"),
    ],
)
def test_bad_levels(text, message):
    with pytest.raises(ValueError, match=message):
        small()[0].levels(text)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rows": 1}, "rows=1 must be a whole number from 2 to 30"),
        ({"cols": 31}, "cols=31 must be a whole number from 2 to 30"),
        ({"cols": 5.0}, "cols=5.0 must be"),
        ({"mines": 0}, "mines=0 must be a whole number from 1 to 24"),
        ({"rows": 2, "cols": 2}, "mines=4 must be a whole number from 1 to 3: a board of 2x2"),
        ({"symbols": "#F.*"}, "must be five different visible characters"),
        ({"symbols": "#F1*X"}, "none of them a digit"),
        ({"symbols": "#F #X"}, "must be five different"),
        ({"symbols": 5}, "must be five different"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        TextEnv(Minesweeper, **params)


def test_symbols_change_what_is_shown_only():
    plain, state = small()
    fancy = Minesweeper(rows=4, cols=4, mines=3, symbols="XF#é*")
    state = play(plain, state, "reveal 0 3", "flag 0 0")[-1].state
    assert fancy.text(state) == "Mines: 3, flags: 1\nF 1 # #\nX 2 1 1\nX X X X\nX X X X"
    over = play(plain, state, "reveal 2 2")[-1].state
    assert fancy.text(over).splitlines()[1:] == ["é 1 # #", "X 2 1 1", "X X * X", "X X X é"]
    assert "X hidden, F flagged, # no mine around" in fancy.rules


# --- pictures ---


@pytest.mark.parametrize("tile", [8, 16, 32])
def test_pictures_tell_every_kind_of_cell(tile):
    renderers = pytest.importorskip("renderers")
    cells = []
    for code in b"#F012345678*X":
        picture = renderers.draw(MinesweeperState(bytes([code] * 9), b"*" * 9, 3, -1), tile)
        assert picture.shape == (4 * tile, 3 * tile, 3)
        cells.append(picture[tile : 2 * tile, :tile].astype(int))
    lost = renderers.draw(MinesweeperState(b"FX", b"0*", 2, -1), tile)
    cells.append(lost[tile:, :tile].astype(int))
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert np.abs(cell - other).mean() > 2


def test_the_head_counts_mines_and_shows_how_it_ended():
    renderers = pytest.importorskip("renderers")
    game, state = small()
    moves = ["flag 0 0", "reveal 0 3", "reveal 1 0", "reveal 3 0", "reveal 2 3", "reveal 3 2"]
    states = [state, *(o.state for o in play(game, state, *moves))]
    heads = [renderers.draw(s)[:32] for s in states]
    assert not np.array_equal(heads[0], heads[1])
    assert all(np.array_equal(heads[1], head) for head in heads[2:-1])
    assert not np.array_equal(heads[-1], heads[-2])
    lost = play(game, states[2], "reveal 2 2")[-1].state
    assert not np.array_equal(renderers.draw(lost)[:32], heads[0])


@given(SEEDS, st.integers(0, 6))
def test_pictures_hide_the_mines(seed, moves):
    renderers = pytest.importorskip("renderers")
    game = Minesweeper()
    state = under_way(game, seed, moves)
    other = game.lookalike(state, np.random.default_rng(seed))
    assert np.array_equal(renderers.draw(state, 8), renderers.draw(other, 8))
