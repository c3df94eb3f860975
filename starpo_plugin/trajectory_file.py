"""Trajectories in files: pairs of ``000012.safetensors`` (the numbers) and ``000012.jsonl`` (the
texts), field by field in docs/data.md.

Either file is written under another name, flushed to disk and renamed, the numbers last: a
``.safetensors`` file that is there is whole, and so are its texts. It carries a digest of both, so
that files which were damaged or mixed up later are refused. Nothing here needs torch.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from starpo_plugin.trajectory import Trajectory, Turn

FORMAT = "starpo-trajectories"
VERSION = 1
_NUMBERS, _TEXTS = ".safetensors", ".jsonl"

_RAGGED = {"prompt_ids": np.int32, "reply_ids": np.int32, "logprobs": np.float64}
"""Fields of ``Turn`` with many numbers a turn: an array of all turns' and their offsets."""
_TURN_ARRAYS = {*_RAGGED, "reward"}
_EPISODE_ARRAYS = {"group", "member", "success", "turns"}
# what a dataclass has besides goes into the texts, so that a field that is new is never lost
_TURN_TEXTS = [f.name for f in fields(Turn) if f.name not in _TURN_ARRAYS]
_EPISODE_TEXTS = [f.name for f in fields(Trajectory) if f.name not in _EPISODE_ARRAYS]

Arrays = dict[str, np.ndarray[Any, Any]]


class Vocabulary(NamedTuple):
    """Tells tokenizers apart: the same ids mean the same tokens where it is the same."""

    size: int
    digest: str


@dataclass(frozen=True)
class Origin:
    """How a file's trajectories came about."""

    iteration: int = 0
    vocabulary: Vocabulary | None = None
    """Of the tokenizer; None where the writer did not say."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment."""
    config: dict[str, Any] = field(default_factory=dict)
    """Of the run that played them, as in its config.json."""


class Stored(NamedTuple):
    """A file, read."""

    origin: Origin
    trajectories: list[Trajectory]
    digest: str
    """Of all that the pair of files says."""


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """Give size and digest of a tokenizer's tokens, added ones included."""
    tokens = sorted(tokenizer.get_vocab().items())
    written = json.dumps(tokens).encode()
    return Vocabulary(len(tokens), blake2b(written, digest_size=16).hexdigest())


# --- where ---


def find(path: str | Path) -> list[Path]:
    """List the ``.safetensors`` files that a path means, by name.

    Args:
        path: one file (of the pair either, or their name without suffix), a folder of files, or a
            run's folder.

    Raises:
        ValueError: there is none.
    """
    path = Path(path)
    if not path.is_dir():
        numbers, _ = _pair(path)
        if not numbers.exists():
            raise ValueError(_missing(path))
        return [numbers]
    found = sorted(
        p for folder in (path, path / "rollouts") for p in folder.glob(f"[!.]*{_NUMBERS}")
    )
    if not found:
        raise ValueError(
            f"{path} holds no trajectories: a run stores them as --save-rollouts says, in its"
            " folder rollouts/"
        )
    return found


def _pair(path: str | Path) -> tuple[Path, Path]:
    """Paths of the numbers and of the texts."""
    path = Path(path)
    stem = path.name.removesuffix(_NUMBERS).removesuffix(_TEXTS)
    return path.with_name(stem + _NUMBERS), path.with_name(stem + _TEXTS)


# --- writing ---


