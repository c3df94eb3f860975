"""Math: a question with one exact answer, and several tries.

=================  ====================================  =======================================
move               reward                                game
=================  ====================================  =======================================
the right answer   1 at once, 1/2 at the second try,     ends, won
                   1/4 at the third: 1/2^k after k
                   wrong ones
a wrong answer     0                                     goes on with the next try, if any
=================  ====================================  =======================================

The reward is that of RAGEN's MetaMathQA environment. Questions are generated, or come from a file
of the form of GSM8K and MetaMathQA.
"""

from os import PathLike
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from text_envs.game import PRINTABLE, Game, Outcome
from text_envs.games.math_answers import (
    MAX_ANSWER,
    canonical_number,
    canonical_text,
    write_number,
)
from text_envs.games.math_dataset import read_dataset, read_question, write_question
from text_envs.games.math_templates import TEMPLATES, Dice

Kind = Literal["all", "arithmetic", "story"]

MAX_TRIES = 20
MAX_DIFFICULTY = 4
MAX_GENERATED = 1000
"""Longest question where there is no dataset: of those given as levels. Generated ones are shorter.
"""
LARGEST_GUESS = 100


class MathState(NamedTuple):
    """A question, its answer (hidden from the player), and the guesses so far."""

    question: str
    answer: str
    """Hidden. In canonical form."""
    left: int
    """Tries left; 0 when the game is over, won or not."""
    guesses: tuple[str, ...] = ()
    """In canonical form, oldest first; only the last can be right."""

    @property
    def solved(self) -> bool:
        """The last guess was right."""
        return self.answer in self.guesses

    @property
    def wrong(self) -> tuple[str, ...]:
        """Guesses that were wrong."""
        return self.guesses[:-1] if self.solved else self.guesses


