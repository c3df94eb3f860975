"""Evaluations: no more episodes at once than in a rollout, and what that may not change."""

from typing import Any

import pytest
import torch

from starpo_plugin.config import TrainConfig
from starpo_plugin.evaluate import Evaluator
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.start import start_model
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory

SMALL: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "envs": ("TextBandit-v0",),
    "groups": 2,
    "members": 3,
    "system_template": "",
    "user_template": "{observation}",
    "format": "answer",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "max_turns": 3,
    "max_reply_tokens": 8,
    "max_tokens": 300,
    "eval_episodes": 7,
    "eval_temperature": 1.0,
    "env_threads": 0,
}


def small(**changes: Any) -> TrainConfig:
    return preset("starpo_s", **{**SMALL, **changes})


@pytest.fixture(scope="module")
def player() -> tuple[Policy, ChatTokens]:
    policy = Policy(*start_model(small())).double()
    return policy, ChatTokens(policy.tokenizer)


class Rows:
    """Notes how many conversations go through a model at once."""

    def __init__(self, policy: Policy) -> None:
        self.seen: set[int] = set()
        embedding = policy.model.get_input_embeddings()
        self._hook = embedding.register_forward_pre_hook(self._note)

    def _note(self, _: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        self.seen.add(len(arguments[0]))

    def most(self) -> int:
        self._hook.remove()
        return max(self.seen)


def evaluated(player: tuple[Policy, ChatTokens], **changes: Any) -> tuple[list[Trajectory], int]:
    """Episodes, and how many were under way at most."""
    rows = Rows(player[0])
    _, played = Evaluator(*player, small(**changes)).run()
    return played, rows.most()


@pytest.fixture(scope="module")
def together(player) -> list[Trajectory]:
    """The same episodes all at once."""
    played, rows = evaluated(player, slots=14)
    assert rows == len(played) == 14
    assert len({str([k.reply_ids for k in t.turns]) for t in played}) > 7
    return played


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [({}, 6), ({"members": 2}, 4), ({"slots": 3}, 3), ({"slots": 5}, 5), ({"groups": 99}, 14)],
)
def test_episodes_are_the_same_however_many_are_played_at_once(player, together, changes, at_once):
    played, rows = evaluated(player, **changes)
    assert rows == at_once
    for ours, theirs in zip(played, together, strict=True):
        assert (ours.task, ours.seed, ours.end) == (theirs.task, theirs.seed, theirs.end)
        assert ours.total_reward == theirs.total_reward
        for one, other in zip(ours.turns, theirs.turns, strict=True):
            assert one.reply_ids == other.reply_ids
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-9)


@pytest.mark.parametrize(
    ("processes", "rows"), [(1, 8 * 16), (2, 4 * 16), (3, 3 * 16), (8, 16), (99, 16)]
)
def test_each_process_holds_what_it_holds_of_a_rollout(processes, rows):
    assert TrainConfig(groups=8, members=16).at_once(processes) == rows
    assert TrainConfig(groups=8, members=16, slots=5).at_once(processes) == 5
