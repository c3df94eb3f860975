"""``TextVectorEnv`` returns what ``SyncVectorEnv`` over ``gym.make`` returns, to the letter."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from equality import assert_equal
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tiny_game import CORRIDOR_ID, Corridor

from text_envs import ENV_IDS
from text_envs.vector import TextVectorEnv, batch_infos

IDS = (*ENV_IDS, CORRIDOR_ID)
NUM_ENVS = 5
MODES = list(AutoresetMode)


def pair(id: str, mode: AutoresetMode, **kwargs: Any) -> tuple[Any, Any]:
    """The same game as ours and as Gymnasium's vector environment."""
    ours = gym.make_vec(id, NUM_ENVS, autoreset_mode=mode.value, **kwargs)
    theirs = gym.make_vec(
        id,
        NUM_ENVS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **kwargs,
    )
    assert isinstance(ours, TextVectorEnv)
    assert isinstance(theirs, SyncVectorEnv)
    return ours, theirs


def some_actions(envs: Any, rng: np.random.Generator) -> list[str]:
    """Mostly the oracle's next moves, so that episodes end; legal ones; a few that are no move."""
    actions = []
    for env in envs.envs:
        legal, plan = env.unwrapped.legal_actions(), env.unwrapped.solve()
        drawn = rng.random()
        if plan and drawn < 0.6:
            actions.append(plan[0])
        elif legal and drawn < 0.8:
            actions.append(legal[rng.integers(len(legal))])
        else:
            actions.append(("", " ", "nowhere", "\u200bup", "up up")[rng.integers(5)])
    return actions


def ended(result: Any) -> np.ndarray:
    return result[2] | result[3]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("id", IDS)
def test_agrees_with_sync_vector_env(id: str, mode: AutoresetMode):
    ours, theirs = pair(id, mode, max_episode_steps=20)  # some games go on for much longer
    assert ours.observation_space == theirs.observation_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    assert ours.render_mode == theirs.render_mode
    assert_equal(ours.reset(seed=3), theirs.reset(seed=3))
    assert ours.np_random_seed == theirs.np_random_seed
    rng, ends = np.random.default_rng(0), 0
    for _ in range(60):
        actions = some_actions(theirs, rng)
        result = ours.step(actions)
        assert_equal(result, theirs.step(actions))
        assert ours.observation_space.contains(result[0])
        over = ended(result)
        ends += over.sum()
        if mode is AutoresetMode.DISABLED and over.any():
            seeds = rng.integers(1000, size=NUM_ENVS).tolist()
            options = {"reset_mask": over}
            assert_equal(
                ours.reset(seed=seeds, options=dict(options)),
                theirs.reset(seed=seeds, options=dict(options)),
            )
    assert ends > NUM_ENVS
    ours.close()
    theirs.close()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_agrees_on_pictures(mode: AutoresetMode):
    ours, theirs = pair(CORRIDOR_ID, mode, obs_mode="text+image", tile=8, slip=0.3)
    options = {"level": "_P___", "noise_seed": 5}
    assert_equal(ours.reset(seed=3, options=options), theirs.reset(seed=3, options=options))
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = some_actions(theirs, rng)
        result = ours.step(actions)
        assert_equal(result, theirs.step(actions))
        assert ours.observation_space.contains(result[0])
        if mode is AutoresetMode.DISABLED and ended(result).any():
            break


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_truncates_at_the_limit(mode: AutoresetMode):
    ours, theirs = pair(CORRIDOR_ID, mode, max_episode_steps=3)
    assert_equal(ours.reset(seed=0), theirs.reset(seed=0))
    for _ in range(8):
        result = ours.step(["no move"] * NUM_ENVS)
        assert_equal(result, theirs.step(["no move"] * NUM_ENVS))
    ours.reset(seed=0)
    lengths = [bool(ours.step(["left"] * NUM_ENVS)[3].all()) for _ in range(3)]
    assert lengths == [False, False, True]


def test_levels_with_and_without_a_solution(tmp_path):
    path = tmp_path / "levels.xsb"
    path.write_text("######\n#@$.##\n######\n\n######\n#$@.##\n######\n")
    ours, theirs = pair("TextSokoban-v0", AutoresetMode.NEXT_STEP, levels=str(path))
    result = ours.reset(seed=0)
    assert_equal(result, theirs.reset(seed=0))
    assert result[1]["optimal_moves"].tolist() == [1, -1, 1, -1, 1]


def test_no_limit():
    for limit in (None, -1):
        envs = TextVectorEnv(2, Corridor, max_episode_steps=limit)
        envs.reset(seed=0)
        assert not any(envs.step(["left"] * 2)[3].any() for _ in range(50))


