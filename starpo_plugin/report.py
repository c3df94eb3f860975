"""``starpo report``: a run as one HTML file that needs nothing else, not even a script.

Everything that a model or an environment wrote is escaped, characters that would act rather than
show are replaced, and the page forbids itself to load or run anything.
"""

import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from starpo_plugin.charts import Level, Mark, Series, chart
from starpo_plugin.config import TrainConfig, to_dict
from starpo_plugin.console import visible
from starpo_plugin.diagnostics import METRICS
from starpo_plugin.options import field_notes
from starpo_plugin.run_folder import RunFolder

SHOWN_COLUMNS = 3
"""Evaluations whose episodes are shown side by side: the first, the last, and between."""

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
ELSEWHERE = ("iteration", "success", "seconds")
"""Keys of a line of metrics that the page shows in other ways."""


def write_report(run: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a run, finished or not.

    Args:
        run: the run's folder.
        path: of the HTML file; ``report.html`` in the run's folder unless given.

    Returns:
        The path written.

    Raises:
        ValueError: ``run`` is not a run folder, or a file in it is damaged.
        OSError: the file can't be written.
    """
    folder = RunFolder(run)
    target = Path(path) if path is not None else folder.path / "report.html"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "shown": lambda text: visible(str(text)),
        "signed": "{:+.2f}".format,
        "percent": _percent,
    }
    source = resources.files("starpo_plugin").joinpath("report.html.jinja").read_text("utf-8")
    page = environment.from_string(source).render(_page(folder))
    draft = target.with_name(f".{target.name}")
    draft.write_text(page, encoding="utf-8")
    draft.replace(target)
    return target


def _page(folder: RunFolder) -> dict[str, Any]:
    config = folder.config()
    metrics, evals = folder.read("metrics.jsonl"), folder.read("evals.jsonl")
    scores = score_rows(folder)
    samples = folder.read("samples.jsonl")
    done = max((int(m["iteration"]) for m in metrics), default=0)
    warnings = folder.read("warnings.jsonl")
    return {
        "config": config,
        "run": str(folder.path),
        "done": done,
        "tiles": _tiles(config, metrics, evals),
        "scores": scores,
        "curve": _success_chart(metrics, evals, scores, warnings),
        "warnings": warnings,
        "stopped": bool(folder.stopped_for()),
        "plots": _plots(metrics, PLOTS, warnings),
        "further": _plots(metrics, _further(metrics), warnings),
        "settings": _settings(config),
        "system": samples[0]["episodes"][0]["system"] if samples else "",
        "starts": _starts(samples, config),
    }


def score_rows(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Give a run's yardsticks and its own scores by name, from the weakest agent to the oracle:
    random, before and after training, the best in between where it beats the last.
    """
    config = folder.config()
    try:
        yardsticks = json.loads((folder.path / "yardsticks.json").read_text())
    except FileNotFoundError:
        yardsticks = {}
    rows = {"random": yardsticks["random"]} if "random" in yardsticks else {}
    evals = folder.read("evals.jsonl")
    if evals:
        rows["after imitation" if config.warmup_updates else "before training"] = evals[0]
        best, last = max(evals, key=lambda e: e["success"]), evals[-1]
        if best["iteration"] not in (0, last["iteration"]) and best["success"] > last["success"]:
            rows[f"best, iteration {best['iteration']}"] = best
        if last["iteration"] > 0:
            over = last["iteration"] >= config.iterations
            rows["after StarPO" if over else f"at iteration {last['iteration']}"] = last
    if "oracle" in yardsticks:
        rows["oracle"] = yardsticks["oracle"]
    return rows


# --- numbers ---


def _tiles(config: TrainConfig, metrics: Records, evals: Records) -> list[tuple[str, str, str]]:
    """Give (number, what it is, a remark) for the head of the page."""
    tiles = []
    if evals:
        first, last = evals[0], evals[-1]
        low, high = last["interval"]
        interval = f"95 %: {_percent(low)} to {_percent(high)}"
        tiles.append((_percent(last["success"]), "success", interval))
        if last["iteration"] > 0:
            gain = 100 * (last["success"] - first["success"])
            tiles.append(
                (f"{gain:+.1f}", "points", f"from {_percent(first['success'])} at the start")
            )
    done = max((int(m["iteration"]) for m in metrics), default=0)
    episodes = done * config.groups * config.members
    tiles.append((f"{done}", f"of {config.iterations} iterations", f"{episodes:,} episodes"))
    seconds = sum(sum(m.get("seconds", {}).values()) for m in metrics)
    tokens = sum(m.get("tokens", 0.0) for m in metrics)
    if seconds:
        tiles.append((_clock(seconds), "training", f"{tokens:,.0f} tokens sampled"))
    return tiles


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def _clock(seconds: float) -> str:
    minutes = round(seconds) // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _success_chart(
    metrics: Records, evals: Records, scores: Mapping[str, Mapping[str, Any]], warnings: Records
) -> Markup:
    """Draw the evaluations with their intervals between the yardsticks, the rollouts behind."""
    points = [(e["iteration"], e["success"]) for e in evals]
    band = [(e["iteration"], *e["interval"]) for e in evals]
    series = [Series("evaluation", points, "a", band, smooth=False)]
    if any("success" in m for m in metrics):
        series.insert(0, Series("training rollouts", _points(metrics, "success"), "c"))
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


def _further(metrics: Records) -> list[Plot]:
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


def _plots(metrics: Records, plots: Sequence[Plot], warnings: Records) -> list[dict[str, Any]]:
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


def _settings(config: TrainConfig) -> dict[str, list[dict[str, Any]]]:
    """Give the config by section, what differs from the defaults marked."""
    plain, sections = to_dict(TrainConfig()), {}
    for name, value in to_dict(config).items():
        note = field_notes()[name]
        text = " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        row = {"name": name, "value": text, "help": note.help, "changed": value != plain[name]}
        sections.setdefault(note.section, []).append(row)
    return sections


# --- episodes ---


def _starts(samples: Records, config: TrainConfig) -> list[dict[str, Any]]:
    """Give, for every start that was kept, its episodes at the first, a middle and the last
    evaluation.
    """
    if not samples:
        return []
    picked = sorted(
        {round(k * (len(samples) - 1) / (SHOWN_COLUMNS - 1)) for k in range(SHOWN_COLUMNS)}
    )
    starts: dict[int, list[dict[str, Any]]] = {}
    for sample in (samples[i] for i in picked):
        for episode in sample["episodes"]:
            column = _episode(episode, config) | {"iteration": sample["iteration"]}
            starts.setdefault(episode["seed"], []).append(column)
    return [{"seed": seed, "columns": columns} for seed, columns in starts.items()]


def _episode(episode: Mapping[str, Any], config: TrainConfig) -> dict[str, Any]:
    turns = [_turn(turn, config) for turn in episode["turns"]]
    total = sum(turn["reward"] for turn in turns)
    return {"success": episode["success"], "end": episode["end"], "return": total, "turns": turns}


def _turn(turn: Mapping[str, Any], config: TrainConfig) -> dict[str, Any]:
    """Give a turn with its reply taken apart; whole, where it is not in the form asked for."""
    reply = config.protocol().parse(turn["reply"])
    sections = {k: v.strip() for k, v in reply.sections.items() if k != "answer"}
    return {
        "observation": turn["observation"],
        "sections": sections if reply.well_formed else {},
        "reply": turn["reply"],
        "actions": turn["actions"],
        "reward": turn["reward"],
        "well_formed": turn["well_formed"],
        "valid": turn.get("valid", True),
    }