def write(
    path: str | Path, trajectories: Sequence[Trajectory], origin: Origin | None = None
) -> Path:
    """Write a pair of files, whole or not at all, over an older one.

    Args:
        path: of the pair, with either suffix or with none.
        trajectories: in the order in which ``read`` gives them back. ``info`` holds what JSON can
            say, and tuples rather than lists.
        origin: how they came about.

    Returns:
        The path of the ``.safetensors`` file.

    Raises:
        ValueError: something in ``info`` that JSON can't say.
        OSError: the files can't be written; the message says what to do.
    """
    numbers, texts = _pair(path)
    arrays, lines = _arrays(trajectories), _lines(numbers, trajectories, origin or Origin())
    # one entry: the order of several would differ from process to process, and so would the bytes
    mark = {"version": VERSION, "digest": _digest(arrays, lines)}
    contents = {texts: lines, numbers: save(arrays, {FORMAT: json.dumps(mark)})}
    drafts = {target: target.with_name(f".new-{target.name}") for target in contents}
    try:
        numbers.parent.mkdir(parents=True, exist_ok=True)
        for target, content in contents.items():
            _write_through(drafts[target], content)
        numbers.unlink(missing_ok=True)  # an older pair's: texts that change under it are damage
        for target, draft in drafts.items():
            draft.replace(target)
        _flush(numbers.parent)
    except OSError as error:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink()
        raise OSError(
            f"trajectories {numbers} can't be written ({error}): free space on that disk"
        ) from error
    return numbers


def _arrays(trajectories: Sequence[Trajectory]) -> Arrays:
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    arrays: Arrays = {
        "group": np.array([t.group for t in trajectories], np.int64),
        "member": np.array([t.member for t in trajectories], np.int64),
        "success": np.array([t.success for t in trajectories], np.bool_),
        "turn_offsets": _offsets(len(t.turns) for t in trajectories),
        "reward": np.array([t.reward for t in turns], np.float64),
    }
    for name, dtype in _RAGGED.items():
        rows = [getattr(turn, name) for turn in turns]
        arrays[name] = np.fromiter(chain.from_iterable(rows), dtype)
        arrays[f"{name}_offsets"] = _offsets(map(len, rows))
    return arrays


def _offsets(lengths: Iterable[int]) -> np.ndarray[Any, Any]:
    """Row k is at [offsets[k], offsets[k + 1])."""
    return np.cumsum([0, *lengths], dtype=np.int64)


