"""``starpo``: train, measure and watch a language model that plays text environments."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import tyro
    from rich.console import Console
except ImportError as missing:  # only the environments are installed
    print(f"starpo: pip install 'text-envs[starpo]' for the trainer ({missing})", file=sys.stderr)
    raise SystemExit(2) from None

from starpo_plugin import options
from starpo_plugin.config import TrainConfig, parse_args, to_dict
from starpo_plugin.console import ConsoleWatcher, score_table
from starpo_plugin.defaults import located, meant, train_options
from starpo_plugin.estimate_command import estimate_command
from starpo_plugin.generalisation import environment_table, rows, run_rows, widened
from starpo_plugin.locate import NOTE
from starpo_plugin.messages import announce, way_on, way_on_early, way_on_smaller
from starpo_plugin.mixing import every_spec, specs
from starpo_plugin.out_of_memory import OutOfMemory
from starpo_plugin.play import Narrator, check_video, play_model, play_yardstick, record
from starpo_plugin.run_folder import RunFolder, score_dict
from text_envs.agents import Score

if TYPE_CHECKING:
    from starpo_plugin.policy import Policy

HELP = """\
usage: starpo COMMAND ...

Train a language model to play text environments by StarPO, and see what it learned.

  train    reinforce a model over whole episodes; writes a run folder
             starpo train --preset starpo_s --warmup-updates 400 --actor-lr 1e-4 --run runs/x
             starpo train --resume runs/x
  warmup   only imitate the environment's oracle; writes a model to train from
             starpo warmup --out models/sokoban --warmup-updates 400
  eval     success of a run or a model, beside a random player and the oracle
             starpo eval runs/x --episodes 1000
             starpo eval --server http://localhost:8000/v1 --server-model NAME
  play     watch one episode in the terminal, or record it
             starpo play runs/x --seed 7 --video episode.mp4
  show     read the episodes that a run has stored, or one of them whole
             starpo show runs/x --iteration 20 --episode 3
  report   write a run as one HTML page: curves, yardsticks, episodes, tokens
             starpo report runs/x
  estimate how much memory a training run takes, and which GPU holds it
             starpo estimate --model Qwen2.5-1.5B --precision bf16 --lora-rank 32

starpo COMMAND --help explains every option. STARPO_TRACEBACK=1 shows where an error comes from.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; ``argv`` without the program's name.

    Returns the exit code: 0; 2 for a call that can't work; 1 for a run that broke off; 3 for one
    that ended itself early (--early-stop), evaluated and saved; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without the square-root sign shows ?
            stream.reconfigure(errors="replace")
    if os.getcwd() not in sys.path:  # --env my_module:Mine-v0, as ``python -m`` would find it
        sys.path.insert(0, os.getcwd())
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if name in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if name not in COMMANDS:
        return _fail(f"there is no command {name!r}{meant(name, COMMANDS)}", 2)
    try:
        return COMMANDS[name](rest)
    except SystemExit as stop:  # tyro has said what is wrong, or has helped
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:  # who read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, OutOfMemory) as error:
        if os.environ.get("STARPO_TRACEBACK"):
            raise
        return _fail(str(error), 2 if isinstance(error, ValueError) else 1)


# --- commands ---


def train_command(argv: Sequence[str]) -> int:
    """``starpo train``: a run from its first iteration, or from where it was left, to its table."""
    config, resume = train_options(argv)
    config.check()
    for spec in every_spec(config):
        for arguments in (config.train_args, config.eval_args):  # before anything is written
            spec.make(**parse_args(arguments)).close()
    _hush()
    from accelerate import PartialState

    from starpo_plugin.checkpoint import CheckpointError, UnreadableCheckpoint
    from starpo_plugin.evaluate import device_of
    from starpo_plugin.train import train
    from starpo_plugin.update import TooManyBadUpdates

    processes = PartialState(cpu=device_of(config).type == "cpu")
    folder = RunFolder(config.run, processes.is_main_process)
    console = Console(highlight=False, quiet=not folder.writes)
    try:
        announce(console, config, processes.num_processes, resume)
        with ConsoleWatcher(console) as watcher:
            last = train(config, watcher, resume)
        processes.destroy_process_group()
        return _conclude(console, config, folder, last) if folder.writes else 0
    except UnreadableCheckpoint as error:
        return _fail(str(error), 1)
    except OutOfMemory as error:
        return _fail(f"{error}; {way_on_smaller(config, error)}", 1)
    except (KeyboardInterrupt, OSError, CheckpointError, TooManyBadUpdates) as error:
        if isinstance(error, KeyboardInterrupt):  # which each process gets
            return _fail(f"stopped; {way_on(config)}", 130) if folder.writes else 130
        return _fail(f"{error}; {way_on(config, isinstance(error, TooManyBadUpdates))}", 1)


