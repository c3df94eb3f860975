"""What holds for every wrapper: the laws of text environments, copies, specs, Gymnasium's checker,
what the documents show.
"""

import contextlib
import doctest
import importlib
import io
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from equality import assert_equal
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from tiny_game import CORRIDOR_ID
from verbal_envs import CART_POLE_ID, TAXI_ID

import text_envs.wrappers
from text_envs import ChatEnv, ChatProtocol
from text_envs.testing import ENV_LAWS, arbitrary_text, check_text_env, hold
from text_envs.wrappers import ActionSequence, History

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
SECTIONS = (ROOT / "docs" / "wrappers.md").read_text(encoding="utf-8").split("\n## ")[1:]

# as other processes find them
CORRIDOR, GUESS = "tiny_game:TinyCorridor-v0", "tiny_game:TinyGuess-v0"
MIXTURE: dict[str, Any] = {
    "envs": [CORRIDOR, ["TextFrozenLake-v0", {"size": 3}, 2.0], ["TextBandit-v0"]]
}
# a window that no law fills: the same seed is the same episode at the same level
CURRICULUM: dict[str, Any] = {
    "env": CORRIDOR,
    "levels": [{"cells": 3}, {"cells": 8, "slip": 0.2}],
    "window": 10_000,
}
IDS = [
    ("TextMixture-v0", MIXTURE),
    ("TextMixture-v0", {"envs": [GUESS, CORRIDOR]}),
    ("TextCurriculum-v0", CURRICULUM),
    (CART_POLE_ID, {}),
    (TAXI_ID, {}),
]
WRAPPED: dict[str, Callable[[], gym.Env[Any, str]]] = {
    "sequence": lambda: ActionSequence(gym.make(CORRIDOR_ID)),
    "short sequence": lambda: ActionSequence(gym.make("TextFrozenLake-v0"), ";", 2),
    "history": lambda: History(gym.make("TextFrozenLake-v0"), k=2, max_action=9),
    "history, pictures": lambda: History(gym.make(CORRIDOR_ID, obs_mode="text+image", tile=8)),
    "history of sequences": lambda: History(ActionSequence(gym.make(CORRIDOR_ID)), rewards=False),
    "all": lambda: History(ActionSequence(gym.make("TextMixture-v0", **MIXTURE))),
    "verbal history": lambda: History(gym.make(CART_POLE_ID)),
}


def name(case: Any) -> str:
    return case.__name__ if callable(case) else str(case[0])


@pytest.mark.parametrize(("id", "kwargs"), IDS)
def test_ids_pass_everything(id: str, kwargs: dict[str, Any]):
    check_text_env(id, **kwargs)


@pytest.mark.parametrize("law", ENV_LAWS, ids=name)
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_wrapped_environments_keep(wrapped: str, law: Any):
    hold(law, WRAPPED[wrapped]())


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_gymnasium_approves(wrapped: str):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(WRAPPED[wrapped]())
    assert ["different from the unwrapped version" in str(w.message) for w in caught] == [True]


@pytest.mark.parametrize("wrapped", WRAPPED)
@given(replies=st.lists(arbitrary_text(), max_size=5))
def test_any_text_stays_in_the_space(wrapped: str, replies: list[str]):
    env = WRAPPED[wrapped]()
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    for reply in replies:
        observation, _, terminated, truncated, _ = env.step(reply)
        assert env.observation_space.contains(observation)
        if terminated or truncated:
            break


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_specs_go_through_json(wrapped: str):
    env = WRAPPED[wrapped]()
    assert env.spec is not None
    again = gym.make(EnvSpec.from_json(json.dumps(json.loads(env.spec.to_json()))))
    assert str(again) == str(env)
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space
    assert_equal(again.reset(seed=5), env.reset(seed=5))
    for action in ("left", "right || right", "up; down; left", "?"):
        assert_equal(again.step(action), env.step(action))


@pytest.mark.parametrize(("id", "kwargs"), [case for case in IDS if GUESS not in str(case)])
def test_a_chat_goes_around_it(id: str, kwargs: dict[str, Any]):
    env = ChatEnv(gym.make(id, **kwargs), ChatProtocol(format="answer"))
    for seed in range(6):
        message, info = env.reset(seed=seed, options={"noise_seed": 1} if "Text" in id else None)
        assert info["rules"] in info["system"]
        move = (info["legal_actions"] or ("5",))[0]
        message, _, _, _, info = env.step(f"<answer>{move}</answer>")
        assert env.observation_space.contains(message)
        assert info["action_is_valid"]


# --- what the documents show ---


@pytest.mark.parametrize("wrapper", text_envs.wrappers.__all__)
def test_docstrings(wrapper: str):
    module = importlib.import_module(getattr(text_envs.wrappers, wrapper).__module__)
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)


def test_every_wrapper_has_a_section():
    titles = [section.splitlines()[0] for section in SECTIONS]
    # what a curriculum is steered by is described with it
    assert sorted([*titles, "Progress"]) == sorted(text_envs.wrappers.__all__)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.split("\n")[0])
def test_examples_print_what_the_document_says(section: str):
    blocks = BLOCK.findall(section)
    assert blocks
    for code, wanted in blocks:
        assert wanted, "an example without what it prints"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, {"__name__": "example"})
        assert printed.getvalue() == wanted
