"""Choices by name or as module:function, and options that contradict each other."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from starpo_kit import play, rewarded, small_policy

from starpo_plugin.batch import collate
from starpo_plugin.choices import choose
from starpo_plugin.config import TrainConfig
from starpo_plugin.losses import KL_FORMS, kl_k2
from starpo_plugin.presets import preset
from starpo_plugin.shaping import shaping
from starpo_plugin.train import select
from starpo_plugin.update import Learner

PAPER = '''
"""A paper's new functions: each does what one of ours does, by another way."""
import torch
from starpo_plugin.advantages import Estimate

def advantage(batch, config):
    returns = (batch.rewards * batch.mask).sum(1)
    means = torch.stack([returns[batch.group == g].mean() for g in batch.group])
    return Estimate((returns - means)[:, None] * batch.mask)

def with_values(batch, config):
    mask = batch.mask.bool()
    to_go = batch.rewards.flip(1).cumsum(1).flip(1)
    gain = torch.where(mask, to_go - batch.values, 0)
    return Estimate(gain, torch.where(mask, to_go, 0), mask)

with_values.needs_critic = True

def filter(scores, value):
    return scores >= scores.max()

def loss(logp, logp_old, advantages, mask, *, clip_low, clip_high, dual_clip):
    return torch.where(mask, -advantages * (logp - logp_old).exp(), 0), {"paper": mask.float()}

def kl(logp, logp_ref, mask):
    return 0.5 * ((logp - logp_ref) * mask) ** 2

def aggregation(per_token, mask, totals):
    return (per_token * mask).sum() / totals.tokens

def turn_reward(reward, reply, info):
    return 10.0 if info["well_formed"] else -float(len(reply))

