"""The echo trap, on purpose: a run that falls into it, and StarPO-S at the same settings.

    python benchmarks/echo_trap.py [--jobs 1] [--folder runs/echo_trap] [--quick]

Writes ``benchmarks/echo_trap.md`` and its picture. Runs that are complete in the folder are not run
again, and one that was broken off goes on from its last checkpoint.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from curves import stacked, standalone
from seeds import HERE, Options, asked, interval, scale, shown, starpo, successes, trained

from starpo_plugin.charts import Mark, Series, chart
from starpo_plugin.run_folder import RunFolder

EVERYWHERE: Options = {
    "--env": "TextBandit-v0",
    "--system-template": "",  # the tiny model sees the arms alone
    "--user-template": "{observation}",
    "--context-turns": "1",
    "--max-turns": "1",
    "--max-reply-tokens": "12",
    "--max-tokens": "256",
    "--micro-batch-tokens": "8192",
    "--eval-temperature": "1",
    "--device": "cpu",
}
IMITATION: Options = {
    "--warmup-updates": "60",
    "--warmup-batch": "24",
    "--warmup-thought": "plan",
    "--eval-episodes": "1",
}
TRAINING: Options = {
    "--groups": "8",
    "--members": "8",
    "--mini-batch": "16",
    "--actor-lr": "1e-3",
    "--critic-lr": "3e-3",
    "--kl-coef": "0",
    "--save-every": "10",
    "--save-tokens": "0",
    "--save-rollouts": "0",
    "--tracker": "none",
}
ARMS: Mapping[str, Options] = {
    "no filter": {"--preset": "starpo_ppo"},
    "starpo_s": {"--preset": "starpo_s"},
    # as many optimiser steps as starpo_s takes: what is due to the filter, what to fewer steps
    "no filter, 1 step": {"--preset": "starpo_ppo", "--mini-batch": "64"},
}
"""The runs of a seed by name: what differs between them."""
TRAP, SURVIVOR, CONTROL = ARMS


@dataclass(frozen=True)
class Size:
    """How much of it."""

    seeds: int = 3
    iterations: int = 150
    episodes: int = 512


FULL, QUICK = Size(), Size(seeds=2, iterations=12, episodes=16)


def imitate(seed: int, size: Size, folder: Path) -> Path:
    """Give the imitation start of a seed, made if it isn't there."""
    out = folder / f"start-{seed}"
    if not out.exists():
        few = {} if size is FULL else {"--warmup-updates": "5"}
        starpo("warmup", {**EVERYWHERE, **IMITATION, **few, "--out": str(out), "--seed": str(seed)})
    return out


def train(arm: str, seed: int, size: Size, folder: Path, more: Options | None = None) -> RunFolder:
    """Give the complete run of an arm, trained as far as it isn't yet."""
    options = {
        **EVERYWHERE,
        **TRAINING,
        **ARMS[arm],
        **{"--model": str(folder / f"start-{seed}"), "--seed": str(seed)},
        "--eval-every": str(size.iterations),
        "--eval-episodes": str(size.episodes),
        **(more or {}),
    }
    words = [*arm.replace(",", "").split(), str(seed), *(k.strip("-") for k in more or {})]
    name = "-".join(words)
    return trained(folder / name, size.iterations, options)


# --- what happened ---


def fall(success: Sequence[float], start: float, window: int = 5, share: float = 0.5) -> int | None:
    """Give the iteration, counted from 1, at which success has fallen: the first whose mean over
    the ``window`` iterations up to it is below ``share`` of the best before it, which is ``start``
    or another such mean. ``None`` where there is no such iteration.
    """
    best = start
    for iteration in range(window, len(success) + 1):
        mean = fmean(success[iteration - window : iteration])
        if mean < share * best:
            return iteration
        best = max(best, mean)
    return None


def fallen_at(run: RunFolder) -> int | None:
    """Give the iteration at which a run's success had fallen."""
    return fall([y for _, y in metric(run, "success")], successes(run)[0][1])


def metric(run: RunFolder, name: str) -> list[tuple[float, float]]:
    """Give a metric's (iteration, value), NaN where an iteration has none."""
    lines = run.read("metrics.jsonl")
    return [(line["iteration"], line.get(name, float("nan"))) for line in lines]


def told(warning: Mapping[str, Any]) -> str:
    """Write a warning for a cell of a table."""
    return f"{warning['iteration']}: {warning['signal']}"


