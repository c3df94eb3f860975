"""Exact planning in small games of chance: value iteration, and the likeliest way to success.

Both see a game through its transitions: ``transitions(state, move)`` lists every outcome that the
move can have, with its probability.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from math import log

import numpy as np

from text_envs.game import Outcome, State

Transitions = Callable[[State, str], list[tuple[float, Outcome[State]]]]

TOLERANCE = 1e-10
"""Relative change of a value below which it has settled."""
TIE = 1e-6
"""Relative difference below which two moves are equally good, whatever the rounding."""


def value_iteration(
    states: Sequence[State],
    moves: tuple[str, ...],
    transitions: Transitions[State],
    discount: float,
) -> tuple[dict[State, float], dict[State, str]]:
    """Find the best policy of a game whose rewards are not negative.

    Args:
        states: every state where the game goes on; any other ends it and is worth 0.
        moves: legal in all of them, each with the same number of outcomes.
        transitions: see above.
        discount: per move, below 1.

    Returns:
        State -> value (expected discounted reward under the best policy), and state -> best move,
        the first of equally good ones.
    """
    number = {state: i for i, state in enumerate(states)}
    end = len(states)
    outcomes = [branch for m in moves for s in states for branch in transitions(s, m)]
    shape = (len(moves), len(states), -1)
    chance = np.array([p for p, _ in outcomes]).reshape(shape)
    reward = np.array([o.reward for _, o in outcomes]).reshape(shape)
    after = np.array([end if o.done else number[o.state] for _, o in outcomes]).reshape(shape)
    value = np.zeros(len(states) + 1)
    while True:
        q = (chance * (reward + discount * value[after])).sum(axis=-1)  # [move, state]
        best = q.max(axis=0)
        settled = (best - value[:end] <= TOLERANCE * best).all()
        value[:end] = best
        if settled:
            break
    choice = (q >= best * (1 - TIE)).argmax(axis=0)
    values = dict(zip(states, best.tolist(), strict=True))
    return values, {s: moves[m] for s, m in zip(states, choice.tolist(), strict=True)}


def likeliest_plan(
    start: State, moves: Callable[[State], Iterable[str]], transitions: Transitions[State]
) -> list[str] | None:
    """Find the moves along the most probable way from ``start`` to success, the shortest of equally
    probable ones; ``None`` when no way leads there. By Dijkstra's algorithm.

    ``moves`` gives those to be considered in a state: all of them, or only that of a policy.
    """
    order = count()  # among equals, first come, first served
    came: dict[State, tuple[State, str]] = {}
    frontier = [(0.0, 0, next(order), start, start, "", False)]
    while frontier:
        improbability, length, _, state, before, move, success = heappop(frontier)
        if state in came:
            continue
        came[state] = before, move
        if success:
            return _traced(came, state)
        for onward in moves(state):
            for chance, outcome in transitions(state, onward):
                if outcome.state not in came and (outcome.success or not outcome.done):
                    cost = improbability - log(chance)
                    step = (cost, length + 1, next(order), outcome.state, state, onward)
                    heappush(frontier, (*step, outcome.success))
    return None


def _traced(came: dict[State, tuple[State, str]], state: State) -> list[str]:
    plan = []
    while came[state][1]:
        state, move = came[state]
        plan.append(move)
    return plan[::-1]
