"""What a CUDA graph does, on a CPU: a list of operations on fixed memory, done again.

Nothing of Python runs in a replay, so a shape, a number or an address that is no longer true shows.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Op = tuple[Any, tuple[Any, ...], dict[str, Any], Any]


class _Recording(TorchDispatchMode):
    """Notes operations; what is written to memory that was there before is noted too."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.before: list[tuple[Tensor, Tensor]] = []
        self._made: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            written = args[0]
            if not _memories(written) <= self._made:
                self.before.append((written, written.clone()))
        out = func(*args, **kwargs)
        self._made |= _memories(out) - _memories((args, kwargs))
        self.ops.append((func, args, kwargs, out))
        return out


def _memories(tree: Any) -> set[int]:
    return {x.untyped_storage()._cdata for x in tree_leaves(tree) if isinstance(x, Tensor)}


def recorded_ops(step: Callable[[], None]) -> list[Op]:
    """Every operation of a step, in order, with what it was given and what it gave."""
    with _Recording() as recording:
        step()
    return recording.ops


class Tape:
    """A ``Recorder`` whose replays know only the operations of the step."""

    def __init__(self) -> None:
        self.replays = 0

    def first(self, step: Callable[[], None]) -> None:
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        with _Recording() as recording:
            step()
        for tensor, before in reversed(recording.before):  # a recording runs nothing
            tensor.copy_(before)

        def replay() -> None:
            self.replays += 1
            for func, args, kwargs, out in recording.ops:
                again = func(*args, **kwargs)
                if func._schema.is_mutable:
                    continue
                for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)

        return replay
