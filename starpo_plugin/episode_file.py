"""Episodes as text, one JSON line each, written as they end: a kill loses none that is over.

The first line says what they are episodes of; a file goes on only with the same. Each further line:

    {"env": ..., "seed": 1000000, "noise_seed": 0, "system": ..., "success": true,
     "end": "terminated",                          or "truncated", "out_of_tokens"
     "turns": [{"observation": ..., "reply": ..., "reward": 10.9, "info": {"actions": [...], ...}}]}

``info`` holds what ``ChatEnv`` said of the turn, and where the reply came from a server: ``finish``
and ``tokens`` as the server gave them, ``reasoning`` if it cut any off the reply.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from starpo_plugin.trajectory import End, Trajectory, Turn

VERSION = 1
MARK = "starpo_episodes"
"""Key of the first line, with the version."""


class EpisodeFile:
    """Opens a file of episodes, or begins one.

    Args:
        path: of the file.
        settings: all that the episodes depend on, as plain values.
        notes: more for the first line of a new file, which need not be the same later.

    Raises:
        ValueError: the file is another one, is damaged, or has episodes of other settings.
        OSError: it can't be read or written.
    """

    def __init__(
        self, path: str | Path, settings: Mapping[str, Any], notes: Mapping[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        first = {MARK: VERSION, "settings": dict(settings), **(notes or {})}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.episodes: dict[int, Trajectory] = {}
        """By seed, in the order in which they were over."""
        if self.path.exists() and self.path.stat().st_size:
            self.episodes = self._read(json.loads(json.dumps(first)))
        else:
            self._append(first)

    def add(self, episode: Trajectory) -> None:
        """Write an episode that is over."""
        self._append(as_record(episode))
        self.episodes[episode.seed] = episode

    def way_on(self) -> str:
        """Say where the episodes are and how the rest comes to them; an empty file is removed."""
        if not self.episodes:
            self.path.unlink(missing_ok=True)
            return "no episode was over yet"
        path = shlex.quote(str(self.path))
        return f"{len(self.episodes)} episodes are in {path}: the same with --out {path} goes on"

    def _append(self, record: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _read(self, first: Mapping[str, Any]) -> dict[int, Trajectory]:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        written = content[:whole].split(b"\n")[:-1]
        lines = [self._parse(number, line) for number, line in enumerate(written, 1)]
        self._check(lines[0] if lines else None, first)
        episodes: dict[int, Trajectory] = {}
        for number, record in enumerate(lines[1:], 2):
            try:
                episode = from_record(record)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(
                    f"{self.path}, line {number} is not an episode ({error!r}): take the line out"
                ) from error
            episodes.setdefault(episode.seed, episode)
        if whole < len(content):  # a kill cut the last line short
            with self.path.open("r+b") as file:
                file.truncate(whole)
        return episodes

    def _parse(self, number: int, line: bytes) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            if number == 1:
                return None  # another file
            raise ValueError(f"{self.path}, line {number} is not JSON: take the line out") from None

    def _check(self, found: Any, first: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless the file's first line is what it would be if begun now."""
        if not isinstance(found, dict) or MARK not in found:
            raise ValueError(f"{self.path} is there and is no file of episodes: choose another")
        if found[MARK] != VERSION or not isinstance(found.get("settings"), dict):
            raise ValueError(
                f"{self.path} is of version {found[MARK]!r}, this program reads version {VERSION}:"
                " choose another file"
            )
        old, new = found["settings"], first["settings"]
        changed = [k for k in {**old, **new} if old.get(k) != new.get(k)]
        if changed:
            told = ", ".join(f"{k}={old.get(k)!r:.60} and not {new.get(k)!r:.60}" for k in changed)
            raise ValueError(
                f"{self.path} has episodes of other settings, {told}: choose another file, or the"
                " same settings"
            )


def free_path(path: Path) -> Path:
    """Give the path, or with a number added where there is a file already."""
    names = (path.with_stem(f"{path.stem}-{n}") for n in range(2, 10**6))
    return path if not path.exists() else next(p for p in names if not p.exists())


def as_record(episode: Trajectory) -> dict[str, Any]:
    """Give an episode as plain values, without token ids."""
    return {
        "env": episode.env_id,
        "seed": episode.seed,
        "noise_seed": episode.member,
        "system": episode.system,
        "success": episode.success,
        "end": episode.end,
        "turns": [
            {"observation": t.observation, "reply": t.reply, "reward": t.reward, "info": t.info}
            for t in episode.turns
        ],
    }


def from_record(record: Mapping[str, Any]) -> Trajectory:
    """Read what ``as_record`` gave. Raises ``KeyError``, ``TypeError``, ``AttributeError`` or
    ``ValueError`` for anything else.
    """
    if record["end"] not in get_args(End):
        raise ValueError(f"end={record['end']!r}")
    return Trajectory(
        env_id=str(record["env"]),
        seed=int(record["seed"]),
        group=0,
        member=int(record["noise_seed"]),
        turns=tuple(_turn(t) for t in record["turns"]),
        success=bool(record["success"]),
        end=record["end"],
        system=str(record["system"]),
    )


def _turn(record: Mapping[str, Any]) -> Turn:
    info = {**record["info"], "actions": tuple(record["info"]["actions"])}
    observation, reply = str(record["observation"]), str(record["reply"])
    return Turn((), (), (), observation, reply, float(record["reward"]), info)
