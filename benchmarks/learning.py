"""What each preset learns: tiny model, two environments, three seeds, one imitation start each.

    python benchmarks/learning.py [--jobs 2] [--folder runs/learning] [--quick]

Writes ``benchmarks/learning.md`` and the curves beside it. Runs that are complete in the folder are
not run again, and one that was broken off goes on from its last checkpoint.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from curves import standalone

from starpo_plugin.charts import Level, Series, chart
from starpo_plugin.checkpoint import checkpoints
from starpo_plugin.run_folder import RunFolder

HERE = Path(__file__).parent
PRESETS = ("starpo_ppo", "starpo_grpo", "starpo_s", "trico")
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5 % quantiles of Student's t for the mean of so many seeds."""

Options = Mapping[str, str]

EVERYWHERE: Options = {
    "--system-template": "",  # the tiny model sees the board alone
    "--user-template": "{observation}",
    "--context-turns": "1",
    "--max-reply-tokens": "40",
    "--max-tokens": "256",
    "--micro-batch-tokens": "4096",
    "--eval-temperature": "1",
    "--device": "cpu",
}
TRAINING: Options = {
    "--groups": "32",
    "--members": "8",
    "--actor-lr": "3e-4",
    "--critic-lr": "3e-3",
    "--lr-decay": "linear",
    "--entropy-coef": "0",
    # as in the demo: cheap failures earn nothing by it, long episodes weigh no more than short ones
    "--grpo-scale": "none",
    "--aggregation": "seq-mean-token-mean",
    "--save-tokens": "0",
    "--save-rollouts": "0",
}


@dataclass(frozen=True)
class Task:
    """An environment and how long it is imitated and trained on."""

    env: str
    options: Options
    warmup: Options


TASKS = {
    "Sokoban": Task(
        "TextSokoban-v0",
        {"--env": "TextSokoban-v0"},
        {
            **{"--warmup-updates": "300", "--warmup-batch": "24", "--warmup-moves": "2"},
            "--warmup-thought": "subgoals",
        },
    ),
    "FrozenLake": Task(
        "TextFrozenLake-v0",
        {"--env": "TextFrozenLake-v0", "--env-args": "success_rate=0.8"},
        {"--warmup-updates": "60", "--warmup-batch": "24"},
    ),
}


@dataclass(frozen=True)
class Size:
    """How much of it."""

    seeds: int = 3
    iterations: int = 50
    every: int = 25
    episodes: int = 512


FULL, QUICK = Size(), Size(seeds=2, iterations=2, every=1, episodes=16)


