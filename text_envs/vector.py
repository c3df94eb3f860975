"""``TextVectorEnv``: many copies of one text game, stepped in this process.

What ``gym.make_vec("TextSokoban-v0", num_envs=64)`` makes. It returns what
``gymnasium.vector.SyncVectorEnv`` over ``gym.make`` would, to the letter, without a stack of
wrappers around each game.
"""

from collections.abc import Sequence
from copy import copy
from itertools import chain
from operator import itemgetter
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from text_envs.env import TextEnv
from text_envs.game import Game

_SEVERAL = (Sequence, np.ndarray)
Step = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class TextVectorEnv(VectorEnv[Any, Sequence[str], np.ndarray]):
    """``num_envs`` independent episodes of one game.

    Observations: a tuple of ``num_envs`` strings; with pictures a dict of such a tuple, ``text``,
    and ``image``, uint8 ``[num_envs, H, W, 3]``. Actions: ``num_envs`` strings. Rewards are float64
    ``[num_envs]``, terminations and truncations bool ``[num_envs]``. ``infos`` are in Gymnasium's
    form for vector environments: ``infos[key][i]`` where ``infos["_" + key][i]``.

    Args:
        num_envs: number of sub-environments.
        game: as for ``TextEnv``.
        max_episode_steps: truncate an episode after as many steps; ``None`` or -1 for no limit.
        autoreset_mode: what follows the end of an episode. ``"NextStep"``: the next step ignores
            its action and resets. ``"SameStep"``: the reset comes at once, and
            ``infos["final_obs"]`` and ``infos["final_info"]`` have what it replaces.
            ``"Disabled"``: the caller resets, with ``options={"reset_mask": bool [num_envs]}``.
        **kwargs: all that ``TextEnv`` takes.

    ``reset(seed=k)`` seeds sub-environment ``i`` with ``k + i``; a list gives each its own.
    """

    def __init__(
        self,
        num_envs: int,
        game: Game[Any] | type[Game[Any]] | str,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **kwargs: Any,
    ) -> None:
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"num_envs={num_envs!r} must be a whole number of at least 1")
        limit = None if max_episode_steps == -1 else max_episode_steps
        if limit is not None and (not isinstance(limit, int | np.integer) or limit < 1):
            raise ValueError(
                f"max_episode_steps={limit!r} must be a whole number of at least 1, or -1 for no"
                " limit"
            )
        modes = [mode.value for mode in AutoresetMode]
        if autoreset_mode not in (*AutoresetMode, *modes):
            raise ValueError(
                f"autoreset_mode={autoreset_mode!r} is not one of {', '.join(map(repr, modes))}"
            )
        self.num_envs = int(num_envs)
        self.max_episode_steps = limit
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        first = TextEnv(game, **kwargs)
        # before its first reset an environment holds nothing of its own, so copies may share it all
        self.envs = [first, *(copy(first) for _ in range(num_envs - 1))]
        self.metadata = {**first.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = first.render_mode
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, num_envs)
        self.action_space = batch_space(first.action_space, num_envs)
        self._observations: list[Any] = [None] * num_envs
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._over = np.zeros(num_envs, dtype=np.bool_)

    # --- Gymnasium ---

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start every episode, or those that ``options["reset_mask"]`` marks; the other options are
        those of ``TextEnv``.
        """
        seeds = self._seeds(seed)
        options = dict(options or {})
        mask = self._checked_mask(options.pop("reset_mask", np.ones(self.num_envs, np.bool_)))
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        for i in np.flatnonzero(mask).tolist():
            infos[i] = self._start(i, seed=seeds[i], options=options)
        self._over = self._over & ~mask
        return self._batched(), batch_infos(infos)

    def step(self, actions: Sequence[str]) -> Step:
        """Make one move in each episode. Raises ``gymnasium.error.InvalidAction`` unless there is a
        string for each.
        """
        if (
            isinstance(actions, str)
            or not isinstance(actions, _SEVERAL)
            or len(actions) != self.num_envs
        ):
            raise gym.error.InvalidAction(
                f"step() takes {self.num_envs} strings, this is {actions!r:.200}"
            )
        mode, over = self.autoreset_mode, self._over.tolist()
        if mode is AutoresetMode.DISABLED and any(over):
            raise gym.error.ResetNeeded(
                f"episodes {np.flatnonzero(over).tolist()} are over: reset them with"
                ' options={"reset_mask": ...}'
            )
        results = [
            self._restarted(i) if over[i] else env.step(action)
            for i, (env, action) in enumerate(zip(self.envs, actions, strict=True))
        ]
        observations, rewards, terminations, _, infos = map(list, zip(*results, strict=True))
        self._observations = observations
        terminations = np.array(terminations, dtype=np.bool_)
        self._elapsed += 1
        self._elapsed[self._over] = 0
        # a TextEnv truncates nothing itself
        truncations = self._elapsed == (self.max_episode_steps or -1)
        ended = terminations | truncations
        if mode is AutoresetMode.SAME_STEP:
            for i in np.flatnonzero(ended).tolist():
                final = {"final_obs": observations[i], "final_info": infos[i]}
                infos[i] = {**self._start(i), **final}
        else:
            self._over = ended
        rewards = np.array(rewards, dtype=np.float64)
        return self._batched(), rewards, terminations, truncations, batch_infos(infos)

    def render(self) -> tuple[Any, ...]:
        """Render every sub-environment."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Close every sub-environment."""
        for env in self.envs:
            env.close()

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride] (as SyncVectorEnv has it)
        """Generator of each sub-environment."""
        return self.get_attr("np_random")

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride] (the same)
        """Seed of each sub-environment."""
        return self.get_attr("np_random_seed")

    # --- what SyncVectorEnv and AsyncVectorEnv also offer ---

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of every sub-environment, for example ``"solve"``; or get an attribute."""
        values = self.get_attr(name)
        return tuple(v(*args, **kwargs) if callable(v) else v for v in values)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Get an attribute of every sub-environment."""
        return tuple(getattr(env, name) for env in self.envs)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of every sub-environment: each to its own of a list or tuple of values,
        all to anything else.
        """
        if not isinstance(values, list | tuple):
            values = [values] * self.num_envs
        if len(values) != self.num_envs:
            raise ValueError(f"{len(values)} values for {self.num_envs} sub-environments")
        for env, value in zip(self.envs, values, strict=True):
            setattr(env, name, value)

    # --- private ---

    def _start(self, i: int, **kwargs: Any) -> dict[str, Any]:
        self._observations[i], info = self.envs[i].reset(**kwargs)
        self._elapsed[i] = 0
        return info

    def _restarted(self, i: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        info = self._start(i)
        return self._observations[i], 0.0, False, False, info

    def _batched(self) -> Any:
        if isinstance(self.single_observation_space, gym.spaces.Text):
            return tuple(self._observations)
        space = self.single_observation_space
        return concatenate(space, self._observations, create_empty_array(space, self.num_envs))

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int):
            return [seed + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds for {self.num_envs} sub-environments: {seed}")
        return seed

    def _checked_mask(self, mask: Any) -> np.ndarray:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"reset_mask={mask!r:.200} must be a NumPy array of bool")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"reset_mask={mask!r:.200} must have shape ({self.num_envs},) and a True in it"
            )
        return mask


def batch_infos(infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the infos of sub-environments (empty: there is none) into Gymnasium's vector form.

    The same as ``VectorEnv._add_info`` called on each in turn, one key at a time instead of one
    environment at a time, which is what makes it fast.
    """
    return _batch(len(infos), range(len(infos)), infos)


