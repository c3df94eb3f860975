"""The catalogue of every environment, ``docs/environments.md``, made from the registry.

``python -m text_envs catalogue --write`` writes it and its pictures; ``--check`` says what of it no
longer is what the games say of themselves.
"""

import inspect
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from text_envs import ENV_IDS, baselines, png
from text_envs.agents import OracleAgent
from text_envs.baselines import Yardstick, task_of
from text_envs.env import TextEnv, game_class
from text_envs.markdown import fenced, from_rst, read_manual, table

FILE = Path(__file__).parents[1] / "docs" / "environments.md"
PICTURES = FILE.parent / "pictures"
README = FILE.parents[1] / "README.md"
BLOCK = re.compile(r"(?<=<!-- environments -->\n).*?(?=<!-- end -->)", re.DOTALL)
"""Where the list stands in the README."""
WRITE = "python -m text_envs catalogue --write"
MEASURE = "python -m text_envs baselines {} --write"
UNMEASURED = "not measured yet"
SEEDS = range(10)
SCENE_MOVES = 60
"""The example is half-way through the oracle's game, of which no more than this is played."""
TOLERANCE = 1.0
"""Mean difference, of 255, below which two pictures are the same: fonts differ by a little from one
build of pygame to another.
"""
MOST_LISTED = 12
LONGEST_DEFAULT = 40

INTRODUCTION = f"""# Environments

<!-- Made by `{WRITE}`. Change the games, not this file. -->

`gym.make(id)` makes each of them after `import text_envs`. Beside their own parameters, all take
those of [`TextEnv`](../text_envs/env.py): `obs_mode`, `split`, `levels`, `invalid_action_penalty`,
`render_mode`, `tile`.

Success is in %, with its 95 % interval, over {baselines.EPISODES:,} episodes (or as many as `n`
says), of a player that moves at random and of the oracle, within the moves of an episode.
"""


# --- one environment ---


@cache
def scene_of(env_id: str) -> "Scene":
    """Play an id's game once."""
    return Scene(env_id)


class Scene:
    """An environment half-way through the oracle's game, for its picture and its text."""

    def __init__(self, env_id: str) -> None:
        env = gym.make(env_id)
        # a level worth looking at: of a few, the first that takes the most moves
        self.seed = max(SEEDS, key=lambda seed: env.reset(seed=seed)[1].get("optimal_moves", 0))
        observation, info = env.reset(seed=self.seed)
        self.inner: TextEnv = env.unwrapped  # pyright: ignore[reportAttributeAccessIssue] (one of ours)
        self.game = self.inner.game
        self.start = self.inner.get_state()
        agent, over = OracleAgent(), False
        seen = [(self.start, observation, info)]
        while not over and len(seen) <= SCENE_MOVES:
            observation, _, *ends, info = env.step(agent.act(env, observation, info))
            seen.append((self.inner.get_state(), observation, info))
            over = any(ends)
        self.moves = (len(seen) - 1) // 2
        self.state, self.observation, self.info = seen[self.moves]

    def picture(self) -> np.ndarray:
        """Draw it."""
        self.inner.set_state(self.state)
        return self.inner.picture()


def section(env_id: str, entry: dict[str, Any] | None) -> str:
    """Write all about one id; ``entry`` is what was measured of it."""
    task, scene = task_of(env_id), scene_of(env_id)
    game = game_class(task.game)
    manual = read_manual(game.__doc__ or "")
    family = [i for i in ENV_IDS if task_of(i).game == task.game]
    given = ", ".join(f"`{name}={value!r}`" for name, value in task.params.items())
    parts = [f"## {env_id}", manual.summary]
    if given:
        parts.append(f"Made with {given}.")
    parts += [
        f"An episode has at most {_moves(task.moves)}.",
        f"![{env_id}](pictures/{env_id}.png)",
        "What the player is told:",
        fenced(scene.game.rules),
        f"What it sees, as in the picture ({_when(scene)}):",
        fenced(scene.observation),
        f"Moves here: {_listed(scene)}.",
        _scores(entry),
    ]
    if env_id != family[0]:
        parts.append(f"All else is as in [{family[0]}](#{family[0].lower()}).")
        return "\n\n".join(parts)
    module = inspect.getmodule(game)
    source = task.game.partition(":")[0].replace(".", "/") + ".py"
    parts += [
        "### Rules and rewards",
        from_rst(module.__doc__ or "" if module else ""),
        f"### Manual of `{game.__name__}`",
        manual.before,
        _parameters(game, manual.arguments),
        manual.after,
        _extras(scene),
        f"Source: [{source}](../{source})",
    ]
    return "\n\n".join(filter(None, parts))


def _when(scene: Scene) -> str:
    if scene.moves == 0:
        return f"seed {scene.seed}, at the start"
    return f"seed {scene.seed}, after {scene.moves} of the oracle's moves"


def _moves(number: int) -> str:
    return f"{number} move{'s' * (number != 1)}"


