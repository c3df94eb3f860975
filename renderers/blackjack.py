"""Blackjack: both hands on green felt, however many cards they have; they overlap when they must.

Only what the player knows is drawn: the dealer's second card lies face down until the game is over.
"""

from functools import lru_cache

import numpy as np

from renderers import figures
from renderers import palette as p
from renderers.canvas import Canvas, Color
from renderers.dispatch import draw
from renderers.glyphs import line_mask
from text_envs.games.blackjack import CARDS, SUITS, BlackjackState

_WIDE, _HIGH = 8, 7  # tiles of the table
_CARD_WIDE, _CARD_HIGH = 1.6, 2.3
_EDGE = 0.12  # around a card, for its shadow
_LEFT, _GAP = 0.45, 0.2
_ROWS = (0.88, 4.06)  # upper edge of each hand
_BACK = len(CARDS)
_SIDE, _TOP, _THIRD = 0.2, 0.62, 0.62 / 3
_PIPS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "2": ((), (-_TOP, _TOP)),
    "3": ((), (-_TOP, 0, _TOP)),
    "4": ((-_TOP, _TOP), ()),
    "5": ((-_TOP, _TOP), (0,)),
    "6": ((-_TOP, 0, _TOP), ()),
    "7": ((-_TOP, 0, _TOP), (-_TOP / 2,)),
    "8": ((-_TOP, 0, _TOP), (-_TOP / 2, _TOP / 2)),
    "9": ((-_TOP, -_THIRD, _THIRD, _TOP), (0,)),
    "10": ((-_TOP, -_THIRD, _THIRD, _TOP), (-2 * _THIRD, 2 * _THIRD)),
}
"""Rank -> heights of the signs at both sides, and of those in the middle, from a card's centre."""


@draw.register
def draw_blackjack(state: BlackjackState, tile: int = 32) -> np.ndarray:
    """Draw the dealer's hand above the player's. The picture's shape is always the same."""
    picture = _table(tile).copy()
    dealer = state.dealer if state.over else bytes([state.dealer[0], _BACK])
    for hand, y in zip((dealer, state.player), _ROWS, strict=True):
        room, gaps = _WIDE - 2 * _LEFT - _CARD_WIDE, len(hand) - 1
        step = min(_CARD_WIDE + _GAP, room / max(1, gaps))
        x = _LEFT + (room - gaps * step) / 2
        for place, card in enumerate(hand):
            _lay(picture, card, x + place * step, y, tile)
    return picture


def _lay(picture: np.ndarray, card: int, x: float, y: float, tile: int) -> None:
    """Put a card with its upper left corner at (``x``, ``y``), in tiles."""
    ink = _card(card, tile)
    top, left = round((y - _EDGE) * tile), round((x - _EDGE) * tile)
    region = picture[top : top + ink.shape[0], left : left + ink.shape[1]]
    region[:] = ink + (region * _through(tile) + 127) // 255


@lru_cache(maxsize=8)
def _table(tile: int) -> np.ndarray:
    canvas = Canvas(_WIDE, _HIGH, tile, p.WOOD_DARK)
    canvas.rectangle(
        0.06, 0.06, _WIDE - 0.12, _HIGH - 0.12, p.WOOD_LOW, radius=0.42, to=p.WOOD_DARK
    )
    canvas.rectangle(0.2, 0.2, _WIDE - 0.4, _HIGH - 0.4, p.SHADOW, radius=0.34)
    canvas.rectangle(0.22, 0.24, _WIDE - 0.44, _HIGH - 0.46, p.FELT, radius=0.32, to=p.FELT_LOW)
    for label, y in zip(("Dealer", "You"), _ROWS, strict=True):
        mask = line_mask(label, round(0.5 * canvas.unit))
        canvas.stamp(mask, _LEFT + 0.05, y - 0.54, p.FELT_INK)
        length = mask.shape[1] / canvas.unit
        middle = y - 0.28
        canvas.line(
            [(_LEFT + 0.2 + length, middle), (_WIDE - _LEFT, middle)], p.FELT_INK, 0.03, alpha=90
        )
    return canvas.picture()


