"""Estimators against golden numbers, against slow per-token references, and against each other."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import slow_advantages
import torch
from hypothesis import given, note
from hypothesis import strategies as st
from slow_advantages import Rollouts, Settings, turns
from torch import Tensor
from torch.nn.functional import pad

from starpo_plugin.advantages import (
    ADVANTAGES,
    CRITIC_FREE,
    WITH_CRITIC,
    GrpoScale,
    bi_level_gae,
    gae,
    grpo,
    reinforce_pp_baseline,
    rloo,
    turn_ends,
    turn_gae,
    turn_starts,
    whiten,
)

SETTINGS = Settings()


@st.composite
def rollouts(draw: st.DrawFn) -> Rollouts:
    """Ragged rows: turns of policy tokens, holes inside and between them, padding on both sides."""
    gaps = st.lists(st.just((0.0, 0.0, 0, -1)), max_size=2)
    lengths = st.lists(st.integers(1, 3), max_size=3)
    values = st.integers(-20, 20).map(lambda tenths: tenths / 10)
    rewards = st.sampled_from([0.0, 0.0, -0.1, 1.0, -1.0, 0.5])
    drawn = []
    for _ in range(draw(st.integers(0, 5))):
        row = draw(gaps)
        for turn, length in enumerate(draw(lengths)):
            for left in reversed(range(length)):
                reward = 0.0 if left else draw(rewards)
                row = [*row, (reward, draw(values), 1, turn), *draw(gaps)]
        drawn.append(row)
    width = max(map(len, drawn), default=0)
    table = [row + [(0.0, 0.0, 0, -1)] * (width - len(row)) for row in drawn]
    cells = torch.tensor(table, dtype=torch.float64).reshape(len(drawn), width, 4)
    r, v, mask, turn = cells.unbind(2)
    group = [draw(st.sampled_from([-7, 0, 3])) for _ in drawn]
    return Rollouts(r, v, mask.long(), turn.long(), torch.tensor(group, dtype=torch.long))


def random_rollouts(seed: int) -> Rollouts:
    """24 rows of up to 5 turns with real-valued rewards, in 4 groups."""
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand((24, 40), generator=rng) < 0.7
    turn = torch.where(mask, torch.arange(40) // 8, -1)
    noise = torch.randn((2, 24, 40), generator=rng, dtype=torch.float64)
    ends = turn_ends(mask, turn)
    return Rollouts(noise[0] * ends, noise[1], mask, turn, torch.arange(24).remainder(4))


def rows(text: str) -> Tensor:
    """Numbers as algorithms are specified: rows are separated by a bar."""
    cells = [[float(x) for x in row.split()] for row in text.split("|")]
    return torch.tensor(cells, dtype=torch.float64)


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# --- golden numbers ------------------------------------------------------------------------------

GOLDEN = Rollouts(
    rewards=rows("0 0 .5 0 0 0 0 0 1 | 0 0 0 -.1 0 0 0 0 0"),
    values=rows("0 .1 .2 0 .3 .4 .5 0 .6 | 0 .2 -.1 .05 0 0 .15 .25 0"),
    mask=rows("0 1 1 0 1 1 1 0 1 | 0 1 1 1 0 0 1 1 0").long(),
    turn=rows("-1 0 0 -1 1 1 1 -1 2 | -1 0 0 0 -1 -1 1 1 -1").long(),
    group=torch.tensor([0, 0]),
)
GAE_PLAIN = "0 1.4 1.3 0 .7 .6 .5 0 .4 | 0 -.3 0 -.15 0 0 -.15 -.25 0"
GAE_9_8 = (
    "0 .628313 .761545 0 .266035 .28616 .328 0 .4 | 0 -.232567 .079768 -.0906 0 0 -.105 -.25 0"
)
BI_LEVEL_PLAIN = "0 1.3025 1.2025 0 .65 .55 .45 0 .4 | 0 -.3 0 -.15 0 0 -.15 -.25 0"
BI_LEVEL_9_8 = "0 1.001808 1.12726 0 .44368 .4296 .412 0 .4 | 0 -.2608 .049 -.12625 0 0 -.1 -.25 0"
TURN_95_9 = "0 1.20826 1.20826 0 .612 .612 .612 0 .4 | 0 -.28575 -.28575 -.28575 0 0 -.15 -.15 0"
TURN_95_9_RETURNS = "0 1.30826 0 0 .912 0 0 0 1 | 0 -.08575 0 0 0 0 0 0 0"


def test_golden_numbers() -> None:
    g = GOLDEN
    plain = gae(g.rewards, g.values, g.mask)
    close(plain[0], rows(GAE_PLAIN), 1e-6)
    close(plain[1], rows(GAE_PLAIN) + g.values, 1e-6)
    close(gae(g.rewards, g.values, g.mask, gamma=0.9, lam=0.8)[0], rows(GAE_9_8), 1e-6)

    credit = bi_level_gae(g.rewards, g.values, g.mask, g.turn)
    close(credit[0], rows(BI_LEVEL_PLAIN), 1e-6)
    close(credit[1], rows(BI_LEVEL_PLAIN) + g.values, 1e-6)
    credit = bi_level_gae(g.rewards, g.values, g.mask, g.turn, lam_turn=0.9, lam_token=0.8)
    close(credit[0], rows(BI_LEVEL_9_8), 1e-6)

    by_turn = turn_gae(g.rewards, g.values, g.mask, g.turn, gamma=0.95, lam=0.9)
    close(by_turn[0], rows(TURN_95_9), 1e-6)
    close(by_turn[1], rows(TURN_95_9_RETURNS), 1e-6)


# --- against the slow references ------------------------------------------------------------------


def same(actual: Tensor | None, expected: slow_advantages.Cells) -> None:
    assert actual is not None
    table = torch.zeros_like(actual)
    for at, x in expected.items():
        table[at] = x
    close(actual, table)


@given(batch=rollouts())
def test_estimators_with_a_critic_equal_the_slow_references(batch: Rollouts) -> None:
    for name, estimator in WITH_CRITIC.items():
        note(name)
        found = estimator(batch, SETTINGS)
        advantages, returns = slow_advantages.WITH_CRITIC[name](batch, SETTINGS)
        same(found.advantages, advantages)
        same(found.returns, returns)


@given(batch=rollouts(), scale=st.sampled_from(["std", "none"]))
def test_critic_free_estimators_equal_the_slow_references(
    batch: Rollouts, scale: GrpoScale
) -> None:
    config = replace(SETTINGS, grpo_scale=scale)
    for name, estimator in CRITIC_FREE.items():
        note(name)
        found = estimator(batch, config)
        same(found.advantages, slow_advantages.CRITIC_FREE[name](batch, config))
        assert found[1:] == (None, None)


@given(batch=rollouts())
def test_value_masks_are_the_policy_tokens_or_the_first_tokens_of_turns(batch: Rollouts) -> None:
    first, last = torch.zeros_like(batch.mask), torch.zeros_like(batch.mask)
    for b in range(len(batch.mask)):
        for tokens in turns(batch, b):
            first[b, tokens[0]] = last[b, tokens[-1]] = 1
    assert torch.equal(turn_starts(batch.mask, batch.turn), first.bool())
    assert torch.equal(turn_ends(batch.mask, batch.turn), last.bool())
    for name in WITH_CRITIC:
        mask = ADVANTAGES[name](batch, SETTINGS).value_mask
        assert mask is not None
        assert torch.equal(mask, (first if name == "turn_gae" else batch.mask).bool())


# --- identities ----------------------------------------------------------------------------------


@given(batch=rollouts())
def test_without_discounts_an_advantage_is_the_reward_to_go_less_the_value(batch: Rollouts) -> None:
    b = batch
    expected = (b.rewards.flip(1).cumsum(1).flip(1) - b.values) * b.mask
    close(gae(b.rewards, b.values, b.mask)[0], expected)
    close(bi_level_gae(b.rewards, b.values, b.mask, b.turn, gamma_turn=1)[0], expected)


@given(batch=rollouts())
def test_bi_level_gae_equals_gae_where_one_level_is_trivial(batch: Rollouts) -> None:
    b = batch
    single = b.mask - 1
    rewards = b.rewards * turn_ends(b.mask, single)
    two = bi_level_gae(
        rewards, b.values, b.mask, single, gamma_turn=0.5, gamma_token=0.9, lam_token=0.8
    )
    one = gae(rewards, b.values, b.mask, gamma=0.9, lam=0.8)
    close(torch.stack(two), torch.stack(one))

    each = torch.where(b.mask.bool(), b.mask.cumsum(1) - 1, -1)
    two = bi_level_gae(
        b.rewards, b.values, b.mask, each, gamma_turn=0.9, lam_turn=0.8, gamma_token=0.5
    )
    one = gae(b.rewards, b.values, b.mask, gamma=0.9, lam=0.8)
    close(torch.stack(two), torch.stack(one))
    close(
        torch.stack(turn_gae(b.rewards, b.values, b.mask, each, gamma=0.9, lam=0.8)),
        torch.stack(one),
    )


# --- invariances ---------------------------------------------------------------------------------


@given(batch=rollouts(), left=st.integers(0, 2), right=st.integers(0, 2))
def test_padding_and_whatever_is_in_it_change_nothing(
    batch: Rollouts, left: int, right: int
) -> None:
    wide = batch.map(lambda x: pad(x, (left, right)))
    off = ~wide.mask.bool()
    dirty = replace(
        wide,
        rewards=wide.rewards.masked_fill(off, math.nan),
        values=wide.values.masked_fill(off, math.inf),
        turn=wide.turn.masked_fill(off, 1),
    )
    for name, estimator in ADVANTAGES.items():
        note(name)
        for narrow, found in zip(
            estimator(batch, SETTINGS), estimator(dirty, SETTINGS), strict=True
        ):
            assert (narrow is None) == (found is None)
            if narrow is not None and found is not None:
                close(found, pad(narrow, (left, right)))
                assert not found[off].any()


@given(batch=rollouts(), data=st.data())
def test_order_of_rows_and_names_of_groups_change_nothing(
    batch: Rollouts, data: st.DataObject
) -> None:
    order = torch.tensor(data.draw(st.permutations(range(len(batch.mask)))), dtype=torch.long)
    shuffled = replace(batch.map(lambda x: x[order]), group=5 - 1000 * batch.group[order])
    for name, estimator in ADVANTAGES.items():
        note(name)
        found, expected = estimator(shuffled, SETTINGS), estimator(batch, SETTINGS)
        close(found.advantages, expected.advantages[order])


@pytest.mark.parametrize("name", ADVANTAGES)
@pytest.mark.parametrize("kind", [torch.bool, torch.int32, torch.float32])
def test_any_kind_of_mask_and_of_integers_will_do(name: str, kind: torch.dtype) -> None:
    g = GOLDEN
    other = replace(g, mask=g.mask.to(kind), turn=g.turn.int(), group=g.group.int())
    found = ADVANTAGES[name](other, SETTINGS)
    assert torch.equal(found.advantages, ADVANTAGES[name](g, SETTINGS).advantages)
    assert found.value_mask is None or found.value_mask.dtype == torch.bool


@pytest.mark.parametrize("name", ADVANTAGES)
def test_float32_agrees_with_float64(name: str) -> None:
    for seed in range(5):
        double = random_rollouts(seed)
        single = replace(double, rewards=double.rewards.float(), values=double.values.float())
        found, expected = ADVANTAGES[name](single, SETTINGS), ADVANTAGES[name](double, SETTINGS)
        close(found.advantages, expected.advantages.float(), 1e-5)
        if found.returns is not None and expected.returns is not None:
            close(found.returns, expected.returns.float(), 1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", ADVANTAGES)
def test_a_gpu_agrees(name: str) -> None:
    batch = random_rollouts(0)
    there = replace(batch.map(lambda x: x.cuda()), group=batch.group.cuda())
    found = ADVANTAGES[name](there, SETTINGS)
    assert found.advantages.is_cuda
    close(found.advantages.cpu(), ADVANTAGES[name](batch, SETTINGS).advantages)


# --- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ADVANTAGES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0), (2, 3)])
def test_rows_without_policy_tokens_are_all_zero(name: str, shape: tuple[int, int]) -> None:
    zero = torch.zeros(shape)
    group = torch.zeros(shape[0], dtype=torch.long)
    found = ADVANTAGES[name](Rollouts(zero, zero, zero, zero.long() - 1, group), SETTINGS)
    assert torch.equal(found.advantages, zero)
    assert found.returns is None or torch.equal(found.returns, zero)


def test_a_turn_without_reward_is_a_turn() -> None:
    # With turns found as non-zero rewards, the first two merge and the second row has none.
    turn = torch.arange(3).expand(2, 3)
    zero = torch.zeros(2, 3).double()
    advantages, _ = bi_level_gae(rows("0 0 1 | 0 0 0"), zero, zero + 1, turn, gamma_turn=0.5)
    close(advantages, rows(".25 .5 1 | 0 0 0"))


@pytest.mark.parametrize("estimator", [grpo, rloo, reinforce_pp_baseline])
def test_groups_of_one_and_of_equal_returns_give_exactly_zero(
    estimator: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> None:
    # The first three returns are one number, added up in three orders with different roundings.
    rewards = rows("-.1 -.1 .3 | .3 -.1 -.1 | -.1 .3 -.1 | 5 0 0").float()
    assert len(rewards[:3].sum(dim=1).unique()) > 1
    advantages = estimator(rewards, torch.ones(4, 3), torch.tensor([4, 4, 4, 9]))
    assert torch.equal(advantages, torch.zeros(4, 3))


def test_grpo_refuses_an_unknown_scale() -> None:
    with pytest.raises(ValueError, match="'max': choose 'std' or 'none'"):
        grpo(torch.ones(1, 1), torch.ones(1, 1), torch.zeros(1), scale="max")  # pyright: ignore[reportArgumentType]


def test_whitened_tokens_have_mean_0_and_variance_1() -> None:
    batch = random_rollouts(0)
    x = whiten(5 + 3 * batch.values, batch.mask)
    assert not x[~batch.mask].any()
    close(x[batch.mask].mean(), torch.tensor(0.0).double())
    close(x[batch.mask].var(), torch.tensor(1.0).double())


@pytest.mark.parametrize("tokens", [0, 1, 7])
def test_whitening_a_constant_gives_zero(tokens: int) -> None:
    mask = torch.arange(9)[None] < tokens
    x = torch.full((1, 9), 100.1).masked_fill(~mask, math.nan)
    close(whiten(x, mask), torch.zeros(1, 9), 1e-6)
