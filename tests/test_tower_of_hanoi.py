"""Tower of Hanoi against known numbers and a slow search over every position."""

import re
from collections import deque
from itertools import permutations, product

import gymnasium as gym
import numpy as np
import pytest

from text_envs.env import split_of
from text_envs.games.tower_of_hanoi import HanoiState, TowerOfHanoi, distance

NO_LUCK = np.random.default_rng(0)  # no move draws from it


def slow_moves(places: tuple[int, ...], pegs: int) -> dict[str, tuple[int, ...]]:
    """Legal move -> the position after it, by the rules as they are told: lists of disks."""
    piles = [[d for d in reversed(range(len(places))) if places[d] == peg] for peg in range(pegs)]
    found = {}
    for a, b in permutations(range(pegs), 2):
        if piles[a] and (not piles[b] or piles[b][-1] > piles[a][-1]):
            after = list(places)
            after[piles[a][-1]] = b
            found[f"move {a + 1} {b + 1}"] = tuple(after)
    return found


def slow_distances(disks: int, pegs: int, goal: int) -> dict[tuple[int, ...], int]:
    """Fewest moves from every position to the tower, searched backwards (moves can be undone)."""
    tower = (goal,) * disks
    moves, queue = {tower: 0}, deque([tower])
    while queue:
        places = queue.popleft()
        for after in slow_moves(places, pegs).values():
            if after not in moves:
                moves[after] = moves[places] + 1
                queue.append(after)
    return moves


def solve_and_play(game: TowerOfHanoi, state: HanoiState) -> int:
    """Play the oracle's plan to its successful end; its length."""
    plan = game.solve(state)
    assert plan is not None
    rewards = []
    for number, move in enumerate(plan, 1):
        assert move in game.legal(state)
        state, reward, done, success, _ = game.play(state, move, NO_LUCK)
        assert done == success == (number == len(plan))
        rewards.append(reward)
    assert rewards == [0.0] * (len(plan) - 1) + [1.0]
    assert game.legal(state) == ()
    assert game.solve(state) is None
    return len(plan)


# --- the oracle ---


@pytest.mark.parametrize("disks", range(1, 8))
def test_the_classic_start_takes_two_to_the_n_minus_one_moves(disks):
    game = TowerOfHanoi(disks=disks, random_start=False)
    start = game.initial(NO_LUCK)
    assert start == HanoiState((0,) * disks, 3, 2)
    assert game.start_info(start) == {"optimal_moves": 2**disks - 1}
    assert solve_and_play(game, start) == 2**disks - 1


@pytest.mark.parametrize(
    ("disks", "moves"), [(1, 1), (2, 3), (3, 5), (4, 9), (5, 13), (6, 17), (7, 25)]
)
def test_four_pegs_take_the_frame_stewart_numbers(disks, moves):
    game = TowerOfHanoi(disks=disks, pegs=4, random_start=False)
    start = game.initial(NO_LUCK)
    assert start == HanoiState((0,) * disks, 4, 3)
    assert game.start_info(start) == {"optimal_moves": moves}
    assert solve_and_play(game, start) == moves


@pytest.mark.parametrize(("disks", "pegs"), [(3, 3), (4, 3), (3, 4), (3, 5)])
def test_every_position_is_as_far_as_a_slow_search_says(disks, pegs):
    game = TowerOfHanoi(disks=disks, pegs=pegs)
    for goal in range(pegs):
        wanted = slow_distances(disks, pegs, goal)
        assert len(wanted) == pegs**disks
        for places, moves in wanted.items():
            state = HanoiState(places, pegs, goal)
            assert distance(state) == moves
            if moves and pegs == 3:
                assert solve_and_play(game, state) == moves


# --- moves ---


