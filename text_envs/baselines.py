"""Yardsticks of every environment: what the random player and the oracle reach.

``python -m text_envs baselines`` measures them; with ``--write`` it also rewrites the table at the
end of each game's docstring, row by row as its author chose the rows, and ``docs/baselines.json``,
which the catalogue is made from.
"""

import ast
import inspect
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from text_envs import ENV_IDS
from text_envs.agents import (
    Z_95,
    Agent,
    OracleAgent,
    RandomAgent,
    play_episode,
    wilson_interval,
)
from text_envs.env import TextEnv, game_class, make_game

EPISODES = 10_000
BUDGET_S = 60.0
SPOT = 10
"""First episodes of the random player whose outcome is kept: enough to see, in no time, that rules
or levels are not those that were measured.
"""
MARK = "Success in % (95 % interval)"
COLUMNS = ["parameters", "moves", "random", "oracle"]
PLAYERS: dict[str, Callable[[], Agent]] = {"random": lambda: RandomAgent(0), "oracle": OracleAgent}
FILE = Path(__file__).parents[1] / "docs" / "baselines.json"


@dataclass(frozen=True)
class Task:
    """A game to be played: which, with what parameters, and in how many moves."""

    game: str
    params: dict[str, Any]
    moves: int

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in sorted(self.params.items()))
        return f"{self.game.partition(':')[2]}({given}), {self.moves} moves"

    @property
    def key(self) -> str:
        """What makes two tasks the same."""
        return f"{self.game} {self}"


class Yardstick(NamedTuple):
    """What a player reached."""

    episodes: int
    successes: int
    mean_return: float
    return_error: float
    """Half the width of the 95 % interval of the mean return."""
    mean_length: float
    spot: tuple[int, float]
    """Moves and return of the first episodes, added up."""

    @property
    def success(self) -> str:
        """Success in %, with its 95 % interval."""
        low, high = wilson_interval(self.successes, self.episodes)
        rate = self.successes / self.episodes
        return f"{percent(rate)} ({percent(low)} to {percent(high)})"

    @property
    def returned(self) -> str:
        """Mean return, with its 95 % interval."""
        low, high = self.mean_return - self.return_error, self.mean_return + self.return_error
        return f"{self.mean_return:.3f} ({low:.3f} to {high:.3f})"


class Effort(NamedTuple):
    """How much to play."""

    episodes: int = EPISODES
    seed: int = 0
    budget_s: float = BUDGET_S
    """CPU time of one player of one task: where ``episodes`` would take longer, a smaller round
    number of them is played.
    """


def percent(rate: float) -> str:
    """Write a rate in %, with a decimal more where it is nearly none or all."""
    if rate in (0, 1):
        return f"{100 * rate:.0f}"
    text = f"{100 * rate:.{1 if 0.001 <= rate <= 0.999 else 2}f}"
    return {"0.00": "0", "100.00": "100"}.get(text, text)


# --- measuring ---


def task_of(env_id: str) -> Task:
    """Tell what an id is registered as."""
    spec = gym.spec(env_id)
    params = dict(spec.kwargs)
    return Task(params.pop("game"), params, spec.max_episode_steps or 0)


def measure(task: Task, player: str, effort: Effort) -> Yardstick:
    """Play the episodes of one task; the numbers depend on its arguments alone, except that the
    budget may end it early.
    """
    env = TimeLimit(TextEnv(task.game, **task.params), task.moves)
    agent = PLAYERS[player]()
    start = time.process_time()
    played = []
    for goal in _round_numbers(effort.episodes):
        spent = time.process_time() - start
        if played and spent / len(played) * goal > effort.budget_s:
            break
        seeds = range(effort.seed + len(played), effort.seed + goal)
        played += [play_episode(env, agent, seed) for seed in seeds]
    returns = [episode.total_reward for episode in played]
    return Yardstick(
        episodes=len(played),
        successes=sum(episode.success for episode in played),
        mean_return=fmean(returns),
        return_error=Z_95 * stdev(returns) / sqrt(len(played)),
        mean_length=fmean(episode.moves for episode in played),
        spot=(sum(episode.moves for episode in played[:SPOT]), sum(returns[:SPOT])),
    )


def _round_numbers(most: int) -> Iterator[int]:
    """10, 20, 50, 100, ... below ``most``, then ``most``."""
    scale = 10
    while scale < most:
        yield from (k * scale for k in (1, 2, 5) if k * scale < most)
        scale *= 10
    yield most


Measured = dict[tuple[str, str], Yardstick]


def measure_all(tasks: Sequence[Task], effort: Effort, jobs: int) -> Measured:
    """Measure both players at every task, in ``jobs`` processes: (task's key, player) -> yardstick.
    Progress goes to standard error; a task that is there twice is played once.
    """
    work = {(task.key, player): (task, player, effort) for task in tasks for player in PLAYERS}
    measured: Measured = {}
    if jobs == 1:
        for number, (key, (task, player, _)) in enumerate(work.items(), 1):
            _progress(number, len(work), f"{task}: {player} player")
            measured[key] = measure(task, player, effort)
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(measure, *arguments): key for key, arguments in work.items()}
            for number, future in enumerate(as_completed(futures), 1):
                key = futures[future]
                measured[key] = future.result()
                _progress(number, len(work), f"{work[key][0]}: {key[1]} player, done")
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return measured


def _progress(number: int, total: int, what: str) -> None:
    line = f"[{number}/{total}] {what}"
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line[:78]}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def report(env_ids: Sequence[str], measured: Measured) -> str:
    """Write what was measured of these ids as a table for the terminal."""
    rows = [("", "moves", "player", "episodes", "success, %", "return", "moves made")]
    for env_id in env_ids:
        task = task_of(env_id)
        for player in PLAYERS:
            y = measured[task.key, player]
            length = f"{y.mean_length:.1f}"
            row = (player, f"{y.episodes:,}", y.success, y.returned, length)
            rows.append((env_id, str(task.moves), *row))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


