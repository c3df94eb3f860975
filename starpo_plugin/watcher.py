"""Who is told how a run goes."""

from typing import Protocol

from starpo_plugin.echo_trap import TrapWarning
from text_envs.agents import Score


class Watcher(Protocol):
    """Who is told how a run goes: a console, a test."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins; a resumed run has ``done`` of them behind it."""

    def step(self, done: int, note: str) -> None:
        """``done`` steps of the stage are over."""

    def episodes(self, done: int, total: int) -> None:
        """``done`` of the episodes that are being played are over."""

    def evaluated(self, name: str, score: Score) -> None:
        """An agent was evaluated."""

    def warned(self, warning: TrapWarning, stops: bool) -> None:
        """A sign of collapse was seen; ``stops`` if the run ends early for it."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int, done: int = 0) -> None: ...  # noqa: D102
    def step(self, done: int, note: str) -> None: ...  # noqa: D102
    def episodes(self, done: int, total: int) -> None: ...  # noqa: D102
    def evaluated(self, name: str, score: Score) -> None: ...  # noqa: D102
    def warned(self, warning: TrapWarning, stops: bool) -> None: ...  # noqa: D102
