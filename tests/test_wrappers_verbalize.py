"""Text over environments that have none: what is played is what the environment itself plays."""

import json
import pickle
import warnings
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from equality import assert_equal
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from verbal_envs import (
    CART_POLE_ID,
    TAXI,
    TAXI_ACTIONS,
    TAXI_ID,
    describe_cart_pole,
    describe_taxi,
)

from text_envs import ChatEnv, ChatProtocol
from text_envs.agents import RandomAgent, evaluate
from text_envs.wrappers import Verbalize

CASES = [
    (CART_POLE_ID, "CartPole-v1", describe_cart_pole, {"left": 0, "right": 1}),
    (TAXI_ID, TAXI, describe_taxi, TAXI_ACTIONS),
]


class Lever(gym.Env[int, int]):
    """Counts what is done, and tells whatever it is given to tell."""

    observation_space = spaces.Discrete(100)
    action_space = spaces.Discrete(3, start=-1)

    def __init__(self, **info: Any) -> None:
        self.info, self.steps = info, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return 0, dict(self.info)

    def step(self, action):
        self.steps += 1
        return self.steps // 2, 1, self.steps == 6, False, dict(self.info)


MOVES = {"down": -1, "rest": 0, "up": 1}


def lever(describe: Any = str, actions: Any = MOVES, info: Any = None, **kwargs: Any) -> Verbalize:
    return Verbalize(Lever(**(info or {})), describe, actions, **kwargs)


# --- step for step ---


