"""Running out of memory, as an error that says where, with how much, and what to change."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from starpo_plugin.config import TrainConfig
from starpo_plugin.estimate import estimate, flags
from starpo_plugin.shapes import read_shape

Stage = Literal["imitation", "rollout", "update", "evaluation"]

RESUMABLE = (
    *("iterations", "micro_batch_tokens", "slots", "gradient_checkpointing", "compile"),
    "cuda_graphs",
)
"""Fields that a run can go on with changed: they change memory, speed or length, not results."""


class OutOfMemory(RuntimeError):
    """There was not enough memory for a stage of a run.

    Args:
        message: which stage, how large it was, what it is estimated to take.
        changes: fields that would make it smaller.
    """

    def __init__(self, message: str, changes: dict[str, Any]) -> None:
        super().__init__(message)
        self.changes = changes

    @property
    def flags(self) -> str:
        """The changes as a command line has them."""
        return flags(self.changes)

    @property
    def resumable(self) -> str:
        """Those of them that a run can go on with."""
        return flags({k: v for k, v in self.changes.items() if k in RESUMABLE})


@contextmanager
def memory_for(
    stage: Stage, policy: Any, config: TrainConfig, size: str, tokens: int | None = None
) -> Iterator[None]:
    """Turn a failed allocation into ``OutOfMemory``.

    Args:
        stage: what runs while this is open.
        policy: whose sizes the estimate is made from.
        config: the run's.
        size: how large the batch is, in words.
        tokens: in the batch, padding included, where that may be less than a micro-batch.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        at_once = min(config.micro_batch_tokens, tokens or config.micro_batch_tokens)
        changes = _CHANGES[stage](replace(config, micro_batch_tokens=at_once))
        said = f"out of memory in the {stage} ({size}): {_allocation(error)}"
        told = _estimated(stage, policy, config, changes)
        remedy = f"; make it smaller with {flags(changes)}{told}"
        raise OutOfMemory(said + remedy, changes) from error


def is_shortage(error: BaseException) -> bool:
    """Whether an error is a failed allocation: torch's on a GPU, on a CPU, or Python's own."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return type(error) is RuntimeError and any(sign in str(error) for sign in _SIGNS)


# torch's CPU allocator raises a plain RuntimeError, oneDNN and the C++ library theirs
_SIGNS = ("can't allocate memory", "not enough memory", "bad_alloc", "out of memory")


def _allocation(error: BaseException) -> str:
    """The part of an allocator's message that a person can use: how much was asked for."""
    text = str(error).splitlines()[0] if str(error) else "an allocation failed"
    _, found, asked = text.partition("you tried to allocate ")
    if found:
        return f"tried to allocate {asked.split(' bytes')[0]} bytes"
    return text.split(". GPU")[0]


def _estimated(stage: Stage, policy: Any, config: TrainConfig, changes: dict[str, Any]) -> str:
    phase = "update" if stage == "imitation" else stage
    try:
        shape = read_shape(policy.model.config.to_dict(), config.model)
    except ValueError:  # an architecture that estimates are not for
        return ""
    before = sum(estimate(shape, config)[phase].values())
    after = sum(estimate(shape, replace(config, **changes))[phase].values())
    return f" (estimated: {after / 1e9:.1f} GB in place of {before / 1e9:.1f} GB)"


def _smaller_update(config: TrainConfig) -> dict[str, Any]:
    changes: dict[str, Any] = {"micro_batch_tokens": max(1, config.micro_batch_tokens // 4)}
    if not config.gradient_checkpointing:
        changes["gradient_checkpointing"] = True
    if config.lora_rank == 0:
        changes["lora_rank"] = 32
    return changes


def _smaller_rollout(config: TrainConfig) -> dict[str, Any]:
    return _fewer_at_once(config, config.groups * config.members)


def _smaller_evaluation(config: TrainConfig) -> dict[str, Any]:
    return _fewer_at_once(config, config.eval_episodes * (1 + len(config.envs)))


def _fewer_at_once(config: TrainConfig, episodes: int) -> dict[str, Any]:
    rows = min(episodes, config.at_once())
    if rows > 1:
        return {"slots": max(1, rows // 4)}
    return {"max_tokens": max(1, config.max_tokens // 2)}


def _smaller_imitation(config: TrainConfig) -> dict[str, Any]:
    return {"micro_batch_tokens": max(1, config.micro_batch_tokens // 4)}


_CHANGES = {
    "imitation": _smaller_imitation,
    "rollout": _smaller_rollout,
    "update": _smaller_update,
    "evaluation": _smaller_evaluation,
}
