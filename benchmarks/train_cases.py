"""Model, settings and episodes that ``train_speed.py`` and ``train_trl.py`` measure."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from train_engines import sampling_with

from starpo_plugin.config import TrainConfig
from starpo_plugin.demo import SETTINGS
from starpo_plugin.engine import SlotEngine
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.start import start_model
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory


class Effort(NamedTuple):
    """How much is measured."""

    groups: int
    repeats: int
    turns: tuple[int, ...]


FULL = Effort(groups=8, repeats=3, turns=(1, 2, 4, 8, 12))
QUICK = Effort(groups=1, repeats=1, turns=(1, 3))
MEMBERS = 16


class Played(NamedTuple):
    """What rollouts cost: seconds of CPU time and by the clock, and what they did."""

    cpu: float
    wall: float
    tokens: int
    steps: int
    episodes: list[Trajectory]

    @property
    def rate(self) -> float:
        """Sampled tokens a second of CPU time."""
        return self.tokens / self.cpu


def config_of(**changes: Any) -> TrainConfig:
    """Give the demo's settings, without those of its length."""
    return preset(
        "starpo_s",
        env=SETTINGS["--env"],
        system_template=SETTINGS["--system-template"],
        user_template=SETTINGS["--user-template"],
        max_reply_tokens=int(SETTINGS["--max-reply-tokens"]),
        micro_batch_tokens=int(SETTINGS["--micro-batch-tokens"]),
        tiny_layers=int(SETTINGS["--tiny-layers"]),
        mini_batch=int(SETTINGS["--mini-batch"]),
        **{
            **{"advantage": "grpo", "grpo_scale": "none", "entropy_coef": 0.0},
            **{"aggregation": "seq-mean-token-mean", "max_tokens": 2048},
            **changes,
        },
    )


def untrained(config: TrainConfig) -> Policy:
    """Make the demo's model with random weights, whose replies end here and there."""
    policy = Policy(*start_model(config))
    with torch.no_grad():
        policy.model.get_output_embeddings().weight[policy.tokenizer.eos_token_id] *= 6
    return policy


def rollouts_of(policy: Policy, config: TrainConfig) -> Rollouts:
    """Make what plays; its environments are made when they are first needed."""
    sampling = Sampling(config.max_reply_tokens, config.max_tokens, config.temperature)
    tokens = ChatTokens(policy.tokenizer)
    return Rollouts(policy, tokens, config.episodes(), sampling, split="train")


def play(rollouts: Rollouts, effort: Effort, way: Callable[..., Any] = SlotEngine) -> Played:
    """Play the episodes of one seed."""
    engines: list[Any] = []
    luck = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    with sampling_with(way, engines):
        cpu, wall = time.process_time(), time.perf_counter()
        played = rollouts.run(range(effort.groups), MEMBERS, luck)
        took = time.process_time() - cpu, time.perf_counter() - wall
    drawn = sum(len(turn.reply_ids) for t in played for turn in t.turns)
    return Played(*took, drawn, engines[0].steps, played)


def middle(runs: Sequence[Played]) -> Played:
    """Give the run of median CPU time."""
    return sorted(runs, key=lambda run: run.cpu)[len(runs) // 2]
