"""Reasoning Gym's tasks: a question, one whole answer to it, a score.

A reset makes the next question; the one move of an episode scores the right answer to it.
"""

import random
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from subjects import NO_LIMIT, Subject

Entry = dict[str, Any]


def countdown(fewest: int) -> Subject:
    """At most 4 numbers."""
    bounds = {"min_numbers": fewest, "max_numbers": 4, "min_target": 10, "max_target": 100}
    return _subject("countdown", lambda entry: entry["metadata"]["expression"], **bounds)


def mini_sudoku(empty: int) -> Subject:
    """4x4."""
    return _subject("mini_sudoku", _answer, min_empty=empty, max_empty=empty)


def sudoku(empty: int) -> Subject:
    """9x9."""
    return _subject("sudoku", _answer, min_empty=empty, max_empty=empty)


def tower_of_hanoi() -> Subject:
    """3 disks on 3 pegs, from any peg to any other."""
    return _subject("tower_of_hanoi", _answer, min_disks=3, max_disks=3, max_pegs=3)


def maze() -> Subject:
    """A map of 11x11 places, which our 5x5 cells take with the walls between them; the question is
    how long the shortest way is. (With 5x5 places, its search for a start and a goal among the nine
    inside sometimes never ends.)
    """
    bounds = {"min_dist": 1, "max_dist": 20}
    return _subject("maze", _answer, min_grid_size=11, max_grid_size=11, **bounds)


def rubiks_cube() -> Subject:
    """A 2x2x2 cube after 3 turns."""

    def undone(entry: Entry) -> str:
        turns = reversed(entry["metadata"]["scramble_moves"].split())
        return " ".join(t.removesuffix("'") if t.endswith("'") else f"{t}'" for t in turns)

    bounds = {"cube_size": 2, "min_scramble_steps": 3, "max_scramble_steps": 3}
    return _subject("rubiks_cube", undone, **bounds)


def arithmetic() -> Subject:
    """Three terms of up to two digits. (Its parentheses, which are the default, sometimes divide by
    zero.)
    """
    bounds = {"min_terms": 3, "max_terms": 3, "max_digits": 2, "allow_parentheses": False}
    return _subject("basic_arithmetic", _answer, **bounds)


def sokoban(size: int, boxes: int) -> Subject:
    """Sokoban: the answer is a plan."""
    sides = dict.fromkeys(("min_w", "max_w", "min_h", "max_h"), size)
    return _subject("sokoban", _answer, min_boxes=boxes, max_boxes=boxes, **sides)


def _answer(entry: Entry) -> str:
    return entry["answer"]


def _subject(name: str, answer: Callable[[Entry], str], **config: Any) -> Subject:
    make = import_module("reasoning_gym").create_dataset
    tasks = make(name, seed=random.getrandbits(31), size=NO_LIMIT, **config)
    number, entry = -1, {}

    def reset() -> None:
        nonlocal number, entry
        number += 1
        entry = tasks[number]

    def play(moves: Sequence[str]) -> int:
        for move in moves:
            tasks.score_answer(move, entry)
        return len(moves)

    return Subject(reset, lambda rng, most: [answer(entry)], play)
