"""Decoding by replay: a step is recorded as a CUDA graph, and launched as one from then on.

A step of a small model is some thousand kernels, each of which takes longer to launch than to run.
A graph of them is launched at once, but works on fixed shapes and addresses::

    rows     rounded up; those that aren't replying are computed too, and write nowhere
    columns  rounded up; those behind a row's own tokens are masked out, as ever
    tokens, positions, noise, keys, values   where they are, changed in place

So a graph is good until the cache's buffers grow. The first step of a shape runs plainly, which
also loads its kernels; the second one is recorded.

What was left out: prompts are read plainly, a few large passes each turn.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from starpo_plugin.engine import SlotEngine
from starpo_plugin.policy import Policy

Step = Callable[[], None]

_COLUMNS = 64
"""Least number of columns that a width is rounded up to a multiple of."""


class Recorder(Protocol):
    """Turns a step into one that can be repeated: the same work on the same tensors."""

    def first(self, step: Step) -> None:
        """Run a step whose shape is new."""
        ...

    def record(self, step: Step) -> Step:
        """Make what repeats a step, which has run before; this itself runs nothing."""
        ...


class Plain:
    """Repeats a step by running it: what a CPU does."""

    def first(self, step: Step) -> None:
        """See ``Recorder``."""
        step()

    def record(self, step: Step) -> Step:
        """See ``Recorder``."""
        return step


class CudaGraphs:
    """Repeats a step by launching the CUDA graph of it; all graphs share their working memory.

    They can, since none of them leaves anything there that is read later.
    """

    def __init__(self) -> None:
        self._stream = _side_stream()
        self._pool = torch.cuda.graph_pool_handle()

    def first(self, step: Step) -> None:
        """See ``Recorder``: on the stream that will record it, whose libraries thus are ready."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step()
        current.wait_stream(self._stream)

    def record(self, step: Step) -> Step:
        """See ``Recorder``. Raises ``RuntimeError`` for a step that can't be recorded."""
        graph = torch.cuda.CUDAGraph()
        # a recording that fails doesn't leave its stream by itself
        with (
            torch.cuda.stream(self._stream),
            torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ),
        ):
            step()
        return graph.replay


@cache
def _side_stream() -> torch.cuda.Stream:
    """Give the one stream that steps are recorded on: CUDA's libraries keep memory for each."""
    return torch.cuda.Stream()


class GraphedEngine(SlotEngine):
    """Samples what ``SlotEngine`` does, by steps that are recorded.

    See ``engine.make_engine`` for the other arguments.

    Args:
        recorder: makes what records, each time anew that all was forgotten; graphs on a CUDA GPU,
            and elsewhere plain calls, unless given.
    """

    def __init__(
        self,
        policy: Policy,
        end_ids: frozenset[int],
        pad_id: int,
        slots: int,
        longest_reply: int,
        temperature: float = 1.0,
        columns: int = 0,
        recorder: Callable[[], Recorder] | None = None,
    ) -> None:
        super().__init__(policy, end_ids, pad_id, slots, longest_reply, temperature, columns)
        device = policy.device
        self._new_recorder = recorder or (CudaGraphs if device.type == "cuda" else Plain)
        self._number = torch.arange(slots, device=device)
        self._live_rows = torch.zeros((), dtype=torch.long, device=device)
        self._over = torch.zeros(slots, dtype=torch.bool, device=device)
        self._recorded: dict[tuple[int, int], Step | None] = {}
        self._fails = False
        self._forget()

    def _forget(self) -> None:
        """Drop what was recorded: it works on buffers that are no more."""
        self._recorded.clear()
        self._recorder = self._new_recorder()  # a pool of graphs that are all gone is gone
        self._capacity = self._cache.capacity

    def _decode(self, rows: int, width: int, live: Tensor | None = None) -> Tensor:
        """See ``SlotEngine``."""
        if self._fails:
            return super()._decode(rows, width, live)
        self._cache.reserve(width)
        if self._cache.capacity != self._capacity:
            self._forget()
        self._live_rows.fill_(rows)
        most = len(self._rows)
        self._run(rounded(rows, 1, 2, most), rounded(width, _COLUMNS, 4, self._capacity))
        return self._over[:rows]

    def _run(self, rows: int, width: int) -> None:
        """Run a step of that shape, recorded or not."""

        def step() -> None:
            live = self._number[:rows] < self._live_rows
            self._over[:rows] = SlotEngine._decode(self, rows, width, live)

        if (rows, width) not in self._recorded:
            self._recorder.first(step)
            self._recorded[rows, width] = None
            return
        recorded = self._recorded[rows, width] or self._record(step)
        if not self._fails:
            self._recorded[rows, width] = recorded
        recorded()

    def _record(self, step: Step) -> Step:
        try:
            return self._recorder.record(step)
        except RuntimeError as error:
            warnings.warn(
                "no CUDA graph could be made of this model's step, it runs without from now on:"
                f" {type(error).__name__}: {str(error).partition(chr(10))[0]}",
                RuntimeWarning,
                stacklevel=2,
            )
            self._fails = True
            self._recorded.clear()
            return step


def rounded(size: int, least: int, parts: int, most: int) -> int:
    """Round up, so that few sizes stand for all, and none for one much smaller.

    Args:
        size: from 1 to ``most``.
        least: smallest step between sizes.
        parts: steps from a power of two to the next; a size grows by at most one of so many parts.
        most: larger ones aren't there.
    """
    below = 1 << max(0, (size - 1).bit_length() - 1)  # largest power of two under it
    step = max(least, below // parts)
    return min(most, -(-size // step) * step)