def row(seed: int, arm: str, run: RunFolder) -> str:
    """Write a run's line of the table of warnings."""
    warnings, fallen = run.read("warnings.jsonl"), fallen_at(run)
    first = told(warnings[0]) if warnings else "none"
    lost = "never" if fallen is None else str(fallen)
    lead = "" if fallen is None or not warnings else str(fallen - warnings[0]["iteration"])
    start, end = (100 * successes(run)[k][1] for k in (0, -1))
    return f"| {seed} | {arm} | {start:.1f} → {end:.1f} | {first} | {lost} | {lead} |"


def before(run: RunFolder) -> bool:
    """Whether the monitor warned before success fell."""
    fallen = fallen_at(run)
    warnings = run.read("warnings.jsonl")
    return fallen is not None and bool(warnings) and warnings[0]["iteration"] < fallen


def verdict(runs: Mapping[str, Sequence[RunFolder]]) -> str:
    """Count what happened: who fell, and who had been warned."""
    told = []
    for arm, of in runs.items():
        fallen = [r for r in of if fallen_at(r) is not None]
        warned = sum(map(before, fallen))
        early = f", {warned} of them after a warning" if fallen else ""
        told.append(f"`{arm}` fell on {len(fallen)} of {len(of)} seeds{early}")
    return f"{'; '.join(told)}."


def summary(runs: Mapping[str, Sequence[RunFolder]]) -> list[str]:
    """Write each arm's success before and after, over the seeds."""
    lines = [
        "| run | after imitation, % | after training, % | change, points |",
        "|---|---:|---:|---:|",
    ]
    for arm, of in runs.items():
        start, end = ([successes(r)[k][1] for r in of] for k in (0, -1))
        change = [b - a for a, b in zip(start, end, strict=True)]
        lines.append(f"| {arm} | {interval(start)} | {interval(end)} | {interval(change)} |")
    return lines


# --- the page ---

CHARTS = {
    "success": "success in training",
    "return_std_in_group": "standard deviation of returns within a group",
    "entropy": "entropy, nats per token",
}


def picture(runs: Mapping[str, RunFolder]) -> str:
    """Draw the runs of one seed; a flag is the first warning of the one that falls."""
    first = runs[TRAP].read("warnings.jsonl")[:1]
    marks = [Mark(w["iteration"], f"first warning: {w['text']}") for w in first]
    drawn = {}
    for name, title in CHARTS.items():
        lines = [
            Series(arm, metric(run, name), style)
            for (arm, run), style in zip(runs.items(), "ba", strict=False)
        ]
        drawn[title] = chart(lines, marks=marks, percent=name == "success", height=110)
    return standalone(stacked(drawn, 110), list(runs), (240, 11), "ba")


def differences() -> list[str]:
    """Write what differs between the runs, from their configurations."""
    from starpo_plugin.config import to_dict
    from starpo_plugin.presets import preset

    same = {"kl_coef": 0.0}
    arms = {arm: ARMS[arm] for arm in (TRAP, SURVIVOR)}
    configs = {arm: to_dict(preset(str(of["--preset"]), **same)) for arm, of in arms.items()}
    fields = next(iter(configs.values()))
    differ = [f for f in fields if len({str(c[f]) for c in configs.values()}) > 1]
    lines = [f"| | {' | '.join(configs)} |", "|---|" + "---|" * len(configs)]
    return lines + [
        f"| `{f}` | {' | '.join(str(c[f]) for c in configs.values())} |" for f in differ
    ]


def stopping(run: RunFolder, trap: RunFolder) -> list[str]:
    """Say what ``--early-stop`` did to the run that falls."""
    stopped = [w for w in run.read("warnings.jsonl") if w["stopped"]]
    if not stopped:
        return ["With `--early-stop` the run went on to its end: no warning that ends a run came."]
    last, success = successes(run)[-1]
    _, whole = successes(trap)[-1]
    signs = ", ".join(f"`{w['signal']}` ({w['text']})" for w in stopped)
    return [
        f"The same run with `--early-stop` ends at iteration {last}, for {signs}. Before it stops"
        f" it evaluates ({100 * success:.1f} % success; without a stop it ends at"
        f" {100 * whole:.1f} %) and saves `checkpoints/{last:06d}`, beside the earlier ones that a"
        " gentler run can begin from."
    ]


