"""What is measured: our environments and their peers, each behind a small adapter.

An adapter gives a ``Subject``: how to start an episode, how to draw moves for it, and how to play
them. The loop over the moves is the adapter's own, in the plainest form that its interface allows,
so that no subject pays for another's. Seeds come from ``random``. An adapter whose package is
missing raises ``ImportError``. The larger peers have files of their own.
"""

import contextlib
import io
import random
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from importlib import import_module
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from text_envs import TextEnv

DIRECTIONS = ("up", "down", "left", "right")
NO_LIMIT = 10**9

Draw = Callable[[np.random.Generator, int], Iterable[Any]]
"""(generator, most moves) -> moves of one episode."""


class Subject(NamedTuple):
    """One environment, ready to be measured."""

    reset: Callable[[], object]
    """Start an episode on a new level, first observation included."""
    moves: Draw
    """Draw moves for the episode that was started: as a random player would choose them."""
    play: Callable[[Sequence[Any]], int]
    """Play these moves until the episode ends, observing after each; the number played."""
    draw: Callable[[], np.ndarray] | None = None
    """Draw the present state."""
    env: Any = None
    """Ours: the environment itself."""


# --- ours ---


def text_env(
    id: str,
    *,
    raw: bool,
    only: str = "",
    solved: bool = False,
    sampled: bool = False,
    worth: Callable[[str], int] | None = None,
    **kwargs: Any,
) -> Subject:
    """One of ours: as ``gym.make`` returns it, or ``raw``, without the wrappers.

    Its moves are legal, found beforehand by a twin, and with ``only`` those that begin so; with
    ``solved`` they are the oracle's; ``sampled`` draws one, which no twin has played: our reader of
    expressions knows again what it has just read. A move counts as one step, or as many as it is
    ``worth``.
    """
    env = gym.make(f"text_envs:{id}", **kwargs)
    env = env.unwrapped if raw else env
    inner: Any = env.unwrapped
    env.reset(seed=random.getrandbits(31))

    def play(moves: Sequence[str]) -> int:
        played = play_steps(env.step, moves)
        return sum(map(worth, moves[:played])) if worth else played

    def moves(rng: np.random.Generator, most: int) -> Sequence[str]:
        if solved:
            return inner.solve()[:most]
        return [inner.sample_action(rng)] if sampled else _legal(inner, rng, most, only)

    return Subject(
        reset=env.reset,
        moves=moves,
        play=play,
        draw=inner.picture,
        env=env,
    )


def _legal(env: TextEnv, rng: np.random.Generator, most: int, only: str) -> list[str]:
    """Play a twin, which meets the same luck, at random."""
    twin = TextEnv(env.game)
    twin.np_random = deepcopy(env.np_random)
    twin.set_state(env.get_state())
    moves: list[str] = []
    while len(moves) < most:
        legal = [move for move in twin.legal_actions() or () if move.startswith(only)]
        move = legal[int(rng.random() * len(legal))] if legal else twin.sample_action(rng)
        moves.append(move)
        if not move or twin.step(move)[2]:
            break
    return moves


# --- peers ---


def gymnasium_env(id: str, *, raw: bool, pictures: bool = False, **kwargs: Any) -> Subject:
    """One of Gymnasium's toy texts: observations and moves are numbers, and FrozenLake's map is
    always the same.
    """
    mode = "rgb_array" if pictures else None
    made: gym.Env[Any, Any] = gym.make(id, render_mode=mode, **kwargs)
    env = made.unwrapped if raw else made
    env.reset(seed=random.getrandbits(31))

    def play(moves: Sequence[Any]) -> int:
        return _play_drawing(env, moves) if pictures else play_steps(env.step, moves)

    space: Any = env.action_space
    return Subject(env.reset, any_of(range(space.n)), play, lambda: np.asarray(env.render()))


def gymnasium_map() -> Subject:
    """Gymnasium's generator of FrozenLake maps, 4x4; only ``reset`` is of use."""
    from gymnasium.envs.toy_text.frozen_lake import generate_random_map

    return Subject(lambda: generate_random_map(4), lambda rng, most: (), len)


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

    return Subject(reset, any_of(range(1, 5)), play, lambda: env.render(mode="rgb_array"))


# --- for all of them ---


def seed_everything(seed: int) -> None:
    """Seed the global generators, from which most peers draw their levels."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the peers' generator, not ours)


def any_of(moves: Sequence[Any]) -> Draw:
    """Draw uniformly; subjects with as many moves get the same sequence."""
    return lambda rng, most: [moves[i] for i in rng.integers(len(moves), size=most).tolist()]


def each_of(moves: Sequence[Any]) -> Draw:
    """Draw without replacement."""
    return lambda rng, most: [moves[i] for i in rng.permutation(len(moves))[:most].tolist()]


def hanoi(disks: int, written: Callable[[int, int], str]) -> Draw:
    """Draw legal moves from the classic start: ``written(from, to)``, pegs from 0 to 2."""

    def drawn(rng: np.random.Generator, most: int) -> Iterable[str]:
        pegs = [list(range(disks, 0, -1)), [], []]
        for _ in range(most):
            tops = [peg[-1] if peg else disks + 1 for peg in pegs]
            legal = [(a, b) for a in range(3) for b in range(3) if tops[a] < tops[b]]
            start, end = legal[int(rng.random() * len(legal))]
            pegs[end].append(pegs[start].pop())
            yield written(start, end)

    return drawn


def play_steps(step: Callable[[Any], Any], moves: Sequence[Any]) -> int:
    """Play through Gymnasium's interface."""
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
