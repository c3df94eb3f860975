"""The best answer of a model that looks at nothing: what a world-model reward must not pay for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low
from typing import Any

import numpy as np

from starpo_plugin.facts import Entities, Instance, Reader, count, matched
from text_envs.agents import RandomAgent
from text_envs.chat import ChatEnv

Facts = Mapping[str, Any]

STARTS = 32
"""Starts that are looked at."""
MOVES = 3
"""Moves of a random player from each of them that are looked at."""
CANDIDATES = 16
"""Values of an entity, the most common ones, that the answer may give."""


@dataclass(frozen=True)
class ConstantAnswer:
    """One text for every state."""

    text: str
    mean: float
    """Its mean score over the states that it was found for."""

    def score(self, state: Reader) -> float:
        """What it is worth at a state: its mean score, or its score there where that is more.

        With the mean alone it would still earn something wherever it happens to fit.
        """
        return max(self.mean, state.score(self.text))


def sample_states(env: ChatEnv, seed: int) -> list[Facts]:
    """Facts of starts, and after a random player's first moves; the same for the same seed.

    Raises ``ValueError`` for an environment that has no facts.
    """
    game: Any = env.unwrapped
    if not hasattr(game, "facts"):
        raise ValueError(
            f"{game} has no facts to compare what a model claims with (a method facts):"
            " use turn_reward=game"
        )
    agent, states = RandomAgent(seed), []
    for start in range(STARTS):
        observation, info = env.env.reset(seed=(seed + start) % 2**31)
        states.append(game.facts())
        for _ in range(MOVES):
            action = agent.act(env.env, observation, info)
            observation, _, terminated, truncated, info = env.env.step(action)
            states.append(game.facts())
            if terminated or truncated:
                break
    return states


def best_constant(states: Sequence[Facts]) -> ConstantAnswer:
    """Find the text with the highest mean score over states.

    It says of each entity nothing, one of its common values, or what is most common place by place;
    entity after entity is changed to what is best beside the others, until nothing is. So it is the
    best of its neighbours, rather than of all texts there are.
    """
    readers = [Reader(facts) for facts in states]
    truths = [reader.truth for reader in readers]
    names = list(dict.fromkeys(name for truth in truths for name in truth))
    choices = {name: _candidates([t[name] for t in truths if name in t]) for name in names}
    agreed = {
        name: np.array([[matched(c, t.get(name, [])) for t in truths] for c in choices[name]])
        for name in names
    }
    sizes = {name: np.array([count({name: c}) for c in choices[name]]) for name in names}
    true = np.array([count(t) for t in truths])
    empty, fullest = dict.fromkeys(names, 0), dict.fromkeys(names, 1)
    found = [_climb(start, agreed, sizes, true) for start in (empty, fullest)]
    texts = [_write({n: choices[n][i] for n, i in picked.items()}) for picked in found]
    scores = [fmean(reader.score(text) for reader in readers) for text in texts]
    best = int(np.argmax(scores))
    return ConstantAnswer(texts[best], scores[best])


def _climb(
    picked: dict[str, int],
    agreed: Mapping[str, np.ndarray],
    sizes: Mapping[str, np.ndarray],
    true: np.ndarray,
) -> dict[str, int]:
    """Change one entity's value at a time as long as the mean F1 rises.

    Args:
        picked: name -> number of its value, to begin with.
        agreed: name -> [values, states], attributes that agree.
        sizes: name -> [values], attributes that are claimed.
        true: [states], attributes that are true.
    """
    picked, best = dict(picked), -1.0
    while True:
        before = best
        for name in picked:
            others = [n for n in picked if n != name]
            hits = sum((agreed[n][picked[n]] for n in others), np.zeros(len(true)))
            claimed = sum(int(sizes[n][picked[n]]) for n in others)
            total = claimed + sizes[name][:, None] + true
            means = (2 * (hits + agreed[name]) / np.maximum(total, 1)).mean(1)
            picked[name], best = int(means.argmax()), float(means.max())
        if best <= before + 1e-12:
            return picked


def _candidates(values: Sequence[list[Instance]]) -> list[list[Instance]]:
    """Give nothing, the most common values, and the value that is most common place by place."""
    common = Counter(tuple(value) for value in values).most_common(CANDIDATES)
    things = Counter(thing for value in values for thing in value)
    several = median_low([len(value) for value in values])
    typical = [thing for thing, _ in things.most_common(several)]
    length = median_low([len(thing) for thing in things.elements()] or [0])
    places = zip(*(t for t in things.elements() if len(t) == length), strict=True)
    blend = tuple(Counter(words).most_common(1)[0][0] for words in places)
    return [[], *(list(value) for value, _ in common), typical, [blend] * max(1, several)]


def _write(entities: Entities) -> str:
    return " ".join(
        " ".join((name, *(word for thing in things for word in thing)))
        for name, things in entities.items()
        if things
    )
