"""How fast the trainer plays and learns, and what each of its devices is worth.

    python benchmarks/train_speed.py [--quick] [--json FILE]

Rewrites the results in ``train_speed.md`` and ``train_speed.svg``; with ``--quick`` it only prints
them, of fewer episodes.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import torch
import train_profile
import train_trl
import transformers
from train_cases import (
    FULL,
    QUICK,
    Effort,
    Played,
    config_of,
    middle,
    play,
    rollouts_of,
    untrained,
)
from train_engines import EachItsPrompt, Generate, InStep, anew, unsorted_batches

from starpo_plugin import processes
from starpo_plugin.batch import collate, micro_batches
from starpo_plugin.engine import SlotEngine
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.update import Learner

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin: train_speed.py writes this -->", "<!-- end -->"
TRL = "TRL's `GRPOTrainer` with an environment"
WAYS: dict[str, Callable[..., Any]] = {
    "text-envs": SlotEngine,
    "without refilling (all in step)": InStep,
    "without group prefill": EachItsPrompt,
    "without the kept cache": anew,
    "transformers' `generate` on each turn": Generate,
}


# --- what is measured ---


def measure_ways(effort: Effort) -> list[dict[str, Any]]:
    """Rollouts, each time without one device; the ways take turns."""
    plans = [(name, config_of(), way) for name, way in WAYS.items()]
    plans.append(
        ("text-envs, each turn a sequence of its own", config_of(context_turns=1), SlotEngine)
    )
    policy = untrained(config_of())
    players = {name: rollouts_of(policy, config) for name, config, _ in plans}
    runs: dict[str, list[Played]] = {name: [] for name in players}
    for _ in range(effort.repeats + 1):
        for name, _, way in plans:
            runs[name].append(play(players[name], effort, way))
    rows = []
    for name, its in runs.items():
        run = middle(its[1:])  # the first makes environments, and pays for what is slow once
        rows.append({"name": name, "tokens_per_s": run.rate, "steps": run.steps, "cpu": run.cpu})
    return rows


def measure_iteration(effort: Effort) -> list[dict[str, Any]]:
    """A rollout and its update, with micro-batches of similar length and of any."""
    config = config_of()
    policy = untrained(config)
    rollouts = rollouts_of(policy, config)
    run = middle([play(rollouts, effort) for _ in range(effort.repeats + 1)][1:])
    batch = collate(run.episodes, 0, config.rewards)
    cuts = {"text-envs": micro_batches, "without length bucketing": unsorted_batches}
    seconds: dict[str, list[float]] = {name: [] for name in cuts}
    for _ in range(effort.repeats + 1):
        for name, cut in cuts.items():
            optimizer = torch.optim.AdamW(policy.actor_parameters(), lr=0.0)
            learner = Learner(policy, None, config, optimizer)
            with patch.object(processes, "micro_batches", cut):
                began = time.process_time()
                learner.update(batch, torch.Generator().manual_seed(0))
                seconds[name].append(time.process_time() - began)
    return [
        {"name": name, "rollout": run.cpu, "update": median(its[1:])}
        for name, its in seconds.items()
    ]


def measure_trl(effort: Effort) -> dict[str, float]:
    """TRL's rollouts and iterations; nothing where TRL is not installed."""
    return train_trl.measure(effort) if find_spec("trl") else {}


def measure_one_long_reply(_: Effort) -> list[dict[str, Any]]:
    """63 conversations of five turns of 8 tokens, and one that writes 200 tokens."""
    policy = untrained(config_of())
    rows = []
    for name, kind in (("text-envs", SlotEngine), ("all in step", InStep)):
        engine = kind(policy, frozenset({0}), 0, 64, 200)
        luck = torch.rand(64, 5, 200, generator=torch.Generator().manual_seed(0))
        seen = {c: list(range(40, 80)) for c in range(64)}
        turns = dict.fromkeys(range(64), 0)
        over_at = 0
        for c in range(64):
            engine.ask(c, seen[c], 8 if c else 200, luck[c, 0])
        began = time.process_time()
        while engine.busy:
            for c, reply in engine.step():
                turns[c] += 1
                over_at = engine.steps if c else over_at
                seen[c] += [*reply.ids, *range(40, 60)]
                if c and turns[c] < 5:
                    engine.ask(c, seen[c], 8, luck[c, turns[c]])
        cpu = time.process_time() - began
        rows.append({"name": name, "others_over": over_at, "steps": engine.steps, "cpu": cpu})
    return rows