def _conclude(console: Console, config: TrainConfig, folder: RunFolder, last: Path) -> int:
    """Write the report of a run that is over, and tell how it went and where things are."""
    from starpo_plugin.report import score_rows, write_report

    report = write_report(folder.path)
    console.print(score_table(score_rows(folder), _title(config)))
    if config.envs:
        console.print(environment_table(run_rows(folder, "model"), "model", "after StarPO, each"))
    for label, path in (("checkpoint", last), ("report", report)):
        console.print(f"{label:>10}  {path}", soft_wrap=True, markup=False)
    if signals := folder.stopped_for():
        return _fail(f"stopped early ({', '.join(signals)}); {way_on_early(config)}", 3)
    return 0


def warmup_command(argv: Sequence[str]) -> int:
    """``starpo warmup``: imitation alone, into a model folder."""
    default = replace(TrainConfig(), warmup_updates=400)
    command, config = options.parse(
        options.Warmup, argv, "starpo warmup", default, options.IMITATING
    )
    out = Path(command.out)
    if out.exists():
        raise ValueError(f"--out {command.out} is there already: choose another folder")
    config.check()
    _hush()
    from starpo_plugin.evaluate import Evaluator, yardsticks
    from starpo_plugin.play import load_player
    from starpo_plugin.start import warm_up

    policy, tokens = load_player(config)
    console = _console()
    with ConsoleWatcher(console) as watcher:
        warm_up(policy, tokens, config, watcher)
        _write_model(policy, config, out)
        watcher.stage("evaluation", config.eval_episodes * (1 + len(config.envs)))
        score, _ = Evaluator(policy, tokens, config).run(lambda done, _: watcher.step(done, ""))
    _print_scores(console, config, "after imitation", score, yardsticks(config))
    console.print(f"     model  {out}", soft_wrap=True, markup=False)
    return 0


def eval_command(argv: Sequence[str]) -> int:
    """``starpo eval``: one model's success beside the yardsticks."""
    names = (*options.PLAYING, "eval_episodes", "eval_temperature")
    renamed = {"eval_episodes": "episodes", "eval_temperature": "temperature"}
    command, config = located(options.Eval, argv, "starpo eval", names, renamed)
    if command.server is None:
        given = [f.name for f in fields(options.Serving) if getattr(command, f.name) != f.default]
        if given:
            flags = ", ".join("--" + name.replace("_", "-") for name in given)
            raise ValueError(f"{flags} can't be given without --server URL")
        if not command.where:
            raise ValueError("eval needs CHECKPOINT_OR_RUN (or --server URL --server-model NAME)")
    config.check()
    _check_seed(command.seed)
    _hush()
    if command.server is not None:
        return _eval_served(command, config)
    from starpo_plugin.evaluate import EVAL_SEED, Evaluator, score_each, yardsticks_each
    from starpo_plugin.play import load_player

    seed = EVAL_SEED if command.seed is None else command.seed
    config = widened(config, command.also, command.generalisation)
    policy, tokens = load_player(config)
    each = yardsticks_each(config, seed)
    console = _console()
    with ConsoleWatcher(console) as watcher:
        watcher.stage("evaluation", config.eval_episodes * len(each))
        evaluator = Evaluator(policy, tokens, config, seed)
        score, played = evaluator.run(lambda done, _: watcher.step(done, ""))
    if len(each) == 1:
        _print_scores(console, config, "model", score, each[config.episodes().task])
        return 0
    title = f"{config.eval_episodes} episodes each"
    console.print(environment_table(rows(score_each(played), each, "model"), "model", title))
    return 0


