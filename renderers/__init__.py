"""Pictures of game states: ``draw(state)``, one drawer a game, and a panel of text for the rest.

Drawing needs no display and leaves pygame's display, events and environment alone.
"""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or pygame greets on standard output

try:
    import pygame  # noqa: F401 (only to say what is missing)
except ImportError as error:
    raise ImportError("pictures need the render extra: pip install 'text-envs[render]'") from error

from renderers.bandit import draw_bandit
from renderers.dispatch import draw, has_drawer
from renderers.frozen_lake import draw_frozen_lake
from renderers.minesweeper import draw_minesweeper
from renderers.panel import draw_text
from renderers.sokoban import draw_sokoban
from renderers.sudoku import draw_sudoku
from renderers.window import Window

__all__ = [
    "Window",
    "draw",
    "draw_bandit",
    "draw_frozen_lake",
    "draw_minesweeper",
    "draw_sokoban",
    "draw_sudoku",
    "draw_text",
    "has_drawer",
]
