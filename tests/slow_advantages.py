"""Slow references for the estimators: plain Python, a token at a time, straight from the formulas.

Each returns its numbers by (row, token); where there is none, an estimator's result is 0.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor

from starpo_plugin.advantages import GrpoScale


@dataclass(frozen=True)
class Rollouts:
    """What an estimator reads of a batch."""

    rewards: Tensor
    values: Tensor
    mask: Tensor
    turn: Tensor
    group: Tensor
    bootstrap: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Rollouts":
        """The same change to every tensor [B, T]."""
        wide = {name: getattr(self, name) for name in ("rewards", "values", "mask", "turn")}
        return replace(self, **{name: change(x) for name, x in wide.items()})


@dataclass(frozen=True)
class Settings:
    """What an estimator reads of the configuration: no two discounts are the same."""

    gamma: float = 0.9
    lam: float = 0.8
    gamma_turn: float = 0.85
    lam_turn: float = 0.7
    gamma_token: float = 0.95
    lam_token: float = 0.75
    grpo_scale: GrpoScale = "std"


Cells = dict[tuple[int, int], float]
"""(row, token) -> number, for policy tokens."""


def turns(batch: Rollouts, b: int) -> list[list[int]]:
    """The policy tokens of each turn of row b, in order."""
    found: dict[int, list[int]] = defaultdict(list)
    for t in range(batch.mask.shape[1]):
        if batch.mask[b, t]:
            found[int(batch.turn[b, t])].append(t)
    return [found[k] for k in sorted(found)]


def tokens_of(batch: Rollouts, b: int) -> list[int]:
    return [t for tokens in turns(batch, b) for t in tokens]


def read(x: Tensor, b: int, tokens: list[int]) -> list[float]:
    return x[b, tokens].tolist()


def sum_of_deltas(r: list[float], v: list[float], gamma: float, lam: float) -> list[float]:
    """A_i = sum_n (gamma lam)^n delta_{i+n}: the sum, where the code has the recursion."""
    delta = [a + gamma * after - b for a, b, after in zip(r, v, [*v, 0.0][1:], strict=False)]
    steps = range(len(delta))
    return [sum((gamma * lam) ** (n - i) * delta[n] for n in steps[i:]) for i in steps]


def slow_gae(batch: Rollouts, s: Settings) -> tuple[Cells, Cells]:
    advantages: Cells = {}
    for b in range(len(batch.mask)):
        tokens = tokens_of(batch, b)
        r, v = read(batch.rewards, b, tokens), read(batch.values, b, tokens)
        for t, a in zip(tokens, sum_of_deltas(r, v, s.gamma, s.lam), strict=True):
            advantages[b, t] = a
    return advantages, {at: a + float(batch.values[at]) for at, a in advantages.items()}


def slow_turn_gae(batch: Rollouts, s: Settings) -> tuple[Cells, Cells]:
    advantages: Cells = {}
    returns: Cells = {}
    for b in range(len(batch.mask)):
        steps = turns(batch, b)
        r = read(batch.rewards, b, [tokens[-1] for tokens in steps])
        v = read(batch.values, b, [tokens[0] for tokens in steps])
        for k, a in enumerate(sum_of_deltas(r, v, s.gamma_turn, s.lam_turn)):
            returns[b, steps[k][0]] = a + v[k]
            advantages |= {(b, t): a for t in steps[k]}
    return advantages, returns


def slow_bi_level_gae(batch: Rollouts, s: Settings) -> tuple[Cells, Cells]:
    advantages: Cells = {}
    for b in range(len(batch.mask)):
        steps = turns(batch, b)
        ends = [tokens[-1] for tokens in steps]
        r, v = read(batch.rewards, b, ends), read(batch.values, b, ends)
        for tokens, a in zip(steps, sum_of_deltas(r, v, s.gamma_turn, s.lam_turn), strict=True):
            advantages[b, tokens[-1]] = a
            for i, j in reversed(list(pairwise(tokens))):
                delta = s.gamma_token * float(batch.values[b, j]) - float(batch.values[b, i])
                advantages[b, i] = delta + s.gamma_token * s.lam_token * advantages[b, j]
    return advantages, {at: a + float(batch.values[at]) for at, a in advantages.items()}


def normalised(members: dict[int, float], scale: str = "std") -> dict[int, float]:
    """Row -> number to row -> number less the mean, over the unbiased std + 1e-6."""
    mean = statistics.mean(members.values())
    std = statistics.stdev(members.values()) if len(members) > 1 else 0.0
    return {b: (x - mean) / (std + 1e-6 if scale == "std" else 1) for b, x in members.items()}


def groups(batch: Rollouts) -> list[dict[int, float]]:
    """For each group, row -> return."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for b in range(len(batch.mask)):
        found[int(batch.group[b])][b] = sum(read(batch.rewards, b, tokens_of(batch, b)))
    return list(found.values())


def slow_grpo(batch: Rollouts, s: Settings) -> Cells:
    per_group = [normalised(members, s.grpo_scale).items() for members in groups(batch)]
    return {(b, t): a for found in per_group for b, a in found for t in tokens_of(batch, b)}


def slow_rloo(batch: Rollouts, s: Settings) -> Cells:
    advantages: Cells = {}
    for members in groups(batch):
        for b, x in members.items():
            others = [y for c, y in members.items() if c != b]
            a = x - statistics.mean(others) if others else 0.0
            advantages |= {(b, t): a for t in tokens_of(batch, b)}
    return advantages


def slow_reinforce_pp_baseline(batch: Rollouts, s: Settings) -> Cells:
    centred = slow_grpo(batch, replace(s, grpo_scale="none"))
    mean = statistics.mean(centred.values()) if centred else 0.0
    variance = statistics.variance(centred.values()) if len(centred) > 1 else 0.0
    return {at: (x - mean) / math.sqrt(variance + 1e-8) for at, x in centred.items()}


def slow_turn_grpo(batch: Rollouts, s: Settings) -> Cells:
    peers: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for b in range(len(batch.mask)):
        r = read(batch.rewards, b, [tokens[-1] for tokens in turns(batch, b)])
        for k in range(len(r)):
            to_go = sum(s.gamma_turn ** (j - k) * r[j] for j in range(k, len(r)))
            peers[int(batch.group[b]), k][b] = to_go
    found = [(k, b, a) for (_, k), peer in peers.items() for b, a in normalised(peer).items()]
    return {(b, t): a for k, b, a in found for t in turns(batch, b)[k]}


WITH_CRITIC = {"gae": slow_gae, "turn_gae": slow_turn_gae, "bi_level_gae": slow_bi_level_gae}
CRITIC_FREE = {
    "grpo": slow_grpo,
    "rloo": slow_rloo,
    "reinforce_pp_baseline": slow_reinforce_pp_baseline,
    "turn_grpo": slow_turn_grpo,
}
