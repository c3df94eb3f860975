"""Questions with one exact answer, generated: arithmetic to be worked out, and little stories.

A template is a function of ``Dice`` that returns (question, answer). ``TEMPLATES`` has those of
every kind and difficulty:

==========  ======================================================================================
difficulty  what it takes
==========  ======================================================================================
1           one operation on whole numbers
2           two operations
3           two or three, with decimals, percentages, units, means
4           fractions, equations, rates and unknowns to be found: the answer is often a fraction
==========  ======================================================================================
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

from text_envs.games.math_words import COLORS, GOODS, HOLDERS, NAMES, THINGS, TRAVELLERS, WARES

Problem = tuple[str, Fraction | int]
Item = TypeVar("Item")

MAX_QUESTION = 300
"""Longest generated question, in characters."""


class Dice:
    """Random choices, drawn in one block: a template makes 24 at most."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._next = iter(rng.random(24).tolist()).__next__

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number from ``low`` to ``high``."""
        return low + int(self._next() * (high - low + 1))

    def one(self, items: Sequence[Item]) -> Item:
        """Draw one of ``items``."""
        return items[int(self._next() * len(items))]

    def two(self, items: Sequence[Item]) -> tuple[Item, Item]:
        """Draw two of ``items`` at different places."""
        first = int(self._next() * len(items))
        second = (first + 1 + int(self._next() * (len(items) - 1))) % len(items)
        return items[first], items[second]


# --- arithmetic ---


def _operation(dice: Dice) -> Problem:
    a, b = dice.whole(2, 99), dice.whole(2, 99)
    c = dice.whole(2, 12)
    return dice.one(
        [
            (f"What is {a} + {b}?", a + b),
            (f"What is {a + b} - {b}?", a),
            (f"What is {a} * {c}?", a * c),
            (f"What is {a * c} / {c}?", a),
        ]
    )


def _two_operations(dice: Dice) -> Problem:
    a, b, c = dice.whole(2, 60), dice.whole(2, 60), dice.whole(2, 15)
    return dice.one(
        [
            (f"What is {a} + {b} * {c}?", a + b * c),
            (f"What is {a} * {c} - {b}?", a * c - b),
            (f"What is ({a} + {b}) * {c}?", (a + b) * c),
            (f"What is ({a} - {b}) * {c}?", (a - b) * c),
            (f"What is {a} - {b * c} / {c}?", a - b),
        ]
    )


def _decimal_operation(dice: Dice) -> Problem:
    a, b = dice.whole(101, 9999), dice.whole(11, 999)
    x, y = Fraction(a, 100), Fraction(b, 10)
    first, second = _decimal(x), _decimal(y)
    return dice.one(
        [
            (f"What is {first} + {second}?", x + y),
            (f"What is {first} - {second}?", x - y),
            (f"What is {second} * {first}?", x * y),
        ]
    )


def _percentage(dice: Dice) -> Problem:
    share, whole = 5 * dice.whole(1, 19), 10 * dice.whole(2, 90)
    return f"What is {share}% of {whole}?", Fraction(share * whole, 100)


def _fraction_operation(dice: Dice) -> Problem:
    b, d = dice.whole(2, 12), dice.whole(2, 12)
    a, c = dice.whole(1, b - 1), dice.whole(1, d - 1)
    x, y = Fraction(a, b), Fraction(c, d)
    return dice.one(
        [
            (f"What is {a}/{b} + {c}/{d}?", x + y),
            (f"What is {a}/{b} - {c}/{d}?", x - y),
            (f"What is {a}/{b} of {c}/{d}?", x * y),
            (f"What is {a}/{b} divided by {c}/{d}?", x / y),
        ]
    )


def _equation(dice: Dice) -> Problem:
    a, b, c, d = dice.whole(1, 12), dice.whole(1, 40), dice.whole(1, 80), dice.whole(2, 9)
    return f"Solve for x: {a + d} * x + {b} = {d} * x + {c}", Fraction(c - b, a)


# --- stories: one operation ---


def _receives(dice: Dice) -> Problem:
    (name, friend), things = dice.two(NAMES), dice.one(THINGS)
    a, b = dice.whole(3, 60), dice.whole(2, 60)
    return (
        f"{name} has {a} {things}. {friend} gives {name} {b} more."
        f" How many {things} does {name} have now?",
        a + b,
    )


def _gives_away(dice: Dice) -> Problem:
    (name, friend), things = dice.two(NAMES), dice.one(THINGS)
    b, left = dice.whole(2, 50), dice.whole(1, 50)
    return (
        f"{name} had {b + left} {things} and gave {b} of them to {friend}."
        f" How many {things} are left for {name}?",
        left,
    )


def _groups(dice: Dice) -> Problem:
    holders, things = dice.one(HOLDERS), dice.one(THINGS)
    a, b = dice.whole(2, 12), dice.whole(3, 25)
    return (
        f"There are {a} {holders} with {b} {things} in each. How many {things} are there in all?",
        a * b,
    )


def _shares(dice: Dice) -> Problem:
    name, things = dice.one(NAMES), dice.one(THINGS)
    a, b = dice.whole(2, 20), dice.whole(2, 12)
    return (
        f"{name} shares {a * b} {things} equally among {b} children."
        f" How many {things} does each child get?",
        a,
    )


def _fewer(dice: Dice) -> Problem:
    (name, friend), things = dice.two(NAMES), dice.one(THINGS)
    b, other = dice.whole(2, 30), dice.whole(2, 60)
    return (
        f"{name} has {b + other} {things}, which is {b} more than {friend} has."
        f" How many {things} does {friend} have?",
        other,
    )


# --- stories: two operations ---


def _shopping(dice: Dice) -> Problem:
    name, (first, second) = dice.one(NAMES), dice.two(GOODS)
    p, q, a, b = dice.whole(2, 30), dice.whole(2, 30), dice.whole(2, 6), dice.whole(2, 6)
    return (
        f"The price of a {first} is ${p}, that of a {second} is ${q}."
        f" {name} orders {a} of the first kind and {b} of the second."
        " How many dollars is that in all?",
        a * p + b * q,
    )


def _change(dice: Dice) -> Problem:
    name, good = dice.one(NAMES), dice.one(GOODS)
    a, p = dice.whole(2, 9), dice.whole(2, 11)
    return (
        f"At a fair, every {good} costs ${p}. {name} buys {a} and pays with a $100 note."
        f" How many dollars does {name} get back?",
        100 - a * p,
    )


def _left_over(dice: Dice) -> Problem:
    name, things, holders = dice.one(NAMES), dice.one(THINGS), dice.one(HOLDERS)
    a, b = dice.whole(2, 12), dice.whole(4, 24)
    c = dice.whole(2, b - 1)
    return (
        f"{name} fills {a} {holders} with {b} {things} each, and {c} {things} are left over."
        f" How many {things} did {name} have at first?",
        a * b + c,
    )


def _times_as_many(dice: Dice) -> Problem:
    (name, friend), things = dice.two(NAMES), dice.one(THINGS)
    a, k = dice.whole(3, 40), dice.whole(2, 9)
    return (
        f"{name} has {a} {things}. {friend} has {k} times as many."
        f" How many {things} do they have together?",
        a * (k + 1),
    )


def _pages(dice: Dice) -> Problem:
    name = dice.one(NAMES)
    a, b, left = dice.whole(5, 40), dice.whole(3, 14), dice.whole(5, 200)
    return (
        f"{name} reads {a} pages a day. The book has {a * b + left} pages."
        f" How many pages are left after {b} days?",
        left,
    )


# --- stories: decimals, percentages, units ---


def _discount(dice: Dice) -> Problem:
    good, name = dice.one(GOODS), dice.one(NAMES)
    price, share = dice.whole(12, 240), 5 * dice.whole(1, 15)
    return (
        f"{name} wants a {good} whose price was ${price} and has been lowered by {share}%."
        " How many dollars is it now?",
        price - Fraction(price * share, 100),
    )


def _distance(dice: Dice) -> Problem:
    traveller = dice.one(TRAVELLERS)
    speed, minutes = dice.whole(12, 120), 15 * dice.whole(2, 25)
    return (
        f"A {traveller} keeps a speed of {speed} km per hour for {minutes} minutes."
        " How many km does it cover?",
        Fraction(speed * minutes, 60),
    )


def _mean(dice: Dice) -> Problem:
    name, things = dice.one(NAMES), dice.one(THINGS)
    a, b, c, d = (dice.whole(2, 60) for _ in range(4))
    return (
        f"On four days {name} sold {a}, {b}, {c} and {d} {things}."
        f" How many {things} a day is that on average?",
        Fraction(a + b + c + d, 4),
    )


def _by_weight(dice: Dice) -> Problem:
    name, ware = dice.one(NAMES), dice.one(WARES)
    cents, grams = 20 * dice.whole(8, 120), 50 * dice.whole(3, 60)
    return (
        f"A kilogram of {ware} costs ${_money(cents)}. {name} buys {grams} grams."
        " How many dollars does that cost?",
        Fraction(cents * grams, 100_000),
    )


def _fence(dice: Dice) -> Problem:
    name = dice.one(NAMES)
    a, b, price = dice.whole(40, 400), dice.whole(40, 400), dice.whole(3, 25)
    length, width = _decimal(Fraction(a, 10)), _decimal(Fraction(b, 10))
    return (
        f"{name} has a rectangular garden, {length} m long and {width} m wide, and puts a fence"
        f" around it for ${price} a metre. How many dollars does the fence cost?",
        Fraction(2 * (a + b) * price, 10),
    )


def _age(dice: Dice) -> Problem:
    name, friend = dice.two(NAMES)
    a, k, n = dice.whole(3, 14), dice.whole(2, 5), dice.whole(2, 20)
    return (
        f"{name} is {a} years old, and {friend} is {k} times as old."
        f" How old will {friend} be in {n} years?",
        a * k + n,
    )


# --- stories: fractions, rates, unknowns ---


def _cake(dice: Dice) -> Problem:
    name, friend = dice.two(NAMES)
    a, b = dice.whole(3, 12), dice.whole(3, 12)
    return (
        f"{name} eats 1/{a} of a cake and {friend} eats 1/{b} of the same cake."
        " What fraction of it is left?",
        1 - Fraction(1, a) - Fraction(1, b),
    )


def _together(dice: Dice) -> Problem:
    name, friend = dice.two(NAMES)
    a, b = dice.whole(2, 15), dice.whole(2, 15)
    return (
        f"{name} alone paints a wall in {a} hours, {friend} alone in {b} hours."
        " How many hours do they need together?",
        Fraction(a * b, a + b),
    )


def _spends(dice: Dice) -> Problem:
    name, good = dice.one(NAMES), dice.one(GOODS)
    b, d = dice.whole(2, 8), dice.whole(2, 8)
    a, c, amount = dice.whole(1, b - 1), dice.whole(1, d - 1), b * d * dice.whole(2, 12)
    return (
        f"{name} has ${amount}, spends {a}/{b} of it on a {good}, and then {c}/{d} of what is left"
        " on a journey. How many dollars remain?",
        amount * (1 - Fraction(a, b)) * (1 - Fraction(c, d)),
    )


def _heads(dice: Dice) -> Problem:
    name, rabbits, hens = dice.one(NAMES), dice.whole(2, 40), dice.whole(2, 40)
    return (
        f"{name} keeps hens and rabbits: {rabbits + hens} heads and {4 * rabbits + 2 * hens} legs."
        " How many rabbits are there?",
        rabbits,
    )


def _recipe(dice: Dice) -> Problem:
    name = dice.one(NAMES)
    under, people, guests = dice.whole(2, 8), dice.whole(2, 12), dice.whole(2, 30)
    over = dice.whole(1, 4 * under)
    return (
        f"A recipe for {people} people needs {over}/{under} kg of flour. {name} cooks for {guests}"
        " people. How many kg of flour are needed?",
        Fraction(over * guests, under * people),
    )


def _difference(dice: Dice) -> Problem:
    (name, friend), things = dice.two(NAMES), dice.one(THINGS)
    other, more = dice.whole(2, 80), dice.whole(2, 40)
    return (
        f"Together {name} and {friend} have {2 * other + more} {things}, and {name} has {more} more"
        f" than {friend}. How many {things} does {friend} have?",
        other,
    )


def _chance(dice: Dice) -> Problem:
    things, (first, second) = dice.one(THINGS), dice.two(COLORS)
    a, b = dice.whole(2, 20), dice.whole(2, 20)
    return (
        f"A bag holds {a} {first} and {b} {second} {things}. Two are drawn at random, one after the"
        f" other, and none is put back. What is the probability that both are {first}?",
        Fraction(a * (a - 1), (a + b) * (a + b - 1)),
    )


def _return(dice: Dice) -> Problem:
    traveller, (a, b) = dice.one(TRAVELLERS), dice.two(range(10, 120, 2))
    return (
        f"A {traveller} goes somewhere at {a} km per hour and comes back the same way at {b} km per"
        " hour. What is its average speed over the whole way, in km per hour?",
        Fraction(2 * a * b, a + b),
    )


Template = Callable[[Dice], Problem]

TEMPLATES: dict[str, tuple[tuple[Template, ...], ...]] = {
    "arithmetic": (
        (_operation,),
        (_two_operations,),
        (_decimal_operation, _percentage),
        (_fraction_operation, _equation),
    ),
    "story": (
        (_receives, _gives_away, _groups, _shares, _fewer),
        (_shopping, _change, _left_over, _times_as_many, _pages),
        (_discount, _distance, _mean, _by_weight, _fence, _age),
        (_cake, _together, _spends, _heads, _recipe, _difference, _chance, _return),
    ),
}
"""Kind -> the templates of every difficulty, 1 first."""


def _decimal(value: Fraction) -> str:
    """Write a value of at most two decimal places."""
    whole, places = divmod(int(value * 100), 100)
    return f"{whole}.{places:02}".rstrip("0").rstrip(".")


def _money(cents: int) -> str:
    """Write an amount in dollars and cents."""
    return f"{cents // 100}.{cents % 100:02}"
