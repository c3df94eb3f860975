"""What an episode that was cut off was still worth: in the estimators, in a batch, in an update."""

import dataclasses

import pytest
import slow_advantages
import torch
from slow_advantages import Rollouts, Settings
from starpo_kit import parrot_spec, play, rewarded, small_policy
from torch.nn.functional import pad

from starpo_plugin.advantages import WITH_CRITIC, bi_level_gae, gae, turn_ends, turn_gae
from starpo_plugin.batch import collate
from starpo_plugin.config import TrainConfig
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.update import Learner

SETTINGS = Settings()


@pytest.mark.parametrize("name", WITH_CRITIC)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_one_more_turn_of_that_value_which_earns_what_it_promised(name, seed):
    """A token of value b and reward b has no advantage, and the one before it sees b: the slow
    reference, which knows no bootstrap, of the longer row. No discount is 1.
    """
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand((8, 30), generator=rng) < 0.7
    turn = torch.where(mask, torch.arange(30) // 7, -1)
    noise = torch.randn((2, 8, 30), generator=rng, dtype=torch.float64)
    beyond = torch.randn(8, generator=rng, dtype=torch.float64)
    beyond[::3] = 0
    batch = Rollouts(
        noise[0] * turn_ends(mask, turn), noise[1], mask, turn, torch.arange(8), beyond
    )
    found = WITH_CRITIC[name](batch, SETTINGS)
    longer = batch.map(lambda x: pad(x, (0, 1)))
    for tensor, last in (
        (longer.rewards, beyond),
        (longer.values, beyond),
        (longer.mask, 1),
        (longer.turn, 99),
    ):
        tensor[:, -1] = last
    advantages, returns = slow_advantages.WITH_CRITIC[name](longer, SETTINGS)
    for actual, cells in ((found.advantages, advantages), (found.returns, returns)):
        assert actual is not None
        table = torch.zeros(8, 31, dtype=torch.float64)
        for at, x in cells.items():
            table[at] = x
        torch.testing.assert_close(actual, table[:, :-1], rtol=1e-9, atol=1e-9)


def test_numbers_by_hand():
    """Two turns of two tokens; 2.0 lies beyond the first row, nothing beyond the second."""
    mask, turn = torch.ones(2, 4), torch.tensor([[0, 0, 1, 1]] * 2)
    rewards, values = torch.zeros(2, 4).double(), torch.full((2, 4), 0.5).double()
    beyond = torch.tensor([2.0, 0.0]).double()
    found, _ = gae(rewards, values, mask, gamma=0.9, lam=0.8, bootstrap=beyond)
    last = 0.9 * 2.0 - 0.5
    third = -0.05 + 0.72 * last
    assert found[0, 2:].tolist() == pytest.approx([third, last])
    assert found[1, 3] == pytest.approx(-0.5)
    found, _ = bi_level_gae(
        rewards, values, mask, turn, gamma_turn=0.9, lam_turn=0.8, bootstrap=beyond
    )
    # at the ends of turns, then undiscounted inside them
    assert found[0].tolist() == pytest.approx([-0.05 + 0.72 * last] * 2 + [last] * 2)
    found, returns = turn_gae(rewards, values, mask, turn, gamma=0.9, lam=0.8, bootstrap=beyond)
    assert found[0].tolist() == pytest.approx([-0.05 + 0.72 * last] * 2 + [last] * 2)
    assert returns[0, 2] == pytest.approx(last + 0.5)


# --- where the value comes from ---


def _cut_off(tokens: int = 400) -> tuple[list[Trajectory], list[Trajectory]]:
    """Episodes of a game that never ends; the same with every second one ended."""
    policy = small_policy(spread=2.0)
    played = rewarded(play(policy, parrot_spec(max_turns=2), groups=2, members=3, tokens=tokens))
    ended = [
        dataclasses.replace(t, end="terminated", next_ids=()) if b % 2 else t
        for b, t in enumerate(played)
    ]
    return played, ended


def _learner(**changes) -> Learner:
    policy = small_policy(spread=2.0, critic="shared")
    assert policy.critic_head is not None
    torch.nn.init.normal_(policy.critic_head.weight, generator=torch.Generator().manual_seed(1))
    config = dataclasses.replace(
        TrainConfig(max_tokens=400, whiten=False, gamma=0.9, lam=0.8), **changes
    )
    return Learner(policy, None, config, torch.optim.SGD(policy.parameters(), lr=0.1))


def test_an_episode_that_was_cut_off_carries_the_prompt_that_would_have_come():
    played, _ = _cut_off()
    assert {t.end for t in played} == {"truncated"}
    assert all(t.next_ids for t in played)
    short, _ = _cut_off(tokens=60)
    assert "out_of_tokens" in {t.end for t in short}
    assert all(t.next_ids for t in short if t.turns)
    assert all(len(t) <= 60 for t in short)


def test_a_prompt_that_the_model_has_no_room_for_is_left_out():
    policy = small_policy(spread=2.0)
    policy.model.config.max_position_embeddings = 60
    played = play(policy, parrot_spec(max_turns=9), groups=2, members=2)
    assert {t.end for t in played} == {"out_of_tokens"}
    assert all(len(t) + len(t.next_ids) < 60 for t in played if t.next_ids)
    assert any(not t.next_ids for t in played)
    batch = collate(played, pad_id=0, bootstrap=True)
    for b, t in enumerate(played):
        if t.turns and not t.next_ids:  # the value of the last token stands for what follows it
            last = int((batch.turn[b] >= 0).nonzero().max())
            assert batch.beyond[b].nonzero().flatten().tolist() == [last]


def test_the_value_is_the_critics_at_the_end_of_the_next_prompt():
    _, mixed = _cut_off()
    batch = collate(mixed, pad_id=0, bootstrap=True)
    learner = _learner()
    policy = learner.policy
    scored, targets = learner.prepare(batch)
    assert policy.critic_head is not None
    for b, t in enumerate(mixed):
        if t.end == "terminated":
            assert scored.bootstrap[b] == 0
            continue
        ids = [i for k in t.turns for i in (*k.prompt_ids, *k.reply_ids)] + list(t.next_ids)
        with torch.no_grad():
            hidden = policy.model.base_model(input_ids=torch.tensor([ids])).last_hidden_state
            value = policy.critic_head(hidden[0, -1])
        assert float(scored.bootstrap[b]) == pytest.approx(float(value), abs=1e-5)
        last = int((scored.turn[b] >= 0).nonzero().max())
        expected = scored.rewards[b, last] + 0.9 * value - scored.values[b, last]
        assert float(targets.estimate.advantages[b, last]) == pytest.approx(
            float(expected), abs=1e-5
        )
    assert not scored.logprobs[scored.mask == 0].any()
    assert not scored.values[scored.mask == 0].any()


def test_without_the_option_nothing_is_looked_at_beyond_the_end():
    played, _ = _cut_off()
    batch = collate(played, pad_id=0)
    assert not batch.beyond.any()
    assert batch.ids.shape[1] == max(len(t) for t in played)
    longer = collate(played, pad_id=0, bootstrap=True)
    scored, targets = _learner().prepare(batch)
    assert not scored.bootstrap.any()
    more, bootstrapped = _learner().prepare(longer)
    width = batch.ids.shape[1]
    assert torch.allclose(more.values[:, :width], scored.values, atol=1e-5)
    assert more.mask[:, :width].equal(scored.mask)
    assert not more.mask[:, width:].any()
    assert not torch.allclose(
        bootstrapped.estimate.advantages[:, :width], targets.estimate.advantages, atol=1e-2
    )
