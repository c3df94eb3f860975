"""Losses per token, and the aggregations that make of them the number which is minimised.

Per-token functions take and return float tensors ``[B, T]`` and are 0 where ``mask`` (bool, int or
float) is 0. Nothing off the mask is read, so padding can't make a loss or a gradient NaN.

One optimiser step minimises one number for its whole mini-batch, however that is cut up:

    totals = count(mask, max_length=...)                       # of the mini-batch
    for rows in micro_batches:                                 # any split by rows
        per_token, stats = policy_loss(..., mask[rows])
        AGGREGATIONS[name](per_token, mask[rows], totals).backward()

An aggregation of some rows is their share of the mini-batch's loss: the shares add up to it, and
so do their gradients, because ``totals`` is the same for all. With several processes, add up
``tokens`` and ``sequences`` over them. Statistics are averaged by ``token_mean`` in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to this (nats) before ``exp``: exp(20) and its gradient are finite."""
K3_LIMIT = 10.0
"""The largest k3 of one token, nats."""


def policy_loss(
    logp: Tensor,
    logp_old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = 3.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's clipped loss: ``(loss, stats)``, the loss and every statistic per token, ``[B, T]``.

    ``ratio = exp(clamp(logp - logp_old, -20, 20))``;
    ``loss = max(-A ratio, -A clip(ratio, 1 - clip_low, 1 + clip_high))``, and where A < 0
    ``min(loss, -A dual_clip)`` unless ``dual_clip`` is None. Log-probabilities are in nats.

    Averaged over policy tokens, the statistics (no gradient) are the shares of tokens whose ratio
    was clipped from below, from above and by the dual clip (``clip_low``, ``clip_high``,
    ``clip_dual``), and estimates in nats of KL(old || new) (``kl_k1``, ``kl_k3``).

    Source: Schulman et al. 2017 (arXiv 1707.06347), equation 7; a ``clip_high`` of its own is
    "clip higher" of DAPO (arXiv 2503.14476), section 3.1; dual clip is Ye et al. 2020
    (arXiv 1912.09729).
    """
    policy = mask.bool()
    log_ratio = torch.where(policy, logp - logp_old, 0)
    gain = torch.where(policy, advantages, 0)
    ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()

    unclipped = -gain * ratio
    clipped = -gain * ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = torch.maximum(unclipped, clipped)
    by_clip = clipped > unclipped
    by_dual = torch.zeros_like(policy)
    if dual_clip is not None:
        by_dual = (gain < 0) & (loss > -gain * dual_clip)
        loss = torch.where(by_dual, -gain * dual_clip, loss)

    stats = {
        "clip_low": by_clip & (gain < 0),
        "clip_high": by_clip & (gain > 0),
        "clip_dual": by_dual,
        "kl_k1": kl_k1(logp_old, logp, mask),
        "kl_k3": kl_k3(logp_old, logp, mask),
    }
    return loss, {name: stat.detach().to(loss.dtype) for name, stat in stats.items()}


def importance_weights(logp: Tensor, logp_behaviour: Tensor, mask: Tensor, cap: float) -> Tensor:
    """``min(exp(logp - logp_behaviour), cap)`` per token, ``[B, T]``, no gradient.

    What a token's loss is multiplied by where the policy that sampled it is not the one that is
    about to be updated: a sampler of another precision, or weights of long ago. ``policy_loss``
    then needs its ``logp_old`` from the policy that is about to be updated.

    Source: truncated importance sampling, Ionides 2008; with PPO's ratio apart from it, decoupled
    PPO, Hilton et al. 2022 (arXiv 2110.00641).
    """
    log_ratio = torch.where(mask.bool(), (logp - logp_behaviour).detach(), 0)
    weights = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp().clamp(max=cap)
    return torch.where(mask.bool(), weights, 0)


def value_loss(
    values: Tensor, values_old: Tensor, returns: Tensor, mask: Tensor, *, clip: float = 0.5
) -> Tensor:
    """The critic's clipped squared error per token, ``[B, T]``.

    ``0.5 max((V - R)^2, (clip(V, V_old - c, V_old + c) - R)^2)``, in squared units of reward.
    ``mask`` is where the critic is trained: the policy tokens, or the turn anchors of ``turn_gae``.
    ``clip=math.inf`` turns the clipping off.

    Source: PPO as released by OpenAI (baselines, ppo2), with the 0.5 of the squared error.
    """
    trained = mask.bool()
    values, values_old, returns = (
        torch.where(trained, x, 0) for x in (values, values_old, returns)
    )
    clipped = values.clamp(values_old - clip, values_old + clip)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def kl_k1(logp: Tensor, logp_ref: Tensor, mask: Tensor) -> Tensor:
    """``d = logp - logp_ref`` per token, nats, ``[B, T]``: unbiased, of either sign.

    Meant for the reward: as a loss its expected gradient is 0.

    Source: Schulman, "Approximating KL divergence" (2020), for KL(policy || reference) under
    samples of the policy; the same for k2 and k3.
    """
    return torch.where(mask.bool(), logp - logp_ref, 0)


def kl_k2(logp: Tensor, logp_ref: Tensor, mask: Tensor) -> Tensor:
    """``d^2 / 2`` per token, nats, ``[B, T]``: biased, never negative, its gradient unbiased."""
    return 0.5 * kl_k1(logp, logp_ref, mask).square()


def kl_k3(logp: Tensor, logp_ref: Tensor, mask: Tensor) -> Tensor:
    """``exp(-d) + d - 1`` per token, nats, at most 10, ``[B, T]``: unbiased, never negative.

    As a loss its expected gradient is that of the reverse, KL(reference || policy), which
    near the reference is nearly the same.
    """
    # An overflow in exp would come out of the outer clamp as 10, with a gradient of NaN.
    d = kl_k1(logp, logp_ref, mask).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return (torch.expm1(-d) + d).clamp(-K3_LIMIT, K3_LIMIT)


def entropy(logits: Tensor) -> Tensor:
    """``-sum_v p_v log p_v`` of the whole distribution, nats; logits ``[..., V]`` to ``[...]``.

    Logits of -inf (tokens that are ruled out) count as probability 0.
    """
    logp = logits.log_softmax(dim=-1)
    # 0 times -inf is NaN; 0 times a finite number is the limit of p log p.
    return -(logp.exp() * logp.clamp(min=torch.finfo(logp.dtype).min)).sum(dim=-1)


@dataclass(frozen=True)
class Totals:
    """What a mini-batch's loss is divided by."""

    tokens: int
    """Tokens in the mask."""
    sequences: int
    """Rows with at least one of them, so that rows of padding don't count."""
    max_length: int
    """A fixed number of policy tokens per sequence, the same in every mini-batch: never T."""


def count(mask: Tensor, *, max_length: int) -> Totals:
    """The totals of a mini-batch, from its whole mask ``[B, T]``."""
    policy = mask.bool()
    return Totals(int(policy.sum()), int(policy.any(dim=1).sum()), max_length)


def token_mean(per_token: Tensor, mask: Tensor, totals: Totals) -> Tensor:
    """The mean over all policy tokens of the mini-batch.

    Source: DAPO (arXiv 2503.14476), section 3.3, the token-level loss.
    """
    return torch.where(mask.bool(), per_token, 0).sum() / max(totals.tokens, 1)


def seq_mean_token_mean(per_token: Tensor, mask: Tensor, totals: Totals) -> Tensor:
    """The mean over sequences of each one's mean over its policy tokens.

    Source: GRPO, DeepSeekMath (arXiv 2402.03300), equation 3.
    """
    policy = mask.bool()
    lengths = policy.sum(dim=1).clamp(min=1)
    means = torch.where(policy, per_token, 0).sum(dim=1) / lengths
    return means.sum() / max(totals.sequences, 1)


def seq_mean_token_sum(per_token: Tensor, mask: Tensor, totals: Totals) -> Tensor:
    """The mean over sequences of each one's sum over its policy tokens."""
    return torch.where(mask.bool(), per_token, 0).sum() / max(totals.sequences, 1)


def seq_mean_token_sum_norm(per_token: Tensor, mask: Tensor, totals: Totals) -> Tensor:
    """``seq_mean_token_sum``, divided by a fixed length so that long replies aren't favoured.

    Source: Dr. GRPO (arXiv 2503.20783).
    """
    return seq_mean_token_sum(per_token, mask, totals) / totals.max_length


Aggregation = Callable[[Tensor, Tensor, Totals], Tensor]
KlForm = Callable[[Tensor, Tensor, Tensor], Tensor]
PolicyLoss = Callable[..., tuple[Tensor, dict[str, Tensor]]]
"""Called as ``policy_loss`` is."""

AGGREGATIONS: dict[str, Aggregation] = {
    "token-mean": token_mean,
    "seq-mean-token-mean": seq_mean_token_mean,
    "seq-mean-token-sum": seq_mean_token_sum,
    "seq-mean-token-sum-norm": seq_mean_token_sum_norm,
}
LOSSES: dict[str, PolicyLoss] = {"ppo": policy_loss}
KL_FORMS: dict[str, KlForm] = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}
