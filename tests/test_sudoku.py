"""Sudoku: published puzzles, one solution each, and rewards that can't be farmed."""

import time
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_sudoku import count_solutions, free_digits, is_solved, rows_of

from text_envs import TextEnv
from text_envs.games.sudoku import Sudoku, SudokuState
from text_envs.games.sudoku_search import MAX_EMPTY, draw_puzzle, solutions

SEEDS = st.integers(0, 2**32 - 1)
RNG = np.random.default_rng(0)

# the example of Wikipedia's article "Sudoku", and Arto Inkala's puzzle of 2012, which newspapers
# called the hardest
PUBLISHED = {
    "wikipedia": (
        "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79",
        "534678912672195348198342567859761423426853791713924856961537284287419635345286179",
    ),
    "inkala": (
        "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4..",
        "812753649943682175675491283154237896369845721287169534521974368438526917796318452",
    ),
}
# no single digit is forced at the start, and it has no solution
CONTRADICTORY = ".....5.8....6.1.43..........1.5........1.6...3.......553.....61........4........."
SMALL, SOLVED = "3.42\n24..\n42.3\n.32.", "3142\n2431\n4213\n1324"


def level(game: Sudoku, text: str) -> SudokuState:
    (state,) = game.levels(text)
    return state


def play(game: Sudoku, state: SudokuState, *moves: str) -> list[Any]:
    outcomes = []
    for move in moves:
        outcomes.append(game.play(state, game.parse(state, move) or "", RNG))
        state = outcomes[-1].state
    return outcomes


# --- the solver and the generator ---


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_puzzles_have_their_known_solution(name):
    puzzle, solution = PUBLISHED[name]
    game = Sudoku(size=9)
    state = level(game, puzzle)
    known = bytes(map(int, solution))
    assert is_solved(rows_of(known))
    assert state.solution == known
    moves = game.solve(state) or []
    assert len(moves) == puzzle.count(".") == game.start_info(state)["optimal_moves"]
    last = play(game, state, *moves)[-1]
    assert last.success
    assert last.state.cells == known


def test_there_are_288_grids_of_4x4():
    """A known number, and every one of them can be drawn."""
    every = set(solutions(bytes(16), 4))
    assert len(every) == 288
    assert all(is_solved(rows_of(grid)) for grid in every)
    rng = np.random.default_rng(0)
    drawn = {solution for _ in range(3000) for _, solution in [draw_puzzle(rng, 4, 1) or (0, 0)]}
    assert drawn == every


@settings(max_examples=10)
@given(SEEDS, st.sampled_from([(4, 1), (4, 6), (4, 12), (6, 20), (6, 26), (9, 30), (9, 50)]))
def test_generated_grids_have_one_solution(seed, shape):
    size, empty = shape
    state = Sudoku(size, empty).initial(np.random.default_rng(seed))
    assert state.cells == state.givens
    assert state.cells.count(0) == empty
    assert is_solved(rows_of(state.solution))
    assert all(now in (0, right) for now, right in zip(state.cells, state.solution, strict=True))
    assert count_solutions(rows_of(state.cells)) == 1


@settings(max_examples=30)
@given(SEEDS, st.integers(5, 12))
def test_the_solver_counts_as_plain_backtracking_does(seed, holes):
    """4x4 grids with holes anywhere, so that many have several solutions, and with a digit changed,
    so that some have none.
    """
    rng = np.random.default_rng(seed)
    _, solution = draw_puzzle(rng, 4, 1) or (b"", b"")
    cells = bytearray(solution)
    for cell in rng.permutation(16)[:holes].tolist():
        cells[cell] = 0
    at = int(rng.integers(16))
    cells[at] = 0
    for digit in free_digits(rows_of(bytes(cells)), *divmod(at, 4)):
        cells[at] = digit
        found = list(islice(solutions(bytes(cells), 4), 300))
        assert len(set(found)) == len(found) == count_solutions(rows_of(bytes(cells)), 300)


def test_a_9x9_grid_takes_less_than_10_ms():
    rng = np.random.default_rng(0)
    start = time.process_time()
    for _ in range(30):
        assert draw_puzzle(rng, 9, 45) is not None
    assert (time.process_time() - start) / 30 < 0.010  # measured: 0.0012


# --- moves ---


def test_a_move_is_row_column_digit_from_zero():
    game = Sudoku()
    state = level(game, SMALL)
    assert "place 1 at row 0 col 1" in game.legal(state)
    for text in (
        "place 1 at row 0 col 1",
        "  PLACE 1  at Row 0 col\t1\n",
        "place 1 at row 0 column 1",
        "0,1,1",
        " 0, 1 ,1 ",
    ):
        assert game.parse(state, text) == "place 1 at row 0 col 1", text
    assert game.parse(state, "1,2,3") == "place 3 at row 1 col 2"
    assert "place 3 at row 1 col 2, or 1,2,3" in game.rules
    assert "counted from zero" in game.rules


