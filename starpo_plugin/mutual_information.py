"""Mutual information of thoughts and prompts: does the policy still think about what it sees?

Entropy alone can't tell: a policy that writes varied boilerplate whatever the board looks as lively
as one that reads it. RAGEN-2 scores each thought under every prompt: a thought about its own prompt
is likelier there than elsewhere.

``information`` is a pure function of the matrix of log-probabilities, ``matrix`` fills it, and
``measure`` takes thoughts and prompts from an iteration's rollouts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from starpo_plugin.batch import Batch, collate
from starpo_plugin.checkpoint import generator_for
from starpo_plugin.config import TrainConfig
from starpo_plugin.sections import span
from starpo_plugin.trajectory import Trajectory, Turn
from starpo_plugin.update import Learner

Ids = tuple[int, ...]


class Information(NamedTuple):
    """What N thoughts tell of their prompts; nats, means over the thoughts."""

    mi: float
    """Between 0, up to noise, and the log of the number of prompts."""
    conditional_entropy: float
    """H(Z|X)"""
    entropy: float
    """H(Z) = MI + H(Z|X)"""
    mi_per_token: float
    conditional_entropy_per_token: float
    entropy_per_token: float
    retrieval: float
    """Share of thoughts that are likeliest under their own prompt."""
    chance: float
    """What that share would be if every prompt were as likely."""


def information(logps: Tensor, lengths: Tensor, prompt: Tensor | None = None) -> Information:
    """What the matrix says.

    ``logps`` L [N, N]: ``L_ij = log p(z_i | x_j)``, nats, of whole thoughts; ``lengths`` [N], their
    tokens, at least 1; ``prompt`` [N], equal numbers where ``x_i`` and ``x_j`` are one prompt (all
    differ, if None).

    ``M_i = L_ii``; ``Z_i = logsumexp_j L_ij - log N``; ``MI = mean(M - Z)``;
    ``H(Z|X) = -mean M``; ``H(Z) = -mean Z``. Per token, each thought's own terms are divided by its
    length before the mean, after the logsumexp. Retrieval is the mean of
    ``1[argmax_j L_ij = i]``, where a prompt counts as its own copy.

    Source: RAGEN-2.
    """
    n = len(logps)
    prompt = torch.arange(n) if prompt is None else prompt.cpu()
    logps, lengths = logps.double().cpu(), lengths.double().cpu()
    matched = logps.diagonal()
    marginal = logps.logsumexp(dim=1) - math.log(n)

    def three(divisor: Tensor) -> tuple[float, float, float]:
        terms = (matched - marginal, -matched, -marginal)
        return tuple((x / divisor).mean().item() for x in terms)  # pyright: ignore[reportReturnType] (three)

    same = prompt.unsqueeze(1) == prompt.unsqueeze(0)
    found = prompt[logps.argmax(dim=1)] == prompt
    return Information(
        *three(torch.ones_like(lengths)),
        *three(lengths),
        retrieval=found.double().mean().item(),
        chance=same.double().mean().item(),
    )


@dataclass(frozen=True)
class Thought:
    """A thought and all that came before it."""

    prompt: Ids
    opening: Ids
    """How its reply began: the tag, and what the policy saw where it is asked for that first."""
    ids: Ids
    """At least one token, as sampled."""

    @property
    def context(self) -> Ids:
        """What the thought is scored after."""
        return self.prompt + self.opening


def matrix(
    thoughts: Sequence[Thought], score: Callable[[Batch], Tensor], pad_id: int
) -> tuple[Tensor, int]:
    """Fill L: ``(L [N, N], tokens)``, each thought after each context, teacher-forced.

    Contexts that are equal are read once. ``score`` gives the log-probabilities [B, T] of a batch
    of any size; ``tokens`` are those that it was given.
    """
    contexts = list(dict.fromkeys(t.context for t in thoughts))
    pairs = [_pair(context, t.ids) for t in thoughts for context in contexts]
    per_token = score(collate(pairs, pad_id)).double()
    logps = per_token.sum(dim=1).view(len(thoughts), len(contexts))
    own = [contexts.index(t.context) for t in thoughts]
    return logps[:, own], sum(len(p) for p in pairs)


def sample(
    played: Sequence[Trajectory], most: int, room: int, generator: torch.Generator
) -> list[Thought]:
    """Draw first-turn thoughts, as evenly over the groups as can be: prompts are to be as likely
    as each other.

    Args:
        played: an iteration's rollouts.
        most: thoughts to draw.
        room: tokens that the model takes; thoughts are cut so that each fits after each prompt.
        generator: of the draw (CPU).
    """
    groups: dict[int, list[Thought]] = {}
    for index in torch.randperm(len(played), generator=generator).tolist():
        trajectory = played[index]
        if trajectory.turns and (thought := _thought(trajectory.turns[0])) is not None:
            groups.setdefault(trajectory.group, []).append(thought)
    rounds = zip_longest(*groups.values())
    drawn = [t for members in rounds for t in members if t is not None][:most]
    room -= max((len(t.context) for t in drawn), default=0)
    return [replace(t, ids=t.ids[:room]) for t in drawn] if room > 0 else []


def measure(
    played: Sequence[Trajectory], learner: Learner, config: TrainConfig, iteration: int, pad_id: int
) -> dict[str, float]:
    """Metrics of an iteration's thoughts under the weights that sampled them; none where there are
    not two prompts with thoughts.
    """
    policy = learner.policy
    draw = generator_for(config.seed, iteration, "mutual information")
    thoughts = sample(played, config.mi_samples, policy.context, draw)
    numbers: dict[Ids, int] = {}
    prompt = torch.tensor([numbers.setdefault(t.prompt, len(numbers)) for t in thoughts])
    if len(numbers) < 2:
        return {}
    logps, tokens = matrix(
        thoughts, lambda batch: learner.score(batch.to(policy.device)).logprobs, pad_id
    )
    lengths = torch.tensor([len(t.ids) for t in thoughts])
    found = information(logps, lengths, prompt)._asdict()
    measured = {k if k == "mi" else f"mi_{k.removeprefix('mi_')}": v for k, v in found.items()}
    return {**measured, "mi_thoughts": float(len(thoughts)), "mi_tokens": float(tokens)}


def _thought(turn: Turn) -> Thought | None:
    """Give the turn's thought; none where it has none, or an empty one."""
    found = span(turn.sections, "think")
    if found is None:
        return None
    start, end = found
    return Thought(turn.prompt_ids, turn.reply_ids[:start], turn.reply_ids[start:end])


def _pair(context: Ids, thought: Ids) -> Trajectory:
    turn = Turn(context, thought, (0.0,) * len(thought), "", "", 0.0)
    return Trajectory("", 0, 0, 0, (turn,), success=False, end="truncated")
