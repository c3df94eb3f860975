"""Play in the terminal: ``python -m text_envs play TextSokoban-v0``; also ``list`` and ``show``,
``baselines`` (how far chance and the oracle get) and ``catalogue`` (docs/environments.md).
"""

import argparse
import io
import json
import sys
from ast import literal_eval
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from text_envs import ENV_IDS, TextEnv, baselines, catalogue, png
from text_envs.env import make_game

HELP = "? lists the legal moves, hint asks the oracle, an empty line leaves."


class UsageError(Exception):
    """What was asked for can't be done; the message says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; ``argv`` without the program's name. Returns the exit code: 2 for a mistake in
    the call, as argparse does; 130 after Ctrl-C.
    """
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has no square-root sign shows ?
            stream.reconfigure(errors="replace")
    args = _parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def list_environments(args: argparse.Namespace) -> None:
    """Print every id with its limit of moves and what it is."""
    width = max(map(len, ENV_IDS))
    for env_id in ENV_IDS:
        spec = gym.spec(env_id)
        params = {name: value for name, value in spec.kwargs.items() if name != "game"}
        about = (make_game(spec.kwargs["game"], params).__doc__ or "").split("\n")[0]
        given = ", ".join(f"{name}={value!r}" for name, value in params.items())
        limit = f"{spec.max_episode_steps} moves"
        print(f"{env_id:{width}}  {limit:>9}  {about}{f' ({given})' if given else ''}")


def play(args: argparse.Namespace) -> None:
    """Let a person play one game."""
    env = _make(args)
    observation, info = _start(env, args)
    limit = env.spec.max_episode_steps if env.spec else None
    print(f"\n{info['rules']}\n\n{HELP}\n")
    total, moves, terminated, truncated = 0.0, 0, False, False
    while not (terminated or truncated):
        print(f"{_text(observation)}\n")
        left = "" if limit is None else f" of {limit}"
        answer = _ask(f"Move {moves + 1}{left}: ")
        if answer == "":
            print(f"You leave after {_moves(moves)} with {total:+.3g}.")
            return
        if answer in ("?", "hint"):
            print(f"{_legal(info) if answer == '?' else _hint(env)}\n")
            continue
        observation, reward, terminated, truncated, info = env.step(answer)
        moves += 1
        total += float(reward)
        print(f"\nReward {float(reward):+.3g}, {total:+.3g} in all.")
    print(f"{_text(observation)}\n")
    end = (
        "You won" if info["success"] else "The game is over" if terminated else "No moves are left"
    )
    print(f"{end}: {total:+.3g} in {_moves(moves)}.")


def show(args: argparse.Namespace) -> None:
    """Print a start, and what the oracle makes of it."""
    env = _make(args, **({"render_mode": "rgb_array"} if args.picture else {}))
    observation, info = _start(env, args)
    print(f"\n{info['rules']}\n\n{_text(observation)}\n")
    if info.get("optimal_moves", -1) >= 0:
        print(f"Optimal moves: {info['optimal_moves']}")
    plan, inner = _plan(env), _inner(env)
    hope = " (if luck holds)" if inner.game.stochastic or inner.game.adaptive else ""
    print(f"Oracle's plan{hope}: {'none' if plan is None else ', '.join(plan)}")
    if args.picture:
        _save(args.picture, env)
        print(f"Picture: {args.picture}")


def measure(args: argparse.Namespace) -> None:
    """Measure how far the random player and the oracle get in every environment, or in those named.
    The same seed and number of episodes give the same numbers, whatever --jobs.
    """
    ids = args.ids or list(ENV_IDS)
    _check_ids(ids)
    if args.json and not Path(args.json).parent.is_dir():  # better known now than after an hour
        raise UsageError(f"{args.json} can't be written: there is no such directory")
    effort = baselines.Effort(args.episodes, args.seed, args.budget)
    files: dict[Path, str] = {}
    try:
        tables = baselines.find_tables(ids) if args.write else []
        tasks = [*map(baselines.task_of, ids), *(task for t in tables for _, task in t.rows)]
        measured = baselines.measure_all(tasks, effort, args.jobs)
        print(baselines.report(ids, measured))
        if args.json:
            files[Path(args.json)] = baselines.as_json(ids, measured)
        if args.write:
            files |= baselines.rewritten(tables, measured)
            files[baselines.FILE] = baselines.as_json(ids, measured, baselines.load())
    except ValueError as error:
        raise UsageError(str(error)) from error
    for path, content in files.items():
        _write(path, content.encode())
        print(f"Written: {path}")


def check_or_write(args: argparse.Namespace) -> int:
    """Write docs/environments.md and its pictures, or say what of them is out of date and exit with
    code 1.
    """
    try:
        found = catalogue.problems() if args.check else []
        written = catalogue.write() if args.write else []
    except (OSError, gym.error.DependencyNotInstalled) as error:
        raise UsageError(str(error)) from error
    print("\n".join([*found, *(f"Written: {path}" for path in written)]))
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m text_envs", description="Text environments in the terminal."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("list", help="list the environments")
    command.set_defaults(run=list_environments)
    _add_play_and_show(commands)
    _add_baselines(commands)
    command = commands.add_parser(
        "catalogue",
        help="for developers: write or check docs/environments.md",
        description=check_or_write.__doc__,
    )
    command.set_defaults(run=check_or_write)
    choice = command.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true", help="write it")
    choice.add_argument("--check", action="store_true", help="check it")
    return parser


