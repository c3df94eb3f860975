"""What can be known of a minefield, against layouts written out one by one."""

import time
from collections import Counter
from math import sqrt

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_minesweeper import SEEDS, SHAPES, layouts, mines_of, play, small, under_way

from text_envs.agents import OracleAgent, RandomAgent, evaluate
from text_envs.games.minesweeper import Minesweeper
from text_envs.games.minesweeper_odds import Layouts

RNG = np.random.default_rng(0)


@settings(max_examples=40)
@given(SEEDS, SHAPES, st.integers(1, 8))
def test_layouts_are_counted_as_by_writing_them_out(seed, shape, moves):
    game = Minesweeper(*shape)
    state = under_way(game, seed, moves)
    every = layouts(state.view, *shape)
    counted = Layouts(state.view, game.cols, game.mines)
    assert counted.number == len(every)
    unknown = [cell for cell, code in enumerate(state.view) if code in b"#F"]
    assert counted.with_mine() == {
        cell: sum(cell in layout for layout in every) for cell in unknown
    }
    rng = np.random.default_rng(seed)
    assert all(counted.sample(rng) in every for _ in range(5))


def test_every_layout_is_sampled_equally_often():
    game = Minesweeper(rows=3, cols=4, mines=4)
    state = game.play(game.levels("*..*\n.+*.\n...*")[0], "reveal 1 1", RNG).state
    every, n = layouts(state.view, 3, 4, 4), 6000
    counted = Layouts(state.view, 4, 4)
    seen = Counter(frozenset(counted.sample(RNG)) for _ in range(n))
    assert set(seen) == set(map(frozenset, every))
    p = 1 / len(every)
    assert all(abs(k / n - p) < 5 * sqrt(p * (1 - p) / n) for k in seen.values())


def test_numbers_that_contradict_each_other_have_no_layout():
    assert Layouts(b"1#1", 3, 1).number == 1
    assert Layouts(b"1#0", 3, 1).number == 0
    assert Layouts(b"1#1#", 4, 2).number == 0


@pytest.mark.parametrize(
    ("view", "cols", "mines", "with_mine"),
    [
        ("### 121 000", 3, 2, {0: 1, 1: 0, 2: 1}),  # 1-2-1
        ("#### 1221 0000", 4, 2, {0: 0, 1: 1, 2: 1, 3: 0}),  # 1-2-2-1
        ("### 11#", 3, 1, {0: 1, 1: 1, 2: 0, 5: 0}),  # 1-1 from a wall: no mine beyond
        ("### 12#", 3, 2, {0: 2, 1: 2, 2: 2, 5: 2}),
        ("#1##", 4, 1, {0: 1, 2: 1, 3: 0}),  # only the mines left tell about the last cell
        ("#1##", 4, 2, {0: 1, 2: 1, 3: 2}),
        ("F1##", 4, 2, {0: 1, 2: 1, 3: 2}),  # a flag is the player's opinion
        ("####", 2, 1, {0: 1, 1: 1, 2: 1, 3: 1}),
    ],
)
def test_textbook_patterns(view, cols, mines, with_mine):
    assert Layouts(view.replace(" ", "").encode(), cols, mines).with_mine() == with_mine


@settings(max_examples=40)
@given(SEEDS, SHAPES, st.integers(1, 8))
def test_the_oracle_reveals_what_is_safe_and_else_the_least_likely_mine(seed, shape, moves):
    game = Minesweeper(*shape)
    state = under_way(game, seed, moves)
    if state.spare >= 0:
        return
    every = layouts(state.view, *shape)
    counts = Counter(cell for layout in every for cell in layout)
    unknown = [cell for cell, code in enumerate(state.view) if code in b"#F"]
    fewest = min(counts[cell] for cell in unknown)
    plan = game.solve(state) or []
    targets = [m.removeprefix("reveal ") for m in plan if m.startswith("reveal")]
    cells = [int(row) * game.cols + int(col) for row, col in map(str.split, targets)]
    assert cells
    assert all(counts[cell] == fewest for cell in cells)
    if fewest == 0:
        assert set(cells) == {cell for cell in unknown if counts[cell] == 0}
    assert plan[0] in game.legal(state)
    assert game.solve(game.lookalike(state, np.random.default_rng(seed))) == plan


@settings(max_examples=40)
@given(SEEDS, SHAPES, st.integers(1, 8))
def test_a_lookalike_agrees_with_the_numbers_and_differs_where_it_can(seed, shape, moves):
    game = Minesweeper(*shape)
    state = under_way(game, seed, moves)
    other = game.lookalike(state, np.random.default_rng(seed))
    assert other.view == state.view
    if state.spare >= 0:
        assert other != state
        assert len(mines_of(other)) == game.mines
        return
    every = layouts(state.view, *shape)
    assert mines_of(other) in every
    assert (other == state) == (len(every) == 1)


def test_the_oracle_takes_a_flag_from_a_safe_cell_first():
    game, state = small()
    state = play(game, state, "reveal 0 3", "flag 1 0")[-1].state
    plan = game.solve(state) or []
    assert len(layouts(state.view, 4, 4, 3)) > 1
    assert all(plan[i - 1] == "flag 1 0" for i, move in enumerate(plan) if move == "reveal 1 0")
    start = play(game, small()[1], "flag 0 0")[-1].state
    assert game.solve(start) == ["flag 0 0", "reveal 0 0"]


def test_the_oracle_wins_most_boards_and_random_moves_hardly_any():
    env = gym.make("TextMinesweeper-v0")
    assert evaluate(env, OracleAgent(), 100).successes > 60  # measured: 75 %
    assert evaluate(env, RandomAgent(0), 100).successes < 10  # measured: 0.7 %


def test_a_large_board_is_reasoned_about_in_time():
    game, rng = Minesweeper(16, 30, 99), np.random.default_rng(2)
    state, outcome = game.initial(rng), None
    start = time.process_time()
    for _ in range(15):
        for move in game.solve(state) or []:
            if game.parse(state, move):
                outcome = game.play(state, move, rng)
                state = outcome.state
    assert outcome is not None
    assert time.process_time() - start < 10  # measured: 0.4
