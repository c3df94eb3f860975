"""The processes of a run: accelerate starts and numbers them, this says who computes what.

What a run computes does not depend on how many there are. Each plays its share of the groups, and
then all of them hold all trajectories: filters, advantages and the cut into mini-batches are those
of one process. Of each mini-batch a process computes the rows that are its share; the loss is
normalised over the whole mini-batch, so that gradients are summed, not averaged.

The weights are whole in each process, or sharded over all of them (FSDP2).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from starpo_plugin.batch import Batch, collate, micro_batches
from starpo_plugin.trajectory import Trajectory, Turn

if TYPE_CHECKING:
    from accelerate import Accelerator

    from starpo_plugin.policy import Policy

T = TypeVar("T")


class Processes:
    """Which process of a run this is, and what it does with the others.

    Args:
        accelerator: says which one this is, and of how many; ``None``: there is only this one.

    Raises:
        ValueError: accelerate was told to shard in a way that this trainer does not know.
    """

    def __init__(self, accelerator: "Accelerator | None" = None) -> None:
        self._accelerator = accelerator
        self.index = 0 if accelerator is None else accelerator.process_index
        self.count = 1 if accelerator is None else accelerator.num_processes
        self._fsdp = _fsdp(accelerator) if accelerator is not None and self.count > 1 else None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.index == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds only a part of the weights (FSDP2)."""
        return self._fsdp is not None

    @property
    def accelerator(self) -> "Accelerator":
        """What joins the processes."""
        assert self._accelerator is not None
        return self._accelerator

    def wait(self) -> None:
        """Go on only when all have come this far."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()

    # --- shares ---

    def part(self, size: int) -> range:
        """Which of ``size`` things in a row are this process's; in order of process they are all
        of them, each once.
        """
        return range(self.index * size // self.count, (self.index + 1) * size // self.count)

    def micro_batches(self, batch: Batch, budget: int) -> list[tuple[Tensor, float]]:
        """Cut this process's share of a batch into micro-batches: (rows, weight) of each.

        Trajectories are dealt out by length, so that all have about as much to do. Sharded weights
        are gathered in each forward and backward pass, so there all need the same number of passes,
        and gradients need one in any case: what is added for that has weight 0.

        Args:
            batch: the same in each process.
            budget: tokens of a micro-batch, padding included.
        """
        order = batch.longest.argsort(descending=True, stable=True)
        dealt = [batch.rows_of(order[index :: self.count]) for index in range(self.count)]
        shares = [
            [share[rows] for rows in micro_batches(batch.rows(share), budget)] for share in dealt
        ]
        passes = max(map(len, shares)) if self.sharded else 1
        own = [(rows, 1.0) for rows in shares[self.index]]
        return own + [(batch.rows_of(order[-1:]), 0.0)] * (passes - len(own))

    # --- bringing together ---

    def gather(self, own: list[T]) -> list[T]:
        """Give all processes' lists, in order of process, to each of them."""
        if self.count == 1:
            return own
        from accelerate.utils import gather_object

        return gather_object(own)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes."""
        return self.accelerator.reduce(tensor, "sum") if self.count > 1 else tensor  # pyright: ignore[reportReturnType] (a tensor for a tensor)

    def total(self, numbers: dict[str, float]) -> dict[str, float]:
        """Sum numbers over the processes, which have the same names for them."""
        if self.count == 1:
            return numbers
        values = torch.tensor(list(numbers.values()), dtype=torch.float64)
        summed = self.sum(values.to(self.accelerator.device))
        return dict(zip(numbers, summed.tolist(), strict=True))

    def backward(self, loss: Tensor) -> None:
        """Propagate a micro-batch's share of the loss."""
        # FSDP2 averages over the processes what has to be summed
        self.accelerator.backward(loss * self.count if self.sharded else loss)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter], *others: Tensor) -> None:
        """Sum, in place, the gradients that the processes made of their shares; FSDP2 has summed
        those of weights that are sharded. ``others`` are summed with them.
        """
        if self.count == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None and not _is_sharded(p.grad)]
        if tensors := [*grads, *others]:
            # as one tensor: a message takes its time, however little is in it
            vector_to_parameters(self.sum(parameters_to_vector(tensors)), tensors)

    # --- weights ---

    def place(self, policy: "Policy") -> "Policy":
        """Put the weights where they are trained: whole on this process's device, or its part."""
        if self._fsdp is None:
            return policy.to(self.accelerator.device)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.accelerator.device.type, (self.count,))
        again = bool(self._fsdp.reshard_after_forward)
        names = self._fsdp.transformer_cls_names_to_wrap or policy.model._no_split_modules or ()
        for block in [m for m in policy.modules() if type(m).__name__ in names]:
            fully_shard(block, mesh=mesh, reshard_after_forward=again)
        fully_shard(policy, mesh=mesh, reshard_after_forward=again)
        with torch.no_grad():
            policy(_probe())  # its first pass has to go through the whole, sampling calls its parts
        return policy

    @contextmanager
    def whole(self, policy: "Policy") -> Iterator[None]:
        """Hold all weights in each process for a while, so that each can sample at its own pace."""
        if not self.sharded:
            yield
            return
        from torch.distributed.fsdp import FSDPModule

        parts = [m for m in policy.modules() if isinstance(m, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        yield
        assert self._fsdp is not None
        for part in parts:
            part.set_reshard_after_forward(bool(self._fsdp.reshard_after_forward), recurse=False)
            part.reshard()


def plain(value: Any) -> Any:
    """Give a tensor, or what holds tensors, with sharded ones put together. All processes call it
    at once.
    """
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.full_tensor() if _is_sharded(value) else value


def _is_sharded(value: Any) -> bool:
    return hasattr(value, "full_tensor")  # a DTensor: its class is slow to import


def shard_state(optimizer: torch.optim.Optimizer) -> None:
    """Shard what an optimiser has loaded as its parameters are sharded."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    for parameter, state in optimizer.state.items():
        if isinstance(parameter, DTensor):
            for name, value in state.items():
                if value.shape == parameter.shape:
                    state[name] = distribute_tensor(
                        value, parameter.device_mesh, parameter.placements, src_data_rank=None
                    )


def _fsdp(accelerator: "Accelerator") -> Any:
    """How accelerate was told to shard; ``None`` if it was not."""
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    # accelerate itself shards on GPUs only, and leaves the flag of its launcher unread on CPUs
    if plugin is None and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        from accelerate.utils import FullyShardedDataParallelPlugin

        plugin = FullyShardedDataParallelPlugin()
    if plugin is None:
        return None
    if plugin.fsdp_version != 2:
        raise ValueError(
            f"fsdp_version={plugin.fsdp_version} is not supported: launch with --fsdp_version 2"
        )
    if getattr(plugin.cpu_offload, "pin_memory", None) is not None:  # CPUOffloadPolicy
        raise ValueError(
            "fsdp_offload_params=true is not supported: leave it out, and use more processes or"
            " lora_rank where memory is short"
        )
    return plugin


def _probe() -> Any:
    """Make a batch of one short row."""
    turn = Turn((0,), (0,), (0.0,), "", "", 0.0)
    return collate([Trajectory("", 0, 0, 0, (turn,), success=False, end="truncated")], 0)
