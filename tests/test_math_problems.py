"""Math: what a try is worth, whether the answers are right, and which files are read."""

import json
import re
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text_envs.env import split_of
from text_envs.games.expressions import read_expression
from text_envs.games.math_answers import (
    canonical_number,
)
from text_envs.games.math_problems import MathProblems, MathState
from text_envs.games.math_templates import MAX_QUESTION, TEMPLATES

GAME = MathProblems()
RNG = np.random.default_rng(0)
SEEDS = st.integers(0, 2**32 - 1)
ASKED = MathState("How many?", "1000", left=3)


@pytest.fixture
def dataset(tmp_path):
    """Write records, or lines, as a dataset."""

    def write(*records: Any) -> str:
        path = tmp_path / "questions.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        path.write_text("\n".join(lines), encoding="utf-8")
        return str(path)

    return write


# --- tries and rewards ---


@pytest.mark.parametrize("misses", range(6))
def test_each_try_halves_the_reward(misses):
    game, state = MathProblems(tries=6), ASKED._replace(left=6)
    for number in range(misses):
        state, reward, done, success, note = game.play(state, str(number), RNG)
        assert (reward, done, success) == (0.0, False, False)
        assert note == f"{number} is wrong."
    state, reward, done, success, note = game.play(state, "1000", RNG)
    assert (reward, done, success, note) == (1 / 2**misses, True, True, "1000 is right.")
    assert state.solved
    assert state.wrong == tuple(map(str, range(misses)))
    for ask in (game.solve, lambda s: game.sample(s, RNG), lambda s: game.parse(s, "1000")):
        assert ask(state) is None


def test_the_last_wrong_answer_ends_the_game():
    game, state = MathProblems(tries=2), ASKED._replace(left=2)
    state = game.play(state, "7", RNG).state
    state, reward, done, success, note = game.play(state, "7", RNG)
    assert (reward, done, success, state.left) == (0.0, True, False, 0)
    assert "1000" not in note + game.text(state) + repr(game.facts(state))


def test_an_environment_of_equal_and_unequal_answers():
    env: Any = gym.make("text_envs:TextMath-v0", tries=2)
    level = '{"question": "What is 600 + 400?", "answer": "1,000"}'
    observation, info = env.reset(options={"level": level})
    assert observation == "What is 600 + 400?\nAnswer: a number\nTries left: 2"
    assert info["optimal_moves"] == 1
    *_, reward, done, _, info = env.step("a thousand")
    assert (reward, done, info["action_is_valid"]) == (-0.1, False, False)
    observation, reward, *_ = env.step("999.999")
    assert reward == 0
    assert observation.endswith("Tries left: 1\nWrong: 999.999")
    observation, reward, done, _, info = env.step("$1,000.00")
    assert (reward, done, info["success"]) == (0.5, True, True)
    assert observation.endswith("Right: 1000\nWrong: 999.999")


def test_the_answer_is_nowhere_to_be_seen():
    game, secret = MathProblems(), "271828"
    state = MathState("Guess.", secret, 3, ("1", "2"))
    shown = [game.text(state), game.facts(state), game.info(state), game.start_info(state)]
    assert secret not in repr(shown)
    assert secret not in game.play(state, "3", RNG).note


@given(SEEDS, st.sampled_from(["12", "1/3", "blue"]))
def test_a_lookalike_has_another_answer_that_is_still_open(seed, answer):
    form = "1" if answer != "blue" else "red"
    state = MathState("Guess.", answer, 2, (form, "50", "answer 50"))
    other = GAME.lookalike(state, np.random.default_rng(seed))
    assert other.answer != answer
    assert other == state._replace(answer=other.answer)
    assert other.answer not in state.guesses
    assert GAME.text(other) == GAME.text(state)
    solved = state._replace(guesses=(form, answer), left=0)
    assert GAME.lookalike(solved, np.random.default_rng(seed)) == solved


def test_any_text_answers_a_question_for_a_text():
    state = MathState("Which colour?", "blue", 3)
    assert GAME.parse(state, " Blue.") == "blue"
    assert GAME.parse(state, "42") == "42"
    assert GAME.parse(state, "") is None
    assert GAME.parse(state, "x" * 201) is None
    assert GAME.parse(state, "blåu") is None  # the observation could not show it
    assert GAME.text(state) == "Which colour?\nAnswer: a text\nTries left: 3"
    assert GAME.facts(state)["answer_form"] == "text"


# --- generated questions: their answers, worked out again from the words ---

