import pytest
from hypothesis import given
from hypothesis import strategies as st
from starpo_kit import WORDS, play

from starpo_plugin.config import TrainConfig
from starpo_plugin.diagnostics import METRICS, describe, section, variety
from starpo_plugin.policy import Policy
from starpo_plugin.sections import is_unclosed, token_spans
from starpo_plugin.tiny import tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.train import Silent, start_model, warm_up
from starpo_plugin.trajectory import Trajectory, Turn
from text_envs.chat import ChatProtocol

THINK = ChatProtocol("think")


def spans(tokens: ChatTokens, ids: list[int]):
    text = tokens.decode(ids)
    return token_spans(ids, text, THINK.parse(text).spans, tokens.decode, tokens.piece)


@pytest.fixture(scope="module")
def tokens() -> ChatTokens:
    return ChatTokens(tiny_tokenizer(WORDS, tags=("think", "answer")))


def test_sections_are_the_tokens_between_their_tags(tokens):
    inside, answer = tokens.encode("boxes left"), tokens.encode("up")
    opening, closing = tokens.encode("<think>"), tokens.encode("</think><answer>")
    ids = opening + inside + closing + answer + tokens.encode("</answer>") + [tokens.closing_id]
    start = len(opening)
    end = start + len(inside)
    first = end + len(closing)
    assert spans(tokens, ids) == {"think": (start, end), "answer": (first, first + len(answer))}


@given(thought=st.text(max_size=12), answer=st.text(max_size=6))
def test_sections_of_any_text_decode_to_what_was_parsed(tokens, thought, answer):
    """Characters of several bytes are several tokens, none of which is text by itself."""
    ids = tokens.encode(f"<think>{thought}</think><answer>{answer}</answer>")
    text = tokens.decode(ids)
    parsed = THINK.parse(text)
    found = spans(tokens, ids)
    assert found.keys() == parsed.spans.keys()
    for name, (start, end) in found.items():
        assert tokens.decode(ids[start:end]) == parsed.sections[name]


def test_tokens_that_mean_other_text_together_than_alone():
    """A decoder that drops the first token's space, as SentencePiece models have."""
    words = [" <think>", " go", " on", "</think>", "<answer>", " up", "</answer>"]

    def decode(ids):
        return "".join(words[i] for i in ids).lstrip(" ")

    ids = list(range(7))
    text = decode(ids)
    found = token_spans(ids, text, THINK.parse(text).spans, decode, lambda i: decode([i]))
    assert found == {"think": (1, 3), "answer": (5, 6)}


def test_a_token_across_a_border_belongs_to_where_it_begins():
    words = ["<think>\n", "go.</", "think><answer>", "up</answer>"]

    def decode(ids):
        return "".join(words[i] for i in ids)

    text = decode(range(4))
    found = token_spans(range(4), text, THINK.parse(text).spans, decode, words.__getitem__)
    assert found == {"think": (1, 2), "answer": (3, 4)}


@given(st.lists(st.integers(0, 400), max_size=12))
def test_nothing_that_a_policy_samples_raises(tokens, ids):
    ids = [i % len(tokens.tokenizer) for i in ids]
    for start, end in spans(tokens, ids).values():
        assert 0 <= start <= end <= len(ids)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("", False),
        ("no tags", False),
        ("<think>a</think><answer>b</answer>", False),
        ("<think>a", True),
        ("<think>a</think><answer>b", True),
        ("<think>a<think>b</think>", False),
        ("<think>a</think><think>", True),
        ("</think>a", False),
        ("<other>a", False),
    ],
)
def test_tags_that_are_still_open(reply, expected):
    assert is_unclosed(THINK, reply) is expected


# --- what is measured ---


def test_variety_by_hand():
    thoughts = [(1, 2, 3), (1, 2, 3), (1, 2), (9,)]
    assert variety(thoughts) == {
        "thoughts_distinct": 3 / 4,
        "thought_most_common": 2 / 4,
        "thought_distinct_2": 2 / 5,  # 12 23 12 23 12
    }
    assert variety([()]) == {"thoughts_distinct": 1.0, "thought_most_common": 1.0}
    assert variety([]) == {}


def turn(reply: str, spans: dict[str, tuple[int, int]], **info) -> Turn:
    flags = {"well_formed": True, "unclosed": False, "action_is_valid": True}
    flags |= {"action_is_effective": True, **info}
    ids = tuple(map(ord, reply))
    return Turn((0,), ids, (0.0,) * len(ids), "", reply, 1.0, flags, spans)


def test_thoughts_and_answers_are_measured_apart():
    turns = (
        turn("aab", {"think": (0, 2), "answer": (2, 3)}),
        turn("aabbb", {"think": (0, 2), "answer": (2, 5)}),
        turn("ccccc", {"answer": (1, 4)}, unclosed=True, well_formed=False),
    )
    assert section(turns[1], "answer") == (98, 98, 98)
    found = describe([Trajectory("", 0, 0, 0, turns, success=True, end="terminated")])
    assert found["reply_tokens"] == pytest.approx(13 / 3)
    assert found["think_tokens"] == 2.0  # over the two replies that have one
    assert found["answer_tokens"] == pytest.approx(7 / 3)
    assert found["unclosed"] == pytest.approx(1 / 3)
    assert (found["thoughts_distinct"], found["thought_most_common"]) == (0.5, 1.0)


def test_what_has_nothing_to_be_the_mean_of_is_left_out():
    found = describe([Trajectory("", 0, 0, 0, (), success=False, end="out_of_tokens")])
    assert not {"think_tokens", "answer_tokens", "thoughts_distinct"} & found.keys()
    assert found["reply_tokens"] == 0.0


def test_rollouts_carry_their_sections():
    """Those of a policy that has just begun to imitate: sections, tags left open, and debris."""
    config = TrainConfig(
        env="TextFrozenLake-v0",
        env_args=("size=3",),
        system_template="",
        user_template="{observation}",
        tiny_hidden=32,
        tiny_layers=1,
        warmup_updates=20,
        warmup_batch=16,
        warmup_lr=1e-2,
    )
    policy = Policy(*start_model(config))
    tokens = ChatTokens(policy.tokenizer)
    warm_up(policy, tokens, config, Silent())
    played = play(policy, config.episodes(), groups=4, members=8, reply=40)
    turns = [k for t in played for k in t.turns]
    assert any(k.spans for k in turns)
    assert 0 < sum(k.info["unclosed"] for k in turns) < len(turns)
    for k in turns:
        parsed = config.protocol().parse(k.reply)
        assert k.info["unclosed"] == is_unclosed(config.protocol(), k.reply)
        assert {n: tokens.decode(section(k, n)) for n in k.spans} == parsed.sections
    assert describe(played).keys() <= METRICS.keys()


def test_every_metric_has_a_unit_and_a_sentence():
    for name, metric in METRICS.items():
        assert metric.unit, name
        assert metric.about.endswith("."), name
