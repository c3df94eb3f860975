"""Options one by one: known names, and numbers that can work."""

import math
from dataclasses import asdict

from starpo_plugin.advantages import ADVANTAGES
from starpo_plugin.choices import choose
from starpo_plugin.compute import Compute
from starpo_plugin.config import TrainConfig
from starpo_plugin.contradictions import refuse_contradictions
from starpo_plugin.filters import FILTERS, KEPT_SCALES
from starpo_plugin.losses import AGGREGATIONS, KL_FORMS, LOSSES
from starpo_plugin.shaping import TURN_REWARDS
from text_envs.chat import FORMATS

CHOICES = {
    "format": FORMATS,
    "scale_by_kept": KEPT_SCALES,
    "device": ("auto", "cpu", "cuda"),
    "tracker": ("tensorboard", "wandb", "trackio", "none"),
    "old_logprobs": ("recomputed", "sampler"),
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
        *("env_threads", "warmup_updates", "warmup_moves", "seed"),
    ),
    1: (
        *("iterations", "groups", "members", "max_turns", "max_actions", "mini_batch", "keep"),
        *("save_every", "eval_every", "eval_episodes", "updates_per_batch", "curriculum_window"),
        *("max_reply_tokens", "max_tokens", "micro_batch_tokens", "max_bad_updates"),
        *("tiny_hidden", "tiny_layers", "warmup_batch"),
    ),
    2: ("mi_samples",),
}
"""Whole numbers, by the least that each may be."""
SHARES = ("gamma", "lam", "gamma_turn", "lam_turn", "gamma_token", "lam_token", "clip_low")
"""Options from 0 to 1."""
NOT_NEGATIVE = (
    *("actor_lr", "critic_lr", "warmup_lr", "eval_temperature", "kl_coef", "value_coef"),
    *("clip_high", "value_clip"),
)
ABOVE_ZERO = {
    "temperature": "it divides the logits",
    "grad_clip": "gradients are scaled down to it",
    "lora_alpha": "it scales the adapter",
}
"""Option -> why."""


def check(config: TrainConfig) -> None:
    """Raise ``ValueError`` that names a field, its value and the choices."""
    for name, known in CHOICES.items():
        if (value := getattr(config, name)) not in known:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(known)}")
    for name, known in FUNCTIONS.items():
        choose(name, getattr(config, name), known)
    for least, names in LEAST.items():
        for name in names:
            if (value := getattr(config, name)) < least:
                raise ValueError(f"{name}={value} must be at least {least}")
    config.protocol()
    Compute.of(config)
    refuse_contradictions(config)
    _numbers(config)


def _numbers(config: TrainConfig) -> None:
    """Numbers that are not whole."""
    for name, value in asdict(config).items():
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{name}={value} is not a number")
    for name in SHARES:
        if not 0 <= (value := getattr(config, name)) <= 1:
            raise ValueError(f"{name}={value} must be from 0 to 1")
    for name in NOT_NEGATIVE:
        if (value := getattr(config, name)) < 0:
            raise ValueError(f"{name}={value} must be at least 0")
    for name, why in ABOVE_ZERO.items():
        if (value := getattr(config, name)) <= 0:
            raise ValueError(f"{name}={value} must be above 0: {why}")
    if config.dual_clip is not None and config.dual_clip <= 1:
        raise ValueError(
            f"dual_clip={config.dual_clip} must be above 1, or it would cut losses that are not"
            " clipped at all; None for no bound"
        )
