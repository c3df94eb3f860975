"""Success rates with their yardsticks: the random policy, the oracle, and an interval."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch

from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.mixing import by_task, pooled_agents, specs
from starpo_plugin.out_of_memory import memory_for
from starpo_plugin.policy import Policy
from starpo_plugin.processes import Processes
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from text_envs.agents import OracleAgent, RandomAgent, Score, evaluate

EVAL_SEED = 1_000_000
"""First of the evaluation's seeds; the same levels in every run, for every agent."""


def device_of(config: TrainConfig) -> torch.device:
    """Give the device that a config asks for. Raises ``ValueError`` where it isn't there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda', but torch sees no CUDA GPU: use device=cpu or auto")
    gpu = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")


class Evaluator:
    """Plays the evaluation levels of every environment with the policy; environments are made once.
    No more episodes are under way than in a rollout, so that an evaluation needs no more memory.

    Args:
        policy: the model, at whatever weights it has when ``run`` is called.
        tokens: its chat template.
        config: the run's: ``eval_args``, ``eval_episodes``, ``eval_temperature``.
        seed: first of the levels' seeds.
        processes: among which the episodes are shared out; the default is this one alone.
    """

    def __init__(
        self,
        policy: Policy,
        tokens: ChatTokens,
        config: TrainConfig,
        seed: int = EVAL_SEED,
        processes: Processes | None = None,
    ) -> None:
        self._config, self._policy = config, policy
        self._seed = seed
        processes = processes or Processes()
        self._rollouts = Rollouts(
            policy,
            tokens,
            config.episodes(),
            Sampling(
                config.max_reply_tokens,
                config.max_tokens,
                config.eval_temperature,
                config.at_once(processes.count),
                config.env_threads,
                config.cuda_graphs,
            ),
            processes=processes,
            **parse_args(config.eval_args),
        )

    def run(
        self, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Score, list[Trajectory]]:
        """Play ``eval_episodes`` episodes of each; the same draws each time."""
        given = specs(self._config)
        levels = range(self._seed, self._seed + self._config.eval_episodes)
        seeds, whose = zip(*product(levels, given), strict=True)
        generator = torch.Generator().manual_seed(self._seed)
        size = f"{len(seeds)} episodes of up to {self._config.max_tokens} tokens"
        with memory_for("evaluation", self._policy, self._config, size):
            played = self._rollouts.run(seeds, 1, generator, progress, specs=whose)
        return score(played), played


def score(trajectories: Sequence[Trajectory]) -> Score:
    """Count what episodes reached; a move is an action that was played."""
    n = len(trajectories)
    return Score(
        episodes=n,
        successes=sum(t.success for t in trajectories),
        mean_return=sum(t.total_reward for t in trajectories) / n,
        mean_length=sum(len(k.info["actions"]) for t in trajectories for k in t.turns) / n,
    )


def score_each(trajectories: Sequence[Trajectory]) -> dict[str, Score]:
    """Give the score of each environment, by ``Trajectory.task``."""
    return {task: score(theirs) for task, theirs in by_task(trajectories).items()}


def yardsticks(config: TrainConfig, seed: int = EVAL_SEED) -> dict[str, Score]:
    """Random policy and, where all environments have one, oracle, on the evaluation's levels (from
    ``seed`` on) and moves.
    """
    return pooled_agents(yardsticks_each(config, seed))


def yardsticks_each(config: TrainConfig, seed: int = EVAL_SEED) -> dict[str, dict[str, Score]]:
    """Give the yardsticks of each environment, by ``EpisodeSpec.task``."""
    measured = {}
    for spec in specs(config):
        env = spec.make(**parse_args(config.eval_args)).env
        agents: dict[str, Any] = {"random": RandomAgent(seed=config.seed)}
        if hasattr(env.unwrapped, "solve"):
            agents["oracle"] = OracleAgent()
        measured[spec.task] = {
            name: evaluate(env, agent, config.eval_episodes, seed) for name, agent in agents.items()
        }
    return measured
