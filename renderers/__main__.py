"""``python -m renderers TextSokoban-v0 episode.mp4``: play an episode and write it as a video."""

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium as gym

import text_envs
from renderers.episodes import episode_frames
from renderers.transcript import Frame
from renderers.video import write_frames
from text_envs.agents import Agent, OracleAgent, RandomAgent

AGENTS: dict[str, Callable[[int], Agent]] = {
    "oracle": lambda seed: OracleAgent(),
    "random": RandomAgent,
}
_WORDS = {"true": True, "false": False, "none": None}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code: 0; 2 with one line about what was wrong; 130 after
    Ctrl-C.
    """
    args = _parser().parse_args(argv)
    try:
        env = _make(args)
        frames = _Watched(episode_frames(env, AGENTS[args.agent](args.seed), seed=args.seed))
        path = write_frames(args.path, frames, args.fps)
    except KeyboardInterrupt:
        print("python -m renderers: stopped", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError, gym.error.Error) as error:
        said = str(error).split(" was raised from the environment creator")[0]  # gym.make adds it
        print(f"python -m renderers: {said}", file=sys.stderr)
        return 2
    last = frames.last
    total = round(last.total, 9)  # costs of 0.1 that cancel out leave a 1e-16
    print(f"{path}: {frames.number - 1} moves, return {total:.4g}. {last.note}".rstrip())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m renderers",
        description="Play an episode and write it as .mp4, .gif, or all its boards on one .png.",
        epilog=f"Environments: {', '.join(text_envs.ENV_IDS)}.",
    )
    parser.add_argument("env", help="a Gymnasium id, such as TextSokoban-v0")
    parser.add_argument("path", help="file to write: .mp4, .gif or .png")
    parser.add_argument("--agent", choices=sorted(AGENTS), default="oracle", help="who plays")
    parser.add_argument("--seed", type=_seed, default=0, help="of the episode and the agent")
    parser.add_argument("--split", choices=("train", "test"), help="draw levels of this split")
    parser.add_argument("--fps", type=float, default=2.0, help="moves a second")
    parser.add_argument("--tile", type=int, default=64, help="pixels per board cell")
    parser.add_argument(
        "--set",
        type=_parameter,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of the environment, such as size=8; may be given several times",
    )
    return parser


def _make(args: argparse.Namespace) -> gym.Env[Any, str]:
    if ":" not in args.env and args.env not in gym.registry:
        near = difflib.get_close_matches(args.env, text_envs.ENV_IDS, n=3, cutoff=0.4)
        known = (
            f"Did you mean {' or '.join(near)}?"
            if near
            else "Known: " + ", ".join(text_envs.ENV_IDS)
        )
        raise ValueError(f"there is no environment {args.env!r}. {known}")
    params = {"tile": args.tile, **dict(args.set)}
    if args.split is not None:
        params["split"] = args.split
    return gym.make(args.env, render_mode="rgb_array", **params)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= 0")
    return int(text)


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} must have the form key=value")
    if value.lower() in _WORDS:
        return key, _WORDS[value.lower()]
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value  # a plain word: names=test


class _Watched:
    """Frames on their way to a file, counted."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.number = 0

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.number += 1
            self.last = frame
            yield frame


if __name__ == "__main__":
    sys.exit(main())
