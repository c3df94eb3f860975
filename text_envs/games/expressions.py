"""Arithmetic expressions: whole numbers, ``+ - * /``, parentheses, and exact rational values.

A reader of our own in one pass over at most ``MAX_SOURCE`` characters, with two stacks in place of
recursion (Dijkstra's shunting yard): nothing is executed, and no text takes long.
"""

import re
from functools import lru_cache
from math import gcd
from typing import NamedTuple

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

_TOKEN = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}|[-+*/()]")
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


def read_expression(text: str) -> Expression | None:
    """Read an expression; ``None`` for any other text, for a division by zero, and for what is
    longer or deeper than allowed. Operations are binary: there are no signed numbers.
    """
    return _read(text) if len(text) <= MAX_SOURCE else None


@lru_cache(maxsize=4096)
def _read(text: str) -> Expression | None:
    if not text.isascii():
        text = text.translate(_SIGNS)
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != "".join(text.split()):
        return None
    canonical = "".join([f" {t} " if t in OPERATIONS else t for t in tokens])
    if len(canonical) > MAX_EXPRESSION:
        return None
    numbers: list[int] = []
    values: list[Value] = []
    pending: list[str] = []
    operations: set[str] = set()
    depth, after_value = 0, False
    for token in tokens:
        if token == "(":
            depth += 1
            if after_value or depth > MAX_DEPTH:
                return None
            pending.append(token)
        elif token == ")":
            depth -= 1
            if not after_value or depth < 0 or not _settle(values, pending, 1):
                return None
            pending.pop()
        elif token in OPERATIONS:
            if not after_value:
                return None
            if pending and not _settle(values, pending, _STRENGTH[token]):
                return None
            operations.add(token)
            pending.append(token)
            after_value = False
        else:
            if after_value or (token[0] == "0" and len(token) > 1):
                return None
            numbers.append(int(token))
            values.append((numbers[-1], 1))
            after_value = True
    if not after_value or depth or not _settle(values, pending, 1):
        return None
    return Expression(canonical, tuple(numbers), frozenset(operations), values[0])


def _settle(values: list[Value], pending: list[str], strength: int) -> bool:
    """Carry out the pending operations of at least this strength, back to a parenthesis; ``False``
    if one of them divides by zero.
    """
    while pending and _STRENGTH[pending[-1]] >= strength:
        right, left = values.pop(), values.pop()
        value = combine(pending.pop(), left, right)
        if value is None:
            return False
        values.append(value)
    return True


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
