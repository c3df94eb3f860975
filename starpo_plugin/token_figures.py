"""Figures of single tokens: what a few episodes of a trained batch were credited with, and what the
update made of them, for ``token_file``.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from starpo_plugin.packing import Packing
from starpo_plugin.run_folder import episode_dict
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.update import Learner

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


def token_figures(
    learner: Learner, trajectories: Sequence[Trajectory], tokens: ChatTokens, count: int
) -> list[dict[str, Any]]:
    """Give ``count`` episodes, at most, of the batch that was trained on last, as plain values:
    what ``episode_dict`` says, and the figures of every token.

    Args:
        learner: after its update; its weights give the new log-probabilities.
        trajectories: those of the batch, row by row.
        tokens: gives ids their text.
        count: of episodes.
    """
    rows = pick(trajectories, count)
    return [
        _episode(trajectories[row], figures, tokens)
        for row, figures in zip(rows, _figures(learner, rows), strict=True)
    ]


@torch.no_grad()
def _figures(learner: Learner, rows: Sequence[int]) -> list[dict[str, Tensor]]:
    """Name -> figure of every token, ``[T]``, and the turn that it is of, for each row."""
    assert learner.trained is not None
    batch, targets = learner.trained
    index = batch.rows_of(torch.tensor(rows, device=batch.ids.device))
    picked = batch.rows(index)
    packing = Packing(picked)
    now = learner.score(picked)
    width, packed = picked.ids.shape[1], packing.packed(picked)
    columns = {
        "trained": targets.mask[index, :width].int(),
        "advantage": targets.estimate.advantages[index, :width],
        "entropy": targets.entropy[index, :width],
        "logprob_old": picked.logprobs,
        "logprob_new": now.logprobs,
    }
    if learner.config.needs_critic:
        columns["value"] = picked.values
    columns = {name: packing.pack(column) for name, column in columns.items()}
    columns = {name: column.cpu() for name, column in {"turn": packed.turn, **columns}.items()}
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
