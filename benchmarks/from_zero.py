"""Reinforcement from zero: tiny models with random weights, no imitation, three small games.

    python benchmarks/from_zero.py [--jobs 1] [--folder runs/from_zero] [--quick]

Writes ``benchmarks/from_zero.md`` and its curves. Runs that are complete in the folder are not run
again, and one that was broken off goes on from its last checkpoint.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from os.path import relpath
from pathlib import Path
from statistics import fmean

from curves import stacked, standalone
from seeds import HERE, Options, asked, averaged, interval, levels, scale, shown, successes, trained

from starpo_plugin.charts import chart
from starpo_plugin.run_folder import RunFolder

EVERYWHERE: Options = {
    "--preset": "starpo_grpo",
    "--model": "tiny",
    "--tiny-layers": "2",
    "--kl-coef": "0",  # there is nothing worth staying near to
    "--advantage": "turn_grpo",  # a reply is no worse for an earlier one
    "--rewards": "turn",
    "--system-template": "",
    "--user-template": "{observation}",
    "--context-turns": "1",
    "--max-turns": "4",  # with one move each
    "--max-actions": "4",  # random player and oracle get no more
    "--max-tokens": "128",
    "--format": "answer",
    "--max-actions-per-turn": "1",
    "--max-reply-tokens": "3",  # an opening tag, a move, a closing tag
    "--turn-reward": "form_reward:form",
    "--groups": "8",
    "--members": "64",  # one word in some hundred is a move
    "--mini-batch": "128",
    "--actor-lr": "2e-3",
    "--entropy-coef": "0.05",  # in trials 0.2 found no form, and 0.003 kept a single move
    "--old-logprobs": "sampler",
    "--lr-decay": "linear",
    "--micro-batch-tokens": "16384",
    "--eval-temperature": "1",
    "--save-tokens": "0",
    "--save-rollouts": "0",
    "--tracker": "none",
    "--device": "cpu",
}


@dataclass(frozen=True)
class Game:
    """An environment, small, and what it alone is told."""

    about: str
    options: Options
    iterations: int


ARMS = relpath(HERE / "bandit_arms.txt")
"""Eight cautious and eight daring names of a single word, each with each, in both orders."""
GAMES: Mapping[str, Game] = {
    "Bandit": Game(
        "two arms of sixteen names, one pull",
        {
            "--env": "TextBandit-v0",
            "--env-args": f"levels={ARMS}",
            "--max-turns": "1",
            "--max-actions": "1",
        },
        200,
    ),
    "FrozenLake": Game(
        "3x3, not slippery",
        {"--env": "TextFrozenLake-v0", "--env-args": "size=3"},
        200,
    ),
    "Sokoban": Game(
        "5x5 with its walls, one box, solved in 1 to 3 moves",
        {
            "--env": "TextSokoban-v0",
            "--env-args": ("size=5", "boxes=1", "min_solution=1", "max_solution=3"),
        },
        200,
    ),
}


@dataclass(frozen=True)
class Size:
    """How much of it; fewer iterations than a game asks for, if ``most`` says so."""

    seeds: int = 3
    every: int = 20
    episodes: int = 256
    most: int = 10**6


FULL, QUICK = Size(), Size(seeds=2, every=1, episodes=16, most=2)


def train(name: str, seed: int, size: Size, folder: Path) -> RunFolder:
    """Give the complete run of a game, trained as far as it isn't yet."""
    game = GAMES[name]
    options = {
        **EVERYWHERE,
        **game.options,
        "--seed": str(seed),
        "--eval-every": str(size.every),
        "--eval-episodes": str(size.episodes),
    }
    return trained(folder / f"{name}-{seed}", min(game.iterations, size.most), options)


def reached(values: Sequence[float], level: float, lasting: int = 5) -> int | None:
    """Give the first of ``lasting`` iterations in a row, counted from 1, at or above a level."""
    streak = 0
    for iteration, value in enumerate(values, 1):
        streak = streak + 1 if value >= level else 0
        if streak == lasting:
            return iteration - lasting + 1
    return None


def learned(runs: Sequence[RunFolder], name: str, level: float = 0.9, last: int = 10) -> str:
    """Write a share's mean over the last iterations of all seeds, and from which iteration on each
    seed was at a level.
    """
    each = [[line[name] for line in run.read("metrics.jsonl")] for run in runs]
    share = fmean(fmean(values[-last:]) for values in each)
    found = ["never" if (i := reached(v, level)) is None else str(i) for v in each]
    return f"{100 * share:.0f} ({', '.join(found)})"


