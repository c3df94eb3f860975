"""Memory and speed options change memory and speed, not results."""

import copy
import dataclasses
from typing import Any, cast

import pytest
import torch
from starpo_kit import play, rewarded, small_policy
from torch import Tensor

from starpo_plugin import compute
from starpo_plugin.batch import Batch, collate
from starpo_plugin.compute import Compute, frozen_dtype, held
from starpo_plugin.config import TrainConfig
from starpo_plugin.lora import CRITIC, POLICY, LoraShape
from starpo_plugin.policy import CriticKind, Policy
from starpo_plugin.update import Learner

SHAPE = LoraShape(rank=4, alpha=8.0)
KINDS: list[tuple[CriticKind, LoraShape | None]] = [
    ("shared", None),
    ("separate", None),
    ("none", SHAPE),
    ("shared", SHAPE),
    ("separate", SHAPE),
    ("lora", SHAPE),
]


def _policy(critic: CriticKind, shape: LoraShape | None, dtype: torch.dtype) -> Policy:
    """A policy whose critic and adapters are not zero."""
    plain = small_policy(spread=2.0)
    policy = Policy(plain.model, plain.tokenizer, critic, shape).to(dtype)
    draws = torch.Generator().manual_seed(1)
    more = [] if policy.adapters is None else policy.adapters.parameters(POLICY, CRITIC)
    with torch.no_grad():
        for p in (*policy.critic_parameters(), *more):
            p.add_(0.1 * torch.randn(p.shape, generator=draws, dtype=dtype))
    return policy


def _batch(policy: Policy) -> Batch:
    return collate(rewarded(play(policy, groups=3, members=2)), pad_id=0)


def _gradients(policy: Policy, batch: Batch, how: Compute) -> tuple[Tensor, Tensor]:
    """Scores of a batch, and the gradients of a loss that all of them are part of."""
    policy.compute = how
    policy.zero_grad()
    scores = policy(batch)
    weights = torch.linspace(-1, 1, batch.ids.numel()).view_as(batch.ids)
    loss = sum((x * weights).sum() for x in scores) + (scores.values * scores.logprobs).sum()
    cast(Tensor, loss).backward()
    grads = [p.grad.flatten() for p in policy.parameters() if p.grad is not None]
    return torch.stack(list(scores)).detach(), torch.cat(grads).clone()


@pytest.mark.parametrize(("critic", "shape"), KINDS)
def test_checkpointing_changes_no_gradient(critic, shape):
    policy = _policy(critic, shape, torch.float64)
    batch = _batch(policy)
    plain = _gradients(policy, batch, Compute())
    again = _gradients(policy, batch, Compute(checkpointing=True))
    for a, b in zip(plain, again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    assert plain[1].abs().max() > 1e-3


def test_checkpointing_keeps_a_block_s_input_only():
    policy = _policy("shared", None, torch.float32)
    batch = _batch(policy)
    kept = {}
    for how in (Compute(), Compute(checkpointing=True)):
        policy.compute, sizes = how, []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            policy(batch)
        kept[how.checkpointing] = sum(sizes)
    assert kept[True] < 0.5 * kept[False]


def test_scoring_without_gradients_recomputes_nothing(monkeypatch):
    policy = _policy("shared", None, torch.float32)
    batch = _batch(policy)
    policy.compute = Compute(checkpointing=True)
    monkeypatch.setattr(compute, "checkpoint", None)  # a call would raise
    with torch.no_grad():
        policy(batch)
    with pytest.raises(TypeError):
        policy(batch)


def test_blocks_are_as_before_once_a_pass_is_over():
    policy = _policy("shared", None, torch.float32)
    batch = _batch(policy)
    _gradients(policy, batch, Compute(checkpointing=True))
    assert not [m for m in policy.modules() if "forward" in vars(m)]
    copied = copy.deepcopy(policy)
    assert torch.equal(copied(batch).logprobs, policy(batch).logprobs)


def test_a_body_without_blocks_is_refused():
    with (
        pytest.raises(ValueError, match="gradient_checkpointing"),
        Compute(True).blocks(torch.nn.Linear(2, 2)),
    ):
        pass


def test_compile_without_a_compiler_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ValueError, match="C\\+\\+ compiler"):
        dataclasses.replace(TrainConfig(), compile=True).check()


needs_compiler = pytest.mark.skipif(
    not compute._has_compiler(), reason="torch.compile needs a C++ compiler"
)