@pytest.mark.parametrize(
    "text",
    [
        "place 1 at row 0 col 0",  # given
        "0,0,1",
        "place 5 at row 0 col 1",  # no such digit
        "place 0 at row 0 col 1",
        "0,1,0",
        "place 1 at row 4 col 1",  # no such row
        "place 1 at 0 1",
        "0 1 1",
        "0,1",
        "0,1,1,1",
        "0,1,11",
        "place 1 at row 0 col 1.",
        "place one at row 0 col 1",
        "0,1,\u0661",
        "-0,1,1",
        "place 1 at row 0 col 1 place 2 at row 0 col 1",
        "0,1,1" + " " * 1000,
    ],
)
def test_what_is_no_move(text):
    game = Sudoku()
    assert game.parse(level(game, SMALL), text) is None


def test_legal_moves_are_all_digits_in_all_cells_not_given():
    game = Sudoku()
    state = level(game, SMALL)
    legal = game.legal(state)
    assert len(legal) == 6 * 4
    free = [(0, 1), (1, 2), (1, 3), (2, 2), (3, 0), (3, 3)]
    assert set(legal) == {f"place {d} at row {r} col {c}" for r, c in free for d in (1, 2, 3, 4)}
    after = play(game, state, "0,1,1")[-1].state
    assert game.legal(after) == legal


# --- rewards ---


def test_rewards_and_notes_move_by_move():
    game = Sudoku()
    script = [
        ("0,1,1", 1.0, ""),  # right
        ("0,1,1", 0.0, ""),  # the same again
        ("0,1,3", -1.0, "3 is wrong at row 0 col 1."),  # right, made wrong
        ("0,1,3", 0.0, ""),
        ("0,1,2", -1.0, "2 is wrong at row 0 col 1."),  # another wrong one
        ("0,1,1", 0.0, ""),  # put right
        ("3,3,1", -1.0, "1 is wrong at row 3 col 3."),
        ("3,3,4", 0.0, ""),
        ("1,2,3", 1.0, ""),
        ("1,3,1", 1.0, ""),
        ("2,2,1", 1.0, ""),
        ("3,0,1", 11.0, "You solved the grid."),
    ]
    outcomes = play(game, level(game, SMALL), *(move for move, *_ in script))
    assert [(o.reward, o.note) for o in outcomes] == [(r, note) for _, r, note in script]
    assert [o.done for o in outcomes] == [o.success for o in outcomes] == [False] * 11 + [True]
    over = outcomes[-1].state
    assert game.legal(over) == ()
    assert game.parse(over, "0,1,1") is None
    assert game.solve(over) is None


def test_a_full_grid_with_a_mistake_goes_on():
    game = Sudoku()
    state = level(game, SMALL)
    plan = game.solve(state) or []
    outcomes = play(game, state, *plan[:-1], "3,3,1")
    assert not outcomes[-1].done
    assert 0 not in outcomes[-1].state.cells
    assert game.solve(outcomes[-1].state) == ["place 4 at row 3 col 3"]


@settings(max_examples=30)
@given(SEEDS, st.lists(st.integers(0, 23), max_size=60))
def test_no_game_pays_more_than_one_without_mistakes(seed, numbers):
    game = Sudoku()
    state = game.initial(np.random.default_rng(seed))
    best, total = 6 + 10, 0.0
    for number in numbers:
        outcome = game.play(state, game.legal(state)[number], RNG)
        state, total = outcome.state, total + outcome.reward
        correct = sum(a == b for a, b in zip(state.cells, state.solution, strict=True))
        assert total <= correct - 10 + 10 * outcome.success
        if outcome.done:
            break
    assert total <= best


def test_the_default_budget_allows_every_empty_cell():
    env: Any = gym.make("TextSudoku-v0")
    assert env.spec.max_episode_steps >= MAX_EMPTY[4]
    _, info = env.reset(seed=0)
    assert info["optimal_moves"] == 6


# --- what the player sees ---


def test_the_grid_marks_what_the_player_placed():
    game = Sudoku()
    state = level(game, SMALL)
    assert game.text(state) == " 3 . | 4 2\n 2 4 | . .\n-----+----\n 4 2 | . 3\n . 3 | 2 ."
    after = play(game, state, "0,1,1", "3,0,2")[-1].state
    assert game.text(after) == " 3*1 | 4 2\n 2 4 | . .\n-----+----\n 4 2 | . 3\n*2 3 | 2 ."
    facts = game.facts(after)
    assert facts["row 0"] == [3, 1, 4, 2]
    assert facts["row 3"] == [2, 3, 2, 0]
    assert facts["empty"] == 4
    assert (0, 1) not in facts["given"]
    assert (0, 2) in facts["given"]


