"""A whole reply as one step: the prompts that come out, the limits, the spaces, the pictures."""

import json
import pickle
import warnings
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from tiny_game import CORRIDOR_ID

import text_envs
from text_envs import ENV_IDS, ChatEnv, ChatProtocol
from text_envs.chat import content_blocks

THINK = ChatProtocol()


def corridor(level: str = "P____", protocol: ChatProtocol = THINK, **kwargs: Any) -> ChatEnv:
    """A chat that has begun, in a corridor."""
    env = ChatEnv(gym.make(CORRIDOR_ID), protocol, **kwargs)
    env.reset(seed=0, options={"level": level})
    return env


def answer(*moves: str, protocol: ChatProtocol = THINK) -> str:
    return protocol.write({"think": "I walk.", "answer": protocol.action_separator.join(moves)})


# --- whole replies as steps ---


def test_a_reply_is_a_step():
    env = corridor("_P___")
    message, reward, terminated, truncated, info = env.step(answer("left", "right", "up"))
    assert reward == pytest.approx(-0.1 - 0.1 - 0.1)
    assert (terminated, truncated) == (False, False)
    assert message.startswith("Turn 2 of 5. Moves left: 7.\nInvalid move.")
    assert message.endswith("_P___")
    assert info["turn"] == 1
    assert info["actions"] == ("left", "right", "up")
    assert info["sections"] == {"think": "I walk.", "answer": "left||right||up"}
    assert info["well_formed"] is True
    flags = info["success"], info["action_is_valid"], info["action_is_effective"]
    assert flags == (False, False, True)


def test_moves_after_the_end_are_not_played():
    env = corridor("P__")
    _, reward, terminated, truncated, info = env.step(answer("right", "right", "right", "left"))
    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(-0.1 + 0.9)
    assert info["actions"] == ("right", "right")
    assert info["success"] is True
    assert info["legal_actions"] == ()


def test_turns_are_limited():
    env = corridor(max_turns=2)
    assert env.step(answer("left"))[2:4] == (False, False)
    assert env.step(answer("left"))[2:4] == (False, True)


def test_moves_are_limited():
    env = corridor(max_turns=9, max_actions=3)
    assert env.step(answer("left", "left"))[2:4] == (False, False)
    message, _, terminated, truncated, info = env.step(answer("left", "right"))
    assert (terminated, truncated) == (False, True)
    assert info["actions"] == ("left",)
    assert "Moves left: 0." in message


def test_the_last_move_may_still_win():
    env = corridor("P__", max_turns=1, max_actions=2)
    assert env.step(answer("right", "right"))[2:4] == (True, False)


def test_the_environments_own_limit_counts():
    env = ChatEnv(gym.make(CORRIDOR_ID, max_episode_steps=3), max_turns=9)
    env.reset(options={"level": "P_____"})
    _, _, terminated, truncated, info = env.step(answer(*["left"] * 5))
    assert (terminated, truncated) == (False, True)
    assert len(info["actions"]) == 3


def test_a_win_with_the_environments_last_move_is_no_truncation():
    env = ChatEnv(gym.make(CORRIDOR_ID, max_episode_steps=2), max_turns=1)
    env.reset(options={"level": "P__"})
    assert env.step(answer("right", "right"))[2:4] == (True, False)


def test_ill_formed_replies_cost():
    env = corridor(format_penalty=-0.25)
    assert env.step("right")[1] == -0.25
    message, reward, *_, info = env.step("<answer>right</answer>")
    assert reward == pytest.approx(-0.25 - 0.1)
    assert info["well_formed"] is False
    assert info["actions"] == ("right",)
    assert message.endswith("_P___")


def test_a_reply_without_moves_is_a_turn():
    env = corridor()
    message, reward, *_, info = env.step("Hm.")
    assert reward == -0.1
    assert message == "Turn 2 of 5. Moves left: 10.\nP____"
    assert info["actions"] == ()
    flags = info["success"], info["action_is_valid"], info["action_is_effective"]
    assert flags == (False, False, False)
    assert info["legal_actions"] == ("left", "right")


