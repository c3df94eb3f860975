"""The yardsticks: a player that knows nothing and one that knows everything, and how to score any.

A success rate means something only between these two. ``evaluate`` plays one episode a seed, so two
agents scored with the same seeds met the same starts.

    >>> import gymnasium as gym
    >>> import text_envs
    >>> env = gym.make("TextFrozenLake-v0")
    >>> evaluate(env, OracleAgent(), episodes=10, seed=0).success_rate
    1.0
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np

Z_95 = 1.959963984540054
"""Quantile 0.975 of the standard normal distribution."""


class Agent(Protocol):
    """Anything that turns what it is shown into a move."""

    def act(self, env: gym.Env[Any, str], observation: Any, info: dict[str, Any]) -> str:
        """Choose a move: from ``observation`` and ``info`` of the last reset or step alone, unless
        it is an oracle, which may ask ``env`` too.
        """
        ...


class RandomAgent:
    """Choose uniformly among ``info["legal_actions"]``.

    Where a game can't list them, play what its ``sample`` draws: a well-formed move. Where the
    environment is not a ``TextEnv``, sample ``env.action_space``, seeded once from ``seed``: a text
    that is hardly ever a move.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._space: Any = None

    def act(self, env: gym.Env[Any, str], observation: Any, info: dict[str, Any]) -> str:
        """Choose a move."""
        legal = info.get("legal_actions")
        if legal:
            return legal[int(self._rng.random() * len(legal))]
        inner: Any = env.unwrapped
        if hasattr(inner, "sample_action"):
            return inner.sample_action(self._rng)
        if self._space is not env.action_space:
            self._space = env.action_space
            self._space.seed(int(self._rng.integers(2**31)))
        return self._space.sample()


class OracleAgent:
    """Follow the plan of ``env.unwrapped.solve()``.

    It plans again when the state is not the one that its last move was to lead to, and before every
    move where chance takes part (``Game.stochastic``), where its plan can't know all
    (``Game.adaptive``) or where the environment is not a ``TextEnv``. Where there is no plan, it
    makes the first legal move.
    """

    def __init__(self) -> None:
        self._plan: list[str] = []
        self._game: Any = None
        self._expected: Any = None
        self._rng = np.random.default_rng(0)  # a deterministic game does not draw from it

    def act(self, env: gym.Env[Any, str], observation: Any, info: dict[str, Any]) -> str:
        """Choose a move. Raises ``TypeError`` if the environment has no oracle."""
        inner: Any = env.unwrapped
        if not hasattr(inner, "solve"):
            raise TypeError(f"{inner} has no solve(): no oracle plays it")
        game: Any = getattr(inner, "game", None)
        if game is None or game.stochastic or game.adaptive:
            plan = inner.solve()
            return plan[0] if plan else _first(info)
        state = inner.get_state()
        if not self._plan or game is not self._game or state != self._expected:
            self._plan = (inner.solve() or [])[::-1]
            self._game = game
        if not self._plan:
            return _first(info)
        move = self._plan.pop()
        self._expected = game.play(state, move, self._rng).state
        return move


def _first(info: dict[str, Any]) -> str:
    return next(iter(info.get("legal_actions") or ()), "")


class Episode(NamedTuple):
    """How one episode went."""

    success: bool
    total_reward: float
    moves: int
    """Invalid ones included."""


@dataclass(frozen=True)
class Score:
    """How an agent did."""

    episodes: int
    successes: int
    mean_return: float
    mean_length: float
    """Moves an episode, invalid ones included."""

    @property
    def success_rate(self) -> float:
        """Share of the episodes that ended in success."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the success rate."""
        return wilson_interval(self.successes, self.episodes)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"success {self.success_rate:.1%} ({low:.1%} to {high:.1%}),"
            f" return {self.mean_return:.3f}, {self.mean_length:.1f} moves,"
            f" {self.episodes} episodes"
        )


def evaluate(env: gym.Env[Any, str], agent: Agent, episodes: int = 1000, seed: int = 0) -> Score:
    """Play one episode for each of the seeds ``seed``, ``seed + 1``, ....

    ``env`` must end its episodes by itself or by a limit, as those of ``gym.make`` do. The same
    numbers come out again from an agent made anew. Raises ``ValueError`` for less than one episode,
    and if ``info`` does not tell ``"success"``.
    """
    if episodes < 1:
        raise ValueError(f"episodes={episodes} must be at least 1")
    successes, returned, moves = 0, 0.0, 0
    for episode_seed in range(seed, seed + episodes):
        episode = play_episode(env, agent, episode_seed)
        successes += episode.success
        returned += episode.total_reward
        moves += episode.moves
    return Score(episodes, successes, returned / episodes, moves / episodes)


def play_episode(env: gym.Env[Any, str], agent: Agent, seed: int) -> Episode:
    """Play the episode of one seed to its end. Raises ``ValueError`` if ``info`` does not tell
    ``"success"``.
    """
    observation, info = env.reset(seed=seed)
    returned, moves, over = 0.0, 0, False
    while not over:
        action = agent.act(env, observation, info)
        observation, reward, terminated, truncated, info = env.step(action)
        returned += float(reward)
        moves += 1
        over = terminated or truncated
    if "success" not in info:
        raise ValueError(
            f"{env} can't be scored: its info has no 'success'; let step's info say"
            " info['success'] = True or False when an episode ends (a gym.Wrapper can)"
        )
    return Episode(bool(info["success"]), returned, moves)


def wilson_interval(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Bounds of a success rate, by the score interval of Wilson (1927), 95 % unless ``z`` is given.

    With no trial at all it is (0, 1). Raises ``ValueError`` unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes} must be from 0 to n={n}")
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    scale = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    margin = z / scale * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # the bounds of none and of all are exact, not a rounding away from 0 and 1
    low = 0.0 if successes == 0 else centre - margin
    high = 1.0 if successes == n else centre + margin
    return low, high
