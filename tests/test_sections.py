"""Which characters of a reply each token wrote, and which section it belongs to."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starpo_kit import WORDS, play, small_policy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from starpo_plugin.batch import collate
from starpo_plugin.sections import SECTIONS, readable, token_sections
from starpo_plugin.tiny import CHAT_TEMPLATE, tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from text_envs.chat import ChatProtocol

TOKENS = ChatTokens(tiny_tokenizer(WORDS, tags=("think", "answer")))
PARSE = ChatProtocol("think").parse


def _wordpieces() -> ChatTokens:
    """A tokenizer like Llama's: the first word loses its space when it is decoded."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    for piece in (
        "▁",
        "▁go",
        "go",
        "▁left",
        "<",
        ">",
        "think",
        "answer",
        "</",
        "><",
        ">▁",
        "<unk>",
    ):
        vocab.setdefault(piece, len(vocab))
    core = Tokenizer(models.BPE(vocab, [], byte_fallback=True, ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(split=False)  # pyright: ignore[reportAttributeAccessIssue]
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return ChatTokens(tokenizer)


def _byte_level() -> ChatTokens:
    """A tokenizer like GPT-2's: every token is bytes, and any of them can break a character."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return ChatTokens(tokenizer)


ALL = {"tiny": TOKENS, "wordpieces": _wordpieces(), "byte level": _byte_level()}


def _by_token(tokens: ChatTokens, ids: list[int], parse=PARSE) -> list[tuple[str, str]]:
    text = tokens.decode(ids)
    found = token_sections(tokens.spans(ids), parse(text).spans)
    spans = tokens.spans(ids)
    return [(text[a:b], SECTIONS[s]) for (a, b), s in zip(spans, found, strict=True)]


def test_a_worked_example():
    ids = [*TOKENS.encode("<think>left right</think> <answer>up</answer>"), TOKENS.closing_id]
    assert _by_token(TOKENS, ids) == [
        ("<think>", "tags"),
        ("left", "think"),
        (" right", "think"),
        ("</think>", "tags"),
        (" ", "tags"),
        ("<answer>", "tags"),
        ("up", "answer"),
        ("</answer>", "tags"),
        ("", "tags"),  # the end of the turn
    ]


def test_the_bytes_of_a_character_share_it():
    ids = TOKENS.encode("<think>√左</think><answer>up</answer>")
    found = _by_token(TOKENS, ids)
    assert (
        found[1:7] == [("√", "think")] * 3 + [("左", "think")] * 3
        or found[1:7] == [("√左", "think")] * 6
    )
    assert [s for _, s in found[7:]] == ["tags", "tags", "answer", "tags"]


def test_a_token_that_holds_a_part_of_a_tag_is_a_tag():
    tokens = ALL["wordpieces"]
    vocab = tokens.tokenizer.get_vocab()
    pieces = ["<", "think", ">▁", "go", "</", "think", "><", "answer", ">", "▁left", "</", "answer"]
    ids = [vocab[p] for p in [*pieces, ">"]]
    assert tokens.decode(ids) == "<think> go</think><answer> left</answer>"
    words = {text: section for text, section in _by_token(tokens, ids) if text.strip("<>/")}
    assert words["go"] == "think"
    assert words[" left"] == "answer"
    assert dict(_by_token(tokens, ids))["> "] == dict(_by_token(tokens, ids))["><"] == "tags"


def test_the_first_word_that_loses_its_space_when_decoded():
    tokens = ALL["wordpieces"]
    vocab = tokens.tokenizer.get_vocab()
    ids = [vocab["▁go"], vocab["▁left"]]
    assert tokens.decode(ids) == "go left"
    assert tokens.spans(ids) == [(0, 2), (2, 7)]


def _slow_spans(tokens: ChatTokens, ids: list[int]) -> list[tuple[int, int]] | None:
    """Where every prefix decodes to a longer prefix of the text: the differences; else None."""
    text = tokens.decode(ids)
    prefixes = [tokens.decode(ids[: i + 1]) for i in range(len(ids))]
    ends = [0, *map(len, prefixes)]
    if not all(text.startswith(p) for p in prefixes) or ends != sorted(set(ends)):
        return None
    return list(pairwise(ends))


@pytest.mark.parametrize("name", ALL)
@given(data=st.data())
def test_any_ids_at_all(name, data):
    """Random models write broken bytes: spans tile the text in order, and never raise."""
    tokens = ALL[name]
    plain = [i for i in range(len(tokens.tokenizer)) if i not in tokens.end_ids]
    ids = data.draw(st.lists(st.sampled_from(plain), max_size=12))
    ids += [tokens.closing_id] * data.draw(st.integers(0, 1))
    text, spans = tokens.decode(ids), tokens.spans(ids)
    assert len(spans) == len(ids)
    covered = 0
    for start, end in spans:
        assert 0 <= start <= covered  # no gap
        assert end >= covered
        covered = end
    assert covered == len(text) or not ids
    if (slow := _slow_spans(tokens, ids)) is not None:
        assert spans == slow
    assert len(token_sections(spans, PARSE(text).spans)) == len(ids)


@given(st.text(st.sampled_from("ab√左🎲 \n<>/"), max_size=12))
def test_text_that_was_encoded_is_found_character_by_character(thought):
    reply = f"<think>{thought}</think><answer>up</answer>"
    for tokens in (TOKENS, ALL["byte level"]):
        ids = tokens.encode(reply)
        if PARSE(reply).spans.keys() != {"think", "answer"}:
            continue
        start = PARSE(reply).spans["think"][0]
        own = [i for i, (_, s) in enumerate(_by_token(tokens, ids)) if s == "think"]
        assert tokens.decode([ids[i] for i in own]) == thought
        assert own == sorted(own)
        assert not own or tokens.spans(ids)[own[0]][0] == start


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("<think>a</think><answer>up</answer>", {"think": "a", "answer": "up"}),
        ("<think>a<answer>up</answer>", {"answer": "up"}),  # never closed
        ("<answer>up</answer><think>a</think>", {"think": "a", "answer": "up"}),  # another order
        ("<think>a</think><answer>up</answer><answer>up</answer>", {"think": "a"}),  # twice
        ("<think>a<answer>up</answer></think>", {}),  # one in the other
        ("<think>a<answer>b</think>up</answer>", {}),  # crossed
        ("<think></think><answer></answer>", {}),  # empty
        ("up", {}),
    ],
)
def test_replies_that_are_not_well_formed_keep_what_can_be_read(reply, named):
    found: dict[str, str] = {}
    for text, section in _by_token(TOKENS, TOKENS.encode(reply)):
        found[section] = found.get(section, "") + text
    found.pop("tags", None)
    assert found == named


def test_overlap_is_that_of_the_sections_with_their_tags():
    assert readable({"a": (3, 5), "b": (5, 6)}) == {}  # b's opening tag is inside a
    assert set(readable({"a": (3, 5), "b": (6, 6), "c": (20, 20)})) == {"a", "b", "c"}


def test_rollouts_carry_the_section_of_every_sampled_token():
    played = play(small_policy(spread=2.0), groups=2, members=3)
    batch = collate(played, pad_id=0)
    assert (batch.section[batch.mask > 0] >= 0).all()
    assert (batch.section[batch.mask == 0] == -1).all()
    for trajectory in played:
        assert all(len(t.sections) == len(t.reply_ids) for t in trajectory.turns)
