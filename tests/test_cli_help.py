"""What the commands say of themselves."""

import re
import subprocess
import sys
from dataclasses import fields

import pytest

from starpo_plugin import options
from starpo_plugin.__main__ import COMMANDS, HELP, main
from starpo_plugin.config import TrainConfig
from starpo_plugin.defaults import train_options
from starpo_plugin.estimate_command import Estimate
from starpo_plugin.out_of_memory import RESUMABLE


def test_no_command_and_help_say_what_there_is(capsys):
    for argv in ([], ["--help"], ["-h"]):
        assert main(argv) == 0
        assert capsys.readouterr().out == HELP
    assert set(re.findall(r"^  (\w+) ", HELP, re.MULTILINE)) == set(COMMANDS)


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Every command's help, from one process that must not have loaded torch."""
    program = (
        "import sys; from starpo_plugin.__main__ import main, COMMANDS\n"
        "for name in COMMANDS: print('@@' + name); assert main([name, '--help']) == 0\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    return dict(part.split("\n", 1) for part in told.stdout.split("@@")[1:])


def test_help_of_train_has_every_field_with_its_docstring(helps):
    told = " ".join(re.sub(r"[│╭╰╮╯─]", " ", helps["train"]).split())
    for name in (f.name for f in fields(TrainConfig)):
        assert f"--{name.replace('_', '-')} " in told.replace(",", " ")
        assert options.field_notes()[name].help in told


def test_what_a_run_can_go_on_with_is_in_the_help(helps):
    told = helps["train"][: helps["train"].index("run options")]
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", told))
    expected = {"--" + name.replace("_", "-") for name in RESUMABLE}
    assert named - {"--help", "--preset", "--resume"} == expected


@pytest.mark.parametrize("name", ["train", "warmup", "eval", "play", "estimate"])
def test_a_wide_terminal_shows_an_options_help_in_a_line(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "900")
    assert main([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = {"train": options.Train, "warmup": options.Warmup, "eval": options.Eval}
    kind = {**kinds, "play": options.Play, "estimate": Estimate}[name]
    notes = {k: v for base in kind.__mro__[:-1] for k, v in options.docstrings(base).items()}
    assert notes.keys() == {f.name for f in fields(kind)}
    for _, text in notes.values():
        assert any(text in line for line in lines), text


def test_every_command_explains_itself_and_the_examples_are_true(helps):
    for name, text in helps.items():
        assert text.startswith(f"usage: starpo {name}")
    for name, rest in re.findall(r"^ +starpo (\w+) (.*)$", HELP, re.MULTILINE):
        for flag in re.findall(r"--[\w-]+", rest):
            assert f"{flag} " in helps[name]


def test_a_preset_only_sets_defaults():
    config, resume = train_options(["--clip-high", "0.3", "--preset", "starpo_grpo"])
    assert (config.advantage, config.clip_high, config.filter) == ("grpo", 0.3, "none")
    assert not resume
    assert train_options([])[0].filter == "top_k"
