"""Keys and values of many conversations, each at its own length.

A row holds one conversation, and a token's column is its position::

    row 0   a a a a a . .      no padding on the left and no holes, so nothing is computed for
    row 1   b b . . . . .      them; what lies behind a row's own tokens is never looked at
    row 2   c c c c . . .

New tokens are written in place. transformers' ``DynamicCache`` copies every key and value each time
a token is added: with 256 conversations of a tiny model that is three quarters of a rollout's time.
"""

from collections.abc import Sequence
from functools import partial
from inspect import signature
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from starpo_plugin.policy import Policy

_ROOM = 64
"""Least number of columns that the buffers grow by; they grow by a half if that is more."""


class SlotCache:
    """A cache of ``rows`` conversations; ``forward`` reads tokens into neighbouring rows.

    Args:
        policy_body: the model without its head.
        rows: conversations that are held at once.
        dtype: of the attention mask: the model's.
        device: where the model is.
        context: positions that the model knows.
        columns: columns to begin with.
    """

    def __init__(
        self,
        policy_body: Any,
        rows: int,
        dtype: torch.dtype,
        device: torch.device,
        context: int,
        columns: int = 0,
    ) -> None:
        self._body, self._rows, self._context = policy_body, rows, context
        self._argument = cache_argument(policy_body)
        self._layers: list[_SlotLayer] = []
        # transformers makes a layer when the model first comes to it. What makes it knows this
        # cache weakly: the buffers are freed with their engine, before an update needs the memory
        new_layer: Any = partial(_new_layer, ref(self))
        self._cache = Cache(layer_class_to_replicate=new_layer)
        self._lowest = torch.tensor(-torch.inf, dtype=dtype, device=device)
        self._zero = torch.zeros((), dtype=dtype, device=device)
        columns = max(columns, _ROOM)
        self._columns = torch.arange(columns, device=device)
        self._first_cell = torch.arange(rows, device=device) * columns

    @property
    def capacity(self) -> int:
        """Columns that there is room for; where it changes, the buffers are others."""
        return len(self._columns)

    def reserve(self, width: int) -> None:
        """Make room for so many columns, and for more if there was too little."""
        if width > self.capacity:
            self._grow(width)

    def forward(
        self,
        ids: Tensor,
        first_row: int,
        positions: Tensor,
        width: int,
        live: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [R, L, D] of new tokens ``ids`` [R, L] of rows ``first_row`` and on.

        Args:
            ids: right-padded; what is written for padding is overwritten by the row's next tokens.
            first_row: row of ``ids[0]``.
            positions: [R, L], consecutive in a row.
            width: columns that are looked at: no position lies beyond.
            live: bool [R], rows that are read; all of them unless given. Of the others nothing is
                written to the cache, and what is returned means nothing.
        """
        self.reserve(width)
        rows = ids.shape[0]
        cells = self._first_cell[first_row : first_row + rows, None] + positions
        if live is not None:
            cells = torch.where(live[:, None], cells, self._rows * self.capacity)
            positions = torch.where(live[:, None], positions, 0)
        for layer in self._layers:
            layer.place(cells.flatten(), first_row, width)
        self._place = (cells.flatten(), first_row, width)
        seen = self._columns[:width] <= positions[:, None, :, None]
        return self._body(
            input_ids=ids,
            attention_mask=torch.where(seen, self._zero, self._lowest),
            position_ids=positions.clamp_max(self._context - 1),
            use_cache=True,
            **{self._argument: self._cache},
        ).last_hidden_state

    def move(self, sources: Sequence[int], targets: Sequence[int], width: int) -> None:
        """Copy the first ``width`` columns of rows over those of other rows, all at once."""
        if not sources or not width:
            return
        device = self._columns.device
        source = torch.tensor(sources, device=device)
        target = torch.tensor(targets, device=device)
        for layer in self._layers:
            layer.move(source, target, width)

    def _new_layer(self) -> "_SlotLayer":
        layer = _SlotLayer(self._rows, self.capacity)
        layer.place(*self._place)
        self._layers.append(layer)
        return layer

    def _grow(self, width: int) -> None:
        capacity = width + max(_ROOM, width // 2)
        device = self._columns.device
        self._columns = torch.arange(capacity, device=device)
        self._first_cell = torch.arange(self._rows, device=device) * capacity
        for layer in self._layers:
            layer.grow(capacity)


def _new_layer(of: "ref[SlotCache]") -> "_SlotLayer":
    cache = of()
    assert cache is not None
    return cache._new_layer()


class _SlotLayer(DynamicLayer):
    """One layer's keys and values, [rows, columns, heads, D] each.

    Behind the last row is a cell that is written to and never read.
    """

    def __init__(self, rows: int, capacity: int) -> None:
        super().__init__()
        self._rows, self._capacity = rows, capacity
        self._flat: list[Tensor] = []  # [rows * columns + 1, heads, D]
        self._buffers: list[Tensor] = []  # the same without the last cell

    def place(self, cells: Tensor, first_row: int, width: int) -> None:
        """Say where the next ``update`` writes (row * capacity + column), and what it returns."""
        self._cells, self._first_row, self._width = cells, first_row, width

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write new tokens; return all tokens of their rows."""
        new = (key_states, value_states)
        if not self._flat:
            # zeros: a number that is masked out may be anything but not a NaN
            self._hold([x[:, :, 0] for x in new])
        rows = slice(self._first_row, self._first_row + key_states.shape[0])
        for flat, x in zip(self._flat, new, strict=True):
            flat.index_copy_(0, self._cells, x.transpose(1, 2).reshape(-1, *flat.shape[1:]))
        keys, values = (b[rows, : self._width].transpose(1, 2) for b in self._buffers)
        return keys, values

    def move(self, source: Tensor, target: Tensor, width: int) -> None:
        """Copy rows over others."""
        for buffer in self._buffers:
            buffer[target, :width] = buffer[source, :width]

    def grow(self, capacity: int) -> None:
        """Make room for more columns."""
        before, width = self._buffers, self._capacity
        self._capacity = capacity
        self._hold(self._flat)
        for new, old in zip(self._buffers, before, strict=True):
            new[:, :width] = old

    def _hold(self, like: Sequence[Tensor]) -> None:
        """Make buffers for numbers like these [..., heads, D]."""
        cells = self._rows * self._capacity
        self._flat = [x.new_zeros(cells + 1, *x.shape[1:]) for x in like]
        self._buffers = [x[:-1].view(self._rows, self._capacity, *x.shape[1:]) for x in self._flat]


def cache_argument(body: Any) -> str:
    """Name that a model's ``forward`` has for its cache: transformers 5.24 renamed
    ``past_key_values`` to ``cache``, architecture by architecture.
    """
    return "cache" if "cache" in signature(body.forward).parameters else "past_key_values"


def keeps_slots(policy: Policy) -> bool:
    """Whether a model can be read with a cache whose rows have lengths of their own.

    All layers have to attend to everything: a sliding window counts columns. The attention has to
    take a mask as a tensor, and positions have to be told by their ids alone.
    """
    config = policy.text_config
    kinds = getattr(config, "layer_types", None)
    sliding = kinds is None and getattr(config, "sliding_window", None) is not None
    takes_masks = config._attn_implementation in ("sdpa", "eager")
    if sliding or set(kinds or ["full_attention"]) != {"full_attention"} or not takes_masks:
        return False
    return _agrees(policy)


@torch.no_grad()
def _agrees(policy: Policy) -> bool:
    """Read two short rows both ways: some architectures take positions from elsewhere (ALiBi)."""
    body, device = policy.model.base_model, policy.device
    ids = torch.arange(8, device=device).view(2, 4) % policy.text_config.vocab_size
    whole = body(input_ids=ids, use_cache=False).last_hidden_state
    cache = cache_of(policy, 3)
    parts = []
    try:
        # the second row is a token behind, and a row before them is free
        for row, columns in ((1, [[0, 1]]), (2, [[0]]), (1, [[2], [1]]), (2, [[2]]), (2, [[3]])):
            places = torch.tensor(columns, device=device)
            tokens = ids[row - 1 : row - 1 + len(columns)].gather(1, places)
            parts.append(cache.forward(tokens, row, places, int(places.max()) + 1))
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
        return False
    expected = [whole[0, :2], whole[1, :1], whole[[0, 1], [2, 1]], whole[1, 2:3], whole[1, 3:4]]
    found = [p.reshape(-1, p.shape[-1]).float() for p in parts]
    size = float(whole.abs().mean())
    return all(
        float((f - e.float()).abs().mean()) <= 0.02 * size
        for f, e in zip(found, expected, strict=True)
    )


def cache_of(policy: Policy, rows: int, columns: int = 0) -> SlotCache:
    """Make the cache of a model."""
    body, dtype = policy.model.base_model, policy.model.dtype
    return SlotCache(body, rows, dtype, policy.device, policy.context, columns)
