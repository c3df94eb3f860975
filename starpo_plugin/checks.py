"""Options one by one: known names, and numbers that are not too small."""

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
        "env_threads",
    ),
    1: (
        *("iterations", "groups", "members", "max_turns", "max_actions", "mini_batch", "keep"),
        *("save_every", "eval_every", "eval_episodes", "updates_per_batch", "curriculum_window"),
        *("max_reply_tokens", "micro_batch_tokens", "max_bad_updates"),
    ),
    2: ("mi_samples",),
}


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
    if config.temperature <= 0:
        raise ValueError(f"temperature={config.temperature} must be above 0: it divides the logits")
    config.protocol()
    Compute.of(config)
    refuse_contradictions(config)
