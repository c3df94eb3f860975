"""What a caller can get wrong: actions, reset options, level files, parameters, ids."""

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction
from tiny_game import CORRIDOR_ID, Corridor

from text_envs import ENV_IDS, TextEnv

IDS = [*ENV_IDS, CORRIDOR_ID]


def corridor(level: str = "P____", **kwargs: Any) -> TextEnv:
    """An episode that has begun."""
    env = TextEnv(Corridor, **kwargs)
    env.reset(seed=0, options={"level": level})
    return env


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lvl": "P__"}, r"unknown reset options ['lvl']; known: level, noise_seed"),
        ({"lvl": "P__", 3: 4}, r"unknown reset options [3, 'lvl']"),
        ({"level": "P_X"}, "level 1: 'P_X' is not a corridor such as _P__"),
        ({"level": ""}, "no level found in this text"),
        ({"level": ["P__"]}, "level=['P__'] must be text"),
        (
            {"level": "P" + "_" * 40},
            "level 1 is too large for this environment's observation space",
        ),
        ({"noise_seed": -1}, "noise_seed=-1 must be a whole number >= 0"),
        ({"noise_seed": "a"}, "noise_seed='a' must be a whole number >= 0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str):
    env = corridor("P__")
    with pytest.raises(ValueError, match=re.escape(message)):
        env.reset(options=options)
    assert env.step("right")[0] == "_P_", "a refused reset must leave the episode alone"


def test_a_refused_reset_leaves_the_luck_alone():
    env, twin = (corridor("P" + "_" * 30, cells=31, slip=0.5) for _ in range(2))
    with pytest.raises(ValueError, match="is not a corridor"):
        env.reset(seed=7, options={"level": "P_X"})
    for _ in range(20):
        assert env.step("right")[0] == twin.step("right")[0]


def test_bad_level_files(tmp_path):
    path = tmp_path / "levels.txt"
    with pytest.raises(ValueError, match=r"levels='.*levels.txt' can't be read as a text file"):
        TextEnv(Corridor, levels=str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="can't be read as a text file"):
        TextEnv(Corridor, levels=str(path))
    path.write_text("P__\nX__")
    with pytest.raises(ValueError, match=r"levels='.*levels.txt': level 2: 'X__' is not"):
        TextEnv(Corridor, levels=str(path))


def test_files_may_begin_with_a_byte_order_mark(tmp_path):
    """As Windows' editors write them."""
    levels, questions = tmp_path / "levels.txt", tmp_path / "questions.jsonl"
    levels.write_text("P__", encoding="utf-8-sig")
    assert TextEnv(Corridor, levels=str(levels)).reset(seed=0)[0] == "P__"
    questions.write_text('{"question": "Q?", "answer": "1"}', encoding="utf-8-sig")
    env = gym.make("TextMath-v0", dataset=str(questions))
    assert env.reset(seed=0)[0].startswith("Q?")


@pytest.mark.parametrize("action", [None, 3, 2.5, b"left", ["left"], ("left",), {}, np.int64(1)])
def test_only_strings_are_actions(action: Any):
    with pytest.raises(InvalidAction, match=f"this is a {type(action).__name__}"):
        corridor().step(action)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"size": 3}, TypeError, "Corridor has no parameter 'size'; the game takes cells, slip"),
        ({"observation": "grid"}, TypeError, "every environment takes obs_mode, split, levels"),
        ({"obs_mode": "video"}, ValueError, "obs_mode='video' is not one of 'text', 'image'"),
        ({"split": "dev"}, ValueError, "split='dev' is not one of None, 'train', 'test'"),
        ({"render_mode": "svg"}, ValueError, "render_mode='svg' is not one of None, 'ansi'"),
        ({"tile": 1}, ValueError, "tile=1 must be a whole number of at least 4"),
        ({"tile": "32"}, ValueError, "tile='32' must be a whole number"),
        ({"invalid_action_penalty": 0.1}, ValueError, "invalid_action_penalty=0.1 must be"),
        ({"invalid_action_penalty": float("nan")}, ValueError, "invalid_action_penalty=nan must"),
        ({"invalid_action_penalty": -float("inf")}, ValueError, "must be a finite number"),
        ({"invalid_action_penalty": "-1"}, ValueError, "invalid_action_penalty='-1' must be"),
        ({"invalid_action_penalty": None}, ValueError, "invalid_action_penalty=None must be"),
        ({"levels": 5}, ValueError, "levels=5 can't be read as a text file"),
        ({"levels": "a\0b"}, ValueError, "levels='a\\x00b' can't be read as a text file"),
        ({"game": "nowhere:Game"}, ValueError, "game='nowhere:Game' is not 'module:Class'"),
        ({"game": "tiny_game"}, ValueError, "game='tiny_game' is not 'module:Class'"),
        ({"game": "tiny_game:Nothing"}, ValueError, "has no attribute 'Nothing'"),
        ({"game": "tiny_game:register_tiny_games"}, TypeError, "must be a Game, a subclass of it"),
        ({"game": 5}, TypeError, "game=5 must be a Game, a subclass of it, or 'module:Class'"),
        ({"game": Corridor(), "cells": 3}, TypeError, "with a ready-made game; set them on it"),
    ],
)
def test_bad_parameters(kwargs: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=re.escape(message)):
        TextEnv(**{"game": Corridor, **kwargs})


def test_a_game_may_take_any_parameters():
    class Flexible(Corridor):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    assert TextEnv(Flexible, cells=5).game.rules.startswith("Walk to the right end of 5")


@pytest.mark.filterwarnings("ignore:.*render_mode='svg'")
@pytest.mark.parametrize("id", ENV_IDS)
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"no_such": 1}, "has no parameter 'no_such'"),
        ({"split": "dev"}, "split='dev' is not one of"),
        ({"obs_mode": "video"}, "obs_mode='video' is not one of"),
        ({"render_mode": "svg"}, "render_mode='svg' is not one of"),
    ],
)
def test_bad_parameters_by_id(id: str, kwargs: dict[str, Any], message: str):
    with pytest.raises((TypeError, ValueError), match=message):
        gym.make(id, **kwargs)


def test_an_unknown_id():
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `TextSokoban`"):
        gym.make("TextSokobam-v0")


@pytest.mark.parametrize(
    ("id", "kwargs", "message"),
    [
        ("TextBandit-v0", {"reverse": "false"}, "reverse='false' must be True or False"),
        ("TextTowerOfHanoi-v0", {"random_start": 0}, "random_start=0 must be True or False"),
        ("TextRubiksCube-v0", {"scramble": True}, "scramble=True must be a whole number"),
        ("TextSokoban-v0", {"size": "8"}, "size='8' must be a whole number"),
        ("TextSokoban-v0", {"symbols": 7}, "symbols=7 must be 7 different printable characters"),
        ("TextSokoban-v0", {"symbols": ["#", "_"]}, "must be 7 different printable characters"),
    ],
)
def test_types_that_look_right(id: str, kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        gym.make(id, **kwargs)


def test_symbols_may_be_a_list_as_in_json():
    env = gym.make("TextSokoban-v0", symbols=list("#_OX*PS"))
    assert "* box on a target" in env.reset(seed=0)[1]["rules"]
