"""An environment's facts (``facts()``: name -> value) as words, and what a text says of them.

Demonstrations write them as ``player 2 3 boxes 3 3 4 1``. A claim may also be free text, "the
player is at (2, 3)", and is read as far as it can be: a rule of thumb for a person who reads a
report. Nothing is trained by it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal, NamedTuple

_WORD = re.compile(r"-?\d+(?:\.\d+)?|\w+")
_BETWEEN = {"a", "and", "are", "at", "c", "col", "column", "in", "is", "of", "on", "r", "row", "rows"}
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
