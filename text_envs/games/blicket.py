"""Blicket detector: find out by experiments which objects make a machine light up.

Some of the objects are blickets. The player places objects on the machine, as often as there are
tests, sees whether it lights up, and says at last which ones the blickets are. The machine follows
one of two rules, which may itself be hidden:

======  ===========  ====================================================
rule    also called  the machine lights up when
======  ===========  ====================================================
any     disjunctive  at least one of the objects on it is a blicket
two     conjunctive  at least two of the objects on it are blickets
======  ===========  ====================================================

====================================  ==========  =========
event                                 reward      game
====================================  ==========  =========
a test                                -test_cost  goes on
the answer is exactly the blickets    1           ends, won
any other answer                      0           ends
====================================  ==========  =========

It tests causal induction by intervention: designing experiments that tell hypotheses apart, and
drawing no conclusion that they don't support. Mastermind's codes are guessed, and each guess may
win; here an experiment is no guess, the cause is a mechanism whose very form is in doubt, and only
one answer is taken. A bandit's arms are tried one by one for what they pay.

The detector is that of Gopnik and Sobel, "Detecting blickets", Child Development 71 (2000); the two
rules, and an agent that experiments freely, those of Kosoy et al., "Learning causal overhypotheses
through exploration in children and computational models", CLeaR 2022.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import numpy as np

from text_envs.game import Game, Outcome, blocks
from text_envs.games import blicket_inference as inference
from text_envs.games.blicket_inference import NEEDED, Rule, RuleChoice, Tests

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SHAPES = ("cube", "ball", "cone", "cylinder", "ring", "star", "heart", "cross")

MIN_OBJECTS, MAX_OBJECTS = 3, 6
MAX_TESTS = 20
SPARE_TESTS = 2
"""Tests beyond the number of objects where ``tests`` is not given."""
CONFIDENT = 0.99
"""Probability of a set of blickets at which the oracle answers. Of several hypotheses that noise
does not tell apart none has so much, so that without noise it answers when it knows.
"""
_LONGEST = 400
"""Characters of the longest text that may be a move."""


class BlicketState(NamedTuple):
    """Objects, what makes the machine light up, and the tests made. Sets of objects are the bits of
    an integer: the object shown first is bit 0.
    """

    objects: tuple[str, ...]
    """Names, in the order shown."""
    rule: Rule
    """Hidden, unless the environment has one rule only."""
    blickets: int
    """Hidden."""
    left: int
    """Tests left."""
    tests: Tests = ()
    """(objects placed, whether the machine lit up) of every test, oldest first."""
    answer: int = 0
    """The set that the player said are the blickets; 0 while the game goes on."""


class Blicket(Game[BlicketState]):
    """Find out which objects are blickets by placing objects on a machine.

    Moves: ``test red cube, blue ball`` places these objects on the machine, alone, and shows
    whether it lights up; ``answer red cube, blue ball`` says that they are the blickets and ends
    the game. One object or several are named, in any order, with a comma or ``and`` between two.
    Reward 1 for the right answer (success), else 0; each test costs ``test_cost``. When no test is
    left, only an answer is legal. All tests and their results stand in the observation: memory is
    not what is tested here.

    A hypothesis is a rule and a set of blickets that can light the machine: at least one of them,
    under the rule ``"two"`` at least two. All are equally likely. No two of them make the same
    machine, so tests can always tell which one it is.

    The oracle chooses the test that tells most, in bits, about the hypothesis (of equals, the one
    with the fewest objects), and answers as soon as only one set of blickets is left, or with noise
    one is 99 % sure. Without noise it never needs more tests than there are objects, with
    ``rule="mixed"`` one more. There is no ``info["optimal_moves"]``: how many tests are needed
    depends on what is hidden.

    Args:
        objects: number of objects, 3 to 6.
        rule: ``"any"``: any one blicket lights the machine up; ``"two"``: at least two blickets
            together do; ``"mixed"``: one of these, and the player is not told which.
        tests: tests in a game, 1 to 20; 2 more than there are objects where it is ``None``. An
            episode of TextBlicket-v0 has at most 10 moves: for more, give ``gym.make`` a
            ``max_episode_steps`` above ``tests``.
        noise: chance that the machine stays dark although it should light up, 0 to 0.9. It never
            lights up without cause.
        test_cost: what a test costs, 0 to 1.

    A level is two lines, the objects in the order shown, and the rule with the blickets::

        red cube, blue ball, green cone, white ring
        two: blue ball, white ring

    A blank line stands between two levels. The player never sees it.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (10 in TextBlicket-v0):

    ==================  =====  ================  ============================
    parameters          moves  random            oracle
    ==================  =====  ================  ============================
    default             10     6.3 (5.9 to 6.8)  100 (99.92 to 100), n=5,000
    rule="any"          10     6.8 (6.3 to 7.3)  100 (99.96 to 100)
    objects=6           10     1.8 (1.5 to 2.0)  100 (99.92 to 100), n=5,000
    tests=4             10     6.5 (6.1 to 7.0)  61.0 (60.1 to 62.0)
    noise=0.2           10     6.3 (5.9 to 6.8)  74.6 (73.4 to 75.8), n=5,000
    noise=0.2, tests=9  10     6.6 (6.1 to 7.1)  93.4 (92.6 to 94.0), n=5,000
    ==================  =====  ================  ============================
    """

    adaptive = True
    hidden = True

    def __init__(
        self,
        objects: int = 4,
        rule: RuleChoice = "mixed",
        tests: int | None = None,
        noise: float = 0.0,
        test_cost: float = 0.0,
    ) -> None:
        if not isinstance(objects, int) or not MIN_OBJECTS <= objects <= MAX_OBJECTS:
            raise ValueError(
                f"objects={objects!r} must be a whole number from {MIN_OBJECTS} to {MAX_OBJECTS}"
            )
        if rule not in get_args(RuleChoice):
            raise ValueError(f"rule={rule!r} is not one of {', '.join(get_args(RuleChoice))}")
        if tests is not None and (not isinstance(tests, int) or not 1 <= tests <= MAX_TESTS):
            raise ValueError(
                f"tests={tests!r} must be a whole number from 1 to {MAX_TESTS}, or None for"
                f" {SPARE_TESTS} more than there are objects"
            )
        for name, value, high in (("noise", noise, 0.9), ("test_cost", test_cost, 1)):
            if not isinstance(value, int | float) or not 0 <= value <= high:
                raise ValueError(f"{name}={value!r} must be a number from 0 to {high}")
        self.objects = objects
        self.rule: RuleChoice = rule
        self.tests = objects + SPARE_TESTS if tests is None else tests
        self.noise, self.test_cost = float(noise), float(test_cost)
        self.stochastic = self.noise > 0
        self.rules = self._rules()
        line = objects * (max(map(len, COLOURS)) + max(map(len, SHAPES)) + len(" , "))
        self.max_text = (self.tests + 2) * (line + len("20. : stays dark\n"))

    def initial(self, rng: np.random.Generator) -> BlicketState:
        """Draw the objects, no two of one colour or shape, and how the machine works."""
        colours = rng.permutation(len(COLOURS))[: self.objects].tolist()
        shapes = rng.permutation(len(SHAPES))[: self.objects].tolist()
        objects = [f"{COLOURS[c]} {SHAPES[s]}" for c, s in zip(colours, shapes, strict=True)]
        possible = inference.hypotheses(self.objects, self.rule)
        rule, blickets = possible[int(rng.random() * len(possible))]
        return BlicketState(tuple(objects), rule, blickets, self.tests)

    def legal(self, state: BlicketState) -> tuple[str, ...]:
        """Every test, while there are tests left, and every answer; sets of few objects first, each
        in the order shown.
        """
        if state.answer:
            return ()
        moves = _moves(state.objects)
        return moves.all if state.left else moves.answers

    def play(
        self, state: BlicketState, move: str, rng: np.random.Generator
    ) -> Outcome[BlicketState]:
        """Make a test, or answer."""
        objects, rule, blickets, left, tests, _ = state
        chosen = _moves(objects).sets[move]
        if move[0] == "a":
            right = chosen == blickets
            after = BlicketState(objects, rule, blickets, left, tests, chosen)
            return Outcome(after, float(right), True, right, "Right." if right else "Wrong.")
        lit = inference.lights_up(rule, blickets, chosen)
        if lit and self.noise and rng.random() < self.noise:
            lit = False
        after = BlicketState(objects, rule, blickets, left - 1, (*tests, (chosen, lit)))
        note = "The machine lights up." if lit else "The machine stays dark."
        return Outcome(after, 0.0 - self.test_cost, note=note)

    def text(self, state: BlicketState) -> str:
        """Give the objects, the tests left and every test so far, at the end also the answer."""
        objects = state.objects
        text = f"{_heading(objects)}{state.left}"
        for number, (placed, lit) in enumerate(state.tests, 1):
            text += _line(objects, number, placed, lit)
        return f"{text}\nAnswer: {_named(objects, state.answer)}" if state.answer else text

    def parse(self, state: BlicketState, text: str) -> str | None:
        """Read ``test`` or ``answer`` and different objects, in any order and case, with a comma,
        ``and`` or both between two.
        """
        move = text if text in _moves(state.objects).sets else _canonical(state.objects, text)
        if move is None or state.answer or not (state.left or move.startswith("answer")):
            return None
        return move

    def facts(self, state: BlicketState) -> dict[str, Any]:
        """Give ``objects``, ``tests left``; of every test ``test N``, the objects placed, and
        ``result N``, ``lit`` or ``dark``; and ``answer``, empty while there is none.
        """
        facts: dict[str, Any] = {"objects": list(state.objects), "tests left": state.left}
        for number, (placed, lit) in enumerate(state.tests, 1):
            facts[f"test {number}"] = _members(state.objects, placed)
            facts[f"result {number}"] = "lit" if lit else "dark"
        return facts | {"answer": _members(state.objects, state.answer)}

    def solve(self, state: BlicketState) -> list[str] | None:
        """Give the best next move as far as the tests so far can tell; ``None`` at the end."""
        if state.answer:
            return None
        beliefs = self.beliefs(state)
        answer = max(beliefs, key=beliefs.__getitem__)
        if beliefs[answer] >= CONFIDENT or not state.left:
            return [f"answer {_named(state.objects, answer)}"]
        gains = self.information(state)
        return [f"test {_named(state.objects, max(gains, key=gains.__getitem__))}"]

    def beliefs(self, state: BlicketState) -> dict[int, float]:
        """Set of objects -> probability that it is the blickets, given the tests so far; only those
        that are possible.
        """
        beliefs: dict[int, float] = {}
        for (_, blickets), chance in self._possible(state):
            beliefs[blickets] = beliefs.get(blickets, 0.0) + chance
        return beliefs

    def information(self, state: BlicketState) -> dict[int, float]:
        """Set of objects -> bits that testing it is expected to tell."""
        objects, chances = len(state.objects), self._posterior(state)
        return inference.information(objects, self.rule, self.noise, chances)

    def lookalike(self, state: BlicketState, rng: np.random.Generator) -> BlicketState:
        """Draw another hypothesis that the tests so far leave possible."""
        this = state.rule, state.blickets
        others = [hypothesis for hypothesis, _ in self._possible(state) if hypothesis != this]
        if not others:
            return state
        rule, blickets = others[int(rng.random() * len(others))]
        return state._replace(rule=rule, blickets=blickets)

    def level(self, state: BlicketState) -> str:
        """Write the objects, the rule and the blickets."""
        objects = state.objects
        return f"{', '.join(objects)}\n{state.rule}: {_named(objects, state.blickets)}"

    def levels(self, text: str) -> list[BlicketState]:
        """Read levels, separated by blank lines."""
        return [self._read(number, lines) for number, lines in enumerate(blocks(text), 1)]

    # --- private ---

    def _posterior(self, state: BlicketState) -> np.ndarray:
        return inference.posterior(len(state.objects), self.rule, self.noise, state.tests)

    def _possible(self, state: BlicketState) -> list[tuple[inference.Hypothesis, float]]:
        """Hypotheses that the tests so far leave, with their probabilities."""
        every = inference.hypotheses(len(state.objects), self.rule)
        chances = self._posterior(state).tolist()
        return [(one, chance) for one, chance in zip(every, chances, strict=True) if chance > 0]

    def _read(self, number: int, lines: list[str]) -> BlicketState:
        if len(lines) != 2:
            raise ValueError(
                f"level {number}: has {len(lines)} lines; write two, the objects, and the rule with"
                " the blickets"
            )
        rule, _, rest = lines[1].partition(": ")
        objects, blickets = lines[0].split(", "), rest.split(", ")
        if fault := self._fault(objects, rule, blickets):
            raise ValueError(f"level {number}: {fault}")
        members = sum(1 << objects.index(name) for name in blickets)
        return BlicketState(tuple(objects), "two" if rule == "two" else "any", members, self.tests)

    def _fault(self, objects: list[str], rule: str, blickets: list[str]) -> str:
        """Say what is wrong with a level; nothing if it is well."""
        if strange := [name for name in objects if name not in _NAMES]:
            return (
                f"{strange[0]!r:.80} is no object; write a colour ({', '.join(COLOURS)}) and a"
                f" shape ({', '.join(SHAPES)})"
            )
        if len(set(objects)) < len(objects):
            return "an object is there twice; all must differ"
        made = "but this environment was made with"
        if len(objects) != self.objects:
            return f"the number of objects is {len(objects)}, {made} objects={self.objects}"
        if rule not in NEEDED or self.rule not in (rule, "mixed"):
            return f"the rule is {rule!r:.80}, {made} rule={self.rule!r}"
        if strange := [name for name in blickets if name not in objects]:
            return f"the blicket {strange[0]!r:.80} is none of the objects"
        if len(set(blickets)) < len(blickets):
            return "a blicket is there twice; name each once"
        if len(blickets) < NEEDED[rule]:
            return f"the rule {rule!r} needs at least {NEEDED[rule]} blickets, or nothing lights up"
        return ""

    def _rules(self) -> str:
        one = "lights up when at least one of the objects on it is a blicket"
        two = "lights up when at least two of the objects on it are blickets"
        how = {
            "any": f"The machine {one}. There is at least one blicket.",
            "two": f"The machine {two}. There are at least two blickets.",
            "mixed": (
                f"The machine follows one of two rules, and you are not told which. Rule 1: it"
                f" {one}; there is at least one blicket. Rule 2: it {two}; there are at least two"
                " blickets. Each rule with each such set is equally likely."
            ),
        }[self.rule]
        lines = [f"Some of {self.objects} objects are blickets. Find out which.", how]
        if self.rule != "mixed":
            lines.append("Each such set is equally likely.")
        if self.noise:
            lines.append(
                "The machine may fail: when it should light up, it stays dark with probability"
                f" {self.noise:.3g}. It never lights up when it should not."
            )
        tests = "one test" if self.tests == 1 else f"{self.tests} tests"
        cost = f" Each costs {self.test_cost:g}." if self.test_cost else ""
        lines += [
            f"Moves: test OBJECTS places these objects on the machine, alone; you have {tests}."
            f"{cost} answer OBJECTS says which the blickets are, all of them and nothing else, and"
            " ends the game. OBJECTS are one or more names, with commas between them.",
            "The right answer pays 1, a wrong one 0.",
        ]
        return "\n".join(lines)


_NAMES = frozenset(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


class _Moves(NamedTuple):
    """Moves with the objects of one game."""

    all: tuple[str, ...]
    answers: tuple[str, ...]
    sets: dict[str, int]
    """Move -> the objects that it names."""


@lru_cache(maxsize=256)
def _moves(objects: tuple[str, ...]) -> _Moves:
    members = inference.sets(len(objects))
    named = [_named(objects, one) for one in members]
    tests = tuple([f"test {names}" for names in named])
    answers = tuple([f"answer {names}" for names in named])
    sets = dict(zip(tests + answers, members * 2, strict=True))
    return _Moves(tests + answers, answers, sets)


def _canonical(objects: tuple[str, ...], text: str) -> str | None:
    """Move that ``text`` means, with its objects in the order shown."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    verb, _, rest = " ".join(text.lower().split()).partition(" ")
    named = re.split(r" ?, ?(?:and )?| and ", rest)
    if len(set(named)) < len(named) or not set(named) <= set(objects):
        return None
    move = f"{verb} {', '.join(name for name in objects if name in named)}"
    return move if move in _moves(objects).sets else None


def _members(objects: tuple[str, ...], chosen: int) -> list[str]:
    return [name for i, name in enumerate(objects) if chosen >> i & 1]


def _named(objects: tuple[str, ...], chosen: int) -> str:
    return ", ".join(_members(objects, chosen))


@lru_cache(maxsize=1024)
def _heading(objects: tuple[str, ...]) -> str:
    return f"Objects: {', '.join(objects)}\nTests left: "


@lru_cache(maxsize=4096)
def _line(objects: tuple[str, ...], number: int, placed: int, lit: bool) -> str:
    """One test, in a line of its own."""
    return f"\n{number}. {_named(objects, placed)}: {'lights up' if lit else 'stays dark'}"
