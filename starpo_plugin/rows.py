"""Rows of the cache that ``SlotEngine`` keeps: what each holds, and how they are put in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(eq=False)
class Row:
    """What a row holds."""

    conversation: int
    replying: bool = False
    cached: list[int] = field(default_factory=list)
    """Tokens whose keys and values are in the cache."""
    ids: list[int] = field(default_factory=list)
    """All that comes before the reply."""
    limit: int = 0
    noise: Tensor | None = None
    since: int = 0
    """Step at which it was asked."""
    offset: int = 0
    """Its position is this plus the number of the step, while it is replying."""


def common_start(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of what two sequences begin with in common."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])


def ordered(size: int, blocks: Sequence[Sequence[int]]) -> list[int]:
    """Which row goes to each place, so that blocks come one after another; few rows move."""
    order: list[int | None] = [None] * size
    placed: set[int] = set()
    start = 0
    for block in blocks:
        places = range(start, start + len(block))
        stay = {row for row in block if row in places}
        moving = iter([row for row in block if row not in stay])
        for place in places:
            order[place] = place if place in stay else next(moving)
        placed.update(block)
        start += len(block)
    rest = [row for row in range(size) if row not in placed]
    for row in rest:
        if order[row] is None:
            order[row] = row
            placed.add(row)
    moving = iter([row for row in rest if row not in placed])
    return [next(moving) if row is None else row for row in order]
