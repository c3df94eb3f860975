"""New Sokoban levels: a carved room, targets in it, and a start at an exact distance from a win."""

from functools import lru_cache

import numpy as np

from text_envs.games.sokoban_search import Layer, backward_search, bits, region

SPARSEST, DENSEST = 0.1, 0.4
"""Share of the inner cells that a room gets as walls, drawn for each room."""
ROOM_EXPANSIONS = 1_200
"""Effort on one room (see ``sokoban_search.MAX_EXPANSIONS``)."""
LENGTH_ROOMS, LENGTH_EXPANSIONS = 32, 2_400
"""Rooms tried, and effort on them, for a start at the length that was drawn."""
LEVEL_ROOMS, LEVEL_EXPANSIONS = 5_000, 100_000
"""The same, for a start at the least length that is allowed."""


def draw_level(
    rng: np.random.Generator,
    rows: int,
    cols: int,
    boxes: int,
    shortest: int,
    longest: int,
) -> tuple[int, int, int, int] | None:
    """Draw a level: free cells, targets, boxes and player as sets of cells (see
    ``sokoban_search``), or ``None`` where none was found.

    The optimal number of moves is drawn first, evenly from ``shortest`` to ``longest``. Then rooms
    are drawn until one has a start at that distance from a win, each searched as far as
    ``ROOM_EXPANSIONS`` lead. Where none has, the longest distance found takes its place. Among a
    room's starts at the distance, those with the fewest boxes on targets are equally likely.
    """
    aim = shortest + int(rng.random() * (longest - shortest + 1))
    rooms = effort = 0
    reached, layer, best = shortest - 1, {}, (0, 0)
    while rooms < LEVEL_ROOMS and effort < LEVEL_EXPANSIONS:
        room = _draw_room(rng, rows, cols, boxes)
        rooms += 1
        if room is not None:
            search = backward_search(*room, cols + 1)
            depth = search.depth(aim, ROOM_EXPANSIONS)
            effort += sum(map(len, search.layers[:depth]))
            if depth > reached:
                reached, layer, best = depth, search.layers[depth], room
        tired = rooms >= LENGTH_ROOMS or effort >= LENGTH_EXPANSIONS
        if reached == aim or (tired and reached >= shortest):
            return *best, *_draw_position(rng.random(), layer, best[1])
    return None


@lru_cache(maxsize=64)
def _inner_cells(rows: int, cols: int) -> tuple[int, ...]:
    """Cells that are not on the rim, each as a set of its own."""
    last = rows * (cols + 1) - 2
    return tuple(
        1 << last - row * (cols + 1) - col
        for row in range(1, rows - 1)
        for col in range(1, cols - 1)
    )


def _draw_room(
    rng: np.random.Generator, rows: int, cols: int, boxes: int
) -> tuple[int, int] | None:
    """Draw free cells, all connected, and targets; ``None`` where they are too few."""
    cells = _inner_cells(rows, cols)
    density, seed, *draws = rng.random(2 + boxes + len(cells)).tolist()
    density = SPARSEST + density * (DENSEST - SPARSEST)
    free = 0
    for cell, draw in zip(cells, draws[boxes:], strict=True):
        if draw >= density:
            free |= cell
    free = region(cells[int(seed * len(cells))], free, cols + 1)
    places = [cell for cell in cells if cell & free]
    if len(places) < boxes + 2:
        return None
    targets = 0
    for draw in draws[:boxes]:
        targets |= places.pop(int(draw * len(places)))
    return free, targets


def _draw_position(draw: float, layer: Layer, targets: int) -> tuple[int, int]:
    """Pick boxes and player by a number in [0, 1)."""
    fewest = min((boxes & targets).bit_count() for boxes in layer)
    choices = [
        (boxes, player)
        for boxes, players in layer.items()
        if (boxes & targets).bit_count() == fewest
        for player in bits(players)
    ]
    return choices[int(draw * len(choices))]
