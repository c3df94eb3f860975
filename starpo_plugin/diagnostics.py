"""What is measured of a run, by name: each metric's unit and meaning, and those of the rollouts.

``METRICS`` explains every number of a line of ``metrics.jsonl``; the report's captions come from
it. ``describe`` makes those that the rollouts give, ``update`` those of the update,
``mutual_information`` those of the thoughts against their prompts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import NamedTuple

from starpo_plugin.sections import span
from starpo_plugin.trajectory import Trajectory, Turn


class Metric(NamedTuple):
    """What a number means."""

    unit: str
    about: str


METRICS: dict[str, Metric] = {
    # --- rollouts ---
    "episodes": Metric("episodes", "Played, or taken from the stored ones."),
    "success": Metric("share of episodes", "Reached the goal."),
    "return": Metric("reward", "Mean sum of an episode's rewards."),
    "return_std_in_group": Metric(
        "reward", "Standard deviation of the returns from one start, mean over the starts."
    ),
    "groups_without_spread": Metric(
        "share of groups", "All members earned the same: nothing to compare."
    ),
    "turns": Metric("replies", "Mean length of an episode."),
    "out_of_tokens": Metric("share of episodes", "Ended because the context was full."),
    "tokens": Metric("tokens", "Sampled in the iteration."),
    "reply_tokens": Metric("tokens", "Mean length of a reply, tags and end of turn included."),
    "think_tokens": Metric("tokens", "Mean length of a thought, over replies that have one."),
    "answer_tokens": Metric("tokens", "Mean length of an answer, over replies that have one."),
    "length_penalty": Metric("reward", "Mean penalty of a turn for the length of its reply."),
    "well_formed": Metric("share of turns", "Exactly the sections asked for, with a move."),
    "unclosed": Metric("share of turns", "A tag was still open where the reply ended."),
    "valid": Metric("share of turns", "Every move that was played was a legal one."),
    "effective": Metric("share of turns", "A move changed something."),
    "thoughts_distinct": Metric(
        "share of thoughts", "Different thoughts, token by token, among all of the iteration."
    ),
    "thought_most_common": Metric(
        "share of thoughts", "Equal to the most common one; 1 is one thought for every state."
    ),
    "thought_distinct_2": Metric(
        "share of token pairs",
        "Different pairs of neighbouring tokens among all in the thoughts (distinct-2, Li et al."
        " 2016); falls also where thoughts grow longer.",
    ),
    # --- claims about the state (--turn-reward world_model) ---
    "observation_f1": Metric("share", "What observations say that is true, and the reverse: F1."),
    "prediction_f1": Metric("share", "The same of predictions, against the state after the moves."),
    "observation_score": Metric(
        "share", "F1 of observations above that of the best fixed answer, rescaled to 1."
    ),
    "prediction_score": Metric("share", "The same of predictions."),
    "claims_repeated": Metric(
        "share of claims", "Not right, and word for word what was said of another state: unpaid."
    ),
    "world_model_reward": Metric("reward", "Mean that a turn earned by its claims."),
    # --- curriculum ---
    "stage": Metric("stage", "Of the curriculum, from 0."),
    "stage_success": Metric("share of episodes", "Reached the goal at this stage."),
    # --- thoughts against prompts ---
    "mi": Metric(
        "nats per thought", "Mutual information of thought and prompt, at most the log of prompts."
    ),
    "mi_conditional_entropy": Metric(
        "nats per thought", "H(Z|X): how much thoughts vary under one prompt."
    ),
    "mi_entropy": Metric("nats per thought", "H(Z): how much they vary in all, the sum of both."),
    "mi_per_token": Metric("nats per token", "The mutual information over the thought's length."),
    "mi_conditional_entropy_per_token": Metric("nats per token", "H(Z|X) over the same length."),
    "mi_entropy_per_token": Metric("nats per token", "H(Z) over the same length."),
    "mi_retrieval": Metric(
        "share of thoughts", "Most likely under their own prompt, of all the prompts compared."
    ),
    "mi_chance": Metric("share of thoughts", "What retrieval would be by chance."),
    "mi_thoughts": Metric("thoughts", "Compared with each other's prompts."),
    "mi_tokens": Metric("tokens", "Read by the model for it: the cost, beside its seconds."),
    # --- update ---
    "kept_groups": Metric("groups", "Let through by the filter and trained on."),
    "entropy": Metric("nats per token", "Of the policy's whole distribution at its own tokens."),
    "grad_norm": Metric("norm", "Of the policy's gradient, before clipping."),
    "critic_grad_norm": Metric("norm", "Of the critic's gradient, before clipping."),
    "loss": Metric("loss", "All that is minimised."),
    "policy_loss": Metric("loss", "Of the policy, by the clipped ratio."),
    "value_loss": Metric("squared reward", "Of the critic, half the squared error, clipped."),
    "explained_variance": Metric(
        "share", "Of the returns' variance; 1 is perfect, 0 no better than their mean."
    ),
    "clip_low": Metric("share of tokens", "Ratio clipped from below."),
    "clip_high": Metric("share of tokens", "Ratio clipped from above."),
    "clip_dual": Metric("share of tokens", "Loss bounded by the dual clip."),
    "kl_k1": Metric("nats per token", "From the policy that sampled; k1 estimate, of either sign."),
    "kl_k3": Metric("nats per token", "From the policy that sampled; k3 estimate, never negative."),
    "kl_reference": Metric("nats per token", "From the starting weights."),
    "sampler_gap": Metric(
        "nats", "Largest difference between sampler and update of one token's log-probability."
    ),
    "importance_weight": Metric("ratio", "Mean of the importance weights of tokens, capped."),
    "importance_capped": Metric("share of tokens", "Importance weight at its cap."),
    "bad_updates": Metric("updates", "Skipped so far: loss or gradient was not finite."),
}


def describe(played: Sequence[Trajectory]) -> dict[str, float]:
    """Metrics of a batch of rollouts. One that has nothing to be the mean of is left out."""
    turns = [k for t in played for k in t.turns]
    groups: dict[int, list[float]] = {}
    for t in played:
        groups.setdefault(t.group, []).append(t.total_reward)
    spreads = [stdev(r) if len(r) > 1 else 0.0 for r in groups.values()]
    return {
        "episodes": float(len(played)),
        "success": fmean(t.success for t in played),
        "return": fmean(t.total_reward for t in played),
        "return_std_in_group": fmean(spreads),
        "groups_without_spread": fmean(s < 1e-6 for s in spreads),
        "turns": fmean(len(t.turns) for t in played),
        "out_of_tokens": fmean(t.end == "out_of_tokens" for t in played),
        "tokens": float(sum(len(k.reply_ids) for k in turns)),
        "reply_tokens": _mean([len(k.reply_ids) for k in turns]),
        "length_penalty": _mean([k.info.get("length_penalty", 0.0) for k in turns]),
        "well_formed": _mean([k.info["well_formed"] for k in turns]),
        "unclosed": _mean([k.info["unclosed"] for k in turns]),
        "valid": _mean([k.info["action_is_valid"] for k in turns]),
        "effective": _mean([k.info["action_is_effective"] for k in turns]),
        **_lengths(turns),
        **variety([thought for k in turns if (thought := section(k, "think"))]),
    }


def section(turn: Turn, name: str) -> tuple[int, ...]:
    """Tokens of one of the turn's sections; none where it is missing or empty."""
    start, end = span(turn.sections, name) or (0, 0)
    return turn.reply_ids[start:end]


def variety(thoughts: Sequence[tuple[int, ...]]) -> dict[str, float]:
    """How different thoughts are, as tokens: distinct ones, the most common one, distinct pairs."""
    if not thoughts:
        return {}
    counts = Counter(thoughts)
    measured = {
        "thoughts_distinct": len(counts) / len(thoughts),
        "thought_most_common": max(counts.values()) / len(thoughts),
    }
    pairs = [p for thought in thoughts for p in pairwise(thought)]
    if pairs:
        measured["thought_distinct_2"] = len(set(pairs)) / len(pairs)
    return measured


def _lengths(turns: Iterable[Turn]) -> dict[str, float]:
    lengths: dict[str, list[int]] = {}
    for turn in turns:
        for name in ("think", "answer"):
            if tokens := section(turn, name):
                lengths.setdefault(f"{name}_tokens", []).append(len(tokens))
    return {name: fmean(values) for name, values in sorted(lengths.items())}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0
