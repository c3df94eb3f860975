"""``draw``: one function, one drawer for each type of state."""

from functools import singledispatch
from typing import Any

import numpy as np

from renderers.panel import describe, draw_text


@singledispatch
def draw(state: Any, tile: int = 32) -> np.ndarray:
    """Draw a game state.

    Args:
        state: a state of any game. A type with no drawer of its own gets a panel with its fields
            and values, hidden ones included: fit for a developer's eyes, not a player's.
            ``TextEnv`` shows the game's text instead.
        tile: pixels per board cell. From 28 on, a cell is at least one merged vision token on
            Qwen-type encoders.

    Returns:
        The picture, uint8 ``[H, W, 3]``, C-contiguous and the caller's own.
    """
    return draw_text(describe(state), tile)


def has_drawer(state: Any) -> bool:
    """Tell whether a drawer is registered for this type of state."""
    return draw.dispatch(type(state)) is not draw.dispatch(object)
