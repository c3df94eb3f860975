"""``EchoTrapMonitor``: sees collapse coming in a run's metrics, and says what to do.

In the echo trap a policy falls back on one way of thinking whatever it sees: the returns from one
start no longer differ, entropy falls or bursts, the gradient spikes, and only then success falls
(RAGEN, arXiv 2504.20073, findings 2 and 3). A published reproduction saw tags left open, longer
replies and invalid moves before any of these.

Nothing but the metrics goes in, so a run that is resumed warns as if it had never stopped: the
monitor is shown the lines of ``metrics.jsonl`` again.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

START = 10
"""Iterations at the start whose mean later ones are compared with."""
MEDIAN_OF = 50
"""Iterations before this one that a running median is of."""
LEAP = 0.05
"""Nats per token, k3 estimate: how far an iteration's updates may take the policy from the one that
played. PPO is usually stopped at 0.01 to 0.05. An iteration of one update measures 0.
"""
SOLVED = 0.9
"""Success from which on equal returns and a certain policy are what was wanted, not collapse."""


@dataclass(frozen=True)
class Signal:
    """One sign of collapse."""

    metric: str
    """Key in metrics.jsonl."""
    holds: Callable[[float, float], bool]
    """Whether (value, reference) is a bad sign."""
    says: str
    """What is wrong, after 'metric is value, reference: '."""
    remedy: str
    """Which knob to turn."""
    patience: int = 1
    """Iterations in a row that it must hold."""
    running: bool = False
    """Compared with the running median, not with the start."""
    stops: bool = False
    """Ends a run that has ``early_stop``: there is nothing left to learn from."""
    limit: float | None = None
    """Compared with this instead, from the first iteration on."""
    solved_is_fine: bool = False
    """Not a sign where success is at least ``SOLVED``."""


SIGNALS: dict[str, Signal] = {
    "spread_gone": Signal(
        "return_std_in_group",
        lambda value, reference: value < 0.1 * reference,
        "the rollouts from one start all earn the same, so there is nothing to learn from",
        "train on the groups that differ (--filter top_k), sample wider (--temperature), or play"
        " other levels (--env-args)",
        patience=5,
        stops=True,
        solved_is_fine=True,
    ),
    "entropy_gone": Signal(
        "entropy",
        lambda value, reference: value < 0.1 * reference,
        "the policy hardly varies what it writes",
        "raise --entropy-coef or --clip-high, or lower --actor-lr",
        stops=True,
        solved_is_fine=True,
    ),
    "entropy_burst": Signal(
        "entropy",
        lambda value, reference: value > 5 * reference,
        "the policy is coming apart into noise",
        "lower --actor-lr or --entropy-coef, or hold it to its start with --kl-coef",
        stops=True,
    ),
    "gradient_spike": Signal(
        "grad_norm",
        lambda value, reference: value > 10 * reference,
        "one update pulled far harder than those before",
        "lower --actor-lr or --grad-clip",
        running=True,
    ),
    # not in RAGEN: where PPO's early stopping on the KL usually ends an iteration's updates
    "leap": Signal(
        "kl_k3",
        lambda value, reference: value > reference,
        "one iteration's updates took the policy far from where it had played",
        "lower --actor-lr, or take larger steps fewer in number (--mini-batch)",
        limit=LEAP,
    ),
    "unclosed_tags": Signal(
        "unclosed",
        lambda value, reference: value > reference + 0.2,
        "more replies break off inside a tag",
        "a stronger --format-penalty, a lower --actor-lr; a larger --max-reply-tokens where"
        " thoughts are good but long",
        patience=3,
    ),
    "longer_replies": Signal(
        "reply_tokens",
        lambda value, reference: value > 2 * reference,
        "replies have grown to twice their length",
        "a smaller --max-reply-tokens, or --aggregation seq-mean-token-sum-norm",
        patience=3,
    ),
    "invalid_moves": Signal(
        "valid",
        lambda value, reference: value < reference - 0.2,
        "more turns hold no legal move",
        "lower --actor-lr, or hold the policy to its start with --kl-coef",
        patience=3,
    ),
}

OF_THE_POLICY = ("entropy", "grad_norm")
"""Metrics that speak of the policy whoever played: where stored episodes are trained on, the others
are those of the data, or of how far it is from the policy.
"""


@dataclass(frozen=True)
class TrapWarning:
    """A sign of collapse that has just begun to hold."""

    iteration: int
    signal: str
    """Key in ``SIGNALS``."""
    metric: str
    value: float
    reference: float
    """What the value was compared with."""
    text: str
    """Metric, value against reference, and what it means."""
    remedy: str
    stops: bool
    """Whether ``early_stop`` ends a run for it."""


class EchoTrapMonitor:
    """Compares each iteration's metrics with the run's start.

    A warning is given when a sign begins to hold, and again only after it was gone.

    Args:
        stored: whether the episodes were played by others (``from_data``).
    """

    def __init__(self, stored: bool = False) -> None:
        metrics = OF_THE_POLICY if stored else [s.metric for s in SIGNALS.values()]
        self._seen: dict[str, list[float]] = {metric: [] for metric in metrics}
        self._streak: Counter[str] = Counter()

    def update(self, iteration: int, metrics: Mapping[str, float]) -> list[TrapWarning]:
        """Take an iteration's metrics; return the warnings that they give.

        A metric that is missing (the filter kept no group) or not finite neither gives a warning
        nor takes one back.
        """
        present = {m: float(metrics[m]) for m in self._seen if m in metrics}
        present = {m: value for m, value in present.items() if math.isfinite(value)}
        solved = metrics.get("success", 0.0) >= SOLVED
        found = []
        for name, signal in SIGNALS.items():
            if signal.metric not in present:
                continue
            seen = self._seen[signal.metric]
            if signal.limit is None and len(seen) < START:
                continue
            value, reference = present[signal.metric], _reference(signal, seen)
            fine = signal.solved_is_fine and solved
            bad = not fine and signal.holds(value, reference)
            self._streak[name] = self._streak[name] + 1 if bad else 0
            if self._streak[name] == signal.patience:
                found.append(_warning(iteration, name, value, reference))
        for metric, value in present.items():
            self._seen[metric].append(value)
        return found


def _reference(signal: Signal, seen: Sequence[float]) -> float:
    if signal.limit is not None:
        return signal.limit
    return median(seen[-MEDIAN_OF:]) if signal.running else fmean(seen[:START])


def _warning(iteration: int, name: str, value: float, reference: float) -> TrapWarning:
    signal = SIGNALS[name]
    what = "running median" if signal.running else f"mean of the first {START} iterations"
    what = what if signal.limit is None else "limit"
    lasting = f" for {signal.patience} iterations" if signal.patience > 1 else ""
    metric = signal.metric
    text = f"{metric} is {value:.3g}, {what} {reference:.3g}{lasting}: {signal.says}"
    return TrapWarning(iteration, name, metric, value, reference, text, signal.remedy, signal.stops)
