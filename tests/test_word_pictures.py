"""Pictures of Countdown and Math: one shape, and all that the player knows, but nothing else; and
words on the small plates of other games.
"""

import numpy as np
import pytest

from text_envs.games.bandit import NAMES
from text_envs.games.countdown import CountdownState
from text_envs.games.math_problems import MathState

pytest.importorskip("pygame")
renderers = pytest.importorskip("renderers")
from renderers import bandit, glyphs  # noqa: E402 (after the skip)

FOUR = CountdownState((3, 3, 8, 8), 24, 3)
ASKED = MathState("What is 6 * 7?", "42", 3)

COUNTDOWN = [
    FOUR,
    FOUR._replace(numbers=(8, 8, 3, 3)),
    FOUR._replace(numbers=(3, 8)),
    FOUR._replace(numbers=(9999, 9998, 9997, 9996, 9995, 9994)),
    FOUR._replace(target=99_999),
    FOUR._replace(left=2),
    FOUR._replace(left=100),
    FOUR._replace(left=2, tried=("3 + 8",)),
    FOUR._replace(left=2, tried=("3 + 3",)),
    FOUR._replace(left=2, tried=("(" * 16 + "3 + 8 + 3" + ")" * 16,)),
    FOUR._replace(left=1, tried=("3 + 8", "3 + 3")),
    FOUR._replace(left=1, tried=("3 + 3", "3 + 8")),
    FOUR._replace(left=0, tried=("3 + 8", "3 + 3", "8 - 3")),
    FOUR._replace(left=0, tried=("8 / (3 - 8 / 3)",)),
]
MATH = [
    ASKED,
    ASKED._replace(question="What is 6 * 8?"),
    ASKED._replace(question="word " * 300),
    ASKED._replace(question="Which?\nOne of these: é √ \u200b 漢"),
    *(ASKED._replace(left=left) for left in (1, 2, 20)),
    ASKED._replace(guesses=("41",)),
    ASKED._replace(guesses=("40",)),
    ASKED._replace(guesses=("40", "41")),
    ASKED._replace(guesses=("41", "40")),
    ASKED._replace(guesses=("long words " * 18, "40")),
    ASKED._replace(left=0, guesses=("42",)),
    ASKED._replace(left=0, guesses=("40", "41", "43")),
]


@pytest.mark.parametrize("tile", [8, 16, 32, 45])
@pytest.mark.parametrize("states", [COUNTDOWN, MATH], ids=["countdown", "math"])
def test_pictures_have_one_shape_and_tell_states_apart(states, tile):
    pictures = [renderers.draw(state, tile) for state in states]
    assert all(map(renderers.has_drawer, states))
    assert len({picture.shape for picture in pictures}) == 1
    assert all(side % tile == 0 for side in pictures[0].shape[:2])
    assert all(p.dtype == np.uint8 and p.flags.c_contiguous for p in pictures)
    assert all(p.std() > 10 for p in pictures)
    if tile >= 16:
        assert len({picture.tobytes() for picture in pictures}) == len(states)


@pytest.mark.parametrize("state", [COUNTDOWN[0], COUNTDOWN[-1], MATH[0], MATH[-1]])
def test_a_picture_belongs_to_the_caller(state):
    first = renderers.draw(state)
    kept = first.copy()
    first[:] = 7
    assert np.array_equal(renderers.draw(state), kept)


@pytest.mark.parametrize("state", [s for s in MATH if "42" not in s.guesses])
def test_the_answer_is_not_in_the_picture(state):
    other = state._replace(answer="1000")
    assert np.array_equal(renderers.draw(other), renderers.draw(state))


def test_the_latest_guesses_have_room_and_the_oldest_make_it():
    def after(changed: int) -> np.ndarray:
        guesses = ["1111"] * 20
        guesses[changed] = "2222"
        return renderers.draw(ASKED._replace(guesses=tuple(guesses)))

    assert np.array_equal(after(0), after(1))
    assert not np.array_equal(after(0), after(19))
    assert not np.array_equal(after(18), after(19))


def test_the_last_three_expressions_are_shown():
    def after(changed: int) -> np.ndarray:
        tried = ["3 + 8"] * 5
        tried[changed] = "8 + 3"
        return renderers.draw(FOUR._replace(tried=tuple(tried)))

    assert np.array_equal(after(0), after(1))
    pictures = {after(changed).tobytes() for changed in range(5)}
    assert len(pictures) == 4


# --- names and words on small plates ---


@pytest.mark.parametrize("tile", [28, 32, 64])
def test_no_name_of_an_arm_is_broken(tile):
    for name in (name for lists in NAMES.values() for names in lists for name in names):
        assert " ".join(bandit.lettering(name, tile)[0]) == name


def test_a_word_is_broken_only_where_no_size_takes_it_whole():
    sizes = (20, 14, 10)
    assert len(glyphs.fit("mountaineer", 60, 40, sizes)[0]) == 2
    assert glyphs.fit("mountaineer", 60, 40, sizes, whole=True) == (["mountaineer"], 10)
    lines, size = glyphs.fit("mountaineer" * 3, 60, 40, sizes, whole=True)
    assert "".join(lines) == "mountaineer" * 3
    assert size == glyphs.fit("mountaineer" * 3, 60, 40, sizes)[1]