@pytest.mark.parametrize(("verbal_id", "id", "describe", "actions"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_environment(
    verbal_id: str, id: str, describe: Any, actions: dict[str, int], seed: int
):
    env, raw = gym.make(verbal_id), gym.make(id)
    limit = 20 if id == "CartPole-v1" else 200
    rng = np.random.default_rng(seed)
    text, info = env.reset(seed=seed)
    observation, raw_info = raw.reset(seed=seed)
    assert text == describe(observation)
    names = list(actions)
    for number in range(1, limit + 1):
        for junk in ("", "nowhere", names[0] + "!")[: int(rng.integers(3))]:
            refused = env.step(junk)
            assert refused[0].endswith("\n" + text)
            assert refused[1:4] == (-0.1, False, False)
            assert {k: v for k, v in refused[4].items() if k in raw_info}.keys() == raw_info.keys()
        name = names[int(rng.integers(len(names)))]
        before = text
        text, reward, terminated, truncated, info = env.step(f" {name.upper()}\n")
        observation, wanted, over, _, raw_info = raw.step(actions[name])
        assert text == describe(observation)
        assert reward == wanted
        assert (terminated, truncated) == (over, number == limit)
        assert info["action_is_valid"] is True
        assert info["action_is_effective"] is (text != before or terminated or truncated)
        for key, value in raw_info.items():
            assert_equal(info[key], value)
        if terminated or truncated:
            assert info["legal_actions"] == ()
            break
        if "action_mask" in raw_info:
            allowed = [name for name, action in actions.items() if raw_info["action_mask"][action]]
            assert info["legal_actions"] == tuple(allowed)
            assert env.unwrapped.legal_actions() == tuple(allowed)  # pyright: ignore[reportAttributeAccessIssue]


def test_masked_actions():
    env, strict = gym.make(TAXI_ID), gym.make(TAXI_ID, refuse_masked=True)
    for seed in range(5):
        text, info = env.reset(seed=seed)
        strict.reset(seed=seed)
        for name in set(TAXI_ACTIONS) - set(info["legal_actions"]):
            played = deepcopy(env).step(name)
            assert played[0] == text, "Taxi's mask forbids what changes nothing"
            assert played[1] in (-1, -10)
            assert (played[4]["action_is_valid"], played[4]["action_is_effective"]) == (True, False)
            refused = strict.step(name)
            assert refused[0].startswith("Invalid move. Legal moves: ")
            assert (refused[1], refused[4]["action_is_valid"]) == (-0.1, False)


def test_random_agents_play_within_the_mask():
    env = gym.make(TAXI_ID, refuse_masked=True)
    agent = RandomAgent(0)
    observation, info = env.reset(seed=0)
    for _ in range(100):
        action = agent.act(env, observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        assert info["action_is_valid"]
        if terminated or truncated:
            break
    score = evaluate(gym.make(CART_POLE_ID), agent, 40)
    assert 0 < score.successes < 40, "some poles stand for 20 steps, some don't"


def test_names_may_stand_for_any_action():
    env = Verbalize(
        gym.make("Pendulum-v1"),
        lambda o: f"{o[0]:.2f} {o[1]:.2f}",
        {"push": np.array([1], np.float32), "pull": np.array([-1], np.float32)},
    )
    raw = gym.make("Pendulum-v1")
    env.reset(seed=0)
    raw.reset(seed=0)
    assert env.step("pull")[1] == pytest.approx(raw.step(np.array([-1], np.float32))[1])


# --- what is told ---


def test_rules_name_the_actions():
    assert lever(rules="Pull it.").rules == "Pull it.\nMoves: down, rest, up."
    env = lever()
    _, info = env.reset(seed=0)
    assert info["rules"] == env.rules == "Moves: down, rest, up."
    assert "Pull it." in ChatProtocol().system(lever(rules="Pull it."))


def test_refused_texts_do_not_reach_the_environment():
    env = lever(invalid_action_penalty=-2)
    env.reset(seed=0)
    observation, reward, _, _, info = env.step("jump")
    assert observation == "Invalid move. Legal moves: down, rest, up.\n0"
    assert reward == -2.0
    assert (info["action_is_valid"], info["action_is_effective"]) == (False, False)
    inner: Any = env.env
    assert inner.steps == 0
    env.step("up")
    assert inner.steps == 1


def test_effective_is_what_changes_the_description():
    env = lever()
    env.reset(seed=0)
    flags = [env.step("up")[-1]["action_is_effective"] for _ in range(6)]
    assert flags == [False, True, False, True, False, True]


def test_after_the_end_nothing_happens():
    env = lever(success=lambda *step: step[2])
    env.reset(seed=0)
    for _ in range(6):
        *_, info = env.step("up")
    assert info["success"] is True
    with pytest.warns(UserWarning, match="after the game has ended"):
        observation, reward, terminated, truncated, info = env.step("up")
    assert observation == "The game is over.\n3"
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert (info["success"], info["legal_actions"]) == (False, ())
    inner: Any = env.env
    assert inner.steps == 6


@pytest.mark.parametrize(
    ("info", "success"),
    [
        ({}, False),
        ({"success": np.True_}, True),
        ({"is_success": 1.0}, True),
        ({"is_success": 0}, False),
    ],
)
def test_success_that_the_environment_tells(info: dict[str, Any], success: bool):
    env = lever(info=info)
    env.reset(seed=0)
    assert env.step("up")[-1]["success"] is success


def test_success_is_judged_by_what_the_step_returned():
    steps: list[Any] = []
    env = lever(success=lambda *step: bool(steps.append(step)) or step[0] == 1, info={"a": 1})
    env.reset(seed=0)
    assert [env.step("up")[-1]["success"] for _ in range(3)] == [False, True, True]
    assert steps[0] == (0, 1, False, False, {"a": 1})


def test_many_actions_are_not_listed():
    class Wide(Lever):
        action_space = spaces.Discrete(500)

    env = Verbalize(Wide(), str, {f"go {i}": i for i in range(500)})
    env.reset(seed=0)
    observation = env.step("jump")[0]
    assert observation == "Invalid move.\n0"
    assert env.observation_space.contains(observation)


# --- spaces, specs, copies ---


def test_spaces():
    env: Any = lever(max_text=10, charset="0123√")
    assert env.observation_space.max_length == 10 + 513
    assert env.observation_space.character_set >= {"√", "I", "\n"}
    assert lever(actions={"höher": 1}).action_space.contains("HÖHER".lower())


def test_gymnasium_sees_a_text_environment():
    env = gym.make(CART_POLE_ID, render_mode="rgb_array")
    inner: Any = env.unwrapped
    assert isinstance(inner, Verbalize)
    assert inner.env.unwrapped.spec.id == "CartPole-v1"
    assert env.spec is not None
    assert env.spec.id == CART_POLE_ID
    env.reset(seed=0)
    picture: Any = env.render()
    assert picture.shape == (400, 600, 3)
    env.close()


def test_spec_of_one_that_has_no_id():
    env = Verbalize(
        gym.make(TAXI),
        "verbal_envs:describe_taxi",
        TAXI_ACTIONS,
        rules="Drive.",
        success="verbal_envs:arrived",
    )
    assert env.spec is not None
    again = gym.make(EnvSpec.from_json(json.dumps(json.loads(env.spec.to_json()))))
    assert isinstance(again, Verbalize)
    assert_equal(again.reset(seed=1), env.reset(seed=1))
    assert_equal(again.step("south"), env.step("south"))


@pytest.mark.parametrize("copied", [deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_on_for_themselves(copied: Any):
    env = gym.make(CART_POLE_ID)
    env.reset(seed=3)
    env.step("left")
    twin = copied(env)
    future = [env.step("left") for _ in range(3)]
    assert_equal([twin.step("left") for _ in range(3)], future)


def test_a_chat_plays_it():
    env = ChatEnv(gym.make(CART_POLE_ID), ChatProtocol(format="answer"))
    message, info = env.reset(seed=0)
    assert info["system"].startswith("Keep the pole upright.\nMoves: left, right.")
    message, reward, _, _, info = env.step("<answer>left || right || jump</answer>")
    assert "Cart at" in message
    assert reward == pytest.approx(1.9)
    assert info["actions"] == ("left", "right", "jump")
    assert info["action_is_valid"] is False


def test_before_the_first_reset():
    env = lever()
    with pytest.raises(gym.error.ResetNeeded):
        env.step("up")
    with pytest.raises(gym.error.ResetNeeded):
        env.legal_actions()


def test_an_action_is_a_text():
    env: Any = lever()
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="an action is a str, this is a int: 1"):
        env.step(1)


# --- mistakes ---


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"describe": lambda o: "x" * 11}, "11 characters, max_text=10 allows fewer: raise it"),
        ({"describe": lambda o: "√é"}, "describe returned 'é√': name every character in charset"),
        ({"describe": lambda o: o}, "describe must return a str, it returned 0"),
    ],
)
def test_descriptions_that_do_not_fit(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        lever(**kwargs, max_text=10).reset(seed=0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"actions": {}}, r"actions=\{\} must be a dict"),
        ({"actions": ["up"]}, "must be a dict: name -> action"),
        ({"actions": {"Up": 1}}, "the name 'Up' must be a text in lower case"),
        ({"actions": {" up": 1}}, "the name ' up' must be"),
        ({"actions": {"": 1}}, "the name '' must be"),
        ({"actions": {1: 1}}, "the name 1 must be"),
        ({"actions": {"up": 2}}, r"'up' stands for 2, which is not in Discrete\(3, start=-1\)"),
        ({"describe": "nowhere:f"}, "describe='nowhere:f' is not 'module:function'"),
        ({"describe": "json:nothing"}, "describe='json:nothing' is not 'module:function'"),
        ({"describe": "describe"}, "is not 'module:function'"),
        ({"describe": 3}, "describe=3 must be a function"),
        ({"success": 3}, "success=3 must be a function"),
        ({"max_text": 0}, "max_text=0 must be a whole number of at least 1"),
        ({"invalid_action_penalty": 0.5}, "invalid_action_penalty=0.5 must be a finite number"),
        ({"refuse_masked": 1}, "refuse_masked=1 must be True or False"),
        ({"invalid_action_penalty": "0"}, "invalid_action_penalty='0' must be a finite number"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        lever(**kwargs)


def test_warnings_are_for_what_is_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(CART_POLE_ID)
        env.reset(seed=0)
        env.step("left")
