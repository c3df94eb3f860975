"""What a turn is rewarded with in training."""

import pytest
import torch
from starpo_kit import parrot_spec, small_policy

from starpo_plugin.config import TrainConfig
from starpo_plugin.diagnostics import describe
from starpo_plugin.evaluate import Evaluator
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.shaping import Shaping, length_penalty, shaping
from starpo_plugin.tokens import ChatTokens


@pytest.mark.parametrize(
    ("tokens", "per_token", "budget", "cost"),
    [(10, 0.0, 0, 0.0), (10, 0.01, 0, 0.1), (10, 0.01, 7, 0.03), (10, 0.01, 10, 0.0)],
)
def test_tokens_above_the_budget_cost(tokens, per_token, budget, cost):
    assert length_penalty(tokens, per_token, budget) == pytest.approx(cost)


def _play(shaping: Shaping | None):
    policy = small_policy(spread=2.0)
    rollouts = Rollouts(
        policy, ChatTokens(policy.tokenizer), parrot_spec(), Sampling(12, 300), shaping=shaping
    )
    return rollouts.run(range(3), 2, torch.Generator().manual_seed(0))


def test_the_penalty_is_subtracted_where_rewards_are_made_and_reported():
    plain, penalised = _play(None), _play(Shaping(per_token=0.5, budget=4))
    for one, two in zip(plain, penalised, strict=True):
        for a, b in zip(one.turns, two.turns, strict=True):
            assert a.reply_ids == b.reply_ids
            cost = 0.5 * max(0, len(a.reply_ids) - 4)
            assert b.reward == a.reward - cost
            assert b.info["length_penalty"] == cost
            assert a.info["length_penalty"] == 0
    costs = [k.info["length_penalty"] for t in penalised for k in t.turns]
    assert sum(costs) > 0
    assert describe(penalised)["length_penalty"] == pytest.approx(sum(costs) / len(costs))
    assert describe(plain)["length_penalty"] == 0


def test_a_reward_of_ones_own_sees_the_turn():
    seen = []

    def reward(reward, reply, info):
        seen.append((reward, reply, info["well_formed"], info["sections"]))
        return reward + 100

    shaped, plain = _play(Shaping(reward)), _play(None)
    turns = [k for t in shaped for k in t.turns]
    assert len(seen) == len(turns)
    assert {reply for _, reply, *_ in seen} == {k.reply for k in turns}
    for one, two in zip(plain, shaped, strict=True):
        assert two.total_reward == pytest.approx(one.total_reward + 100 * len(one.turns))


def test_evaluations_measure_the_environment():
    config = TrainConfig(
        env="TextFrozenLake-v0",
        length_penalty=1.0,
        eval_episodes=2,
        max_turns=2,
        max_reply_tokens=8,
        system_template="",
    ).check()
    assert shaping(config).penalty(3) == 3
    policy = small_policy(spread=2.0)
    _, played = Evaluator(policy, ChatTokens(policy.tokenizer), config).run()
    assert all(k.info["length_penalty"] == 0 for t in played for k in t.turns)
