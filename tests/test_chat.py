"""What a chat model is told, and how its replies are read; no episode is played."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_envs import Budget, ChatProtocol
from text_envs.chat import FORMATS, MAX_REPLY
from text_envs.testing import arbitrary_text

THINK = ChatProtocol()


# --- reading replies ---


@pytest.mark.parametrize("format", FORMATS)
def test_reads_what_it_asks_for(format: str):
    protocol = ChatProtocol(format=format)
    sections = {s: f"my {s}" for s in protocol.sections} | {"answer": " up || down "}
    reply = protocol.parse(protocol.write(sections))
    assert reply.well_formed
    assert reply.actions == ("up", "down")
    assert reply.sections == sections


@pytest.mark.parametrize("format", FORMATS)
def test_its_own_example_is_well_formed(format: str):
    protocol = ChatProtocol(format=format, max_actions_per_turn=2)
    example = protocol.answer_format.splitlines()[-1]
    assert protocol.parse(example).well_formed
    assert "one to 2 moves" in protocol.answer_format
    assert "with one move:" in replace(protocol, max_actions_per_turn=1).answer_format


@pytest.mark.parametrize(
    ("reply", "actions"),
    [
        ("", ()),
        ("up", ()),
        ("<answer>up</answer>", ("up",)),
        ("<think></think><answer></answer>", ()),
        ("<think></think><answer> || </answer>", ()),
        ("<think>a</think><answer>up", ()),
        ("<think>a</think>up</answer>", ()),
        ("<think>a<answer>up</answer>", ("up",)),
        ("<answer>up</answer><think>a</think>", ("up",)),
        ("<think>a</think><answer>up</answer><answer>down</answer>", ()),
        ("<think>a</think><answer>up<answer>down</answer></answer>", ()),
        ("<think>a</think><think>b</think><answer>up</answer>", ("up",)),
        ("<think>a</think><answer>up<answer>down</answer>", ()),
        ("<think>a</think><answer>up</answer>down</answer>", ()),
        ("<think>or <answer>up</answer></think><answer>down</answer>", ()),
        ("<think>so <answer>up</answer></think>", ()),
        ("<think>so <answer></think>up</answer>", ()),
        ("<answer>up<think>a</think></answer>", ()),
        ("<think>a</think> so <answer>up</answer>", ("up",)),
        ("Well: <think>a</think><answer>up</answer>", ("up",)),
        ("<think>a</think><answer>up</answer> Done.", ("up",)),
        ("<THINK>a</THINK><ANSWER>up</ANSWER>", ()),
        ("<think>a</think></answer>up<answer>", ()),
        ("<think>a</think><answer>1||2||3||4||5||6</answer>", ("1", "2", "3", "4", "5")),
        (f"<think>{'a' * MAX_REPLY}</think><answer>up</answer>", ("up",)),
    ],
)
def test_ill_formed_replies(reply: str, actions: tuple[str, ...]):
    read = THINK.parse(reply)
    assert not read.well_formed
    assert read.actions == actions


def test_white_space_between_sections_is_allowed():
    assert THINK.parse("\n<think>\na\n</think>\n\n<answer> up </answer>\n").well_formed


def test_other_tags_and_separators():
    tags = {"think": "scratch", "answer": "move"}
    protocol = ChatProtocol(tags=tags, action_separator=";", max_actions_per_turn=3)
    reply = protocol.parse("<scratch>a</scratch><move>up;down || left</move>")
    assert reply.well_formed
    assert reply.actions == ("up", "down || left")
    assert reply.sections == {"think": "a", "answer": "up;down || left"}
    assert not protocol.parse("<think>a</think><answer>up</answer>").actions
    assert "<scratch>your reasoning</scratch><move>move 1 ; move 2</move>" in protocol.answer_format


TAG_SOUP = st.lists(
    st.sampled_from(
        [f"<{slash}{tag}>" for tag in FORMATS["world"] for slash in ("", "/")]
        + ["<think>", "</think>", "<answer>", "</answer>", "||", "up", " ", "<", ">", "<answer"]
    ),
    max_size=12,
).map("".join)


@given(st.sampled_from(sorted(FORMATS)), st.one_of(TAG_SOUP, arbitrary_text()))
def test_any_text_can_be_read(format: str, text: str):
    protocol = ChatProtocol(format=format)
    reply = protocol.parse(text)
    assert reply.sections.keys() == reply.spans.keys()
    for section, (start, end) in reply.spans.items():
        assert text[start:end] == reply.sections[section]
        assert text[:start].endswith(f"<{section}>")
        assert text[end:].startswith(f"</{section}>")
    assert len(reply.actions) <= protocol.max_actions_per_turn
    for action in reply.actions:
        assert action == action.strip() != ""
        assert action in reply.sections["answer"]
    if reply.well_formed:
        assert reply.actions
        assert tuple(sorted(reply.spans, key=reply.spans.__getitem__)) == protocol.sections
        bare = text
        for section in protocol.sections:
            bare = bare.replace(f"<{section}>{reply.sections[section]}</{section}>", "", 1)
        assert not bare.strip()


PLAIN = st.text(st.characters(exclude_characters="<>|", exclude_categories=["Cs"]), max_size=20)


@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(PLAIN.filter(str.strip), min_size=1, max_size=5),
    st.lists(PLAIN, min_size=3, max_size=3),
)
def test_reads_what_it_writes(format: str, moves: list[str], texts: list[str]):
    protocol = ChatProtocol(format=format)
    sections = dict(zip(protocol.sections, [*texts, *texts], strict=False))
    sections["answer"] = protocol.action_separator.join(moves)
    reply = protocol.parse(protocol.write(sections))
    assert reply.well_formed
    assert reply.sections == sections
    assert reply.actions == tuple(move.strip() for move in moves)


@pytest.mark.parametrize(
    "unit", ["<answer>", "</answer>", "<think>", "<answer></answer>", "<", "||", " ", "<answer"]
)
def test_a_megabyte_is_read_at_once(unit: str):
    """Quadratic work on a megabyte would take many minutes."""
    text = unit * (2**20 // len(unit))
    for framed in (text, f"<think>{text}</think><answer>{text}</answer>", f"{text}<answer>up"):
        assert not THINK.parse(framed).well_formed


# --- prompts ---


def test_user_message():
    protocol = ChatProtocol(
        user_template="{turn:02d}/{turns} {moves} {legal_actions}|{observation}"
    )
    info = {"legal_actions": ("left", "right")}
    assert protocol.user("P__{x}", info, 0, Budget(5, 10)) == "01/5 10 left, right|P__{x}"
    assert protocol.user("P__", {"legal_actions": None}, 4, Budget(1, 2)) == "05/5 2 |P__"
    assert protocol.user("P__", {}, 5, Budget(0, 0)) == "05/5 0 |P__"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "json"}, "format='json' is not one of answer, think"),
        ({"format": ["think"]}, r"format=\['think'\] is not one of answer, think"),
        ({"max_actions_per_turn": 0}, "max_actions_per_turn=0 must be a whole number of at least"),
        ({"max_actions_per_turn": "5"}, "max_actions_per_turn='5' must be a whole number"),
        ({"action_separator": " "}, "action_separator=' ' must be a text, not empty or blank"),
        ({"action_separator": None}, "action_separator=None must be a text"),
        ({"tags": "think"}, "tags='think' must be a dict"),
        ({"tags": {"think": 5}}, "must be different plain names"),
        ({"tags": {"thought": "t"}}, r"tags name unknown sections \['thought'\]"),
        ({"tags": {"think": "answer"}}, "must be different plain names"),
        ({"tags": {"think": "a b"}}, "must be different plain names"),
        ({"user_template": "{board}"}, r"user_template='\{board\}' can't be filled in"),
        ({"user_template": "{"}, "it may have {turn}, {turns}, {moves}, {observation}"),
        ({"system_template": "{0}"}, r"system_template='\{0\}' can't be filled in"),
    ],
)
def test_bad_protocols(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ChatProtocol(**fields)