def _batch(number: int, places: Sequence[int], infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put ``infos``, those of the sub-environments at ``places``, into vector form."""
    batch: dict[str, Any] = {}
    common = min(infos, key=len)  # a reset tells more than a step, and nothing less
    if len(common) > 1:
        try:
            columns = list(zip(*map(itemgetter(*common), infos), strict=True))
        except KeyError:
            common = {}
        else:
            for key, values in zip(common, columns, strict=True):
                _add(batch, key, number, places, values)
    else:
        common = {}
    more = [pair for pair in zip(places, infos, strict=True) if len(pair[1]) > len(common)]
    for key in dict.fromkeys(chain.from_iterable(info for _, info in more)):
        if key not in common:
            there = [(place, info[key]) for place, info in more if key in info]
            _add(batch, key, number, *zip(*there, strict=True))
    return batch


def _add(
    batch: dict[str, Any], key: str, number: int, places: Sequence[int], values: Sequence[Any]
) -> None:
    """Add the values of ``key``, and where there are any, to ``batch``."""
    mask = np.ones(number, dtype=np.bool_)
    if len(places) < number:
        mask[:] = False
        mask[list(places)] = True
    batch[f"_{key}"] = mask
    kind = type(values[0])
    if kind is dict and key != "final_obs":  # which Gymnasium keeps whole
        batch[key] = _batch(number, places, values)
        return
    if kind in (int, float, bool) or issubclass(kind, np.number):
        column = np.array(values, dtype=kind)
    elif kind is np.ndarray and key != "final_obs":
        column = np.array(values)
    else:
        column = np.fromiter(values, dtype=object, count=len(values))
    if len(values) < number:  # zero or None elsewhere
        nothing = None if column.dtype == object else 0
        batch[key] = np.full((number, *column.shape[1:]), nothing, column.dtype)
        batch[key][mask] = column
    else:
        batch[key] = column