@lru_cache(maxsize=512)
def _card(card: int, tile: int) -> np.ndarray:
    """What a card adds to a picture, uint16 ``[h, w, 3]``: the card painted on black."""
    canvas = _outline(tile, (0, 0, 0))
    if card == _BACK:
        _back(canvas)
    else:
        _face(canvas, card)
    return canvas.picture().astype(np.uint16)


@lru_cache(maxsize=8)
def _through(tile: int) -> np.ndarray:
    """How much of a picture is seen through a card and its shadow, 0 to 255: uint16 ``[h, w, 3]``,
    what lies between a card painted on white and the same on black.
    """
    white, black = (_outline(tile, (v, v, v)).picture().astype(np.uint16) for v in (255, 0))
    return white - black


def _outline(tile: int, background: Color) -> Canvas:
    wide, high = _CARD_WIDE, _CARD_HIGH
    canvas = Canvas(wide + 2 * _EDGE, high + 2 * _EDGE, tile, background)
    canvas.rectangle(
        _EDGE + 0.01, _EDGE + 0.03, wide, high, p.SHADOW, radius=0.16, alpha=120, blur=0.025
    )
    canvas.rectangle(_EDGE, _EDGE, wide, high, p.CARD_EDGE, radius=0.16)
    canvas.rectangle(_EDGE + 0.02, _EDGE + 0.02, wide - 0.04, high - 0.04, p.CARD, radius=0.14)
    return canvas


def _face(canvas: Canvas, card: int) -> None:
    rank, _, suit = CARDS[card].split()
    color = p.RED_LOW if suit in SUITS[1:3] else p.INK
    x, y = _EDGE + _CARD_WIDE / 2, _EDGE + _CARD_HIGH / 2
    if rank in "JQK":
        _court(canvas, rank, suit, color)
    elif rank == "A":
        _suit(canvas, suit, x, y, 0.5, color)
    sides, middle = _PIPS.get(rank, ((), ()))
    pips = [(side, dy) for side in (-_SIDE, _SIDE) for dy in sides] + [(0, dy) for dy in middle]
    for dx, dy in pips:
        _suit(canvas, suit, x + dx, y + dy, 0.15, color, flipped=dy > 0)
    for turned in (False, True):
        _corner(canvas, rank, suit, color, turned)


def _corner(canvas: Canvas, rank: str, suit: str, color: Color, turned: bool) -> None:
    """Rank and suit at the upper left, or upside down at the lower right."""
    size = 0.48 if len(rank) == 1 else 0.36
    mask = line_mask(rank, round(size * canvas.unit))
    across = mask.shape[1] / canvas.unit / 2
    x, y, sign = _EDGE + 0.22, _EDGE, 1
    if turned:
        x, y, sign = 2 * _EDGE + _CARD_WIDE - x, y + _CARD_HIGH, -1
        mask = mask[::-1, ::-1]
    canvas.stamp(mask, x - across, y + sign * 0.3 - size / 2, color)
    _suit(canvas, suit, x, y + sign * 0.66, 0.14, color, flipped=turned)


def _back(canvas: Canvas) -> None:
    x, y, wide, high = (_EDGE + 0.1, _EDGE + 0.1, _CARD_WIDE - 0.2, _CARD_HIGH - 0.2)
    canvas.rectangle(x, y, wide, high, p.BLUE, radius=0.1, to=p.BLUE_LOW)
    columns, rows = 4, 6
    for row in range(rows):
        for column in range(columns):
            at_x = x + (column + 0.5) * wide / columns
            at_y = y + (row + 0.5) * high / rows
            figures.sparkle(canvas, at_x, at_y, 0.15, p.ICE_EDGE)
    canvas.ellipse(x + wide / 2, y + high / 2, 0.36, 0.36, p.CARD)
    canvas.ellipse(x + wide / 2, y + high / 2, 0.31, 0.31, p.BLUE_LOW)
    mask = line_mask("?", round(0.62 * canvas.unit))
    across = mask.shape[1] / canvas.unit
    canvas.stamp(mask, x + (wide - across) / 2, y + high / 2 - 0.31, p.CARD)


