"""Search in Sokoban on bitboards: exact distances, plans, and positions that are lost.

A set of cells is one Python integer. Bit 0 is the board's last cell, the next bit the cell before
it, and so on; rows are joined by one column that is never free, so that shifting by 1 or by
``stride`` moves a whole set at once and nothing wraps around. ``free`` is the set of cells that are
not walls; the rim of the board never belongs to it.

A position is a pair of sets: the boxes, and the player. The backward search expands all players of
one arrangement of boxes at once: a layer maps an arrangement to the cells on which the player is
that many moves from a win.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import lru_cache
from heapq import heappop, heappush
from math import comb
from threading import Lock
from typing import NamedTuple

Layer = dict[int, int]

MAX_EXPANSIONS = 50_000
"""Effort of one backward search: arrangements of boxes expanded, each once for every distance at
which it occurs. About 0.1 s on a 10x10 board.
"""
MAX_POSITIONS = 10_000
"""Effort of one forward search: positions found. About 2 s on a 12x12 board with 6 boxes."""
MAX_ARRANGEMENTS = 512
"""Levels with at most this many ways to place the boxes are searched to the end to tell which
positions are lost. Two boxes on an 8x8 board have at most 496.
"""


def bits(cells: int) -> Iterator[int]:
    """Take a set apart into its cells, from the board's last to its first."""
    while cells:
        cell = cells & -cells
        yield cell
        cells ^= cell


def steps(stride: int) -> dict[str, int]:
    """Map each move to the number of bits by which it shifts a set, to be given to ``shift``."""
    return {"up": stride, "down": -stride, "left": 1, "right": -1}


def shift(cells: int, step: int) -> int:
    """Move a whole set; ``-step`` moves it back."""
    return cells << step if step > 0 else cells >> -step


def spread(cells: int, stride: int) -> int:
    """Return the neighbours of ``cells``."""
    return cells << 1 | cells >> 1 | cells << stride | cells >> stride


def region(start: int, free: int, stride: int) -> int:
    """Return the cells that can be walked to from ``start`` through ``free``."""
    while (wider := start | spread(start, stride) & free) != start:
        start = wider
    return start


def moved(boxes: int, player: int, step: int, free: int) -> tuple[int, int] | None:
    """Return boxes and player after a move, or ``None`` where something is in the way."""
    to = shift(player, step)
    if to & boxes:
        beyond = shift(to, step)
        return (boxes ^ to ^ beyond, to) if beyond & free & ~boxes else None
    return (boxes, to) if to & free else None


