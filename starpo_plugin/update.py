"""One batch of rollouts in, better weights out.

Micro-batches are cut by a token budget and every loss is normalised over its whole mini-batch, so
the budget changes memory and speed, never the result.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from starpo_plugin.advantages import ADVANTAGES, Estimate, turn_ends, turn_sum, whiten
from starpo_plugin.batch import Batch, micro_batches
from starpo_plugin.config import TrainConfig
from starpo_plugin.losses import AGGREGATIONS, KL_FORMS, Totals, count, policy_loss, value_loss
from starpo_plugin.policy import Policy, Scores

Metrics = dict[str, float]


class TooManyBadUpdates(RuntimeError):
    """The loss was not finite several times in a row."""


@dataclass(frozen=True)
class _Targets:
    """What the mini-batches of one batch are trained towards: [B, T] tensors."""

    estimate: Estimate
    reference: Tensor | None
    """Log-probabilities under the reference, where the KL is part of the loss."""
    scale: float
    """Factor on the whole loss."""


@dataclass
class Learner:
    """Policy, optimiser, and what an update needs besides.

    Args:
        policy: trained in place.
        reference: the starting weights, if the configuration has a KL term.
        config: the run's.
        optimizer: over the policy's parameters.
        backward: how a loss is propagated (accelerate's).
    """

    policy: Policy
    reference: Policy | None
    config: TrainConfig
    optimizer: torch.optim.Optimizer
    backward: Callable[[Tensor], None] = torch.Tensor.backward
    bad_in_a_row: int = 0
    bad_updates: int = 0
    """Updates that were skipped because their loss or gradient was not finite."""
    _metrics: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def update(self, batch: Batch, generator: torch.Generator, scale: float = 1.0) -> Metrics:
        """Train on ``batch`` and return the means of its metrics.

        Args:
            batch: on the policy's device, with the sampler's log-probabilities.
            generator: shuffles the batch into mini-batches (CPU).
            scale: factor on the loss (``scale_by_kept``).

        Raises:
            TooManyBadUpdates: when the loss was not finite ``max_bad_updates`` times in a row.
        """
        config = self.config
        self._metrics.clear()
        old = self.score(batch)
        self._metrics["sampler_gap"].append(float((old.logprobs - batch.behaviour).abs().max()))
        batch = batch.with_(logprobs=old.logprobs, values=old.values)
        reference = None
        if self.reference is not None:
            reference = self.score(batch, self.reference).logprobs
            if config.kl_in == "reward":
                batch = batch.with_(rewards=batch.rewards - self._turn_kl(batch, reference))
                reference = None
        estimate = ADVANTAGES[config.advantage](batch, config)
        if config.whiten:
            estimate = estimate._replace(advantages=whiten(estimate.advantages, batch.mask))
        targets = _Targets(estimate, reference, scale)
        if config.behaviour == "sampler":  # only now: the KL above is that of the present policy
            batch = batch.with_(logprobs=batch.behaviour)
        for _ in range(config.updates_per_batch):
            order = torch.randperm(len(batch), generator=generator).to(batch.ids.device)
            for rows in order.split(config.mini_batch):
                self._step(batch, targets, rows)
        self._metrics["bad_updates"] = [float(self.bad_updates)]
        if estimate.returns is not None:
            self._metrics["explained_variance"].append(_explained(batch.values, estimate))
        return {name: sum(values) / len(values) for name, values in self._metrics.items()}

    @torch.no_grad()
    def score(self, batch: Batch, policy: Policy | None = None) -> Scores:
        """Score a batch of any size under the present weights, or another policy's."""
        whole = Scores(*(torch.zeros_like(batch.rewards) for _ in Scores._fields))
        for rows in micro_batches(batch.lengths, self.config.micro_batch_tokens):
            part = (policy or self.policy)(batch.rows(rows), self.config.temperature)
            for full, piece in zip(whole, part, strict=True):
                full[rows, : piece.shape[1]] = piece
        return whole

    def _turn_kl(self, batch: Batch, reference: Tensor) -> Tensor:
        """Each turn's KL to the reference, weighted, on the turn's last policy token."""
        kl = KL_FORMS[self.config.kl](batch.logprobs, reference, batch.mask)
        self._metrics["kl_reference"].append(float(kl.sum() / batch.mask.sum().clamp_min(1)))
        total = turn_sum(kl, batch.mask, batch.turn)
        return self.config.kl_coef * total * turn_ends(batch.mask, batch.turn)

    def _step(self, batch: Batch, targets: _Targets, rows: Tensor) -> None:
        """One optimiser step on one mini-batch; none if its loss or gradient is not finite."""
        config, estimate = self.config, targets.estimate
        totals = count(batch.mask[rows], max_length=config.max_tokens)
        critic_totals = totals
        if estimate.value_mask is not None:
            critic_totals = count(estimate.value_mask[rows], max_length=config.max_tokens)
        sums: dict[str, float] = defaultdict(float)
        self.optimizer.zero_grad(set_to_none=True)
        for picked in micro_batches(batch.lengths[rows], config.micro_batch_tokens):
            loss = self._loss(batch, targets, rows[picked], totals, critic_totals, sums)
            self.backward(loss)
        # apart, so that a critic far off does not shrink the policy's step
        sums["grad_norm"] = self._clip(self.policy.model.parameters())
        if self.policy.critic_head is not None:
            sums["critic_grad_norm"] = self._clip(self.policy.critic_parameters())
        if not all(math.isfinite(x) for x in sums.values()):
            self._skip(sums)
            return
        self.bad_in_a_row = 0
        self.optimizer.step()
        for name, value in sums.items():
            self._metrics[name].append(value)

    def _loss(
        self,
        batch: Batch,
        targets: _Targets,
        rows: Tensor,
        totals: Totals,
        critic_totals: Totals,
        sums: dict[str, float],
    ) -> Tensor:
        """Add one micro-batch's share of the mini-batch's loss; its parts are added to ``sums``."""
        config, estimate = self.config, targets.estimate
        part = batch.rows(rows)
        width = part.ids.shape[1]

        def cut(x: Tensor) -> Tensor:
            return x[rows, :width]

        scores = self.policy(part, config.temperature)
        aggregate = AGGREGATIONS[config.aggregation]
        per_token, stats = policy_loss(
            scores.logprobs,
            part.logprobs,
            cut(estimate.advantages),
            part.mask,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            dual_clip=config.dual_clip,
        )
        parts = {
            "policy_loss": aggregate(per_token, part.mask, totals),
            "entropy": aggregate(scores.entropy, part.mask, totals),
        }
        loss = parts["policy_loss"] - config.entropy_coef * parts["entropy"]
        if targets.reference is not None:
            kl = KL_FORMS[config.kl](scores.logprobs, cut(targets.reference), part.mask)
            parts["kl_reference"] = aggregate(kl, part.mask, totals)
            loss = loss + config.kl_coef * parts["kl_reference"]
        if estimate.returns is not None and estimate.value_mask is not None:
            mask = cut(estimate.value_mask)
            errors = value_loss(
                scores.values, part.values, cut(estimate.returns), mask, clip=config.value_clip
            )
            parts["value_loss"] = AGGREGATIONS["token-mean"](errors, mask, critic_totals)
            loss = loss + config.value_coef * parts["value_loss"]
        loss = targets.scale * loss
        for name, value in {**parts, "loss": loss}.items():
            sums[name] += float(value.detach())
        for name, stat in stats.items():
            sums[name] += float(AGGREGATIONS["token-mean"](stat, part.mask, totals))
        return loss

    def _clip(self, parameters: Iterable[torch.nn.Parameter]) -> float:
        return float(torch.nn.utils.clip_grad_norm_(parameters, self.config.grad_clip))

    def _skip(self, sums: dict[str, float]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.bad_updates += 1
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= self.config.max_bad_updates:
            raise TooManyBadUpdates(
                f"{self.bad_in_a_row} updates in a row had a loss or gradient that is not finite"
                f" (loss={sums['loss']}, grad_norm={sums['grad_norm']}): lower actor_lr"
                f" ({self.config.actor_lr}) or critic_lr ({self.config.critic_lr}), or train in"
                f" float32 (precision is {self.config.precision!r})"
            )


def _explained(values: Tensor, estimate: Estimate) -> float:
    """Share of the returns' variance that the critic had predicted; 0 where they do not vary."""
    assert estimate.returns is not None
    assert estimate.value_mask is not None
    returns, values = estimate.returns[estimate.value_mask], values[estimate.value_mask]
    if len(returns) < 2 or float(returns.var()) == 0:
        return 0.0
    return 1 - float((returns - values).var() / returns.var())
