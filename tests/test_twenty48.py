"""2048: how tiles slide and merge, what comes next, how it ends, and how well it can be played."""

import re
from collections import Counter
from itertools import pairwise
from math import log2, sqrt
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.agents import OracleAgent, RandomAgent, evaluate
from text_envs.games import twenty48_search as search
from text_envs.games.twenty48 import MOVES, Twenty48, Twenty48State, slide

SEEDS = st.integers(0, 2**32 - 1)
FULL = "2 4 2 4\n4 2 4 2\n2 4 2 4\n4 2 4 8"


def board_of(text: str, **params: Any) -> Twenty48State:
    (state,) = Twenty48(**params).levels(text)
    return state


def rows_of(board: bytes) -> list[list[int]]:
    size = int(sqrt(len(board)))
    return [[1 << k if k else 0 for k in board[i : i + size]] for i in range(0, size * size, size)]


def slow_line(line: list[int]) -> tuple[list[int], int]:
    """Slide numbers to the left, one step at a time, as a child would with wooden blocks."""
    cells, done, made, moved = list(line), [False] * len(line), 0, True
    while moved:
        moved = False
        for i in range(1, len(cells)):
            if cells[i] and not cells[i - 1]:
                cells[i - 1 : i + 1] = [cells[i], 0]
                done[i - 1 : i + 1] = [done[i], False]
                moved = True
                break
            if cells[i] and cells[i] == cells[i - 1] and not done[i] and not done[i - 1]:
                cells[i - 1 : i + 1] = [2 * cells[i], 0]
                done[i - 1] = moved = True
                made += cells[i - 1]
                break
    return cells, made


def slow_slide(rows: list[list[int]], move: str) -> tuple[list[list[int]], int]:
    if move in ("up", "down"):
        columns, made = slow_slide(
            [list(c) for c in zip(*rows, strict=True)], {"up": "left", "down": "right"}[move]
        )
        return [list(r) for r in zip(*columns, strict=True)], made
    step = 1 if move == "left" else -1
    lines = [slow_line(row[::step]) for row in rows]
    return [line[::step] for line, _ in lines], sum(made for _, made in lines)


boards = st.integers(2, 5).flatmap(
    lambda size: st.lists(
        st.sampled_from([0, 0, 1, 1, 2, 3, 7]), min_size=size**2, max_size=size**2
    )
)


# --- sliding ---


@pytest.mark.parametrize(
    ("line", "after", "made"),
    [
        ("2 2 2 2", "4 4 . .", 8),
        ("4 4 8 .", "8 8 . .", 8),
        ("2 . . 2", "4 . . .", 4),
        ("2 2 2 .", "4 2 . .", 4),
        ("2 2 4 8", "4 4 8 .", 4),
        ("4 2 2 .", "4 4 . .", 4),
        ("8 4 2 2", "8 4 4 .", 4),
        ("2 4 2 4", "2 4 2 4", 0),
        (". . . 2", "2 . . .", 0),
        (". 4 . 4", "8 . . .", 8),
        ("512 512 2 2", "1024 4 . .", 1028),
    ],
)
def test_a_line_slides_as_on_everybodys_telephone(line, after, made):
    rest = "\n. . . .\n. . . .\n. . . ."
    board = board_of(line + rest).board
    wanted = board_of(after + rest).board
    assert slide(board, 4, "left") == (wanted, made)
    mirrored = bytes(board[:4][::-1]) + board[4:]
    upright = bytes(cell for k in board[:4] for cell in (k, 0, 0, 0))
    assert slide(mirrored, 4, "right")[1] == made
    assert slide(upright, 4, "up")[0][::4] == wanted[:4]


def test_tiles_merge_first_on_the_side_that_they_slide_to():
    board = board_of("2 2 2 .\n2 . . .\n2 . . .\n4 . . 4").board
    known = {
        "left": ("4 2 . .\n2 . . .\n2 . . .\n8 . . .", 12),
        "right": (". . 2 4\n. . . 2\n. . . 2\n. . . 8", 12),
        "up": ("4 2 2 4\n2 . . .\n4 . . .\n. . . .", 4),
        "down": (". . . .\n2 . . .\n4 . . .\n4 2 2 4", 4),
    }
    for move, (after, made) in known.items():
        assert slide(board, 4, move) == (board_of(after).board, made)


