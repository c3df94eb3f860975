"""``Progress``: which level of difficulty is next, by the successes so far."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np


class Progress:
    """Follow successes from level to level.

    Once ``window`` episodes have been recorded at a level, and after each one from then on: where
    the share of successes among the last ``window`` is at least ``up``, the next episode is one
    level up; where it is at most ``down``, one level down. The count begins anew at each change.

    A ``Curriculum`` counts its own episodes so. Who plays groups of episodes on copies of one
    counts here instead, once for all of them, and says the level at each reset:

        >>> progress = Progress(levels=3, window=2)
        >>> for success in (True, True, False):
        ...     options = {"curriculum_level": progress.level}  # for every copy's reset
        ...     progress.record(success)
        >>> progress.level, progress.results
        (1, (False,))

    Args:
        levels: number of levels.
        window: episodes from which the success rate is taken.
        up: success rate from which it gets harder, above ``down`` and at most 1.
        down: success rate up to which it gets easier, from 0.
    """

    def __init__(self, levels: int, window: int = 20, up: float = 0.8, down: float = 0.2) -> None:
        for name, value in (("levels", levels), ("window", window)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        numbers = all(isinstance(share, int | float | np.number) for share in (up, down))
        if not numbers or not 0 <= down < up <= 1:
            raise ValueError(f"up={up!r} must be above down={down!r}, both numbers from 0 to 1")
        self.levels, self.window, self.up, self.down = levels, window, up, down
        self._level = 0
        self._results: deque[bool] = deque(maxlen=window)

    @property
    def level(self) -> int:
        """Level of the next episode, from 0. Setting it begins the count anew."""
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        self._level = self.checked(level)
        self._results.clear()

    @property
    def results(self) -> tuple[bool, ...]:
        """Successes and failures at this level, at most the last ``window``."""
        return tuple(self._results)

    def record(self, success: bool) -> None:
        """Count an episode of the present level."""
        self._results.append(bool(success))
        if len(self._results) < self.window:
            return
        rate = sum(self._results) / self.window
        if rate >= self.up and self._level < self.levels - 1:
            self.level += 1
        elif rate <= self.down and self._level > 0:
            self.level -= 1

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on from here, as JSON can hold it."""
        return {"level": self._level, "results": list(self._results)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave. Raises ``ValueError`` for anything else, and for a
        level that there is not.
        """
        if not isinstance(state, Mapping) or not {"level", "results"} <= set(state):
            raise ValueError(f"{state!r:.200} is not what state_dict gave: a level and its results")
        self.level = state["level"]
        self._results.extend(bool(result) for result in state["results"])

    def checked(self, level: Any) -> int:
        """Give a level back as an int. Raises ``ValueError`` for one that there is not."""
        if not isinstance(level, int | np.integer) or not 0 <= level < self.levels:
            last = self.levels - 1
            raise ValueError(f"curriculum level {level!r} must be a whole number from 0 to {last}")
        return int(level)
