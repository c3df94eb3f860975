"""M_loss and M_adv: against a slow reference, token by token, and in a whole update."""

import copy
import dataclasses
import random
from typing import Any

import pytest
import torch
from starpo_kit import play, rewarded, small_policy
from torch import Tensor

from starpo_plugin.advantages import ADVANTAGES, bi_level_gae, gae, turn_gae, whiten
from starpo_plugin.batch import Batch, collate
from starpo_plugin.config import TrainConfig
from starpo_plugin.masks import advantage_mask, loss_mask, move_rewards, spread
from starpo_plugin.presets import preset
from starpo_plugin.sections import SECTIONS
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.update import Learner

TAGS, THINK, ANSWER = (SECTIONS.index(s) for s in ("tags", "think", "answer"))
NAMED = (TAGS, THINK, ANSWER)


def rows(text: str) -> Tensor:
    return torch.tensor([[float(x) for x in row.split()] for row in text.split("|")])


# two turns, a prompt token between them; the second row's second turn has nothing but tags
TURN = rows("-1 0 0 0 0 -1 1 1 1 1 | 0 0 0 -1 1 1 -1 -1 -1 -1").long()
SECTION = rows("-1 0 2 0 4 -1 0 2 4 0 | 2 4 0 -1 0 0 -1 -1 -1 -1").long()
MASK = (TURN >= 0).float()
REWARDS = rows("0 0 0 0 .5 0 0 0 0 1 | 0 0 -.1 0 0 .3 0 0 0 0")
VALUES = rows("9 .1 .2 .3 .4 9 .5 .6 .7 .8 | .2 .1 .4 9 .3 .6 9 9 9 9")


def test_a_mask_is_the_named_sections():
    assert (
        loss_mask(MASK, SECTION, ("answer",)).int().tolist() == (SECTION == ANSWER).int().tolist()
    )
    both = loss_mask(MASK, SECTION, ("answer", "think"))
    assert both.equal((SECTION == ANSWER) | (SECTION == THINK))
    for everything in ((), ("all",), SECTIONS):
        assert loss_mask(MASK, SECTION, everything).equal(MASK.bool())


def test_a_turn_without_any_is_represented_by_its_last_token():
    found = advantage_mask(MASK, TURN, SECTION, ("answer",))
    assert found.equal(rows("0 0 0 0 1 0 0 0 1 0 | 0 1 0 0 0 1 0 0 0 0").bool())


def test_rewards_move_to_the_last_token_that_takes_part():
    chosen = advantage_mask(MASK, TURN, SECTION, ("answer",))
    moved = move_rewards(REWARDS, MASK, TURN, chosen)
    assert moved.equal(rows("0 0 0 0 .5 0 0 0 1 0 | 0 -.1 0 0 0 .3 0 0 0 0"))


def test_a_token_outside_takes_the_advantage_of_the_next_or_else_the_previous_one():
    chosen = advantage_mask(MASK, TURN, SECTION, ("answer",))
    advantages = rows("0 0 0 0 1 0 0 0 2 0 | 0 3 0 0 0 4 0 0 0 0")
    trained = loss_mask(MASK, SECTION, ("think", "answer", "tags"))
    expected = rows("0 1 1 1 1 0 2 2 2 2 | 3 3 3 0 4 4 0 0 0 0")
    assert spread(advantages, chosen, trained, TURN).equal(expected)
    only_think = loss_mask(MASK, SECTION, ("think",))
    assert spread(advantages, chosen, only_think, TURN).equal(expected * (SECTION == THINK))


def test_estimators_see_the_tokens_of_the_mask_only():
    """GAE with gamma and lambda below 1, where a masked token that counts would show."""
    chosen = advantage_mask(MASK, TURN, SECTION, ("answer",))
    moved = move_rewards(REWARDS, MASK, TURN, chosen)
    found, _ = gae(moved, VALUES, chosen, gamma=0.9, lam=0.8)
    after = 1.0 - 0.7
    first = 0.5 + 0.9 * 0.7 - 0.4 + 0.9 * 0.8 * after
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0, first, 0, 0, 0, after, 0])
    found, _ = bi_level_gae(moved, VALUES, chosen, TURN, gamma_turn=0.9, lam_turn=0.8)
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0, first, 0, 0, 0, after, 0])
    found, returns = turn_gae(moved, VALUES, chosen, TURN, gamma=0.9, lam=0.8)
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0, first, 0, 0, 0, after, 0])
    assert returns[0, 4] == pytest.approx(first + 0.4)


def _slow_spread(advantages, chosen, trained, turn):
    """Token by token, looking ahead and then back."""
    out = torch.zeros_like(advantages)
    height, width = turn.shape
    for b in range(height):
        for t in range(width):
            if not trained[b, t]:
                continue
            own = [u for u in range(width) if chosen[b, u] and turn[b, u] == turn[b, t]]
            ahead = [u for u in own if u >= t]
            out[b, t] = advantages[b, ahead[0] if ahead else own[-1]]
    return out