@given(boards, st.sampled_from(MOVES))
def test_sliding_is_the_slow_sliders(cells, move):
    board, size = bytes(cells), int(sqrt(len(cells)))
    after, made = slide(board, size, move)
    assert (rows_of(after), made) == slow_slide(rows_of(board), move)


# --- play ---


@given(SEEDS, st.lists(st.sampled_from(MOVES), max_size=60), st.integers(2, 5))
def test_a_move_slides_then_brings_one_tile_and_pays_for_what_it_made(seed, moves, size):
    game, rng = Twenty48(size=size, target=16 if size == 2 else 512), np.random.default_rng(seed)
    state = game.initial(rng)
    assert sorted(state.board)[:-2] == [0] * (size * size - 2)
    for move in moves:
        shifted, made = slow_slide(rows_of(state.board), move)
        outcome = game.play(state, move, rng)
        if shifted == rows_of(state.board):
            assert outcome.state is state
            assert outcome.reward == -0.1
            continue
        flat = [cell for row in shifted for cell in row]
        after = [cell for row in rows_of(outcome.state.board) for cell in row]
        new = [(a, b) for a, b in zip(flat, after, strict=True) if a != b]
        assert len(new) == 1
        assert new[0] in ((0, 2), (0, 4))
        assert outcome.reward == pytest.approx(0.1 * log2(made + 1))
        state = outcome.state
        if outcome.done:
            assert outcome.success == (max(after) == game.target)
            assert not game.legal(state)
            break
        assert game.legal(state) == MOVES


def test_a_move_that_shifts_nothing_costs_and_draws_no_chance():
    game, rng = Twenty48(ineffective_penalty=-0.5), np.random.default_rng(3)
    state, before = board_of("2 . . .\n4 . . .\n2 . . .\n4 . . ."), rng.bit_generator.state
    for move in ("left", "up", "down"):
        assert game.play(state, move, rng) == (state, -0.5, False, False, "Nothing moves that way.")
    assert rng.bit_generator.state == before
    assert game.play(state, "right", rng).reward == 0


def test_a_new_tile_is_a_four_once_in_ten_and_comes_anywhere():
    game, rng, n = Twenty48(), np.random.default_rng(0), 6000
    state = board_of(". 2 . .\n. . . .\n. 8 . .\n. . . .")
    places: Counter[int] = Counter()
    tiles: Counter[int] = Counter()
    for _ in range(n):
        after = game.play(state, "left", rng).state.board
        ((place, tile),) = [(i, k) for i, k in enumerate(after) if k and i not in (0, 8)]
        places[place] += 1
        tiles[tile] += 1
    assert set(tiles) == {1, 2}
    assert abs(tiles[2] / n - 0.1) < 5 * sqrt(0.09 / n)
    assert set(places) == set(range(16)) - {0, 8}
    expected = n / 14
    assert all(abs(count - expected) < 5 * sqrt(expected) for count in places.values())


def test_the_start_is_two_tiles_anywhere():
    game, rng, n = Twenty48(size=2, target=8), np.random.default_rng(1), 3000
    starts = Counter(game.initial(rng).board for _ in range(n))
    fours = sum(count * board.count(2) for board, count in starts.items())
    assert abs(fours / (2 * n) - 0.1) < 0.02
    pairs = Counter(tuple(i for i, k in enumerate(board) if k) for board in starts.elements())
    assert len(pairs) == 6
    assert all(abs(count - n / 6) < 5 * sqrt(n / 6) for count in pairs.values())


# --- the end ---


def test_reaching_the_target_wins():
    game = Twenty48(target=64)
    state = board_of("32 32 . .\n. . . .\n. . . .\n. . . .", target=64)
    state, reward, done, success, note = game.play(state, "right", np.random.default_rng(0))
    assert reward == pytest.approx(0.1 * log2(65))
    assert (done, success, note) == (True, True, "You made 64.")
    assert state.best_tile == 64
    assert (game.legal(state), game.solve(state), game.parse(state, "up")) == ((), None, None)


