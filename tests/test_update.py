import copy
import dataclasses
from typing import Any, Literal

import pytest
import torch
from starpo_kit import play, rewarded, small_policy

from starpo_plugin.advantages import WITH_CRITIC
from starpo_plugin.batch import Batch, collate, micro_batches
from starpo_plugin.config import TrainConfig
from starpo_plugin.losses import AGGREGATIONS, kl_k3
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.train import set_learning_rates
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.update import Learner, TooManyBadUpdates

FAST = TrainConfig(actor_lr=1e-2, critic_lr=1e-2, mini_batch=64, max_tokens=400)


def _learner(policy: Policy, reference: Policy | None = None, **changes: Any) -> Learner:
    config = dataclasses.replace(FAST, **changes).check()
    return Learner(policy, reference, config, torch.optim.SGD(policy.parameters(), lr=0.1))


def _policy(**changes: Any) -> Policy:
    policy = small_policy(spread=2.0, critic=changes.get("critic", "shared"))
    if policy.critic_head is not None:
        torch.nn.init.normal_(policy.critic_head.weight, generator=torch.Generator().manual_seed(1))
    return policy


def _batch(policy: Policy, **kw: Any) -> tuple[list[Trajectory], Batch]:
    played = rewarded(play(policy, groups=4, members=3, **kw))
    return played, collate(played, pad_id=0)


def _updated(policy: Policy, batch: Batch, **changes: Any) -> tuple[dict[str, float], torch.Tensor]:
    policy = copy.deepcopy(policy)
    metrics = _learner(policy, **changes).update(batch, torch.Generator().manual_seed(0))
    return metrics, torch.cat([p.detach().flatten() for p in policy.parameters()])


