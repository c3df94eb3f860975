import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from starpo_kit import play, small_policy
from torch.testing import assert_close

from starpo_plugin import mutual_information
from starpo_plugin.config import TrainConfig
from starpo_plugin.mutual_information import Thought, information, matrix, sample
from starpo_plugin.sections import SECTIONS, span
from starpo_plugin.update import Learner

THINK = SECTIONS.index("think")

matrices = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.floats(-200, 0), min_size=n, max_size=n), min_size=n, max_size=n)
)


def test_two_thoughts_by_hand():
    """p(z_0 | x) = 1/2, 1/4; p(z_1 | x) = 1/10, 2/5: marginals 3/8 and 1/4."""
    found = information(torch.tensor([[0.5, 0.25], [0.1, 0.4]]).log(), torch.tensor([2, 4]))
    assert found.mi == pytest.approx((math.log(4 / 3) + math.log(8 / 5)) / 2, abs=1e-6)
    assert found.mi == pytest.approx(0.378842, abs=1e-6)
    assert found.conditional_entropy == pytest.approx(0.804719, abs=1e-6)
    assert found.entropy == pytest.approx(1.183561, abs=1e-6)
    assert found.mi_per_token == pytest.approx(math.log(4 / 3) / 4 + math.log(8 / 5) / 8, abs=1e-6)
    assert found.conditional_entropy_per_token == pytest.approx(0.287823, abs=1e-6)
    assert (found.retrieval, found.chance) == (1.0, 0.5)


def test_retrieval_by_hand():
    logps = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0], [-9.0, -8.0, -7.0]])
    found = information(logps, torch.ones(3))
    assert found.retrieval == pytest.approx(2 / 3)
    # thoughts 0 and 1 have one prompt: either copy is the right one
    found = information(logps, torch.ones(3), torch.tensor([4, 4, 7]))
    assert (found.retrieval, found.chance) == (1.0, pytest.approx(5 / 9))


@given(matrices, st.integers(1, 50))
def test_entropy_is_information_and_what_is_left(rows, length):
    logps = torch.tensor(rows, dtype=torch.float64)
    found = information(logps, torch.full((len(rows),), length))
    assert found.entropy == pytest.approx(found.mi + found.conditional_entropy, abs=1e-9)
    assert found.entropy_per_token == pytest.approx(
        found.mi_per_token + found.conditional_entropy_per_token, abs=1e-9
    )
    assert found.mi_per_token * length == pytest.approx(found.mi, abs=1e-9)
    assert found.mi <= math.log(len(rows)) + 1e-9


@given(matrices, st.integers(0, 99))
def test_what_a_thought_costs_under_every_prompt_is_no_information(rows, seed):
    logps = torch.tensor(rows, dtype=torch.float64)
    extra = torch.rand(len(rows), 1, generator=torch.Generator().manual_seed(seed)) * 9
    lengths = torch.ones(len(rows))
    moved = information(logps - extra, lengths)
    assert moved.mi == pytest.approx(information(logps, lengths).mi, abs=1e-9)


@given(st.integers(2, 32))
def test_thoughts_that_ignore_the_prompt_and_thoughts_that_are_the_prompt(n):
    ignoring = torch.rand(n, 1, generator=torch.Generator().manual_seed(n)).log().expand(n, n)
    found = information(ignoring, torch.ones(n))
    assert found.mi == pytest.approx(0, abs=1e-6)
    telling = torch.full((n, n), -500.0).fill_diagonal_(0.0)
    found = information(telling, torch.ones(n))
    assert found.mi == pytest.approx(math.log(n), abs=1e-9)
    assert (found.conditional_entropy, found.retrieval) == (0.0, 1.0)


def test_prompts_that_are_there_twice_count_once():
    """Each prompt with two thoughts: the same information as from a table of two prompts."""
    p = torch.tensor([[0.5, 0.25], [0.1, 0.4]])
    twice = p.repeat_interleave(2, 0).repeat_interleave(2, 1).log()
    prompt = torch.tensor([0, 0, 1, 1])
    found = information(twice, torch.ones(4), prompt)
    once = information(p.log(), torch.ones(2))
    assert found == pytest.approx(once, abs=1e-9)


# --- the matrix ---


def learner(policy, budget: int = 200) -> Learner:
    config = TrainConfig(micro_batch_tokens=budget, mi_every=1)
    return Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=1.0))


