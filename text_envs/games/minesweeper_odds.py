"""What the numbers on a minesweeper board tell: the layouts of its mines, counted exactly.

Unknown cells that border the same numbers are alike, so all that counts is how many mines such a
group holds. Groups are taken one after another. What matters of the groups before is only what
every number still needs and how many mines are left: layouts are counted by that, all at once, and
never written out one by one.
"""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np

UNKNOWN = b"#F"
"""Codes of the cells that have not been revealed: hidden, flagged."""

_BITS = 10
"""A state is one integer: ``_BITS`` bits for the mines left, then as many for every number's need.
They hold the mines of the largest board.
"""
_MASK = (1 << _BITS) - 1
_LEFT = 0
_ALL = -1
"""Where the mines left are in a state, and the number that stands for them: every cell borders it.
"""


class _Group(NamedTuple):
    """Unknown cells that border the same numbers."""

    cells: tuple[int, ...]
    touches: tuple[tuple[int, int], ...]
    """What the group's mines are taken from: its place in a state, in bits, and how many cells of
    later groups can take from it.
    """
    unit: int
    """What a mine takes from a state."""


class Layouts:
    """The layouts of ``mines`` mines that agree with what is shown.

    Args:
        view: a byte a cell, row by row: ``#`` or ``F`` unknown, ``0`` to ``8`` revealed.
        cols: cells in a row.
        mines: on the whole board.
    """

    def __init__(self, view: bytes, cols: int, mines: int) -> None:
        start, self._groups = _groups(view, cols, mines)
        self._before: list[dict[int, int]] = [{start: 1}]
        """Of each group: state -> ways to fill all groups before it."""
        for group in self._groups:
            after: Counter[int] = Counter()
            for state, ways in self._before[-1].items():
                for taken in _choices(group, state):
                    after[state - taken * group.unit] += ways * comb(len(group.cells), taken)
            self._before.append(after)
        self._after: list[dict[int, int]] = [{0: 1}]
        """Of each group: state -> ways to fill it and all groups after it."""
        for group, states in zip(self._groups[::-1], self._before[-2::-1], strict=True):
            onward = self._after[-1]
            self._after.append(
                {state: sum(ways for *_, ways in _ways(group, state, onward)) for state in states}
            )
        self._after.reverse()
        self.number = self._before[-1].get(0, 0)
        """How many there are; 0 where the numbers contradict each other."""

    def with_mine(self) -> dict[int, int]:
        """Unknown cell -> how many of the layouts have a mine there."""
        counts: dict[int, int] = {}
        for place, group in enumerate(self._groups):
            onward = self._after[place + 1]
            mines = sum(
                before * taken * ways
                for state, before in self._before[place].items()
                for taken, _, ways in _ways(group, state, onward)
            )
            counts |= dict.fromkeys(group.cells, mines // len(group.cells))
        return counts

    def sample(self, rng: np.random.Generator) -> set[int]:
        """Draw a layout, each with the same chance: the cells with mines. There must be one."""
        (state,) = self._before[0]
        mines: set[int] = set()
        for place, group in enumerate(self._groups):
            draw, chosen, after = rng.random() * self._after[place][state], 0, state
            for taken, left, ways in _ways(group, state, self._after[place + 1]):
                if ways:
                    chosen, after = taken, left
                draw -= ways
                if draw < 0:
                    break
            order = rng.permutation(len(group.cells))[:chosen].tolist()
            mines.update(group.cells[i] for i in order)
            state = after
        return mines


@lru_cache(maxsize=64)
def neighbours(rows: int, cols: int) -> tuple[tuple[int, ...], ...]:
    """Cell -> the cells around it, up to eight."""
    return tuple(
        tuple(
            r * cols + c
            for r in range(max(0, row - 1), min(rows, row + 2))
            for c in range(max(0, col - 1), min(cols, col + 2))
            if (r, c) != (row, col)
        )
        for row in range(rows)
        for col in range(cols)
    )


def _groups(view: bytes, cols: int, mines: int) -> tuple[int, list[_Group]]:
    """The state before the first group, and the groups in an order that keeps states few."""
    around = neighbours(len(view) // cols, cols)
    members: dict[tuple[int, ...], list[int]] = {}
    for cell, code in enumerate(view):
        if code in UNKNOWN:
            numbers = tuple(n for n in around[cell] if view[n] not in UNKNOWN)
            members.setdefault(numbers, []).append(cell)
    places = {number: _BITS * k for k, number in enumerate(dict.fromkeys(sum(members, ())), 1)}
    start = (mines << _LEFT) + sum((view[n] - ord("0")) << place for n, place in places.items())
    places[_ALL] = _LEFT
    groups, later = [], Counter[int]()
    for key in reversed(_ordered(list(members))):
        cells, numbers = members[key], (*key, _ALL)
        touches = tuple((places[number], later[number]) for number in numbers)
        unit = sum(1 << places[number] for number in numbers)
        groups.append(_Group(tuple(cells), touches, unit))
        later.update(dict.fromkeys(numbers, len(cells)))
    return start, groups[::-1]


def _ordered(keys: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Order groups, given by the numbers that they border: next comes always one that leaves the
    fewest numbers half done, beside one before it where it can; cells that border none come last.
    """
    waiting = Counter(number for key in keys for number in key)
    begun: dict[int, int] = {}
    order, rest = [], [key for key in keys if key]

    def cost(key: tuple[int, ...]) -> tuple[bool, int, int]:
        latest = max(begun.get(number, -1) for number in key)
        left = sum((number not in begun) - (waiting[number] == 1) for number in key)
        return latest < 0, left, -latest

    while rest:
        key = min(rest, key=cost)
        rest.remove(key)
        begun.update(dict.fromkeys(key, len(order)))
        waiting.subtract(key)
        order.append(key)
    return order + [key for key in keys if not key]


def _choices(group: _Group, state: int) -> range:
    """How many mines the group can hold."""
    most, least = len(group.cells), 0
    for place, later in group.touches:
        need = state >> place & _MASK
        most = min(most, need)
        least = max(least, need - later)
    return range(least, most + 1)


def _ways(group: _Group, state: int, onward: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    """Of each choice: mines in the group, state after it, ways to fill it and all after it."""
    for taken in _choices(group, state):
        left = state - taken * group.unit
        yield taken, left, comb(len(group.cells), taken) * onward.get(left, 0)
