"""Expressions: what they are worth, and what is none, however long or strange."""

import ast
import time
from fractions import Fraction
from operator import add, mul, sub, truediv
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_envs.games.countdown import Countdown, CountdownState
from text_envs.games.expressions import MAX_DEPTH, MAX_EXPRESSION, read_expression, write_value
from text_envs.testing import HOSTILE

FOUR = CountdownState((3, 3, 8, 8), 24, left=1)


@pytest.mark.parametrize(
    ("text", "value", "canonical"),
    [
        ("7", "7", "7"),
        ("8/(3-8/3)", "24", "8 / (3 - 8 / 3)"),
        (" 1+2 *3\n", "7", "1 + 2 * 3"),
        ("(1+2)*3", "9", "(1 + 2) * 3"),
        ("2-3-4", "-5", "2 - 3 - 4"),
        ("2-(3-4)", "3", "2 - (3 - 4)"),
        ("16/4/2", "2", "16 / 4 / 2"),
        ("2*3/4*5", "15/2", "2 * 3 / 4 * 5"),
        ("1-2/3", "1/3", "1 - 2 / 3"),
        ("(2-4)/(1-7)", "1/3", "(2 - 4) / (1 - 7)"),
        ("((5))", "5", "((5))"),
        ("(7 − 3) × 6 ÷ 4", "6", "(7 - 3) * 6 / 4"),
        ("0 * 5", "0", "0 * 5"),
        ("0 / 5", "0", "0 / 5"),
        ("(3-5)*2", "-4", "(3 - 5) * 2"),
    ],
)
def test_values_are_exact(text, value, canonical):
    reading = read_expression(text)
    assert reading is not None
    assert (write_value(reading.value), reading.text) == (value, canonical)
    assert read_expression(canonical) == reading


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "()", "(", ")", ")(", "(1", "1)", "1 2", "12(3)", "(3)(8)", "(3)8", "1 +", "+ 1",
        "1 + + 2", "1 - -2", "-1 + 2", "2 ** 3", "9**9**9", "8 // 3", "8 % 3", "2 ^ 3", "1 + 2 = 3",
        "1.5 + 2", "1,000", "1e3", "0x8", "1_0", "08 + 3", "x", "3 x 8", "__import__('os')",
        "８ + ３", "٨ + ٣", "3 +\u200b8", "3 + 8.", "8 / 0", "8 / (3 - 3)", "1 / (2 / 3 - 2 / 3)",
        "9" * 5000, "9999999", "True", "3 if 8 else 3", "[3]", "{3}", '"3"', "3; 8", "3 or 8",
        "answer: 3 + 8",
        "(" * 10_000 + "3" + ")" * 10_000, "3" + "+3" * 20_000, "(" * 17 + "3" + ")" * 17,
    ],
)  # fmt: skip
def test_anything_else_is_no_expression(text):
    assert read_expression(text) is None
    assert Countdown().parse(FOUR._replace(numbers=(3, 8, 1, 2)), text) is None


def test_length_and_depth_have_their_bounds():
    deep = "(" * MAX_DEPTH + "3" + ")" * MAX_DEPTH
    assert read_expression(deep) is not None
    longest = "3" + " + 3" * ((MAX_EXPRESSION - 1) // 4)
    assert read_expression(longest) is not None
    assert read_expression(longest + " + 3") is None
    assert read_expression(longest.replace(" ", "") + "+3" * 2) is None


def test_no_text_takes_long():
    game = Countdown()
    texts = [*HOSTILE, "9**9**9", "(" * 10_000, "(" * 500 + ")" * 500, "1-" * 500, " " * 10**6]
    texts += ["9*" * 50 + "9", "(1/" * 15 + "7" + ")" * 15, "1/3+" * 30 + "1/7"]
    fastest = [float("inf")] * len(texts)
    for attempt in range(5):
        for place, text in enumerate(texts):
            spaced = text + " " * attempt  # not seen before
            start = time.perf_counter()
            assert game.parse(FOUR, spaced) is None
            fastest[place] = min(fastest[place], time.perf_counter() - start)
    assert max(fastest) < 0.05  # measured: below 0.001; ten times the promise, for a busy machine


@st.composite
def expressions(draw: Any, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return str(draw(st.integers(1, 99)))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    pair = f"{left}{draw(st.sampled_from(['', ' ', '  ']))}{draw(st.sampled_from('+-*/'))}{right}"
    return f"({pair})" if draw(st.booleans()) else pair


def worth(node: ast.expr) -> Fraction:
    """Value of Python's own reading of an expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    assert isinstance(node, ast.BinOp)
    combine = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv}[type(node.op)]
    return combine(worth(node.left), worth(node.right))


@given(expressions())
def test_values_agree_with_pythons_own_reading(text):
    reading = read_expression(text)
    try:
        value = worth(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        assert reading is None
    else:
        assert reading is not None
        assert Fraction(*reading.value) == value
