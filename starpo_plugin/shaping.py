"""What a turn is rewarded with in training, from what it earned in the environment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starpo_plugin.choices import choose
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.world_model import BatchReward, WorldModelReward

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig

TurnReward = Callable[[float, str, Mapping[str, Any]], float]


def game_reward(reward: float, reply: str, info: Mapping[str, Any]) -> float:
    """The environment's own reward."""
    return reward


TURN_REWARDS: dict[str, TurnReward] = {"game": game_reward, "world_model": WorldModelReward()}


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
    batch_reward: BatchReward | None = None
    """What changes rewards once an iteration's episodes are all there."""

    def finish(self, played: Sequence[Trajectory]) -> tuple[list[Trajectory], dict[str, float]]:
        """Give an iteration's episodes with their final rewards, and metrics of these."""
        return self.batch_reward(played) if self.batch_reward else (list(played), {})

    def penalty(self, tokens: int) -> float:
        """What the length of a reply costs."""
        return length_penalty(tokens, self.per_token, self.budget)


def shaping(config: "TrainConfig") -> Shaping:
    """Shaping that a configuration asks for.

    Raises ``ValueError`` for a reward that the run's environments can't give.
    """
    reward = choose("turn_reward", config.turn_reward, TURN_REWARDS)
    over_batch = getattr(reward, "over_batch", None)
    batch_reward = over_batch(config) if over_batch is not None else None
    return Shaping(reward, config.length_penalty, config.length_budget, batch_reward)
