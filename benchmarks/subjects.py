"""What is measured: our environments and their peers, each behind a small adapter.

An adapter gives a ``Subject``: how to start an episode and how to play a list of moves. The loop
over the moves is the adapter's own, in the plainest form that its interface allows, so that no
subject pays for another's. Seeds come from ``random``. An adapter whose package is missing raises
``ImportError``.
"""

import contextlib
import io
import random
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

DIRECTIONS = ("up", "down", "left", "right")
NO_LIMIT = 10**9


class Subject(NamedTuple):
    """One environment, ready to be measured."""

    reset: Callable[[], object]
    """Start an episode on a new level, first observation included."""
    moves: Callable[[], Sequence[Any]]
    """The moves that a random player chooses from in this episode."""
    play: Callable[[Sequence[Any]], int]
    """Play these moves until the episode ends, observing after each; the number played."""
    draw: Callable[[], np.ndarray] | None = None
    """Draw the present state."""


# --- ours ---


def text_env(id: str, *, raw: bool, **kwargs: Any) -> Subject:
    """One of ours: as ``gym.make`` returns it, or ``raw``, without the wrappers."""
    env = gym.make(f"text_envs:{id}", **kwargs)
    env = env.unwrapped if raw else env
    env.reset(seed=random.getrandbits(31))
    return Subject(
        reset=env.reset,
        moves=lambda: tuple(env.unwrapped.legal_actions()),  # pyright: ignore[reportAttributeAccessIssue] (a TextEnv)
        play=lambda moves: _play(env.step, moves),
        draw=lambda: env.unwrapped.picture(),  # pyright: ignore[reportAttributeAccessIssue] (a TextEnv)
    )


# --- peers ---


def gymnasium_lake(*, raw: bool, pictures: bool = False) -> Subject:
    """Gymnasium's FrozenLake-v1, 4x4: the observation is a number, the map always the same."""
    mode = "rgb_array" if pictures else None
    made: gym.Env[Any, Any] = gym.make("FrozenLake-v1", is_slippery=False, render_mode=mode)
    env = made.unwrapped if raw else made
    env.reset(seed=random.getrandbits(31))

    def play(moves: Sequence[Any]) -> int:
        return _play_drawing(env, moves) if pictures else _play(env.step, moves)

    return Subject(env.reset, lambda: range(4), play, lambda: np.asarray(env.render()))


def gymnasium_map() -> Subject:
    """Gymnasium's generator of FrozenLake maps, 4x4; only ``reset`` is of use."""
    from gymnasium.envs.toy_text.frozen_lake import generate_random_map

    return Subject(lambda: generate_random_map(4), tuple, len)


def gem_sokoban(size: int, boxes: int) -> Subject:
    """GEM's Sokoban; the board comes in ``info["suffix"]``."""
    env = import_module("gem.envs.game_env.sokoban").SokobanEnv((size, size), NO_LIMIT, boxes)
    moves = tuple(f"\\boxed{{{d}}}" for d in DIRECTIONS)
    return Subject(env.reset, lambda: moves, lambda played: _play(env.step, played))


def textarena_sokoban(size: int, boxes: int) -> Subject:
    """TextArena's Sokoban, without wrappers."""
    module = import_module("textarena.envs.Sokoban.env")
    return _textarena(module.SokobanEnv((size, size), NO_LIMIT, boxes), DIRECTIONS)


def textarena_lake() -> Subject:
    """TextArena's FrozenLake, 4x4, without wrappers; a new map at each reset."""
    module = import_module("textarena.envs.FrozenLake.env")
    return _textarena(module.FrozenLakeEnv(size=4), DIRECTIONS)


def textarena_bandit() -> Subject:
    """TextArena's Bandit with two buttons and 20 turns, without wrappers."""
    module = import_module("textarena.envs.Bandit.env")
    return _textarena(module.BanditEnv(["red", "blue"], num_turns=20), ("red", "blue"))


def gym_sokoban(size: int, boxes: int) -> Subject:
    """gym-sokoban, which draws its observation, 16 pixels a cell, at every step."""
    with contextlib.redirect_stderr(io.StringIO()):  # gym says at every import that it is old
        module = import_module("gym_sokoban.envs.sokoban_env")
    env = module.SokobanEnv((size, size), NO_LIMIT, boxes, reset=False)

    def reset() -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of rooms that it gave up
            env.reset()

    def play(moves: Sequence[int]) -> int:
        step, count = env.step, 0
        for count, move in enumerate(moves, 1):  # noqa: B007 (counted for the caller)
            _, _, done, _ = step(move)
            if done:
                break
        return count

    return Subject(reset, lambda: range(1, 5), play, lambda: env.render(mode="rgb_array"))


def seed_everything(seed: int) -> None:
    """Seed the global generators, from which most peers draw their levels."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the peers' generator, not ours)


def _play(step: Callable[[Any], Any], moves: Sequence[Any]) -> int:
    count = 0
    for count, move in enumerate(moves, 1):  # noqa: B007 (counted for the caller)
        _, _, terminated, truncated, _ = step(move)
        if terminated or truncated:
            break
    return count


def _play_drawing(env: gym.Env[Any, Any], moves: Sequence[Any]) -> int:
    count = 0
    for count, move in enumerate(moves, 1):  # noqa: B007 (counted for the caller)
        _, _, terminated, truncated, _ = env.step(move)
        env.render()
        if terminated or truncated:
            break
    return count


def _textarena(env: Any, names: Sequence[str]) -> Subject:
    moves = tuple(f"[{name}]" for name in names)

    def reset() -> None:
        env.reset(num_players=1)
        env.state.error_allowance = NO_LIMIT  # else the second bump into a wall ends the game
        env.get_observation()

    def play(played: Sequence[str]) -> int:
        step, observe, count = env.step, env.get_observation, 0
        for count, move in enumerate(played, 1):  # noqa: B007 (counted for the caller)
            done, _ = step(move)
            observe()
            if done:
                break
        return count

    return Subject(reset, lambda: moves, play)
