"""Pictures of game states: ``draw(state)``, one drawer a game, and a panel of text for the rest.

Drawing needs no display and leaves pygame's display, events and environment alone.
"""

import os
import sys

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or pygame greets on standard output

try:
    import pygame  # noqa: F401 (only to say what is missing)
except ImportError as error:
    missing = "pictures need the render extra: pip install 'text-envs[render]'"
    if sys.argv[:1] == ["-m"]:  # Python is still looking for what ``python -m renderers`` runs
        print(f"python -m renderers: {missing}", file=sys.stderr)
        raise SystemExit(2) from None
    raise ImportError(missing) from error

from renderers.bandit import draw_bandit
from renderers.blackjack import draw_blackjack
from renderers.blicket import draw_blicket
from renderers.countdown import draw_countdown
from renderers.dispatch import draw, has_drawer
from renderers.frozen_lake import draw_frozen_lake
from renderers.mastermind import draw_mastermind
from renderers.math_problems import draw_math
from renderers.maze import draw_maze
from renderers.minesweeper import draw_minesweeper
from renderers.pairs import draw_pairs
from renderers.panel import draw_text
from renderers.rubiks_cube import draw_rubiks_cube
from renderers.sokoban import draw_sokoban
from renderers.sudoku import draw_sudoku
from renderers.tower_of_hanoi import draw_tower_of_hanoi
from renderers.twenty48 import draw_twenty48
from renderers.window import Window

__all__ = [
    "Window",
    "draw",
    "draw_bandit",
    "draw_blackjack",
    "draw_blicket",
    "draw_countdown",
    "draw_frozen_lake",
    "draw_mastermind",
    "draw_math",
    "draw_maze",
    "draw_minesweeper",
    "draw_pairs",
    "draw_rubiks_cube",
    "draw_sokoban",
    "draw_sudoku",
    "draw_text",
    "draw_tower_of_hanoi",
    "draw_twenty48",
    "has_drawer",
]