# --- the table of a docstring ---


class Table(NamedTuple):
    """The yardstick table at the end of a game's docstring, and where it stands."""

    game: str
    path: Path
    start: int
    """Index of its first line, the upper rule; counted from zero."""
    stop: int
    """One past its last line."""
    rows: list[tuple[str, Task]]
    """(parameters as written, task) of every row."""


def find_table(game: str) -> Table:
    """Find the yardsticks of ``"module:Class"``. Raises ``ValueError`` where there are none or they
    can't be read, with the line.
    """
    found = game_class(game)
    path = Path(inspect.getsourcefile(found) or "")
    source, first = inspect.getsourcelines(found)
    lines = path.read_text(encoding="utf-8").splitlines()
    body = range(first - 1, first - 1 + len(source))
    marks = [i for i in body if MARK in lines[i]]
    rules = [i for i in body if marks and i > marks[0] and re.fullmatch(r" +=[= ]+=", lines[i])]
    if len(rules) < 3:
        raise ValueError(f"{path}: {found.__name__} has no table below {MARK!r}")
    top, middle, bottom = rules[:3]
    if _cells(lines[top + 1]) != COLUMNS or middle != top + 2:
        raise ValueError(f"{path}:{top + 2}: the columns must be {', '.join(COLUMNS)}")
    rows = []
    for number in range(middle + 1, bottom):
        try:
            written, moves, *_ = _cells(lines[number])
            task = Task(game, _parameters(written), int(moves))
            make_game(game, task.params)
        except (ValueError, TypeError, SyntaxError) as error:
            raise ValueError(f"{path}:{number + 1}: this row can't be read: {error}") from error
        rows.append((written, task))
    return Table(game, path, top, bottom + 1, rows)


def find_tables(env_ids: Sequence[str]) -> list[Table]:
    """Find the table of each game that these ids play."""
    return [find_table(game) for game in dict.fromkeys(task_of(i).game for i in env_ids)]


def rewritten(tables: Sequence[Table], measured: Measured) -> dict[Path, str]:
    """Put the measured numbers into the source files that hold the tables: path -> content.

    Measuring takes a while: where the files have changed since, so has what is kept of them. Raises
    ``ValueError`` if by now there are rows that were not measured.
    """
    files: dict[Path, list[str]] = {}
    for found in tables:
        table = find_table(found.game)
        lines = files.setdefault(table.path, table.path.read_text(encoding="utf-8").splitlines())
        lines[table.start : table.stop] = _drawn(table, measured, lines[table.start])
    return {path: "\n".join(lines) + "\n" for path, lines in files.items()}


def _drawn(table: Table, measured: Measured, rule: str) -> list[str]:
    """Draw a table anew, as far to the right as ``rule``."""
    rows = [COLUMNS]
    for written, task in table.rows:
        cells = []
        for player in PLAYERS:
            if (task.key, player) not in measured:
                raise ValueError(f"{table.path}: {written!r} came in while others were measured")
            y = measured[task.key, player]
            few = "" if y.episodes == EPISODES else f", n={y.episodes:,}"
            cells.append(y.success + few)
        rows.append([written, str(task.moves), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rules = ["=" * width for width in widths]
    indent = " " * (len(rule) - len(rule.lstrip()))
    shown = [rules, rows[0], rules, *rows[1:], rules]
    return [(indent + "  ".join(map(str.ljust, row, widths))).rstrip() for row in shown]


def _cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def _parameters(written: str) -> dict[str, Any]:
    """Read ``default`` or keyword arguments, whose values are literals or fractions."""
    if written == "default":
        return {}
    call = ast.parse(f"f({written})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args or not all(k.arg for k in call.keywords):
        raise ValueError(f"{written!r} is neither 'default' nor keyword arguments")
    return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return ast.literal_eval(node.left) / ast.literal_eval(node.right)
    return ast.literal_eval(node)


# --- the file ---


def load() -> dict[str, Any]:
    """Read ``docs/baselines.json``; nothing is measured where it is missing."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def as_json(
    env_ids: Sequence[str], measured: Measured, others: dict[str, Any] | None = None
) -> str:
    """Write what was measured of ``env_ids`` as in ``docs/baselines.json``; ``others`` are kept, as
    far as there still are such ids.
    """
    content = (others or {}) | {i: _entry(task_of(i), measured) for i in env_ids}
    ordered = {i: content[i] for i in ENV_IDS if i in content}
    return json.dumps(ordered, indent=1) + "\n"


def _entry(task: Task, measured: Measured) -> dict[str, Any]:
    players = {player: measured[task.key, player]._asdict() for player in PLAYERS}
    for numbers in players.values():
        for name in ("mean_return", "return_error", "mean_length"):
            numbers[name] = round(numbers[name], 4)
        numbers["spot"] = [numbers["spot"][0], round(numbers["spot"][1], 6)]
    return {"parameters": task.params, "moves": task.moves, **players}


def players(entry: dict[str, Any]) -> dict[str, Yardstick]:
    """Take the yardsticks of one id out of that form again: player -> yardstick."""
    return {player: Yardstick(**entry[player]) for player in PLAYERS}


def spot_holds(env_id: str, entry: dict[str, Any]) -> bool:
    """Play the random player's first episodes again: do they go as they did when measured?"""
    spot = measure(task_of(env_id), "random", Effort(SPOT)).spot
    return np.allclose(spot, entry["random"]["spot"], atol=1e-5)