F = Fraction
CHECKS: list[tuple[str, Any]] = [
    (r"What is (\d+)% of (\d+)\?", lambda a, b: F(a) * F(b) / 100),
    (r"What is (\S+) of (\S+)\?", lambda a, b: F(a) * F(b)),
    (r"What is (\S+) divided by (\S+)\?", lambda a, b: F(a) / F(b)),
    (r"Solve for x: (\d+) \* x \+ (\d+) = (\d+) \* x \+ (\d+)",
     lambda a, b, c, d: (F(d) - F(b)) / (F(a) - F(c))),
    (r"\w+ has (\d+) (\w+)\. \w+ gives \w+ (\d+) more\. How many \2 does \w+ have now\?",
     lambda a, _, b: F(a) + F(b)),
    (r"\w+ had (\d+) \w+ and gave (\d+) of them to \w+\. .*", lambda a, b: F(a) - F(b)),
    (r"There are (\d+) \w+ with (\d+) \w+ in each\. .*", lambda a, b: F(a) * F(b)),
    (r"\w+ shares (\d+) \w+ equally among (\d+) children\. .*", lambda a, b: F(a) / F(b)),
    (r"\w+ has (\d+) \w+, which is (\d+) more than \w+ has\. .*", lambda a, b: F(a) - F(b)),
    (r"The price of a \w+ is \$(\d+), that of a \w+ is \$(\d+)\. \w+ orders (\d+) of the first kind"
     r" and (\d+) of the second\. .*", lambda p, q, a, b: F(p) * F(a) + F(q) * F(b)),
    (r"At a fair, every \w+ costs \$(\d+)\. \w+ buys (\d+) and pays with a \$100 note\. .*",
     lambda p, a: 100 - F(p) * F(a)),
    (r"\w+ fills (\d+) \w+ with (\d+) \w+ each, and (\d+) \w+ are left over\. .*",
     lambda a, b, c: F(a) * F(b) + F(c)),
    (r"\w+ has (\d+) \w+\. \w+ has (\d+) times as many\. .*", lambda a, k: F(a) + F(a) * F(k)),
    (r"\w+ reads (\d+) pages a day\. The book has (\d+) pages\. .* after (\d+) days\?",
     lambda a, n, b: F(n) - F(a) * F(b)),
    (r".* was \$(\d+) and has been lowered by (\d+)%\. .*", lambda p, s: F(p) * (100 - F(s)) / 100),
    (r"A \w+ keeps a speed of (\d+) km per hour for (\d+) minutes\. .*",
     lambda v, t: F(v) * F(t) / 60),
    (r"On four days \w+ sold (\d+), (\d+), (\d+) and (\d+) .*",
     lambda *sold: sum(map(F, sold)) / 4),
    (r"A kilogram of \w+ costs \$(\S+)\. \w+ buys (\d+) grams\. .*",
     lambda p, g: F(p) * F(g) / 1000),
    (r".* garden, (\S+) m long and (\S+) m wide, and .* for \$(\d+) a metre\. .*",
     lambda a, b, p: (F(a) + F(b) + F(a) + F(b)) * F(p)),
    (r"\w+ is (\d+) years old, and \w+ is (\d+) times as old\. .* in (\d+) years\?",
     lambda a, k, n: F(a) * F(k) + F(n)),
    (r"\w+ eats (\S+) of a cake and \w+ eats (\S+) of the same .*", lambda a, b: 1 - F(a) - F(b)),
    (r"\w+ alone paints a wall in (\d+) hours, \w+ alone in (\d+) hours\. .*",
     lambda a, b: 1 / (1 / F(a) + 1 / F(b))),
    (r"\w+ has \$(\d+), spends (\S+) of it on a \w+, and then (\S+) of what is left .*",
     lambda n, a, b: F(n) - F(n) * F(a) - (F(n) - F(n) * F(a)) * F(b)),
    (r"\w+ keeps hens and rabbits: (\d+) heads and (\d+) legs\. .*",
     lambda h, n: next(F(r) for r in range(int(h)) if 4 * r + 2 * (int(h) - r) == int(n))),
    (r"A recipe for (\d+) people needs (\S+) kg of flour\. \w+ cooks for (\d+) people\. .*",
     lambda n, kg, m: F(kg) / F(n) * F(m)),
    (r"Together \w+ and \w+ have (\d+) \w+, and \w+ has (\d+) more .*",
     lambda s, d: next(F(x) for x in range(int(s)) if x + x + int(d) == int(s))),
    (r"A bag holds (\d+) (\w+) and (\d+) \w+ \w+\. Two .* both are \2\?",
     lambda a, _, b: F(a) / (F(a) + F(b)) * (F(a) - 1) / (F(a) + F(b) - 1)),
    (r"A \w+ goes somewhere at (\d+) km per hour and comes back the same way at (\d+) km .*",
     lambda a, b: 2 / (1 / F(a) + 1 / F(b))),
    (r"What is ([0-9.]+) ([-+*]) ([0-9.]+)\?",
     lambda a, o, b: {"+": F(a) + F(b), "-": F(a) - F(b), "*": F(a) * F(b)}[o]),
    (r"What is ([-+*/() 0-9]+)\?", lambda text: F(*read_expression(text).value)),
]  # fmt: skip
"""Form of a question -> its answer, from the words and numbers in it; the first that fits."""


