import pickle
import subprocess
import sys
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from gymnasium.wrappers import RecordEpisodeStatistics
from tiny_game import CORRIDOR_ID, Corridor, CorridorState

from text_envs import ENV_IDS, Game, Outcome, TextEnv
from text_envs.env import INVALID, MAX_NOTE, OVER, split_of
from text_envs.game import PRINTABLE

IDS = [*ENV_IDS, CORRIDOR_ID]


def corridor(level: str = "P____", **kwargs: Any) -> TextEnv:
    """An episode that has begun."""
    env = TextEnv(Corridor, **kwargs)
    env.reset(seed=0, options={"level": level})
    return env


# --- observations and rewards ---


def test_a_whole_episode():
    env = TextEnv(Corridor)
    observation, info = env.reset(options={"level": "_P_"})
    assert observation == "_P_"
    assert info == {
        "success": False,
        "action_is_valid": True,
        "action_is_effective": False,
        "legal_actions": ("left", "right"),
        "distance": 1,
        "rules": "Walk to the right end of 8 or fewer cells. Moves: left, right.",
        "optimal_moves": 1,
    }
    observation, reward, terminated, truncated, info = env.step("Left")
    assert (observation, reward, terminated, truncated) == ("P__", -0.1, False, False)
    assert (info["action_is_valid"], info["action_is_effective"]) == (True, True)
    observation, reward, *_, info = env.step("left")
    assert (observation, reward) == ("A wall.\nP__", -0.1)
    assert (info["action_is_valid"], info["action_is_effective"]) == (True, False)
    observation, reward, *_, info = env.step("jump")
    assert (observation, reward) == (f"{INVALID} Legal moves: left, right.\nP__", -0.1)
    assert (info["action_is_valid"], info["action_is_effective"]) == (False, False)
    env.step("right")
    observation, reward, terminated, truncated, info = env.step("right")
    assert (observation, reward, terminated, truncated) == ("__P", 0.9, True, False)
    assert (info["success"], info["legal_actions"], info["distance"]) == (True, (), 0)


def test_after_the_end():
    env = corridor("P_")
    env.step("right")
    with pytest.warns(UserWarning, match="after the game has ended does nothing"):
        result = env.step("left")
    assert result[:4] == (f"{OVER}\n_P", 0.0, True, False)
    assert env.legal_actions() == ()
    assert env.solve() is None
    assert env.get_state() == CorridorState(2, 1)
    env.reset(options={"level": "P__"})
    assert env.legal_actions() == ("left", "right")
    assert env.step("right")[:3] == ("_P_", -0.1, False)


def test_invalid_moves_cost_what_was_said():
    assert corridor(invalid_action_penalty=-2).step("jump")[1] == -2.0
    assert corridor(invalid_action_penalty=0).step("jump")[1] == 0.0


def test_going_on_after_the_limit_is_allowed():
    """As everywhere in Gymnasium: a limit ends the record, not the game."""
    env = gym.make(CORRIDOR_ID, max_episode_steps=1)
    env.reset(seed=0, options={"level": "P___"})
    assert env.step("right")[2:4] == (False, True)
    assert env.step("right")[0] == "__P_"


class Wordy(Game[int]):
    """The longest texts, notes and lists of moves that a game may have."""

    max_text, rules = 50, "Say a letter."
    charset = PRINTABLE | {"ß"}

    def __init__(self, moves: int = 26, length: int = 1) -> None:
        self.moves = tuple(chr(97 + i % 26) * length + str(i) for i in range(moves))

    def initial(self, rng):
        return 0

    def legal(self, state):
        return self.moves

    def play(self, state, move, rng):
        return Outcome(state + 1, 0.0, note="ß" * MAX_NOTE)

    def text(self, state):
        return "ß" * self.max_text


@pytest.mark.parametrize("obs_mode", ["text", "image", "text+image"])
def test_the_longest_observations_fit(obs_mode: Any):
    text = ""
    for length in range(1, 30):
        env = TextEnv(Wordy(length=length), obs_mode=obs_mode, tile=8)
        env.reset(seed=0)
        assert env.observation_space.contains(env.step(env.game.moves[0])[0])  # pyright: ignore[reportAttributeAccessIssue] (Wordy's)
        refused = env.step("nothing")[0]
        assert env.observation_space.contains(refused)
        text = refused["text"] if isinstance(refused, dict) else refused
        assert text.startswith(INVALID)
    assert "Legal moves" not in text


