"""Any causal LM with a chat template: three architectures, three templates, the whole way."""

import copy
from typing import Any

import pytest
import torch
from model_zoo import ZOO, load_policy, save_model
from starpo_kit import parrot_spec, play, rewarded

from starpo_plugin.batch import collate
from starpo_plugin.cache import keeps_slots
from starpo_plugin.config import TrainConfig
from starpo_plugin.lora import LoraShape
from starpo_plugin.policy import Policy
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.update import Learner
from text_envs.chat import ChatProtocol

SPEC = parrot_spec(max_turns=3)
TURNS = [("#P_O#", "<think>go</think>right"), ("#_PO#", "left"), ("#P_O#", "up || down")]


@pytest.fixture(scope="module", params=sorted(ZOO))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def policy(name, tmp_path_factory) -> Policy:
    return load_policy(save_model(name, tmp_path_factory.mktemp("zoo") / name))


@pytest.fixture(scope="module")
def played(policy):
    return rewarded(play(policy, SPEC, groups=3, members=3, seed=3, tokens=600))


def _conversation(tokens: ChatTokens, turns=TURNS, system: str = "be brief") -> list[int]:
    ids: list[int] = []
    for k, (user, reply) in enumerate(turns):
        ids += tokens.next(user, ids[-1]) if k else tokens.start(system, user)
        ids += tokens.demonstrate(reply)
    return ids


def _learner(policy: Policy, **changes: Any) -> Learner:
    config = TrainConfig(advantage="grpo", mini_batch=64, max_tokens=600, **changes).check()
    return Learner(policy, None, config, torch.optim.SGD(policy.actor_parameters(), lr=0.1))


# --- tokens ---


def test_a_conversation_is_what_the_template_renders_or_keeps_what_it_would_drop(name, policy):
    tokens = ChatTokens(policy.tokenizer)
    ids = _conversation(tokens)
    system = ZOO[name].has_system_role
    messages = [("system", "be brief")] if system else []
    for k, (user, reply) in enumerate(TURNS):
        said = user if system or k else f"be brief\n\n{user}"
        messages += [("user", said), ("assistant", reply)]
    rendered = tokens.encode(
        policy.tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in messages],
            tokenize=False,
            chat_template=policy.tokenizer.chat_template.replace(
                "strftime_now('%d %b %Y')", "'26 Jul 2024'"
            ),
        )
    )
    text = policy.tokenizer.decode(ids)
    assert text.count("<think>go</think>") == 1
    assert (ids == rendered[: len(ids)]) == ZOO[name].keeps_history
    bos = policy.tokenizer.bos_token_id
    assert bos is None or ids.count(bos) == 1


def test_turns_end_with_the_templates_token(name, policy):
    tokens = ChatTokens(policy.tokenizer)
    assert policy.tokenizer.convert_ids_to_tokens(tokens.closing_id) == ZOO[name].closing
    assert tokens.closing_id in tokens.end_ids
    assert policy.tokenizer.eos_token_id in tokens.end_ids
    cut, closed = tokens.next("again", None), tokens.next("again", tokens.closing_id)
    assert cut == [tokens.closing_id, *closed]


def test_replies_are_read_back_as_they_were_written(policy):
    tokens = ChatTokens(policy.tokenizer)
    for reply in ("<think>a  b .</think>\n<answer>up || left</answer>", "häßlich 🙂 \t", ""):
        ids = tokens.demonstrate(reply)
        assert tokens.decode(ids) == reply


# --- rollout to update ---


def test_sampled_ids_are_trained_ids(policy, played):
    tokens = ChatTokens(policy.tokenizer)
    batch = collate(played, tokens.pad_id)
    for row, trajectory in enumerate(played):
        sampled = [i for t in trajectory.turns for i in t.reply_ids]
        assert batch.ids[row][batch.mask[row] > 0].tolist() == sampled
        assert len(trajectory.turns) == 3


