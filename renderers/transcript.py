"""A moment of an episode as a picture: the board beside what was seen, thought, done, earned."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

import numpy as np

from renderers import palette as p
from renderers.canvas import Color, plate
from renderers.glyphs import fit, line_mask, printable, width_of, wrap, wrap_cells, write
from renderers.panel import text_cells

MARGIN = 20
PANEL_WIDTH = 460
MIN_HEIGHT = 560
_BOARD_SIDE = 400  # smaller boards are shown enlarged
_THOUGHT_SIZES = (17, 15, 13, 11)
_LEADING = 3
_CELL = (8, 14)
_LARGE_CELL = (10, 18)
_CHIP = 24
_CHIP_ROWS = 2
_RADIUS = 8


@dataclass(frozen=True)
class Frame:
    """What one picture of a video shows. Everything but the board may be left out."""

    picture: np.ndarray
    """The board, uint8 ``[h, w, 3]``."""
    title: str = ""
    """Of the episode."""
    heading: str = ""
    """Of this moment: which turn, which move."""
    observation: str = ""
    """Text that the player sees at this moment."""
    thought: str = ""
    """What it thought before it moved."""
    moves: tuple[str, ...] = ()
    """Moves of this turn, as it wrote them."""
    current: int = -1
    """Place in ``moves`` of the one just made; -1 before the first."""
    reward: float | None = None
    """Of the move just made."""
    total: float = 0.0
    """Rewards so far."""
    note: str = ""
    """What there is to say about it: an invalid move, the end."""


def compose(frame: Frame) -> np.ndarray:
    """Draw a frame: uint8 ``[H, W, 3]``, H and W even, the same for boards of the same shape.

    Texts of any length are wrapped and, where there is no room, written smaller and at last cut off
    with an ellipsis.
    """
    board = _enlarged(frame.picture)
    height = max(MIN_HEIGHT, _even(board.shape[0] + 2 * MARGIN))
    left = _even(board.shape[1] + 2 * MARGIN)
    picture = _backdrop(left + PANEL_WIDTH, height, left).copy()
    top = (height - board.shape[0]) // 2
    picture[top : top + board.shape[0], MARGIN : MARGIN + board.shape[1]] = board
    panel = picture[:, left + MARGIN // 2 : -MARGIN]
    _line(panel, frame.title, 16, 20, p.CLOUD)
    _line(panel, frame.heading, 42, 15, p.MIST)
    _sees_and_thinks(panel[76 : height - 190], frame)
    _does(panel[height - 182 : height - 104], frame)
    _earns(panel[height - 98 :], frame)
    return picture


def contact_sheet(frames: Sequence[Frame]) -> np.ndarray:
    """Draw the boards of an episode in a grid, each with its move and reward: ``[H, W, 3]``."""
    strip, gap = 22, 12
    tall, wide = frames[0].picture.shape[:2]
    columns = ceil(sqrt(len(frames) * (tall + strip) / wide))
    rows = ceil(len(frames) / columns)
    size = (rows * (tall + strip + gap) + gap, columns * (wide + gap) + gap, 3)
    sheet = np.full(size, p.NIGHT, np.uint8)
    for place, frame in enumerate(frames):
        y = gap + place // columns * (tall + strip + gap)
        x = gap + place % columns * (wide + gap)
        sheet[y : y + tall, x : x + wide] = frame.picture
        move = frame.moves[frame.current] if frame.current >= 0 else "start"
        reward = "" if frame.reward is None else f"  {_signed(frame.reward)}"
        _line(sheet[y + tall + 4 :, x : x + wide], f"{place}. {move}{reward}", 0, 15, p.CLOUD)
    return sheet


def _sees_and_thinks(region: np.ndarray, frame: Frame) -> None:
    y, bottom = 0, len(region)
    if frame.observation:
        share, (wide, high) = (0.5, _CELL) if frame.thought else (1.0, _LARGE_CELL)
        rows = max(1, (int(bottom * share) - 18) // high)
        lines = wrap_cells(frame.observation, region.shape[1] // wide, rows)
        _label(region, "SEES", 0)
        cells = text_cells(lines, wide, high, p.CLOUD, p.NIGHT_LIGHT)
        region[18 : 18 + len(cells), : cells.shape[1]] = cells
        y = 18 + len(cells) + 10
    if frame.thought and bottom - y > 40:
        _label(region, "THINKS", y)
        y += 18
        room = bottom - y
        lines, size = fit(frame.thought, region.shape[1], room, _THOUGHT_SIZES, _LEADING)
        for line in lines:
            _line(region, line, y, size, p.CLOUD)
            y += size + _LEADING


def _does(region: np.ndarray, frame: Frame) -> None:
    if not frame.moves:
        return
    _label(region, "DOES", 0)
    x, y, row = 0, 20, 0
    first = _first_chip(region.shape[1], frame)
    for place, move in list(enumerate(frame.moves))[first:]:
        text = wrap(move.replace("\n", " ") or " ", region.shape[1] - 24, 15, 1)[0]
        wide = width_of(text, 15) + 20
        if x + wide > region.shape[1]:
            x, y, row = 0, y + _CHIP + 6, row + 1
        if row == _CHIP_ROWS:
            break
        made = place == frame.current
        face, ink = (p.GOLD, p.INK) if made else (p.NIGHT_LINE, p.CLOUD)
        if place < frame.current:
            face, ink = p.NIGHT, p.MIST
        region[y : y + _CHIP, x : x + wide] = plate(wide, _CHIP, face, p.NIGHT_LIGHT, _RADIUS)
        write(region, line_mask(text, 15), x + 10, y + 5, ink)
        x += wide + 6


def _first_chip(width: int, frame: Frame) -> int:
    """First move to show, so that the one just made is among those for which there is room."""
    first, x, row = 0, 0, 0
    for place, move in enumerate(frame.moves[: frame.current + 1]):
        wide = min(width - 4, width_of(printable(move.replace("\n", " ")), 15) + 20)
        if x + wide > width:
            x, row = 0, row + 1
        if row == _CHIP_ROWS:
            first, row = place, 0
        x += wide + 6
    return first


def _earns(region: np.ndarray, frame: Frame) -> None:
    _label(region, "EARNS", 0)
    if frame.reward is not None:
        color = p.GREEN if frame.reward > 0 else p.RED if frame.reward < 0 else p.MIST
        _line(region, _signed(frame.reward), 18, 30, color)
    total = f"total {frame.total:.4g}"
    write(region, line_mask(total, 20), max(0, region.shape[1] - width_of(total, 20)), 24, p.CLOUD)
    for row, line in enumerate(wrap(frame.note, region.shape[1], 16, 2) if frame.note else ()):
        _line(region, line, 54 + 18 * row, 16, p.GOLD)


def _signed(value: float) -> str:
    return f"{value:+.4g}" if value else "0"


def _label(region: np.ndarray, text: str, y: int) -> None:
    _line(region, text, y, 13, p.TARGET_LIGHT)


def _line(region: np.ndarray, text: str, y: int, size: int, color: Color) -> None:
    """Write one line, cut off where it does not fit."""
    lines = wrap(text, region.shape[1], size, 1)
    write(region, line_mask(lines[0], size), 0, y, color)


def _even(length: int) -> int:
    return length + length % 2


def _enlarged(board: np.ndarray) -> np.ndarray:
    """Repeat the pixels of a small board a whole number of times."""
    times = max(1, _BOARD_SIDE // max(board.shape[:2]))
    return board.repeat(times, axis=0).repeat(times, axis=1)


@lru_cache(maxsize=8)
def _backdrop(width: int, height: int, left: int) -> np.ndarray:
    picture = np.full((height, width, 3), p.NIGHT, np.uint8)
    inner = picture[8:-8, left - MARGIN // 2 : -8]
    inner[:] = plate(inner.shape[1], inner.shape[0], p.NIGHT_LIGHT, p.NIGHT, _RADIUS)
    return picture
