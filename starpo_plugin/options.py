"""What every command can be told: its own options, and fields of ``TrainConfig`` as options.

A docstring is its option's help, here as in the config.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, NamedTuple, TypeVar

import tyro

from starpo_plugin.config import TrainConfig
from starpo_plugin.play import AgentName

Command = TypeVar("Command")

ENVIRONMENT = (
    "env",
    "env_args",
    "max_turns",
    "max_actions",
    "max_actions_per_turn",
    "format",
    "tags",
    "format_penalty",
    "rules",
    "system_template",
    "user_template",
)
"""Fields that say what is played and how it is told."""
PLAYING = (*ENVIRONMENT, "eval_args", "max_reply_tokens", "max_tokens", "context_turns", "device")
"""Fields that a model needs to play, besides itself."""
SAMPLED = (*PLAYING, "envs", "train_args", "temperature")
"""Fields that shaped trajectories when they were played."""
IMITATING = (
    *PLAYING,
    *("envs", "curriculum", "train_args", "eval_episodes", "eval_temperature"),
    *("model", "tiny_hidden", "tiny_layers", "seed"),
    *("warmup_updates", "warmup_batch", "warmup_lr", "warmup_thought", "warmup_moves"),
    "micro_batch_tokens",
)
"""Fields that imitation takes."""


Where = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT_OR_RUN")]


@dataclass(frozen=True)
class Beginning:
    """Where a training run takes its defaults from."""

    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Defaults to start from: starpo_ppo, starpo_grpo, starpo_s or trico; starpo_s unless
    given.
    """
    resume: Annotated[str | None, tyro.conf.arg(metavar="RUN")] = None
    """Go on from this run folder's last checkpoint; only --iterations, --micro-batch-tokens,
    --slots, --gradient-checkpointing, --compile and --cuda-graphs may be given besides.
    """


@dataclass(frozen=True)
class Train(Beginning):
    """Reinforce a model over whole episodes; write checkpoints, metrics and a report.

    The preset sets the defaults that are shown here, and any option overrides it. The run ends with
    a table, measured on the test levels: random player, before and after training, oracle.
    """


@dataclass(frozen=True)
class Warmup:
    """Imitate the environment's oracle; write a model that starpo train --model can begin with."""

    out: str
    """Folder for the model; it must not be there yet."""


@dataclass(frozen=True)
class Serving:
    """A model behind an OpenAI-compatible server, played over the network."""

    server: Annotated[str | None, tyro.conf.arg(metavar="URL")] = None
    """Play the model behind this OpenAI-compatible server, as in http://localhost:8000/v1. A
    CHECKPOINT_OR_RUN then only sets the defaults.
    """
    server_model: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """Name that the server knows the model by."""
    server_args: tuple[str, ...] = ()
    """More fields of each request, as name=value: --server-args top_p=0.9. None leaves one out."""
    concurrency: int = 16
    """Episodes that are played on the server at once."""
    timeout: float = 60.0
    """Seconds that one answer of the server may take."""
    retries: int = 4
    """Further tries, later and later, where the server is busy, broken or out of reach."""
    api_key_env: Annotated[str, tyro.conf.arg(metavar="NAME")] = "OPENAI_API_KEY"
    """Environment variable that holds the server's key, where it needs one."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Episodes played on the server, one JSON line each, written as they end. A file that is there
    is gone on with: only what it lacks is played. A new one in runs/server unless given.
    """


@dataclass(frozen=True)
class Eval(Serving):
    """Measure a model beside a random player and the oracle, each with its 95 % interval.

    Defaults are what the model was trained with; another --env drops the old --env-args.
    """

    where: Where = ""
    """A run folder (its last checkpoint), a checkpoint, or a model by folder or hub name."""
    seed: int | None = None
    """First of the levels' seeds; unless given, the levels are those of every run's evaluations."""
    also: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ENV")] = ()
    """Further environments, each with its arguments in one text: --also "TextSokoban-v0 size=8".
    One table then shows them all.
    """
    generalisation: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also play what RAGEN's generalisation table has: new symbols, larger boards, another game."""


