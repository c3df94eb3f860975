"""Several moves as one action: what is played, what is summed, what is told."""

import warnings
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_game import CORRIDOR_ID

from text_envs import ENV_IDS, TextEnv
from text_envs.testing import choices, resolve
from text_envs.wrappers import ActionSequence


def corridor(level: str, **kwargs: Any) -> ActionSequence:
    env = ActionSequence(gym.make(CORRIDOR_ID), **kwargs)
    _, info = env.reset(seed=0, options={"level": level})
    assert info["actions"] == ()
    return env


def told(info: dict[str, Any]) -> tuple[Any, ...]:
    return info["actions"], info["action_is_valid"], info["action_is_effective"], info["success"]


def test_moves_are_played_in_turn():
    env = corridor("_P____")
    observation, reward, terminated, truncated, info = env.step(" right||LEFT ||left  || ||left")
    assert observation == "A wall.\nP_____"
    assert reward == pytest.approx(-0.4)
    assert (terminated, truncated) == (False, False)
    assert told(info) == (("right", "LEFT", "left", "left"), True, True, False)


def test_nothing_is_played_after_the_end():
    env = corridor("P__")
    _, reward, terminated, _, info = env.step("right||right||left||right")
    assert (terminated, reward) == (True, pytest.approx(0.8))
    assert told(info) == (("right", "right"), True, True, True)
    assert info["legal_actions"] == ()


def test_nothing_is_played_after_a_move_that_is_not_valid():
    env = corridor("P__")
    observation, reward, _, _, info = env.step("right||jump||right")
    assert observation == "Invalid move. Legal moves: left, right.\n_P_"
    assert reward == pytest.approx(-0.2)
    assert told(info) == (("right", "jump"), False, True, False)


def test_only_so_many_moves_are_played():
    env = corridor("P____", max_actions=2)
    *_, info = env.step("right||right||right")
    assert told(info) == (("right", "right"), False, True, False)
    *_, info = env.step("right||right||right")
    assert told(info) == (("right", "right"), True, True, True), "the end left none out"


@pytest.mark.parametrize("text", ["", "  ", "||", "|| ||"])
def test_a_text_without_a_move_is_refused_by_the_environment(text: str):
    observation, reward, _, _, info = corridor("P__").step(text)
    assert observation.startswith("Invalid move.")
    assert reward == -0.1
    assert told(info) == ((text.strip() or text,), False, False, False)


def test_an_action_is_a_text():
    env: Any = corridor("P__")
    with pytest.raises(gym.error.InvalidAction, match="an action is a str, this is a list"):
        env.step(["right"])
    assert env.step("right")[0] == "_P_"


def test_a_limit_cuts_a_sequence_short():
    env = ActionSequence(gym.make(CORRIDOR_ID, max_episode_steps=3))
    env.reset(seed=0, options={"level": "P_______"})
    *_, terminated, truncated, info = env.step("left||left||left||left")
    assert (terminated, truncated, len(info["actions"])) == (False, True, 3)


@pytest.mark.parametrize("id", [*ENV_IDS, CORRIDOR_ID])
@given(seed=st.integers(0, 99), planned=choices())
def test_a_sequence_is_its_moves_one_by_one(id: str, seed: int, planned: list[Any]):
    whole, single = ActionSequence(gym.make(id), "\0", 8), gym.make(id)
    whole.reset(seed=seed)
    _, info = single.reset(seed=seed)
    moves = [resolve(choice, info["legal_actions"] or ()).strip() for choice in planned]
    moves = [move for move in moves if move and "\0" not in move]
    if not moves:
        return
    total, played, result = 0.0, [], None
    for move in moves:
        result = single.step(move)
        total += float(result[1])
        played.append(move)
        if result[2] or result[3] or not result[4]["action_is_valid"]:
            break
    assert result is not None
    observation, reward, terminated, truncated, info = whole.step("\0".join(moves))
    assert (observation, terminated, truncated) == (result[0], result[2], result[3])
    assert reward == pytest.approx(total)
    assert info["actions"] == tuple(played)
    assert info["legal_actions"] == result[4]["legal_actions"]
    one, other = whole.unwrapped, single.unwrapped
    assert isinstance(one, TextEnv)
    assert isinstance(other, TextEnv)
    assert one.get_state() == other.get_state()


def test_spaces():
    inner = gym.make(CORRIDOR_ID)
    space: Any = ActionSequence(inner, separator="→", max_actions=3).action_space
    assert space.max_length == 3 * (1024 + 1)
    assert space.contains("left → right → left")
    assert not space.contains("left ← right")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"separator": " "}, "separator=' ' must be a text that is not blank"),
        ({"separator": None}, "separator=None must be"),
        ({"max_actions": 0}, "max_actions=0 must be a whole number of at least 1"),
        ({"max_actions": 2.5}, "max_actions=2.5 must be"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ActionSequence(gym.make(CORRIDOR_ID), **kwargs)


def test_a_separator_within_a_move():
    with pytest.raises(ValueError, match="separator='gh' is part of the move 'right': choose"):
        ActionSequence(gym.make(CORRIDOR_ID), separator="gh").reset()


def test_actions_that_are_no_text():
    with pytest.raises(TypeError, match="ActionSequence needs actions that are text"):
        ActionSequence(gym.make("CartPole-v1"))


def test_after_the_end_nothing_happens():
    env = corridor("P__")
    env.step("right||right")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*after the game has ended")
        _, reward, terminated, _, info = env.step("left||left")
    assert (reward, terminated, info["action_is_valid"]) == (0.0, True, False)
