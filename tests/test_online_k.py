"""Online-k: several passes over one batch, with ratios to the weights that they began with."""

import copy
from typing import Any

import pytest
import torch
from starpo_kit import play, rewarded, small_policy

from starpo_plugin.batch import Batch, collate
from starpo_plugin.config import TrainConfig
from starpo_plugin.policy import Policy
from starpo_plugin.update import Learner


@pytest.fixture(scope="module")
def policy() -> Policy:
    return small_policy(spread=2.0, critic="shared")


def learner_of(policy: Policy, **changes: Any) -> tuple[Learner, list[int]]:
    """A learner, and a list that gets an entry with every step of its optimiser."""
    settings = {"mini_batch": 5, "filter": "none", "max_tokens": 400, **changes}
    policy = copy.deepcopy(policy)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.5)
    steps: list[int] = []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    return Learner(policy, None, TrainConfig(**settings).check(), optimizer), steps


def batch_of(policy: Policy) -> Batch:
    return collate(rewarded(play(policy, groups=3, members=4)), pad_id=0)


@pytest.mark.parametrize("passes", [1, 2, 5])
def test_k_passes_make_k_times_the_steps(policy, passes):
    learner, steps = learner_of(policy, updates_per_batch=passes)
    learner.update(batch_of(policy), torch.Generator().manual_seed(0))
    assert len(steps) == passes * 3  # twelve trajectories, five at a time


def test_the_ratio_leaves_one_with_the_second_pass(policy):
    """One step a pass: before the first the policy is the old one, before the second it is not."""
    batch = batch_of(policy)
    told = []
    for passes in (1, 2):
        learner, _ = learner_of(policy, updates_per_batch=passes, mini_batch=12)
        told.append(learner.update(batch, torch.Generator().manual_seed(0)))
    assert told[0]["kl_k3"] == 0.0
    second = 2 * told[1]["kl_k3"]  # the mean of both passes, the first of which is 0
    assert second > 1e-6


def test_ratios_to_the_sampler_start_where_it_was(policy):
    """``old_logprobs`` chooses what the first ratio is."""
    batch = batch_of(policy)
    shifted = batch.with_(logprobs=batch.logprobs - 0.1 * batch.mask)
    for choice, wanted in (("recomputed", 0.0), ("sampler", 0.1)):
        learner, _ = learner_of(policy, mini_batch=12, old_logprobs=choice)
        told = learner.update(shifted, torch.Generator().manual_seed(0))
        assert told["kl_k1"] == pytest.approx(-wanted, abs=1e-4)  # old minus new, per token
        assert told["sampler_gap"] == pytest.approx(0.1, abs=1e-3)


def test_the_kl_in_the_reward_is_that_of_the_present_policy(policy):
    """Whoever sampled: to a reference that equals the present policy there is none."""
    batch = batch_of(policy)
    shifted = batch.with_(logprobs=batch.logprobs - 0.5 * batch.mask)
    learner, _ = learner_of(policy, kl_coef=1.0, old_logprobs="sampler")
    learner.reference = copy.deepcopy(policy)
    told = learner.update(shifted, torch.Generator().manual_seed(0))
    assert told["kl_reference"] == pytest.approx(0.0, abs=1e-6)
