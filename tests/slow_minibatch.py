"""One mini-batch, straight from the equations: plain Python over lists, one token at a time.

Nothing of the trainer is used but the model's own forward pass. In float64 throughout.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Exchange:
    """One turn: token ids, and what it earned."""

    prompt: Sequence[int]
    reply: Sequence[int]
    reward: float


@dataclass(frozen=True)
class Episode:
    """One trajectory, and the prompt that would have come next if it was cut off."""

    group: int
    exchanges: Sequence[Exchange]
    next_prompt: Sequence[int] = ()


@dataclass(frozen=True)
class Recipe:
    """Numbers of an algorithm, as it was published."""

    bi_level: bool
    turn_rewards: bool
    gamma: float = 1.0
    lam: float = 1.0
    gamma_turn: float = 0.95
    lam_turn: float = 1.0
    gamma_token: float = 1.0
    lam_token: float = 1.0
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 3.0
    entropy: float = 0.001
    value_clip: float = 0.5
    critic: float = 0.01
    keep_groups: float = 1.0
    loss_sections: Sequence[str] = ()
    advantage_sections: Sequence[str] = ()
    bootstrap: bool = False


STARPO_S = Recipe(bi_level=False, turn_rewards=False, clip_high=0.28, keep_groups=0.25)
TRICO = Recipe(bi_level=True, turn_rewards=True)


@dataclass
class Token:
    """One token that the policy wrote."""

    at: int
    """Its place in the episode's ids."""
    turn: int
    section: str
    logp: float = 0.0
    value: float = 0.0
    reward: float = 0.0
    """Of the turn, where this is the last of the turn's tokens in M_adv."""
    trained: bool = True
    credited: bool = True
    advantage: float = 0.0
    target: float = 0.0


@dataclass
class Row:
    """An episode, flat."""

    ids: list[int]
    tokens: list[Token] = field(default_factory=list)
    beyond: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a mini-batch comes to."""

    loss: float
    grad_norm: float
    critic_grad_norm: float


def kept(episodes: Sequence[Episode], share: float) -> list[int]:
    """The episodes of the groups whose returns spread most."""
    returns: dict[int, list[float]] = {}
    for e in episodes:
        returns.setdefault(e.group, []).append(sum(x.reward for x in e.exchanges))
    ranked = sorted(returns, key=lambda g: -statistics.stdev(returns[g]))
    best = set(ranked[: max(1, int(share * len(ranked)))])
    return [i for i, e in enumerate(episodes) if e.group in best]


def sections(words: Sequence[str]) -> list[str]:
    """Sections of a reply whose tags are single tokens."""
    found: dict[str, tuple[int, int]] = {}
    for name in ("think", "answer"):
        opening, closing = f"<{name}>", f"</{name}>"
        if words.count(opening) == words.count(closing) == 1:
            start, end = words.index(opening), words.index(closing)
            if start < end:
                found[name] = (start, end)
    inside = ["tags"] * len(words)
    for name, (start, end) in found.items():
        others = [span for other, span in found.items() if other != name]
        if all(b < start or end < a for a, b in others):
            inside[start + 1 : end] = [name] * (end - start - 1)
    return inside


def read(
    episodes: Sequence[Episode], model: Any, head: nn.Linear, tokenizer: Any, recipe: Recipe
) -> list[Row]:
    """Rows with log-probabilities, values and advantages under the weights before the update."""
    rows = []
    for episode in episodes:
        row = Row([])
        for k, exchange in enumerate(episode.exchanges):
            row.ids += exchange.prompt
            words = tokenizer.convert_ids_to_tokens(list(exchange.reply))
            start = len(row.ids)
            row.ids += exchange.reply
            turn = [Token(start + i, k, s) for i, s in enumerate(sections(words))]
            for token in turn:
                token.trained = not recipe.loss_sections or token.section in recipe.loss_sections
                chosen = recipe.advantage_sections
                token.credited = not chosen or token.section in chosen
            if not any(token.credited for token in turn):
                turn[-1].credited = True
            last = [token for token in turn if token.credited][-1]
            last.reward = exchange.reward
            row.tokens += turn
        if not recipe.turn_rewards:
            total = sum(token.reward for token in row.tokens)
            last = [token for token in row.tokens if token.credited][-1]
            for token in row.tokens:
                token.reward = total if token is last else 0.0
        with torch.no_grad():
            logp, _, values = scores(model, head, row.ids + list(episode.next_prompt))
        for token in row.tokens:
            token.logp = float(logp[token.at - 1, row.ids[token.at]])
            token.value = float(values[token.at - 1])
        if recipe.bootstrap and episode.next_prompt:
            row.beyond = float(values[-1])
        credit(row, recipe)
        rows.append(row)
    return rows


def scores(model: Any, head: nn.Linear, ids: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities [T, V], entropies [T] and values [T] of what follows each token."""
    whole = model(input_ids=torch.tensor([list(ids)]), output_hidden_states=True)
    logp = whole.logits[0].log_softmax(-1)
    return logp, -(logp.exp() * logp).sum(-1), head(whole.hidden_states[-1][0])[:, 0]


