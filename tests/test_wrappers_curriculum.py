"""Difficulty that follows success: when it goes up and down, what counts, what is saved."""

import json
import pickle
from copy import deepcopy
from typing import Any

import gymnasium as gym
import pytest
from equality import assert_equal
from hypothesis import given
from hypothesis import strategies as st
from tiny_game import CORRIDOR_ID

from text_envs import ChatEnv, ChatProtocol
from text_envs.agents import OracleAgent, RandomAgent, evaluate
from text_envs.wrappers import Curriculum, History, Progress

LEVELS = [{"cells": 4}, {"cells": 6}, {"cells": 8, "slip": 0.1}]
LENGTHS = [{3, 4}, {3, 4, 5, 6}, {3, 4, 5, 6, 7, 8}]


def corridor(**kwargs: Any) -> Curriculum:
    return Curriculum(CORRIDOR_ID, LEVELS, **{"window": 4, "up": 0.75, "down": 0.25, **kwargs})


def play(env: gym.Env[Any, Any], won: bool, **kwargs: Any) -> int:
    """Play an episode, won by its plan or left after a move; the level that it was played at."""
    _, info = env.reset(**kwargs)
    inner: Any = env.unwrapped
    over, level = False, info["curriculum_level"]
    while not over:
        *_, terminated, truncated, info = env.step("right" if won else "left")
        assert info["curriculum_level"] == level
        over = terminated or truncated or not won
    assert info["success"] == won
    assert inner.envs[level] is inner.active
    return level


def test_it_gets_harder_and_easier():
    env = corridor()
    assert [play(env, True, seed=k) for k in range(4)] == [0] * 4
    assert (env.level, env.results) == (1, ()), "the level changes with the end of the fourth"
    assert [play(env, won) for won in (False, True, True, False)] == [1] * 4
    # a half is neither much nor little; with each episode, the first of the four is forgotten
    assert [play(env, won) for won in (False, True, True, True)] == [1] * 4
    assert env.level == 2
    assert [play(env, True) for _ in range(6)] == [2] * 6, "there is no level above"
    assert [play(env, False) for _ in range(3)] == [2, 2, 2]
    assert env.level == 2, "an episode that is left counts when the next begins"
    assert [play(env, False) for _ in range(6)] == [1, 1, 1, 1, 0, 0]
    assert [play(env, False) for _ in range(9)] == [0] * 9, "there is no level below"


@given(st.lists(st.booleans(), max_size=40))
def test_levels_follow_a_plain_count(outcomes: list[bool]):
    env, level, seen = corridor(), 0, []
    for won in outcomes:
        assert play(env, won, seed=1) == level
        seen.append(won)
        rate = sum(seen[-4:]) / 4
        if len(seen) >= 4 and rate >= 0.75 and level < 2:
            level, seen = level + 1, []
        elif len(seen) >= 4 and rate <= 0.25 and level > 0:
            level, seen = level - 1, []


def test_levels_are_as_difficult_as_they_are_said_to_be():
    env = corridor()
    for level, lengths in enumerate(LENGTHS):
        env.level = level
        assert {len(env.reset(seed=seed)[0]) for seed in range(60)} == lengths
        assert env.observation_space.contains(env.reset()[0])


def test_limits_outside_count_as_failures():
    env = gym.make(
        "text_envs:TextCurriculum-v0",
        env=CORRIDOR_ID,
        levels=LEVELS,
        window=4,
        max_episode_steps=2,
    )
    inner: Any = env.unwrapped
    inner.level = 1
    chat = ChatEnv(env, ChatProtocol(format="answer"), max_turns=1)
    for seed in range(4):
        chat.reset(seed=seed)
        *_, info = chat.step("<answer>left</answer>")
        assert info["curriculum_level"] == 1
    chat.reset()
    assert inner.level == 0


def test_what_does_not_count():
    env = corridor()
    for _ in range(9):
        env.reset(seed=1)  # nothing was played
    env.reset()
    assert env.results == ()
    play(env, True)
    with pytest.warns(UserWarning, match="after the game has ended"):
        env.step("right")
    env.reset()
    assert env.results == (True,), "an episode counts once"
    assert play(env, True, options={"curriculum_level": 2}) == 2
    play(env, False, options={"curriculum_level": 1})
    env.reset()
    assert (env.level, env.results) == (0, (True,)), "a level that was asked for doesn't count"
    env.step("left")
    env.level = 1
    env.reset()
    assert (env.level, env.results) == (1, ()), "an episode of the level before doesn't count"


def test_a_group_shares_its_start():
    """Copies that were played differently still start the members of a group alike."""
    copies = [corridor() for _ in range(3)]
    for won in (True, True, False, True):
        for env in copies[1:]:
            play(env, won)
    assert [env.level for env in copies] == [0, 1, 1]
    for env in copies:
        env.level = 1
    for seed in range(8):  # as many as would change the level
        starts = [e.reset(seed=seed, options={"noise_seed": m}) for m, e in enumerate(copies)]
        for start in starts:
            assert_equal(start, starts[0])
        for member, env in enumerate(copies):
            play(env, member == 0, seed=seed, options={"noise_seed": member})
    assert [(env.level, env.results) for env in copies] == [(1, ())] * 3


