"""The figures of single tokens that a run stores, and that storing them changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from starpo_kit import play, rewarded, small_policy

from starpo_plugin import token_figures as module
from starpo_plugin import token_file
from starpo_plugin.batch import collate
from starpo_plugin.config import TrainConfig
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.token_figures import pick, token_figures
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import train
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.update import Learner


def episode(group: int, member: int, reward: float) -> Trajectory:
    turn = Turn((1,), (2,), (-0.5,), "board", "reply", reward)
    return Trajectory("Some-v0", group, group, member, (turn,), False, "terminated")


def test_the_group_that_differs_most_comes_first_from_its_ends_inwards():
    even = [episode(0, m, 1.0) for m in range(4)]
    spread = [episode(1, m, r) for m, r in enumerate((0.0, 3.0, 1.0, 9.0, 2.0))]
    played = even + spread
    assert [played[row].total_reward for row in pick(played, 5)] == [9, 0, 3, 1, 2]
    rows = pick(played, 99)
    assert sorted(rows) == list(range(9))
    assert pick(played, 0) == []
    assert {played[row].group for row in rows[5:]} == {0}
    assert pick([episode(0, 0, 1.0)], 4) == [0]


@pytest.fixture(scope="module")
def trained() -> tuple[Learner, list[Trajectory]]:
    policy = small_policy(spread=2.0, critic="shared")
    played = rewarded(play(policy, groups=3, members=3))
    config = TrainConfig(
        actor_lr=1e-2, critic_lr=1e-2, mini_batch=64, max_tokens=400, loss_sections=("tags",)
    )
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.5)
    learner = Learner(policy, None, config.check(), optimizer)
    learner.update(collate(played, pad_id=0), torch.Generator().manual_seed(0))
    return learner, played


def test_every_written_token_has_its_own_figures(trained):
    learner, played = trained
    batch, targets = learner.trained
    tokens = ChatTokens(learner.policy.tokenizer)
    shown = token_figures(learner, played, tokens, 4)
    with torch.no_grad():
        now = learner.policy(batch)
    sources = {
        "trained": targets.mask.float(),
        "advantage": targets.estimate.advantages,
        "value": batch.values,
        "entropy": targets.entropy,
        "logprob_old": batch.logprobs,
        "logprob_new": now.logprobs,
    }
    moved = 0.0
    for record, row in zip(shown, pick(played, 4), strict=True):
        position = 0
        for said, turn in zip(record["turns"], played[row].turns, strict=True):
            position += len(turn.prompt_ids)
            assert said["section"] == list(turn.sections)
            for i, token in enumerate(turn.reply_ids):
                assert int(batch.ids[row, position]) == token
                for name, tensor in sources.items():
                    wanted = float(tensor[row, position])
                    assert said[name][i] == pytest.approx(wanted, rel=1e-3, abs=1e-5), name
                moved += abs(said["logprob_new"][i] - said["logprob_old"][i])
                position += 1
            assert len(said["reply_tokens"]) == len(turn.reply_ids)
            assert len(said["prompt_tokens"]) == len(turn.prompt_ids)
    assert moved > 0.01


def test_without_a_critic_there_is_no_value(trained):
    learner, played = trained
    config = TrainConfig(advantage="grpo", max_tokens=400)
    other = Learner(learner.policy, None, config, learner.optimizer, trained=learner.trained)
    tokens = ChatTokens(learner.policy.tokenizer)
    (record,) = token_figures(other, played, tokens, 1)
    assert all("value" not in turn for turn in record["turns"])


def test_what_is_too_long_is_cut_and_counted(trained, monkeypatch):
    learner, played = trained
    monkeypatch.setattr(module, "MOST_TOKENS", 20)
    for record, row in zip(
        token_figures(learner, played, ChatTokens(learner.policy.tokenizer), 3),
        pick(played, 3),
        strict=True,
    ):
        kept = [len(t["prompt_tokens"]) + len(t["reply_tokens"]) for t in record["turns"]]
        assert sum(kept) == min(20, len(played[row]))
        assert record["left_out"] == len(played[row]) - sum(kept)
        for turn in record["turns"]:
            figures = {"section", "trained", "advantage", "value", "entropy"} & set(turn)
            assert {len(turn[name]) for name in figures} == {len(turn["reply_tokens"])}


def test_a_number_that_is_none_is_null(trained):
    learner, played = trained
    batch, targets = learner.trained
    entropy = torch.full_like(targets.entropy, torch.nan)
    broken = type(targets)(targets.mask, targets.estimate, None, None, 1.0, entropy)
    other = Learner(learner.policy, None, learner.config, learner.optimizer)
    other.trained = (batch, broken)
    (record,) = token_figures(other, played, ChatTokens(learner.policy.tokenizer), 1)
    assert {x for turn in record["turns"] for x in turn["entropy"]} == {None}


def test_a_file_is_read_as_it_was_written_and_others_are_refused(tmp_path, trained):
    learner, played = trained
    shown = token_figures(learner, played, ChatTokens(learner.policy.tokenizer), 2)
    path = tmp_path / "tokens" / "000003.json"
    token_file.write(path, 3, shown)
    record = token_file.read(path)
    assert (record["iteration"], len(record["episodes"])) == (3, 2)
    assert record["episodes"][0]["turns"][0]["advantage"] == shown[0]["turns"][0]["advantage"]
    assert [p.name for p in path.parent.iterdir()] == ["000003.json"]
    for text in ("", "[]", '{"format": 1}', json.dumps({**record, "version": 2})):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"000003\.json"):
            token_file.read(path)


# --- in a run ---

SMALL: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "system_template": "",
    "user_template": "{observation}",
    "format": "answer",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "groups": 2,
    "members": 3,
    "max_turns": 2,
    "max_reply_tokens": 8,
    "max_tokens": 200,
    "actor_lr": 1e-3,
    "eval_every": 2,
    "eval_episodes": 2,
    "save_every": 1,
    "save_rollouts": 0,
    "iterations": 3,
    "device": "cpu",
}


def run(path: Path, **changes: Any) -> Path:
    return train(TrainConfig(run=str(path), **{**SMALL, **changes}))


def stored(path: Path) -> dict[int, bytes]:
    return {i: p.read_bytes() for i, p in RunFolder(path).token_files().items()}


def test_figures_are_stored_at_evaluations_and_change_nothing(tmp_path):
    looked, blind = tmp_path / "looked", tmp_path / "blind"
    ends = [run(looked, save_tokens=2), run(blind, save_tokens=0)]
    weights = [(end / "model.safetensors").read_bytes() for end in ends]
    assert weights[0] == weights[1]
    assert list(stored(looked)) == [2, 3]
    assert not (blind / "tokens").exists()
    record = token_file.read(RunFolder(looked).tokens(3))
    assert len(record["episodes"]) == 2
    RunFolder(looked).forget_after(2)
    assert list(stored(looked)) == [2]


def test_fewer_than_none_are_refused():
    with pytest.raises(ValueError, match="save_tokens=-1"):
        TrainConfig(save_tokens=-1).check()
