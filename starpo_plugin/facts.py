"""Facts of a state as a line of words, and how a line that a model wrote is read and scored.

``describe`` is what demonstrations write of a state, and ``Reader`` reads it: a name of the state's
facts begins an entity, the words up to the next name are its attributes. Case, brackets, commas,
colons, semicolons and equals signs don't matter, so ``Player: (2, 3)`` is ``player 2 3``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from starpo_plugin.assignment import assignment

Instance = tuple[str, ...]
"""One thing: its attributes in order, as words. A box at row 3, column 1 is ``("3", "1")``."""
Entities = dict[str, list[Instance]]
"""Name -> all things of that name."""

MOST = 4
"""A text of more than so many times the words that are true scores 0; else reading it could take
long, and even the truth in it would score 2 / (1 + 4) at most.
"""
_WORD = re.compile(r"[^\s()\[\]{},;:=]+")
_NOWHERE = ""
"""Name of the words before the first name: attributes of nothing, so all wrong."""


def describe(facts: Mapping[str, Any]) -> str:
    """Write facts as a line of words: ``player 2 3 boxes 3 3 targets 4 1``."""
    return " ".join(word for name, value in facts.items() for word in (name, *words(value)))


def words(value: Any) -> Iterator[str]:
    """Give the words of a fact's value, one after the other."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        items = value.items() if isinstance(value, Mapping) else value
        for item in items:
            yield from words(item)
    else:
        yield str(value)


def frozen(value: Any) -> Any:
    """Give facts with tuples in place of lists, as stored trajectories have them."""
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {name: frozen(item) for name, item in value.items()}
    return value


def split(text: str) -> list[str]:
    """Words of a text, as they are compared."""
    return _WORD.findall(text.casefold())


class Reader:
    """Reads texts as claims about one state.

    A fact that is a list of lists, such as positions, is several things of one name in no order;
    any other is one thing, whose attributes have an order.

    Args:
        facts: what is true of the state.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._names: dict[str, list[tuple[list[str], str]]] = {}
        self._widths: dict[str, int] = {}
        for name, value in facts.items():
            if parts := split(name):
                self._names.setdefault(parts[0], []).append((parts, name))
                self._widths[name] = _width(value)
        for known in self._names.values():  # 'pairs found' before 'pairs'
            known.sort(key=lambda pair: -len(pair[0]))
        # by way of its text: a value that holds another's name is then no claim's mistake
        self.truth = self.read(describe(facts))
        self._true = count(self.truth)

    def read(self, text: str) -> Entities:
        """Read any text at all; it never raises."""
        words, position, name = split(text), 0, _NOWHERE
        found: dict[str, list[str]] = {}
        while position < len(words):
            begun = self._name_at(words, position)
            if begun is not None:
                length, name = begun
                found.setdefault(name, [])
                position += length
            else:
                found.setdefault(name, []).append(words[position])
                position += 1
        return {name: _instances(said, self._widths.get(name, 0)) for name, said in found.items()}

    def score(self, text: str) -> float:
        """F1 of a text's claims against what is true, 0 to 1."""
        claims = self.read(text)
        return f1(claims, self.truth) if count(claims) <= MOST * self._true else 0.0

    def _name_at(self, words: Sequence[str], position: int) -> tuple[int, str] | None:
        for name, key in self._names.get(words[position], ()):
            if words[position : position + len(name)] == name:
                return len(name), key
        return None


def f1(claims: Entities, truth: Entities) -> float:
    """``2 matched / (claimed + true)``, over (entity, attribute) pairs; 0 where there are none.

    Claimed things are matched with true ones of the same name so that as many attributes as
    possible agree.
    """
    total = count(claims) + count(truth)
    agreed = sum(matched(claims.get(name, []), things) for name, things in truth.items())
    return 2 * agreed / total if total else 0.0


def count(entities: Entities) -> int:
    """Number of (entity, attribute) pairs."""
    return sum(len(thing) for things in entities.values() for thing in things)


def matched(claimed: Sequence[Instance], true: Sequence[Instance]) -> int:
    """Attributes that agree under the best matching, one to one, of claimed things and true ones.

    Equal things can be taken first. Of w attributes, let a claim p equal t, and in some matching go
    with t' (a agree) while t goes with p' (b agree): p' and t' agree in a + b - w at least, so that
    p with t and p' with t' lose nothing.
    """
    here, there = Counter(claimed), Counter(true)
    equal = here & there
    some, others = list((here - equal).elements()), list((there - equal).elements())
    agreed = sum(len(thing) * n for thing, n in equal.items())
    if not some or not others:
        return agreed
    if len(some) > len(others):
        some, others = others, some
    if len(some) == 1:
        return agreed + max(_agreement(some[0], other) for other in others)
    gain = np.array([[_agreement(a, b) for b in others] for a in some], float)
    return agreed + int(gain[np.arange(len(some)), assignment(gain)].sum())


def _agreement(one: Instance, other: Instance) -> int:
    return sum(a == b for a, b in zip(one, other, strict=False))


def _width(value: Any) -> int:
    """Attributes of each thing where a value is a list of them; 0 where it is one thing."""
    things = list(value) if isinstance(value, list | tuple) else []
    if things and all(isinstance(thing, list | tuple) for thing in things):
        return len(split(" ".join(words(things[0]))))
    return 0


def _instances(words: Sequence[str], width: int) -> list[Instance]:
    step = width or max(1, len(words))
    return [tuple(words[i : i + step]) for i in range(0, len(words), step)]
