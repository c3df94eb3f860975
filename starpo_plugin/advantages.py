"""Advantage estimators: what each token that the policy wrote was worth.

Every estimator is a pure function of float tensors ``[B, T]`` (B trajectories, T tokens) and
obeys one set of rules:

- ``mask`` (bool, int or float) is non-zero on the tokens that the policy wrote. Nothing off the
  mask is read, so padding and observations may hold anything; every result is 0 there.
- ``turn`` (int) is the index of a token's turn. It doesn't decrease along a row. Where turns begin
  and end comes from here alone: a reward of zero is an ordinary reward.
- ``rewards`` holds a turn's reward on the turn's last policy token. ``values[b, t]`` is the value
  before token t is emitted. Both are in the units of the environment's reward.
- ``group`` (int, ``[B]``) is equal for trajectories that share a start; any integers will do.
- "The next token" is the next policy token of the row. Beyond the last, the advantage is 0 and the
  value is ``bootstrap`` (``[B]``: what an episode that was cut off was still worth), by default 0.
- Nothing is whitened (except by ``reinforce_pp_baseline``): ``whiten`` is a step of its own.

Shapes that don't fit raise torch's own errors. Rows of padding should have a group of their own:
a trajectory without policy tokens is otherwise a member of its group, with a return of 0.
"""

# ruff: noqa: D102 - the members of a protocol are described where the class says
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

GrpoScale = Literal["std", "none"]

# Keeps a normalised advantage finite; also the difference, in rewards of order one (in larger
# ones: relative to them), below which two returns are the same sum in another order.
EPSILON = 1e-6


