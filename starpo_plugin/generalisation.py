"""A model on environments that it was not trained on, beside those that it was: one table.

The suite follows the generalisation table of the RAGEN paper (arXiv 2504.20073): the same game in
other symbols, on a larger board, and another game.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from starpo_plugin.config import TrainConfig
from starpo_plugin.console import visible
from starpo_plugin.mixing import refuse_twice, specs
from starpo_plugin.run_folder import RunFolder, score_dict
from text_envs.agents import Score

SUITES: dict[str, tuple[str, ...]] = {
    "TextSokoban-v0": (
        "TextSokoban-v0 symbols=W.xbBpP",
        "TextSokoban-v0 size=8 boxes=2 max_solution=20",
        "TextFrozenLake-v0",
    ),
    "TextFrozenLake-v0": (
        "TextFrozenLake-v0 symbols=a.hgdw",
        "TextFrozenLake-v0 size=6",
        "TextSokoban-v0",
    ),
}
"""Trained on -> what its suite adds; arguments of the same game are over those of the training."""

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Environment -> agent -> score in the form of ``run_folder.score_dict``."""


def widened(config: TrainConfig, also: Sequence[str], suite: bool) -> TrainConfig:
    """Give a config whose evaluation also plays other environments.

    Args:
        config: of the model.
        also: environments, each ``ID name=value ...``.
        suite: whether to add those of ``SUITES``.

    Raises:
        ValueError: an environment that is named twice, or one that has no suite.
    """
    more = [*also, *(_suite(config) if suite else ())]
    wide = replace(config, envs=(*config.envs, *more), env_groups=())
    refuse_twice(wide)
    return wide


def _suite(config: TrainConfig) -> list[str]:
    if config.env not in SUITES:
        raise ValueError(
            f"env {config.env!r} has no suite of others, only {', '.join(SUITES)} have: name them"
            " with --also"
        )
    own = config.episodes()
    found = []
    for text in SUITES[config.env]:
        name, *changes = shlex.split(text)
        kept = own.env_kwargs if name == own.env_id else {}
        changed = {change.partition("=")[0] for change in changes}
        pairs = [f"{k}={v}" for k, v in kept.items() if k not in changed]
        found.append(shlex.join([name, *pairs, *changes]))
    there = {spec.task for spec in specs(config)}
    tasks = (specs(replace(config, envs=(text,)))[1].task for text in found)
    return [text for text, task in zip(found, tasks, strict=True) if task not in there]


def rows(
    scores: Mapping[str, Score], yardsticks: Mapping[str, Mapping[str, Score]], name: str
) -> Rows:
    """Give what ``environment_table`` shows of an evaluation.

    Args:
        scores: environment -> the model's score.
        yardsticks: environment -> agent -> score.
        name: of the model.
    """
    agents = {task: {**yardsticks[task], name: score} for task, score in scores.items()}
    return {task: {a: score_dict(s) for a, s in theirs.items()} for task, theirs in agents.items()}


def run_rows(folder: RunFolder, name: str) -> Rows:
    """Give the rows of a run's last evaluation; none where it plays one environment."""
    evals = folder.read("evals.jsonl")
    envs = evals[-1].get("envs", {}) if evals else {}
    if not envs:
        return {}
    yardsticks = json.loads((folder.path / "yardsticks.json").read_text())["envs"]
    return {task: {**yardsticks[task], name: score} for task, score in envs.items()}


def environment_table(measured: Rows, name: str, title: str) -> Table:
    """Make a table with a row for each environment: random player, model with interval, oracle."""
    table = Table(title=title, box=SIMPLE, title_justify="left", title_style="bold")
    table.add_column("environment", overflow="fold")
    for heading in ("episodes", "random", name, "95 % interval", "oracle"):
        table.add_column(Text(visible(heading)), justify="right", no_wrap=True)
    for task, agents in measured.items():
        score = agents[name]
        low, high = score["interval"]
        table.add_row(
            Text(visible(task)),
            str(score["episodes"]),
            _success(agents, "random"),
            f"{score['success']:.1%}",
            f"{low:.1%} to {high:.1%}",
            _success(agents, "oracle"),
        )
    return table


def _success(agents: Mapping[str, Mapping[str, Any]], name: str) -> str:
    return f"{agents[name]['success']:.1%}" if name in agents else ""