class BackwardSearch:
    """All positions of a level by their exact distance from a win, as far as anyone has asked.

    ``layers[d]`` holds the positions from which a win takes ``d`` moves and no fewer. Layers are
    added when they are needed, always whole ones and never more than ``MAX_EXPANSIONS`` pays for,
    so an answer depends on the level alone, never on who asked before. Threads may share a search.
    """

    def __init__(self, free: int, targets: int, stride: int) -> None:
        self.layers: list[Layer] = [{targets: free & ~targets}]
        self.complete = False
        """There are no more layers: a position in none of them can't be won."""
        self._free, self._stride = free, stride
        self._costs = [0]  # expansions that it takes to know a layer
        self._seen = dict(self.layers[0])
        self._lock = Lock()

    def depth(self, depth: int, limit: int) -> int:
        """Return ``depth``, or the last layer before it where there is none so deep or to know it
        takes more than ``limit`` expansions.
        """
        with self._lock:
            while len(self.layers) <= depth and self._extend(limit):
                pass
            return min(depth, bisect_right(self._costs, limit) - 1)

    def distance(self, boxes: int, player: int) -> int | None:
        """Return the number of moves to a win, or ``None``: there is none, or the search is at its
        limit.
        """
        with self._lock:
            while not self._seen.get(boxes, 0) & player:
                if not self._extend(MAX_EXPANSIONS):
                    return None
            return next(d for d, at in enumerate(self.layers) if at.get(boxes, 0) & player)

    def winnable(self) -> Mapping[int, int] | None:
        """Return every position that can be won, as a map from boxes to players; ``None`` where the
        search comes to its limit first.
        """
        with self._lock:
            while self._extend(MAX_EXPANSIONS):
                pass
            return self._seen if self.complete else None

    def meeting(self, boxes: int, players: int) -> int:
        """Return those of ``players`` from whom a win is known."""
        return self._seen.get(boxes, 0) & players

    def plan(self, boxes: int, player: int) -> list[str] | None:
        """Return a shortest plan, or ``None``: there is none, or the search is at its limit."""
        distance = self.distance(boxes, player)
        if distance is None:
            return None
        plan = []
        for layer in reversed(self.layers[:distance]):
            for name, step in steps(self._stride).items():
                after = moved(boxes, player, step, self._free)
                if after is not None and layer.get(after[0], 0) & after[1]:
                    boxes, player = after
                    plan.append(name)
                    break
        return plan

    def _extend(self, limit: int) -> bool:
        """Add a layer. False: there is none, or to know it takes more than ``limit`` expansions."""
        cost = self._costs[-1] + len(self.layers[-1])
        if self.complete or cost > limit:
            return False
        layer = self._expand(self.layers[-1], walk=len(self.layers) > 1)
        if not layer:
            self.complete = True
            return False
        self.layers.append(layer)
        self._costs.append(cost)
        return True

    def _expand(self, layer: Layer, walk: bool) -> Layer:
        free, s, seen = self._free, self._stride, self._seen
        after: Layer = {}
        for boxes, players in layer.items():
            open_ = free & ~boxes
            if walk:  # not out of a win: it ends the game
                walked = (players << 1 | players >> 1 | players << s | players >> s) & open_
                walked &= ~seen[boxes]
                if walked:
                    seen[boxes] |= walked
                    after[boxes] = after.get(boxes, 0) | walked
            # a player with a box on one side and room on the other steps away; the box follows
            for step in (1, s):
                pullers = players & boxes << step & open_ >> step
                while pullers:
                    player = pullers & -pullers
                    pullers ^= player
                    pulled, to = boxes ^ player ^ player >> step, player << step
                    known = seen.get(pulled, 0)
                    if not known & to:
                        seen[pulled] = known | to
                        after[pulled] = after.get(pulled, 0) | to
                pullers = players & boxes >> step & open_ << step
                while pullers:
                    player = pullers & -pullers
                    pullers ^= player
                    pulled, to = boxes ^ player ^ player << step, player >> step
                    known = seen.get(pulled, 0)
                    if not known & to:
                        seen[pulled] = known | to
                        after[pulled] = after.get(pulled, 0) | to
        return after


@lru_cache(maxsize=16)
def backward_search(free: int, targets: int, stride: int) -> BackwardSearch:
    """Return the search of a level; the last few are kept, with what they have found."""
    return BackwardSearch(free, targets, stride)


class Deadlocks:
    """Tells positions of one level that can't be won any more.

    Exact where there are at most ``MAX_ARRANGEMENTS`` ways to place the boxes on live cells;
    elsewhere it knows dead cells and frozen boxes, and is never wrong when it says "lost".
    """

    def __init__(self, free: int, targets: int, stride: int) -> None:
        self.free, self.targets, self.stride = free, targets, stride
        self.live = 0
        """Cells from which a lone box can be pushed to a target."""
        for ring in push_rings(free, targets, stride):
            self.live |= ring
        small = comb(self.live.bit_count(), targets.bit_count()) <= MAX_ARRANGEMENTS
        self._winnable = backward_search(free, targets, stride).winnable() if small else None

    def lost(self, boxes: int, player: int) -> bool:
        """Return whether a position is known to be lost."""
        if self._winnable is not None:
            return not self._winnable.get(boxes, 0) & player
        return self.stuck(boxes)

    def stuck(self, boxes: int) -> bool:
        """Return whether a box is on a dead cell, or off target and frozen."""
        return bool(boxes & ~self.live or self._frozen(boxes) & ~self.targets)

    def _frozen(self, boxes: int) -> int:
        """Return boxes none of which any plan that wins can move first, hence ever.

        A box moves along a line only if it has no wall and no frozen box on either side of it, and
        a live cell on at least one. Boxes that can are struck off until no more can.
        """
        live = self.live
        frozen = boxes
        while True:
            passable = self.free & ~frozen
            movable = 0
            for step in (1, self.stride):
                between = passable << step & passable >> step
                movable |= between & (live << step | live >> step)
            if not frozen & movable:
                return frozen
            frozen &= ~movable


