"""A whole StarPO-S iteration at RAGEN's setting, for ``gpu_speed.py``."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from gpu_cases import Timed, random_policy, synchronize
from train_engines import sampling_with

from starpo_plugin.batch import collate
from starpo_plugin.compute import Compute
from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.estimate import estimate
from starpo_plugin.policy import Policy
from starpo_plugin.presets import preset
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.shapes import ModelShape
from starpo_plugin.start import make_optimizer
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import select
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.update import Learner

LIMITS = {"max_reply_tokens": 400, "max_tokens": 3600}
"""RAGEN's for Sokoban."""


def ragen(device: str, small: bool = False) -> TrainConfig:
    """Settings of the iteration: StarPO-S's 8 groups of 16 and 5 turns, on a Sokoban of 6x6."""
    small_ones = {"groups": 2, "members": 2, "max_turns": 2, "max_reply_tokens": 6}
    return preset(
        "starpo_s",
        env="TextSokoban-v0",
        env_args=("size=6",),
        precision="bf16",
        micro_batch_tokens=8192,
        device=device,
        **{**LIMITS, **(small_ones if small else {})},
    )


class Iteration:
    """Rollout and update of one model.

    Args:
        shape: of the model, whose weights are random.
        device: where it is.
        config: the run's.
    """

    def __init__(self, shape: ModelShape, device: str, config: TrainConfig) -> None:
        self._shape, self._device, self._config = shape, device, config

    def measure(self, engine: Callable[..., Any], _: Any) -> Iterator[dict[str, Any]]:
        """Two iterations, of which the first loads kernels; a row for each phase.

        With the plain engine one rollout, and no update: that would be the same.
        """
        plain = engine.__name__ == "SlotEngine"
        policy = self._policy()
        learner = Learner(policy, None, self._config, make_optimizer(policy, self._config))
        numbers = self._about()
        yield numbers
        for turn in ("only",) if plain else ("first", "second"):
            Timed.reset()
            played = yield from self._rollout(policy, engine, f"rollout ({turn})", numbers)
            if Timed.made:
                numbers["notes"].append(
                    f"In the {turn} rollout {Timed.made} graphs were recorded, in"
                    f" {Timed.seconds:.1f} s of its time."
                )
            if not plain:
                yield from self._update(learner, played, f"update ({turn})", numbers)

    def _policy(self) -> Policy:
        config = self._config
        spec = config.episodes()
        env = spec.make(**parse_args(config.train_args))
        message, info = env.reset(seed=0)
        tags = [spec.protocol.tag(s) for s in spec.protocol.sections]
        critic = config.critic if config.needs_critic else "none"
        corpus = [info["system"], message]
        policy = random_policy(self._shape, self._device, torch.float32, corpus, tags, critic)
        policy.compute = Compute.of(config)
        return policy

    def _about(self) -> dict[str, Any]:
        c = self._config
        setting = (
            f"{c.groups} groups of {c.members}, {c.max_turns} turns of at most"
            f" {c.max_reply_tokens} tokens, Sokoban 6x6, the best quarter of the groups trained on,"
            f" all weights (float32, multiplied in bf16 in the update), micro-batches of"
            f" {c.micro_batch_tokens:,} tokens"
        )
        return {"setting": setting, "reply": c.max_reply_tokens, "rows": [], "notes": []}

    def _rollout(
        self, policy: Policy, engine: Callable[..., Any], name: str, numbers: dict[str, Any]
    ) -> Iterator[Any]:
        """Play all episodes; add a row of it."""
        config = self._config
        limits = Sampling(config.max_reply_tokens, config.max_tokens, config.temperature)
        rollouts = Rollouts(
            policy,
            ChatTokens(policy.tokenizer),
            config.episodes(),
            limits,
            **parse_args(config.train_args),
        )
        luck = torch.Generator().manual_seed(0)

        def run() -> list[Trajectory]:
            engines: list[Any] = []
            with sampling_with(engine, engines):
                return rollouts.run(range(config.groups), config.members, luck)

        played, row = self._measured(name, run)
        row["tokens"] = sum(len(turn.reply_ids) for t in played for turn in t.turns)
        longest = max(sum(len(k.prompt_ids) + len(k.reply_ids) for k in t.turns) for t in played)
        row["estimated"] = self._estimated(longest, "rollout")
        numbers["rows"].append(row)
        yield numbers
        return played

    def _update(
        self, learner: Learner, played: list[Trajectory], name: str, numbers: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Train on what StarPO-S keeps of them; add a row of it."""
        kept, scale = select(played, self._config)
        batch = collate(kept, 0, self._config.rewards).to(learner.policy.device)
        shuffle = torch.Generator().manual_seed(0)
        _, row = self._measured(name, lambda: learner.update(batch, shuffle, scale))
        row["tokens"] = int(batch.lengths.sum())
        row["estimated"] = self._estimated(batch.ids.shape[1], "update", "optimiser step")
        numbers["rows"].append(row)
        yield numbers

    def _measured(self, name: str, run: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
        if self._device != "cpu":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        synchronize(self._device)
        began = time.perf_counter()
        found = run()
        synchronize(self._device)
        row: dict[str, Any] = {"name": name, "seconds": time.perf_counter() - began}
        if self._device != "cpu":
            row["peak"] = torch.cuda.max_memory_allocated()
        print(f"  {row}", flush=True)
        return found, row

    def _estimated(self, longest: int, *phases: str) -> float:
        """What ``starpo estimate`` says of episodes of that length."""
        config = replace(self._config, max_tokens=longest)
        found = estimate(self._shape, config)
        return max(sum(found[phase].values()) for phase in phases)
