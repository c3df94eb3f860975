"""Text games for Gymnasium: ``import text_envs``, then ``gym.make("TextSokoban-v0")``."""

from typing import Any

from gymnasium.envs.registration import register, registry

from text_envs.chat import Budget, ChatEnv, ChatProtocol, Reply
from text_envs.env import TextEnv
from text_envs.game import Game, Outcome

__version__ = "0.1.0"
__all__ = [
    "ENV_IDS",
    "Budget",
    "ChatEnv",
    "ChatProtocol",
    "Game",
    "Outcome",
    "Reply",
    "TextEnv",
]

# id: (game, moves in an episode, parameters)
_TABLE: dict[str, tuple[str, int, dict[str, Any]]] = {
    "TextBandit-v0": ("text_envs.games.bandit:Bandit", 20, {}),
    "TextSokoban-v0": ("text_envs.games.sokoban:Sokoban", 20, {}),
    "TextSokobanLarge-v0": (
        "text_envs.games.sokoban:Sokoban",
        40,
        {"size": 8, "boxes": 2, "max_solution": 20},
    ),
    "TextFrozenLake-v0": ("text_envs.games.frozen_lake:FrozenLake", 20, {}),
    "TextPairs-v0": ("text_envs.games.pairs:Pairs", 24, {}),
    "TextBlicket-v0": ("text_envs.games.blicket:Blicket", 10, {}),
    "TextBlackjack-v0": ("text_envs.games.blackjack:Blackjack", 20, {}),
    "TextMastermind-v0": ("text_envs.games.mastermind:Mastermind", 20, {}),
    "TextMaze-v0": ("text_envs.games.maze:Maze", 50, {}),
    "TextTowerOfHanoi-v0": ("text_envs.games.tower_of_hanoi:TowerOfHanoi", 20, {}),
    "TextCountdown-v0": ("text_envs.games.countdown:Countdown", 20, {}),
    "TextMath-v0": ("text_envs.games.math_problems:MathProblems", 20, {}),
    "TextRubiksCube-v0": ("text_envs.games.rubiks_cube:RubiksCube", 20, {}),
    "Text2048-v0": ("text_envs.games.twenty48:Twenty48", 1500, {}),
    "TextSudoku-v0": ("text_envs.games.sudoku:Sudoku", 20, {}),
    "TextMinesweeper-v0": ("text_envs.games.minesweeper:Minesweeper", 25, {}),
}

ENV_IDS = tuple(_TABLE)
"""The id of every game. ``TextMixture-v0`` and ``TextCurriculum-v0``, registered below, are made
out of these.
"""

for _id, (_game, _limit, _params) in _TABLE.items():
    if _id not in registry:  # a reload registers nothing twice
        register(
            _id,
            entry_point="text_envs.env:TextEnv",
            vector_entry_point="text_envs.vector:TextVectorEnv",
            max_episode_steps=_limit,
            kwargs={"game": _game, **_params},
        )

for _id, _maker in (("TextMixture-v0", "Mixture"), ("TextCurriculum-v0", "Curriculum")):
    if _id not in registry:
        register(_id, entry_point=f"text_envs.wrappers:{_maker}")
