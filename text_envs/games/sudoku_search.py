"""Sudoku grids: solving them, and digging holes in full ones.

The search works on one integer a digit, whose bits are the cells where that digit may still stand:
a few operations look at all cells at once. It fills in every cell with one digit left and every
digit with one place left in a row, column or box, and branches where these don't help.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
"""Size -> rows and columns of a box."""
MAX_EMPTY = {4: 12, 6: 26, 9: 56}
"""Size -> holes that full boards, drawn one after another, soon have room for (9x9: one in eleven).
"""
MAX_DIGS = 1_000
MAX_BRANCHES = 5_000
"""Where ``solutions`` gives up. Published puzzles of the hardest kind take a few hundred."""
_ANY = 10**9
"""As many branches as it takes: holes are dug one by one, so that hardly any are needed."""


class Geometry(NamedTuple):
    """What belongs together on a board. A set of cells is an integer, bit ``i`` for cell ``i``."""

    size: int
    full: int
    """All cells."""
    units: tuple[int, ...]
    """Rows, then columns, then boxes, each a set of cells."""
    own: tuple[tuple[int, int, int], ...]
    """Cell -> its row, column and box."""
    peers: tuple[int, ...]
    """Cell -> all others in its row, column and box."""


class TooHard(ValueError):
    """The search gave up."""


@lru_cache(maxsize=len(BOXES))
def geometry(size: int) -> Geometry:
    """Lay out the board of one of the sizes in ``BOXES``."""
    high, wide = BOXES[size]
    units = [0] * (3 * size)
    places = []
    for cell in range(size * size):
        row, col = divmod(cell, size)
        box = row // high * high + col // wide
        places.append((row, size + col, 2 * size + box))
        for unit in places[-1]:
            units[unit] |= 1 << cell
    own = tuple((units[row], units[col], units[box]) for row, col, box in places)
    peers = tuple((r | c | b) & ~(1 << cell) for cell, (r, c, b) in enumerate(own))
    return Geometry(size, (1 << size * size) - 1, tuple(units), own, peers)


def solutions(cells: bytes, size: int) -> Iterator[bytes]:
    """Give every way to fill the empty cells (0) of a board, one after another.

    The digits that are there must not repeat in a row, column or box. Raises ``TooHard`` where it
    takes more than ``MAX_BRANCHES`` branches to the next.
    """
    board = geometry(size)
    placed = [0] * size
    for cell, digit in enumerate(cells):
        if digit:
            placed[digit - 1] |= 1 << cell
    digits = tuple(range(size))
    options, done = _options(board, placed), sum(placed)
    for solved in _search(board, options, done, [digits] * len(cells), [MAX_BRANCHES]):
        yield _filled(solved, size)


def draw_puzzle(rng: np.random.Generator, size: int, empty: int) -> tuple[bytes, bytes] | None:
    """Draw a board with ``empty`` holes that can be filled in one way only: (board, solution).
    ``None`` where none of ``MAX_DIGS`` full boards had room for so many.
    """
    for _ in range(MAX_DIGS):
        solution = _draw_solution(rng, size)
        cells = _dig(rng, solution, size, empty)
        if cells is not None:
            return cells, solution
    return None


def _draw_solution(rng: np.random.Generator, size: int) -> bytes:
    """Draw a full board: the boxes on the diagonal at random, then whatever fits, every cell trying
    its digits in an order of its own.
    """
    board = geometry(size)
    high, wide = BOXES[size]
    while True:  # below 9x9, boxes that don't see each other may still not go together
        orders = rng.random((size * size, size)).argsort(axis=1).tolist()
        placed = [0] * size
        for k in range(min(size // high, size // wide)):
            corner = k * (high * size + wide)
            box = [corner + row * size + col for row in range(high) for col in range(wide)]
            for cell, digit in zip(box, orders[corner], strict=True):
                placed[digit] |= 1 << cell
        options = _options(board, placed)
        for solved in _search(board, options, sum(placed), orders, [_ANY]):
            return _filled(solved, size)


def _dig(rng: np.random.Generator, solution: bytes, size: int, empty: int) -> bytes | None:
    """Empty cells in random order, all but those that would let in a second solution."""
    board = geometry(size)
    placed = [0] * size
    for cell, digit in enumerate(solution):
        placed[digit - 1] |= 1 << cell
    blocked = [_blocked(board, cells) for cells in placed]
    holes, left = bytearray(solution), empty
    for cell in rng.permutation(size * size).tolist():
        bit, digit = 1 << cell, solution[cell] - 1
        fewer = placed[digit] ^ bit
        reach = _blocked(board, fewer)
        before = placed[digit], blocked[digit]
        placed[digit], blocked[digit] = fewer, reach
        if not _forced(board, placed, blocked, cell, digit):
            placed[digit], blocked[digit] = before
            continue
        holes[cell] = 0
        left -= 1
        if not left:
            return bytes(holes)
    return None


def _forced(board: Geometry, placed: list[int], blocked: list[int], cell: int, digit: int) -> bool:
    """Tell whether ``cell``, just emptied on a board with one solution, can hold ``digit`` only."""
    bit = 1 << cell
    if all(blocked[d] & bit for d in range(board.size) if d != digit):
        return True
    vacant = board.full & ~sum(placed)
    places = vacant & ~blocked[digit]
    if any(places & unit == bit for unit in board.own[cell]):
        return True
    options = [p | vacant & ~b for p, b in zip(placed, blocked, strict=True)]
    options[digit] &= ~bit
    orders = [range(board.size)] * board.size**2
    return next(_search(board, options, board.full & ~vacant, orders, [_ANY]), None) is None


def _blocked(board: Geometry, cells: int) -> int:
    """Cells that see one of ``cells``."""
    blocked = 0
    while cells:
        low = cells & -cells
        blocked |= board.peers[low.bit_length() - 1]
        cells ^= low
    return blocked


def _options(board: Geometry, placed: list[int]) -> list[int]:
    """Digit -> cells where it stands or may stand, as far as those in its sight tell."""
    vacant = board.full & ~sum(placed)
    return [cells | vacant & ~_blocked(board, cells) for cells in placed]


def _search(
    board: Geometry,
    options: list[int],
    done: int,
    orders: Sequence[Sequence[int]],
    budget: list[int],
) -> Iterator[list[int]]:
    """Give every solution, as ``options`` with one digit a cell. ``done``: cells whose digit has
    been struck out in their sight; ``orders``: cell -> its digits, in the order to try;
    ``budget``: branches left to the next solution.
    """
    settled = _settle(board, options, done)
    if settled is None:
        return
    if settled == board.full:
        budget[0] = MAX_BRANCHES
        yield options
        return
    bit = _fewest(board, options, settled)
    for digit in orders[bit.bit_length() - 1]:
        if options[digit] & bit:
            budget[0] -= 1
            if budget[0] < 0:
                raise TooHard(f"not solved within {MAX_BRANCHES} branches")
            tried = [cells & ~bit for cells in options]
            tried[digit] |= bit
            yield from _search(board, tried, settled, orders, budget)


def _settle(board: Geometry, options: list[int], done: int) -> int | None:
    """Fill in, in place, what has one place or one digit left: the cells that are done then;
    ``None`` where a cell or a digit has nowhere to go.
    """
    full, peers = board.full, board.peers
    while True:
        once = twice = 0
        for cells in options:
            twice |= once & cells
            once |= cells
        if once != full:
            return None
        single = full & ~twice & ~done
        if not single:
            if done == full:
                return done
            found = _lonely(board, options, done)
            if found is None:
                return None
            if not found:
                return done
            continue
        done |= single
        for digit, cells in enumerate(options):
            fresh = cells & single
            while fresh:
                low = fresh & -fresh
                fresh ^= low
                options[digit] &= ~peers[low.bit_length() - 1]


def _lonely(board: Geometry, options: list[int], done: int) -> bool | None:
    """Keep, in place, for every digit with one place left in a unit that digit alone there. Tells
    whether there was one; ``None`` where a digit has no place.
    """
    found = False
    for digit, cells in enumerate(options):
        if not cells & ~done:
            if cells.bit_count() < board.size:
                return None
            continue
        for unit in board.units:
            here = cells & unit
            if here & (here - 1):
                continue
            if not here:
                return None
            if not here & done:
                for other in range(board.size):
                    if other != digit:
                        options[other] &= ~here
                done |= here
                found = True
    return found


def _fewest(board: Geometry, options: list[int], done: int) -> int:
    """First of the cells with the fewest digits left, as a set."""
    at_least = [board.full & ~done] + [0] * board.size
    for cells in options:
        for k in range(board.size, 0, -1):
            at_least[k] |= at_least[k - 1] & cells
    for k in range(2, board.size):
        exactly = at_least[k] & ~at_least[k + 1]
        if exactly:
            return exactly & -exactly
    return at_least[board.size] & -at_least[board.size]


def _filled(options: list[int], size: int) -> bytes:
    cells = bytearray(size * size)
    for digit, places in enumerate(options, 1):
        while places:
            low = places & -places
            cells[low.bit_length() - 1] = digit
            places ^= low
    return bytes(cells)
