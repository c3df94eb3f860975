"""``make demo``: a model made from scratch learns Sokoban on a laptop, and a person sees it get
better.

A tiny model first imitates the oracle for a short while, then StarPO-S lets it play whole
episodes and reinforces what worked. Everything lands in ``runs/demo``: checkpoints, metrics, a
report to open in a browser, and a video of one test level.

Without a GPU each core gets a process of its own: a tiny model's matrices are too small for several
threads to share.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

from starpo_plugin.__main__ import main as starpo

RUN = Path("runs/demo")
MOST_PROCESSES = 4
"""With more, none has enough of a mini-batch to do."""

SETTINGS = {
    "--preset": "starpo_s",
    "--env": "TextSokoban-v0",  # 6x6, 1 box; 5 turns and 10 moves are the defaults
    # the tiny model cannot read English: it sees the board alone
    "--system-template": "",
    "--user-template": "{observation}",
    "--max-reply-tokens": "40",
    "--max-tokens": "512",
    "--context-turns": "1",  # the board says all that there is to know
    "--micro-batch-tokens": "4096",
    "--tiny-layers": "4",
    # imitation: demonstrations that think of the pushes and play one move a turn, now and then two
    "--warmup-updates": "1800",
    "--warmup-batch": "24",
    "--warmup-moves": "2",
    "--warmup-thought": "subgoals",
    # many starts, each with few rollouts: what is learned of one level says little of the next
    "--groups": "96",
    "--members": "4",
    "--filter-value": "0.34",  # 32 groups; of the others most have no spread
    "--mini-batch": "32",
    # returns against their group's mean, not divided by the group's spread: where all members
    # fail, that would reward the one that failed with the fewest moves
    "--advantage": "grpo",
    "--grpo-scale": "none",
    "--aggregation": "seq-mean-token-mean",
    "--actor-lr": "6e-4",
    "--lr-decay": "linear",
    "--entropy-coef": "0",
    "--old-logprobs": "sampler",
    "--iterations": "110",
    "--eval-every": "55",
    "--save-every": "110",
    "--eval-temperature": "1",
}


def main() -> int:
    """Train, then record a video. Returns the exit code of the first command that fails."""
    if RUN.exists():
        keep = _free_name()
        RUN.rename(keep)
        print(f"{RUN} holds an earlier demo: kept as {keep}")
    arguments = [word for pair in SETTINGS.items() for word in pair]
    code = _train([*arguments, "--run", str(RUN)])
    if code:
        return code
    return starpo(["play", str(RUN), "--video", str(RUN / "episode.mp4")])


def _train(arguments: list[str]) -> int:
    """Run ``starpo train``, in as many processes as pay off."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = min(cores or 1, MOST_PROCESSES)
    if torch.cuda.is_available() or processes == 1:
        return starpo(["train", *arguments])
    launch = {
        "--num_processes": str(processes),
        "--num_machines": "1",
        "--mixed_precision": "no",
        "--dynamo_backend": "no",
        "--main_process_port": "0",  # any that is free
    }
    words = [word for pair in launch.items() for word in pair]
    # accelerate's word for several processes, with GPUs or without
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "-m", "starpo_plugin", "train", *arguments], env=env)
    return done.returncode


def _free_name() -> Path:
    return next(p for n in range(1, 10**6) if not (p := RUN.with_name(f"demo-{n}")).exists())


if __name__ == "__main__":
    sys.exit(main())
