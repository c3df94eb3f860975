"""Several environments in one run: who plays what, and how each of them goes.

Every environment has the same share of the groups in every iteration, so nothing is drawn and
nothing has to be remembered. Their prompts go through the model together. Groups are compared
with each other (by a filter) only within an environment: returns of different games have different
scales.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starpo_plugin.config import parse_args
from starpo_plugin.diagnostics import describe
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.trajectory import Trajectory
from text_envs.agents import Score

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig

EACH = ("success", "return", "return_std_in_group", "well_formed", "valid")
"""Metrics of a rollout that a mixed run also has of each environment."""


def parse_env(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``ID name=value ...``. Raises ``ValueError`` that names what can't be read."""
    try:
        name, *pairs = shlex.split(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not an environment, written 'ID name=value ...': {error}"
        ) from error
    return name, parse_args(tuple(pairs))


def specs(config: "TrainConfig", stage: int | None = None) -> list[EpisodeSpec]:
    """Give all environments of a run, ``env`` first, and that at a stage of its curriculum: the
    last unless given.
    """
    first = config.episodes()
    if config.curriculum and stage is not None:
        own = parse_args(config.env_args)
        first = replace(first, env_kwargs=own | parse_args(tuple(config.curriculum[stage].split())))
    others = [parse_env(text) for text in config.envs]
    return [first, *(replace(first, env_id=name, env_kwargs=own) for name, own in others)]


def refuse_twice(config: "TrainConfig") -> None:
    """Raise ``ValueError`` that names an environment which is there twice."""
    names = [spec.task for spec in specs(config)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"env={config.env!r} and envs={config.envs!r} name {', '.join(twice)} twice: give each"
            " environment once"
        )


def every_spec(config: "TrainConfig") -> list[EpisodeSpec]:
    """Give the environments of a run and, before them, ``env`` at the stages before the last."""
    earlier = [specs(config, stage)[0] for stage in range(len(config.curriculum) - 1)]
    return [*earlier, *specs(config)]


def shares(config: "TrainConfig") -> tuple[int, ...]:
    """Give the groups that each environment gets in an iteration."""
    if config.env_groups:
        return config.env_groups
    k = 1 + len(config.envs)
    return tuple(config.groups // k + (n < config.groups % k) for n in range(k))


def deal(config: "TrainConfig", stage: int = 0) -> list[EpisodeSpec]:
    """Give what each group of an iteration plays."""
    each = zip(specs(config, stage), shares(config), strict=True)
    return [spec for spec, n in each for _ in range(n)]


def without_environment(config: "TrainConfig") -> "TrainConfig":
    """Forget what was said of ``env``, and all beside it: that says nothing of another one."""
    return replace(config, env_args=(), rules=None, envs=(), env_groups=(), curriculum=())


def by_task(played: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    """Sort trajectories by what was played."""
    found: dict[str, list[Trajectory]] = {}
    for trajectory in played:
        found.setdefault(trajectory.task, []).append(trajectory)
    return found


def describe_each(played: Sequence[Trajectory], kept: Sequence[Trajectory]) -> dict[str, float]:
    """Metrics of each environment of a mixed run, as ``success/TextSokoban-v0``; none of one."""
    tasks, kept_of = by_task(played), by_task(kept)
    if len(tasks) < 2:
        return {}
    measured: dict[str, float] = {}
    for task, theirs in tasks.items():
        whole = describe(theirs)
        measured |= {f"{key}/{task}": whole[key] for key in EACH}
        groups = {t.group for t in kept_of.get(task, ())}
        measured[f"kept_groups/{task}"] = float(len(groups))
    return measured


def pooled(scores: Sequence[Score]) -> Score:
    """Give the score over the episodes of several."""
    n = sum(s.episodes for s in scores)
    return Score(
        episodes=n,
        successes=sum(s.successes for s in scores),
        mean_return=sum(s.mean_return * s.episodes for s in scores) / n,
        mean_length=sum(s.mean_length * s.episodes for s in scores) / n,
    )


def pooled_agents(each: Mapping[str, Mapping[str, Score]]) -> dict[str, Score]:
    """Give agents' scores over all environments: of those that played every one."""
    played = list(each.values())
    names = [name for name in played[0] if all(name in scores for scores in played)]
    return {name: pooled([scores[name] for scores in played]) for name in names}
