"""Countdown: search for an expression, exhaustive and exact, and draw puzzles that have one.

The search goes backwards from the target: of two parts of the numbers it tries every value of the
smaller one, and asks the larger one for the value that is then missing. Parts of up to three
numbers have a table of all their values.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import combinations, permutations
from operator import itemgetter

import numpy as np

from text_envs.games.expressions import Value, Written, combine, join

MAX_DRAWS = 10_000
_TABLED = 3


def find_expression(
    numbers: tuple[int, ...], target: Value, operations: str, use_all: bool
) -> str | None:
    """Find an expression with the value ``target`` over some of the numbers, as few as possible, or
    over all of them with ``use_all``; ``None`` when there is none.
    """
    return _found(tuple(sorted(numbers)), target, operations, use_all)


@lru_cache(maxsize=4096)
def _found(numbers: tuple[int, ...], target: Value, operations: str, use_all: bool) -> str | None:
    for size in range(len(numbers) if use_all else 1, len(numbers) + 1):
        for some in dict.fromkeys(combinations(numbers, size)):
            written = _reach(some, target, operations)
            if written is not None:
                return written.text
    return None


def _reach(numbers: tuple[int, ...], target: Value, operations: str) -> Written | None:
    """Write an expression over all of ``numbers`` with the value ``target``."""
    if len(numbers) <= _TABLED:
        return _values(numbers, operations).get(target)
    for places, others in _splits(len(numbers)):
        part, rest = (tuple([numbers[i] for i in some]) for some in (places, others))
        for value, written in _values(part, operations).items():
            if value[0] == target[0] == 0 and (absorbing := operations.strip("+-")):
                return join(absorbing[0], written, _positive(rest, absorbing[0]))
            for operation, missing, first in _missing(value, target, operations):
                other = _reach(rest, missing, operations)
                if other is not None:
                    pair = (other, written) if first else (written, other)
                    return join(operation, *pair)
    return None


@lru_cache(maxsize=4096)
def _values(numbers: tuple[int, ...], operations: str) -> dict[Value, Written]:
    """Every value that an expression over all of ``numbers`` can have, with such an expression."""
    if len(numbers) == 1:
        return {(numbers[0], 1): Written(str(numbers[0]))}
    found: dict[Value, Written] = {}
    for places, others in _splits(len(numbers)):
        part, rest = (tuple([numbers[i] for i in some]) for some in (places, others))
        for one, one_written in _values(part, operations).items():
            for other, other_written in _values(rest, operations).items():
                for operation in operations:
                    value = combine(operation, one, other)
                    if value is not None and value not in found:
                        found[value] = join(operation, one_written, other_written)
                    value = combine(operation, other, one) if operation in "-/" else None
                    if value is not None and value not in found:
                        found[value] = join(operation, other_written, one_written)
    return found


def _missing(value: Value, target: Value, operations: str) -> Iterator[tuple[str, Value, bool]]:
    """What ``value`` lacks to become ``target``: (operation, missing value, whether the missing one
    stands first).
    """
    if "+" in operations:
        yield "+", _exactly("-", target, value), False
    if "-" in operations:
        yield "-", _exactly("+", target, value), True
        yield "-", _exactly("-", value, target), False
    if value[0] == 0:
        return
    if "*" in operations:
        yield "*", _exactly("/", target, value), False
    if "/" in operations:
        yield "/", _exactly("*", target, value), True
        if target[0] != 0:
            yield "/", _exactly("/", value, target), False


def _exactly(operation: str, left: Value, right: Value) -> Value:
    value = combine(operation, left, right)
    assert value is not None
    return value


def _positive(numbers: tuple[int, ...], operation: str) -> Written:
    """Multiply or divide ``numbers``: any value will do that is not zero."""
    written = Written(str(numbers[0]))
    for number in numbers[1:]:
        written = join(operation, written, Written(str(number)))
    return written


@lru_cache(maxsize=16)
def _splits(count: int) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Every way to part ``count`` places in two, the smaller part first."""
    every = range(count)
    return tuple(
        (part, tuple(i for i in every if i not in part))
        for size in range(1, count // 2 + 1)
        for part in combinations(every, size)
        if 2 * size < count or part[0] == 0
    )


def draw_puzzle(
    rng: np.random.Generator,
    counts: tuple[int, int],
    largest: int,
    targets: tuple[int, int],
    operations: str,
) -> tuple[tuple[int, ...], int] | None:
    """Draw numbers, combine all of them at random into a target within ``targets`` that is none of
    them, by steps that stay positive and whole; ``None`` if ``MAX_DRAWS`` tries made none.
    """
    fewest, most = counts
    choices, draws = most - fewest + 1, 4 * most
    for _ in range(MAX_DRAWS):
        draw = rng.random(draws).tolist().pop  # all at once: a call of NumPy's costs the most
        count = fewest + int(draw() * choices)
        numbers = [1 + int(draw() * largest) for _ in range(count)]
        target = _combined(numbers, draw, operations, targets)
        if target and target not in numbers:
            orders = _orders(count)
            return orders[int(draw() * len(orders))](numbers), target
    return None


@lru_cache(maxsize=8)
def _orders(count: int) -> tuple[Callable[[list[int]], tuple[int, ...]], ...]:
    """Every way to put ``count`` numbers, at least two, in an order."""
    return tuple(itemgetter(*order) for order in permutations(range(count)))


def _combined(
    numbers: list[int], draw: Callable[[], float], operations: str, targets: tuple[int, int]
) -> int:
    """Combine pairs until one number within ``targets`` is left; 0: there is no way on.

    The pairs are random, but for the first, which are the last two of ``numbers``: these must come
    in no order of their own, and be put in another one before they are shown.
    """
    low, high = 1, targets[1] * max(numbers)
    near, last = high, 1
    pool = numbers[:]
    one, other = pool.pop(), pool.pop()
    while True:
        if one < other:
            one, other = other, one
        if not pool:
            low, high = targets
            near = high
        elif len(pool) == 1:  # the last but one: from afar, only a division leads to a target
            last = pool[0]
            near = min(targets[1] + last, high)
        results = []
        if "+" in operations:
            results.append(one + other)
        if "-" in operations:
            results.append(one - other)
        if "*" in operations:
            results.append(one * other)
        if "/" in operations and one % other == 0:
            results.append(one // other)
        ways = [r for r in results if low <= r <= near or (near < r <= high and r % last == 0)]
        if not ways:
            return 0
        one = ways[int(draw() * len(ways))]
        if not pool:
            return one
        if len(pool) > 1:  # of three or more, any two
            pool.append(one)
            one = pool.pop(int(draw() * len(pool)))
        other = pool.pop(int(draw() * len(pool)))


def draw_expression(
    numbers: tuple[int, ...], rng: np.random.Generator, operations: str, use_all: bool
) -> str:
    """Draw a well-formed expression, whatever its value: how many numbers, which, in which order
    and combined how.
    """
    draws = rng.random(2 + 4 * len(numbers)).tolist()
    next_draw = iter(draws).__next__
    pool: list[tuple[Value, Written]] = [((n, 1), Written(str(n))) for n in numbers]
    size = len(pool) if use_all else min(2, len(pool)) + int(next_draw() * (len(pool) - 1))
    while len(pool) > size:
        pool.pop(int(next_draw() * len(pool)))
    while len(pool) > 1:
        one = pool.pop(int(next_draw() * len(pool)))
        other = pool.pop(int(next_draw() * len(pool)))
        operation = operations[int(next_draw() * len(operations))]
        if other[0][0] == 0 and operation == "/":
            one, other = other, one
        if other[0][0] == 0 and operation == "/":
            operation = "-"  # the only one that makes zeros, so it is allowed
        value = combine(operation, one[0], other[0])
        assert value is not None
        pool.append((value, join(operation, one[1], other[1])))
    return pool[0][1].text