def push_rings(free: int, targets: int, stride: int) -> Iterator[int]:
    """Yield the cells from which a lone box is 0, 1, 2... pushes from the nearest target, for a
    player who can get anywhere.
    """
    ring = live = targets
    while ring:
        yield ring
        wider = 0
        for step in (1, stride):
            wider |= ring << step & free & free >> step
            wider |= ring >> step & free & free << step
        ring = wider & ~live
        live |= ring


def solve(free: int, targets: int, stride: int, boxes: int, player: int) -> list[str] | None:
    """Return a plan that wins.

    It is a shortest one wherever ``MAX_EXPANSIONS`` lead from the wins back to the position.
    Beyond that, a best-first search of at most ``MAX_POSITIONS`` positions looks for a way to where
    they lead. ``None``: there is no plan, or neither search found one.
    """
    search = backward_search(free, targets, stride)
    plan = search.plan(boxes, player)
    if plan is not None or search.complete:
        return plan
    pushes = _find_pushes(search, Deadlocks(free, targets, stride), boxes, player)
    if pushes is None:
        return None
    plan = []
    for start, name in pushes:
        plan += _walk(player, start, free & ~boxes, stride)
        plan.append(name)
        player = shift(start, steps(stride)[name])
        boxes ^= player | shift(player, steps(stride)[name])
    open_ = free & ~boxes
    goals = search.meeting(boxes, region(player, open_, stride))
    walk = _walk(player, goals, open_, stride)
    for name in walk:
        player = shift(player, steps(stride)[name])
    return plan + walk + (search.plan(boxes, player) or [])


class _Chain(NamedTuple):
    """Pushes made so far: the last one, and the chain before it."""

    before: "_Chain | None"
    start: int
    name: str


def _find_pushes(
    search: BackwardSearch, deadlocks: Deadlocks, boxes: int, player: int
) -> list[tuple[int, str]] | None:
    """Find pushes, each as the cell where the player stands and the direction, that lead to a
    region from which ``search`` knows a win.

    Best first: a position's rank is its number of pushes plus 4 times the sum of its boxes'
    distances from the nearest target.
    """
    free, stride = deadlocks.free, deadlocks.stride
    rings = list(push_rings(free, deadlocks.targets, stride))
    area = region(player, free & ~boxes, stride)
    queue: list[tuple[int, int, int, int, int, _Chain | None]] = [(0, 0, 0, boxes, area, None)]
    seen = {(boxes, area)}
    while queue and len(seen) < MAX_POSITIONS:
        _, _, depth, boxes, area, chain = heappop(queue)
        if search.meeting(boxes, area):
            pushes = []
            while chain is not None:
                pushes.append((chain.start, chain.name))
                chain = chain.before
            return pushes[::-1]
        for name, step in steps(stride).items():
            for box in bits(shift(area, step) & boxes & shift(free & ~boxes, -step)):
                after = boxes ^ box ^ shift(box, step)
                around = region(box, free & ~after, stride)
                if (after, around) in seen or deadlocks.stuck(after):
                    continue
                seen.add((after, around))
                far = sum(k * (after & ring).bit_count() for k, ring in enumerate(rings))
                rank = depth + 1 + 4 * far
                link = _Chain(chain, shift(box, -step), name)
                heappush(queue, (rank, len(seen), depth + 1, after, around, link))
    return None


def _walk(player: int, goals: int, open_: int, stride: int) -> list[str]:
    """Return a shortest walk from ``player`` to one of ``goals``, which can be reached."""
    rings, seen = [goals], goals
    while not rings[-1] & player:
        rings.append(spread(rings[-1], stride) & open_ & ~seen)
        seen |= rings[-1]
    walk = []
    for ring in reversed(rings[:-1]):
        name, step = next(x for x in steps(stride).items() if shift(player, x[1]) & ring)
        player = shift(player, step)
        walk.append(name)
    return walk
