"""Answers: which are the same, and which texts are none at all."""

import time
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from text_envs.games.math_answers import (
    MAX_NUMBER,
    canonical_number,
    canonical_text,
    write_number,
)
from text_envs.games.math_problems import MathProblems, MathState
from text_envs.testing import HOSTILE

GAME = MathProblems()
ASKED = MathState("How many?", "1000", left=3)


@pytest.mark.parametrize(
    ("texts", "canonical"),
    [
        (["1000", "1,000", "1000.0", "1e3", "$1000", "$1,000.00", " 1000 ", "+1000", "01000",
          "1000.", "1000%", "10e2", "100000e-2", "\\$1000", "$1000$", "2000/2"], "1000"),
        (["5", "$5", "5%", "5.0", "£5", "€ 5", "50/10", "5\\%"], "5"),
        (["0.5", ".5", ".05e1", "1/2", "2/4", "5e-1", "\\frac{1}{2}", "$\\dfrac{1}{2}$"], "0.5"),
        (["1.5", "3/2", "1 1/2", "1.50"], "1.5"),
        (["1/3", "2/6", " 1 / 3 "], "1/3"),
        (["-7/3", "-2 1/3", "−7/3", "- 7/3"], "-7/3"),
        (["-5", "-$5", "$-5", "−5", "-5.0"], "-5"),
        (["0", "-0", "0.0", "0/7", "0e50"], "0"),
        (["0.1", "1/10", "0.10"], "0.1"),
        (["0.3333"], "0.3333"),
        (["12345678901234567890.5"], "12345678901234567890.5"),
        (["1e63"], "1" + "0" * 63),
    ],
)  # fmt: skip
def test_equal_numbers_have_one_form(texts, canonical):
    assert {canonical_number(text) for text in texts} == {canonical}
    assert canonical_number(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "five", "5 apples", "5 5", "1 3/2", "1,00", "12,34", "1,0000", "1 000", "1_000",
        "--5", "5-", "+-5", "5/0", "1/2/3", "1.5/2", "1.2.3", ".", "-", "$", "%", "e5", "2e",
        "1e999", "1e999999999", "1e-999999999", "9" * 5000, "1/" + "9" * 5000, "nan", "inf", "0x10",
        "５", "٥", "²", "½", "5\u200b", "x = 5", "= 5", "5 = 5", "3 + 2", "<answer>5</answer>",
    ],
)  # fmt: skip
def test_what_is_no_number_is_no_move(text):
    assert canonical_number(text) is None
    assert MathProblems().parse(ASKED, text) is None


@given(st.fractions(max_denominator=10**6), st.integers(0, 12))
def test_numbers_compare_as_fractions_do(value, places):
    written = write_number(value)
    assert Fraction(written) == value
    assert canonical_number(written) == canonical_number(f"{value.numerator}/{value.denominator}")
    decimal = f"{float(value):.{places}f}"
    assert (canonical_number(decimal) == written) == (Fraction(decimal) == value)


@given(st.text("0123456789.,/$%-+e \\frac{}", max_size=MAX_NUMBER + 4))
@example("1/" + "3" * 62)
def test_the_canonical_form_is_a_fixed_point(text):
    for canonical in (canonical_number, canonical_text):
        once = canonical(text)
        assert once is None or canonical(once) == once


@pytest.mark.parametrize(
    "text", ["blue", "Blue", " BLUE. ", "b l u e".replace(" ", ""), "$blue$", "blue .", "$ Blue. $"]
)
def test_texts_compare_but_for_case_spacing_and_full_stop(text):
    assert canonical_text(text) == "blue"
    assert canonical_text("dark  Blue\n sky") == "dark blue sky"
    assert canonical_text("bl ue") != "blue"


def test_no_answer_takes_long():
    texts = [*HOSTILE, "1e999999999", "9" * 1024, "1," * 512, "1/" * 512, " " * 10**6, "$" * 1024]
    words = MathState("What?", "blue", 3)
    for state in (ASKED, words):
        fastest = [float("inf")] * len(texts)
        for attempt in range(5):
            for place, text in enumerate(texts):
                spaced = text + " " * attempt  # not seen before
                start = time.perf_counter()
                GAME.parse(state, spaced)
                fastest[place] = min(fastest[place], time.perf_counter() - start)
        assert max(fastest) < 0.05  # ten times what is promised, for busy machines
