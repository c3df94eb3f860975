"""What the ecosystem expects of every id: Gymnasium's checker, specs, vector environments."""

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest
from equality import assert_equal
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.env_match import check_environments_match
from tiny_game import CORRIDOR_ID

import text_envs
from text_envs import ENV_IDS, TextEnv
from text_envs.spaces import TextSpace
from text_envs.testing import choices, resolve

IDS = [*ENV_IDS, CORRIDOR_ID]
OBS_MODES = ["text", "image", "text+image"]
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def play(env: gym.Env[Any, str], seed: int, steps: int = 12) -> list[Any]:
    """An episode of legal moves (samples, where these can't be listed) and a few that are not."""
    rng, inner = np.random.default_rng(seed), cast(TextEnv, env.unwrapped)
    record: list[Any] = [env.reset(seed=seed)]
    legal = record[0][1]["legal_actions"]
    for _ in range(steps):
        known = (inner.sample_action(rng),) if legal is None else legal
        moves = known if rng.random() < 0.8 else ("nowhere", "")
        record.append(env.step(moves[rng.integers(len(moves))]))
        legal = record[-1][-1]["legal_actions"]
        if record[-1][2] or record[-1][3]:
            break
    return record


# --- single environments ---


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("obs_mode", OBS_MODES)
def test_gymnasium_approves(id: str, obs_mode: str):
    env = gym.make(id, obs_mode=obs_mode, tile=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("obs_mode", OBS_MODES)
def test_specs_go_through_json(id: str, obs_mode: str):
    env = gym.make(id, obs_mode=obs_mode, tile=8, split="train", max_episode_steps=7)
    assert env.spec is not None
    spec = EnvSpec.from_json(json.dumps(json.loads(env.spec.to_json())))
    assert spec == env.spec
    again = gym.make(spec)
    assert_equal(play(env, 3), play(again, 3))


@pytest.mark.parametrize("id", IDS)
def test_two_of_a_kind_match(id: str):
    one, other = (gym.make(id, render_mode="ansi") for _ in range(2))
    check_environments_match(one, other, num_steps=50, seed=1)


def test_ids_are_registered_as_promised():
    assert {"TextBandit-v0", "TextSokoban-v0", "TextFrozenLake-v0"} <= set(ENV_IDS)
    for id in ENV_IDS:
        spec = gym.spec(id)
        assert spec.max_episode_steps
        assert spec.vector_entry_point == "text_envs.vector:TextVectorEnv"
    assert all(hasattr(text_envs, name) for name in text_envs.__all__)


def test_an_id_with_its_module_needs_no_import():
    code = (
        "import gymnasium as gym; env = gym.make('text_envs:TextSokoban-v0');"
        "print(env.reset(seed=3)[0]); print(gym.make_vec('text_envs:TextSokoban-v0', 2))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    observation, _ = gym.make("TextSokoban-v0").reset(seed=3)
    assert done.stdout == f"{observation}\nTextVectorEnv(TextSokoban-v0, num_envs=2)\n"


@pytest.mark.parametrize("id", IDS)
def test_threads_do_not_disturb_each_other(id: str):
    """Level generators elsewhere keep what they work on in their modules, and corrupt it."""

    def episodes(first: int) -> list[Any]:
        env = gym.make(id)
        return [play(env, seed) for seed in range(first, first + 10)]

    alone = [episodes(first) for first in range(0, 80, 10)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(episodes, range(0, 80, 10)))
    finally:
        sys.setswitchinterval(interval)
    assert_equal(together, alone)


# --- vector environments ---


@contextmanager
def vectors(id: str, **kwargs: Any) -> Iterator[dict[str, gym.vector.VectorEnv[Any, Any, Any]]]:
    envs = {
        "sync": gym.make_vec(id, 2, "sync", **kwargs),
        "vector_entry_point": gym.make_vec(id, 2, "vector_entry_point", **kwargs),
        "async": gym.make_vec(id, 2, "async", **kwargs),
        "async, own memory": gym.make_vec(
            id, 2, "async", vector_kwargs={"shared_memory": False}, **kwargs
        ),
    }
    try:
        yield envs
    finally:
        for env in envs.values():
            env.close()


def play_many(env: gym.vector.VectorEnv[Any, Any, Any]) -> list[Any]:
    record: list[Any] = [env.reset(seed=9)]
    rng = np.random.default_rng(0)
    for _ in range(9):
        legal = record[-1][-1]["legal_actions"]
        actions = tuple(rng.choice([*(moves or ()), "nowhere"]).item() for moves in legal)
        record.append(env.step(actions))
        assert env.observation_space.contains(record[-1][0])
    return record


@FORKS
@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("obs_mode", OBS_MODES)
def test_every_way_to_make_many_gives_the_same(id: str, obs_mode: str):
    with vectors(id, obs_mode=obs_mode, tile=8, max_episode_steps=5) as envs:
        records = {name: play_many(env) for name, env in envs.items()}
    texts = [obs if isinstance(obs, tuple) else obs["text"] for obs, *_ in records["async"]]
    assert len(set(texts)) > 1 or obs_mode == "image", "the texts never change"
    for name, record in records.items():
        assert_equal(record, records["sync"], name)


@FORKS
def test_texts_in_shared_memory_without_copies():
    with closing(gym.make_vec(CORRIDOR_ID, 3, "async", vector_kwargs={"copy": False})) as env:
        texts, _ = env.reset(seed=0, options={"level": "P___"})
        assert tuple(texts) == ("P___",) * 3
        env.step(("right", "left", "right"))
        assert list(texts) == ["_P__", "A wall.\nP___", "_P__"], "a view of what was written last"
        assert (len(texts), texts[0], texts[1:]) == (3, "_P__", ("A wall.\nP___", "_P__"))


# --- the space ---


def test_text_space():
    space = TextSpace(3, frozenset("aß😀"))
    assert all(space.contains(text) for text in ("", "a", "ß😀a"))
    assert not any(space.contains(text) for text in ("b", "aaaa", None, b"a", ["a"], 1))
    assert space == TextSpace(3, frozenset("😀ßa"))
    assert space != TextSpace(4, frozenset("aß😀"))
    space.seed(0)
    assert all(space.contains(space.sample()) for _ in range(50))
    assert repr(space) == "TextSpace(3, 3 characters)"


def test_strategies_have_what_they_say():
    assert choices() is choices()
    assert resolve(3, ("up", "down")) == "down"
    assert resolve((0, "full width"), ("up",)) == "ｕｐ"
    assert resolve("text", ()) == "text"
    assert resolve(3, ()) == "3"
