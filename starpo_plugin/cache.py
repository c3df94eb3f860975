"""A key-value cache that writes new tokens in place.

transformers' ``DynamicCache`` copies every key and value each time a token is added: with 256
conversations of a tiny model that is three quarters of the rollout's time. This one keeps room
behind the tokens.
"""

from inspect import signature
from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 64
"""Least number of tokens that a layer grows by; it grows by a half if that is more."""


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, [rows, heads, tokens, D]: a view of a buffer with room behind
    it.
    """

    _buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append new tokens and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            self._grow(key_states, value_states, start, end + max(_ROOM, end // 2))
        assert self._buffers is not None
        keys, values = self._buffers
        keys[..., start:end, :] = key_states
        values[..., start:end, :] = value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row ``repeats`` times."""
        super().batch_repeat_interleave(repeats)
        self._buffers = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only these rows."""
        super().batch_select_indices(indices)
        self._buffers = None

    def _grow(self, key_states: Tensor, value_states: Tensor, start: int, capacity: int) -> None:
        grown = []
        for new, old in ((key_states, self.keys), (value_states, self.values)):
            buffer = new.new_empty((*new.shape[:-2], capacity, new.shape[-1]))
            if start and old is not None:
                buffer[..., :start, :] = old
            grown.append(buffer)
        self._buffers = (grown[0], grown[1])


def cache_argument(body: Any) -> str:
    """Name that a model's ``forward`` has for its cache: transformers 5.24 renamed
    ``past_key_values`` to ``cache``, architecture by architecture.
    """
    return "cache" if "cache" in signature(body.forward).parameters else "past_key_values"


def new_cache(config: Any) -> Cache:
    """Make an empty cache for a model; one with layers of another kind gets transformers' own."""
    kinds = set(getattr(config, "layer_types", None) or ("full_attention",))
    if kinds == {"full_attention"}:
        return Cache(layer_class_to_replicate=RoomyLayer)
    return DynamicCache(config=config)
