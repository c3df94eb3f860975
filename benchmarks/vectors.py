"""Many games at once: our vector environment, Gymnasium's, and plain loops over the peers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import subjects_gem as gem
import subjects_textarena as textarena
from subjects import NO_LIMIT

LIMIT = 20
"""Moves in an episode, as our environments have them."""


class VectorSubject(NamedTuple):
    """Many games, ready to be measured."""

    games: int
    moves: Sequence[str]
    """Those that a random player chooses from, in any state."""
    step: Callable[[Sequence[str]], object]
    """Make a move in each game; games that are over begin anew, in this step or the next."""
    close: Callable[[], object]


def vector_env(id: str, games: int, mode: str | None = None) -> VectorSubject:
    """A vector environment of Gymnasium's, or the one that ``gym.make_vec`` makes by default."""
    # shared memory would have room for characters of a fixed number only
    options = {"shared_memory": False} if mode == "async" else None
    made: Any = gym.make_vec(
        f"text_envs:{id}", games, vectorization_mode=mode, vector_kwargs=options
    )
    _, infos = made.reset(seed=0)
    return VectorSubject(games, infos["legal_actions"][0], made.step, made.close)


def textarena_loop(name: str, games: int, moves: Sequence[str], **kwargs: Any) -> VectorSubject:
    """One game of TextArena's after the other."""

    def start(env: Any) -> None:
        env.reset(num_players=1)
        env.state.error_allowance = NO_LIMIT
        env.get_observation()

    def step(env: Any, move: str) -> bool:
        done, _ = env.step(move)
        env.get_observation()
        return done

    envs = [textarena.make(name, **kwargs) for _ in range(games)]
    return _loop(envs, [f"[{move}]" for move in moves], start, step)


def gem_loop(module: str, name: str, games: int, moves: Sequence[str], *args: Any) -> VectorSubject:
    """One game of GEM's after the other."""

    def step(env: Any, move: str) -> bool:
        _, _, terminated, truncated, _ = env.step(move)
        return terminated or truncated

    envs = [gem.make(module, name, *args) for _ in range(games)]
    return _loop(envs, [gem.boxed(move) for move in moves], lambda env: env.reset(), step)


def _loop(
    envs: Sequence[Any],
    moves: Sequence[str],
    start: Callable[[Any], object],
    step: Callable[[Any, str], bool],
) -> VectorSubject:
    elapsed = [0] * len(envs)
    for env in envs:
        start(env)

    def step_all(chosen: Sequence[str]) -> None:
        for i, (env, move) in enumerate(zip(envs, chosen, strict=True)):
            elapsed[i] += 1
            if step(env, move) or elapsed[i] == LIMIT:
                start(env)
                elapsed[i] = 0

    return VectorSubject(len(envs), moves, step_all, lambda: None)
