"""Arithmetic expressions: whole numbers, ``+ - * /``, parentheses, and exact rational values.

A reader of our own: what stands around the numbers of a text says which operations to carry out
and in which order, in one pass over at most ``MAX_SOURCE`` characters, with stacks in place of
recursion. Nothing is executed, and no text takes long. Most expressions have a shape that was met
before.
"""

import re
from functools import lru_cache
from math import gcd
from typing import NamedTuple

from text_envs.game import new

OPERATIONS = "+-*/"
MAX_SOURCE = 1024
"""Longest text that is looked at, in characters."""
MAX_EXPRESSION = 160
"""Longest expression in canonical form, in characters."""
MAX_DEPTH = 16
"""Deepest nesting of parentheses."""
MAX_DIGITS = 6

Value = tuple[int, int]
"""A rational in lowest terms: numerator, positive denominator."""

_NUMBER = re.compile(rf"(0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})")
_KNOWN = frozenset("+-*/()")
_SIGNS = str.maketrans("×·÷−–", "**/--")
_STRENGTH = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2}


class Expression(NamedTuple):
    """What a text says."""

    text: str
    """Canonical: one space around an operation, none elsewhere; parentheses as they were."""
    numbers: tuple[int, ...]
    """Every number in it, as often as it is there, from left to right."""
    operations: frozenset[str]
    value: Value
    equation: str
    """The expression and its value: ``8 / 3 = 8/3``."""


def read_expression(text: str) -> Expression | None:
    """Read an expression; ``None`` for any other text, for a division by zero, and for what is
    longer or deeper than allowed. Operations are binary: there are no signed numbers.
    """
    return _read(text) if len(text) <= MAX_SOURCE else None


@lru_cache(maxsize=4096)
def _read(text: str) -> Expression | None:
    if not text.isascii():
        text = text.translate(_SIGNS)
    parts = _NUMBER.split(text)
    written = tuple(parts[1::2])
    shape = _shape(tuple(parts[::2]))
    if shape is None:
        return None
    canonical = shape.form % written
    if len(canonical) > MAX_EXPRESSION:
        return None
    numbers = tuple(map(int, written))
    values = [*numbers]
    for operation, left, right in shape.steps:
        one, other = values[left], values[right]
        if operation == "+":
            values.append(one + other)
        elif operation == "-":
            values.append(one - other)
        elif operation == "*":
            values.append(one * other)
        elif other and one % other == 0:
            values.append(one // other)
        else:
            value = _exactly(shape, numbers)
            if value is None:
                return None
            break
    else:
        value = values[-1], 1
    equation = f"{canonical} = {write_value(value)}"
    return new(Expression, (canonical, numbers, shape.operations, value, equation))


def _exactly(shape: "Shape", numbers: tuple[int, ...]) -> Value | None:
    """Work it out in rationals, several times as slow; ``None``: a division by zero."""
    values: list[Value] = [(number, 1) for number in numbers]
    for operation, left, right in shape.steps:
        value = combine(operation, values[left], values[right])
        if value is None:
            return None
        values.append(value)
    return values[-1]


class Shape(NamedTuple):
    """What expressions have in common that differ in their numbers only."""

    form: str
    """Canonical, with ``%s`` for each number."""
    operations: frozenset[str]
    steps: tuple[tuple[str, int, int], ...]
    """(operation, left, right), in the order in which they are carried out: where its two values
    stand, among the numbers and, behind these, the results of the steps before. The last result is
    the value of the expression.
    """


@lru_cache(maxsize=4096)
def _shape(between: tuple[str, ...]) -> Shape | None:
    """Read what stands before, between and behind the numbers; ``None`` if it makes no expression.
    With two stacks (Dijkstra's shunting yard).
    """
    places: list[int] = []
    pending: list[str] = []
    steps: list[tuple[str, int, int]] = []
    form, depth, last = "", 0, len(between) - 1
    for number, text in enumerate(between):
        after_value = number > 0
        for token in "".join(text.split()):
            if token not in _KNOWN or after_value == (token == "("):
                return None
            form += f" {token} " if token in OPERATIONS else token
            if token == "(":
                depth += 1
                pending.append(token)
                continue
            _settle(places, pending, steps, last, _STRENGTH.get(token, 1))
            if token == ")":
                depth -= 1
                if depth < 0:
                    return None
                pending.pop()
            else:
                pending.append(token)
                after_value = False
        if depth > MAX_DEPTH or after_value != (number == last):
            return None
        if number < last:
            form += "%s"
            places.append(number)
    if depth:
        return None
    _settle(places, pending, steps, last, 1)
    return Shape(form, frozenset(operation for operation, _, _ in steps), tuple(steps))


def _settle(
    places: list[int],
    pending: list[str],
    steps: list[tuple[str, int, int]],
    numbers: int,
    strength: int,
) -> None:
    """Turn the pending operations of at least this strength, back to a parenthesis, into steps."""
    while pending and _STRENGTH[pending[-1]] >= strength:
        right, left = places.pop(), places.pop()
        places.append(numbers + len(steps))
        steps.append((pending.pop(), left, right))


def combine(operation: str, left: Value, right: Value) -> Value | None:
    """Carry out an operation; ``None``: a division by zero."""
    (a, b), (c, d) = left, right
    if operation == "+":
        n, m = a * d + c * b, b * d
    elif operation == "-":
        n, m = a * d - c * b, b * d
    elif operation == "*":
        n, m = a * c, b * d
    elif c > 0:
        n, m = a * d, b * c
    elif c < 0:
        n, m = -a * d, -b * c
    else:
        return None
    if m == 1:
        return n, 1
    shared = gcd(n, m)
    return n // shared, m // shared


def write_value(value: Value) -> str:
    """Write a rational as ``7`` or ``7/3``."""
    n, m = value
    return str(n) if m == 1 else f"{n}/{m}"


class Written(NamedTuple):
    """An expression under construction: its canonical text, and how strongly it holds together."""

    text: str
    strength: int = 3


def join(operation: str, left: Written, right: Written) -> Written:
    """Write ``left operation right`` with the parentheses that it needs."""
    strength = _STRENGTH[operation]
    before = f"({left.text})" if left.strength < strength else left.text
    needed = strength if operation in "+*" else strength + 1
    behind = f"({right.text})" if right.strength < needed else right.text
    return Written(f"{before} {operation} {behind}", strength)
