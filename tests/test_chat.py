import json
import pickle
import warnings
from copy import deepcopy
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from tiny_game import CORRIDOR_ID

import text_envs
from text_envs import ENV_IDS, Budget, ChatEnv, ChatProtocol
from text_envs.chat import FORMATS, MAX_REPLY, content_blocks
from text_envs.testing import arbitrary_text

THINK = ChatProtocol()


def corridor(level: str = "P____", protocol: ChatProtocol = THINK, **kwargs: Any) -> ChatEnv:
    """A chat that has begun, in a corridor."""
    env = ChatEnv(gym.make(CORRIDOR_ID), protocol, **kwargs)
    env.reset(seed=0, options={"level": level})
    return env


def answer(*moves: str, protocol: ChatProtocol = THINK) -> str:
    return protocol.write({"think": "I walk.", "answer": protocol.action_separator.join(moves)})


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


def test_system_message_has_rules_and_format():
    env = corridor()
    system = THINK.system(env)
    assert env.unwrapped.rules in system  # pyright: ignore[reportAttributeAccessIssue] (TextEnv has it)
    assert THINK.answer_format in system
    assert THINK.system(env) == env.reset()[1]["system"]
    assert ChatProtocol(system_template="").system(env) == ""
    assert ChatProtocol(rules="Walk {on}.").system(env).startswith("Walk {on}.")


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
        ({"max_actions_per_turn": 0}, "max_actions_per_turn=0 must be at least 1"),
        ({"action_separator": " "}, "must not be empty or blank"),
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


# --- whole replies as steps ---


def test_a_reply_is_a_step():
    env = corridor("_P___")
    message, reward, terminated, truncated, info = env.step(answer("left", "right", "up"))
    assert reward == pytest.approx(-0.1 - 0.1 - 0.1)
    assert (terminated, truncated) == (False, False)
    assert message.startswith("Turn 2 of 5. Moves left: 7.\nInvalid move.")
    assert message.endswith("_P___")
    assert info["turn"] == 1
    assert info["actions"] == ("left", "right", "up")
    assert info["sections"] == {"think": "I walk.", "answer": "left||right||up"}
    assert info["well_formed"] is True
    flags = info["success"], info["action_is_valid"], info["action_is_effective"]
    assert flags == (False, False, True)


def test_moves_after_the_end_are_not_played():
    env = corridor("P__")
    _, reward, terminated, truncated, info = env.step(answer("right", "right", "right", "left"))
    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(-0.1 + 0.9)
    assert info["actions"] == ("right", "right")
    assert info["success"] is True
    assert info["legal_actions"] == ()


def test_turns_are_limited():
    env = corridor(max_turns=2)
    assert env.step(answer("left"))[2:4] == (False, False)
    assert env.step(answer("left"))[2:4] == (False, True)


def test_moves_are_limited():
    env = corridor(max_turns=9, max_actions=3)
    assert env.step(answer("left", "left"))[2:4] == (False, False)
    message, _, terminated, truncated, info = env.step(answer("left", "right"))
    assert (terminated, truncated) == (False, True)
    assert info["actions"] == ("left",)
    assert "Moves left: 0." in message


def test_the_last_move_may_still_win():
    env = corridor("P__", max_turns=1, max_actions=2)
    assert env.step(answer("right", "right"))[2:4] == (True, False)


def test_the_environments_own_limit_counts():
    env = ChatEnv(gym.make(CORRIDOR_ID, max_episode_steps=3), max_turns=9)
    env.reset(options={"level": "P_____"})
    _, _, terminated, truncated, info = env.step(answer(*["left"] * 5))
    assert (terminated, truncated) == (False, True)
    assert len(info["actions"]) == 3


def test_ill_formed_replies_cost():
    env = corridor(format_penalty=-0.25)
    assert env.step("right")[1] == -0.25
    message, reward, *_, info = env.step("<answer>right</answer>")
    assert reward == pytest.approx(-0.25 - 0.1)
    assert info["well_formed"] is False
    assert info["actions"] == ("right",)
    assert message.endswith("_P___")


def test_a_reply_without_moves_is_a_turn():
    env = corridor()
    message, reward, *_, info = env.step("Hm.")
    assert reward == -0.1
    assert message == "Turn 2 of 5. Moves left: 10.\nP____"
    assert info["actions"] == ()
    flags = info["success"], info["action_is_valid"], info["action_is_effective"]
    assert flags == (False, False, False)
    assert info["legal_actions"] == ("left", "right")


