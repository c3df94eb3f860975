"""Numbers that can't work are refused by name, before anything is loaded."""

import math

import pytest

from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("actor_lr", math.nan, "actor_lr=nan is not a number"),
        ("dual_clip", math.nan, "dual_clip=nan is not a number"),
        ("format_penalty", math.nan, "format_penalty=nan is not a number"),
        ("actor_lr", -1e-4, "actor_lr=-0.0001 must be at least 0"),
        ("critic_lr", -1.0, "critic_lr=-1.0 must be at least 0"),
        ("eval_temperature", -1.0, "eval_temperature=-1.0 must be at least 0"),
        ("temperature", 0.0, "temperature=0.0 must be above 0: it divides"),
        ("grad_clip", 0.0, "grad_clip=0.0 must be above 0"),
        ("gamma", 1.5, "gamma=1.5 must be from 0 to 1"),
        ("lam_turn", -0.1, "lam_turn=-0.1 must be from 0 to 1"),
        ("clip_low", -1.0, "clip_low=-1.0 must be from 0 to 1"),
        ("clip_high", -0.1, "clip_high=-0.1 must be at least 0"),
        ("dual_clip", 0.5, "dual_clip=0.5 must be above 1"),
        ("seed", -1, "seed=-1 must be at least 0"),
        ("max_tokens", 0, "max_tokens=0 must be at least 1"),
        ("tiny_hidden", 0, "tiny_hidden=0 must be at least 1"),
        ("tiny_layers", 0, "tiny_layers=0 must be at least 1"),
        ("warmup_batch", 0, "warmup_batch=0 must be at least 1"),
        ("warmup_updates", -1, "warmup_updates=-1 must be at least 0"),
        ("warmup_moves", -1, "warmup_moves=-1 must be at least 0"),
    ],
)
def test_a_number_that_cannot_work_is_named(field, value, said):
    with pytest.raises(ValueError, match="^" + said):
        preset("starpo_ppo", **{field: value}).check()


def test_numbers_at_their_bounds_and_of_every_preset_are_taken():
    for name in PRESETS:
        preset(name).check()
    TrainConfig(gamma=0.0, lam=0.0, clip_low=0.0, grad_clip=math.inf, dual_clip=None).check()
    TrainConfig(actor_lr=0.0, eval_temperature=0.0, max_tokens=1, tiny_layers=1).check()


@pytest.mark.parametrize("value", ["{[]: 1}", "(" * 5000, "x=y", "1 +", "\x00", "9" * 5000])
def test_what_is_no_literal_is_text(value):
    assert parse_args((f"name={value}",)) == {"name": value}
