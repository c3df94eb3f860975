"""Several environments behind one: which is drawn, what it shows, what is asked of it."""

import pickle
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from equality import assert_equal
from gymnasium import spaces
from tiny_game import CORRIDOR_ID, GUESS_ID

from starpo_plugin.episode import EpisodeSpec
from text_envs import ChatEnv, ChatProtocol, TextEnv
from text_envs.agents import OracleAgent, RandomAgent, evaluate
from text_envs.wrappers import Mixture

GAMES = ["TextFrozenLake-v0", (CORRIDOR_ID, {"cells": 5}), "TextSokoban-v0"]
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def test_environments_are_drawn_by_weight():
    n, weights = 3000, (1, 2.5, 0.5)
    env = Mixture([(CORRIDOR_ID, {"cells": 3 + i}, w) for i, w in enumerate(weights)])
    assert env.probabilities == pytest.approx([0.25, 0.625, 0.125])
    drawn = [env.reset(seed=seed)[1]["env_index"] for seed in range(n)]
    later = [env.reset()[1]["env_index"] for _ in range(n)]
    for counted in (drawn, later):
        for index, p in enumerate(env.probabilities):
            error = abs(counted.count(index) - n * p)
            assert error < 3.3 * np.sqrt(n * p * (1 - p)), "outside the 99.9 % interval"


def test_an_episode_is_that_of_the_environment_alone():
    env = Mixture(GAMES)
    for index, entry in enumerate(GAMES):
        id, kwargs = (entry, {}) if isinstance(entry, str) else entry
        alone = gym.make(id, **kwargs)
        for seed in range(5):
            observation, info = env.reset(seed=seed, options={"env_index": index})
            theirs, their_info = alone.reset(seed=seed)
            assert observation == theirs
            assert their_info.items() <= info.items()
            assert (info["env_id"], info["env_index"]) == (id, index)
            for move in ("?", "right"):
                ours, theirs = env.step(move), alone.step(move)
                assert ours[:4] == theirs[:4]
                assert theirs[4].items() <= ours[4].items()


def test_the_draw_chooses_none_of_the_starts():
    """Both begin with the numbers of one seed: drawn from these, each would have its own half."""
    env = Mixture([(CORRIDOR_ID, {"cells": 8}), (CORRIDOR_ID, {"cells": 8})])
    seen: list[set[int]] = [set(), set()]
    for seed in range(200):
        observation, info = env.reset(seed=seed)
        seen[info["env_index"]].add(len(observation))
    assert seen == [{3, 4, 5, 6, 7, 8}] * 2


def test_unseeded_episodes_follow_from_the_last_seed():
    one, other = Mixture(GAMES), Mixture(GAMES)
    one.reset(seed=3)
    other.reset(seed=8)
    other.reset(seed=3)
    for _ in range(10):
        assert one.reset() == other.reset()


def test_info_always_has_the_same_keys_and_types():
    env = Mixture([*GAMES, "TextBandit-v0", GUESS_ID])
    starts, steps = [], []
    for index in range(5):
        starts.append(env.reset(seed=index, options={"env_index": index})[1])
        steps.append(env.step("?")[-1])
    for infos in (starts, steps):
        assert all(set(info) == set(infos[0]) for info in infos)
        for key in infos[0]:
            kinds = {type(info[key]) for info in infos}
            assert len(kinds - {type(None)}) == 1, f"{key}: {kinds}"
            assert not (kinds & {int, float} and type(None) in kinds), f"{key}: {kinds}"
    assert [info["distance"] for info in steps[:1] + steps[2:]] == [-1, -1, -1, -1]
    assert [info["rules"] for info in starts][-1] == "Guess a digit."


class Paying(gym.Env[str, str]):
    """An environment with an entry of its own in ``info``."""

    observation_space = spaces.Text(4)
    action_space = spaces.Text(4)

    def __init__(self, value: Any = None, **kwargs: Any) -> None:
        self.value = value

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "a", {} if self.value is None else {"it": deepcopy(self.value)}

    def step(self, action):
        return "b", 0.0, False, False, {} if self.value is None else {"it": deepcopy(self.value)}


