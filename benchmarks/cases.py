"""Which subjects are measured beside each other, and how long their episodes are.

A case of an environment that is not registered is left out.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import subjects_gem as gem
import subjects_reasoning_gym as reasoning_gym
import subjects_textarena as textarena
from subjects import (
    NO_LIMIT,
    Subject,
    gym_sokoban,
    gymnasium_env,
    gymnasium_map,
    text_env,
)
from vectors import VectorSubject

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
    limit: str = ""
    """Why ours is no faster: shown where it is less than five times as fast as a peer."""
    reset_limit: str = ""
    """The same of resets, in a case of steps."""


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


def _operations(move: str) -> int:
    return len(move.split()) // 2  # one space on either side of each


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


ONE_PUZZLE = str(Path(__file__).with_name("countdown_952.txt"))
"""TextArena's Countdown draws no puzzles: it is given this one."""
GYMNASIUM_MAP = str(Path(__file__).with_name("frozen_lake_4x4.txt"))

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
            "Frozen lake 4x4, Gymnasium's map",
            [
                *_ours("TextFrozenLake-v0", levels=GYMNASIUM_MAP),
                _gymnasium("a number", "FrozenLake-v1", "raw", is_slippery=False),
                _gymnasium("a number", "FrozenLake-v1", "gym.make", is_slippery=False),
            ],
            limit="Gymnasium's observation is a number, its moves a table for its one map",
            reset_limit="both draw one number, and that is most of it: always the same map",
        ),
        Case(
            "Frozen lake 4x4, a new map at each reset",
            [*_ours("TextFrozenLake-v0"), *_peers(textarena=textarena.frozen_lake)],
            reset_limit="18 numbers from NumPy's generator, and the length of the shortest way",
        ),
        Case(
            "Bandit, 2 arms, 20 pulls",
            [*_ours("TextBandit-v0", pulls=20), *_peers(textarena=textarena.bandit)],
            limit="both draw one number and write what every arm has paid",
            reset_limit="a reset of both is a few random numbers and one text",
        ),
        Case(
            "Blackjack",
            [
                *_ours("TextBlackjack-v0"),
                _gymnasium("numbers", "Blackjack-v1", "raw"),
                _gymnasium("numbers", "Blackjack-v1", "gym.make"),
                *_peers(textarena=textarena.blackjack),
            ],
            limit="a move draws cards from NumPy's generator, one by one, as the rules have it",
            reset_limit="cards are drawn from NumPy's generator, one by one, as the rules have it",
        ),
        Case(
            "2048",
            [
                *_ours("Text2048-v0"),
                *_peers(textarena=textarena.game_2048, gem=gem.game_2048),
            ],
            horizon=200,
            copies=4,
            limit="four rows to slide, a tile to draw and four rows to write",
            reset_limit="two tiles to draw and four rows to write",
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
            limit="ours lists all legal moves at every step",
            reset_limit="ours lists all legal moves at a reset too",
        ),
        Case(
            "Tower of Hanoi, 3 disks, classic start",
            [
                *_ours("TextTowerOfHanoi-v0", random_start=False),
                *_peers(textarena=textarena.tower_of_hanoi, gem=gem.tower_of_hanoi),
            ],
            limit="every position, move and text is looked up; what is left is the interface",
            reset_limit="always the same position, looked up; what is left is the interface",
        ),
        Case(
            "Mastermind, 3 pegs, 6 colours",
            [
                *_ours("TextMastermind-v0"),
                *_peers(textarena=textarena.mastermind, gem=gem.mastermind),
            ],
            limit="ours writes all guesses and answers at every step; the peers only the last",
            reset_limit="a number from NumPy's generator; what is left is the interface",
        ),
        Case(
            "Sudoku 9x9, 51 empty, solved",
            [
                *_ours("TextSudoku-v0", size=9, empty=51, max_episode_steps=60, solved=True),
                *_peers(
                    textarena=partial(textarena.sudoku, 30),
                    gem=partial(gem.sudoku, 9, 51),
                ),
            ],
            horizon=51,
            copies=2,
            limit="ours marks the player's own digits, and lists all legal moves",
            reset_limit="ours has all 51 empty cells, drawn again where a grid allows fewer",
        ),
        Case(
            "Pairs 4x4",
            [
                *_ours("TextPairs-v0", rows=4, cols=4),
                Contestant(
                    "TextArena (two players, two cards a move)", "raw", textarena.memory_game
                ),
            ],
            limit="a random pair of cards is often refused by TextArena, and that is quick; ours"
            " writes all cards and lists all legal moves",
            reset_limit="a shuffle by NumPy's generator, all cards and all legal moves",
        ),
        Case(
            "Countdown, one puzzle of 6 numbers, by the operation",
            [
                *_ours(
                    "TextCountdown-v0",
                    sampled=True,
                    worth=_operations,
                    use_all=True,
                    levels=ONE_PUZZLE,
                ),
                Contestant("TextArena", "raw", textarena.countdown),
            ],
            copies=64,
            limit="a move of ours is an expression of 5 operations, read from free text, and counts"
            " as 5; one of TextArena's is two places and one operation",
            reset_limit="nothing is drawn; what is left is the interface",
        ),
    ]
)
"""Steps with text observations, as far as a peer has them."""


