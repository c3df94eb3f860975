"""Training runs on several seeds: those that are missing are run, a core each; means, curves."""

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from starpo_plugin.charts import Level, Series
from starpo_plugin.checkpoint import checkpoints
from starpo_plugin.run_folder import RunFolder

HERE = Path(__file__).parent
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5 % quantiles of Student's t for the mean of so many seeds."""
STOPPED = 3
"""Exit code of a run that ended early by itself."""

Options = Mapping[str, str | tuple[str, ...]]
"""Of a command line: name -> its value, several, or none."""


def asked(about: str | None, name: str, jobs: int = 1) -> argparse.Namespace:
    """Read a benchmark's command line: how many jobs, which folder (made if need be), how quick."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--jobs", type=int, default=jobs, help="runs at once, a core each")
    parser.add_argument("--folder", type=Path, default=Path("runs") / name)
    parser.add_argument("--quick", action="store_true", help="a few episodes; writes no page")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def words(options: Options) -> list[str]:
    """Give options as words of a command line."""
    found = []
    for name, value in options.items():
        found += [name, *((value,) if isinstance(value, str) else value)]
    return found


def shown(options: Options) -> str:
    """Write options as a person would type them."""
    return shlex.join(words(options))


def starpo(command: str, options: Options) -> None:
    """Run a command of the trainer on one core. Raises ``RuntimeError`` with what it said."""
    path = os.pathsep.join(p for p in (str(HERE), os.environ.get("PYTHONPATH")) if p)
    done = subprocess.run(
        [sys.executable, "-m", "starpo_plugin", command, *words(options)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, STOPPED):
        raise RuntimeError(f"starpo {command} {shown(options)}: {done.stderr[-2000:]}")


def trained(path: Path, iterations: int, options: Options) -> RunFolder:
    """Give a complete run, trained as far as it isn't yet."""
    run = RunFolder(path)
    saved = checkpoints(run.checkpoints)
    if saved and (saved[-1][0] == iterations or run.stopped_for()):
        return run
    if saved:
        starpo("train", {"--resume": str(path)})
    else:
        starpo("train", {**options, "--run": str(path), "--iterations": str(iterations)})
    return run


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


def levels(run: RunFolder) -> list[Level]:
    """Give the success of random player and oracle, to be drawn as lines."""
    return [Level(name, yardstick(run, name)["success"]) for name in ("random", "oracle")]


def scale(run: RunFolder) -> str:
    """Say what random player and oracle reached on the test episodes."""
    said = []
    for agent in ("random", "oracle"):
        score = yardstick(run, agent)
        low, high = (100 * x for x in score["interval"])
        said.append(f"{agent} {100 * score['success']:.1f} % ({low:.1f} to {high:.1f})")
    return f"{'; '.join(said)}, each over the same {score['episodes']} test episodes."


def averaged(name: str, lines: Sequence[Sequence[tuple[int, float]]], style: str) -> Series:
    """Give the curve of several seeds: their mean, and from the least to the most as a band."""
    columns = [(same[0][0], [y for _, y in same]) for same in zip(*lines, strict=True)]
    return Series(
        name,
        [(x, fmean(ys)) for x, ys in columns],
        style,
        band=[(x, min(ys), max(ys)) for x, ys in columns],
        smooth=False,
    )
