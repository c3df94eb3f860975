"""Which subjects are measured beside each other, and how long their episodes are.

A case of an environment that is not registered is left out.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import subjects_gem as gem
import subjects_reasoning_gym as reasoning_gym
import subjects_textarena as textarena
from subjects import (
    DIRECTIONS,
    NO_LIMIT,
    Subject,
    gym_sokoban,
    gymnasium_env,
    gymnasium_map,
    text_env,
)
from vectors import VectorSubject, gem_loop, textarena_loop, vector_env

from text_envs import ENV_IDS

Maker = Callable[[], Subject | VectorSubject]


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


def _gymnasium(name: str, id: str, access: str, **kwargs: Any) -> Contestant:
    make = partial(gymnasium_env, id, raw=access == "raw", **kwargs)
    return Contestant(f"Gymnasium {id}, {name}", access, make)


def _peers(**makers: Maker) -> list[Contestant]:
    names = {"textarena": "TextArena", "gem": "GEM", "gym_sokoban": "gym-sokoban (draws)"}
    names["reasoning_gym"] = "Reasoning Gym (whole answers)"
    return [Contestant(names[peer], "raw", make) for peer, make in makers.items()]


def _registered(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if case.contestants[0].name in ENV_IDS]


def _sokoban_peers(size: int, boxes: int) -> list[Contestant]:
    return _peers(
        gem=partial(gem.sokoban, size, boxes),
        textarena=partial(textarena.sokoban, size, boxes),
        gym_sokoban=partial(gym_sokoban, size, boxes),
    )


def _sokoban_steps(size: int, boxes: int, horizon: int, copies: int, **kwargs: Any) -> Case:
    boxes_named = "1 box" if boxes == 1 else f"{boxes} boxes"
    own = _ours("TextSokoban-v0", size=size, boxes=boxes, max_episode_steps=horizon, **kwargs)
    return Case(
        f"Sokoban {size}x{size}, {boxes_named}",
        own + _sokoban_peers(size, boxes),
        horizon,
        copies,
    )


EVERY = [
    Case(id, _ours(id), horizon=min(gym.spec(id).max_episode_steps or 200, 200)) for id in ENV_IDS
]
"""Every environment as it is registered."""

STEPS = _registered(
    [
        _sokoban_steps(6, 1, horizon=20, copies=32),
        _sokoban_steps(8, 2, horizon=200, copies=4, max_solution=20),
        _sokoban_steps(10, 4, horizon=2000, copies=1),
        Case(
            "Frozen lake 4x4",
            [
                *_ours("TextFrozenLake-v0"),
                _gymnasium("a number", "FrozenLake-v1", "raw", is_slippery=False),
                _gymnasium("a number", "FrozenLake-v1", "gym.make", is_slippery=False),
                *_peers(textarena=textarena.frozen_lake),
            ],
        ),
        Case(
            "Bandit, 2 arms, 20 pulls",
            [*_ours("TextBandit-v0", pulls=20), *_peers(textarena=textarena.bandit)],
        ),
        Case(
            "Blackjack",
            [
                *_ours("TextBlackjack-v0"),
                _gymnasium("numbers", "Blackjack-v1", "raw"),
                _gymnasium("numbers", "Blackjack-v1", "gym.make"),
                *_peers(textarena=textarena.blackjack),
            ],
        ),
        Case(
            "2048",
            [
                *_ours("Text2048-v0"),
                *_peers(textarena=textarena.game_2048, gem=gem.game_2048),
            ],
            horizon=200,
            copies=4,
        ),
        Case(
            "Minesweeper 8x8, 10 mines, reveals",
            [
                *_ours("TextMinesweeper-v0", rows=8, cols=8, mines=10, only="reveal"),
                *_peers(
                    textarena=partial(textarena.minesweeper, 8, 8, 10),
                    gem=partial(gem.minesweeper, 8, 8, 10),
                ),
            ],
        ),
        Case(
            "Tower of Hanoi, 3 disks, classic start",
            [
                *_ours("TextTowerOfHanoi-v0", random_start=False),
                *_peers(
                    textarena=textarena.tower_of_hanoi,
                    gem=gem.tower_of_hanoi,
                    reasoning_gym=reasoning_gym.tower_of_hanoi,
                ),
            ],
        ),
        Case(
            "Mastermind, 3 pegs, 6 colours",
            [
                *_ours("TextMastermind-v0"),
                *_peers(textarena=textarena.mastermind, gem=gem.mastermind),
            ],
        ),
        Case(
            "Sudoku 9x9, 51 empty, solved",
            [
                *_ours("TextSudoku-v0", size=9, empty=51, max_episode_steps=60, solved=True),
                *_peers(
                    textarena=partial(textarena.sudoku, 30),
                    gem=partial(gem.sudoku, 9, 30),
                    reasoning_gym=partial(reasoning_gym.sudoku, 51),
                ),
            ],
            horizon=51,
            copies=2,
        ),
        Case(
            "Pairs 4x4",
            [
                *_ours("TextPairs-v0", rows=4, cols=4),
                Contestant(
                    "TextArena (two players, two cards a move)", "raw", textarena.memory_game
                ),
            ],
        ),
        Case(
            "Countdown, 3 to 4 numbers, solved",
            [
                *_ours("TextCountdown-v0", solved=True),
                Contestant("TextArena (two numbers a move)", "raw", textarena.countdown),
                *_peers(reasoning_gym=reasoning_gym.countdown),
            ],
            copies=4,
        ),
        Case(
            "Arithmetic, solved",
            [
                *_ours("TextMath-v0", kind="arithmetic", solved=True),
                *_peers(reasoning_gym=reasoning_gym.arithmetic),
            ],
        ),
        Case(
            "Rubik's cube 2x2x2, 3 turns, solved",
            [
                *_ours("TextRubiksCube-v0", solved=True),
                *_peers(reasoning_gym=reasoning_gym.rubiks_cube),
            ],
        ),
    ]
)
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
        [
            _pictured("TextFrozenLake-v0", "128x128"),
            _gymnasium("256x256", "FrozenLake-v1", "raw", is_slippery=False, pictures=True),
        ],
        copies=8,
    ),
]
"""Drawing alone, and steps with a picture as observation."""


def _levels(title: str, peers: list[Contestant], id: str, **kwargs: Any) -> Case:
    return Case(title, [*_ours(id, **kwargs)[:1], *peers])


LEVELS = _registered(
    [
        _levels(
            "Sokoban 6x6, 1 box",
            _sokoban_peers(6, 1) + _peers(reasoning_gym=partial(reasoning_gym.sokoban, 6, 1)),
            "TextSokoban-v0",
        ),
        _levels("Sokoban 8x8, 2 boxes", _sokoban_peers(8, 2), "TextSokobanLarge-v0"),
        _levels(
            "Sokoban 10x10, 4 boxes", _sokoban_peers(10, 4), "TextSokoban-v0", size=10, boxes=4
        ),
        _levels(
            "Frozen lake 4x4",
            [
                Contestant("Gymnasium generate_random_map", "raw", gymnasium_map),
                *_peers(textarena=textarena.frozen_lake),
            ],
            "TextFrozenLake-v0",
        ),
        _levels(
            "Sudoku 4x4, 6 empty",
            _peers(
                gem=partial(gem.sudoku, 4, 10),
                reasoning_gym=partial(reasoning_gym.mini_sudoku, 6),
            ),
            "TextSudoku-v0",
        ),
        _levels(
            "Sudoku 9x9, 51 empty",
            _peers(
                textarena=partial(textarena.sudoku, 30),
                gem=partial(gem.sudoku, 9, 30),
                reasoning_gym=partial(reasoning_gym.sudoku, 51),
            ),
            "TextSudoku-v0",
            size=9,
            empty=51,
        ),
        _levels(
            "Countdown, 3 to 4 numbers",
            _peers(reasoning_gym=reasoning_gym.countdown),
            "TextCountdown-v0",
        ),
        _levels("Maze 5x5", _peers(reasoning_gym=reasoning_gym.maze), "TextMaze-v0"),
        _levels(
            "Arithmetic",
            _peers(reasoning_gym=reasoning_gym.arithmetic),
            "TextMath-v0",
            kind="arithmetic",
        ),
        _levels(
            "Rubik's cube 2x2x2, 3 turns",
            _peers(reasoning_gym=reasoning_gym.rubiks_cube),
            "TextRubiksCube-v0",
        ),
    ]
)
"""New levels: a whole reset."""


def _vector(id: str, games: int, peers: dict[str, Maker]) -> Case:
    makers: dict[str, Maker] = {
        f"{id}, `gym.make_vec`": partial(vector_env, id, games),
        "SyncVectorEnv": partial(vector_env, id, games, "sync"),
    }
    if games <= ASYNC_AT_MOST:
        makers["AsyncVectorEnv"] = partial(vector_env, id, games, "async")
    contestants = [Contestant(name, "vector", make) for name, make in (makers | peers).items()]
    return Case(f"{id}, {games:,} games", contestants)


ASYNC_AT_MOST = 64
"""Games that AsyncVectorEnv is measured with: each has a process of its own."""

VECTORS = [
    case
    for games in (64, 1024)
    for case in (
        _vector(
            "TextFrozenLake-v0",
            games,
            {
                "TextArena FrozenLake, a loop": partial(
                    textarena_loop, "FrozenLake", games, DIRECTIONS, size=4
                )
            },
        ),
        _vector(
            "TextSokoban-v0",
            games,
            {
                "TextArena Sokoban, a loop": partial(
                    textarena_loop, "Sokoban", games, DIRECTIONS, dim_room=(6, 6), num_boxes=1
                ),
                "GEM Sokoban, a loop": partial(
                    gem_loop, "sokoban", "SokobanEnv", games, DIRECTIONS, (6, 6), NO_LIMIT, 1
                ),
            },
        ),
    )
]
"""Many games at once."""
