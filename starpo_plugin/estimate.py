"""How much memory a run takes: arithmetic on the sizes of its model and batches.

Bytes, by phase and by what they are for. What a block keeps for its backward pass was counted on
transformers' Llama-like blocks; ``benchmarks/memory.md`` holds the whole beside measured peaks.

What was left out: what CUDA and its kernels take for themselves, and fragmentation. ``fits`` keeps
a tenth of a card free for them. Models spread over several GPUs.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from starpo_plugin.config import TrainConfig
from starpo_plugin.shapes import LOGITS_AT_ONCE, ModelShape

CARDS = (24, 80, 140)
"""Memory of common GPUs in GB."""

Phase = dict[str, float]
"""What memory is for -> bytes."""

_SINGLE, _MOMENTS = 4, 8  # bytes of a float32, and of Adam's two
_LOGIT_COPIES = 8  # of a chunk's logits, at the widest point of its backward pass
_DRAW_COPIES = 6  # of the logits that tokens are drawn from
_CACHE_ROOM = 1.5  # the cache keeps room behind the tokens


class BlockBytes(NamedTuple):
    """Bytes that a block keeps of a token for its backward pass, per unit of each width."""

    hidden: int
    query: int
    key: int
    inner: int
    normed: tuple[int, int] = (0, 0)
    """More for query and key where both are normalised."""
    stream: int = 4
    """Bytes of a number between blocks."""


# (adapter, bf16) -> what is kept: counted with torch's saved_tensors_hooks
_KEPT = {
    (False, False): BlockBytes(24, 8, 8, 16, (8, 8)),
    (False, True): BlockBytes(26, 4, 4, 8, (6, 6)),
    (True, False): BlockBytes(16, 8, 8, 16, (4, 4)),
    (True, True): BlockBytes(18, 4, 4, 8, (6, 4), stream=2),
}


def estimate(shape: ModelShape, config: TrainConfig) -> dict[str, Phase]:
    """Bytes of a run by phase: rollout, evaluation, update (forward and backward), optimiser step.

    Episodes are taken to reach ``max_tokens``, and replies ``max_reply_tokens``.
    """
    standing = _standing(shape, config)
    trained = _trained(shape, config) * _SINGLE
    step = trained if config.device != "cpu" else 2.0 * _SINGLE * shape.embedding
    played = config.groups * config.members
    evaluated = config.eval_episodes * (1 + len(config.envs))
    return {
        "rollout": standing | _rollout(shape, config, min(played, config.at_once())),
        "evaluation": standing | _rollout(shape, config, min(evaluated, config.at_once())),
        "update": standing | {"gradients": trained} | _update(shape, config),
        "optimiser step": standing | {"gradients": trained, "copies": step},
    }


def peak(phases: dict[str, Phase]) -> tuple[str, float]:
    """Phase that takes the most, and its bytes."""
    totals = {name: sum(parts.values()) for name, parts in phases.items()}
    most = max(totals, key=lambda name: totals[name])
    return most, totals[most]


def fits(phases: dict[str, Phase], gigabytes: float) -> bool:
    """Whether a card of that size holds it, with a tenth kept free."""
    return peak(phases)[1] <= 0.9 * gigabytes * 1e9


def smaller(config: TrainConfig) -> Iterator[tuple[str, TrainConfig]]:
    """Ways to make a run smaller, each with the ones before it: what to add to the command line."""
    made: dict[str, Any] = {}

    def step(**changes: Any) -> tuple[str, TrainConfig]:
        nonlocal config
        made.update(changes)
        config = replace(config, **changes)
        return flags(made), config

    yield "", config
    if not config.gradient_checkpointing:
        yield step(gradient_checkpointing=True)
    if config.micro_batch_tokens > 4096:
        yield step(micro_batch_tokens=4096)
    if config.at_once() > 32:
        yield step(slots=32)
    if config.precision == "no":
        yield step(precision="bf16")
    if config.lora_rank == 0:
        yield step(lora_rank=32)
    if config.at_once() > 8:
        yield step(slots=8)


def flags(changes: dict[str, Any]) -> str:
    """Fields as options."""
    written = []
    for name, value in changes.items():
        flag = "--" + name.replace("_", "-")
        written.append(flag if value is True else f"{flag} {value}")
    return " ".join(written)


def _trained(shape: ModelShape, config: TrainConfig) -> int:
    """Parameters that are trained."""
    critic = config.critic if config.needs_critic else "none"
    own = shape.body if critic == "separate" else 0
    if not config.lora_rank:
        return shape.parameters + own
    adapters = 2 if critic == "lora" else 1
    return own + adapters * shape.adapter(config.lora_rank, config.lora_targets)


def _frozen_bytes(config: TrainConfig) -> int:
    return 2 if config.precision == "bf16" else _SINGLE


def _standing(shape: ModelShape, config: TrainConfig) -> Phase:
    """What is there in every phase."""
    trained = _trained(shape, config)
    frozen = shape.parameters if config.lora_rank else 0
    reference = shape.parameters if config.kl_coef and not config.lora_rank else 0
    return {
        "weights": trained * _SINGLE + frozen * _frozen_bytes(config),
        "optimiser": trained * _MOMENTS,
        "reference": reference * _frozen_bytes(config),
    }


def _rollout(shape: ModelShape, config: TrainConfig, rows: int) -> Phase:
    """``rows`` conversations at their longest."""
    number = _frozen_bytes(config) if config.lora_rank else _SINGLE
    tokens = rows * config.max_tokens
    chunk = max(1, config.max_tokens // config.max_turns - config.max_reply_tokens)
    # where queries outnumber keys, a layer's keys and values are repeated for them
    repeated = 2 * shape.query if shape.heads > shape.kv_heads else 0
    return {
        "keys and values": _CACHE_ROOM * tokens * 2 * shape.key * shape.layers * number,
        "activations": number
        * (tokens * repeated + rows * chunk * (3 * shape.intermediate + 4 * shape.hidden)),
        "logits": rows * shape.vocab * _SINGLE * _DRAW_COPIES,
    }


def _update(shape: ModelShape, config: TrainConfig) -> Phase:
    """One micro-batch's forward and backward pass."""
    bf16 = config.precision == "bf16"
    kept = _KEPT[bool(config.lora_rank), bf16]
    tokens = micro_batch(config)
    share = min(1.0, config.max_turns * config.max_reply_tokens / config.max_tokens)
    block = (
        kept.hidden * shape.hidden
        + (kept.query + shape.qk_norm * kept.normed[0]) * shape.query
        + (kept.key + shape.qk_norm * kept.normed[1]) * shape.key
        + kept.inner * shape.intermediate
    )
    backward = (2 if bf16 else 4) * (3 * shape.intermediate + 2 * shape.hidden)
    if config.gradient_checkpointing:
        blocks = shape.layers * kept.stream * shape.hidden + block
    else:
        blocks = shape.layers * block
    bodies = 2 if config.needs_critic and config.critic != "shared" else 1
    around = 5 * _SINGLE * shape.hidden  # final norm, and the states that are picked from it
    logits = min(tokens * share * shape.vocab, max(LOGITS_AT_ONCE, shape.vocab))
    casts = 2 * _trained(shape, config) if bf16 else 0
    head = 0 if config.lora_rank else _SINGLE * shape.embedding  # a chunk's gradient of it
    return {
        "activations": tokens * (bodies * (blocks + around) + backward),
        "logits": logits * _SINGLE * _LOGIT_COPIES + head,
        "copies": casts,
    }


def micro_batch(config: TrainConfig) -> int:
    """Most tokens that go through the model at once in an update."""
    most = min(config.micro_batch_tokens, config.mini_batch * config.max_tokens)
    return max(most, config.max_tokens)  # a row longer than the budget comes alone
