"""Losses against plain arithmetic, and the law that a mini-batch may be cut up in any way."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import pad

from starpo_plugin.losses import (
    AGGREGATIONS,
    KL_FORMS,
    Totals,
    count,
    entropy,
    policy_loss,
    value_loss,
)

ROWS, WIDTH = 5, 6


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    """Bool [B, T]; a third of the rows, more or less, are empty."""
    row = st.one_of(
        st.just([False] * WIDTH), *[st.lists(st.booleans(), min_size=6, max_size=6)] * 2
    )
    return torch.tensor(draw(st.lists(row, min_size=ROWS, max_size=ROWS)))


def table(low: float, high: float, *rare: float) -> st.SearchStrategy[Tensor]:
    """Float64 [B, T] of numbers between two bounds, or one of the rare ones."""
    cell = st.floats(low, high) | st.sampled_from(rare) if rare else st.floats(low, high)
    row = st.lists(cell, min_size=WIDTH, max_size=WIDTH)
    rows = st.lists(row, min_size=ROWS, max_size=ROWS)
    return rows.map(lambda cells: torch.tensor(cells, dtype=torch.float64))


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# --- policy loss ---------------------------------------------------------------------------------


def slow_policy_loss(
    d: float, a: float, low: float, high: float, dual: float | None
) -> dict[str, float]:
    """The loss and the statistics of one token, from its log-ratio and its advantage."""
    ratio = math.exp(min(max(d, -20), 20))
    plain, clipped = -a * ratio, -a * min(max(ratio, 1 - low), 1 + high)
    loss = max(plain, clipped)
    dropped = dual is not None and a < 0 and loss > -a * dual
    return {
        "loss": -a * dual if dual is not None and dropped else loss,
        "clip_low": clipped > plain and a < 0,
        "clip_high": clipped > plain and a > 0,
        "clip_dual": dropped,
        "kl_k1": -d,
        "kl_k3": min(ratio - 1 - min(max(d, -20), 20), 10),
    }


@given(
    log_ratio=table(-1, 2, -50.0, 50.0),
    advantages=table(-2, 2, 0.0),
    mask=masks(),
    clip=st.sampled_from([(0.2, 0.2), (0.2, 0.28)]),
    dual=st.sampled_from([3.0, None]),
)
def test_policy_loss_equals_the_slow_reference(
    log_ratio: Tensor, advantages: Tensor, mask: Tensor, clip: tuple[float, float], dual: float
) -> None:
    low, high = clip
    old = torch.full_like(log_ratio, -1)
    logp = old + log_ratio
    loss, stats = policy_loss(
        logp, old, advantages, mask, clip_low=low, clip_high=high, dual_clip=dual
    )
    found = {"loss": loss, **stats}
    d, a = (logp - old).flatten().tolist(), advantages.flatten().tolist()
    tokens = [slow_policy_loss(*token, low, high, dual) for token in zip(d, a, strict=True)]
    assert found.keys() == tokens[0].keys()
    for name, x in found.items():
        expected = torch.tensor([token[name] for token in tokens], dtype=torch.float64)
        close(x, expected.view(x.shape) * mask)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.25, 2.0, -2.5, -2.5),  # inside the higher upper bound: pushed further up
        (1.5, 2.0, -2.56, 0.0),
        (0.5, 2.0, -1.0, -1.0),
        (0.5, -2.0, 1.6, 0.0),
        (1.5, -2.0, 3.0, 3.0),
        (4.0, -2.0, 6.0, 0.0),  # 8 without the dual clip
    ],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, loss: float, slope: float) -> None:
    logp = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    one = torch.ones_like(logp)
    found, stats = policy_loss(logp, 0 * one, advantage * one, one, clip_high=0.28)
    found.sum().backward()
    assert found.item() == pytest.approx(loss)
    assert logp.grad is not None
    assert float(logp.grad) == pytest.approx(slope)
    assert not any(stat.requires_grad for stat in stats.values())


# --- aggregation ---------------------------------------------------------------------------------

WORKED = torch.tensor([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0], [9.0, 9.0, 9.0]])
WORKED_MASK = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token-mean", (1 + 2 + 3) / 3),
        ("seq-mean-token-mean", ((1 + 2) / 2 + 3) / 2),
        ("seq-mean-token-sum", ((1 + 2) + 3) / 2),
        ("seq-mean-token-sum-norm", ((1 + 2) + 3) / 2 / 10),
    ],
)
def test_aggregation_by_hand(name: str, expected: float) -> None:
    totals = count(WORKED_MASK, max_length=10)
    assert totals == Totals(tokens=3, sequences=2, max_length=10)
    assert float(AGGREGATIONS[name](WORKED, WORKED_MASK, totals)) == pytest.approx(expected)


def test_every_aggregation_has_a_worked_example() -> None:
    marks = getattr(test_aggregation_by_hand, "pytestmark", [])
    assert {name for name, _ in marks[0].args[1]} == AGGREGATIONS.keys()


@pytest.mark.parametrize("name", AGGREGATIONS)
@given(
    x=table(-2, 2),
    mask=masks(),
    cut=st.lists(st.integers(0, ROWS), max_size=3).map(sorted),
    order=st.permutations(range(ROWS)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2), st.just(0), st.integers(0, 2)),
)
def test_micro_batches_and_padding_change_neither_loss_nor_gradient(
    name: str,
    x: Tensor,
    mask: Tensor,
    cut: list[int],
    order: list[int],
    padding: tuple[int, int, int, int],
) -> None:
    aggregation, totals = AGGREGATIONS[name], count(mask, max_length=7)
    whole = x.clone().requires_grad_()
    loss = aggregation(whole.square(), mask, totals)
    loss.backward()

    pieces = x.clone().requires_grad_()
    micro = [order[a:b] for a, b in zip([0, *cut], [*cut, ROWS], strict=True)]
    shares = []
    for rows in micro:
        per_token = pad(pieces[rows].square(), padding, value=math.nan)
        shares.append(aggregation(per_token, pad(mask[rows], padding), totals))
        shares[-1].backward()
    close(torch.stack(shares).sum(), loss)
    assert whole.grad is not None
    assert pieces.grad is not None
    close(pieces.grad, whole.grad)
    assert count(pad(mask, padding), max_length=7) == totals


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("shape", [(0, 0), (2, 0), (2, 3)])
def test_a_mini_batch_without_tokens_costs_nothing(name: str, shape: tuple[int, int]) -> None:
    mask = torch.zeros(shape)
    assert float(AGGREGATIONS[name](torch.ones(shape), mask, count(mask, max_length=9))) == 0


# --- value loss, divergence, entropy -------------------------------------------------------------


@given(
    values=table(-2, 2),
    old=table(-2, 2),
    returns=table(-2, 2),
    mask=masks(),
    clip=st.sampled_from([0.5, math.inf]),
)
def test_value_loss_equals_the_slow_reference(
    values: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float
) -> None:
    found = value_loss(values, old, returns, mask, clip=clip)
    expected = []
    for v, v_old, target in torch.stack([values, old, returns], dim=-1).view(-1, 3).tolist():
        clipped = min(max(v, v_old - clip), v_old + clip)
        expected.append(0.5 * max((v - target) ** 2, (clipped - target) ** 2))
    close(found, torch.tensor(expected, dtype=torch.float64).view(found.shape) * mask)


def test_value_loss_stops_where_the_value_has_moved_far_enough() -> None:
    values = torch.tensor([[0.4, 0.9]], requires_grad=True)
    loss = value_loss(values, torch.zeros(1, 2), torch.full((1, 2), 0.8), torch.ones(1, 2))
    loss.sum().backward()
    close(loss, torch.tensor([[0.08, 0.045]]), 1e-6)
    assert values.grad is not None
    close(values.grad, torch.tensor([[-0.4, 0.0]]), 1e-6)


@given(d=table(-3, 3, 60.0, -60.0), mask=masks())
def test_kl_forms_equal_their_formulas(d: Tensor, mask: Tensor) -> None:
    zero = torch.zeros_like(d)
    formulas = {"k1": d, "k2": d**2 / 2, "k3": (torch.exp(-d) + d - 1).clamp(-10, 10)}
    assert formulas.keys() == KL_FORMS.keys()
    for name, expected in formulas.items():
        close(KL_FORMS[name](d, zero, mask), expected * mask)
        close(KL_FORMS[name](d - 1, zero - 1, mask), expected * mask)


@pytest.mark.parametrize(("name", "tolerance"), [("k1", 0.01), ("k2", 0.02), ("k3", 0.01)])
def test_kl_forms_estimate_the_divergence_from_samples_of_the_policy(
    name: str, tolerance: float
) -> None:
    policy, reference = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.5, 0.3, 0.2])
    kl = (policy * (policy / reference).log()).sum()
    per_token = KL_FORMS[name](policy.log()[None], reference.log()[None], torch.ones(1, 3))
    close((policy * per_token[0]).sum(), kl, tolerance)


def test_gradients_of_the_kl_forms_as_losses() -> None:
    """Under samples of the policy: of k1 nothing, of k2 the KL's, of k3 that of the reverse KL."""
    generator = torch.Generator().manual_seed(0)
    rows = 0.5 * torch.randn((2, 5), generator=generator, dtype=torch.float64)
    logits, logp_ref = rows[0].requires_grad_(), rows[1].log_softmax(-1).detach()
    logp = logits.log_softmax(-1)

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    forward = (logp.exp() * (logp - logp_ref)).sum()
    reverse = (logp_ref.exp() * (logp_ref - logp)).sum()
    expected = {"k1": 0 * gradient(forward), "k2": gradient(forward), "k3": gradient(reverse)}
    for name, form in KL_FORMS.items():
        per_outcome = form(logp[None], logp_ref[None], torch.ones(1, 5))
        found = gradient((logp.detach().exp() * per_outcome).sum())
        torch.testing.assert_close(found, expected[name])


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)])
def test_entropy_equals_that_of_the_distribution(shape: tuple[int, ...]) -> None:
    logits = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy(), 1e-6)