def row(name: str, runs: Sequence[RunFolder]) -> str:
    """Write a game's line of the table."""
    last = [successes(run)[-1][1] for run in runs]
    each = ", ".join(f"{100 * y:.1f}" for y in last)
    marks = " | ".join(learned(runs, metric) for metric in ("well_formed", "valid"))
    return f"| {name} | {interval(last)} | {each} | {marks} |"


def page(runs: Mapping[str, Sequence[RunFolder]], size: Size, seconds: float) -> str:
    """Write the page."""
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers"))
    took = f" It took {seconds / 60:.0f} minutes." if seconds > 60 else ""
    lines = [
        "# From zero: reinforcement alone",
        "",
        "<!-- python benchmarks/from_zero.py writes this file -->",
        "",
        "A tiny model with random weights, no imitation, no demonstration of any kind: it has to"
        " find by itself how an answer is written, what a move is, and what a good one is."
        f" {size.seeds} seeds; success on {size.episodes} test levels, sampled at temperature 1;"
        " mean over seeds ± half of its 95 % interval (Student's t); bands go from the least to"
        " the most of the seeds.",
        "",
        "![Success over iterations of the three games](from_zero.svg)",
        "",
        "| game | success at the end, % | each seed | replies well formed, % | legal moves, % |",
        "|---|---:|---|---:|---:|",
        *(row(name, of) for name, of in runs.items()),
        "",
        "The last two columns: mean of the last ten iterations in training; in parentheses the"
        " iteration, by seed, from which on it was nine in ten. Where one of three seeds found"
        " something else, the interval is wider than the scale: read the seeds. A bandit that"
        " always pulls the arm that pays 0.1 for sure is legal, paid at once, and never a success.",
        "",
        *(f"- {name} ({GAMES[name].about}): {scale(of[0])}" for name, of in runs.items()),
        "",
        "## What makes it possible",
        "",
        "- Replies of the form `<answer>move</answer>`, without a thought, one move each, and room"
        " for no more.",
        "- A reward for parts of that form: with random weights a whole answer is as good as never"
        " written. A reply that is not well formed costs 1 and gets 0.15 back for each of three"
        " parts: it begins with the opening tag, has one closing tag, and something between them."
        " A move that changes nothing costs 0.2 more than in the game: trials without that ended"
        " with a single move (`benchmarks/form_reward.py`, given as"
        " `--turn-reward form_reward:form`). Evaluations know nothing of it.",
        "- Groups of 64, each turn's return against the group's at that turn: one word in some"
        " hundred is a move, and what is found seldom has to weigh much, which dividing by the"
        " group's spread does. In a trial with groups of 16 the lake was left with a single move.",
        "- The tokenizer of the tiny model: its words are those of the game's messages and moves,"
        " beside single characters and bytes; each tag is one token.",
        "- The observation alone as the prompt: no rules, which it could not read.",
        "",
        "## Again",
        "",
        "    make bench-from-zero",
        "",
        f"does it again on one CPU core.{took} {packages}. All runs: `{shown(EVERYWHERE)}`; and"
        " each game's own:",
        "",
        *(f"- `{shown(g.options)} --iterations {g.iterations}`" for g in GAMES.values()),
        "",
    ]
    return "\n".join(lines)


def picture(runs: Mapping[str, Sequence[RunFolder]]) -> str:
    """Draw a chart a game."""
    drawn = {
        f"{name}, {GAMES[name].about}": chart(
            [averaged(name, [successes(run) for run in of], "a")],
            levels=levels(of[0]),
            percent=True,
            height=110,
        )
        for name, of in runs.items()
    }
    return standalone(stacked(drawn, 110), [])


def main() -> None:
    """Run what is missing and write the page."""
    options = asked(__doc__, "from_zero")
    size = QUICK if options.quick else FULL
    began = time.perf_counter()
    wanted = list(product(GAMES, range(size.seeds)))
    runs: dict[str, list[RunFolder]] = {name: [] for name in GAMES}
    with ThreadPoolExecutor(options.jobs) as pool:
        found = pool.map(lambda of: train(of[0], of[1], size, options.folder), wanted)
        for (name, seed), run in zip(wanted, found, strict=True):
            runs[name].append(run)
            print(f"{name} {seed}: {successes(run)}", flush=True)
    if size is FULL:
        (HERE / "from_zero.svg").write_text(picture(runs), encoding="utf-8")
        text = page(runs, size, time.perf_counter() - began)
        (HERE / "from_zero.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