def test_wants_a_reset_and_strings():
    env = ChatEnv(gym.make(CORRIDOR_ID))
    with pytest.raises(gym.error.ResetNeeded):
        env.step("<answer>left</answer>")
    env.reset(seed=0)
    for action in (None, 3, b"left", ["left"]):
        with pytest.raises(gym.error.InvalidAction, match="a reply is a str"):
            env.step(action)  # pyright: ignore[reportArgumentType] (the point of the test)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"protocol": "think"}, "protocol='think' must be a ChatProtocol or a dict of its fields"),
        ({"max_turns": 0}, "max_turns=0 must be a whole number of at least 1"),
        ({"max_actions": 2.5}, "max_actions=2.5 must be a whole number of at least 1"),
        ({"format_penalty": 0.1}, "format_penalty=0.1 must be a finite number of at most 0"),
        ({"format_penalty": None}, "format_penalty=None must be a finite number of at most 0"),
    ],
)
def test_bad_limits(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ChatEnv(gym.make(CORRIDOR_ID), **kwargs)


@pytest.mark.parametrize("id", [*ENV_IDS, CORRIDOR_ID])
@pytest.mark.parametrize(
    "kwargs", [{}, {"obs_mode": "text+image", "tile": 8}], ids=["text", "image"]
)
def test_gymnasium_approves(id: str, kwargs: dict[str, Any]):
    env = ChatEnv(
        gym.make(id, **kwargs), ChatProtocol(user_template="{legal_actions}{observation}")
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    assert len(caught) == 1, [str(w.message) for w in caught]
    assert "different from the unwrapped version" in str(caught[0].message)


@pytest.mark.parametrize("id", [*ENV_IDS, CORRIDOR_ID])
def test_copies_go_on_identically(id: str):
    env = ChatEnv(gym.make(id), ChatProtocol(format="answer"))
    _, info = env.reset(seed=5)
    inner: Any = env.unwrapped
    known = info["legal_actions"] or [inner.sample_action(np.random.default_rng(5))]
    moves = [answer(move, protocol=env.protocol) for move in known]
    env.step(moves[0])
    for copy in (pickle.loads(pickle.dumps(env)), deepcopy(env)):
        twin = deepcopy(env)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*after the game has ended")
            for move in moves:
                assert copy.step(move) == twin.step(move)


def test_spec_goes_through_json():
    protocol = ChatProtocol(format="observe", tags={"think": "scratch"}, action_separator=";")
    env = ChatEnv(gym.make(CORRIDOR_ID, slip=0.3), protocol, 4, 7, -0.2)
    assert env.spec is not None
    again: Any = gym.make(EnvSpec.from_json(json.dumps(json.loads(env.spec.to_json()))))
    assert isinstance(again, ChatEnv)
    assert again.protocol == protocol
    assert (again.max_turns, again.max_actions, again.format_penalty) == (4, 7, -0.2)
    assert again.reset(seed=3) == env.reset(seed=3)
    for _ in range(4):
        reply = protocol.write({"observation": "o", "think": "t", "answer": "right;left"})
        assert again.step(reply) == env.step(reply)


# --- prompts of an environment ---


def test_system_message_has_rules_and_format():
    env = corridor()
    system = THINK.system(env)
    assert env.unwrapped.rules in system  # pyright: ignore[reportAttributeAccessIssue] (TextEnv has it)
    assert THINK.answer_format in system
    assert THINK.system(env) == env.reset()[1]["system"]
    assert ChatProtocol(system_template="").system(env) == ""
    assert ChatProtocol(rules="Walk {on}.").system(env).startswith("Walk {on}.")


# --- environments from elsewhere ---


class Echo(gym.Env[str, str]):
    """Ends when it is told to. No rules, no info."""

    observation_space = spaces.Text(32, min_length=0)
    action_space = spaces.Text(32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "hello", {}

    def step(self, action):
        return action[:32], 1, action == "bye", False, {}


def test_an_environment_without_rules():
    with pytest.raises(ValueError, match=r"has no attribute 'rules': give the protocol its own"):
        ChatEnv(Echo()).reset()
    env = ChatEnv(Echo(), ChatProtocol(rules="Say bye."))
    message, info = env.reset(seed=0)
    assert message.endswith("hello")
    assert info["system"].startswith("Say bye.")
    message, reward, terminated, truncated, info = env.step(answer("hi", "there", "bye", "again"))
    assert message.endswith("bye")
    assert (reward, terminated, truncated) == (3.0, True, False)
    assert info["actions"] == ("hi", "there", "bye")
    assert info["action_is_valid"] is True
    assert info["success"] is False
    assert env.observation_space.contains(message)


def test_an_environment_without_text():
    with pytest.raises(TypeError, match="ChatEnv needs text observations"):
        ChatEnv(gym.make("CartPole-v1"))
    pixels = gym.wrappers.TransformObservation(
        Echo(), lambda text: {"x": 1}, spaces.Dict(x=spaces.Discrete(2))
    )
    with pytest.raises(TypeError, match="ChatEnv needs text observations"):
        ChatEnv(pixels)


# --- pictures ---


def test_pictures_become_content_blocks():
    env = ChatEnv(gym.make(CORRIDOR_ID, obs_mode="text+image", tile=8))
    message, _ = env.reset(options={"level": "P__"})
    assert env.observation_space.contains(message)
    assert message["text"] == "Turn 1 of 5. Moves left: 10.\n<image>\nP__"
    blocks: Any = content_blocks(message)
    assert [block["type"] for block in blocks] == ["text", "image", "text"]
    assert blocks[0]["text"] == "Turn 1 of 5. Moves left: 10.\n"
    assert blocks[1]["image"] is message["image"]
    assert blocks[2]["text"] == "\nP__"


def test_content_blocks_of_other_messages():
    image = np.zeros((2, 2, 3), np.uint8)
    assert content_blocks("text") == "text"
    assert content_blocks({"text": "text"}) == "text"
    assert content_blocks({"text": "<image>", "image": image}) == [
        {"type": "image", "image": image}
    ]
    blocks: Any = content_blocks({"text": "a", "image": image})
    assert [block["type"] for block in blocks] == ["text", "image"]


def test_the_package_offers_it():
    assert text_envs.ChatEnv is ChatEnv