number = 3
'''


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A module of someone's own, beside which the trainer is called."""
    (tmp_path / "a_paper.py").write_text(PAPER)
    (tmp_path / "a_broken_paper.py").write_text("import no_such_thing\n")
    (tmp_path / "a_paper_that_raises.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)


def _updated(critic: Any, reference: bool = False, **changes: Any):
    policy = small_policy(spread=2.0, critic=critic)
    config = TrainConfig(mini_batch=64, max_tokens=400, whiten=False, entropy_coef=0.0)
    config = dataclasses.replace(config, **changes).check()
    batch = collate(rewarded(play(policy, groups=3, members=3)), pad_id=0)
    other = small_policy(seed=5, spread=2.0) if reference else None
    learner = Learner(policy, other, config, torch.optim.SGD(policy.parameters(), lr=0.1))
    metrics = learner.update(batch, torch.Generator().manual_seed(0))
    return metrics, torch.cat([p.detach().flatten() for p in policy.model.parameters()])


@pytest.mark.parametrize(
    ("critic", "own", "ours"),
    [
        ("none", {"advantage": "a_paper:advantage"}, {"advantage": "grpo", "grpo_scale": "none"}),
        ("shared", {"advantage": "a_paper:with_values"}, {"advantage": "gae"}),
        ("none", {"loss": "a_paper:loss"}, {}),  # one update: the ratio is 1
        ("none", {"aggregation": "a_paper:aggregation"}, {}),
        ("none", {"kl": "a_paper:kl"}, {"kl": "k2"}),
    ],
)
def test_a_function_of_ones_own_does_what_ours_does(paper, critic, own, ours):
    base = {"advantage": "rloo"} if critic == "none" else {}
    with_kl: dict[str, Any] = {"kl_coef": 0.1, "kl_in": "loss"} if "kl" in own else {}
    metrics, weights = _updated(critic, bool(with_kl), **{**base, **with_kl, **own})
    expected, by_ours = _updated(critic, bool(with_kl), **{**base, **with_kl, **ours})
    assert torch.allclose(weights, by_ours, atol=1e-6)
    assert metrics["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    assert ("value_loss" in metrics) == (critic == "shared")
    if "loss" in own:
        assert metrics["paper"] == 1  # its statistics are reported
        assert "clip_low" not in metrics


def test_an_estimator_says_whether_it_needs_a_critic(paper):
    assert not preset("starpo_s", advantage="a_paper:advantage").check().needs_critic
    assert preset("starpo_s", advantage="a_paper:with_values").check().needs_critic


def test_a_filter_and_a_reward_of_ones_own(paper):
    played = rewarded(play(small_policy(spread=2.0), groups=3, members=3))
    config = preset("starpo_s", filter="a_paper:filter").check()
    kept, _ = select(played, config)
    assert len({t.group for t in kept}) == 1
    reward = shaping(preset("starpo_s", turn_reward="a_paper:turn_reward").check()).turn_reward
    assert reward(0.5, "abc", {"well_formed": False}) == -3.0
    assert reward(0.5, "abc", {"well_formed": True}) == 10.0


@pytest.mark.parametrize(
    "field", ["advantage", "filter", "loss", "kl", "aggregation", "turn_reward"]
)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "is not one of .*, or module:function"),
        ("a_paper:", "is not one of"),
        ("a_paper:none_such", "can't be imported.*none_such"),
        ("no_such_paper:f", "can't be imported.*no_such_paper"),
        ("a_broken_paper:f", "can't be imported.*no_such_thing"),
        ("a_paper_that_raises:f", "can't be imported.*ZeroDivisionError"),
        ("a_paper:number", "is of type int, not a function"),
    ],
)
def test_what_can_not_be_imported_is_named(paper, field, name, said):
    with pytest.raises(ValueError, match=rf"^{field}='{name}' {said}"):
        preset("starpo_s", **{field: name}).check()


def test_a_known_name_comes_first():
    assert choose("kl", "k2", KL_FORMS) is kl_k2


# --- contradictions ---


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kl_in": "los"}, "kl_in='los' is not one of reward, loss"),
        ({"rewards": "turns"}, "rewards='turns' is not one of trajectory, turn"),
        ({"grpo_scale": None}, "grpo_scale=None is not one of std, none"),
        ({"gamma": 1.5}, r"gamma=1\.5 must be from 0 to 1"),
        ({"lam_turn": math.nan}, "lam_turn=nan is not a number"),
        ({"filter_value": 2}, "filter_value=2 must be from 0 to 1"),  # the number of groups?
        ({"dual_clip": 0.0}, r"dual_clip=0\.0 must be above 1: .*None turns it off"),
        ({"grad_clip": 0.0}, r"grad_clip=0\.0 must be above 0"),
        ({"temperature": math.nan}, "temperature=nan is not a number"),
        ({"eval_temperature": -1.0}, r"eval_temperature=-1\.0 must be at least 0"),
        ({"clip_low": -0.2}, r"clip_low=-0\.2 must be from 0 to 1"),
        ({"warmup_batch": 0}, "warmup_batch=0 must be at least 1"),
    ],
)
def test_numbers_and_names_that_can_not_work_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        preset("starpo_s", **changes).check()


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("starpo_s", {"members": 1}, "filter='top_k' compares.*members=1.*filter=none"),
        ("starpo_grpo", {"members": 1}, "advantage='grpo' compares.*members=1.*advantage=gae"),
        ("trico", {"rewards": "trajectory"}, "advantage='bi_level_gae'.*rewards=turn"),
        ("starpo_s", {"advantage": "turn_grpo"}, "advantage='turn_grpo'.*rewards=turn"),
        ("starpo_grpo", {"bootstrap_truncated": True}, "bootstrap_truncated.*advantage='grpo'"),
        ("trico", {"length_penalty": -0.1}, "length_penalty=-0.1 must be at least 0"),
        ("trico", {"length_penalty": float("nan")}, "length_penalty=nan is not a number"),
        ("trico", {"length_budget": 40}, "length_budget=40.*set length_penalty"),
        ("trico", {"importance_cap": 0.0}, "importance_cap=0.0 must be above 0"),
        (
            "trico",
            {"importance_cap": 2.0, "old_logprobs": "sampler"},
            "importance_cap=2.0.*old_logprobs=recomputed",
        ),
        ("trico", {"kl_coef": 0.1, "kl_in": "loss"}, "kl='k1' in the loss.*kl=k3"),
        ("trico", {"loss_sections": ("prediction",)}, "loss_sections names 'prediction'"),
    ],
)
def test_contradictions_are_refused_with_a_remedy(name, changes, said):
    with pytest.raises(ValueError, match=said):
        preset(name, **changes).check()


def test_presets_and_what_goes_together():
    for name in ("starpo_ppo", "starpo_grpo", "starpo_s", "trico"):
        preset(name).check()
    trico = preset("trico")
    assert (trico.advantage, trico.gamma_turn, trico.whiten) == ("bi_level_gae", 0.95, True)
    assert (trico.rewards, trico.kl_coef, trico.filter) == ("turn", 0.0, "none")
    assert (trico.clip_low, trico.clip_high) == (0.2, 0.2)
    preset("trico", kl_coef=0.1, kl_in="loss", kl="k2").check()
    preset("trico", members=1).check()  # a critic compares with nobody
    preset("trico", filter="top_k", bootstrap_truncated=True, importance_cap=2.0).check()
    preset("starpo_s", length_penalty=0.01, length_budget=40).check()