class MathProblems(Game[MathState]):
    r"""Answer a question, in several tries.

    Move: the answer alone. Where it is a number, as the observation says: an integer, a decimal, a
    fraction ``3/4`` or a mixed number ``1 1/2``, with commas between groups of three digits or
    none, an exponent, a currency sign before or a percent sign behind; units are left out, so that
    ``50%`` is 50. Anything else (``5 apples``) is no move. Numbers are right if they are equal:
    ``1,000`` and ``1000.0`` are, ``0.333`` and ``1/3`` are not. Where the answer is a text, any
    text of up to 200 characters is a move; it is right if it is the same but for case, spacing and
    a full stop at the end.

    Reward 1/2^k for the right answer after k wrong ones, 0 for a wrong one. The game ends at the
    right answer (success) or with the last try. ``info["optimal_moves"]``, at reset: 1.

    Args:
        difficulty: 1 to 4, by default 2: one operation on whole numbers; two; several, with
            decimals, percentages, units and means; fractions, equations, rates and unknowns.
        kind: ``"arithmetic"`` (what is 3 + 4 * 5?), ``"story"``, or ``"all"``.
        tries: answers in a game, 1 to 20. An episode of TextMath-v0 has at most 20 moves.
        dataset: path of a file with a question a line, ``{"question": "...", "answer": "..."}``, in
            place of generated ones. Of an answer that ends in ``#### 42`` or ``The answer is: 42``
            only that end counts; ``query`` and ``response`` are taken for the two keys as well.
            ``difficulty`` and ``kind`` then mean nothing and are refused.

    A level is a line as in a dataset: ``{"question": "...", "answer": "..."}``. The player never
    sees the answer.

    Success in % (95 % interval) over 10,000 episodes, ``evaluate(env, agent, 10_000)`` with
    ``RandomAgent(0)`` and ``OracleAgent()``, by the moves allowed (20 in TextMath-v0):

    ============  =====  ================  ==================
    parameters    moves  random            oracle
    ============  =====  ================  ==================
    default       20     2.4 (2.1 to 2.8)  100 (99.96 to 100)
    tries=1       20     0.5 (0.4 to 0.7)  100 (99.96 to 100)
    difficulty=1  20     3.9 (3.6 to 4.3)  100 (99.96 to 100)
    difficulty=3  20     1.1 (0.9 to 1.3)  100 (99.96 to 100)
    difficulty=4  20     1.4 (1.2 to 1.6)  100 (99.96 to 100)
    ============  =====  ================  ==================
    """

    hidden = True

    def __init__(
        self,
        difficulty: int | None = None,
        kind: Kind = "all",
        tries: int = 5,
        dataset: str | PathLike[str] | None = None,
    ) -> None:
        if not isinstance(tries, int) or not 1 <= tries <= MAX_TRIES:
            raise ValueError(f"tries={tries!r} must be a whole number from 1 to {MAX_TRIES}")
        if kind not in get_args(Kind):
            raise ValueError(f"kind={kind!r} is not one of {', '.join(map(repr, get_args(Kind)))}")
        if dataset is not None and (difficulty is not None or kind != "all"):
            raise ValueError(
                f"difficulty={difficulty!r} and kind={kind!r} are for generated questions; leave"
                f" them out with dataset={str(dataset)!r}"
            )
        difficulty = 2 if difficulty is None else difficulty
        if not isinstance(difficulty, int) or not 1 <= difficulty <= MAX_DIFFICULTY:
            raise ValueError(
                f"difficulty={difficulty!r} must be a whole number from 1 to {MAX_DIFFICULTY}"
            )
        self.difficulty, self.tries = difficulty, tries
        self.kind: Kind = kind
        kinds = TEMPLATES if kind == "all" else [kind]
        self._templates = [t for k in kinds for t in TEMPLATES[k][difficulty - 1]]
        self._dataset = () if dataset is None else read_dataset(dataset)
        self._longest = max([MAX_GENERATED, *(len(question) for question, _ in self._dataset)])
        self.charset = PRINTABLE.union(*(f"{q}{a}" for q, a in self._dataset))
        self.rules = self._rules()
        self.max_text = self._longest + 60 + tries * (MAX_ANSWER + 2)

    # --- the game ---

    def initial(self, rng: np.random.Generator) -> MathState:
        """Draw a question."""
        if self._dataset:
            question, answer = self._dataset[int(rng.random() * len(self._dataset))]
            return MathState(question, answer, self.tries)
        dice = Dice(rng)
        question, value = dice.one(self._templates)(dice)
        answer = str(value) if isinstance(value, int) else write_number(value)
        return MathState(question, answer, self.tries)

    def legal(self, state: MathState) -> None:
        """Answers can't be listed."""

    def play(self, state: MathState, move: str, rng: np.random.Generator) -> Outcome[MathState]:
        """Give an answer."""
        question, answer, left, guesses = state
        if move == answer:
            after = MathState(question, answer, 0, (*guesses, move))
            return Outcome(after, 0.5 ** len(guesses), True, True, f"{move} is right.")
        after = MathState(question, answer, left - 1, (*guesses, move))
        return Outcome(after, 0.0, left == 1, False, f"{move} is wrong.")

    def text(self, state: MathState) -> str:
        """Give the question, what kind of answer it has, the tries left and the wrong answers."""
        form = "a number" if _is_number(state) else "a text"
        text = f"{state.question}\nAnswer: {form}\nTries left: {state.left}"
        if not state.guesses:
            return text
        if state.solved:
            text += f"\nRight: {state.answer}"
        return f"{text}\nWrong: {', '.join(state.wrong)}" if state.wrong else text

    def parse(self, state: MathState, text: str) -> str | None:
        """Read a number, or a text where the answer is one, in canonical form."""
        if state.left == 0:
            return None
        if _is_number(state):
            return canonical_number(text)
        move = canonical_text(text)
        return move if move is not None and self.charset.issuperset(move) else None

    def facts(self, state: MathState) -> dict[str, Any]:
        """Give ``question``, ``answer_form`` (``number`` or ``text``), ``tries_left``, and the
        ``wrong`` answers.
        """
        return {
            "question": state.question,
            "answer_form": "number" if _is_number(state) else "text",
            "tries_left": state.left,
            "wrong": list(state.wrong),
        }

    def start_info(self, state: MathState) -> dict[str, Any]:
        """Give ``optimal_moves``: one answer is enough."""
        return {"optimal_moves": 1}

    def solve(self, state: MathState) -> list[str] | None:
        """Give the answer."""
        return [state.answer] if state.left else None

    def sample(self, state: MathState, rng: np.random.Generator) -> str | None:
        """Draw a whole number from 0 to 100, whatever the question."""
        return str(int(rng.random() * (LARGEST_GUESS + 1))) if state.left else None

    def lookalike(self, state: MathState, rng: np.random.Generator) -> MathState:
        """Ask the same question with another answer that was not tried yet; once it is solved,
        nothing is hidden.
        """
        if state.solved:
            return state
        number = int(rng.random() * LARGEST_GUESS)
        while True:
            answer = str(number) if _is_number(state) else f"answer {number}"
            if answer != state.answer and answer not in state.guesses:
                return state._replace(answer=answer)
            number += 1

    # --- levels ---

    def level(self, state: MathState) -> str:
        """Write question and answer as a line of JSON."""
        return write_question(state.question, state.answer)

    def levels(self, text: str) -> list[MathState]:
        """Read levels, a line each; blank lines between them may be left out."""
        lines = [line for line in text.split("\n") if line.strip()]
        return [self._read(number, line) for number, line in enumerate(lines, 1)]

    # --- private ---

    def _read(self, number: int, line: str) -> MathState:
        try:
            question, answer = read_question(line)
        except ValueError as error:
            raise ValueError(f"level {number}: {error}") from None
        if unknown := sorted({*question, *answer} - self.charset):
            raise ValueError(
                f"level {number}: it has {', '.join(map(repr, unknown))}, which this environment's"
                " observations can't show; give the file as dataset= to allow its characters"
            )
        if len(question) > self._longest:
            raise ValueError(
                f"level {number}: its question has {len(question)} characters, this environment"
                f" takes {self._longest}; give the file as dataset= to allow longer ones"
            )
        return MathState(question, answer, self.tries)

    def _rules(self) -> str:
        rules = (
            "Answer the question.\n"
            "Move: the answer alone. A number may be an integer, a decimal such as 2.5 or a"
            " fraction such as 3/4; it must be exact, with nothing rounded and no unit."
        )
        if self.tries == 1:
            return f"{rules}\nYou have one try. The right answer pays 1, a wrong one 0."
        return (
            f"{rules}\nYou have {self.tries} tries. The right answer pays 1 at the first, and half"
            " as much at each further one; a wrong one pays 0."
        )


def _is_number(state: MathState) -> bool:
    """Tell whether the answer is a number: no secret, and the same for all that look alike."""
    return canonical_number(state.answer) is not None
