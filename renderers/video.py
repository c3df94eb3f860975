"""Episodes as mp4, gif or png files.

    >>> env = gym.make("TextSokoban-v0", tile=64)
    >>> record(env, OracleAgent(), "episode.mp4", seed=7)

A file is written beside its place and moved there when it is whole, so that what failed leaves
nothing behind.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from math import ceil
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

from renderers.episodes import episode_frames, replay_frames
from renderers.transcript import Frame, compose, contact_sheet
from text_envs.agents import Agent
from text_envs.chat import ChatEnv

MAX_GIF_FPS = 50
"""Faster gifs are slowed down by those who show them."""
MAX_HOLD = 60.0


def record(
    env: gym.Env[Any, str],
    agent: Agent,
    path: str | os.PathLike[str],
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    fps: float = 2.0,
    hold: float = 2.0,
) -> Path:
    """Play one episode and write it: a frame for its start and for every move.

    See ``write_frames`` for ``path``, ``fps``, ``hold`` and errors.
    """
    return write_frames(path, episode_frames(env, agent, seed=seed, options=options), fps, hold)


def record_turns(
    env: ChatEnv,
    replies: Sequence[str],
    path: str | os.PathLike[str],
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    rewards: Sequence[float] | None = None,
    fps: float = 1.0,
    hold: float = 2.0,
) -> Path:
    """Play the replies of a saved episode again, move by move, and write it with what was thought.

    See ``replay_frames`` for ``replies``, ``options`` and ``rewards``, ``write_frames`` for the
    rest.
    """
    frames = replay_frames(env, replies, seed=seed, options=options, rewards=rewards)
    return write_frames(path, frames, fps, hold)


def write_frames(
    path: str | os.PathLike[str], frames: Iterable[Frame], fps: float = 2.0, hold: float = 2.0
) -> Path:
    """Write frames: an ``.mp4`` or ``.gif`` of boards beside their transcript, or all boards on one
    ``.png``.

    ``fps``, ``hold`` and errors are those of ``write_video``.
    """
    target = _target(path, (".mp4", ".gif", ".png"))
    if target.suffix.lower() != ".png":
        return write_video(target, map(compose, frames), fps, hold)
    sheet = contact_sheet(list(frames))
    with _replacing(target) as fresh:
        _save(fresh, sheet)
    return target


def write_video(
    path: str | os.PathLike[str],
    pictures: Iterable[np.ndarray],
    fps: float = 2.0,
    hold: float = 2.0,
) -> Path:
    """Write pictures as a video.

    Args:
        path: ends in ``.mp4`` (H.264) or ``.gif``. An older file is replaced.
        pictures: uint8 ``[H, W, 3]``, all of one shape; they may be made on the way. An mp4 needs
            even sides: an odd one gets one more row or column, a copy of the last.
        fps: pictures a second, above 0; at most 50 for a gif.
        hold: seconds, 0 to 60, for which the last picture stays.

    Returns:
        The path written. A gif stores a picture that comes twice in a row once, shown twice as
        long.

    Raises:
        ValueError: for another suffix, no pictures, pictures of different shapes, or a bad number.
        OSError: the file can't be written: no such directory, no right to, disk full.
    """
    target = _target(path, (".mp4", ".gif"))
    suffix = target.suffix.lower()
    fastest = MAX_GIF_FPS if suffix == ".gif" else 1000
    if not 0 < fps <= fastest:
        raise ValueError(f"fps={fps} must be above 0 and at most {fastest} for a {suffix} file")
    if not 0 <= hold <= MAX_HOLD:
        raise ValueError(f"hold={hold} must be from 0 to {MAX_HOLD:g} seconds")
    checked = _checked(pictures)
    first = next(checked, None)
    if first is None:
        raise ValueError("there are no pictures to write")
    write = _write_gif if suffix == ".gif" else _write_mp4
    with _replacing(target) as fresh:
        write(fresh, chain([first], checked), fps, hold)
    return target


def _write_mp4(path: Path, pictures: Iterator[np.ndarray], fps: float, hold: float) -> None:
    first = _even(next(pictures))
    size = f"{first.shape[1]}x{first.shape[0]}"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps), "-i", "-"]
    coding = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, *coding, str(path)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors)
        assert process.stdin is not None  # it is a pipe
        try:
            for picture in _held(chain([first], map(_even, pictures)), ceil(hold * fps)):
                process.stdin.write(picture.tobytes())
            process.stdin.close()
            failed = process.wait() != 0
        except BrokenPipeError:
            failed = True
        finally:  # a picture that can't be made must not leave ffmpeg waiting for it
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
        if failed:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"it ended with code {process.returncode}"
            raise OSError(f"can't write {path.name}: ffmpeg says {reason!r}")


def _held(pictures: Iterator[np.ndarray], times: int) -> Iterator[np.ndarray]:
    """Give the pictures, and the last one ``times`` more."""
    picture = next(pictures)
    yield picture
    for picture in pictures:
        yield picture
    yield from repeat(picture, times)


def _write_gif(path: Path, pictures: Iterator[np.ndarray], fps: float, hold: float) -> None:
    frames = list(pictures)
    durations = [round(1000 / fps)] * len(frames)
    durations[-1] += round(1000 * hold)
    _save(path, frames, duration=durations, loop=0)


def _save(path: Path, image: Any, **options: Any) -> None:
    try:
        iio.imwrite(path, image, extension=path.suffix.lower(), **options)
    except OSError as error:
        raise _failure(path.name, error) from error


def _even(picture: np.ndarray) -> np.ndarray:
    odd = ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0))
    return np.pad(picture, odd, mode="edge") if any(map(any, odd)) else picture


def _checked(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape = None
    for number, picture in enumerate(pictures):
        shape = picture.shape if shape is None else shape
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"picture {number} must be uint8 [H, W, 3], it is {picture.dtype} {picture.shape}"
            )
        if picture.shape != shape:
            raise ValueError(f"picture {number} is {picture.shape}, those before it are {shape}")
        yield picture


def _target(path: str | os.PathLike[str], suffixes: tuple[str, ...]) -> Path:
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise ValueError(f"{str(target)!r} must end in {' or '.join(suffixes)}")
    return target


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end replaces ``target``."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"can't write {target}: there is no directory {target.parent}")
    if target.is_dir():
        raise IsADirectoryError(f"can't write {target}: it is a directory")
    try:
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".video-")
    except OSError as error:
        raise _failure(str(target), error) from error
    with folder:
        fresh = Path(folder.name) / target.name
        yield fresh
        os.replace(fresh, target)


def _failure(name: str, error: OSError) -> OSError:
    return OSError(error.errno, f"can't write {name}: {error.strerror or error}")