@dataclass(frozen=True)
class Play:
    """Watch one episode in the terminal: what the model sees, thinks, does and earns."""

    where: Where = ""
    """A run folder (its last checkpoint), a checkpoint, or a model by folder or hub name."""
    seed: int = 0
    """Of the level and of the sampling."""
    agent: AgentName = "model"
    """Who plays: the model, or without one the random player or the oracle."""
    video: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the episode to this .mp4 or .gif file."""


@dataclass(frozen=True)
class Show:
    """Read stored trajectories: a list of the episodes, or one of them whole."""

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE_OR_RUN")]
    """A file of trajectories, or the folder of a run that stored some."""
    episode: int | None = None
    """Number in the list of the episode to show whole: what was seen, thought, done and earned."""
    iteration: int | None = None
    """Which of a run's files; the last one unless given."""


@dataclass(frozen=True)
class Report:
    """Write a run, finished or not, as one HTML page that needs no other file and no network."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """The page; report.html in the run's folder unless given."""


# --- fields of the config as options ---


class FieldNote(NamedTuple):
    """What the source of ``TrainConfig`` says of a field."""

    section: str
    help: str


@cache
def docstrings(kind: type) -> dict[str, tuple[int, str]]:
    """Read from a class's source, for every field, its line and its docstring in one line."""
    found = {}
    body = ast.parse(inspect.getsource(kind)).body[0].body  # pyright: ignore[reportAttributeAccessIssue] (a class)
    for assigned, said in pairwise(body):
        match assigned, said:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(text))
            ):
                found[name] = (assigned.lineno, " ".join(text.split()))
    return found


@cache
def field_notes() -> dict[str, FieldNote]:
    """Read the section and docstring of every field of ``TrainConfig`` from its source."""
    headings = {
        number: found[1]
        for number, line in enumerate(inspect.getsource(TrainConfig).splitlines(), 1)
        if (found := re.fullmatch(r"    # --- (.+) ---", line))
    }
    return {
        name: FieldNote([title for n, title in headings.items() if n < line][-1], text)
        for name, (line, text) in docstrings(TrainConfig).items()
    }


def parse(
    command: type[Command],
    argv: Sequence[str],
    prog: str,
    config: TrainConfig,
    names: Iterable[str],
    renamed: Mapping[str, str] | None = None,
) -> tuple[Command, TrainConfig]:
    """Read a command line: the command's own options and some of the config's fields.

    Args:
        command: dataclass of the command's own options; its docstring describes the command.
        argv: arguments after the command's name.
        prog: what the help calls the command.
        config: where the fields' defaults come from.
        names: fields that this command takes.
        renamed: field -> option name, where they differ.

    Returns:
        An instance of ``command``, and ``config`` with what ``argv`` changes.

    Raises:
        SystemExit: 2 with a message for a call that can't be read; 0 after ``--help``.
    """
    sections: dict[str, list[Any]] = {}
    for name in (f.name for f in fields(TrainConfig) if f.name in set(names)):
        option = _option(name, getattr(config, name), (renamed or {}).get(name, name))
        sections.setdefault(field_notes()[name].section, []).append(option)
    made = [
        (section, tyro.conf.OmitArgPrefixes[kind], field(default_factory=kind))
        for section, options in sections.items()
        for kind in (make_dataclass(section, options),)
    ]
    own = _told(command)
    whole = make_dataclass(command.__name__, [*own, *made], bases=(command,), frozen=True)
    parsed: Any = tyro.cli(whole, args=list(argv), prog=prog, description=inspect.getdoc(command))
    changes = {
        name: getattr(getattr(parsed, section), name)
        for section, options in sections.items()
        for name, *_ in options
    }
    return parsed, replace(config, **changes)


def _told(command: type) -> list[tuple[str, Any, Any]]:
    """Give a command's own fields with their docstrings as help; tyro itself keeps line ends."""
    notes = {k: v for base in command.__mro__[:-1] for k, v in docstrings(base).items()}
    return [
        (f.name, Annotated[f.type, tyro.conf.arg(help=notes[f.name][1])], field(default=f.default))  # pyright: ignore[reportInvalidTypeForm]
        for f in fields(command)
    ]


def _option(name: str, default: Any, shown: str) -> tuple[str, Any, Any]:
    kind = next(f.type for f in fields(TrainConfig) if f.name == name)
    settings = tyro.conf.arg(name=shown.replace("_", "-"), help=field_notes()[name].help)
    return name, Annotated[kind, settings], field(default=default)  # pyright: ignore[reportInvalidTypeForm]
