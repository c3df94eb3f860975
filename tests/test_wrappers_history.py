"""What is remembered, and that no text gets an observation out of its space."""

import pickle
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from tiny_game import CORRIDOR_ID

from text_envs import ChatEnv, ChatProtocol
from text_envs.chat import content_blocks
from text_envs.testing import arbitrary_text
from text_envs.wrappers import History


def corridor(level: str = "P____", **kwargs: Any) -> History:
    env = History(gym.make(CORRIDOR_ID), **kwargs)
    observation, _ = env.reset(seed=0, options={"level": level})
    assert observation == level
    return env


def test_the_last_turns_are_shown():
    env = corridor(k=2)
    assert env.step("right")[0] == "1 turn ago:\nP____\nMove: right\nReward: -0.1\n\nNow:\n_P___"
    env.step("right")
    observation, reward, *_ = env.step(" Left\n")
    assert reward == -0.1
    assert observation == (
        "2 turns ago:\n_P___\nMove: right\nReward: -0.1\n\n"
        "1 turn ago:\n__P__\nMove: Left\nReward: -0.1\n\n"
        "Now:\n_P___"
    )
    assert env.reset(options={"level": "P__"})[0] == "P__", "an episode remembers no other"


def test_rewards_can_be_left_out():
    assert corridor(rewards=False).step("right")[0] == (
        "1 turn ago:\nP____\nMove: right\n\nNow:\n_P___"
    )


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        ("", ""),
        ("go\nReward: 99", "go Reward: 99"),
        ("a\t\x1fb", "a b"),
        ("ｕｐ\0\ud800é", "?????"),
        ("see <image> here", "see [image] here"),
        ("123456789 123456789 ", "123456789 123456789"),
        ("123456789 123456789 123", "123456789 1234567..."),
        ("x" * 100_000, "x" * 17 + "..."),
    ],
)
def test_an_action_is_shown_in_one_line(action: str, shown: str):
    observation = corridor(max_action=20).step(action)[0]
    assert observation.split("\n")[2] == f"Move: {shown}"


class Extreme(gym.Env[str, str]):
    """Shows as much as its space holds, and pays what takes the most room."""

    observation_space = spaces.Text(40, min_length=0, charset="z√")
    action_space = spaces.Text(1)

    reward = -1.23456e-300

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "√" * 40, {}

    def step(self, action):
        return "z" * 40, self.reward, False, False, {}


@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("rewards", [True, False])
def test_the_space_is_just_large_enough(k: int, rewards: bool):
    env = History(Extreme(), k=k, rewards=rewards, max_action=30)
    space: Any = env.observation_space
    env.reset(seed=0)
    for _ in range(k):
        observation = env.step("y" * 30)[0]
        assert space.contains(observation)
    assert len(observation) == space.max_length
    assert "√" in observation
    assert space.character_set >= set("√:\nA")


@given(
    actions=st.lists(arbitrary_text(), max_size=6),
    rewards=st.lists(st.floats(), min_size=6, max_size=6),
)
def test_any_text_and_reward_stay_in_the_space(actions: list[str], rewards: list[float]):
    inner = Extreme()
    env = History(inner, k=2, max_action=4)
    env.reset(seed=0)
    for action, reward in zip(actions, rewards, strict=False):
        inner.reward = reward
        assert env.observation_space.contains(env.step(action)[0])


def test_only_the_present_picture_is_shown():
    env = History(gym.make(CORRIDOR_ID, obs_mode="text+image", tile=8), k=3)
    env.reset(seed=0, options={"level": "P__"})
    observation, *_ = env.step("right <image>")
    assert env.observation_space.contains(observation)
    assert observation["text"].count("<image>") == 1
    assert observation["text"].endswith(
        "Now:\nInvalid move. Legal moves: left, right.\n<image>\nP__"
    )
    blocks: Any = content_blocks(observation)
    assert blocks[0]["text"].startswith("1 turn ago:\n[image]\nP__\nMove: right [image]")
    assert np.array_equal(blocks[1]["image"], observation["image"])


@pytest.mark.parametrize("copied", [deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_remember_for_themselves(copied: Any):
    env = corridor(k=2)
    env.step("right")
    twin = copied(env)
    twin.step("left")
    expected = "2 turns ago:\nP____\nMove: right\nReward: -0.1\n\n1 turn ago:\n_P___\nMove: right"
    assert env.step("right")[0].startswith(expected)


def test_a_chat_sees_what_was_before():
    env = ChatEnv(corridor(k=1), ChatProtocol(format="answer"))
    env.reset(options={"level": "P___"})
    message, *_ = env.step("<answer>right || right</answer>")
    assert message.endswith("1 turn ago:\n_P__\nMove: right\nReward: -0.1\n\nNow:\n__P_")
    assert env.observation_space.contains(message)


def test_what_raises_is_not_remembered():
    env: Any = corridor()
    with pytest.raises(gym.error.InvalidAction):
        env.step(7)
    assert env.step("left")[0].count("ago:") == 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rewards": "no"}, "rewards='no' must be True or False"),
        ({"k": 0}, "k=0 must be a whole number of at least 1"),
        ({"k": 1.5}, "k=1.5 must be"),
        ({"max_action": 3}, "max_action=3 must be a whole number of at least 4"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        History(gym.make(CORRIDOR_ID), **kwargs)


def test_observations_that_are_no_text():
    with pytest.raises(TypeError, match="History needs observations that are text"):
        History(gym.make("CartPole-v1"))