def test_pictures():
    for mode, text in (("image", "<image>"), ("text+image", "<image>\nP__")):
        env = TextEnv(Corridor, obs_mode=mode, tile=8)  # pyright: ignore[reportArgumentType] (a literal, in a loop)
        observation, _ = env.reset(options={"level": "P__"})
        assert observation["text"] == text
        assert env.observation_space.contains(observation)
        assert (observation["image"] == env.picture()).all()
        observation, *_ = env.step("left")
        assert observation["text"] == f"A wall.\n{text}"


def test_a_placeholder_stands_for_a_picture_and_nothing_else():
    question = '{"question": "What is <image>?", "answer": "a token"}'
    env = gym.make("TextMath-v0", obs_mode="text+image", tile=8)
    observation, _ = env.reset(options={"level": question})
    assert observation["text"].startswith("<image>\nWhat is [image]?")
    observation, *_, info = env.step("<image>")
    assert info["action_is_valid"]
    assert observation["text"].startswith("[image] is wrong.\n<image>\nWhat is [image]?")
    assert observation["text"].endswith("Wrong: [image]")
    assert env.observation_space.contains(observation)


# --- starts ---


def test_a_seed_may_be_zero_and_none():
    env = TextEnv(Corridor, cells=30)
    assert env.reset(seed=0)[0] == env.reset(seed=0)[0]
    assert len({env.reset()[0] for _ in range(20)}) > 10


def test_level_files(tmp_path):
    path = tmp_path / "corridors.txt"
    path.write_text("P__\n_P_\nP____\n", encoding="utf-8")
    env = gym.make(CORRIDOR_ID, levels=str(path))
    assert [env.reset(seed=seed)[0] for seed in range(4)] == ["P__", "_P_", "P____", "P__"]
    assert {env.reset()[0] for _ in range(40)} == {"P__", "_P_", "P____"}


def test_level_option_with_several_levels():
    env = TextEnv(Corridor)
    assert env.reset(seed=1, options={"level": "P__ _P_"})[0] == "_P_"
    assert env.reset(seed=2, options={"level": "P__ _P_"})[0] == "P__"


def test_options_are_left_as_they_were():
    options = {"level": "P__", "noise_seed": 3}
    TextEnv(Corridor).reset(seed=0, options=options)
    assert options == {"level": "P__", "noise_seed": 3}


# --- noise seeds ---


def fates(seeds: list[int | None]) -> list[str]:
    env = TextEnv(Corridor, cells=30, slip=0.5)
    ends = []
    for noise_seed in seeds:
        env.reset(seed=1, options=None if noise_seed is None else {"noise_seed": noise_seed})
        ends.append("".join(str(env.step("right")[4]["action_is_effective"])[0] for _ in range(10)))
    return ends


def test_noise_seeds_change_the_luck():
    assert len(set(fates(list(range(8))))) == 8
    assert fates([4, 5, 4])[0] == fates([4])[0] == fates([4, 5, 4])[2]
    assert fates([None])[0] not in fates([0, 1, 2])


# --- splits ---


@pytest.mark.parametrize("id", IDS)
def test_splits_share_no_level(id: str):
    drawn = {}
    for split in ("train", "test"):
        env: Any = gym.make(id, split=split).unwrapped
        drawn[split] = set()
        for seed in range(60):
            env.reset(seed=seed)
            drawn[split].add(env.game.level(env.get_state()))
    assert not drawn["train"] & drawn["test"]
    assert {split_of(level) for level in drawn["train"]} == {"train"}
    assert {split_of(level) for level in drawn["test"]} == {"test"}


def test_one_level_in_ten_is_a_test_level():
    share = np.mean([split_of(f"level {i}") == "test" for i in range(20_000)])
    assert share == pytest.approx(0.1, abs=0.01)


def test_too_few_levels_for_a_split():
    class OneLevel(Corridor):
        def initial(self, rng):
            return CorridorState(3, 0)

    other = "train" if split_of("P__") == "test" else "test"
    with pytest.raises(ValueError, match=f"none of 10000 levels drawn belongs to split='{other}'"):
        TextEnv(OneLevel, split=other).reset(seed=0)


