"""``Batch``: trajectories as tensors, with the structure known when their tokens were made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from starpo_plugin.trajectory import Trajectory, Turn

RewardPlacement = Literal["trajectory", "turn"]


@dataclass(frozen=True)
class Batch:
    """Right-padded sequences, B rows of T tokens.

    A row is a whole trajectory, or one turn with what the policy saw of those before it
    (``Trajectory.context_turns``); the rows of a trajectory are neighbours, in order. A worked
    example, one row (p: prompt token, a: sampled token, two turns)::

        ids      p  p  a  a  p  a  a  a  <pad>
        mask     0  0  1  1  0  1  1  1  0
        turn    -1 -1  0  0 -1  1  1  1 -1
        rewards  0  0  0 .5  0  0  0  1  0
        section -1 -1  4  0 -1  4  4  0 -1
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
    """float32 [B, T]: log p(ids[b, t] | ids[b, <t]) at policy tokens; the sampler's, until
    ``update`` recomputes them.
    """
    values: Tensor
    """float32 [B, T]: value before ids[b, t] is emitted."""
    group: Tensor
    """int64 [B]: rows whose trajectories share a start."""
    episode: Tensor
    """int64 [B]: which trajectory a row belongs to; 0, 1, .. as long as no rows were dropped."""
    lengths: Tensor
    """int64 [B]: tokens that are not padding."""
    section: Tensor
    """int64 [B, T]: section of those tokens, an index into ``sections.SECTIONS``; -1 elsewhere, and
    where a reply was not read.
    """
    beyond: Tensor
    """bool [B, T]: in a row that was cut off, the position whose value is that of what was still to
    come; none where nothing is to be bootstrapped.
    """
    bootstrap: Tensor
    """float32 [B]: the value at ``beyond``; 0 in other rows, and until ``update`` has read it."""

    @property
    def episodes(self) -> int:
        """Number of trajectories."""
        return len(self.episode.unique_consecutive())

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Tensor) -> "Batch":
        """Select rows and cut the padding that none of them needs."""
        longest = int(self.lengths[index].max()) if len(index) else 0
        picked = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        return Batch(**{k: v[:, :longest] if v.ndim == 2 else v for k, v in picked.items()})

    @property
    def longest(self) -> Tensor:
        """int64 [E]: length of each trajectory's longest row."""
        episodes, index = self.episode.unique_consecutive(return_inverse=True)
        return self.lengths.new_zeros(len(episodes)).scatter_reduce(0, index, self.lengths, "amax")

    def rows_of(self, episodes: Tensor) -> Tensor:
        """Row indices of some trajectories (by their place in the batch), in that order."""
        _, counts = self.episode.unique_consecutive(return_counts=True)
        first = (counts.cumsum(0) - counts)[episodes]
        counts = counts[episodes]
        step = torch.arange(int(counts.sum()), device=counts.device)
        return step + (first - (counts.cumsum(0) - counts)).repeat_interleave(counts)

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
    bootstrap: bool = False,
) -> Batch:
    """Make a batch. Turns without a single sampled token carry their reward to the last policy
    token.

    Args:
        trajectories: at least one.
        pad_id: token id for the right padding.
        rewards: ``"turn"`` puts each turn's reward on its last policy token (TRICO);
            ``"trajectory"`` the episode's sum on the last one (StarPO).
        bootstrap: mark where the critic is to value what an episode that was cut off was still
            worth: before the reply to ``next_ids``, which are added to the sequence, with padding
            for the token that would come; without them before its last policy token.
    """
    sequences = [s for e, t in enumerate(trajectories) for s in _sequences(e, t, bootstrap)]
    batch = _blank(sequences, torch.tensor([t.group for t in trajectories]), pad_id)
    last: dict[int, tuple[int, int]] = {}  # each episode's last policy token so far
    for b, sequence in enumerate(sequences):
        _write(sequence, batch, b, last)
    for e, place in last.items():
        if rewards == "trajectory":
            batch.rewards[batch.episode == e] = 0.0
            batch.rewards[place] = trajectories[e].total_reward
        if bootstrap and trajectories[e].end != "terminated" and not trajectories[e].next_ids:
            batch.beyond[place] = True
    return batch.with_(mask=(batch.turn >= 0).float())


