"""The report's charts: which metrics share one, and what to look for in it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from starpo_plugin.charts import Level, Mark, Series, chart
from starpo_plugin.console import visible
from starpo_plugin.diagnostics import METRICS

Records = Sequence[Mapping[str, Any]]


class Plot(NamedTuple):
    """A small chart: metrics that share a unit, and what to look for."""

    title: str
    metrics: dict[str, str]
    """Key in metrics.jsonl -> name in the legend."""
    about: str
    percent: bool = False


PLOTS = (
    Plot("Return", {"return": "return"}, "Mean sum of an episode's rewards."),
    Plot(
        "Spread within groups",
        {"return_std_in_group": "standard deviation"},
        "Of the returns from one start. Near zero there is nothing left to compare: collapse.",
    ),
    Plot(
        "Kept groups",
        {"kept_groups": "groups trained on"},
        "What the filter let through.",
    ),
    Plot("Entropy", {"entropy": "nats per token"}, "A sudden fall or rise announces collapse."),
    Plot(
        "Gradient norm", {"grad_norm": "policy", "critic_grad_norm": "critic"}, "Before clipping."
    ),
    Plot(
        "Length in tokens",
        {"reply_tokens": "reply", "think_tokens": "thought", "answer_tokens": "answer"},
        "Replies that grow without end are noise.",
    ),
    Plot(
        "Variety of thoughts",
        {
            "thoughts_distinct": "distinct thoughts",
            "thought_distinct_2": "distinct token pairs",
            "thought_most_common": "most common thought",
        },
        "Share of an iteration's. One thought for every state is the echo trap.",
        True,
    ),
    Plot(
        "Thoughts and prompts",
        {"mi": "mutual information", "mi_entropy": "H(Z)", "mi_conditional_entropy": "H(Z|X)"},
        "Nats per thought. Information that falls while H(Z|X) stays: thoughts that ignore the"
        " board.",
    ),
    Plot(
        "Thoughts found by their prompt",
        {"mi_retrieval": "found", "mi_chance": "by chance"},
        "Share of thoughts that are likeliest under their own prompt.",
        True,
    ),
    Plot(
        "Form",
        {
            "well_formed": "well-formed replies",
            "valid": "turns of valid moves only",
            "unclosed": "tags left open",
        },
        "Share of the turns. Here a policy comes apart first.",
        True,
    ),
    Plot(
        "KL to the old policy",
        {"kl_k1": "k1", "kl_k3": "k3"},
        "Nats per token that one batch moves the policy.",
    ),
    Plot("KL to the starting weights", {"kl_reference": "per token"}, "Where the preset has it."),
    Plot(
        "Clipped tokens",
        {"clip_low": "below", "clip_high": "above", "clip_dual": "dual clip"},
        "Share of the policy tokens.",
        False,
    ),
    Plot(
        "Critic",
        {"explained_variance": "explained variance"},
        "Of the returns; 1 is perfect, 0 is no better than their mean.",
    ),
    Plot("Value loss", {"value_loss": "loss"}, "Of the critic."),
    Plot(
        "Seconds",
        {"seconds.rollout": "rollout", "seconds.update": "update"},
        "Per iteration.",
    ),
)
ELSEWHERE = ("iteration", "success", "episodes", "seconds")
"""Keys of a line of metrics that the page shows in other ways."""


def success_chart(
    metrics: Records,
    evals: Records,
    scores: Mapping[str, Mapping[str, Any]],
    warnings: Records,
    behind: str,
) -> Markup:
    """Draw the evaluations with their intervals between the yardsticks; what was trained on, named
    ``behind``, behind them.
    """
    points = [(e["iteration"], e["success"]) for e in evals]
    band = [(e["iteration"], *e["interval"]) for e in evals]
    series = [Series("evaluation", points, "a", band, smooth=False)]
    if any("success" in m for m in metrics):
        series.insert(0, Series(behind, _points(metrics, "success"), "c"))
    levels = [
        Level(name, scores[name]["success"]) for name in ("random", "oracle") if name in scores
    ]
    return Markup(chart(series, levels=levels, marks=_marks(warnings), percent=True, height=170))


def _marks(warnings: Records) -> list[Mark]:
    return [
        Mark(w["iteration"], f"iteration {w['iteration']}: {visible(str(w['text']))}")
        for w in warnings
    ]


def _points(metrics: Records, key: str) -> list[tuple[float, float]]:
    """Give (iteration, value) of a metric, not a number where an iteration lacks it."""
    outer, _, inner = key.partition(".")
    found = []
    for record in metrics:
        value = record.get(outer, math.nan)
        value = value.get(inner, math.nan) if inner and isinstance(value, Mapping) else value
        found.append((float(record["iteration"]), float(value)))
    return found


def further(metrics: Records) -> list[Plot]:
    """Give a plot to every metric that has none of its own."""
    planned = {key for plot in PLOTS for key in plot.metrics}
    keys = {key for record in metrics for key in record} - planned - set(ELSEWHERE)
    return [Plot(key.replace("_", " "), {key: _unit(key)}, _about(key)) for key in sorted(keys)]


def _note(key: str) -> str:
    """Say what a line of a chart is, for who points at its name."""
    return f"{_unit(key)}. {_about(key)}".strip()


def _unit(key: str) -> str:
    return METRICS[key].unit if key in METRICS else "per iteration"


def _about(key: str) -> str:
    return METRICS[key].about if key in METRICS else ""


def plots_of(metrics: Records, plots: Sequence[Plot], warnings: Records) -> list[dict[str, Any]]:
    """Draw the plots that the run has a number for."""
    drawn = []
    for plot in plots:
        found = [(key, name, _points(metrics, key)) for key, name in plot.metrics.items()]
        lines = {
            key: Series(name, points, style)
            for (key, name, points), style in zip(found, "abc", strict=False)
            if any(math.isfinite(y) for _, y in points)
        }
        if lines:
            legend = [(line.style, line.name, _note(key)) for key, line in lines.items()]
            marks = _marks([w for w in warnings if w["metric"] in plot.metrics])
            drawing = Markup(chart(list(lines.values()), marks=marks, percent=plot.percent))
            drawn.append({"plot": plot, "drawing": drawing, "legend": legend})
    return drawn
