"""Which episodes are played, before there is a model to play them."""

from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from text_envs.chat import ChatEnv, ChatProtocol


@dataclass(frozen=True)
class EpisodeSpec:
    """Which environment, told how, and how long an episode may be."""

    env_id: str
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    protocol: ChatProtocol = field(default_factory=ChatProtocol)
    max_turns: int = 5
    max_actions: int = 10
    format_penalty: float = -0.1
    context_turns: int = 0
    """See ``context``."""

    @property
    def task(self) -> str:
        """Name of the environment and its arguments: what tells those of a mixed run apart."""
        return " ".join((self.env_id, *(f"{k}={v}" for k, v in self.env_kwargs.items())))

    def make(self, **kwargs: Any) -> ChatEnv:
        """Make the environment. Raises ``ValueError`` that names the id and what is wrong."""
        try:
            # the episode's own limit: a registered one that is shorter would cut it unasked
            env = gym.make(
                self.env_id, **{"max_episode_steps": self.max_actions, **self.env_kwargs, **kwargs}
            )
            return ChatEnv(
                env,
                self.protocol,
                self.max_turns,
                self.max_actions,
                format_penalty=self.format_penalty,
            )
        except (gym.error.Error, ImportError) as error:
            raise ValueError(
                f"env {self.env_id!r} can't be made: {error} (ids of other packages are written"
                " 'package:Id-v0')"
            ) from error
        except TypeError as error:  # an argument that it does not have, or no text to read
            reason = str(error).split(" was raised from the environment creator")[0]
            hint = (
                "; where an environment has no splits, give empty --train-args and --eval-args"
                if "split" in kwargs and ("split" in reason or "takes no arguments" in reason)
                else ""
            )
            raise ValueError(f"env {self.env_id!r} can't be used: {reason}{hint}") from error