@dataclass
class _Sequence:
    """A row in the making."""

    episode: int
    turns: Sequence[tuple[int, Turn]]
    more: tuple[int, ...] = ()
    """Ids behind the turns, of which a token would follow."""

    @property
    def length(self) -> int:
        tokens = sum(len(t.prompt_ids) + len(t.reply_ids) for _, t in self.turns)
        return tokens + len(self.more) + bool(self.more)


def _sequences(episode: int, trajectory: Trajectory, bootstrap: bool) -> list[_Sequence]:
    cut_off = bootstrap and trajectory.end != "terminated"
    more = trajectory.next_ids if cut_off else ()
    turns = list(enumerate(trajectory.turns))
    if not trajectory.context_turns:
        return [_Sequence(episode, turns, more)]
    rows = [_Sequence(episode, [turn]) for turn in turns]
    return rows + [_Sequence(episode, [], more)] * bool(more)


def _blank(sequences: Sequence[_Sequence], groups: Tensor, pad_id: int) -> Batch:
    """Make a batch of padding alone, with room for some sequences.

    Args:
        sequences: one a row.
        groups: int64, of each episode.
        pad_id: token id.
    """
    lengths = [s.length for s in sequences]
    size = (len(sequences), max(lengths))
    episode = torch.tensor([s.episode for s in sequences])
    return Batch(
        ids=torch.full(size, pad_id, dtype=torch.long),
        mask=torch.zeros(size),
        turn=torch.full(size, -1, dtype=torch.long),
        rewards=torch.zeros(size),
        logprobs=torch.zeros(size),
        values=torch.zeros(size),
        group=groups[episode],
        episode=episode,
        lengths=torch.tensor(lengths),
        section=torch.full(size, -1, dtype=torch.long),
        beyond=torch.zeros(size, dtype=torch.bool),
        bootstrap=torch.zeros(len(sequences)),
    )


def _write(sequence: _Sequence, batch: Batch, row: int, last: dict[int, tuple[int, int]]) -> None:
    """Write a sequence into its row, each turn's reward on its last policy token.

    Args:
        sequence: to be written.
        batch: changed in place.
        row: of the batch.
        last: episode -> row and column of its last policy token so far; kept up to date.
    """
    position = 0
    for k, turn in sequence.turns:
        start = position + len(turn.prompt_ids)
        end = start + len(turn.reply_ids)
        ids = turn.prompt_ids + turn.reply_ids
        batch.ids[row, position:end] = torch.tensor(ids, dtype=torch.long)
        batch.turn[row, start:end] = k
        batch.logprobs[row, start:end] = torch.tensor(turn.logprobs)
        if turn.sections:
            batch.section[row, start:end] = torch.tensor(turn.sections)
        if turn.reply_ids:
            last[sequence.episode] = (row, end - 1)
        if sequence.episode in last:
            batch.rewards[last[sequence.episode]] += turn.reward
        position = end
    if sequence.more:
        end = position + len(sequence.more)
        batch.ids[row, position:end] = torch.tensor(sequence.more, dtype=torch.long)
        batch.beyond[row, end] = sequence.episode in last


def micro_batches(batch: Batch, budget: int) -> Iterator[Tensor]:
    """Cut a batch into micro-batches of similar length, padding included within ``budget`` tokens.

    Yields int64 row indices. The rows of an episode stay together and in order; an episode that is
    longer than the budget comes alone.
    """
    _, counts = batch.episode.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0).tolist()
    rows = [range(end - count, end) for end, count in zip(ends, counts.tolist(), strict=True)]
    width = batch.longest.clamp_min(1).tolist()
    picked: list[int] = []
    widest = 0
    for e in sorted(range(len(rows)), key=lambda e: -width[e]):
        if picked and (len(picked) + len(rows[e])) * widest > budget:
            yield torch.tensor(picked, device=batch.ids.device)
            picked = []
        widest = widest if picked else width[e]
        picked += rows[e]
    if picked:
        yield torch.tensor(picked, device=batch.ids.device)