def test_a_full_board_goes_on_as_long_as_two_neighbours_are_equal():
    game = Twenty48()
    state = board_of("2 4 2 4\n4 2 4 2\n2 4 2 4\n4 2 4 4")
    assert game.legal(state) == MOVES
    ends = set()
    for seed in range(60):  # the new tile comes in the last corner, beside a 4 and below an 8
        after, _, done, success, note = game.play(state, "up", np.random.default_rng(seed))
        ends.add((done, success, note, after.board[15]))
        assert rows_of(after.board)[:3] == [[2, 4, 2, 4], [4, 2, 4, 2], [2, 4, 2, 8]]
        assert game.legal(after) == (() if done else MOVES)
    assert ends == {(True, False, "No move is left.", 1), (False, False, "", 2)}


# --- what is seen ---


def test_text_facts_and_info():
    game = Twenty48(target=64)
    state = board_of("2 . 16 .\n. . . .\n. . . .\n. . . 32", target=64)
    assert game.text(state) == " 2  . 16  .\n .  .  .  .\n .  .  .  .\n .  .  . 32"
    assert len(game.text(state)) == game.max_text
    facts = game.facts(state)
    assert facts["row 0"] == [2, 0, 16, 0]
    assert (facts["best_tile"], facts["empty_cells"]) == (32, 13)
    assert game.info(state) == {"best_tile": 32}
    assert "2 with probability 0.9, otherwise 4" in game.rules


def test_symbols_take_the_place_of_numbers():
    game = Twenty48(size=2, target=16, symbols=("_", "a", "bb", "c", "√"))
    state = board_of("2 4\n. 8", size=2, target=16)
    assert game.text(state) == " a bb\n _  c"
    assert "a 2, bb 4, c 8, √ 16" in game.rules
    assert game.level(state) == "2 4\n. 8"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 1}, "size=1 must be a whole number from 2 to 5"),
        ({"size": 4.0}, "size=4.0 must be"),
        ({"target": 100}, "target=100 must be a power of two from 8 to 32768"),
        ({"target": 4}, "target=4 must be"),
        ({"size": 3}, "target=2048 must be a power of two from 8 to 512"),
        ({"ineffective_penalty": 0.1}, "ineffective_penalty=0.1 must be a number of at most 0"),
        ({"ineffective_penalty": float("nan")}, "ineffective_penalty=nan must be"),
        ({"symbols": "_ab"}, "symbols='_ab' must be 12 different texts of 1 to 6 visible"),
        ({"target": 8, "symbols": ("_", "a", "b", "b")}, "must be 4 different texts"),
        ({"target": 8, "symbols": ("_", "a", "b", "c d")}, "must be 4 different texts"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Twenty48(**params)


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("2 . .\n. . .\n. . .", "level 1: has rows of 3, 3, 3 cells; it must have 4 rows of 4"),
        ("2 . . . .\n" + ". . . .\n" * 3, "has rows of 5, 4, 4, 4 cells"),
        ("3 . . .\n" + ". . . .\n" * 3, "has '3'; a cell is '.' or a tile from 2 to 1024"),
        ("2048 . . .\n" + ". . . .\n" * 3, "has '2048'"),
        (". . . .\n" * 4, "has no tile"),
        (f"2 . . .\n. . . .\n. . . .\n. . . .\n\n{FULL}", "level 2: is over: it is full"),
    ],
)
def test_bad_levels(level, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Twenty48().levels(level)


# --- the oracle ---


def worth_of(rows: list[list[int]]) -> int:
    """What a position is worth, from the words of the search alone."""
    worth = 0
    for line in [*rows, *zip(*rows, strict=True)]:
        tiles = [n.bit_length() - 1 if n else 0 for n in line]
        steps = [b**3 - a**3 for a, b in pairwise(tiles)]
        ups, downs = sum(s for s in steps if s > 0), -sum(s for s in steps if s < 0)
        worth += search.EMPTY * tiles.count(0) - search.DISORDER * min(ups, downs)
        worth += search.PAIR * sum(a == b > 0 for a, b in pairwise(tiles))
        worth -= search.TILE * sum(k**3 for k in tiles)
    return worth


def slow_value(rows: list[list[int]], move: str, depth: int) -> float:
    """Expected worth of a move, one position after the other."""
    shifted, _ = slow_slide(rows, move)
    if shifted == rows:
        return search.LOST
    if depth == 0:
        return worth_of(shifted)
    total, places = 0.0, 0
    for row in range(len(rows)):
        for col in range(len(rows)):
            if shifted[row][col] == 0:
                places += 1
                for tile, chance in ((2, 0.9), (4, 0.1)):
                    shifted[row][col] = tile
                    total += chance * max(slow_value(shifted, m, depth - 1) for m in MOVES)
                shifted[row][col] = 0
    return total / places


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(0, 40), st.sampled_from([2, 3, 4]))
def test_the_oracles_move_is_best_by_a_slow_search(seed, moves, size):
    game, rng = Twenty48(size=size, target=1 << min(9, size**2)), np.random.default_rng(seed)
    state = game.initial(rng)
    for _ in range(moves):
        outcome = game.play(state, MOVES[int(rng.integers(4))], rng)
        state = state if outcome.done else outcome.state
    empty = state.board.count(0)
    depth = (*search.LOOKAHEAD, *[0] * 16)[empty]
    if size > 2 and depth > 1:
        return  # looking two tiles ahead takes a slow search too long
    values = {move: slow_value(rows_of(state.board), move, depth) for move in MOVES}
    chosen = search.best_move(state.board, size)
    assert values[chosen] == pytest.approx(max(values.values()), rel=1e-9)