class Slow(gym.Wrapper[Any, Any, Any, Any]):
    """Takes 100 ms a step, as one does that asks somebody else."""

    def step(self, action: Any) -> Any:
        """Wait, then step."""
        time.sleep(0.1)
        return self.env.step(action)


def measure_slow_environments(effort: Effort) -> list[dict[str, Any]]:
    """By the clock: environments that take 100 ms a step, on threads and in turn."""
    config = config_of(max_turns=3)
    policy = untrained(config)
    spec = config.episodes()
    rows = []
    for name, threads in (("on threads", 64), ("in turn", 0)):
        sampling = Sampling(config.max_reply_tokens, config.max_tokens, env_threads=threads)
        rollouts = Rollouts(policy, ChatTokens(policy.tokenizer), spec, sampling, split="train")
        episodes = 4 * effort.groups
        make = type(spec).make

        def slow(self: Any, make: Any = make, **kwargs: Any) -> Any:
            return Slow(make(self, **kwargs))

        with patch.object(type(spec), "make", slow):
            rollouts.run([0], 3, torch.Generator().manual_seed(0))  # so that they are known as slow
            began = time.perf_counter()
            played = rollouts.run(range(episodes), 1, torch.Generator().manual_seed(0))
            wall = time.perf_counter() - began
        turns = sum(len(t.turns) for t in played)
        rows.append({"name": name, "episodes": episodes, "env_s": turns * 0.1, "wall": wall})
    return rows


def measure_turns(effort: Effort) -> list[dict[str, Any]]:
    """Rollouts of more and more turns, with the kept cache and without."""
    rows = []
    for turns in effort.turns:
        config = config_of(max_turns=turns, max_actions=200)
        rollouts = rollouts_of(untrained(config), config)
        small = effort._replace(groups=1)
        play(rollouts, small)  # makes the environments
        kept, reread = (play(rollouts, small, way) for way in (SlotEngine, anew))
        rows.append({"turns": turns, "kept": kept.cpu, "anew": reread.cpu, "tokens": kept.tokens})
    return rows


PARTS: dict[str, Callable[[Effort], Any]] = {
    "ways": measure_ways,
    "profile": train_profile.measure,
    "iteration": measure_iteration,
    "trl": measure_trl,
    "long_reply": measure_one_long_reply,
    "slow": measure_slow_environments,
    "turns": measure_turns,
}


# --- how it is told ---


def table(head: str, rows: list[list[str]]) -> str:
    """Write a table whose first column is words and whose others are numbers."""
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|---" + "|---:" * (columns - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def report(results: dict[str, Any]) -> str:
    """Write the results down."""
    ways, iteration = list(results["ways"]), list(results["iteration"])
    if trl := results["trl"]:
        ways.append({"name": TRL, "tokens_per_s": trl["tokens_per_s"], "steps": "-"})
        update_s = trl["iteration"] - trl["rollout"]
        iteration.append({"name": TRL, "rollout": trl["rollout"], "update": update_s})
    parts = [
        machine(),
        "### Rollouts",
        rollouts_table(ways),
        "### Where a rollout's time goes",
        profile_table(results["profile"]),
        "### An iteration",
        iteration_table(iteration),
        "### One long reply in 64",
        long_reply_table(results["long_reply"]),
        "### Environments of 100 ms a step",
        slow_table(results["slow"]),
        "### Turns",
        "![CPU seconds against the number of turns](train_speed.svg)",
        turns_table(results["turns"]),
    ]
    return "\n\n".join(parts)


def rollouts_table(ways: list[dict[str, Any]]) -> str:
    """Write the ways to play, the first of which is ours."""
    best = ways[0]["tokens_per_s"]

    def row(way: dict[str, Any]) -> list[str]:
        rate = way["tokens_per_s"]
        return [way["name"], f"{rate:,.0f}", f"{best / rate:.2f}x", str(way["steps"])]

    return table("| tokens/s | ours is | decode steps", list(map(row, ways)))