def _court(canvas: Canvas, rank: str, suit: str, color: Color) -> None:
    """Jack, queen or king, in the coat of the suit."""
    x, y = _EDGE + _CARD_WIDE / 2, _EDGE + 0.5
    canvas.rectangle(x - 0.42, _EDGE + 0.24, 0.84, 1.7, p.STONE, radius=0.1)
    coat, coat_low = (p.RED, p.RED_LOW) if color == p.RED_LOW else (p.BLUE, p.BLUE_LOW)
    canvas.rectangle(x - 0.42, y + 0.76, 0.84, 0.8, coat, radius=0.24, to=coat_low)
    canvas.rectangle(x - 0.44, y + 1.34, 0.88, 0.24, p.CARD)
    canvas.polygon([(x - 0.12, y + 0.7), (x + 0.12, y + 0.7), (x, y + 1.0)], p.CARD)
    if rank == "Q":
        canvas.rectangle(x - 0.32, y + 0.28, 0.64, 0.6, p.WOOD_DARK, radius=0.26)
    figures.head(canvas, x, y + 0.1)
    if rank == "K":
        canvas.ellipse(x, y + 0.71, 0.15, 0.09, p.WOOD_DARK)
    if rank == "J":
        canvas.rectangle(x - 0.3, y + 0.17, 0.6, 0.16, coat_low, radius=0.08)
        canvas.line([(x + 0.12, y + 0.22), (x + 0.26, y + 0.06), (x + 0.3, y - 0.12)], p.GOLD, 0.07)
    else:
        high = 0.3 if rank == "K" else 0.2
        base, width = y + 0.32, 0.26
        spikes = [(x - width, base), (x - width - 0.02, base - high)]
        spikes += [(x - width / 2, base - high * 0.45), (x, base - high * 1.15)]
        spikes += [(x + width / 2, base - high * 0.45), (x + width + 0.02, base - high)]
        canvas.polygon([*spikes, (x + width, base)], p.GOLD, to=p.GOLD_LOW)
        canvas.ellipse(x, base - high * 1.15, 0.045, 0.045, p.RED)
    _suit(canvas, suit, x, y + 1.15, 0.16, p.CARD)


def _suit(
    canvas: Canvas, suit: str, x: float, y: float, size: float, color: Color, flipped: bool = False
) -> None:
    """Draw the sign of a suit, at most ``size`` from its middle in each direction."""
    up = -size if flipped else size

    def disc(dx: float, dy: float, radius: float) -> None:
        canvas.ellipse(x + dx * size, y + dy * up, radius * size, radius * size, color)

    def shape(*points: tuple[float, float]) -> None:
        canvas.polygon([(x + dx * size, y + dy * up) for dx, dy in points], color)

    if suit == "diamonds":
        shape((0, -1), (0.76, 0), (0, 1), (-0.76, 0))
        return
    if suit == "hearts":
        disc(-0.44, -0.4, 0.49)
        disc(0.44, -0.4, 0.49)
        shape((-0.89, -0.22), (0, -0.4), (0.89, -0.22), (0, 0.95))
        return
    if suit == "spades":
        disc(-0.42, 0.22, 0.46)
        disc(0.42, 0.22, 0.46)
        shape((-0.84, 0.05), (0, -0.95), (0.84, 0.05), (0, 0.4))
    else:
        disc(0, -0.48, 0.44)
        disc(-0.48, 0.2, 0.44)
        disc(0.48, 0.2, 0.44)
        disc(0, 0, 0.3)
    shape((-0.1, 0.1), (0.1, 0.1), (0.34, 0.95), (-0.34, 0.95))