def test_wants_a_reset_and_strings():
    env = ChatEnv(gym.make(CORRIDOR_ID))
    with pytest.raises(gym.error.ResetNeeded):
        env.step("<answer>left</answer>")
    env.reset(seed=0)
    for action in (None, 3, b"left", ["left"]):
        with pytest.raises(gym.error.InvalidAction, match="a reply is a str"):
            env.step(action)  # pyright: ignore[reportArgumentType] (the point of the test)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_turns": 0}, "max_turns=0 must be a whole number of at least 1"),
        ({"max_actions": 2.5}, "max_actions=2.5 must be a whole number of at least 1"),
        ({"format_penalty": 0.1}, "format_penalty=0.1 must be a number of at most 0"),
    ],
)
def test_bad_limits(kwargs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ChatEnv(gym.make(CORRIDOR_ID), **kwargs)


@pytest.mark.parametrize("id", [*ENV_IDS, CORRIDOR_ID])
@pytest.mark.parametrize(
    "kwargs", [{}, {"obs_mode": "text+image", "tile": 8}], ids=["text", "image"]
)
def test_gymnasium_approves(id: str, kwargs: dict[str, Any]):
    env = ChatEnv(
        gym.make(id, **kwargs), ChatProtocol(user_template="{legal_actions}{observation}")
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    assert len(caught) == 1, [str(w.message) for w in caught]
    assert "different from the unwrapped version" in str(caught[0].message)


@pytest.mark.parametrize("id", [*ENV_IDS, CORRIDOR_ID])
def test_copies_go_on_identically(id: str):
    env = ChatEnv(gym.make(id), ChatProtocol(format="answer"))
    _, info = env.reset(seed=5)
    moves = [answer(move, protocol=env.protocol) for move in info["legal_actions"]]
    env.step(moves[0])
    for copy in (pickle.loads(pickle.dumps(env)), deepcopy(env)):
        twin = deepcopy(env)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*after the game has ended")
            for move in moves:
                assert copy.step(move) == twin.step(move)


def test_spec_goes_through_json():
    protocol = ChatProtocol(format="observe", tags={"think": "scratch"}, action_separator=";")
    env = ChatEnv(gym.make(CORRIDOR_ID, slip=0.3), protocol, 4, 7, -0.2)
    assert env.spec is not None
    again: Any = gym.make(EnvSpec.from_json(json.dumps(json.loads(env.spec.to_json()))))
    assert isinstance(again, ChatEnv)
    assert again.protocol == protocol
    assert (again.max_turns, again.max_actions, again.format_penalty) == (4, 7, -0.2)
    assert again.reset(seed=3) == env.reset(seed=3)
    for _ in range(4):
        reply = protocol.write({"observation": "o", "think": "t", "answer": "right;left"})
        assert again.step(reply) == env.step(reply)


# --- environments from elsewhere ---


class Echo(gym.Env[str, str]):
    """Ends when it is told to. No rules, no info."""

    observation_space = spaces.Text(32, min_length=0)
    action_space = spaces.Text(32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "hello", {}

    def step(self, action):
        return action[:32], 1, action == "bye", False, {}


def test_an_environment_without_rules():
    with pytest.raises(ValueError, match=r"has no attribute 'rules': give the protocol its own"):
        ChatEnv(Echo()).reset()
    env = ChatEnv(Echo(), ChatProtocol(rules="Say bye."))
    message, info = env.reset(seed=0)
    assert message.endswith("hello")
    assert info["system"].startswith("Say bye.")
    message, reward, terminated, truncated, info = env.step(answer("hi", "there", "bye", "again"))
    assert message.endswith("bye")
    assert (reward, terminated, truncated) == (3.0, True, False)
    assert info["actions"] == ("hi", "there", "bye")
    assert info["action_is_valid"] is True
    assert info["success"] is False
    assert env.observation_space.contains(message)


def test_an_environment_without_text():
    with pytest.raises(TypeError, match="ChatEnv needs text observations"):
        ChatEnv(gym.make("CartPole-v1"))
    pixels = gym.wrappers.TransformObservation(
        Echo(), lambda text: {"x": 1}, spaces.Dict(x=spaces.Discrete(2))
    )
    with pytest.raises(TypeError, match="ChatEnv needs text observations"):
        ChatEnv(pixels)


# --- pictures ---


def test_pictures_become_content_blocks():
    env = ChatEnv(gym.make(CORRIDOR_ID, obs_mode="text+image", tile=8))
    message, _ = env.reset(options={"level": "P__"})
    assert env.observation_space.contains(message)
    assert message["text"] == "Turn 1 of 5. Moves left: 10.\n<image>\nP__"
    blocks: Any = content_blocks(message)
    assert [block["type"] for block in blocks] == ["text", "image", "text"]
    assert blocks[0]["text"] == "Turn 1 of 5. Moves left: 10.\n"
    assert blocks[1]["image"] is message["image"]
    assert blocks[2]["text"] == "\nP__"


def test_content_blocks_of_other_messages():
    image = np.zeros((2, 2, 3), np.uint8)
    assert content_blocks("text") == "text"
    assert content_blocks({"text": "text"}) == "text"
    assert content_blocks({"text": "<image>", "image": image}) == [
        {"type": "image", "image": image}
    ]
    blocks: Any = content_blocks({"text": "a", "image": image})
    assert [block["type"] for block in blocks] == ["text", "image"]


def test_the_package_offers_it():
    assert text_envs.ChatEnv is ChatEnv
