"""Facts as words: how a claim about the state is read and scored."""

from itertools import permutations

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import text_envs  # noqa: F401
from starpo_plugin.assignment import assignment
from starpo_plugin.constant_answer import best_constant, sample_states
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.facts import Reader, describe, f1, frozen, matched
from starpo_plugin.trajectory_file import _with_tuples

SOKOBAN = {"player": (2, 3), "boxes": [(3, 3), (1, 4)], "targets": [(4, 1), (1, 1)]}
GAMES = sorted(
    i for i, s in gym.registry.items() if i.startswith("Text") and "split" not in s.kwargs
)
GAMES = [g for g in GAMES if g not in ("TextMixture-v0", "TextCurriculum-v0", "TextCustom-v0")]


# --- the assignment ---


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_the_assignment_is_the_best_of_all(seed, n, more, whole):
    rng = np.random.default_rng(seed)
    gain = rng.integers(0, 3, (n, n + more)) if whole else rng.normal(size=(n, n + more))
    columns = assignment(gain.astype(float))
    assert len(set(columns.tolist())) == n
    best = max(sum(gain[r, c] for r, c in enumerate(p)) for p in permutations(range(n + more), n))
    assert sum(gain[r, c] for r, c in enumerate(columns)) == pytest.approx(best)


things = st.lists(st.tuples(*[st.sampled_from("123")] * 2), max_size=4)


@given(things, things)
def test_matching_agrees_with_trying_every_one(claimed, true):
    short, long = sorted((claimed, true), key=len)
    best = max(
        sum(a == b for s, t in zip(short, p, strict=True) for a, b in zip(s, t, strict=True))
        for p in permutations(long, len(short))
    )
    assert matched(claimed, true) == matched(true, claimed) == best


# --- F1 ---


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("player 2 3 boxes 3 3 1 4 targets 4 1 1 1", 1),
        ("Player: (2, 3); boxes = [(1, 4), (3, 3)]; targets (1,1) (4,1)", 1),  # another order
        ("player 2 3", 2 * 2 / (2 + 10)),
        ("player 3 2 boxes 3 3 1 4 targets 4 1 1 1", 2 * 8 / (10 + 10)),  # no order is free
        ("player 2 3 boxes 3 4 targets 4 1 1 1", 2 * 7 / (8 + 10)),  # half a box
        ("player 2 3 boxes 1 3 3 4 targets 4 1 1 1", 2 * 8 / 20),  # a best matching, 2 of 4
        ("player 2 3 player 3 3", 2 * 2 / (4 + 10)),  # a guess more is a claim more
        ("the player is at 2 3", 2 * 0 / (5 + 10)),  # 'the' before, 'is at' shift what follows
        ("", 0),
        ("boxes", 0),
    ],
)
def test_scores_by_hand(text, score):
    assert Reader(SOKOBAN).score(text) == pytest.approx(score)


def test_a_list_of_words_has_an_order_and_names_may_be_long():
    facts = {"row 0": [0, 2, 4], "row 1": [0, 0, 0], "pairs found": 1, "pairs": 6}
    reader = Reader(facts)
    assert reader.read("row 1 0 0 0 pairs 6 pairs found 1 row 0 0 2 4") == {
        "row 1": [("0", "0", "0")],
        "pairs": [("6",)],
        "pairs found": [("1",)],
        "row 0": [("0", "2", "4")],
    }
    assert reader.score("row 0 4 2 0") == pytest.approx(2 * 1 / (3 + 8))


def test_a_text_far_too_long_is_worth_nothing():
    everything = " ".join(f"{r} {c}" for r in range(6) for c in range(6))
    assert Reader(SOKOBAN).score(f"boxes {everything}") == 0
    assert Reader(SOKOBAN).score("player 2 3 boxes 3 3 1 4 targets 4 1 1 1" + " x" * 31) == 0


def test_no_facts_no_score():
    assert Reader({}).score("") == Reader({}).score("player 2 3") == 0
    assert f1({}, {}) == 0


@pytest.mark.parametrize("game", GAMES)
def test_what_a_demonstration_writes_is_read_as_true_in_every_game(game):
    env = gym.make(game)
    for seed in range(3):
        env.reset(seed=seed)
        for _ in range(3):
            facts = env.unwrapped.facts()  # pyright: ignore[reportAttributeAccessIssue]
            reader = Reader(facts)
            assert reader.score(describe(facts)) == 1
            # as they come back from a file
            assert Reader(_with_tuples(frozen(facts))).truth == reader.truth
            legal = env.unwrapped.legal_actions()  # pyright: ignore[reportAttributeAccessIssue]
            if not legal:
                break
            env.step(legal[0])


HOSTILE = st.text() | st.lists(
    st.sampled_from(["player", "boxes", "2", "3", "(", ",", "\x00"])
).map(" ".join)


@given(HOSTILE)
def test_any_text_is_read(text):
    reader = Reader(SOKOBAN)
    assert 0 <= reader.score(text) <= 1
    assert reader.score(text) == reader.score(f"  {text.upper()}\n".lower())


def test_a_long_hostile_text_takes_no_time():
    cells = [(r, c) for r in range(30) for c in range(16)]
    reader = Reader({"hidden": cells})
    shifted = " ".join(f"{r + 1} {99 - c}" for r, c in cells)
    assert reader.score("hidden " + "1 " * 32_000) == 0
    assert 0 < reader.score(f"hidden {shifted}") < 1


# --- the best constant ---


def test_a_constant_of_one_state_is_that_state():
    found = best_constant([SOKOBAN, SOKOBAN])
    assert found.mean == 1
    assert Reader(SOKOBAN).score(found.text) == 1


def test_the_best_constant_by_hand():
    states = [{"a": 1, "b": x} for x in (1, 2, 3, 4)]
    # only a: 2 / (1 + 2); a and some b: (1 + .5 + .5 + .5) / 4
    found = best_constant(states)
    assert (found.text, found.mean) == ("a 1", pytest.approx(2 / 3))
    likely = [{"a": 1, "b": x} for x in (1, 1, 1, 4)]
    assert best_constant(likely).mean == pytest.approx((3 + 0.5) / 4)


@pytest.mark.parametrize("game", ["TextSokoban-v0", "TextFrozenLake-v0"])
def test_no_state_of_a_sample_is_a_better_constant(game):
    states = sample_states(EpisodeSpec(game).make(), 5)
    assert states == sample_states(EpisodeSpec(game).make(), 5)
    found = best_constant(states[:40])
    readers = [Reader(s) for s in states[:40]]
    for state in states[:40]:
        text = describe(state)
        assert sum(r.score(text) for r in readers) / 40 <= found.mean + 1e-9
    # and it keeps its worth on states that it was not found for
    fresh = sample_states(EpisodeSpec(game).make(), 900)
    assert sum(Reader(s).score(found.text) for s in fresh) / len(fresh) < found.mean + 0.1
