"""Options that each make sense, but not together."""

from typing import TYPE_CHECKING

from starpo_plugin.advantages import CRITIC_FREE
from starpo_plugin.masks import EVERYTHING
from starpo_plugin.mixing import refuse_twice, shares, specs
from starpo_plugin.sections import SECTIONS
from text_envs.chat import FORMATS

if TYPE_CHECKING:
    from starpo_plugin.config import TrainConfig

PER_TURN = ("bi_level_gae", "turn_grpo")
"""Advantages that are about what each turn earned."""


def refuse_contradictions(config: "TrainConfig") -> None:
    """Raise ``ValueError`` that names the options which contradict each other, and the remedy."""
    _groups(config)
    _turn_rewards(config)
    _off_policy(config)
    _stored(config)
    _kl(config)
    _environments(config)
    _world_model(config)
    _diagnostics(config)
    _lora(config)
    _graphs(config)
    for name in ("loss_sections", "advantage_sections"):
        _sections_of_format(name, getattr(config, name), config)


def _groups(config: "TrainConfig") -> None:
    """What compares the members of a group needs some."""
    if config.members > 1:
        return
    if config.filter != "none":
        raise ValueError(
            f"filter={config.filter!r} compares the members of a group, members={config.members}:"
            " use members of at least 2, or filter=none"
        )
    if config.advantage in CRITIC_FREE:
        raise ValueError(
            f"advantage={config.advantage!r} compares the members of a group,"
            f" members={config.members}: use members of at least 2, or advantage=gae"
        )


def _turn_rewards(config: "TrainConfig") -> None:
    if config.rewards == "trajectory" and config.advantage in PER_TURN:
        raise ValueError(
            f"advantage={config.advantage!r} credits each turn with what it earned, and"
            f" rewards={config.rewards!r} puts all that an episode earned on its last token: use"
            " rewards=turn, or advantage=gae or grpo"
        )
    if config.bootstrap_truncated and not config.needs_critic:
        raise ValueError(
            f"bootstrap_truncated needs a critic, and advantage={config.advantage!r} has none: use"
            " advantage=gae, turn_gae or bi_level_gae, or leave it off"
        )
    for name in ("length_penalty", "length_budget"):
        if not getattr(config, name) >= 0:
            raise ValueError(f"{name}={getattr(config, name)} must be at least 0")
    if config.length_budget and not config.length_penalty:
        raise ValueError(
            f"length_budget={config.length_budget} says which tokens cost nothing, and"
            " length_penalty=0 that none do: set length_penalty, or leave both at 0"
        )


def _environments(config: "TrainConfig") -> None:
    """Several environments, and a curriculum, need groups to play them."""
    refuse_twice(config)
    names = [spec.task for spec in specs(config)]
    if config.envs and config.rules is not None:
        raise ValueError(
            f"rules={config.rules!r:.100} would be told in every one of {', '.join(names)}: leave"
            " it out, or train on one environment"
        )
    given = shares(config)
    if len(given) != len(names) or sum(given) != config.groups or min(given) < 1:
        raise ValueError(
            f"env_groups={given} must deal groups={config.groups} to {len(names)} environments"
            f" ({', '.join(names)}), at least one to each"
        )
    if not 0 <= config.curriculum_down <= config.curriculum_up <= 1:
        raise ValueError(
            f"curriculum_down={config.curriculum_down} and curriculum_up={config.curriculum_up}"
            " must be success rates, the first not above the second"
        )


def _world_model(config: "TrainConfig") -> None:
    """A reward for claims about the state needs replies that make some."""
    claims = {"observation", "prediction"} & set(FORMATS[config.format])
    if config.turn_reward == "world_model" and not claims:
        having = ", ".join(f for f, s in FORMATS.items() if {"observation", "prediction"} & set(s))
        raise ValueError(
            "turn_reward='world_model' pays for what a reply says of the board, and replies of"
            f" format={config.format!r} say nothing of it: use format={having}"
        )


def _off_policy(config: "TrainConfig") -> None:
    if config.importance_cap is None:
        return
    if not config.importance_cap > 0:
        raise ValueError(f"importance_cap={config.importance_cap} must be above 0, or None")
    if config.behaviour == "sampler":
        raise ValueError(
            f"importance_cap={config.importance_cap} corrects for the sampler apart from the"
            " clipped ratio, and with old_logprobs='sampler' the ratio does so itself: use"
            " old_logprobs=recomputed, or importance_cap=None"
        )


def _stored(config: "TrainConfig") -> None:
    """What makes episodes has no say over stored ones."""
    if not config.from_data:
        return
    if config.curriculum:
        raise ValueError(
            f"curriculum={config.curriculum!r} says what is played, and from_data plays nothing:"
            " leave one of them out"
        )
    for name, plain in (("turn_reward", "game"), ("length_penalty", 0)):
        if (value := getattr(config, name)) != plain:
            raise ValueError(
                f"{name}={value!r} is given where turns are played, and from_data plays none:"
                " stored turns keep the rewards that they were played for; leave one of them out"
            )


def _kl(config: "TrainConfig") -> None:
    """A term of the loss needs a gradient."""
    if config.kl_coef and config.kl_in == "loss" and config.kl == "k1":
        raise ValueError(
            f"kl='k1' in the loss has an expected gradient of 0, so that kl_coef={config.kl_coef}"
            " would hold nothing back: use kl=k3 or k2, or kl_in=reward"
        )


def _sections_of_format(name: str, spec: tuple[str, ...], config: "TrainConfig") -> None:
    if spec in EVERYTHING:
        return
    there = [s for s in SECTIONS if s in ("tags", *config.protocol().sections)]
    for section in spec:
        if section not in there:
            raise ValueError(
                f"{name} names {section!r}, but a reply of format={config.format!r} has the"
                f" sections {', '.join(there)}: name some of these, or none for all tokens"
            )


def _diagnostics(config: "TrainConfig") -> None:
    """What is measured of a run needs what it is measured by."""
    if config.early_stop and not config.monitor:
        raise ValueError("early_stop=True needs what monitor=False turns off: set monitor=True")
    if not config.mi_every:
        return
    if "think" not in FORMATS[config.format]:
        raise ValueError(
            f"mi_every={config.mi_every} measures thoughts, and replies of"
            f" format={config.format!r} have none: set mi_every=0, or another format"
        )
    if config.groups < 2:
        raise ValueError(
            f"mi_every={config.mi_every} compares the prompts of different starts,"
            f" groups={config.groups}: use at least 2, or mi_every=0"
        )


def _lora(config: "TrainConfig") -> None:
    """What speaks of an adapter needs one."""
    asked = {"critic": config.critic == "lora", "lora_targets": bool(config.lora_targets)}
    for name in (n for n, is_asked in asked.items() if is_asked and config.lora_rank == 0):
        raise ValueError(
            f"{name}={getattr(config, name)!r} needs an adapter, and lora_rank=0 trains all weights"
            " without one: set lora_rank"
        )


def _graphs(config: "TrainConfig") -> None:
    """What both record a model's kernels are not tried together."""
    if config.cuda_graphs and config.compile:
        raise ValueError(
            "cuda_graphs=True and compile=True were never run together: use one of them"
        )
