"""A ``Text`` space that also works in Gymnasium's ``AsyncVectorEnv`` with shared memory.

Gymnasium (1.4 and before) decodes a ``Text`` observation from shared memory once, when the vector
environment is made, so every later observation is that first, empty one. ``TextSpace`` registers
its own shared memory, read through a view that decodes when it is copied, which is what
``AsyncVectorEnv`` does on every step.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Text
from gymnasium.vector.utils import (
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)


class TextSpace(Text):
    """Strings of at most ``max_length`` characters out of ``charset``; the empty string belongs to
    it.
    """

    def __init__(self, max_length: int, charset: frozenset[str], seed: Any = None) -> None:
        super().__init__(max_length, min_length=0, charset=charset, seed=seed)

    def contains(self, x: Any) -> bool:
        """Return whether ``x`` is a string of this space."""
        return isinstance(x, str) and len(x) <= self.max_length and self.character_set.issuperset(x)

    def __repr__(self) -> str:
        return f"TextSpace({self.max_length}, {len(self.character_set)} characters)"


class SharedTexts(Sequence[str]):
    """The texts that worker processes last wrote; a copy of it is a plain tuple of strings."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        length = int(self._rows[index, 0])
        return self._rows[index, 1 : 1 + length].tobytes().decode("utf-32-le")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)


def _rows(memory: Any, max_length: int) -> np.ndarray:
    return np.frombuffer(memory.get_obj(), dtype="<i4").reshape(-1, max_length + 1)


@create_shared_memory.register
def _(space: TextSpace, n: int = 1, ctx: Any = None) -> Any:
    return ctx.Array("i", n * (space.max_length + 1))


@read_from_shared_memory.register
def _(space: TextSpace, shared_memory: Any, n: int = 1) -> Any:
    return SharedTexts(_rows(shared_memory, space.max_length))


@write_to_shared_memory.register
def _(space: TextSpace, index: int, value: str, shared_memory: Any) -> None:
    codes = np.frombuffer(value.encode("utf-32-le"), dtype="<i4")
    row = _rows(shared_memory, space.max_length)[index]
    row[0] = len(codes)
    row[1 : 1 + len(codes)] = codes
