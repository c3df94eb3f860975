"""A batch as its episodes: the tokens that the policy wrote, and nothing else, an episode a row.

Estimators, section masks and the aggregations of a loss speak of trajectories. Whether the model
reads one as a single sequence or turn by turn is not their business, nor is what lies between its
replies. So they see a batch packed::

    sequences   p p a a p a a <pad>   one trajectory in one row, another in two
                p p b b b <pad> ...
                p p p b <pad> ...
    packed      a a a a
                b b b b
"""

import torch
from torch import Tensor

from starpo_plugin.batch import Batch


class Packing:
    """Moves tensors between the rows of a batch [B, T] and its E episodes [E, L]."""

    def __init__(self, batch: Batch) -> None:
        self._policy = batch.mask.bool()
        episodes, self._episode, rows = batch.episode.unique_consecutive(
            return_inverse=True, return_counts=True
        )
        self._first = rows.cumsum(0) - rows
        self._row = self._episode[:, None].expand_as(self._policy)[self._policy]
        self._lengths = torch.bincount(self._row, minlength=len(episodes))
        before = self._lengths.cumsum(0) - self._lengths
        # tokens come row by row, and the rows of an episode are neighbours
        self._column = torch.arange(len(self._row), device=self._row.device) - before[self._row]
        self._size = (len(episodes), int(self._lengths.max()))

    def pack(self, x: Tensor) -> Tensor:
        """Policy tokens of ``x`` [B, T] by episode, [E, L]; 0 behind them."""
        empty = x.new_zeros(self._size)
        return empty.index_put((self._row, self._column), x[self._policy])

    def unpack(self, x: Tensor) -> Tensor:
        """Put ``x`` [E, L] back in its place, [B, T]; 0 on all other tokens."""
        full = x.new_zeros(self._policy.shape)
        full[self._policy] = x[self._row, self._column]
        return full

    def packed(self, batch: Batch) -> Batch:
        """The batch packed; ``batch`` may differ in its numbers from the one this was made of."""
        outside = self.pack(torch.ones_like(batch.turn)) == 0
        return Batch(
            ids=self.pack(batch.ids),
            mask=self.pack(batch.mask),
            turn=self.pack(batch.turn).masked_fill(outside, -1),
            rewards=self.pack(batch.rewards),
            logprobs=self.pack(batch.logprobs),
            values=self.pack(batch.values),
            group=batch.group[self._first],
            episode=batch.episode[self._first],
            lengths=self._lengths,
            section=self.pack(batch.section).masked_fill(outside, -1),
            beyond=self.pack(batch.beyond),
            bootstrap=batch.bootstrap.new_zeros(self._size[0]).index_add(
                0, self._episode, batch.bootstrap
            ),
        )
