"""What a text says of an environment's facts, each beside what is true.

A claim may be as ``facts.describe`` writes it, ``player 2 3 boxes 3 3 4 1``, or free text, "the
player is at (2, 3)", and is read as far as it can be: a rule of thumb for a person who reads a
report. Nothing is trained by it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal, NamedTuple

from starpo_plugin.facts import words

_WORD = re.compile(r"-?\d+(?:\.\d+)?|\w+")
_BETWEEN = {"a", "and", "are", "at", "c", "col", "column", "in", "is", "of", "on", "r", "row", "y"}
"""Words that may stand before or between the numbers of a claim."""


class Claim(NamedTuple):
    """One fact, and what a text says of it."""

    name: str
    true: str
    said: str
    verdict: Literal["same", "differs", "not said"]


def compare(text: str, facts: Mapping[str, Any]) -> list[Claim]:
    """Look up every fact in a text. Any text at all: it never raises.

    A fact is said where its name stands in the text; what is said of it follows, as far as the next
    fact's name: as many words as are true, or where these are numbers, all numbers up to the first
    word that does not belong between them.
    """
    written = _read(text)
    names = {name: _read(name) for name in facts}
    places = list(_places(written, names))
    ends = [start for start, _, _ in places[1:]] + [len(written)]
    said: dict[str, list[str]] = {}
    for (_, start, name), end in zip(places, ends, strict=False):
        found = _value(written[start:end], _read(" ".join(words(facts[name]))))
        if found or name not in said:
            said[name] = said.get(name) or found
    return [_claim(name, value, said.get(name)) for name, value in facts.items()]


def _claim(name: str, value: Any, said: Sequence[str] | None) -> Claim:
    true = " ".join(words(value))
    if said is None:
        return Claim(name, true, "", "not said")
    return Claim(name, true, " ".join(said), "same" if said == _read(true) else "differs")


def _read(text: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(text)]


def _places(
    written: Sequence[str], names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, int, str]]:
    """(start, end, name) of the names in a text; where several begin, the longest."""
    starts: dict[str, list[str]] = {}
    for name, parts in sorted(names.items(), key=lambda item: -len(item[1])):
        if parts:
            starts.setdefault(parts[0], []).append(name)
    position = 0
    while position < len(written):
        for name in starts.get(written[position], ()):
            end = position + len(names[name])
            if list(written[position:end]) == list(names[name]):
                yield position, end, name
                position = end - 1
                break
        position += 1


def _value(after: Sequence[str], true: Sequence[str]) -> list[str]:
    if all(map(_is_number, true)):
        near = takewhile(lambda w: _is_number(w) or w in _BETWEEN, after)
        return [w for w in near if _is_number(w)]
    return list(after[: len(true)])


def _is_number(word: str) -> bool:
    return word.lstrip("-")[:1].isdigit()