def test_the_ratio_is_one_at_the_first_update():
    policy = _policy()
    played, batch = _batch(policy)
    learner = _learner(policy)
    old = learner.score(batch).logprobs
    new = policy(batch).logprobs.detach()
    assert float(((new - old).exp() - 1).abs().max()) <= 1e-6
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    assert metrics["clip_low"] == metrics["clip_high"] == 0
    assert abs(metrics["kl_k1"]) <= 1e-6
    assert metrics["sampler_gap"] < 1e-3
    assert len(played) == len(batch)


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_a_model_with_dropout_drops_nothing(critic):
    """Else every pass would be of another policy, and no ratio to the one that sampled."""
    small = small_policy(spread=2.0)
    attentions = [m for m in small.model.modules() if hasattr(m, "attention_dropout")]
    assert attentions
    for attention in attentions:
        attention.attention_dropout = 0.5
    policy = Policy(small.model.train(), small.tokenizer, critic)
    _, batch = _batch(policy)
    learner = _learner(policy)
    policy.train()  # as whatever wraps a model may ask
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    assert metrics["sampler_gap"] < 1e-3
    assert metrics["kl_k3"] <= 1e-6


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("advantage", ["gae", "turn_gae", "grpo"])
def test_the_micro_batch_changes_nothing(aggregation, advantage):
    policy = _policy()
    _, batch = _batch(policy)
    results = [
        _updated(policy, batch, aggregation=aggregation, advantage=advantage, micro_batch_tokens=n)
        for n in (10**6, 500, 1)
    ]
    for metrics, weights in results[1:]:
        assert torch.allclose(weights, results[0][1], atol=2e-6)
        assert metrics["loss"] == pytest.approx(results[0][0]["loss"], abs=1e-5)
        assert metrics["grad_norm"] == pytest.approx(results[0][0]["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_entropy_and_kl_are_reported_per_token_whatever_the_aggregation(aggregation):
    policy, reference = _policy(), small_policy(seed=5, spread=2.0)
    _, batch = _batch(policy)
    learner = _learner(
        policy, reference, aggregation=aggregation, kl="k3", kl_in="loss", kl_coef=0.1
    )
    now, then = learner.score(batch), learner.score(batch, reference)
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    tokens = batch.mask.sum()
    assert metrics["entropy"] == pytest.approx(float(now.entropy.sum() / tokens), rel=1e-4)
    kl = kl_k3(now.logprobs, then.logprobs, batch.mask)
    assert metrics["kl_reference"] == pytest.approx(float(kl.sum() / tokens), rel=1e-4)


def test_padding_and_row_order_change_nothing():
    policy = _policy()
    _, batch = _batch(policy)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(2))
    shuffled = batch.rows(order)
    padded = Batch(
        **{
            f.name: torch.nn.functional.pad(t, (0, 9), value=-1 if f.name == "turn" else 0)
            if (t := getattr(batch, f.name)).ndim == 2
            else t
            for f in dataclasses.fields(batch)
        }
    )
    reference = _updated(policy, batch)
    for other in (shuffled, padded):
        metrics, weights = _updated(policy, other)
        assert torch.allclose(weights, reference[1], atol=2e-6)
        assert metrics["loss"] == pytest.approx(reference[0]["loss"], abs=1e-5)


def test_the_loss_is_that_of_the_equations():
    """One mini-batch by hand, whole logits, no shared code but the model's own forward."""
    policy = _policy()
    played, batch = _batch(policy)
    metrics, _ = _updated(policy, batch, entropy_coef=0.01, value_coef=0.5, whiten=False)
    loss = policy_sum = entropy_sum = value_sum = 0.0
    n = int(batch.mask.sum())
    with torch.no_grad():
        for row, trajectory in enumerate(played):
            ids = batch.ids[row, : len(trajectory)].unsqueeze(0)
            logp = policy.model(input_ids=ids).logits[0].float().log_softmax(-1)
            hidden = policy.model.base_model(input_ids=ids).last_hidden_state[0]
            assert policy.critic_head is not None
            values = policy.critic_head(hidden)[:, 0]
            where = [t for t in range(len(trajectory)) if batch.mask[row, t] > 0]
            rewards = {t: float(batch.rewards[row, t]) for t in where}
            for t in where:
                value = float(values[t - 1])
                ahead = sum(r for u, r in rewards.items() if u >= t)
                policy_sum += -(ahead - value)  # ratio 1, gamma = lam = 1
                entropy_sum += float(-(logp[t - 1].exp() * logp[t - 1]).sum())
                value_sum += 0.5 * (value - ahead) ** 2
    loss = (policy_sum - 0.01 * entropy_sum + 0.5 * value_sum) / n
    assert metrics["loss"] == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("critic", ["shared", "separate"])
@pytest.mark.parametrize("advantage", sorted(WITH_CRITIC))
def test_a_critic_learns_and_its_kind_matters(critic, advantage):
    policy = small_policy(spread=2.0, critic=critic)
    _, batch = _batch(policy)
    config = dataclasses.replace(FAST, advantage=advantage, value_coef=1.0)
    learner = Learner(policy, None, config, torch.optim.Adam(policy.critic_parameters(), lr=1e-2))
    losses = [
        learner.update(batch, torch.Generator().manual_seed(0))["value_loss"] for _ in range(15)
    ]
    assert losses[-1] < 0.8 * losses[0]


def test_no_critic_no_value_loss():
    policy = small_policy(spread=2.0)
    _, batch = _batch(policy)
    assert "value_loss" not in _updated(policy, batch, advantage="grpo")[0]


def test_what_paid_becomes_likelier():
    policy = small_policy(spread=2.0)
    played, batch = _batch(policy)
    config = dataclasses.replace(FAST, advantage="grpo", whiten=False, entropy_coef=0.0)
    learner = Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=0.05))
    before = learner.score(batch).logprobs.sum(1)
    learner.update(batch, torch.Generator().manual_seed(0))
    gain = learner.score(batch).logprobs.sum(1) - before
    returns = torch.tensor([t.total_reward for t in played])
    centred = returns - torch.stack([returns[batch.group == g].mean() for g in batch.group])
    assert float((gain * centred).sum()) > 0


def test_kl_to_the_reference_pulls_back():
    policy = small_policy(spread=2.0)
    _, batch = _batch(policy)
    reference = small_policy(seed=5, spread=2.0)
    for kl_in in ("reward", "loss"):
        changes = {"kl_coef": 0.5, "kl_in": kl_in, "kl": "k2", "advantage": "rloo"}
        policy_a = copy.deepcopy(policy)
        learner = _learner(policy_a, reference, whiten=False, **changes)
        assert learner.update(batch, torch.Generator().manual_seed(0))["kl_reference"] > 0
        # the same weights as reference: no pull, no change of the rewards
        with_self = _learner(copy.deepcopy(policy), copy.deepcopy(policy), whiten=False, **changes)
        metrics = with_self.update(batch, torch.Generator().manual_seed(0))
        plain = _updated(policy, batch, advantage="rloo", whiten=False)[0]
        assert metrics["loss"] == pytest.approx(plain["loss"], abs=1e-5)


