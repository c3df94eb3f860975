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
from starpo_plugin.batch import Batch
from starpo_plugin.choices import choose
from starpo_plugin.config import TrainConfig
from starpo_plugin.losses import (
    AGGREGATIONS,
    KL_FORMS,
    LOSSES,
    Totals,
    count,
    importance_weights,
    value_loss,
)
from starpo_plugin.masks import advantage_mask, loss_mask, move_rewards, spread
from starpo_plugin.packing import Packing
from starpo_plugin.policy import Policy, Scores
from starpo_plugin.processes import Processes, plain

Metrics = dict[str, float]
Scorer = Callable[[Batch, float], Scores]


class TooManyBadUpdates(RuntimeError):
    """The loss was not finite several times in a row."""


@dataclass(frozen=True)
class Targets:
    """What the mini-batches of one batch are trained towards: [B, T] tensors."""

    mask: Tensor
    """Bool: M_loss, the tokens whose log-probability is trained."""
    estimate: Estimate
    """Advantages on M_loss, whitened if the configuration says so."""
    reference: Tensor | None
    """Log-probabilities under the reference, where the KL is part of the loss."""
    weights: Tensor | None
    """Importance weights, where the configuration has a cap for them."""
    scale: float
    """Factor on the whole loss."""
    entropy: Tensor
    """Of the policy before the update, in nats (NaN where the batch was not scored); nothing is
    trained towards it.
    """


