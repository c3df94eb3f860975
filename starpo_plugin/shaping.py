"""What a turn is rewarded with in training, from what it earned in the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starpo_plugin.choices import choose

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig

TurnReward = Callable[[float, str, Mapping[str, Any]], float]


def game_reward(reward: float, reply: str, info: Mapping[str, Any]) -> float:
    """The environment's own reward."""
    return reward


TURN_REWARDS: dict[str, TurnReward] = {"game": game_reward}


def length_penalty(tokens: int, per_token: float, budget: int) -> float:
    """``per_token max(0, tokens - budget)``: what a reply of so many tokens costs."""
    return per_token * max(0, tokens - budget)


@dataclass(frozen=True)
class Shaping:
    """A turn's reward in training; the default is the environment's own."""

    turn_reward: TurnReward = game_reward
    per_token: float = 0.0
    """Cost of each reply token above ``budget``."""
    budget: int = 0
    """Reply tokens that cost nothing."""

    def penalty(self, tokens: int) -> float:
        """What the length of a reply costs."""
        return length_penalty(tokens, self.per_token, self.budget)


def shaping(config: "TrainConfig") -> Shaping:
    """Shaping that a configuration asks for."""
    reward = choose("turn_reward", config.turn_reward, TURN_REWARDS)
    return Shaping(reward, config.length_penalty, config.length_budget)
