"""A small painter: shapes rasterised by pygame at four times the size, blended and averaged in
integers.

pygame's own blending and scaling pick different code on different processors and may differ in the
last bit. Here pygame only rasterises opaque shapes; everything after that is integer arithmetic, so
a picture is the same on every machine. No display and no video driver is involved.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pygame

Color = tuple[int, int, int]
Point = tuple[float, float]

OVERSAMPLING = 4
_WHITE = (255, 255, 255)


class Canvas:
    """A picture of ``columns`` x ``rows`` tiles; all coordinates and lengths are in tiles, from the
    upper left corner.

    Every shape takes a colour, an ``alpha`` of 0 to 255, a second colour ``to`` (a vertical
    gradient, from the shape's top to its bottom) and a ``blur`` radius that makes a soft shadow or
    a glow of it.
    """

    def __init__(self, columns: float, rows: float, tile: int, background: Color) -> None:
        self.unit = tile * OVERSAMPLING
        self.width, self.height = round(columns * tile), round(rows * tile)
        shape = (self.height * OVERSAMPLING, self.width * OVERSAMPLING, 3)
        self._pixels = np.full(shape, background, np.int32)

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: Color,
        *,
        radius: float = 0.0,
        to: Color | None = None,
        alpha: int = 255,
        blur: float = 0.0,
    ) -> None:
        """Fill a rectangle with corners rounded by ``radius``."""
        u = self.unit

        def paint(surface: pygame.Surface, left: int, top: int) -> None:
            box = pygame.Rect(round(x * u) - left, round(y * u) - top, 0, 0)
            box.width = round((x + width) * u) - round(x * u)
            box.height = round((y + height) * u) - round(y * u)
            pygame.draw.rect(surface, _WHITE, box, border_radius=round(radius * u))

        self._fill((x, y, x + width, y + height), paint, color, to, alpha, blur)

    def ellipse(
        self,
        x: float,
        y: float,
        across: float,
        down: float,
        color: Color,
        *,
        to: Color | None = None,
        alpha: int = 255,
        blur: float = 0.0,
    ) -> None:
        """Fill an ellipse around (``x``, ``y``) with the half-axes ``across`` and ``down``."""
        u = self.unit

        def paint(surface: pygame.Surface, left: int, top: int) -> None:
            size = (max(1, round(2 * across * u)), max(1, round(2 * down * u)))
            corner = (round((x - across) * u) - left, round((y - down) * u) - top)
            pygame.draw.ellipse(surface, _WHITE, (corner, size))

        self._fill((x - across, y - down, x + across, y + down), paint, color, to, alpha, blur)

    def polygon(
        self,
        points: Sequence[Point],
        color: Color,
        *,
        to: Color | None = None,
        alpha: int = 255,
        blur: float = 0.0,
    ) -> None:
        """Fill a polygon."""
        u = self.unit

        def paint(surface: pygame.Surface, left: int, top: int) -> None:
            corners = [(round(x * u) - left, round(y * u) - top) for x, y in points]
            pygame.draw.polygon(surface, _WHITE, corners)

        xs, ys = [p[0] for p in points], [p[1] for p in points]
        self._fill((min(xs), min(ys), max(xs), max(ys)), paint, color, to, alpha, blur)

    def line(
        self, points: Sequence[Point], color: Color, width: float, *, alpha: int = 255
    ) -> None:
        """Draw a line through ``points``, ``width`` wide, with round ends and joints."""
        u, half = self.unit, width / 2

        def paint(surface: pygame.Surface, left: int, top: int) -> None:
            at = [(round(x * u) - left, round(y * u) - top) for x, y in points]
            for (x0, y0), (x1, y1) in pairwise(at):
                length = max(1.0, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
                dx, dy = (y1 - y0) / length * half * u, (x0 - x1) / length * half * u
                corners = [(x0 + dx, y0 + dy), (x1 + dx, y1 + dy)]
                corners += [(x1 - dx, y1 - dy), (x0 - dx, y0 - dy)]
                pygame.draw.polygon(surface, _WHITE, corners)
            for x, y in at:
                pygame.draw.circle(surface, _WHITE, (x, y), max(1, round(half * u)))

        xs, ys = [p[0] for p in points], [p[1] for p in points]
        box = (min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half)
        self._fill(box, paint, color, None, alpha, 0.0)

    def stamp(self, mask: np.ndarray, x: float, y: float, color: Color) -> None:
        """Colour what ``mask`` covers: uint8 ``[h, w]`` at the oversampled size, its upper left
        corner at (``x``, ``y``). What lies outside is cut off.
        """
        self._blend(round(x * self.unit), round(y * self.unit), mask.astype(np.int32), color)

    def picture(self) -> np.ndarray:
        """Return the picture, uint8 ``[H, W, 3]``."""
        k = OVERSAMPLING
        blocks = self._pixels.reshape(self.height, k, self.width, k, 3).sum(axis=(1, 3))
        return ((blocks + k * k // 2) // (k * k)).astype(np.uint8)

    def _fill(
        self,
        box: tuple[float, float, float, float],
        paint: Callable[[pygame.Surface, int, int], None],
        color: Color,
        to: Color | None,
        alpha: int,
        blur: float,
    ) -> None:
        reach = round(blur * self.unit)
        margin = 3 * reach + 2  # three box blurs spread a shape by three radii
        left, top = (int(v * self.unit) - margin for v in box[:2])
        right, bottom = (int(v * self.unit) + 1 + margin for v in box[2:])
        surface = pygame.Surface((right - left, bottom - top), depth=32)
        paint(surface, left, top)
        mask = pygame.surfarray.array_red(surface).T.astype(np.int32)
        for _ in range(3 if reach else 0):
            mask = _box_blur(_box_blur(mask, reach).T, reach).T
        fill = color if to is None else _gradient(mask, color, to)
        self._blend(left, top, mask * alpha // 255, fill)

    def _blend(self, left: int, top: int, mask: np.ndarray, color: Color | np.ndarray) -> None:
        """Move what lies under ``mask`` ``[h, w]``, 0 to 255, towards ``color``, a colour or
        ``[h, 1, 3]``.
        """
        height, width = self._pixels.shape[:2]
        rows = slice(max(0, -top), max(0, height - top))
        mask = mask[rows, max(0, -left) : max(0, width - left)]
        color = np.asarray(color, np.int32)
        color = color[rows] if color.ndim == 3 else color
        region = self._pixels[max(0, top) :, max(0, left) :][: mask.shape[0], : mask.shape[1]]
        region += ((color - region) * mask[..., None] + 127) // 255


def _gradient(mask: np.ndarray, color: Color, to: Color) -> np.ndarray:
    """Colours ``[h, 1, 3]`` from ``color`` at the mask's first row to ``to`` at its last."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = (rows[0], rows[-1]) if len(rows) else (0, 0)
    along = np.clip(np.arange(len(mask)) - first, 0, last - first)[:, None, None]
    start, end = np.asarray(color), np.asarray(to)
    return start + (end - start) * along // max(1, last - first)


def _box_blur(mask: np.ndarray, radius: int) -> np.ndarray:
    """Average every pixel with its neighbours in the row up to ``radius`` away."""
    padded = np.pad(mask, ((0, 0), (radius + 1, radius)))
    sums = padded.cumsum(axis=1)
    width = 2 * radius + 1
    return (sums[:, width:] - sums[:, :-width]) // width


def plate(width: int, height: int, face: Color, paper: Color, radius: int) -> np.ndarray:
    """A rounded rectangle of any size, in pixels: only its corners are painted."""
    picture = np.full((height, width, 3), face, np.uint8)
    corners = _disc(face, paper, radius)
    for rows in (slice(None, radius), slice(-radius, None)):
        for columns in (slice(None, radius), slice(-radius, None)):
            picture[rows, columns] = corners[rows, columns]
    return picture


@lru_cache(maxsize=64)
def _disc(face: Color, paper: Color, radius: int) -> np.ndarray:
    canvas = Canvas(2 * radius, 2 * radius, 1, paper)
    canvas.ellipse(radius, radius, radius, radius, face)
    return canvas.picture()
