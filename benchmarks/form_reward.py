"""A reward for parts of an answer's form, for a policy that has never seen one.

    starpo train --turn-reward form_reward:form --format answer --format-penalty -0.4 ...

A random policy all but never writes a whole ``<answer>move</answer>``, so it would never be paid.
"""

from collections.abc import Mapping
from typing import Any

TAG = 0.1
"""Given back for a tag. With a format penalty of 0.4 a reply with both tags and nothing between
them costs 0.2, more than one with a move that is not legal.
"""
ILLEGAL = 0.05
"""Cost of a move that is not legal, beside the 0.1 that games take for it: in some (Sokoban) a
legal move costs 0.1 too.
"""


def form(reward: float, reply: str, info: Mapping[str, Any]) -> float:
    """Give an ill-formed reply a part of its penalty back for each answer tag that it has once, the
    closing one only behind the opening one; a well-formed one pays for a move that is not legal.
    """
    if info["well_formed"]:
        return reward if info["action_is_valid"] else reward - ILLEGAL
    _, opened, rest = reply.partition("<answer>")
    opening = opened != "" and "<answer>" not in rest
    closing = opening and rest.count("</answer>") == 1
    return reward + TAG * (opening + closing)
