"""TextSokoban: push every box onto a target."""

from typing import NamedTuple

WALL = b"#"
FLOOR = b"_"
TARGET = b"O"
BOX = b"X"
BOX_ON_TARGET = b"*"
PLAYER = b"P"
PLAYER_ON_TARGET = b"S"


class SokobanState(NamedTuple):
    """A position."""

    board: bytes
    """One byte a cell (the codes above), rows joined by a newline byte."""
    stride: int
    """From a cell to the one below it: columns + 1."""
