"""Bandit: named arms that pay differently, and few pulls to tell which is best."""

from typing import NamedTuple


class Pay(NamedTuple):
    """How an arm pays: ``amount`` with probability ``chance``, else nothing."""

    amount: float
    chance: float


class BanditState(NamedTuple):
    """The arms as they are shown, how they pay (hidden from the player), and what was pulled."""

    arms: tuple[str, ...]
    """Names, in the order shown."""
    pays: tuple[Pay, ...]
    """Hidden: how each arm pays, in the same order."""
    left: int
    """Pulls left."""
    history: tuple[tuple[str, float], ...] = ()
    """(arm, reward) of every pull, oldest first."""
