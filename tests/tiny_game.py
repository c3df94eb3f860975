"""A small game from outside the package: a corridor to walk to the right end of.

It is all that a new game is: a state, a ``Game``. What the tests do with it (make it by id, hold it
to the laws, talk to it in a chat, draw it) shows what a new game gets for nothing.
"""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from text_envs import Game, Outcome

CORRIDOR_ID = "TinyCorridor-v0"
GUESS_ID = "TinyGuess-v0"


class CorridorState(NamedTuple):
    cells: int
    position: int


class Corridor(Game[CorridorState]):
    """``slip`` is the chance that a step goes nowhere. Reward: -0.1 a move, 1 more at the end."""

    def __init__(self, cells: int = 8, slip: float = 0.0) -> None:
        self.cells, self.slip, self.stochastic = cells, slip, slip > 0
        self.max_text = 2 * cells
        self.rules = f"Walk to the right end of {cells} or fewer cells. Moves: left, right."

    def initial(self, rng: np.random.Generator) -> CorridorState:
        cells = int(rng.integers(3, self.cells + 1))
        return CorridorState(cells, int(rng.integers(cells - 1)))

    def legal(self, state: CorridorState) -> tuple[str, ...] | None:
        return ("left", "right")

    def play(
        self, state: CorridorState, move: str, rng: np.random.Generator
    ) -> Outcome[CorridorState]:
        if self.slip and rng.random() < self.slip:
            return Outcome(state, -0.1, note="You slip.")
        position = state.position + (1 if move == "right" else -1)
        if position < 0:
            return Outcome(state, -0.1, note="A wall.")
        done = position == state.cells - 1
        return Outcome(state._replace(position=position), 0.9 if done else -0.1, done, done)

    def text(self, state: CorridorState) -> str:
        return "".join("P" if i == state.position else "_" for i in range(state.cells))

    def facts(self, state: CorridorState) -> dict[str, Any]:
        return {"player": state.position, "goal": state.cells - 1}

    def solve(self, state: CorridorState) -> list[str] | None:
        return ["right"] * (state.cells - 1 - state.position)

    def level(self, state: CorridorState) -> str:
        return self.text(state)

    def levels(self, text: str) -> list[CorridorState]:
        states = []
        for number, line in enumerate(text.split(), 1):
            if line.count("P") != 1 or set(line) != {"P", "_"} or line.endswith("P"):
                raise ValueError(f"level {number}: {line!r:.80} is not a corridor such as _P__")
            states.append(CorridorState(len(line), line.index("P")))
        return states

    def info(self, state: CorridorState) -> dict[str, Any]:
        return {"distance": state.cells - 1 - state.position}

    def start_info(self, state: CorridorState) -> dict[str, Any]:
        return {"optimal_moves": state.cells - 1 - state.position}


class Guess(gym.Env[str, str]):
    """Guess a digit: an environment not made from a ``Game``, with moves that are not listed."""

    observation_space = gym.spaces.Text(10, charset="abcdefghijklmnopqrstuvwxyz")
    action_space = gym.spaces.Text(1, charset="0123456789")
    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own form)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._digit = int(self.np_random.integers(10))
        return "guess", {**self._info(True), "rules": "Guess a digit."}

    def step(self, action):
        if not isinstance(action, str):
            raise gym.error.InvalidAction(f"{action!r} is not a str")
        valid = len(action) == 1 and action in "0123456789"
        if not valid:
            return "no", -0.1, False, False, self._info(False)
        won = int(action) == self._digit
        info = {**self._info(True), "success": won}
        return (
            "yes" if won else "low" if int(action) < self._digit else "high",
            0.0,
            won,
            False,
            info,
        )

    def _info(self, valid: bool) -> dict[str, Any]:
        return {
            "success": False,
            "action_is_valid": valid,
            "action_is_effective": False,
            "legal_actions": None,
        }


def register_tiny_games() -> None:
    """A few lines make them environments."""
    if GUESS_ID not in gym.registry:
        gym.register(GUESS_ID, entry_point="tiny_game:Guess", max_episode_steps=10)
    if CORRIDOR_ID not in gym.registry:
        gym.register(
            CORRIDOR_ID,
            entry_point="text_envs.env:TextEnv",
            vector_entry_point="text_envs.vector:TextVectorEnv",
            max_episode_steps=20,
            kwargs={"game": "tiny_game:Corridor"},
        )


register_tiny_games()
