"""``Mixture``: several environments, drawn by weight."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from text_envs.wrappers.one_of import Info, OneOf, Source

Entry = Source | Sequence[Any]
"""A source, or one with its arguments and its weight: ``(source, kwargs, weight)``."""


class Mixture(OneOf):
    """Draw the environment of each episode from several.

    The seed of a reset says which one is drawn and, handed on, which episode it starts: it is the
    episode that this environment alone would play under that seed. Each keeps its own limit of
    moves; one given to ``gym.make`` with the mixture's own id holds besides.

    ``info`` adds ``env_id``, the id, and ``env_index``, the place in ``envs``; the rest, the spaces
    and what ``unwrapped`` offers are said at ``OneOf``.

    ``reset`` options: ``env_index`` plays that one; all others go to the environment that is
    played.

        >>> env = Mixture(["TextFrozenLake-v0", ("TextSokoban-v0", {"boxes": 2}, 3.0)])
        >>> from collections import Counter
        >>> Counter(env.reset(seed=seed)[1]["env_id"] for seed in range(100))
        Counter({'TextSokoban-v0': 72, 'TextFrozenLake-v0': 28})

    By its id, ``gym.make("text_envs:TextMixture-v0", envs=[...])``, it has a spec, and any trainer
    can be given it.

    Args:
        envs: what to draw from, each an id or ``(id, kwargs, weight)``, of which the last two may
            be left out: ``{}`` and 1. In place of an id, a function that takes ``kwargs`` and makes
            an environment; its ``env_id`` is its name.
        **kwargs: arguments for every environment, for example ``split``, ``obs_mode`` or
            ``render_mode``; an environment's own come first.
    """

    def __init__(self, envs: Sequence[Entry], **kwargs: Any) -> None:
        if isinstance(envs, str) or not isinstance(envs, Sequence) or not envs:
            raise ValueError(f"envs={envs!r:.200} must be a list of at least one environment")
        entries = [_entry(number, entry) for number, entry in enumerate(envs)]
        super().__init__([(source, {**kwargs, **own}) for source, own, _ in entries])
        weights = np.array([weight for *_, weight in entries])
        self.probabilities: list[float] = (weights / weights.sum()).tolist()

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Start an episode. Raises ``ValueError`` for an ``env_index`` that there is not."""
        super().reset(seed=seed)
        options = dict(options or {})
        # through a generator of its own: the environment's begins with the same numbers as ours,
        # and would not draw all its starts, had one of them chosen it
        chance = np.random.default_rng(int(self.np_random.integers(2**63)))
        index = int(chance.choice(len(self.envs), p=self.probabilities))
        if "env_index" in options:
            index = options.pop("env_index")
            if not isinstance(index, int | np.integer) or not 0 <= index < len(self.envs):
                raise ValueError(
                    f"env_index={index!r} must be a whole number from 0 to {len(self.envs) - 1}"
                )
        observation, info = self._start(int(index), seed, options)
        return observation, self._told(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """Make a move."""
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, self._told(info)

    def _told(self, info: Info) -> Info:
        info["env_id"] = self.env_ids[self._index]
        info["env_index"] = self._index
        return info


def _entry(number: int, entry: Any) -> tuple[Source, Mapping[str, Any], float]:
    parts: Any = [entry] if isinstance(entry, str) or callable(entry) else entry
    if not isinstance(parts, Sequence) or not 1 <= len(parts) <= 3:
        raise ValueError(f"envs[{number}]={entry!r:.200} must be an id or (id, kwargs, weight)")
    source: Any = parts[0]
    kwargs: Any = parts[1] if len(parts) > 1 else {}
    weight: Any = parts[2] if len(parts) > 2 else 1.0
    is_source = isinstance(source, str) or callable(source)
    if not is_source:
        raise ValueError(f"envs[{number}] begins with {source!r:.200}, which is not an id")
    if not isinstance(kwargs, Mapping):
        raise ValueError(f"envs[{number}]: the arguments {kwargs!r:.200} must be a dict")
    if not isinstance(weight, int | float) or not isfinite(weight) or weight <= 0:
        raise ValueError(f"envs[{number}]: the weight {weight!r} must be a number above 0")
    return source, kwargs, float(weight)
