"""Hypotheses on a blicket detector: which there are, how likely each is after some tests, and how
much another test would tell.

Sets of objects are the bits of an integer; a hypothesis is a rule and the set of the blickets.
"""

from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np

Rule = Literal["any", "two"]
RuleChoice = Literal["any", "two", "mixed"]
Hypothesis = tuple[Rule, int]
Tests = tuple[tuple[int, bool], ...]
"""(objects placed, whether the machine lit up) of every test."""

NEEDED: dict[str, int] = {"any": 1, "two": 2}
"""Rule -> blickets on the machine that light it up."""


def lights_up(rule: Rule, blickets: int, placed: int) -> bool:
    """Tell whether the objects ``placed`` light up the machine (if nothing fails)."""
    return (blickets & placed).bit_count() >= NEEDED[rule]


@lru_cache(maxsize=8)
def sets(objects: int) -> tuple[int, ...]:
    """List every set of at least one object, small sets first."""
    return tuple(
        sum(1 << i for i in chosen)
        for size in range(1, objects + 1)
        for chosen in combinations(range(objects), size)
    )


@lru_cache(maxsize=32)
def hypotheses(objects: int, rule: RuleChoice) -> tuple[Hypothesis, ...]:
    """List every hypothesis under which something lights the machine up."""
    rules: tuple[Rule, ...] = ("any", "two") if rule == "mixed" else (rule,)
    return tuple(
        (one, members)
        for one in rules
        for members in sets(objects)
        if members.bit_count() >= NEEDED[one]
    )


def posterior(objects: int, rule: RuleChoice, noise: float, tests: Tests) -> np.ndarray:
    """Probability of every hypothesis after ``tests``, all being equally likely before them:
    float64 ``[hypotheses]``.
    """
    table, row = _predictions(objects, rule), _rows(objects)
    chances = np.ones(table.shape[1])
    for placed, lit in tests:
        lights = table[row[placed]]
        chances *= lights * (1 - noise) if lit else np.where(lights, noise, 1.0)
    return chances / chances.sum()


def information(
    objects: int, rule: RuleChoice, noise: float, chances: np.ndarray
) -> dict[int, float]:
    """Set of objects -> bits that testing it is expected to tell about the hypothesis: the entropy
    of the result less what noise alone makes of it.

    ``chances`` is a ``posterior``. Rounded, so that equals are equal on any machine.
    """
    should_light = _predictions(objects, rule) @ chances
    bits = entropy(should_light * (1 - noise)) - should_light * entropy(np.array(noise))
    return dict(zip(sets(objects), bits.round(9).tolist(), strict=True))


def entropy(chance: np.ndarray) -> np.ndarray:
    """Entropy, in bits, of events with these probabilities; of any shape."""
    yes, no = (np.clip(p, 1e-300, 1.0) for p in (chance, 1 - chance))
    return -(yes * np.log2(yes) + no * np.log2(no))


@lru_cache(maxsize=8)
def _rows(objects: int) -> dict[int, int]:
    """Set of objects -> its row in ``_predictions``."""
    return {members: row for row, members in enumerate(sets(objects))}


@lru_cache(maxsize=32)
def _predictions(objects: int, rule: RuleChoice) -> np.ndarray:
    """Whether a set lights up the machine of a hypothesis: float64 ``[sets, hypotheses]``."""
    possible = hypotheses(objects, rule)
    lights = [[lights_up(*one, placed) for one in possible] for placed in sets(objects)]
    table = np.array(lights, np.float64)
    table.flags.writeable = False
    return table