def credit(row: Row, recipe: Recipe) -> None:
    """Advantages and value targets, on the tokens that take part, and then on the others."""
    steps = [token for token in row.tokens if token.credited]
    if recipe.bi_level:
        ends = [
            a for a, b in zip(steps, [*steps[1:], None], strict=True) if not b or a.turn != b.turn
        ]
        gae(ends, row.beyond, recipe.gamma_turn, recipe.lam_turn)
        for a, b in reversed(list(pairwise(steps))):
            if a.turn == b.turn:
                delta = recipe.gamma_token * b.value - a.value
                a.advantage = delta + recipe.gamma_token * recipe.lam_token * b.advantage
    else:
        gae(steps, row.beyond, recipe.gamma, recipe.lam)
    for token in steps:
        token.target = token.advantage + token.value
    for i, token in enumerate(row.tokens):
        if not token.credited:
            own = [t for t in steps if t.turn == token.turn]
            ahead = [t for t in own if t.at > row.tokens[i].at]
            token.advantage = (ahead[0] if ahead else own[-1]).advantage


def gae(steps: Sequence[Token], beyond: float, gamma: float, lam: float) -> None:
    value, advantage = beyond, 0.0
    for step in reversed(steps):
        delta = step.reward + gamma * value - step.value
        advantage = delta + gamma * lam * advantage
        step.advantage, value = advantage, step.value


def whiten(rows: Sequence[Row]) -> None:
    """Over the trained tokens of the whole batch."""
    trained = [token for row in rows for token in row.tokens if token.trained]
    mean = statistics.fmean(token.advantage for token in trained)
    variance = statistics.variance(token.advantage for token in trained)
    for token in trained:
        token.advantage = (token.advantage - mean) / math.sqrt(variance + 1e-8)


def minibatch(rows: Sequence[Row], model: Any, head: nn.Linear, recipe: Recipe) -> Answer:
    """Loss of some rows and norms of its gradient, under the weights that are being updated."""
    policy = entropy = critic = torch.zeros((), dtype=torch.float64)
    trained = sum(token.trained for row in rows for token in row.tokens)
    credited = sum(token.credited for row in rows for token in row.tokens)
    for row in rows:
        logp, entropies, values = scores(model, head, row.ids)
        for token in row.tokens:
            if token.trained:
                ratio = (logp[token.at - 1, row.ids[token.at]] - token.logp).exp()
                policy = policy + surrogate(ratio, token.advantage, recipe)
                entropy = entropy + entropies[token.at - 1]
            if token.credited:
                critic = critic + squared_error(values[token.at - 1], token, recipe)
    loss = (policy - recipe.entropy * entropy) / trained + recipe.critic * critic / credited
    parameters, own = list(model.parameters()), list(head.parameters())
    found = torch.autograd.grad(loss, [*parameters, *own])
    squares = [float(g.square().sum()) for g in found]
    return Answer(
        loss.item(),
        math.sqrt(sum(squares[: len(parameters)])),
        math.sqrt(sum(squares[len(parameters) :])),
    )


def surrogate(ratio: Tensor, advantage: float, recipe: Recipe) -> Tensor:
    inside = min(max(ratio.item(), 1 - recipe.clip_low), 1 + recipe.clip_high)
    loss = -advantage * ratio
    if -advantage * inside > loss.item():
        loss = torch.tensor(-advantage * inside, dtype=torch.float64)
    if advantage < 0 and loss.item() > -advantage * recipe.dual_clip:
        loss = torch.tensor(-advantage * recipe.dual_clip, dtype=torch.float64)
    return loss


def squared_error(value: Tensor, token: Token, recipe: Recipe) -> Tensor:
    moved = value.clamp(token.value - recipe.value_clip, token.value + recipe.value_clip)
    errors = [(v - token.target) ** 2 for v in (value, moved)]
    return 0.5 * max(errors, key=lambda e: e.item())
