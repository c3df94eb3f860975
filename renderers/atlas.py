"""Pictures put together from tiles that were drawn once.

A pixel row of a tile is one NumPy item (a void of 3 * tile bytes), so a whole board is a single
``take``: no blitting, no loop, no lock.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np


class Atlas:
    """Tiles of equal size, numbered from 0.

    Args:
        tiles: uint8 ``[h, w, 3]`` each.
    """

    def __init__(self, tiles: Sequence[np.ndarray]) -> None:
        self.height, self.width = tiles[0].shape[:2]
        self._row = np.dtype((np.void, 3 * self.width))
        stacked = np.stack(tiles, axis=1).reshape(self.height, len(tiles), 3 * self.width)
        self._rows = stacked.view(self._row).reshape(-1)
        self._offsets = (np.arange(self.height) * len(tiles))[None, :, None]

    def assemble(self, numbers: np.ndarray) -> np.ndarray:
        """Put tile ``numbers`` ``[rows, columns]`` together: a new uint8 picture
        ``[rows * h, columns * w, 3]`` that belongs to the caller.
        """
        rows, columns = numbers.shape
        picture = np.empty((rows * self.height, columns * self.width, 3), np.uint8)
        items = picture.reshape(rows, self.height, 3 * columns * self.width).view(self._row)
        # "clip" writes straight into ``out``; the default would go through a buffer
        self._rows.take(numbers[:, None, :] + self._offsets, out=items, mode="clip")
        return picture


def numbers_of(board: bytes, stride: int, codes: bytes) -> np.ndarray:
    """Read a board (rows joined by newlines, ``stride`` bytes from row to row) as the places of its
    cells in ``codes``: uint8 ``[rows, columns]``. Raises ``ValueError`` for any other code.
    """
    flat = np.frombuffer(board.translate(_table(codes), b"\n"), np.uint8)
    if flat.max() == _UNKNOWN:
        raise ValueError(f"board {board!r} has a cell that is none of {codes!r}")
    return flat.reshape(-1, stride - 1)


_UNKNOWN = 255


@cache
def _table(codes: bytes) -> bytes:
    places = [codes.find(code) for code in range(256)]
    return bytes(place if place >= 0 else _UNKNOWN for place in places)
