"""Which subjects are measured beside each other, and how long their episodes are."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from subjects import (
    Subject,
    gem_sokoban,
    gym_sokoban,
    gymnasium_lake,
    gymnasium_map,
    text_env,
    textarena_bandit,
    textarena_lake,
    textarena_sokoban,
)

Maker = Callable[[], Subject]


class Contestant(NamedTuple):
    """A named maker of a subject."""

    name: str
    access: str
    """``raw``: the class itself; ``gym.make``: with the wrappers that it adds."""
    make: Maker


class Case(NamedTuple):
    """Contestants that do the same work. The first of each access is ours, and the others are
    compared with it.
    """

    title: str
    contestants: list[Contestant]
    horizon: int = 20
    """Moves after which an episode is reset, unless it has ended."""
    copies: int = 32
    """Environments that are reset, then played, one after the other; each half is timed as one."""


def _ours(id: str, **kwargs: Any) -> list[Contestant]:
    return [
        Contestant(id, access, partial(text_env, id, raw=access == "raw", **kwargs))
        for access in ("raw", "gym.make")
    ]


def _sokoban_peers(size: int, boxes: int) -> list[Contestant]:
    return [
        Contestant("GEM Sokoban", "raw", partial(gem_sokoban, size, boxes)),
        Contestant("TextArena Sokoban", "raw", partial(textarena_sokoban, size, boxes)),
        Contestant("gym-sokoban (draws)", "raw", partial(gym_sokoban, size, boxes)),
    ]


def _sokoban_steps(size: int, boxes: int, horizon: int, copies: int, **kwargs: Any) -> Case:
    boxes_named = "1 box" if boxes == 1 else f"{boxes} boxes"
    own = _ours("TextSokoban-v0", size=size, boxes=boxes, max_episode_steps=horizon, **kwargs)
    return Case(
        f"Sokoban {size}x{size}, {boxes_named}",
        own + _sokoban_peers(size, boxes),
        horizon,
        copies,
    )


def _lake(access: str, *, pictures: bool = False) -> Contestant:
    name = "Gymnasium FrozenLake-v1, " + ("256x256" if pictures else "a number")
    make = partial(gymnasium_lake, raw=access == "raw", pictures=pictures)
    return Contestant(name, access, make)


STEPS = [
    _sokoban_steps(6, 1, horizon=20, copies=32),
    _sokoban_steps(8, 2, horizon=200, copies=4, max_solution=20),
    _sokoban_steps(10, 4, horizon=2000, copies=1),
    Case(
        "Frozen lake 4x4",
        [
            *_ours("TextFrozenLake-v0"),
            _lake("raw"),
            _lake("gym.make"),
            Contestant("TextArena FrozenLake", "raw", textarena_lake),
        ],
    ),
    Case(
        "Bandit, 2 arms, 20 pulls",
        [
            *_ours("TextBandit-v0", pulls=20),
            Contestant("TextArena Bandit", "raw", textarena_bandit),
        ],
    ),
]
"""Steps with text observations, as far as a peer has them."""


def _pictured(id: str, size: str) -> Contestant:
    return Contestant(f"{id}, {size}", "raw", partial(text_env, id, raw=True, obs_mode="image"))


PICTURES = [
    Case(
        "Sokoban 6x6",
        [
            _pictured("TextSokoban-v0", "192x192"),
            Contestant("gym-sokoban, 96x96", "raw", partial(gym_sokoban, 6, 1)),
        ],
        copies=8,
    ),
    Case(
        "Frozen lake 4x4",
        [_pictured("TextFrozenLake-v0", "128x128"), _lake("raw", pictures=True)],
        copies=8,
    ),
]
"""Drawing alone, and steps with a picture as observation."""


def _levels(title: str, peers: list[Contestant], id: str, **kwargs: Any) -> Case:
    return Case(title, [*_ours(id, **kwargs)[:1], *peers])


LEVELS = [
    _levels("Sokoban 6x6, 1 box", _sokoban_peers(6, 1), "TextSokoban-v0"),
    _levels("Sokoban 8x8, 2 boxes", _sokoban_peers(8, 2), "TextSokobanLarge-v0"),
    _levels("Sokoban 10x10, 4 boxes", _sokoban_peers(10, 4), "TextSokoban-v0", size=10, boxes=4),
    _levels(
        "Frozen lake 4x4",
        [
            Contestant("Gymnasium generate_random_map", "raw", gymnasium_map),
            Contestant("TextArena FrozenLake", "raw", textarena_lake),
        ],
        "TextFrozenLake-v0",
    ),
]
"""New levels: a whole reset."""