def test_the_samplers_log_probabilities_are_the_trainers_and_the_models_own(policy, played):
    batch = collate(played, 0)
    with torch.no_grad():
        scores = policy(batch).logprobs
        whole = policy.model(input_ids=batch.ids).logits.float().log_softmax(-1)
    theirs = whole[:, :-1].gather(-1, batch.ids[:, 1:, None]).squeeze(-1)
    sampled = batch.mask > 0
    assert torch.allclose(scores[sampled], batch.logprobs[sampled], atol=1e-4)
    assert torch.allclose(scores[:, 1:][sampled[:, 1:]], theirs[sampled[:, 1:]], atol=1e-5)


def test_the_kept_cache_gives_what_reading_anew_gives(name, policy):
    # Gemma 2 has its own attention, whose masks overflow in double precision
    double = policy if name == "gemma2" else copy.deepcopy(policy).double()
    kept, anew = (
        play(double, SPEC, groups=3, members=3, tokens=600, keep_cache=k) for k in (True, False)
    )
    for a, b in zip(kept, anew, strict=True):
        assert [t.reply_ids for t in a.turns] == [t.reply_ids for t in b.turns]
        for s, t in zip(a.turns, b.turns, strict=True):
            assert s.logprobs == pytest.approx(t.logprobs, abs=1e-6)


def test_the_ratio_is_one_at_the_first_update_and_the_update_changes_the_policy(policy, played):
    policy = copy.deepcopy(policy)
    batch = collate(played, 0)
    learner = _learner(policy)
    before = learner.score(batch).logprobs
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    assert abs(metrics["kl_k1"]) <= 1e-6
    assert metrics["clip_low"] == metrics["clip_high"] == 0
    assert metrics["sampler_gap"] < 1e-3
    assert not torch.allclose(learner.score(batch).logprobs, before, atol=1e-5)


def test_an_adapter_reaches_every_linear_layer(policy, played):
    adapted = Policy(
        copy.deepcopy(policy.model), policy.tokenizer, shape=LoraShape(rank=4, alpha=8)
    )
    linear = sum(isinstance(m, torch.nn.Linear) for m in policy.model.modules()) - 1  # the head
    assert len(adapted.actor_parameters()) == 2 * linear
    batch = collate(played, 0)
    before = policy(batch).logprobs.detach()
    learner = _learner(adapted)
    learner.update(batch, torch.Generator().manual_seed(0))
    learner.update(batch, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(adapted(batch).logprobs, before, atol=1e-5)
        assert torch.allclose(adapted.reference(batch).logprobs, before, atol=1e-6)


# --- what only some of them do ---


def _zoo(name: str, tmp_path) -> Policy:
    return load_policy(save_model(name, tmp_path / name))


def test_a_date_in_the_template_stands_still(tmp_path):
    tokens = ChatTokens(_zoo("llama", tmp_path).tokenizer)
    assert "26 Jul 2024" in tokens.tokenizer.decode(tokens.start("be brief", "hello"))


def test_a_template_that_trims_trims_every_message(tmp_path):
    tokens = ChatTokens(_zoo("llama", tmp_path).tokenizer)
    assert tokens.next(" hello \n", None) == tokens.next("hello", None)
    assert tokens.start("", " hello \n") == tokens.start("", "hello")


def test_a_sliding_window_is_read_anew(tmp_path):
    gemma = _zoo("gemma2", tmp_path)
    assert not keeps_slots(gemma)
    assert gemma.logits(torch.full((1, 32), 1e4)).abs().max() <= 30  # its logits are capped


def test_reserved_tags_are_sampled_read_and_kept(tmp_path):
    """Qwen3 has ``<think>`` as one token: it reaches the environment like any other text."""
    qwen = _zoo("qwen3", tmp_path)
    tokens = ChatTokens(qwen.tokenizer)
    protocol = ChatProtocol("think")
    tokens.check_tags(["<think>", "</think>", "<answer>", "</answer>"])
    ids = tokens.demonstrate(protocol.write({"think": "go", "answer": "up"}))
    assert qwen.tokenizer.convert_tokens_to_ids("<think>") in ids
    assert protocol.parse(tokens.decode(ids)).well_formed
    dropping = copy.deepcopy(qwen.tokenizer)
    dropping.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    assert protocol.parse(ChatTokens(dropping).decode(ids)).well_formed