def test_larger_grids_have_their_boxes():
    rows = Sudoku(size=9).text(level(Sudoku(size=9), PUBLISHED["wikipedia"][0])).split("\n")
    assert len(rows) == 11
    assert rows[0] == " 5 3 . | . 7 . | . . ."
    assert rows[3] == rows[7] == "-------+-------+------"
    six = Sudoku(size=6, empty=1, symbols="_abcdef")
    rows = six.text(six.initial(RNG)).split("\n")
    assert [row for row in rows if "+" in row] == ["-------+------"] * 2
    assert set("".join(rows)) == set(" _abcdef|-+")
    assert "a for 1, b for 2" in six.rules
    assert "a for 1" not in Sudoku().rules


# --- levels ---


def test_levels_come_in_rows_or_in_one_line():
    game = Sudoku()
    state = level(game, SMALL)
    line = SMALL.replace("\n", "")
    assert game.level(state) == SMALL
    assert game.levels(f"{line}\n{line}\n\n{SMALL}\n\n\n{line.replace('.', '0')}") == [state] * 4
    assert state.solution == bytes(map(int, SOLVED.replace("\n", "")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3342\n24..\n42.3\n.32.", "level 1: has the digit 3 more than once in row 0"),
        ("3.42\n34..\n42.3\n.32.", "has the digit 3 more than once in col 0"),
        ("3.42\n2...\n4...\n.4..", "more than once in the box of rows 2 to 3 and cols 0 to 1"),
        ("3.4\n24..\n42.3\n.32.", "must have 4 rows of 4 cells, or all 16 cells in one line"),
        ("3.42\n24..\n42.3", "it has 3 rows, of 4 cells"),
        ("3.42\n24..\n42.5\n.32.", "has '5'; a grid is written with the digits 1 to 4"),
        (SOLVED, "has no empty cell"),
        ("3.42\n24..\n4..3\n.1..", "has no solution"),
        ("..42\n2431\n4213\n..24", "has several solutions: row 0 col 0 can be 1 or 3"),
        ("." * 16, "has several solutions"),
        (f"{SMALL}\n\n{SMALL}\n\n{SOLVED}", "level 3: has no empty cell"),
        (PUBLISHED["wikipedia"][0], "is 9x9; make the environment with size=9"),
    ],
)
def test_bad_levels(text, message):
    with pytest.raises(ValueError, match=message):
        Sudoku().levels(text)


def test_a_level_that_takes_too_long_to_check():
    start = time.process_time()
    with pytest.raises(ValueError, match="level 1: is too hard to check: not solved within 5000"):
        Sudoku(size=9).levels(CONTRADICTORY)
    assert time.process_time() - start < 5  # measured: 0.2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 5}, "size=5 is not one of 4, 6, 9"),
        ({"size": "4"}, "size='4' is not one of"),
        ({"size": 4.0}, "size=4.0 is not one of"),
        ({"size": [4]}, "is not one of 4, 6, 9"),
        ({"empty": 0}, "empty=0 must be a whole number from 1 to 12 at size=4"),
        ({"empty": 13}, "empty=13 must be a whole number from 1 to 12"),
        ({"size": 9, "empty": 57}, "from 1 to 56 at size=9"),
        ({"empty": 6.0}, "empty=6.0 must be"),
        ({"symbols": ".123"}, "must be 5 different visible characters"),
        ({"symbols": ".1233"}, "must be 5 different"),
        ({"symbols": 5}, "symbols=5 must be 5 different"),
        ({"symbols": "*1234"}, r"none of those that draw the grid, \* \+ - \|"),
        ({"symbols": " 1234"}, "must be 5 different visible"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        TextEnv(Sudoku, **params)


# --- pictures ---


@pytest.mark.parametrize("tile", [8, 16, 32])
def test_pictures_tell_digits_and_who_placed_them(tile):
    renderers = pytest.importorskip("renderers")
    cells = []
    for digit in range(10):
        for fixed in {digit, 0}:
            board, givens = bytes([digit] * 81), bytes([fixed] * 81)
            picture = renderers.draw(SudokuState(board, givens, bytes(81)), tile)
            assert picture.shape == (9 * tile, 9 * tile, 3)
            cells.append(picture[tile : 2 * tile, tile : 2 * tile].astype(int))
    for i, cell in enumerate(cells):
        for other in cells[:i]:
            assert np.abs(cell - other).mean() > 3


def test_a_picture_shows_boxes_and_not_the_solution():
    renderers = pytest.importorskip("renderers")
    game = Sudoku(size=6, empty=10)
    state = game.initial(np.random.default_rng(3))
    picture = renderers.draw(state, 32)
    assert np.array_equal(picture, renderers.draw(state._replace(solution=bytes(36)), 32))
    dark = picture.sum(axis=2) < 150
    lines = [x for x in range(6 * 32) if dark[:, x].all()]
    assert {x // 96 for x in lines} == {0, 1}  # boxes are three cells wide
    assert not dark[:, 30:60].all(axis=0).any()
    rows = [y for y in range(6 * 32) if dark[y].all()]
    assert any(60 < y < 68 for y in rows)
    assert any(124 < y < 132 for y in rows)