def starpo(command: str, options: Options) -> None:
    """Run a command of the trainer on one core. Raises ``RuntimeError`` with what it said."""
    words = [word for pair in options.items() for word in pair]
    done = subprocess.run(
        [sys.executable, "-m", "starpo_plugin", command, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"starpo {command} {' '.join(words)}: {done.stderr[-2000:]}")


def imitate(task: Task, seed: int, size: Size, folder: Path) -> Path:
    """Give the imitation start of a task and seed, made if it isn't there."""
    out = folder / f"{task.env}-start-{seed}"
    if not out.exists():
        made = {"--out": str(out), "--seed": str(seed), "--eval-episodes": "1"}
        moves = {} if size is FULL else {"--warmup-updates": "5"}
        starpo("warmup", {**EVERYWHERE, **task.options, **task.warmup, **moves, **made})
    return out


def train(task: Task, preset: str, seed: int, size: Size, folder: Path) -> RunFolder:
    """Give the complete run of a preset on a task, trained as far as it isn't yet."""
    run = RunFolder(folder / f"{task.env}-{preset}-{seed}")
    saved = checkpoints(run.checkpoints)
    if saved and saved[-1][0] == size.iterations:
        return run
    if saved:
        starpo("train", {"--resume": str(run.path)})
        return run
    start = folder / f"{task.env}-start-{seed}"
    starpo(
        "train",
        {
            **{"--preset": preset, "--model": str(start), "--run": str(run.path)},
            **{**EVERYWHERE, **task.options, **TRAINING, "--seed": str(seed)},
            "--iterations": str(size.iterations),
            "--eval-every": str(size.every),
            "--eval-episodes": str(size.episodes),
        },
    )
    return run


# --- the tables ---


def interval(values: Sequence[float]) -> str:
    """Write the mean over seeds and its 95 % interval (Student's t), in percent."""
    mean = fmean(values)
    half = STUDENT_T[len(values)] * stdev(values) / math.sqrt(len(values))
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


def successes(run: RunFolder) -> list[tuple[int, float]]:
    """Give (iteration, success rate) of a run's evaluations."""
    return [(line["iteration"], line["success"]) for line in run.read("evals.jsonl")]


def yardstick(run: RunFolder, name: str) -> dict[str, Any]:
    """Give what another agent reached on the same episodes."""
    return json.loads((run.path / "yardsticks.json").read_text("utf-8"))[name]


def row(preset: str, runs: Sequence[RunFolder]) -> str:
    """Write a preset's line of the table."""
    before = [successes(r)[0][1] for r in runs]
    after = [successes(r)[-1][1] for r in runs]
    gains = [b - a for a, b in zip(before, after, strict=True)]
    each = ", ".join(f"{100 * a:.1f} → {100 * b:.1f}" for a, b in zip(before, after, strict=True))
    return f"| {preset} | {interval(before)} | {interval(after)} | {interval(gains)} | {each} |"


def curves(runs: Mapping[str, Sequence[RunFolder]], first: RunFolder) -> str:
    """Draw every preset's success over iterations: mean over seeds, least to most as a band."""
    series = []
    for preset, style in zip(runs, "abcd", strict=False):
        lines = [successes(run) for run in runs[preset]]
        columns = [(same[0][0], [y for _, y in same]) for same in zip(*lines, strict=True)]
        series.append(
            Series(
                preset,
                [(x, fmean(ys)) for x, ys in columns],
                style,
                band=[(x, min(ys), max(ys)) for x, ys in columns],
                smooth=False,
            )
        )
    levels = [Level(name, yardstick(first, name)["success"]) for name in ("random", "oracle")]
    return standalone(chart(series, levels=levels, percent=True, height=220), list(runs))


def section(name: str, runs: Mapping[str, Sequence[RunFolder]], size: Size) -> str:
    """Write a task's table and curves."""
    first = next(iter(runs.values()))[0]
    picture = HERE / f"learning-{name.lower()}.svg"
    picture.write_text(curves(runs, first), encoding="utf-8")
    scale = []
    for agent in ("random", "oracle"):
        score = yardstick(first, agent)
        low, high = (100 * x for x in score["interval"])
        scale.append(f"{agent} {100 * score['success']:.1f} % ({low:.1f} to {high:.1f})")
    return "\n".join(
        [
            f"## {TASKS[name].env}",
            "",
            f"{'; '.join(scale)}, each over the same {score['episodes']} test episodes.",
            "",
            "| preset | after imitation, % | after training, % | gain, points | each seed |",
            "|---|---:|---:|---:|---|",
            *(row(preset, of) for preset, of in runs.items()),
            "",
            f"![Success over {size.iterations} iterations]({picture.name})",
            "",
        ]
    )


def preamble(size: Size, seconds: float) -> str:
    """Say what was measured and how to do it again."""
    options = " ".join(f"{k} {v or repr(v)}" for k, v in {**EVERYWHERE, **TRAINING}.items())
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers"))
    took = f" It took {seconds / 60:.0f} minutes." if seconds > 60 else ""
    return "\n".join(
        [
            "# What the presets learn",
            "",
            "<!-- python benchmarks/learning.py writes this file -->",
            "",
            f"A tiny model made from scratch imitates the oracle for a short while, once per seed;"
            f" every preset then trains on from that start for {size.iterations} iterations."
            f" {size.seeds} seeds; success on {size.episodes} levels of the test split, sampled at"
            " temperature 1. A number is the mean over seeds ± half of its 95 % interval (Student's"
            " t); in the curves the band is from the least to the most of the seeds.",
            "",
            "    python benchmarks/learning.py --jobs 2",
            "",
            f"does it again on two CPU cores.{took} {packages}. What all runs have in common,"
            f" beside their preset: `{options}`",
            "",
            "",
        ]
    )


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, a core each")
    parser.add_argument("--folder", type=Path, default=Path("runs/learning"))
    parser.add_argument("--quick", action="store_true", help="a few episodes; writes no page")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    began = time.perf_counter()
    options.folder.mkdir(parents=True, exist_ok=True)
    seeds = range(size.seeds)
    with ThreadPoolExecutor(options.jobs) as pool:
        starts = [
            pool.submit(imitate, TASKS[name], seed, size, options.folder)
            for name, seed in product(TASKS, seeds)
        ]
        for start in starts:
            start.result()
        wanted = list(product(TASKS, PRESETS, seeds))
        found = [
            pool.submit(train, TASKS[name], preset, seed, size, options.folder)
            for name, preset, seed in wanted
        ]
        played = []
        for done, future in enumerate(found, 1):
            run = future.result()
            played.append(run)
            print(f"{done}/{len(wanted)} {run.path.name}: {successes(run)}", flush=True)
    runs = dict(zip(wanted, played, strict=True))
    parts = [preamble(size, time.perf_counter() - began)]
    for name in TASKS:
        of = {preset: [runs[name, preset, seed] for seed in seeds] for preset in PRESETS}
        parts.append(section(name, of, size) if size is FULL else "")
    if size is FULL:
        (HERE / "learning.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