def page(
    runs: Mapping[str, Sequence[RunFolder]], stopped: RunFolder, size: Size, seconds: float
) -> str:
    """Write the page; the picture is of the first seed."""
    lines = [
        *introduction(runs, size),
        *results(runs, size),
        "## Stopping early",
        "",
        *stopping(stopped, runs[TRAP][0]),
        "",
        *again(seconds),
    ]
    return "\n".join(lines)


def introduction(runs: Mapping[str, Sequence[RunFolder]], size: Size) -> list[str]:
    """Say what is run, what came of it, and what differs between the runs."""
    return [
        "# The echo trap, on purpose",
        "",
        "<!-- python benchmarks/echo_trap.py writes this file -->",
        "",
        "A tiny model made from scratch imitates the oracle of TextBandit-v0 for a moment. From"
        " that start two runs train on at a learning rate that is too high for it, without a KL"
        f" penalty: `{TRAP}` is `starpo_ppo` without its KL, `{SURVIVOR}` the preset of that name."
        f" {size.seeds} seeds, each with a start of its own; {size.iterations} iterations of 8 x 8"
        " episodes.",
        "",
        "![Success, spread of returns and entropy of the two runs; a flag is the monitor's first"
        " warning](echo_trap.svg)",
        "",
        "Seed 0. The flag is the first warning of the run that falls.",
        "",
        verdict(runs),
        "",
        "What differs; learning rate, start, levels and sampling seeds are the same:",
        "",
        *differences(),
        "",
        "An iteration's 64 episodes are trained on in mini-batches of 16. So the filter, which"
        f" keeps a quarter of them, also leaves one optimiser step of four. `{CONTROL}` tells"
        " the two apart: no filter, and one step an iteration, on all 64.",
        "",
    ]


def results(runs: Mapping[str, Sequence[RunFolder]], size: Size) -> list[str]:
    """Write the two tables, and the first seed's warnings."""
    return [
        "## Success on test levels",
        "",
        f"{scale(runs[TRAP][0])} {size.episodes} episodes an evaluation, sampled at temperature"
        " 1; mean over seeds ± half of its 95 % interval (Student's t).",
        "",
        *summary(runs),
        "",
        "## Warnings, and when success fell",
        "",
        "Success fell, if it did, at the first iteration whose mean over five, of success in"
        " training, is below half of the best before it: of the start's success on test levels and"
        " of earlier such means. Lead is how many iterations before that the monitor first warned.",
        "",
        "| seed | run | success, % | first warning | success fell | lead |",
        "|---:|---|---:|---|---:|---:|",
        *(row(seed, arm, of[seed]) for seed in range(size.seeds) for arm, of in runs.items()),
        "",
        "Every warning of seed 0:",
        "",
        *(
            f"- {arm}, iteration {w['iteration']}, `{w['signal']}`: {w['text']}."
            for arm in (TRAP, SURVIVOR)
            for w in runs[arm][0].read("warnings.jsonl")
        ),
        "",
    ]


def again(seconds: float) -> list[str]:
    """Say how to run it again."""
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers"))
    took = f" It took {seconds / 60:.0f} minutes." if seconds > 60 else ""
    return [
        "## Again",
        "",
        "    make bench-echo-trap",
        "",
        f"does it again on one CPU core.{took} {packages}. Both runs:"
        f" `{shown({**EVERYWHERE, **TRAINING})}`; the start: `{shown(IMITATION)}`.",
        "",
    ]


def main() -> None:
    """Run what is missing and write the page."""
    options = asked(__doc__, "echo_trap")
    size = QUICK if options.quick else FULL
    began = time.perf_counter()
    wanted = list(product(ARMS, range(size.seeds)))
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda seed: imitate(seed, size, options.folder), range(size.seeds)))
        found = pool.map(lambda of: train(of[0], of[1], size, options.folder), wanted)
        runs: dict[str, list[RunFolder]] = {arm: [] for arm in ARMS}
        for (arm, seed), run in zip(wanted, found, strict=True):
            runs[arm].append(run)
            print(row(seed, arm, run), flush=True)
    stopped = train(TRAP, 0, size, options.folder, {"--early-stop": ()})
    if size is FULL:
        drawn = picture({arm: runs[arm][0] for arm in (TRAP, SURVIVOR)})
        (HERE / "echo_trap.svg").write_text(drawn, encoding="utf-8")
        text = page(runs, stopped, size, time.perf_counter() - began)
        (HERE / "echo_trap.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
