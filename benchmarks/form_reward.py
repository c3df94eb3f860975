"""A reward for parts of an answer's form, for a policy that has never seen one.

    starpo train --turn-reward form_reward:tags --format answer --format-penalty -0.3 ...

A random policy all but never writes a whole ``<answer>move</answer>``, so it would never be paid.
"""

from collections.abc import Mapping
from typing import Any

TAG = 0.08
"""Given back for a tag. With a format penalty of 0.3 a reply with both tags and nothing between
them costs 0.14, still more than a move that is not legal (0.1).
"""


def tags(reward: float, reply: str, info: Mapping[str, Any]) -> float:
    """Give an ill-formed reply a part of its penalty back for each answer tag that it has once, the
    closing one only behind the opening one.
    """
    if info["well_formed"]:
        return reward
    _, opened, rest = reply.partition("<answer>")
    opening = opened != "" and "<answer>" not in rest
    closing = opening and rest.count("</answer>") == 1
    return reward + TAG * (opening + closing)
