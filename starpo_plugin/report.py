"""``starpo report``: a run as one HTML file that needs nothing else.

Everything that a model or an environment wrote is escaped, characters that would act rather than
show are replaced, and the page forbids itself to load anything and to run anything but its own
script, which is named by its digest.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from starpo_plugin.config import TrainConfig, to_dict
from starpo_plugin.console import visible
from starpo_plugin.curves import PLOTS, Records, further, plots_of, success_chart
from starpo_plugin.options import field_notes
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.token_view import spaced, token_view

AgentScores = dict[str, dict[str, Any]]
"""Agent -> its score, in the form of ``run_folder.score_dict``."""
COLUMNS = 3
"""Episodes of one start that are shown side by side: at first of the first evaluation, the last,
and one between.
"""
EVALUATIONS = 21
"""Evaluations whose episodes are on the page, evenly chosen; fewer where their texts are long."""
SAMPLE_CHARACTERS = 2_000_000
"""Of the episodes of all evaluations on the page, unless those of ``COLUMNS`` are longer."""


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
    page = environment.from_string(_source("report.html.jinja")).render(_page(folder))
    draft = target.with_name(f".{target.name}")
    draft.write_text(page, encoding="utf-8")
    draft.replace(target)
    return target


def _source(name: str) -> str:
    return resources.files("starpo_plugin").joinpath(name).read_text("utf-8")


def _page(folder: RunFolder) -> dict[str, Any]:
    config = folder.config()
    script = _source("report.js")
    view = token_view(folder, config)
    metrics, evals = folder.read("metrics.jsonl"), folder.read("evals.jsonl")
    scores = score_rows(folder)
    samples = folder.read("samples.jsonl")
    done = max((int(m["iteration"]) for m in metrics), default=0)
    warnings = folder.read("warnings.jsonl")
    trained_on = "stored episodes" if config.from_data else "training rollouts"
    return {
        "style": Markup(_source("report.css")),
        "script": Markup(script),
        "digest": base64.b64encode(sha256(script.encode()).digest()).decode(),
        "config": config,
        "run": str(folder.path),
        "done": done,
        "tiles": _tiles(config, metrics, evals),
        "scores": scores,
        "environments": environment_rows(folder),
        "curve": success_chart(metrics, evals, scores, warnings, trained_on),
        "trained_on": trained_on,
        "warnings": warnings,
        "stopped": bool(folder.stopped_for()),
        "plots": plots_of(metrics, PLOTS, warnings),
        "further": plots_of(metrics, further(metrics), warnings),
        "settings": _settings(config),
        "systems": _systems(samples),
        "starts": _starts(samples, config),
        "view": view,
        "figures": _embedded(view),
    }


def score_rows(folder: RunFolder) -> AgentScores:
    """Give a run's yardsticks and its own scores by name, from the weakest agent to the oracle:
    random, before and after training, the best in between where it beats the last.
    """
    return _ranked(folder.config(), _yardsticks(folder), folder.read("evals.jsonl"))


def environment_rows(folder: RunFolder) -> dict[str, AgentScores]:
    """Give the same of each environment, before and after training; none where there is one."""
    evals = [e for e in folder.read("evals.jsonl") if "envs" in e]
    yardsticks, ends = _yardsticks(folder).get("envs", {}), [*evals[:1], *evals[1:][-1:]]
    tasks = ends[0]["envs"] if ends else {}
    return {
        task: _ranked(
            folder.config(),
            yardsticks.get(task, {}),
            [{**e["envs"][task], "iteration": e["iteration"]} for e in ends],
        )
        for task in tasks
    }


def _yardsticks(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / "yardsticks.json"
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it to do without it") from error


def _ranked(config: TrainConfig, yardsticks: Mapping[str, Any], evals: Records) -> AgentScores:
    rows = {"random": yardsticks["random"]} if "random" in yardsticks else {}
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
    # a run of an older version did not count them, and all that it trained on it had played
    episodes = sum(m.get("episodes", config.groups * config.members) for m in metrics)
    kind = "stored episodes" if config.from_data else "episodes"
    tiles.append((f"{done}", f"of {config.iterations} iterations", f"{episodes:,.0f} {kind}"))
    seconds = sum(sum(m.get("seconds", {}).values()) for m in metrics)
    tokens = sum(m.get("tokens", 0.0) for m in metrics)
    if seconds:
        how = "trained on" if config.from_data else "sampled"
        tiles.append((_clock(seconds), "training", f"{tokens:,.0f} tokens {how}"))
    return tiles


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def _clock(seconds: float) -> str:
    minutes = round(seconds) // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


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
    """Give, for every start that was kept, its episodes, evaluation by evaluation, and which of
    them are shown first.
    """
    starts: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for sample in _within_room(samples):
        for episode in sample["episodes"]:
            of_start = starts.setdefault((_task(episode), episode["seed"]), [])
            where = {"iteration": sample["iteration"], "place": len(of_start)}
            of_start.append(_episode(episode, config) | where)
    return [
        {
            "name": f"{task}, level seed {seed}" if config.envs else f"Level seed {seed}",
            "episodes": episodes,
            "columns": spaced(range(len(episodes)), COLUMNS),
        }
        for (task, seed), episodes in starts.items()
    ]


def _systems(samples: Records) -> dict[str, str]:
    """Give what the model is told first in each environment, where it is told anything."""
    first = samples[0]["episodes"] if samples else ()
    return {_task(episode): episode["system"] for episode in first if episode["system"]}


def _task(episode: Mapping[str, Any]) -> str:
    return episode.get("task") or episode["env"]  # a run of an older version did not say


def _within_room(samples: Records) -> Records:
    characters = sum(len(json.dumps(sample)) for sample in samples)
    if characters > SAMPLE_CHARACTERS:
        fitting = int(len(samples) * SAMPLE_CHARACTERS / characters)
        return spaced(samples, max(COLUMNS, min(EVALUATIONS, fitting)))
    return spaced(samples, EVALUATIONS)


def _embedded(value: Any) -> Markup:
    """Write a value as JSON that can stand inside a script element: nothing in it ends one."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


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