def _eval_served(command: options.Eval, config: TrainConfig) -> int:
    """``starpo eval --server``: the same for a model that another program runs."""
    from starpo_plugin.evaluate import EVAL_SEED, score, yardsticks
    from starpo_plugin.server import open_player

    if config.envs or command.also or command.generalisation:
        raise ValueError(
            "--server plays one environment, not --also, --generalisation or the several of a run:"
            " name it with --env"
        )
    first = EVAL_SEED if command.seed is None else command.seed
    player, file = open_player(command, config)
    console = _console()
    seeds = range(first, first + config.eval_episodes)
    try:
        measured = yardsticks(config, first)
        with ConsoleWatcher(console) as watcher:
            watcher.stage("evaluation", len(seeds), sum(s in file.episodes for s in seeds))
            played = player.run(seeds, watcher.step)
    except (KeyboardInterrupt, OSError) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        return _fail(f"{'stopped' if stopped else error}; {file.way_on()}", 130 if stopped else 1)
    _print_scores(console, config, command.server_model, score(played), measured)
    console.print(f"  episodes  {file.path}", soft_wrap=True, markup=False)
    return 0


def play_command(argv: Sequence[str]) -> int:
    """``starpo play``: one episode, told as it is played."""
    renamed = {"eval_temperature": "temperature"}
    names = (*options.PLAYING, "eval_temperature")
    command, config = located(options.Play, argv, "starpo play", names, renamed)
    if command.agent == "model" and not command.where:
        raise ValueError("play needs CHECKPOINT_OR_RUN (or --agent random, or --agent oracle)")
    config.check()
    _check_seed(command.seed)
    if command.video is not None:
        check_video(command.video)  # before a long episode, not after it
    console = _console()
    narrator = Narrator(console, config)
    with console.status("thinking") if console.is_terminal else nullcontext():
        if command.agent == "model":
            _hush()
            played = play_model(config, command.seed, narrator.turn)
        else:
            played = play_yardstick(config, command.agent, command.seed, narrator.turn)
    narrator.end(played)
    if command.video is not None:
        console.print(f"video: {record(config, played, command.video)}", markup=False)
    return 0


def show_command(argv: Sequence[str]) -> int:
    """``starpo show``: stored trajectories, as a list or one of them whole."""
    command = tyro.cli(options.Show, args=list(argv), prog="starpo show")
    from starpo_plugin.show import choose, show_episode, show_list

    path = choose(command.what, command.iteration)
    if command.episode is None:
        show_list(_console(), path)
    else:
        show_episode(_console(), path, command.episode)
    return 0


def report_command(argv: Sequence[str]) -> int:
    """``starpo report``: the page of a run."""
    command = tyro.cli(options.Report, args=list(argv), prog="starpo report")
    from starpo_plugin.report import write_report

    print(write_report(command.run, command.out))
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train_command,
    "warmup": warmup_command,
    "eval": eval_command,
    "play": play_command,
    "show": show_command,
    "report": report_command,
    "estimate": estimate_command,
}


# --- what is said ---


def _check_seed(seed: int | None) -> None:
    if seed is not None and seed < 0:
        raise ValueError(f"--seed {seed} must be at least 0")


def _console() -> Console:
    return Console(highlight=False)


def _fail(message: str, code: int) -> int:
    print(f"starpo: {message}", file=sys.stderr)
    return code


def _hush() -> None:
    """Keep transformers' own progress bars and remarks out of ours."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _title(config: TrainConfig) -> str:
    """Say what was evaluated."""
    each = [spec.task for spec in specs(config)]
    episodes = f"{config.eval_episodes} episodes" + (" each" if config.envs else "")
    return ", ".join((*each, episodes, *config.eval_args))


def _print_scores(
    console: Console, config: TrainConfig, name: str, score: Score, measured: dict[str, Score]
) -> None:
    """Print a model's score between random player and oracle."""
    rows = {"random": measured["random"], name: score}
    rows |= {"oracle": measured["oracle"]} if "oracle" in measured else {}
    plain = {agent: score_dict(s) for agent, s in rows.items()}
    console.print(score_table(plain, _title(config)))


def _write_model(policy: "Policy", config: TrainConfig, out: Path) -> None:
    """Write a model and the config that made it, whole or not at all. Raises ``OSError``."""
    from safetensors import SafetensorError

    draft = out.with_name(f".new-{out.name}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        policy.save(draft)
        (draft / NOTE).write_text(json.dumps(to_dict(config), indent=2) + "\n")
        draft.rename(out)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise OSError(f"model {out} can't be written ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
