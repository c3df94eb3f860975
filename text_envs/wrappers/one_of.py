"""``OneOf``: several environments behind one, of which an episode is played in one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from text_envs.spaces import TextSpace

Source = str | Callable[..., Any]
"""An id for ``gym.make``, or a function that makes an environment; both take keyword arguments."""
Info = dict[str, Any]

ASKED = (
    "rules",
    "game",
    "legal_actions",
    "sample_action",
    "solve",
    "facts",
    "picture",
    "get_state",
    "set_state",
)
"""What trainers, agents and chats ask of ``env.unwrapped``."""


class _Keys(NamedTuple):
    """What ``info`` has in every environment's episodes."""

    empty: Info
    """Key -> what stands there in an environment without it."""
    floats: tuple[str, ...]
    """Keys that are a float in some environment. They are one in all: a vector environment's array,
    made for one's int, would cut another's float.
    """


class OneOf(gym.Env[Any, Any]):
    """What ``Mixture`` and ``Curriculum`` have in common; they say which environment is next.

    The spaces hold what any of the environments may show or take. ``info`` has the keys of them
    all, in every episode; where one has no such entry, it has an empty value of the same type: -1
    for a number, never ``None``, which vector environments could not hold beside a number.

    What ``TextEnv`` offers beyond Gymnasium (``rules``, ``solve()``, ``legal_actions()``,
    ``facts()``, ...) is that of the present episode's environment; it is there if all of them have
    it. With ``render_mode="human"`` each has a window of its own.
    """

    metadata = {"render_modes": ["ansi", "rgb_array", "human"], "render_fps": 4}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, recipes: Sequence[tuple[Source, Mapping[str, Any]]]) -> None:
        self.envs = [_make(source, kwargs) for source, kwargs in recipes]
        sources = [source for source, _ in recipes]
        self.env_ids = [_id(source, env) for source, env in zip(sources, self.envs, strict=True)]
        self.observation_space = _union("observation", [e.observation_space for e in self.envs])
        self.action_space = _union("action", [e.action_space for e in self.envs])
        modes = {env.render_mode for env in self.envs}
        if len(modes) > 1:
            raise ValueError(f"environments differ in render_mode: {modes}; give it once, to all")
        (self.render_mode,) = modes
        shared = set.intersection(*(set(e.metadata.get("render_modes", ())) for e in self.envs))
        known = [mode for mode in self.metadata["render_modes"] if mode in shared]
        self.metadata = {**self.envs[0].metadata, "render_modes": known}
        self._offered = {n for n in ASKED if all(hasattr(e.unwrapped, n) for e in self.envs)}
        starts, steps = zip(*(_probe(source, kwargs) for source, kwargs in recipes), strict=True)
        self._at_reset, self._at_step = _keys(starts), _keys(steps)
        self._index = 0

    @property
    def active(self) -> gym.Env[Any, Any]:
        """The environment of the present episode; the first, before there is one."""
        return self.envs[self._index]

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """Make a move in the present episode's environment."""
        observation, reward, terminated, truncated, info = self.active.step(action)
        return observation, reward, terminated, truncated, _filled(info, self._at_step)

    def render(self) -> Any:
        """Render the present episode's environment."""
        return self.active.render()

    def close(self) -> None:
        """Close them all."""
        for env in self.envs:
            env.close()

    def __getattr__(self, name: str) -> Any:
        if name in ASKED and name in self._offered:
            return getattr(self.active.unwrapped, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _start(self, index: int, seed: int | None, options: Info) -> tuple[Any, Info]:
        """Start an episode in environment ``index``: with ``seed`` as it is, so that the episode is
        the one that the environment itself would start; without one, with a drawn one.
        """
        drawn = int(self.np_random.integers(2**31))
        self._index = index
        observation, info = self.active.reset(
            seed=drawn if seed is None else seed, options=options or None
        )
        return observation, _filled(info, self._at_reset)


def _make(source: Source, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    return gym.make(source, **kwargs) if isinstance(source, str) else source(**kwargs)


def _id(source: Source, env: gym.Env[Any, Any]) -> str:
    if isinstance(source, str):
        return source if env.spec is None else env.spec.id
    return getattr(source, "__name__", type(source).__name__)


def _probe(source: Source, kwargs: Mapping[str, Any]) -> tuple[Info, Info]:
    """See which ``info`` comes with a reset and which with a step, in an environment that is made
    for this: no window opens, and nothing is left behind.
    """
    env = _make(source, {k: v for k, v in kwargs.items() if k != "render_mode"})
    _, start = env.reset(seed=0)
    env.action_space.seed(0)
    *_, step = env.step(env.action_space.sample())
    env.close()
    return start, step


def _keys(infos: Iterable[Info]) -> _Keys:
    empty: Info = {}
    for info in infos:
        for key, value in info.items():
            is_wider = isinstance(value, float) and type(empty.get(key)) is int
            if empty.get(key) is None or is_wider:
                empty[key] = _empty(value)
    return _Keys(empty, tuple(key for key, value in empty.items() if isinstance(value, float)))


def _empty(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.zeros_like(value)
    if isinstance(value, bool | np.bool_ | np.unsignedinteger | str | tuple | list | dict):
        return type(value)()
    return type(value)(-1) if isinstance(value, int | float | np.number) else None


def _filled(info: Info, keys: _Keys) -> Info:
    filled = {**info}
    for key, value in keys.empty.items():
        if key not in filled:
            filled[key] = _empty(value)
    for key in keys.floats:
        if isinstance(filled[key], int):
            filled[key] = float(filled[key])
    return filled


def _union(of: str, found: Sequence[spaces.Space[Any]]) -> spaces.Space[Any]:
    """The smallest space that holds all; ``ValueError`` where there is none."""
    first = found[0]
    if all(isinstance(space, spaces.Text) for space in found):
        texts: Any = found
        characters = frozenset().union(*(text.character_set for text in texts))
        return TextSpace(max(text.max_length for text in texts), characters)
    if isinstance(first, spaces.Dict):
        dicts: Any = found
        if all(isinstance(d, spaces.Dict) and d.keys() == first.keys() for d in dicts):
            return spaces.Dict({k: _union(f"{of}[{k!r}]", [d[k] for d in dicts]) for k in first})
    if all(space == first for space in found):
        return first
    raise ValueError(
        f"environments differ in their {of} space: {', '.join(map(str, found))};"
        " give them the same obs_mode, and pictures of one size (tile, size, rows, cols), or none"
    )
