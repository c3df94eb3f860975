"""The run folder: what a run writes down, line by line, so that a kill loses at most one line.

``config.json``, ``metrics.jsonl`` (a line an iteration), ``evals.jsonl`` (a line an evaluation),
``samples.jsonl`` (some evaluated episodes, word for word), ``warnings.jsonl`` (a line a sign of
collapse), ``yardsticks.json``, ``checkpoints/``, ``rollouts/`` and ``tokens/`` (docs/data.md),
``data.json`` (which stored trajectories are trained on), ``tensorboard/``.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from starpo_plugin.config import TrainConfig, from_dict, to_dict
from starpo_plugin.echo_trap import TrapWarning
from starpo_plugin.trajectory import Trajectory
from starpo_plugin.trajectory_file import Origin, write
from text_envs.agents import Score

SAMPLES = 4
"""Episodes of each evaluation that are kept word for word."""


class RunFolder:
    """Reads and writes a run's files.

    Args:
        path: the folder.
        writes: whether this process writes; of several only one does, and all read.
    """

    def __init__(self, path: str | Path, writes: bool = True) -> None:
        self.path = Path(path)
        self.writes = writes
        self.checkpoints = self.path / "checkpoints"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and keep other runs out of it while this is open; a process that is
        killed lets go of it, too.

        Raises ``ValueError`` while another process holds it.
        """
        if not self.writes:
            yield
            return
        import fcntl  # of POSIX; a run's files can be read elsewhere

        self.path.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise ValueError(
                f"another process is training in run folder {self.path}: wait for its end, or"
                " choose another folder with --run"
            ) from None
        except OSError:
            pass  # on some network disks nothing can be held
        try:
            yield
        finally:
            os.close(handle)

    def create(self, config: TrainConfig) -> None:
        """Begin a run, or begin again one that never reached its first checkpoint. Raises
        ``ValueError`` if there is one with checkpoints here, or the config of something else.
        """
        if (self.path / "config.json").exists():
            self._refuse_to_replace()
        self.write_config(config)

    def _refuse_to_replace(self) -> None:
        if any(self.checkpoints.glob("[0-9]*")):
            raise ValueError(
                f"run folder {self.path} already holds a run: go on with --resume"
                f" {self.path}, or choose another folder with --run"
            )
        try:
            self.config()
        except ValueError as error:
            raise ValueError(
                f"{self.path} has a config.json that is no run's, a model's perhaps: choose another"
                " folder with --run"
            ) from error

    def write_config(self, config: TrainConfig) -> None:
        """Write the run's config, over one that is there (a run that is to go on for longer)."""
        if self.writes:
            self.path.mkdir(parents=True, exist_ok=True)
        self._write_json("config.json", to_dict(config))

    def config(self) -> TrainConfig:
        """Config that the run was begun with. Raises ``ValueError`` where there is none."""
        try:
            return from_dict(dict(json.loads((self.path / "config.json").read_text())))
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{self.path} is not a run folder: {error}") from error

    def forget_after(self, iteration: int) -> None:
        """Drop lines later than ``iteration``: the resumed run writes them again."""
        if not self.writes:
            return
        for name in ("metrics.jsonl", "evals.jsonl", "samples.jsonl", "warnings.jsonl"):
            kept = [r for r in self.read(name) if r["iteration"] <= iteration]
            if (self.path / name).exists():
                draft = self.path / f".{name}"
                draft.write_text("".join(json.dumps(r) + "\n" for r in kept))
                draft.replace(self.path / name)
        # backwards, which takes a pair's numbers before its texts
        numbered = "[0-9]" * 6 + ".*"
        stored = [p for n in ("rollouts", "tokens") for p in (self.path / n).glob(numbered)]
        for path in sorted(stored, reverse=True):
            if int(path.name[:6]) > iteration:
                path.unlink()

    def read(self, name: str) -> list[dict[str, Any]]:
        """Lines of a file; a last line that a kill cut short is left out."""
        path = self.path / name
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        records = []
        for number, line in enumerate(lines, 1):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                if number < len(lines):
                    raise ValueError(f"{path}, line {number} is not JSON: {error}") from error
        return records

    def metrics(self, iteration: int, values: dict[str, float], seconds: dict[str, float]) -> None:
        """Append an iteration's metrics; what the clock says is kept apart."""
        self._append("metrics.jsonl", {"iteration": iteration, **values, "seconds": seconds})

    def evaluation(
        self,
        iteration: int,
        score: Score,
        played: Sequence[Trajectory],
        each: Mapping[str, Score] | None = None,
    ) -> None:
        """Append an evaluation, also of each environment where there are several, and some of its
        episodes.
        """
        turns: dict[str, list[int]] = {}
        for trajectory in played:
            turns.setdefault(trajectory.task, []).append(len(trajectory.turns))
        envs = {k: score_dict(s) | {"turns": fmean(turns[k])} for k, s in (each or {}).items()}
        more = {"envs": envs} if len(envs) > 1 else {}
        self._append("evals.jsonl", {"iteration": iteration, **score_dict(score), **more})
        # the first of a mixed run's episodes are one of each environment
        episodes = [episode_dict(t) for t in played[: max(SAMPLES, len(envs))]]
        self._append("samples.jsonl", {"iteration": iteration, "episodes": episodes})

    def warning(self, warning: TrapWarning, stopped: bool) -> None:
        """Append a sign of collapse; ``stopped`` if the run ended early for it."""
        self._append("warnings.jsonl", {**asdict(warning), "stopped": stopped})

    def stopped_for(self) -> list[str]:
        """Give the signals for which the run ended early; none if it did not, or was resumed."""
        done = max((line["iteration"] for line in self.read("metrics.jsonl")), default=0)
        warnings = self.read("warnings.jsonl")
        return [w["signal"] for w in warnings if w["stopped"] and w["iteration"] == done]

    def yardsticks(
        self, scores: Mapping[str, Score], each: Mapping[str, Mapping[str, Score]] | None = None
    ) -> None:
        """Write what random policy and oracle reach, also in each environment of several."""
        envs = {task: {k: score_dict(s) for k, s in e.items()} for task, e in (each or {}).items()}
        more = {"envs": envs} if len(envs) > 1 else {}
        whole = {k: score_dict(s) for k, s in scores.items()}
        self._write_json("yardsticks.json", {**whole, **more})

    def rollouts(self, iteration: int, played: Sequence[Trajectory], origin: Origin) -> None:
        """Store an iteration's trajectories."""
        if self.writes:
            write(self.path / "rollouts" / f"{iteration:06d}", played, origin)

    def tokens(self, iteration: int) -> Path:
        """Where the figures of an iteration's tokens are stored."""
        return self.path / "tokens" / f"{iteration:06d}.json"

    def token_files(self) -> dict[int, Path]:
        """Iteration -> file, for every iteration that has one."""
        found = sorted((self.path / "tokens").glob("[0-9]" * 6 + ".json"))
        return {int(path.stem): path for path in found}

    def keep_data(self, digests: dict[str, str]) -> None:
        """Write which stored trajectories are trained on: path -> digest."""
        self._write_json("data.json", digests)

    def data(self) -> dict[str, str]:
        """What ``keep_data`` wrote; empty if it never did."""
        path = self.path / "data.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _append(self, name: str, record: dict[str, Any]) -> None:
        if self.writes:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def _write_json(self, name: str, value: Any) -> None:
        if self.writes:
            draft = self.path / f".{name}"
            draft.write_text(json.dumps(value, indent=2) + "\n")
            draft.replace(self.path / name)


def score_dict(score: Score) -> dict[str, Any]:
    """Give a score as plain values."""
    return {
        "episodes": score.episodes,
        "success": score.success_rate,
        "interval": list(score.interval),
        "return": score.mean_return,
        "moves": score.mean_length,
    }


def episode_dict(trajectory: Trajectory) -> dict[str, Any]:
    """Give an episode as plain values: enough to read it and to replay it."""
    turns: Iterable[dict[str, Any]] = (
        {
            "observation": t.observation,
            "reply": t.reply,
            "actions": list(t.info["actions"]),
            "reward": t.reward,
            "well_formed": t.info["well_formed"],
            "valid": t.info["action_is_valid"],
        }
        for t in trajectory.turns
    )
    return {
        "env": trajectory.env_id,
        "task": trajectory.task,
        "seed": trajectory.seed,
        "noise_seed": trajectory.member,
        "system": trajectory.system,
        "success": trajectory.success,
        "end": trajectory.end,
        "turns": list(turns),
    }
