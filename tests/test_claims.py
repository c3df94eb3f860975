import pytest
from hypothesis import given
from hypothesis import strategies as st

from starpo_plugin.claims import compare
from starpo_plugin.facts import describe

FACTS = {"player": (2, 3), "boxes": [(3, 3), (1, 4)], "targets": [(4, 1), (4, 2)]}


def verdicts(text: str, facts=FACTS) -> dict[str, str]:
    return {claim.name: claim.verdict for claim in compare(text, facts)}


def test_what_a_demonstration_writes_is_true():
    assert set(verdicts(describe(FACTS)).values()) == {"same"}
    # what comes after the facts is no part of the last one
    assert set(verdicts(describe(FACTS) + " then up up from 3 2").values()) == {"same"}


def test_what_differs_is_told_with_what_was_said():
    player, boxes, targets = compare("player 2 4 boxes 3 3 targets", FACTS)
    assert player == ("player", "2 3", "2 4", "differs")
    assert boxes == ("boxes", "3 3 1 4", "3 3", "differs")
    assert targets.verdict == "differs"
    assert verdicts("player 2 3") == {"player": "same", "boxes": "not said", "targets": "not said"}


@pytest.mark.parametrize(
    "text",
    [
        "The player is at (2, 3). I see boxes at (3,3) and (1,4); targets: [4, 1], [4, 2].",
        "The player has to push. player: row 2, column 3\nBoxes 3 3 1 4 Targets 4 1 4 2 now",
    ],
)
def test_free_text_is_read_as_far_as_it_can_be(text):
    assert set(verdicts(text).values()) == {"same"}


def test_names_of_several_words_and_values_of_words():
    facts = {"card 1": "face down", "card 11": "sun", "pairs found": 0, "pairs": 6, "row": []}
    told = verdicts("card 1 face down card 11 sun pairs found 0 pairs 6 row", facts)
    assert set(told.values()) == {"same"}
    told = verdicts("card 1 sun pairs found 1", facts)
    assert (told["card 1"], told["pairs found"]) == ("differs", "differs")
    assert told["pairs"] == "not said"


@given(st.text(), st.dictionaries(st.text(max_size=9), st.text() | st.integers(), max_size=4))
def test_any_text_can_be_compared(text, facts):
    assert [claim.name for claim in compare(text, facts)] == list(facts)
