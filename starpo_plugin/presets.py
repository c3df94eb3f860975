"""Named starting points: StarPO's after RAGEN (arXiv 2504.20073), TRICO after VAGEN (arXiv
2510.16907).
"""

from dataclasses import replace
from typing import Any

from starpo_plugin.config import TrainConfig


def starpo_ppo() -> TrainConfig:
    """StarPO with PPO: token-level GAE over whole trajectories, KL in the reward."""
    return TrainConfig(kl_coef=0.001)


def starpo_grpo() -> TrainConfig:
    """StarPO with GRPO: a trajectory's return against its group's, no critic; the KL (k3) is part
    of the loss, as in DeepSeekMath (arXiv 2402.03300), equations 3 and 4. In the reward, whatever
    little it differs by would be divided by the spread of a group that otherwise earned the same.
    """
    return TrainConfig(advantage="grpo", whiten=False, kl="k3", kl_in="loss", kl_coef=0.001)


def starpo_s() -> TrainConfig:
    """StarPO-S: trains on the quarter of groups with the widest returns, clips higher, no KL."""
    return TrainConfig(filter="top_k", filter_value=0.25, clip_high=0.28)


def trico() -> TrainConfig:
    """TRICO, of VAGEN (arXiv 2510.16907): each turn's own reward, credited by bi-level GAE."""
    return TrainConfig(advantage="bi_level_gae", gamma_turn=0.95, rewards="turn")


PRESETS = {
    "starpo_ppo": starpo_ppo,
    "starpo_grpo": starpo_grpo,
    "starpo_s": starpo_s,
    "trico": trico,
}


def preset(name: str, **changes: Any) -> TrainConfig:
    """Return a preset with some fields changed. Raises ``ValueError`` that lists the presets."""
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is not one of {', '.join(PRESETS)}")
    return replace(PRESETS[name](), **changes)
