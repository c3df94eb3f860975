"""Where a rollout's time goes, for ``train_speed.py``: CPU seconds of its parts, each without the
parts within it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from torch import nn
from train_cases import Effort, config_of, play, rollouts_of, untrained

from starpo_plugin import engine
from starpo_plugin.cache import SlotCache
from starpo_plugin.engine import SlotEngine
from starpo_plugin.tokens import ChatTokens
from text_envs.chat import ChatEnv

PLACES: dict[str, tuple[tuple[Any, str], ...]] = {
    "reading prompts": ((SlotEngine, "_read"),),
    "decoding: matrix products and attention": (
        (nn.functional, "linear"),
        (nn.functional, "scaled_dot_product_attention"),
    ),
    "decoding: all else in the model": ((SlotCache, "forward"),),
    "moving, copying and growing the cache": (
        (SlotCache, "move"),
        (SlotCache, "_grow"),
        (SlotEngine, "_move_to"),
    ),
    "drawing tokens": ((engine, "draw"),),
    "chat template and tokenizer": (
        (ChatTokens, "start"),
        (ChatTokens, "next"),
        (ChatTokens, "decode"),
        (ChatTokens, "spans"),
    ),
    "environments": ((ChatEnv, "reset"), (ChatEnv, "step")),
}
REST = "the rest: slots, turns, trajectories"
WHOLE = "reading prompts"
"""A part that counts with all within it."""


class Clock:
    """CPU seconds by part."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys([*PLACES, REST], 0.0)
        self._within = [REST]
        self._since = time.process_time()

    def switch(self) -> None:
        """Book what has passed to the innermost part."""
        now = time.process_time()
        part = WHOLE if WHOLE in self._within else self._within[-1]
        self.seconds[part] += now - self._since
        self._since = now

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the function, whose time is booked to the part."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.switch()
            self._within.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._within.pop()

        return timed


@contextmanager
def watched() -> Iterator[Clock]:
    """Time the parts of what is done meanwhile; what is not within any of them is the rest."""
    clock = Clock()
    with ExitStack() as stack:
        for part, places in PLACES.items():
            for owner, name in places:
                timed = clock.around(part, getattr(owner, name))
                stack.enter_context(patch.object(owner, name, timed))
        yield clock
        clock.switch()


def measure(effort: Effort) -> dict[str, float]:
    """CPU seconds of the parts of a rollout."""
    config = config_of()
    rollouts = rollouts_of(untrained(config), config)
    play(rollouts, effort)
    with watched() as clock:
        play(rollouts, effort)
    return clock.seconds
