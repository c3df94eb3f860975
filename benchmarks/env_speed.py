"""Speed of the text environments beside their peers, all in one process and one run.

    python benchmarks/env_speed.py [--quick] [--json FILE]

Prints Markdown tables; without ``--quick`` they also replace those in ``benchmarks/README.md``,
which says what is measured and how to install the peers.
"""

import argparse
import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
from cases import LEVELS, PICTURES, STEPS, Case, Contestant
from subjects import Subject, seed_everything

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- begin: env_speed.py writes this -->", "<!-- end -->"
SEEDS = count()  # levels that one contestant has met must not lie in a cache when the next begins
PACKAGES = ("text-envs", "gymnasium", "numpy", "pygame-ce", "gem-llm", "textarena", "gym-sokoban")


class Effort(NamedTuple):
    """How long to measure."""

    repeats: int
    """Repeats of a rate; their median is reported."""
    sample_s: float
    """CPU time of one repeat, at least."""
    patience_s: float
    """CPU time after which no further repeat, and no further level, is begun."""
    levels: int
    """Levels of one kind, at most."""


FULL = Effort(repeats=7, sample_s=0.4, patience_s=20.0, levels=4000)
QUICK = Effort(repeats=1, sample_s=0.05, patience_s=0.5, levels=200)


@dataclass
class Result:
    """What was measured of one contestant; an empty ``problem`` means that all went well."""

    case: str
    name: str
    access: str
    numbers: dict[str, float]
    problem: str = ""


class Lap(NamedTuple):
    """Time that some work took, in seconds, and how much work it was."""

    cpu: float
    wall: float
    units: int


# --- measuring ---


def timed(work: Callable[[], int]) -> Lap:
    """Time ``work``, which returns how much it did."""
    wall, cpu = time.perf_counter(), time.process_time()
    units = work()
    return Lap(time.process_time() - cpu, time.perf_counter() - wall, units)


def total(laps: Sequence[Lap]) -> Lap:
    """Add laps up."""
    return Lap(*(sum(column) for column in zip(*laps, strict=True)))


def random_moves(subject: Subject, horizon: int, rng: np.random.Generator) -> list[Any]:
    """Draw an episode's moves; every subject with as many moves gets the same sequence."""
    moves = subject.moves()
    return [moves[i] for i in rng.integers(len(moves), size=horizon).tolist()]


def measure_steps(make: Callable[[], Subject], case: Case, effort: Effort) -> dict[str, float]:
    """Measure steps and resets apart, over whole episodes of random play."""
    rng = np.random.default_rng(0)
    subjects = [make() for _ in range(case.copies)]

    def reset_all() -> int:
        for subject in subjects:
            subject.reset()
        return len(subjects)

    samples: list[tuple[Lap, Lap]] = []
    spent = 0.0
    while len(samples) < effort.repeats and (not samples or spent < effort.patience_s):
        resets, plays = [], []
        while not plays or total(resets).cpu + total(plays).cpu < effort.sample_s:
            resets.append(timed(reset_all))
            episodes = [(s.play, random_moves(s, case.horizon, rng)) for s in subjects]
            plays.append(timed(lambda e=episodes: sum(play(moves) for play, moves in e)))
        samples.append((total(resets), total(plays)))
        spent += samples[-1][0].cpu + samples[-1][1].cpu
    return {
        "steps_per_s": median(play.units / play.cpu for _, play in samples),
        "steps_per_s_wall": median(play.units / play.wall for _, play in samples),
        "with_resets_per_s": median(p.units / (p.cpu + r.cpu) for r, p in samples),
        "reset_ms": median(1000 * r.cpu / r.units for r, _ in samples),
        "repeats": len(samples),
    }


def measure_levels(make: Callable[[], Subject], case: Case, effort: Effort) -> dict[str, float]:
    """Measure resets one by one."""
    subject = make()
    times: list[float] = []
    lengths: list[int] = []
    while len(times) < effort.levels and (not times or sum(times) < effort.patience_s):
        start = time.process_time()
        returned = subject.reset()
        times.append(time.process_time() - start)
        match returned:
            case (_, {"optimal_moves": int(moves)}):
                lengths.append(moves)
            case _:
                pass
    numbers = {"levels": len(times), "mean_ms": 1000 * mean(times), "p50_ms": 1000 * median(times)}
    if len(times) >= 100:
        numbers["p99_ms"] = 1000 * float(np.percentile(times, 99))
    if lengths:
        numbers["optimal_moves"] = mean(lengths)
    return numbers


def measure_pictures(make: Callable[[], Subject], case: Case, effort: Effort) -> dict[str, float]:
    """Measure drawing alone, over many states, and steps with a picture as observation."""
    numbers = measure_steps(make, case, effort)
    rng = np.random.default_rng(0)
    subjects = [make() for _ in range(case.copies)]
    for subject in subjects:
        subject.reset()
        subject.play(random_moves(subject, 3, rng))
    draws = [subject.draw for subject in subjects if subject.draw is not None]
    height, width, _ = draws[0]().shape

    def draw_all() -> int:
        for draw in draws:
            draw()
        return len(draws)

    rates = []
    for _ in range(effort.repeats):
        laps = [timed(draw_all)]
        while total(laps).cpu < effort.sample_s:
            laps.append(timed(draw_all))
        rates.append(total(laps).units / total(laps).cpu)
    return {
        "pictures_per_s": median(rates),
        "step_and_picture_per_s": numbers["steps_per_s"],
        "height": height,
        "width": width,
    }


Measure = Callable[[Callable[[], Subject], Case, Effort], dict[str, float]]


