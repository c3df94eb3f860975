import pytest
from starpo_kit import play

from starpo_plugin.config import TrainConfig
from starpo_plugin.diagnostics import METRICS, describe, section, variety
from starpo_plugin.policy import Policy
from starpo_plugin.sections import SECTIONS, is_unclosed, span
from starpo_plugin.start import start_model, warm_up
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.watcher import Silent
from text_envs.chat import ChatProtocol

THINK = ChatProtocol("think")


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


def test_a_section_is_the_tokens_between_its_tags():
    think, answer = SECTIONS.index("think"), SECTIONS.index("answer")
    sections = (0, think, think, 0, 0, answer, 0)
    assert (span(sections, "think"), span(sections, "answer")) == ((1, 3), (5, 6))
    assert span(sections, "prediction") is None


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
    sections = [0] * len(ids)
    for name, (start, end) in spans.items():
        sections[start:end] = [SECTIONS.index(name)] * (end - start)
    return Turn((0,), ids, (0.0,) * len(ids), "", reply, 1.0, flags, tuple(sections))


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
    assert any(section(k, "think") for k in turns)
    assert 0 < sum(k.info["unclosed"] for k in turns) < len(turns)
    for k in turns:
        parsed = config.protocol().parse(k.reply)
        assert k.info["unclosed"] == is_unclosed(config.protocol(), k.reply)
        if k.info["well_formed"]:
            found = {n: tokens.decode(section(k, n)) for n in parsed.sections}
            assert found == parsed.sections
    assert describe(played).keys() <= METRICS.keys()


def test_every_metric_has_a_unit_and_a_sentence():
    for name, metric in METRICS.items():
        assert metric.unit, name
        assert metric.about.endswith("."), name
