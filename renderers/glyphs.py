"""Text: glyphs of the font that pygame brings along, measured and wrapped.

No system font is ever used, so that text looks the same everywhere. A glyph is drawn once for each
size and kept as a NumPy mask; lines are masks side by side, whose width is therefore exact.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
import pygame.font

from renderers.canvas import Color

SUBSTITUTES = str.maketrans(
    {
        **dict.fromkeys("─━═╌┄", "-"),
        **dict.fromkeys("│┃║╎┆", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬╭╮╯╰", "+"),
        **dict.fromkeys("█▓▒░■", "#"),
        **dict(zip("←→↑↓•√", "<>^v*√", strict=True)),
        "\t": "    ",
    }
)
"""What the font lacks and plain characters can stand for. Anything else that it lacks is drawn as
its empty box.
"""
_BOX = "\ufffd"  # not in the font: drawn as its empty box
ELLIPSIS = "…"

_lock = threading.Lock()  # FreeType's faces are not safe to share between threads


def _renew_lock() -> None:
    """Forget a lock that another thread held while this process was forked."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def printable(text: str) -> str:
    """Replace what can't be drawn: by what stands for it, else visibly by a box."""
    text = text.translate(SUBSTITUTES)
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else _BOX for c in text)


@lru_cache(maxsize=8192)
def glyph(character: str, height: int) -> np.ndarray:
    """Mask of a character, uint8 ``[height, w]``, with the font's own advance as its width."""
    with _lock:
        pygame.font.init()
        font = pygame.font.Font(
            None, max(1, height * 16 // 11)
        )  # pygame shrinks its own font by 11/16
        surface = font.render(character, True, (255, 255, 255), (0, 0, 0))
    mask = pygame.surfarray.array_red(surface).T
    padded = np.zeros((height, mask.shape[1]), np.uint8)
    top = max(0, (height - mask.shape[0]) // 2)
    padded[top : top + mask.shape[0]] = mask[: height - top]
    padded.flags.writeable = False
    return padded


@lru_cache(maxsize=8192)
def cell_glyph(character: str, width: int, height: int) -> np.ndarray:
    """Mask of a character in the middle of a fixed cell, uint8 ``[height, width]``; a wide one is
    squeezed.
    """
    mask = glyph(character, height)
    wide = mask.shape[1]
    if wide > width:  # every new column is the mean of the old ones that it covers
        spread = np.repeat(mask.astype(np.int32), width, axis=1).reshape(height, width, wide)
        mask = ((spread.sum(axis=2) + wide // 2) // wide).astype(np.uint8)
    cell = np.zeros((height, width), np.uint8)
    left = (width - mask.shape[1]) // 2
    cell[:, left : left + mask.shape[1]] = mask
    return cell


def line_mask(text: str, height: int) -> np.ndarray:
    """Mask of a line of text, uint8 ``[height, w]``."""
    masks = [glyph(c, height) for c in text]
    return np.concatenate(masks, axis=1) if masks else np.zeros((height, 0), np.uint8)


def width_of(text: str, height: int) -> int:
    """Width of a line of text in pixels."""
    return sum(glyph(c, height).shape[1] for c in text)


def wrap(text: str, width: int, height: int, most: int) -> list[str]:
    """Break text into at most ``most`` lines that fit ``width`` pixels, at spaces where there are
    any; the last line ends in an ellipsis if anything had to be left out.
    """
    return _wrapped(text, lambda c: glyph(c, height).shape[1], width, most)


def wrap_cells(text: str, columns: int, most: int) -> list[str]:
    """Break text as ``wrap`` does, into lines of at most ``columns`` characters."""
    return _wrapped(text, lambda _: 1, columns, most)


def _wrapped(text: str, measure: Callable[[str], int], width: int, most: int) -> list[str]:
    lines = list(islice(_lines(printable(text), measure, width), most + 1))
    if len(lines) <= most or not lines:
        return lines
    last = lines[most - 1]
    while last and sum(map(measure, last + ELLIPSIS)) > width:
        last = last[:-1]
    return [*lines[: most - 1], last + ELLIPSIS][:most]


def _lines(text: str, measure: Callable[[str], int], width: int) -> Iterator[str]:
    for paragraph in text.split("\n"):
        start = 0
        while (end := _fitting(paragraph, start, measure, width)) < len(paragraph):
            space = end if paragraph[end] == " " else paragraph.rfind(" ", start, end)
            cut = space if paragraph[start : max(start, space)].strip() else end
            yield paragraph[start:cut]
            start = cut + (paragraph[cut] == " ")
        yield paragraph[start:]


def _fitting(text: str, start: int, measure: Callable[[str], int], width: int) -> int:
    """End of the longest piece from ``start`` that fits; at least one character."""
    used = 0
    for end in range(start, len(text)):
        used += measure(text[end])
        if used > width and end > start:
            return end
    return len(text)


def fit(
    text: str,
    width: int,
    height: int,
    sizes: Sequence[int],
    leading: int = 0,
    whole: bool = False,
) -> tuple[list[str], int]:
    """Break text so that it fits ``width`` x ``height`` pixels in the first of ``sizes`` (heights
    of a line, falling; ``leading`` comes between two lines) that takes all of it, else cut it off
    at the last; with ``whole``, in the first that breaks no word, if there is one. Returns (lines,
    size).
    """
    rows = [max(1, (height + leading) // (size + leading)) for size in sizes]
    fitting = []
    for size, most in zip(sizes, rows, strict=True):
        lines = wrap(text, width, size, most + 1)
        if len(lines) <= most and all(width_of(line, size) <= width for line in lines):
            if not whole or " ".join(lines).split() == printable(text).split():
                return lines, size
            fitting.append((lines, size))
    return fitting[0] if fitting else (wrap(text, width, sizes[-1], rows[-1]), sizes[-1])


def write(picture: np.ndarray, mask: np.ndarray, x: int, y: int, color: Color) -> None:
    """Colour, in place, what ``mask`` covers with its upper left corner at (``x``, ``y``); what
    lies outside ``picture`` is cut off.
    """
    region = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    weight = mask[: region.shape[0], : region.shape[1], None].astype(np.int32)
    change = (np.asarray(color, np.int32) - region) * weight
    region += ((change + 127) // 255).astype(np.uint8)  # wraps round, and so does the sum
