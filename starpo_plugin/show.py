"""Stored trajectories in the terminal: a table of the episodes, or one of them whole."""

from dataclasses import fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from starpo_plugin.config import TrainConfig, from_dict
from starpo_plugin.console import visible
from starpo_plugin.play import Narrator
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.trajectory_file import Origin, Stored, find, read_stored

_UNSAID = {"actions": (), "action_is_valid": True}
"""What is taken for granted of a turn of which less was stored than ``ChatEnv`` says."""


def choose(what: str, iteration: int | None) -> Path:
    """Find the file that is meant: the one given, or a run's of an iteration, or its last.

    Raises ``ValueError`` that lists what there is.
    """
    found = find(what)
    if iteration is None:
        return found[-1]
    if not Path(what).is_dir():
        raise ValueError(f"{what} is one file: --iteration {iteration} is for a run's folder")
    numbers = {int(p.stem): p for p in found if p.stem.isdecimal()}
    if iteration not in numbers:
        stored = ", ".join(map(str, numbers)) or "none"
        raise ValueError(f"{what} has not stored iteration {iteration}; it has {stored}")
    return numbers[iteration]


def show_list(console: Console, path: Path) -> None:
    """Print a line an episode. Raises ``ValueError`` where the file can't be read."""
    stored = read_stored(path)
    _say(console, _about(path, stored), "bold")
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)  # fits 80 columns
    for heading in ("#", "group", "member", "seed", "success", "return", "turns", "tokens", "end"):
        side = "left" if heading in ("success", "end") else "right"
        table.add_column(heading, justify=side, no_wrap=True)
    last = None
    for number, episode in enumerate(stored.trajectories):
        if last not in (None, episode.group):
            table.add_section()
        last = episode.group
        table.add_row(*_row(number, episode), style="green" if episode.success else "")
    console.print(table)
    _say(console, f"one of them whole: starpo show {path} --episode 0", "dim")


def show_episode(console: Console, path: Path, number: int) -> None:
    """Print an episode turn by turn. Raises ``ValueError`` where there is no such episode."""
    stored = read_stored(path)
    count = len(stored.trajectories)
    if not 0 <= number < count:
        has = f"episodes 0 to {count - 1}" if count else "no episodes"
        raise ValueError(f"{path} has no episode {number}; it has {has}")
    episode = stored.trajectories[number]
    where = f"{path}, episode {number}: {episode.env_id}, seed {episode.seed}"
    _say(console, f"{where}, group {episode.group}, member {episode.member}", "bold")
    if episode.system:
        console.print(Rule("system", align="left", style="dim"))
        _say(console, episode.system)
    narrator = Narrator(console, _config(stored.origin))
    for turn in episode.turns:
        narrator.turn(replace(turn, info={**_UNSAID, **turn.info}))
    console.print(Rule("end", align="left", style="dim"))
    outcome = "success" if episode.success else "no success"
    counts = f"{len(episode.turns)} turns, {len(episode)} tokens"
    told = f"{outcome} ({episode.end}): return {episode.total_reward:+.2f}, {counts}"
    _say(console, told, "bold green" if episode.success else "bold yellow")


def _about(path: Path, stored: Stored) -> str:
    """Say what a file holds, in a line."""
    origin, episodes = stored.origin, stored.trajectories
    parts = [str(path)]
    if origin.iteration:
        parts.append(f"iteration {origin.iteration}")
    parts += sorted({t.env_id for t in episodes})
    parts.append(f"{len(episodes)} episodes")
    if episodes:
        success, mean = fmean(t.success for t in episodes), fmean(t.total_reward for t in episodes)
        parts.append(f"success {success:.1%}, return {mean:.2f}")
    return ", ".join(parts)


def _row(number: int, episode: Trajectory) -> list[str]:
    values = (number, episode.group, episode.member, episode.seed)
    outcome = ["yes" if episode.success else "no", f"{episode.total_reward:+.2f}"]
    return [*map(str, values), *outcome, str(len(episode.turns)), str(len(episode)), episode.end]


def _config(origin: Origin) -> TrainConfig:
    """Give the config that says how replies are read, of which another version may know less."""
    known = {f.name for f in fields(TrainConfig)}
    said: dict[str, Any] = {k: v for k, v in origin.config.items() if k in known}
    return from_dict(said)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(visible(text)), style=style, soft_wrap=True)