def measured(contestant: Contestant, case: Case, measure: Measure, effort: Effort) -> Result:
    """Measure one contestant; what goes wrong, it says in its result."""
    name, access, make = contestant
    print(f"{case.title}: {name}, {access} ...", file=sys.stderr, flush=True)
    seed_everything(next(SEEDS))
    gc.collect()
    numbers, problem = {}, ""
    try:
        numbers = measure(make, case, effort)
    except ImportError as error:
        problem = f"not installed ({error})"
    except Exception as error:  # a peer may break in any way: the table says so
        problem = f"error ({type(error).__name__}: {error})"
    return Result(case.title, name, access, numbers, problem)


# --- reporting ---


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; all columns but the first are numbers."""
    lines = [f"### {title}\n", f"| {' | '.join(head)} |"]
    lines.append("|---|" + "---:|" * (len(head) - 1))
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """Write three digits, or all before the point; a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows_of(results: Sequence[Result], keys: Sequence[str], compared: str) -> list[list[str]]:
    """Make table rows, the last column a comparison with ours of the same case and access by the
    number ``compared``: how many times as fast ours is.
    """
    rows = []
    for result in results:
        if result.problem:
            rows.append([result.name, result.problem, *[""] * len(keys)])
            continue
        own = next(r for r in results if (r.case, r.access) == (result.case, result.access))
        ratio = own.numbers.get(compared, 0.0) / result.numbers[compared]
        if compared.endswith("_ms"):
            ratio = 1 / ratio if ratio else 0.0
        written = [number(result.numbers.get(key)) for key in keys]
        rows.append([result.name, *written, "" if own is result else f"{ratio:.3g}x"])
    return rows


def report(steps: list[Result], levels: list[Result], pictures: list[Result]) -> str:
    """Write every table."""
    parts = []
    for case in STEPS:
        keys = ("steps_per_s", "steps_per_s_wall", "reset_ms", "with_resets_per_s")
        chosen = [r for r in steps if r.case == case.title]
        rows = rows_of(chosen, keys, "steps_per_s")
        for row, result in zip(rows, chosen, strict=True):
            row[0] += f", {result.access}"
        head = ("", "steps/s", "by the wall clock", "reset, ms", "steps/s with resets", "ours is")
        parts.append(table(f"Steps: {case.title}", head, rows))
    for case in LEVELS:
        keys = ("mean_ms", "p50_ms", "p99_ms", "levels", "optimal_moves")
        chosen = [r for r in levels if r.case == case.title]
        head = ("", "mean, ms", "median, ms", "p99, ms", "levels", "optimal moves, mean", "ours is")
        rows = rows_of(chosen, keys, "mean_ms")
        parts.append(table(f"New levels: {case.title}", head, rows))
    for case in PICTURES:
        keys = ("pictures_per_s", "step_and_picture_per_s")
        chosen = [r for r in pictures if r.case == case.title]
        head = ("", "pictures/s", "steps/s with a picture each", "ours is")
        rows = rows_of(chosen, keys, "step_and_picture_per_s")
        parts.append(table(f"Pictures: {case.title}", head, rows))
    return "\n".join(parts)


def find(results: Sequence[Result], case: str, access: str, key: str) -> float | None:
    """One of our own numbers."""
    return next(r for r in results if (r.case, r.access) == (case, access)).numbers.get(key)


def aims(steps: list[Result], levels: list[Result], pictures: list[Result]) -> str:
    """Write what TextSokoban aims at beside what was measured."""
    six, eight, ten = (case.title for case in STEPS[:3])
    wanted = [
        ("steps/s 6x6, raw, at least", 300_000, find(steps, six, "raw", "steps_per_s")),
        (
            "steps/s 6x6, `gym.make`, at least",
            150_000,
            find(steps, six, "gym.make", "steps_per_s"),
        ),
        ("level 6x6, mean ms, at most", 0.15, find(levels, six, "raw", "mean_ms")),
        ("level 8x8, mean ms, at most", 2.0, find(levels, eight, "raw", "mean_ms")),
        ("level 10x10, p99 ms, at most", 10.0, find(levels, ten, "raw", "p99_ms")),
        (
            "pictures/s, 192x192, at least",
            20_000,
            find(pictures, PICTURES[0].title, "raw", "pictures_per_s"),
        ),
    ]
    rows = []
    for what, aim, value in wanted:
        met = value is not None and (value >= aim if "least" in what else value <= aim)
        rows.append([what, number(aim), number(value), "yes" if met else "no"])
    return table("TextSokoban-v0: aims", ("", "aim", "measured", "met"), rows)


def machine() -> str:
    """Describe the machine and the versions, without naming the machine."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [li for li in cpuinfo.read_text().splitlines() if li.startswith("model name")]
        processor = models[0].partition(":")[2].strip() if models else processor
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{processor}, {os.cpu_count()} cores{load} at the start; {platform.system()},"
        f" {platform.python_implementation()} {platform.python_version()}; {', '.join(versions)}.\n"
    )


def write_readme(text: str) -> None:
    """Put ``text`` between the markers of ``benchmarks/README.md``. Raises ``ValueError`` where
    they are missing.
    """
    old = README.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"{README.name} must contain {BEGIN!r} and {END!r} once each")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a glance; only prints")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL

    about = machine()
    steps = [measured(c, case, measure_steps, effort) for case in STEPS for c in case.contestants]
    levels = [
        measured(c, case, measure_levels, effort) for case in LEVELS for c in case.contestants
    ]
    pictures = [
        measured(c, case, measure_pictures, effort) for case in PICTURES for c in case.contestants
    ]

    text = "\n".join((about, aims(steps, levels, pictures), report(steps, levels, pictures)))
    print(text)
    if options.json:
        results = [asdict(r) for r in (*steps, *levels, *pictures)]
        content = {"machine": about.strip(), "effort": effort._asdict(), "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if not options.quick:
        write_readme(text)


if __name__ == "__main__":
    main()
