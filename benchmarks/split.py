"""What a step's time is spent on."""

from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case
from measure import Effort, timed
from subjects import Subject

MOVES = 5000
"""Moves that are played again and again, at least: more than a game's caches hold of its moves."""


def measure_split(make: Callable[[], Subject], case: Case, effort: Effort) -> dict[str, float]:
    """Measure, in us of a step through ``gym.make``: what its wrappers take, what ``TextEnv`` takes
    around the game (``info``, checks, flags), the game's rules (reading and playing the move,
    listing the legal ones), and the text. Each is the difference of two ways to play the same
    moves, with and without it; the shortest time of each way.
    """
    made = make()
    env, inner = made.env, made.env.unwrapped
    game, rng = inner.game, np.random.default_rng(0)
    episodes: list[tuple[Any, list[str]]] = []
    steps: list[tuple[Any, str]] = []
    while len(steps) < MOVES:
        env.reset()
        episodes.append((inner.get_state(), list(made.moves(rng, case.horizon))))
        for move in episodes[-1][1]:
            steps.append((inner.get_state(), move))
            inner.step(move)

    def rules(written: bool) -> int:
        for state, move in steps:
            after = game.play(state, game.parse(state, move), rng).state
            game.legal(after)
            game.info(after)
            if written:
                game.text(after)
        return len(steps)

    def played(step: Callable[[str], Any]) -> int:
        for state, moves in episodes:
            inner.set_state(state)
            for move in moves:
                step(move)
        return len(steps)

    ways = [
        lambda: rules(False),
        lambda: rules(True),
        lambda: played(inner.step),
        lambda: played(env.step),
    ]
    rounds = []
    for _ in range(3 * effort.repeats):
        laps = [timed(way) for way in ways]
        rounds.append([1e6 * lap.cpu / lap.units for lap in laps])
    ruled, told, raw, whole = (min(column) for column in zip(*rounds, strict=True))
    return {
        "step_us": whole,
        "wrappers_us": max(0.0, whole - raw),
        "env_us": max(0.0, raw - told),
        "text_us": max(0.0, told - ruled),
        "rules_us": ruled,
    }
