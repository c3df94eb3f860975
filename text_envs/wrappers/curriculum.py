"""``Curriculum``: levels of difficulty that follow the success rate."""

from collections.abc import Mapping, Sequence
from typing import Any

from text_envs.wrappers.one_of import Info, OneOf, Source
from text_envs.wrappers.progress import Progress


class Curriculum(OneOf):
    """Play an environment at a level of difficulty that follows how well it goes.

    Once ``window`` episodes have been played at a level, and after each one from then on: where the
    share of successes among the last ``window`` is at least ``up``, the next episode is one level
    up; where it is at most ``down``, one level down (``Progress``). An episode counts when it ends,
    or when another is started before its end, as limits that stand outside
    (``gymnasium.wrappers.TimeLimit``, ``ChatEnv``) make it; it counts as a success if
    ``info["success"]`` was ever true. One in which no move was made doesn't count.

    ``info`` adds ``curriculum_level``, the present episode's level from 0; the rest, the spaces and
    what ``unwrapped`` offers are said at ``OneOf``.

    A level depends on what was played before, not on chance: the same seeds and actions from the
    same ``state_dict()`` are the same episodes. ``level`` and ``results`` can be read at any time;
    ``state_dict()`` and ``load_state_dict()`` save and restore them, and ``level`` can be set.
    Copies of an environment, as in a vector environment, each follow their own episodes.

    Groups: an episode with the reset option ``noise_seed`` is one of several that share a start, on
    copies of this environment. No copy can know how the others fared, so it is played at ``level``
    and not counted: ``level`` stays what it was set to, and the group stays at one level. Who plays
    groups counts with a ``Progress`` and says the level at each reset.

    ``reset`` options: ``curriculum_level`` plays that level, this time, and does not count the
    episode; all others go to the environment that is played.

        >>> levels = [{"size": 4}, {"size": 5}, {"size": 6}]
        >>> env = Curriculum("TextFrozenLake-v0", levels, window=2)
        >>> for seed in range(4):
        ...     observation, info = env.reset(seed=seed)
        ...     for move in env.unwrapped.solve():
        ...         observation, reward, terminated, truncated, info = env.step(move)
        ...     print(info["curriculum_level"], info["success"])
        0 True
        0 True
        1 True
        1 True
        >>> env.state_dict()
        {'level': 2, 'results': []}

    Args:
        env: id of the environment, or a function that takes a level's arguments and makes it.
        levels: arguments of each level, easy ones first.
        window: episodes from which the success rate is taken.
        up: success rate from which it gets harder, above ``down`` and at most 1.
        down: success rate up to which it gets easier, from 0.
        **kwargs: arguments for every level; a level's own come first.
    """

    def __init__(
        self,
        env: Source,
        levels: Sequence[Mapping[str, Any]],
        window: int = 20,
        up: float = 0.8,
        down: float = 0.2,
        **kwargs: Any,
    ) -> None:
        if not isinstance(env, str) and not callable(env):
            raise ValueError(f"env={env!r:.200} must be an id or a function that makes it")
        is_list = isinstance(levels, Sequence) and not isinstance(levels, str)
        if not is_list or not levels or not all(isinstance(level, Mapping) for level in levels):
            raise ValueError(
                f"levels={levels!r:.200} must be a list of at least one dict of arguments"
            )
        self.progress = Progress(len(levels), window, up, down)
        super().__init__([(env, {**kwargs, **level}) for level in levels])
        if "success" not in self._at_step.empty:
            raise ValueError(f"{self.env_ids[0]} has no info['success'] for a curriculum to follow")
        self._success: bool | None = None  # so far, of an episode that will count
        self._counts = False

    # --- Gymnasium ---

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Start an episode. Raises ``ValueError`` for a ``curriculum_level`` that there is not."""
        super().reset(seed=seed)
        options = dict(options or {})
        chosen = options.pop("curriculum_level", None)
        if chosen is not None:
            chosen = self.progress.checked(chosen)
        if self._success is not None:
            self._record(self._success)
        index = self.level if chosen is None else chosen
        self._counts = chosen is None and options.get("noise_seed") is None
        observation, info = self._start(index, seed, options)
        return observation, {**info, "curriculum_level": index}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """Make a move."""
        observation, reward, terminated, truncated, info = super().step(action)
        if self._counts:
            self._success = bool(self._success) or bool(info["success"])
            if terminated or truncated:
                self._record(self._success)
        return observation, reward, terminated, truncated, {**info, "curriculum_level": self._index}

    # --- what a trainer saves ---

    @property
    def level(self) -> int:
        """Level of the next episode. Setting it begins the count anew, with the next episode."""
        return self.progress.level

    @level.setter
    def level(self, level: int) -> None:
        self.progress.level = level
        self._success, self._counts = None, False  # an episode under way is of another level

    @property
    def results(self) -> tuple[bool, ...]:
        """Successes and failures at this level, at most the last ``window``."""
        return self.progress.results

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on from here, as JSON can hold it."""
        return self.progress.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave. Raises ``ValueError`` for a level that there is
        not.
        """
        self.progress.load_state_dict(state)
        self._success, self._counts = None, False

    # --- private ---

    def _record(self, success: bool) -> None:
        self._success, self._counts = None, False
        self.progress.record(success)
