"""Training on stored trajectories: which of them an iteration takes, and what can't work.

Groups stay whole. All groups of all files are dealt in an order that is drawn anew for each pass,
from (seed, pass) alone; iteration i takes the i-th handful, so a resumed run goes on where it was.
Files are checked once at the start and read again when their groups come up: the data may be
larger than memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from starpo_plugin.checkpoint import generator_for
from starpo_plugin.config import TrainConfig
from starpo_plugin.policy import Policy
from starpo_plugin.rollout import TURN_INFO
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.trajectory_file import Stored, Vocabulary, find, read_stored, vocabulary_of

REPORTED = (*TURN_INFO, "unclosed")
"""What ``diagnostics.describe`` and the report's episodes read of a turn's info."""


class _Group(NamedTuple):
    """Where a group is stored."""

    path: Path
    rows: tuple[int, ...]


class StoredData:
    """Stored trajectories, group by group.

    Args:
        paths: files; one that is named twice counts once.
        config: the run's: ``seed``, and ``groups`` an iteration.

    Raises:
        ValueError: a file that can't be read or trained on, or files of different tokenizers.
    """

    def __init__(self, paths: Sequence[Path], config: TrainConfig) -> None:
        self._seed = config.seed
        self._groups: list[_Group] = []
        self._longest, self._highest = 0, 0
        self.digests: dict[str, str] = {}
        """Of each file, by its path."""
        vocabularies: dict[Vocabulary, tuple[Path, Stored]] = {}
        for path in dict.fromkeys(paths):
            stored = read_stored(path)
            vocabularies.setdefault(_known_vocabulary(path, stored), (path, stored))
            self._index(path, stored)
        if not self._groups:
            raise ValueError(
                f"the stored trajectories in {', '.join(map(str, paths))} are none at all: give"
                " files with episodes"
            )
        if len(vocabularies) > 1:
            (one, _), (other, _), *_ = vocabularies.values()
            raise ValueError(
                f"{one} and {other} were made with different tokenizers, so that their ids mean"
                " different tokens: train on them in two runs"
            )
        ((self._vocabulary, (self._first, stored)),) = vocabularies.items()
        self._run = str(stored.origin.config.get("run", ""))
        self._a_time = min(config.groups, len(self._groups))
        # as many files as an iteration may need: the groups of one file often come together
        self._read = lru_cache(maxsize=self._a_time)(self._read_again)
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        """Number of groups."""
        return len(self._groups)

    def batch(self, iteration: int) -> list[Trajectory]:
        """Give an iteration's trajectories; their groups are numbered anew, from 0.

        Raises ``ValueError`` where a file has changed since the start.
        """
        first = (iteration - 1) * self._a_time
        places = [divmod(n, len(self)) for n in range(first, first + self._a_time)]
        # in the order of the files, as they were played: the update shuffles them anyway
        picked = sorted(self._order(epoch)[place] for epoch, place in places)
        return [
            replace(self._read(self._groups[index].path)[row], group=number)
            for number, index in enumerate(picked)
            for row in self._groups[index].rows
        ]

    def check(self, policy: Policy) -> None:
        """Raise ``ValueError`` where these trajectories are not a policy's to train on."""
        vocabulary = vocabulary_of(policy.tokenizer)
        if vocabulary != self._vocabulary:
            model = f"{self._run or 'RUN'}/checkpoints/000000"
            theirs, ours = self._vocabulary.size, vocabulary.size
            tokens = f"{theirs} tokens, the model's has {ours}"
            if theirs == ours:
                tokens = f"{theirs} tokens, the model's has as many, but others"
            raise ValueError(
                f"{self._first} was made with a tokenizer of {tokens}: begin with the model that"
                f" made it, or one from the same run (--model {model})"
            )
        embedded = policy.model.get_input_embeddings().weight.shape[0]
        if self._highest >= embedded:
            raise ValueError(
                f"the stored trajectories have token {self._highest}, the model embeds {embedded}:"
                " begin with the model that made them"
            )
        if self._longest > policy.context:
            raise ValueError(
                f"the longest stored sequence has {self._longest} tokens, the model takes"
                f" {policy.context}: train a model with a longer context (a tiny one has as many as"
                " --max-tokens says)"
            )

    def _index(self, path: Path, stored: Stored) -> None:
        self.digests[str(path)] = stored.digest
        groups: dict[int, list[int]] = {}
        for row, trajectory in enumerate(stored.trajectories):
            groups.setdefault(trajectory.group, []).append(row)
            self._longest = max(self._longest, trajectory.longest)
            for turn in trajectory.turns:
                self._highest = max(self._highest, *turn.prompt_ids, *turn.reply_ids, 0)
                _check_turn(path, row, turn)
        self._groups += [_Group(path, tuple(rows)) for rows in groups.values()]

    def _read_again(self, path: Path) -> list[Trajectory]:
        stored = read_stored(path)
        if stored.digest != self.digests[str(path)]:
            raise ValueError(_changed(path))
        return stored.trajectories

    def _shuffled(self, epoch: int) -> list[int]:
        generator = generator_for(self._seed, epoch, "data")
        return torch.randperm(len(self), generator=generator).tolist()


def open_data(config: TrainConfig, folder: RunFolder, resume: bool) -> StoredData:
    """Open the trajectories that a run trains on: those that ``from_data`` means, or where a run
    goes on those that it began with.

    Raises:
        ValueError: there are none, one can't be read or trained on, or one has changed.
    """
    begun = folder.data() if resume else {}
    found = [Path(path) for path in begun]
    if not begun:
        found = [path.resolve() for given in config.from_data for path in find(given)]
    data = StoredData(found, config)
    for path, digest in begun.items():
        if data.digests[path] != digest:
            raise ValueError(_changed(Path(path)))
    return data


def _known_vocabulary(path: Path, stored: Stored) -> Vocabulary:
    if stored.origin.vocabulary is None:
        raise ValueError(
            f"{path} does not say which tokenizer made it, so its ids may mean anything: write it"
            " with Origin(vocabulary=vocabulary_of(tokenizer))"
        )
    return stored.origin.vocabulary


def _check_turn(path: Path, row: int, turn: Turn) -> None:
    if missing := [key for key in REPORTED if key not in turn.info]:
        raise ValueError(
            f"{path}, episode {row}: a turn's info lacks {', '.join(missing)}, which training"
            " reports: write the file with all that docs/data.md lists of a turn's info"
        )
    tokens, logprobs = len(turn.reply_ids), len(turn.logprobs)
    if tokens != logprobs:
        raise ValueError(
            f"{path}, episode {row}: a turn has {tokens} reply tokens and {logprobs}"
            " log-probabilities: only tokens with the sampler's can be trained on"
        )


def _changed(path: Path) -> str:
    return (
        f"{path} is not what it was when this run began: put the old file back, or begin another"
        " run with --run"
    )