def test_returned_values_are_the_callers_own():
    """What a step returned is not changed by the next one."""
    envs = gym.make_vec(CORRIDOR_ID, 3, obs_mode="image", tile=8)
    envs.reset(seed=0, options={"level": "P_______"})
    first = envs.step(["right"] * 3)
    kept = [first[0]["image"].copy(), first[1].copy(), first[4]["distance"].copy()]
    envs.step(["right", "left", "up"])
    for array, copy in zip([first[0]["image"], first[1], first[4]["distance"]], kept, strict=True):
        assert np.array_equal(array, copy)


def test_sub_environments_are_independent():
    envs = TextVectorEnv(3, Corridor, slip=0.5)
    together = [envs.reset(seed=7)[0], *(envs.step(["right"] * 3)[0] for _ in range(2))]
    for i in range(3):
        alone = TextVectorEnv(1, Corridor, slip=0.5)
        record = [alone.reset(seed=7 + i)[0], *(alone.step(["right"])[0] for _ in range(2))]
        assert [texts[0] for texts in record] == [texts[i] for texts in together]


def test_a_group_shares_the_start_and_not_the_luck():
    envs = TextVectorEnv(8, Corridor, cells=30, slip=0.5)
    for i, env in enumerate(envs.envs):
        env.reset(seed=1, options={"noise_seed": i})
    assert len({env.get_state() for env in envs.envs}) == 1
    for env in envs.envs:
        for _ in range(5):
            env.step("right")
    assert len({env.get_state() for env in envs.envs}) > 1


def test_call_reaches_every_sub_environment():
    envs: Any = gym.make_vec(CORRIDOR_ID, 3, render_mode="ansi")
    texts, _ = envs.reset(seed=0)
    assert envs.call("solve") == tuple(env.solve() for env in envs.envs)
    assert envs.call("rules") == (envs.envs[0].rules,) * 3
    assert envs.render() == texts
    envs.close()
    envs.close()


def test_attributes_are_set_as_in_sync_vector_env():
    ours, theirs = pair(CORRIDOR_ID, AutoresetMode.NEXT_STEP)
    for values in (-0.5, [0.0, -1.0, -2.0, -3.0, -4.0]):
        for envs in (ours, theirs):
            envs.set_attr("invalid_action_penalty", values)
            envs.reset(seed=0)
        refused = ["nowhere"] * NUM_ENVS
        assert ours.step(refused)[1].tolist() == theirs.step(refused)[1].tolist()
    with pytest.raises(ValueError, match="2 values for 5 sub-environments"):
        ours.set_attr("invalid_action_penalty", (0.0, 0.0))


def test_spec_makes_it_again():
    envs = gym.make_vec(CORRIDOR_ID, 3, slip=0.5, autoreset_mode="SameStep")
    assert envs.spec is not None
    again = gym.make_vec(EnvSpec.from_json(envs.spec.to_json()))
    assert isinstance(again, TextVectorEnv)
    assert_equal(envs.reset(seed=0), again.reset(seed=0))
    for _ in range(10):
        assert_equal(envs.step(["right"] * 3), again.step(["right"] * 3))


@pytest.mark.parametrize("actions", ["abc", ["left"], ["left"] * 4, [], None, {"a", "b", "c"}])
def test_wants_one_action_for_each(actions: Any):
    envs = TextVectorEnv(3, Corridor)
    envs.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="takes 3 strings"):
        envs.step(actions)


def test_wants_strings():
    envs = TextVectorEnv(2, Corridor)
    envs.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="an action is a str, this is a int"):
        envs.step(["left", 1])  # pyright: ignore[reportArgumentType] (the point of the test)