def profile_table(profile: dict[str, float]) -> str:
    """Write what each part of a rollout takes."""
    whole = sum(profile.values())
    rows = [[part, f"{s:.2f}", f"{100 * s / whole:.0f}"] for part, s in profile.items()]
    return table("| CPU s | %", rows)


def iteration_table(ways: list[dict[str, Any]]) -> str:
    """Write what a whole iteration takes, the first of which is ours."""
    ours = ways[0]["rollout"] + ways[0]["update"]

    def row(way: dict[str, Any]) -> list[str]:
        parts = (way["rollout"], way["update"])
        seconds = (f"{s:.2f}" for s in (*parts, sum(parts)))
        return [way["name"], *seconds, f"{sum(parts) / ours:.2f}x"]

    return table("| rollout s | update s | together | ours is", list(map(row, ways)))


def long_reply_table(ways: list[dict[str, Any]]) -> str:
    """Write when the others are over that wait for a long reply, or don't."""
    rows = [[r["name"], str(r["others_over"]), str(r["steps"]), f"{r['cpu']:.2f}"] for r in ways]
    return table("| the others are over at step | of | CPU s", rows)


def slow_table(ways: list[dict[str, Any]]) -> str:
    """Write what slow environments take, on threads and in turn."""
    rows = [[r["name"], str(r["episodes"]), f"{r['env_s']:.1f}", f"{r['wall']:.1f}"] for r in ways]
    return table("| episodes | all their steps, s | rollout by the clock, s", rows)


def turns_table(lengths: list[dict[str, Any]]) -> str:
    """Write what episodes of more and more turns take."""
    rows = [
        [str(r["turns"]), str(r["tokens"]), f"{r['kept']:.2f}", f"{r['anew']:.2f}"] for r in lengths
    ]
    return table("turns | sampled tokens | kept cache, CPU s | read anew, CPU s", rows)


def machine() -> str:
    """Name the machine and the versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    trl = f"trl {version('trl')}" if find_spec("trl") else "without TRL, which is not installed"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, one thread used,"
        f" load average {os.getloadavg()[0]:.1f} at the end; {platform.system()}, Python"
        f" {platform.python_version()}, torch {torch.__version__}, transformers"
        f" {transformers.__version__}, {trl}."
    )


def plot(rows: list[dict[str, Any]]) -> str:
    """Draw CPU seconds over turns."""
    width, height, left, bottom = 560, 300, 50, 40
    most_x, most_y = rows[-1]["turns"], max(max(r["kept"], r["anew"]) for r in rows)

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (width - left - 110) * x / most_x
        return across, height - bottom - (height - bottom - 20) * y / most_y

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for part in range(5):
        y = at(0, most_y * part / 4)[1]
        parts.append(f'<path d="M{left} {y:.1f}H{width - 110}" stroke="#ddd"/>')
        label = f"{most_y * part / 4:.1f}"
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for row in rows:
        x = at(row["turns"], 0)[0]
        place = f'x="{x:.1f}" y="{height - 22}"'
        parts.append(f'<text {place} text-anchor="middle">{row["turns"]}</text>')
    for name, key, colour in (("kept cache", "kept", "#0a6"), ("read anew", "anew", "#c40")):
        points = [at(r["turns"], r[key]) for r in rows]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1]
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="{colour}">{name}</text>')
    title = 'text-anchor="middle">turns of an episode; CPU seconds of the rollout</text>'
    parts.append(f'<text x="{(width - 60) / 2}" y="{height - 6}" {title}')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer episodes; rewrites nothing")
    parser.add_argument("--json", type=Path, help="also write the bare numbers to this file")
    chosen = parser.parse_args()
    effort = QUICK if chosen.quick else FULL
    torch.set_num_threads(1)
    results = {}
    for name, part in PARTS.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = part(effort)
        if chosen.json:
            chosen.json.write_text(json.dumps(results, indent=1))
    print(report(results))
    if not chosen.quick:
        page = HERE / "train_speed.md"
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{report(results)}\n\n{END}{rest.partition(END)[2]}")
        (HERE / "train_speed.svg").write_text(plot(results["turns"]))


if __name__ == "__main__":
    main()
