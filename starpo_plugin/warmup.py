"""Imitation of the oracle: where a model made from scratch gets its first words.

A demonstration is an episode that the environment's own oracle plays, told in the protocol's
format. Its thinking section is written from the environment's facts and the oracle's plan, so
that a model which writes it well has read the board and planned.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from starpo_plugin.batch import Batch, collate, micro_batches
from starpo_plugin.context import next_prompt
from starpo_plugin.episode import EpisodeSpec
from starpo_plugin.facts import describe
from starpo_plugin.policy import Policy
from starpo_plugin.processes import Processes
from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Trajectory, Turn
from text_envs.chat import ChatEnv

Thought = Literal["facts", "plan", "facts and plan", "subgoals", "facts and subgoals"]

Demonstration = tuple[str, list[tuple[str, str, float]]]
"""System message, then (user message, reply, reward) of every turn."""


def demonstrate(
    env: ChatEnv, seed: int, pace: Callable[[], int], thought: Thought = "facts"
) -> Demonstration | None:
    """Play one episode with the oracle; ``None`` if it has no plan from this start.

    ``pace`` says, turn by turn, how many moves to play.

    Raises ``ValueError`` for an environment that has no oracle.
    """
    game = env.unwrapped
    if not (hasattr(game, "solve") and hasattr(game, "facts")):
        raise ValueError(
            f"{game} has no oracle to imitate (methods solve and facts):"
            " train with warmup_updates=0"
        )
    message, info = env.reset(seed=seed)
    system, turns = info["system"], []
    over = False
    while not over:
        plan = game.solve()  # pyright: ignore[reportAttributeAccessIssue]
        if not plan:
            break
        moves = plan[: pace()]
        reply = env.protocol.write(_sections(env, plan, moves, thought))
        user = message
        message, reward, terminated, truncated, info = env.step(reply)
        turns.append((user, reply, float(reward)))
        over = terminated or truncated
    return (system, turns) if turns else None


def _sections(env: ChatEnv, plan: list[str], moves: list[str], thought: Thought) -> dict[str, str]:
    game: Any = env.unwrapped
    separator = f" {env.protocol.action_separator} "
    now = describe(game.facts())
    sections = {"observation": now, "answer": separator.join(moves)}
    kinds = {
        "facts": lambda: now,
        "plan": lambda: " ".join(plan),
        "subgoals": lambda: _subgoals(plan, _foreseen(game, plan)),
    }
    sections["think"] = " then ".join(filter(None, (kinds[k]() for k in thought.split(" and "))))
    if "prediction" in env.protocol.sections:
        sections["prediction"] = describe(_foreseen(game, moves)[-1])
    return sections


def _foreseen(game: Any, moves: list[str]) -> list[Mapping[str, Any]]:
    """Facts now and after each of ``moves``, as far as they can be foreseen; the game stays where
    it is.
    """
    facts = [game.facts()]
    rules = getattr(game, "game", None)
    if rules is not None:  # a TextEnv: its state is a value that play leaves alone
        state, luck = game.get_state(), np.random.default_rng(0)
        for move in moves:
            state = rules.play(state, move, luck).state
            facts.append(rules.facts(state))
        return facts
    ahead = copy.deepcopy(game)
    for move in moves:
        ahead.step(move)
        facts.append(ahead.facts())
    return facts


def _subgoals(plan: list[str], facts: list[Mapping[str, Any]]) -> str:
    """Write the moves of a plan that change more than where the player is, and where the first of
    them is made: in Sokoban the pushes, and where to stand for the first.
    """
    things = [{k: v for k, v in f.items() if k != "player"} for f in facts]
    changing = [i for i in range(len(plan)) if things[i] != things[i + 1]]
    if not changing:
        return ""
    here = facts[changing[0]]
    place = {"from": here["player"]} if "player" in here else {}
    return " ".join([*(plan[i] for i in changing), *describe(place).split()])


def demonstrations(
    spec: EpisodeSpec,
    seed: int,
    thought: Thought = "facts",
    moves_per_turn: int = 0,
    numbers: Iterable[int] | None = None,
    **env_kwargs: Any,
) -> Iterator[Demonstration]:
    """Demonstrations on levels drawn from ``seed``: those of the given ``numbers``, or endless ones
    from 0 on. One does not depend on the others.

    A turn plays from one to ``moves_per_turn`` moves, each further one with probability 1/3; with 0
    it always plays as many as the budget of moves and turns asks for.
    """
    env = spec.make(**env_kwargs)
    most = min(
        moves_per_turn or -(-spec.max_actions // spec.max_turns),
        spec.protocol.max_actions_per_turn,
    )
    for number in itertools.count() if numbers is None else numbers:
        rng, shown = np.random.default_rng((seed, number)), None
        pace = partial(_unhurried, rng, most) if moves_per_turn else lambda: most
        while shown is None:  # a start that the oracle has no plan for gives way to another
            shown = demonstrate(env, int(rng.integers(2**31)), pace, thought)
        yield shown


def _unhurried(rng: np.random.Generator, most: int) -> int:
    return min(most, int(rng.geometric(2 / 3)))


def as_trajectory(shown: Demonstration, tokens: ChatTokens, spec: EpisodeSpec) -> Trajectory:
    """Encode a demonstration as if the policy had sampled it."""
    system, exchanges = shown
    turns: list[Turn] = []
    for user, reply, reward in exchanges:
        prompt = next_prompt(tokens, system, turns, user, spec.context_turns)
        ids = tuple(tokens.demonstrate(reply))
        turns.append(Turn(tuple(prompt), ids, (0.0,) * len(ids), user, reply, reward))
    return Trajectory(
        spec.env_id, 0, 0, 0, tuple(turns), True, "terminated", system, spec.context_turns
    )


def imitate(
    policy: Policy,
    tokens: ChatTokens,
    spec: EpisodeSpec,
    *,
    updates: int,
    batch_size: int,
    lr: float,
    seed: int,
    thought: Thought = "facts",
    moves_per_turn: int = 0,
    micro_batch_tokens: int = 4096,
    beside: Sequence[EpisodeSpec] = (),
    progress: Callable[[int, float], None] | None = None,
    processes: Processes | None = None,
    **env_kwargs: Any,
) -> None:
    """Train on demonstrations: cross-entropy on the tokens that the policy is to write.

    Args:
        policy: trained in place (its critic is not).
        tokens: its chat template.
        spec: environment and limits.
        updates: optimiser steps.
        batch_size: demonstrations a step.
        lr: AdamW's peak learning rate, Muon's is ten times that; it rises over 5 % of the
            updates and falls to 0 as a cosine.
        seed: of the levels.
        thought: what a demonstration thinks.
        moves_per_turn: see ``demonstrations``.
        micro_batch_tokens: as in ``TrainConfig``.
        beside: further environments; they take turns.
        progress: called with (updates done, loss).
        processes: among which a batch's demonstrations are shared out; the weights are whole in
            each.
        **env_kwargs: over ``spec.env_kwargs``.
    """
    processes = processes or Processes()
    optimizers = _optimizers(policy.model, lr)
    own = processes.part(batch_size) or range(1)  # a gradient that the others wait for
    weight = 1.0 if processes.part(batch_size) else 0.0
    numbers = (step * batch_size + n for step in range(updates) for n in own)
    source = _in_turn(
        (spec, *beside),
        numbers,
        lambda s, n: demonstrations(s, seed, thought, moves_per_turn, n, **env_kwargs),
    )
    for step in range(updates):
        for group in (g for o in optimizers for g in o.param_groups):
            group["lr"] = group["initial_lr"] * _schedule(step, updates)
        batch = _next_batch(source, tokens, spec, len(own)).to(policy.device)
        loss, count = torch.zeros(1, device=policy.device), weight * batch.mask.sum().view(1)
        policy.zero_grad(set_to_none=True)
        for rows in micro_batches(batch, micro_batch_tokens):
            part = batch.rows(rows)
            part_loss = -weight * (policy(part).logprobs * part.mask).sum()
            part_loss.backward()
            loss += part_loss.detach()
        processes.sum_gradients(policy.parameters(), loss, count)
        # the mean over all tokens, whose number one message tells together with the gradients
        for parameter in policy.parameters():
            if parameter.grad is not None:
                parameter.grad /= count
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if progress is not None:
            progress(step + 1, float(loss / count))


def _optimizers(model: Any, lr: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the blocks, AdamW for all else.

    On tiny models it needs about half the demonstrations that AdamW alone needs.
    """
    embeddings = {
        id(e.weight) for e in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    parameters = list(model.parameters())
    matrices = [p for p in parameters if p.ndim == 2 and id(p) not in embeddings]
    chosen = {id(p) for p in matrices}
    others = [p for p in parameters if id(p) not in chosen]
    optimizers = [
        torch.optim.Muon(matrices, lr=10 * lr, weight_decay=0.0),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for group in (g for o in optimizers for g in o.param_groups):
        group["initial_lr"] = group["lr"]
    return optimizers


def _in_turn(
    specs: Sequence[EpisodeSpec],
    numbers: Iterable[int],
    source: Callable[[EpisodeSpec, Iterable[int]], Iterator[Demonstration]],
) -> Iterator[Demonstration]:
    """Demonstrations of the given numbers, counted over all environments, which take turns."""
    count = len(specs)
    numbers, *copies = itertools.tee(numbers, count + 1)

    def own(k: int, numbers: Iterable[int]) -> Iterator[int]:
        return (n // count for n in numbers if n % count == k)

    sources = [source(spec, own(k, copies[k])) for k, spec in enumerate(specs)]
    for number in numbers:
        yield next(sources[number % count])


def _next_batch(
    source: Iterator[Demonstration], tokens: ChatTokens, spec: EpisodeSpec, size: int
) -> Batch:
    shown = [as_trajectory(next(source), tokens, spec) for _ in range(size)]
    return collate(shown, tokens.pad_id)


def _schedule(step: int, updates: int) -> float:
    """Share of the peak learning rate at a step: linear rise, cosine fall."""
    rise = max(1, updates // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(1, updates - rise))))


def corpus(
    spec: EpisodeSpec,
    seed: int,
    thought: Thought = "facts",
    episodes: int = 64,
    **env_kwargs: Any,
) -> list[str]:
    """Text that a tiny tokenizer takes its words from: messages, and replies where there is an
    oracle.
    """
    env = spec.make(**env_kwargs)
    texts: list[str] = []
    if hasattr(env.unwrapped, "solve"):
        source = demonstrations(spec, seed, thought, **env_kwargs)
        for _, (system, turns) in zip(range(episodes), source, strict=False):
            texts += [system, *(text for user, reply, _ in turns for text in (user, reply))]
        return texts
    for level in range(episodes):
        message, info = env.reset(seed=seed + level)
        texts += [info["system"], message, *(info.get("legal_actions") or ())]
    return texts
