"""Filters on worked examples, and laws that hold for all of them."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from starpo_plugin.filters import (
    FILTERS,
    KEPT_SCALES,
    drop_zero,
    group_scores,
    min_p,
    scale_by_kept,
    top_k,
    top_p,
)

SCORES = torch.tensor([5, 3, 1, 0.5, 0.3, 0.2, 0, 0])
SCRAMBLED = torch.tensor([0, 1, 0.3, 5, 0, 0.2, 3, 0.5])


def kept(keep: Tensor) -> list[int]:
    return keep.nonzero().flatten().tolist()


@given(
    st.lists(
        st.tuples(st.sampled_from([-0.1, 0.0, 0.5, 1.0, 3.0]), st.sampled_from([-4, 0, 9])),
        max_size=12,
    )
)
def test_group_scores_are_unbiased_standard_deviations(rollouts: list[tuple[float, int]]) -> None:
    returns = torch.tensor([r for r, _ in rollouts], dtype=torch.float64)
    group = torch.tensor([g for _, g in rollouts], dtype=torch.long)
    scores, index = group_scores(returns, group)
    names = sorted(set(group.tolist()))
    assert [names[i] for i in index.tolist()] == group.tolist()
    for name, score in zip(names, scores.tolist(), strict=True):
        members = [r for r, g in rollouts if g == name]
        expected = statistics.stdev(members) if len(members) > 1 else 0.0
        assert score == pytest.approx(expected, abs=1e-12)


def test_groups_of_one_and_of_equal_returns_score_exactly_zero() -> None:
    # The first three are one number, added up in three orders with different roundings.
    orders = [[-0.1, -0.1, 0.3], [0.3, -0.1, -0.1], [-0.1, 0.3, -0.1]]
    returns = torch.tensor([*orders, [0, 0, 7]]).sum(dim=1)
    assert len(returns[:3].unique()) > 1
    scores, _ = group_scores(returns, torch.tensor([1, 1, 1, 2]))
    assert scores.tolist() == [0.0, 0.0]
    assert kept(drop_zero(scores)) == []


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.25, [3, 6]), (0.3, [3, 6]), (0.5, [1, 3, 6, 7]), (0.01, [3])]
)
def test_top_k_keeps_a_fraction_and_at_least_one(fraction: float, expected: list[int]) -> None:
    assert kept(top_k(SCRAMBLED, fraction)) == expected
    assert kept(top_k(SCRAMBLED, 1.0)) == list(range(8))


def test_top_k_breaks_ties_by_order() -> None:
    assert kept(top_k(torch.tensor([1.0, 2, 1, 1]), 0.75)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("p", "expected"), [(0.9, [0, 1, 2]), (0.5, [0]), (0.6, [0, 1]), (1.0, [0, 1, 2, 3, 4, 5])]
)
def test_top_p_keeps_the_nucleus(p: float, expected: list[int]) -> None:
    assert kept(top_p(SCORES, p)) == expected
    order = torch.tensor([3, 6, 1, 7, 2, 5, 0, 4])  # of SCRAMBLED, highest first
    assert torch.equal(SCRAMBLED[order], SCORES)
    assert kept(top_p(SCRAMBLED, p)) == sorted(order[expected].tolist())


def test_top_p_never_keeps_a_score_of_zero() -> None:
    assert kept(top_p(SCORES, 1.5)) == [0, 1, 2, 3, 4, 5]


def test_top_p_stops_short_by_eps() -> None:
    scores = torch.tensor([0.9, 0.1], dtype=torch.float64)
    assert kept(top_p(scores, 0.905)) == [0]
    assert kept(top_p(scores, 0.905, eps=0.0)) == [0, 1]
    assert kept(top_p(scores / 1000, 0.9)) == []


def test_min_p_is_relative_to_the_best() -> None:
    assert kept(min_p(SCRAMBLED, 0.2)) == [1, 3, 6]
    assert kept(min_p(SCRAMBLED, 0.6)) == [3, 6]


def test_drop_zero_and_none() -> None:
    assert kept(drop_zero(SCRAMBLED)) == [1, 2, 3, 5, 6, 7]
    assert kept(FILTERS["none"](SCRAMBLED, 0.0)) == list(range(8))


@given(
    scores=st.lists(st.floats(0, 10), max_size=8, unique=True),
    value=st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_filters_keep_the_highest_scores_whatever_their_order(
    scores: list[float], value: float, dtype: torch.dtype
) -> None:
    x = torch.tensor(scores, dtype=dtype)
    for keep_groups in FILTERS.values():
        keep = keep_groups(x, value)
        assert keep.dtype == torch.bool
        assert keep.shape == x.shape
        if keep.any() and not keep.all():
            assert x[keep].min() >= x[~keep].max()


@pytest.mark.parametrize("name", FILTERS)
def test_no_group_at_all_is_a_normal_event(name: str) -> None:
    assert FILTERS[name](torch.zeros(0), 0.5).shape == (0,)


@pytest.mark.parametrize(
    ("scale", "expected"), [("none", 1.0), ("linear", 0.25), ("sqrt", math.sqrt(0.25))]
)
def test_scale_by_kept(scale: str, expected: float) -> None:
    assert scale_by_kept(SCORES > 2, scale) == expected
    assert scale_by_kept(SCORES > 9, scale) == (1.0 if scale == "none" else 0.0)
    assert scale_by_kept(SCORES[:0] > 0, scale) == (1.0 if scale == "none" else 0.0)


def test_scale_by_kept_refuses_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="'cubic': choose one of none, linear, sqrt"):
        scale_by_kept(SCORES > 2, "cubic")
    assert list(KEPT_SCALES) == ["none", "linear", "sqrt"]
