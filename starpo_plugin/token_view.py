"""What the report's token view shows: stored figures of tokens, beside pictures and claims."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starpo_plugin import token_file
from starpo_plugin.claims import compare
from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.console import visible
from starpo_plugin.mixing import every_spec
from starpo_plugin.replay import Frame, Replayer
from starpo_plugin.run_folder import RunFolder

ITERATIONS, EPISODES = 9, 8
"""Iterations whose tokens are on the page, evenly chosen, and episodes of each, at most."""
FIGURE_BYTES = 4_000_000
"""Of all stored figures on the page, unless the last iteration's alone are more."""
PICTURE_BYTES = 2_000_000
"""Of all pictures; later ones are left out, which the page says."""
FIGURES = ("trained", "section", "advantage", "value", "entropy", "logprob_old", "logprob_new")


def token_view(folder: RunFolder, config: TrainConfig) -> dict[str, Any]:
    """Give all that the page's script shows, as plain values fit for JSON; every text in it is
    visible. There are no iterations where nothing is stored.

    Raises ``ValueError`` where a stored file is damaged.
    """
    files = _within_room(folder.token_files())
    notes: dict[str, None] = {}
    replayers = {
        spec.task: Replayer(spec, parse_args(config.train_args), notes)
        for spec in (every_spec(config) if files else ())
    }
    album = _Album()
    iterations = []
    for iteration, path in files:
        stored = token_file.read(path)["episodes"][:EPISODES]
        episodes = [_episode(e, config, replayers, album) for e in stored]
        if episodes:
            iterations.append({"iteration": iteration, "episodes": episodes})
    if album.refused:
        told = f"{album.refused} pictures are left out: the page would be too large."
        notes[told] = None
    return {
        "iterations": iterations,
        "pictures": album.pictures,
        "notes": [visible(note) for note in notes],
        "sections": token_file.SECTIONS,
        "clip": [1 - config.clip_low, 1 + config.clip_high],
    }


def spaced(items: Sequence[Any], count: int) -> list[Any]:
    """Pick ``count`` items at most: the first, the last, and evenly between; only the last, where
    there is room for one.
    """
    if len(items) <= count or count < 2:
        return list(items[-count:])
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]


def _within_room(files: Mapping[int, Path]) -> list[tuple[int, Path]]:
    sizes = [path.stat().st_size for path in files.values()]
    fitting = int(len(sizes) * FIGURE_BYTES / max(1, sum(sizes)))
    return spaced(list(files.items()), max(1, min(ITERATIONS, fitting)))


class _Album:
    """Pictures, each once."""

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self.refused = 0
        self._places: dict[str, int] = {}
        self._room = PICTURE_BYTES

    def place(self, picture: str | None) -> int | None:
        """Give a picture's index."""
        if picture is None:
            return None
        if picture not in self._places:
            if len(picture) > self._room:
                self.refused += 1
                return None
            self._room -= len(picture)
            self._places[picture] = len(self.pictures)
            self.pictures.append(picture)
        return self._places[picture]


def _episode(
    episode: Mapping[str, Any],
    config: TrainConfig,
    replayers: Mapping[str, Replayer],
    album: _Album,
) -> dict[str, Any]:
    # a run of an older version does not say what was played
    task = episode.get("task") or config.episodes().task
    frames = replayers[task].frames(episode) if task in replayers else []
    turns = episode["turns"]
    return {
        "task": visible(task) if config.envs else None,
        "seed": episode["seed"],
        "group": episode["group"],
        "member": episode["noise_seed"],
        "success": episode["success"],
        "end": visible(episode["end"]),
        "return": _finite(episode["return"]),
        "left_out": episode["left_out"],
        "turns": [_turn(t, frames[k : k + 2], config, album) for k, t in enumerate(turns)],
        "last_picture": album.place(frames[-1].picture) if frames else None,
    }


def _turn(
    turn: Mapping[str, Any], frames: Sequence[Frame], config: TrainConfig, album: _Album
) -> dict[str, Any]:
    figures = {
        name: [_finite(x) for x in turn[name]] for name in FIGURES if turn.get(name) is not None
    }
    return {
        "observation": visible(turn["observation"]),
        "played": [visible(move) for move in turn["actions"]],
        "reward": _finite(turn["reward"]),
        "picture": album.place(frames[0].picture) if frames else None,
        "claims": _claims(turn["reply"], frames, config) if frames else [],
        "read": [visible(t) for t in turn["prompt_tokens"]],
        "written": [visible(t) for t in turn["reply_tokens"]],
        **figures,
    }


def _claims(
    reply: str, frames: Sequence[Frame], config: TrainConfig
) -> list[tuple[str, list[list[str]]]]:
    """Tables of (fact, said, true, verdict): what a reply says of the state, and where its format
    asks for it of the state to come.
    """
    sections = config.protocol().parse(reply).sections
    state = "observation" if "observation" in config.protocol().sections else "think"
    before, after = frames
    tables = []
    for section, frame in ((state, before), ("prediction", after)):
        if frame.facts and section in sections:
            rows = [
                [visible(text) for text in (c.name, c.said, c.true, c.verdict)]
                for c in compare(sections[section], frame.facts)
            ]
            tables.append((section, rows))
    return tables


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