def answer_again(question: str) -> Fraction:
    for pattern, work_out in CHECKS:
        if match := re.fullmatch(pattern, question):
            return work_out(*match.groups())
    raise AssertionError(f"no check knows {question!r}")


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize("difficulty", [1, 2, 3, 4])
def test_answers_are_right(kind, difficulty):
    game, rng = MathProblems(difficulty=difficulty, kind=kind), np.random.default_rng(difficulty)
    forms, states = set(), [game.initial(rng) for _ in range(600)]
    for state in states:
        assert Fraction(state.answer) == answer_again(state.question), state
        assert canonical_number(state.answer) == state.answer
        assert len(state.question) <= MAX_QUESTION
        assert len(re.findall(r"(?<!\w)(?:0|1) \w+s\b", state.question)) == 0, state.question
        forms.add(re.sub(r"[0-9./]+", "", state.question.split()[0] + state.question[-12:]))
    assert len({state.question for state in states}) > 300
    assert len(forms) >= len(TEMPLATES[kind][difficulty - 1])


def test_every_template_has_its_check_and_is_drawn():
    used = set()
    for difficulty in (1, 2, 3, 4):
        game, rng = MathProblems(difficulty=difficulty), np.random.default_rng(1)
        for _ in range(1500):
            question = game.initial(rng).question
            used.add(next(p for p, _ in CHECKS if re.fullmatch(p, question)))
    assert used == {pattern for pattern, _ in CHECKS}


def test_answers_take_every_form():
    answers = {d: [g.initial(RNG).answer for _ in range(400)] for d, g in by_difficulty().items()}
    assert all(re.fullmatch(r"\d+", answer) for answer in answers[1])
    assert all(re.fullmatch(r"-?\d+", answer) for answer in answers[2])
    assert any("." in answer for answer in answers[3])
    assert sum("/" in answer for answer in answers[4]) > 50


def by_difficulty() -> dict[int, MathProblems]:
    return {difficulty: MathProblems(difficulty=difficulty) for difficulty in (1, 2, 3, 4)}


# --- datasets ---


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        ({"question": "Q?", "answer": "6 * 7 = <<6*7=42>>42.\nSo it is 42.\n#### 42"}, "42"),
        ({"question": "Q?", "answer": "#### 1,600"}, "1600"),
        ({"question": "Q?", "answer": "Half.\nThe answer is: \\frac{1}{2}"}, "0.5"),
        ({"question": "Q?", "answer": "...\n#### 3\nThe answer is: 4"}, "4"),
        ({"question": "Q?", "answer": "The answer is: x^2 + 1"}, "x^2 + 1"),
        ({"question": "Q?", "answer": "A plain text."}, "a plain text"),
        ({"question": "Q?", "answer": 12.50}, "12.5"),
        ({"question": "Q?", "answer": "the answer is $5.00"}, "5"),
        ({"query": "Q?", "response": "... The answer is: 7", "type": "GSM_Rephrased"}, "7"),
    ],
)
def test_the_end_of_a_worked_answer_counts(record, answer, dataset):
    game = MathProblems(dataset=dataset(record))
    state = game.initial(RNG)
    assert (state.question, state.answer) == ("Q?", answer)
    assert game.play(state, answer, RNG).success
    assert game.levels(game.level(state)) == [state]


GOOD = '{"question": "Q?", "answer": "#### 1"}'


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("what?", "'what?' is not JSON"),
        ('{"question": "Q?", "answer": "1"', "is not JSON"),
        ("[1, 2]", "'[1, 2]' is not an object with a question and an answer"),
        ('{"problem": "Q?", "answer": "1"}', "it has no 'question'; its keys are ['answer', 'pro"),
        ('{"question": "Q?"}', "'answer' must be a text or a number, it is None"),
        ('{"question": "Q?", "answer": NaN}', "'answer' must be a text or a number, it is nan"),
        ('{"question": 5, "answer": [1]}', "'answer' must be a text or a number, it is [1]"),
        ('{"question": " ", "answer": "1"}', "the question has 0 characters; it must have 1 to"),
        ('{"question": "Q?", "answer": " "}', "the answer '' is empty"),
        ('{"question": "Q?", "answer": "#### "}', "the answer '' is empty"),
        ('{"question": "Q?", "answer": "so\\nit is 5"}', "does not end in '#### 42' or 'The answ"),
        (json.dumps({"question": "Q?", "answer": "x" * 300}), "longer than 200 characters"),
        (json.dumps({"question": "Q" * 9000, "answer": "1"}), "has 9000 characters"),
        ("[" * 10_000, "is not JSON"),
    ],
)
def test_a_broken_line_is_named(line, fault, dataset):
    path = dataset(GOOD, "", line, GOOD)
    with pytest.raises(ValueError, match="line 3: ") as caught:
        MathProblems(dataset=path)
    assert str(caught.value).startswith(f"dataset={path!r}, line 3: ")
    assert fault in str(caught.value)
    with pytest.raises(ValueError, match="level 2: ") as caught:
        GAME.levels(f"{GOOD}\n\n{line}")
    assert fault in str(caught.value)


