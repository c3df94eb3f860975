"""Where the defaults of a command line come from: a preset, a run that goes on, stored
trajectories, the run that a model is of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import TypeVar

import tyro

from starpo_plugin import options
from starpo_plugin.config import TrainConfig
from starpo_plugin.locate import locate
from starpo_plugin.mixing import without_environment
from starpo_plugin.out_of_memory import RESUMABLE
from starpo_plugin.presets import PRESETS, preset
from starpo_plugin.run_folder import RunFolder
from starpo_plugin.trajectory_file import find, read_origin

Located = TypeVar("Located", options.Eval, options.Play)


def train_options(argv: Sequence[str]) -> tuple[TrainConfig, bool]:
    """Read the options of ``train``: the config, and whether a run is to go on."""
    begin, _ = tyro.cli(
        options.Beginning, args=list(argv), return_unknown_args=True, add_help=False
    )
    names = [f.name for f in fields(TrainConfig)]
    if begin.resume is None:
        chosen = begin.preset or "starpo_s"
        if chosen not in PRESETS:
            choices = ", ".join(PRESETS)
            raise ValueError(f"preset {chosen!r} is not one of {choices}{meant(chosen, PRESETS)}")
        return _begun_with(argv, preset(chosen), names), False
    folder = RunFolder(begin.resume)
    saved = replace(folder.config(), run=begin.resume)
    _, config = options.parse(options.Train, argv, "starpo train", saved, names)
    changed = [n for n in names if getattr(config, n) != getattr(saved, n) and n not in RESUMABLE]
    if begin.preset is not None:
        changed.insert(0, "preset")
    if changed:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise ValueError(
            f"--resume goes on as the run was configured, so {flags} can't be given with it"
            " (only --iterations and what changes memory and speed can); for other settings begin a"
            " new run with --model"
        )
    if config.iterations < saved.iterations:
        raise ValueError(
            f"--iterations {config.iterations} is less than the {saved.iterations} that the run was"
            " begun with: a run can only be made longer"
        )
    return config, True


def _begun_with(argv: Sequence[str], start: TrainConfig, names: Sequence[str]) -> TrainConfig:
    """Read the options of a new run; what stored trajectories were made with is its default."""
    _, config = options.parse(options.Train, argv, "starpo train", start, names)
    if not config.from_data:
        return config
    made = read_origin(find(config.from_data[0])[0]).config
    known = replace(start, **{n: made[n] for n in options.SAMPLED if n in made})
    _, config = options.parse(options.Train, argv, "starpo train", known, names)
    if config.env != known.env:
        known = without_environment(known)
        _, config = options.parse(options.Train, argv, "starpo train", known, names)
    return config


def located(
    command: type[Located],
    argv: Sequence[str],
    prog: str,
    names: Sequence[str],
    renamed: Mapping[str, str],
) -> tuple[Located, TrainConfig]:
    """Read a command line whose defaults are what the model that it names was trained with."""
    first, _ = options.parse(command, argv, prog, TrainConfig(), names, renamed)
    known = locate(first.where) if first.where else TrainConfig()
    parsed, config = options.parse(command, argv, prog, known, names, renamed)
    if config.env != known.env:
        known = without_environment(known)
        parsed, config = options.parse(command, argv, prog, known, names, renamed)
    elif config.env_args != known.env_args:
        config = replace(config, curriculum=())  # its last stage would be over what was asked for
    return parsed, config


def meant(given: str, known: Iterable[str]) -> str:
    """Say what a name that is not known may have been meant to be."""
    close = get_close_matches(given, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