def gae(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation over policy tokens: ``(advantages, returns)``, ``[B, T]``.

    With j the policy token after i:
    ``A_i = delta_i + gamma lam A_j``, ``delta_i = r_i + gamma V_j - V_i``; ``R = A + V``.

    Source: Schulman et al. 2016 (arXiv 1506.02438), equation 16; over the tokens of all turns, as
    in StarPO (RAGEN, arXiv 2504.20073).
    """
    return _backward(rewards, values, mask, torch.full_like(rewards, gamma), lam, bootstrap)


def turn_gae(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    turn: Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """GAE with one step per turn: ``(advantages, returns)``, ``[B, T]``.

    A turn's value is read at its first token s_k:
    ``A_k = delta_k + gamma lam A_{k+1}``, ``delta_k = r_k + gamma V(s_{k+1}) - V(s_k)``.
    Every token of turn k has the advantage A_k; the return ``A_k + V(s_k)`` is at s_k and 0
    elsewhere, so the value loss belongs on ``turn_starts(mask, turn)``.

    Source: Schulman et al. 2016, with the turn as the action.
    """
    starts = turn_starts(mask, turn)
    turn_rewards = turn_sum(rewards, mask, turn)
    advantages, returns = gae(
        turn_rewards, values, starts, gamma=gamma, lam=lam, bootstrap=bootstrap
    )
    return turn_sum(advantages, mask, turn), returns


def bi_level_gae(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    turn: Tensor,
    *,
    gamma_turn: float = 0.95,
    gamma_token: float = 1.0,
    lam_turn: float = 1.0,
    lam_token: float = 1.0,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """GAE from turn to turn, then from token to token: ``(advantages, returns)``, ``[B, T]``.

    Over turn ends e_k:
    ``A(e_k) = delta_k + gamma_turn lam_turn A(e_{k+1})``,
    ``delta_k = r_k + gamma_turn V(e_{k+1}) - V(e_k)``.
    Inside a turn, backwards from its end, with j the token after i:
    ``A_i = delta_i + gamma_token lam_token A_j``, ``delta_i = gamma_token V_j - V_i``.
    ``R = A + V``.

    Source: bi-level GAE of VAGEN (arXiv 2510.16907), TRICO's cross-turn credit.
    """
    ends = turn_ends(mask, turn)
    turn_rewards = turn_sum(rewards, mask, turn)
    _, turn_returns = gae(
        turn_rewards, values, ends, gamma=gamma_turn, lam=lam_turn, bootstrap=bootstrap
    )
    # Seen from inside a turn, its end is worth the turn-level return, and nothing lies beyond.
    discount = torch.full_like(rewards, gamma_token).masked_fill(ends, 0)
    return _backward(turn_returns, values, mask, discount, lam_token)


def grpo(rewards: Tensor, mask: Tensor, group: Tensor, *, scale: GrpoScale = "std") -> Tensor:
    """A trajectory's return against its group's, on every policy token, ``[B, T]``.

    ``A_b = (R_b - mean_g) / (std_g + 1e-6)`` with the unbiased standard deviation, or
    ``R_b - mean_g`` with ``scale="none"``. Exactly 0 in a group of one or of equal returns.
    Any other ``scale`` raises ``ValueError``.

    Source: GRPO, DeepSeekMath (arXiv 2402.03300), section 4.1.2; without the division, Dr. GRPO
    (arXiv 2503.20783).
    """
    if scale not in ("std", "none"):
        raise ValueError(f"unknown scale {scale!r}: choose 'std' or 'none'")
    stats = group_stats(_trajectory_returns(rewards, mask), group)
    advantage = stats.deviation
    if scale == "std":
        advantage = advantage / (stats.std[stats.index] + EPSILON)
    return _on_policy_tokens(advantage, mask)


def rloo(rewards: Tensor, mask: Tensor, group: Tensor) -> Tensor:
    """A trajectory's return less the mean of the others in its group, on every policy token.

    ``A_b = R_b - mean_{c in g, c != b} R_c``, ``[B, T]``; 0 in a group of one.

    Source: REINFORCE leave-one-out, Ahmadian et al. 2024 (arXiv 2402.14740).
    """
    stats = group_stats(_trajectory_returns(rewards, mask), group)
    n = stats.count[stats.index]
    # R - (sum - R) / (n - 1) is the deviation from the mean of all, times n / (n - 1).
    return _on_policy_tokens(stats.deviation * n / (n - 1).clamp(min=1), mask)


def reinforce_pp_baseline(rewards: Tensor, mask: Tensor, group: Tensor) -> Tensor:
    """``R_b - mean_g`` on every policy token, whitened over those of the whole batch, ``[B, T]``.

    Source: REINFORCE++ with a group baseline (arXiv 2501.03262).
    """
    stats = group_stats(_trajectory_returns(rewards, mask), group)
    return whiten(_on_policy_tokens(stats.deviation, mask), mask)


def turn_grpo(
    rewards: Tensor, mask: Tensor, turn: Tensor, group: Tensor, *, gamma: float = 1.0
) -> Tensor:
    """GRPO per turn: the return from turn k on, against the group's at the same turn, ``[B, T]``.

    ``G_k = sum_{j >= k} gamma^(j-k) r_j``, with j - k in turns;
    ``A_k = (G_k - mean) / (std + 1e-6)`` over all trajectories of the group that reach turn k,
    on every token of turn k. Exactly 0 where one trajectory reaches it, or all G_k are equal.

    Source: after DeepSeekMath (arXiv 2402.03300), section 4.1.3, process supervision: a turn is a
    step, and is compared only with the same step of the others.
    """
    starts = turn_starts(mask, turn)
    to_go, _ = turn_gae(rewards, torch.zeros_like(rewards), mask, turn, gamma=gamma)
    peers = torch.stack([group[:, None].expand_as(turn)[starts], turn[starts]], dim=1)
    stats = group_stats(to_go[starts], peers)
    advantages = torch.zeros_like(rewards)
    advantages[starts] = stats.deviation / (stats.std[stats.index] + EPSILON)
    return turn_sum(advantages, mask, turn)


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """``(x - mean) / sqrt(var + 1e-8)`` over the mask, with the unbiased variance; ``[B, T]``.

    0 off the mask, and everywhere when the mask has fewer than two tokens.
    """
    policy = mask.bool()
    n = policy.sum()
    centred = torch.where(policy, x, 0)
    # The second pass removes the rounding of the first, which the division would blow up to the
    # size of an advantage where x is constant.
    for _ in range(2):
        centred = torch.where(policy, centred - centred.sum() / n.clamp(min=1), 0)
    variance = centred.square().sum() / (n - 1).clamp(min=1)
    return centred * torch.rsqrt(variance + 1e-8)


def turn_starts(mask: Tensor, turn: Tensor) -> Tensor:
    """Bool ``[B, T]``: the first policy token of each turn."""
    lowest = torch.iinfo(turn.dtype).min
    own = torch.where(mask.bool(), turn, lowest)
    latest = own.cummax(dim=1).values
    return own > pad(latest, (1, 0), value=lowest)[:, :-1]


def turn_ends(mask: Tensor, turn: Tensor) -> Tensor:
    """Bool ``[B, T]``: the last policy token of each turn."""
    return turn_starts(mask.flip(1), -turn.flip(1)).flip(1)


def turn_sum(x: Tensor, mask: Tensor, turn: Tensor) -> Tensor:
    """The sum of ``x`` over a turn's policy tokens, on each of those tokens, ``[B, T]``.

    Also spreads over a turn what one of its tokens holds, when ``x`` is 0 on the others.
    """
    policy = mask.bool()
    column = (turn_starts(mask, turn).cumsum(dim=1) - 1).clamp(min=0)
    totals = torch.zeros_like(x).scatter_add(1, column, torch.where(policy, x, 0))
    return torch.where(policy, totals.gather(1, column), 0)


@dataclass(frozen=True)
class GroupStats:
    """The moments of N numbers in G groups; groups are in ascending order of their ids."""

    index: Tensor
    """Which group each number is in, 0 to G - 1, ``[N]``."""
    count: Tensor
    """Members of each group, ``[G]``."""
    deviation: Tensor
    """Each number less the mean of its group, ``[N]``."""
    std: Tensor
    """Unbiased standard deviation of each group, ``[G]``; 0 in a group of one."""


def group_stats(x: Tensor, group: Tensor) -> GroupStats:
    """Mean and spread of ``x`` ``[N]`` in each group; an id is an entry or a row of ``group``.

    In a group whose numbers are equal up to rounding, deviations and standard deviation are
    exactly 0.
    """
    _, index, count = group.unique(dim=0, return_inverse=True, return_counts=True)
    zero = x.new_zeros(len(count))
    mean = zero.index_add(0, index, x) / count
    deviation = x - mean[index]
    variance = zero.index_add(0, index, deviation.square()) / (count - 1).clamp(min=1)
    std = variance.sqrt()
    # In float32, -0.1 - 0.1 + 0.3 and 0.3 - 0.1 - 0.1 differ by a rounding error. Divided by a
    # spread that is itself made of such errors, it would be trained on.
    largest = zero.scatter_reduce(0, index, x.abs(), "amax")
    spread = std > EPSILON * largest.clamp(min=1)
    return GroupStats(
        index, count, torch.where(spread[index], deviation, 0), torch.where(spread, std, 0)
    )


def _backward(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    discount: Tensor,
    lam: float,
    bootstrap: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """GAE's recursion, with ``discount[b, t]`` on what follows token t."""
    policy = mask.bool()
    advantages = torch.zeros_like(rewards)
    next_advantage = rewards.new_zeros(len(rewards))
    next_value = next_advantage if bootstrap is None else bootstrap
    for t in reversed(range(rewards.shape[1])):
        here = policy[:, t]
        delta = rewards[:, t] + discount[:, t] * next_value - values[:, t]
        advantage = delta + discount[:, t] * lam * next_advantage
        advantages[:, t] = torch.where(here, advantage, 0)
        next_value = torch.where(here, values[:, t], next_value)
        next_advantage = torch.where(here, advantage, next_advantage)
    return advantages, torch.where(policy, advantages + values, 0)


def _trajectory_returns(rewards: Tensor, mask: Tensor) -> Tensor:
    """``R_b = sum_t r``, ``[B]``."""
    return torch.where(mask.bool(), rewards, 0).sum(dim=1)


def _on_policy_tokens(x: Tensor, mask: Tensor) -> Tensor:
    """``x`` ``[B]`` on each of a trajectory's policy tokens, ``[B, T]``."""
    return torch.where(mask.bool(), x[:, None], 0)


class AdvantageBatch(Protocol):
    """What an estimator may read of a batch; see the top of this file for shapes and meaning."""

    @property
    def rewards(self) -> Tensor: ...
    @property
    def values(self) -> Tensor: ...
    @property
    def mask(self) -> Tensor: ...
    @property
    def turn(self) -> Tensor: ...
    @property
    def group(self) -> Tensor: ...
    @property
    def bootstrap(self) -> Tensor | None: ...


class AdvantageConfig(Protocol):
    """What an estimator may read of the configuration."""

    @property
    def gamma(self) -> float: ...
    @property
    def lam(self) -> float: ...
    @property
    def gamma_turn(self) -> float: ...
    @property
    def lam_turn(self) -> float: ...
    @property
    def gamma_token(self) -> float: ...
    @property
    def lam_token(self) -> float: ...
    @property
    def grpo_scale(self) -> GrpoScale: ...


class Estimate(NamedTuple):
    """An estimator's answer, in the form that every entry of ``ADVANTAGES`` gives it."""

    advantages: Tensor
    """``[B, T]``, not whitened."""
    returns: Tensor | None = None
    """What the critic is to predict, ``[B, T]``; None where there is no critic."""
    value_mask: Tensor | None = None
    """Bool ``[B, T]``, the tokens where it is to predict it; None where there is no critic."""


Estimator = Callable[[AdvantageBatch, AdvantageConfig], Estimate]


def _gae(batch: AdvantageBatch, config: AdvantageConfig) -> Estimate:
    found = gae(
        batch.rewards,
        batch.values,
        batch.mask,
        gamma=config.gamma,
        lam=config.lam,
        bootstrap=batch.bootstrap,
    )
    return Estimate(*found, value_mask=batch.mask.bool())


def _turn_gae(batch: AdvantageBatch, config: AdvantageConfig) -> Estimate:
    found = turn_gae(
        batch.rewards,
        batch.values,
        batch.mask,
        batch.turn,
        gamma=config.gamma_turn,
        lam=config.lam_turn,
        bootstrap=batch.bootstrap,
    )
    return Estimate(*found, value_mask=turn_starts(batch.mask, batch.turn))


def _bi_level_gae(batch: AdvantageBatch, config: AdvantageConfig) -> Estimate:
    found = bi_level_gae(
        batch.rewards,
        batch.values,
        batch.mask,
        batch.turn,
        gamma_turn=config.gamma_turn,
        gamma_token=config.gamma_token,
        lam_turn=config.lam_turn,
        lam_token=config.lam_token,
        bootstrap=batch.bootstrap,
    )
    return Estimate(*found, value_mask=batch.mask.bool())


WITH_CRITIC: dict[str, Estimator] = {
    "gae": _gae,
    "turn_gae": _turn_gae,
    "bi_level_gae": _bi_level_gae,
}
CRITIC_FREE: dict[str, Estimator] = {
    "grpo": lambda batch, config: Estimate(
        grpo(batch.rewards, batch.mask, batch.group, scale=config.grpo_scale)
    ),
    "rloo": lambda batch, config: Estimate(rloo(batch.rewards, batch.mask, batch.group)),
    "reinforce_pp_baseline": lambda batch, config: Estimate(
        reinforce_pp_baseline(batch.rewards, batch.mask, batch.group)
    ),
    "turn_grpo": lambda batch, config: Estimate(
        turn_grpo(batch.rewards, batch.mask, batch.turn, batch.group, gamma=config.gamma_turn)
    ),
}
ADVANTAGES: dict[str, Estimator] = {**WITH_CRITIC, **CRITIC_FREE}
