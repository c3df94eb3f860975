"""A run as a person sees it: a progress bar and a line an evaluation; plain lines in a log file."""

import time
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from starpo_plugin.echo_trap import TrapWarning
from text_envs.agents import Score

LINES_PER_STAGE = 20
"""Lines about a stage's steps where there is no terminal to draw a bar in."""


def visible(text: str) -> str:
    """Replace what a terminal or a browser would obey rather than show; keep line ends."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


class ConsoleWatcher:
    """Tells a terminal, or a log, how a run goes (``train.Watcher``); use it as a context manager.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = _Stage("", 0, 0)
        self._task: TaskID | None = None
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", style="bold"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[pace]}", style="cyan", markup=False),
                TextColumn("{task.fields[note]}", markup=False),
                TextColumn("{task.fields[playing]}", style="dim", markup=False),
                console=console,
                refresh_per_second=5,
            )

    def __enter__(self) -> "ConsoleWatcher":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._bar is not None:
            self._close_stage()
            self._bar.stop()

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage of ``total`` steps, ``done`` of which are over."""
        self._close_stage()
        self._stage = _Stage(name, total, done)
        if self._bar is None:
            if total > 1:
                behind = f", {done} of them done" if done else ""
                self._print(f"{name}: {total} steps{behind}")
            return
        self._task = self._bar.add_task(
            name, total=total, completed=done, pace="", note="", playing=""
        )

    def step(self, done: int, note: str) -> None:
        """Count ``done`` steps of the stage."""
        stage = self._stage
        stage.done, stage.note = done, note
        if self._bar is None:
            if stage.is_line_due():
                self._print(f"{stage.name} {done}/{stage.total}  {stage.pace}  {note}")
        elif self._task is not None:
            self._bar.update(self._task, completed=done, note=note, pace=stage.pace)

    def episodes(self, done: int, total: int) -> None:
        """Show how many of the episodes that are being played are over."""
        if self._bar is not None and self._task is not None:
            playing = f"episodes {done}/{total}" if done < total else ""
            self._bar.update(self._task, playing=playing)

    def evaluated(self, name: str, score: Score) -> None:
        """Print an evaluation."""
        self._print(f"{name:>15}: {describe_score(score)}", style="green")

    def warned(self, warning: TrapWarning, stops: bool) -> None:
        """Print a sign of collapse and what to do about it."""
        self._print(f"warning, iteration {warning.iteration}: {warning.text}", style="yellow")
        self._print(f"  try: {warning.remedy}", style="yellow")
        if stops:
            self._print("  stopping early, after an evaluation and a checkpoint", style="bold")

    def _close_stage(self) -> None:
        if self._bar is None or self._task is None:
            return
        self._bar.remove_task(self._task)
        self._task = None
        stage = self._stage
        if stage.done > stage.start:
            summary = f"{stage.name} {stage.done}/{stage.total}, {_duration(stage.seconds)}"
            self._print(f"{summary}, {stage.note}")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(visible(text)), style=style, soft_wrap=True)


class _Stage:
    """How far a stage is, how fast, and what was said of it last."""

    def __init__(self, name: str, total: int, done: int) -> None:
        self.name, self.total, self.start = name, total, done
        self.done, self.note = done, ""
        self._began = time.monotonic()
        self._lines = done * LINES_PER_STAGE // max(1, total)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def pace(self) -> str:
        """Rate since the stage began, and the time that the rest takes at that rate."""
        steps, seconds = self.done - self.start, self.seconds
        if steps < 1 or seconds <= 0:
            return ""
        rate = steps / seconds
        shown = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
        left = (self.total - self.done) / rate
        return f"{shown}, {_duration(left)} left" if self.done < self.total else shown

    def is_line_due(self) -> bool:
        """Whether another twentieth of the stage is over."""
        lines = self.done * LINES_PER_STAGE // max(1, self.total)
        due, self._lines = lines > self._lines, max(lines, self._lines)
        return due


def _duration(seconds: float) -> str:
    whole = round(seconds)
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def describe_score(score: Score) -> str:
    """Write a score with its interval, return and number of episodes."""
    low, high = score.interval
    return (
        f"success {score.success_rate:.1%} (95 %: {low:.1%} to {high:.1%}),"
        f" return {score.mean_return:.2f}, {score.episodes} episodes"
    )


def score_table(scores: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """Make a table of scores in the form of ``run_folder.score_dict``, one row an agent."""
    table = Table(title=title, box=SIMPLE, title_justify="left", title_style="bold")
    table.add_column("agent")
    for heading in ("success", "95 % interval", "episodes", "return", "moves"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, score in scores.items():
        low, high = score["interval"]
        table.add_row(
            Text(visible(name)),
            f"{score['success']:.1%}",
            f"{low:.1%} to {high:.1%}",
            str(score["episodes"]),
            f"{score['return']:.2f}",
            f"{score['moves']:.1f}",
        )
    return table