@pytest.mark.parametrize(
    ("value", "empty"),
    [
        (7, -1),
        (2.5, -1.0),
        (True, False),
        ("text", ""),
        ((1, 2), ()),
        ([1], []),
        ({"a": 1}, {}),
        (np.ones(3, np.int8), np.zeros(3, np.int8)),
        (np.uint8(3), np.uint8(0)),
        (np.float32(3), np.float32(-1)),
        (np.bool_(True), np.bool_(False)),
    ],
)
def test_what_an_environment_does_not_tell_is_empty(value: Any, empty: Any):
    env = Mixture([(Paying, {"value": value}), Paying])
    *_, told = env.reset(options={"env_index": 0})
    assert_equal(told["it"], value)
    for info in (env.reset(options={"env_index": 1})[1], env.step("c")[-1]):
        assert_equal(info["it"], empty)
        assert info["env_id"] == "Paying"


def test_numbers_that_are_a_float_somewhere_are_one_everywhere():
    env = Mixture([(Paying, {"value": 2}), (Paying, {"value": 0.5})])
    assert_equal(env.reset(options={"env_index": 0})[1]["it"], 2.0)
    envs = gym.vector.SyncVectorEnv([lambda: deepcopy(env)] * 2)
    _, infos = envs.reset(options={"env_index": 0})
    assert infos["it"].dtype == np.float64


@FORKS
def test_vector_environments():
    records = []
    for mode in ("sync", "async"):
        envs = gym.make_vec("TextMixture-v0", 4, mode, envs=GAMES)
        record: list[Any] = [envs.reset(seed=1)]
        for number in range(25):
            record.append(envs.step(("right", "down", "left", "?")[number % 3 :][:1] * 4))
        envs.close()
        infos = record[0][1]
        assert len(set(infos["env_id"])) > 1
        assert all(infos[key].dtype == np.int64 for key in ("optimal_moves", "distance"))
        assert infos["success"].dtype == np.bool_
        records.append(record)
    assert_equal(records[0], records[1])


def test_what_is_asked_is_asked_of_the_present_environment():
    env: Any = Mixture(GAMES)
    for index in range(3):
        _, info = env.reset(seed=2, options={"env_index": index})
        inner = env.active.unwrapped
        assert isinstance(inner, TextEnv)
        assert env.unwrapped is env
        assert env.rules == info["rules"] == inner.rules
        assert env.legal_actions() == info["legal_actions"]
        assert env.solve() == inner.solve()
        assert env.facts() == inner.facts()
        assert env.get_state() == inner.get_state()
        assert env.picture().shape == inner.picture().shape
    assert not hasattr(env, "weights")
    with pytest.raises(AttributeError, match="'Mixture' object has no attribute 'weights'"):
        _ = env.weights


def test_what_not_all_offer_is_not_there():
    env = Mixture([CORRIDOR_ID, GUESS_ID])
    env.reset(seed=0, options={"env_index": 0})
    assert not hasattr(env, "solve")
    assert not hasattr(env, "rules")


def test_agents_and_chats_play_it():
    env = gym.make("text_envs:TextMixture-v0", envs=GAMES)
    oracle, chance = (evaluate(env, agent, 60) for agent in (OracleAgent(), RandomAgent(0)))
    assert oracle.successes == 60
    assert chance.successes < 40
    chat = ChatEnv(env, ChatProtocol(format="answer"), max_turns=20, max_actions=40)
    for seed in range(6):
        _, info = chat.reset(seed=seed)
        assert info["rules"] in info["system"]
        inner: Any = chat.unwrapped
        plan = inner.solve()
        for start in range(0, len(plan), 5):
            *_, info = chat.step(f"<answer>{'||'.join(plan[start : start + 5])}</answer>")
        assert info["success"]


