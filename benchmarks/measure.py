"""How a rate or a time is measured: CPU time, in whole batches, the median of several repeats."""

import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
from cases import Case, Contestant
from subjects import Subject, seed_everything
from vectors import VectorSubject

SEEDS = count()  # levels that one contestant has met must not lie in a cache when the next begins


ENDLESS_S = 240
"""Wall time after which a contestant is given up: a peer's generator may try for ever."""


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


FULL = Effort(repeats=5, sample_s=0.3, patience_s=8.0, levels=2000)
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


def timed(work: Callable[[], int]) -> Lap:
    """Time ``work``, which returns how much it did."""
    wall, cpu = time.perf_counter(), time.process_time()
    units = work()
    return Lap(time.process_time() - cpu, time.perf_counter() - wall, units)


def total(laps: Sequence[Lap]) -> Lap:
    """Add laps up."""
    return Lap(*(sum(column) for column in zip(*laps, strict=True)))


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
            episodes = [(s.play, list(s.moves(rng, case.horizon))) for s in subjects]
            plays.append(timed(lambda e=episodes: sum(play(moves) for play, moves in e)))
        samples.append((total(resets), total(plays)))
        spent += samples[-1][0].cpu + samples[-1][1].cpu
    return {
        "steps_per_s": median(play.units / play.cpu for _, play in samples),
        "steps_per_s_wall": median(play.units / play.wall for _, play in samples),
        "with_resets_per_s": median(p.units / (p.cpu + r.cpu) for r, p in samples),
        "reset_ms": median(1000 * r.cpu / r.units for r, _ in samples),
        "answer_ms": median(1000 * play.cpu / r.units for r, play in samples),
        "task_ms": median(1000 * (r.cpu + play.cpu) / r.units for r, play in samples),
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
            case (_, {"optimal_moves": int(moves)}) if moves >= 0:
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
        subject.play(list(subject.moves(rng, 3)))
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


def measure_vector(
    make: Callable[[], VectorSubject], case: Case, effort: Effort
) -> dict[str, float]:
    """Measure steps of many games at once, resets among them, by the wall clock: a vector
    environment may use several processes.
    """
    games, moves, step, close = make()
    rng = np.random.default_rng(0)
    chosen: list[list[int]] = rng.integers(len(moves), size=(64, games)).tolist()
    drawn = [tuple(moves[i] for i in row) for row in chosen]

    def step_all() -> int:
        for row in drawn:
            step(row)
        return games * len(drawn)

    timed(step_all)  # the first episodes begin together
    rates: list[float] = []
    spent = 0.0
    while len(rates) < effort.repeats and (not rates or spent < effort.patience_s):
        laps = [timed(step_all)]
        while total(laps).wall < effort.sample_s:
            laps.append(timed(step_all))
        rates.append(total(laps).units / total(laps).wall)
        spent += total(laps).wall
    close()
    return {"steps_per_s_wall": median(rates), "repeats": len(rates)}


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"no end after {ENDLESS_S} s: some call of it never returned")


Measure = Callable[[Callable[[], Any], Case, Effort], dict[str, float]]


def measured(contestant: Contestant, case: Case, measure: Measure, effort: Effort) -> Result:
    """Measure one contestant; what goes wrong, it says in its result."""
    name, access, make = contestant
    print(f"{case.title}: {name}, {access} ...", file=sys.stderr, flush=True)
    seed_everything(next(SEEDS))
    gc.collect()
    numbers, problem = {}, ""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(ENDLESS_S)
    try:
        numbers = measure(make, case, effort)
    except ImportError as error:
        problem = f"not installed ({error})"
    except Exception as error:  # a peer may break in any way: the table says so
        problem = f"error ({type(error).__name__}: {error})"
    finally:
        signal.alarm(0)
    return Result(case.title, name, access, numbers, problem)