def _lines(path: Path, trajectories: Sequence[Trajectory], origin: Origin) -> bytes:
    """Write the first line, about all episodes, and a line an episode."""
    about = {"format": FORMAT, "version": VERSION, "episodes": len(trajectories), **asdict(origin)}
    if origin.vocabulary is not None:
        about["vocabulary"] = origin.vocabulary._asdict()
    lines = [json.dumps(about, ensure_ascii=False, default=repr)]
    try:
        for trajectory in trajectories:
            record = {name: getattr(trajectory, name) for name in _EPISODE_TEXTS}
            record["turns"] = [
                {n: getattr(turn, n) for n in _TURN_TEXTS} for turn in trajectory.turns
            ]
            lines.append(json.dumps(record, ensure_ascii=False, default=_plain))
    except (TypeError, ValueError) as error:
        raise ValueError(f"trajectories {path} can't be written as JSON: {error}") from error
    text = "".join(f"{line}\n" for line in lines)
    # a lone surrogate is no UTF-8, but text all the same; two of them, escaped, would be read as
    # one other character
    return text.encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    """Give a number of numpy's as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r:.100} is a {type(value).__name__}")


def _digest(arrays: Arrays, lines: bytes) -> str:
    digest = blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    digest.update(lines)
    return digest.hexdigest()


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- reading ---


def read(path: str | Path) -> list[Trajectory]:
    """Read back what ``write`` was given.

    Raises ``ValueError``, which names the file and what to do, where it isn't there, is no such
    file or of another version, or is damaged.
    """
    return read_stored(path).trajectories


def read_stored(path: str | Path) -> Stored:
    """Read a pair of files with what is said of them; raises as ``read`` does."""
    numbers, texts = _pair(path)
    if not numbers.exists():
        raise ValueError(_missing(numbers))
    mark, arrays = _read_numbers(numbers)
    _check_version(numbers, mark.get("version"))
    try:
        lines = texts.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"{numbers} can't be read without its texts, and {texts} is not there: put it back"
        ) from None
    if _digest(arrays, lines) != mark.get("digest"):
        raise ValueError(_damaged(numbers, f"it and {texts.name} are not what was written"))
    try:
        first, *records = _records(lines)
        return Stored(_origin(first), _trajectories(arrays, records), str(mark["digest"]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(_damaged(numbers, f"{type(error).__name__}: {error}")) from error


def read_origin(path: str | Path) -> Origin:
    """Read how a file's trajectories came about, and nothing else; raises as ``read`` does."""
    numbers, texts = _pair(path)
    try:
        with texts.open("rb") as file:
            first = json.loads(file.readline().decode("utf-8", "surrogatepass"))
        known = first["format"] == FORMAT
    except FileNotFoundError:
        raise ValueError(_missing(texts)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(_foreign(texts)) from error
    if not known:
        raise ValueError(_foreign(texts))
    _check_version(texts, first.get("version"))
    try:
        return _origin(first)
    except (KeyError, TypeError) as error:
        raise ValueError(_damaged(numbers, f"{type(error).__name__}: {error}")) from error


def _read_numbers(path: Path) -> tuple[dict[str, Any], Arrays]:
    try:
        with safe_open(path, "np") as file:
            mark = (file.metadata() or {}).get(FORMAT)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except SafetensorError as error:
        raise ValueError(_damaged(path, str(error))) from error
    if mark is None:
        raise ValueError(_foreign(path))
    try:
        return dict(json.loads(mark)), arrays
    except (ValueError, TypeError) as error:
        raise ValueError(_damaged(path, str(error))) from error


def _records(lines: bytes) -> list[dict[str, Any]]:
    # only \n ends a line here: str.splitlines also cuts at characters that a text may hold
    text = lines.decode("utf-8", "surrogatepass")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def _origin(first: dict[str, Any]) -> Origin:
    vocabulary = first["vocabulary"]
    return Origin(
        iteration=first["iteration"],
        vocabulary=None if vocabulary is None else Vocabulary(**vocabulary),
        env_kwargs=_with_tuples(first["env_kwargs"]),
        config=_with_tuples(first["config"]),
    )


def _trajectories(arrays: Arrays, records: list[dict[str, Any]]) -> list[Trajectory]:
    columns = {name: _rows(arrays[name], arrays[f"{name}_offsets"]) for name in _RAGGED}
    columns["reward"] = arrays["reward"].tolist()
    said = [turn for record in records for turn in record["turns"]]
    turns = [
        Turn(**_with_tuples(texts), **dict(zip(columns, numbers, strict=True)))
        for texts, *numbers in zip(said, *columns.values(), strict=True)
    ]
    offsets = arrays["turn_offsets"].tolist()
    plain = zip(*(arrays[name].tolist() for name in ("group", "member", "success")), strict=True)
    return [
        Trajectory(
            **{**_with_tuples(record), "turns": tuple(turns[start:end])},
            group=group,
            member=member,
            success=success,
        )
        for record, (start, end), (group, member, success) in zip(
            records, pairwise(offsets), plain, strict=True
        )
    ]


def _rows(values: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> list[tuple[Any, ...]]:
    flat = values.tolist()
    return [tuple(flat[start:end]) for start, end in pairwise(offsets.tolist())]


def _with_tuples(value: Any) -> Any:
    """JSON has one kind of sequence; here it is the one that does not change."""
    if isinstance(value, list):
        return tuple(_with_tuples(v) for v in value)
    if isinstance(value, dict):
        return {k: _with_tuples(v) for k, v in value.items()}
    return value


def _check_version(path: Path, version: Any) -> None:
    if version != VERSION:
        raise ValueError(
            f"{path} holds trajectories in version {version} of their format, this program reads"
            f" version {VERSION}: use the text-envs that wrote it, or play the episodes again"
        )


def _missing(path: Path) -> str:
    return (
        f"there is no {path}: give a file of trajectories, or the folder of a run that was made"
        " with --save-rollouts"
    )


def _foreign(path: Path) -> str:
    return (
        f"{path} is not a file of trajectories: those are written by starpo train --save-rollouts"
    )


def _damaged(path: Path, why: str) -> str:
    return f"{path} is damaged ({why}): put a copy of both files back, or leave this one out"
