"""Filters: which groups of rollouts are trained on.

A group's score is the unbiased standard deviation of its trajectories' returns, in units of
reward. A filter takes the scores, a float tensor ``[G]``, and returns a bool tensor ``keep[G]``.
No filter raises on what it is given: nothing kept, or no group at all, is a normal event.

    scores, index = group_scores(returns, group)               # [G], [B]
    keep = FILTERS[name](scores, value)                        # [G]
    rows = keep[index]                                         # [B], trajectories to train on
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from starpo_plugin.advantages import group_stats


def group_scores(returns: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """``(scores, index)``: each group's score ``[G]`` and each trajectory's group ``[B]``.

    ``returns`` (float) and ``group`` (any integers) are ``[B]``; groups come in ascending order of
    their ids. Exactly 0 for a group of one, or of returns that are equal up to rounding.

    Source: StarPO-S, uncertainty-based filtering (RAGEN, arXiv 2504.20073).
    """
    stats = group_stats(returns, group)
    return stats.std, stats.index


def top_k(scores: Tensor, fraction: float) -> Tensor:
    """The ``max(1, int(fraction G))`` groups with the highest scores; of equals, the first.

    Source: StarPO-S (RAGEN, arXiv 2504.20073), with fraction 0.25.
    """
    keep = torch.zeros_like(scores, dtype=torch.bool)
    best = scores.argsort(descending=True, stable=True)
    keep[best[: max(1, int(fraction * len(scores)))]] = True
    return keep


def top_p(scores: Tensor, p: float, *, eps: float = 0.01) -> Tensor:
    """The highest scores, until those kept add up to ``p sum(scores) - eps``; never a 0.

    Source: RAGEN-2's nucleus over groups.
    """
    ordered, best = scores.sort(descending=True, stable=True)
    kept_before = pad(ordered.cumsum(dim=0), (1, 0))[:-1]
    keep = torch.zeros_like(scores, dtype=torch.bool)
    keep[best] = (kept_before < p * scores.sum() - eps) & (ordered > 0)
    return keep


def min_p(scores: Tensor, p: float) -> Tensor:
    """Scores of at least ``p max(scores)``: all groups, when no group has any variance.

    Source: RAGEN-2's ablation.
    """
    return scores >= p * scores.max() if len(scores) else scores.bool()


def drop_zero(scores: Tensor) -> Tensor:
    """Groups with any variance: the others carry no gradient under ``grpo``.

    Source: dynamic sampling, DAPO (arXiv 2503.14476), section 3.2, without the resampling.
    """
    return scores > 0


def keep_all(scores: Tensor) -> Tensor:
    """Every group."""
    return torch.ones_like(scores, dtype=torch.bool)


def scale_by_kept(keep: Tensor, scale: str) -> float:
    """What the loss is multiplied by, from the share of groups kept; 0 when there are none.

    ``scale`` is a key of ``KEPT_SCALES``; any other raises ``ValueError``.

    Source: RAGEN-2.
    """
    if scale not in KEPT_SCALES:
        raise ValueError(f"unknown scale {scale!r}: choose one of {', '.join(KEPT_SCALES)}")
    return KEPT_SCALES[scale](int(keep.sum()) / max(len(keep), 1))


Filter = Callable[[Tensor, float], Tensor]

# A filter takes at most one number, so that one field of the configuration serves them all.
FILTERS: dict[str, Filter] = {
    "none": lambda scores, _: keep_all(scores),
    "top_k": top_k,
    "top_p": top_p,
    "min_p": min_p,
    "drop_zero": lambda scores, _: drop_zero(scores),
}
KEPT_SCALES: dict[str, Callable[[float], float]] = {
    "none": lambda share: 1.0,
    "linear": lambda share: share,
    "sqrt": math.sqrt,
}