def test_entropy_counts_a_logit_of_minus_infinity_as_impossible() -> None:
    logits = torch.tensor([1.0, 1.0, -math.inf, -200.0], requires_grad=True)
    found = entropy(logits)
    found.backward()
    assert found.item() == pytest.approx(math.log(2))
    assert logits.grad is not None
    close(logits.grad, torch.zeros(4), 1e-6)


# --- what padding may hold -----------------------------------------------------------------------


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float32])
def test_nothing_off_the_mask_reaches_a_loss_or_a_gradient(junk: float, kind: torch.dtype) -> None:
    mask = torch.tensor([[1, 0, 1, 0]]).to(kind)
    good = torch.tensor([[0.5, 0.2, -0.5, 0.1]])
    bad = good.masked_fill(~mask.bool(), junk)
    losses = [
        lambda x, y: policy_loss(x, y, y, mask)[0],
        lambda x, y: value_loss(x, y, y, mask),
        *(lambda x, y, form=form: form(x, y, mask) for form in KL_FORMS.values()),
    ]
    for loss in losses:
        results = []
        for x in (good, bad):
            leaf = (x + 0.3).requires_grad_()
            per_token = loss(leaf, x)
            per_token.sum().backward()
            assert not per_token[~mask.bool()].any()
            results.append((per_token.detach(), leaf.grad))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])


def test_a_policy_far_from_its_reference_gives_finite_gradients() -> None:
    logp = torch.tensor([[-500.0, -89.1, -0.1]], requires_grad=True)
    other = torch.tensor([[-0.1, -0.1, -500.0]])
    one = torch.ones(1, 3)
    for loss in (
        *(form(logp, other, one) for form in KL_FORMS.values()),
        policy_loss(logp, other, one, one, dual_clip=None)[0],
        policy_loss(logp, other, -one, one, dual_clip=None)[0],
    ):
        (gradient,) = torch.autograd.grad(loss.sum(), logp)
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_agrees() -> None:
    rng = torch.Generator().manual_seed(0)
    logp, old, advantages = torch.randn((3, 8, 9), generator=rng, dtype=torch.float64)
    mask = torch.rand((8, 9), generator=rng) < 0.7
    totals = count(mask, max_length=9)
    here = policy_loss(logp, old, advantages, mask)[0]
    there = policy_loss(logp.cuda(), old.cuda(), advantages.cuda(), mask.cuda())[0]
    close(there.cpu(), here)
    for aggregation in AGGREGATIONS.values():
        close(aggregation(there, mask.cuda(), totals).cpu(), aggregation(here, mask, totals))