def _task(title: str, peers: dict[str, Maker], id: str, limit: str = "", **kwargs: Any) -> Case:
    own = _ours(id, solved=True, **kwargs)[:1]
    return Case(title, own + _peers(**peers), horizon=NO_LIMIT, copies=16, limit=limit)


TASKS = _registered(
    [
        _task(
            "Tower of Hanoi, 3 disks",
            {"reasoning_gym": reasoning_gym.tower_of_hanoi},
            "TextTowerOfHanoi-v0",
            limit="a move of ours is a text and a whole step, Reasoning Gym scores a list of them"
            " at once",
        ),
        _task(
            "Sudoku 4x4, 6 empty",
            {"reasoning_gym": partial(reasoning_gym.mini_sudoku, 6)},
            "TextSudoku-v0",
            limit="both look for a second solution whenever a cell is emptied",
        ),
        _task(
            "Countdown, 4 numbers",
            {
                "textarena": partial(textarena.countdown, 4),
                "reasoning_gym": partial(reasoning_gym.countdown, 4),
            },
            "TextCountdown-v0",
            limit="TextArena's puzzle is always the same; ours draws one that has a solution",
            min_numbers=4,
        ),
        _task(
            "Arithmetic, 3 terms",
            {"reasoning_gym": reasoning_gym.arithmetic},
            "TextMath-v0",
            limit="Reasoning Gym compares two texts; ours reads any way to write a number",
            kind="arithmetic",
        ),
        _task(
            "Rubik's cube 2x2x2, 3 turns",
            {"reasoning_gym": reasoning_gym.rubiks_cube},
            "TextRubiksCube-v0",
        ),
    ]
)
"""Whole tasks: a new one, and the right answer to it, whether in one answer or move by move."""

SPLITS = [case._replace(contestants=case.contestants[1:2]) for case in STEPS]
"""What a step of ours, through ``gym.make``, is spent on."""


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
    limit = kwargs.pop("limit", "")
    return Case(title, [*_ours(id, **kwargs)[:1], *peers], limit=limit)


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
            limit="ours finds the length of the shortest way, and draws again where there is none",
        ),
        _levels(
            "Sudoku 4x4, 6 empty",
            _peers(
                gem=partial(gem.sudoku, 4, 6),
                reasoning_gym=partial(reasoning_gym.mini_sudoku, 6),
            ),
            "TextSudoku-v0",
            limit="both look for a second solution whenever a cell is emptied",
        ),
        _levels(
            "Sudoku 9x9, 51 empty",
            _peers(
                textarena=partial(textarena.sudoku, 30),
                gem=partial(gem.sudoku, 9, 51),
                reasoning_gym=partial(reasoning_gym.sudoku, 51),
            ),
            "TextSudoku-v0",
            size=9,
            empty=51,
            limit="ours has all 51 empty cells, drawn again where a grid allows fewer",
        ),
        _levels(
            "Countdown, 3 to 4 numbers",
            _peers(reasoning_gym=partial(reasoning_gym.countdown, 3)),
            "TextCountdown-v0",
        ),
        _levels(
            "Maze, 11x11 places",
            _peers(reasoning_gym=reasoning_gym.maze),
            "TextMaze-v0",
            limit="ours joins all cells into a maze, with one way between any two; Reasoning Gym"
            " throws a coin for each place",
        ),
        _levels(
            "Arithmetic",
            _peers(reasoning_gym=reasoning_gym.arithmetic),
            "TextMath-v0",
            limit="both draw some numbers and write a sentence; what is left is the interface",
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