@pytest.mark.parametrize("pegs", [3, 4])
def test_legal_moves_and_what_they_do_are_those_of_the_rules(pegs):
    game = TowerOfHanoi(pegs=pegs)
    for places in product(range(pegs), repeat=3):
        state = HanoiState(places, pegs, 0)
        if places == (0, 0, 0):
            continue
        wanted = slow_moves(places, pegs)
        assert set(game.legal(state)) == set(wanted)
        for move, after in wanted.items():
            assert game.play(state, move, NO_LUCK).state == HanoiState(after, pegs, 0)


def test_illegal_moves_are_refused():
    game = TowerOfHanoi()
    state = HanoiState((0, 1, 0), 3, 2)  # 1 on 3, 2, nothing
    assert game.legal(state) == ("move 1 2", "move 1 3", "move 2 3")
    for move in ("move 2 1", "move 3 1", "move 3 2", "move 1 1", "move 1 4", "move 0 1"):
        assert game.parse(state, move) is None


def test_a_refused_move_changes_nothing_and_costs_the_penalty():
    env = gym.make("TextTowerOfHanoi-v0", random_start=False)
    env.reset(seed=0)
    env.step("move 1 3")
    observation, reward, terminated, _, info = env.step("move 1 3")
    assert (reward, terminated, info["action_is_valid"]) == (-0.1, False, False)
    assert observation == (
        "Invalid move. Legal moves: move 1 2, move 3 1, move 3 2.\n"
        "Peg 1: 3 2\nPeg 2: empty\nPeg 3: 1\nGoal: peg 3"
    )


@pytest.mark.parametrize(
    "text",
    ["move 1 3", "1 3", "1->3", "1 -> 3", "1, 3", "1,3", "MOVE 1 3", " move  1\t3\n", "move 1->3"],
)
def test_every_way_to_write_a_move_is_read(text):
    state = TowerOfHanoi(random_start=False).initial(NO_LUCK)
    assert TowerOfHanoi().parse(state, text) == "move 1 3"


@pytest.mark.parametrize(
    "text",
    [
        "13", "1", "1 3 2", "1 3 1 3", "move 1", "move1 3", "move 1 to 3", "from 1 3", "1-3",
        "1 <- 3", "1 3.", "move 1 3 move 1 3", "１ ３", "1" + " " * 100 + "3", "move a c", "",
    ],
)  # fmt: skip
def test_nothing_is_guessed(text):
    state = TowerOfHanoi(random_start=False).initial(NO_LUCK)
    assert TowerOfHanoi().parse(state, text) is None


# --- what is seen ---


def test_text_and_facts_list_the_disks_from_bottom_to_top():
    game, state = TowerOfHanoi(), HanoiState((0, 1, 0), 3, 2)
    assert game.text(state) == "Peg 1: 3 1\nPeg 2: 2\nPeg 3: empty\nGoal: peg 3"
    assert game.facts(state) == {"peg 1": [3, 1], "peg 2": [2], "peg 3": [], "goal": 3}
    assert "Disks 1 (the smallest) to 3 are on 3 pegs." in game.rules
    assert "Disk 1 is on 4 pegs." in TowerOfHanoi(disks=1, pegs=4).rules


# --- starts ---


def test_every_start_is_drawn_about_as_often_and_none_is_solved():
    game, rng, n = TowerOfHanoi(), np.random.default_rng(0), 7800
    drawn = [game.initial(rng) for _ in range(n)]
    counts = [drawn.count(state) for state in set(drawn)]
    assert len(counts) == 3 * (27 - 1)
    assert min(counts) > 55  # of 100 expected, and a standard deviation of 10
    assert max(counts) < 145
    assert all(state.places != (state.goal,) * 3 for state in drawn)


def test_both_splits_have_starts_but_a_single_level_is_in_one():
    for split in ("train", "test"):
        env = gym.make("TextTowerOfHanoi-v0", split=split)
        levels = {env.reset(seed=seed)[0] for seed in range(40)}
        assert len(levels) > 3
        assert {split_of(level) for level in levels} == {split}
    classic = TowerOfHanoi(random_start=False)
    lies_in = split_of(classic.level(classic.initial(NO_LUCK)))
    other = "train" if lies_in == "test" else "test"
    with pytest.raises(ValueError, match=f"split='{other}': these parameters allow too few"):
        gym.make("TextTowerOfHanoi-v0", random_start=False, split=other).reset(seed=0)