def _add_play_and_show(commands: Any) -> None:
    for run, about in ((play, "play a game yourself"), (show, "print a start and its solution")):
        command = commands.add_parser(run.__name__, help=about, description=f"{run.__doc__}")
        command.set_defaults(run=run)
        command.add_argument("id", metavar="ID", help="environment, such as TextSokoban-v0")
        command.add_argument(
            "--seed", type=_number(0), help="same seed, same game (default: a new one every time)"
        )
        command.add_argument(
            "--level",
            metavar="FILE",
            help="file with levels in the game's own form; with several, the seed is the index",
        )
        command.add_argument(
            "--set",
            metavar="NAME=VALUE",
            type=_setting,
            action="append",
            default=[],
            help="parameter of the environment, such as size=8; may be given many times",
        )
        if run is show:
            command.add_argument("--picture", metavar="FILE.png", help="also save the picture")


def _add_baselines(commands: Any) -> None:
    command = commands.add_parser(
        "baselines", help="measure the random player and the oracle", description=measure.__doc__
    )
    command.set_defaults(run=measure)
    command.add_argument("ids", metavar="ID", nargs="*", help="environments (default: all)")
    command.add_argument(
        "--episodes",
        type=_number(2),
        default=baselines.EPISODES,
        help="of each player (default: %(default)s)",
    )
    command.add_argument("--seed", type=_number(0), default=0, help="of the first (default: 0)")
    command.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        default=baselines.BUDGET_S,
        help="CPU time of one player; where all episodes would take longer, a smaller round number"
        " of them is played (default: %(default)s)",
    )
    command.add_argument("--jobs", type=_number(1), default=1, help="processes (default: 1)")
    command.add_argument("--json", metavar="FILE.json", help="also save the numbers")
    command.add_argument(
        "--write",
        action="store_true",
        help="for developers: rewrite the tables in the games' docstrings and docs/baselines.json",
    )


def _number(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= {least}")
        return int(text)

    return read


def _setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``; a value is JSON, a Python literal, a fraction, or else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    for read in (json.loads, literal_eval, lambda fraction: float(Fraction(fraction))):
        try:
            return name, read(value)
        except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
            continue
    return name, value


def _check_ids(ids: Sequence[str], known: Iterable[str] = ENV_IDS) -> None:
    for env_id in ids:
        if env_id not in known:
            close = get_close_matches(env_id, ENV_IDS, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UsageError(f"unknown environment {env_id!r}{hint} ('list' shows them all)")


def _make(args: argparse.Namespace, **more: Any) -> gym.Env[Any, str]:
    if ":" not in args.id:
        _check_ids([args.id], gym.registry)
    params = {**dict(args.set), **more}
    try:
        env = gym.make(args.id, disable_env_checker=True, **params)
    except Exception as error:  # whatever it is, these parameters are its cause
        reason = str(error).partition(" was raised from the environment creator")[0]
        raise UsageError(f"{args.id} can't be made: {reason}") from error
    if not isinstance(env.unwrapped, TextEnv):
        raise UsageError(
            f"{args.id} is not a text environment, but a {type(env.unwrapped).__name__}"
        )
    return env


def _start(env: gym.Env[Any, str], args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    options = {}
    if args.level is not None:
        try:
            options["level"] = Path(args.level).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{args.level} can't be read as a text file: {error}") from error
    seed = args.seed
    if seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    try:
        observation, info = env.reset(seed=seed, options=options)
    except (gym.error.Error, ValueError, RuntimeError) as error:  # the last: no display to draw on
        raise UsageError(f"{args.level or args.id}: {error}") from error
    print(f"{args.id}, seed {seed}")
    return observation, info


def _inner(env: gym.Env[Any, str]) -> TextEnv:
    assert isinstance(env.unwrapped, TextEnv)
    return env.unwrapped


def _text(observation: Any) -> str:
    return observation if isinstance(observation, str) else observation["text"]


def _ask(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return ""


def _moves(number: int) -> str:
    return f"{number} move{'s' * (number != 1)}"


def _legal(info: dict[str, Any]) -> str:
    legal = info["legal_actions"]
    return "Moves can't be listed here." if legal is None else f"Legal moves: {', '.join(legal)}"


def _plan(env: gym.Env[Any, str]) -> list[str] | None:
    try:
        return _inner(env).solve()
    except NotImplementedError:
        return None


def _hint(env: gym.Env[Any, str]) -> str:
    plan = _plan(env)
    if not plan:
        return "The oracle knows no way from here."
    return f"The oracle would play: {plan[0]} (its plan has {_moves(len(plan))})"


def _save(path: str, env: gym.Env[Any, str]) -> None:
    try:
        picture: Any = env.render()
    except gym.error.Error as error:
        raise UsageError(f"{path} can't be written: {error}") from error
    _write(Path(path), png.encode(picture))


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