def _listed(scene: Scene) -> str:
    legal = scene.info["legal_actions"]
    if legal is None:
        sample = scene.game.sample(scene.state, np.random.default_rng(0))
        return f"they can't be listed; one is `{sample}`"
    shown = ", ".join(f"`{move}`" for move in legal[:MOST_LISTED])
    more = len(legal) - MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _scores(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return f"Random player and oracle: {UNMEASURED}."
    rows = [
        [name, y.success, y.returned, f"{y.mean_length:.1f}", f"{y.episodes:,}"]
        for name, y in baselines.players(entry).items()
    ]
    return table(["player", "success, %", "return", "moves", "episodes"], rows)


def _parameters(game: type, meanings: dict[str, str]) -> str:
    rows = []
    for name, parameter in inspect.signature(game).parameters.items():
        default = repr(parameter.default)
        if len(default) > LONGEST_DEFAULT:
            default = f"{default[: LONGEST_DEFAULT - 3]}..."
        rows.append([f"`{name}`", f"`{default}`", meanings.get(name, "")])
    return table(["parameter", "default", "meaning"], rows) if rows else ""


def _extras(scene: Scene) -> str:
    always = scene.game.info(scene.state)
    extras = {name: f"always (here `{value!r}`)" for name, value in always.items()}
    for name, value in scene.game.start_info(scene.start).items():
        extras[name] = f"at reset (here `{value!r}`)"
    listed = "; ".join(f"`{name}` {when}" for name, when in extras.items())
    return f"In `info`, beside what every environment tells: {listed}." if listed else ""


# --- all of them ---


def document(measured: dict[str, Any]) -> dict[str, str]:
    """Write the catalogue: "" -> what stands above, id -> its section."""
    parts = {"": f"{INTRODUCTION}\n{listed(measured)}"}
    return parts | {i: section(i, current(i, measured)) for i in ENV_IDS}


def listed(measured: dict[str, Any], file: str = "") -> str:
    """List every id in a line, with links into ``file`` (this one if empty)."""
    rows = []
    for env_id in ENV_IDS:
        scores = [UNMEASURED] * 2
        if entry := current(env_id, measured):
            scores = [y.success + _few(y) for y in baselines.players(entry).values()]
        task = task_of(env_id)
        summary = read_manual(game_class(task.game).__doc__ or "").summary
        rows.append([f"[{env_id}]({file}#{env_id.lower()})", summary, str(task.moves), *scores])
    return table(["", "", "moves", "random", "oracle"], rows)


def in_readme(measured: dict[str, Any]) -> str:
    """Give the README with the list in it."""
    text = README.read_text(encoding="utf-8")
    return BLOCK.sub(lambda _: listed(measured, "docs/environments.md") + "\n", text)


def current(env_id: str, measured: dict[str, Any]) -> dict[str, Any] | None:
    """What was measured of an id, if it still is registered with the same parameters and limit."""
    task, entry = task_of(env_id), measured.get(env_id)
    if entry is None:
        return None
    params = json.loads(json.dumps(task.params))
    return entry if (entry["parameters"], entry["moves"]) == (params, task.moves) else None


def _few(y: Yardstick) -> str:
    return "" if y.episodes == baselines.EPISODES else f", n={y.episodes:,}"


def joined(parts: dict[str, str]) -> str:
    """Put the parts of the catalogue together."""
    return "\n\n".join(parts.values()) + "\n"


def write() -> list[Path]:
    """Write the catalogue and its pictures; returns the files."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    measured = baselines.load()
    files = {FILE: joined(document(measured)).encode(), README: in_readme(measured).encode()}
    files |= {picture_file(i): png.encode(scene_of(i).picture()) for i in ENV_IDS}
    for path, content in files.items():
        path.write_bytes(content)
    for path in _orphans():
        path.unlink()
    return list(files)


def picture_file(env_id: str) -> Path:
    """Tell where the picture of an id is."""
    return PICTURES / f"{env_id}.png"


def _orphans() -> list[Path]:
    return [p for p in sorted(PICTURES.glob("*-v*.png")) if p.stem not in ENV_IDS]


# --- is it still true? ---


def problems() -> list[str]:
    """Say what of the catalogue is missing or no longer true, each with the command that mends it;
    nothing where all is well.
    """
    measured = baselines.load()
    return [*_unmeasured(measured), *_stale_text(measured), *_stale_pictures()]


def _unmeasured(measured: dict[str, Any]) -> list[str]:
    found = []
    for env_id in ENV_IDS:
        entry = current(env_id, measured)
        if entry is None:
            found.append(f"{env_id} is {UNMEASURED}: {MEASURE.format(env_id)}")
        elif not baselines.spot_holds(env_id, entry):
            found.append(
                f"{env_id} was measured with other rules or levels: {MEASURE.format(env_id)}"
            )
    return found


def _stale_text(measured: dict[str, Any]) -> list[str]:
    if not FILE.exists():
        return [f"{FILE.name} is missing: {WRITE}"]
    written, wanted = FILE.read_text(encoding="utf-8"), document(measured)
    same = README.read_text(encoding="utf-8") == in_readme(measured)
    problems = [] if same else [f"{README.name} has an old list of ids: {WRITE}"]
    if written == joined(wanted):
        return problems
    head, *sections = re.split(r"^(?=## )", written, flags=re.MULTILINE)
    found = {"": head} | {part.partition("\n")[0].removeprefix("## "): part for part in sections}
    stale = [
        name or "the list"
        for name in wanted | found
        if found.get(name, "").strip() != wanted.get(name, "").strip()
    ]
    return [*problems, f"{FILE.name} is stale ({', '.join(stale)}): {WRITE}"]


def _stale_pictures() -> list[str]:
    found = [f"{path.name} is of no environment: {WRITE}" for path in _orphans()]
    for env_id in ENV_IDS:
        path = picture_file(env_id)
        try:
            kept = png.decode(path.read_bytes()).astype(float)
        except (OSError, ValueError):
            found.append(f"{path.name} is missing or not as written: {WRITE}")
            continue
        drawn = scene_of(env_id).picture()
        if kept.shape != drawn.shape or np.abs(kept - drawn).mean() > TOLERANCE:
            found.append(f"{path.name} is not what is drawn now: {WRITE}")
    return found
