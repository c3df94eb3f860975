"""What a rollout yields: episodes as turns of token ids, exactly as they were seen and sampled."""

from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["terminated", "truncated", "out_of_tokens"]


@dataclass(frozen=True)
class Turn:
    """One exchange: the tokens that were added to the context, then those that the policy sampled.

    A worked example, two turns of one episode (``mask`` and ``turn`` are made from this by
    ``collate``)::

        turn 0  prompt_ids  <|user|> # P X O # <|end|> <|assistant|>
                reply_ids   <answer> right </answer> <|end|>     the policy wrote <|end|>: trained
        turn 1  prompt_ids  <|user|> # _ P X # <|end|> <|assistant|>
                reply_ids   <answer> right                        cut off by the length limit
    """

    prompt_ids: tuple[int, ...]
    """Context added before the reply: template headers, the observation. Where the trajectory has
    ``context_turns``, all that the policy saw.
    """
    reply_ids: tuple[int, ...]
    """As sampled, never decoded and encoded again; the end-of-turn token included if it was
    sampled.
    """
    logprobs: tuple[float, ...]
    """Sampler's log-probability of each reply token."""
    observation: str
    """User message of this turn."""
    reply: str
    """The reply's text, without the end-of-turn token."""
    reward: float
    """Sum of the turn's rewards; zero is an ordinary value."""
    info: dict[str, Any] = field(default_factory=dict)
    """What ``ChatEnv`` said of the turn: actions, sections, well_formed, flags."""
    sections: tuple[int, ...] = ()
    """The section of each reply token, an index into ``sections.SECTIONS``; empty where the reply
    was not read.
    """


@dataclass(frozen=True)
class Trajectory:
    """One episode of one member of a group."""

    env_id: str
    seed: int
    """Environment seed: with ``member`` it replays the episode's start and luck."""
    group: int
    """Trajectories of one group share the start and are compared with each other."""
    member: int
    """Index within the group; also the noise seed."""
    turns: tuple[Turn, ...]
    success: bool
    end: End
    system: str = ""
    context_turns: int = 0
    """0: prompts and replies of all turns make one sequence. k: each turn is a sequence of its own,
    whose prompt holds the last k turns.
    """
    next_ids: tuple[int, ...] = ()
    """Prompt that would have come next where the episode was cut off and the model had room for it;
    else empty. It is no part of the trajectory: only the critic may look at it.
    """
    task: str = ""
    """Environment with its arguments (``EpisodeSpec.task``), for runs that mix several."""

    @property
    def total_reward(self) -> float:
        """Undiscounted sum of rewards."""
        return sum((t.reward for t in self.turns), 0.0)

    @property
    def longest(self) -> int:
        """Tokens of its longest sequence."""
        if not self.context_turns:
            return len(self)
        return max((len(t.prompt_ids) + len(t.reply_ids) for t in self.turns), default=0)

    def __len__(self) -> int:
        return sum(len(t.prompt_ids) + len(t.reply_ids) for t in self.turns)