# --- levels ---

LEVEL = "Peg 1: 3 1\nPeg 2: 2\nPeg 3: empty\nGoal: peg 3"


def test_levels_are_read_as_they_are_written():
    game, state = TowerOfHanoi(), HanoiState((0, 1, 0), 3, 2)
    assert game.level(state) == LEVEL
    assert game.levels(f"\n{LEVEL}\n\n  {LEVEL.upper()}  \n") == [state, state]
    assert game.levels("") == []


@pytest.mark.parametrize(
    ("level", "fault"),
    [
        ("Peg 1: 3 2 1", "level 1: has 1 lines; this environment was made with pegs=3"),
        (LEVEL + "\n\n" + LEVEL.replace("Goal: peg 3", "Goal: 3"), "level 2: the last line is"),
        (LEVEL.replace("peg 3", "peg 4"), "a number from 1 to 3"),
        (LEVEL.replace("Peg 2", "Peg 3"), "level 1: line 2 is 'peg 3: 2'; write 'Peg 2: '"),
        (LEVEL.replace("empty", ""), "level 1: line 3 is 'peg 3:'"),
        (LEVEL.replace("3 1", "3 x"), "level 1: line 1 is 'peg 1: 3 x'"),
        (LEVEL.replace("3 1", "1 3"), "level 1: peg 1 has disk 3 on the smaller disk 1"),
        (LEVEL.replace("3 1", "3"), "level 1: has the disks 2 3; this environment was made with"),
        (LEVEL.replace("3 1", "3 2"), "has the disks 2 2 3; this environment was made with"),
        (LEVEL.replace("3 1", "4 3 1"), "so it must have each of 1 to 3 once"),
        ("Peg 1: empty\nPeg 2: empty\nPeg 3: 3 2 1\nGoal: peg 3", "level 1: is solved already"),
    ],
)  # fmt: skip
def test_a_malformed_level_is_named_with_its_fault(level, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        TowerOfHanoi().levels(level)


# --- parameters ---


@pytest.mark.parametrize(
    "params", [{"disks": 0}, {"disks": 11}, {"disks": "3"}, {"pegs": 2}, {"pegs": 7}, {"pegs": 3.0}]
)
def test_a_bad_parameter_is_named(params):
    ((name, value),) = params.items()
    with pytest.raises(ValueError, match=f"{name}={re.escape(repr(value))} must be a whole number"):
        TowerOfHanoi(**params)


def test_more_positions_than_the_oracle_can_look_at_are_refused():
    with pytest.raises(ValueError, match=r"disks=9 on pegs=4 .* use at most 8 disks"):
        TowerOfHanoi(disks=9, pegs=4)
    assert distance(TowerOfHanoi(disks=10, random_start=False).initial(NO_LUCK)) == 1023


# --- pictures ---


@pytest.fixture
def draw():
    return pytest.importorskip("renderers").draw


@pytest.mark.parametrize("tile", [8, 16, 32])
def test_every_position_and_goal_has_a_picture_of_its_own(draw, tile):
    states = [HanoiState(p, 3, goal) for p in product(range(3), repeat=2) for goal in range(3)]
    pictures = [draw(state, tile) for state in states]
    assert {picture.shape for picture in pictures} == {(4 * tile, 12 * tile, 3)}
    assert len({picture.tobytes() for picture in pictures}) == len(states)
    assert all(picture.std() > 10 for picture in pictures)


def test_a_picture_belongs_to_the_caller(draw):
    state = HanoiState((0, 1, 2, 0), 4, 1)
    picture = draw(state)
    kept = picture.copy()
    picture[:] = 7
    assert np.array_equal(draw(state), kept)
    assert kept.shape == (6 * 32, 16 * 32, 3)
