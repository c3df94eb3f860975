r"""Answers to questions: when two of them are the same.

Numbers are equal if their exact values are: ``1,000``, ``1000.0``, ``1e3`` and ``$1000``. Read are

- integers and decimals, with commas between groups of three digits or none: ``1,000``, ``2.50``,
  ``.5``; with an exponent: ``1.5e3``;
- fractions and mixed numbers of whole numbers: ``3/4``, ``1 1/2``, ``\frac{3}{4}``;
- with a sign before, a currency sign ``$ £ €`` before, a percent sign behind. Both are units, and
  units are left out: ``$5`` is 5 and ``50%`` is 50, not 0.5 (as GSM8K answers "what percentage").

There is no rounding: 0.333 is not 1/3. Other words make it no number: ``5 apples``, ``five``.
"""

import re
from fractions import Fraction
from functools import lru_cache

MAX_NUMBER = 64
"""Longest number, as written and in canonical form, in characters."""
MAX_ANSWER = 200
"""Longest answer that is not a number, in characters."""
_MAX_EXPONENT = 64
_MAX_PLACES = 20

_WHOLE = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+"
_NUMBER = re.compile(
    rf"""(?P<sign>[-+]?)\s*(?:\\?\$|[£€])?\s*(?P<inner>[-+]?)(?:
        \\[dt]?frac\{{(?P<over>[0-9]+)\}}\{{(?P<under>[0-9]+)\}}
        |(?:(?P<mixed>[0-9]+)\s+)?(?P<numerator>[0-9]+)\s*/\s*(?P<denominator>[0-9]+)
        |(?:(?P<whole>{_WHOLE})(?:\.(?P<places>[0-9]*))?|\.(?P<only>[0-9]+))
            (?:e(?P<exponent>[-+]?[0-9]{{1,3}}))?
    )\s*(?:\\?%)?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@lru_cache(maxsize=4096)
def canonical_number(text: str) -> str | None:
    """Write the number that ``text`` is in its canonical form; ``None`` if it is none, or too long
    to be taken for an answer. Two texts are the same number if their canonical forms are the same.
    """
    value = _value(text.strip()) if len(text) <= MAX_NUMBER else None
    if value is None:
        return None
    written = write_number(value)
    return written if len(written) <= MAX_NUMBER else None


def write_number(value: Fraction) -> str:
    """Write an integer or a decimal where there is one with at most 20 places, else a fraction."""
    numerator, denominator = value.numerator, value.denominator
    if denominator == 1:
        return str(numerator)
    scale = 10**_MAX_PLACES
    if scale % denominator:
        return f"{numerator}/{denominator}"
    whole, places = divmod(abs(numerator) * (scale // denominator), scale)
    digits = str(places).zfill(_MAX_PLACES).rstrip("0")
    return f"{'-' * (numerator < 0)}{whole}.{digits}"


def _value(text: str) -> Fraction | None:
    if not text.isascii():
        text = text.replace("\u2212", "-")
    if len(text) > 2 and text[0] == text[-1] == "$":
        text = text[1:-1]
    match = _NUMBER.fullmatch(text)
    if match is None or (match["sign"] and match["inner"]):
        return None
    value = _fraction(match) if match["over"] or match["numerator"] else _decimal(match)
    return -value if value and "-" in (match["sign"], match["inner"]) else value


def _fraction(match: re.Match[str]) -> Fraction | None:
    over, under = match["over"] or match["numerator"], match["under"] or match["denominator"]
    if int(under) == 0 or (match["mixed"] and int(over) >= int(under)):
        return None
    return int(match["mixed"] or 0) + Fraction(int(over), int(under))


def _decimal(match: re.Match[str]) -> Fraction | None:
    whole = (match["whole"] or "0").replace(",", "")
    places, exponent = match["places"] or match["only"] or "", int(match["exponent"] or 0)
    if abs(exponent) > _MAX_EXPONENT:
        return None
    exponent -= len(places)
    digits = int(whole + places)
    return Fraction(digits * 10**exponent) if exponent >= 0 else Fraction(digits, 10**-exponent)


@lru_cache(maxsize=4096)
def canonical_text(text: str) -> str | None:
    """Write an answer that is not a number in its canonical form: lower case, single spaces, no
    full stop at the end, no ``$`` around it; ``None`` if nothing is left, or too much.
    """
    words = " ".join(text.lower().split()) if len(text) <= 4 * MAX_ANSWER else ""
    while True:
        shorter = words.removesuffix(".").strip()
        if len(shorter) > 2 and shorter[0] == shorter[-1] == "$":
            shorter = shorter[1:-1].strip()
        if shorter == words:
            break
        words = shorter
    return words if 0 < len(words) <= MAX_ANSWER else None
