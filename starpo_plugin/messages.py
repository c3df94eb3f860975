"""What a person is told of a run before it begins, and after it broke off."""

import os
import shlex

from rich.console import Console

from starpo_plugin.config import TrainConfig
from starpo_plugin.out_of_memory import OutOfMemory
from starpo_plugin.run_folder import RunFolder


def announce(
    console: Console, config: TrainConfig, processes: int = 1, resume: bool = False
) -> None:
    """Say what run begins or goes on, and what will keep it from learning."""
    episodes = f"{config.iterations} iterations of {config.groups} x {config.members} episodes"
    if config.from_data:
        stored = " ".join(config.from_data)
        episodes = f"{config.iterations} iterations of {config.groups} groups stored in {stored}"
    played = ", ".join((config.env, *config.envs))
    line = f"{played}, model {config.model}, {config.advantage}: {episodes}, into {config.run}"
    line += f", by {processes} processes" if processes > 1 else ""
    console.print(line, soft_wrap=True, markup=False, style="bold")
    launched = "ACCELERATE_USE_CPU" in os.environ and "MASTER_ADDR" in os.environ
    if processes == 1 and launched and "LOCAL_RANK" not in os.environ:
        console.print(
            "note: accelerate launch was asked for several processes and started one: without a GPU"
            " it needs --multi_gpu to start more",
            soft_wrap=True,
            style="yellow",
        )
    if resume:
        _say_if_complete(console, config)
    if config.model == "tiny" and config.actor_lr < 1e-5:
        console.print(
            f"note: --actor-lr {config.actor_lr:g} suits pretrained models; one made from scratch"
            " needs about --actor-lr 1e-4 --critic-lr 1e-3, and --warmup-updates to begin with",
            soft_wrap=True,
            style="yellow",
        )


def _say_if_complete(console: Console, config: TrainConfig) -> None:
    """Say of a run that is to go on that it is over, and how to make it longer."""
    from starpo_plugin.checkpoint import checkpoints

    saved = checkpoints(RunFolder(config.run).checkpoints)
    if saved and saved[-1][0] >= config.iterations:
        console.print(
            f"note: all {config.iterations} iterations of this run are done; a larger --iterations"
            " makes it longer",
            soft_wrap=True,
            style="yellow",
        )


def way_on(config: TrainConfig, diverged: bool = False) -> str:
    """Say how to go on with a run that broke off."""
    from starpo_plugin.checkpoint import checkpoints

    run = shlex.quote(config.run)
    saved = checkpoints(RunFolder(config.run).checkpoints)
    if not saved:
        return f"it has no checkpoint yet: starpo train --resume {run} begins it again"
    iteration, path = saved[-1]
    if diverged:
        gentler = f"--actor-lr {config.actor_lr / 3:.1g} --run OTHER"
        return f"the last good checkpoint can begin another run: --model {path} {gentler}"
    return f"go on from iteration {iteration} with: starpo train --resume {run}"


def way_on_smaller(config: TrainConfig, error: OutOfMemory) -> str:
    """Say how to go on with a run that had not enough memory."""
    from starpo_plugin.checkpoint import checkpoints

    run = shlex.quote(config.run)
    saved = checkpoints(RunFolder(config.run).checkpoints)
    if not saved:
        return f"it has no checkpoint yet: begin again with {error.flags} --run OTHER"
    iteration, path = saved[-1]
    if error.resumable:
        return (
            f"its last checkpoint is {path}: go on from iteration {iteration} with: starpo train"
            f" --resume {run} {error.resumable}"
        )
    return f"its last checkpoint can begin another run: --model {path} {error.flags} --run OTHER"


def way_on_early(config: TrainConfig) -> str:
    """Say how to go on with a run that ended itself: its last checkpoint has collapsed."""
    from starpo_plugin.checkpoint import checkpoints

    _, healthier = checkpoints(RunFolder(config.run).checkpoints)[-2]
    return (
        f"an earlier checkpoint can begin another run: --model {healthier} --run OTHER, with what"
        f" the warning says; or go on all the same: starpo train --resume {shlex.quote(config.run)}"
    )