def test_one_count_for_all_copies():
    copies, progress = [corridor() for _ in range(4)], Progress(3, window=4, up=0.75, down=0.25)
    levels = []
    for seed in range(5):
        options = {"curriculum_level": progress.level}
        played = [play(env, seed < 3, seed=seed, options=options) for env in copies]
        levels.append(played)
        for _ in copies:
            progress.record(seed < 3)
    assert levels == [[0] * 4, [1] * 4, [2] * 4, [2] * 4, [1] * 4]
    assert [env.results for env in copies] == [()] * 4
    again = Progress(3, window=4, up=0.75, down=0.25)
    again.load_state_dict(json.loads(json.dumps(progress.state_dict())))
    assert (again.level, again.results) == (progress.level, progress.results)
    with pytest.raises(ValueError, match="levels=0 must be a whole number of at least 1"):
        Progress(0)


def test_saved_and_restored():
    env, again = corridor(), corridor()
    for seed in range(7):
        play(env, seed != 5, seed=seed)
    env.reset()
    state = json.loads(json.dumps(env.state_dict()))
    assert state == {"level": 1, "results": [True, False, True]}
    again.load_state_dict(state)
    for seed in range(12):
        for won in (True, seed % 3 == 0):
            assert play(again, won, seed=seed) == play(env, won, seed=seed)
    assert again.state_dict() == env.state_dict()
    with pytest.raises(ValueError, match="curriculum level 3 must be a whole number from 0 to 2"):
        again.load_state_dict({"level": 3, "results": []})


def test_same_seeds_and_actions_same_episodes():
    one, other = corridor(), corridor()
    play(other, False, seed=9)
    other.load_state_dict(one.state_dict())
    for seed in range(5):
        assert_equal(one.reset(seed=seed), other.reset(seed=seed))
        for _ in range(8):
            if one.solve() is None:
                break
            assert_equal(one.step("right"), other.step("right"))
        assert_equal(one.reset(), other.reset())


@pytest.mark.parametrize("copied", [deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_their_own_way(copied: Any):
    env = corridor()
    for seed in range(3):
        play(env, True, seed=seed)
    env.reset(seed=3)
    twin = copied(env)
    play(twin, True)
    assert (env.level, twin.level) == (0, 1)
    play(env, True)
    assert env.level == 1


def test_agents_and_wrappers():
    env = History(corridor(), k=1)
    evaluate(env, OracleAgent(), 20)
    assert env.get_wrapper_attr("level") == 2
    plain = gym.make("TextCurriculum-v0", env=CORRIDOR_ID, levels=LEVELS, window=3)
    assert evaluate(plain, OracleAgent(), 30).successes == 30
    inner: Any = plain.unwrapped
    assert inner.rules.startswith("Walk to the right end of 8")
    evaluate(plain, RandomAgent(0), 5)


def test_a_function_makes_the_levels():
    made = []

    def make(**kwargs: Any) -> gym.Env[Any, Any]:
        made.append(kwargs)
        return gym.make(CORRIDOR_ID, **kwargs)

    env = Curriculum(make, [{"cells": 3}, {"cells": 9}], slip=0.5)
    assert env.reset(seed=0)[0] in ("P__", "_P_")
    assert made[:2] == [{"slip": 0.5, "cells": 3}, {"slip": 0.5, "cells": 9}]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"env": 3}, "env=3 must be an id or a function"),
        ({"levels": []}, r"levels=\[\] must be a list of at least one dict"),
        ({"levels": {"cells": 3}}, "must be a list of at least one dict"),
        ({"levels": [3]}, "must be a list of at least one dict"),
        ({"window": 0}, "window=0 must be a whole number of at least 1"),
        ({"up": 0.2}, "up=0.2 must be above down=0.25, both numbers from 0 to 1"),
        ({"up": "0.8"}, "up='0.8' must be above down=0.25, both numbers"),
        ({"up": 1.5}, "up=1.5 must be"),
        ({"down": -1}, "up=0.75 must be above down=-1"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], message: str):
    arguments = {"env": CORRIDOR_ID, "levels": LEVELS, "up": 0.75, "down": 0.25, **kwargs}
    with pytest.raises(ValueError, match=message):
        Curriculum(**arguments)


def test_an_environment_that_tells_no_success():
    with pytest.raises(ValueError, match=r"CartPole-v1 has no info\['success'\]"):
        Curriculum("CartPole-v1", [{}])


@pytest.mark.parametrize("state", [{}, {"level": 1}, None, [1]])
def test_bad_saved_states(state: Any):
    env = corridor()
    with pytest.raises(ValueError, match="is not what state_dict gave"):
        env.load_state_dict(state)
    assert env.level == 0


@pytest.mark.parametrize("level", [-1, 3, "1", 0.0])
def test_bad_levels(level: Any):
    env = corridor()
    with pytest.raises(ValueError, match=r"curriculum level .* must be a whole number"):
        env.level = level
    with pytest.raises(ValueError, match=r"curriculum level .* must be a whole number"):
        env.reset(options={"curriculum_level": level})