def test_levels_of_a_split(tmp_path):
    levels = ["_" * i + "P" + "_" * j for i in range(4) for j in range(1, 4)]
    wanted = [level for level in levels if split_of(level) == "test"]
    assert wanted, "choose other levels for this test"
    path = tmp_path / "levels.txt"
    path.write_text("\n".join(levels))
    env = TextEnv(Corridor, levels=str(path), split="test")
    assert [env.reset(seed=i)[0] for i in range(len(wanted))] == wanted
    other = next(level for level in levels if split_of(level) == "train")
    with pytest.raises(ValueError, match="none of these levels belongs to split='test'"):
        env.reset(options={"level": other})


# --- rendering ---


def test_ansi_is_the_text():
    env = corridor("_P_", render_mode="ansi")
    env.step("jump")
    assert env.render() == "_P_"


@pytest.mark.parametrize("id", IDS)
def test_pictures_of_every_game(id: str):
    env = gym.make(id, render_mode="rgb_array")
    env.reset(seed=0)
    before: Any = env.render()
    assert (before.dtype, before.ndim, before.shape[2]) == (np.uint8, 3, 3)
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 1, "nothing is drawn"


@pytest.mark.parametrize("id", IDS)
def test_a_window_opens_and_closes(id: str):
    env: Any = gym.make(id, render_mode="human")
    env.reset(seed=0)
    env.step(env.unwrapped.sample_action(np.random.default_rng(0)))
    assert env.render() is None
    assert env.unwrapped._window is not None
    copy = pickle.loads(pickle.dumps(env))
    assert copy.unwrapped._window is None, "a window belongs to its process"
    env.close()
    env.close()
    assert env.unwrapped._window is None


def test_render_says_what_it_needs():
    with pytest.raises(ValueError, match=r"render\(\) needs a render_mode, given to gym.make"):
        corridor().render()
    for mode in ("ansi", "rgb_array"):
        with pytest.raises(ResetNeeded):
            TextEnv(Corridor, render_mode=mode).render()


def test_pictures_say_what_they_need():
    code = (
        "import sys; sys.modules['renderers'] = None; import gymnasium as gym, text_envs;"
        "gym.make('TextBandit-v0', obs_mode='image')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert DependencyNotInstalled.__name__ in done.stderr
    assert "pip install 'text-envs[render]'" in done.stderr


def test_a_picture_of_another_size_is_refused():
    env = TextEnv("text_envs.games.frozen_lake:FrozenLake", obs_mode="image", tile=8)
    with pytest.raises(ValueError, match="make the environment with the level's own board size"):
        env.reset(options={"level": "SF\nFG"})


# --- states ---


def test_states_come_and_go():
    env = corridor("P____")
    before = env.get_state()
    env.step("right")
    after = env.get_state()
    env.set_state(before)
    assert env.step("right")[0] == "_P___"
    assert env.get_state() == after
    env.step("right")
    env.step("right")
    assert env.step("right")[2]
    env.set_state(before)
    assert env.legal_actions() == ("left", "right")
    assert env.step("left")[2] is False


def test_a_state_without_a_reset():
    env = TextEnv(Corridor, slip=0.5)
    for ask in (env.get_state, env.legal_actions, env.solve, env.facts, env.picture):
        with pytest.raises(ResetNeeded):
            ask()
    with pytest.raises(ResetNeeded):
        env.step("left")
    env.set_state(CorridorState(4, 1))
    assert env.step("left")[0].endswith(("P___", "_P__"))


def test_a_copy_has_its_own_luck():
    """Playing one does not disturb the other, whichever generator the noise comes from."""
    for options in (None, {"noise_seed": 2}):
        env = TextEnv(Corridor, cells=30, slip=0.5)
        env.reset(seed=1, options=options)
        copies = [deepcopy(env), pickle.loads(pickle.dumps(env))]
        expected = [env.step("right")[0] for _ in range(10)]
        for copy in copies:
            assert [copy.step("right")[0] for _ in range(10)] == expected
            assert copy.reset()[0] == deepcopy(env).reset()[0]


def test_works_under_wrappers():
    env: Any = RecordEpisodeStatistics(gym.make(CORRIDOR_ID))
    env.reset(options={"level": "P__"})
    env.step("right")
    copy = pickle.loads(pickle.dumps(env))
    assert copy.step("right")[4]["episode"]["r"] == pytest.approx(0.8)
    assert env.get_wrapper_attr("rules") == env.unwrapped.rules