def test_the_oracle_takes_the_winning_move():
    state = board_of("1024 2 4 8\n1024 4 8 2\n2 8 4 2\n4 2 8 4")
    assert Twenty48().solve(state) == ["up"]


@given(SEEDS, st.integers(2, 5))
def test_the_oracle_always_shifts_something(seed, size):
    """On any board at all, also on those that nobody would ever play into."""
    rng = np.random.default_rng(seed)
    board = rng.integers(0 if seed % 2 else 1, 15, size * size).astype(np.uint8).tobytes()
    if any(slide(board, size, move)[0] != board for move in MOVES):
        assert slide(board, size, search.best_move(board, size))[0] != board


def test_the_oracle_nearly_always_makes_256_and_chance_hardly_ever():
    env = gym.make("Text2048-v0", target=256)
    assert evaluate(env, OracleAgent(), 12).successes >= 11
    assert evaluate(env, RandomAgent(0), 20).success_rate < 0.4


def test_the_registered_limit_leaves_room_for_2048():
    spec = gym.spec("Text2048-v0")
    assert spec.max_episode_steps is not None
    assert spec.max_episode_steps >= 1.4 * 2048 / (0.9 * 2 + 0.1 * 4)


# --- the picture ---


@pytest.mark.parametrize("tile", [8, 16, 32])
def test_every_tile_has_a_look_of_its_own(tile):
    renderers = pytest.importorskip("renderers")
    pictures = [
        renderers.draw(Twenty48State(bytes([k, 0, 0, 1]), 2), tile).astype(int) for k in range(16)
    ]
    assert all(picture.shape == (5 * tile, 5 * tile, 3) for picture in pictures)
    edge, end = tile // 2, tile // 2 + 2 * tile
    for number, picture in enumerate(pictures):
        for other in pictures[:number]:
            changed = np.abs(picture - other)
            assert changed[edge:end, edge:end].mean() > 4
            changed[edge:end, edge:end] = 0
            assert not changed.any()


def luminance(color: np.ndarray) -> np.ndarray:
    """Relative luminance as WCAG 2 defines it, of colours ``[..., 3]``."""
    share = color / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("k", range(1, 16))
def test_digits_stand_out_and_stay_on_their_tile(k):
    """By 3 to 1 at least, which WCAG 2 asks for large text."""
    renderers = pytest.importorskip("renderers")
    picture = renderers.draw(Twenty48State(bytes([k, 0, 0, 0]), 2), 32)
    shades = luminance(picture[24:72, 19:77])  # of the upper left cell, inside the tile
    ground = shades[20:28, 0].mean()
    contrasts = (np.maximum(shades, ground) + 0.05) / (np.minimum(shades, ground) + 0.05)
    assert contrasts.max() > 3
    assert contrasts[:, [0, -1]].max() < 1.6, "a digit reaches the edge"


def test_the_picture_belongs_to_the_caller():
    renderers = pytest.importorskip("renderers")
    state = board_of("2 . . .\n. . . .\n. . . .\n. . . 4")
    first = renderers.draw(state)
    kept = first.copy()
    first[:] = 7
    assert np.array_equal(renderers.draw(state), kept)
