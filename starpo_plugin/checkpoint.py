"""Checkpoints that are complete or not there: a kill or a full disk leaves the last one usable.

A checkpoint is written into a folder of another name, flushed to disk and then renamed, so a
folder called ``000120`` is always whole. It holds the model (or its adapter) and tokenizer as
``from_pretrained`` reads them, the critic, the optimiser and the counters. Random states are not
saved: every draw of iteration i comes from a generator seeded by (seed, i).

Of several processes one writes, and the weights are put together before: any number of processes
can go on from a checkpoint.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError

from starpo_plugin.lora import BASE, OtherAdapter
from starpo_plugin.policy import Policy
from starpo_plugin.processes import Processes, plain, shard_state

VERSION = 1
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, RuntimeError),
    *(EOFError, UnpicklingError, SafetensorError),
)
"""What the readers of JSON, pickles and weights raise for files that are not what was written."""


class CheckpointError(RuntimeError):
    """A checkpoint can't be written or read; the message says which, why and what is left."""


class UnreadableCheckpoint(CheckpointError):
    """A checkpoint is damaged, or of another version: going on from it fails each time."""


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """List complete checkpoints by iteration, oldest first."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if re.fullmatch(r"\d{6}", p.name)]
    return sorted((int(p.name), p) for p in found)


def save(
    folder: Path,
    iteration: int,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    counters: dict[str, int],
    keep: int,
    processes: Processes | None = None,
) -> Path:
    """Write the checkpoint of ``iteration`` and delete all but iteration 0 and the newest ``keep``.

    Of several ``processes`` all call this, and go on when it is written.

    Raises ``CheckpointError`` when it can't be written; earlier checkpoints are untouched.
    """
    processes = processes or Processes()
    final = folder / f"{iteration:06d}"
    with _writing(folder, final, processes) as draft:
        policy.save(draft)
        optimizer_state = plain(optimizer.state_dict())
        if draft is not None:
            torch.save(optimizer_state, draft / "optimizer.pt")
            state = {"version": VERSION, "iteration": iteration, **counters}
            (draft / "state.json").write_text(json.dumps(state))
    if processes.first:
        _forget(checkpoints(folder)[:-keep])
    processes.wait()
    return final


def _forget(old: list[tuple[int, Path]]) -> None:
    for number, path in old:
        if number > 0:
            doomed = path.with_name(f".old-{path.name}")
            path.rename(doomed)  # a half-deleted folder must not carry a checkpoint's name
            shutil.rmtree(doomed)


def save_base(folder: Path, policy: Policy, processes: Processes | None = None) -> Path:
    """Write the model that a run's adapters belong to, where it is saved nowhere else.

    Raises ``CheckpointError`` when it can't be written.
    """
    processes = processes or Processes()
    final = folder / BASE
    with _writing(folder, final, processes) as draft:
        policy.save(draft)
    processes.wait()
    return final


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what damaged files raise while this is open into ``UnreadableCheckpoint``."""
    try:
        yield
    except (UnreadableCheckpoint, OtherAdapter):
        raise
    except _DAMAGE as error:
        why = f"{type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0]:.200}"
        before = [p for n, p in checkpoints(path.parent) if n < int(path.name)]
        remedy = "put a copy of it back"
        if before:
            remedy += f", or move it elsewhere: --resume then goes on from {before[-1]}"
        raise UnreadableCheckpoint(f"checkpoint {path} can't be read ({why}): {remedy}") from error


def load_state(path: Path, optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Restore the optimiser from a checkpoint and return its counters.

    Raises ``UnreadableCheckpoint`` for damaged files and another version.
    """
    with reading(path):
        state = dict(json.loads((path / "state.json").read_text()))
        if (version := state.get("version")) != VERSION:
            raise UnreadableCheckpoint(
                f"checkpoint {path} has version {version}, this trainer reads {VERSION}: go on"
                " with the text-envs that wrote it"
            )
        saved = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
        optimizer.load_state_dict(saved)
    shard_state(optimizer)
    return state


@contextmanager
def _writing(folder: Path, final: Path, processes: Processes) -> Iterator[Path | None]:
    """Give the process that writes a folder to write into, which is then ``final``."""
    if not processes.first:
        yield None
        return
    draft = folder / f".new-{final.name}"
    try:
        for stale in folder.glob(".*-*") if folder.is_dir() else ():
            shutil.rmtree(stale)
        draft.mkdir(parents=True)
        yield draft
        _flush(draft)
        if final.exists():
            shutil.rmtree(final)
        draft.rename(final)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        left = checkpoints(folder)
        last = f"the last complete one is {left[-1][1]}" if left else "there is none yet"
        raise CheckpointError(
            f"checkpoint {final} can't be written ({error}): free space on that disk,"
            f" then go on with --resume; {last}"
        ) from error


def _flush(folder: Path) -> None:
    """Force a folder's files to disk, so that the rename can't come before their content."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def generator_for(seed: int, *where: Any) -> torch.Generator:
    """Give the generator of one place in the run, e.g. (iteration, purpose), the same in any
    process.
    """
    return torch.Generator().manual_seed(number_for(seed, *where))


def number_for(seed: int, *where: Any) -> int:
    """Mix a seed and a place in the run into 63 bits."""
    digest = blake2b(json.dumps([seed, *where]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
