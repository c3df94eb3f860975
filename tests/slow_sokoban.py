"""Sokoban once more, slow and on its own: sets of coordinates, and exhaustive search."""

from collections import deque
from typing import Any, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st

from text_envs.games.sokoban import MOVES, SokobanState

STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


class Slow(NamedTuple):
    walls: frozenset
    targets: frozenset
    boxes: frozenset
    player: tuple

    def play(self, move):
        """(position, reward, done)."""
        to = self._next(self.player, move)
        if to in self.walls:
            return self, -0.1, False
        boxes = self.boxes
        if to in boxes:
            beyond = self._next(to, move)
            if beyond in self.walls or beyond in boxes:
                return self, -0.1, False
            boxes = boxes - {to} | {beyond}
        gained = len(boxes & self.targets) - len(self.boxes & self.targets)
        done = boxes == self.targets
        return self._replace(boxes=boxes, player=to), -0.1 + gained + 10 * done, done

    @staticmethod
    def _next(place, move):
        return place[0] + STEPS[move][0], place[1] + STEPS[move][1]


def slow(state):
    cells = {
        (r, c): cell
        for r, row in enumerate(state.board.decode().split("\n"))
        for c, cell in enumerate(row)
    }
    (player,) = where(cells, "PS")
    return Slow(where(cells, "#"), where(cells, "O*S"), where(cells, "X*"), player)


def where(cells, codes):
    return frozenset(place for place, cell in cells.items() if cell in codes)


def fast(position, rows, cols):
    """The state of a ``Slow`` position."""
    kind = {(False, False, False): "_", (True, False, False): "O", (False, True, False): "X"}
    kind |= {(True, True, False): "*", (False, False, True): "P", (True, False, True): "S"}
    lines = []
    for r in range(rows):
        places = [(r, c) for c in range(cols)]
        lines.append(
            "".join(
                "#"
                if p in position.walls
                else kind[p in position.targets, p in position.boxes, p == position.player]
                for p in places
            )
        )
    return SokobanState("\n".join(lines).encode(), cols + 1)


def distances(start):
    """Every position that can come up -> moves to a win, ``None`` for the lost ones."""
    before, wins, todo = {start: set()}, [], [start]
    while todo:
        position = todo.pop()
        if position.boxes == position.targets:
            wins.append(position)
            continue
        for move in MOVES:
            after, _, _ = position.play(move)
            if after not in before:
                before[after] = set()
                todo.append(after)
            before[after].add(position)
    found: dict[Slow, Any] = dict.fromkeys(before)
    found |= dict.fromkeys(wins, 0)
    queue = deque(wins)
    while queue:
        position = queue.popleft()
        for earlier in before[position]:
            if found[earlier] is None:
                found[earlier] = found[position] + 1
                queue.append(earlier)
    return found


@st.composite
def positions(draw, max_boxes=2, max_inner=4):
    """Any unsolved position in any closed room, winnable or not."""
    rows, cols = draw(st.integers(1, max_inner)) + 2, draw(st.integers(3, max_inner)) + 2
    inner = [(r, c) for r in range(1, rows - 1) for c in range(1, cols - 1)]
    count = draw(st.integers(1, min(max_boxes, len(inner) - 2)))
    places = draw(st.permutations(inner))
    boxes, player, rest = places[:count], places[count], places[count + 1 :]
    targets = draw(st.permutations(inner))[:count]
    solid = {p for p in rest if p not in targets and draw(st.integers(0, 3)) == 0}
    rim = {(r, c) for r in range(rows) for c in range(cols)} - set(inner)
    position = Slow(frozenset(rim | solid), frozenset(targets), frozenset(boxes), player)
    assume(position.boxes != position.targets)
    return position, rows, cols


def cells_of(position, rows, cols):
    """(free, targets, stride, boxes, player) as the search wants them."""
    stride = cols + 1

    def cells(places):
        return sum(1 << (rows * stride - 2 - r * stride - c) for r, c in places)

    inside = {(r, c) for r in range(rows) for c in range(cols)} - position.walls
    scenery = cells(inside), cells(position.targets), stride
    return *scenery, cells(position.boxes), cells([position.player])


def check_plan(game, state, length):
    plan = game.solve(state)
    if length is None:
        assert plan is None
        return
    assert len(plan) == length
    position, done = slow(state), length == 0
    for move in plan:
        assert not done
        position, _, done = position.play(move)
    assert done
