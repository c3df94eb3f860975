"""Text as a picture: what is drawn for a game that has no drawer of its own."""

import dataclasses
from functools import lru_cache
from math import ceil, sqrt
from typing import Any

import numpy as np

from renderers import palette as p
from renderers.atlas import Atlas
from renderers.canvas import Color, plate
from renderers.glyphs import cell_glyph, wrap_cells

_LARGEST = (96, 48)
_SMALLEST = (16, 8)
_SHRINK = (1.0, 0.85, 0.7, 0.6, 0.5)
_LEGIBLE = 9


def draw_text(text: str, tile: int = 32, capacity: int | None = None) -> np.ndarray:
    """Draw any text on a panel, in cells of equal width; a line is half a tile high.

    Args:
        text: any string. Long lines are wrapped; what can't be drawn is shown as a box.
        tile: the panel's sides are multiples of this many pixels.
        capacity: make the panel as large as any text of up to this many characters needs, so that
            every text of a game has a picture of one shape. A text that doesn't fit is written
            smaller, and cut off with an ellipsis where it would be too small to read. ``None``
            makes the panel as large as this text needs.

    Returns:
        The picture, uint8 ``[H, W, 3]``, the caller's own.
    """
    if capacity is None:
        lines = wrap_cells(text, _LARGEST[0], _LARGEST[1])
        columns, rows = max(4, *map(len, lines)), len(lines)
    else:
        columns = min(_LARGEST[0], max(_SMALLEST[0], ceil(1.6 * sqrt(capacity))))
        rows = min(_LARGEST[1], max(_SMALLEST[1], ceil(0.8 * sqrt(capacity))))
    wide, high = _cell(tile, 1.0)
    margin = tile // 2
    picture = _background(
        ceil((columns * wide + 2 * margin) / tile), ceil((rows * high + 2 * margin) / tile), tile
    ).copy()
    inner = picture[margin : len(picture) - margin, margin : picture.shape[1] - margin]
    cells = _fitted(text, inner.shape[1], inner.shape[0], tile)
    inner[: cells.shape[0], : cells.shape[1]] = cells
    return picture


def describe(state: Any) -> str:
    """Write a state as a field a line; values of several lines begin on a line of their own."""
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        fields = {name: getattr(state, name) for name in type(state)._fields}  # pyright: ignore[reportAttributeAccessIssue] (a NamedTuple)
    elif dataclasses.is_dataclass(state):
        fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    else:
        return _value(state)
    written = {name: _value(value) for name, value in fields.items()}
    body = [f"{n}:\n{v}" if "\n" in v else f"{n}: {v}" for n, v in written.items()]
    return "\n".join([type(state).__name__, *body])


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else repr(value)


def _cell(tile: int, scale: float) -> tuple[int, int]:
    """Width and height of a character's cell in pixels."""
    high = max(_LEGIBLE, round(tile / 2 * scale))
    return ceil(high * 0.55), high


def _fitted(text: str, width: int, height: int, tile: int) -> np.ndarray:
    """Write ``text`` in the largest size that fits; cut it off at the smallest."""
    cells = [_cell(tile, scale) for scale in _SHRINK]
    fitting = (c for c in cells if _fits(text, width // c[0], height // c[1]))
    wide, high = next(fitting, cells[-1])
    lines = wrap_cells(text, width // wide, height // high)
    return text_cells(lines, wide, high, p.CLOUD, p.NIGHT)


def _fits(text: str, columns: int, rows: int) -> bool:
    return len(wrap_cells(text, columns, rows + 1)) <= rows


def text_cells(lines: list[str], wide: int, high: int, color: Color, paper: Color) -> np.ndarray:
    """Draw lines of characters in cells: uint8 ``[len(lines) * high, columns * wide, 3]``."""
    columns = max(1, *map(len, lines))
    flat = "".join(line.ljust(columns) for line in lines)
    used = sorted(set(flat))
    places = {character: place for place, character in enumerate(used)}
    numbers = np.array([places[c] for c in flat]).reshape(len(lines), columns)
    return Atlas([_tinted(c, wide, high, color, paper) for c in used]).assemble(numbers)


@lru_cache(maxsize=4096)
def _tinted(character: str, wide: int, high: int, color: Color, paper: Color) -> np.ndarray:
    mask = cell_glyph(character, wide, high).astype(np.int32)[..., None]
    back = np.asarray(paper, np.int32)
    return (back + ((np.asarray(color) - back) * mask + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _background(columns: int, rows: int, tile: int) -> np.ndarray:
    picture = np.full((rows * tile, columns * tile, 3), p.NIGHT, np.uint8)
    edge, line, radius = tile // 8, max(1, tile // 16), max(1, tile // 6)
    outer = picture[edge : len(picture) - edge, edge : columns * tile - edge]
    outer[:] = plate(outer.shape[1], outer.shape[0], p.NIGHT_LINE, p.NIGHT, radius)
    inner = outer[line:-line, line:-line]
    inner[:] = plate(inner.shape[1], inner.shape[0], p.NIGHT, p.NIGHT_LINE, radius)
    return picture
