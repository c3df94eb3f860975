from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starpo_kit import WORDS, parrot_spec, small_policy
from tokenizers import normalizers
from transformers import AutoTokenizer

from starpo_plugin.config import TrainConfig
from starpo_plugin.rollout import Rollouts, Sampling
from starpo_plugin.tiny import tiny_model, tiny_tokenizer
from starpo_plugin.tokens import ChatTokens
from text_envs.chat import ChatProtocol

# ids of ChatML: the end-of-turn token is followed by a newline that the policy never writes
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# like Qwen3's: thoughts of earlier turns are dropped when a conversation is rendered again
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and '</think>' in m.content %}"
    "{{ m.content.split('</think>')[1] }}{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + CHATML
)


def _tokenizer(template: str | None = None):
    tokenizer = tiny_tokenizer(WORDS, tags=("think", "answer"))
    if template is not None:
        tokenizer.add_special_tokens(
            {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]},
        )
        tokenizer.chat_template = template
    return tokenizer


def _conversation(tokenizer, turns, system="be brief"):
    tokens, ids = ChatTokens(tokenizer), []
    for k, (user, reply) in enumerate(turns):
        ids += tokens.next(user, ids[-1]) if k else tokens.start(system, user)
        ids += [*tokens.encode(reply), tokens.closing_id]
    return tokens, ids


TURNS = [("#P_O#", "<think>go</think>right"), ("#_PO#", "left"), ("#P_O#", "up || down")]


@pytest.mark.parametrize("template", [None, CHATML])
def test_appending_gives_what_a_prefix_preserving_template_renders(template):
    tokenizer = _tokenizer(template)
    _, ids = _conversation(tokenizer, TURNS)
    messages = [{"role": "system", "content": "be brief"}]
    for user, reply in TURNS:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    expected = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert ids == expected[: len(ids)]
    assert len(expected) - len(ids) <= 1  # ChatML's newline after the end of the last turn


def test_history_is_never_rendered_again():
    tokenizer = _tokenizer(FORGETFUL)
    _, ids = _conversation(tokenizer, TURNS)
    assert "<think>go</think>right" in tokenizer.decode(ids)


@pytest.mark.parametrize("mark", ["<|im_end|>", "<|im_start|>", "<|end|>", "<|pad|>"])
def test_what_a_game_repeats_of_a_reply_ends_no_turn(mark):
    """``History`` shows a player its own words; a tag that is no special token stays as it is."""
    tokens = ChatTokens(_tokenizer(CHATML))
    special = set(tokens.tokenizer.all_special_ids)
    first = lambda text: tokens.start("", text)  # noqa: E731
    later = lambda text: tokens.next(text, None)  # noqa: E731
    for ids_of in (first, later):
        plain, marked = (ids_of(f"You said: {said} <answer>.") for said in ("up", f"up{mark}up"))
        assert [i for i in plain if i in special] == [i for i in marked if i in special]
        assert mark[1:] in tokens.decode(marked)
    assert tokens.encode("<answer>")[0] in tokens.next("<answer>", None)


def test_a_reply_that_was_cut_off_is_closed_by_the_template():
    tokens = ChatTokens(_tokenizer(CHATML))
    cut = tokens.next("next", tokens.encode("a")[0])
    closed = tokens.next("next", tokens.closing_id)
    assert cut == [tokens.closing_id, *closed]


def test_a_template_without_a_system_role_lets_the_user_say_it():
    tokenizer = _tokenizer(NO_SYSTEM)
    text = tokenizer.decode(ChatTokens(tokenizer).start("be brief", "hello"))
    assert text.index("user") < text.index("be brief") < text.index("hello")


def test_no_system_message_no_system_tokens():
    tokenizer = _tokenizer()
    assert "system" not in tokenizer.decode(ChatTokens(tokenizer).start("", "hello"))


def test_a_tokenizer_without_a_template_is_refused():
    tokenizer = _tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        ChatTokens(tokenizer)


