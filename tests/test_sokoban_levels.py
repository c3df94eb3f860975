"""Generated Sokoban levels: valid, of exact length, the same from any thread."""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from slow_sokoban import check_plan, distances, slow

from text_envs.games.sokoban import Sokoban
from text_envs.games.sokoban_search import BackwardSearch, backward_search


def start_or_fault(game, seed):
    try:
        return game.initial(np.random.default_rng(seed)), ""
    except ValueError as error:
        return None, str(error)


@given(
    st.integers(3, 10),
    st.integers(5, 10),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(0, 2**32),
)
def test_generated_levels_are_valid(rows, cols, boxes, shortest, more, seed):
    assume(boxes + 2 <= (rows - 2) * (cols - 2))
    bounds = {"min_solution": shortest, "max_solution": shortest + more}
    game = Sokoban(rows=rows, cols=cols, boxes=boxes, **bounds)
    state, fault = start_or_fault(game, seed)
    if state is None:
        assert fault.startswith(f"no level found with rows={rows}, cols={cols}, boxes={boxes}, min")
        assert min(rows, cols) < 6 or boxes > 1  # one box in an ordinary room always works
        return
    position = slow(state)
    assert len(state.board) == rows * (cols + 1) - 1
    assert state.stride == cols + 1
    assert len(position.boxes) == len(position.targets) == boxes
    assert position.boxes != position.targets
    assert game.info(state) == {"deadlocked": False}
    optimal = game.start_info(state)["optimal_moves"]
    assert shortest <= optimal <= shortest + more
    check_plan(game, state, optimal)
    # reading checks that the border is closed and that everything can be reached
    assert game.levels(game.level(state)) == [state]


@pytest.mark.parametrize("boxes", [1, 2])
def test_optimal_moves_agree_with_forward_search(boxes):
    game = Sokoban(size=6, boxes=boxes, max_solution=15)
    for seed in range(25):
        state = game.initial(np.random.default_rng(seed))
        start = slow(state)
        assert game.start_info(state) == {"optimal_moves": distances(start)[start]}


@pytest.mark.parametrize(
    ("parameters", "levels", "slack"),
    [({}, 1500, 0.35), ({"size": 8, "boxes": 2, "max_solution": 20}, 600, 0.75)],
)
def test_lengths_are_drawn_evenly(parameters, levels, slack):
    game, rng = Sokoban(**parameters), np.random.default_rng(0)
    lengths = Counter(game.start_info(game.initial(rng))["optimal_moves"] for _ in range(levels))
    expected = levels / game.max_solution
    assert set(lengths) == set(range(1, game.max_solution + 1))
    assert all(abs(n - expected) < slack * expected for n in lengths.values())


def test_a_length_that_no_room_has_gives_way_to_the_longest_found():
    game = Sokoban(max_solution=1000)
    state = game.initial(np.random.default_rng(0))
    assert 10 <= game.start_info(state)["optimal_moves"] < 40


def test_every_box_starts_off_target_where_the_length_allows():
    game, rng = Sokoban(size=7, boxes=2, min_solution=8, max_solution=12), np.random.default_rng(0)
    off = sum(b"*" not in game.initial(rng).board for _ in range(100))
    assert off > 80


@pytest.mark.parametrize(
    "parameters",
    [
        {"rows": 3, "cols": 5, "min_solution": 2},  # rooms that have no such level
        {"size": 10, "boxes": 62},  # rooms too small for so many boxes
    ],
)
def test_impossible_levels_are_refused_in_bounded_time(parameters):
    game = Sokoban(**parameters)
    with pytest.raises(ValueError, match=r"rows=\d+, cols=\d+, boxes=\d+, min_.*larger board"):
        game.initial(np.random.default_rng(0))


@pytest.fixture
def hasty_threads():
    """Threads take turns so often that a race would show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_concurrent_starts_equal_serial_ones():
    game = Sokoban(size=7, boxes=2, max_solution=20)

    def start(seed):
        state = game.initial(np.random.default_rng(seed))
        return state, game.start_info(state), game.info(state), game.solve(state)

    serial = [start(seed) for seed in range(32)]
    backward_search.cache_clear()
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(start, range(32))) == serial


@pytest.mark.usefixtures("hasty_threads")
def test_threads_may_share_one_search():
    free = sum(0b1111110 << 8 * row for row in range(1, 7))
    targets, boxes, player = 0b1100 << 16, 0b100 << 16 | 0b100 << 24, 0b10 << 8

    barrier = Barrier(8)

    def distance(search):
        barrier.wait()
        return search.distance(boxes, player)

    for _ in range(10):
        search = BackwardSearch(free, targets, 8)
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(distance, [search] * 8))
        assert found == {BackwardSearch(free, targets, 8).distance(boxes, player)}
        assert search.depth(100, 10**6) == BackwardSearch(free, targets, 8).depth(100, 10**6)


def test_what_a_search_says_does_not_depend_on_what_it_said_before():
    free = sum(0b1111110 << 8 * row for row in range(1, 7))
    fresh, used = (BackwardSearch(free, 0b1100 << 16, 8) for _ in range(2))
    assert used.winnable()
    limited = [fresh.depth(100, limit) for limit in range(0, 200, 20)]
    assert limited == sorted(limited)
    assert limited == [used.depth(100, limit) for limit in range(0, 200, 20)]


def test_a_level_does_not_depend_on_what_was_searched_before():
    game = Sokoban(rows=3, cols=6, max_solution=3)  # so few rooms that they come again and again
    backward_search.cache_clear()
    first = [game.initial(np.random.default_rng(seed)) for seed in range(60)]
    for state in first:
        game.info(state), game.solve(state)
    assert [game.initial(np.random.default_rng(seed)) for seed in range(60)] == first
