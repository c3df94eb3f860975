"""One sequence per turn: what the policy sees, and that nothing else changes by it."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from completions_server import CompletionsServer, completion
from starpo_kit import parrot_spec, play, rewarded, small_policy

from starpo_plugin.__main__ import main
from starpo_plugin.batch import Batch, collate, micro_batches
from starpo_plugin.config import TrainConfig
from starpo_plugin.packing import Packing
from starpo_plugin.policy import Policy
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.trajectory_file import read
from starpo_plugin.update import Learner

EVERYTHING = 9
"""A window that no episode outgrows."""


def played(policy: Policy, context_turns: int, **changes: Any) -> list[Trajectory]:
    spec = parrot_spec(context_turns=context_turns, max_turns=4, max_actions=12)
    return rewarded(play(policy, spec, **{"tokens": 120, **changes}))


def exact() -> Policy:
    return small_policy(critic="shared", spread=2.0).double()


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_turn_sees_the_system_message_and_the_last_turns(window):
    policy = small_policy(spread=2.0)
    tokens = ChatTokens(policy.tokenizer)
    for t in played(policy, window):
        for k, turn in enumerate(t.turns):
            first, *later = t.turns[max(0, k + 1 - window) : k + 1]
            expected, previous = tokens.start(t.system, first.observation), first
            for following in later:
                expected += previous.reply_ids
                expected += tokens.next(following.observation, previous.reply_ids[-1])
                previous = following
            assert list(turn.prompt_ids) == expected


def test_the_samplers_logprobs_are_those_of_its_sequence():
    policy = small_policy(spread=2.0)
    batch = collate(played(policy, 1), pad_id=0)
    scored = Learner(policy, None, TrainConfig(), torch.optim.SGD(policy.parameters())).score(batch)
    torch.testing.assert_close(scored.logprobs, batch.logprobs, rtol=0, atol=2e-5)


def test_a_window_that_holds_everything_plays_the_same_episodes():
    policy = exact()
    whole, cut = played(policy, 0), played(policy, EVERYTHING)
    for one, other in zip(whole, cut, strict=True):
        seen: list[int] = []
        assert (one.end, len(one.turns)) == (other.end, len(other.turns))
        for a, b in zip(one.turns, other.turns, strict=True):
            seen += a.prompt_ids
            assert (b.reply_ids, list(b.prompt_ids)) == (a.reply_ids, seen)
            seen += a.reply_ids
        if one.next_ids:
            assert list(other.next_ids) == [*seen, *one.next_ids]
    assert any(t.next_ids for t in whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"advantage": "gae", "lam": 0.9, "bootstrap_truncated": True},
        {"advantage": "bi_level_gae", "rewards": "turn", "bootstrap_truncated": True},
        {"advantage": "turn_gae", "rewards": "turn", "aggregation": "seq-mean-token-sum-norm"},
        {"advantage": "grpo", "whiten": False, "aggregation": "seq-mean-token-mean"},
        {"advantage": "turn_grpo", "rewards": "turn", "aggregation": "seq-mean-token-sum"},
        {"advantage": "rloo", "kl_coef": 0.1, "kl_in": "loss"},
        {"advantage": "reinforce_pp_baseline", "kl_coef": 0.1, "kl_in": "reward"},
    ],
    ids=lambda c: c["advantage"],
)
def test_an_update_on_turns_is_the_update_on_trajectories(changes):
    """Where the window holds everything, both are one and the same loss."""
    policy = exact()
    config = TrainConfig(mini_batch=5, micro_batch_tokens=300, grad_clip=1e9, **changes)
    results = []
    for window in (0, EVERYTHING):
        learnt = copy.deepcopy(policy)
        trajectories = played(policy, window)
        batch = collate(trajectories, 0, config.rewards, config.bootstrap_truncated)
        batch = in_double(batch)
        optimizer = torch.optim.SGD(learnt.parameters(), lr=1e-2)
        learner = Learner(learnt, policy if config.kl_coef else None, config, optimizer)
        _, targets = learner.prepare(batch)
        advantages = Packing(batch).pack(targets.estimate.advantages)
        metrics = learner.update(batch, torch.Generator().manual_seed(0))
        weights = torch.cat([p.detach().flatten() for p in learnt.parameters()])
        results.append((advantages, metrics, weights))
    (a, whole, w), (b, cut, v) = results
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    assert cut.pop("sampler_gap") < 1e-4 > whole.pop("sampler_gap")
    # Qwen3's norms are in single precision, whatever the model is in
    assert cut == pytest.approx(whole, rel=1e-5, abs=1e-7)
    torch.testing.assert_close(w, v, rtol=0, atol=1e-7)
    assert not torch.equal(w, torch.cat([p.flatten() for p in policy.parameters()]))


def in_double(batch: Batch) -> Batch:
    names = ("mask", "rewards", "logprobs", "values", "bootstrap")
    return batch.with_(**{name: getattr(batch, name).double() for name in names})


def test_packing_goes_there_and_back():
    trajectories = played(small_policy(spread=2.0), 1)
    batch = collate(trajectories, pad_id=0)
    packing = Packing(batch)
    packed = packing.packed(batch)
    for row, t in enumerate(trajectories):
        ids = [i for k in t.turns for i in k.reply_ids]
        turns = [n for n, k in enumerate(t.turns) for _ in k.reply_ids]
        assert packed.ids[row, : len(ids)].tolist() == ids
        assert packed.turn[row].tolist() == turns + [-1] * (packed.ids.shape[1] - len(ids))
        assert packed.lengths[row] == len(ids)
        assert packed.rewards[row].sum() == pytest.approx(t.total_reward, abs=1e-6)
        assert (int(packed.group[row]), int(packed.episode[row])) == (t.group, row)
    written = batch.mask.bool()
    assert packing.unpack(packed.ids).equal(torch.where(written, batch.ids, 0))
    assert packing.unpack(packed.mask).equal(batch.mask)


@pytest.mark.parametrize("budget", [1, 150, 400, 10**6])
def test_the_turns_of_an_episode_stay_together(budget):
    trajectories = played(small_policy(spread=2.0), 2)
    batch = collate(trajectories, pad_id=0)
    parts = list(micro_batches(batch, budget))
    assert sorted(torch.cat(parts).tolist()) == list(range(len(batch)))
    for rows in parts:
        episodes = batch.episode[rows].unique_consecutive()
        assert rows.equal(batch.rows_of(episodes))
        padded = len(rows) * int(batch.lengths[rows].max())
        assert padded <= budget or len(episodes) == 1


def test_reward_of_a_reply_without_tokens_goes_to_the_reply_before_it():
    (t, *_) = played(small_policy(spread=2.0), 1)
    empty = dataclasses.replace(t.turns[1], reply_ids=(), logprobs=(), sections=(), reward=0.25)
    t = dataclasses.replace(t, turns=(t.turns[0], empty, *t.turns[2:]))
    batch = collate([t], pad_id=0)
    first = t.turns[0].reward + 0.25
    assert batch.rewards[0].sum() == pytest.approx(first, abs=1e-6)
    assert batch.rewards[1].sum() == 0


@pytest.mark.parametrize("window", [1, 2])
def test_a_server_is_sent_the_window(window, tmp_path):
    with CompletionsServer(lambda body: completion("<answer>right</answer>")) as server:
        code = main(
            [
                *("eval", "--server", server.url, "--server-model", "some", "--episodes", "2"),
                *("--env", "TextFrozenLake-v0", "--env-args", "success_rate=1.0"),
                *("--format", "answer", "--context-turns", str(window), "--max-actions-per-turn"),
                *("1", "--out", str(tmp_path / "episodes.jsonl"), "--concurrency", "1"),
            ]
        )
        assert code == 0
        sizes = [len(body["messages"]) for body in server.requests]
    assert max(sizes) == 2 * window  # the system message, window - 1 exchanges, the user's message
    for body in server.requests:
        assert [m["role"] for m in body["messages"]][:2] == ["system", "user"]


RUN = [
    *("train", "--preset", "trico", "--env", "TextFrozenLake-v0", "--format", "answer"),
    *("--tiny-hidden", "32", "--tiny-layers", "1", "--groups", "2", "--members", "3"),
    *("--max-turns", "3", "--max-reply-tokens", "12", "--max-tokens", "300", "--device", "cpu"),
    *("--warmup-updates", "5", "--eval-episodes", "4", "--save-rollouts", "1"),
    *("--user-template", "{observation}", "--context-turns", "1"),
]


def test_a_run_stores_and_takes_its_window(tmp_path):
    run, again = tmp_path / "run", tmp_path / "again"
    assert main([*RUN, "--iterations", "2", "--run", str(run)]) == 0
    stored = read(run / "rollouts" / "000001.safetensors")
    assert {t.context_turns for t in stored} == {1}
    assert max(t.longest for t in stored) < max(len(t) for t in stored)
    begun = ["--model", str(run / "checkpoints" / "000000"), "--iterations", "1"]
    assert main(["train", "--from-data", str(run), *begun, "--run", str(again)]) == 0
    assert RunFolder(Path(again)).config().context_turns == 1
    assert main(["play", str(run), "--seed", "3"]) == 0