def test_a_template_that_loses_messages_is_refused():
    with pytest.raises(ValueError, match="drops messages"):
        ChatTokens(_tokenizer("{{ messages[-1].content }}"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_tiny_encodes_and_decodes_any_text(text):
    tokenizer = _TINY
    tokens = ChatTokens(tokenizer)
    ids = tokens.encode(text)
    if not any(i in tokenizer.all_special_ids for i in ids):
        assert tokens.decode(ids) == text


_TINY = _tokenizer()


def test_tiny_has_one_token_a_cell_and_a_word():
    ids = _TINY("#P_O#\nleft || right", add_special_tokens=False)["input_ids"]
    assert _TINY.convert_ids_to_tokens(ids) == [*"#P_O#", "\n", "left", " ||", " right"]


BOARDS = ["#####\n#P_O#\n#__X#\n#####", "#####\n#_P_#\n#O_X#\n#####", "#####\n#_P_#\n#_X_#\n#####"]
_FRAMED = tiny_tokenizer([*WORDS, *BOARDS], tags=("think", "answer"))


def test_tiny_has_one_token_for_the_walls_between_two_rows():
    ids = ChatTokens(_FRAMED).start("", "#####\n#P_O#\n#__X#\n#####")
    pieces = _FRAMED.convert_ids_to_tokens(ids)
    assert pieces[1:-2] == ["#####\n#", *"P_O", "#\n#", *"__X", "#\n#####"]


@given(st.lists(st.text("#_PO", min_size=3, max_size=3), min_size=1, max_size=5))
def test_tiny_keeps_cells_as_far_apart_as_they_are_on_the_board(rows):
    board = "\n".join(["#####", *(f"#{row}#" for row in rows), "#####"])
    ids = ChatTokens(_FRAMED).start("", board)[1:-2]
    cells = _FRAMED.convert_ids_to_tokens(ids)[1:]
    assert [cells[4 * k : 4 * k + 3] for k in range(len(rows))] == [list(row) for row in rows]
    assert len(cells) == 4 * len(rows)
    assert _FRAMED.decode(ids) == board


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("#\n"), max_size=60))
def test_a_tokenizer_that_knows_a_frame_still_takes_any_text(text):
    tokens = ChatTokens(_FRAMED)
    ids = tokens.encode(text)
    if not any(i in _FRAMED.all_special_ids for i in ids):
        assert tokens.decode(ids) == text


def test_boards_that_share_no_frame_keep_a_token_for_every_cell():
    open_boards = tiny_tokenizer(["_P_\nO__", "___\nP_O", "__P\n___"])
    ids = open_boards("_P_\n___", add_special_tokens=False)["input_ids"]
    assert open_boards.convert_ids_to_tokens(ids) == [*"_P_\n___"]


def test_a_limit_in_the_tokenizers_file_cuts_nothing():
    cutting = _tokenizer()
    cutting.backend_tokenizer.enable_truncation(2)
    cutting.backend_tokenizer.enable_padding(length=40)
    tokens = ChatTokens(cutting)
    assert tokens.decode(tokens.encode("left || right")) == "left || right"


def test_a_prompt_that_is_asked_for_again_is_a_list_of_its_own():
    tokens = ChatTokens(_tokenizer())
    first = tokens.start("be brief", "#P_O#")
    first.append(0)
    assert tokens.start("be brief", "#P_O#") == first[:-1]


def test_tiny_saves_and_loads_like_any_other(tmp_path):
    model = tiny_model(_TINY, seed=1)
    model.save_pretrained(tmp_path)
    _TINY.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    _, ids = _conversation(_TINY, TURNS)
    assert _conversation(loaded, TURNS)[1] == ids
    assert ChatTokens(loaded).decode(ids) == ChatTokens(_TINY).decode(ids)


def test_tiny_weights_depend_on_the_seed_alone():
    import torch

    torch.manual_seed(1)
    a = tiny_model(_TINY, seed=7)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)  # the global generator is as it was
    b, c = tiny_model(_TINY, seed=7), tiny_model(_TINY, seed=8)
    weights = [m.get_input_embeddings().weight for m in (a, b, c)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


# --- templates that do more than put messages in a row ---

OPENS_THOUGHT = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
SPACED = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} <|im_end|>{% endif %}{% endfor %}"
)
DEAF = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")


def test_a_thought_that_the_template_opens_is_part_of_the_reply_and_of_no_tokens():
    tokens = ChatTokens(_tokenizer(OPENS_THOUGHT))
    protocol = ChatProtocol("think")
    reply = protocol.write({"think": "go", "answer": "up"})
    ids = tokens.demonstrate(reply)
    assert ids == [*tokens.encode("go</think><answer>up</answer>"), tokens.closing_id]
    assert protocol.parse(tokens.decode(ids)).sections == {"think": "\ngo", "answer": "up"}
    assert protocol.parse(tokens.decode(ids)).well_formed
    opened = tokens.encode("<think>\n")
    assert tokens.start("", "hello")[-len(opened) :] == opened
    assert tokens.next("hello", tokens.closing_id)[-len(opened) :] == opened