def test_says_what_is_wrong_with_a_reset():
    envs = TextVectorEnv(2, Corridor, autoreset_mode="Disabled")
    with pytest.raises(gym.error.ResetNeeded):
        envs.step(["left"] * 2)
    with pytest.raises(ValueError, match="3 seeds for 2 sub-environments"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="unknown reset options"):
        envs.reset(options={"lvel": "P__"})
    with pytest.raises(TypeError, match="NumPy array of bool"):
        envs.reset(options={"reset_mask": [True, False]})
    with pytest.raises(ValueError, match="a True in it"):
        envs.reset(options={"reset_mask": np.zeros(2, dtype=np.bool_)})
    envs.reset(options={"level": "P__"})
    envs.step(["right", "left"])
    envs.step(["right", "left"])
    with pytest.raises(gym.error.ResetNeeded, match=r"episodes \[0\] are over"):
        envs.step(["right", "left"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0}, "num_envs=0 must be a whole number of at least 1"),
        ({"num_envs": "2"}, "num_envs='2' must be a whole number"),
        ({"max_episode_steps": 0}, "max_episode_steps=0 must be a whole number of at least 1"),
        ({"max_episode_steps": 2.5}, "max_episode_steps=2.5 must be a whole number"),
        ({"max_episode_steps": float("inf")}, "max_episode_steps=inf must be a whole number"),
        (
            {"autoreset_mode": "Sometimes"},
            "autoreset_mode='Sometimes' is not one of 'NextStep', 'SameStep', 'Disabled'",
        ),
    ],
)
def test_bad_parameters(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        TextVectorEnv(**{"num_envs": 2, "game": Corridor, **kwargs})


def test_episodes_that_are_reset_apart_are_cut_apart():
    ours, theirs = pair(CORRIDOR_ID, AutoresetMode.DISABLED, max_episode_steps=4)
    assert_equal(ours.reset(seed=0), theirs.reset(seed=0))
    rng, cut, over = np.random.default_rng(1), 0, np.zeros(NUM_ENVS, np.bool_)
    for _ in range(40):
        early = over | (rng.random(NUM_ENVS) < 0.2)  # also some that are not over
        if early.any():
            options = {"reset_mask": early, "level": "_P______"}
            assert_equal(ours.reset(options=dict(options)), theirs.reset(options=dict(options)))
        actions = some_actions(theirs, rng)
        result = ours.step(actions)
        assert_equal(result, theirs.step(actions))
        over = ended(result)
        cut += result[3].sum()
    assert cut > NUM_ENVS


def end_of_one(mode: str) -> tuple[Any, Any]:
    """Two corridors, and a step that ends the first."""
    envs = gym.make_vec(CORRIDOR_ID, 2, autoreset_mode=mode)
    envs.reset(seed=0, options={"level": "P_"})
    result = envs.step(["right", "left"])
    assert result[1].tolist() == [0.9, -0.1]
    assert result[2].tolist() == [True, False]
    return envs, result


def test_next_step_resets_in_the_step_after():
    envs, (texts, *_, infos) = end_of_one("NextStep")
    assert texts == ("_P", "A wall.\nP_")
    assert infos["success"].tolist() == [True, False]
    assert infos["legal_actions"].tolist() == [(), ("left", "right")]
    assert not {"final_obs", "final_info", "rules"} & set(infos)
    texts, rewards, terminations, _, infos = envs.step(["right", "right"])
    assert texts == (envs.envs[0].game.text(envs.envs[0].get_state()), "_P")
    assert rewards.tolist() == [0.0, 0.9]
    assert terminations.tolist() == [False, True]
    assert infos["success"].tolist() == [False, True]
    assert infos["_rules"].tolist() == infos["_optimal_moves"].tolist() == [True, False]
    assert infos["rules"][1] is None
    assert infos["optimal_moves"].tolist() == [infos["distance"][0], 0]


def test_same_step_keeps_what_the_reset_replaces():
    envs, (texts, *_, infos) = end_of_one("SameStep")
    assert texts == (envs.envs[0].game.text(envs.envs[0].get_state()), "A wall.\nP_")
    assert infos["success"].tolist() == [False, False]  # of the new episode, and the one under way
    assert infos["final_obs"].tolist() == ["_P", None]
    final = infos["final_info"]
    assert final["success"].tolist() == final["_success"].tolist() == [True, False]
    assert final["distance"].tolist() == [0, 0]
    for key in ("_final_obs", "_final_info", "_rules"):
        assert infos[key].tolist() == [True, False]
    *_, infos = envs.step(["left", "left"])
    assert not {"final_obs", "final_info", "rules"} & set(infos)


def test_disabled_waits_for_the_reset():
    envs, (texts, *_) = end_of_one("Disabled")
    assert texts == ("_P", "A wall.\nP_")
    with pytest.raises(gym.error.ResetNeeded, match=r"episodes \[0\] are over"):
        envs.step(["right", "right"])
    texts, infos = envs.reset(options={"reset_mask": np.array([True, False]), "level": "P__"})
    assert texts == ("P__", "A wall.\nP_")
    assert infos["distance"].tolist() == [2, 0]
    assert infos["_distance"].tolist() == infos["_success"].tolist() == [True, False]
    assert envs.step(["right", "right"])[2].tolist() == [False, True]


def test_masks_are_arrays_of_their_own():
    infos = batch_infos([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    infos["_a"][0] = False
    assert infos["_b"].all()


def test_infos_with_gaps_and_every_type():
    """Against Gymnasium's own way of adding them up."""
    gaps = [
        {},
        {"n": 1, "x": 0.5, "flag": True, "text": "a", "legal": ("a", "b"), "array": np.arange(3)},
        {"n": 2, "none": None, "deep": {"n": np.int16(3), "deeper": {"text": "b"}}},
        {"legal": None, "final_obs": {"text": "c"}, "deep": {"x": np.float32(0.5)}, "empty": {}},
    ]
    same = [{"n": i, "text": str(i), "legal": ("a",), "deep": {"x": i}} for i in range(3)]
    alone = [{"n": 1.5}, {"n": 2.5}]
    some = [*same, {**same[0], "rules": "r", "array": np.ones(2)}, *same]
    for rows in (gaps, same, alone, some, [{}, {}], [{}, *same]):
        theirs: dict[str, Any] = {}
        reference = TextVectorEnv(len(rows), Corridor)
        for number, row in enumerate(rows):
            theirs = reference._add_info(theirs, row, number)
        assert_equal(batch_infos(rows), theirs)
