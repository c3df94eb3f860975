"""Environments that take their time step on threads, while the model goes on.

An ordinary text game takes a tenth of a millisecond a step, less than a thread costs: it is stepped
on the spot. One that turns out to be slow is handed to a thread.
"""

import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

SLOW_S = 0.02
"""A step that takes longer is slow: several tokens of a small model could have been drawn."""
_IN_A_ROW = 3
"""Slow steps, of any environments, after which all are taken for slow."""

T = TypeVar("T")


class Pace:
    """Which environments are slow, by how long their steps took; each is known by a number."""

    def __init__(self) -> None:
        self._slow_before: set[int] = set()
        self._slow: set[int] = set()
        self._in_a_row = 0

    def took(self, env: int, seconds: float) -> None:
        """Note a step: an environment is slow if two steps of its own were, one after the other."""
        if seconds <= SLOW_S:
            self._in_a_row = 0
            self._slow_before.discard(env)
            return
        self._in_a_row += 1
        if env in self._slow_before:
            self._slow.add(env)
        self._slow_before.add(env)

    def is_slow(self, env: int) -> bool:
        """Whether to step it on a thread. Once slow, it stays so."""
        return env in self._slow or self._in_a_row >= _IN_A_ROW


class Stepper(Generic[T]):
    """Does steps, some of them on threads; what each gave is fetched with ``done``.

    A context: at its end no step is under way.

    Args:
        pace: which environments are slow; it is kept from rollout to rollout.
        threads: most steps that are under way at once. With 0, none is on a thread: the order of
            what happens doesn't depend on the clock.
    """

    def __init__(self, pace: Pace, threads: int) -> None:
        self._pace, self._threads = pace, threads
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[Future[T], int] = {}
        self._finished: list[tuple[int, T]] = []

    def __enter__(self) -> "Stepper[T]":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, env: int, step: Callable[[], T]) -> None:
        """Do an environment's step, now or on a thread."""
        if self._threads and self._pace.is_slow(env):
            self._pool = self._pool or ThreadPoolExecutor(self._threads, "environment")
            self._running[self._pool.submit(step)] = env
            return
        elapsed = stopwatch()
        self._finished.append((env, step()))
        self._pace.took(env, elapsed())

    def done(self, block: bool) -> list[tuple[int, T]]:
        """Fetch the steps that are done since the last call, each with its environment.

        Args:
            block: wait for one if none is done.

        Raises:
            Exception: what a step on a thread raised.
        """
        finished, self._finished = self._finished, []
        if self._running:
            patience = None if block and not finished else 0
            ready = wait(self._running, patience, FIRST_COMPLETED).done
            for future in [f for f in self._running if f in ready]:  # in order of their beginning
                finished.append((self._running.pop(future), future.result()))
        return finished


def stopwatch() -> Callable[[], float]:
    """Start a watch; calling it gives the seconds that this thread has worked or waited since.

    Where the system tells (Linux), those in which it ran something else instead don't count: on a
    busy machine quick environments would be taken for slow now and then.
    """
    clock, work, waits = time.perf_counter(), time.thread_time(), _waits()

    def seconds() -> float:
        if _waits() == waits:
            return time.thread_time() - work
        return time.perf_counter() - clock

    return seconds


def _waits() -> float:
    """How often this thread has waited for something; never twice the same where none can tell."""
    if sys.platform != "linux":
        return time.perf_counter()
    import resource  # only Unix has it

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