def slow_logp(policy, context, thought, temperature: float) -> float:
    """Token by token, each from a forward pass of its own."""
    total, ids = 0.0, list(context)
    for token in thought:
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        total += float((logits / temperature).log_softmax(-1)[token])
        ids.append(token)
    return total


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_the_matrix_is_that_of_a_loop_over_pairs(budget):
    policy = small_policy(spread=3.0)
    thoughts = [
        Thought((5, 6), (7,), (8, 9)),
        Thought((5, 6), (7,), (10,)),  # the same prompt
        Thought((11, 12, 13, 14, 15), (), (8, 9, 20, 21)),
        Thought((40,), (), (41, 42, 43)),
    ]
    score = learner(policy, budget).score
    logps, tokens = matrix(thoughts, lambda batch: score(batch).logprobs, pad_id=0)
    slow = [[slow_logp(policy, x.context, z.ids, 1.0) for x in thoughts] for z in thoughts]
    assert_close(logps, torch.tensor(slow, dtype=torch.float64), atol=1e-4, rtol=1e-5)
    # 3 different contexts of 3, 5 and 1 tokens before 4 thoughts of 2, 1, 4 and 3
    assert tokens == 4 * 9 + 3 * 10


# --- thoughts from rollouts ---


def thinking(played, lengths=(3, 2, 0, 4)):
    """Rollouts of random text, as if tokens 1 to n of each first reply were a thought."""
    found = []
    for k, t in enumerate(played):
        first = t.turns[0]
        end = min(1 + lengths[k % len(lengths)], len(first.reply_ids))
        sections = [0] * len(first.reply_ids)
        sections[1:end] = [THINK] * max(0, end - 1)
        first = dataclasses.replace(first, sections=tuple(sections))
        found.append(dataclasses.replace(t, turns=(first, *t.turns[1:])))
    return found


def test_thoughts_are_drawn_evenly_and_as_sampled():
    policy = small_policy()
    played = thinking(play(policy, groups=4, members=4))
    whole = {
        k.prompt_ids + k.reply_ids[: found[1]]
        for t in played
        for k in t.turns[:1]
        if (found := span(k.sections, "think"))
    }
    for most in (4, 6, 8):
        drawn = sample(played, most, 10_000, torch.Generator().manual_seed(most))
        assert len(drawn) == most
        assert all(t.context + t.ids in whole and t.ids for t in drawn)
    again = sample(played, 8, 10_000, torch.Generator().manual_seed(8))
    assert again == drawn
    assert len(sample(played, 99, 10_000, torch.Generator())) <= 12  # a quarter have no thought


def test_thoughts_are_cut_where_the_model_has_no_room():
    played = thinking(play(small_policy(), groups=3))
    longest = max(len(t.context) for t in sample(played, 99, 10_000, torch.Generator()))
    cut = sample(played, 99, longest + 2, torch.Generator())
    assert cut
    assert all(0 < len(t.ids) <= 2 for t in cut)
    assert sample(played, 99, longest, torch.Generator()) == []


def test_the_diagonal_is_what_the_sampler_said():
    policy = small_policy(spread=2.0)
    played = thinking(play(policy, groups=3, members=2, temperature=0.7))
    config = TrainConfig(temperature=0.7, mi_every=1)
    scorer = Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=1.0))
    drawn = sample(played, 99, 10_000, torch.Generator())
    logps, _ = matrix(drawn, lambda batch: scorer.score(batch).logprobs, pad_id=0)
    said = {
        (t.turns[0].prompt_ids, t.turns[0].reply_ids[:end]): sum(t.turns[0].logprobs[1:end])
        for t in played
        if (found := span(t.turns[0].sections, "think"))
        for end in found[1:]
    }
    for thought, logp in zip(drawn, logps.diagonal().tolist(), strict=True):
        assert logp == pytest.approx(said[thought.prompt, thought.opening + thought.ids], abs=1e-4)


def test_what_an_iteration_reports():
    policy = small_policy()
    played = thinking(play(policy, groups=4, members=2))
    config = TrainConfig(mi_every=1, mi_samples=6)
    found = mutual_information.measure(played, learner(policy), config, 3, pad_id=0)
    assert found == mutual_information.measure(played, learner(policy), config, 3, pad_id=0)
    assert found["mi_entropy"] == pytest.approx(found["mi"] + found["mi_conditional_entropy"])
    assert found["mi_thoughts"] == 6
    assert found["mi_tokens"] > 0
    assert {k for k in found if not k.startswith("mi")} == set()
    assert not any(k.startswith("mi_mi") for k in found)


def test_no_two_prompts_with_thoughts_no_number():
    policy = small_policy()
    played = play(policy, groups=3, members=2)
    config = TrainConfig(mi_every=1)
    assert mutual_information.measure(played, learner(policy), config, 1, pad_id=0) == {}
    one_start = thinking(play(policy, groups=1, members=4))
    assert mutual_information.measure(one_start, learner(policy), config, 1, pad_id=0) == {}