@pytest.mark.parametrize("seed", range(5))
def test_against_the_slow_reference(seed):
    rng = torch.Generator().manual_seed(seed)
    mask = (torch.rand((6, 30), generator=rng) < 0.8) & (torch.arange(30) % 7 != 0)
    mask[:, -1] = True  # a turn that ends with the row
    turn = torch.where(mask, torch.arange(30) // 7, -1)
    section = torch.where(
        mask, torch.tensor(NAMED)[torch.randint(0, 3, (6, 30), generator=rng)], -1
    )
    chosen = advantage_mask(mask, turn, section, ("answer",))
    trained = loss_mask(mask, section, ("think", "tags"))
    noise = torch.randn((6, 30), generator=rng)
    found = spread(noise * chosen, chosen, trained, turn)
    assert found.equal(_slow_spread(noise * chosen, chosen, trained, turn))
    for k in range(5):  # every turn keeps a token that takes part, and its reward
        there = (turn == k).any(1)
        assert ((turn == k) & chosen).any(1).equal(there)
    moved = move_rewards(noise, mask, turn, chosen)
    assert torch.allclose(moved.sum(1), (noise * mask).sum(1), atol=1e-5)
    assert not moved[~chosen].any()


# --- in an update ---


def _played(policy) -> tuple[list[Trajectory], Batch]:
    """Random episodes with sections drawn at random: a random model writes none."""
    rng = random.Random(3)
    played = [
        dataclasses.replace(
            t,
            turns=tuple(
                dataclasses.replace(k, sections=tuple(rng.choices(NAMED, k=len(k.reply_ids))))
                for k in t.turns
            ),
        )
        for t in rewarded(play(policy, groups=3, members=3))
    ]
    return played, collate(played, pad_id=0)


def _learner(policy, **changes: Any) -> Learner:
    config = TrainConfig(mini_batch=64, max_tokens=400, actor_lr=1e-2, critic_lr=1e-2)
    config = dataclasses.replace(config, **changes)
    return Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=0.1))


@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_all_sections_are_no_mask_bit_for_bit(advantage):
    policy = small_policy(spread=2.0, critic="shared")
    _, batch = _played(policy)
    weights, metrics = [], []
    for spec in ((), ("all",), ("think", "answer", "tags")):
        copied = copy.deepcopy(policy)
        learner = _learner(
            copied, advantage=advantage, loss_sections=spec, advantage_sections=spec, lam=0.9
        )
        metrics.append(learner.update(batch, torch.Generator().manual_seed(0)))
        weights.append(torch.cat([p.detach().flatten() for p in copied.parameters()]))
    assert weights[1].equal(weights[0])
    assert weights[2].equal(weights[0])
    assert metrics[0] == metrics[1] == metrics[2]
    # and the estimate is what the estimator says of the batch as it is
    learner = _learner(policy, advantage=advantage, lam=0.9)
    scored, targets = learner.prepare(batch)
    plain = ADVANTAGES[advantage](scored, learner.config)
    whole = whiten(plain.advantages, scored.mask)  # sums in another order
    torch.testing.assert_close(targets.estimate.advantages, whole, rtol=0, atol=1e-6)


def test_only_tokens_of_the_loss_mask_are_trained():
    """The gradient is that of a batch whose other tokens were never the policy's."""
    policy = small_policy(spread=2.0)
    _, batch = _played(policy)
    changes: dict[str, Any] = {"advantage": "grpo", "whiten": False, "rewards": "turn"}
    one, two = copy.deepcopy(policy), copy.deepcopy(policy)
    _learner(one, loss_sections=("answer",), **changes).update(
        batch, torch.Generator().manual_seed(0)
    )
    answer = batch.section == ANSWER
    learner = _learner(two, **changes)
    _, targets = learner.prepare(batch)
    learner.optimizer.zero_grad()
    scores = two(batch)
    gain = torch.where(answer, targets.estimate.advantages, 0)
    # the first ratio is 1, so the loss's gradient is that of -A log p
    bonus = torch.where(answer, scores.entropy, 0).sum()
    loss = (-(gain * scores.logprobs).sum() - 0.001 * bonus) / answer.sum()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(two.model.parameters(), 1.0)
    learner.optimizer.step()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_critic_learns_where_the_estimator_reads_it():
    policy = small_policy(spread=2.0, critic="shared")
    _, batch = _played(policy)
    learner = _learner(policy, advantage_sections=("answer",), loss_sections=("think",))
    scored, targets = learner.prepare(batch)
    chosen = advantage_mask(scored.mask, scored.turn, scored.section, ("answer",))
    assert targets.estimate.value_mask is not None
    assert targets.estimate.value_mask.equal(chosen)
    assert targets.mask.equal(batch.section == THINK)
    whitened = targets.estimate.advantages[targets.mask]
    assert float(whitened.mean()) == pytest.approx(0, abs=1e-5)
    assert float(whitened.std()) == pytest.approx(1, abs=1e-3)


def test_a_batch_that_the_mask_empties_changes_nothing():
    policy = small_policy(spread=2.0)
    _, batch = _played(policy)
    learner = _learner(policy, advantage="grpo", loss_sections=("prediction",))
    before = copy.deepcopy(policy.state_dict())
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    assert metrics["loss"] == metrics["grad_norm"] == 0
    assert all(torch.equal(before[k], v) for k, v in policy.state_dict().items())


def test_replies_that_were_not_read_are_refused_where_sections_matter():
    policy = small_policy(spread=2.0)
    played, _ = _played(policy)
    turns = [dataclasses.replace(k, sections=()) for k in played[0].turns]
    unread = collate([dataclasses.replace(played[0], turns=tuple(turns))], pad_id=0)
    assert _learner(policy, advantage="grpo").prepare(unread)[1].mask.equal(unread.mask.bool())
    with pytest.raises(ValueError, match="not read into sections"):
        _learner(policy, advantage="grpo", loss_sections=("answer",)).prepare(unread)


@pytest.mark.parametrize("name", ["loss_sections", "advantage_sections"])
def test_sections_that_the_format_does_not_have_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} names 'prediction'.*tags, think, answer"):
        preset("starpo_s", **{name: ("answer", "prediction")}).check()
    with pytest.raises(ValueError, match=rf"{name} names 'thnk'"):
        preset("starpo_s", **{name: ("thnk",)}).check()
    preset("starpo_s", format="world", **{name: ("answer", "prediction")}).check()
    preset("starpo_s", **{name: ("all",)}).check()