def test_a_format_that_begins_otherwise_than_the_template_is_refused_before_it_plays():
    policy = small_policy()
    policy.tokenizer.chat_template = policy.tokenizer.chat_template.replace(
        "<|assistant|>{% endif %}", "<|assistant|><think>{% endif %}"
    )
    tokens, sampling = ChatTokens(policy.tokenizer), Sampling(12, 400)
    assert tokens.begun == "<think>"
    for format, said in (("answer", "'<answer>'"), ("world", "'<observation>'")):
        spec = replace(parrot_spec(), protocol=ChatProtocol(format, rules="Say a word."))
        with pytest.raises(ValueError, match=rf"every reply with '<think>'.*{said}.*--format"):
            Rollouts(policy, tokens, spec, sampling)
    for format in ("think", "predict"):
        spec = replace(parrot_spec(), protocol=ChatProtocol(format, rules="Say a word."))
        Rollouts(policy, tokens, spec, sampling)


def test_a_thought_that_the_template_opens_and_closes_is_its_own():
    closed = OPENS_THOUGHT.replace("<think>\n{% endif %}", "<think>\n\n</think>\n\n{% endif %}")
    tokens = ChatTokens(_tokenizer(closed))
    assert tokens.begun == ""
    assert tokens.decode(tokens.encode("hi")) == "hi"


def test_blanks_before_the_closing_token_are_not_added_after_it():
    tokens = ChatTokens(_tokenizer(SPACED))
    closed = tokens.next("next", tokens.closing_id)
    assert tokens.tokenizer.convert_ids_to_tokens(tokens.closing_id) == "<|im_end|>"
    assert tokens.next("next", None) == [*tokens.encode(" "), tokens.closing_id, *closed]
    assert tokens.tokenizer.decode(closed) == "<s>[INST] next [/INST]"


def test_a_template_that_silently_drops_the_system_message_lets_the_user_say_it():
    tokens = ChatTokens(_tokenizer(DEAF))
    assert "be brief\n\nhello" in tokens.tokenizer.decode(tokens.start("be brief", "hello"))


def test_a_template_that_takes_no_replies_is_refused():
    template = "{% if messages[1:] %}{{ raise_exception('one message only') }}{% endif %}" + CHATML
    with pytest.raises(ValueError, match=r"can't write a conversation.*one message only"):
        ChatTokens(_tokenizer(template))


@pytest.mark.parametrize("form", ["%d %b %Y", "%Y-%m-%d", "%A, %d %B %Y %H:%M"])
def test_a_template_that_asks_for_the_date_always_gets_the_same(form):
    day = datetime(2024, 7, 26, 12)
    tokens = ChatTokens(_tokenizer("{{ strftime_now('" + form + "') }}\n" + CHATML))
    assert tokens.tokenizer.decode(tokens.start("", "hi")).startswith(day.strftime(form) + "\n")


def test_a_tag_that_ends_a_turn_or_cannot_be_written_is_refused():
    tokenizer = _tokenizer()
    tokenizer.add_special_tokens({"eos_token": "</think>"})
    with pytest.raises(ValueError, match=r"'</think>'.*end of a turn.*--tags think="):
        ChatTokens(tokenizer).check_tags(["<think>", "</think>"])
    lower = _tokenizer()
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ValueError, match=r"'<Plan>'.*can't write it.*<plan>"):
        ChatTokens(lower).check_tags(["<think>", "<Plan>"])


def test_other_tags_reach_the_environment():
    config = TrainConfig(tags=("think=thought",)).check()
    assert "<thought>" in config.protocol().answer_format
    with pytest.raises(ValueError, match="unknown sections"):
        TrainConfig(tags=("thinking=thought",)).check()


def test_a_rollout_refuses_such_a_tag_before_it_plays():
    policy = small_policy()
    policy.tokenizer.add_special_tokens({"eos_token": "</answer>"})
    with pytest.raises(ValueError, match="</answer>"):
        Rollouts(policy, ChatTokens(policy.tokenizer), parrot_spec(), Sampling(12, 400))


@pytest.mark.parametrize("template", [None, CHATML])
def test_pieces_are_the_text_of_their_tokens(template):
    tokens = ChatTokens(_tokenizer(template))
    text = "player \u221a4 \U0001f381<think>\u00e9</think> x\n"
    ids = [*tokens.encode(text), tokens.closing_id]
    pieces = tokens.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces[:-1]) == text
    assert pieces[-1] == tokens.tokenizer.convert_ids_to_tokens(tokens.closing_id)
    # a character's bytes are several tokens here: the last has it, the others have none
    assert pieces[pieces.index("\U0001f381") - 1] == ""
    half = tokens.encode("\U0001f381")[:2]
    assert set("".join(tokens.pieces(half))) == {"\ufffd"}
    assert tokens.pieces([]) == []
