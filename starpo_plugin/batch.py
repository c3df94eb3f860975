"""``Batch``: trajectories as tensors, with the structure known when their tokens were made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from starpo_plugin.trajectory import Trajectory

RewardPlacement = Literal["trajectory", "turn"]


@dataclass(frozen=True)
class Batch:
    """Right-padded trajectories, B rows of T tokens.

    A worked example, one row (p: prompt token, a: sampled token, two turns)::

        ids      p  p  a  a  p  a  a  a  <pad>
        mask     0  0  1  1  0  1  1  1  0
        turn    -1 -1  0  0 -1  1  1  1 -1
        rewards  0  0  0 .5  0  0  0  1  0
    """

    ids: Tensor
    """int64 [B, T]"""
    mask: Tensor
    """float32 [B, T]: 1 on tokens that the policy wrote, 0 elsewhere."""
    turn: Tensor
    """int64 [B, T]: turn index on those tokens, -1 elsewhere."""
    rewards: Tensor
    """float32 [B, T]: a turn's reward on its last policy token."""
    logprobs: Tensor
    """float32 [B, T]: log p(ids[b, t] | ids[b, <t]) at policy tokens, which ratios are taken to;
    the sampler's, until ``update`` recomputes them.
    """
    behaviour: Tensor
    """float32 [B, T]: the sampler's, for good."""
    values: Tensor
    """float32 [B, T]: value before ids[b, t] is emitted."""
    group: Tensor
    """int64 [B]"""
    lengths: Tensor
    """int64 [B]: tokens that are not padding."""

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Tensor) -> "Batch":
        """Select rows and cut the padding that none of them needs."""
        longest = int(self.lengths[index].max()) if len(index) else 0
        picked = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        return Batch(**{k: v[:, :longest] if v.ndim == 2 else v for k, v in picked.items()})

    def to(self, device: torch.device | str) -> "Batch":
        """Copy to a device."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def with_(self, **tensors: Tensor) -> "Batch":
        """Return a copy with some tensors replaced."""
        return replace(self, **tensors)


def collate(
    trajectories: Sequence[Trajectory],
    pad_id: int,
    rewards: RewardPlacement = "turn",
) -> Batch:
    """Make a batch. Turns without a single sampled token carry their reward to the last policy
    token.

    Args:
        trajectories: at least one.
        pad_id: token id for the right padding.
        rewards: ``"turn"`` puts each turn's reward on its last policy token (TRICO);
            ``"trajectory"`` the episode's sum on the last one (StarPO).
    """
    size = (len(trajectories), max(len(t) for t in trajectories))
    ids = torch.full(size, pad_id, dtype=torch.long)
    turn = torch.full(size, -1, dtype=torch.long)
    reward, logprobs = torch.zeros(size), torch.zeros(size)
    for b, trajectory in enumerate(trajectories):
        position, last = 0, None
        for k, t in enumerate(trajectory.turns):
            start = position + len(t.prompt_ids)
            end = start + len(t.reply_ids)
            ids[b, position:end] = torch.tensor(t.prompt_ids + t.reply_ids, dtype=torch.long)
            turn[b, start:end] = k
            logprobs[b, start:end] = torch.tensor(t.logprobs)
            last = end - 1 if t.reply_ids else last
            if last is not None:
                reward[b, last] += t.reward
            position = end
        if rewards == "trajectory" and last is not None:
            reward[b] = 0.0
            reward[b, last] = trajectory.total_reward
    return Batch(
        ids=ids,
        mask=(turn >= 0).float(),
        turn=turn,
        rewards=reward,
        logprobs=logprobs,
        behaviour=logprobs,
        values=torch.zeros(size),
        group=torch.tensor([t.group for t in trajectories]),
        lengths=torch.tensor([len(t) for t in trajectories]),
    )


def micro_batches(lengths: Tensor, budget: int) -> Iterator[Tensor]:
    """Cut rows into micro-batches of similar length, padding included within ``budget`` tokens.

    Yields int64 row indices; a row that is longer than the budget comes alone.
    """
    order = lengths.argsort(descending=True, stable=True)
    sizes = lengths[order].tolist()
    start = 0
    while start < len(sizes):
        rows = max(1, budget // max(1, int(sizes[start])))
        yield order[start : start + rows]
        start += rows
