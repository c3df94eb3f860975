"""A mini-batch of a run, recomputed by a straight-line script that shares no code with the trainer.

The second mini-batch of an update is checked: by then the weights have moved, ratios are not 1 and
some are clipped. Micro-batches are smaller than it.
"""

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest
import slow_minibatch
import torch
from slow_minibatch import STARPO_S, TRICO, Episode, Exchange, Recipe

from starpo_plugin.batch import Batch, collate
from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.start import start_model, warm_up
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import select
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.update import Learner
from starpo_plugin.watcher import Silent

SMALL: dict[str, Any] = {
    "env": "TextFrozenLake-v0",
    "system_template": "",
    "user_template": "{observation}",
    "tiny_hidden": 32,
    "tiny_layers": 2,
    "groups": 4,
    "members": 4,
    "max_turns": 3,
    "max_reply_tokens": 40,
    "max_tokens": 400,
    "warmup_updates": 40,  # about half of the replies are well formed
    "warmup_batch": 16,
    "warmup_lr": 1e-2,
    "grad_clip": 1e9,
    "micro_batch_tokens": 250,
}
MASKED: dict[str, Any] = {
    "loss_sections": ("think", "tags"),
    "advantage_sections": ("answer",),
    "lam_turn": 0.9,
    "lam_token": 0.8,
    "gamma_token": 0.99,
}
CASES: dict[str, tuple[str, dict[str, Any], Recipe]] = {
    "starpo_s": ("starpo_s", {"mini_batch": 2}, STARPO_S),
    "trico": ("trico", {"mini_batch": 8}, TRICO),
    "trico by section, cut-off episodes bootstrapped": (
        "trico",
        {"mini_batch": 8, "bootstrap_truncated": True, **MASKED},
        dataclasses.replace(TRICO, bootstrap=True, **MASKED),
    ),
}


@dataclass
class Recorder:
    """What an update hands to its optimiser, step by step."""

    policy: Policy
    losses: list[float] = field(default_factory=lambda: [0.0])
    weights: list[Policy] = field(default_factory=list)
    """As they are before the step."""
    norms: list[tuple[float, float]] = field(default_factory=list)
    """Of the gradients of the model and of the critic's head."""

    def backward(self, loss: torch.Tensor) -> None:
        self.losses[-1] += float(loss.detach())
        loss.backward()

    def step(self, *_: Any) -> None:
        self.weights.append(copy.deepcopy(self.policy))
        self.losses.append(0.0)
        parts = (self.policy.model.parameters(), self.policy.critic_parameters())
        grads = [[p.grad.flatten() for p in part if p.grad is not None] for part in parts]
        model, critic = (float(torch.cat(g).norm()) for g in grads)
        self.norms.append((model, critic))


@pytest.fixture(scope="module")
def run() -> tuple[Policy, list[Trajectory]]:
    """A policy that half knows the format, and the episodes that it plays, in double precision."""
    config = preset("trico", **SMALL).check()
    policy = Policy(*start_model(config), critic="shared")
    tokens = ChatTokens(policy.tokenizer)
    warm_up(policy, tokens, config, Silent())
    assert policy.critic_head is not None
    torch.nn.init.normal_(
        policy.critic_head.weight, std=0.1, generator=torch.Generator().manual_seed(1)
    )
    policy.double()
    sampling = Sampling(config.max_reply_tokens, config.max_tokens)
    rollouts = Rollouts(
        policy, tokens, config.episodes(), sampling, **parse_args(config.train_args)
    )
    played = rollouts.run(range(config.groups), config.members, torch.Generator().manual_seed(0))
    formed = [k.info["well_formed"] for t in played for k in t.turns]
    assert 0.2 < sum(formed) / len(formed) < 0.95
    assert {t.end for t in played} == {"terminated", "truncated"}
    assert len({k.reward for t in played for k in t.turns}) > 2
    return policy, played


def _plain(played: list[Trajectory]) -> list[Episode]:
    return [
        Episode(
            t.group,
            [Exchange(k.prompt_ids, k.reply_ids, k.reward) for k in t.turns],
            t.next_ids if t.end != "terminated" else (),
        )
        for t in played
    ]


def _double(batch: Batch) -> Batch:
    floats = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return batch.with_(**{k: x.double() for k, x in floats.items() if x.is_floating_point()})


@pytest.mark.parametrize("case", CASES)
def test_a_mini_batch_recomputed_from_the_equations(run, case):
    start, played = run
    name, changes, recipe = CASES[case]
    config: TrainConfig = preset(name, **{**SMALL, **changes, "actor_lr": 0.2}).check()
    policy = copy.deepcopy(start)
    kept, scale = select(played, config)
    batch = collate(kept, 0, config.rewards, config.bootstrap_truncated)
    recorder = Recorder(policy)
    optimizer = torch.optim.SGD(policy.parameters(), lr=config.actor_lr)
    optimizer.register_step_pre_hook(recorder.step)
    learner = Learner(policy, None, config, optimizer, recorder.backward)
    batch = _double(batch)
    _, targets = learner.prepare(batch)
    metrics = learner.update(batch, torch.Generator().manual_seed(0), scale)

    episodes = _plain(played)
    assert slow_minibatch.kept(episodes, recipe.keep_groups) == [played.index(t) for t in kept]
    tokenizer = start.tokenizer
    rows = slow_minibatch.read(_plain(kept), start.model, start.critic_head, tokenizer, recipe)
    slow_minibatch.whiten(rows)
    for b, row in enumerate(rows):
        expected = {t.at: t.advantage for t in row.tokens if t.trained}
        found = targets.estimate.advantages[b]
        assert targets.mask[b].nonzero().flatten().tolist() == sorted(expected)
        for at, advantage in expected.items():
            assert float(found[at]) == pytest.approx(advantage, abs=1e-6)

    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0)).tolist()
    assert len(recorder.weights) == 2
    for step, weights in enumerate(recorder.weights):
        size = config.mini_batch
        picked = [rows[i] for i in order[step * size : (step + 1) * size]]
        assert weights.critic_head is not None
        answer = slow_minibatch.minibatch(picked, weights.model, weights.critic_head, recipe)
        assert recorder.losses[step] == pytest.approx(answer.loss, abs=1e-6)
        norms = (answer.grad_norm, answer.critic_grad_norm)
        assert recorder.norms[step] == pytest.approx(norms, rel=1e-6)
    assert metrics["clip_low"] + metrics["clip_high"] > 0.01
