"""What the page shows beside the tokens: episodes played again, and what was claimed of them."""

import json
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from processes import run_python

from starpo_plugin import token_file, token_view
from starpo_plugin.config import TrainConfig
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.mixing import every_spec
from starpo_plugin.replay import Replayer
from starpo_plugin.run_folder import RunFolder
from text_envs.chat import ChatProtocol

SPEC = EpisodeSpec("TextSokoban-v0", {"split": "train"}, ChatProtocol("world"))


def played(spec: EpisodeSpec = SPEC, seed: int = 5, claim: str = "") -> dict:
    """An episode as a run stores it: the oracle's moves, one a turn; ``claim`` of every state."""
    env = spec.make()
    message, _ = env.reset(seed=seed, options={"noise_seed": 3})
    turns, over = [], False
    while not over:
        (move, *_) = env.unwrapped.solve()
        state = {"observation": claim, "think": "", "prediction": claim, "answer": move}
        reply = spec.protocol.write(state)
        n = len(reply)
        turn = {"observation": message, "reply": reply, "actions": [move]}
        message, reward, terminated, truncated, _ = env.step(reply)
        figures = dict.fromkeys(("trained", "section", "advantage", "entropy"), [1] * n)
        turns.append(
            {**turn, "reward": reward, "well_formed": True, "valid": True}
            | {"prompt_tokens": ["a"], "reply_tokens": list(reply)}
            | {**figures, "logprob_old": [-1.0] * n, "logprob_new": [-1.0] * n}
        )
        over = terminated or truncated
    about = {"env": spec.env_id, "seed": seed, "noise_seed": 3, "system": "", "group": 0}
    how = {"success": True, "end": "terminated", "return": 1.0, "left_out": 0}
    return {**about, **how, "turns": turns}


def a_run(path: Path, *episodes: dict, iterations=(1,)) -> RunFolder:
    folder = RunFolder(path)
    folder.create(TrainConfig(run=str(path), format="world"))
    for i in iterations:
        token_file.write(folder.tokens(i), i, episodes)
    return folder


def view_of(folder: RunFolder) -> dict:
    view = token_view.token_view(folder, folder.config())
    json.dumps(view, allow_nan=False)
    return view


def test_states_are_those_that_the_turns_saw():
    episode = played()
    replayer = Replayer(SPEC, {})
    frames = replayer.frames(episode)
    assert not replayer.notes
    assert len(frames) == len(episode["turns"]) + 1
    env = SPEC.make()
    env.reset(seed=5, options={"noise_seed": 3})
    for frame, turn in zip(frames, episode["turns"], strict=False):
        assert frame.facts == env.unwrapped.facts()
        assert frame.picture.startswith("data:image/png;base64,")
        env.step(turn["reply"])
    assert frames[-1].facts == env.unwrapped.facts()
    assert replayer.frames(episode) == frames  # the environment is used again


def test_another_environment_than_the_one_that_was_played_is_not_shown():
    episode = played()
    other = Replayer(SPEC, {"split": "test"})
    assert other.frames(episode) == []
    (note,) = other.notes
    assert "another state than the policy saw" in note


class Unruly(gym.Env):
    """Raises what no one expects, has no facts and no picture."""

    observation_space = gym.spaces.Text(9)
    action_space = gym.spaces.Text(9)

    def reset(self, *, seed=None, options=None):
        return "x", {}

    def step(self, action):
        raise ZeroDivisionError("<b>boom</b>")


def test_what_a_foreign_environment_raises_is_told():
    gym.register("Unruly-v0", entry_point=Unruly)
    protocol = ChatProtocol("answer", rules="r", user_template="{observation}")
    replayer = Replayer(EpisodeSpec("Unruly-v0", protocol=protocol), {})
    turn = {"observation": "x", "reply": "<answer>go</answer>"}
    assert replayer.frames({"seed": 0, "noise_seed": 0, "turns": [turn]}) == []
    assert "ZeroDivisionError: <b>boom</b>" in "".join(replayer.notes)
    gone = Replayer(EpisodeSpec("Gone-v0", protocol=protocol), {})
    assert gone.frames({"seed": 0, "noise_seed": 0, "turns": []}) == []
    assert "Gone" in "".join(gone.notes)