@needs_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_blocks_give_the_same_numbers_at_every_width(checkpointing):
    policy = _policy("shared", None, torch.float32)
    batch = _batch(policy)
    order = batch.lengths.argsort()
    for rows in (order, order[:3], order[2:]):  # three widths, three numbers of rows
        part = batch.rows(rows)
        plain = _gradients(policy, part, Compute())
        fast = _gradients(policy, part, Compute(checkpointing, compiled=True))
        torch.testing.assert_close(plain[0], fast[0], rtol=0, atol=2e-5)
        assert (plain[1] - fast[1]).norm() < 1e-4 * plain[1].norm()
    with torch.no_grad():
        policy.compute = Compute(compiled=True)
        fast = policy(batch)
        policy.compute = Compute()
        torch.testing.assert_close(policy(batch), fast, rtol=0, atol=2e-5)


# --- bfloat16 ---


def _updated(policy: Policy, batch: Batch, **changes: Any) -> tuple[dict[str, float], Tensor]:
    config = TrainConfig(mini_batch=64, max_tokens=400, critic_lr=1e-2, **changes).check()
    policy = copy.deepcopy(policy)
    policy.compute = Compute.of(config)
    before = torch.cat([p.detach().flatten() for p in policy.parameters()])
    learner = Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=0.1))
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    return metrics, torch.cat([p.detach().flatten() for p in policy.parameters()]) - before


def test_an_update_in_bf16_is_close_to_one_in_single_precision():
    policy = _policy("shared", None, torch.float32)
    batch = _batch(policy)
    single, half = _updated(policy, batch), _updated(policy, batch, precision="bf16")
    assert torch.cosine_similarity(single[1], half[1], dim=0) > 0.995
    assert not torch.equal(single[1], half[1])  # it did something
    for name in ("loss", "entropy", "value_loss"):
        assert half[0][name] == pytest.approx(single[0][name], rel=0.03, abs=0.01)
    assert half[0]["clip_low"] == half[0]["clip_high"] == 0  # old and new scores are of one kind


def test_bf16_keeps_trained_weights_and_scores_in_single_precision():
    policy = _policy("shared", None, torch.float32)
    batch = _batch(policy)
    _, half = _gradients(policy, batch, Compute(bf16=True))
    assert half.dtype == torch.float32
    assert {p.dtype for p in policy.parameters()} == {torch.float32}
    scores = policy(batch)
    assert {x.dtype for x in scores} == {torch.float32}
    plain = _gradients(policy, batch, Compute())[0][0]
    gap = (scores.logprobs.detach() - plain).abs()[batch.mask > 0]
    assert 0 < gap.mean() < 0.05
    # computed, not only stored, in more than bfloat16's 8 bits
    assert not torch.equal(scores.logprobs, scores.logprobs.bfloat16().float())


def test_bf16_holds_what_is_frozen_in_half_the_memory_and_trains_in_single_precision():
    config = TrainConfig(precision="bf16", lora_rank=4, critic="separate")
    plain = small_policy(spread=2.0)
    policy = Policy(held(plain.model, config), plain.tokenizer, "separate", SHAPE)
    policy.compute = Compute.of(config)
    trained = {id(p) for p in (*policy.actor_parameters(), *policy.critic_parameters())}
    for p in policy.parameters():
        assert p.dtype == (torch.float32 if id(p) in trained else torch.bfloat16)
    batch = _batch(policy)  # the sampler runs in it too
    scores = policy(batch)
    assert {x.dtype for x in scores} == {torch.float32}
    (scores.logprobs.sum() + scores.values.sum()).backward()
    assert policy.adapters is not None
    assert all(p.grad is not None for p in policy.adapters.parameters(POLICY))


def test_full_training_holds_its_weights_in_single_precision():
    config = TrainConfig(precision="bf16")
    model = small_policy().model
    assert held(model, config).dtype == torch.float32
    assert frozen_dtype(config) == torch.bfloat16
    assert frozen_dtype(TrainConfig()) == torch.float32


def test_rotary_frequencies_stay_in_single_precision():
    """They are no weights: rounded, tokens far into a sequence would be turned by radians."""
    model = small_policy().model
    frequencies = model.model.rotary_emb.inv_freq.clone()
    kept = held(model, TrainConfig(precision="bf16", lora_rank=4))
    assert kept.dtype == torch.bfloat16
    assert kept.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(kept.model.rotary_emb.inv_freq, frequencies)
