"""A reward for parts of an answer's form, for a policy that has never seen one.

    starpo train --turn-reward form_reward:form --format answer ...

A random policy all but never writes a whole ``<answer>move</answer>``, so it would never be paid.
"""

from collections.abc import Mapping
from typing import Any

WORST = -1.0
"""For a reply that has no part of the form; it is paid instead of what the game and the format
take.
"""
PART = 0.15
"""Given back for each of three parts: the opening tag at the very beginning, one closing tag behind
it, and something between them. With all three, and more behind them, a reply costs 0.55.
"""
IDLE = 0.2
"""Cost of a move that changes nothing, beside the 0.1 that games take for one that is not legal.
Without it the first legal move that is found tends to stay the only one: it mostly costs nothing.
"""


def form(reward: float, reply: str, info: Mapping[str, Any]) -> float:
    """Give a well-formed reply what the game pays, less ``IDLE``; another one its parts' worth."""
    if info["well_formed"]:
        return reward if info["action_is_effective"] else reward - IDLE
    before, opened, rest = reply.partition("<answer>")
    between, closed, behind = rest.partition("</answer>")
    begun = bool(opened) and not before
    shut = begun and bool(closed) and "</answer>" not in behind
    return WORST + PART * (begun + shut + (shut and bool(between.strip())))