def test_starpo_takes_it_by_its_id():
    entries = ["TextFrozenLake-v0", ["TextSokoban-v0", {"boxes": 2}, 3.0]]
    spec = EpisodeSpec("text_envs:TextMixture-v0", {"envs": entries}, max_actions=3)
    members = [spec.make(split="train") for _ in range(2)]
    for seed in range(5):
        starts = [
            env.reset(seed=seed, options={"noise_seed": k})[0] for k, env in enumerate(members)
        ]
        assert starts[0] == starts[1]
    inner: Any = members[0].unwrapped
    assert [env.unwrapped.split for env in inner.envs] == ["train", "train"]
    with pytest.raises(ValueError, match=r"can't be made: .*Nowhere"):
        EpisodeSpec("text_envs:TextMixture-v0", {"envs": ["Nowhere-v0"]}).make()


@pytest.mark.parametrize("copied", [deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_draw_the_same(copied: Any):
    env = Mixture(GAMES)
    env.reset(seed=4)
    twin = copied(env)
    for _ in range(5):
        assert env.step("left")[:4] == twin.step("left")[:4]
        assert env.reset() == twin.reset()


def test_spaces_hold_all():
    large = {"size": 9, "symbols": "😀.#*+!"}
    env: Any = Mixture(["TextFrozenLake-v0", ("TextFrozenLake-v0", large)])
    own = [e.observation_space for e in env.envs]
    assert env.observation_space.max_length == max(space.max_length for space in own)
    assert env.observation_space.character_set >= {"😀", "√"}
    assert env.action_space == env.envs[0].action_space


def test_pictures():
    lake = "TextFrozenLake-v0"
    env = Mixture([lake, (lake, {"frozen": 1})], obs_mode="image", tile=8)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    with pytest.raises(ValueError, match=r"differ in their observation\['image'\] space.*one size"):
        Mixture([lake, "TextSokoban-v0"], obs_mode="image", tile=8)
    with pytest.raises(ValueError, match="differ in their observation space"):
        Mixture([lake, ("TextSokoban-v0", {"obs_mode": "image"})])


def test_rendering():
    env = gym.make("TextMixture-v0", envs=GAMES, render_mode="ansi")
    inner: Any = env.unwrapped
    for index in range(3):
        observation, _ = env.reset(options={"env_index": index})
        assert env.render() == observation
    assert env.render_mode == "ansi"
    assert inner.metadata["render_modes"] == ["ansi", "rgb_array", "human"]
    env.close()
    with pytest.raises(ValueError, match="differ in render_mode"):
        Mixture([("TextSokoban-v0", {"render_mode": "ansi"}), "TextBandit-v0"])


def test_before_the_first_reset():
    env: Any = Mixture(GAMES)
    with pytest.raises(gym.error.ResetNeeded):
        env.step("left")
    with pytest.raises(gym.error.ResetNeeded):
        env.get_state()
    assert env.rules == gym.make("TextFrozenLake-v0").unwrapped.rules  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("envs", "message"),
    [
        ([], "at least one environment"),
        ("TextSokoban-v0", "must be a list"),
        (None, "envs=None must be a list"),
        ([()], r"envs\[0\]=\(\) must be an id or \(id, kwargs, weight\)"),
        ([3], r"envs\[0\]=3 must be"),
        ([(3, {})], r"envs\[0\] begins with 3, which is not an id"),
        ([("TextSokoban-v0", 2)], r"envs\[0\]: the arguments 2 must be a dict"),
        ([CORRIDOR_ID, (CORRIDOR_ID, {}, 0)], r"envs\[1\]: the weight 0 must be a number above 0"),
        ([(CORRIDOR_ID, {}, float("nan"))], "the weight nan must be"),
        ([(CORRIDOR_ID, {}, "1")], "the weight '1' must be"),
    ],
)
def test_bad_arguments(envs: Any, message: str):
    with pytest.raises(ValueError, match=message):
        Mixture(envs)


@pytest.mark.parametrize("index", [-1, 3, "0", 1.0])
def test_bad_options(index: Any):
    env = Mixture(GAMES)
    with pytest.raises(ValueError, match=r"env_index=.* must be a whole number from 0 to 2"):
        env.reset(options={"env_index": index})
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(options={"env": 0})
