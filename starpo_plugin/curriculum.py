"""Difficulty that follows the success rate: a pure function of the lines of ``metrics.jsonl``.

All members of all groups of an iteration play the same stage. Nothing is kept but the metrics, so
a run that is resumed goes on at the stage that it would have been at.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from statistics import fmean
from typing import TYPE_CHECKING, Any

from starpo_plugin.mixing import specs
from starpo_plugin.trajectory import Trajectory

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig

STAGE, SUCCESS = "stage", "stage_success"
"""Keys of a line: the stage that was played, from 0, and the share of its episodes that
succeeded.
"""


def next_stage(config: "TrainConfig", lines: Sequence[Mapping[str, Any]]) -> int:
    """Give the stage of the next iteration.

    Where the present one has been played for ``curriculum_window`` iterations in a row, the mean
    success of the last so many decides: up from ``curriculum_up`` on, down below
    ``curriculum_down``.

    Args:
        config: the run's.
        lines: metrics of all iterations before, in order.
    """
    if not config.curriculum or not lines:
        return 0
    stage, window = int(lines[-1][STAGE]), config.curriculum_window
    here = list(takewhile(lambda line: int(line[STAGE]) == stage, reversed(lines)))
    if len(here) < window:
        return stage
    success = fmean(line[SUCCESS] for line in here[:window])
    if success >= config.curriculum_up and stage + 1 < len(config.curriculum):
        return stage + 1
    return stage - 1 if success < config.curriculum_down and stage > 0 else stage


def stage_metrics(
    config: "TrainConfig", stage: int, played: Sequence[Trajectory]
) -> dict[str, float]:
    """Metrics that ``next_stage`` reads, of the environment that has the curriculum."""
    if not config.curriculum:
        return {}
    task = specs(config, stage)[0].task
    return {STAGE: float(stage), SUCCESS: fmean(t.success for t in played if t.task == task)}
