"""Questions with answers, a line of JSON each: files of GSM8K and MetaMathQA, and levels.

A line is an object with ``question`` and ``answer``, or with ``query`` and ``response`` as in
MetaMathQA's own files; whatever else it holds is ignored. Of a worked answer only the end counts:
what follows the last ``The answer is:``, else the last ``####``. An answer without either is taken
as it is, if it has one line.
"""

import json
import re
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

from text_envs.games.math_answers import MAX_ANSWER, canonical_number, canonical_text

MAX_QUESTION = 8000
"""Longest question, in characters."""
_ENDS = (
    re.compile(r".*the\s+answer\s+is\b:?(.*)", re.DOTALL | re.IGNORECASE),
    re.compile(r".*####(.*)", re.DOTALL),
)

Question = tuple[str, str]
"""Question, and answer in canonical form."""


def read_dataset(path: str | PathLike[str]) -> tuple[Question, ...]:
    """Read a file. Raises ``ValueError`` that names the file, the line and what is wrong there."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"dataset={str(path)!r} can't be read as a text file: {error}") from error
    questions = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                questions.append(read_question(line))
            except ValueError as error:
                raise ValueError(f"dataset={str(path)!r}, line {number}: {error}") from error
    if not questions:
        raise ValueError(f"dataset={str(path)!r} has no questions: it is empty")
    return tuple(questions)


def read_question(line: str) -> Question:
    """Read a line. Raises ``ValueError`` that says what is wrong with it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{line.strip()[:60]!r} is not JSON ({error}); write {{"question": "...",'
            ' "answer": "..."}'
        ) from None
    if not isinstance(record, dict):
        raise ValueError(f"{line.strip()[:60]!r} is not an object with a question and an answer")
    asked, replied = ("question", "answer") if "question" in record else ("query", "response")
    if asked not in record:
        raise ValueError(f"it has no 'question'; its keys are {sorted(record)!r:.200}")
    question, answer = _text(record, asked), _text(record, replied)
    rows = [" ".join(row.split()) for row in _visible(question).split("\n")]
    question = "\n".join(filter(None, rows))
    if not 0 < len(question) <= MAX_QUESTION:
        raise ValueError(
            f"the {asked} has {len(question)} characters; it must have 1 to {MAX_QUESTION}"
        )
    return question, _final(answer, replied)


def write_question(question: str, answer: str) -> str:
    """Write a line that ``read_question`` reads."""
    return json.dumps({"question": question, "answer": answer}, ensure_ascii=False)


def canonical(answer: str) -> str | None:
    """Write an answer in its canonical form, a number as a number; ``None`` if it can't be one."""
    words = canonical_text(answer)
    return canonical_number(answer) or canonical_number(words or "") or words


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if type(value) is int or (isinstance(value, float) and isfinite(value)):
        return str(value)
    if not isinstance(value, str):  # NaN is what some tools write where there is nothing
        raise ValueError(f"{key!r} must be a text or a number, it is {value!r:.60}")
    return value


def _final(answer: str, key: str) -> str:
    end = _visible(answer).strip()
    for pattern in _ENDS:
        if match := pattern.fullmatch(end):
            end = match[1].strip()
    if "\n" in end:
        raise ValueError(
            f"the {key} has several lines and does not end in '#### 42' or 'The answer is: 42'"
        )
    final = canonical(end)
    if final is None:
        raise ValueError(
            f"the {key} {end[:60]!r} is empty, or longer than {MAX_ANSWER} characters and does not"
            " end in '#### 42' or 'The answer is: 42'"
        )
    return final


def _visible(text: str) -> str:
    """Replace line ends of other kinds, and what can't be seen."""
    text = text.replace("\r\n", "\n")
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else " " for c in text)
