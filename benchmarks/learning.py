"""What each preset learns: tiny model, two environments, three seeds, one imitation start each.

    python benchmarks/learning.py [--jobs 2] [--folder runs/learning] [--quick]

Writes ``benchmarks/learning.md`` and the curves beside it. Runs that are complete in the folder are
not run again, and one that was broken off goes on from its last checkpoint.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

from curves import standalone
from seeds import Options, asked, averaged, interval, levels, scale, starpo, successes, trained

from starpo_plugin.charts import chart
from starpo_plugin.run_folder import RunFolder

HERE = Path(__file__).parent
PRESETS = ("starpo_ppo", "starpo_grpo", "starpo_s", "trico")
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
    start = folder / f"{task.env}-start-{seed}"
    options = {
        **{"--preset": preset, "--model": str(start)},
        **{**EVERYWHERE, **task.options, **TRAINING, "--seed": str(seed)},
        "--eval-every": str(size.every),
        "--eval-episodes": str(size.episodes),
    }
    return trained(folder / f"{task.env}-{preset}-{seed}", size.iterations, options)


# --- the tables ---


def row(preset: str, runs: Sequence[RunFolder]) -> str:
    """Write a preset's line of the table."""
    before = [successes(r)[0][1] for r in runs]
    after = [successes(r)[-1][1] for r in runs]
    gains = [b - a for a, b in zip(before, after, strict=True)]
    each = ", ".join(f"{100 * a:.1f} → {100 * b:.1f}" for a, b in zip(before, after, strict=True))
    return f"| {preset} | {interval(before)} | {interval(after)} | {interval(gains)} | {each} |"


def curves(runs: Mapping[str, Sequence[RunFolder]], first: RunFolder) -> str:
    """Draw every preset's success over iterations: mean over seeds, least to most as a band."""
    series = [
        averaged(preset, [successes(run) for run in runs[preset]], style)
        for preset, style in zip(runs, "abcd", strict=False)
    ]
    drawn = chart(series, levels=levels(first), percent=True, height=220)
    return standalone(drawn, list(runs))


def section(name: str, runs: Mapping[str, Sequence[RunFolder]], size: Size) -> str:
    """Write a task's table and curves."""
    first = next(iter(runs.values()))[0]
    picture = HERE / f"learning-{name.lower()}.svg"
    picture.write_text(curves(runs, first), encoding="utf-8")
    return "\n".join(
        [
            f"## {TASKS[name].env}",
            "",
            scale(first),
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
    options = asked(__doc__, "learning", jobs=2)
    size = QUICK if options.quick else FULL
    began = time.perf_counter()
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