def test_a_file_that_is_not_there_or_empty_or_binary_is_said_to_be(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"dataset='nowhere.jsonl' can't be read"):
        MathProblems(dataset="nowhere.jsonl")
    with pytest.raises(ValueError, match=r"dataset=.* can't be read as a text file"):
        MathProblems(dataset=["a.jsonl"])  # pyright: ignore[reportArgumentType] (the point)
    with pytest.raises(ValueError, match=r"dataset='.*' has no questions: it is empty"):
        MathProblems(dataset=dataset("", ""))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"dataset='.*binary' can't be read as a text file"):
        MathProblems(dataset=str(tmp_path / "binary"))


def test_observations_hold_what_the_dataset_has(dataset):
    longest = "Wie viele Äpfel? " * 200
    records = [
        {"question": longest, "answer": "Äpfel"},
        {"question": "one\n\n two\u2028three\ttabs\x00", "answer": "5"},
    ]
    env: Any = gym.make("TextMath-v0", dataset=dataset(*records))
    seen = set()
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
        assert env.action_space.contains("5")
        seen.add(observation)
    assert seen == {
        f"{longest.strip()}\nAnswer: a text\nTries left: 5",
        "one\ntwo three tabs\nAnswer: a number\nTries left: 5",
    }
    with pytest.raises(ValueError, match="level 1: it has 'Ä', which this environment's"):
        GAME.levels(json.dumps({"question": "Äpfel?", "answer": "5"}))
    with pytest.raises(ValueError, match="level 1: its question has 3399 characters"):
        GAME.levels(json.dumps({"question": longest.replace("Ä", "A"), "answer": "5"}))


def test_splits_share_a_dataset_out_by_the_levels_text(dataset):
    records = [{"question": f"What is {n} + {n}?", "answer": f"#### {2 * n}"} for n in range(200)]
    path, drawn = dataset(*records), {}
    for split in ("train", "test"):
        env: Any = gym.make("TextMath-v0", dataset=path, split=split)
        drawn[split] = set()
        for seed in range(150):
            env.reset(seed=seed)
            level = env.unwrapped.game.level(env.unwrapped.get_state())
            assert split_of(level) == split
            drawn[split].add(level)
    assert drawn["test"].isdisjoint(drawn["train"])
    assert len(drawn["test"]) > 5


def test_a_dataset_is_a_file_of_levels_as_well(dataset):
    path = dataset(GOOD, GOOD.replace("1", "2"))
    env: Any = gym.make("TextMath-v0", levels=path)
    answers = []
    for seed in (0, 1, 2):
        env.reset(seed=seed)
        answers += env.unwrapped.solve()
    assert answers == ["1", "2", "1"]


# --- parameters ---


@settings(deadline=None)
@given(st.integers(1, 20), SEEDS)
def test_the_longest_text_stays_within_its_bound(tries, seed):
    game = MathProblems(tries=tries)
    state = MathState("Q" * 1000, "blue", tries)
    for number in range(tries):
        move = game.parse(state, f"{number:03}" + "x" * 197)
        assert move is not None
        state = game.play(state, move, RNG).state
    assert len(game.text(state)) <= game.max_text


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"difficulty": 0}, "difficulty=0 must be a whole number from 1 to 4"),
        ({"difficulty": 5}, "difficulty=5 must be a whole number from 1 to 4"),
        ({"kind": "algebra"}, "kind='algebra' is not one of 'all', 'arithmetic', 'story'"),
        ({"tries": 0}, "tries=0 must be a whole number from 1 to 20"),
        ({"tries": 2.0}, r"tries=2\.0 must be a whole number from 1 to 20"),
        ({"dataset": "x", "difficulty": 2}, "difficulty=2 and kind='all' are for generated quest"),
        ({"dataset": "x", "kind": "story"}, "kind='story' are for generated questions; leave them"),
    ],
)
def test_bad_parameters_are_refused(params, fault):
    with pytest.raises(ValueError, match=fault):
        MathProblems(**params)


def test_rules_follow_the_parameters():
    assert "You have 5 tries." in MathProblems().rules
    assert "You have one try." in MathProblems(tries=1).rules