def test_a_group_that_earned_the_same_gives_grpo_no_advantage_however_the_kl_differs():
    policy, reference = _policy(critic="none"), small_policy(seed=5, spread=2.0)
    played, _ = _batch(policy)
    same = [
        dataclasses.replace(t, turns=tuple(dataclasses.replace(k, reward=0.0) for k in t.turns))
        for t in played
    ]
    config = preset("starpo_grpo", max_tokens=400).check()
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    learner = Learner(policy, reference, config, optimizer)
    _, targets = learner.prepare(collate(same, 0, config.rewards))
    assert targets.estimate.advantages.count_nonzero() == 0
    metrics = learner.update(collate(same, 0, config.rewards), torch.Generator().manual_seed(0))
    assert metrics["kl_reference"] > 0.1
    assert metrics["policy_loss"] == 0
    assert metrics["grad_norm"] > 0  # the pull back to the reference


def test_a_loss_that_is_not_finite_is_skipped_and_counted_then_stops_the_run():
    policy = _policy()
    _, batch = _batch(policy)
    poisoned = batch.with_(rewards=batch.rewards + torch.nan)
    learner = _learner(policy, max_bad_updates=3)
    before = copy.deepcopy(policy.state_dict())
    for n in (1, 2):
        metrics = learner.update(poisoned, torch.Generator().manual_seed(0))
        assert metrics["bad_updates"] == n
    learner.update(batch, torch.Generator().manual_seed(0))
    assert learner.bad_in_a_row == 0
    assert any(not torch.equal(before[k], v) for k, v in policy.state_dict().items())
    learner.update(poisoned, torch.Generator().manual_seed(0))
    learner.update(poisoned, torch.Generator().manual_seed(0))
    with pytest.raises(TooManyBadUpdates, match=r"3 updates in a row.*actor_lr"):
        learner.update(poisoned, torch.Generator().manual_seed(0))
    assert all(torch.isfinite(p).all() for p in policy.parameters())


def test_the_scale_multiplies_the_loss():
    policy = _policy()
    _, batch = _batch(policy)
    full, half = (
        _learner(copy.deepcopy(policy)).update(batch, torch.Generator().manual_seed(0), scale)
        for scale in (1.0, 0.5)
    )
    assert half["loss"] == pytest.approx(0.5 * full["loss"], rel=1e-4)


def test_micro_batches_hold_every_row_once_within_the_budget():
    lengths = torch.tensor([5, 90, 7, 7, 30, 200, 1])
    turns = [Turn((1,) * n, (), (), "", "", 0.0) for n in lengths.tolist()]
    played = [Trajectory("", 0, 0, 0, (t,), success=False, end="truncated") for t in turns]
    cut = list(micro_batches(collate(played, pad_id=0), 100))
    assert sorted(torch.cat(cut).tolist()) == list(range(7))
    for rows in cut:
        assert len(rows) == 1 or len(rows) * int(lengths[rows].max()) <= 100


def test_many_logits_are_scored_in_chunks_with_the_same_gradient(monkeypatch):
    policy = _policy()
    _, batch = _batch(policy)

    def gradient() -> torch.Tensor:
        policy.zero_grad()
        scores = policy(batch)
        (scores.logprobs.sum() + scores.entropy.sum()).backward()
        return torch.cat([p.grad.flatten() for p in policy.model.parameters()])

    whole = gradient()
    monkeypatch.setattr("starpo_plugin.policy.LOGITS_AT_ONCE", 3000)
    assert torch.allclose(gradient(), whole, atol=1e-4)


def test_an_architecture_that_scales_its_logits_is_refused():
    policy = small_policy()
    policy.model.config.final_logit_softcapping = 0.001
    with pytest.raises(ValueError, match="logits"):
        Policy(policy.model, policy.tokenizer)


def test_learning_rates_fall_as_asked():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.AdamW([{"params": [w]} for w in weights])

    def rates(decay: Literal["none", "linear"], iteration: int) -> list[float]:
        config = preset("starpo_s", iterations=4, actor_lr=1.0, critic_lr=2.0, lr_decay=decay)
        set_learning_rates(optimizer, config, iteration)
        return [group["lr"] for group in optimizer.param_groups]

    assert [rates("linear", i) for i in (1, 2, 4)] == [[1.0, 2.0], [0.75, 1.5], [0.25, 0.5]]
    assert rates("none", 4) == [1.0, 2.0]