@dataclass
class Learner:
    """Policy, optimiser, and what an update needs besides.

    Args:
        policy: trained in place.
        reference: scores a batch by the starting weights, if the configuration has a KL term.
        config: the run's.
        optimizer: over the policy's parameters.
        backward: how a loss is propagated (accelerate's).
        processes: among which a batch's rows are shared out; each has the whole batch.
    """

    policy: Policy
    reference: Scorer | None
    config: TrainConfig
    optimizer: torch.optim.Optimizer
    backward: Callable[[Tensor], None] = torch.Tensor.backward
    processes: Processes = field(default_factory=Processes)
    bad_in_a_row: int = 0
    bad_updates: int = 0
    """Updates that were skipped because their loss or gradient was not finite."""
    trained: tuple[Batch, Targets] | None = None
    """The last batch, as it was trained on."""
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
        batch, targets = self.trained = self.prepare(batch, scale)
        for _ in range(config.updates_per_batch):
            order = torch.randperm(batch.episodes, generator=generator).to(batch.ids.device)
            for episodes in order.split(config.mini_batch):
                self._step(batch, targets, batch.rows_of(episodes))
        self.optimizer.zero_grad(set_to_none=True)  # a rollout needs their memory
        self._metrics["bad_updates"] = [float(self.bad_updates)]
        if targets.estimate.returns is not None:
            self._metrics["explained_variance"].append(_explained(batch.values, targets.estimate))
        return {name: sum(values) / len(values) for name, values in self._metrics.items()}

    def prepare(self, batch: Batch, scale: float = 1.0) -> tuple[Batch, Targets]:
        """Score a batch under the present weights; what its mini-batches are trained towards."""
        config = self.config
        trained = loss_mask(batch.mask, batch.section, config.loss_sections)
        if self._trusts_the_sampler():
            unknown = torch.full_like(batch.values, torch.nan)
            now, bootstrap = Scores(batch.logprobs, unknown, batch.values), batch.bootstrap
        else:
            now, bootstrap = self._score_and_bootstrap(batch)
            self._metrics["sampler_gap"].append(float((now.logprobs - batch.logprobs).abs().max()))
        weights = self._importance(batch, now, trained)
        if config.behaviour == "recomputed":
            batch = batch.with_(logprobs=now.logprobs)
        batch = batch.with_(values=now.values, bootstrap=bootstrap)
        reference = None
        if self.reference is not None:
            reference = self.score(batch, self.reference).logprobs
            if config.kl_in == "reward":
                kl = self._turn_kl(batch, now.logprobs, reference, trained)
                batch = batch.with_(rewards=batch.rewards - kl)
                reference = None
        estimate = self._estimate(batch, trained)
        return batch, Targets(trained, estimate, reference, weights, scale, now.entropy)

    def _trusts_the_sampler(self) -> bool:
        """Whether what the sampler stored is all there is to know, which saves a pass."""
        config = self.config
        rewarded = self.reference is not None and config.kl_in == "reward"
        critic = self.policy.critic_head is not None
        return config.old_logprobs == "sampler" and not (config.from_data or rewarded or critic)

    def _score_and_bootstrap(self, batch: Batch) -> tuple[Scores, Tensor]:
        """Scores of the policy tokens, and the values [B] of what cut-off rows were still worth."""
        policy = batch.mask.bool()
        now = self.score(batch.with_(mask=policy | batch.beyond))
        bootstrap = torch.where(batch.beyond, now.values, 0).sum(1)
        return Scores(*(torch.where(policy, x, 0) for x in now)), bootstrap

    def _importance(self, batch: Batch, now: Scores, trained: Tensor) -> Tensor | None:
        """Weights of the tokens' losses, where the configuration has a cap for them."""
        cap = self.config.importance_cap
        if cap is None:
            return None
        weights = importance_weights(now.logprobs, batch.logprobs, trained, cap)
        tokens = trained.sum().clamp_min(1)
        self._metrics["importance_weight"].append(float(weights.sum() / tokens))
        self._metrics["importance_capped"].append(float((weights >= cap).sum() / tokens))
        return weights

    def _estimate(self, batch: Batch, trained: Tensor) -> Estimate:
        """Advantages from the tokens of M_adv, on those of M_loss (``trained``)."""
        config, packing = self.config, Packing(batch)
        batch, trained = packing.packed(batch), packing.pack(trained)
        chosen = advantage_mask(batch.mask, batch.turn, batch.section, config.advantage_sections)
        rewards = move_rewards(batch.rewards, batch.mask, batch.turn, chosen)
        estimator = choose("advantage", config.advantage, ADVANTAGES)
        estimate = estimator(batch.with_(mask=chosen, rewards=rewards), config)
        advantages = spread(estimate.advantages, chosen, trained, batch.turn)
        if config.whiten:
            advantages = whiten(advantages, trained)
        critic = (estimate.returns, estimate.value_mask)
        returns, value_mask = (None if x is None else packing.unpack(x) for x in critic)
        return Estimate(packing.unpack(advantages), returns, value_mask)

    @torch.no_grad()
    def score(self, batch: Batch, scorer: Scorer | None = None) -> Scores:
        """Score a batch of any size under the present weights, or by another scorer."""
        whole = Scores(*(torch.zeros_like(batch.rewards) for _ in Scores._fields))
        budget = self.config.micro_batch_tokens
        for rows, weight in self.processes.micro_batches(batch, budget):
            part = (scorer or self.policy)(batch.rows(rows), self.config.temperature)
            for full, piece in zip(whole, part, strict=True):
                full[rows, : piece.shape[1]] += weight * piece
        return Scores(*map(self.processes.sum, whole))

    def _turn_kl(
        self, batch: Batch, logprobs: Tensor, reference: Tensor, trained: Tensor
    ) -> Tensor:
        """Each turn's KL to the reference, weighted, on the turn's last policy token."""
        kl = choose("kl", self.config.kl, KL_FORMS)(logprobs, reference, trained)
        self._metrics["kl_reference"].append(float(kl.sum() / trained.sum().clamp_min(1)))
        total = turn_sum(kl, batch.mask, batch.turn)
        return self.config.kl_coef * total * turn_ends(batch.mask, batch.turn)

    def _step(self, batch: Batch, targets: Targets, rows: Tensor) -> None:
        """One optimiser step on one mini-batch; none if its loss or gradient is not finite."""
        config, estimate = self.config, targets.estimate
        mini_batch = batch.rows(rows)
        packing, width = Packing(mini_batch), mini_batch.ids.shape[1]

        def total(mask: Tensor) -> Totals:
            return count(packing.pack(mask[rows, :width]), max_length=config.max_tokens)

        totals = critic_totals = total(targets.mask)
        if estimate.value_mask is not None:
            critic_totals = total(estimate.value_mask)
        sums: dict[str, float] = defaultdict(float)
        self.optimizer.zero_grad(set_to_none=True)
        shares = self.processes.micro_batches(mini_batch, config.micro_batch_tokens)
        for picked, weight in shares:
            own: dict[str, float] = defaultdict(float)
            loss = self._loss(batch, targets, rows[picked], totals, critic_totals, own)
            self.backward(weight * loss)
            for name, value in own.items():
                sums[name] += weight * value
        self.processes.sum_gradients(self.policy.parameters())
        sums = self.processes.total(sums)
        # apart, so that a critic far off does not shrink the policy's step
        sums["grad_norm"] = self._clip(self.policy.actor_parameters())
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
        targets: Targets,
        rows: Tensor,
        totals: Totals,
        critic_totals: Totals,
        sums: dict[str, float],
    ) -> Tensor:
        """Add one micro-batch's share of the mini-batch's loss; its parts are added to ``sums``."""
        config, estimate = self.config, targets.estimate
        sequences = batch.rows(rows)
        packing, width = Packing(sequences), sequences.ids.shape[1]

        def cut(x: Tensor) -> Tensor:
            return packing.pack(x[rows, :width])

        scores = Scores(*map(packing.pack, self.policy(sequences, config.temperature)))
        part = packing.packed(sequences)
        trained = cut(targets.mask)
        aggregate = choose("aggregation", config.aggregation, AGGREGATIONS)
        weights = None if targets.weights is None else cut(targets.weights)
        advantages = cut(estimate.advantages)
        per_token, stats = self._surrogate(scores, part, advantages, trained, weights)
        parts = {"policy_loss": aggregate(per_token, trained, totals)}
        bonus = aggregate(scores.entropy, trained, totals)
        loss = parts["policy_loss"] - config.entropy_coef * bonus
        stats = {"entropy": scores.entropy, **stats}
        if targets.reference is not None:
            kl = choose("kl", config.kl, KL_FORMS)(scores.logprobs, cut(targets.reference), trained)
            loss = loss + config.kl_coef * aggregate(kl, trained, totals)
            stats["kl_reference"] = kl
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
        for name, stat in stats.items():  # per token, however the loss is aggregated
            sums[name] += float(AGGREGATIONS["token-mean"](stat.detach(), trained, totals))
        return loss

    def _surrogate(
        self,
        scores: Scores,
        part: Batch,
        advantages: Tensor,
        trained: Tensor,
        weights: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The policy's loss of each token of a micro-batch, and what it says of itself."""
        config = self.config
        per_token, stats = choose("loss", config.loss, LOSSES)(
            scores.logprobs,
            part.logprobs,
            advantages,
            trained,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            dual_clip=config.dual_clip,
        )
        return per_token if weights is None else per_token * weights, stats

    def _clip(self, parameters: Iterable[torch.nn.Parameter]) -> float:
        trained = list(parameters)
        norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        norm = plain(norm)
        torch.nn.utils.clip_grads_with_norm_(trained, self.config.grad_clip, norm)
        return float(norm)

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
