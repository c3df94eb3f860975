"""Figures of single tokens: a few episodes of a trained batch, for the report's token view.

``tokens/000020.json`` in the run's folder, field by field in docs/data.md. All that the page shows
of a token is in there, so that a report needs no model.
"""

import json
import math
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from starpo_plugin.run_folder import episode_dict
from starpo_plugin.sections import SECTIONS
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.update import Learner

FORMAT = "starpo-tokens"
VERSION = 1
MOST_TOKENS = 4096
"""Of an episode, prompts included; later ones are left out and counted."""


def pick(trajectories: Sequence[Trajectory], count: int) -> list[int]:
    """Choose the episodes that are worth a look: from the group whose returns differ most, its
    highest and lowest return, the next highest and lowest, and so on; then from the next group.
    """
    groups: dict[int, list[int]] = {}
    for row, trajectory in enumerate(trajectories):
        groups.setdefault(trajectory.group, []).append(row)
    returns = [t.total_reward for t in trajectories]
    ranked = [sorted(rows, key=lambda r: -returns[r]) for rows in groups.values()]
    ranked.sort(key=lambda rows: returns[rows[-1]] - returns[rows[0]])
    return list(chain.from_iterable(map(_ends_first, ranked)))[:count]


def _ends_first(rows: Sequence[int]) -> Iterator[int]:
    half = (len(rows) + 1) // 2
    for pair in zip_longest(rows[:half], rows[: half - 1 : -1]):
        yield from (row for row in pair if row is not None)


def write(
    path: Path,
    iteration: int,
    learner: Learner,
    trajectories: Sequence[Trajectory],
    tokens: ChatTokens,
    count: int,
) -> None:
    """Write the figures of ``count`` episodes of the batch that was trained on last.

    Args:
        path: of the file.
        iteration: of the run.
        learner: after its update; its weights give the new log-probabilities.
        trajectories: those of the batch, row by row.
        tokens: gives ids their text.
        count: episodes, at most.

    Raises:
        OSError: the file can't be written.
    """
    rows = pick(trajectories, count)
    record = {
        "format": FORMAT,
        "version": VERSION,
        "iteration": iteration,
        "sections": SECTIONS,
        "episodes": [
            _episode(trajectories[row], figures, tokens)
            for row, figures in zip(rows, _figures(learner, rows), strict=True)
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(record) + "\n")
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read what ``write`` wrote. Raises ``ValueError`` for anything else, by name."""
    try:
        record = json.loads(path.read_text())
        known = (record["format"], record["version"]) == (FORMAT, VERSION)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} can't be read ({error!r}): delete it") from error
    if not known:
        raise ValueError(
            f"{path} holds {record['format']} in version {record['version']}, this program reads"
            f" {FORMAT} in version {VERSION}: use the text-envs that wrote it, or delete the file"
        )
    return record


@torch.no_grad()
def _figures(learner: Learner, rows: Sequence[int]) -> list[dict[str, Tensor]]:
    """Name -> figure of every token, ``[T]``, and the turn that it is of, for each row."""
    assert learner.trained is not None
    batch, targets = learner.trained
    index = torch.tensor(rows, device=batch.ids.device)
    picked = batch.rows(index)
    training = learner.policy.training
    learner.policy.eval()  # draws nothing: the run goes on as if nobody had looked
    now = learner.score(picked)
    learner.policy.train(training)
    width = picked.ids.shape[1]
    columns = {
        "turn": picked.turn,
        "trained": targets.mask[index, :width].int(),
        "advantage": targets.estimate.advantages[index, :width],
        "entropy": targets.entropy[index, :width],
        "logprob_old": picked.logprobs,
        "logprob_new": now.logprobs,
    }
    if learner.config.needs_critic:
        columns["value"] = picked.values
    columns = {name: column.cpu() for name, column in columns.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(rows))]


def _episode(
    trajectory: Trajectory, figures: dict[str, Tensor], tokens: ChatTokens
) -> dict[str, Any]:
    record, room = episode_dict(trajectory), MOST_TOKENS
    turns = zip(record["turns"], trajectory.turns, strict=True)
    for k, (said, turn) in enumerate(turns):
        prompt = turn.prompt_ids[:room]
        room -= len(prompt)
        reply = turn.reply_ids[:room]
        room -= len(reply)
        here = figures["turn"] == k
        said["prompt_tokens"] = tokens.pieces(prompt)
        said["reply_tokens"] = tokens.pieces(reply)
        said["section"] = list(turn.sections[: len(reply)])
        for name, column in figures.items():
            if name != "turn":
                said[name] = [_short(x) for x in column[here][: len(reply)].tolist()]
    return {
        **record,
        "group": trajectory.group,
        "return": trajectory.total_reward,
        "left_out": max(0, len(trajectory) - MOST_TOKENS),
    }


def _short(value: float) -> float | None:
    """Round to five digits; JSON has no number that is not finite."""
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.5g}")
