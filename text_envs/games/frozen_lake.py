"""Frozen lake: cross the ice to the goal without falling into a hole."""

from typing import NamedTuple


class FrozenLakeState(NamedTuple):
    """A lake and where the player is on it."""

    board: bytes
    """One byte a cell, ``_`` frozen, ``O`` hole, ``G`` goal; rows joined by a newline."""
    stride: int
    """Bytes from one row to the next: columns + 1."""
    player: int
    """Index into ``board``."""
