"""Options one by one: known names, and numbers that can work."""

import math
from dataclasses import asdict, fields
from typing import Any, Literal, get_args, get_origin

from starpo_plugin.advantages import ADVANTAGES
from starpo_plugin.choices import choose
from starpo_plugin.compute import Compute
from starpo_plugin.config import TrainConfig
from starpo_plugin.contradictions import refuse_contradictions
from starpo_plugin.filters import FILTERS, KEPT_SCALES
from starpo_plugin.losses import AGGREGATIONS, KL_FORMS, LOSSES
from starpo_plugin.shaping import TURN_REWARDS
from text_envs.chat import FORMATS

CHOICES: dict[str, Any] = {
    "format": FORMATS,
    "scale_by_kept": KEPT_SCALES,
    "device": ("auto", "cpu", "cuda"),
    **{f.name: get_args(f.type) for f in fields(TrainConfig) if get_origin(f.type) is Literal},
}
FUNCTIONS = {
    "advantage": ADVANTAGES,
    "filter": FILTERS,
    "loss": LOSSES,
    "kl": KL_FORMS,
    "aggregation": AGGREGATIONS,
    "turn_reward": TURN_REWARDS,
}
"""Options that also take ``module:function``."""
LEAST = {
    0: (
        *("save_rollouts", "save_tokens", "mi_every", "lora_rank", "context_turns", "slots"),
        *("env_threads", "warmup_updates", "warmup_moves", "seed", "eval_temperature"),
        *("actor_lr", "critic_lr", "warmup_lr", "kl_coef", "value_coef", "clip_high"),
    ),
    1: (
        *("iterations", "groups", "members", "max_turns", "max_actions", "mini_batch", "keep"),
        *("save_every", "eval_every", "eval_episodes", "updates_per_batch", "curriculum_window"),
        *("max_reply_tokens", "max_tokens", "micro_batch_tokens", "max_bad_updates"),
        *("tiny_hidden", "tiny_layers", "warmup_batch"),
    ),
    2: ("mi_samples",),
}
"""Options by the least that each may be."""
SHARES = ("gamma", "lam", "gamma_turn", "lam_turn", "gamma_token", "lam_token", "clip_low")
"""Options from 0 to 1."""
ABOVE = {
    "temperature": (0, "it divides the logits"),
    "grad_clip": (0, "gradients are scaled down to that norm; a large one leaves them alone"),
    "value_clip": (0, "a value could not move; a large one lets it"),
    "lora_alpha": (0, "it scales the adapter"),
    "dual_clip": (1, "else nothing is learnt where the advantage is negative; None turns it off"),
}
"""Options that must be above a number (or None), and why."""


def check(config: TrainConfig) -> None:
    """Raise ``ValueError`` that names a field, its value and the choices."""
    for name, known in CHOICES.items():
        if (value := getattr(config, name)) not in known:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(known)}")
    for name, known in FUNCTIONS.items():
        choose(name, getattr(config, name), known)
    _numbers(config)
    config.protocol()
    Compute.of(config)
    refuse_contradictions(config)


def _numbers(config: TrainConfig) -> None:
    for name, value in asdict(config).items():
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{name}={value} is not a number")
    for least, names in LEAST.items():
        for name in names:
            if (value := getattr(config, name)) < least:
                raise ValueError(f"{name}={value} must be at least {least}")
    for name, (bound, why) in ABOVE.items():
        if (value := getattr(config, name)) is not None and value <= bound:
            raise ValueError(f"{name}={value} must be above {bound}: {why}")
    for name in (*SHARES, "filter_value") if config.filter in FILTERS else SHARES:
        if not 0 <= (value := getattr(config, name)) <= 1:
            raise ValueError(f"{name}={value} must be from 0 to 1")
