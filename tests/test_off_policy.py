"""Data of other weights: importance weights, and old log-probabilities that are the sampler's."""

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from starpo_kit import play, rewarded, small_policy

from starpo_plugin.batch import Batch, collate
from starpo_plugin.config import TrainConfig
from starpo_plugin.diagnostics import METRICS
from starpo_plugin.losses import importance_weights
from starpo_plugin.policy import Policy
from starpo_plugin.update import Learner


def test_weights_are_ratios_up_to_the_cap():
    logp = torch.tensor([[0.0, math.log(3), math.log(0.25), 5.0, math.nan]])
    mask = torch.tensor([[1, 1, 1, 1, 0]])
    found = importance_weights(logp, torch.zeros(1, 5), mask, cap=2.0)
    assert found[0].tolist() == pytest.approx([1, 2, 0.25, 2, 0])


def test_weights_are_finite_and_carry_no_gradient():
    logp = torch.tensor([[500.0, -500.0]], requires_grad=True)
    found = importance_weights(logp, torch.zeros(1, 2), torch.ones(1, 2), cap=1e30)
    assert torch.isfinite(found).all()
    assert not found.requires_grad


def _policy() -> Policy:
    return small_policy(spread=2.0)


def _stale(policy: Policy) -> Batch:
    """Episodes of other weights, with what those said of them."""
    other = small_policy(seed=9, spread=2.0)
    played = rewarded(play(other, groups=3, members=3, tokens=200))
    return collate(played, pad_id=0)


def _learner(policy: Policy, **changes: Any) -> Learner:
    config = TrainConfig(
        advantage="rloo", whiten=False, mini_batch=64, max_tokens=400, entropy_coef=0.0
    )
    config = dataclasses.replace(config, **changes).check()
    return Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=0.1))


def test_the_losss_gradient_is_the_truncated_weight_times_that_of_the_log_probability():
    policy = _policy()
    batch = _stale(policy)
    changed = copy.deepcopy(policy)
    learner = _learner(changed, importance_cap=1.5)
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    _, targets = _learner(policy, importance_cap=1.5).prepare(batch)
    scores = policy(batch)
    weight = torch.exp(scores.logprobs.detach() - batch.logprobs).clamp(max=1.5) * batch.mask
    assert 0 < metrics["importance_capped"] < 1
    assert metrics.keys() <= METRICS.keys()
    assert metrics["importance_weight"] == pytest.approx(
        float(weight.sum() / batch.mask.sum()), rel=1e-4
    )
    loss = -(weight * targets.estimate.advantages * scores.logprobs).sum() / batch.mask.sum()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
    assert metrics["grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    for p, q in zip(policy.parameters(), changed.parameters(), strict=True):
        assert p.grad is not None
        assert torch.allclose(p - 0.1 * p.grad, q, atol=1e-6)


def test_on_fresh_data_weights_are_one():
    policy = _policy()
    batch = collate(rewarded(play(policy, groups=3, members=3)), pad_id=0)
    results = []
    for changes in ({}, {"importance_cap": 2.0}, {"old_logprobs": "sampler"}):
        copied = copy.deepcopy(policy)
        metrics = _learner(copied, **changes).update(batch, torch.Generator().manual_seed(0))
        results.append((metrics, torch.cat([p.detach().flatten() for p in copied.parameters()])))
    assert results[1][0]["importance_weight"] == pytest.approx(1, abs=1e-4)
    assert results[1][0]["importance_capped"] == 0
    for metrics, weights in results[1:]:
        assert torch.allclose(weights, results[0][1], atol=1e-5)
        assert metrics["loss"] == pytest.approx(results[0][0]["loss"], abs=1e-4)


def test_the_samplers_log_probabilities_are_the_old_ones():
    policy = _policy()
    batch = _stale(policy)
    scored, _ = _learner(policy, old_logprobs="sampler").prepare(batch)
    assert scored.logprobs.equal(batch.logprobs)
    metrics = _learner(policy, old_logprobs="sampler").update(
        batch, torch.Generator().manual_seed(0)
    )
    assert metrics["kl_k3"] > 0.01  # the ratio is not 1
    assert metrics["clip_low"] + metrics["clip_high"] > 0
    scored, _ = _learner(_policy()).prepare(batch)
    assert not scored.logprobs.equal(batch.logprobs)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"old_logprobs": "recomputed"}, 2),
        ({"old_logprobs": "sampler"}, 1),
    ],
)
def test_the_samplers_log_probabilities_save_a_pass(changes, passes):
    policy = _policy()
    own = collate(rewarded(play(policy, groups=3, members=3, tokens=200)), pad_id=0)
    seen = []
    policy.register_forward_hook(lambda module, given, out: seen.append(given))
    metrics = _learner(policy, micro_batch_tokens=10**6, **changes).update(
        own, torch.Generator().manual_seed(0)
    )
    assert len(seen) == passes
    assert metrics["loss"] == pytest.approx(
        _learner(_policy(), old_logprobs="recomputed").update(
            own, torch.Generator().manual_seed(0)
        )["loss"],
        abs=1e-5,
    )