def test_claims_are_compared_with_the_states_before_and_after(tmp_path):
    env = SPEC.make()
    env.reset(seed=5, options={"noise_seed": 3})
    row, col = env.unwrapped.facts()["player"]
    view = view_of(a_run(tmp_path, played(claim=f"the player is at {row} {col}")))
    first, second, *_ = view["iterations"][0]["episodes"][0]["turns"]
    (now, before), (then, after) = first["claims"]
    assert (now, then) == ("observation", "prediction")
    assert before[0] == ["player", f"{row} {col}", f"{row} {col}", "same"]
    assert before[1][3] == "not said"
    assert after[0][3] == "differs"  # the move moved the player
    assert second["claims"][0][1][0][2] == after[0][2]


def test_pictures_are_kept_once_and_only_as_many_as_there_is_room_for(tmp_path, monkeypatch):
    one, other = played(seed=5), played(seed=6)
    folder = a_run(tmp_path, one, one, other)
    states = len(one["turns"]) + len(other["turns"]) + 2
    view = view_of(folder)
    assert len(view["pictures"]) == len(set(view["pictures"])) == states
    monkeypatch.setattr(token_view, "PICTURE_BYTES", sum(map(len, view["pictures"])) - 1)
    view = view_of(folder)
    assert len(view["pictures"]) == states - 1
    assert view["notes"] == ["1 pictures are left out: the page would be too large."]
    assert view["iterations"][0]["episodes"][2]["last_picture"] is None


def test_iterations_are_thinned_by_number_and_by_size(tmp_path, monkeypatch):
    folder = a_run(tmp_path, {**played(), "turns": []}, iterations=range(1, 30))
    numbers = [it["iteration"] for it in view_of(folder)["iterations"]]
    assert len(numbers) == token_view.ITERATIONS
    assert (numbers[0], numbers[-1]) == (1, 29)
    size = folder.tokens(1).stat().st_size
    monkeypatch.setattr(token_view, "FIGURE_BYTES", 3.5 * size)
    assert [it["iteration"] for it in view_of(folder)["iterations"]] == [1, 15, 29]
    monkeypatch.setattr(token_view, "FIGURE_BYTES", 10)
    assert [it["iteration"] for it in view_of(folder)["iterations"]] == [29]


def _of_train(spec: EpisodeSpec) -> EpisodeSpec:
    return replace(spec, env_kwargs={**spec.env_kwargs, "split": "train"})


def test_every_environment_and_stage_of_a_run_is_played_again_as_itself(tmp_path):
    """Boards of a further environment and of an early stage, which no other one would show."""
    stages = ("size=5 boxes=1", "size=6 boxes=2")
    config = TrainConfig(
        run=str(tmp_path), format="world", envs=("TextFrozenLake-v0 size=5",), curriculum=stages
    )
    folder = RunFolder(tmp_path)
    folder.create(config)
    specs = every_spec(config)
    assert len(specs) == 3
    episodes = [{**played(_of_train(s)), "task": s.task} for s in specs]
    token_file.write(folder.tokens(1), 1, episodes)
    view = view_of(folder)
    assert view["notes"] == []
    shown = view["iterations"][0]["episodes"]
    assert [e["task"] for e in shown] == [s.task for s in specs]
    pictures = [turn["picture"] for e in shown for turn in e["turns"]]
    assert None not in pictures


def test_what_is_not_finite_is_none(tmp_path):
    episode = played()
    turn = episode["turns"][0]
    turn["reward"], turn["advantage"] = float("nan"), [np.inf] * len(turn["advantage"])
    shown = view_of(a_run(tmp_path, episode))["iterations"][0]["episodes"][0]["turns"][0]
    assert shown["reward"] is None
    assert set(shown["advantage"]) == {None}


def test_a_run_with_no_figures_has_none_to_show(tmp_path):
    assert view_of(a_run(tmp_path, iterations=()))["iterations"] == []


def test_without_pygame_the_page_is_written_and_says_so(tmp_path):
    a_run(tmp_path, played())
    code = (
        "import sys; sys.modules['pygame'] = None;"
        "from starpo_plugin.report import write_report; write_report(sys.argv[1]);"
        "assert 'torch' not in sys.modules"
    )
    run_python("-c", code, str(tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert "There are no pictures: " in page
    assert "text-envs[render]" in page
    assert "data:image" not in page
    assert '"same"' in page or '"not said"' in page


@pytest.mark.parametrize(("count", "wanted"), [(1, [9]), (2, [0, 9]), (3, [0, 4, 9])])
def test_items_are_picked_evenly_with_both_ends(count, wanted):
    assert token_view.spaced(list(range(10)), count) == wanted
    assert token_view.spaced([], count) == []
